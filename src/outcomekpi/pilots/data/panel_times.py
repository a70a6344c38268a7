"""Times of a panel and the first time with the program, as positions on one even grid."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError
from outcomekpi.tables.columns import holds_numbers, holds_text, list_values
from outcomekpi.tables.faults import refuse_rows
from outcomekpi.tables.labels import fold_label
from outcomekpi.tables.time_columns import parse_like, parse_times, refuse_unreadable

__all__ = ["PanelTimes", "find_never", "read_panel_times"]

NEVER = ("", "never", "none", "nan", "nat", "not applicable", "n/a", "不适用", "从未", "未实施")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PanelTimes:
    """Positions of times and starts, from 1.

    Attributes
    ----------
    labels : (time,), how each time is written, in order
    time : (row,), position of each row's time
    start : (row,), position of the first time with the program; 0 for never
    selected : positions of the times by which units were chosen
    """

    labels: tuple[str, ...]
    time: NDArray[np.intp]
    start: NDArray[np.intp]
    selected: tuple[int, ...] = ()


def read_panel_times(
    time: pd.Series, start: pd.Series, *, selected: tuple[object, ...] = ()
) -> PanelTimes:
    """Put times and starts on one grid.

    Parameters
    ----------
    time : numbers, dates, or text that is a number, a date or a quarter
    start : the same; empty or "never" where the program never came, or 0 where that is no time
    selected : times by which units were chosen, as in ``time``

    Raises
    ------
    CasesError
        Times missing, unreadable or unevenly spaced; a start outside the data or between times; a
        0 that may be a time or "never"; a selecting time that is not in the data.
    """
    refuse_rows(
        time.isna().to_numpy(),
        time.index,
        column=str(time.name),
        role="time",
        wanted="hold a time in each row",
        code="empty-cell",
    )
    never = find_never(start, time)
    known = start[~never]
    named = pd.Series(list(selected), dtype=object, name="selected_in")
    values, starts, chosen = _read(time, known, named)
    grid = np.unique(values)
    if grid.size < 2:
        raise CasesError(
            f"Difference in differences needs several times; column {time.name!r} (time) holds one."
        )
    _check_even(grid, time.name)
    labels = tuple(_labels(time, values, grid))
    _check_inside(starts, grid, known, labels)
    position = np.zeros(len(time), dtype=np.intp)
    position[~never] = np.searchsorted(grid, starts) + 1
    _check_selected(chosen, grid, selected, labels)
    return PanelTimes(
        labels=labels,
        time=np.searchsorted(grid, values) + 1,
        start=position,
        selected=tuple(int(one) + 1 for one in np.unique(np.searchsorted(grid, chosen))),
    )


def find_never(start: pd.Series, time: pd.Series) -> NDArray[np.bool_]:
    """Where the program never came: no start, the word never, or 0 where 0 is no time.

    Parameters
    ----------
    start : (row,), first time with the program
    time : times of the data, of any length

    Raises
    ------
    CasesError
        Starts of 0 and none that are empty, in data whose times run across 0: both readings are
        possible, and they compare other units.
    """
    empty = start.isna().to_numpy()
    zero = np.zeros(len(start), dtype=np.bool_)
    if holds_numbers(start):
        zero = (start.astype(float).fillna(1.0) == 0).to_numpy()
    elif holds_text(start):
        texts = start.astype(object).where(~start.isna(), "").astype(str).map(fold_label)
        empty = empty | texts.isin(NEVER).to_numpy()
        zero = (pd.to_numeric(texts, errors="coerce") == 0).to_numpy()
    numbers = pd.to_numeric(time.astype(str).str.strip(), errors="coerce")
    if not zero.any() or not (numbers.min() <= 0 <= numbers.max()):
        return np.asarray(empty | zero)
    if not empty.any():
        raise CasesError(
            f"Column {start.name!r} (start) holds 0 in {int(zero.sum()):,} rows, the times of "
            f"column {time.name!r} run from {numbers.min():g} to {numbers.max():g}, and no start "
            "is empty: 0 may be that time, or mean never. Leave start empty where the program "
            "never came; or number the periods 1, 2, 3, ..."
        )
    return np.asarray(empty)


def _read(
    time: pd.Series, start: pd.Series, selected: pd.Series
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Read times, starts and selecting times as numbers: as they are, as months or as days."""
    found = parse_times(time, option=None)
    refuse_unreadable(time, found.values.isna().to_numpy(), "time")
    columns = [found.values]
    for column, role in ((start, "start"), (selected, "selected_in")):
        own = parse_like(column, found) if len(column) else found
        wrong = own.values.isna().to_numpy()
        if len(column):
            refuse_unreadable(column, wrong, role)
        if own.is_number != found.is_number:
            raise CasesError(
                f"Columns {time.name!r} (time) and {column.name!r} ({role}) must be of one kind, "
                f"numbers or dates; they hold {time.iloc[0]!r} and {column.iloc[0]!r}. Write both "
                "in one way."
            )
        columns.append(own.values if len(column) else own.values[:0])
    if found.is_number:
        first, second, third = (one.to_numpy(dtype=np.float64) for one in columns)
        return first, second, third
    stamps = pd.DatetimeIndex(pd.concat(columns))
    ends = np.cumsum([len(one) for one in columns])[:2]
    if (stamps.day == 1).all() or stamps.is_month_end.all():
        places = (stamps.year * 12 + stamps.month).to_numpy(dtype=np.float64)
    else:
        places = np.asarray((stamps - stamps.min()).days, dtype=np.float64)
    first, second, third = np.split(places, ends)
    return first, second, third


