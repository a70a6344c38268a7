"""Fractions that were declared as percent are refused, wherever a pilot is read."""

import numpy as np
import pandas as pd
import pytest
from made_panels import made_panel

from outcomekpi.declare.errors import CasesError
from outcomekpi.pilots.data.percent_check import check_percentages, is_percent
from outcomekpi.pilots.designs.did import DifferenceInDifferences
from outcomekpi.pilots.designs.stepped_wedge import SteppedWedge
from outcomekpi.pilots.designs.synthetic import SyntheticControl
from outcomekpi.pilots.estimators.published import PublishedFigures
from outcomekpi.pilots.ladder.comparison import compare_pilot

PANEL = {"outcome": "rate", "unit": "ward", "time": "year", "start": "start"}


def stairs():
    cells = pd.MultiIndex.from_product([range(6), range(5)], names=["ward", "year"])
    frame = cells.to_frame(index=False)
    frame["start"] = frame["ward"] % 3 + 1
    frame["rate"] = 0.4 + 0.01 * np.cos(frame.index.to_numpy() ** 2)
    return frame


@pytest.mark.parametrize(
    ("frame", "design"),
    [
        (made_panel(), DifferenceInDifferences(**PANEL, outcome_unit="%")),
        (made_panel(), SyntheticControl(**PANEL, outcome_unit=" Percent")),
        (stairs().assign(rate=lambda f: 100 * f["rate"]), SteppedWedge(**PANEL, measured_in="%")),
    ],
    ids=["did", "synthetic", "wedge"],
)
def test_fractions_declared_as_percent_are_refused(frame, design):
    compare_pilot(frame, design, draws=200)
    with pytest.raises(CasesError, match=r"no value is above 1: the largest is 0\.\d+"):
        compare_pilot(frame.assign(rate=frame["rate"] / 100), design)
    with pytest.raises(CasesError, match="percentages from 0 to 100"):
        compare_pilot(frame.assign(rate=frame["rate"] + 200), design)


def test_patients_with_0_and_1_may_be_said_to_be_in_percent():
    rng = np.random.default_rng(2)
    rows = made_panel(n_times=2, start=2).loc[lambda f: f.index.repeat(20)]
    rows = rows.reset_index(drop=True).assign(rate=lambda f: rng.binomial(1, 0.4, len(f)))
    found = [
        compare_pilot(
            rows,
            DifferenceInDifferences(**PANEL, rows="patients", estimator="2x2", outcome_unit=unit),
        ).main
        for unit in ("%", None)
    ]
    assert found[0].value == found[1].value
    assert found[0].unit == "percentage points"


def test_nothing_but_zeros_is_no_fraction():
    check_percentages(np.array([0.0, np.nan, 0.0]), index=pd.RangeIndex(3), column="y")
    assert is_percent("%") and is_percent("百分比") and not is_percent(None)


@pytest.mark.parametrize(
    "given",
    [
        {"before": 43, "after": 0.68},
        {"before": 0.43, "after": 68},
        {"before": 0.43, "after": 0.68},
        {"before": 0.43, "change": 25, "reading": "points"},
        {"before": 43, "change": 0.25, "reading": "points"},
        {"change": -0.34, "reading": "relative"},
    ],
)
def test_fractions_among_published_percentages_are_refused(given):
    with pytest.raises(CasesError, match=r"can be a fraction: -?\d+ % or -?0\.\d+ %"):
        PublishedFigures(unit="percent", **given)


@pytest.mark.parametrize(
    "given", [{"before": 2.4, "after": 0.9}, {"before": 1, "after": 2}, {"before": 0, "after": 3}]
)
def test_small_percentages_beside_small_ones_stay(given):
    assert PublishedFigures(unit="percent", **given).face_values() == pytest.approx(
        [given["before"] / 100, given["after"] / 100]
    )
