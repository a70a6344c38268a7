"""The order of cycles in time, told by their labels or by the user, never guessed."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError
from outcomekpi.tables.columns import holds_numbers, label_text, list_values
from outcomekpi.tables.date_order import looks_like_dates
from outcomekpi.tables.times import name_time, read_time_labels

__all__ = ["CycleOrder", "length_of_cycles", "order_cycles"]

# 2024T1, 2024-13: a year and a part of it that no calendar knows
YEAR_AND_PART = re.compile(r"((?:19|20)\d{2})\D{0,2}(\d{1,3})")
# more empty places than this in a row stand as one
LONGEST_HOLE = 40
# running numbers further apart than this for each of them are names of something
MOST_EMPTY = 10
SHOWN_MISSING = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleOrder:
    """Cycles in order of time, and what was found missing among them.

    Attributes
    ----------
    labels : oldest first; a cycle that no row has, between two that some have, is in its place
    log : one sentence per finding
    """

    labels: tuple[str, ...]
    log: tuple[str, ...]


def order_cycles(
    column: pd.Series,
    labels: NDArray[np.object_],
    given: Sequence[object] | None,
    unit: str | None = None,
) -> CycleOrder:
    """Put the labels of cycles in order of time, with those that no row has.

    Parameters
    ----------
    column : the column as it came: numbers, dates, periods, ordered categories or text
    labels : (row,), the same as text
    given : the order that the user states, oldest first; may name cycles that no row has
    unit : of the labels, where several would fit: "quarter", "month", ...

    Raises
    ------
    CasesError
        The order of the labels, or whether one is missing among them, cannot be told; or the order
        given misses a cycle, repeats one, or runs against the numbers of the labels.
    """
    seen = sorted(set(labels))
    if given is not None:
        return CycleOrder(labels=_check_given(given, seen), log=())
    if isinstance(column.dtype, pd.CategoricalDtype) and column.cat.ordered:
        return _fill_categories(column, set(seen))
    if isinstance(column.dtype, pd.PeriodDtype):
        return _fill_periods(column)
    dated = _fill_calendar(seen, column.name, unit)
    if dated is not None:
        return dated
    if holds_numbers(column) or all(re.fullmatch(r"\d+", label) for label in seen):
        return _fill_numbers(seen)
    return _fill_text(seen, column.name)


def length_of_cycles(labels: tuple[str, ...]) -> str:
    """Return the length that labels such as 2024, 2024H1, 2024Q1 or 2024-01 show, or ""."""
    try:
        found = read_time_labels(labels, column="cycle", option="cycle_unit")
    except CasesError:
        return ""
    if found is None or not found.certain or found.unit in ("week", "day"):
        return ""
    per_year = {"year": 1, "half-year": 2, "quarter": 4, "month": 12}[found.unit]
    lengths = {1: "month", 3: "quarter", 6: "half-year", 12: "year"}
    return lengths.get(found.step * 12 // per_year, "")


def _fill_categories(column: pd.Series, seen: set[str]) -> CycleOrder:
    """Keep the order of ordered categories; those that nobody has stay between their neighbors."""
    names = [label_text(value) for value in column.cat.categories]
    own = [place for place, name in enumerate(names) if name in seen]
    kept = names[own[0] : own[-1] + 1]
    return CycleOrder(
        labels=tuple(kept), log=_name_missing([name for name in kept if name not in seen])
    )


def _fill_calendar(seen: list[str], name: object, unit: str | None) -> CycleOrder | None:
    """Sort years and parts of years; those that nobody has take their place."""
    days = {label: re.sub(r"[ T]\d{2}:\d{2}.*$", "", label) for label in seen}
    if len(set(days.values())) < len(days):
        days = {label: label for label in seen}
    back = {day: label for label, day in days.items()}
    found = read_time_labels(list(back), column=name, option="cycle_unit", unit=unit)
    if found is None:
        return None
    own = {place: back[label] for label, place in found.places.items()}
    split = next((re.search(r"(?<=\d{4})[-/–]", label) for label in seen), None)
    missing = {
        place: f"{place}{split[0]}{(place + 1) % 100:02d}"
        if split is not None and found.unit == "year"
        else name_time(found.unit, place, certain=found.certain)
        for place in _without_long_holes(sorted(own), found.step)
    }
    log = _name_missing(list(missing.values()))
    if found.step > 1 and (found.unit, found.step) != ("day", 7):
        ordered = [own[place] for place in sorted(own)]
        log += (
            f"The cycles come every {found.step} {found.unit}s "
            f"({list_values(ordered, shown=3)}) and were taken to follow one another.",
        )
    every = own | missing
    return CycleOrder(labels=tuple(every[place] for place in sorted(every)), log=log)


def _without_long_holes(places: list[int], step: int) -> list[int]:
    """Places that no label has; one of them where a hole is very long."""
    missing = []
    for before, after in pairwise(places):
        hole = range(before + step, after, step)
        missing += list(hole) if len(hole) <= LONGEST_HOLE else [hole[0]]
    return missing


def _check_given(given: Sequence[object], seen: list[str]) -> tuple[str, ...]:
    if isinstance(given, str):
        raise CasesError(f"cycle_order must list the cycles, oldest first; got the text {given!r}.")
    order = [label_text(value) for value in given]
    twice = [label for label, count in Counter(order).items() if count > 1]
    if twice:
        raise CasesError(
            f"cycle_order must name each cycle once; named more than once: {list_values(twice)}."
        )
    lost = [label for label in seen if label not in set(order)]
    if lost:
        raise CasesError(
            f"cycle_order must name every cycle of the table, oldest first; "
            f"not named: {list_values(lost)}."
        )
    try:
        numbers = [float(label) for label in order]
    except ValueError:
        return tuple(order)
    if numbers != sorted(numbers):
        raise CasesError(
            f"cycle_order runs against the numbers of the cycles: {list_values(order)}. "
            "Name the oldest cycle first."
        )
    return tuple(order)


def _fill_numbers(seen: list[str]) -> CycleOrder:
    """Sort numbers; running numbers that are skipped take their place."""
    try:
        numbers = sorted(seen, key=float)
        values = [int(label) for label in numbers]
    except ValueError:
        return CycleOrder(labels=tuple(sorted(seen, key=float)), log=())
    steps = {after - before for before, after in pairwise(values)}
    wide = values[-1] - values[0] > MOST_EMPTY * len(values)
    if wide and len(values) > 2 and len(steps) == 1:
        log = (
            f"The cycles come every {steps.pop()} ({list_values(numbers, shown=3)}) and were taken "
            "to follow one another.",
        )
        return CycleOrder(labels=tuple(numbers), log=log)
    own = dict(zip(values, numbers, strict=True))
    missing = {value: str(value) for value in _without_long_holes(values, 1)}
    labels = tuple((own | missing)[value] for value in sorted(own | missing))
    return CycleOrder(labels=labels, log=_name_missing(list(missing.values())))


def _fill_periods(column: pd.Series) -> CycleOrder:
    periods = pd.PeriodIndex(column.dropna().unique())
    every = pd.period_range(periods.min(), periods.max(), freq=periods.freqstr)
    missing = [str(period) for period in every if period not in periods]
    return CycleOrder(labels=tuple(map(str, every)), log=_name_missing(missing))


def _name_missing(missing: list[str]) -> tuple[str, ...]:
    if not missing:
        return ()
    noun = "cycle" if len(missing) == 1 else "cycles"
    more = f" and {len(missing) - SHOWN_MISSING:,} more" if len(missing) > SHOWN_MISSING else ""
    return (
        f"No row has {noun} {', '.join(missing[:SHOWN_MISSING])}{more}: the cycles around it do "
        "not count as consecutive.",
    )


def _fill_text(seen: list[str], name: object) -> CycleOrder:
    """Sort parts of one year that no calendar knows, by their numbers."""
    parsed = [YEAR_AND_PART.fullmatch(label) for label in seen]
    shapes = {re.sub(r"\d+", "0", label) for label in seen}
    own = {int(match[2]): match.string for match in parsed if match is not None}
    years = {match[1] for match in parsed if match is not None}
    if all(parsed) and len(shapes) == len(years) == 1 and len(own) == len(seen):
        some = own[min(own)]
        head = some[: len(some) - len(str(min(own)))]
        missing = {part: f"{head}{part}" for part in _without_long_holes(sorted(own), 1)}
        labels = tuple((own | missing)[part] for part in sorted(own | missing))
        return CycleOrder(labels=labels, log=_name_missing(list(missing.values())))
    raise CasesError(
        f"The order of the cycles in column {name!r} cannot be told from their labels, or not "
        f"whether one is missing among them: {list_values(seen)}. Pass cycle_order=[oldest, ..., "
        "newest], or labels such as 2024, '2024Q1', '2024-01', '2024-W05' or '2024年'."
        + (
            " Day and month may be swapped: say their order when the file is read, dates='dmy' or "
            "dates='mdy'."
            if looks_like_dates(seen[0])
            else ""
        )
    )
