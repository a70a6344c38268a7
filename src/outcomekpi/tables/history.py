"""CycleHistory: a checked table of what each unit completed of each indicator in each cycle."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal, Self, get_args

import numpy as np
import pandas as pd

from outcomekpi.declare.errors import CasesError, check_choice, did_you_mean
from outcomekpi.tables.columns import count_of, list_values, read_labels
from outcomekpi.tables.completion import Reading
from outcomekpi.tables.cycle_order import order_cycles
from outcomekpi.tables.history_counts import read_counts, read_targets
from outcomekpi.tables.history_gaps import name_gaps
from outcomekpi.tables.roles import open_table
from outcomekpi.tables.times import TimeUnit

__all__ = ["ALL_UNITS", "CycleHistory", "HistoryCounts", "Reading"]

HistoryCounts = Literal["events", "doctors"]

COLUMNS = ["indicator", "unit", "cycle", "numerator", "denominator", "target"]
ALL_UNITS = "all"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CycleHistory:
    """A checked table of indicator by unit by cycle.

    Attributes
    ----------
    frame : columns ``indicator, unit, cycle`` (text), ``numerator, denominator`` (counts) and
        ``target`` (share, NaN where none); sorted by indicator, unit and time
    indicators, units : labels, sorted
    cycles : labels in order of time, with cycles that are missing altogether in their place
    numerator_counts : "events", numerators count patients among patients; "doctors", doctors on
        target among doctors
    log : what was converted, and what is missing or changed, one sentence each

    Notes
    -----
    Completion counts what is good: an indicator where less is better enters as its complement
    (patients without the event, with 1 - target).

    Examples
    --------
    >>> import outcomekpi as ok
    >>> history = ok.CycleHistory.from_frame(
    ...     ok.datasets.simulate_history(), indicator="indicator", unit="department",
    ...     cycle="year", numerator="reached", denominator="patients", counts="events")
    >>> len(history.indicators), len(history.units), history.cycles
    (6, 8, ('2023', '2024', '2025'))
    """

    frame: pd.DataFrame
    indicators: tuple[str, ...]
    units: tuple[str, ...]
    cycles: tuple[str, ...]
    numerator_counts: HistoryCounts
    log: tuple[str, ...]

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        indicator: str,
        cycle: str,
        denominator: str,
        counts: HistoryCounts,
        numerator: str | None = None,
        completion: str | None = None,
        unit: str | None = None,
        target: str | None = None,
        cycle_order: Sequence[object] | None = None,
        cycle_unit: TimeUnit | None = None,
        percent: bool = False,
    ) -> Self:
        """Check a history of completions once, so that nothing later has to.

        Parameters
        ----------
        frame : pandas, Polars or PyArrow table, one row per indicator, unit and cycle, in any
            order; it is not changed
        indicator, cycle, unit : columns of labels; without ``unit`` every indicator has a single
            row per cycle
        numerator, denominator : columns of counts, the first out of the second
        completion : column of numerator / denominator, in place of ``numerator``
        counts : what the counts are of: "events" (patients), or "doctors" on target
        target : column of the rate that a unit is held to in that cycle
        cycle_order : the cycles from the oldest to the newest, where their labels do not tell
        cycle_unit : what the labels name, where several units would fit: 2024-1 may be a
            "half-year", a "quarter" or a "month"
        percent : completions and targets are in percent

        Returns
        -------
        CycleHistory

        Raises
        ------
        CasesError
            A missing column or value, an impossible count, a doubled row, a completion outside
            0 to 1, or cycles whose order cannot be told.
        SpecError
            ``counts`` is none of the known words.
        """
        check_choice("counts", counts, get_args(HistoryCounts))
        table, log = open_table(frame)
        named = {
            "indicator": indicator,
            "cycle": cycle,
            "denominator": denominator,
            "numerator": numerator,
            "completion": completion,
            "unit": unit,
            "target": target,
        }
        roles = _check_columns(table, named)
        labels = _read_labels(table, roles)
        cycles = order_cycles(table[roles["cycle"]], labels["cycle"], cycle_order, cycle_unit)
        numbers, sentences = read_counts(table, roles, percent=percent)
        checked = pd.DataFrame({**labels, **numbers})
        checked["target"] = read_targets(table, roles, percent=percent)
        _check_doubled(checked, table.index, roles)
        checked, dropped = _drop_empty(checked)
        rank = {label: position for position, label in enumerate(cycles.labels)}
        checked = checked.sort_values(
            ["indicator", "unit", "cycle"],
            key=lambda column: column.map(rank) if column.name == "cycle" else column,
            ignore_index=True,
        )[COLUMNS]
        log += [*sentences, *cycles.log, *dropped]
        log += name_gaps(checked, cycles.labels, all_units=roles.get("unit") is None)
        return cls(
            frame=checked,
            indicators=tuple(sorted(set(labels["indicator"]))),
            units=tuple(sorted(set(checked["unit"]))),
            cycles=cycles.labels,
            numerator_counts=counts,
            log=tuple(log),
        )

    def __repr__(self) -> str:
        kind = "patients" if self.numerator_counts == "events" else "doctors"
        first, last = self.cycles[0], self.cycles[-1]
        dash = "-" if first.isdigit() and last.isdigit() else " to "
        span = first if len(self.cycles) == 1 else f"{first}{dash}{last}"
        return (
            f"CycleHistory: {count_of(len(self.indicators), 'indicator')}, "
            f"{count_of(len(self.units), 'unit')}, {count_of(len(self.cycles), 'cycle')} "
            f"({span}), {self.frame['denominator'].sum():,.0f} {kind}"
        )

    def _repr_html_(self) -> str:
        total = self.frame.groupby(["indicator", "cycle"])[["numerator", "denominator"]].sum()
        rate = (total["numerator"] / total["denominator"]).unstack("cycle")
        table = rate.reindex(columns=list(self.cycles)).head(12)
        return (
            f"<p><b>{escape(repr(self))}</b></p>"
            f"{table.to_html(float_format='{:.1%}'.format, na_rep='')}"
        )


def _check_columns(table: pd.DataFrame, named: dict[str, Any]) -> dict[str, str]:
    if (named["numerator"] is None) == (named["completion"] is None):
        both = "neither" if named["numerator"] is None else "both"
        raise CasesError(
            f"A history needs numerator=... or completion=..., one of the two; got {both}."
        )
    roles: dict[str, str] = {}
    for role, column in named.items():
        if column is None and role in ("indicator", "cycle", "denominator"):
            remedy = (
                " A completion without its denominator says nothing about chance."
                if role == "denominator"
                else ""
            )
            raise CasesError(f"{role} must be the name of a column, as text; got None.{remedy}")
        if column is None:
            continue
        if not isinstance(column, str):
            raise CasesError(
                f"{role} must be the name of a column, as text; got {type(column).__name__}."
            )
        if column not in table.columns:
            raise CasesError(
                f"Column {column!r} ({role}) is not in the table."
                f"{did_you_mean(column, table.columns)} "
                f"The columns are {list_values(table.columns, shown=30)}."
            )
        twin = next((other for other, name in roles.items() if name == column), None)
        if twin is not None:
            raise CasesError(
                f"Each role needs a column of its own; {column!r} was named as {twin} and {role}."
            )
        roles[role] = column
    return roles


def _read_labels(table: pd.DataFrame, roles: dict[str, str]) -> dict[str, np.ndarray[Any, Any]]:
    found = {}
    for role in ("indicator", "unit", "cycle"):
        if role not in roles:
            found[role] = np.full(len(table), ALL_UNITS, dtype=object)
            continue
        labels = read_labels(table[roles[role]], role)
        missing = labels.code < 0
        if missing.any():
            first = table.index[int(missing.argmax())]
            raise CasesError(
                f"Column {roles[role]!r} ({role}) is empty in {count_of(int(missing.sum()), 'row')}"
                f", the first at index {first!r}. Fill it in, or drop those rows."
            )
        found[role] = np.array(labels.names, dtype=object)[labels.code]
    return found


def _check_doubled(checked: pd.DataFrame, index: pd.Index, roles: dict[str, str]) -> None:
    keys = ["indicator", "unit", "cycle"]
    doubled = checked.duplicated(keys).to_numpy()
    if not doubled.any():
        return
    n = int(doubled.sum())
    first = checked.iloc[int(doubled.argmax())]
    of_unit = f", unit {first['unit']!r}" if "unit" in roles else ""
    remedy = (
        "Add the counts up, or correct the table."
        if "unit" in roles
        else "Pass unit=... if the rows belong to several doctors or departments, or add them up."
    )
    raise CasesError(
        "A history must have one row per indicator, unit and cycle; "
        f"{count_of(n, 'row')} {'repeats' if n == 1 else 'repeat'} an earlier one, the first at "
        f"index {index[int(doubled.argmax())]!r} (indicator {first['indicator']!r}{of_unit}, cycle "
        f"{first['cycle']!r}). {remedy}"
    )


def _drop_empty(checked: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Leave out rows without anybody in the denominator; they say nothing."""
    empty = checked["denominator"].to_numpy() == 0
    if not empty.any():
        return checked, []
    if empty.all():
        raise CasesError("Every denominator is 0: there is nothing to review.")
    first = checked[empty].iloc[0]
    return checked[~empty], [
        f"{count_of(int(empty.sum()), 'row')} with denominator 0 left out, the first "
        f"{first['indicator']!r}, unit {first['unit']!r}, cycle {first['cycle']!r}."
    ]
