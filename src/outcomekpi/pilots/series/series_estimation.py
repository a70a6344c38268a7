"""From a series to its findings, for one series and for a controlled one."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from outcomekpi.errors import CasesError, SpecError
from outcomekpi.pilots.estimates import Estimate
from outcomekpi.pilots.findings import Findings
from outcomekpi.pilots.program import Program
from outcomekpi.pilots.series.bayesian_series import (
    RHO_PRIORS,
    SeriesDraws,
    SeriesPosterior,
    fit_posterior,
)
from outcomekpi.pilots.series.segmented import SeriesFit
from outcomekpi.pilots.series.series_answer import SeriesAnswer, spell_time
from outcomekpi.pilots.series.series_data import (
    PERCENT,
    SeriesColumns,
    SeriesData,
    read_series,
)
from outcomekpi.pilots.series.series_effects import (
    EffectWords,
    SeriesEffect,
    effect_from_draws,
    estimate_effect,
    list_effects,
    list_realized,
)
from outcomekpi.pilots.series.series_facts import (
    answer_facts,
    check_series,
    state_assumptions,
    state_estimand,
)
from outcomekpi.pilots.series.series_model import (
    SeriesModel,
    build_model,
    fit_forecast,
    fit_model,
    model_working,
    weigh,
)
from outcomekpi.pilots.series.series_options import SeriesOptions, check_options
from outcomekpi.pilots.series.series_tables import tabulate
from outcomekpi.pilots.series.series_threats import list_threats
from outcomekpi.pilots.series.structural_series import (
    DEFAULT_PRIOR,
    LEVEL_PRIORS,
    draw_level,
    fit_structural,
)

__all__ = ["estimate_series"]

Floats = NDArray[np.float64]
LONGEST_VARIANT = 400
POSTERIORS = {"bayes": fit_posterior, "structural": fit_structural}
ORIGINS = {
    "reml": "REML, Kenward-Roger, {degrees}",
    "prais_winsten": "Prais-Winsten, Kenward-Roger, {degrees}",
    "bayes": "posterior draws",
    "structural": "posterior draws",
    "quasi": "quasi-likelihood, independent errors, {degrees}",
    "independent": "independent errors, {degrees}",
}


def estimate_series(
    data: object,
    columns: SeriesColumns,
    options: SeriesOptions,
    *,
    program: Program,
    draws: int,
    rng: np.random.Generator,
) -> Findings:
    """Read a series, fit it, and write down what was found."""
    check_options(columns, options)
    series = read_series(data, columns)
    model = build_model(
        series,
        family=columns.family,
        method=options.method,
        order=options.order,
        change=options.change,
        seasonality=options.seasonality,
        control_as=options.control_as,
    )
    _check_noise(model)
    answer = _answer(series, columns, options, model, draws, rng)
    return Findings(
        estimand=state_estimand(answer),
        estimates=answer.estimates,
        naive=answer.naive,
        assumptions=state_assumptions(answer),
        checks=check_series(answer),
        threats=list_threats(answer, program),
        tables=tabulate(answer),
        facts=answer_facts(answer),
        direction=options.direction,
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
    columns: SeriesColumns,
    options: SeriesOptions,
    model: SeriesModel,
    draws: int,
    rng: np.random.Generator,
) -> SeriesAnswer:
    words = _word(columns, options, series)
    effects = _effects(series, options, model, words)
    fit, forecast = fit_model(model), fit_forecast(model)
    origin = ORIGINS[options.method]
    posterior = drawn = level = ahead = None
    if options.method in ("bayes", "structural"):
        prior = options.rho_prior if options.method == "bayes" else DEFAULT_PRIOR
        posterior = _posterior(model)
        drawn = posterior.draw(draws, prior, rng)
        if options.method == "structural":
            level = _level(model, drawn, rng)
        if forecast is not None:
            whole = POSTERIORS[options.method](
                forecast.rows, forecast.response, missing=forecast.missing
            )
            ahead = whole.draw(draws, prior, rng)
    beta = None if drawn is None else drawn.coefficients
    found = [_estimate(effect, fit, model, beta, origin) for effect in effects]
    estimates = [one for one in found if one is not None]
    if forecast is not None:
        later = None if ahead is None else ahead.coefficients
        estimates += list_realized(model, forecast, words, later)
    return SeriesAnswer(
        columns=columns,
        options=options,
        data=series,
        model=model,
        fit=fit,
        forecast=forecast,
        posterior=posterior,
        draws=drawn,
        level=level,
        forecast_draws=ahead,
        words=words,
        estimates=tuple(estimates),
        naive=_naive(series, words, columns),
        variants=_variants(model, effects[0], posterior, draws, rng),
    )


def _posterior(model: SeriesModel) -> SeriesPosterior:
    rows, response, missing = weigh(model.terms, model_working(model), model.offset, model.used)
    return POSTERIORS[model.method](rows, response, missing=missing)


def _level(model: SeriesModel, drawn: SeriesDraws, rng: np.random.Generator) -> Floats:
    residuals = model.outcome - model.offset - drawn.coefficients @ model.terms.T
    return draw_level(residuals, drawn.parameter, drawn.sigma, model.used, rng)


def _estimate(
    effect: SeriesEffect, fit: SeriesFit, model: SeriesModel, draws: Floats | None, origin: str
) -> Estimate | None:
    if draws is not None:
        return effect_from_draws(effect, draws)
    return estimate_effect(effect, fit, model.terms.shape[1], origin=origin)


def _effects(
    series: SeriesData, options: SeriesOptions, model: SeriesModel, words: EffectWords
) -> tuple[SeriesEffect, ...]:
    last = int(model.after.sum()) - 1
    horizon = last if options.horizon is None else options.horizon
    if horizon > last:
        raise SpecError(
            f"horizon={horizon} lies beyond the data, which hold {last + 1} "
            f"{series.times.step}s after the start: 0 is the first of them, {last} the last."
        )
    place = series.times.labels[int(model.after.argmax()) + horizon]
    return list_effects(
        model, words, horizon=horizon, horizon_name=spell_time(place), step=series.times.step
    )


def _word(columns: SeriesColumns, options: SeriesOptions, series: SeriesData) -> EffectWords:
    step = series.times.step
    if columns.family == "binomial":
        return EffectWords(
            unit="percentage points", total="events", ratio="risk ratio", link="odds ratio"
        )
    if columns.family == "poisson":
        per = f"per unit of {columns.exposure}" if columns.exposure else f"per {step}"
        return EffectWords(
            unit=f"events {per}", total="events", ratio="rate ratio", link="rate ratio"
        )
    percent = columns.unit is not None and columns.unit.lower() in PERCENT
    unit = "percentage points" if percent else columns.unit or f"units of {columns.outcome}"
    return EffectWords(
        unit=unit, total=f"{unit} x {step}s", ratio="ratio of means", link="difference"
    )


def _naive(series: SeriesData, words: EffectWords, columns: SeriesColumns) -> Estimate:
    """Plain difference after minus before, of the treated series."""
    after = series.used & series.after
    points = 100.0 if columns.family == "binomial" else 1.0
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


def _variants(
    model: SeriesModel,
    effect: SeriesEffect,
    posterior: SeriesPosterior | None,
    draws: int,
    rng: np.random.Generator,
) -> tuple[tuple[str, Estimate], ...]:
    """Estimate the main effect under other priors (Bayesian fits) or other models of the noise."""
    found: list[tuple[str, Estimate | None]] = []
    if posterior is not None:
        for prior in posterior.densities:
            text = _spell_prior(prior)
            beta = posterior.draw(draws, prior, rng).coefficients
            found.append((text, effect_from_draws(effect, beta)))
    else:
        others = {
            "REML, order 1": replace(model, method="reml", order=1),
            "REML, order 2": replace(model, method="reml", order=2),
            "Prais-Winsten, order 1": replace(model, method="prais_winsten", order=1),
            "independent errors": replace(
                model, method="independent" if model.family == "gaussian" else "quasi", order=0
            ),
        }
        count = model.terms.shape[1]
        for text, other in others.items():
            again = fit_model(other)
            found.append((text, estimate_effect(effect, again, count, origin=text)))
        if model.family == "gaussian" and model.terms.shape[0] <= LONGEST_VARIANT:
            found.append(("a level that wanders", _wandering(model, effect)))
    return tuple((text, one) for text, one in found if one is not None)


def _wandering(model: SeriesModel, effect: SeriesEffect) -> Estimate:
    """Estimate the average effect where the level wanders in place of a straight trend."""
    kept = np.array([name != "trend" for name in model.names])
    rows, response, missing = weigh(
        model.terms[:, kept], model_working(model), model.offset, model.used
    )
    posterior = fit_structural(rows, response, missing=missing)
    weights = (model.terms - model.without)[model.counted].mean(axis=0)[kept]

    def limits(level: float) -> tuple[float, float]:
        return posterior.interval(weights, prior=DEFAULT_PRIOR, level=level)

    mean = posterior.weights(DEFAULT_PRIOR) @ (posterior.coefficients @ weights)
    return Estimate(
        name=effect.name,
        unit=effect.unit,
        value=float(mean),
        limits=limits,
        origin=LEVEL_PRIORS[DEFAULT_PRIOR][1],
    )


def _spell_prior(prior: str) -> str:
    return RHO_PRIORS[prior] if prior in RHO_PRIORS else LEVEL_PRIORS[prior][1]
