"""Simulated roll-outs: the truth is what was drawn, and who starts is who was to start."""

import numpy as np
import pytest

from outcomekpi.datasets import simulate_rollout
from outcomekpi.declare.errors import SpecError

# logit chances of one cell are averaged over normal severities and doctors; large cells, so that
# shares of patients lie within 4.5 standard errors of the chances in cells
BIG = {"n_hospitals": 8, "n_doctors": 2, "n_patients": 400, "n_months": 12}


def starts(frame):
    return frame.groupby("hospital")["start"].first()


def test_the_same_seed_gives_the_same_table():
    first, truth = simulate_rollout(n_patients=1)
    again, same = simulate_rollout(n_patients=1)
    other, _ = simulate_rollout(n_patients=1, seed=7)
    assert first.equals(again)
    assert truth.cells.equals(same.cells)
    assert not first.equals(other)


def test_shares_of_patients_are_the_chances_that_the_truth_holds():
    frame, truth = simulate_rollout(waves=(4, 6), **BIG)
    cells = truth.cells.set_index(["hospital", "month"])["with_program"]
    share = 100 * frame.groupby(["hospital", "month"])["controlled"].mean()
    error = np.sqrt(cells * (100 - cells) / 800)
    assert (abs(share - cells) / error).max() < 4.5
    assert share.index.equals(cells.index)


def test_half_of_the_hospitals_start_spread_over_the_waves():
    frame, truth = simulate_rollout(n_patients=1)
    counts = starts(frame).value_counts()
    assert dict(counts) == {0: 12, 25: 3, 28: 3, 31: 3, 34: 3}
    exposure = truth.cells.loc[truth.cells["start"] == 34, "exposure"]
    assert (exposure.min(), exposure.max()) == (-33, 14)
    assert truth.cells.loc[truth.cells["start"] == 0, "exposure"].isna().all()


def test_the_effect_is_nil_before_the_start_grows_and_then_lasts():
    _, truth = simulate_rollout(n_patients=200, ramp_up=4, effect=0.4)
    cells = truth.cells
    assert (cells.loc[cells["exposure"].isna() | cells["exposure"].lt(0), "effect"] == 0).all()
    grown = cells[cells["exposure"].ge(0)].groupby("exposure")["effect"].mean()
    # .4 log odds near one half are 10 points; a quarter of it in the first month
    assert grown[0] == pytest.approx(2.3, abs=0.5)
    assert grown[:4].is_monotonic_increasing
    # .4 log odds are 10 points at 50 %, 7.7 at 71 %, and less where the years have brought more
    assert grown[3:].between(5.5, 10).all()
    assert truth.points == pytest.approx(cells.loc[cells["exposure"].ge(0), "effect"].mean())


def test_without_effect_the_program_changes_nothing():
    _, truth = simulate_rollout(effect=0, n_patients=1)
    assert truth.points == 0
    assert truth.cells["with_program"].equals(truth.cells["without"])


@pytest.mark.slow
@pytest.mark.parametrize("joining", ["better", "improving"])
def test_hospitals_that_choose_are_not_those_that_a_lot_would_have_drawn(joining):
    gaps = {}
    for rule in ("lot", joining):
        measured = [
            _gap(simulate_rollout(joining=rule, seed=seed, n_patients=4)[1].cells)
            for seed in range(60)
        ]
        gaps[rule] = np.mean(measured, axis=0)
    level, trend = gaps[joining]
    # 60 roll-outs of 24 hospitals: the standard errors are near .6 points, and .3 points a year
    assert np.abs(gaps["lot"]) == pytest.approx(0, abs=2)
    assert (level > 5) if joining == "better" else (trend > 1.5)
    assert abs(trend) < 1 if joining == "better" else abs(level) < 3


def test_the_guideline_arrives_everywhere_with_the_first_wave():
    _, truth = simulate_rollout(trend=0, guideline=0.4, sd_trend=0, n_patients=50)
    cells = truth.cells.assign(year=(truth.cells["month"] - 1) // 12)
    rate = cells.groupby([cells["start"] > 0, "year"])["without"].mean().unstack()
    # .4 log odds near one half are 10 points, in the third year less two months
    assert (rate[1] - rate[0]).abs().max() < 2
    assert (rate[3] - rate[1]).between(7.5, 10.5).all()


def _gap(cells):
    """Joiners less others without the program: mean of the first year, and change a year."""
    year = (cells["month"] - 1) // 12
    table = cells.groupby([cells["start"] > 0, year])["without"].mean().unstack()
    gap = table.loc[True] - table.loc[False]
    return gap[0], (gap[3] - gap[0]) / 3


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"joining": "volunteers"}, "joining must be one of"),
        ({"waves": (1, 4)}, "rising months, from 2"),
        ({"waves": (25, 25)}, "rising months"),
        ({"waves": (25, 50)}, "n_months = 48"),
        ({"waves": ()}, "rising months"),
        ({"n_hospitals": 6}, "must be 8 or more; got 6"),
        ({"ramp_up": 0}, "at least 1; got 0"),
    ],
)
def test_impossible_rollouts_are_refused(settings, words):
    with pytest.raises(SpecError, match=words):
        simulate_rollout(**settings)
