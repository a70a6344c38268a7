"""What a difference in differences says: estimand, facts, tables, checks and threats."""

import numpy as np
import pandas as pd
from scipy.special import ndtri

from outcomekpi.draws.checks import CheckResult
from outcomekpi.draws.intervals import t_reach
from outcomekpi.pilots.designs.did_estimation import DidAnswer
from outcomekpi.pilots.designs.did_sensitivity import (
    VERY_FEW,
    Sensitivity,
    breakdown_words,
    find_sensitivity,
    pre_trend_fact,
    pre_trend_words,
    sensitivity_words,
)
from outcomekpi.pilots.designs.did_weights import check_weights
from outcomekpi.pilots.designs.panel_bounds import (
    bound_effects,
    check_levels,
    clip_levels,
    holds_percentages,
)
from outcomekpi.pilots.designs.panel_facts import (
    join_words,
    list_panel_facts,
    measure_naive,
    spell_interval,
    table_by_unit,
)
from outcomekpi.pilots.designs.selection_signs import (
    SelectionSigns,
    check_selection_signs,
    doubt_selection,
    fear_return,
    find_selection_signs,
)
from outcomekpi.pilots.designs.series_facts import detectable_effect
from outcomekpi.pilots.estimators.event_study import EventStudy
from outcomekpi.pilots.ladder.estimates import READ_BACK_LEVEL, Estimate
from outcomekpi.pilots.ladder.findings import Fact, Findings, Threat
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.columns import count_of

__all__ = ["describe_effect"]

FEW_CLUSTERS = 20
POWER = 0.8


def describe_effect(answer: DidAnswer, program: Program, level: float) -> Findings:
    """Put together everything that was found, with intervals of a level."""
    found, other = find_sensitivity(answer, level=level), answer.other
    naive = measure_naive(answer.panel)
    signs = find_selection_signs(answer.panel)
    percent = holds_percentages(answer.panel, answer.columns)
    estimates = (*answer.estimates, *([other] if other is not None else []))
    tables = _tables(answer, found, level)
    levels: tuple[CheckResult, ...] = ()
    if percent and "counterfactual" in tables:
        levels = check_levels(
            tables["counterfactual"],
            remedy="Use estimator='etwfe' with family='logit', whose trends are parallel in log "
            "odds.",
        )
        tables["counterfactual"] = clip_levels(tables["counterfactual"])
    starts = answer.panel.starts
    when = answer.panel.times[starts[0] - 1]
    if len(starts) > 1:
        when += f" to {answer.panel.times[starts[-1] - 1]}"
    return Findings(
        estimand=(
            f"effect of {program.name} on {answer.columns.outcome} of the treated "
            f"{count_of(answer.panel.n_treated, 'unit')}, from the start ({when}) to "
            f"{answer.panel.times[-1]}{_counting(answer)}"
        ),
        estimates=bound_effects(estimates, answer.panel) if percent else estimates,
        naive=naive,
        assumptions=_assumptions(answer),
        checks=(
            check_selection_signs(signs, answer.panel, program),
            *([check_weights(answer.main, other, level=level)] if other is not None else []),
            *levels,
            *_checks(answer, found),
        ),
        threats=_threats(answer, found, signs, program),
        tables=tables,
        facts=_facts(answer, found, naive, level),
        direction=answer.design.direction,
        withheld=doubt_selection(signs, answer.panel, program),
    )


def _counting(answer: DidAnswer) -> str:
    if not answer.columns.counts_patients:
        return ""
    return f", each {answer.columns.weights.removesuffix('s')} counting alike"


def _assumptions(answer: DidAnswer) -> tuple[str, ...]:
    scale = {"gaussian": "means", "logit": "log odds", "poisson": "log rates"}
    controls = {
        "never_treated": "units that were never treated",
        "not_yet_treated": "units that were not yet treated",
    }[answer.design.control]
    given = f" given {join_words(answer.columns.covariates)}" if answer.columns.covariates else ""
    return (
        f"Without the program, {scale[answer.design.family]} of the treated would have moved as "
        f"those of {controls}{given} did (parallel trends).",
        "Nobody changed before the start because the start was known (no anticipation).",
        "The program did not reach the controls (no spillover).",
        "Nothing else happened to the treated alone at the same time.",
        *(
            ["What was chance in the periods that chose the units is not in the other ones."]
            if answer.columns.selected_in
            else []
        ),
    )


