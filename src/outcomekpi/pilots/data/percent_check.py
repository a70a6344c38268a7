"""Percentages that are none: outside 0 to 100, or fractions that were declared as percent."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError
from outcomekpi.tables.columns import describe_row

__all__ = ["PERCENT", "check_percentages", "is_percent"]

PERCENT = ("%", "percent", "percentage points", "百分比")
"""Units that say that a mean or measurement is in percent."""

HUNDRED = 100.0


def is_percent(unit: str | None) -> bool:
    """Whether a unit, in words, says percent."""
    return unit is not None and unit.strip().lower() in PERCENT


def check_percentages(
    values: NDArray[np.float64],
    *,
    index: pd.Index,
    column: object,
    role: str = "outcome",
    option: str = "outcome_unit='%'",
) -> None:
    """Refuse a column that was said to be in percent and cannot be.

    Parameters
    ----------
    values : (row,), percentages; nan where missing
    index : (row,), names of the rows
    column : its name, for messages
    role : what the column is, for messages
    option : what said that it is in percent, for messages

    Raises
    ------
    CasesError
        A value outside 0 to 100; or no value above 1, as if they were fractions: their effects
        would come out a hundred times too small in percentage points.
    """
    wrong = (values < 0) | (values > HUNDRED)
    if wrong.any():
        raise CasesError(
            f"Column {column!r} ({role}) must hold percentages from 0 to 100. "
            f"{describe_row(index, wrong)} ({values[wrong.argmax()]:g}). Correct the table."
        )
    seen = values[np.isfinite(values)]
    if seen.size and 0 < seen.max() <= 1:
        raise CasesError(
            f"Column {column!r} ({role}) was said to be in percent ({option}), and no value is "
            f"above 1: the largest is {seen.max():g}. If these are fractions, multiply them by 100 "
            "or leave that out; if every percentage is that small, name the unit otherwise, as "
            "'per 100 patients'."
        )
