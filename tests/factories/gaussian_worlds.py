"""Gaussian models, and answers about them from dense covariance matrices, for the tests."""

from dataclasses import replace

import numpy as np
from scipy.stats import multivariate_normal

from outcomekpi.model.likelihood_model import Model
from outcomekpi.model.priors import Flat, HalfNormal, Normal, Priors

PRIORS = Priors(
    intercept=Normal(1.0, 2.5),
    coefficient=Normal(0.2, 0.8),
    sd_doctor=HalfNormal(1.0),
    sd_hospital=HalfNormal(0.7),
    sd_residual=HalfNormal(1.5),
)
FLAT = replace(PRIORS, intercept=Flat(), coefficient=Flat())


def simulate(
    counts,
    *,
    slopes=(0.4, -0.3),
    intercept=2.0,
    sigma=0.6,
    residual=1.0,
    omega=0.5,
    hospital=None,
    priors=PRIORS,
    seed=1,
):
    """A model of doctors with these numbers of cases; rows in random order."""
    rng = np.random.default_rng(seed)
    code = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    matrix = rng.normal(size=(code.size, len(slopes)))
    effect = rng.normal(0.0, sigma, len(counts))
    if hospital is not None:
        effect += rng.normal(0.0, omega, hospital.max() + 1)[hospital]
    outcome = intercept + matrix @ np.array(slopes) + effect[code]
    return Model(
        family="gaussian",
        outcome=outcome + rng.normal(0.0, residual, code.size),
        trials=None,
        exposure=None,
        matrix=np.asfortranarray(matrix),
        doctor_code=code,
        n_doctors=len(counts),
        hospital_code=hospital,
        n_hospitals=0 if hospital is None else int(hospital.max()) + 1,
        priors=priors,
        doctor_effects="normal",
    )


def columns(model):
    return np.column_stack((np.ones(model.outcome.size), model.matrix))


def covariance(model, sigma, omega, residual):
    """Covariance of the outcomes given the fixed effects, case by case."""
    doctor = model.doctor_code
    result = residual**2 * np.eye(doctor.size) + sigma**2 * np.equal.outer(doctor, doctor)
    if model.hospital_code is not None:
        hospital = model.hospital_code[doctor]
        result += omega**2 * np.equal.outer(hospital, hospital)
    return result


def prior_moments(model):
    n = model.matrix.shape[1]
    both = (model.priors.intercept, model.priors.coefficient)
    mean = [0.0 if isinstance(p, Flat) else p.mean for p in both]
    precision = [0.0 if isinstance(p, Flat) else p.sd**-2 for p in both]
    return np.repeat(mean, [1, n]), np.repeat(precision, [1, n])


def dense_posterior(model, sigma, omega, residual):
    """Fixed effects given the SDs, by generalized least squares: mean and covariance."""
    x, (mean, precision) = columns(model), prior_moments(model)
    inverse = np.linalg.inv(covariance(model, sigma, omega, residual))
    spread = np.linalg.inv(x.T @ inverse @ x + np.diag(precision))
    return spread @ (x.T @ inverse @ model.outcome + precision * mean), spread


def dense_log_likelihood(model, sigma, omega, residual):
    """Density of the outcomes; of the contrasts (REML) where the priors are flat."""
    x, (mean, precision) = columns(model), prior_moments(model)
    v = covariance(model, sigma, omega, residual)
    if precision[0] > 0:
        v = v + x @ np.diag(1 / precision) @ x.T
        return multivariate_normal(x @ mean, v).logpdf(model.outcome)
    fitted, spread = dense_posterior(model, sigma, omega, residual)
    rest = model.outcome - x @ fitted
    n, p = x.shape
    log_determinants = np.linalg.slogdet(v)[1] - np.linalg.slogdet(spread)[1]
    return -0.5 * ((n - p) * np.log(2 * np.pi) + log_determinants + rest @ np.linalg.solve(v, rest))


def brute_moments(model, nodes):
    """Posterior mean and SD of (SDs..., fixed effects) by a dense grid over the log SDs."""
    priors = model.priors
    records = [priors.sd_doctor, priors.sd_hospital, priors.sd_residual]
    used = [0, 1, 2] if model.hospital_code is not None else [0, 2]
    sds = np.exp(np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1).reshape(-1, len(nodes)))
    height = sum(records[k].log_density(sds[:, i]) + np.log(sds[:, i]) for i, k in enumerate(used))
    x, (mean, precision) = columns(model), prior_moments(model)
    parts = [covariance(model, *unit) for unit in np.eye(3)[used]]
    v = sum(sds[:, i, None, None] ** 2 * part for i, part in enumerate(parts))
    both = np.column_stack((x, model.outcome))
    forms = both.T @ np.linalg.solve(v, np.broadcast_to(both, (len(v), *both.shape)))
    spread = np.linalg.inv(forms[:, :-1, :-1] + np.diag(precision))
    side = forms[:, :-1, -1] + precision * mean
    fitted = np.einsum("gpq,gq->gp", spread, side)
    height -= 0.5 * (forms[:, -1, -1] - (side * fitted).sum(axis=1))
    height += 0.5 * (np.linalg.slogdet(spread)[1] - np.linalg.slogdet(v)[1])
    weight = np.exp(height - height.max())
    values = np.hstack((sds, fitted))
    squares = values**2
    squares[:, sds.shape[1] :] += np.diagonal(spread, axis1=1, axis2=2)
    average = np.average(values, weights=weight, axis=0)
    return average, np.sqrt(np.average(squares, weights=weight, axis=0) - average**2)
