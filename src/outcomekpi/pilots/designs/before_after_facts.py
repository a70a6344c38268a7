"""What a before/after comparison says of itself: estimand, assumptions, checks, facts."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.pilots.data.patient_columns import PatientColumns
from outcomekpi.pilots.designs.missing_outcomes import MissingOutcomes
from outcomekpi.pilots.designs.patient_change import MeasuredChange
from outcomekpi.pilots.designs.series_facts import detectable_effect
from outcomekpi.pilots.estimators.kitagawa import PARTS
from outcomekpi.pilots.estimators.regression_result import RegressionToMean
from outcomekpi.pilots.ladder.estimates import Estimate, find_estimate
from outcomekpi.pilots.ladder.findings import Fact, Rung
from outcomekpi.tables.cases import Direction
from outcomekpi.tables.columns import count_of

__all__ = [
    "ChangeAnswer",
    "answer_facts",
    "intraclass_correlation",
    "say",
    "spell_clustering",
    "spell_entries",
    "spell_power",
    "spell_units",
    "state_assumptions",
    "state_claim",
    "state_estimand",
]

Floats = NDArray[np.float64]
FEW_CLUSTERS = 10
"""Below these even intervals for few clusters rest on doctors being like each other."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChangeAnswer:
    """What was asked, and everything that was found.

    Attributes
    ----------
    columns : what was asked
    change : measured
    estimates, naive : without a correction for regression to the mean
    missing : outcomes, and what they could do
    corrected : for regression to the mean, or None
    unit : of the effect
    direction : whether higher or lower is better, or None
    """

    columns: PatientColumns
    change: MeasuredChange
    estimates: tuple[Estimate, ...]
    naive: Estimate
    missing: MissingOutcomes
    corrected: RegressionToMean | None
    unit: str
    direction: Direction | None

    @property
    def main(self) -> Estimate:
        """The corrected effect where there is one, else the measured one."""
        return self.everything[0]

    @property
    def everything(self) -> tuple[Estimate, ...]:
        """Every estimate, the main one first."""
        found = self.estimates
        if self.corrected is not None and self.corrected.effect is not None:
            found = (self.corrected.effect, *found)
        if self.missing.bounds is not None:
            found = (*found, self.missing.bounds)
        return found


def state_claim(answer: ChangeAnswer, rung: Rung) -> str | None:
    """Say less than the rung allows where nothing was adjusted; None where something was."""
    if answer.change.is_adjusted or answer.corrected is not None:
        return None
    paired = answer.change.is_paired
    claim = "a change in the same patients" if paired else "a change not adjusted for case mix"
    return f"{claim} that is shared by the doctors" if rung == 5 else claim


def state_estimand(answer: ChangeAnswer) -> str:
    """Say in one sentence what the main effect is."""
    change = answer.change
    what = answer.columns.outcome
    if answer.columns.event is not None:
        what = f"{what} = {answer.columns.event}"
    who = (
        "the patients who were seen in both periods"
        if change.is_paired
        else "the patients of each period"
    )
    how = ""
    if change.is_adjusted:
        how = f", both periods at one case mix ({change.options.standard} of the two)"
    more = ""
    if answer.corrected is not None:
        more = ", less the change that their selection makes without a program"
    return (
        f"Change of {what} from {change.rows.periods[0]} to {change.rows.periods[1]} in {who}"
        f"{how}{more}: {answer.main.name} in {answer.main.unit}."
    )


def state_assumptions(answer: ChangeAnswer) -> tuple[str, ...]:
    """List what must hold, each in one sentence."""
    change = answer.change
    said = ["Without the program the outcome would have stayed as it was before."]
    if change.is_adjusted:
        said.append(
            "Patients of the two periods differ in nothing that matters but the case mix, and its "
            f"{'logistic' if change.options.binary else 'linear'} model is right."
        )
    elif not change.is_paired:
        said.append("The patients of the two periods are alike.")
    if change.has_entries:
        said.append("Patients seen in both periods speak for those who entered or left.")
    if answer.missing.any:
        said.append("Missing outcomes are like the known ones; the bounds do without this.")
    who = change.cluster_role if change.cluster_names else "patient"
    said.append(f"Each {who} is independent of the others.")
    said.append("Outcome and measurement are the same before and after.")
    if answer.corrected is not None:
        said += answer.corrected.assumptions
    return tuple(said)


