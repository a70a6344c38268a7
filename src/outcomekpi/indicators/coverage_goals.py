"""A goal of days covered by medication."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Above, Count, Range
from outcomekpi.indicators.goal_verdicts import (
    check_population,
    check_window,
    verdicts,
)
from outcomekpi.indicators.month_runs import SAME
from outcomekpi.tables.patient_records import PatientRecords, months_by_patient

__all__ = ["CoverageGoal"]

Array = NDArray[np.float64]
MissingCover = Literal["not covered", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageGoal:
    """Enough of the days covered by medication (proportion of days covered, PDC).

    Attributes
    ----------
    measure : column with the share of days covered in a month, 0 to 1
    at_least : proportion of days covered that reaches the goal
    population : flag of the patients who are eligible; any of several; none is everybody
    missing : a month without a record is "not covered" (no fill, no medication) or "skipped"
    fewest_months : with fewer months on record a patient is not assessable
    start, window : months ``start + 1`` to ``start + window`` are looked at

    Notes
    -----
    PDC = sum of covered shares / months counted; months are taken as equally long. The standard
    (PQA) asks for .80 over a treatment period of at least 91 days.

    Examples
    --------
    >>> from outcomekpi import CoverageGoal
    >>> CoverageGoal(population=("diabetes", "hypertension")).at_least
    0.8
    """

    measure: str = "covered"
    at_least: Above = 0.80
    population: tuple[str, ...] = ()
    missing: MissingCover = "not covered"
    fewest_months: Count = 3
    start: Annotated[int, Range(low=0)] = 0
    window: Count = 12

    def __post_init__(self) -> None:
        check_fields(self)
        check_population(type(self).__name__, self.population)

    def __str__(self) -> str:
        months = f"months {self.start + 1} to {self.start + self.window}"
        return (
            f"{self.at_least:.0%} or more of the days of {months} covered ({self.measure}); "
            f"a month without a record: {self.missing}"
        )

    def judge(self, records: PatientRecords) -> pd.DataFrame:
        """One row per eligible patient: ``verdict``, ``reason``, ``month``, ``value`` (PDC)."""
        check_window(type(self).__name__, self.start, self.window, records)
        patients = records.eligible(self.population)
        covered = months_by_patient(
            records, self.measure, patients, first=self.start + 1, last=self.start + self.window
        )
        known = np.isfinite(covered)
        _check_shares(covered[known], self.measure)
        n = known.sum(axis=1)
        whole = np.full(len(n), self.window) if self.missing == "not covered" else n
        value = np.where(n > 0, np.nansum(covered, axis=1) / np.maximum(whole, 1), np.nan)
        reason = np.full(len(n), f"less than {self.at_least:.0%} of days covered", dtype=object)
        reason[n < self.fewest_months] = f"fewer than {self.fewest_months} months on record"
        return verdicts(
            patients,
            reached=value >= self.at_least - SAME,
            assessable=n >= self.fewest_months,
            reason=reason,
            month=np.full(len(n), float(self.start + self.window)),
            value=value,
        )


def _check_shares(values: Array, measure: str) -> None:
    """Raise a :class:`SpecError` unless covered shares lie in [0, 1]."""
    wrong = values[(values < 0) | (values > 1)]
    if wrong.size:
        raise SpecError(
            f"measurements[{measure!r}] must hold shares of days, 0 to 1; {wrong.size} of "
            f"{values.size} do not, the first {wrong[0]:g}."
        )
