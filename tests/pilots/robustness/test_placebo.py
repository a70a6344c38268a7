"""Placebo starts and outcomes, with the real designs: nothing where nothing can be."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from outcomekpi.pilots.designs.before_after import BeforeAfter
from outcomekpi.pilots.designs.interrupted import InterruptedSeries
from outcomekpi.pilots.designs.stepped_wedge import SteppedWedge
from outcomekpi.pilots.ladder.comparison import compare_pilot
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.pilots.robustness.placebo import (
    find_cluster,
    leave_out_clusters,
    placebo_starts,
    reestimate,
)
from outcomekpi.pilots.robustness.sensitivity import sensitivity

SERIES = InterruptedSeries(outcome="rate", time="month", start=25, horizon=23)
WEDGE = SteppedWedge(outcome="rate", unit="site", time="quarter", start="start", effect="constant")


def make_series(step=4.0, seed=1):
    rng = np.random.default_rng(seed)
    rate = 50 + rng.normal(size=48) + step * (np.arange(48) >= 24)
    return pd.DataFrame({"month": range(1, 49), "rate": rate, "other": rng.normal(size=48)})


def make_wedge(effect=9.0, seed=2):
    cells = pd.MultiIndex.from_product([range(12), range(6)], names=["site", "quarter"])
    frame = cells.to_frame(index=False).assign(start=lambda f: f["site"] % 4 + 2)
    after = frame["quarter"] >= frame["start"]
    frame["rate"] = 50 + effect * after + np.random.default_rng(seed).normal(size=len(frame))
    return frame


def test_placebo_starts_of_a_series_use_the_rows_before_the_start_alone():
    frame = make_series()
    made = list(placebo_starts(SERIES, frame, count=5))
    assert len(made) == 5
    for words, design, rows in made:
        assert (rows["month"] < 25).all()
        assert words == f"start {design.start}"
        # at least 8 points a side, and no horizon beyond the rows that are left
        assert 9 <= design.start <= 17
        assert design.horizon is None


def test_a_series_without_an_early_change_shows_none():
    frame = make_series()
    found = sensitivity(compare_pilot(frame, SERIES), frame, outcomes=["other"])
    placebo = found.placebo()
    assert len(placebo) == 6
    assert ((placebo["lower"] <= 0) & (placebo["upper"] >= 0)).all()
    assert found.checks()[0].passed is True
    assert "1,000" not in repr(found)


def test_a_change_long_before_the_start_is_shown_by_a_placebo():
    frame = make_series(step=0.0)
    frame.loc[frame["month"] >= 13, "rate"] += 8.0
    checks = sensitivity(compare_pilot(frame, SERIES), frame).checks()
    assert checks[0].passed is False
    assert "start 13" in checks[0].verdict


def test_the_span_of_a_series_is_half_of_what_follows_the_start():
    frame = make_series()
    found = sensitivity(compare_pilot(frame, SERIES))
    effect = found.effect.main.value
    assert found.tipping().loc["trend", "tipping"] == pytest.approx(abs(effect) / 11.5)
    assert any("Without data" in note for note in found.notes)


def test_patients_have_placebo_starts_where_their_periods_are_times():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"quarter": np.repeat(range(1, 9), 60), "doctor": np.tile(range(12), 40)})
    frame["y"] = (rng.random(480) < 0.3 + 0.4 * (frame["quarter"] >= 5)).astype(int)
    design = BeforeAfter(outcome="y", period="quarter", start=5, doctor="doctor")
    found = sensitivity(compare_pilot(frame, design), frame)
    assert found.placebo()["what"].tolist() == ["start 2", "start 3", "start 4"]
    assert len(found.leave_one_out()) == 12
    assert {"attrition", "confounder"} <= set(found.tipping().index)


def test_clusters_of_a_wedge_start_earlier_each_by_itself():
    frame = make_wedge()
    for shift, (words, design, rows) in enumerate(placebo_starts(WEDGE, frame, count=2), start=1):
        assert words.startswith(f"start {shift} period")
        assert design is WEDGE
        real = frame.loc[rows.index]
        assert (real["quarter"] < real["start"]).all()
        assert (rows["start"] == real["start"] - shift).all()
        assert (rows["start"] > 0).all()


def test_a_wedge_without_anticipation_shows_nothing_before_its_starts():
    frame = make_wedge()
    found = sensitivity(compare_pilot(frame, WEDGE), frame, sd=10.0)
    placebo = found.placebo()
    assert len(placebo) >= 2
    assert (placebo["mean"].abs() < 3).all()
    assert len(found.leave_one_out()) == 12
    assert found.checks()[1].passed is True


def test_other_panels_are_cut_before_the_first_start_and_stay_complete():
    pytest.importorskip("diff_diff")
    from outcomekpi.pilots.designs.did import DifferenceInDifferences

    frame = pd.DataFrame({"ward": np.repeat(range(16), 6), "year": np.tile(range(1, 7), 16)})
    frame["start"] = np.where(frame["ward"] < 8, np.where(frame["ward"] < 4, 4, 5), 0)
    after = (frame["start"] > 0) & (frame["year"] >= frame["start"])
    frame["rate"] = np.random.default_rng(5).normal(size=96) + 9 * after
    design = DifferenceInDifferences(outcome="rate", unit="ward", time="year", start="start")
    made = list(placebo_starts(design, frame, count=5))
    assert [words for words, _, _ in made] == ["start 1 period earlier", "start 2 periods earlier"]
    for _, _, rows in made:
        assert rows["year"].max() == 3
        assert rows["ward"].nunique() == 16
    words, fake, rows = made[1]
    found = reestimate("placebo start", words, fake, rows, program=Program(), draws=200, seed=1)
    # 8 treated against 8 controls, two periods a side: standard error about .7
    assert abs(found.estimate.value) < 2.5


def test_designs_without_times_have_no_placebo_start():
    frame = pd.DataFrame({"when": ["before", "after"] * 40, "y": [0, 1, 1, 0] * 20})
    design = BeforeAfter(outcome="y", period="when", after="after")
    found = sensitivity(compare_pilot(frame, design), frame)
    assert any("No placebo start" in note for note in found.notes)
    assert any("No cluster left out" in note for note in found.notes)


def test_the_outermost_cluster_is_left_out_and_the_largest_first():
    frame = pd.DataFrame({"site": list("aaabbc"), "doctor": list("uvwxyz"), "y": 0.0})
    design = BeforeAfter(outcome="y", period="p", after=1, doctor="doctor", hospital="site")
    assert find_cluster(design, frame, None) == "site"
    assert find_cluster(replace(design, hospital=None), frame, None) == "doctor"
    assert [name for name, _ in leave_out_clusters(frame, "site", most=2)] == ["a", "b"]


@pytest.mark.validate
def test_placebo_starts_show_an_effect_as_often_as_their_level_says():
    """One placebo a series, 500 series without an early change: 5 % show one."""
    shown = 0
    for seed in range(500):
        frame = make_series(seed=seed)
        _, design, rows = next(placebo_starts(SERIES, frame, count=1))
        shown += bool(compare_pilot(rows, design).main.excludes_null(level=0.95))
    # three Monte Carlo standard errors of 5 % in 500: 2.9 points
    assert shown / 500 < 0.08
