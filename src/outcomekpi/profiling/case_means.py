"""Posterior mean outcome of every case, were it treated by the average doctor."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from outcomekpi.profiling.case_rows import CaseRows, collapse_rows
from outcomekpi.profiling.doctor_population import (
    AverageDoctor,
    mean_chance,
    nodes_for,
    read_population,
)
from outcomekpi.profiling.linear_predictor import Predictor

__all__ = ["case_means"]

Array = NDArray[np.float64]

BLOCK = 1 << 20
AFFORDABLE = 2e8  # rows x draws (x nodes); beyond it fewer draws, moved to the posterior mean
FEWEST_DRAWS = 64


def case_means(predictor: Predictor, *, average_doctor: AverageDoctor = "median") -> Array:
    """Posterior mean outcome of each case with the average doctor.

    Parameters
    ----------
    predictor : draws of the linear predictor
    average_doctor : "median", a doctor effect of 0; "population", the mean over the doctors of
        these cases, at the level at which as much is expected of all cases as is predicted

    Returns
    -------
    (case,), probability of the event (Bernoulli, binomial), mean count for the row's exposure,
    or mean outcome

    Notes
    -----
    The mean is over draws, so that the uncertainty of the coefficients is averaged, not plugged
    in. For large data every k-th draw is used, shifted so that the means of the coefficients
    are those of all draws; what is left out is then of second order.
    """
    if predictor.family == "gaussian":
        return _means_of_measurements(predictor, average_doctor)
    counts = predictor.family in ("poisson", "negative_binomial")
    groups = collapse_rows(predictor.matrix, predictor.doctor_code, predictor.weight)
    mean = _means_of_groups(predictor, groups, average_doctor)
    of_case = mean[groups.group]
    return of_case * predictor.weight if counts and predictor.weight is not None else of_case


def _means_of_measurements(predictor: Predictor, average_doctor: AverageDoctor) -> Array:
    base = predictor.brought_by_cases(slice(None)).mean(axis=1)
    if average_doctor == "population":
        base = base + read_population(predictor).center.mean()
    return np.asarray(predictor.matrix @ predictor.slope.mean(axis=1) + base[predictor.doctor_code])


def _means_of_groups(
    predictor: Predictor, groups: CaseRows, average_doctor: AverageDoctor
) -> Array:
    """Probability, or count per unit of exposure, of each group of equal cases: (group,)."""
    counts = predictor.family in ("poisson", "negative_binomial")
    population = read_population(predictor) if average_doctor == "population" else None
    nodes = 1 if population is None else nodes_for(population.spread)
    thin = _thin(predictor, groups.row.size * nodes)
    if population is not None and thin is not predictor:
        population = read_population(thin)
    per_block = max(1, BLOCK // thin.n_samples)
    mean, predicted = np.empty(groups.row.size), 0.0
    for start in range(0, groups.row.size, per_block):
        block = slice(start, start + per_block)
        doctors, position = np.unique(groups.doctor[block], return_inverse=True)
        eta = predictor.matrix[groups.row[block]] @ thin.slope
        eta += thin.brought_by_cases(doctors)[position]
        np.exp(eta if counts else np.minimum(eta, 40.0), out=eta)
        if population is None:
            mean[block] = (eta if counts else eta / (1 + eta)).mean(axis=1)
            continue
        at_center = eta * np.exp(population.center)
        expected = at_center if counts else mean_chance(at_center, population.spread)
        mean[block] = expected.mean(axis=1)
        eta *= np.exp(thin.brought_by_doctor(doctors))[position]
        own = eta if counts else eta / (1 + eta)
        predicted += float(groups.weight[block] @ own.mean(axis=1))
    return mean if population is None else _at_level(mean, groups.weight, predicted, counts)


def _at_level(mean: Array, weight: Array, predicted: float, counts: bool) -> Array:
    """Move means on the link scale so that they add up to what is predicted: one Newton step."""
    slope = mean if counts else mean * (1 - mean)
    return np.asarray(mean + (predicted - weight @ mean) / (weight @ slope) * slope)


def _thin(predictor: Predictor, n_rows: int) -> Predictor:
    keep = int(max(FEWEST_DRAWS, AFFORDABLE // n_rows))
    if keep >= predictor.n_samples:
        return predictor
    step = predictor.n_samples // keep

    def moved(values: NDArray[np.floating]) -> NDArray[np.floating]:
        few = values[..., ::step]
        shift = values.mean(axis=-1, keepdims=True) - few.mean(axis=-1, keepdims=True)
        return np.asarray(few + shift)

    return replace(
        predictor,
        slope=moved(predictor.slope),
        intercept=moved(predictor.intercept),
        sd_doctor=predictor.sd_doctor[::step],
        hospital=None if predictor.hospital is None else moved(predictor.hospital),
        effect=moved(predictor.effect),
        doctor_slope=moved(predictor.doctor_slope),
    )
