"""What a fit predicts for each case: for a doctor of the population, and for his own doctor."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from outcomekpi.calibration.measures import LOGIT_FAMILIES, Predictions
from outcomekpi.draws.nodes import normal_nodes
from outcomekpi.model.families import conditional, mean_outcome
from outcomekpi.model.likelihood_model import Model
from outcomekpi.posterior.fit import Fit
from outcomekpi.posterior.predictor import FlatDraws, linear_predictor, read_draws

__all__ = [
    "BY_CASE_MIX",
    "BY_DOCTOR",
    "affordable_draws",
    "own_probabilities",
    "population_probabilities",
    "population_rate",
    "predict_draw",
]

Array = NDArray[np.float64]

BY_CASE_MIX, BY_DOCTOR = "case mix", "case mix and doctor"
MOST_DRAWS, FEWEST_DRAWS = 100, 5
MOST_OWN_DRAWS = 50
VALUES_IN_ALL = 2_000_000


def predict_draw(fit: Fit, draws: FlatDraws, sample: int) -> dict[str, Predictions]:
    """Rates of every case under one draw, for a new doctor and for his own."""
    model = fit.model
    size = conditional(model).size[:, 0]
    rates = {
        BY_CASE_MIX: _for_the_population(fit, draws, sample),
        BY_DOCTOR: _for_his_doctor(fit, draws, sample),
    }
    return {
        name: Predictions(family=model.family, rate=rate, outcome=model.outcome, size=size)
        for name, rate in rates.items()
    }


def _for_his_doctor(fit: Fit, draws: FlatDraws, sample: int) -> Array:
    given = conditional(fit.model)
    eta = linear_predictor(fit.model, draws, samples=slice(sample, sample + 1))
    return np.asarray((mean_outcome(given, eta) / given.size)[:, 0])


def _for_the_population(fit: Fit, draws: FlatDraws, sample: int) -> Array:
    model = fit.model
    eta = linear_predictor(
        model,
        draws,
        samples=slice(sample, sample + 1),
        doctor_effect=np.zeros((model.n_doctors, 1)),
        skip=fit.design.doctor_level,
    )[:, 0]
    variance = draws.sd_doctor[sample] ** 2
    if draws.sd_hospital is not None:
        variance += draws.sd_hospital[sample] ** 2
    return population_rate(model, eta, float(variance))


def affordable_draws(n_cases: int) -> int:
    """Draws to predict under: 100, fewer where cases are very many, at least 5."""
    return max(FEWEST_DRAWS, min(MOST_DRAWS, VALUES_IN_ALL // n_cases))


def population_probabilities(fit: Fit) -> Array:
    """Posterior mean of each case's probability under a doctor of the population: (1, case)."""
    draws = read_draws(fit.draws, at_most=affordable_draws(fit.model.outcome.size))
    total = np.zeros_like(fit.model.outcome)
    for sample in range(draws.n_samples):
        total += _for_the_population(fit, draws, sample)
    return np.asarray(total[None, :] / draws.n_samples)


def own_probabilities(fit: Fit) -> Array:
    """Each case's probability with its own doctor, draw by draw: (draw, case)."""
    at_most = min(MOST_OWN_DRAWS, affordable_draws(fit.model.outcome.size))
    draws = read_draws(fit.draws, at_most=at_most)
    return np.stack([_for_his_doctor(fit, draws, s) for s in range(draws.n_samples)])


def population_rate(model: Model, eta: Array, variance: float) -> Array:
    """Mean rate over the population of doctors, of cases with linear predictor ``eta``.

    Notes
    -----
    Normal effects: exp(eta + variance/2) for counts; for probabilities 31-point Gauss-Hermite
    on 201 values of eta, interpolated on the logit scale. Student-t effects are treated as
    normal with the same SD.
    """
    if model.family == "gaussian":
        return eta
    if model.family not in LOGIT_FAMILIES:
        return np.exp(eta + 0.5 * variance)
    nodes, weights = normal_nodes(31)
    grid = np.linspace(eta.min() - 1e-6, eta.max() + 1e-6, 201)
    rate = expit(grid[:, None] + np.sqrt(variance) * nodes) @ weights
    return np.asarray(expit(np.interp(eta, grid, logit(rate))))
