"""The order of cycles in time, told by their labels or by the user, never guessed."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import gcd

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.columns import holds_numbers, label_text, list_values
from outcomekpi.errors import CasesError

__all__ = ["CycleOrder", "length_of_cycles", "order_cycles"]

# 2023, 2023Q1, 2023-Q1, 2023H2, 2023-01, 2023/01, 202301, 2023-01-31
YEAR_FIRST = re.compile(r"(\d{4})(?:\D{0,2}(\d{1,2}))?(?:\D(\d{1,2}))?")
# how many of such cycles a year has, how their labels are written, and the name of a missing one
YEAR = r"((?:19|20)\d{2})"
WRITTEN = (
    (1, YEAR + r"(?:年度?)?", "{0}"),
    (1, YEAR + r"[-/](?:(?:19|20)\d{2}|1[3-9]|[2-9]\d)", "{0}-{2:02d}"),
    (2, YEAR + r"(?:\D?H([12])|年([上下])半年)", "{0}H{1}"),
    (4, YEAR + r"(?:\D?Q([1-4])|年第?([1-4一二三四])季度?)", "{0}Q{1}"),
    (12, YEAR + r"(?:\D?(0[1-9]|1[0-2])|年(0?[1-9]|1[0-2])月)", "{0}-{1:02d}"),
    (12, YEAR + r"[-/](0[1-9]|1[0-2])[-/]\d{2}", "{0}-{1:02d}"),
)
SPLIT_YEAR, DATE = 1, 5
PARTS = {"上": 1, "下": 2, "一": 1, "二": 2, "三": 3, "四": 4}
LENGTHS = {1: "month", 3: "quarter", 6: "half-year", 12: "year"}
# more empty places than this for each cycle: the labels are names, and no calendar
MOST_EMPTY = 10
# beyond these, steps of 1 need not follow one another: 202312 comes before 202401
LARGEST_RUNNING_NUMBER = 9999


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
    column: pd.Series, labels: NDArray[np.object_], given: Sequence[object] | None
) -> CycleOrder:
    """Put the labels of cycles in order of time.

    Parameters
    ----------
    column : the column as it came: numbers, dates, periods, ordered categories or text
    labels : (row,), the same as text
    given : the order that the user states, oldest first; may name cycles that no row has

    Raises
    ------
    CasesError
        The labels are text that does not start with a year, or the order given misses a cycle,
        repeats one, or runs against the numbers of the labels.
    """
    seen = sorted(set(labels))
    if given is not None:
        return CycleOrder(labels=_check_given(given, seen), log=())
    if isinstance(column.dtype, pd.CategoricalDtype) and column.cat.ordered:
        names = [label_text(value) for value in column.cat.categories]
        return CycleOrder(labels=tuple(name for name in names if name in set(seen)), log=())
    if isinstance(column.dtype, pd.PeriodDtype):
        return _fill_periods(column)
    dated = _fill_calendar(seen)
    if dated is not None:
        return dated
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return CycleOrder(labels=tuple(seen), log=())  # ISO dates sort as text
    if holds_numbers(column) or all(re.fullmatch(r"\d+", label) for label in seen):
        return _fill_numbers(seen)
    return CycleOrder(labels=_sort_text(seen, column.name), log=())


def length_of_cycles(labels: tuple[str, ...]) -> str:
    """Return the length that labels such as 2024, 2024H1, 2024Q1 or 2024-01 show, or ""."""
    calendar = _read_calendar(labels)
    if calendar is None or (calendar.kind == DATE and len(labels) == 1):
        return ""
    return LENGTHS.get(calendar.step * 12 // calendar.per_year, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calendar:
    """Labels that name years, or parts of years, all written in one way.

    Attributes
    ----------
    kind : which of ``WRITTEN``
    labels : number of the part since year 0 -> label
    step : from each label to the next, as far as all of them agree
    """

    kind: int
    labels: dict[int, str]
    step: int

    @property
    def per_year(self) -> int:
        return WRITTEN[self.kind][0]


def _read_calendar(labels: Sequence[str]) -> _Calendar | None:
    for kind, (per_year, pattern, _) in enumerate(WRITTEN):
        matches = [match for match in (re.fullmatch(pattern, text) for text in labels) if match]
        if len(matches) < len(labels):
            continue
        found = {_place(match, per_year): match.string for match in matches}
        apart = kind != SPLIT_YEAR or all(int(m[0][-2:]) == (int(m[1]) + 1) % 100 for m in matches)
        if not apart or len(found) < len(labels):  # several dates of one month
            return None
        steps = [after - before for before, after in pairwise(sorted(found))]
        # a cycle may be named after its last month; years always count one by one
        step = gcd(*steps) if steps and per_year > 1 else 1
        return _Calendar(kind=kind, labels=found, step=step)
    return None


def _place(match: re.Match[str], per_year: int) -> int:
    part = next((text for text in match.groups()[1:] if text), "1")
    return int(match[1]) * per_year + (PARTS.get(part) or int(part)) - 1


def _fill_calendar(seen: list[str]) -> CycleOrder | None:
    """Sort years and parts of years; those that nobody has take their place."""
    calendar = _read_calendar(seen)
    if calendar is None:
        return None
    own, step = calendar.labels, calendar.step
    per_year, _, name = WRITTEN[calendar.kind]
    every = range(min(own), max(own) + 1, step)
    if len(every) > MOST_EMPTY * len(own):
        return None
    missing = {
        place: name.format(place // per_year, place % per_year + 1, (place // per_year + 1) % 100)
        for place in every
        if place not in own
    }
    log = _name_missing(list(missing.values()))
    if step > 1:
        log += (
            f"The cycles come every {step} {LENGTHS[12 // per_year]}s "
            f"({list_values(seen, shown=3)}) and were taken to follow one another.",
        )
    return CycleOrder(labels=tuple((own | missing)[place] for place in every), log=log)


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
    """Sort numbers; years and running numbers that are skipped take their place."""
    try:
        numbers = sorted(seen, key=float)
        values = [int(label) for label in numbers]
    except ValueError:
        return CycleOrder(labels=tuple(sorted(seen, key=float)), log=())
    if values[-1] > LARGEST_RUNNING_NUMBER or values[-1] - values[0] > 10 * len(values):
        return CycleOrder(labels=tuple(numbers), log=())
    own = dict(zip(values, numbers, strict=True))
    every = range(values[0], values[-1] + 1)
    labels = tuple(own.get(value, str(value)) for value in every)
    return CycleOrder(labels=labels, log=_name_missing([str(v) for v in every if v not in own]))


def _fill_periods(column: pd.Series) -> CycleOrder:
    periods = pd.PeriodIndex(column.dropna().unique())
    every = pd.period_range(periods.min(), periods.max(), freq=periods.freqstr)
    missing = [str(period) for period in every if period not in periods]
    return CycleOrder(labels=tuple(map(str, every)), log=_name_missing(missing))


def _name_missing(missing: list[str]) -> tuple[str, ...]:
    if not missing:
        return ()
    noun = "cycle" if len(missing) == 1 else "cycles"
    return (
        f"No row has {noun} {', '.join(missing)}: the cycles around it do not count as "
        "consecutive.",
    )


def _sort_text(seen: list[str], name: object) -> tuple[str, ...]:
    parsed = [YEAR_FIRST.fullmatch(label) for label in seen]
    shapes = {re.sub(r"\d+", "0", label) for label in seen}
    if all(parsed) and len(shapes) == 1:
        keys = {
            match.string: tuple(int(part) for part in match.groups() if part is not None)
            for match in parsed
            if match is not None
        }
        return tuple(sorted(seen, key=keys.__getitem__))
    raise CasesError(
        f"The order of the cycles in column {name!r} cannot be told from their labels: "
        f"{list_values(seen)}. Pass cycle_order=[oldest, ..., newest], or labels that start with "
        "the year, such as 2024, '2024Q1', '2024-01' or '2024年'."
    )
