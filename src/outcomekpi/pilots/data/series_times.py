"""Times of a series: numbers, dates or labels, put in order, with what is missing named."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError
from outcomekpi.tables.columns import count_of, list_values
from outcomekpi.tables.faults import refuse_rows
from outcomekpi.tables.time_columns import (
    TimeColumn,
    parse_times,
    refuse_unreadable,
)
from outcomekpi.tables.times import TIME_UNITS

__all__ = ["SeriesTimes", "name_gaps", "read_times"]


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


def read_times(
    column: pd.Series,
    start: object,
    others: Sequence[object] = (),
    *,
    unit: str | None = None,
    zone: str | None = None,
) -> SeriesTimes:
    """Order the times, find the start among them and every time without a row.

    Parameters
    ----------
    column : numbers, dates, or text that is a number, a date, a month or a quarter
    start : first time with the program, as in the column
    others : first times with something else, as in the column
    unit : what labels such as 2024-1 name, where the user said
    zone : whose days count, for times with an offset or a zone

    Raises
    ------
    CasesError
        Times missing, repeated, unreadable or unevenly spaced; start unreadable or outside.
    """
    times = _read(column, unit=unit, zone=zone)
    values = times.values
    _check_repeated(values, column)
    starts = [_read_start(one, times, column, unit, zone) for one in (start, *others)]
    position, step, scale = _positions(values, column.name)
    place = np.round(position).astype(np.intp)
    order = np.argsort(place)
    row = np.full(int(place.max()) + 1, -1, dtype=np.intp)
    row[place] = np.arange(place.size)
    at = [float(_scale(one, values, scale)[0]) / step for one in starts]
    _check_start(at[0], row.size, start, column, values)
    for place_of, one in zip(at[1:], others, strict=True):
        _check_other(place_of, row.size, one, column, values)
    return SeriesTimes(
        labels=_labels(values, row, step, scale),
        row=row,
        start=int(np.ceil(at[0] - 1e-9)),
        others=tuple(int(np.ceil(one - 1e-9)) for one in at[1:]),
        step="year" if times.unit == "year" and step == 1 else _spell_step(step, scale),
        was_sorted=bool((np.diff(order) > 0).all()),
    )


def _read_start(
    start: object, times: TimeColumn, column: pd.Series, unit: str | None, zone: str | None
) -> pd.Series:
    """Read a start as the column was read: 2023-1 is a quarter where the column holds quarters."""
    cell = pd.Series([start], dtype=object, name=column.name)
    shared = times.unit if times.unit in TIME_UNITS else unit
    try:
        first = parse_times(cell, unit=shared, zone=zone)
    except CasesError:
        first = parse_times(cell, zone=zone)
    if first.values.isna().any() or first.is_number != times.is_number:
        kind = "numbers" if times.is_number else "dates"
        raise CasesError(
            f"Times of column {column.name!r} are {kind}, such as {column.iloc[0]!s}; "
            f"start={start!r} is not. Give start as in that column."
        )
    return first.values


def _read(column: pd.Series, *, unit: str | None, zone: str | None) -> TimeColumn:
    refuse_rows(
        column.isna().to_numpy(),
        column.index,
        column=str(column.name),
        role="time",
        wanted="hold a time in each row",
        code="empty-cell",
    )
    found = parse_times(column, unit=unit, zone=zone)
    wrong = found.values.isna().to_numpy()
    if found.is_number:
        wrong = ~np.isfinite(found.values.to_numpy(dtype=np.float64))
    refuse_unreadable(column, wrong, "time")
    return found


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
