"""A goal that something does not happen again within a time, with death competing."""

import warnings
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import (
    CasesError,
    OutcomeKPIWarning,
    SpecError,
    did_you_mean,
)
from outcomekpi.declare.fields import Positive, Range
from outcomekpi.indicators.goal_verdicts import check_population, verdicts
from outcomekpi.indicators.month_runs import SAME
from outcomekpi.tables.patient_records import DAYS_PER_MONTH, PatientRecords

__all__ = ["NoEventGoal", "encounters_of"]

Array = NDArray[np.float64]
Since = Literal["start", "first event"]
Death = Literal["not reached", "excluded", "reached"]


# Kinds of encounters: the table that a goal on events needs, in the words that the goal uses
def encounters_of(records: PatientRecords, name: str, kind: str, death_kind: str) -> pd.DataFrame:
    """Encounters for a goal, or an error where its words and those of the table do not agree.

    Parameters
    ----------
    records : tables
    name : of the goal, for messages
    kind, death_kind : kinds of encounters that the goal looks for

    Raises
    ------
    CasesError
        No table was given, or a kind is spelled otherwise in it.
    """
    table = records.encounters
    if table is None:
        raise CasesError(
            f"{name} needs encounters (patient, day, kind); no encounters were given. Where truly "
            "nothing happened, an empty table says so: "
            "encounters=pd.DataFrame(columns=['patient', 'day', 'kind'])."
        )
    kinds = [str(found) for found in pd.unique(table["kind"])]
    for wanted in (kind, death_kind):
        _check_spelling(table, kinds, name, wanted)
    others = [found for found in kinds if found != death_kind]
    if kind in kinds or not others:
        return table
    listed = ", ".join(sorted(others))
    hint = did_you_mean(kind, others)
    if hint:
        raise CasesError(
            f"{name} looks for {kind!r}; no row of encounters is of this kind, the table has "
            f"{listed}.{hint} If they are other events, leave their rows out."
        )
    warnings.warn(
        f"encounters have no {kind!r} that {name} looks for; the table has {listed}. The goal "
        "counts as reached by everybody who is followed up. If that is not so, name the kind.",
        OutcomeKPIWarning,
        stacklevel=3,
    )
    return table


def _check_spelling(table: pd.DataFrame, kinds: list[str], name: str, wanted: str) -> None:
    """Refuse kinds that differ from the wanted one by capitals or blanks alone."""
    plain = wanted.strip().casefold()
    for found in kinds:
        if found != wanted and found.strip().casefold() == plain:
            rows = table["kind"].astype(object) == found
            raise CasesError(
                f"{name} looks for {wanted!r}; {int(rows.sum())} of {len(table)} rows of "
                f"encounters have {found!r}, first of patient "
                f"{table['patient'][rows].tolist()[0]!r}. Write them alike."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class NoEventGoal:
    """No event within a time ("not readmitted for heart failure within one year").

    Attributes
    ----------
    kind : kind of encounter that must not happen
    years : length of the window, of 365.25 days (12 months of 30.4375 days each)
    days : length of the window in days, in place of ``years``
    since : the window opens at month ``start`` ("start"), or with each patient's "first event"
        after it, so that a readmission is the second one; the source does not say it
    death : a patient who dies in the window without the event has "not reached" the goal, is
        "excluded" (not assessable), or has "reached" it, as the words of the rule have it
    population : flag of the patients who are eligible; any of several; none is everybody
    start : month whose end is day 0 of the window or of the search for the first event
    death_kind : kind of encounter that is a death

    Notes
    -----
    An event on the last day of the window is within it; one on the day that opens it, or before,
    is not. A window that the records do not cover whole is not assessable unless the event has
    happened: nobody is paid for time not yet seen.

    Examples
    --------
    >>> from outcomekpi import NoEventGoal
    >>> NoEventGoal(kind="hf_admission", years=1, population=("heart_failure",)).death
    'not reached'
    """

    kind: str
    years: Positive = 1.0
    days: Positive | None = None
    since: Since = "start"
    death: Death = "not reached"
    population: tuple[str, ...] = ()
    start: Annotated[int, Range(low=0)] = 0
    death_kind: str = "death"

    def __post_init__(self) -> None:
        check_fields(self)
        check_population(type(self).__name__, self.population)
        if self.kind == self.death_kind:
            raise SpecError("NoEventGoal: death competes with the event; it cannot be the event.")

    def __str__(self) -> str:
        opens = f"month {self.start}" if self.since == "start" else f"the first {self.kind}"
        return f"no {self.kind} within {self._length} of {opens}; a death: {self.death}"

    @property
    def _window(self) -> float:
        """Length in days; a fraction of a year is rounded, so that 7 / 365.25 years are 7 days."""
        return float(self.days) if self.days is not None else round(self.years * 365.25, 9)

    @property
    def _length(self) -> str:
        return f"{self.years:g} years" if self.days is None else f"{self.days:g} days"

    def judge(self, records: PatientRecords) -> pd.DataFrame:
        """One row per eligible patient: ``verdict``, ``reason``, ``month``, ``value``.

        ``value`` is the day of the event counted from the opening of the window, else missing.
        """
        patients = records.eligible(self.population)
        table = encounters_of(records, type(self).__name__, self.kind, self.death_kind)
        opens = np.full(len(patients), self.start * DAYS_PER_MONTH)
        if self.since == "first event":
            opens = _first_after(table, patients, self.kind, opens)
        closes = opens + self._window
        event = _first_after(table, patients, self.kind, opens)
        death = _first_after(table, patients, self.death_kind, np.full(len(opens), -np.inf))
        happened = np.isfinite(event) & (event <= closes + SAME)
        gone = (death <= opens) if self.since == "start" else np.zeros(len(opens), dtype=bool)
        died = np.isfinite(death) & (death <= closes + SAME) & ~happened & ~gone
        end = records.months * DAYS_PER_MONTH
        too_short = (closes > end + SAME) & ~happened & ~died
        none = ~np.isfinite(opens)
        assessable = ~(none | gone | too_short | (died & (self.death == "excluded")))
        reason = np.full(len(opens), f"{self.kind} within {self._length}", dtype=object)
        reason[died] = "died in the window"
        reason[too_short] = "followed up too short"
        reason[gone] = "died before the window"
        reason[none] = f"no first {self.kind}"
        decided = np.where(happened, event, np.where(died, death, closes))
        with np.errstate(invalid="ignore"):
            month = np.ceil(np.round(decided / DAYS_PER_MONTH, 9))
        return verdicts(
            patients,
            reached=~happened & (~died | (self.death == "reached")),
            assessable=assessable,
            reason=reason,
            month=month,
            value=np.where(happened, event, np.nan) - np.where(none, 0.0, opens),
        )


def _first_after(table: pd.DataFrame, patients: pd.Index, kind: str, opens: Array) -> Array:
    """Day of each patient's first such encounter after a day; infinite without one."""
    chosen = (table["kind"] == kind).to_numpy()
    row = patients.get_indexer(pd.Index(table["patient"][chosen]))
    day = table["day"].to_numpy(dtype=np.float64)[chosen]
    after = (row >= 0) & (day > opens[np.maximum(row, 0)])
    first = np.full(len(patients), np.inf)
    np.minimum.at(first, row[after], day[after])
    return first
