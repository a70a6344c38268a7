"""Codes that stand for missing values among numbers: 999, -9, an age of 300."""

import re
import warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import OutcomeKPIWarning
from outcomekpi.tables.columns import count_of, spell

__all__ = ["describe_code", "warn_of_code"]

HIGH = (99.0, 999.0, 9999.0, 99999.0, 999999.0)
OTHERS = (777.0, 888.0, 7777.0, 8888.0)
"""Codes that stand beside 999 (refused, not applicable), or alone."""
LOW = (-9.0, -99.0, -999.0, -9999.0, -99999.0)
FAR = 2.0
"""Ranges of all other values that such a code stands above the largest of them."""
OLDEST = 120.0
FEW = 0.05
AGE = re.compile(r"(?:.*[^a-z])?age(?:[^a-z].*)?|.*年龄.*|alter", re.IGNORECASE)
OTHER_UNIT = re.compile(r"month|day|week|hour|月|天|日|周", re.IGNORECASE)


def describe_code(name: str, values: NDArray[np.number], index: pd.Index) -> str | None:
    """Say which value of a column looks like a code for missing ones, or None.

    Parameters
    ----------
    name : of the column; an age above 120 among others below is named as well
    values : (row,), missing ones as nan
    index : labels of the rows

    Notes
    -----
    A code is the largest value, all nines, from 99 on (or 777, 888), and stands further above the
    next one than twice the range of all others; or it is -9, -99, ... and the only negative value
    of all.
    """
    if values.dtype.kind not in "iuf" or not np.isfinite(values).any():
        return None
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if high in HIGH or high in OTHERS:
        rest = values[(values < high) & ~np.isin(values, OTHERS)]
        if rest.size and high - rest.max() > FAR * max(float(rest.max() - np.nanmin(rest)), 1.0):
            return _say(name, values == high, index, high, f"the next largest is {rest.max():g}")
    if low in LOW and not ((values < 0) & (values != low)).any() and high >= 0:
        return _say(name, values == low, index, low, "no other value is negative")
    if high > OLDEST and AGE.fullmatch(name) and not OTHER_UNIT.search(name):
        odd = values > OLDEST
        if odd.mean() < FEW:
            return _say(name, odd, index, float(values[odd.argmax()]), "nobody is that old")
    return None


def _say(name: str, wrong: NDArray[np.bool_], index: pd.Index, code: float, reason: str) -> str:
    first = spell(index[int(wrong.argmax())])
    return (
        f"{name!r} holds {code:g} in {int(wrong.sum()):,} of {count_of(wrong.size, 'row')}, the "
        f"first at index {first}; {reason}. Is it a code for a value that is not known?"
    )


def warn_of_code(
    name: str, values: NDArray[np.number], index: pd.Index, *, what: str = "Outcome column"
) -> None:
    """Warn of a value of an outcome or measure that looks like a code for a missing one.

    Warns
    -----
    OutcomeKPIWarning
        Names the value, how many rows hold it and which comes first.
    """
    found = describe_code(name, values, index)
    if found is not None:
        warnings.warn(
            f"{what} {found} Then make those cells missing; as a number it moves every result.",
            OutcomeKPIWarning,
            stacklevel=2,
        )
