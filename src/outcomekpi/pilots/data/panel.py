"""A panel of units and periods, read from unit-period or patient rows, and its refusals."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from outcomekpi.declare.errors import CasesError
from outcomekpi.pilots.data.panel_times import PanelTimes, read_panel_times
from outcomekpi.pilots.data.percent_check import check_percentages, is_percent
from outcomekpi.pilots.data.selected_periods import leave_out_selected
from outcomekpi.tables.columns import count_of, list_values
from outcomekpi.tables.faults import Faults, refuse_rows
from outcomekpi.tables.missing_codes import warn_of_code
from outcomekpi.tables.schema import Role, name_columns, read_schema, read_values
from outcomekpi.tables.totals import refuse_totals

__all__ = [
    "Control",
    "PanelColumns",
    "PanelData",
    "PanelGaps",
    "Rows",
    "Weights",
    "read_panel",
    "weigh_units",
]

Rows = Literal["unit_periods", "patients"]
PanelGaps = Literal["error", "drop_units"]
Weights = Literal["units", "patients"]
Control = Literal["never_treated", "not_yet_treated"]
HUNDRED = 100.0

UNIT, CLUSTER = (Role(name=name, is_label=True) for name in ("unit", "cluster"))
OUTCOME = Role(name="outcome", may_miss=True)
EVENTS = Role(name="outcome", wanted="count events: numbers from 0", lowest=0, may_miss=True)
TRIALS = Role(name="trials", wanted="hold numbers above 0", lowest=0, above=True)
COVARIATE = Role(
    name="covariate",
    wanted="hold a finite number in each row",
    remedy="Fill it in, or leave the covariate out.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelColumns:
    """Which column is what, and what a row is: what designs of panels share.

    ``selected_in`` are times by which units were chosen, which are left out.
    """

    outcome: str
    unit: str
    time: str
    start: str
    trials: str | None = None
    rows: Rows = "unit_periods"
    gaps: PanelGaps = "error"
    outcome_unit: str | None = None
    selected_in: tuple[object, ...] = ()

    @property
    def cluster(self) -> str | None:
        """Column of clusters, where they are not the units."""
        return None

    @property
    def covariates(self) -> tuple[str, ...]:
        """Columns known before the program."""
        return ()

    @property
    def weights(self) -> Weights:
        """What counts alike."""
        return "units"

    @property
    def counts_patients(self) -> bool:
        """Whether the number of patients of a unit and time is known."""
        return self.trials is not None or self.rows == "patients"

    def named(self) -> dict[str, str]:
        """Role -> column, of the roles that were named."""
        found = {role: getattr(self, role) for role in ("outcome", "unit", "time", "start")}
        if self.trials is not None:
            found["trials"] = self.trials
        if self.cluster is not None and self.cluster != self.unit:
            found["cluster"] = self.cluster
        return found | {f"covariate {n}": name for n, name in enumerate(self.covariates, 1)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PanelData:
    """A complete panel: each unit once at each time.

    Attributes
    ----------
    frame : one row for each unit and time: ``outcome`` (a share between 0 and 1 where
        ``is_share``), ``unit`` and ``cluster`` (codes), ``time`` (position from 1), ``start``
        (position, 0 for never), ``patients``, ``weight`` (of the unit, 1 on average), ``treated``,
        ``after`` and the covariates
    units, clusters, times : names behind the codes and positions
    is_share : whether the outcome is a share of patients
    word : unit of effects on the outcome's scale
    missing : missing outcomes of the treated before and after, of the controls before and after
        the first start
    notes : what was left out or put together
    """

    frame: pd.DataFrame
    units: list[str]
    clusters: list[str]
    times: tuple[str, ...]
    is_share: bool
    word: str
    missing: dict[str, tuple[int, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def starts(self) -> list[int]:
        """Positions of the starts, in order."""
        found = self.frame["start"].unique()
        return sorted(int(one) for one in found if one > 0)

    @property
    def n_clusters(self) -> int:
        """Clusters in all."""
        return int(self.frame["cluster"].nunique())

    @property
    def treated_clusters(self) -> int:
        """Clusters with a treated unit."""
        return int(self.frame.loc[self.frame["treated"] == 1, "cluster"].nunique())

    @property
    def control_clusters(self) -> int:
        """Clusters without any treated unit."""
        return self.n_clusters - self.treated_clusters

    @property
    def n_treated(self) -> int:
        """Treated units."""
        return int(self.frame.loc[self.frame["treated"] == 1, "unit"].nunique())

    @property
    def n_controls(self) -> int:
        """Never-treated units."""
        return int(self.frame["unit"].nunique()) - self.n_treated

    def scaled(self) -> pd.DataFrame:
        """Return the frame with shares in percent, for effects in percentage points."""
        if not self.is_share:
            return self.frame
        return self.frame.assign(outcome=HUNDRED * self.frame["outcome"])


def read_panel(data: object, columns: PanelColumns, *, fill: float | None = None) -> PanelData:
    """Read a panel, and refuse what is none.

    Parameters
    ----------
    data : table
    columns : design
    fill : what missing outcomes of the treated after the start are taken to be, to see what they
        could have done; None leaves them out

    Raises
    ------
    CasesError
        Columns missing, values impossible, units and periods repeated or absent, a unit treated in
        every period or at two different starts, nobody treated.
    """
    table = _check_columns(data, columns)
    faults = Faults()
    read = read_schema(table, columns.named(), (UNIT, CLUSTER), faults)
    times = faults.attempt(
        read_panel_times, table[columns.time], table[columns.start], selected=columns.selected_in
    )
    measured = faults.attempt(_read_outcome, table, columns)
    covariates = {
        one: faults.attempt(read_values, table, one, COVARIATE) for one in columns.covariates
    }
    faults.raise_all()
    unit, cluster = read["unit"], read.get("cluster", read["unit"])
    outcome, patients, is_share = measured
    rows = pd.DataFrame(
        {
            "outcome": outcome,
            "unit": unit.code,
            "cluster": cluster.code,
            "time": times.time,
            "start": times.start,
            "patients": patients,
            **covariates,
        }
    )
    if columns.trials is not None:
        counted = {columns.outcome: outcome * patients, columns.trials: patients}
        refuse_totals(counted, table.index, group=times.time)
    named = columns.cluster or columns.unit
    faults.attempt(_check_constant, rows, unit.names, "start", columns.start, times.labels)
    faults.attempt(_check_constant, rows, unit.names, "cluster", named, ())
    faults.attempt(_check_every_period, rows, unit.names, columns, times)
    faults.raise_all()
    rows, times, left_out = leave_out_selected(rows, times)
    missing = _count_missing(rows)
    if fill is not None:
        lost = ~np.isfinite(rows["outcome"]) & (rows["start"] > 0) & (rows["time"] >= rows["start"])
        rows.loc[lost, "outcome"] = fill
    frame, notes = _one_row_each(rows, unit.names, times, columns)
    frame = weigh_units(frame, columns.weights)
    frame["treated"] = (frame["start"] > 0).astype(int)
    frame["after"] = (frame["treated"] == 1) & (frame["time"] >= frame["start"])
    frame["after"] = frame["after"].astype(int)
    return PanelData(
        frame=frame,
        units=unit.names,
        clusters=cluster.names,
        times=times.labels,
        is_share=is_share,
        word="percentage points" if is_share else _word(columns),
        missing=missing,
        notes=(*left_out, *notes),
    )


def weigh_units(frame: pd.DataFrame, weights: Weights) -> pd.DataFrame:
    """Give each unit its weight: 1, or its patients over all times, as a multiple of the mean."""
    if weights == "units":
        return frame.assign(weight=1.0)
    size = frame.groupby("unit")["patients"].transform("sum")
    return frame.assign(weight=size / size.mean())


def _word(columns: PanelColumns) -> str:
    said = columns.outcome_unit
    if said is None:
        return f"units of {columns.outcome}"
    return "percentage points" if is_percent(said) else said


def _check_columns(data: object, columns: PanelColumns) -> pd.DataFrame:
    if not isinstance(data, pd.DataFrame):
        raise CasesError(
            "Difference in differences needs a table with one row for each unit and period, or "
            f"for each patient; got {type(data).__name__}. Published figures go with "
            "PublishedAggregates."
        )
    name_columns(data, columns.named())
    reserved = {"outcome", "unit", "cluster", "time", "start", "patients", "weight"}
    reserved |= {"treated", "after"}
    taken = [name for name in columns.covariates if name in reserved or not name.isidentifier()]
    if taken:
        raise CasesError(
            f"The covariate {taken[0]!r} needs another name: letters, digits and underscores, and "
            f"none of {', '.join(sorted(reserved))}. Rename the column."
        )
    return data


def _read_outcome(
    table: pd.DataFrame, columns: PanelColumns
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Outcome and patients of each row, and whether the outcome is a share of them."""
    name = columns.outcome
    if columns.trials is not None:
        faults = Faults()
        events = faults.attempt(read_values, table, name, EVENTS)
        trials = faults.attempt(read_values, table, columns.trials, TRIALS)
        faults.raise_all()
        wanted = "hold no more than trials"
        refuse_rows(events > trials, table.index, column=name, role="outcome", wanted=wanted)
        return events / trials, trials, True
    values = read_values(table, name, OUTCOME)
    one = np.ones(len(table))
    binary = bool(np.isin(values[np.isfinite(values)], (0.0, 1.0)).all())
    if binary and columns.rows == "patients":
        return values, one, True
    if is_percent(columns.outcome_unit):
        check_percentages(values, index=table.index, column=columns.outcome)
    warn_of_code(columns.outcome, values, table.index)
    return values, one, False


