"""What the cases cannot say is refused before an engine runs, or named where it gave up."""

import numpy as np
import pandas as pd
import pytest

import outcomekpi as ok
from outcomekpi import CasesError, EngineError


def patients(doctors: int, each: int, **columns) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    n = doctors * each
    rows = {"doctor": [f"D{k % doctors}" for k in range(n)], "died": rng.random(n) < 0.15}
    return pd.DataFrame(rows | columns)


def fit(frame: pd.DataFrame, outcome="died", **spec) -> ok.Fit:
    cases = ok.Cases.from_frame(frame, outcome=outcome, doctor="doctor", direction="lower")
    return ok.fit(cases, ok.ModelSpec(**spec), draws=200)


@pytest.mark.parametrize("outcome", ["died", "days"])
def test_one_case_for_each_doctor_says_nothing_about_doctors(outcome):
    frame = patients(2366, 1, days=np.random.default_rng(2).normal(9, 3, 2366))
    family = "bernoulli" if outcome == "died" else "gaussian"
    with pytest.raises(CasesError, match=r"another doctor in each of 2,366 rows") as caught:
        fit(frame, outcome, family=family)
    assert "identifier of patients" in str(caught.value)


def test_two_cases_each_and_small_tables_are_fitted():
    assert fit(patients(100, 2)).engine == "quadrature"
    assert fit(patients(19, 1)).engine == "quadrature"


def test_counts_of_one_row_for_each_doctor_are_fitted():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"doctor": [f"D{k}" for k in range(40)], "n": 50})
    frame["died"] = rng.binomial(50, 0.2, 40)
    cases = ok.Cases.from_frame(frame, outcome="died", doctor="doctor", trials="n")
    assert ok.fit(cases, ok.ModelSpec(), draws=200).model.family == "binomial"


def test_a_failure_names_too_many_categories():
    frame = patients(20, 20, ward=[f"w{k % 70}" for k in range(400)])
    with pytest.raises(EngineError) as caught:
        fit(frame, case_mix="ward")
    message = str(caught.value)
    events = int(frame["died"].sum())
    assert message.startswith(f"The case mix makes 69 terms for {events} events")
    assert "'ward' alone makes 69: group its categories" in message
    assert "Pareto k" in message
