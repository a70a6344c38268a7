"""Clusters that cross over to a program at different times: rows turned into cells."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError
from outcomekpi.pilots.data.panel_times import find_never
from outcomekpi.pilots.data.percent_check import check_percentages, is_percent
from outcomekpi.pilots.estimators.wedge_model import Sample
from outcomekpi.tables.columns import count_of, describe_row
from outcomekpi.tables.events import read_events
from outcomekpi.tables.faults import Faults, refuse_rows
from outcomekpi.tables.missing_codes import warn_of_code
from outcomekpi.tables.schema import Role, name_columns, read_schema, read_values
from outcomekpi.tables.time_columns import parse_like, parse_times, refuse_unreadable
from outcomekpi.tables.totals import refuse_totals

if TYPE_CHECKING:
    from outcomekpi.pilots.designs.stepped_wedge import SteppedWedge

__all__ = ["WedgeFamily", "WedgeRows", "fill_periods", "read_moments", "read_wedge"]

Floats = NDArray[np.float64]
WedgeFamily = Literal["gaussian", "binomial"]
FEWEST_CLUSTERS = 3


# Every period from the first to the last, also those in which no cluster has a row
MOST_PER_ROW = 3
"""More periods than this for each one with rows are no periods but moments."""


def fill_periods(seen: pd.Index, column: object) -> pd.Index:
    """Put in the periods without rows, which pass all the same.

    Parameters
    ----------
    seen : numbers or dates in order, each once
    column : name of the column, for messages

    Raises
    ------
    CasesError
        The times lie on no even grid, or most of its periods have no row.

    Notes
    -----
    The step is the largest that all distances are multiples of: whole numbers, months (where all
    dates are on one day of the month, or on the last) or days; the smallest distance for numbers
    that are not whole.
    """
    if len(seen) < 2:
        return seen
    is_date = not pd.api.types.is_numeric_dtype(seen)
    dates = pd.DatetimeIndex(seen) if is_date else None
    in_months = dates is not None and (dates.day.nunique() == 1 or bool(dates.is_month_end.all()))
    if dates is None:
        values = np.asarray(seen, dtype=np.float64)
    elif in_months:
        values = (dates.year * 12 + dates.month).to_numpy(dtype=np.float64)
    else:
        values = np.asarray((dates - dates[0]) / pd.Timedelta(days=1), dtype=np.float64)
    step = _step(values)
    place = (values - values[0]) / step
    count = round(float(place[-1])) + 1
    if dates is None and count != len(seen):
        _refuse_codes(values, column)
    if np.abs(place - np.round(place)).max() > 1e-6 or count > MOST_PER_ROW * len(seen):
        gaps = np.diff(values)
        raise CasesError(
            f"Column {column!r} (time) must hold evenly spaced periods: the distances of its "
            f"{len(seen):,} times run from {gaps.min():g} to {gaps.max():g}, so that how long a "
            "cluster has had the program cannot be counted in periods. Give each row the number or "
            "first day of its period."
        )
    if count == len(seen):
        return seen
    full = np.round(place).astype(np.intp)
    if dates is None:
        labels = values[0] + step * np.arange(count)
        labels[full] = values
        renamed: pd.Index = pd.Index(labels)
        return renamed
    if in_months:
        ends = bool(dates.is_month_end.all())
        moved = [_later(dates[0], round(step) * one, ends=ends) for one in range(count)]
    else:
        moved = [dates[0] + pd.Timedelta(days=step * one) for one in range(count)]
    for one, date in zip(full, dates, strict=True):
        moved[one] = date
    return pd.DatetimeIndex(moved)


def _later(first: pd.Timestamp, months: int, *, ends: bool) -> pd.Timestamp:
    return first + (pd.offsets.MonthEnd(months) if ends else pd.DateOffset(months=months))


def _refuse_codes(values: Floats, column: object) -> None:
    """Refuse numbers such as 20244 and 202401, between which no period is missing."""
    for base, most, words in ((10, 4, "year and quarter"), (100, 12, "year and month")):
        year, part = np.divmod(values, base)
        looks = (year >= 1900) & (year <= 2100) & (part >= 1) & (part <= most) & (part % 1 == 0)
        if looks.all():
            raise CasesError(
                f"Column {column!r} (time) holds numbers that look like {words}, such as "
                f"{values[0]:.0f}: their distances are not those of the periods. Write them as "
                "2024Q1 or 2024-01, or number the periods 1, 2, 3, ..."
            )


def _step(values: Floats) -> float:
    gaps = np.diff(values)
    if (np.abs(gaps - np.round(gaps)) < 1e-9).all():
        return float(np.gcd.reduce(np.round(gaps).astype(np.int64)))
    return float(gaps.min())


UNIT = Role(name="unit", is_label=True, wanted="name a cluster in each row")
OUTCOME = Role(name="outcome", may_miss=True)
TRIALS, PATIENTS = (
    Role(name=name, wanted="hold numbers above 0", lowest=0, above=True)
    for name in ("trials", "patients")
)


def _name_roles(design: "SteppedWedge") -> dict[str, str]:
    """Role -> column, of the roles that were named."""
    roles = ("outcome", "unit", "time", "start", "trials", "patients")
    found = {role: getattr(design, role) for role in roles}
    return {role: name for role, name in found.items() if name is not None}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class WedgeRows:
    """Cells of clusters and periods.

    Attributes
    ----------
    clusters : (cluster,), names
    labels : (time,), numbers or dates in order, of every period, whether or not it has a row
    times : (time,), the same as text
    first : (cluster,), position of the first period with the program; number of periods for never
    size : (cluster, time), patients (1 for a mean without a number); 0 where there is no cell
    sample : means, and the squares within cells
    rows : "patients", "events of trials" or "means"
    missing_before, missing_after : rows without an outcome
    total_before, total_after : rows
    """

    clusters: list[str]
    labels: pd.Index
    times: list[str]
    first: NDArray[np.intp]
    size: Floats
    sample: Sample
    rows: str
    missing_before: int
    missing_after: int
    total_before: int
    total_after: int

    @property
    def exposure(self) -> NDArray[np.intp]:
        """(cluster, time), periods with the program so far, this one included; 0 without it."""
        position = np.arange(len(self.times))
        return np.asarray(np.maximum(position[None, :] - self.first[:, None] + 1, 0))

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(time,), whether any cluster has a cell in the period."""
        return np.asarray(self.sample.present.any(axis=0))

    @property
    def has_within(self) -> bool:
        """Whether the spread of patients within cells is known."""
        return self.sample.within_degrees > 0


