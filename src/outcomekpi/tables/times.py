"""Labels of times, read alike by every command: years, quarters, months, weeks, days."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from math import gcd
from typing import Literal

from outcomekpi.declare.errors import CasesError, check_choice
from outcomekpi.tables.columns import list_values

__all__ = [
    "TIME_UNITS",
    "TimeLabels",
    "TimeUnit",
    "first_day",
    "name_time",
    "plain_label",
    "read_time_labels",
]

TimeUnit = Literal["year", "half-year", "quarter", "month", "week", "day"]
TIME_UNITS: tuple[TimeUnit, ...] = ("year", "half-year", "quarter", "month", "week", "day")
PER_YEAR = {"year": 1, "half-year": 2, "quarter": 4, "month": 12}

YEAR = r"((?:19|20)\d{2})"
PARTS = {"上": 1, "下": 2, "一": 1, "二": 2, "三": 3, "四": 4}
# how labels are written whose unit is in them
WRITTEN: tuple[tuple[TimeUnit, str], ...] = (
    ("year", YEAR + r"(?:年度?)?"),
    ("year", YEAR + r"[-/–](?:(?:19|20)?\d{2})(?:年度?)?"),
    ("half-year", YEAR + r"(?:[-/ ]?[Hh]([12])|年?([上下])半年)"),
    ("quarter", YEAR + r"(?:[-/ ]?[Qq]([1-4])|年?第?([1-4一二三四])季度?)"),
    ("month", YEAR + r"(?:[-/]?(0[1-9]|1[0-2])|年(0?[1-9]|1[0-2])月)"),
    ("week", YEAR + r"(?:[-/ ]?[Ww](\d{1,2})|年?第?(\d{1,2})周)"),
    (
        "day",
        YEAR + r"(?:(\d{2})(\d{2})|[-/.](\d{1,2})[-/.](\d{1,2})(?:[ T]00:00(?::00)?)?"
        r"|年(\d{1,2})月(\d{1,2})日)",
    ),
)
# 2024-1 and 20241: a half-year, a quarter or a month
BARE_PART = YEAR + r"[-/ ]?([1-9]|1[0-2])"
BARE_UNITS: tuple[tuple[TimeUnit, int], ...] = (("month", 12), ("quarter", 4), ("half-year", 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLabels:
    """Labels in one reading of the calendar.

    Attributes
    ----------
    unit : of the labels
    places : label -> number of its unit: years, half-years, quarters and months since year 0, weeks
        and days since the year 1
    step : units from one label to the next, where none is missing
    certain : False where other units would give the same order and the same gaps
    """

    unit: TimeUnit
    places: dict[str, int]
    step: int
    certain: bool

    @property
    def missing(self) -> list[int]:
        """Places between the first and the last that no label has."""
        own = set(self.places.values())
        return [place for place in range(min(own), max(own), self.step) if place not in own]


def plain_label(text: str) -> str:
    """Write a label with plain digits and without blanks around it.

    Examples
    --------
    >>> plain_label(" ２０２４Ｑ１ ")
    '2024Q1'
    """
    return unicodedata.normalize("NFKC", text).strip()


def read_time_labels(
    labels: Sequence[str],
    *,
    column: object,
    option: str | None,
    unit: str | None = None,
    are_names: bool = True,
) -> TimeLabels | None:
    """Read labels as years, half-years, quarters, months, weeks or days: all of them in one way.

    Parameters
    ----------
    labels : distinct
    column : they stand in, for messages
    option : that names the unit, for messages; None where there is none
    unit : the unit, where the user said; None to find it
    are_names : labels name periods: each another one, and a date may stand for its month; False
        where they are moments, whose days count

    Returns
    -------
    None where the labels are written in no such way, or two of them are the same time

    Raises
    ------
    CasesError
        Several units fit, with other gaps or another order; or the unit that was said does not fit.

    Notes
    -----
    ``2023-1`` may be a half-year, a quarter or a month, ``2011-12`` a December or a year from one
    to the next. The whole column decides: a 12 is no quarter, a ``2012-13`` no month. Where several
    units are left, they must agree on what follows what.

    Examples
    --------
    >>> read_time_labels(["2023Q4", "2024Q2"], column="cycle", option="unit").missing
    [8096]
    """
    plain = {label: plain_label(label) for label in labels}
    if unit is not None:
        check_choice(option or "unit", unit, TIME_UNITS)
    found = _candidates(plain, are_names)
    if unit is not None:
        fitting = [one for one in found if one.unit == unit]
        if not fitting:
            other = f"; they can be read as {_spell_units(found)}" if found else ""
            raise CasesError(
                f"Labels of column {column!r} cannot be read as {unit}s ({option}={unit!r}): "
                f"{list_values(labels)}{other}."
            )
        return fitting[0]
    if not found:
        return None
    shapes = {_shape(one) for one in found} | _running_number(list(plain.values()))
    if len(shapes) > 1:
        raise CasesError(
            f"Labels of column {column!r} can be read as {_spell_units(found)}, which differ in "
            f"what follows what: {list_values(labels)}. "
            + ("" if option is None else f"Say which, {option}={found[-1].unit!r}, or write ")
            + ("Write " if option is None else "")
            + "them as 2024Q1, 2024-01 or 2024H1."
        )
    first = found[0]
    return TimeLabels(
        unit=first.unit, places=first.places, step=first.step, certain=len(found) == 1
    )


def name_time(unit: TimeUnit, place: int, *, certain: bool = True) -> str:
    """Write a place of the calendar: 2024, 2024H1, 2024Q1, 2024-01, 2024-W01, 2024-01-05.

    Parameters
    ----------
    unit : of the place
    place : as in :class:`TimeLabels`
    certain : False writes the number of the part alone: 2024-1
    """
    if unit == "day":
        return date.fromordinal(place).isoformat()
    if unit == "week":
        year, week, _ = date.fromordinal(7 * place + 1).isocalendar()
        return f"{year}-W{week:02d}"
    year, part = divmod(place, PER_YEAR[unit])
    if unit == "year":
        return str(year)
    if not certain:
        return f"{year}-{part + 1}"
    return {"half-year": f"{year}H{part + 1}", "quarter": f"{year}Q{part + 1}"}.get(
        unit, f"{year}-{part + 1:02d}"
    )


def first_day(unit: TimeUnit, place: int) -> date:
    """Return the first day of a place of the calendar.

    Parameters
    ----------
    unit, place : as in :class:`TimeLabels`
    """
    if unit == "day":
        return date.fromordinal(place)
    if unit == "week":
        return date.fromordinal(7 * place + 1)
    year, part = divmod(place, PER_YEAR[unit])
    return date(year, part * (12 // PER_YEAR[unit]) + 1, 1)


def _candidates(plain: dict[str, str], are_names: bool) -> list[TimeLabels]:
    found: dict[TimeUnit, TimeLabels] = {}
    for unit, pattern in WRITTEN:
        matches = {label: re.fullmatch(pattern, text) for label, text in plain.items()}
        places = {label: _place(unit, match) for label, match in matches.items() if match}
        _add(found, unit, places, len(plain), are_names)
    bare = {label: re.fullmatch(BARE_PART, text) for label, text in plain.items()}
    parts = {label: (int(match[1]), int(match[2])) for label, match in bare.items() if match}
    if len(parts) == len(plain):
        largest = max((part for _, part in parts.values()), default=0)
        for unit, count in BARE_UNITS:
            if largest <= count:
                places = {label: year * count + part - 1 for label, (year, part) in parts.items()}
                _add(found, unit, places, len(plain), are_names)
    return [_as_months(one) if are_names else one for one in found.values()]


def _add(
    found: dict[TimeUnit, TimeLabels],
    unit: TimeUnit,
    places: dict[str, int | None],
    count: int,
    are_names: bool,
) -> None:
    own = {label: place for label, place in places.items() if place is not None}
    apart = sorted(set(own.values()))
    if unit not in found and len(own) == count and (len(apart) == count or not are_names):
        step = _step(unit, apart)
        found[unit] = TimeLabels(unit=unit, places=own, step=step, certain=True)


def _place(unit: TimeUnit, match: re.Match[str]) -> int | None:
    year = int(match[1])
    parts = [text for text in match.groups()[1:] if text]
    try:
        if unit == "day":
            return date(year, int(parts[0]), int(parts[1])).toordinal()
        if unit == "week":
            return (date.fromisocalendar(year, int(parts[0]), 1).toordinal() - 1) // 7
    except ValueError:
        return None
    if unit == "year":
        apart = match.string.rstrip("年度")[4:]
        goes_on = not apart or int(apart[-2:]) == (year + 1) % 100
        return year if goes_on and (len(apart) < 5 or int(apart[-4:]) == year + 1) else None
    number = (PARTS.get(parts[0]) or int(parts[0])) - 1
    return year * PER_YEAR[unit] + number


def _step(unit: TimeUnit, places: list[int]) -> int:
    """Units between neighbors: more than 1 only where the labels show it.

    A period may be named after its first or last month, or by a day of it: whole years apart, or in
    at least three labels half-years, quarters or a number of weeks. Two labels three months apart
    may as well have a hole between them.
    """
    steps = [after - before for before, after in pairwise(places)]
    common, enough = gcd(*steps), len(places) > 2
    if unit in ("half-year", "quarter", "month"):
        whole = PER_YEAR[unit]
        if common and common % whole == 0:
            return whole
        parts = (6, 3) if unit == "month" and enough else ()
        return next((part for part in parts if common and common % part == 0), 1)
    if unit == "day" and common and common % 7 == 0:
        return common if enough else 7
    return common if unit == "week" and enough and len(set(steps)) == 1 else 1


def _as_months(found: TimeLabels) -> TimeLabels:
    """Take dates as months where each is the same day of another month, or the last one.

    Dates that come in weeks stay days. Other dates of different months name their month.
    """
    if found.unit != "day" or len(found.places) < 2:
        return found
    days = {label: date.fromordinal(place) for label, place in found.places.items()}
    months = {label: day.year * 12 + day.month - 1 for label, day in days.items()}
    apart = len(set(months.values())) == len(months)
    last = all((day + timedelta(days=1)).day == 1 for day in days.values())
    alike = len({day.day for day in days.values()}) == 1 or last
    weekly = found.step % 7 == 0
    if not apart or (weekly and not alike):
        return found
    step = _step("month", sorted(months.values()))
    return TimeLabels(unit="month", places=months, step=step, certain=True)


def _shape(found: TimeLabels) -> tuple[tuple[str, int], ...]:
    """Labels with their distances from the first, in steps."""
    first = min(found.places.values())
    return tuple(
        sorted((label, (place - first) // found.step) for label, place in found.places.items())
    )


def _running_number(labels: list[str]) -> set[tuple[tuple[str, int], ...]]:
    """Shape of five-digit labels as running numbers, where they are evenly spaced ones."""
    if not all(re.fullmatch(r"\d{5}", label) for label in labels) or len(labels) < 2:
        return set()
    numbers = sorted(int(label) for label in labels)
    steps = {after - before for before, after in pairwise(numbers)}
    if len(steps) > 1:
        return set()
    step = steps.pop() if len(numbers) > 2 else 1
    return {tuple((str(number), (number - numbers[0]) // step) for number in numbers)}


def _spell_units(found: list[TimeLabels]) -> str:
    names = [f"{one.unit}s" for one in found]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