def intraclass_correlation(
    outcome: Floats, after: NDArray[np.bool_], cluster: NDArray[np.intp]
) -> float:
    """Share of the variance within a period that lies between clusters, by analysis of variance.

    Parameters
    ----------
    outcome, after, cluster : (row,)

    Notes
    -----
    Deviations from the period's mean; (MSB - MSW) / (MSB + (n0 - 1) MSW), n0 = (N - sum n_g² / N)
    / (G - 1); 0 where it is negative, nan where each cluster has one row.
    """
    away = np.where(after, outcome - outcome[after].mean(), outcome - outcome[~after].mean())
    size = np.bincount(cluster).astype(np.float64)
    total = np.bincount(cluster, weights=away)
    count, n = size.size, float(size.sum())
    if count < 2 or n <= count:
        return float("nan")
    between = float((total**2 / size).sum())
    within = (float(away @ away) - between) / (n - count)
    between = (between - n * float(away.mean()) ** 2) / (count - 1)
    usual = (n - float((size**2).sum()) / n) / (count - 1)
    bottom = between + (usual - 1.0) * within
    return max((between - within) / bottom, 0.0) if bottom > 0 else 0.0


def answer_facts(answer: ChangeAnswer, *, level: float) -> Mapping[str, Fact]:
    """Answer the items of the checklist that patients before and after can answer."""
    change, rows = answer.change, answer.change.rows
    return {
        "program_dates": f"before: {rows.periods[0]}; after: {rows.periods[1]}",
        "units": spell_units(answer),
        "clustering": spell_clustering(change),
        "standard_error": answer.main.origin,
        "few_clusters": _spell_few(change),
        "points": "2 periods: 1 before, 1 after",
        "seasonality": None,
        "autocorrelation": None,
        "comparator": "the same doctors' patients before the program; no controls",
        "pre_trend": None,
        "case_mix": _spell_mix(answer, level),
        "entries_exits": spell_entries(answer, level=level),
        "missing_outcomes": answer.missing.spell(level=level),
        "main_effect": say(answer.main, level=level),
        "naive_effect": f"{say(answer.naive, level=level)}, with clusters, case mix and pairs left "
        "out",
        "sensitivity": _spell_sensitivity(answer, level),
        "heterogeneity": _spell_doctors(answer),
        "power": spell_power(answer.main, level=level),
    }


def say(estimate: Estimate, *, level: float) -> str:
    """Write an estimate with its interval."""
    lower, upper = estimate.interval(level=level)
    unit = "" if estimate.scale == "log" else f" {estimate.unit}"
    return (
        f"{estimate.name} {estimate.value:.4g}{unit} ({level:.0%} interval {lower:.4g} to "
        f"{upper:.4g})"
    )


def spell_units(answer: ChangeAnswer) -> str:
    """Write the numbers of outcomes, patients, doctors and hospitals."""
    rows = answer.change.rows
    before, after = int((~rows.after).sum()), int(rows.after.sum())
    said = f"{before:,} outcomes before and {after:,} after"
    for role in ("patient", "doctor", "hospital"):
        if role in rows.labels:
            said += f", {count_of(len(rows.labels[role].names), role)}"
    return said


def spell_clustering(change: MeasuredChange) -> str:
    """Write how alike patients of a unit are, and whether the interval knows."""
    rows = change.rows
    found = []
    for role in ("doctor", "hospital"):
        if role in rows.labels:
            value = intraclass_correlation(rows.outcome, rows.after, rows.labels[role].code)
            found.append(f"ICC of {role}s {value:.3f}")
    if not change.cluster_names:
        return ", ".join([*found, "patients taken as independent: not in the interval"])
    moved = ""
    if change.moved:
        moved = f"; {count_of(change.moved, 'patient')} changed {change.cluster_role} and stay with"
        moved += " the one before"
    return ", ".join(found) + (
        f"{'; ' if found else ''}the interval allows for {change.cluster_role}s{moved}"
    )