def read_wedge(data: object, design: "SteppedWedge") -> WedgeRows:
    """Read clusters and periods, and refuse what is no stepped wedge.

    Raises
    ------
    CasesError
        Columns missing, values impossible, starts that change within a cluster, clusters that were
        never without the program, one start for all, too few clusters.
    """
    table = _check_table(data, design)
    faults = Faults()
    read = read_schema(table, _name_roles(design), (UNIT, TRIALS, PATIENTS), faults)
    moment = faults.attempt(_read_times, table, design.time)
    faults.raise_all()
    labels = read["unit"]
    order = fill_periods(pd.Index(np.unique(moment.to_numpy())), design.time)
    period = order.get_indexer(pd.Index(moment.to_numpy()))
    first = faults.attempt(_first_periods, table, design, labels.code, labels.names, order)
    measured = faults.attempt(_read_outcome, table, design, labels.code, period)
    faults.raise_all()
    outcome, trials, rows = measured
    if rows == "events of trials":
        refuse_totals(
            {design.outcome: outcome, str(design.trials): trials}, table.index, group=period
        )
    known = np.isfinite(outcome)
    after = period >= first[labels.code]
    _check_missing(known, table, design)
    shape = (len(labels.names), len(order))
    place = (labels.code[known], period[known])
    size, total = np.zeros(shape), np.zeros(shape)
    np.add.at(size, place, trials[known])
    np.add.at(total, place, outcome[known] * (trials[known] if rows == "means" else 1.0))
    mean = np.divide(total, size, out=np.zeros(shape), where=size > 0)
    within, degrees = 0.0, 0
    if rows == "events of trials":
        within, degrees = float((size * mean * (1 - mean)).sum()), int((size - (size > 0)).sum())
    elif rows == "patients":
        within = float(((outcome[known] - mean[place]) ** 2).sum())
        degrees = int((size - (size > 0)).sum())
    wedge = WedgeRows(
        clusters=labels.names,
        labels=order,
        times=[_show(one) for one in order],
        first=first,
        size=size,
        sample=Sample(mean=mean, present=size > 0, within=within, within_degrees=degrees),
        rows=rows,
        missing_before=int((~known & ~after).sum()),
        missing_after=int((~known & after).sum()),
        total_before=int((~after).sum()),
        total_after=int(after.sum()),
    )
    _check_design(wedge)
    return wedge


