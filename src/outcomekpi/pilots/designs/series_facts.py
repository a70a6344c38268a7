"""What an interrupted series says of itself: estimand, assumptions, checks, facts, threats."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtrc

from outcomekpi.draws.checks import CheckResult
from outcomekpi.draws.intervals import t_reach
from outcomekpi.pilots.data.series import FEW_POINTS
from outcomekpi.pilots.designs.series_answer import SeriesAnswer, spell_time
from outcomekpi.pilots.designs.series_bounds import check_bounds
from outcomekpi.pilots.designs.series_model import STRUCTURAL
from outcomekpi.pilots.designs.series_wandering import LEAST_RHO, LIKELIHOOD_LEVEL
from outcomekpi.pilots.estimators.ar_errors import to_partial, whiten, whitening_bands
from outcomekpi.pilots.estimators.bayesian_series import RHO_PRIORS
from outcomekpi.pilots.estimators.segmented import profile_interval
from outcomekpi.pilots.estimators.structural_series import LEVEL_PRIORS
from outcomekpi.pilots.estimators.working_series import inverse_link
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Fact
from outcomekpi.tables.columns import count_of

__all__ = [
    "answer_facts",
    "check_series",
    "check_width",
    "detectable_effect",
    "state_assumptions",
    "state_estimand",
]

Floats = NDArray[np.float64]
POWER = 0.8
METHODS = {
    "reml": "restricted maximum likelihood, autoregressive noise of order {order}, Kenward-Roger "
    "standard errors and degrees of freedom",
    "prais_winsten": "iterated Prais-Winsten, autoregressive noise of order {order}, Kenward-Roger "
    "standard errors and degrees of freedom; it finds too little autocorrelation, and its 95 % "
    "intervals held the truth in about 91 % of simulated series",
    "bayes": "exact posterior on a grid of the autocorrelation; {prior}, flat coefficients, "
    "variance with density 1/variance",
    "structural": "exact posterior on a grid of the step of a wandering level; {prior}, flat "
    "coefficients, variance with density 1/variance",
    "structural_trend": "posterior on a grid of the step of a level that wanders about the "
    "straight trend; {prior}, flat coefficients, variance with density 1/variance",
    "quasi": "quasi-likelihood with Pearson's dispersion, independent errors, normal quantiles",
    "independent": "independent errors: the interval carries no autocorrelation",
}


# Why the interval of a series is wide, where other methods give a much narrower one
MUCH_WIDER = 2.0
LARGE_JUMP = 3.0


def check_width(answer: SeriesAnswer, *, level: float) -> CheckResult | None:
    """Explain an interval that is at least twice as wide as that of another method.

    Returns
    -------
    None where no other method was tried
    """
    if not answer.variants:
        return None
    own = _width(answer.main, level)
    widths = [(words, _width(one, level)) for words, one in answer.variants]
    words, least = min(widths, key=lambda pair: pair[1])
    times = own / least
    table = pd.DataFrame(
        [("as reported", own), *widths], columns=["method", "width"]
    )  # of the logarithm, for ratios
    verdict = f"The interval is {times:.1f} times as wide as the narrowest of the others ({words})."
    if times >= MUCH_WIDER:
        verdict = f"{verdict} {_explain(answer)}"
    return CheckResult(name="width of the interval", passed=None, verdict=verdict, table=table)


def _width(one: Estimate, level: float) -> float:
    lower, upper = one.interval(level=level)
    return float(np.log(upper / lower) if one.scale == "log" else upper - lower)


def _explain(answer: SeriesAnswer) -> str:
    rho, count = answer.wandering.rho, int(answer.model.used.sum())
    parts = [
        f"Neighboring points are alike (autocorrelation {rho:.2f}): what looks like a change may "
        f"be the series moving on its own, and its {count:,} points tell far less than "
        "independent ones. The narrower intervals leave out that, or what is not known of it."
    ]
    jump = _largest_jump(answer)
    if jump is not None:
        parts.append(
            f"The largest jump that the model does not know of lies at {jump[0]} "
            f"({jump[1]:.1f} SDs of a step)."
        )
    parts.append(
        "Something that is not in the model makes points alike too: a second interruption (name "
        "it in other_interruptions), a season (seasonality), a bent trend."
    )
    return " ".join(parts)


def _largest_jump(answer: SeriesAnswer) -> tuple[str, float] | None:
    """Time and size of the largest step of the noise, in its own robust SDs; None for a small one.

    The SD is 1.48 times the median of the absolute steps, which the jump itself hardly moves.
    """
    rows, response = answer.weighed()
    left = response - rows @ answer.fit.coefficients
    white = whiten(whitening_bands(to_partial(answer.fit.autoregression), left.size), left)
    known = answer.model.used & (np.arange(left.size) > 0)
    sizes = np.where(known, np.abs(white), 0.0)
    spread = 1.4826 * float(np.median(sizes[known]))
    place = int(sizes.argmax())
    if spread <= 0 or sizes[place] < LARGE_JUMP * spread:
        return None
    return spell_time(answer.data.times.labels[place]), float(sizes[place] / spread)


def state_estimand(answer: SeriesAnswer) -> str:
    """Say in one sentence what the main effect is."""
    season = " and season" if answer.design.seasonality is not None else ""
    if answer.model.method in STRUCTURAL:
        season = f" (with a wandering level){season}"
    than = {
        "none": f"trend{season}",
        "difference": f"the control and the trend{season} of the distance from it",
        "covariate": f"trend{season} and the control",
    }[answer.design.control_as]
    count = int(answer.model.counted.sum())
    return (
        f"{answer.main.name.capitalize()} of the program on {answer.design.outcome}, over the "
        f"{count_of(count, answer.data.times.step)} observed from "
        f"{spell_time(answer.data.times.labels[int(answer.model.after.argmax())])} on: expected "
        f"outcome with it against what {than} would have given without it. A contrast of the "
        "model's expected values; "
        "'observed minus forecast' adds the noise of the points themselves."
    )


def state_assumptions(answer: SeriesAnswer) -> tuple[str, ...]:
    """List what must hold, each in one sentence."""
    scale = {"gaussian": "", "poisson": " of the log rate", "binomial": " of the log odds"}
    trend = f"Without the program the straight trend{scale[answer.model.family]} before it"
    said = [f"{trend} would have gone on."]
    if answer.model.method == "structural":
        said = ["Without the program the level would have wandered on as it did before."]
    elif answer.model.method == "structural_trend":
        said = [f"{trend} would have gone on, the level wandering about it as it did before."]
    if answer.design.control_as == "difference":
        said = [
            _spell_distance(answer.model.method, scale[answer.model.family]),
            "The program did not reach the control.",
        ]
    elif answer.design.control_as == "covariate":
        said += [
            "The control stands to the treated series as it did before.",
            "The program did not reach the control.",
        ]
    if answer.design.seasonality is not None:
        said.append("The seasons are the same before and after.")
    said.append("Nothing else that moves the outcome changed at the start.")
    if answer.data.others:
        said.append(
            "What else interrupted the series changed it as modeled, and would have without the "
            "program."
        )
    said.append("Outcome, patients and measurement are the same kind before and after.")
    if answer.model.method in ("quasi", "independent"):
        said.append("Neighboring points are independent once trend and season are known.")
    elif answer.model.method in STRUCTURAL:
        said.append("Points scatter independently about the level.")
    else:
        said.append(
            f"The noise is autoregressive of order {answer.design.order}, the same before and "
            "after."
        )
    return tuple(said)


def _spell_distance(method: str, scale: str) -> str:
    if method == "structural":
        return (
            "Without the program the distance between treated and control would have wandered on "
            "as it did before."
        )
    return (
        "Without the program the distance between treated and control would have kept its straight "
        f"trend{scale}."
    )


def check_series(answer: SeriesAnswer, *, level: float) -> tuple[CheckResult, ...]:
    """Check the points, the noise left over and the seasons."""
    before, after = int(answer.model.before.sum()), int(answer.model.counted.sum())
    enough = min(before, after) >= FEW_POINTS
    points = CheckResult(
        name="points before and after",
        passed=enough,
        verdict=f"{before:,} points before and {after:,} after the start; {FEW_POINTS} a side are "
        "the least with which trend and autocorrelation can be told.",
        table=pd.DataFrame({"side": ["before", "after"], "points": [before, after]}),
    )
    checks = [points, _wanders(answer), _noise_left(answer)]
    if answer.design.seasonality is not None:
        cycles = before / answer.design.seasonality.period
        checks.append(
            CheckResult(
                name="seasons before the start",
                passed=cycles >= 2,
                verdict=f"{cycles:.1f} cycles lie before the start; with fewer than 2 the season "
                "is told from the trend by the points after it alone.",
                table=pd.DataFrame({"cycles": [cycles]}),
            )
        )
    without = inverse_link(
        answer.model.family, answer.predictor(answer.model.without, level=level)[0]
    )
    more = (
        check_bounds(without, answer.model.counted, answer.design.limits),
        check_width(answer, level=level),
    )
    return (*checks, *(one for one in more if one is not None))


def _wanders(answer: SeriesAnswer) -> CheckResult:
    """Whether a unit root would do as well, and what that means for the interval."""
    found, method = answer.wandering, answer.model.method
    size = f"The autocorrelation of first order is {found.rho:.2f}"
    if not found.wanders:
        verdict = (
            f"{size}: it is below {LEAST_RHO:g} or its {LIKELIHOOD_LEVEL:.0%} likelihood interval "
            "ends below 1, so that the series returns to its trend."
        )
    else:
        verdict = (
            f"The series wanders. {size} and may be 1: a random walk about the trend would do as "
            "well, and such a series need not return to its trend. "
        )
        if answer.chosen:
            verdict += (
                "The default therefore models a level that wanders (method='structural_trend'); "
                "intervals of method='reml' and 'prais_winsten' have no bound here."
            )
        elif method in ("reml", "prais_winsten"):
            verdict += (
                f"Intervals of method={method!r} have no bound here; method='auto' models a level "
                "that wanders."
            )
        elif method in ("quasi", "independent"):
            verdict += "The interval takes the points as independent, and is too narrow."
    table = pd.DataFrame({"rho": [found.rho], "drop_at_unit_root": [found.drop]})
    return CheckResult(
        name="returns to its trend", passed=not found.wanders, verdict=verdict, table=table
    )


def _noise_left(answer: SeriesAnswer) -> CheckResult:
    """Autocorrelation of what the fitted noise does not explain, for information."""
    rows, response = answer.weighed()
    left = response - rows @ answer.fit.coefficients
    bands = whitening_bands(to_partial(answer.fit.autoregression), left.size)
    white = whiten(bands, left)
    lags = np.arange(1, max(2, min(12, left.size // 5)) + 1)
    power = float(white @ white)
    found = np.array([float(white[lag:] @ white[:-lag]) / power for lag in lags])
    count = left.size
    statistic = count * (count + 2) * float((found**2 / (count - lags)).sum())
    degrees = max(lags.size - answer.fit.autoregression.size, 1)
    p_value = float(chdtrc(degrees, statistic))
    largest = int(lags[np.abs(found).argmax()])
    return CheckResult(
        name="autocorrelation left over",
        passed=None,
        verdict=f"After the fitted noise the largest autocorrelation is "
        f"{found[np.abs(found).argmax()]:.2f}, at lag {largest} (Ljung-Box p = {p_value:.2g}). A "
        "large one at the lag of a season asks for seasonality=, elsewhere for a higher order; no "
        "method is chosen by this test.",
        table=pd.DataFrame({"lag": lags, "autocorrelation": found}),
    )


def answer_facts(answer: SeriesAnswer, *, level: float) -> Mapping[str, Fact]:
    """Answer the items of the checklist that a series can answer."""
    data, model, main = answer.data, answer.model, answer.main
    labels, step = data.times.labels, data.times.step
    start = spell_time(labels[data.times.start])
    lower, upper = main.interval(level=level)
    missing = int((~np.isfinite(data.outcome)).sum())
    unit = "" if main.scale == "log" else f" {main.unit}"
    notes = " ".join(data.notes)
    design = answer.design
    facts: dict[str, Fact] = {
        "program_dates": f"start {start}; data from {spell_time(labels[0])} to "
        f"{spell_time(labels[-1])}, one point a {step}{_interruptions(answer)}",
        "units": f"1 series of {answer.design.outcome}"
        + (" beside 1 control" if design.control_as != "none" else "")
        + _volume(answer),
        "clustering": None,
        "few_clusters": None,
        "heterogeneity": None,
        "standard_error": METHODS[answer.model.method].format(
            order=design.order, prior=_prior(answer)
        ),
        "points": f"{int(model.before.sum()):,} before, {int(model.counted.sum()):,} after"
        + (f". {notes}" if notes else ""),
        "seasonality": f"in the model: {design.seasonality}"
        if design.seasonality
        else "not in the model",
        "autocorrelation": _autocorrelation(answer, level),
        "comparator": _comparator(answer),
        "pre_trend": _pre_trend(answer, level),
        "missing_outcomes": f"{count_of(missing, 'period')} missing of {len(labels):,}",
        "main_effect": f"{main.name} {main.value:.4g}{unit} ({level:.0%} interval "
        f"{lower:.4g} to {upper:.4g})",
        "naive_effect": _naive(answer),
        "sensitivity": _variants(answer, level),
        "power": _power(answer, level),
    }
    if answer.design.covariates:
        facts["case_mix"] = f"in the model: {', '.join(answer.design.covariates)}"
    return facts


def _interruptions(answer: SeriesAnswer) -> str:
    named = [
        f"{one.name} from {spell_time(answer.data.times.labels[one.position])} ({one.change})"
        for one in answer.data.others
    ]
    return f"; other interruptions in the model: {', '.join(named)}" if named else ""


def _prior(answer: SeriesAnswer) -> str:
    if answer.model.method in STRUCTURAL:
        return LEVEL_PRIORS[STRUCTURAL[answer.model.method]][1]
    return RHO_PRIORS[answer.design.rho_prior]


def _volume(answer: SeriesAnswer) -> str:
    if answer.model.family == "gaussian":
        return ""
    events = int(answer.data.outcome[answer.model.used].sum())
    trials = answer.data.size[answer.model.used].sum()
    what = f" in {trials:,.0f} trials" if answer.model.family == "binomial" else ""
    return f", {events:,} events{what}"


def _autocorrelation(answer: SeriesAnswer, level: float) -> str:
    if answer.draws is not None:
        drawn = answer.draws.parameter
        tail = (1.0 - level) / 2.0
        low, high = np.quantile(drawn, [tail, 1.0 - tail])
        what = "step of the level over the noise" if answer.level is not None else "rho"
        return (
            f"{what} {drawn.mean():.2f} ({100 * level:.4g} % interval {low:.2f} to {high:.2f}), "
            "carried into the interval"
        )
    rows, response = answer.weighed()
    low, high = profile_interval(rows, response, level=level)
    if answer.model.method in ("quasi", "independent"):
        return (
            f"not in the interval; from the residuals rho may lie between {low:.2f} and {high:.2f}"
        )
    phi = ", ".join(f"{value:.2f}" for value in answer.fit.autoregression)
    return (
        f"rho {phi} by {answer.model.method} (first-order likelihood interval {low:.2f} to "
        f"{high:.2f}), carried into the interval with its own uncertainty"
    )


def _comparator(answer: SeriesAnswer) -> str:
    if answer.design.control_as == "none":
        return "the same series before the program; no control"
    how = {
        "difference": "distance on the scale of the model",
        "covariate": "covariate with its own coefficient",
    }[answer.design.control_as]
    return f"the control series {answer.design.control} ({how})"


def _pre_trend(answer: SeriesAnswer, level: float) -> str:
    if "trend" not in answer.model.names:
        return "no straight trend: the level before the start wanders, and is carried forward"
    weights = np.zeros(answer.fit.coefficients.size)
    weights[answer.model.names.index("trend")] = 1.0
    value, error, degrees = answer.fit.contrast(weights)
    half = float(t_reach(degrees, level=level)) * error
    ends = np.array([value, value - half, value + half])
    unit = answer.words.unit
    if answer.model.family != "gaussian":
        ends, unit = np.exp(ends), answer.words.link
    of = "distance from the control" if answer.design.control_as == "difference" else "outcome"
    return (
        f"trend of the {of} before the start {ends[0]:.4g} {unit} a {answer.data.times.step} "
        f"({100 * level:.4g} % interval {ends[1]:.4g} to {ends[2]:.4g}); it is carried forward, "
        "not tested"
    )


def _naive(answer: SeriesAnswer) -> str:
    after = answer.data.used & answer.data.after
    sides = [
        float(answer.data.outcome[side].sum() / answer.data.size[side].sum())
        for side in (answer.data.before, after)
    ]
    return (
        f"from {sides[0]:.4g} to {sides[1]:.4g}: {answer.naive.value:.4g} {answer.naive.unit}, "
        "with trend, season and autocorrelation left out"
    )


def _variants(answer: SeriesAnswer, level: float) -> str:
    told = []
    for words, one in (*answer.variants, *answer.priors):
        low, high = one.interval(level=level)
        told.append(f"{words}: {one.value:.4g} ({low:.4g} to {high:.4g})")
    return "; ".join(told)


def detectable_effect(error: float, degrees: float, *, level: float, power: float = POWER) -> float:
    """Smallest effect that an interval with this standard error shows with a given power.

    Parameters
    ----------
    error : standard error, autocorrelation included
    degrees : of freedom
    level : of the interval
    power : probability that the interval leaves out no effect

    Notes
    -----
    (t_(1 + level)/2 + t_power) x standard error: the standard error of the fitted series, with
    its own length, seasons and autocorrelation.
    """
    # the quantile of the power is one-sided
    reach = t_reach(degrees, level=level) + t_reach(degrees, level=2.0 * power - 1.0)
    return float(reach) * error


def _power(answer: SeriesAnswer, level: float) -> str:
    main = answer.main
    if main.draws is not None:
        values = np.log(main.draws) if main.scale == "log" else main.draws
        error, degrees = float(values.std(ddof=1)), np.inf
    elif main.se is not None:
        error, degrees = main.se, main.degrees_of_freedom
    else:
        return "not known"
    size = detectable_effect(error, degrees, level=level)
    if main.scale == "log":
        return (
            f"a {main.name} below {np.exp(-size):.3g} or above {np.exp(size):.3g} would be shown "
            f"with a probability of {POWER:.0%}"
        )
    return (
        f"{main.name} of {size:.4g} {main.unit} or more, up or down, would be shown with a "
        f"probability of {POWER:.0%}"
    )
