"""The doors of pilots tell every fault of a table at once, and know a row of sums."""

import numpy as np
import pandas as pd
import pytest

import outcomekpi as ok
from outcomekpi import CasesError
from outcomekpi.tables.faults import faults_of


def panel(**columns) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    rows = [(f"W{unit}", time) for unit in range(8) for time in range(1, 7)]
    frame = pd.DataFrame(rows, columns=["ward", "month"])
    frame["start"] = np.where(frame["ward"].isin(["W0", "W1", "W2"]), 4.0, np.nan)
    frame["n"] = rng.integers(30, 60, len(frame))
    frame["died"] = rng.binomial(frame["n"], 0.2)
    return frame.assign(**columns)


DID = ok.DifferenceInDifferences(
    outcome="died", trials="n", unit="ward", time="month", start="start", direction="lower"
)
SERIES = ok.InterruptedSeries(
    outcome="died", trials="n", time="month", start=13, family="binomial", direction="lower"
)
PATIENTS = ok.BeforeAfter(
    outcome="died", period="when", after="after", doctor="doctor", direction="lower"
)
WEDGE = ok.SteppedWedge(
    outcome="died", trials="n", unit="ward", time="month", start="start", family="binomial",
    direction="lower",
)  # fmt: skip


def series() -> pd.DataFrame:
    return pd.DataFrame({"month": range(1, 25), "n": 100, "died": np.arange(24) % 7 + 5})


def patients() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "died": [0, 1, 0, 0] * 50,
            "when": ["before", "after"] * 100,
            "doctor": [f"D{k % 5}" for k in range(200)],
        }
    )


@pytest.mark.parametrize(
    ("table", "design", "spoil", "columns"),
    [
        (panel(), DID, {"ward": None, "n": 0, "died": "many"}, {"ward", "n", "died"}),
        (panel(), WEDGE, {"ward": "Unknown", "n": 0}, {"ward", "n"}),
        (series(), SERIES, {"n": "a lot", "died": "few"}, {"n", "died"}),
        (patients(), PATIENTS, {"died": "x", "doctor": "缺失"}, {"died", "doctor"}),
    ],
)
def test_all_faults_are_told_at_once(table, design, spoil, columns):
    table = table.astype(object)
    for column, value in spoil.items():
        table.loc[5, column] = value
    with pytest.raises(CasesError, match=f"The table has {len(columns)} faults") as caught:
        ok.compare_pilot(table, design)
    records = faults_of(caught.value)
    assert {record.column for record in records} == columns
    assert all(record.first_row == 5 for record in records)


def with_total(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    total = frame.groupby("month", as_index=False)[["n", "died"]].sum()
    return pd.concat([frame, total.assign(ward=name, start=np.nan)], ignore_index=True)


@pytest.mark.parametrize("design", [DID, WEDGE])
@pytest.mark.parametrize("name", ["合计", "Hospital"])
def test_a_unit_of_sums_is_refused(design, name):
    frame = panel()
    if design is WEDGE:
        frame["start"] = frame["ward"].str[1].astype(int) // 2 + 2.0
    with pytest.raises(CasesError, match="sums of"):
        ok.compare_pilot(with_total(frame, name), design)


def test_the_value_with_the_program_is_found_in_any_case_and_width():
    table = patients()
    straight = ok.compare_pilot(table, PATIENTS).findings.estimates[0].value
    words = table.assign(when=table["when"].map({"before": "Before", "after": "Ａfter "}))
    assert ok.compare_pilot(words, PATIENTS).findings.estimates[0].value == straight
    twice = table.assign(when=[["before", "after", "After", "before"][k % 4] for k in range(200)])
    with pytest.raises(CasesError, match="only in case, width"):
        ok.compare_pilot(twice, PATIENTS)


def test_several_values_beside_the_event_have_to_be_written_as_0_and_1():
    table = patients().assign(died=["alive", "dead", "moved", "alive"] * 50)
    design = ok.BeforeAfter(
        outcome="died", event="dead", period="when", after="after", doctor="doctor",
        direction="lower",
    )  # fmt: skip
    with pytest.raises(CasesError, match=r"'alive' 100, 'moved' 50 \(rows\)\. Write 1 for"):
        ok.compare_pilot(table, design)
