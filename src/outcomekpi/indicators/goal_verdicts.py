"""Verdicts on patients: goal reached, not reached, or not assessable, and why."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import SpecError
from outcomekpi.tables.patient_records import PatientRecords

__all__ = [
    "NOT_ASSESSABLE",
    "NOT_REACHED",
    "REACHED",
    "Goal",
    "check_goal",
    "check_names",
    "check_population",
    "check_window",
    "verdicts",
]

REACHED = "reached"
NOT_REACHED = "not reached"
NOT_ASSESSABLE = "not assessable"


@runtime_checkable
class Goal(Protocol):
    """What a goal is: anything that can judge the patients of some records.

    Notes
    -----
    ``judge`` returns one row per eligible patient, indexed by ``patient``: ``verdict`` ("reached",
    "not reached", "not assessable"), ``reason``, ``month`` in which it was decided (missing
    where nothing was), ``value`` that was compared.
    """

    def judge(self, records: PatientRecords) -> pd.DataFrame:
        """Judge every eligible patient."""
        ...


def verdicts(
    patients: pd.Index,
    *,
    reached: NDArray[np.bool_],
    assessable: NDArray[np.bool_],
    reason: NDArray[np.object_],
    month: NDArray[np.float64],
    value: NDArray[np.float64],
) -> pd.DataFrame:
    """Put verdicts together: one row per patient, ``verdict``, ``reason``, ``month``, ``value``.

    Parameters
    ----------
    patients : who was judged
    reached, assessable : (patient,); who cannot be assessed has not reached
    reason : (patient,), why not; ignored where the goal was reached
    month : (patient,), when it was decided
    value : (patient,), what was compared
    """
    good = reached & assessable
    verdict = np.where(good, REACHED, np.where(assessable, NOT_REACHED, NOT_ASSESSABLE))
    return pd.DataFrame(
        {
            "verdict": verdict.astype(object),
            "reason": np.where(good, "", reason).astype(object),
            "month": np.where(assessable, month, np.nan),
            "value": value,
        },
        index=patients.rename("patient"),
    )


def check_window(name: str, start: int, window: int, records: PatientRecords) -> None:
    """Raise a :class:`SpecError` unless the records reach to the end of a goal's window."""
    if start + window > records.months:
        raise SpecError(
            f"{name} looks at months {start + 1} to {start + window}; the records end with month "
            f"{records.months}. Shorten window, or wait."
        )


def check_population(name: str, population: object) -> None:
    """Raise a :class:`SpecError` unless the population is a tuple of flags."""
    if not isinstance(population, tuple) or not all(isinstance(flag, str) for flag in population):
        raise SpecError(
            f"{name}.population must be a tuple of columns, such as ('diabetes',); "
            f"got {population!r}."
        )


def check_goal(name: str, goal: object) -> None:
    """Raise a :class:`SpecError` unless a goal can judge."""
    if not isinstance(goal, Goal):
        raise SpecError(
            f"{name}.goal must have a method judge(records), as DropGoal, RunGoal, NoEventGoal and "
            f"CoverageGoal do; got {type(goal).__name__}."
        )


class HasName(Protocol):
    """What rules have in common."""

    @property
    def name(self) -> str: ...


def check_names(argument: str, rules: Sequence[HasName], kind: type) -> None:
    """Raise a :class:`SpecError` unless these are rules of one kind, each with its own name."""
    if not isinstance(rules, list | tuple) or not rules:
        raise SpecError(f"{argument} must be a list of {kind.__name__}, with at least one.")
    for rule in rules:
        if not isinstance(rule, kind):
            raise SpecError(
                f"{argument} must hold {kind.__name__} only; got {type(rule).__name__}."
            )
    names = [rule.name for rule in rules]
    if len(set(names)) < len(names):
        raise SpecError(f"{argument} must have names of their own; got {', '.join(names)}.")
