"""How other fixed effects move a doctor's curve: his mean covariates times their change."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.engine.evaluation import Anchor
from outcomekpi.engine.kernels import Kernel, clipped_exp

__all__ = ["Shifts", "curve_shifts"]

Array = NDArray[np.float64]

_NEGLIGIBLE = 0.005  # posterior SDs of a doctor's effect
_LARGEST_TABLE = 4_000_000
_REACH = 4.5  # standard deviations of a normal shift among many draws


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shifts:
    """Shift of every doctor's curve at every draw; made when asked for where there are many.

    Attributes
    ----------
    covariate : (doctor, column)
    change : (draw, column), fixed effects less those at the mode
    table : (doctor, draw), all shifts, where they are few; second-order terms are in here alone
    hospital : (hospital, draw), effects that move the curves of all their doctors, or None
    hospital_code : (doctor,), or None
    """

    covariate: Array
    change: Array
    table: Array | None
    hospital: Array | None = None
    hospital_code: NDArray[np.intp] | None = None

    @property
    def n_doctors(self) -> int:
        """Number of doctors."""
        return int(self.covariate.shape[0])

    @property
    def n_draws(self) -> int:
        """Number of draws."""
        return int(self.change.shape[0])

    def of(self, doctors: slice) -> Array:
        """Shifts of some doctors, (doctor, draw), link scale."""
        if self.table is None:
            shift = self.covariate[doctors] @ self.change.T
        else:
            shift = self.table[doctors]
        if self.hospital is None or self.hospital_code is None:
            return shift
        return shift + self.hospital[self.hospital_code[doctors]]

    def ranges(self) -> tuple[Array, Array]:
        """Smallest and largest shift of every doctor; 4.5 standard deviations for many draws."""
        if self.table is not None or self.hospital is not None:
            parts = [slice(first, first + 256) for first in range(0, self.n_doctors, 256)]
            ends = [(shift.min(axis=1), shift.max(axis=1)) for shift in map(self.of, parts)]
            return np.concatenate([low for low, _ in ends]), np.concatenate([up for _, up in ends])
        middle = self.covariate @ self.change.mean(axis=0)
        root = np.linalg.cholesky(np.atleast_2d(np.cov(self.change.T)))
        reach = _REACH * np.sqrt(((self.covariate @ root) ** 2).sum(axis=1))
        return middle - reach, middle + reach


def curve_shifts(kernel: Kernel, anchor: Anchor, betas: Array) -> Shifts:
    """Shift of every doctor's curve at every draw of the fixed effects.

    Parameters
    ----------
    betas : (draw, column)

    Notes
    -----
    With d_i = x_i'(beta - beta_mode), information weights v_i = mu'_i at the mode and
    W = sum v_i, the curve moves by the weighted mean of d_i, plus
    ``sum_i mu''_i (d_i - mean)² / (2 W)``, which makes the slope of the moved curve right to
    second order. The second term falls with the square of the standard errors of beta and is
    left out where its posterior mean is below .005 posterior SDs, and above 50,000 rows.
    """
    change = betas - anchor.beta
    table = None
    if anchor.center.size * change.shape[0] <= _LARGEST_TABLE:
        table = anchor.covariate @ change.T
        if not kernel.rows.is_large and change.shape[1] > 1:
            _add_second_order(table, kernel, anchor, change)
    return Shifts(covariate=anchor.covariate, change=change, table=table)


def _add_second_order(table: Array, kernel: Kernel, anchor: Anchor, change: Array) -> None:
    """Add the second-order terms of the doctors for whom they matter, in place."""
    matrices = _second_moments(kernel, anchor)
    covariance = change.T @ change / change.shape[0]
    scale = (anchor.curvature + anchor.precision) ** -0.5
    typical = 0.5 * np.einsum("jpq,pq->j", matrices, covariance)
    for doctor in np.flatnonzero(np.abs(typical) > _NEGLIGIBLE * scale):
        table[doctor] += 0.5 * np.einsum("sp,sp->s", change @ matrices[doctor], change)


def _second_moments(kernel: Kernel, anchor: Anchor) -> Array:
    """Return sum_i mu''_i (x_i - mean)(x_i - mean)' / W, (doctor, column, column)."""
    rows = kernel.rows
    size = kernel.sizes(anchor.beta)
    third = kernel.third(size, clipped_exp(anchor.center))
    centered = rows.x - np.repeat(anchor.covariate.T, rows.counts, axis=1)
    n = rows.n_columns
    result = np.empty((rows.n_doctors, n, n))
    for column in range(n):
        products = centered[column] * third * centered[column:]
        sums = np.add.reduceat(products, rows.starts, axis=1)
        result[:, column, column:] = sums.T
        result[:, column:, column] = sums.T
    return result / anchor.curvature[:, None, None]
