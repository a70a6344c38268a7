"""Rung 4 with two groups of patients: one ward with the program against one without."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Limit
from outcomekpi.draws.checks import CheckResult
from outcomekpi.pilots.data.patient_columns import PatientColumns
from outcomekpi.pilots.data.patient_rows import read_patients
from outcomekpi.pilots.designs.before_after_threats import spell_tipping
from outcomekpi.pilots.designs.group_effect import GroupEffect, GroupOptions, measure_groups
from outcomekpi.pilots.designs.group_estimates import (
    add_shocks,
    list_group_estimates,
    naive_change,
    shock_at_nil,
)
from outcomekpi.pilots.designs.group_facts import (
    GroupAnswer,
    answer_facts,
    check_groups,
    state_assumptions,
    state_estimand,
)
from outcomekpi.pilots.designs.group_missing import bound_missing_groups
from outcomekpi.pilots.designs.group_rows import GroupRows, read_group, read_groups
from outcomekpi.pilots.designs.patient_change import WhichPatients
from outcomekpi.pilots.estimators.baseline_edge import check_edge, find_edge
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Answered, Findings, Rung, Threat
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.cases import Direction
from outcomekpi.tables.faults import Faults

__all__ = ["ControlledBeforeAfter", "describe_groups"]

Assigned = Literal["groups", "patients"]
UnitOfPatients = Literal["doctor", "patient"]


# What else could have moved two groups apart, and how strong it would have to be
def list_group_threats(
    answer: GroupAnswer, program: Program, *, level: float
) -> tuple[Threat, ...]:
    """List other explanations, each with the size that would undo the main effect."""
    amount, edge = spell_tipping(answer.main, level=level)
    groups = answer.effect.groups
    treated, controls = groups.treated_name, groups.control_name
    threats = [
        Threat(
            name="trends that were not parallel",
            direction="either",
            tipping=f"{treated} changing by {amount} more than {controls} without any program "
            f"leaves no effect; {edge}",
            handled="changes common to both groups cancel",
        ),
        Threat(
            name="history",
            direction="either",
            tipping=f"something else that moved {treated} alone by {amount}, or {controls} alone "
            f"by as much the other way, leaves no effect; {spell_shock(answer.main, level=level)}"
            if answer.by_groups
            else f"something else that moved the treated alone by {amount} leaves no effect",
            handled="what happens to both groups alike cancels",
        ),
        Threat(
            name="regression to the mean",
            direction="towards benefit",
            tipping=f"if the treated came in because their baseline was extreme, a fall back of "
            f"{amount} on its own leaves no effect; a group not chosen so does not show it",
            handled="the treated were not selected on their baseline, as the user says"
            if program.selected_on_baseline is False
            else "",
        ),
        Threat(
            name="case mix",
            direction="either",
            tipping=f"a change of who the patients are in one group alone, not in the case mix and "
            f"worth {amount}, leaves no effect",
            handled=_handled_mix(answer),
        ),
        Threat(
            name="spillover",
            direction="either",
            tipping="a share of the effect that reaches the controls hides the same share of it",
        ),
        Threat(
            name="instrumentation",
            direction="either",
            tipping=f"a change of measurement or coding in one group alone worth {amount} leaves "
            "no effect",
            handled=program.measurement_changes or "",
        ),
        Threat(
            name="co-intervention",
            direction="either",
            tipping=f"something else begun in {treated} at the same time that is worth {amount} "
            "leaves no effect of the program itself",
            handled=program.co_interventions or "",
        ),
    ]
    return (*threats, *_attrition(answer, level))


def _attrition(answer: GroupAnswer, level: float) -> tuple[Threat, ...]:
    if not answer.missing.any:
        return ()
    bounded = answer.missing.bounds is not None
    return (
        Threat(
            name="attrition",
            direction="either",
            tipping=answer.missing.spell(level=level),
            handled="bounds that assume nothing of the missing outcomes" if bounded else "",
        ),
    )


def spell_shock(main: Estimate, *, level: float) -> str:
    """Write how much groups may move by themselves before the interval includes no effect."""
    if main.excludes_null(level=level) is not True:
        return f"the {level:.0%} interval includes no effect without any such shock"
    sd = shock_at_nil(main, level=level)
    return (
        f"if each group moves by itself from period to period with an SD of {sd:.3g} {main.unit} "
        f"or more, the {level:.0%} interval includes no effect"
    )


def tabulate_groups(answer: GroupAnswer, *, level: float) -> dict[str, pd.DataFrame]:
    """Return the tables: slope, and group_shocks, missing_bounds where they apply."""
    effect = answer.effect
    levels = effect.scale * effect.means
    groups = effect.groups
    slope = pd.DataFrame(
        {
            "unit": [f"{groups.treated_name} (program)", f"{groups.control_name} (none)"],
            "before": [levels[2], levels[0]],
            "after": [levels[3], levels[1]],
            "expected_after": [effect.scale * effect.counterfactual, np.nan],
        }
    )
    slope.attrs["expected"] = "had it changed as the other group"
    tables = {"slope": slope}
    if answer.by_groups and np.isfinite(answer.main.rough_error()):
        tables["group_shocks"] = _shocks(answer.main, level)
    if answer.missing.cases:
        tables["missing_bounds"] = answer.missing.to_frame(level=level)
    for table in tables.values():
        table.attrs.update(level=level, unit=answer.unit)
    return tables


def _shocks(main: Estimate, level: float) -> pd.DataFrame:
    """Intervals of the effect if groups move by themselves, by the SD of that."""
    sds = np.array([0.0, 0.25, 0.5, 1.0, 2.0]) * main.rough_error()
    spans = np.array([add_shocks(main, sd=sd, level=level) for sd in sds])
    return pd.DataFrame(
        {"sd_of_shocks": sds, "mean": main.value, "lower": spans[:, 0], "upper": spans[:, 1]}
    )


def _handled_mix(answer: GroupAnswer) -> str:
    parts = []
    if answer.effect.is_paired:
        parts.append("patients are compared with themselves")
    if answer.effect.is_adjusted:
        parts.append(f"at one case mix ({answer.columns.case_mix})")
    return ", ".join(parts)


def describe_groups(answer: GroupAnswer, program: Program, level: float) -> Findings:
    """Write down what was found, with intervals of a level."""
    facts, caution = dict(answer_facts(answer, level=level)), ""
    if answer.by_groups:
        facts["sensitivity"] = spell_shock(answer.main, level=level)
        caution = (
            "With one group on each side that is about these patients alone: what moved one "
            "group by itself is not in the interval, and two groups cannot show it; "
            f"{facts['sensitivity']}."
        )
    return Findings(
        estimand=state_estimand(answer),
        estimates=answer.estimates,
        naive=answer.naive,
        assumptions=state_assumptions(answer),
        checks=check_groups(answer, level=level),
        threats=list_group_threats(answer, program, level=level),
        tables=tabulate_groups(answer, level=level),
        facts=facts,
        direction=answer.direction,
        caution=caution,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlledBeforeAfter(PatientColumns):
    """Patients of two groups before and after, one group with the program (rung 4).

    Attributes
    ----------
    outcome : column of events (0 and 1, or any values with ``event``) or of measurements
    period : column of two values, or of numbers or dates
    group : column of two values: which ward, hospital or arm the patient is of
    treated : the value of ``group`` that is with the program
    after : value of ``period`` that is with the program
    start : first time with the program, in place of ``after``
    doctor : column of doctors within the groups; the interval then allows for them
    patient : column that makes patients known in both periods; they are then compared with
        themselves
    patients : "stayers" compares known patients with themselves, "all" takes everybody in each
        period
    case_mix : formula; the groups and periods are then compared at one case mix
    family : "bernoulli" (events) or "gaussian" (measurements)
    event : value of the outcome that counts, where it is not 0 and 1
    unit : of a Gaussian outcome, in words; "%" checks that it lies in 0 to 100
    outcome_range : between which values a Gaussian outcome can lie, for bounds on missing ones
    cluster : "doctor" or "patient", where it is not the outermost that is named
    assigned : "groups" got the program as wholes, or "patients" one at a time
    time_unit : what periods such as 2024-1 name, with start=: "half-year", "quarter" or "month"
    time_zone : whose days count where times have an offset from UTC, such as "Europe/Berlin"; by
        default those of the clock that wrote them
    direction : whether "higher" or "lower" is better; None words no side

    Notes
    -----
    Difference in differences of patient-level data: y on group, period, their product and the case
    mix, with standard errors that are robust and allow for patients seen twice and for doctors.
    Where whole groups got the program, the interval holds the chance of patients and nothing of
    what moves a group by itself: with two groups that cannot be estimated. docs/methods/
    before_after.md has the formulas and what such shocks do to the coverage.

    References
    ----------
    Donald & Lang (2007), Review of Economics and Statistics 89:221-233. Bertrand, Duflo &
    Mullainathan (2004), Quarterly Journal of Economics 119:249-275. Newcombe (2001), Statistics in
    Medicine 20:2885-2893.

    Examples
    --------
    >>> import numpy as np, pandas as pd, outcomekpi as ok
    >>> frame = pd.DataFrame({"ward": np.repeat(["A", "B"], 200), "year": np.tile([1, 2], 200)})
    >>> risk = 0.4 + 0.3 * ((frame["ward"] == "A") & (frame["year"] == 2))
    >>> frame["controlled"] = np.random.default_rng(1).random(400) < risk
    >>> design = ok.ControlledBeforeAfter(outcome="controlled", period="year", after=2,
    ...     group="ward", treated="A", direction="higher")
    >>> bool(ok.compare_pilot(frame.astype({"controlled": int}), design).main.value > 10)
    True
    """

    rung: ClassVar[Rung] = 4

    group: str
    treated: object
    patients: WhichPatients = "stayers"
    outcome_range: tuple[Limit, Limit] | None = None
    cluster: UnitOfPatients | None = None
    assigned: Assigned = "groups"
    direction: Direction | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        self.check_columns()
        if self.outcome_range is not None and not self.outcome_range[0] < self.outcome_range[1]:
            raise SpecError(f"outcome_range must be (low, high); got {self.outcome_range!r}.")

    def estimate(
        self, data: object, *, program: Program, draws: int, rng: np.random.Generator
    ) -> Answered[GroupAnswer]:
        """Estimate by how much the treated group changed more than the other.

        Parameters
        ----------
        data : DataFrame, one row for each patient and period
        program : facts about the program
        draws : not used; intervals are in closed form or by leaving clusters out
        rng : puts more than 200 clusters into groups

        Raises
        ------
        CasesError
            The data are no two groups of patients before and after; says what would fit.
        FormulaError
            The case mix cannot be used.
        SpecError
            The treated were selected on their baseline, or options contradict each other.
        """
        _refuse_selected(program)
        unit = self.spell_unit()
        groups = self.read(data)
        options = GroupOptions(
            binary=self.family == "bernoulli", patients=self.patients, cluster=self.cluster
        )
        effect = measure_groups(groups, options, rng=rng)
        estimates = list_group_estimates(effect, unit=unit)
        missing = bound_missing_groups(
            groups, options, estimates[0], outcome_range=self._range(), rng=rng
        )
        if missing.bounds is not None:
            estimates = (*estimates, missing.bounds)
        answer = GroupAnswer(
            columns=self,
            by_groups=self.assigned == "groups",
            effect=effect,
            estimates=estimates,
            naive=naive_change(effect, unit=unit),
            missing=missing,
            selected=_find_selected(effect, self.outcome, program),
            unit=unit,
            direction=self.direction,
        )
        return Answered(numbers=answer, program=program, describe=describe_groups)

    def read(self, data: object) -> GroupRows:
        """Read and check a table as :meth:`estimate` does, and estimate nothing.

        Parameters
        ----------
        data : as for :meth:`estimate`

        Raises
        ------
        CasesError, FormulaError
            Every fault of the table at once.
        """
        columns = self
        faults = Faults()
        read = faults.attempt(read_patients, data, columns)
        if isinstance(data, pd.DataFrame):
            faults.attempt(read_group, data, columns, group=self.group, treated=self.treated)
        faults.raise_all()
        table, rows = read
        return read_groups(table, rows, columns, group=self.group, treated=self.treated)

    def _range(self) -> tuple[float, float] | None:
        if self.family == "gaussian" and self.outcome_range is not None:
            return self.outcome_range
        return self.outcome_limits()


def _refuse_selected(program: Program) -> None:
    if program.selected_on_baseline:
        raise SpecError(
            "The program chose its patients or its group because their baseline was extreme "
            "(selected_on_baseline=True). They would come back with no program at all, and a group "
            "that was not chosen so does not show by how much: their difference in differences "
            "is not an effect. Compare with patients who were selected alike and got no program "
            "(then say selected_on_baseline=False); or correct the treated alone with "
            "BeforeAfter(selection=...); or measure the change from a period before the one that "
            "selected."
        )


def _find_selected(effect: GroupEffect, outcome: str, program: Program) -> tuple[CheckResult, ...]:
    """Look for a baseline that is cut off in the treated, and not alike in the controls."""
    rows, treated = effect.groups.rows, effect.groups.treated
    before, after = (
        [rows.outcome[side & group] for group in (treated, ~treated)]
        for side in (~rows.after, rows.after)
    )
    own, other = (find_edge(*one) for one in zip(before, after, strict=True))
    if own is not None and other is not None and (own.at, own.side) == (other.at, other.side):
        return ()  # both groups were selected alike: what comes back by itself cancels
    return check_edge(before[0], after[0], outcome=outcome, said=program.selected_on_baseline)
