"""Before and after in patients who were chosen for their baseline: the compulsory correction."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import CasesError, SpecError, did_you_mean
from outcomekpi.pilots.designs.patient_change import MeasuredChange
from outcomekpi.pilots.designs.selected_doctors import UnitSelection
from outcomekpi.pilots.estimators.baseline_population import BaselinePopulation
from outcomekpi.pilots.estimators.regression_result import RegressionToMean
from outcomekpi.pilots.estimators.regression_to_mean import correct_selection
from outcomekpi.pilots.estimators.selected_normal import Side
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.columns import read_numbers

__all__ = ["BaselineSelection", "Selection", "check_selection", "correct_change"]

HOW = (
    "pass selection=BaselineSelection(cutoff=..., side=..., population=BaselinePopulation(mean="
    "..., sd=..., reliability=...)), what everybody who was screened was like, or second_baseline="
    ", a column of readings before the program that had no part in the selection. Where doctors or "
    "hospitals were chosen for their results, pass UnitSelection(chosen=...) and the patients of "
    "all of them"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineSelection:
    """How patients of a program were chosen by a baseline reading.

    Attributes
    ----------
    cutoff : that the baseline had to pass
    side : "above" or "below", where the chosen patients lay
    population : what is known of everybody who was screened
    second_baseline : column of a reading before the program that had no part in the selection
    baseline : column of the reading that selected, where the outcome is whether a target is
        reached; for a measurement it is the outcome before the start
    target : bar of the outcome "target reached" on the scale of the readings; the cutoff if None

    Examples
    --------
    >>> import outcomekpi as ok
    >>> known = ok.BaselinePopulation(mean=7.5, sd=1.5, reliability=0.7)
    >>> ok.BaselineSelection(cutoff=8.0, side="above", population=known).side
    'above'
    """

    cutoff: float
    side: Side
    population: BaselinePopulation | None = None
    second_baseline: str | None = None
    baseline: str | None = None
    target: float | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if self.population is None and self.second_baseline is None:
            raise SpecError(
                "Patients who were chosen cannot tell what everybody was like: give population= "
                "or second_baseline=."
            )


Selection = BaselineSelection | UnitSelection
"""What was chosen for its baseline: patients, or doctors and hospitals."""


def check_selection(selection: Selection | None, program: Program) -> None:
    """Refuse a program that selected on the baseline without saying how, and the contrary.

    Raises
    ------
    SpecError
        The correction for regression to the mean is compulsory and cannot be made.
    """
    if program.selected_on_baseline and selection is None:
        raise SpecError(
            "The program chose its patients or units because their baseline was extreme "
            "(selected_on_baseline=True). They would change with no program at all, and a plain "
            f"before/after difference is not their effect. To correct it, {HOW}."
        )
    if program.selected_on_baseline is False and selection is not None:
        raise SpecError(
            "selection= says that patients were chosen by their baseline, and the program says "
            "selected_on_baseline=False. Correct one of them."
        )


def correct_change(
    data: pd.DataFrame,
    change: MeasuredChange,
    selection: BaselineSelection,
    *,
    unit: str,
    draws: int,
    rng: np.random.Generator,
) -> RegressionToMean:
    """Correct the change of chosen patients for regression to the mean.

    Parameters
    ----------
    data : the table that ``change`` was read from
    change : uncorrected
    selection : how patients were chosen
    unit : of the effect
    draws : of the corrected effect
    rng : of the draws

    Raises
    ------
    CasesError
        The chosen patients are not there both before and after, or were on target before.
    """
    if not change.is_paired:
        raise CasesError(
            "The correction for regression to the mean follows the chosen patients: name the "
            "patient column, with rows before and after. Two different groups of patients cannot "
            "be corrected; if units were chosen instead, see the worst of several units."
        )
    rows = change.rows
    patient = rows.labels["patient"].code
    pairs = np.flatnonzero(change.model_rows)
    first = pairs[~rows.after[pairs]]
    last = pairs[rows.after[pairs]]
    first, last = first[np.argsort(patient[first])], last[np.argsort(patient[last])]

    def column(name: str | None) -> NDArray[np.float64] | None:
        if name is None:
            return None
        if name not in data.columns:
            raise CasesError(
                f"Column {name!r} of the selection is not in the table."
                f"{did_you_mean(name, data.columns)}"
            )
        return np.asarray(read_numbers(data[name], "selection")[rows.place[first]])

    clusters = change.cluster[first] if change.cluster_names else None
    if change.options.binary:
        if rows.outcome[first].any():
            raise CasesError(
                f"Patients were chosen beyond the cutoff {selection.cutoff:g}, off target; "
                f"{int(rows.outcome[first].sum()):,} of {first.size:,} were on target before. "
                "Code the outcome as 1 for on target, or correct the measurement itself with "
                "family='gaussian'."
            )
        before = column(selection.baseline)
    else:
        before = rows.outcome[first]
    return correct_selection(
        before,
        rows.outcome[last],
        cutoff=selection.cutoff,
        side=selection.side,
        population=selection.population,
        second_baseline=column(selection.second_baseline),
        target=_target(selection) if change.options.binary else None,
        clusters=clusters,
        unit=unit,
        draws=draws,
        rng=rng,
    )


def _target(selection: BaselineSelection) -> float:
    return selection.cutoff if selection.target is None else selection.target
