"""Times of a series: numbers, dates or labels, put in order, with what is missing named."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.columns import count_of, describe_row, holds_numbers, holds_text, list_values
from outcomekpi.errors import CasesError

__all__ = ["SeriesTimes", "name_gaps", "read_times"]

YEAR_MONTH = (190001, 210012)
DATE_TEXT = re.compile(r"\d{4}-\d{1,2}(-\d{1,2})?([ T]\d{2}:\d{2}(:\d{2})?)?")
QUARTER_TEXT = re.compile(r"\d{4}[- ]?Q[1-4]", flags=re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesTimes:
    """Evenly spaced times in order, whether or not the table has a row for each.

    Attributes
    ----------
    labels : (time,), numbers or dates of every time from the first to the last
    row : (time,), position of the row in the table; -1 where there is none
    start : position of the first time with the program
    others : positions of the first times with something else
    step : what separates neighbors, in words
    was_sorted : whether the rows of the table were in the order of time
    """

    labels: pd.Index
    row: NDArray[np.intp]
    start: int
    others: tuple[int, ...]
    step: str
    was_sorted: bool


def read_times(column: pd.Series, start: object, others: Sequence[object] = ()) -> SeriesTimes:
    """Order the times, find the start among them and every time without a row.

    Parameters
    ----------
    column : numbers, dates, or text that is a number, a date, a month or a quarter
    start : first time with the program, as in the column
    others : first times with something else, as in the column

    Raises
    ------
    CasesError
        Times missing, repeated, unreadable or unevenly spaced; start unreadable or outside.
    """
    values = _read(column, column.name, column.index)
    _check_repeated(values, column)
    starts = [_read_start(one, values, column) for one in (start, *others)]
    position, step, unit = _positions(values, column.name)
    place = np.round(position).astype(np.intp)
    order = np.argsort(place)
    row = np.full(int(place.max()) + 1, -1, dtype=np.intp)
    row[place] = np.arange(place.size)
    at = [float(_scale(one, values, unit)[0]) / step for one in starts]
    _check_start(at[0], row.size, start, column, values)
    for place_of, one in zip(at[1:], others, strict=True):
        _check_other(place_of, row.size, one, column, values)
    return SeriesTimes(
        labels=_labels(values, row, step, unit),
        row=row,
        start=int(np.ceil(at[0] - 1e-9)),
        others=tuple(int(np.ceil(one - 1e-9)) for one in at[1:]),
        step=_spell_step(step, unit),
        was_sorted=bool((np.diff(order) > 0).all()),
    )


def _read_start(start: object, values: pd.Series, column: pd.Series) -> pd.Series:
    first = _read(pd.Series([start], dtype=object), "start", pd.Index(["start"]))
    if pd.api.types.is_numeric_dtype(values) != pd.api.types.is_numeric_dtype(first):
        kind = "numbers" if pd.api.types.is_numeric_dtype(values) else "dates"
        raise CasesError(
            f"Times of column {column.name!r} are {kind}; start={start!r} is not. "
            "Give start as in that column."
        )
    return first


def _read(column: pd.Series, name: object, index: pd.Index) -> pd.Series:
    missing = column.isna().to_numpy()
    if missing.any():
        raise CasesError(
            f"Column {name!r} (time) must hold a time in each row. "
            f"{describe_row(index, missing)}. Correct the table."
        )
    if isinstance(column.dtype, pd.PeriodDtype):
        return pd.Series(column.dt.to_timestamp())
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return pd.Series(column.dt.tz_localize(None))
    if holds_numbers(column):
        return _check_numbers(pd.Series(column.to_numpy(dtype=np.float64)), name, index)
    if holds_text(column):
        return _read_text(column.astype(str).str.strip(), name, index)
    try:
        return pd.Series(pd.to_datetime(column.astype(object).to_numpy()))
    except (TypeError, ValueError) as error:
        raise CasesError(
            f"Column {name!r} (time) must hold numbers or dates; its cells hold "
            f"{type(column.iloc[0]).__name__} objects. Turn them into dates."
        ) from error


def _read_text(text: pd.Series, name: object, index: pd.Index) -> pd.Series:
    numbers = pd.to_numeric(text, errors="coerce")
    if numbers.notna().all():
        return _check_numbers(pd.Series(numbers.to_numpy(dtype=np.float64)), name, index)
    if text.str.fullmatch(QUARTER_TEXT).all():
        quarters = text.str.replace("[- ]", "", regex=True).str.upper()
        return pd.Series(pd.PeriodIndex(quarters, freq="Q").to_timestamp())
    dates = pd.to_datetime(
        text.where(text.str.fullmatch(DATE_TEXT)), errors="coerce", format="ISO8601"
    )
    wrong = dates.isna().to_numpy()
    if wrong.any():
        example = text.to_numpy()[wrong.argmax()]
        raise CasesError(
            f"Column {name!r} (time) must hold numbers, dates or text such as '2024-07', "
            f"'2024-07-31' or '2024Q3'. {describe_row(index, wrong)}, which holds {example!r}: "
            "the order of such labels cannot be told. Number the periods, or write them as dates."
        )
    return pd.Series(dates.to_numpy())


def _check_numbers(numbers: pd.Series, name: object, index: pd.Index) -> pd.Series:
    wrong = ~np.isfinite(numbers.to_numpy())
    if wrong.any():
        raise CasesError(
            f"Column {name!r} (time) must hold finite numbers. {describe_row(index, wrong)}."
        )
    values = numbers.to_numpy()
    looks = (values >= YEAR_MONTH[0]) & (values <= YEAR_MONTH[1]) & (values % 100 <= 12)
    if looks.all() and (values % 100 >= 1).all() and (values % 1 == 0).all():
        raise CasesError(
            f"Column {name!r} (time) holds numbers that look like year and month, such as "
            f"{int(values[0])}: their distances are not those of the months. "
            "Turn them into dates, such as '2024-07'."
        )
    return numbers


def _check_repeated(values: pd.Series, column: pd.Series) -> None:
    repeated = values.duplicated(keep=False).to_numpy()
    if repeated.any():
        times = column.to_numpy()[repeated]
        raise CasesError(
            f"A series has one row for each time; {count_of(len(set(times)), 'time')} in column "
            f"{column.name!r} have several, the first {times[0]!s} (index "
            f"{column.index[int(repeated.argmax())]!s}). Add up the rows of a time (events and "
            "trials or exposure), or choose one unit; with several units use "
            "DifferenceInDifferences, with patients BeforeAfter."
        )


def _positions(values: pd.Series, name: object) -> tuple[NDArray[np.float64], float, str]:
    """Positions of times in steps from the first, the step, and its unit."""
    unit = "number"
    if not pd.api.types.is_numeric_dtype(values):
        same_day = values.dt.day.nunique() == 1 or bool(values.dt.is_month_end.all())
        at_midnight = bool((values.dt.normalize() == values).all())
        unit = "month" if same_day and at_midnight and len(values) > 1 else "day"
    raw = _scale(values, values, unit)
    gaps = np.diff(np.sort(raw))
    if not gaps.size:
        raise CasesError(f"A series needs several times; column {name!r} (time) holds one.")
    whole = (np.abs(gaps - np.round(gaps)) < 1e-9).all()
    step = float(np.gcd.reduce(np.round(gaps).astype(np.int64))) if whole else float(gaps.min())
    position = raw / step
    if np.abs(position - np.round(position)).max() > 1e-3:
        raise CasesError(
            f"Times of column {name!r} must be evenly spaced; their distances run from "
            f"{gaps.min():g} to {gaps.max():g}. Number the periods 1, 2, 3, ..."
        )
    if position.max() > 50 * len(raw):
        raise CasesError(
            f"Times of column {name!r} must be evenly spaced: {len(raw):,} rows spread over "
            f"{int(position.max()) + 1:,} periods of the shortest distance. "
            "Number the periods 1, 2, 3, ..."
        )
    return position, step, unit


def _scale(times: pd.Series, all_times: pd.Series, unit: str) -> NDArray[np.float64]:
    """Distance from the first of all times, in numbers, months or days."""
    if unit == "number":
        return times.to_numpy(dtype=np.float64) - float(all_times.min())
    if unit == "day":
        return np.asarray((times - all_times.min()).dt.total_seconds() / 86400.0)
    anchor = all_times.min()
    months = (times.dt.year - anchor.year) * 12 + times.dt.month - anchor.month
    within = (times.dt.day - 1) / 31.0 if all_times.dt.day.eq(1).all() else 0.0
    return np.asarray(months + within, dtype=np.float64)


def _check_start(
    at: float, count: int, start: object, column: pd.Series, values: pd.Series
) -> None:
    if at > count - 1 or at <= 0:
        side = "after" if at > count - 1 else "before"
        word = "the last" if side == "after" else "or at the first"
        first, last = _show(values.min()), _show(values.max())
        raise CasesError(
            f"start={start!r} lies {side} {word} time of column {column.name!r}, which runs from "
            f"{first} to {last}: there is no period {side} the program. An interrupted series "
            "needs both; with two periods alone, BeforeAfter or PublishedAggregates says what "
            "can be said."
        )


def _check_other(
    at: float, count: int, start: object, column: pd.Series, values: pd.Series
) -> None:
    if at > count - 1 or at <= 0:
        raise CasesError(
            f"Another interruption at {start!r} must lie within column {column.name!r}, which runs "
            f"from {_show(values.min())} to {_show(values.max())}, after its first time. Leave it "
            "out: outside the data it changes nothing in them."
        )


def _show(value: object) -> str:
    return f"{value:%Y-%m-%d}" if isinstance(value, pd.Timestamp) else f"{value:g}"


def _labels(values: pd.Series, row: NDArray[np.intp], step: float, unit: str) -> pd.Index:
    first = values.min()
    if unit == "number":
        return pd.Index(np.asarray(first + step * np.arange(row.size)))
    if unit == "month":
        months = [first + pd.DateOffset(months=round(step) * k) for k in range(row.size)]
        return pd.DatetimeIndex(months)
    return pd.DatetimeIndex([first + pd.Timedelta(days=step * k) for k in range(row.size)])


def _spell_step(step: float, unit: str) -> str:
    names = {("month", 1): "month", ("month", 3): "quarter", ("month", 12): "year"}
    names |= {("day", 1): "day", ("day", 7): "week"}
    if unit == "number":
        return "period"
    return names.get((unit, round(step)), f"{step:g} {unit}s")


def name_gaps(times: SeriesTimes) -> str:
    """Write the times without a row, the first of them."""
    return list_values([_show(label) for label in times.labels[times.row < 0]])
