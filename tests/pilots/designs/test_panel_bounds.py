"""Percentages end at 0 and 100, in intervals of their effects and in what would have been."""

import numpy as np
import pandas as pd
import pytest
from made_panels import made_panel

from outcomekpi.pilots.designs.did import DifferenceInDifferences
from outcomekpi.pilots.designs.stepped_wedge import SteppedWedge
from outcomekpi.pilots.designs.synthetic import SyntheticControl
from outcomekpi.pilots.ladder.comparison import compare_pilot
from outcomekpi.pilots.ladder.program import Program

COLUMNS = {"outcome": "rate", "unit": "ward", "time": "year", "start": "start"}
NOT_CHOSEN = Program(selected_on_baseline=False)


def near_the_floor(n_treated=8, noise=3.0):
    """Percentages of the treated near 2 before the start, while the controls fall by 6."""
    frame = made_panel(n_treated=n_treated, n_controls=12, sd=0.0, effect=0.0, start=4)
    rng = np.random.default_rng(7)
    late, treated = frame["year"] >= 2004, frame["start"] > 0
    frame["rate"] = np.where(treated, 2.0, 30.0 - 6.0 * late) + rng.uniform(0, noise, len(frame))
    return frame


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["2x2", "callaway_santanna"])
def test_an_effect_cannot_leave_less_than_nothing(estimator):
    frame = near_the_floor()
    design = DifferenceInDifferences(**COLUMNS, estimator=estimator, outcome_unit="%")
    effect = compare_pilot(frame, design, program=NOT_CHOSEN)
    free = compare_pilot(
        frame, DifferenceInDifferences(**COLUMNS, estimator=estimator), program=NOT_CHOSEN
    )
    after = frame[(frame["start"] > 0) & (frame["year"] >= 2004)]["rate"].mean()
    assert effect.main.value == free.main.value
    assert free.main.interval(level=0.95)[1] > after
    assert effect.main.interval(level=0.95)[1] == pytest.approx(after)
    table = effect.findings.tables["counterfactual"]
    assert table[["counterfactual", "lower", "upper"]].min().min() == 0
    check = {one.name: one for one in effect.findings.checks}["level without the program"]
    assert check.passed is False and "family='logit'" in check.verdict
    assert "level without the program" not in {one.name for one in free.findings.checks}


def test_the_synthetic_control_ends_there_too():
    frame = near_the_floor(n_treated=1)
    design = SyntheticControl(**COLUMNS, outcome_unit="%")
    effect = compare_pilot(frame, design, program=NOT_CHOSEN)
    table = effect.findings.tables["counterfactual"]
    assert table[["fitted", "counterfactual", "lower", "upper"]].min().min() == 0
    after = frame[(frame["start"] > 0) & (frame["year"] >= 2004)]["rate"].mean()
    assert effect.main.interval(level=0.95)[1] <= after + 1e-9


def test_a_wedge_of_percentages_stays_within_them():
    cells = pd.MultiIndex.from_product([range(6), range(1, 6)], names=["ward", "year"])
    frame = cells.to_frame(index=False)
    frame["start"] = frame["ward"] % 3 + 2
    on = frame["year"] >= frame["start"]
    frame["rate"] = np.where(on, 2.0, 60.0 - 12 * frame["year"]).clip(0, 100)
    frame["rate"] += np.random.default_rng(3).uniform(0, 2, len(frame))
    effect = compare_pilot(frame, SteppedWedge(**COLUMNS, measured_in="%"), draws=200)
    table = effect.findings.tables["counterfactual"]
    assert table[["counterfactual", "lower", "upper"]].min().min() >= 0
    for one in effect.findings.estimates:
        if one.unit != "ratio":
            assert one.bounds == (-100.0, 100.0)
