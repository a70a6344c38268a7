"""Rung 5: whose patients changed, with a program effect of each doctor's own."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.pilots.data.patient_columns import PatientColumns
from outcomekpi.pilots.data.patient_rows import PatientRows, read_patients
from outcomekpi.pilots.designs.before_after_checks import look_for_selection
from outcomekpi.pilots.designs.before_after_facts import ChangeAnswer, state_claim
from outcomekpi.pilots.designs.before_after_threats import list_threats as list_change_threats
from outcomekpi.pilots.designs.before_after_threats import spell_tipping
from outcomekpi.pilots.designs.change_estimates import naive_estimate
from outcomekpi.pilots.designs.doctor_changes import standardize_changes
from outcomekpi.pilots.designs.doctor_effects_facts import (
    DoctorAnswer,
    answer_facts,
    check_doctors,
    list_doctor_estimates,
    state_assumptions,
    state_estimand,
    tabulate,
)
from outcomekpi.pilots.designs.missing_outcomes import bound_missing
from outcomekpi.pilots.designs.patient_change import ChangeOptions, measure_change
from outcomekpi.pilots.designs.selected_baseline import (
    BaselineSelection,
    Selection,
    check_selection,
    correct_change,
)
from outcomekpi.pilots.designs.selected_doctors import UnitSelection, correct_units, read_chosen
from outcomekpi.pilots.estimators.doctor_change_draws import (
    ChangeData,
    ChangeDraws,
    collect_change_data,
    sample_by_quadrature,
)
from outcomekpi.pilots.estimators.regression_result import RegressionToMean
from outcomekpi.pilots.ladder.findings import Answered, Findings, Rung, Threat
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.cases import Direction

__all__ = ["DoctorEffects", "describe_doctors", "list_threats"]

Engine = Literal["quadrature", "nuts"]
MOST_DRAWS = 20_000_000
"""Patients times draws; fewer draws are taken of larger tables."""


# What else could have changed doctors' results, and how strong it would have to be
def list_threats(answer: DoctorAnswer, program: Program, *, level: float) -> tuple[Threat, ...]:
    """List other explanations: those of any before/after, and patients moving between doctors."""
    amount, _ = spell_tipping(answer.plain.main, level=level)
    found = list_change_threats(answer.plain, program, level=level)
    spread = answer.find("spread")
    return (
        *found,
        Threat(
            name="few doctors carry it",
            direction="either",
            tipping=f"the average of {amount} hides changes that differ between doctors by an SD "
            f"of {spread.value:.4g} {spread.unit}",
            handled="the change of each doctor is in the table of doctors",
        ),
    )


def describe_doctors(answer: DoctorAnswer, program: Program, level: float) -> Findings:
    """Write down what was found, with intervals of a level."""
    plain = answer.plain
    return Findings(
        estimand=state_estimand(answer),
        estimates=plain.everything,
        naive=plain.naive,
        assumptions=state_assumptions(answer),
        checks=(*look_for_selection(plain, program), *check_doctors(answer, level=level)),
        threats=list_threats(answer, program, level=level),
        tables=tabulate(answer, level=level),
        facts=answer_facts(answer, level=level),
        direction=plain.direction,
        claim=state_claim(plain, DoctorEffects.rung),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorEffects(PatientColumns):
    """Patients within doctors before and after, each doctor with a change of his own (rung 5).

    Attributes
    ----------
    outcome : column of events (0 and 1, or any values with ``event``) or of measurements
    period : column of two values, or of numbers or dates
    doctor : column of the doctors; a team or department can stand in their place
    after : value of ``period`` that is with the program
    start : first time with the program, in place of ``after``
    hospital : column of the hospital of each doctor
    patient : column of patients; only the correction for a selected baseline follows them
    case_mix : formula of what was known before treatment
    family : "bernoulli" or "gaussian"
    event : value of the outcome that counts, where it is not 0 and 1
    unit : of a Gaussian outcome, in words; "%" checks that it lies in 0 to 100
    time_unit : what periods such as 2024-1 name, with start=: "half-year", "quarter" or "month"
    time_zone : whose days count where times have an offset from UTC, such as "Europe/Berlin"; by
        default those of the clock that wrote them, where summer time is all that differs
    engine : "quadrature" needs seconds and lets doctors differ as much after as before; "nuts"
        leaves level and change of a doctor any covariance and needs minutes
    selection : how patients or doctors were chosen for their baseline; asked for where the program
        says so
    direction : whether "higher" or "lower" is better; None words no side

    Notes
    -----
    The main effect is the mean change over the patients of these doctors, at their own case mix;
    "at a new doctor" adds how much doctors differ. docs/methods/before_after.md has the model, its
    restriction and the measured coverage.

    References
    ----------
    Gelman & Hill (2007), Data Analysis Using Regression and Multilevel/Hierarchical Models.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> frame, truth = ok.datasets.simulate_pilot(n_doctors=8, n_patients=40)
    >>> design = ok.DoctorEffects(outcome="controlled", period="period", after="after",
    ...     doctor="doctor", direction="higher")
    >>> effect = ok.compare_pilot(frame, design, draws=400)
    >>> len(effect.findings.tables["doctor_effects"])
    8
    """

    rung: ClassVar[Rung] = 5

    doctor: str = field()
    hospital: str | None = None
    engine: Engine = "quadrature"
    selection: Selection | None = None
    direction: Direction | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        self.check_columns()

    def estimate(
        self, data: object, *, program: Program, draws: int, rng: np.random.Generator
    ) -> Answered[DoctorAnswer]:
        """Estimate the change of every doctor's patients.

        Parameters
        ----------
        data : DataFrame, one row for each patient and period
        program : facts about the program
        draws : of the posterior; fewer above 20 million patients x draws
        rng : of everything random

        Raises
        ------
        CasesError
            The data are no patients of doctors before and after; names what would fit.
        FormulaError
            The case mix cannot be used.
        SpecError
            Patients or doctors were selected on their baseline and nothing says from whom.
        EngineError
            The engine could not produce a posterior that may be used.
        """
        check_selection(self.selection, program)
        if draws < 100:
            raise SpecError(f"draws must be 100 or more; got {draws!r}.")
        unit = self.spell_unit()
        table, rows = self.read(data)
        corrected: RegressionToMean | None = None
        if isinstance(self.selection, UnitSelection):
            chosen = read_chosen(table, rows, self.selection)
            corrected = correct_units(
                rows.take(rows.known),
                chosen[rows.known],
                self.selection,
                binary=self.family == "bernoulli",
                unit=unit,
                draws=draws,
                rng=rng,
            )
            rows = rows.take(chosen)
        change = measure_change(rows, self._options(), rng=rng)
        if isinstance(self.selection, BaselineSelection):
            corrected = correct_change(
                table, change, self.selection, unit=unit, draws=draws, rng=rng
            )
        model_data = collect_change_data(change.rows, binary=self.family == "bernoulli")
        sampled = self._sample(model_data, draws, rng)
        changes = standardize_changes(model_data, sampled)
        naive = naive_estimate(change, unit=unit)
        plain = ChangeAnswer(
            columns=self,
            change=change,
            estimates=list_doctor_estimates(model_data, sampled, changes, unit=unit),
            naive=naive,
            missing=bound_missing(
                rows, change, unit=unit, outcome_range=self.outcome_limits(), rng=rng
            ),
            corrected=corrected,
            unit=unit,
            direction=self.direction,
        )
        answer = DoctorAnswer(plain=plain, data=model_data, draws=sampled, changes=changes)
        return Answered(numbers=answer, program=program, describe=describe_doctors)

    def read(self, data: object) -> tuple[pd.DataFrame, PatientRows]:
        """Read and check a table as :meth:`estimate` does, and estimate nothing.

        Parameters
        ----------
        data : as for :meth:`estimate`

        Raises
        ------
        CasesError, FormulaError
            Every fault of the table at once.
        """
        table, rows = read_patients(data, self)
        if isinstance(self.selection, UnitSelection):
            read_chosen(table, rows, self.selection)
        return table, rows

    def _sample(self, data: ChangeData, draws: int, rng: np.random.Generator) -> ChangeDraws:
        count = max(400, min(draws, MOST_DRAWS // len(data.outcome)))
        if self.engine == "nuts":
            from outcomekpi.pilots.estimators.doctor_change_nuts import sample_by_nuts

            return sample_by_nuts(data, draws=count, rng=rng)
        return sample_by_quadrature(data, draws=count, rng=rng)

    def _options(self) -> ChangeOptions:
        """Options of the plain comparison that bounds and corrections rest on."""
        return ChangeOptions(
            binary=self.family == "bernoulli",
            patients="stayers" if isinstance(self.selection, BaselineSelection) else "all",
            cluster="doctor",
            standard="pooled",
            inference="t",
            draws=0,
        )
