"""Doctors within hospitals: integrals and draws against brute force."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import cumulative_simpson, simpson
from scipy.special import logsumexp, ndtr
from worlds import curve, gamma_counts, log_likelihood_of_rows, make_model

from outcomekpi.engine.engine import build_target, sample_quadrature
from outcomekpi.engine.evaluation import anchor_effects
from outcomekpi.engine.mode import find_mode
from outcomekpi.engine.nested_engine import _base, _nest
from outcomekpi.engine.nested_mode import (
    find_conditional_mode,
    nested_log_posterior,
)
from outcomekpi.engine.scores import shuffled_midpoints

DRAWS, SEED = 1000, 5


def nested(family="bernoulli", *, n=600, doctors=18, hospitals=4, sigma=0.5, omega=0.6, seed=1):
    rng = np.random.default_rng(seed)
    counts = gamma_counts(n, doctors, seed=seed)
    code = rng.permutation(np.repeat(np.arange(doctors), counts))
    hospital = rng.permutation(np.arange(doctors) % hospitals)
    effect = rng.normal(0, sigma, doctors) + rng.normal(0, omega, hospitals)[hospital]
    matrix = rng.normal(size=(n, 2))
    eta = -1.2 + matrix @ np.array([0.4, -0.3]) + effect[code]
    exposure = rng.gamma(4.0, 0.5, n) if family == "poisson" else None
    if exposure is None:
        outcome = rng.binomial(1, 1 / (1 + np.exp(-eta)))
    else:
        outcome = rng.poisson(exposure * np.exp(eta))
    model = make_model(family, code, matrix, outcome, exposure=exposure)
    return replace(model, hospital_code=hospital, n_hospitals=hospitals)


def log_normal(x, sd):
    return -0.5 * (x / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi)


def hospital_density(model, theta, hospital):
    """Hospital effects, and log of the doctors' integrals times the hospital's prior there."""
    beta, sigma, omega = theta[:-2], np.exp(theta[-2]), np.exp(theta[-1])
    v = np.linspace(-8 * omega, 8 * omega, 1201)
    total = log_normal(v, omega)
    for doctor in np.flatnonzero(model.hospital_code == hospital):
        u = np.linspace(-8 * sigma, 8 * sigma, 401)
        a = np.linspace(v[0] + u[0], v[-1] + u[-1], 4001)
        heights = np.interp(v[:, None] + u, a, curve(model, beta, doctor, a))
        total += logsumexp(heights + log_normal(u, sigma), axis=1) + np.log(u[1] - u[0])
    return v, total


def brute_log_posterior(model, theta):
    total = 0.0
    for hospital in range(model.n_hospitals):
        v, height = hospital_density(model, theta, hospital)
        total += height.max() + np.log(simpson(np.exp(height - height.max()), x=v))
    beta, priors = theta[:-2], model.priors
    total -= 0.5 * ((beta[0] - priors.intercept.mean) / priors.intercept.sd) ** 2
    total -= 0.5 * (((beta[1:] - priors.coefficient.mean) / priors.coefficient.sd) ** 2).sum()
    sds = np.exp(theta[-2:])
    total += float(priors.sd_doctor.log_density(sds[0]) + priors.sd_hospital.log_density(sds[1]))
    return total + theta[-2:].sum()


def prepared(model):
    flat = build_target(model)
    start = np.append(np.zeros(flat.kernel.rows.n_columns), np.log(0.3))
    start[0] = -1.0
    mode = find_mode(flat, start, start=np.zeros(model.n_doctors))
    anchor = anchor_effects(flat, mode)
    return _nest(model, flat, mode), _base(flat, mode, anchor), mode


@pytest.mark.slow
@pytest.mark.parametrize("family", ["bernoulli", "poisson"])
def test_the_log_posterior_is_that_of_brute_force(family):
    model = nested(family)
    target, base, mode = prepared(model)
    sds = [(0.5, 0.6), (0.1, 0.9), (1.2, 0.1), (0.05, 0.05), (0.4, 2.0)]
    thetas = np.array([[*(mode.beta + 0.1), *np.log(pair)] for pair in sds])
    found = nested_log_posterior(target, base, thetas)
    wanted = np.array([brute_log_posterior(model, theta) for theta in thetas])
    # the engine accepts quadrature errors of .02; linear interpolation of the brute force: 1e-3
    np.testing.assert_allclose(found, wanted, rtol=0, atol=5e-3)


def test_the_conditional_mode_is_where_the_log_posterior_is_highest():
    model = nested()
    target, base, mode = prepared(model)
    found = find_conditional_mode(target, base, np.array([*mode.beta, *np.log([0.5, 0.6])]))
    sd = np.sqrt(np.diag(np.linalg.inv(found.information)))
    moves = np.zeros((6, found.theta.size))
    for column in range(3):
        moves[2 * column, column], moves[2 * column + 1, column] = (
            0.3 * sd[column],
            -0.3 * sd[column],
        )
    around = nested_log_posterior(target, base, found.theta + moves)
    top = nested_log_posterior(target, base, found.theta[None])[0]
    # a move of .3 posterior SDs costs .045, less or more where the mode is off by .05 SDs
    np.testing.assert_allclose(top - around, 0.045, atol=0.02)


@pytest.mark.slow
def test_hospital_and_doctor_draws_are_quantiles_of_their_conditionals():
    model = nested()
    samples = sample_quadrature(model, draws=DRAWS, seed=SEED)
    some = np.random.default_rng(2).choice(DRAWS, 25, replace=False)
    hospital_errors, doctor_errors = [], []
    for draw in some:
        theta = np.array(
            [
                samples.intercept[draw],
                *samples.coefficient[draw],
                np.log(samples.sd_doctor[draw]),
                np.log(samples.sd_hospital[draw]),
            ]
        )
        for hospital in range(model.n_hospitals):
            v, height = hospital_density(model, theta, hospital)
            z = shuffled_midpoints(DRAWS, "hospital", hospital, SEED)[draw]
            wanted, sd = quantile(v, height, ndtr(z))
            hospital_errors.append((samples.hospital_effect[hospital, draw] - wanted) / sd)
        for doctor in (0, 5, 11):
            v = samples.hospital_effect[model.hospital_code[doctor], draw]
            sigma = samples.sd_doctor[draw]
            u = np.linspace(-8 * sigma, 8 * sigma, 2001)
            height = curve(model, theta[:-2], doctor, v + u) + log_normal(u, sigma)
            z = shuffled_midpoints(DRAWS, "doctor", doctor, SEED)[draw]
            wanted, sd = quantile(u, height, ndtr(z))
            doctor_errors.append((samples.doctor_effect[doctor, draw] - wanted) / sd)
    # the bar of the engine's draws: root mean square error below .03 posterior SDs
    assert np.sqrt(np.mean(np.square(doctor_errors))) < 0.03
    assert np.sqrt(np.mean(np.square(hospital_errors))) < 0.03


def quantile(x, height, probability):
    density = np.exp(height - height.max())
    below = cumulative_simpson(density, x=x, initial=0.0)
    mean = np.average(x, weights=density)
    sd = np.sqrt(np.average((x - mean) ** 2, weights=density))
    keep = np.concatenate(([True], np.diff(below) > 1e-14))
    return np.interp(probability * below[-1], below[keep], x[keep]), sd


def test_a_doctor_alone_in_his_hospital_trades_his_effect_against_the_hospitals():
    model = nested(doctors=12, hospitals=6)
    hospital = np.array([0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5])
    samples = sample_quadrature(replace(model, hospital_code=hospital), draws=DRAWS, seed=SEED)
    apart = np.corrcoef(samples.doctor_effect[0], samples.hospital_effect[0])[0, 1]
    assert apart < -0.1


@pytest.mark.slow
@pytest.mark.parametrize("hospitals", [1, 2, 18])
def test_any_number_of_hospitals_gives_finite_draws(hospitals):
    samples = sample_quadrature(nested(hospitals=hospitals), draws=400, seed=SEED)
    assert samples.hospital_effect.shape == (hospitals, 400)
    for values in (samples.hospital_effect, samples.doctor_effect, samples.sd_hospital):
        assert np.isfinite(values).all()
    assert samples.diagnostics["efficiency"] > 0.5


@pytest.mark.slow
def test_the_posterior_fits_the_data_as_well_as_the_truth_does():
    model = nested(n=2000, doctors=40, hospitals=8)
    samples = sample_quadrature(model, draws=400, seed=SEED)
    eta = samples.intercept[:, None] + samples.coefficient @ model.matrix.T
    effects = samples.doctor_effect + samples.hospital_effect[model.hospital_code]
    eta += effects.T[:, model.doctor_code]
    fitted = log_likelihood_of_rows(model, eta).sum(axis=1).mean()
    null = log_likelihood_of_rows(model, np.full(2000, -1.2)).sum()
    assert fitted > null + 20
