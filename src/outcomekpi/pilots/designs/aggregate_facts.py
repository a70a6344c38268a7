"""What published figures answer of the checklist, and the checks and assumptions beside them."""

import pandas as pd

from outcomekpi.draws.checks import CheckResult
from outcomekpi.draws.intervals import interval
from outcomekpi.pilots.designs.aggregate_statements import Evidence, tipping_words
from outcomekpi.pilots.estimators.aggregate_priors import AggregatePriors
from outcomekpi.pilots.estimators.aggregate_sampling import (
    independent_interval,
    matches_whole_patients,
)
from outcomekpi.pilots.estimators.published import FigureName
from outcomekpi.pilots.ladder.findings import Fact

__all__ = ["check_figures", "list_assumptions", "list_facts"]

PRIOR_RANGE = "95 %"
"""What a range of a prior holds (``PriorRange``): how it was stated, not how a result is read."""
REACH = (0.25, 0.75)
"""Levels before that the default ranges in points were made for."""


def list_assumptions(evidence: Evidence, priors: AggregatePriors | None) -> tuple[str, ...]:
    """Return everything that the numbers rest on, each in one sentence."""
    figures = evidence.figures
    said = [
        "Both figures are proportions of the same outcome, measured and counted alike.",
        f"Figures were rounded to the nearest value{_rounding_words(evidence)}.",
    ]
    if figures.change is not None:
        said.append(f"The published change is read as {figures.reading}.")
    if evidence.drawn is None or priors is None:
        return tuple(said)
    if figures.n_before is None or figures.n_after is None:
        said.append(f"Patients per period where unknown: {_range_words(priors, 'patients')}.")
    said += [
        f"Patients of one doctor are alike by an ICC of {_range_words(priors, 'icc')}.",
        f"Patients per doctor: {_range_words(priors, 'patients_per_doctor')}.",
        f"The errors of the two figures correlate by {_range_words(priors, 'pairing')}.",
    ]
    if not evidence.has_effect:
        return tuple(said)
    regression = priors.regression_range(evidence.program.selected_on_baseline)
    said += [
        f"Trend without the program, points a year for better: {_range_words(priors, 'trend')}.",
        f"Regression to the mean, points for better: {regression} ({PRIOR_RANGE}), because "
        f"{regression.why or 'stated by the user'}.",
        f"Share of those without the better outcome who left: {_range_words(priors, 'attrition')}.",
    ]
    if evidence.direction is None:
        said.append(
            "No direction was given: the published change is taken as meant for the better, so "
            "that trend, regression to the mean and attrition explain part of it."
        )
    if priors.effect_sd is None:
        said.append("Every proportion under the program was equally likely beforehand.")
    else:
        said.append(f"The effect was believed small: SD {priors.effect_sd:g} points around none.")
    return tuple(said)


def check_figures(evidence: Evidence, priors: AggregatePriors | None) -> tuple[CheckResult, ...]:
    """Return what can be checked: whole patients, sampling error, and the reach of the priors."""
    found = (
        _check_whole_patients(evidence),
        _check_sampling_error(evidence),
        _check_reach(evidence, priors),
    )
    return tuple(one for one in found if one is not None)


def _check_whole_patients(evidence: Evidence) -> CheckResult | None:
    figures = evidence.figures
    rows = []
    counted: tuple[tuple[FigureName, int | None], ...] = (
        ("before", figures.n_before),
        ("after", figures.n_after),
    )
    for name, patients in counted:
        value = getattr(figures, name)
        if value is None or patients is None:
            continue
        share, half = value / figures.whole, figures.half_width(name)
        closest = 100 * round(share * patients) / patients
        possible = matches_whole_patients(share, half, patients)
        rows.append((name, 100 * share, patients, closest, possible))
    if not rows:
        return None
    table = pd.DataFrame(rows, columns=["figure", "published", "patients", "closest", "possible"])
    wrong = table[~table["possible"]]
    verdict = "Each figure is a whole number of its patients, within rounding."
    if len(wrong):
        text = "; ".join(
            f"{row.published:.4g} % of {row.patients} patients is no whole number of them (the "
            f"closest is {row.closest:.4g} %)"
            for row in wrong.itertuples()
        )
        verdict = f"{text}: the figure is adjusted, averaged over doctors, or wrong."
    return CheckResult(name="whole patients", passed=wrong.empty, verdict=verdict, table=table)


