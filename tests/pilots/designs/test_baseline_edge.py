"""A baseline that is cut off at one value is noticed, natural limits and changes are not."""

import math

import numpy as np
import pandas as pd
import pytest

import outcomekpi as ok
from outcomekpi.pilots.estimators.baseline_edge import find_edge


def readings(n=300, *, seed=1, sd=10.0):
    """Two readings about true levels N(140, 15)."""
    rng = np.random.default_rng(seed)
    level = rng.normal(140, 15, n)
    return level + rng.normal(0, sd, n), level + rng.normal(0, sd, n)


def test_pressures_taken_at_160_or_more_are_cut_off_there():
    first, second = readings(2000)
    chosen = np.round(first) >= 160
    edge = find_edge(np.round(first[chosen]), np.round(second[chosen]))
    assert (edge.at, edge.side) == (160.0, "above")
    below = find_edge(-first[chosen], -second[chosen])
    assert below.side == "below"
    helped = find_edge(first[chosen], second[chosen] - 12)
    assert helped.at == pytest.approx(first[chosen].min())


def test_the_chance_of_an_edge_is_that_of_a_draw_without_replacement():
    # the four lowest of 5 + 6 values are all follow-ups: 6/11 x 5/10 x 4/9 x 3/8
    before, after = np.arange(10.0, 15.0), np.array([1.0, 2, 3, 4, 20, 30])
    from outcomekpi.pilots.estimators.baseline_edge import _chance

    assert _chance(4, 5, 6) == pytest.approx(math.comb(7, 2) / math.comb(11, 6))
    assert find_edge(before, after) is None  # 1 in 22 is not rare


def change(first, second, name):
    days = np.random.default_rng(2).poisson(3, (2, first.size))
    return {
        "nothing": (first, second),
        "a shift for the better": (first, second - 20),
        "a shift for the worse": (first, second + 20),
        "a fifth less": (first, 0.8 * second),
        "more unlike each other": (first, 140 + 1.5 * (second - 140)),
        "a limit of both periods": (np.minimum(first, 150), np.minimum(second - 5, 150)),
        "days, at least one": (1.0 + days[0], 1.0 + days[1] // 2),
        "a tenth reach it, then a fifth": (first > 163, second > 155),
    }[name]


@pytest.mark.parametrize("size", [40, 300, 2000])
@pytest.mark.parametrize("name", list(change(*readings(10), "nothing") and [
    "nothing", "a shift for the better", "a shift for the worse", "a fifth less",
    "more unlike each other", "a limit of both periods", "days, at least one",
    "a tenth reach it, then a fifth",
]))  # fmt: skip
def test_changes_without_a_selection_are_no_edge(size, name):
    before, after = change(*readings(size, seed=7), name)
    assert find_edge(before.astype(float), after.astype(float)) is None


def selected_frame():
    first, second = readings(1500)
    chosen = first >= 160
    n = int(chosen.sum())
    return pd.DataFrame(
        {
            "y": np.r_[first[chosen], second[chosen]],
            "when": np.repeat(["before", "after"], n),
            "id": np.tile(np.arange(n), 2),
            "doctor": np.tile(np.arange(n) % 10, 2),
        }
    )


@pytest.mark.parametrize("known", [{"patient": "id"}, {}])
def test_before_and_after_says_that_its_baseline_is_cut_off(known):
    frame = selected_frame()
    design = ok.BeforeAfter(
        outcome="y", period="when", after="after", family="gaussian", direction="lower", **known
    )
    effect = ok.compare_pilot(frame, design)
    check = next(one for one in effect.findings.checks if one.name == "a baseline that is cut off")
    assert check.passed is False
    assert "is 160" in check.verdict
    threats = effect.threats_frame().loc["regression to the mean"]
    assert threats["tipping"].startswith("every baseline is 160")
    denied = ok.compare_pilot(frame, design, program=ok.Program(selected_on_baseline=False))
    check = next(one for one in denied.findings.checks if one.name == "a baseline that is cut off")
    assert "said not to have" in check.verdict


def test_a_baseline_that_is_corrected_is_not_noticed_again():
    design = ok.BeforeAfter(
        outcome="y", period="when", after="after", family="gaussian", patient="id",
        selection=ok.BaselineSelection(
            cutoff=160, side="above",
            population=ok.BaselinePopulation(mean=140, sd=325**0.5, reliability=225 / 325),
        ),
    )  # fmt: skip
    effect = ok.compare_pilot(
        selected_frame(), design, program=ok.Program(selected_on_baseline=True), draws=400
    )
    assert "a baseline that is cut off" not in [one.name for one in effect.findings.checks]
    assert effect.main.excludes_null(level=0.95) is False


def test_doctors_effects_notice_patients_who_were_all_off_target():
    rng = np.random.default_rng(3)
    n = 400
    frame = pd.DataFrame(
        {"when": np.repeat(["before", "after"], n), "doctor": np.tile(np.arange(n) % 8, 2)}
    )
    frame["y"] = np.r_[np.zeros(n), rng.binomial(1, 0.3, n)].astype(int)
    design = ok.BeforeAfter(outcome="y", period="when", after="after", doctor="doctor")
    found = [one.name for one in ok.compare_pilot(frame, design).findings.checks]
    assert "a baseline that is cut off" in found
    frame.loc[:3, "y"] = 1
    assert "a baseline that is cut off" not in [
        one.name for one in ok.compare_pilot(frame, design).findings.checks
    ]
