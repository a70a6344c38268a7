"""The named benchmark is the one used: E adds up to O, rates average the overall rate."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from handmade import make_fit
from scipy.special import expit

import outcomekpi as ok
from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.draws.nodes import normal_nodes
from outcomekpi.profiling.doctor_population import mean_chance

N_DOCTORS, N_CASES = 200, 12_000


def uneven_cases(family, *, sd=0.5, seed=7, quality_of_volume=-0.3, sickest_to_best=-0.4):
    """Cases of 200 doctors with very unequal caseloads.

    Who has more cases is better, and the sickest patients go to the better doctors: what would
    pull the sum over a population of N(0, sd) away from the sum of what happened.
    """
    rng = np.random.default_rng(seed)
    share = np.exp(rng.normal(size=N_DOCTORS))
    code = rng.choice(N_DOCTORS, size=N_CASES - N_DOCTORS, p=share / share.sum())
    code = np.r_[np.arange(N_DOCTORS), code]
    z = rng.normal(size=N_DOCTORS)
    u = sd * (z + quality_of_volume * np.log(share))
    x = 0.7 * (sickest_to_best * z + rng.normal(size=N_DOCTORS))[code] + rng.normal(size=N_CASES)
    eta = -1.7 + 0.6 * x + u[code]
    frame = pd.DataFrame({"doctor": code.astype(str), "x": x})
    roles = {"outcome": "y", "doctor": "doctor", "direction": "lower"}
    if family == "bernoulli":
        frame["y"] = (rng.random(N_CASES) < expit(eta)).astype(int)
    elif family == "gaussian":
        frame["y"] = 10.0 + eta + rng.normal(size=N_CASES)
    else:
        frame["time"] = rng.uniform(0.5, 2.0, N_CASES)
        frame["y"] = rng.poisson(frame["time"] * np.exp(eta))
        roles["exposure"] = "time"
    return ok.Cases.from_frame(frame, **roles)


@pytest.fixture(scope="module")
def uneven_fits():
    fits = {}

    def get(family):
        if family not in fits:
            spec = ok.ModelSpec(case_mix="x", family=family)
            fits[family] = ok.fit(uneven_cases(family), spec, draws=400, seed=1)
        return fits[family]

    return get


@pytest.mark.parametrize("family", ["bernoulli", "poisson", "gaussian"])
def test_expected_events_add_up_to_the_observed_ones(family, uneven_fits):
    rates = ok.standardize(uneven_fits(family))
    totals = rates.totals()
    observed = totals.loc["observed", "mean"]
    for name in ("expected", "predicted"):
        assert totals.loc[name, "mean"] == pytest.approx(observed, rel=0.01)
        assert totals.loc[name, "lower"] < observed < totals.loc[name, "upper"]
    assert observed == rates.observed.sum()
    np.testing.assert_allclose(
        flatten_draws(rates.expected).sum(axis=0),
        flatten_draws(rates.predicted).sum(axis=0),
        rtol=1e-6,
    )


def test_the_median_doctor_would_have_had_fewer_events():
    frame, _ = ok.datasets.simulate_cases(
        n_cases=8000, n_doctors=200, n_covariates=2, sd_doctor=0.8, rate=0.1, seed=1
    )
    cases = ok.Cases.from_frame(frame, outcome="outcome", doctor="doctor", direction="lower")
    fit = ok.fit(cases, ok.ModelSpec(case_mix="x1 + x2"), draws=400)
    totals = ok.standardize(fit, average_doctor="median").totals()["mean"]
    assert totals["expected"] < 0.9 * totals["observed"]
    assert totals["predicted"] == pytest.approx(totals["observed"], rel=0.01)


@pytest.mark.parametrize("family", ["bernoulli", "poisson"])
def test_student_t_effects_have_a_population_of_doctors_too(family):
    fit = make_fit(family)
    heavy = replace(fit, model=replace(fit.model, doctor_effects="student_t"))
    np.testing.assert_array_equal(ok.standardize(heavy).expected, ok.standardize(fit).expected)


@pytest.mark.parametrize("family", ["bernoulli", "poisson"])
def test_standardized_rates_average_the_overall_rate(family, uneven_fits):
    rates = ok.standardize(uneven_fits(family))
    draws, expected = flatten_draws(rates.draws), flatten_draws(rates.expected)
    averaged = (draws * expected).sum(axis=0) / expected.sum(axis=0)
    np.testing.assert_allclose(averaged, rates.reference_rate, rtol=1e-6)


def test_gaussian_rates_average_the_overall_mean_by_cases(uneven_fits):
    rates = ok.standardize(uneven_fits("gaussian"))
    averaged = np.average(flatten_draws(rates.draws), weights=rates.cases, axis=0)
    np.testing.assert_allclose(averaged, rates.reference_rate, rtol=1e-6)


@pytest.mark.parametrize("sd", [0.3, 0.8])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sums_agree_in_simulated_sets(sd, seed):
    frame, _ = ok.datasets.simulate_cases(
        n_cases=8000, n_doctors=200, n_covariates=2, sd_doctor=sd, rate=0.1, seed=seed
    )
    cases = ok.Cases.from_frame(frame, outcome="outcome", doctor="doctor", direction="lower")
    rates = ok.standardize(ok.fit(cases, ok.ModelSpec(case_mix="x1 + x2"), draws=400))
    totals = rates.totals()["mean"]
    assert totals["expected"] == pytest.approx(totals["observed"], rel=0.01)
    by_cases = np.average(rates.to_frame()["mean"], weights=rates.cases)
    assert by_cases == pytest.approx(rates.reference_rate, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("hospital", ["within", "population"])
def test_sums_agree_with_nested_hospitals(hospital):
    frame, _ = ok.datasets.simulate_cases(
        n_cases=8000,
        n_doctors=200,
        n_hospitals=25,
        n_covariates=2,
        sd_doctor=0.4,
        sd_hospital=0.4,
        rate=0.15,
        seed=5,
    )
    roles = {"outcome": "outcome", "doctor": "doctor", "hospital": "hospital"}
    cases = ok.Cases.from_frame(frame, **roles, direction="lower")
    fit = ok.fit(cases, ok.ModelSpec(case_mix="x1 + x2"), draws=400)
    totals = ok.standardize(fit, hospital=hospital).totals()
    observed = totals.loc["observed", "mean"]
    assert totals.loc["expected", "mean"] == pytest.approx(observed, rel=0.01)
    assert totals.loc["expected", "lower"] < observed < totals.loc["expected", "upper"]


def test_expected_events_are_right_for_the_low_and_for_the_high_risks():
    # averaged over doctors, what happened to patients of like risk; an average effect alone
    # would expect too few events among low risks and too many among high ones
    rng = np.random.default_rng(11)
    code = np.repeat(np.arange(400), 50)
    low = np.arange(400)[code] % 2 == 0
    u = rng.normal(0, 0.8, 400)
    u[::2] -= u[::2].mean()
    u[1::2] -= u[1::2].mean()
    eta = np.where(low, -3.0, 0.5)
    frame = pd.DataFrame({"doctor": code, "low": low.astype(int)})
    frame["y"] = (rng.random(code.size) < expit(eta + u[code])).astype(int)
    cases = ok.Cases.from_frame(frame, outcome="y", doctor="doctor", direction="lower")
    table = ok.standardize(ok.fit(cases, ok.ModelSpec(case_mix="low"), draws=400)).to_frame()
    predicted, expected = (table[name].to_numpy() for name in ("predicted", "expected"))
    for half in (slice(0, None, 2), slice(1, None, 2)):
        assert predicted[half].sum() == pytest.approx(expected[half].sum(), rel=0.05)


@pytest.mark.parametrize("spread", [0.0, 0.2, 0.5, 0.8, 1.1, 1.5])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_mean_of_a_logistic_curve(spread, dtype):
    eta = np.linspace(-8, 39, 95)
    nodes, weights = normal_nodes(101)
    truth = expit(eta[:, None] + spread * nodes) @ weights
    ours = mean_chance(np.exp(eta)[:, None].astype(dtype), np.array([spread]))[:, 0]
    assert ours.dtype == dtype
    np.testing.assert_allclose(ours, truth, rtol=1e-6)
