"""999, -9 and an age of 300 beside ordinary values are named."""

import warnings

import numpy as np
import pandas as pd
import pytest

import outcomekpi as ok
from outcomekpi import FormulaError, OutcomeKPIWarning
from outcomekpi.tables.missing_codes import describe_code

RNG = np.random.default_rng(4)
AGES = RNG.integers(20, 95, 400)


def patients(**columns) -> pd.DataFrame:
    rows = {
        "doctor": [f"D{k % 8}" for k in range(400)],
        "died": RNG.integers(0, 2, 400),
        "age": AGES,
    }
    return pd.DataFrame(rows | columns)


def with_code(code, values=AGES, rows=(7, 30, 200)) -> np.ndarray:
    values = np.array(values, dtype=float)
    values[list(rows)] = code
    return values


def fit(frame, case_mix="age"):
    cases = ok.Cases.from_frame(frame, outcome="died", doctor="doctor", direction="lower")
    return ok.fit(cases, ok.ModelSpec(case_mix=case_mix), draws=200)


@pytest.mark.parametrize(("code", "reason"), [(999, "next"), (9999, "next"), (-9, "negative"),
                                              (-99, "negative"), (300, "that old")])  # fmt: skip
@pytest.mark.parametrize("formula", ["age", "bs(age, df=4)", "I(age / 10)"])
def test_a_code_among_ages_is_refused(code, reason, formula):
    with pytest.raises(FormulaError, match=f"holds {code} in 3 of 400 rows.*index 7") as caught:
        fit(patients(age=with_code(code)), formula)
    assert reason in str(caught.value)
    assert "I(1.0 * age)" in str(caught.value)


@pytest.mark.parametrize("formula", ["I(1.0 * age)", "bs(1.0 * age, df=4)"])
def test_a_measurement_that_looks_like_a_code_is_used_on_request(formula):
    assert np.isfinite(fit(patients(age=with_code(999)), formula).design.matrix).all()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("age", AGES),
        ("age", [*AGES, 99]),
        ("age_days", [3, 200, 340, 28, 999]),
        ("cost", [20, 900, 998, 999]),
        ("base_excess", [-9, -4, 0, 3, 8]),
        ("risk", [-0.3, 0.2, 1.1, np.nan]),
        ("count", [0, 1, 2, 9]),
        ("age", [200.0, 300.0, 150.0, 80.0]),
        ("village", [*AGES, 300]),
    ],
)
def test_ordinary_numbers_are_left_alone(name, values):
    values = np.asarray(values)
    if name == "age_days":
        values = values[:-1]
    assert describe_code(name, values, pd.RangeIndex(values.size)) is None


def test_a_code_in_a_measured_outcome_warns():
    frame = patients(days=with_code(999, RNG.integers(1, 40, 400)))
    with pytest.warns(OutcomeKPIWarning, match="'days' holds 999 in 3 of 400 rows"):
        ok.Cases.from_frame(frame, outcome="days", doctor="doctor")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ok.Cases.from_frame(patients(days=AGES), outcome="days", doctor="doctor")


def test_patients_before_and_after_are_read_alike():
    frame = patients(age=with_code(999), when=["before", "after"] * 200)
    design = ok.BeforeAfter(
        outcome="died", period="when", after="after", doctor="doctor", case_mix="age",
        direction="lower",
    )  # fmt: skip
    with pytest.raises(FormulaError, match="holds 999 in 3 of 400 rows"):
        ok.compare_pilot(frame, design)
