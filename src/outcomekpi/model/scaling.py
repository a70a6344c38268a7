"""Scaling: mean and standard deviation of a column over patients, and what they rule out."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import FormulaError
from outcomekpi.tables.columns import describe_row

__all__ = ["check_moments", "moments", "refuse_not_finite", "standardize_column"]

CONSTANT = 1e-12
"""Standard deviation, as a share of the mean, that rounding leaves in a constant column."""
SMALLEST_SCALE = 1e-150
"""Standard deviation whose square can still be represented."""
BLOCK = 8192
"""Rows worked on at a time: they stay in the cache, and are too few for BLAS to wake threads."""


def check_moments(
    column: NDArray[Any], found: tuple[float, float], term: str, index: pd.Index
) -> None:
    """Refuse a column that is not finite, constant, or beyond the reach of arithmetic.

    Parameters
    ----------
    column : (case,)
    found : its mean and standard deviation
    term : its name
    index : labels of the rows
    """
    mean, sd = found
    if not (np.isfinite(mean) and np.isfinite(sd)) and not np.isfinite(column).all():
        refuse_not_finite(column, term, index)
    is_scaled = np.isfinite(sd) and sd > SMALLEST_SCALE
    if sd > CONSTANT * abs(mean) and is_scaled:
        return
    if column.min() == column.max() or is_scaled:
        raise FormulaError(
            f"Covariate {term!r} is constant: it is {mean:g} in all {column.size:,} rows. "
            "Leave it out of the formula."
        )
    raise FormulaError(
        f"Covariate {term!r} runs from {column.min():g} to {column.max():g}, which is out of "
        "reach of computer arithmetic. Use another unit."
    )


def moments(column: NDArray[Any], weights: NDArray[np.float64] | None) -> tuple[float, float]:
    """Weighted mean and standard deviation (n - 1) of a column, in one pass over it.

    Notes
    -----
    Values are shifted by the mean of the first block. If that lies k standard deviations from
    the mean, k^2 <= n / BLOCK, so that at most three of sixteen digits are lost in 10^7 rows.
    """
    size = float(column.size if weights is None else weights.sum())
    total = squares = 0.0
    with np.errstate(
        invalid="ignore", over="ignore"
    ):  # infinite values make the mean NaN, which is refused
        shift = float(column[:BLOCK].mean(dtype=np.float64))
        for start in range(0, column.size, BLOCK):
            rows = slice(start, start + BLOCK)
            shifted = np.subtract(column[rows], shift, dtype=np.float64)
            weighted = shifted if weights is None else weights[rows] * shifted
            total += float(weighted.sum())
            squares += float(weighted @ shifted)
    variance = (squares - total * total / size) / (size - 1.0)
    return shift + total / size, float(np.sqrt(max(variance, 0.0)))


def standardize_column(
    column: NDArray[Any], center: float, scale: float, *, out: NDArray[np.float64]
) -> None:
    """Write (column - center) / scale into ``out``."""
    for start in range(0, column.size, BLOCK):
        rows = slice(start, start + BLOCK)
        np.subtract(column[rows], center, out=out[rows], dtype=np.float64)
        out[rows] /= scale


def refuse_not_finite(column: NDArray[Any], term: str, index: pd.Index) -> None:
    """Raise a :class:`FormulaError` that says where a term is not a finite number."""
    wrong = ~np.isfinite(column)
    raise FormulaError(
        f"Term {term!r} must be a finite number for every case. {describe_row(index, wrong)}. "
        "Check what the formula does with these values: the logarithm of 0, say, or a polynomial "
        "of a constant."
    )