def _checks(answer: DidAnswer, found: Sensitivity) -> tuple[CheckResult, ...]:
    checks = []
    test = found.pre_trend
    if test is not None:
        row = test.power.iloc[-1]
        unit = test.event_study.unit
        checks.append(
            CheckResult(
                name="trends before the start",
                passed=False if test.p_value < 1 - test.level else None,
                verdict=f"{pre_trend_words(answer, test)} A slope of {row['slope']:.3g} {unit} "
                f"a period would be seen with a probability of {row['power']:.0%}; unseen, it "
                f"biases the average effect by {row['bias_if_passed']:.3g} {unit}.",
                table=test.to_frame(),
            )
        )
    panel = answer.panel
    few = min(panel.treated_clusters, panel.control_clusters)
    sides = f"{panel.treated_clusters:,} treated and {panel.control_clusters:,} control clusters"
    if answer.design.inference == "cluster":
        enough = few >= FEW_CLUSTERS
        checks.append(
            CheckResult(
                name="clusters on each side",
                passed=True if enough else (False if few < VERY_FEW else None),
                verdict=f"{sides}."
                + (
                    ""
                    if enough
                    else " Cluster-robust intervals are too narrow with so few (below 5 on a side, "
                    "an effect that is none is seen in 13 to 31 %); compare with estimator='2x2' "
                    "and inference='wild_bootstrap' or 'randomization'."
                ),
                table=pd.DataFrame(
                    {"clusters": [panel.treated_clusters, panel.control_clusters]},
                    index=["treated", "controls"],
                ),
            )
        )
    if answer.notes:
        checks.append(
            CheckResult(
                name="remarks of the estimator",
                passed=None,
                verdict=" ".join(answer.notes),
                table=pd.DataFrame({"remark": list(answer.notes)}),
            )
        )
    return tuple(checks)


def _threats(
    answer: DidAnswer,
    found: Sensitivity,
    signs: SelectionSigns,
    program: Program,
) -> tuple[Threat, ...]:
    main = answer.main
    amount = f"{main.value:.4g} {main.unit}"
    threats = [
        Threat(
            name="trends that were not parallel",
            direction="either",
            tipping=breakdown_words(found),
            handled="trends common to treated and controls cancel",
        ),
        Threat(
            name="history",
            direction="either",
            tipping=f"something else that changed the treated alone by {amount} leaves no effect",
            handled="what happens to treated and controls alike cancels",
        ),
        Threat(
            name="spillover",
            direction="either",
            tipping="a share of the effect that reaches the controls hides the same share of it",
        ),
        Threat(
            name="instrumentation",
            direction="either",
            tipping=f"a change of measurement among the treated alone worth {amount} leaves no "
            "effect",
            handled=program.measurement_changes or "",
        ),
    ]
    threats += fear_return(main, signs, answer.columns, program)
    before, after = answer.panel.missing["treated"]
    if after > before:
        told = (
            f"{after:,} outcomes of the treated are missing after the start, {before:,} before it"
        )
        if answer.missing is not None:
            low, high = answer.missing
            told += (
                f"; had all of those after been 0, the effect would be {low:.4g}, had all "
                f"been 1, {high:.4g} {main.unit}"
            )
        threats.append(Threat(name="attrition", direction="either", tipping=told))
    return tuple(threats)


def _tables(answer: DidAnswer, found: Sensitivity, level: float) -> dict[str, pd.DataFrame]:
    tables: dict[str, pd.DataFrame] = {"by_unit": table_by_unit(answer.panel)}
    study = answer.event_study
    if study is not None:
        tables["event_study"] = study.to_frame(level=level)
        tables["event_study_covariance"] = study.covariance_frame()
        if len(answer.panel.starts) == 1 and study.unit == answer.panel.word:
            tables["counterfactual"] = _counterfactual(answer, study, level)
    if found.relative is not None:
        bounds = found.relative
        if found.smooth is not None:
            bounds = pd.concat([bounds, found.smooth.iloc[1:]], ignore_index=True)
        bounds = bounds.copy()
        bounds.attrs.update(breakdown=found.breakdown, level=level)
        tables["bounds"] = bounds
    if found.pre_trend is not None:
        tables["pre_trend"] = found.pre_trend.to_frame()
    if answer.by_start is not None:
        tables["by_start"] = _by_start(answer, level)
    if answer.design.control == "never_treated" and not answer.columns.covariates:
        names = answer.panel.units
        weight = answer.panel.frame.query("treated == 0").groupby("unit")["weight"].first()
        tables["weights"] = pd.DataFrame(
            {
                "unit": [names[one] for one in weight.index],
                "weight": (weight / weight.sum()).to_numpy(),
            }
        )
    return tables