def _check_constant(
    rows: pd.DataFrame, units: list[str], role: str, name: str, labels: tuple[str, ...]
) -> None:
    several = rows.groupby("unit")[role].nunique()
    bad = several.index[several > 1]
    if len(bad):
        seen = rows.loc[rows["unit"] == bad[0], role].unique()
        words = [labels[one - 1] if one else "never" for one in seen] if labels else []
        raise CasesError(
            f"Column {name!r} ({role}) must hold one value for each unit. "
            f"{count_of(len(bad), 'unit')} of {len(units):,} have several, the first "
            f"{units[bad[0]]!r}{': ' + ', '.join(words) if words else ''}. "
            + (
                "A program that ends or comes in steps is not difference in differences: use "
                "InterruptedSeries for each unit."
                if role == "start"
                else "A unit belongs to one cluster."
            )
        )


def _check_every_period(
    rows: pd.DataFrame, units: list[str], columns: PanelColumns, times: PanelTimes
) -> None:
    treated = rows[rows["start"] > 0]
    if not len(treated):
        raise CasesError(
            f"No unit has a start in column {columns.start!r}: nobody was treated. Give each "
            "treated unit the first time with the program, in all of its rows."
        )
    always = np.unique(treated.loc[treated["start"] <= 1, "unit"])
    if always.size:
        names = list_values(units[one] for one in always)
        raise CasesError(
            f"{count_of(always.size, 'unit')} of {len(units):,} had the program in every period "
            f"(start {times.labels[0]}, the first time in the data): {names}. Nothing shows what "
            "they were without it. Add earlier periods, or leave these units out."
        )


