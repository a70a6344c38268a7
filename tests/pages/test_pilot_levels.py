"""The level of the intervals is chosen when a pilot is told, on every line and in every table."""

import re

import numpy as np
import pandas as pd
import pytest
from every_pilot import EVERY_PILOT, compared
from report_pages import Outline

import outcomekpi as ok
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Findings

OWN = (
    r"its 95% likelihood interval ends below 1",  # decides the method
    r"\(95 %\), because",  # a range of a prior, as it was stated
    r"95 % intervals held the truth in about 91 %",  # measured coverage of a method
)
"""Levels that belong to something else than the intervals of the reader."""
OWN_CHECKS = (
    "returns to its trend",
    "fit before the start",
    "trends before the start",
    "effect over the time since the start",
)
"""Checks whose tests have a size of their own."""
ENDS = ["lower", "upper"]


def text_of(effect, path, **options):
    outline = Outline(ok.report_pilot(effect, path=path, **options).read_text(encoding="utf-8"))
    return re.sub(r"\s+", " ", " ".join(outline.text))


@pytest.mark.parametrize("name", EVERY_PILOT)
def test_a_report_at_half_names_no_other_level(name, tmp_path, monkeypatch):
    monkeypatch.setattr("outcomekpi.pages.pilot_document.draw_pictures", lambda sketches: [])
    effect = compared(name)
    found = ok.sensitivity(effect, starts=0)
    text = text_of(effect, tmp_path / "half.html", sensitivity=found, level=0.5)
    assert len(re.findall(r"50 ?% interval", text)) >= 3
    for own in OWN:
        text = re.sub(own, "", text)
    assert not re.findall(r".{60}\b95 ?%.{20}", text)


@pytest.mark.parametrize("name", EVERY_PILOT)
def test_every_table_has_the_level_that_was_asked_for(name):
    effect = compared(name)
    half, wide = (effect.findings_at(level).tables for level in (0.5, 0.95))
    assert set(half) == set(wide)
    narrower = 0
    for key, table in half.items():
        if "level" in table.attrs:
            assert (table.attrs["level"], wide[key].attrs["level"]) == (0.5, 0.95), key
        if not set(ENDS) <= set(table.columns) or "level" not in table.attrs:
            continue
        small, large = (one[ENDS].astype(float).dropna().to_numpy() for one in (table, wide[key]))
        slack = 1e-9 * np.abs(large).max(initial=1.0)
        assert (small[:, 0] >= large[:, 0] - slack).all(), key
        assert (small[:, 1] <= large[:, 1] + slack).all(), key
        narrower += int((np.ptp(small, axis=1) < np.ptp(large, axis=1)).sum())
    assert narrower or not any("level" in one.attrs for one in half.values())


@pytest.mark.parametrize("name", EVERY_PILOT)
def test_sentences_write_the_interval_of_the_estimate_at_that_level(name):
    effect = compared(name)
    lower, upper = effect.main.interval(level=0.5)
    ends = f"{lower:.4g} to {upper:.4g}"
    assert ends in effect.verdict(level=0.5)
    answers = effect.checklist_at(0.5).set_index("item")["answer"]
    if effect.design.rung:
        assert ends in answers["main_effect"]
    assert np.allclose(effect.to_frame(level=0.5).iloc[0][ENDS].astype(float), (lower, upper))


@pytest.mark.parametrize("name", EVERY_PILOT)
def test_checks_with_a_size_of_their_own_do_not_move_with_the_level(name):
    effect = compared(name)
    verdicts = [
        {one.name: one.passed for one in effect.findings_at(level).checks if one.name in OWN_CHECKS}
        for level in (0.5, 0.95, 0.999)
    ]
    assert verdicts[0] == verdicts[1] == verdicts[2]


def test_what_is_told_at_a_level_is_told_once():
    effect = compared("series")
    assert effect.findings_at(0.5) is effect.findings_at(0.5)
    assert effect.findings is effect.findings_at(0.95)
    assert effect.checklist.equals(effect.checklist_at(0.95))


def test_limits_that_take_long_are_found_once_for_each_level():
    asked = []

    def limits(level):
        asked.append(level)
        return -level, level

    one = Estimate(name="effect", unit="points", value=0.0, limits=limits)
    assert [one.interval(level=level) for level in (0.5, 0.5, 0.95)] == [
        (-0.5, 0.5),
        (-0.5, 0.5),
        (-0.95, 0.95),
    ]
    assert asked == [0.5, 0.95]


def test_a_design_of_five_lines_may_return_findings(tmp_path):
    class Own:
        rung = 2

        def estimate(self, data, *, program, draws, rng):
            one = Estimate(name="difference", unit="points", value=2.0, se=1.0)
            return Findings(estimand="it", estimates=(one,), naive=one, assumptions=("none",))

    effect = ok.compare_pilot(pd.DataFrame({"y": [1.0]}), Own())
    assert "50% interval 1.326 to 2.674" in effect.verdict(level=0.5)
    assert "1.326 to 2.674" in text_of(effect, tmp_path / "own.html", level=0.5)


def test_a_level_that_is_none_is_refused():
    with pytest.raises(ok.SpecError, match="level"):
        compared("series").findings_at(95)