def _by_start(answer: DidAnswer, level: float) -> pd.DataFrame:
    frame = answer.by_start if answer.by_start is not None else pd.DataFrame()
    half = t_reach(answer.panel.n_clusters - 1, level=level)
    times = answer.panel.times
    table = pd.DataFrame(
        {
            "start": [times[one - 1] for one in frame["start"]],
            "time": [times[one - 1] for one in frame["time"]],
            "after": frame["time"] >= frame["start"],
            "mean": frame["mean"],
            "lower": frame["mean"] - half * frame["se"],
            "upper": frame["mean"] + half * frame["se"],
        }
    )
    table.attrs.update(level=level)
    return table


def _counterfactual(answer: DidAnswer, study: EventStudy, level: float) -> pd.DataFrame:
    """Mean of the treated beside what the controls say that it would have been."""
    panel = answer.panel
    start = panel.starts[0]
    frame = panel.scaled().query("treated == 1")
    frame = frame.assign(outcome=frame["outcome"] * frame["weight"])
    sums = frame.groupby("time")[["outcome", "weight"]].sum()
    treated = sums["outcome"] / sums["weight"]
    events = study.to_frame(level=level).set_index("time").reindex(treated.index - start)
    observed = treated.to_numpy()
    without = observed - events["mean"].to_numpy()
    frame = pd.DataFrame(
        {
            "time": [panel.times[one - 1] for one in treated.index],
            "observed": observed,
            "fitted": observed,
            "counterfactual": without,
            "lower": observed - events["upper"].to_numpy(),
            "upper": observed - events["lower"].to_numpy(),
            "after": treated.index.to_numpy() >= start,
        }
    )
    frame.attrs.update(level=level, unit=panel.word)
    return frame


def _facts(answer: DidAnswer, found: Sensitivity, naive: Estimate, level: float) -> dict[str, Fact]:
    main, panel = answer.main, answer.panel
    facts = list_panel_facts(panel, answer.columns, naive, level=level)
    few = f"{panel.treated_clusters:,} treated and {panel.control_clusters:,} control clusters"
    used = {
        "cluster": "t distribution with one degree of freedom less than clusters",
        "wild_bootstrap": "wild cluster bootstrap under the null, inverted",
        "randomization": "randomization over clusters, inverted",
    }[answer.design.inference]
    facts |= {
        "standard_error": main.origin,
        "few_clusters": f"{few}; {used}",
        "comparator": f"{panel.n_controls:,} units that were never treated"
        if answer.design.control == "never_treated"
        else f"units not yet treated, {panel.n_controls:,} of them never",
        "pre_trend": pre_trend_fact(answer, found),
        "main_effect": f"{main.name} {main.value:.4g} {main.unit} "
        f"({spell_interval(main, level=level)})",
        "sensitivity": sensitivity_words(found),
        "power": _power(answer, level),
    }
    if answer.by_start is not None and len(panel.starts) > 1:
        facts["heterogeneity"] = _heterogeneity(answer, level)
    return facts


def _power(answer: DidAnswer, level: float) -> str:
    main = answer.main
    if main.se is None:
        if not np.isfinite(main.interval(level=level)).all():
            return "no effect of any size: too few clusters for an interval at this level"
        # a level that few clusters reach stands in where they do not reach that of the read-back
        wide = np.isfinite(main.interval(level=READ_BACK_LEVEL)).all()
        lower, upper = main.interval(level=READ_BACK_LEVEL if wide else level)
        half = 1.959964 if wide else float(ndtri(0.5 + level / 2))
        error, degrees = (upper - lower) / (2 * half), float(answer.panel.n_clusters - 1)
    else:
        error, degrees = main.se, main.degrees_of_freedom
    reach = detectable_effect(error, degrees, level=level, power=POWER)
    return (
        f"an effect of {reach:.4g} {main.unit} or more, up or down, would be shown with a "
        f"probability of {POWER:.0%}"
    )


def _heterogeneity(answer: DidAnswer, level: float) -> str:
    table = _by_start(answer, level)
    after = table[table["after"]].groupby("start", sort=False)["mean"].mean()
    told = [f"{start}: {value:.4g}" for start, value in after.items()]
    return f"mean effect by start, {answer.main.unit}: {join_words(told)}"
