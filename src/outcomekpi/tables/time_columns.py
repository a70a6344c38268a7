"""Columns of times, read alike by every design: numbers, or moments of one time zone."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.tables.columns import count_of, describe_row, holds_numbers, label_text
from outcomekpi.tables.date_order import looks_like_dates
from outcomekpi.tables.faults import fault_error
from outcomekpi.tables.times import TIME_UNITS, TimeUnit, first_day, plain_label, read_time_labels

__all__ = ["TimeColumn", "check_zone", "parse_like", "parse_times", "refuse_unreadable"]

OFFSET = re.compile(r"(?<=\d)\s?(?:Z|[+-]\d{2}(?::?\d{2})?)$")
CLOCK = re.compile(r"\d{1,2}:\d{2}")
DATE = re.compile(r"\d{4}-\d{1,2}(-\d{1,2})?([ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?")
SUMMER_TIME = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TimeColumn:
    """Times as they were read.

    Attributes
    ----------
    values : numbers, or moments without a zone (the first day of what a label names); missing where
        a cell is empty or cannot be read
    unit : of the labels; "number", or "moment" for dates and hours
    """

    values: pd.Series
    unit: TimeUnit | Literal["number", "moment"]

    @property
    def is_number(self) -> bool:
        """Whether times are numbers; years are."""
        return self.unit in ("number", "year")


def check_zone(zone: str | None) -> None:
    """Refuse a time zone that the clock of this machine does not know.

    Raises
    ------
    SpecError
        The name is none of the time-zone database.
    """
    if zone is None:
        return
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError, TypeError) as error:
        raise SpecError(
            f"time_zone must be a name such as 'Europe/Berlin' or 'Asia/Shanghai'; got {zone!r}."
        ) from error


def parse_times(
    column: pd.Series,
    *,
    unit: str | None = None,
    zone: str | None = None,
    option: str | None = "time_unit",
) -> TimeColumn:
    """Read a column of times, all cells in one way.

    Parameters
    ----------
    column : numbers, dates, periods, or text such as "2024-07", "2024Q3", "2024-W05", "2024年1月"
    unit : what labels such as 2024-1 name, where the user said
    zone : whose days count, for times with an offset or a zone
    option : that names the unit, for messages; None where there is none

    Raises
    ------
    CasesError
        Labels that several units fit, times of several places without a zone, times with and
        without an offset.
    """
    index = pd.RangeIndex(len(column))
    if isinstance(column.dtype, pd.PeriodDtype):
        return TimeColumn(values=pd.Series(column.dt.to_timestamp().to_numpy()), unit="moment")
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        if column.dt.tz is not None:
            there = column if zone is None else column.dt.tz_convert(zone)
            column = there.dt.tz_localize(None)
        return TimeColumn(values=pd.Series(column.to_numpy()), unit="moment")
    known = column.notna().to_numpy()
    cells = [label_text(cell) if here else "" for cell, here in zip(column, known, strict=True)]
    text = pd.Series([plain_label(cell) for cell in cells], index=index, dtype=object)
    known = known & (text != "").to_numpy()
    labels = text[known]
    long = bool(len(labels)) and labels.str.fullmatch(r"\d{5,8}").all()
    if not holds_numbers(column) or long or unit is not None:
        found = read_time_labels(
            list(labels.unique()),
            column=column.name,
            option=option,
            unit=unit,
            are_names=False,
        )
        if found is not None:
            return _from_labels(text, found.unit, found.places)
    numbers = pd.to_numeric(text.where(known), errors="coerce")
    if numbers.notna().to_numpy()[known].all():
        return TimeColumn(values=numbers.astype(np.float64), unit="number")
    return TimeColumn(values=_moments(text.where(known), column.name, zone), unit="moment")


def parse_like(column: pd.Series, times: TimeColumn, *, zone: str | None = None) -> TimeColumn:
    """Read starts as the times were read that they belong to: 2023-1 as one of their quarters.

    Parameters
    ----------
    column : starts
    times : the column that they belong to, as it was read
    zone : as for :func:`parse_times`

    Raises
    ------
    CasesError
        As for :func:`parse_times`, where the starts are written in another way than the times.
    """
    if times.unit in TIME_UNITS:
        try:
            return parse_times(column, unit=times.unit, zone=zone)
        except CasesError:
            return parse_times(column, zone=zone)
    return parse_times(column, zone=zone)


def refuse_unreadable(
    column: pd.Series, wrong: NDArray[np.bool_], role: str, *, remedy: str = ""
) -> None:
    """Refuse times that could not be read, in the words of every design.

    Parameters
    ----------
    column : as in the table
    wrong : (row,), cells whose order cannot be told
    role : what the column is
    remedy : what else may be done, in a sentence

    Raises
    ------
    CasesError
        At least one cell is wrong; where day and month may be swapped, says how to declare them.
    """
    if not wrong.any():
        return
    numbers = pd.to_numeric(column.astype(object), errors="coerce").notna().to_numpy()
    if (wrong & ~numbers).any():  # one word among numbers spoils them all: name the word
        wrong = wrong & ~numbers
    example = column.to_numpy()[int(wrong.argmax())]
    swapped = isinstance(example, str) and looks_like_dates(example)
    raise fault_error(
        "unreadable-time",
        f"Column {column.name!r} ({role}) must hold finite numbers, dates or text such as "
        f"'2024-07', '2024-07-31', '2024Q3' or '2024-W05'. {describe_row(column.index, wrong)}, "
        f"which holds {example!r}: the order of such labels cannot be told. "
        + (
            "Day and month may be swapped: say their order when the file is read, dates='dmy' or "
            "dates='mdy'."
            if swapped
            else "Number the periods, or write them as dates."
        )
        + (f" {remedy}" if remedy else ""),
        column=column.name,
        first_row=column.index[int(wrong.argmax())],
        count=int(wrong.sum()),
    )


def _from_labels(text: pd.Series, unit: TimeUnit, places: dict[str, int]) -> TimeColumn:
    if unit == "year":
        return TimeColumn(values=text.map(places).astype(np.float64), unit=unit)
    days = {label: pd.Timestamp(first_day(unit, place)) for label, place in places.items()}
    return TimeColumn(values=pd.to_datetime(text.map(days)), unit=unit)


def _moments(text: pd.Series, name: object, zone: str | None) -> pd.Series:
    offsets = text.str.extract(f"({OFFSET.pattern})", expand=False)
    offsets = offsets.where(text.str.contains(CLOCK, na=False))
    with_offset = offsets.notna()
    if not with_offset.any():
        plain = text.where(text.str.fullmatch(DATE, na=False))
        return pd.Series(pd.to_datetime(plain, errors="coerce", format="ISO8601"))
    if (with_offset != text.notna()).any():
        bare = int((text.notna() & ~with_offset).sum())
        raise CasesError(
            f"Column {name!r} holds times with an offset from UTC, and {count_of(bare, 'time')} "
            "without: which day those belong to cannot be told. Write all of them with it."
        )
    if zone is not None:
        moments = pd.to_datetime(text, errors="coerce", format="ISO8601", utc=True)
        return pd.Series(moments.dt.tz_convert(zone).dt.tz_localize(None))
    _check_one_place(offsets, name)
    local = text.str.replace(OFFSET, "", regex=True)
    return pd.Series(pd.to_datetime(local, errors="coerce", format="ISO8601"))


def _check_one_place(offsets: pd.Series, name: object) -> None:
    """Refuse offsets that differ by more than summer time: several places, or clocks set to UTC."""
    seen = offsets.dropna().str.strip().replace("Z", "+00:00").unique()
    shifts = sorted(_shift(offset) for offset in seen)
    if shifts[-1] - shifts[0] > SUMMER_TIME:
        raise CasesError(
            f"Times of column {name!r} have offsets from UTC between {shifts[0]} and {shifts[-1]}: "
            "a day of one is not the day of another. Pass time_zone=, such as "
            "time_zone='Europe/Berlin', to say whose days count."
        )


def _shift(offset: str) -> timedelta:
    digits = offset[1:].replace(":", "").ljust(4, "0")
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -size if offset[0] == "-" else size
