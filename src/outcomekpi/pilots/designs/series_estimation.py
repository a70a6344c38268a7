"""From a series to its findings, for one series and for a controlled one."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.draws.intervals import t_reach
from outcomekpi.pilots.data.series import (
    PERCENT,
    SeriesData,
    read_series,
)
from outcomekpi.pilots.designs.series_answer import SeriesAnswer, spell_time
from outcomekpi.pilots.designs.series_bounds import bound_estimates, clip_levels
from outcomekpi.pilots.designs.series_design import SeriesDesign
from outcomekpi.pilots.designs.series_effects import (
    EffectWords,
    SeriesEffect,
    effect_from_draws,
    estimate_effect,
    list_effects,
    list_realized,
)
from outcomekpi.pilots.designs.series_facts import (
    answer_facts,
    check_series,
    state_assumptions,
    state_estimand,
)
from outcomekpi.pilots.designs.series_forecast import SeriesForecast, fit_forecast
from outcomekpi.pilots.designs.series_model import (
    STRUCTURAL,
    Method,
    SeriesModel,
    build_model,
    fit_model,
    level_loads,
    model_working,
    weigh,
)
from outcomekpi.pilots.designs.series_variants import draw_wandering, list_priors, list_variants
from outcomekpi.pilots.designs.series_wandering import Wandering, choose_method, judge_wandering
from outcomekpi.pilots.estimators.bayesian_series import (
    SeriesPosterior,
    fit_posterior,
)
from outcomekpi.pilots.estimators.segmented import SeriesFit
from outcomekpi.pilots.estimators.structural_series import (
    fit_structural,
)
from outcomekpi.pilots.estimators.working_series import inverse_link
from outcomekpi.pilots.ladder.estimates import Estimate, tabulate_estimates
from outcomekpi.pilots.ladder.findings import Answered, Findings, Threat
from outcomekpi.pilots.ladder.program import Program

__all__ = ["describe_series", "estimate_series", "list_threats", "tabulate"]

Floats = NDArray[np.float64]
ORIGINS = {
    "reml": "REML, Kenward-Roger, {degrees}",
    "prais_winsten": "Prais-Winsten, Kenward-Roger, {degrees}",
    "bayes": "posterior draws",
    "structural": "posterior draws",
    "structural_trend": "posterior draws",
    "quasi": "quasi-likelihood, independent errors, {degrees}",
    "independent": "independent errors, {degrees}",
}


# Tables of an interrupted series: counterfactual, forecast, variants
LEVELS = ("fitted", "counterfactual", "lower", "upper")


# What else could have moved a series, and how strong it would have to be
def list_threats(answer: SeriesAnswer, program: Program, *, level: float) -> tuple[Threat, ...]:
    """List other explanations, each with the size that would undo the main effect."""
    amount, edge = _tipping(answer.main, level)
    controlled = answer.design.control_as != "none"
    where = "in the treated series alone" if controlled else "at the same time"
    steps = float(answer.data.since[answer.model.counted].mean())
    threats = [
        Threat(
            name="history",
            direction="either",
            tipping=f"something else that changed the outcome by {amount} {where} leaves no "
            f"effect; {edge}",
            handled="what moves treated and control alike cancels" if controlled else "",
        ),
        Threat(
            name="instrumentation",
            direction="either",
            tipping=f"a change of measurement, coding or coverage at the start worth {amount} "
            "leaves no effect",
            handled=program.measurement_changes or "",
        ),
    ]
    bend = _bend(answer, steps)
    if bend:
        threats.append(
            Threat(
                name="bent trend",
                direction="either",
                tipping=bend,
                handled="a straight trend before the start is in the model",
            )
        )
    if program.selected_on_baseline:
        threats.append(
            Threat(
                name="regression to the mean",
                direction="towards benefit",
                tipping=f"a fall back of {amount} on its own, because the start followed extreme "
                "values, leaves no effect",
                handled="points before the extreme ones carry the trend; leave the extreme ones "
                "out and compare",
            )
        )
    return tuple(threats)


def _tipping(main: Estimate, level: float) -> tuple[str, str]:
    """Write the size that makes the effect nil, and the one that takes its clarity."""
    lower, upper = main.interval(level=level)
    ratio = main.scale == "log"
    amount = f"a factor of {main.value:.4g}" if ratio else f"{main.value:.4g} {main.unit}"
    if not main.excludes_null(level=level):
        return amount, f"the {level:.0%} interval includes no effect as it is"
    near = lower if abs(lower - main.null) < abs(upper - main.null) else upper
    small = f"a factor of {near:.4g}" if ratio else f"{near:.4g} {main.unit}"
    return amount, f"{small} is enough for the {level:.0%} interval to include no effect"


def _bend(answer: SeriesAnswer, steps: float) -> str:
    """Change of the trend at the start, without a program, that makes the effect nil."""
    if steps <= 0 or answer.model.method == "structural":
        return ""
    step = answer.data.times.step
    if answer.main.scale == "log":
        each = np.exp(np.log(answer.main.value) / steps)
        return (
            f"a trend that by itself turned by a factor of {each:.4g} a {step} at the start "
            "leaves no effect"
        )
    return (
        f"a trend that by itself turned by {answer.main.value / steps:.4g} {answer.main.unit} a "
        f"{step} at the start leaves no effect"
    )


def tabulate(answer: SeriesAnswer, *, level: float) -> Mapping[str, pd.DataFrame]:
    """Write every table; levels are cut at the bounds of the outcome.

    Returns
    -------
    "counterfactual" : time, observed, fitted, counterfactual, lower, upper (of the expected
        counterfactual, without the noise of single points), after
    "forecast" : time, observed, mean, lower, upper (of the point itself, noise included) after
        the start, from the points before it; absent where they are too few
    "variants" : variant, mean, lower, upper: the main effect under other models of the noise
    "prior_sensitivity" : prior, mean, lower, upper; of a Bayesian fit alone
    """
    tables = {"counterfactual": _counterfactual(answer, level)}
    if answer.forecast is not None:
        tables["forecast"] = _forecast(answer, level)
    for name, first, named in (
        ("variants", "variant", answer.variants),
        ("prior_sensitivity", "prior", answer.priors),
    ):
        if named:
            frame = tabulate_estimates(named, first, level=level)
            frame.attrs.update(estimate=answer.main.name, unit=answer.main.unit)
            tables[name] = frame
    return tables


def _counterfactual(answer: SeriesAnswer, level: float) -> pd.DataFrame:
    model, family = answer.model, answer.model.family
    fitted = answer.predictor(model.terms, level=level)[0]
    center, lower, upper = answer.predictor(model.without, level=level)
    frame = pd.DataFrame(
        {
            "time": answer.data.times.labels,
            "observed": answer.data.rate,
            "fitted": inverse_link(family, fitted),
            "counterfactual": inverse_link(family, center),
            "lower": inverse_link(family, lower),
            "upper": inverse_link(family, upper),
            "after": answer.data.after,
        }
    )
    if answer.data.control is not None:
        unknown = ~np.isfinite(answer.data.control)
        frame.loc[unknown, ["fitted", "counterfactual", "lower", "upper"]] = np.nan
    per = {"gaussian": answer.design.unit or "", "binomial": "share of trials"}
    frame = clip_levels(frame, LEVELS, answer.design.limits)
    frame.attrs.update(
        level=level,
        unit=per.get(family, answer.words.unit),
        interval="of the expected counterfactual, without the noise of single points",
    )
    return frame


def _forecast(answer: SeriesAnswer, level: float) -> pd.DataFrame:
    forecast = answer.forecast
    if forecast is None:
        return pd.DataFrame()
    ahead = np.flatnonzero(forecast.ahead)
    observed = answer.data.rate[ahead]
    weights = (forecast.selection * forecast.slope[:, None])[ahead]
    if answer.forecast_draws is not None:
        drawn = answer.forecast_draws.coefficients
        gaps = drawn @ weights[:, : drawn.shape[1]].T
        tail = (1.0 - level) / 2.0
        low, high = np.quantile(gaps, [tail, 1.0 - tail], axis=0)
        center = gaps.mean(axis=0)
    else:
        found = np.array([forecast.fit.contrast(row) for row in weights])
        half = t_reach(found[:, 2], level=level) * found[:, 1]
        center, low, high = found[:, 0], found[:, 0] - half, found[:, 0] + half
    frame = pd.DataFrame(
        {
            "time": answer.data.times.labels[ahead],
            "observed": observed,
            "mean": observed - center,
            "lower": observed - high,
            "upper": observed - low,
        }
    )
    frame = clip_levels(frame, ["mean", "lower", "upper"], answer.design.limits)
    frame.attrs.update(level=level, interval="of the point itself, autocorrelated noise included")
    return frame


def estimate_series(
    data: object,
    design: SeriesDesign,
    *,
    program: Program,
    draws: int,
    rng: np.random.Generator,
) -> Answered[SeriesAnswer]:
    """Read a series and fit it."""
    series = read_series(data, design)
    first = _build(series, design, design.method)
    _check_noise(first)
    wandering = judge_wandering(first)
    model = _build(series, design, choose_method(design.method, wandering))
    answer = _answer(series, design, model, draws, rng, wandering)
    return Answered(numbers=answer, program=program, describe=describe_series)


def describe_series(answer: SeriesAnswer, program: Program, level: float) -> Findings:
    """Write down what was found, with intervals of a level."""
    return Findings(
        estimand=state_estimand(answer),
        estimates=answer.estimates,
        naive=answer.naive,
        assumptions=state_assumptions(answer),
        checks=check_series(answer, level=level),
        threats=list_threats(answer, program, level=level),
        tables=tabulate(answer, level=level),
        facts=answer_facts(answer, level=level),
        direction=answer.design.direction,
        others=(*answer.variants, *answer.priors),
    )


def _build(series: SeriesData, design: SeriesDesign, method: Method) -> SeriesModel:
    return build_model(
        series,
        family=design.family,
        method=method,
        order=design.order,
        change=design.change,
        seasonality=design.seasonality,
        control_as=design.control_as,
    )


def _check_noise(model: SeriesModel) -> None:
    if model.family != "gaussian":
        return
    shown = (model.outcome - model.offset)[model.used]
    spread = np.ptp(shown)
    left = (
        shown
        - model.terms[model.used] @ np.linalg.lstsq(model.terms[model.used], shown, rcond=None)[0]
    )
    if np.abs(left).max() <= 1e-10 * max(spread, np.abs(shown).max(), 1e-300):
        raise CasesError(
            "The series lies exactly on the fitted lines: without noise no interval can be given. "
            "Look for values that were filled in or computed."
        )


def _answer(
    series: SeriesData,
    design: SeriesDesign,
    model: SeriesModel,
    draws: int,
    rng: np.random.Generator,
    wandering: Wandering,
) -> SeriesAnswer:
    words = _word(design, series)
    fit, forecast = fit_model(model), fit_forecast(model)
    origin = ORIGINS[model.method]
    posterior = drawn = level = ahead = None
    if model.method in ("bayes", *STRUCTURAL):
        prior = STRUCTURAL.get(model.method, design.rho_prior)
        posterior = _posterior(model)
        drawn = posterior.draw(draws, prior, rng)
        if model.method in STRUCTURAL:
            level = draw_wandering(model, drawn, rng)
        if forecast is not None:
            whole = _grid(model, forecast)
            ahead = whole.draw(draws, prior, rng)

    def main_under(other: Floats | None) -> SeriesEffect:
        return _effects(series, design, model, words, other)[0]

    effects = _effects(series, design, model, words, level)
    beta = None if drawn is None else drawn.coefficients
    found = [_estimate(effect, fit, model, beta, origin) for effect in effects]
    estimates = [one for one in found if one is not None]
    if forecast is not None:
        later = None if ahead is None else ahead.coefficients
        estimates += list_realized(model, forecast, words, later)
    return SeriesAnswer(
        design=design,
        data=series,
        model=model,
        fit=fit,
        forecast=forecast,
        posterior=posterior,
        draws=drawn,
        level=level,
        forecast_draws=ahead,
        words=words,
        estimates=bound_estimates(estimates, model, forecast, design.limits),
        naive=_naive(series, words, design),
        variants=list_variants(model, main_under),
        priors=()
        if posterior is None
        else list_priors(model, main_under, posterior, draws=draws, rng=rng),
        wandering=wandering,
        chosen=design.method == "auto",
    )


def _posterior(model: SeriesModel) -> SeriesPosterior:
    working = model_working(model)
    rows, response, missing = weigh(model.terms, working, model.offset, model.used)
    if model.method in STRUCTURAL:
        loads = level_loads(working, model.used)[0]
        return fit_structural(rows, response, missing=missing, loads=loads)
    return fit_posterior(rows, response, missing=missing)


def _grid(model: SeriesModel, forecast: SeriesForecast) -> SeriesPosterior:
    """Posterior of the points after the start less their forecasts."""
    rows, response, missing = forecast.rows, forecast.response, forecast.missing
    if model.method in STRUCTURAL:
        return fit_structural(rows, response, missing=missing, loads=forecast.loads)
    return fit_posterior(rows, response, missing=missing)


def _estimate(
    effect: SeriesEffect, fit: SeriesFit, model: SeriesModel, draws: Floats | None, origin: str
) -> Estimate | None:
    if draws is not None:
        return effect_from_draws(effect, draws)
    return estimate_effect(effect, fit, model.terms.shape[1], origin=origin)


def _effects(
    series: SeriesData,
    design: SeriesDesign,
    model: SeriesModel,
    words: EffectWords,
    level: Floats | None,
) -> tuple[SeriesEffect, ...]:
    last = int(model.after.sum()) - 1
    horizon = last if design.horizon is None else design.horizon
    if horizon > last:
        raise SpecError(
            f"horizon={horizon} lies beyond the data, which hold {last + 1} "
            f"{series.times.step}s after the start: 0 is the first of them, {last} the last."
        )
    place = series.times.labels[int(model.after.argmax()) + horizon]
    return list_effects(
        model,
        words,
        horizon=horizon,
        horizon_name=spell_time(place),
        step=series.times.step,
        level=level,
    )


def _word(design: SeriesDesign, series: SeriesData) -> EffectWords:
    step = series.times.step
    if design.family == "binomial":
        return EffectWords(
            unit="percentage points", total="events", ratio="risk ratio", link="odds ratio"
        )
    if design.family == "poisson":
        per = f"per unit of {design.exposure}" if design.exposure else f"per {step}"
        return EffectWords(
            unit=f"events {per}", total="events", ratio="rate ratio", link="rate ratio"
        )
    percent = design.unit is not None and design.unit.lower() in PERCENT
    unit = "percentage points" if percent else design.unit or f"units of {design.outcome}"
    return EffectWords(
        unit=unit, total=f"{unit} x {step}s", ratio="ratio of means", link="difference"
    )


def _naive(series: SeriesData, words: EffectWords, design: SeriesDesign) -> Estimate:
    """Plain difference after minus before, of the treated series."""
    after = series.used & series.after
    points = 100.0 if design.family == "binomial" else 1.0
    rates = [
        float(series.outcome[side].sum() / series.size[side].sum())
        for side in (series.before, after)
    ]
    return Estimate(
        name="plain difference, after minus before",
        unit=words.unit,
        value=points * (rates[1] - rates[0]),
        origin="none: trend, season and autocorrelation are left out",
    )