def _check_even(grid: NDArray[np.float64], name: object) -> None:
    gaps = np.diff(grid)
    if np.abs(gaps - gaps[0]).max() > 1e-6 * gaps[0]:
        raise CasesError(
            f"Times of column {name!r} (time) must be evenly spaced: their distances run from "
            f"{gaps.min():g} to {gaps.max():g}, so that a whole period has no row or the periods "
            "differ in length. Add the period, or number the periods 1, 2, 3, ..."
        )


def _labels(time: pd.Series, values: NDArray[np.float64], grid: NDArray[np.float64]) -> list[str]:
    first = pd.Series(time.to_numpy(dtype=object)).groupby(values).first()
    return [_spell(first.loc[value]) for value in grid]


def _spell(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).removesuffix(" 00:00:00")


def _check_inside(
    starts: NDArray[np.float64],
    grid: NDArray[np.float64],
    known: pd.Series,
    labels: tuple[str, ...],
) -> None:
    outside = (starts > grid[-1]) | (starts < grid[0])
    if outside.any():
        late = list_values(pd.unique(known[outside].astype(object)))
        raise CasesError(
            f"Column {known.name!r} (start) must lie within the data, which run from {labels[0]} "
            f"to {labels[-1]}. {int(outside.sum()):,} rows do not: {late}. Leave start empty for "
            "units that the program did not reach in the data; leave out units whose start lies "
            "before the data, since nothing shows them without the program."
        )
    between = ~np.isin(starts, grid)
    if between.any():
        odd = list_values(pd.unique(known[between].astype(object)))
        raise CasesError(
            f"Column {known.name!r} (start) must hold the first time with the program, one of the "
            f"times in the data. {int(between.sum()):,} rows do not: {odd}. Round them up to the "
            "next time."
        )


def _check_selected(
    chosen: NDArray[np.float64],
    grid: NDArray[np.float64],
    selected: tuple[object, ...],
    labels: tuple[str, ...],
) -> None:
    absent = ~np.isin(chosen, grid)
    if absent.any():
        names = list_values(
            one for one, is_absent in zip(selected, absent, strict=True) if is_absent
        )
        raise CasesError(
            f"selected_in must name times in the data, which run from {labels[0]} to "
            f"{labels[-1]}; {names} is none of them."
        )
