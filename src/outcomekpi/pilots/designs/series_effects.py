"""What the program did to a series: level, slope, horizon, average and sum, with intervals."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from outcomekpi.pilots.data.series_interruptions import ReadInterruption
from outcomekpi.pilots.designs.series_forecast import SeriesForecast
from outcomekpi.pilots.designs.series_model import (
    SeriesModel,
)
from outcomekpi.pilots.estimators.segmented import SeriesFit
from outcomekpi.pilots.estimators.working_series import inverse_link
from outcomekpi.pilots.ladder.estimates import Estimate

__all__ = [
    "EffectWords",
    "SeriesEffect",
    "effect_from_draws",
    "estimate_effect",
    "list_effects",
    "list_realized",
    "realized_weights",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectWords:
    """Words of a family: of a difference, its sum, a ratio of means, a ratio on the link."""

    unit: str
    total: str
    ratio: str
    link: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesEffect:
    """A function of the coefficients.

    Attributes
    ----------
    name, unit, scale : as in :class:`Estimate`
    value : (draw, term) -> (draw,), on the reported scale
    """

    name: str
    unit: str
    scale: Literal["identity", "log"]
    value: Callable[[Floats], Floats]


def list_effects(
    model: SeriesModel,
    words: EffectWords,
    *,
    horizon: int,
    horizon_name: str,
    step: str,
    level: Floats | None = None,
) -> tuple[SeriesEffect, ...]:
    """List the effects of the model contrast, the main one first.

    Parameters
    ----------
    model : as fitted
    words : units
    horizon : steps since the first point after the start
    horizon_name : of that point
    step : what separates two points
    level : (draw, time), drawn wandering level, which belongs to the expected values; or None
    """
    points = 100.0 if model.family == "binomial" else 1.0
    span = model.counted
    sizes = model.size[span]
    apart = 0.0 if level is None else level[:, span]

    def means(beta: Floats, terms: Floats) -> Floats:
        predictor = model.offset[span] + beta @ terms[span].T + apart
        return inverse_link(model.family, predictor) * sizes

    def totals(beta: Floats) -> Floats:
        return np.asarray((means(beta, model.terms) - means(beta, model.without)).sum(axis=-1))

    def average(beta: Floats) -> Floats:
        return points * totals(beta) / sizes.sum()

    def ratio(beta: Floats) -> Floats:
        whole, none = means(beta, model.terms), means(beta, model.without)
        positive = (whole > 0).all(axis=-1) & (none > 0).all(axis=-1)
        bottom = np.where(positive, none.sum(axis=-1), 1.0)
        return np.where(positive, whole.sum(axis=-1) / bottom, np.nan)

    main = SeriesEffect(name="average effect", unit=words.unit, scale="identity", value=average)
    relative = SeriesEffect(name=words.ratio, unit="ratio", scale="log", value=ratio)
    first = (relative, main) if model.family == "poisson" else (main, relative)
    return (
        *first,
        *_coefficients(model, words, step),
        *_of_others(model, words, step, level),
        *_at_horizon(model, words, horizon, horizon_name, points, level),
        SeriesEffect(name="cumulative effect", unit=words.total, scale="identity", value=totals),
    )


def _of_others(
    model: SeriesModel, words: EffectWords, step: str, level: Floats | None
) -> list[SeriesEffect]:
    """Each other interruption: its changes, and its average over the points from it on."""
    found = []
    for other in model.others:
        for name in other.terms:
            per = f" per {step}" if name.startswith("slope") else ""
            found.append(_coefficient(model, words, name, per))
        found.append(_average_of(model, words, other, level))
    return found


def _average_of(
    model: SeriesModel, words: EffectWords, other: ReadInterruption, level: Floats | None
) -> SeriesEffect:
    span = model.used & (np.arange(model.used.size) >= other.position)
    sizes = model.size[span]
    apart = 0.0 if level is None else level[:, span]
    terms = model.terms[span]
    none = np.where(np.isin(model.names, other.terms), 0.0, terms)

    def both(beta: Floats) -> tuple[Floats, Floats]:
        first, second = (
            inverse_link(model.family, model.offset[span] + beta @ one.T + apart) * sizes
            for one in (terms, none)
        )
        return first.sum(axis=-1), second.sum(axis=-1)

    def average(beta: Floats) -> Floats:
        with_it, without = both(beta)
        points = 100.0 if model.family == "binomial" else 1.0
        return points * (with_it - without) / sizes.sum()

    def ratio(beta: Floats) -> Floats:
        with_it, without = both(beta)
        return with_it / without

    if model.family == "poisson":
        name = f"{words.ratio} of {other.name}"
        return SeriesEffect(name=name, unit="ratio", scale="log", value=ratio)
    name = f"average effect of {other.name}"
    return SeriesEffect(name=name, unit=words.unit, scale="identity", value=average)


def _coefficients(model: SeriesModel, words: EffectWords, step: str) -> list[SeriesEffect]:
    found = []
    for name in ("level change", "slope change"):
        if name in model.names:
            per = f" per {step}" if name == "slope change" else ""
            found.append(_coefficient(model, words, name, per))
    return found


def _coefficient(model: SeriesModel, words: EffectWords, name: str, per: str) -> SeriesEffect:
    place = model.names.index(name)

    def plain(beta: Floats) -> Floats:
        return np.asarray(beta[..., place])

    def ratio(beta: Floats) -> Floats:
        return np.asarray(np.exp(beta[..., place]))

    if model.family == "gaussian":
        return SeriesEffect(name=name, unit=words.unit + per, scale="identity", value=plain)
    return SeriesEffect(name=name, unit=words.link + per, scale="log", value=ratio)


def _at_horizon(
    model: SeriesModel,
    words: EffectWords,
    horizon: int,
    name: str,
    points: float,
    level: Floats | None,
) -> list[SeriesEffect]:
    if "slope change" not in model.names:
        return []
    row = int(model.after.argmax()) + horizon
    apart = 0.0 if level is None else level[:, row]

    def at(beta: Floats) -> Floats:
        both = [
            inverse_link(model.family, model.offset[row] + beta @ terms[row] + apart)
            for terms in (model.terms, model.without)
        ]
        return points * (both[0] - both[1])

    def ratio(beta: Floats) -> Floats:
        return np.asarray(np.exp(beta @ (model.terms[row] - model.without[row])))

    difference = SeriesEffect(name=f"effect at {name}", unit=words.unit, scale="identity", value=at)
    if model.family == "gaussian":
        return [difference]
    return [
        difference,
        SeriesEffect(name=f"{words.link} at {name}", unit="ratio", scale="log", value=ratio),
    ]


def estimate_effect(
    effect: SeriesEffect, fit: SeriesFit, count: int, *, origin: str
) -> Estimate | None:
    """Estimate a function of the coefficients by its gradient; None where it is undefined.

    Parameters
    ----------
    effect : what to estimate
    fit : of the series
    count : number of terms that the effect knows; indicators of unused times follow them
    origin : words of the interval

    Notes
    -----
    The gradient g of the effect (of its logarithm, for ratios) takes the place of the contrast:
    standard error sqrt(g' C_A g), degrees of freedom those of g. Exact for linear effects.
    """
    center = fit.coefficients[:count]
    value = float(effect.value(center[None, :])[0])
    if not np.isfinite(value) or (effect.scale == "log" and value <= 0):
        return None
    steps = 1e-4 * np.sqrt(np.diag(fit.plain_covariance)[:count])
    moved = np.concatenate([center + np.diag(steps), center - np.diag(steps)])
    values = effect.value(moved)
    if effect.scale == "log":
        values = np.log(values)
    gradient = np.zeros(fit.coefficients.size)
    gradient[:count] = (values[:count] - values[count:]) / (2.0 * steps)
    _, error, degrees = fit.contrast(gradient)
    return Estimate(
        name=effect.name,
        unit=effect.unit,
        value=value,
        scale=effect.scale,
        se=error,
        degrees_of_freedom=degrees,
        origin=origin.format(degrees=_spell_degrees(degrees)),
    )


def effect_from_draws(effect: SeriesEffect, draws: Floats) -> Estimate | None:
    """Estimate a function of the coefficients by its draws; None where some are undefined."""
    values = effect.value(draws)
    if not np.isfinite(values).all():
        return None
    return Estimate(
        name=effect.name,
        unit=effect.unit,
        value=float(values.mean()),
        scale=effect.scale,
        draws=values,
        origin="posterior draws",
    )


def _spell_degrees(degrees: float) -> str:
    return "normal" if np.isinf(degrees) else f"t, {degrees:.1f} degrees of freedom"


def realized_weights(model: SeriesModel, forecast: SeriesForecast) -> Floats:
    """(term,), weights whose combination is the sum of observed points less their forecasts."""
    loads = forecast.selection * (forecast.slope * model.size)[:, None]
    return np.asarray(loads[forecast.ahead].sum(axis=0))


def list_realized(
    model: SeriesModel,
    forecast: SeriesForecast,
    words: EffectWords,
    draws: Floats | None = None,
) -> tuple[Estimate, Estimate]:
    """Average and sum of the observed points less their forecasts, noise of both included.

    Parameters
    ----------
    model : of the series
    forecast : from :func:`fit_forecast`
    words : units
    draws : (draw, term), posterior draws of the terms of the forecast, or None
    """
    weights = realized_weights(model, forecast)
    points = 100.0 if model.family == "binomial" else 1.0
    per = points / float(model.size[forecast.ahead].sum())
    shown = (
        ("average observed minus forecast", words.unit, per),
        ("cumulative observed minus forecast", words.total, 1.0),
    )
    if draws is not None:
        sums = draws @ weights[: draws.shape[1]]
        made = [
            Estimate(
                name=name,
                unit=unit,
                value=float(sums.mean()) * factor,
                draws=sums * factor,
                origin="posterior draws of the forecast",
            )
            for name, unit, factor in shown
        ]
        return made[0], made[1]
    value, error, degrees = forecast.fit.contrast(weights)
    made = [
        Estimate(
            name=name,
            unit=unit,
            value=value * factor,
            se=error * factor,
            degrees_of_freedom=degrees,
            origin=f"forecast error, {_spell_degrees(degrees)}",
        )
        for name, unit, factor in shown
    ]
    return made[0], made[1]
