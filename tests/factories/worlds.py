"""Simulated models, and answers by brute force, for the tests of the fast engine.

Nothing here uses the engine's kernels: likelihoods are written out row by row.
"""

import numpy as np
from scipy.special import expit

from outcomekpi.model.likelihood_model import Model
from outcomekpi.model.priors import HalfNormal, Normal, Priors

PRIORS = Priors(
    intercept=Normal(-1.0, 2.5), coefficient=Normal(0.0, 1.0), sd_doctor=HalfNormal(1.0)
)


def make_model(
    family,
    code,
    matrix,
    outcome,
    *,
    trials=None,
    exposure=None,
    priors=PRIORS,
    n_doctors=None,
):
    code = np.asarray(code, dtype=np.intp)
    return Model(
        family=family,
        outcome=np.asarray(outcome, dtype=float),
        trials=trials,
        exposure=exposure,
        matrix=np.asfortranarray(matrix, dtype=float),
        doctor_code=code,
        n_doctors=int(code.max()) + 1 if n_doctors is None else n_doctors,
        hospital_code=None,
        n_hospitals=0,
        priors=priors,
        doctor_effects="normal",
    )


def simulate(
    family="bernoulli",
    *,
    counts,
    slopes=(0.4, -0.3),
    intercept=-1.5,
    sigma=0.4,
    seed=1,
    priors=PRIORS,
    rate=None,
):
    """A model of doctors with these row counts; rows in random order."""
    rng = np.random.default_rng(seed)
    code = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    matrix = rng.normal(size=(code.size, len(slopes)))
    eta = intercept + matrix @ np.array(slopes) + rng.normal(0.0, sigma, len(counts))[code]
    trials = rng.integers(1, 9, code.size).astype(float) if family == "binomial" else None
    exposure = rng.gamma(4.0, 0.5, code.size) if family == "poisson" else None
    if family == "poisson":
        outcome = rng.poisson(exposure * np.exp(eta))
    else:
        size = 1 if trials is None else trials.astype(int)
        outcome = rng.binomial(size, expit(eta))
    return make_model(
        family, code, matrix, outcome, trials=trials, exposure=exposure, priors=priors
    )


def gamma_counts(n_rows, n_doctors, *, seed=1):
    """Caseloads of very different size that add up to n_rows, at least 1 each."""
    rng = np.random.default_rng(seed)
    weights = rng.gamma(2.0, 1.0, n_doctors)
    return 1 + rng.multinomial(n_rows - n_doctors, weights / weights.sum())


def log_likelihood_of_rows(model, eta, rows=slice(None)):
    """y eta - b(eta) of each row, (..., row)."""
    y = model.outcome[rows]
    if model.family == "poisson":
        size = 1.0 if model.exposure is None else model.exposure[rows]
        return y * eta - size * np.exp(eta)
    size = 1.0 if model.trials is None else model.trials[rows]
    return y * eta - size * np.logaddexp(0.0, eta)


def curve(model, beta, doctor, u):
    """Log likelihood of one doctor's cases at effects u (node,)."""
    rows = np.flatnonzero(model.doctor_code == doctor)
    eta = beta[0] + model.matrix[rows] @ beta[1:]
    return log_likelihood_of_rows(model, eta + np.asarray(u)[..., None], rows).sum(axis=-1)


def dense_grid(model, beta, sigma, doctor, *, n_nodes=801):
    """Nodes, and log of exp(C(u)) N(u; 0, sigma²), where it is within 60 of its top."""
    wide = np.linspace(-14 * sigma, 14 * sigma, 2001)
    height = curve(model, beta, doctor, wide) - 0.5 * (wide / sigma) ** 2
    near = wide[height > height.max() - 60.0]
    nodes = np.linspace(near[0], near[-1], n_nodes)
    log_normal = -0.5 * (nodes / sigma) ** 2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)
    return nodes, curve(model, beta, doctor, nodes) + log_normal


def log_marginal(model, beta, sigma, doctor):
    """Log of the integral over one doctor's effect, by Simpson's rule on a dense grid."""
    from scipy.integrate import simpson

    nodes, height = dense_grid(model, beta, sigma, doctor)
    return height.max() + np.log(simpson(np.exp(height - height.max()), x=nodes))