def _check_sampling_error(evidence: Evidence) -> CheckResult | None:
    figures, pair = evidence.figures, evidence.pair
    if pair is None or "patients_needed" not in evidence.tables:
        return None
    table = evidence.tables["patients_needed"]
    verdict = (
        f"{table['to_exclude_nil'].iloc[0]} independent patients per period are enough for a "
        f"{evidence.level:.0%} interval that leaves out no change"
    )
    if len(table) > 1:
        verdict += (
            f"; {table['to_exclude_nil'].iloc[-1]} where patients of one doctor are as alike as "
            "the priors say"
        )
    passed = None
    if figures.n_before is not None and figures.n_after is not None:
        low, high = independent_interval(
            *pair,
            figures.n_before,
            figures.n_after,
            level=evidence.level,
            design_effect=float(table["design_effect"].iloc[-1]),
        )
        passed = bool(low > 0 or high < 0)
        verdict += f"; published were {figures.n_before} and {figures.n_after}"
    return CheckResult(name="sampling error", passed=passed, verdict=verdict + ".", table=table)


def _check_reach(evidence: Evidence, priors: AggregatePriors | None) -> CheckResult | None:
    """Whether the default ranges in points, made for proportions near one half, fit this base."""
    if not evidence.has_effect or evidence.drawn is None or priors is None:
        return None
    default = AggregatePriors()
    used = [
        name
        for name in ("trend", "regression_to_mean")
        if getattr(priors, name) == getattr(default, name)
    ]
    if not used:
        return None
    base = float(evidence.drawn.before.mean())
    fits = REACH[0] <= base <= REACH[1]
    names = " and ".join(name.replace("_", " ") for name in used)
    verdict = f"The default range of {names} was made for proportions near one half; before is "
    verdict += f"{100 * base:.3g} %"
    if not fits:
        verdict += ", where points mean more: state a range of your own"
    table = pd.DataFrame({"default": used, "before": 100 * base})
    return CheckResult(name="reach of the priors", passed=fits, verdict=verdict + ".", table=table)


def list_facts(evidence: Evidence, priors: AggregatePriors | None) -> dict[str, Fact]:
    """Return what the figures answer of the checklist; what they leave out stays missing."""
    figures, drawn = evidence.figures, evidence.drawn
    known = [
        f"{n} patients {when}"
        for n, when in ((figures.n_before, "before"), (figures.n_after, "after"))
        if n is not None
    ]
    facts: dict[str, Fact] = {
        "points": "one figure before, one after",
        "seasonality": "no: two figures cannot tell a season from a change",
        "autocorrelation": None,
        "few_clusters": None,
        "comparator": "none: the same place before and after",
        "naive_effect": str(evidence.tables["statements"]["text"].iloc[0]),
        "main_effect": _main_words(evidence),
    }
    if known:
        facts["units"] = ", ".join(known) + "; doctors and hospitals were not published"
    if figures.years is not None:
        facts["program_dates"] = f"{figures.years:g} years between the figures; dates not published"
    if drawn is not None and priors is not None:
        facts["clustering"] = (
            f"not published; prior of the ICC {priors.icc} with {priors.patients_per_doctor} "
            "patients per doctor, in the interval"
        )
        facts["standard_error"] = (
            "draws from the posterior: beta distributions of the proportions, rounding uniform"
        )
    words = tipping_words(evidence)
    if words:
        facts["sensitivity"] = "nothing is left with " + ", or with ".join(words.values())
    if "patients_needed" in evidence.tables:
        row = evidence.tables["patients_needed"].iloc[0]
        facts["power"] = (
            f"a change of this size leaves out 0 from {row['to_exclude_nil']:.0f} independent "
            f"patients per period on, and is shown with 80 % power from {row['for_power']:.0f} on"
        )
    return facts


def _main_words(evidence: Evidence) -> str:
    drawn = evidence.drawn
    if drawn is None:
        ranges = evidence.tables["possible"]
        relative = evidence.pair is None and evidence.figures.reading == "relative"
        name = "risk ratio" if relative else "risk difference"
        low, high = ranges.loc[name, ["lower", "upper"]]
        return f"{name} {low:.4g} to {high:.4g} from rounding; no sampling interval"
    change = 100 * (drawn.after - drawn.before)
    lower, upper = interval(change[None, :], level=evidence.level)
    return (
        f"change {change.mean():.3g} points ({evidence.level:.0%} interval {lower[0]:.3g} to "
        f"{upper[0]:.3g}); the program's part is not identified"
    )


def _rounding_words(evidence: Evidence) -> str:
    figures = evidence.figures
    names: tuple[FigureName, ...] = ("before", "after", "change")
    parts = [
        f"{name} +-{100 * figures.half_width(name):.3g} points"
        for name in names
        if getattr(figures, name) is not None
    ]
    return f" ({', '.join(parts)})"


def _range_words(priors: AggregatePriors, name: str) -> str:
    one = getattr(priors, name)
    return f"{one} ({PRIOR_RANGE}), because {one.why or 'stated by the user'}"
