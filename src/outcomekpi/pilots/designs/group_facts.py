"""What two groups before and after say of themselves: estimand, assumptions, checks, facts."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from outcomekpi.draws.checks import CheckResult
from outcomekpi.pilots.data.patient_columns import PatientColumns
from outcomekpi.pilots.designs.before_after_facts import (
    FEW_CLUSTERS,
    intraclass_correlation,
    say,
    spell_power,
)
from outcomekpi.pilots.designs.group_effect import GroupEffect
from outcomekpi.pilots.designs.group_missing import MissingGroups
from outcomekpi.pilots.designs.group_rows import CELLS
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Fact
from outcomekpi.tables.cases import Direction
from outcomekpi.tables.columns import count_of

__all__ = ["GroupAnswer", "answer_facts", "check_groups", "state_assumptions", "state_estimand"]

FEW_EVENTS = 5
"""Below as many events, or patients without one, in a cell its standard error is too small."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupAnswer:
    """What was asked, and everything that was found.

    Attributes
    ----------
    columns : what was asked
    by_groups : whether whole groups got the program, in place of one patient at a time
    effect : measured
    estimates : the main one first
    naive : plain change of the treated
    missing : outcomes, and what they could do
    selected : checks that look for a baseline that was cut off
    unit : of the effect
    direction : whether higher or lower is better, or None
    """

    columns: PatientColumns
    by_groups: bool
    effect: GroupEffect
    estimates: tuple[Estimate, ...]
    naive: Estimate
    missing: MissingGroups
    selected: tuple[CheckResult, ...]
    unit: str
    direction: Direction | None

    @property
    def main(self) -> Estimate:
        """The difference in differences."""
        return self.estimates[0]

    @property
    def names(self) -> str:
        """The two groups in words."""
        groups = self.effect.groups
        return f"{groups.treated_name} against {groups.control_name}"


def state_estimand(answer: GroupAnswer) -> str:
    """Say in one sentence what the main effect is."""
    effect, columns = answer.effect, answer.columns
    what = columns.outcome if columns.event is None else f"{columns.outcome} = {columns.event}"
    who = "the same patients" if effect.is_paired else "the patients of each period"
    mix = " at the case mix of the treated after the start" if effect.is_adjusted else ""
    periods = effect.groups.rows.periods
    return (
        f"Effect on {what} in {effect.groups.treated_name} from {periods[0]} to {periods[1]}, in "
        f"{who}{mix}: by how much it changed more than in {effect.groups.control_name}, "
        f"{answer.main.name} in {answer.unit}."
    )


def state_assumptions(answer: GroupAnswer) -> tuple[str, ...]:
    """List what must hold, each in one sentence."""
    effect, groups = answer.effect, answer.effect.groups
    scale = "risks" if effect.options.binary else "means"
    said = [
        f"Without the program, {scale} in {groups.treated_name} would have changed as those in "
        f"{groups.control_name} did (parallel trends).",
        "Nobody changed before the start because the start was known (no anticipation).",
        f"The program did not reach {groups.control_name} (no spillover).",
    ]
    if answer.by_groups:
        said.append(
            "Nothing moved all patients of one group in one period alone: with one group on each "
            "side no data can tell this from the program."
        )
    if effect.is_adjusted:
        model = "linear" if effect.fit is not None else "logistic"
        said.append(
            f"Its {model} model of the case mix is right, the same in both groups and periods."
        )
    elif not effect.is_paired:
        said.append("Within each group the patients of the two periods are alike.")
    if answer.missing.any:
        said.append("Missing outcomes are like the known ones; the bounds do without this.")
    said.append(f"Each {effect.cluster_role} is independent of the others.")
    return tuple(said)


def check_groups(answer: GroupAnswer, *, level: float) -> tuple[CheckResult, ...]:
    """Check what two groups can tell, clusters, rare events and missing outcomes."""
    checks = list(answer.selected)
    if answer.by_groups:
        checks.append(
            CheckResult(
                name="groups behind the interval",
                passed=False,
                verdict=f"One group with the program and one without ({answer.names}): the "
                "interval holds the chance of patients alone. What moved one of the groups in one "
                "of the periods, program or not, is in the effect and not in the interval.",
                table=pd.DataFrame({"groups": [1, 1]}, index=["treated", "controls"]),
            )
        )
    effect = answer.effect
    if effect.cluster_role == "doctor" and effect.cluster_names:
        checks.append(
            CheckResult(
                name="clusters behind the interval",
                passed=effect.n_clusters >= FEW_CLUSTERS,
                verdict=f"The interval rests on {count_of(effect.n_clusters, 'doctor')} of both "
                f"groups; below {FEW_CLUSTERS} it holds its level only if they are of like size.",
                table=pd.DataFrame({"clusters": [effect.n_clusters]}),
            )
        )
    if effect.options.binary:
        checks.append(_rare(effect))
    checks.append(answer.missing.check(level=level))
    return tuple(checks)


