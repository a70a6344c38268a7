"""Expected and predicted events of each doctor in each draw, summed over his cases."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from outcomekpi.profiling.case_rows import CaseRows, collapse_rows
from outcomekpi.profiling.doctor_population import (
    AverageDoctor,
    DoctorPopulation,
    level_gap,
    mean_chance,
    read_population,
)
from outcomekpi.profiling.linear_predictor import Predictor

__all__ = ["CaseSums", "match_totals", "sum_exactly"]

Array = NDArray[np.floating]

BLOCK = 1 << 20  # numbers in one block of rows x draws: stays in cache, bounds the memory
SINGLE_PRECISION_ABOVE = 2e7  # rows x draws; its relative error of 1e-6 is far below Monte Carlo
HIGHEST = 40.0  # linear predictors above give a probability of 1 in double precision as well


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaseSums:
    """Sums over the cases of each doctor, in each draw.

    Attributes
    ----------
    expected, predicted : (doctor, sample), events (Gaussian: sum of the outcome)
    information : (doctor, sample), Fisher information about a doctor's effect in his cases, were
        they treated by the average doctor: sum of p(1 - p), of the mean, or n (Gaussian, to be
        divided by the residual variance); how expected events move with that doctor's effect
    method : how they were computed, in words
    relative_error : largest error of a sum relative to the sum, where it was measured; 0 if exact
    """

    expected: Array
    predicted: Array
    information: Array
    method: str
    relative_error: float


def sum_exactly(
    predictor: Predictor,
    *,
    average_doctor: AverageDoctor,
    population: DoctorPopulation | None = None,
) -> CaseSums:
    """Sum over every case in every draw, block by block.

    Parameters
    ----------
    predictor : draws of the linear predictor
    average_doctor : whose outcomes are expected
    population : of doctors, where ``predictor`` holds only some of them

    Notes
    -----
    With eta the linear predictor of a case without its doctor and d the doctor's effect,
    E = sum w g(eta) and P = sum w g(eta + d); for the logit, exp(eta) is computed once and
    multiplied by exp(d). For the population of doctors and the logit, E is the sum of the means
    of g(eta + center + spread z), z standard normal. For the log and identity links it is left to
    :func:`match_totals`, which sets the only number that is open there.
    """
    if predictor.family == "gaussian":
        return _gaussian_sums(predictor)
    rows = collapse_rows(predictor.matrix, predictor.doctor_code, predictor.weight)
    size = rows.row.size * predictor.n_samples
    dtype = np.float32 if size > SINGLE_PRECISION_ABOVE else np.float64
    shape = (predictor.n_doctors, predictor.n_samples)
    out = (np.zeros(shape, dtype), np.zeros(shape, dtype), np.zeros(shape, dtype))
    per_block = max(1, BLOCK // predictor.n_samples)
    if average_doctor == "median" or predictor.family in ("poisson", "negative_binomial"):
        population = None
    elif population is None:
        population = read_population(predictor)
    for start in range(0, rows.row.size, per_block):
        _add_block(predictor, rows, slice(start, start + per_block), out, population)
    if predictor.family in ("poisson", "negative_binomial"):
        _finish_counts(predictor, out)
    return CaseSums(
        expected=out[0],
        predicted=out[1],
        information=out[2],
        method="exact: every case in every draw",
        relative_error=0.0,
    )


def _add_block(
    predictor: Predictor,
    rows: CaseRows,
    block: slice,
    out: tuple[Array, Array, Array],
    population: DoctorPopulation | None,
) -> None:
    """Add the sums over one block of rows to the doctors that they belong to."""
    dtype = out[0].dtype
    doctor = rows.doctor[block]
    starts = np.flatnonzero(np.r_[True, doctor[1:] != doctor[:-1]])
    counts = np.diff(np.r_[starts, doctor.size])
    doctors = doctor[starts]
    weight = rows.weight[block, None].astype(dtype)
    odds = predictor.matrix[rows.row[block]].astype(dtype) @ predictor.slope.astype(dtype)
    odds += np.repeat(predictor.brought_by_cases(doctors).astype(dtype), counts, axis=0)
    np.minimum(odds, HIGHEST, out=odds)
    np.exp(odds, out=odds)
    if predictor.family in ("poisson", "negative_binomial"):
        out[0][doctors] += np.add.reduceat(odds * weight, starts, axis=0)
        return
    if population is None:
        chance: Array = odds / (1 + odds)
    else:
        chance = mean_chance(odds * np.exp(population.center).astype(dtype), population.spread)
    out[2][doctors] += np.add.reduceat(chance * (1 - chance) * weight, starts, axis=0)
    out[0][doctors] += np.add.reduceat(chance * weight, starts, axis=0)
    own = np.exp(predictor.brought_by_doctor(doctors).astype(dtype))
    odds *= np.repeat(own, counts, axis=0)
    out[1][doctors] += np.add.reduceat(odds / (1 + odds) * weight, starts, axis=0)


def _finish_counts(predictor: Predictor, out: tuple[Array, Array, Array]) -> None:
    """Predicted counts from expected ones: on the log scale the doctor multiplies."""
    expected, predicted, information = out
    information[:] = expected
    predicted[:] = expected * np.exp(predictor.brought_by_doctor(slice(None)))


def match_totals(sums: CaseSums) -> CaseSums:
    """Move the population of doctors so that, in each draw, E and P add up to the same number."""
    shift = level_gap(sums.expected, sums.predicted, sums.information)
    moved = sums.expected + shift.astype(sums.expected.dtype) * sums.information
    return replace(sums, expected=moved)


def _gaussian_sums(predictor: Predictor) -> CaseSums:
    n_doctors, code = predictor.n_doctors, predictor.doctor_code
    n = np.bincount(code, minlength=n_doctors).astype(np.float64)[:, None]
    totals = np.empty((n_doctors, predictor.matrix.shape[1]))
    for k in range(totals.shape[1]):
        totals[:, k] = np.bincount(code, weights=predictor.matrix[:, k], minlength=n_doctors)
    everyone = slice(None)
    expected = totals @ predictor.slope + n * predictor.brought_by_cases(everyone)
    predicted = expected + n * predictor.brought_by_doctor(everyone)
    return CaseSums(
        expected=expected,
        predicted=predicted,
        information=np.broadcast_to(n, expected.shape),
        method="exact: sums of a linear predictor",
        relative_error=0.0,
    )
