"""Encounters that cannot be read must not pay anybody."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_records import made_records

import outcomekpi as ok
from outcomekpi.appraisal.rate_pay import RatePayRule
from outcomekpi.declare.errors import CasesError, OutcomeKPIWarning, SpecError
from outcomekpi.indicators.drop_goals import DropGoal
from outcomekpi.indicators.event_goals import NoEventGoal
from outcomekpi.tables.faults import faults_of
from outcomekpi.tables.patient_records import PatientRecords

YEAR = NoEventGoal(kind="hf_admission")
RECORDS = made_records([{0: 7.0}, {0: 7.0}], months=24)


def with_days(*days):
    table = pd.DataFrame({"patient": [1, 2], "day": list(days), "kind": "hf_admission"})
    return replace(RECORDS, encounters=table)


def test_days_as_dates_are_refused_and_the_conversion_is_given():
    date = pd.Timestamp("2025-03-01")
    for days in ((date, date), (date.to_pydatetime(), 10.0), (date.date(), 10.0)):
        with pytest.raises(CasesError, match=r"days since the end of month 0.*2025-03-01.*\.dt\.d"):
            with_days(*days)
    with pytest.raises(CasesError, match=r"no dates or times\. 2 of 2 rows do not.*\.dt\.days"):
        with_days(pd.Timedelta(days=3), pd.Timedelta(days=4))


def test_a_day_that_is_missing_or_infinite_is_refused_with_count_and_patient():
    with pytest.raises(CasesError, match=r"in each row\. 1 of 2 rows does not.*of patient 2"):
        with_days(10.0, np.nan)
    with pytest.raises(CasesError, match=r"finite.*1 of 2 rows does not.*\(inf of patient 1\)"):
        with_days(np.inf, 10.0)


def test_a_day_as_text_is_refused_in_the_words_of_the_house():
    with pytest.raises(CasesError, match=r"1 of 2 rows does not.*\('day 12' of patient 2\)"):
        with_days(10.0, "day 12")


def test_days_in_any_numeric_column_are_days():
    for days in (pd.array([10, 500], dtype="Int64"), np.array([10, 500]), [10, np.float32(500)]):
        found = YEAR.judge(with_days(*days))["verdict"].tolist()
        assert found == ["not reached", "reached"]


def test_a_goal_on_events_refuses_records_without_encounters():
    for none in ({}, {"encounters": None}):
        records = PatientRecords(
            patients=RECORDS.patients, measurements=RECORDS.measurements, months=24, **none
        )
        assert "no encounters given" in repr(records)
        with pytest.raises(CasesError, match=r"no encounters were given.*an empty table"):
            YEAR.judge(records)
    empty = replace(RECORDS, encounters=pd.DataFrame(columns=["patient", "day", "kind"]))
    assert YEAR.judge(empty)["verdict"].tolist() == ["reached"] * 2


def happened(*kinds):
    table = pd.DataFrame({"patient": 1, "day": range(5, 5 + len(kinds)), "kind": list(kinds)})
    return replace(RECORDS, encounters=table)


def test_a_kind_of_event_that_is_spelled_otherwise_is_refused():
    with pytest.raises(CasesError, match="Did you mean 'hf_admission'"):
        replace(YEAR, kind="hf_admision").judge(happened("hf_admission", "death"))
    with pytest.raises(CasesError, match=r"1 of 2 rows .* 'HF_admission'"):
        YEAR.judge(happened("hf_admission", "HF_admission"))
    with pytest.raises(CasesError, match=r"1 of 2 rows .* 'Death', first of patient 1"):
        YEAR.judge(happened("hf_admission", "Death"))
    with pytest.raises(CasesError, match=r"name the kind in each row\. 1 of 1 rows does not"):
        happened(None)


def test_a_kind_of_event_that_never_happened_is_said_unless_there_are_only_deaths():
    with pytest.warns(OutcomeKPIWarning, match=r"no 'hf_admission' .* has fracture"):
        YEAR.judge(happened("fracture"))
    assert YEAR.judge(happened("death"))["verdict"].tolist() == ["not reached", "reached"]


@pytest.mark.parametrize(
    ("reading", "words"), [("7,1", "'7,1' of patient"), (np.inf, "finite numbers")]
)
def test_readings_that_are_no_numbers_are_refused(reading, words):
    odd = RECORDS.measurements.astype({"hba1c": object})
    odd.loc[0, "hba1c"] = reading
    records = replace(RECORDS, measurements=odd)
    with pytest.raises(CasesError, match=words):
        DropGoal(measure="hba1c", drop=0.8).judge(records)


def test_a_target_that_is_no_number_is_refused_at_once():
    with pytest.raises(SpecError, match=r"RatePayRule\.target .* nan"):
        RatePayRule(by="threshold", target=float("nan"), amount=1.0)


# --- windows are exact ---------------------------------------------------------------------------


@pytest.mark.parametrize("length", [*range(1, 366), 500])
def test_an_event_on_the_last_day_of_a_window_is_within_it(length):
    """Years x 365.25 fell short of the number for 28 of 365 lengths, 7, 14 and 28 among them."""
    events = [("a", length, "hf_admission"), ("b", length + 1, "hf_admission")]
    table = pd.DataFrame(events, columns=["patient", "day", "kind"])
    made = PatientRecords(
        patients=pd.DataFrame({"patient": ["a", "b"]}),
        measurements=pd.DataFrame({"patient": ["a"], "month": [0], "x": [1.0]}),
        months=24,
        encounters=table,
    )
    for window in ({"days": length}, {"years": length / 365.25}):
        verdict = NoEventGoal(kind="hf_admission", **window).judge(made)["verdict"]
        assert verdict.tolist() == ["not reached", "reached"]


def test_a_window_of_days_is_named_in_days():
    goal = NoEventGoal(kind="hf_admission", days=28)
    assert "within 28 days of month 0" in str(goal)


def records(**changes):
    tables = {
        "patients": pd.DataFrame({"patient": [1, 2, 3], "doctor": ["A", "B", "B"]}),
        "measurements": pd.DataFrame(
            {"patient": [1, 1, 2, 2, 3, 3], "month": [0, 12] * 3, "hba1c": [8.1, 6.9] * 3}
        ),
    }
    return PatientRecords(**{**tables, **changes}, months=12)


def test_all_faults_of_the_tables_are_told_at_once():
    with pytest.raises(CasesError, match="The table has 3 faults") as caught:
        records(
            patients=pd.DataFrame({"patient": [1, 2, 2]}),
            measurements=pd.DataFrame({"patient": [1, 7], "month": [0.5, 12], "hba1c": 7.0}),
        )
    found = faults_of(caught.value)
    assert [one.code for one in found] == ["repeated-patient", "unknown-patient", "wrong-value"]
    assert [one.first_row for one in found] == [2, 1, 0]


def test_nobody_is_paid_under_two_names_or_none():
    goal = DropGoal(measure="hba1c", drop=0.8, below=7)
    rule = ok.TierRule(name="HbA1c", goal=goal, payee="doctor")
    for doctors, words in ((["A", "B", "b"], "differ"), (["A", "B", "Unknown"], "somebody")):
        patients = pd.DataFrame({"patient": [1, 2, 3], "doctor": doctors})
        with pytest.raises(CasesError, match=words):
            ok.assess_tiers(records(patients=patients), [rule])


def test_a_code_among_readings_is_named():
    table = records().measurements.assign(weight=[92.0, 84.0, 88.0, 999.0, 79.0, 70.0])
    rule = ok.TierRule(name="weight", goal=DropGoal(measure="weight", drop=5.0), payee="doctor")
    with pytest.warns(OutcomeKPIWarning, match="Measure 'weight' holds 999 in 1 of 6 rows"):
        ok.assess_tiers(records(measurements=table), [rule])
