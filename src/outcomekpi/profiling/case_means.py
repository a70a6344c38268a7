"""Posterior mean outcome of every case, were it treated by the average doctor."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from outcomekpi.draws.threads import in_threads
from outcomekpi.profiling.case_rows import CaseRows, collapse_rows
from outcomekpi.profiling.doctor_population import (
    AverageDoctor,
    DoctorPopulation,
    mean_chance,
    nodes_for,
    read_population,
)
from outcomekpi.profiling.linear_predictor import Predictor

__all__ = ["case_means"]

Array = NDArray[np.float64]
Brought = Callable[[slice], NDArray[np.floating]]

BLOCK = 1 << 20
AFFORDABLE = 2e8  # rows x draws (x nodes); beyond it the mean is taken to second order
BLOCK_DOCTORS = 512
STEP = 0.1  # of the second difference of g; its error is STEP² / 12 of the second-order term


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
    in. For large data, whose coefficients are known well, it is taken to second order in their
    departure from the posterior mean: g(t) + g''(t) v / 2, v the variance of a case's linear
    predictor over the draws.
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
    if groups.row.size * nodes * predictor.n_samples > AFFORDABLE:
        return _second_order(predictor, groups, population)
    per_block = max(1, BLOCK // predictor.n_samples)
    mean, predicted = np.empty(groups.row.size), 0.0
    for start in range(0, groups.row.size, per_block):
        block = slice(start, start + per_block)
        doctors, position = np.unique(groups.doctor[block], return_inverse=True)
        eta = predictor.matrix[groups.row[block]] @ predictor.slope
        eta += predictor.brought_by_cases(doctors)[position]
        np.exp(eta if counts else np.minimum(eta, 40.0), out=eta)
        if population is None:
            mean[block] = (eta if counts else eta / (1 + eta)).mean(axis=1)
            continue
        at_center = eta * np.exp(population.center)
        expected = at_center if counts else mean_chance(at_center, population.spread)
        mean[block] = expected.mean(axis=1)
        eta *= np.exp(predictor.brought_by_doctor(doctors))[position]
        own = eta if counts else eta / (1 + eta)
        predicted += float(groups.weight[block] @ own.mean(axis=1))
    return mean if population is None else _at_level(mean, groups.weight, predicted, counts)


def _at_level(mean: Array, weight: Array, predicted: float, counts: bool) -> Array:
    """Move means on the link scale so that they add up to what is predicted: one Newton step."""
    slope = mean if counts else mean * (1 - mean)
    return np.asarray(mean + (predicted - weight @ mean) / (weight @ slope) * slope)


def _second_order(
    predictor: Predictor, groups: CaseRows, population: DoctorPopulation | None
) -> Array:
    """Mean over the draws of each group, to second order in the draws: (group,)."""
    counts = predictor.family in ("poisson", "negative_binomial")
    matrix = np.asarray(predictor.matrix[groups.row], dtype=np.float64)
    slope = predictor.slope.mean(axis=1)
    departure = predictor.slope - slope[:, None]
    of_slope = departure @ departure.T / predictor.n_samples
    of_cases = matrix @ slope, np.einsum("ij,ij->i", matrix @ of_slope, matrix)

    def mean_of(brought: Brought, spread: Array) -> Array:
        level, variance, cross = _moments(predictor, departure, brought)
        eta = of_cases[0] + level[groups.doctor]
        spreads = of_cases[1] + variance[groups.doctor]
        spreads += 2 * np.einsum("ij,ij->i", matrix, cross[groups.doctor])
        if counts:
            return np.asarray(np.exp(eta) * (1 + spreads / 2))
        chance = [
            mean_chance(np.exp(eta + step)[:, None], spread)[:, 0] for step in (-STEP, 0.0, STEP)
        ]
        return np.asarray(
            chance[1] + (chance[0] - 2 * chance[1] + chance[2]) / STEP**2 * spreads / 2
        )

    none = np.zeros(1)
    if population is None:
        return mean_of(predictor.brought_by_cases, none)
    center = population.center
    spread = population.spread.mean(keepdims=True)
    by_cases, by_doctor = predictor.brought_by_cases, predictor.brought_by_doctor
    asked: list[tuple[Brought, Array]] = [
        (lambda block: by_cases(block) + center, spread),
        (lambda block: by_cases(block) + by_doctor(block), none),
    ]
    expected, own = in_threads(lambda one: mean_of(*one), asked)
    return _at_level(expected, groups.weight, float(groups.weight @ own), counts)


def _moments(
    predictor: Predictor, departure: Array, brought: Brought
) -> tuple[Array, Array, Array]:
    """Mean and variance of what is brought to a doctor's cases, and covariance with the slopes.

    Returns
    -------
    (doctor,), (doctor,) and (doctor, term)
    """
    level, variance = np.empty(predictor.n_doctors), np.empty(predictor.n_doctors)
    cross = np.empty((predictor.n_doctors, departure.shape[0]))
    for start in range(0, predictor.n_doctors, BLOCK_DOCTORS):
        block = slice(start, start + BLOCK_DOCTORS)
        draws = np.asarray(brought(block), dtype=np.float64)
        level[block] = draws.mean(axis=1)
        draws = draws - level[block, None]
        variance[block] = np.einsum("ij,ij->i", draws, draws) / predictor.n_samples
        cross[block] = draws @ departure.T / predictor.n_samples
    return level, variance, cross
