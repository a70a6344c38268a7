"""Collinearity: which columns of a standardized matrix are sums of the others."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_collinear", "gram"]

SUSPECT = 1e-8
"""Share of a column's variance below which its residual is computed exactly."""
COLLINEAR = 1e-6
"""Residual, in standard deviations of the column, at or below which it is a sum of others."""
INVOLVED = 1e-4
"""Coefficient, in standard deviations, above which a column takes part in that sum."""
BLOCK = 65_536


def gram(matrix: NDArray[np.float64], weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Weighted cross-products of the columns per unit of weight.

    Parameters
    ----------
    matrix : (case, term), standardized
    weights : (case,), or None for 1 each

    Returns
    -------
    (term, term), the correlation matrix up to a factor (n - 1) / n
    """
    if weights is None:
        return np.asarray(matrix.T @ matrix / matrix.shape[0])
    total = np.zeros((matrix.shape[1], matrix.shape[1]))
    for start in range(0, matrix.shape[0], BLOCK):
        rows = slice(start, start + BLOCK)
        total += matrix[rows].T @ (weights[rows, None] * matrix[rows])
    return np.asarray(total / weights.sum())


def find_collinear(
    matrix: NDArray[np.float64], weights: NDArray[np.float64] | None
) -> tuple[int, list[int]] | None:
    """Find the first column that is a weighted sum of columns before it.

    Parameters
    ----------
    matrix : (case, term), standardized
    weights : (case,), or None for 1 each

    Returns
    -------
    column, others : its position and those of the columns in the sum; None if there is none

    Notes
    -----
    Columns are taken in order. The Cholesky factor of the correlation matrix gives each one's
    residual variance given those before it, to about 1e-12. Where that lies below 1e-8, the
    residual itself is computed and decides: its SD must be at most 1e-6 of the column's own.
    """
    correlation = gram(matrix, weights)
    if _is_far_from_singular(correlation):
        return None
    kept: list[int] = []
    for column in range(matrix.shape[1]):
        inner = correlation[np.ix_(kept, kept)]
        coefficients = np.linalg.lstsq(inner, correlation[kept, column], rcond=None)[0]
        variance = correlation[column, column] - correlation[column, kept] @ coefficients
        if variance < SUSPECT and _residual_sd(matrix, column, kept, coefficients) <= COLLINEAR:
            sizes = zip(kept, np.abs(coefficients), strict=True)
            return column, [other for other, size in sizes if size > INVOLVED]
        kept.append(column)
    return None


def _is_far_from_singular(correlation: NDArray[np.float64]) -> bool:
    try:
        pivots = np.diag(np.linalg.cholesky(correlation)) ** 2
    except np.linalg.LinAlgError:
        return False
    return bool((pivots > SUSPECT).all())


def _residual_sd(
    matrix: NDArray[np.float64], column: int, others: list[int], coefficients: NDArray[np.float64]
) -> float:
    total = 0.0
    for start in range(0, matrix.shape[0], BLOCK):
        rows = slice(start, start + BLOCK)
        residual = matrix[rows, column].copy()
        for other, coefficient in zip(others, coefficients, strict=True):
            residual -= coefficient * matrix[rows, other]
        total += float(residual @ residual)
    return float(np.sqrt(total / matrix.shape[0]))