def _count_missing(rows: pd.DataFrame) -> dict[str, tuple[int, int]]:
    treated = rows["start"] > 0
    first = rows.loc[treated, "start"].min()
    after = rows["time"] >= rows["start"].where(treated, first)
    empty = ~np.isfinite(rows["outcome"])
    return {
        who: (int((empty & side & ~after).sum()), int((empty & side & after).sum()))
        for who, side in (("treated", treated), ("controls", ~treated))
    }


def _one_row_each(
    rows: pd.DataFrame, units: list[str], times: PanelTimes, columns: PanelColumns
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Refuse or put together repeated rows; refuse or leave out units with gaps."""
    notes = []
    present = rows[np.isfinite(rows["outcome"])]
    lost = len(rows) - len(present)
    if lost:
        notes.append(f"{count_of(lost, 'row')} without an outcome left out.")
    repeated = present.duplicated(["unit", "time"], keep=False)
    if columns.rows == "unit_periods" and repeated.any():
        first = present[repeated].iloc[0]
        pairs = len(present[repeated].drop_duplicates(["unit", "time"]))
        raise CasesError(
            f"Each unit needs one row for each time; {count_of(pairs, 'unit and time')} have "
            f"several, the first {units[int(first['unit'])]!r} at "
            f"{times.labels[int(first['time']) - 1]}. If rows are patients, pass rows='patients' "
            "and they are averaged by unit and time; else remove the copies."
        )
    if columns.rows == "patients":
        kept = present.groupby(["unit", "time"], as_index=False)
        frame = kept.mean().assign(patients=kept["patients"].sum()["patients"])
        notes.append(f"{len(present):,} patients averaged to {len(frame):,} units and times.")
    else:
        frame = present.reset_index(drop=True)
    frame = frame.astype({"unit": int, "cluster": int, "time": int, "start": int})
    return _without_gaps(frame, units, times, columns, notes)


def _without_gaps(
    frame: pd.DataFrame,
    units: list[str],
    times: PanelTimes,
    columns: PanelColumns,
    notes: list[str],
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    counts = frame.groupby("unit").size().reindex(range(len(units)), fill_value=0)
    short = counts.index[counts < len(times.labels)]
    if len(short):
        seen = set(frame.loc[frame["unit"] == short[0], "time"])
        absent = [label for n, label in enumerate(times.labels, 1) if n not in seen]
        if columns.gaps == "error":
            raise CasesError(
                f"{count_of(len(short), 'unit')} of {len(units):,} have gaps, the first "
                f"{units[short[0]]!r} at {list_values(absent)}: no row, or no outcome. The effect "
                "would mix a change of units with a change within them. Fill in the periods, or "
                "pass gaps='drop_units' to leave these units out."
            )
        frame = frame[~frame["unit"].isin(short)].reset_index(drop=True)
        names = list_values(units[one] for one in short)
        notes.append(f"{count_of(len(short), 'unit')} with gaps left out: {names}.")
        if not (frame["start"] > 0).any():
            raise CasesError(
                f"Without the {count_of(len(short), 'unit')} with gaps ({names}) nobody treated "
                "is left. Fill in their periods."
            )
    return frame.sort_values(["unit", "time"], ignore_index=True), tuple(notes)
