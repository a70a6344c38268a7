"""Gaussian outcomes: the sums over cases that carry the whole likelihood.

Within and between doctors are kept apart, so that nothing is a difference of large numbers:
with r = sd_doctor / sd_residual a doctor of n cases enters by the weight w = n / (1 + n r²) of
his means, and all cases by their deviations from their doctor's means. Doctors with equally
many cases have the same weight at every r and are added up once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.errors import EngineError
from outcomekpi.model.likelihood_model import Model

__all__ = ["Caseloads", "Form", "Hospitals", "Sums", "sum_cases"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_CONSTANT = 1e-12  # share of a column's squares that rounding leaves within doctors
_RANK = 1e-8  # singular values below this share of the largest are no direction
_CACHED, _MOST, _RUN = 1 << 18, 1 << 24, 64  # numbers in the cache, in memory; points
_EXACT = 1e-18  # residual share of the squares below which an outcome is called exactly linear


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Form:
    """Quadratic forms of the covariates and the outcome in K⁻¹, V = s² K, at some ratios.

    Attributes
    ----------
    products : (ratio, hospital ratio, column + 1, column + 1), of [X, y]
    log_determinant : (ratio, hospital ratio), of K
    """

    products: Array
    log_determinant: Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Caseloads:
    """Doctors without hospitals, added up by their number of cases.

    Attributes
    ----------
    size, doctors : (size,), each number of cases that occurs, and its number of doctors
    squares : (size, (column + 1)²), sum of z z' over those doctors, z = [mean x, mean y]
    """

    size: Array
    doctors: Array
    squares: Array

    def between(self, ratio: Array, _: Array) -> Form:
        """Sum of w z z' over doctors, and log |K|, at ratios (point,)."""
        growth = self.size * ratio[:, None] ** 2
        n = round(self.squares.shape[1] ** 0.5)
        products = (self.size / (1.0 + growth)) @ self.squares
        log_determinant = np.log1p(growth) @ self.doctors
        return Form(
            products=products.reshape(-1, 1, n, n), log_determinant=log_determinant[:, None]
        )

    def work(self, n_each: int) -> int:
        """Numbers that one ratio with ``n_each`` hospital ratios needs."""
        return int(self.size.size + 4 * n_each * self.squares.shape[1])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hospitals:
    """Doctors sorted by hospital.

    Attributes
    ----------
    caseloads : the same doctors by their number of cases
    counts : (doctor,), cases, doctors in hospital order
    means : (doctor, column + 1), z in the same order
    bounds : (hospital + 1,), where each hospital's doctors begin, and the end
    constant : (column + 1,), True for columns that are the same for a hospital's doctors
    """

    caseloads: Caseloads
    counts: Array
    means: Array
    bounds: Index
    constant: NDArray[np.bool_]

    def between(self, ratio: Array, hospital_ratio: Array) -> Form:
        """Sum over doctors with their hospitals integrated out (a second Woodbury identity).

        Parameters
        ----------
        ratio : (point,)
        hospital_ratio : (point, hospital ratio) or (1, hospital ratio), sd_hospital / sd_residual

        Notes
        -----
        With W = sum w and b = sum w z over a hospital's doctors and k its ratio, the form is
        sum w (z - b/W)(z - b/W)' + b b' / (W (1 + k² W)), and log |K| gains log(1 + k² W). The
        first part is zero, and is set so, where z does not vary within hospitals.
        """
        form = self.caseloads.between(ratio, hospital_ratio)
        weight = self.counts / (1.0 + self.counts * ratio[:, None] ** 2)
        total = np.add.reduceat(weight, self.bounds[:-1], axis=1)
        total = np.maximum(total, np.finfo(np.float64).tiny)  # a hospital without cases
        sums = np.empty((*total.shape, self.means.shape[1]))
        for hospital in range(total.shape[1]):
            doctors = slice(self.bounds[hospital], self.bounds[hospital + 1])
            np.matmul(weight[:, doctors], self.means[doctors], out=sums[:, hospital])
        sums /= np.sqrt(total)[:, :, None]
        across = np.swapaxes(sums, 1, 2)
        products = form.products - (across @ sums)[:, None]
        products[..., self.constant, :] = 0.0
        products[..., self.constant] = 0.0
        growth = 1.0 + hospital_ratio[:, :, None] ** 2 * total[:, None, :]
        return Form(
            products=products + (across[:, None] / growth[:, :, None, :]) @ sums[:, None],
            log_determinant=form.log_determinant + np.log(growth).sum(axis=2),
        )

    def work(self, n_each: int) -> int:
        """Numbers that one ratio with ``n_each`` hospital ratios needs."""
        hospitals = (1 + n_each) * self.bounds.size * self.means.shape[1]
        return int(self.caseloads.work(n_each) + self.counts.size + hospitals)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sums:
    """Everything that the likelihood of a Gaussian model needs of its cases.

    The outcome is measured from a first least-squares fit within doctors, y - X ``offset``;
    fixed effects are differences from ``offset`` throughout.

    Attributes
    ----------
    n_cases : cases
    offset : (column,), fixed effects of the first fit, intercept first
    within : (column + 1, column + 1), products of the deviations of [X, y] from doctors' means
    counts : (doctor,), cases
    means : (doctor, column + 1), means of [X, y]; zeros for a doctor without cases
    units : doctors added up, with or without hospitals
    residual_variance : rough variance within doctors, a scale and nothing more
    """

    n_cases: int
    offset: Array
    within: Array
    counts: Array
    means: Array
    units: Caseloads | Hospitals
    residual_variance: float

    @property
    def n_columns(self) -> int:
        """Number of fixed effects, the intercept among them."""
        return self.offset.size

    def form(self, ratio: Array, hospital_ratio: Array) -> Form:
        """Forms of [X, y] in K⁻¹ at ratios (point,) and (point or 1, hospital ratio)."""
        between = self.units.between(ratio, hospital_ratio)
        return Form(
            products=between.products + self.within, log_determinant=between.log_determinant
        )

    def chunks(self, n_points: int, n_each: int) -> Iterator[slice]:
        """Cut points, each with ``n_each`` hospital ratios, into runs that fit into memory.

        Runs of a few dozen points where that still is a moderate amount of memory, so that the
        loop over hospitals is not run for every point; else what stays in the cache.
        """
        each = self.units.work(n_each)
        step = max(1, _CACHED // each, min(_RUN, _MOST // each))
        for first in range(0, n_points, step):
            yield slice(first, min(first + step, n_points))


def sum_cases(model: Model) -> Sums:
    """Sum the cases of a model in two passes; a published offset is taken off the outcome first.

    Raises
    ------
    EngineError
        The outcome is an exact linear function of the covariates and the doctors, so that the
        residual SD has no posterior.
    """
    code, matrix = model.doctor_code, model.matrix
    measured = model.outcome if model.offset is None else model.outcome - model.offset
    counts = np.bincount(code, minlength=model.n_doctors).astype(np.float64)
    divisor = np.maximum(counts, 1.0)

    def doctor_means(values: Array) -> Array:
        return np.bincount(code, weights=values, minlength=model.n_doctors) / divisor

    means = np.empty((model.n_doctors, matrix.shape[1] + 2))
    means[:, 0] = counts > 0
    for column in range(matrix.shape[1]):
        means[:, column + 1] = doctor_means(matrix[:, column])
    within = _within_columns(matrix, counts, means[:, 1:-1])
    constant = np.diag(within) == 0.0

    first = measured - measured.mean()
    deviation = first - doctor_means(first)[code]
    crossed = np.where(constant, 0.0, matrix.T @ deviation)
    slopes, _, rank, _ = np.linalg.lstsq(within, crossed, _RANK)
    outcome = first - matrix @ slopes
    level = outcome.mean()
    outcome -= level
    means[:, -1] = doctor_means(outcome)
    deviation = outcome - means[:, -1][code]

    products = np.zeros((matrix.shape[1] + 2,) * 2)
    products[1:-1, 1:-1] = within
    products[1:-1, -1] = products[-1, 1:-1] = np.where(constant, 0.0, matrix.T @ deviation)
    products[-1, -1] = deviation @ deviation
    freedom = code.size - int((counts > 0).sum()) - int(rank)
    total = float(first @ first)
    if freedom > 0 and products[-1, -1] <= _EXACT * total:
        raise EngineError(
            "The outcome does not vary within doctors once the covariates are accounted for: "
            "it is an exact function of them, and the residual SD has no posterior. Look for "
            "a covariate that contains the outcome, or for one repeated value per doctor."
        )
    rough = products[-1, -1] / freedom if freedom > 0 else total / code.size
    return Sums(
        n_cases=code.size,
        offset=np.concatenate(([measured.mean() + level], slopes)),
        within=products,
        counts=counts,
        means=means,
        units=_add_up(counts, means, model),
        residual_variance=float(rough),
    )


def _within_columns(matrix: Array, counts: Array, means: Array) -> Array:
    """Products of the covariates' deviations; exact zeros for a column that does not vary."""
    total = matrix.T @ matrix
    within = total - (means.T * counts) @ means
    constant = np.diag(within) <= _CONSTANT * np.diag(total)
    within[constant] = within[:, constant] = 0.0
    return within


def _add_up(counts: Array, means: Array, model: Model) -> Caseloads | Hospitals:
    order = np.argsort(counts, kind="stable")
    size, first, doctors = np.unique(counts[order], return_index=True, return_counts=True)
    squares = np.empty((size.size, means.shape[1] ** 2))
    for index, start in enumerate(first):
        some = means[order[start : start + doctors[index]]]
        squares[index] = (some.T @ some).ravel()
    caseloads = Caseloads(size=size, doctors=doctors.astype(np.float64), squares=squares)
    if model.hospital_code is None:
        return caseloads
    by_hospital = np.argsort(model.hospital_code, kind="stable")
    present = np.bincount(model.hospital_code, minlength=model.n_hospitals)
    used = present[present > 0]  # a hospital without doctors has no likelihood
    bounds = np.concatenate(([0], np.cumsum(used)))
    return Hospitals(
        caseloads=caseloads,
        counts=counts[by_hospital],
        means=means[by_hospital],
        bounds=bounds,
        constant=_constant_within(counts[by_hospital], means[by_hospital], bounds),
    )


def _constant_within(counts: Array, means: Array, bounds: Index) -> NDArray[np.bool_]:
    """Columns that all doctors of a hospital share; the outcome never counts as one."""
    inside = np.where(counts[:, None] > 0, means, np.nan)
    low, high = (f.reduceat(inside, bounds[:-1], axis=0) for f in (np.fmin, np.fmax))
    scale = np.nanmax(np.abs(inside), axis=0)
    result: NDArray[np.bool_] = ~(np.nan_to_num(high - low) > _CONSTANT * scale).any(axis=0)
    result[-1] = False
    return result
