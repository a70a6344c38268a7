"""Every first-order autocorrelation at once: the restricted likelihood as small matrices."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FirstOrder", "best_rho", "first_order"]

Floats = NDArray[np.float64]

LARGEST = 0.995
GRID = 61
ROUNDS = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FirstOrder:
    """Restricted likelihood and coefficients at several autocorrelations.

    Attributes
    ----------
    rho : (node,)
    log_likelihood : (node,), restricted, the variance profiled out, up to a constant
    coefficients : (node, term), generalized least squares
    roots : (node, term, term), square root of the unscaled covariance of the coefficients
    squares : (node,), whitened residual sums of squares
    """

    rho: Floats
    log_likelihood: Floats
    coefficients: Floats
    roots: Floats
    squares: Floats


def first_order(terms: Floats, outcome: Floats, rho: Floats) -> FirstOrder:
    """Work out likelihood and coefficients at each of several autocorrelations.

    Parameters
    ----------
    terms : (time, term)
    outcome : (time,)
    rho : (node,), each strictly between -1 and 1

    Notes
    -----
    The precision for innovations of variance 1 is I - rho S + rho^2 D, with S the two first
    off-diagonals and D the identity without its first and last 1: three products of the terms
    (made orthonormal first) serve every rho.
    """
    basis, root = np.linalg.qr(terms)
    loads = basis.T @ outcome
    residual = outcome - basis @ loads
    length = max(float(np.linalg.norm(residual)), 1e-300)
    both = np.column_stack([basis, residual / length])
    ahead = both[1:].T @ both[:-1]
    inside = both[1:-1].T @ both[1:-1]
    value = rho[:, None, None]
    moments = both.T @ both - value * (ahead + ahead.T) + value**2 * inside
    count = terms.shape[1]
    cholesky = np.linalg.cholesky(moments[:, :count, :count])
    inverse = np.linalg.inv(cholesky)
    half = inverse @ moments[:, :count, count:]
    shift = (np.swapaxes(inverse, 1, 2) @ half)[:, :, 0]
    squares = np.maximum(moments[:, count, count] - (half[:, :, 0] ** 2).sum(axis=1), 1e-300)
    diagonal = np.diagonal(cholesky, axis1=1, axis2=2)
    log_likelihood = (
        0.5 * np.log1p(-(rho**2))
        - np.log(diagonal).sum(axis=1)
        - 0.5 * (outcome.size - count) * np.log(squares)
    )
    back = np.linalg.inv(root)
    return FirstOrder(
        rho=rho,
        log_likelihood=log_likelihood,
        coefficients=(loads + length * shift) @ back.T,
        roots=back @ np.swapaxes(inverse, 1, 2),
        squares=squares * length**2,
    )


def best_rho(terms: Floats, outcome: Floats) -> float:
    """Autocorrelation of greatest restricted likelihood, on grids that close in on it.

    Parameters
    ----------
    terms, outcome : as for :func:`first_order`
    """
    low, high = -LARGEST, LARGEST
    for _ in range(ROUNDS):
        grid = np.linspace(low, high, GRID)
        best = int(first_order(terms, outcome, grid).log_likelihood.argmax())
        low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, GRID - 1)])
    return (low + high) / 2.0
