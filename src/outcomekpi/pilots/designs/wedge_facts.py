"""What a stepped wedge says of itself: estimand, assumptions, checks, threats, facts, tables."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from outcomekpi.declare.errors import CasesError
from outcomekpi.draws.checks import CheckResult
from outcomekpi.draws.intervals import t_reach
from outcomekpi.pilots.designs.series_facts import detectable_effect
from outcomekpi.pilots.designs.wedge_answer import WedgeAnswer, effect_estimate, fit_effect
from outcomekpi.pilots.ladder.estimates import tabulate_estimates
from outcomekpi.pilots.ladder.findings import Fact, Threat
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.columns import count_of, list_values

__all__ = [
    "check_wedge",
    "list_wedge_facts",
    "list_wedge_threats",
    "state_wedge_assumptions",
    "state_wedge_estimand",
    "tabulate_wedge",
]

STEADY_LEVEL = 0.95
"""1 minus the size of the test that the effect stays the same: no level of an effect moves it."""
FEW = 20
"""Below this many clusters the estimates of their variance are poor, and the result says so."""


def state_wedge_estimand(answer: WedgeAnswer) -> str:
    """Say in one sentence what the main effect is."""
    rows = answer.rows
    program = int((rows.exposure > 0)[rows.sample.present].sum())
    what = {
        "constant": "taken as the same from the first period with it on",
        "linear": "a straight line over the periods with it, averaged over them",
        "by period": "free in each period with it, averaged over them, each counting alike",
    }[answer.design.effect]
    return (
        f"Effect of the program on the mean {answer.design.outcome} of a cluster, in the "
        f"{program:,} cells of clusters and periods with it, {what}."
    )


def state_wedge_assumptions(answer: WedgeAnswer) -> tuple[str, ...]:
    """List what must hold, each in one sentence."""
    said = [
        "The start times were handed out to the clusters by chance.",
        "Without the program all clusters would have moved in parallel from period to period.",
        "Nobody was affected before the start: nothing was anticipated, nothing spilled over.",
        "Each period has other patients; who is counted does not depend on the program.",
    ]
    if answer.design.effect == "constant":
        said.append("The effect is there at once, and does not change with the time since.")
    elif answer.design.effect == "linear":
        said.append("The effect changes along a straight line with the time since the start.")
    if answer.design.inference == "kenward_roger":
        alike = "and more so in the same period" if "cell" in answer.variance.names else "over time"
        said.append(f"Patients of a cluster are alike, {alike}; effects of clusters are normal.")
    if answer.design.family == "binomial":
        said.append(
            "Differences are in percentage points: the means of clusters and periods are modeled, "
            "with one variance of patients for all of them."
        )
    return tuple(said)


def check_wedge(answer: WedgeAnswer, *, level: float) -> tuple[CheckResult, ...]:
    """Check clusters, the randomization, and whether the effect stays the same."""
    count = answer.rows.first.size
    checks = [
        CheckResult(
            name="number of clusters",
            passed=True if count >= FEW else None,
            verdict=f"{count_of(count, 'cluster')}; below {FEW} the variance of clusters is known "
            "poorly: the interval allows for it if effects of clusters are normal, the "
            "randomization test rests on the start times alone.",
            table=pd.DataFrame({"clusters": [count]}),
        ),
        _check_randomization(answer),
    ]
    change = _check_change(answer, level)
    return (*checks, *([] if change is None else [change]))


def _check_randomization(answer: WedgeAnswer) -> CheckResult:
    test = answer.test
    p_value = test.p_value(0.0)
    count = test.assignments.shape[0]
    how = f"all {count:,}" if test.complete else f"{count:,} random"
    return CheckResult(
        name="randomization of the start times",
        passed=None,
        verdict=f"p = {p_value:.3g} for no effect in any cluster and period, over {how} ways to "
        f"hand out the start times (the smallest possible p is {1 / count:.2g}).",
        table=pd.DataFrame({"p_value": [p_value], "assignments": [count]}),
    )


def _check_change(answer: WedgeAnswer, level: float) -> CheckResult | None:
    """Test whether the effect changes with the time since the start."""
    try:
        terms, _, fit = fit_effect(answer.rows, "linear", answer.design.correlation)
    except CasesError:
        return None
    weights = np.zeros(terms.values.shape[2])
    weights[-1] = 1.0
    slope = effect_estimate(fit, weights, name="change", scale=answer.scale, unit=answer.unit)
    low, high = slope.interval(level=level)
    return CheckResult(
        name="effect over the time since the start",
        passed=slope.excludes_null(level=STEADY_LEVEL) is False,
        verdict=f"the effect changes by {slope.value:.3g} {answer.unit} with each further period "
        f"({level:.0%} interval {low:.3g} to {high:.3g}); where it changes, a constant "
        "effect is no average of the effects, and effect='by period' is to be used.",
        table=pd.DataFrame({"mean": [slope.value], "lower": [low], "upper": [high]}),
    )


def list_wedge_threats(answer: WedgeAnswer, program: Program) -> tuple[Threat, ...]:
    """List other explanations, each with the size that would undo the main effect."""
    size = f"{answer.main.value:.3g} {answer.unit}"
    steps = float(answer.rows.exposure[answer.rows.exposure > 0].mean())
    each = f"{answer.main.value / steps:.3g} {answer.unit}"
    chosen = Threat(
        name="regression to the mean",
        direction="either",
        tipping=f"clusters that start early because they were extreme returning by {size} more "
        "than the others",
        handled="what all clusters have in common cancels; see the check of the start times "
        "against the baseline",
    )
    return (
        *((chosen,) if program.selected_on_baseline is not False else ()),
        Threat(
            name="history",
            direction="either",
            tipping=f"something else worth {size} that comes to each cluster with its start",
            handled="what comes to all clusters in a period cancels",
        ),
        Threat(
            name="trends that differ",
            direction="either",
            tipping=f"clusters that start early moving by {each} a period more than the others",
            handled="start times handed out by chance, as the design assumes",
        ),
        Threat(
            name="identification by the program",
            direction="either",
            tipping=f"patients found because of the program whose mean differs by {size}",
            handled="",
        ),
        Threat(
            name="instrumentation",
            direction="either",
            tipping=f"a change of measurement at each cluster's start worth {size}",
            handled=program.measurement_changes or "",
        ),
    )


def list_wedge_facts(answer: WedgeAnswer, *, level: float) -> dict[str, Fact]:
    """Answer what the design can of the checklist."""
    rows, main = answer.rows, answer.main
    low, high = main.interval(level=level)
    count, periods = rows.first.size, len(rows.times)
    empty = [time for time, is_seen in zip(rows.times, rows.seen, strict=True) if not is_seen]
    starts = rows.first[rows.first < periods]
    patients = f", {rows.size.sum():,.0f} patients" if rows.rows != "means" else ""
    waves = np.unique(starts).size
    never = int((rows.first == periods).sum())
    facts: dict[str, Fact] = {
        "units": f"{count:,} clusters, {periods} periods, {int(rows.sample.present.sum()):,} "
        f"cells{patients}; rows are {rows.rows}"
        + (f"; no row at {list_values(empty)}, which passed all the same" if empty else ""),
        "points": f"{int((rows.exposure == 0)[rows.sample.present].sum()):,} cells before and "
        f"{int((rows.exposure > 0)[rows.sample.present].sum()):,} after the start of their cluster",
        "program_dates": f"{waves} waves from {rows.times[int(starts.min())]} to "
        f"{rows.times[int(starts.max())]}; data from {rows.times[0]} to {rows.times[-1]}"
        + (f"; {count_of(never, 'cluster')} not started" if never else ""),
        "clustering": _clustering(answer),
        "standard_error": main.origin,
        "few_clusters": _few(answer),
        "seasonality": "yes: each period has a level of its own",
        "autocorrelation": "cells of a cluster are alike over time; neighboring cells no more "
        "than distant ones",
        "comparator": "clusters that had not started yet, in the same period",
        "pre_trend": None,
        "main_effect": f"{main.value:.4g} {main.unit} ({level:.0%} interval {low:.4g} to "
        f"{high:.4g})",
        "naive_effect": f"{answer.naive.value:.4g} {answer.unit}: all cells with the program less "
        "all without, periods left out",
        "missing_outcomes": f"{rows.missing_before:,} of {rows.total_before:,} rows before and "
        f"{rows.missing_after:,} of {rows.total_after:,} after the start",
        "sensitivity": _variant_words(answer, level),
    }
    _, error, degrees = answer.fit.contrast(answer.terms.average)
    least = answer.scale * detectable_effect(error, degrees, level=level)
    facts["power"] = (
        f"an effect of {least:.3g} {answer.unit} would have been shown with 80 % power, at the "
        "variances found"
    )
    return facts


def _clustering(answer: WedgeAnswer) -> str:
    parts = dict(zip(answer.variance.names, answer.fit.components, strict=True))
    if "patient" not in parts or not answer.rows.has_within:
        share = parts["cluster"] / max(float(answer.fit.components.sum()), 1e-300)
        return f"correlation of two cells of a cluster {share:.2g}, in the interval"
    total = sum(parts.values())
    alike = (parts["cluster"] + parts.get("cell", 0.0)) / total
    words = f"ICC {alike:.3g} within a period"
    if "cell" in parts:
        words += f", {parts['cluster'] / total:.3g} between periods"
    return f"{words}, in the interval"


def _few(answer: WedgeAnswer) -> str:
    count = answer.rows.first.size
    done = "Kenward-Roger standard error and degrees of freedom"
    if answer.design.inference == "randomization":
        done = "interval by inverting the randomization test"
    return (
        f"{'yes' if count < FEW else 'no'}: {count_of(count, 'cluster')}; {done}; randomization "
        f"p = {answer.test.p_value(0.0):.3g}"
    )


def _variant_words(answer: WedgeAnswer, level: float) -> str:
    table = _variants(answer, level)
    return "; ".join(
        f"{row.variant}: {row.mean:.3g} ({row.lower:.3g} to {row.upper:.3g})"
        for row in table.itertuples()
    )


def tabulate_wedge(answer: WedgeAnswer, *, level: float) -> Mapping[str, pd.DataFrame]:
    """Write every table.

    Returns
    -------
    "counterfactual" : time, observed, fitted, counterfactual, lower, upper, after: means of all
        cells of a period, each patient counting alike
    "event_study" : time (periods since the start), mean, lower, upper, is_reference
    "event_study_covariance" : time, and a column for each time: covariance of these effects
    "variants" : variant, mean, lower, upper: the main effect under other models
    "variances" : component, variance
    """
    events, covariance = _event_study(answer, level)
    return {
        "counterfactual": _counterfactual(answer, level),
        "event_study": events,
        "event_study_covariance": covariance,
        "variants": _variants(answer, level),
        "variances": pd.DataFrame(
            {"component": answer.variance.names, "variance": answer.fit.components}
        ),
    }


def _counterfactual(answer: WedgeAnswer, level: float) -> pd.DataFrame:
    rows, fit = answer.rows, answer.fit
    seen = rows.seen
    weights = rows.size[:, seen] / rows.size[:, seen].sum(axis=0)
    fitted = np.einsum("it,itp->tp", weights, answer.terms.values[:, seen])
    without = fitted * (answer.terms.effects == 0).all(axis=0)
    found = np.array([fit.contrast(row) for row in without])
    half = t_reach(found[:, 2], level=level) * found[:, 1]
    frame = pd.DataFrame(
        {
            "time": rows.labels[seen],
            "observed": (weights * rows.sample.mean[:, seen]).sum(axis=0),
            "fitted": fitted @ fit.coefficients,
            "counterfactual": found[:, 0],
            "lower": found[:, 0] - half,
            "upper": found[:, 0] + half,
            "after": (rows.exposure > 0).any(axis=0)[seen],
        }
    )
    numbers = ["observed", "fitted", "counterfactual", "lower", "upper"]
    frame[numbers] *= answer.scale
    if answer.holds_percentages:
        frame[numbers] = frame[numbers].clip(0.0, 100.0)
    frame.attrs.update(
        level=level,
        unit="percent" if answer.scale == 100.0 else answer.design.measured_in or "",
        interval="of the mean of a cluster without the program",
    )
    return frame


def _event_study(answer: WedgeAnswer, level: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Effects by periods since the start, and their covariance."""
    try:
        terms, _, fit = fit_effect(answer.rows, "by period", answer.design.correlation)
    except CasesError:
        terms, fit = answer.terms, answer.fit
    ends = [
        effect_estimate(fit, row, name="effect", scale=answer.scale, unit=answer.unit)
        for row in terms.effects
    ]
    spans = [one.interval(level=level) for one in ends]
    frame = pd.DataFrame(
        {
            "time": [-1, *(terms.exposures - 1)],
            "mean": [0.0, *(one.value for one in ends)],
            "lower": [0.0, *(low for low, _ in spans)],
            "upper": [0.0, *(high for _, high in spans)],
            "is_reference": [True, *(False for _ in ends)],
        }
    )
    frame.attrs.update(level=level, unit=answer.unit)
    matrix = answer.scale**2 * terms.effects @ fit.covariance @ terms.effects.T
    # no error is smaller than the one with the variances taken as known
    np.fill_diagonal(matrix, [one.se**2 for one in ends if one.se is not None])
    covariance = pd.DataFrame(matrix, columns=[str(one - 1) for one in terms.exposures])
    covariance.insert(0, "time", terms.exposures - 1)
    covariance.attrs.update(unit=f"{answer.unit}, squared")
    return frame, covariance


def _variants(answer: WedgeAnswer, level: float) -> pd.DataFrame:
    named = []
    for correlation in ("nested exchangeable", "exchangeable"):
        for effect in ("constant", "linear", "by period"):
            try:
                terms, _, fit = fit_effect(answer.rows, effect, correlation)
            except CasesError:
                continue
            one = effect_estimate(
                fit, terms.average, name=effect, scale=answer.scale, unit=answer.unit
            )
            named.append((f"{effect} effect, {correlation}", one))
    frame = tabulate_estimates(named, "variant", level=level)
    frame.attrs["unit"] = answer.unit
    return frame
