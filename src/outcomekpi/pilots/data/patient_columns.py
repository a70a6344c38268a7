"""Which column of a table of patients is what, and where before ends and after begins."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError, SpecError, did_you_mean
from outcomekpi.pilots.data.series import PERCENT
from outcomekpi.tables.columns import describe_row, holds_numbers, list_values
from outcomekpi.tables.labels import find_label, read_labels
from outcomekpi.tables.time_columns import check_zone, parse_like, parse_times, refuse_unreadable
from outcomekpi.tables.times import TimeUnit

__all__ = ["PatientColumns", "PatientFamily", "read_after"]

PatientFamily = Literal["bernoulli", "gaussian"]
SERIES = (
    "More than two periods make a series: InterruptedSeries keeps the trend, "
    "DifferenceInDifferences compares with controls."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientColumns:
    """Columns of a table with one row for each patient and period.

    Attributes
    ----------
    outcome, period : columns
    after : value of ``period`` that is with the program, where that column has two values
    start : first time with the program, where that column holds numbers or dates
    doctor, patient : columns, or None
    case_mix : right-hand side of a formula, or None
    event : value of the outcome that counts, or None
    family : "bernoulli" for an event of each patient, "gaussian" for a measurement
    unit : of a Gaussian outcome
    time_unit : what labels such as 2024-1 name, where several units would fit
    time_zone : whose days count where times have an offset from UTC
    """

    outcome: str
    period: str
    after: object = None
    start: object = None
    doctor: str | None = None
    patient: str | None = None
    case_mix: str | None = None
    event: object = None
    family: PatientFamily = "bernoulli"
    unit: str | None = None
    time_unit: TimeUnit | None = None
    time_zone: str | None = None

    @property
    def hospital(self) -> str | None:
        """Column of the hospital, for designs that have one."""
        return None

    def check_columns(self) -> None:
        """Raise a :class:`SpecError` unless exactly one of ``after`` and ``start`` is given."""
        if (self.after is None) == (self.start is None):
            found = "neither" if self.after is None else "both"
            raise SpecError(
                "Say which rows are with the program, in one way: after=, the value of the period "
                f"column that is, or start=, the first time that is; got {found}."
            )
        check_zone(self.time_zone)
        if self.event is not None and self.family == "gaussian":
            raise SpecError("event= belongs to family='bernoulli'; a measurement has no event.")

    def spell_unit(self) -> str:
        """Write the unit of a difference."""
        if self.family == "bernoulli" or (self.unit or "").lower() in PERCENT:
            return "percentage points"
        return self.unit or "units of the outcome"

    def outcome_limits(self) -> tuple[float, float] | None:
        """Return between which values an outcome lies; None where nobody said."""
        if self.family == "bernoulli":
            return 0.0, 1.0
        return (0.0, 100.0) if (self.unit or "").lower() in PERCENT else None

    def named(self) -> dict[str, str]:
        """Role -> column, of the roles that were named."""
        roles = ("outcome", "period", "doctor", "hospital", "patient")
        found = {role: getattr(self, role) for role in roles}
        return {role: column for role, column in found.items() if column is not None}


def read_after(
    table: pd.DataFrame, columns: PatientColumns
) -> tuple[NDArray[np.bool_], tuple[str, str]]:
    """Tell the rows with the program from those before it.

    Returns
    -------
    after : (row,)
    periods : what lies before and after, in words

    Raises
    ------
    CasesError
        No row before or after, more than two periods, a period missing, or unreadable times.
    """
    column = table[columns.period]
    missing = column.isna().to_numpy()
    if missing.any():
        raise CasesError(
            f"Column {columns.period!r} (period) must say for each row whether it is before or "
            f"after. {describe_row(table.index, missing)}. Correct or remove these rows."
        )
    if columns.start is not None:
        return _split_times(column, columns)
    labels = read_labels(column, "period")
    wanted = find_label(columns.after, labels.names, is_number=holds_numbers(column))
    if wanted is None:
        raise CasesError(
            f"after={columns.after!r} is not a value of the period column {columns.period!r}: no "
            f"row is after the start. Values seen: {list_values(labels.names)}."
            f"{did_you_mean(str(columns.after), labels.names)}"
        )
    if len(labels.names) == 1:
        raise CasesError(
            f"Period column {columns.period!r} holds {wanted!r} only: no row is before the start, "
            "and without a before there is no change. Published figures of the time before can "
            "be compared with PublishedAggregates."
        )
    if len(labels.names) > 2:
        raise CasesError(
            f"Period column {columns.period!r} must hold two values, one of them "
            f"after={columns.after!r}; it holds {len(labels.names):,}: "
            f"{list_values(labels.names)}. Say start= if they are times, or keep two of them. "
            + SERIES
        )
    before = next(name for name in labels.names if name != wanted)
    return labels.code == labels.names.index(wanted), (before, wanted)


def _split_times(
    column: pd.Series, columns: PatientColumns
) -> tuple[NDArray[np.bool_], tuple[str, str]]:
    read = parse_times(column, unit=columns.time_unit, zone=columns.time_zone)
    times = read.values
    wrong = times.isna().to_numpy()
    or_named = "Or name the period that is with the program by after=."
    refuse_unreadable(column, wrong, "period", remedy=or_named)
    cell = pd.Series([columns.start], dtype=object, name="start")
    begin = parse_like(cell, read, zone=columns.time_zone)
    first = begin.values
    if first.isna().any() or begin.is_number != read.is_number:
        raise CasesError(
            f"start={columns.start!r} cannot be read as a time of column {columns.period!r}, such "
            f"as {column.iloc[0]!r}. Write it as in that column."
        )
    after = (times >= first.iloc[0]).to_numpy()
    low, high = _show(times.min()), _show(times.max())
    if after.all() or not after.any():
        side = "before" if after.all() else "after"
        raise CasesError(
            f"The program date {columns.start!r} lies outside the data: column {columns.period!r} "
            f"runs from {low} to {high}, and no row is {side} the start. Correct start, or add "
            "the rows of that side."
        )
    last, first_after = _show(times[~after].max()), _show(times[after].min())
    return after, (f"{low} to {last}", f"{first_after} to {high}")


def _show(time: object) -> str:
    if isinstance(time, pd.Timestamp):
        return str(time.date())
    return f"{time:g}"
