"""A goal of consecutive months below one or several bars."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Count, Positive, Range
from outcomekpi.indicators.goal_verdicts import (
    check_population,
    check_window,
    verdicts,
)
from outcomekpi.indicators.month_runs import SAME, run_lengths, runs
from outcomekpi.tables.patient_records import PatientRecords, Readings, months_by_patient

__all__ = ["RunGoal"]

MissingMonth = Literal["fails", "skipped", "passes"]
Within = Literal["any", "last"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunGoal:
    """Consecutive months below one or several bars ("BP < 140/90 for six months").

    Attributes
    ----------
    bars : pairs of measure and bar; a month passes if every measure lies below its bar
    months : consecutive months that must pass
    population : flag of the patients who are eligible; any of several; none is everybody
    within : "any" run within the window counts, or only the "last" months of the window
    missing_month : a month without all measures "fails", is "skipped" (it neither breaks a run
        nor counts in it), or "passes"
    readings_per_month : readings that a month needs to count as measured
    readings : the "mean" of a month's readings is compared with the bar, or "each" of them
    start, window : months ``start + 1`` to ``start + window`` are looked at

    Notes
    -----
    Where missing months fail, a patient who was never measured has not reached the goal; where
    they are skipped, one with fewer measured months than the run needs is not assessable; where
    they pass, one without any reading is not.

    Examples
    --------
    >>> from outcomekpi import RunGoal
    >>> RunGoal(bars=(("sbp", 140), ("dbp", 90)), months=6).missing_month
    'fails'
    """

    bars: tuple[tuple[str, Positive], ...]
    months: Count = 6
    population: tuple[str, ...] = ()
    within: Within = "any"
    missing_month: MissingMonth = "fails"
    readings_per_month: Count = 1
    readings: Readings = "mean"
    start: Annotated[int, Range(low=0)] = 0
    window: Count = 12

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.bars:
            raise SpecError("RunGoal.bars must name at least one measure and its bar.")
        if self.window < self.months:
            raise SpecError(
                f"A run of {self.months} months does not fit into a window of {self.window}."
            )
        check_population(type(self).__name__, self.population)

    def __str__(self) -> str:
        bars = " and ".join(f"{name} < {bar:g}" for name, bar in self.bars)
        which = "any" if self.within == "any" else "the last"
        return (
            f"{bars} in {which} {self.months} consecutive months of months {self.start + 1} to "
            f"{self.start + self.window}; a missing month: {self.missing_month}"
        )

    def judge(self, records: PatientRecords) -> pd.DataFrame:
        """One row per eligible patient: ``verdict``, ``reason``, ``month``, ``value``.

        ``value`` is the longest run (of the last months, with ``within="last"``), in months.
        """
        check_window(type(self).__name__, self.start, self.window, records)
        patients = records.eligible(self.population)
        passes, measured = self._monthly(records, patients)
        counted = measured
        if self.missing_month == "fails":
            counted = np.ones_like(measured)
        elif self.missing_month == "passes":
            counted, passes = np.ones_like(measured), passes | ~measured
        ever, at_last, when = runs(passes, counted, self.months)
        longest, final = run_lengths(passes, counted)
        value = longest if self.within == "any" else final
        n_measured = measured.sum(axis=1)
        needed = {"fails": 0, "skipped": self.months, "passes": 1}[self.missing_month]
        reason = np.array([f"{n} of {self.months} months in a row" for n in value], dtype=object)
        reason[n_measured == 0] = "no reading in the window"
        few = (n_measured < needed) & (n_measured > 0)
        reason[few] = f"fewer than {self.months} months measured"
        month = when if self.within == "any" else np.full(len(when), self.window - 1)
        reached = ever if self.within == "any" else at_last
        return verdicts(
            patients,
            reached=reached,
            assessable=n_measured >= needed,
            reason=reason,
            month=np.where(reached, month, self.window - 1) + self.start + 1.0,
            value=value.astype(np.float64),
        )

    def _monthly(
        self, records: PatientRecords, patients: pd.Index
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Whether each month passes, and whether it was measured: two (patient, month)."""
        shape = (len(patients), self.window)
        passes, measured = np.ones(shape, dtype=bool), np.ones(shape, dtype=bool)
        for measure, bar in self.bars:
            found = months_by_patient(
                records,
                measure,
                patients,
                first=self.start + 1,
                last=self.start + self.window,
                readings=self.readings,
                fewest=self.readings_per_month,
                bars=(bar,),
            )
            measured &= np.isfinite(found)
            with np.errstate(invalid="ignore"):
                passes &= found < bar - SAME * max(1.0, bar)
        return passes & measured, measured