def brute_log_posterior(model, theta):
    """Log posterior of (beta, log sigma), all constants of the priors of beta left out."""
    beta, sigma = theta[:-1], np.exp(theta[-1])
    total = sum(log_marginal(model, beta, sigma, j) for j in range(model.n_doctors))
    intercept, slope = model.priors.intercept, model.priors.coefficient
    total -= 0.5 * ((beta[0] - intercept.mean) / intercept.sd) ** 2
    total -= 0.5 * (((beta[1:] - slope.mean) / slope.sd) ** 2).sum()
    return total + float(model.priors.sd_doctor.log_density(sigma)) + theta[-1]


def conditional_quantiles(model, beta, sigma, doctor, probabilities):
    """Quantiles and SD of one doctor's effect given beta and sigma, patient by patient."""
    from scipy.integrate import cumulative_simpson

    nodes, height = dense_grid(model, beta, sigma, doctor, n_nodes=1501)
    density = np.exp(height - height.max())
    below = cumulative_simpson(density, x=nodes, initial=0.0)
    below /= below[-1]
    mean = np.average(nodes, weights=density)
    sd = np.sqrt(np.average((nodes - mean) ** 2, weights=density))
    keep = np.concatenate(([True], np.diff(below) > 0))
    return np.interp(probabilities, below[keep], nodes[keep]), sd


SURGICAL_CASES = np.array([47, 148, 119, 810, 211, 196, 148, 215, 207, 97, 256, 360])
SURGICAL_DEATHS = np.array([0, 18, 8, 46, 8, 13, 9, 31, 14, 8, 29, 24])


def surgical(priors):
    """Twelve hospitals of the BUGS example, one binomial row each."""
    return make_model(
        "binomial",
        np.arange(12),
        np.empty((12, 0)),
        SURGICAL_DEATHS,
        trials=SURGICAL_CASES.astype(float),
        priors=priors,
    )


def hard_case(name):
    """The hard cases of the study that the engine was designed by."""
    four = (0.4, -0.3, 0.2, 0.1)
    counts = np.random.default_rng(5).integers(1, 6, 400)
    return {
        "surgical": lambda: surgical(PRIORS),
        "3 doctors of 300": lambda: simulate(counts=[300] * 3, slopes=four, seed=2),
        "5 doctors of 200": lambda: simulate(counts=[200] * 5, slopes=four, seed=3),
        "8 doctors, sd 0": lambda: simulate(counts=[150] * 8, slopes=four, sigma=0.0, seed=4),
        "50 doctors, sd .02": lambda: simulate(
            counts=gamma_counts(5000, 50), slopes=four, sigma=0.02, seed=5
        ),
        "1 % events": lambda: simulate(
            counts=gamma_counts(20000, 200), slopes=four, intercept=-4.9, seed=6
        ),
        "18 events in all": lambda: simulate(
            counts=gamma_counts(5000, 50), slopes=four, intercept=-5.8, seed=7
        ),
        "1 to 5 cases, sd 1": lambda: simulate(counts=counts, slopes=four, sigma=1.0, seed=8),
        "1 to 5 cases, sd 2": lambda: simulate(counts=counts[:300], slopes=four, sigma=2.0, seed=9),
        "50 doctors, sd 2": lambda: simulate(
            counts=gamma_counts(5000, 50), slopes=four, sigma=2.0, seed=10
        ),
        "separated covariate": _separated,
    }[name]()


def _separated():
    """One rare group of cases all of which have the event."""
    model = simulate(counts=gamma_counts(2000, 40), slopes=(0.4, -0.3, 0.2, 0.0), seed=11)
    group = np.random.default_rng(12).random(2000) < 0.03
    outcome = np.where(group, 1.0, model.outcome)
    matrix = model.matrix.copy()
    matrix[:, 3] = (group - group.mean()) / group.std()
    return make_model("bernoulli", model.doctor_code, matrix, outcome)


HARD_CASES = (
    "surgical",
    "3 doctors of 300",
    "5 doctors of 200",
    "8 doctors, sd 0",
    "50 doctors, sd .02",
    "1 % events",
    "18 events in all",
    "1 to 5 cases, sd 1",
    "1 to 5 cases, sd 2",
    "50 doctors, sd 2",
    "separated covariate",
)