def _read_times(table: pd.DataFrame, column: str) -> pd.Series:
    moment = read_moments(table[column], "time")
    empty = moment.isna().to_numpy()
    wanted = "hold a time in each row"
    refuse_rows(empty, table.index, column=column, role="time", wanted=wanted)
    return moment


def _check_table(data: object, design: "SteppedWedge") -> pd.DataFrame:
    if not isinstance(data, pd.DataFrame):
        raise CasesError(
            "A stepped wedge needs a table of patients, or of clusters and periods; got "
            f"{type(data).__name__}. Published figures go with PublishedAggregates."
        )
    name_columns(data, _name_roles(design))
    if data.empty:
        raise CasesError("The table has no rows.")
    return data


def read_moments(
    column: pd.Series,
    role: str,
    *,
    like: pd.Series | None = None,
    unit: str | None = None,
    zone: str | None = None,
) -> pd.Series:
    """Read times: numbers as floats, everything else as dates; missing stays missing.

    Parameters
    ----------
    column : numbers, dates, or text such as "2024-07" or "2024Q3"
    role : what the column is, for messages
    like : column of times that these belong to, and are read like; None for times themselves
    unit, zone : of the times, as for :func:`parse_times`

    Raises
    ------
    CasesError
        Text whose order cannot be told.
    """
    if like is None:
        found = parse_times(column, unit=unit, zone=zone, option=None)
    else:
        found = parse_like(column, parse_times(like, unit=unit, zone=zone), zone=zone)
    empty = (column.isna() | (column.astype(object).astype(str).str.strip() == "")).to_numpy()
    wrong = found.values.isna().to_numpy() & ~empty
    refuse_unreadable(column, wrong, role)
    return found.values


def _show(value: object) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:g}"
    return str(pd.Timestamp(str(value)).date())


def _first_periods(
    table: pd.DataFrame,
    design: "SteppedWedge",
    code: NDArray[np.intp],
    names: list[str],
    order: pd.Index,
) -> NDArray[np.intp]:
    """Position of each cluster's first period with the program."""
    never = find_never(table[design.start], table[design.time])
    starts = read_moments(table[design.start].where(~never), "start", like=table[design.time])
    never = np.asarray(never | starts.isna().to_numpy())
    numeric = pd.api.types.is_numeric_dtype(starts)
    if not never.all() and numeric != pd.api.types.is_numeric_dtype(order):
        raise CasesError(
            f"Columns {design.time!r} (time) and {design.start!r} (start) must hold the same "
            "kind of times; one holds numbers, the other dates."
        )
    position = np.full(len(starts), len(order), dtype=np.intp)
    position[~never] = order.searchsorted(starts[~never].to_numpy(), side="left")
    lowest = np.full(len(names), len(order), dtype=np.intp)
    highest = np.zeros(len(names), dtype=np.intp)
    np.minimum.at(lowest, code, position)
    np.maximum.at(highest, code, position)
    changing = np.flatnonzero(lowest != highest)
    if changing.size:
        raise CasesError(
            f"Column {design.start!r} (start) must say the same in all rows of a cluster. "
            f"{count_of(changing.size, 'cluster')} of {len(names):,} hold several starts, the "
            f"first {names[changing[0]]!r}. A program that stops or comes twice is no stepped "
            "wedge."
        )
    return lowest


