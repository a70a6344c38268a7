"""CycleHistory: a checked table of what each unit completed of each indicator in each cycle."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError, check_choice
from outcomekpi.declare.showing import show_html
from outcomekpi.tables.columns import count_of, holds_text, read_numbers
from outcomekpi.tables.completion import Reading
from outcomekpi.tables.cycle_order import order_cycles
from outcomekpi.tables.faults import Faults, refuse_rows
from outcomekpi.tables.history_gaps import name_gaps
from outcomekpi.tables.roles import open_table
from outcomekpi.tables.schema import Role, name_columns, read_names
from outcomekpi.tables.times import TimeUnit
from outcomekpi.tables.totals import refuse_totals

__all__ = ["ALL_UNITS", "CycleHistory", "HistoryCounts", "Reading", "read_counts", "read_targets"]

HistoryCounts = Literal["events", "doctors"]

COLUMNS = ["indicator", "unit", "cycle", "numerator", "denominator", "target"]
ALL_UNITS = "all"


# Counts, completions and targets of a history, read and checked
Array = NDArray[np.float64]

# a completion printed with two decimals (or a whole percent) is off by half a unit at most
ROUNDING = 0.005 + 1e-9
FILL_IN = "Fill it in, or drop those rows: a missing cycle is then named as missing."


def read_counts(
    table: pd.DataFrame, roles: dict[str, str], *, percent: bool
) -> tuple[dict[str, Array], list[str]]:
    """Numerators and denominators as whole numbers; completions are turned back into counts.

    Returns
    -------
    columns, log : ``numerator`` and ``denominator`` (row,), and what was converted

    Raises
    ------
    CasesError
        Missing, negative or broken counts, numerators above denominators, completions outside 0
        to 1 or ones that the denominator cannot give.
    """
    faults = Faults()
    denominator = faults.attempt(_whole, table, roles["denominator"], "denominator")
    if "numerator" in roles:
        numerator = faults.attempt(_whole, table, roles["numerator"], "numerator")
        faults.raise_all()
        column = roles["numerator"]
        refuse_rows(
            numerator > denominator,
            table.index,
            column=column,
            role="numerator",
            wanted=f"not exceed its denominator in {roles['denominator']!r}",
            found=lambda i: f"{numerator[i]:g} of {denominator[i]:g}",
            remedy="Are the columns swapped?"
            if (numerator >= denominator).all()
            else "Correct the table.",
            code="numerator-above-denominator",
        )
        return {"numerator": numerator, "denominator": denominator}, []
    share = faults.attempt(_share, table, roles["completion"], "completion", percent=percent)
    faults.raise_all()
    numerator = np.round(share * denominator)
    exact = np.divide(numerator, denominator, out=np.zeros_like(share), where=denominator > 0)
    gap = np.where(denominator > 0, np.abs(share - exact), 0.0)
    refuse_rows(
        gap > ROUNDING,
        table.index,
        column=roles["completion"],
        role="completion",
        wanted=f"hold shares of the denominators in {roles['denominator']!r}",
        found=lambda i: f"{share[i]:.4g} of {denominator[i]:g}, which no whole count gives",
        remedy="Pass the numerators instead.",
        code="no-whole-count",
    )
    return {"numerator": numerator, "denominator": denominator}, [
        "Numerators were worked out as completion x denominator, rounded to whole counts; "
        f"no completion changed by more than {gap.max():.4f}."
    ]


def read_targets(table: pd.DataFrame, roles: dict[str, str], *, percent: bool) -> Array:
    """Targets as shares above 0; NaN without a column of targets or where a cell is empty."""
    if "target" not in roles:
        return np.full(len(table), np.nan)
    column = roles["target"]
    target = _share(table, column, "target", percent=percent, may_miss=True)
    refuse_rows(
        target <= 0,
        table.index,
        column=column,
        role="target",
        wanted="lie above 0",
        found=target,
        remedy="Leave the cell empty where there is no target.",
    )
    return target


def _whole(table: pd.DataFrame, column: str, role: str) -> Array:
    """Read counts: present in every row, from 0, whole."""
    values = read_numbers(table[column], role)
    remedy = "Correct the table."
    if role == "numerator" and bool(((values >= 0) & (values <= 1)).all()):
        remedy = f"Is it a completion? Then pass completion={column!r} in place of numerator."
    checks = (
        (~np.isfinite(values), "hold a count in every row", FILL_IN),
        (values < 0, "hold counts from 0", "Correct the table."),
        (np.isfinite(values) & (values != np.round(values)), "hold whole counts", remedy),
    )
    faults = Faults()
    for wrong, wanted, advice in checks:
        faults.attempt(
            refuse_rows,
            wrong,
            table.index,
            column=column,
            role=role,
            wanted=wanted,
            found=values,
            remedy=advice,
        )
    faults.raise_all()
    return values


def _share(
    table: pd.DataFrame, column: str, role: str, *, percent: bool, may_miss: bool = False
) -> Array:
    values = read_numbers(_without_signs(table[column], role, percent=percent), role)
    if not may_miss:
        refuse_rows(
            np.isnan(values),
            table.index,
            column=column,
            role=role,
            wanted="hold a share in every row",
            remedy=FILL_IN,
            code="empty-cell",
        )
    shares = values / 100 if percent else values
    seen = values[~np.isnan(values)]
    looks_percent = (
        not percent and seen.size and seen.min() >= 0 and np.median(seen) > 1 and seen.max() <= 100
    )
    remedy = (
        "Did you mean percent: pass percent=True."
        if looks_percent
        else "Correct the table, or pass numerators."
    )
    refuse_rows(
        (shares < 0) | (shares > 1),
        table.index,
        column=column,
        role=role,
        wanted=f"lie between 0 and {'100' if percent else '1'}",
        found=values,
        remedy=remedy,
    )
    if percent and seen.size and 0 < seen.max() <= 1:
        raise CasesError(
            f"Column {column!r} ({role}) was said to be in percent, and no value is above 1: the "
            f"largest is {seen.max():g}. Leave out percent=True if these are shares."
        )
    return np.asarray(shares, dtype=np.float64)


def _without_signs(column: pd.Series, role: str, *, percent: bool) -> pd.Series:
    """Cells such as "95.2%" without their sign, where all are said to be in percent."""
    if not holds_text(column):
        return column
    cells = column.astype(object).str.strip()
    signed = cells.str.endswith(("%", "％")).fillna(False).to_numpy(dtype=bool)
    if not signed.any():
        return column
    first = f"the first at index {column.index[int(signed.argmax())]!r}"
    found = f"{int(signed.sum()):,} of {count_of(signed.size, 'row')} have a percent sign, {first}"
    if not percent:
        raise CasesError(
            f"Column {column.name!r} ({role}) must hold shares. {found}: "
            f"{cells.iloc[int(signed.argmax())]!r}. Did you mean percent: pass percent=True."
        )
    if not (signed | column.isna().to_numpy()).all():
        raise CasesError(
            f"Column {column.name!r} ({role}) must be written one way. {found}, the others none. "
            "Correct the table."
        )
    bare = cells.str.rstrip("%％ ")
    numbers = pd.to_numeric(bare, errors="coerce")
    return numbers if (numbers.notna() | bare.isna()).all() else bare


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
        faults = Faults()
        labels = {
            role: faults.attempt(_read_labels, table, roles, role)
            for role in ("indicator", "unit", "cycle")
        }
        cycles: Any = None
        if labels["cycle"] is not None:
            column = table[roles["cycle"]]
            cycles = faults.attempt(order_cycles, column, labels["cycle"], cycle_order, cycle_unit)
        counted_log = faults.attempt(read_counts, table, roles, percent=percent)
        targets = faults.attempt(read_targets, table, roles, percent=percent)
        faults.raise_all()
        numbers, sentences = counted_log
        checked = pd.DataFrame({**labels, **numbers, "target": targets})
        counted = {
            roles.get(role, role): numbers[role].astype(np.float64)
            for role in ("numerator", "denominator")
        }
        same = checked.groupby(["indicator", "cycle"]).ngroup().to_numpy()
        refuse_totals(counted, table.index, group=same if "unit" in roles else None)
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
        return show_html(self, table, number=".1%", missing="")


def _check_columns(table: pd.DataFrame, named: dict[str, Any]) -> dict[str, str]:
    if (named["numerator"] is None) == (named["completion"] is None):
        both = "neither" if named["numerator"] is None else "both"
        raise CasesError(
            f"A history needs numerator=... or completion=..., one of the two; got {both}."
        )
    if named["denominator"] is None:
        raise CasesError(
            "denominator must be the name of a column, as text; got None. A completion without "
            "its denominator says nothing about chance."
        )
    return name_columns(table, named, required=("indicator", "cycle"))


def _read_labels(table: pd.DataFrame, roles: dict[str, str], role: str) -> NDArray[np.object_]:
    """Read the label of each row as text; one label for all where no column was named."""
    if role not in roles:
        return np.full(len(table), ALL_UNITS, dtype=object)
    wanted = Role(name=role, is_label=True, remedy="Fill it in, or drop those rows.")
    labels = read_names(table, roles[role], wanted)
    return np.array(labels.names, dtype=object)[labels.code]


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
