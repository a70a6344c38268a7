"""Expected and predicted events of each doctor in each draw, summed over his cases."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from outcomekpi.profiling.case_rows import CaseRows, collapse_rows
from outcomekpi.profiling.linear_predictor import Predictor

__all__ = ["AverageDoctor", "CaseSums", "normal_nodes", "sum_exactly"]

Array = NDArray[np.floating]
AverageDoctor = Literal["median", "population"]

BLOCK = 1 << 20  # numbers in one block of rows x draws: stays in cache, bounds the memory
SINGLE_PRECISION_ABOVE = 2e7  # rows x draws; its relative error of 1e-6 is far below Monte Carlo
HIGHEST = 50.0  # linear predictors above give a probability of 1 in double precision as well


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaseSums:
    """Sums over the cases of each doctor, in each draw.

    Attributes
    ----------
    expected, predicted : (doctor, sample), events (Gaussian: sum of the outcome)
    information : (doctor, sample), Fisher information about the doctor's effect in the cases of
        an average doctor: sum of p(1 - p), of the mean, or n (Gaussian, to be divided by the
        residual variance)
    method : how they were computed, in words
    relative_error : largest error of a sum relative to the sum, where it was measured; 0 if exact
    """

    expected: Array
    predicted: Array
    information: Array
    method: str
    relative_error: float


def normal_nodes(n: int = 15) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights of Gauss-Hermite quadrature for a standard normal variable."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(n)
    return nodes, weights / weights.sum()


def sum_exactly(predictor: Predictor, *, average_doctor: AverageDoctor) -> CaseSums:
    """Sum over every case in every draw, block by block.

    Notes
    -----
    With eta the linear predictor of a case of an average doctor and d the doctor's effect,
    E = sum w g(eta) and P = sum w g(eta + d); for the logit, exp(eta) is computed once and
    multiplied by exp(d). For a population average E is the mean of g(eta + sd z), z standard
    normal, by 15-point Gauss-Hermite quadrature (closed form for the log and identity links).
    """
    if predictor.family == "gaussian":
        return _gaussian_sums(predictor)
    rows = collapse_rows(predictor.matrix, predictor.doctor_code, predictor.weight)
    size = rows.row.size * predictor.n_samples
    dtype = np.float32 if size > SINGLE_PRECISION_ABOVE else np.float64
    shape = (predictor.n_doctors, predictor.n_samples)
    out = (np.zeros(shape, dtype), np.zeros(shape, dtype), np.zeros(shape, dtype))
    per_block = max(1, BLOCK // predictor.n_samples)
    for start in range(0, rows.row.size, per_block):
        _add_block(predictor, rows, slice(start, start + per_block), out, average_doctor)
    if predictor.family in ("poisson", "negative_binomial"):
        _finish_counts(predictor, out, average_doctor)
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
    average_doctor: AverageDoctor,
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
    chance: Array = odds / (1 + odds)
    out[2][doctors] += np.add.reduceat(chance * (1 - chance) * weight, starts, axis=0)
    if average_doctor == "population":
        chance = _population_chance(odds, predictor.sd_doctor.astype(dtype))
    out[0][doctors] += np.add.reduceat(chance * weight, starts, axis=0)
    own = np.exp(predictor.brought_by_doctor(doctors).astype(dtype))
    odds *= np.repeat(own, counts, axis=0)
    out[1][doctors] += np.add.reduceat(odds / (1 + odds) * weight, starts, axis=0)


def _population_chance(odds: Array, sd: Array) -> Array:
    chance = np.zeros_like(odds)
    for node, weight in zip(*normal_nodes(), strict=True):
        factor = odds * np.exp(sd * odds.dtype.type(node))
        chance += odds.dtype.type(weight) * factor / (1 + factor)
    return chance


def _finish_counts(
    predictor: Predictor, out: tuple[Array, Array, Array], average_doctor: AverageDoctor
) -> None:
    """Predicted counts from expected ones: on the log scale the doctor multiplies."""
    expected, predicted, information = out
    information[:] = expected
    predicted[:] = expected * np.exp(predictor.brought_by_doctor(slice(None)))
    if average_doctor == "population":
        expected *= np.exp(0.5 * predictor.sd_doctor**2).astype(expected.dtype)


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
