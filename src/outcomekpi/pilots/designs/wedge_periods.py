"""Every period from the first to the last, also those in which no cluster has a row."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError

__all__ = ["fill_periods"]

Floats = NDArray[np.float64]
MOST_PER_ROW = 3
"""More periods than this for each one with rows are no periods but moments."""


def fill_periods(seen: pd.Index, column: object) -> pd.Index:
    """Put in the periods without rows, which pass all the same.

    Parameters
    ----------
    seen : numbers or dates in order, each once
    column : name of the column, for messages

    Raises
    ------
    CasesError
        The times lie on no even grid, or most of its periods have no row.

    Notes
    -----
    The step is the largest that all distances are multiples of: whole numbers, months (where all
    dates are on one day of the month, or on the last) or days; the smallest distance for numbers
    that are not whole.
    """
    if len(seen) < 2:
        return seen
    is_date = not pd.api.types.is_numeric_dtype(seen)
    dates = pd.DatetimeIndex(seen) if is_date else None
    in_months = dates is not None and (dates.day.nunique() == 1 or bool(dates.is_month_end.all()))
    if dates is None:
        values = np.asarray(seen, dtype=np.float64)
    elif in_months:
        values = (dates.year * 12 + dates.month).to_numpy(dtype=np.float64)
    else:
        values = np.asarray((dates - dates[0]) / pd.Timedelta(days=1), dtype=np.float64)
    step = _step(values)
    place = (values - values[0]) / step
    count = round(float(place[-1])) + 1
    if dates is None and count != len(seen):
        _refuse_codes(values, column)
    if np.abs(place - np.round(place)).max() > 1e-6 or count > MOST_PER_ROW * len(seen):
        gaps = np.diff(values)
        raise CasesError(
            f"Column {column!r} (time) must hold evenly spaced periods: the distances of its "
            f"{len(seen):,} times run from {gaps.min():g} to {gaps.max():g}, so that how long a "
            "cluster has had the program cannot be counted in periods. Give each row the number or "
            "first day of its period."
        )
    if count == len(seen):
        return seen
    full = np.round(place).astype(np.intp)
    if dates is None:
        labels = values[0] + step * np.arange(count)
        labels[full] = values
        renamed: pd.Index = pd.Index(labels)
        return renamed
    if in_months:
        ends = bool(dates.is_month_end.all())
        moved = [_later(dates[0], round(step) * one, ends=ends) for one in range(count)]
    else:
        moved = [dates[0] + pd.Timedelta(days=step * one) for one in range(count)]
    for one, date in zip(full, dates, strict=True):
        moved[one] = date
    return pd.DatetimeIndex(moved)


def _later(first: pd.Timestamp, months: int, *, ends: bool) -> pd.Timestamp:
    return first + (pd.offsets.MonthEnd(months) if ends else pd.DateOffset(months=months))


def _refuse_codes(values: Floats, column: object) -> None:
    """Refuse numbers such as 20244 and 202401, between which no period is missing."""
    for base, most, words in ((10, 4, "year and quarter"), (100, 12, "year and month")):
        year, part = np.divmod(values, base)
        looks = (year >= 1900) & (year <= 2100) & (part >= 1) & (part <= most) & (part % 1 == 0)
        if looks.all():
            raise CasesError(
                f"Column {column!r} (time) holds numbers that look like {words}, such as "
                f"{values[0]:.0f}: their distances are not those of the periods. Write them as "
                "2024Q1 or 2024-01, or number the periods 1, 2, 3, ..."
            )


def _step(values: Floats) -> float:
    gaps = np.diff(values)
    if (np.abs(gaps - np.round(gaps)) < 1e-9).all():
        return float(np.gcd.reduce(np.round(gaps).astype(np.int64)))
    return float(gaps.min())