def _read_outcome(
    table: pd.DataFrame, design: "SteppedWedge", code: NDArray[np.intp], period: NDArray[np.intp]
) -> tuple[Floats, Floats, str]:
    """Outcome and size of each row, and what a row is."""
    column = table[design.outcome]
    if design.event is not None:
        outcome = read_events(column, design.event, names_others=False)[0]
    else:
        outcome = read_values(table, design.outcome, OUTCOME)
    single = ~pd.MultiIndex.from_arrays([code, period]).duplicated(keep=False)
    trials = np.ones(outcome.size)
    if design.trials is not None:
        trials = read_values(table, design.trials, TRIALS)
        wrong = (outcome < 0) | (outcome > trials) | (outcome % 1 > 0)
        wanted = "count events: whole numbers from 0 to the trials"
        refuse_rows(wrong, table.index, column=design.outcome, role="outcome", wanted=wanted)
        return outcome, trials, "events of trials"
    if design.family == "binomial":
        wrong = np.isfinite(outcome) & (outcome != 0) & (outcome != 1)
        wanted = "hold 0 and 1 (or name trials=..., or family='gaussian' for means)"
        refuse_rows(wrong, table.index, column=design.outcome, role="outcome", wanted=wanted)
        return outcome, trials, "patients"
    if is_percent(design.measured_in):
        check_percentages(
            outcome, index=table.index, column=design.outcome, option="measured_in='%'"
        )
    warn_of_code(design.outcome, outcome, table.index)
    if design.patients is not None:
        trials = read_values(table, design.patients, PATIENTS)
    elif not single.all():
        return outcome, trials, "patients"
    if not single.all():
        raise CasesError(
            f"With patients={design.patients!r} each row is the mean of a cluster and period; "
            f"{int((~single).sum())} rows share theirs with another, the first at index "
            f"{table.index[int((~single).argmax())]}. Leave out patients= if rows are patients."
        )
    return outcome, trials, "means"


def _check_missing(known: NDArray[np.bool_], table: pd.DataFrame, design: "SteppedWedge") -> None:
    if design.missing == "error" and not known.all():
        raise CasesError(
            f"Column {design.outcome!r} (outcome) must hold a value in each row. "
            f"{describe_row(table.index, ~known)}. Correct the table, or pass missing='drop' to "
            "leave these rows out: the result counts them before and after."
        )


def _check_design(wedge: WedgeRows) -> None:
    count, periods = wedge.first.size, len(wedge.times)
    if periods < 2:
        raise CasesError("A stepped wedge needs several periods; the table holds one.")
    always = wedge.first == 0
    if always.any():
        name = wedge.clusters[int(always.argmax())]
        raise CasesError(
            f"{count_of(int(always.sum()), 'cluster')} of {count:,} had the program in every "
            f"period, the first {name!r} from {wedge.times[0]} on. A cluster tells an effect only "
            "with a period before its start: add the periods before, or leave the cluster out."
        )
    if count < FEWEST_CLUSTERS:
        raise CasesError(
            f"A stepped wedge needs {FEWEST_CLUSTERS} clusters or more; found {count}. One cluster "
            "is an interrupted series (InterruptedSeries), two are a series with its control "
            "(ControlledSeries)."
        )
    starts = np.unique(wedge.first[wedge.first < periods])
    if starts.size == 0:
        raise CasesError(
            "No cluster starts within the periods of the table: there is nothing after the start. "
            f"The periods run from {wedge.times[0]} to {wedge.times[-1]}."
        )
    if starts.size == 1:
        never = bool((wedge.first == periods).any())
        other = (
            "Clusters with and without the program are compared by DifferenceInDifferences."
            if never
            else "Without clusters that start later there is no control: use InterruptedSeries on "
            "the periods, or BeforeAfter on the patients."
        )
        raise CasesError(
            f"All clusters with the program start at {wedge.times[int(starts[0])]}; a stepped "
            f"wedge has several start times. {other}"
        )
