"""Goals counted in tables written by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_hospitals import small

import outcomekpi as ok

NAN = np.nan


def made(readings=(), events=(), months=12, **patients):
    """A population with the rows that are given; every patient has every condition."""
    base = ok.simulate_population(small(months=months), seed=1)
    ids = sorted({row[0] for row in readings} | {row[0] for row in events} | {1, 2, 3, 4})
    conditions = ["diabetes", "hypertension", "heart_failure"]
    table = base.patients.iloc[: len(ids)].assign(patient=ids, **dict.fromkeys(conditions, True))
    table = table.assign(doctor=["D01", "D02"] * (len(ids) // 2), **patients)
    columns = ["patient", "month", "hba1c", "sbp", "dbp"]
    frame = pd.DataFrame(list(readings), columns=columns).astype(
        {"hba1c": "float32", "sbp": "float32", "dbp": "float32"}
    )
    happened = pd.DataFrame(list(events), columns=["patient", "day", "kind"])
    return replace(base, patients=table, measurements=frame, encounters=happened)


def reached(population, indicator, **how):
    frame = ok.indicator_cases(population, indicator, **how).frame
    return dict(zip(frame["patient"], frame["reached"], strict=True))


GLUCOSE = [
    (1, 0, 8.0, NAN, NAN), (1, 9, 7.5, NAN, NAN), (1, 12, 6.9, NAN, NAN),
    (2, 0, 7.2, NAN, NAN), (2, 6, 6.5, NAN, NAN), (2, 9, 7.0, NAN, NAN),
    (3, 0, 6.0, NAN, NAN),
    (4, 0, 7.7, NAN, NAN), (4, 12, 6.9, NAN, NAN),
]  # fmt: skip


def test_the_last_reading_of_the_window_decides_and_the_target_is_strict():
    population = made(GLUCOSE)
    assert reached(population, ok.ReadingBelow()) == {1: 1, 2: 0, 3: 0, 4: 1}


def test_without_a_reading_a_patient_fails_or_does_not_count():
    population = made(GLUCOSE)
    found = reached(population, ok.ReadingBelow(), missing="exclude")
    assert found == {1: 1, 2: 0, 4: 1}


def test_a_shorter_window_forgets_earlier_readings():
    readings = [*GLUCOSE, (3, 12, 8.0, NAN, NAN)]
    found = reached(made(readings), ok.ReadingBelow(window=3), missing="exclude")
    assert found == {1: 1, 3: 0, 4: 1}


def test_a_fall_of_exactly_the_size_asked_counts():
    # 7.7 - 6.9 in single precision is a little less than .8
    population = made(GLUCOSE)
    assert np.float32(7.7) - np.float32(6.9) < 0.8
    assert reached(population, ok.ReadingBelow(drop=0.8))[4] == 1
    assert reached(population, ok.ReadingBelow(drop=0.81))[4] == 0
    assert reached(population, ok.ReadingBelow(drop=0.81))[1] == 1


def test_who_died_before_the_judgment_does_not_count_in_a_reading():
    died = [(1, 360.0, "death"), (2, 370.0, "death")]
    found = reached(made(GLUCOSE, died), ok.ReadingBelow())
    assert found == {2: 0, 3: 0, 4: 1}


def test_patients_without_the_condition_do_not_count():
    population = made(GLUCOSE, diabetes=[True, False, True, True])
    assert set(reached(population, ok.ReadingBelow())) == {1, 3, 4}


PRESSURES = [
    *[(1, m, NAN, 130.0, 80.0) for m in range(13)],
    *[(2, m, NAN, 130.0 if m != 8 else 140.0, 80.0) for m in range(13)],
    *[(3, m, NAN, 130.0, 80.0) for m in range(13) if m != 9],
    *[(4, m, NAN, 130.0, 90.0) for m in range(13)],
]


def test_both_pressures_must_be_below_strictly():
    assert reached(made(PRESSURES), ok.PressureControl()) == {1: 1, 2: 1, 3: 1, 4: 0}


def test_consecutive_months_need_a_controlled_reading_in_each():
    six = ok.PressureControl(consecutive=6)
    assert reached(made(PRESSURES), six) == {1: 1, 2: 0, 3: 0, 4: 0}
    assert reached(made(PRESSURES), six, missing="exclude") == {1: 1, 2: 0, 4: 0}
    assert reached(made(PRESSURES), ok.PressureControl(consecutive=3))[3] == 1


EVENTS = [
    (1, 100.0, "hf_admission"), (1, 200.0, "hf_admission"), (1, 300.0, "death"),
    (2, 200.0, "death"),
    (3, 365.3, "hf_admission"),
    (5, 10.0, "hf_admission"), (6, 400.0, "death"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("death", "found"),
    [
        ("fail", {1: 0, 2: 0, 3: 1, 4: 1, 5: 0, 6: 1}),
        ("exclude", {3: 1, 4: 1, 5: 0, 6: 1}),
        ("free", {1: 0, 2: 1, 3: 1, 4: 1, 5: 0, 6: 1}),
    ],
)
def test_a_death_competes_with_admission_as_declared(death, found):
    population = made(events=EVENTS, months=24)
    assert reached(population, ok.AdmissionFree(death=death), month=12) == found


def test_a_later_window_counts_those_who_live_when_it_opens():
    population = made(events=EVENTS, months=24)
    assert reached(population, ok.AdmissionFree(), month=24) == {3: 0, 4: 1, 5: 1, 6: 0}


@pytest.mark.parametrize("attribution", ["attending", "responsible", "team"])
def test_the_answerable_is_the_one_that_attribution_names(attribution):
    population = made(PRESSURES, responsible=["R1", "R2", "R2", "R2"], team=list("ABBB"))
    cases = ok.indicator_cases(population, ok.PressureControl(), attribution=attribution)
    wanted = {"attending": ["D01", "D02"], "responsible": ["R1", "R2"], "team": ["A", "B"]}
    assert cases.doctors.tolist() == wanted[attribution]
    assert cases.direction == "higher"


def test_the_cases_of_a_simulated_hospital_are_ready_to_be_fitted():
    population = ok.simulate_population(small(), seed=2)
    cases = ok.indicator_cases(population, ok.ReadingBelow())
    columns = ["patient", "doctor", "title", "age", "sex", "comorbidity", "ses", "baseline_hba1c"]
    assert set(columns) <= set(cases.frame)
    fit = ok.fit(cases, ok.ModelSpec(case_mix="age + sex + comorbidity + ses"), draws=100, seed=1)
    assert len(ok.standardize(fit).to_frame()) == len(cases.doctors)


def test_cases_of_several_hospitals_know_their_hospitals():
    doctors = ok.DoctorTraits(hospitals=3, doctors=12, patients_per_doctor=30.0)
    population = ok.simulate_population(small(doctors=doctors), seed=3)
    assert len(ok.indicator_cases(population, ok.PressureControl()).hospitals) == 3


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"month": 13}, "month must be a whole number from 1 to 12; got 13"),
        ({"month": 6}, "looks back 12 months from month 6: too far"),
        ({"missing": "drop"}, "missing must be one of 'fail', 'exclude'"),
        ({"attribution": "attendin"}, "Did you mean 'attending'"),
    ],
)
def test_a_wrong_question_is_refused(how, message):
    with pytest.raises(ok.SpecError, match=message):
        ok.indicator_cases(made(PRESSURES), ok.PressureControl(), **how)


def test_a_rule_that_is_none_is_refused():
    with pytest.raises(ok.SpecError, match="indicator must be ReadingBelow or"):
        ok.indicator_cases(made(PRESSURES), "hba1c")


def test_consecutive_months_need_monthly_readings():
    quarterly = small()
    quarterly = replace(quarterly, sbp=replace(quarterly.sbp, every_months=3))
    population = ok.simulate_population(quarterly, seed=4)
    with pytest.raises(ok.SpecError, match="one every 3 months"):
        ok.indicator_cases(population, ok.PressureControl(consecutive=6))


def test_nobody_who_counts_is_an_error_of_the_data():
    population = made(PRESSURES, diabetes=False)
    with pytest.raises(ok.CasesError, match="No patient counts in 'hba1c < 7"):
        ok.indicator_cases(population, ok.ReadingBelow())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ok.ReadingBelow(drop=-0.8), r"drop must be a number above 0, or None; got -0.8"),
        (lambda: ok.ReadingBelow(measure="a1c"), "measure must be one of"),
        (lambda: ok.ReadingBelow(window=0), "window must be a whole number of at least 1; got 0"),
        (lambda: ok.PressureControl(consecutive=0), "consecutive must be a whole number"),
        (lambda: ok.AdmissionFree(death="ignore"), "death must be one of 'fail'"),
    ],
)
def test_rules_check_themselves(make, message):
    with pytest.raises(ok.SpecError, match=message):
        make()
