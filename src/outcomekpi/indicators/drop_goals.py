"""A goal of a fall from baseline by enough, and below a bar."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError, percent_hint
from outcomekpi.declare.fields import Count, Positive, Range
from outcomekpi.indicators.goal_verdicts import (
    check_population,
    check_window,
    verdicts,
)
from outcomekpi.indicators.month_runs import SAME, last_position, mean_at_end, runs
from outcomekpi.tables.patient_records import PatientRecords, months_by_patient

__all__ = ["DropGoal"]

Array = NDArray[np.float64]
Baseline = Literal["last", "mean", "first"]
Judged = Literal["last", "any", "mean"]
Missing = Literal["not assessable", "fails"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DropGoal:
    """A fall from baseline by enough, and below a bar if one is given ("HbA1c < 7 %, down .8").

    Attributes
    ----------
    measure : column of the measurements
    drop : smallest fall from baseline, in the unit of the measure, or with ``relative`` as a
        share of the baseline
    relative : how ``drop`` is read; the sources do not say it
    below : the follow-up value must also lie below this; None asks for the fall alone
    population : flag of the patients who are eligible; any of several; none is everybody
    baseline : the "last", the "first" or the "mean" of the readings up to month ``start``
    baseline_months : how far back these readings go, 1 is month ``start`` alone; None, all of them
    judged : the "last" reading of the window decides, "any" reading may, or their "mean" does
    kept : consecutive readings that must all pass ("kept for six months")
    missing : without a follow-up reading a patient is "not assessable", or he "fails"
    start, window : months ``start + 1`` to ``start + window`` are looked at

    Notes
    -----
    Passes if x < below and B - x >= drop (or drop x B). :class:`~outcomekpi.DropCriterion` says
    how likely luck passes the same rule.

    Examples
    --------
    >>> from outcomekpi import DropGoal
    >>> DropGoal(measure="hba1c", drop=0.8, below=7.0, population=("diabetes",)).relative
    False
    """

    measure: str
    drop: Positive
    relative: bool = False
    below: Positive | None = None
    population: tuple[str, ...] = ()
    baseline: Baseline = "last"
    baseline_months: Count | None = None
    judged: Judged = "last"
    kept: Count = 1
    missing: Missing = "not assessable"
    start: Annotated[int, Range(low=0)] = 0
    window: Count = 12

    def __post_init__(self) -> None:
        check_fields(self)
        name = type(self).__name__
        if self.relative and self.drop >= 1:
            raise SpecError(
                f"{name}.drop must be a share of the baseline with relative=True; "
                f"got {self.drop!r}.{percent_hint(self.drop)}"
            )
        if self.judged == "mean" and self.kept > 1:
            raise SpecError("A mean is one value: judged='mean' needs kept=1.")
        check_population(name, self.population)

    def __str__(self) -> str:
        fall = f"{self.drop:.3g} of the baseline" if self.relative else f"{self.drop:g}"
        bar = "" if self.below is None else f"{self.measure} < {self.below:g} and "
        which = {"last": "the last reading", "any": "any reading", "mean": "the mean"}[self.judged]
        kept = f" kept for {self.kept} readings" if self.kept > 1 else ""
        before = f"{self.baseline} reading up to month {self.start}"
        return (
            f"{bar}{self.measure} down by {fall} or more from the {before}{kept}; {which} of "
            f"months {self.start + 1} to {self.start + self.window}; without one: {self.missing}"
        )

    def judge(self, records: PatientRecords) -> pd.DataFrame:
        """One row per eligible patient: ``verdict``, ``reason``, ``month``, ``value``."""
        check_window(type(self).__name__, self.start, self.window, records)
        patients = records.eligible(self.population)
        before = self.baseline_of(records, patients)
        after = months_by_patient(
            records,
            self.measure,
            patients,
            first=self.start + 1,
            last=self.start + self.window,
            bars=() if self.below is None else (self.below,),
        )
        measured = np.isfinite(after)
        decided = measured
        if self.judged == "mean":
            after, decided = mean_at_end(after)
        fell, low = self._met(after, before[:, None])
        ever, at_last, when = runs(fell & low, decided, self.kept)
        reached = ever if self.judged == "any" else at_last
        last = last_position(decided)
        value = np.where(last >= 0, after[np.arange(len(after)), last], np.nan)
        enough = decided.sum(axis=1) >= self.kept
        decided_at = np.where(reached & (self.judged == "any"), when, last)
        has_baseline = np.isfinite(before)
        assessable = has_baseline & (enough | (self.missing == "fails"))
        return verdicts(
            patients,
            reached=reached,
            assessable=assessable,
            reason=self._reasons(value, before, enough),
            month=np.where(last >= 0, decided_at + self.start + 1, np.nan),
            value=value,
        )

    def baseline_of(self, records: PatientRecords, patients: pd.Index) -> Array:
        """Baseline of each patient, missing where nothing was measured: (patient,)."""
        earliest = int(records.measurements["month"].min()) if len(records.measurements) else 0
        first = min(earliest, self.start)
        if self.baseline_months is not None:
            first = self.start - self.baseline_months + 1
        before = months_by_patient(records, self.measure, patients, first=first, last=self.start)
        if self.baseline == "mean":
            at_end, _ = mean_at_end(before)
            return np.asarray(at_end[:, -1])
        if self.baseline == "first":
            before = before[:, ::-1]
        last = last_position(np.isfinite(before))
        return np.where(last >= 0, before[np.arange(len(before)), last], np.nan)

    def _met(self, value: Array, before: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Whether a value fell by enough, and whether it lies below the bar."""
        wanted = self.drop * before if self.relative else self.drop
        with np.errstate(invalid="ignore"):
            fell = before - value >= wanted - SAME * np.maximum(1.0, np.abs(before))
            low = np.isfinite(value)
            if self.below is not None:
                low = value < self.below - SAME * max(1.0, self.below)
        return np.asarray(fell), np.asarray(low)

    def _reasons(
        self, value: Array, before: Array, enough: NDArray[np.bool_]
    ) -> NDArray[np.object_]:
        fell, low = self._met(value, before)
        asked = f"{self.drop:.3g} of baseline" if self.relative else f"{self.drop:g}"
        reason = np.full(len(value), f"not kept for {self.kept} readings", dtype=object)
        reason[~fell] = f"{self.measure} fell by less than {asked}"
        if self.below is not None:
            reason[~low & fell] = f"{self.measure} not below {self.below:g}"
            reason[~low & ~fell] = f"{self.measure} not below {self.below:g}, nor down by {asked}"
        reason[~enough] = "no reading in the window" if self.kept == 1 else "too few readings"
        reason[np.isnan(before)] = "no baseline reading"
        return reason