def _spell_few(change: MeasuredChange) -> str | None:
    if not change.cluster_names:
        return None
    remedy = {
        "t": "CR2 standard errors with Satterthwaite's degrees of freedom"
        if change.fit is not None
        else "jackknife standard errors with G - 1 degrees of freedom",
        "wild_bootstrap": "restricted wild bootstrap",
        "cluster_bootstrap": "none: percentiles of a cluster bootstrap are too narrow below 40",
    }[change.options.inference]
    few = "few" if change.n_clusters < FEW_CLUSTERS else "not few"
    return f"{count_of(change.n_clusters, change.cluster_role)}, {few}; {remedy}"


def _part(answer: ChangeAnswer, code: str, level: float) -> str:
    found = find_estimate(answer.estimates, code)
    if found is None:
        return ""
    lower, upper = found.interval(level=level)
    return f"{found.value:.4g} ({lower:.4g} to {upper:.4g})"


def _spell_mix(answer: ChangeAnswer, level: float) -> str:
    change = answer.change
    if not change.is_adjusted:
        if change.is_paired:
            return "the same patients are compared; no case mix was named"
        return "no case mix was named: patients may have changed, and how much is not known"
    return (
        f"adjusted for {answer.columns.case_mix}: of the plain difference "
        f"{change.scale * change.split.total:.4g} {answer.unit}, the change of the case mix makes "
        f"{_part(answer, 'mix', level)}"
    )


def spell_entries(answer: ChangeAnswer, *, level: float) -> str:
    """Write how many patients entered and left, and what they make of the difference."""
    change, rows = answer.change, answer.change.rows
    if "patient" not in rows.labels:
        return "patients are not identified: who entered or left is not known"
    stays = rows.stays
    entered, left = int((~stays & rows.after).sum()), int((~stays & ~rows.after).sum())
    said = (
        f"{int(stays.sum()) // 2:,} patients have outcomes in both periods, {entered:,} entered "
        f"and {left:,} left"
    )
    if change.has_entries:
        made = [
            f"{name} {part}"
            for name, part in (
                ("entries", _part(answer, "entry", level)),
                ("exits", _part(answer, "exit", level)),
            )
            if part
        ]
        said += f"; in the plain difference: {', '.join(made)} {answer.unit}"
    return said


def _spell_sensitivity(answer: ChangeAnswer, level: float) -> str:
    change = answer.change
    said = []
    if change.jackknife is not None and change.cluster_names:
        moved = change.jackknife.without[:, PARTS.index("within")]
        said.append(
            f"leaving out one {change.cluster_role} at a time moves "
            f"{answer.estimates[0].name} between {moved.min():.4g} and {moved.max():.4g}"
        )
    if answer.corrected is not None:
        said.append(f"without the correction: {say(answer.estimates[0], level=level)}")
    if answer.missing.bounds is not None:
        said.append(f"missing outcomes: {answer.missing.bounds.origin}")
    return "; ".join(said) or "see the threats"


def _spell_doctors(answer: ChangeAnswer) -> str | None:
    change, rows = answer.change, answer.change.rows
    if "doctor" not in rows.labels:
        return None
    code = rows.labels["doctor"].code
    count = len(rows.labels["doctor"].names)
    means = []
    for side in (~rows.after, rows.after):
        size = np.bincount(code[side], minlength=count)
        total = np.bincount(code[side], weights=rows.outcome[side], minlength=count)
        means.append(np.divide(total, size, out=np.full(count, np.nan), where=size > 0))
    gain = change.scale * (means[1] - means[0])
    seen = gain[np.isfinite(gain)]
    if not seen.size:
        return "no doctor has patients in both periods"
    return (
        f"plain changes of {count_of(seen.size, 'doctor')} run from {seen.min():.4g} to "
        f"{seen.max():.4g} {answer.unit}, {int((seen > 0).sum()):,} of them up, chance included; "
        "DoctorEffects tells chance from differences"
    )


def spell_power(main: Estimate, *, level: float) -> str:
    """Write which effect an interval like this one would show."""
    if main.draws is not None:
        error, degrees = float(main.draws.std(ddof=1)), np.inf
    elif main.se is not None:
        error, degrees = main.se, main.degrees_of_freedom
    else:
        error, degrees = main.rough_error(), np.inf
        if not np.isfinite(error):
            return "no finite interval: no effect could have been shown"
    size = detectable_effect(error, degrees, level=level)
    return (
        f"{main.name} of {size:.4g} {main.unit} or more, up or down, would be shown with a "
        "probability of 80%"
    )