def _rare(effect: GroupEffect) -> CheckResult:
    events, sizes = effect.events, effect.groups.sizes()
    least = np.minimum(events, sizes - events)
    robust = bool(effect.cluster_names) or effect.is_adjusted
    few = float(least.min())
    verdict = (
        f"The fewest events, or patients without one, are {few:,.0f}, in {CELLS[least.argmin()]}"
    )
    if few < FEW_EVENTS:
        verdict += (
            "; standard errors are too small with so few, and the interval is too narrow"
            if robust
            else "; ratios are rough with so few, the difference has limits that allow for it"
        )
    return CheckResult(
        name="events in each group and period",
        passed=few >= FEW_EVENTS if robust else None,
        verdict=f"{verdict}.",
        table=pd.DataFrame({"events": events, "patients": sizes}, index=list(CELLS)),
    )


def answer_facts(answer: GroupAnswer, *, level: float) -> Mapping[str, Fact]:
    """Answer the items of the checklist that two groups can answer."""
    effect, groups = answer.effect, answer.effect.groups
    rows = groups.rows
    return {
        "program_dates": f"before: {rows.periods[0]}; after: {rows.periods[1]}",
        "units": _spell_units(effect),
        "clustering": _spell_clustering(effect),
        "standard_error": answer.main.origin,
        "few_clusters": "one group on each side: nothing says how much groups change by "
        "themselves, and no method can; the table of shocks says how much of it undoes the effect"
        if answer.by_groups
        else "patients got the program one at a time: they are the units",
        "points": "2 periods: 1 before, 1 after",
        "seasonality": "a season that both groups have cancels",
        "autocorrelation": None,
        "comparator": f"{groups.control_name}, a group without the program, in the same periods",
        "pre_trend": "not tested: one period before. With times before the start, placebo starts "
        "say how the groups moved apart before",
        "case_mix": f"adjusted for {answer.columns.case_mix}"
        if effect.is_adjusted
        else "the same patients are compared; no case mix was named"
        if effect.is_paired
        else "no case mix was named: patients may have changed, and how much is not known",
        "entries_exits": _spell_entries(effect),
        "missing_outcomes": answer.missing.spell(level=level),
        "main_effect": say(answer.main, level=level),
        "naive_effect": f"{say(answer.naive, level=level)}, without the group that had no program",
        "heterogeneity": None,
        "power": spell_power(answer.main, level=level),
    }


def _spell_units(effect: GroupEffect) -> str:
    counts = effect.groups.sizes()
    said = ", ".join(f"{count:,} {cell}" for count, cell in zip(counts, CELLS, strict=True))
    rows = effect.groups.rows
    for role in ("patient", "doctor"):
        if role in rows.labels:
            said += f", {count_of(len(rows.labels[role].names), role)}"
    return f"outcomes: {said}"


def _spell_clustering(effect: GroupEffect) -> str:
    rows = effect.groups.rows
    said = []
    if "doctor" in rows.labels:
        side = effect.groups.treated
        away = rows.outcome - np.where(side, rows.outcome[side].mean(), rows.outcome[~side].mean())
        value = intraclass_correlation(away, rows.after, rows.labels["doctor"].code)
        said.append(f"ICC of doctors within groups {value:.3f}")
    if effect.cluster_names:
        said.append(f"the interval allows for {effect.cluster_role}s")
    else:
        said.append("patients taken as independent")
    return "; ".join(said)


def _spell_entries(effect: GroupEffect) -> str:
    rows = effect.everybody.rows
    if "patient" not in rows.labels:
        return "patients are not identified: who entered or left is not known"
    stays = rows.stays
    entered, left = int((~stays & rows.after).sum()), int((~stays & ~rows.after).sum())
    return (
        f"{int(stays.sum()) // 2:,} patients have outcomes in both periods, {entered:,} entered "
        f"and {left:,} left"
    )
