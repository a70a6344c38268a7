"""One series of periods, read from a table: outcome, trials or exposure, control, covariates."""

import warnings
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError, OutcomeKPIWarning
from outcomekpi.declare.fields import Range
from outcomekpi.pilots.data.percent_check import PERCENT, check_percentages, is_percent
from outcomekpi.pilots.data.series_interruptions import Interruption, ReadInterruption
from outcomekpi.pilots.data.series_times import SeriesTimes, name_gaps, read_times
from outcomekpi.tables.columns import count_of, list_values, read_numbers
from outcomekpi.tables.faults import Faults, refuse_rows
from outcomekpi.tables.missing_codes import warn_of_code
from outcomekpi.tables.schema import name_columns
from outcomekpi.tables.times import TimeUnit

__all__ = ["PERCENT", "Family", "GapPolicy", "SeriesColumns", "SeriesData", "read_series"]

Floats = NDArray[np.float64]
Family = Literal["gaussian", "binomial", "poisson"]
GapPolicy = Literal["error", "missing"]
FEW_POINTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesColumns:
    """Which column is what, and how the outcome was counted: what designs of series share."""

    outcome: str
    time: str
    start: object
    trials: str | None = None
    exposure: str | None = None
    covariates: tuple[str, ...] = ()
    family: Family = "gaussian"
    unit: str | None = None
    gaps: GapPolicy = "error"
    ramp_up: Annotated[int, Range(low=0)] = 0
    other_interruptions: tuple[Interruption, ...] = ()
    outcome_range: tuple[float, float] | None = None
    time_unit: TimeUnit | None = None
    time_zone: str | None = None

    @property
    def control(self) -> str | None:
        """Column of the control; None without one."""
        return None

    @property
    def control_trials(self) -> str | None:
        """Column of the control's trials."""
        return None

    @property
    def control_exposure(self) -> str | None:
        """Column of the control's exposure."""
        return None

    @property
    def limits(self) -> tuple[float, float] | None:
        """Between which values the outcome of a period lies; None where nobody said."""
        if self.family != "gaussian":
            return (0.0, 1.0) if self.family == "binomial" else (0.0, np.inf)
        if self.outcome_range is not None:
            return self.outcome_range
        return (0.0, 100.0) if is_percent(self.unit) else None

    def named(self) -> dict[str, str]:
        """Role -> column, of the roles that were named."""
        own = ("outcome", "time", "trials", "exposure")
        of_control = ("control", "control_trials", "control_exposure")
        found = {role: getattr(self, role) for role in (*own, *of_control)}
        found |= {f"covariate {number}": name for number, name in enumerate(self.covariates, 1)}
        return {role: name for role, name in found.items() if name is not None}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesData:
    """A series at evenly spaced times.

    Attributes
    ----------
    times : of every point, and the position of the start
    outcome, size : (time,), outcome and its trials or exposure (1 where there is none); nan where
        missing
    control, control_size : (time,), the same of the control, or None
    covariates : (time, covariate)
    used : (time,), False where something is missing or during the ramp-up
    after : (time,), True from the first time after the ramp-up on
    others : other interruptions, in order of time
    """

    times: SeriesTimes
    outcome: Floats
    size: Floats
    control: Floats | None
    control_size: Floats | None
    covariates: Floats
    used: NDArray[np.bool_]
    after: NDArray[np.bool_]
    others: tuple[ReadInterruption, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def since(self) -> Floats:
        """Steps since the first time that counts as after."""
        return np.arange(self.after.size, dtype=np.float64) - float(self.after.argmax())

    @property
    def before(self) -> NDArray[np.bool_]:
        """(time,), True before the start, and used."""
        return self.used & (np.arange(self.used.size) < self.times.start)

    @property
    def rate(self) -> Floats:
        """Outcome per trial or unit of exposure."""
        return np.asarray(self.outcome / self.size).astype(np.float64)


def read_series(data: object, columns: SeriesColumns) -> SeriesData:
    """Read a series, and refuse what is none.

    Raises
    ------
    CasesError
        Columns missing, values impossible, times repeated or without a row, no period before or
        after, too few points.

    Warns
    -----
    OutcomeKPIWarning
        Fewer than 8 points before or after the start.
    """
    table = _check_columns(data, columns)
    faults = Faults()
    times = faults.attempt(
        read_times,
        table[columns.time],
        columns.start,
        [other.start for other in columns.other_interruptions],
        unit=columns.time_unit,
        zone=columns.time_zone,
    )
    numbers = {
        role: faults.attempt(read_numbers, table[name], role)
        for role, name in columns.named().items()
        if role != "time"
    }
    faults.raise_all()
    read = {role: _spread(values, times) for role, values in numbers.items()}
    present = _check_values(read, columns, times)
    if columns.family == "gaussian":
        warn_of_code(columns.outcome, read["outcome"], times.labels)
    count = times.row.size
    position = np.arange(count)
    ramp = (position >= times.start) & (position < times.start + columns.ramp_up)
    covariates = [read[role] for role in read if role.startswith("covariate")]
    series = SeriesData(
        times=times,
        outcome=read["outcome"],
        size=_size(read, ("trials", "exposure"), count),
        control=read.get("control"),
        control_size=_size(read, ("control_trials", "control_exposure"), count),
        covariates=np.column_stack(covariates) if covariates else np.empty((count, 0)),
        used=present & ~ramp,
        after=position >= times.start + columns.ramp_up,
        others=_read_others(columns, times),
        notes=_notes(times, present, ramp),
    )
    _check_points(series)
    return series


def _read_others(columns: SeriesColumns, times: SeriesTimes) -> tuple[ReadInterruption, ...]:
    found = [
        ReadInterruption(
            position=position,
            change=other.change,
            name=other.name.strip() or _label(times.labels[position]),
        )
        for other, position in zip(columns.other_interruptions, times.others, strict=True)
    ]
    for key in ("position", "name"):
        own = [getattr(one, key) for one in found]
        if len(set(own)) < len(own):
            raise CasesError(
                f"Two other interruptions share one {'time' if key == 'position' else 'name'}: "
                f"{list_values([one.name for one in found])}. Name each once."
            )
    clash = [one for one in found if one.position == times.start]
    if clash:
        raise CasesError(
            f"The interruption {clash[0].name!r} begins with the program: what begins at one time "
            "cannot be told apart. Leave it out, and name it among the co-interventions."
        )
    return tuple(sorted(found, key=lambda one: one.position))


def _check_columns(data: object, columns: SeriesColumns) -> pd.DataFrame:
    if not isinstance(data, pd.DataFrame):
        raise CasesError(
            f"An interrupted series needs a table with one row for each period; got "
            f"{type(data).__name__}. Published figures go with PublishedAggregates."
        )
    name_columns(data, columns.named())
    return data


def _spread(values: Floats, times: SeriesTimes) -> Floats:
    """Put the values of the table at their times; nan where there is no row."""
    out = np.full(times.row.size, np.nan)
    out[times.row >= 0] = values[times.row[times.row >= 0]]
    return out


def _size(read: dict[str, Floats], roles: tuple[str, ...], count: int) -> Floats:
    found = [read[role] for role in roles if role in read]
    return found[0] if found else np.ones(count)


def _check_values(
    read: dict[str, Floats], columns: SeriesColumns, times: SeriesTimes
) -> NDArray[np.bool_]:
    """Refuse impossible values; return where nothing is missing."""
    faults = Faults()
    for role, values in read.items():
        name = columns.named()[role]
        faults.attempt(_refuse, np.isinf(values), times, name, role, "hold finite numbers")
    series = (("outcome", "trials", "exposure"), ("control", "control_trials", "control_exposure"))
    for value, trials, exposure in series:
        if value not in read:
            continue
        name = columns.named()[value]
        faults.attempt(_check_outcome, read[value], columns, times, name, value)
        if trials in read:
            wrong = (read[value] > read[trials]) & (read[trials] > 0)
            faults.attempt(_refuse, wrong, times, name, value, "hold no more events than trials")
        for size in (trials, exposure):
            if size in read:
                wrong = read[size] <= 0
                wanted = "hold numbers above 0"
                faults.attempt(_refuse, wrong, times, columns.named()[size], size, wanted)
    present = np.all([np.isfinite(values) for values in read.values()], axis=0)
    if not present.all() and columns.gaps == "error":
        faults.attempt(_refuse_gaps, present, read, columns, times)
    faults.raise_all()
    return np.asarray(present, dtype=np.bool_)


def _check_outcome(
    values: Floats, columns: SeriesColumns, times: SeriesTimes, name: str, role: str
) -> None:
    if columns.family != "gaussian":
        wrong = (values < 0) | (values % 1 > 0)
        _refuse(wrong, times, name, role, "count events: whole numbers from 0")
        return
    if columns.limits is None:
        return
    low, high = columns.limits
    wrong = (values < low) | (values > high)
    what = "percentages" if columns.outcome_range is None else "values"
    _refuse(wrong, times, name, role, f"hold {what} from {low:g} to {high:g}")
    if is_percent(columns.unit):
        option = f"unit={columns.unit!r}"
        check_percentages(values, index=times.labels, column=name, role=role, option=option)


def _refuse(
    wrong: NDArray[np.bool_], times: SeriesTimes, name: str, role: str, wanted: str
) -> None:
    labels = pd.Index([_label(time) for time in times.labels])
    refuse_rows(wrong, labels, column=name, role=role, wanted=wanted)


def _label(value: object) -> str:
    return f"{value:%Y-%m-%d}" if isinstance(value, pd.Timestamp) else f"{value:g}"


def _refuse_gaps(
    present: NDArray[np.bool_],
    read: dict[str, Floats],
    columns: SeriesColumns,
    times: SeriesTimes,
) -> None:
    absent = times.row < 0
    if absent.any():
        what = f"{count_of(int(absent.sum()), 'period')} without a row: {name_gaps(times)}"
    else:
        role = next(role for role, values in read.items() if not np.isfinite(values).all())
        lost = [_label(label) for label in times.labels[~np.isfinite(read[role])]]
        what = (
            f"{count_of(len(lost), 'period')} where column {columns.named()[role]!r} ({role}) is "
            f"empty: {list_values(lost)}"
        )
    raise CasesError(
        f"The series from {_label(times.labels[0])} to {_label(times.labels[-1])} (one point a "
        f"{times.step}) has gaps: {what}. Fill in the periods (a period without events is a 0, not "
        "a gap), or pass gaps='missing' to treat them as missing at random."
    )


def _notes(
    times: SeriesTimes, present: NDArray[np.bool_], ramp: NDArray[np.bool_]
) -> tuple[str, ...]:
    notes = []
    if not times.was_sorted:
        notes.append("The rows were put in the order of time.")
    if not present.all():
        lost = [_label(label) for label in times.labels[~present]]
        notes.append(f"{count_of(len(lost), 'period')} taken as missing: {list_values(lost)}.")
    if ramp.any():
        notes.append(f"{count_of(int(ramp.sum()), 'period')} of ramp-up left out.")
    return tuple(notes)


def _check_points(series: SeriesData) -> None:
    before, after = int(series.before.sum()), int((series.used & series.after).sum())
    for count, side in ((before, "before"), (after, "after")):
        if count < 3:
            raise CasesError(
                f"An interrupted series needs 3 points or more on each side of the start; "
                f"{count_of(count, 'point')} found {side} it. No trend can be told from so few: "
                "use BeforeAfter, or PublishedAggregates."
            )
    if min(before, after) < FEW_POINTS:
        warnings.warn(
            f"{count_of(before, 'point')} before and {after:,} after the start: below "
            f"{FEW_POINTS} a side the trend rests on a handful of points. Intervals are wide, and "
            "hold only if trend and noise are as modeled, which so few points cannot show; one odd "
            "point can make or undo the result.",
            OutcomeKPIWarning,
            stacklevel=2,
        )
