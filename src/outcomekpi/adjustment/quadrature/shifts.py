"""How other fixed effects move a doctor's curve: his mean covariates times their change."""

import numpy as np
from numpy.typing import NDArray

from outcomekpi.adjustment.quadrature.evaluation import Anchor
from outcomekpi.adjustment.quadrature.kernels import Kernel, clipped_exp

__all__ = ["curve_shifts"]

Array = NDArray[np.float64]

_NEGLIGIBLE = 0.005  # posterior SDs of a doctor's effect
_MOST_ROWS = 50_000


def curve_shifts(kernel: Kernel, anchor: Anchor, betas: Array) -> Array:
    """Shift of every doctor's curve at every draw of the fixed effects.

    Parameters
    ----------
    betas : (draw, column)

    Returns
    -------
    (doctor, draw), link scale

    Notes
    -----
    With d_i = x_i'(beta - beta_mode), information weights v_i = mu'_i at the mode and
    W = sum v_i, the curve moves by the weighted mean of d_i, plus
    ``sum_i mu''_i (d_i - mean)² / (2 W)``, which makes the slope of the moved curve right to
    second order. The second term falls with the square of the standard errors of beta and is
    left out where its posterior mean is below .005 posterior SDs for every doctor, and above
    50,000 rows.
    """
    change = betas - anchor.beta
    shift = anchor.covariate @ change.T
    if kernel.rows.n_rows > _MOST_ROWS or change.shape[1] == 1:
        return shift
    bend = _second_moments(kernel, anchor)
    covariance = change.T @ change / change.shape[0]
    scale = (anchor.curvature + anchor.precision) ** -0.5
    typical = 0.5 * np.einsum("jpq,pq->j", bend, covariance)
    for doctor in np.flatnonzero(np.abs(typical) > _NEGLIGIBLE * scale):
        shift[doctor] += 0.5 * np.einsum("sp,pq,sq->s", change, bend[doctor], change, optimize=True)
    return shift


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
