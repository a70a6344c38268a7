"""The main effect under other models of the noise of a series, and under other priors."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from outcomekpi.pilots.designs.series_effects import (
    SeriesEffect,
    effect_from_draws,
    estimate_effect,
)
from outcomekpi.pilots.designs.series_model import (
    STRUCTURAL,
    SeriesModel,
    fit_model,
    level_loads,
    model_working,
    weigh,
)
from outcomekpi.pilots.estimators.bayesian_series import (
    RHO_PRIORS,
    SeriesDraws,
    SeriesPosterior,
    fit_posterior,
)
from outcomekpi.pilots.estimators.structural_series import (
    DEFAULT_PRIOR,
    LEVEL_PRIORS,
    draw_level,
    fit_structural,
)
from outcomekpi.pilots.ladder.estimates import Estimate

__all__ = ["draw_wandering", "list_priors", "list_variants"]

Floats = NDArray[np.float64]
Named = tuple[tuple[str, Estimate], ...]
LONGEST_VARIANT = 400


def draw_wandering(model: SeriesModel, drawn: SeriesDraws, rng: np.random.Generator) -> Floats:
    """Draw the wandering level on the scale of the link: (draw, time).

    Parameters
    ----------
    model : with a wandering level
    drawn : terms, steps and noise
    rng : of the draws
    """
    working = model_working(model)
    loads, mean = level_loads(working, model.used)
    left = working.response - model.offset - drawn.coefficients @ model.terms.T
    residuals = np.where(model.used, left * loads * mean, 0.0)
    drawn_level = draw_level(residuals, drawn.parameter, drawn.sigma, model.used, rng, loads=loads)
    return drawn_level / mean


def list_priors(
    model: SeriesModel,
    main_under: Callable[[Floats | None], SeriesEffect],
    posterior: SeriesPosterior,
    *,
    draws: int,
    rng: np.random.Generator,
) -> Named:
    """Estimate the main effect under every prior of the noise.

    Parameters
    ----------
    model : of a Bayesian fit
    main_under : wandering level (draw, time), or None -> main effect
    posterior : of the fit
    draws : number of draws
    rng : of the draws
    """
    found: list[tuple[str, Estimate | None]] = []
    levels = model.method in STRUCTURAL and model.family != "gaussian"
    for prior in posterior.densities:
        drawn = posterior.draw(draws, prior, rng)
        level = draw_wandering(model, drawn, rng) if levels else None
        one = effect_from_draws(main_under(level), drawn.coefficients)
        found.append((_spell_prior(prior), one))
    return tuple((text, one) for text, one in found if one is not None)


def list_variants(model: SeriesModel, main_under: Callable[[Floats | None], SeriesEffect]) -> Named:
    """Estimate the main effect under other models of the noise.

    Parameters
    ----------
    model : as fitted
    main_under : wandering level (draw, time), or None -> main effect
    """
    if model.method in ("bayes", "structural"):
        return ()
    gaussian = model.family == "gaussian"
    effect = main_under(None)
    plain = replace(model, method="independent" if gaussian else "quasi", order=0)
    others = {"independent errors": plain}
    if model.method != "structural_trend":
        others = {
            "REML, order 1": replace(model, method="reml", order=1),
            "REML, order 2": replace(model, method="reml", order=2),
            "Prais-Winsten, order 1": replace(model, method="prais_winsten", order=1),
            **others,
        }
    count = model.terms.shape[1]
    found: list[tuple[str, Estimate | None]] = [
        (text, estimate_effect(effect, fit_model(other), count, origin=text))
        for text, other in others.items()
    ]
    without = "a level that wanders"
    if model.method == "structural_trend" and gaussian:
        without = "a level that wanders without a trend"
        one = _autoregressive(model, effect)
        found.append(("autoregressive noise of order 1, exact posterior", one))
    if gaussian and model.terms.shape[0] <= LONGEST_VARIANT:
        found.append((without, _wandering(model, effect)))
    return tuple((text, one) for text, one in found if one is not None)


def _wandering(model: SeriesModel, effect: SeriesEffect) -> Estimate:
    """Estimate the average effect where the level wanders in place of a straight trend."""
    kept = np.array([name != "trend" for name in model.names])
    rows, response, missing = weigh(
        model.terms[:, kept], model_working(model), model.offset, model.used
    )
    posterior = fit_structural(rows, response, missing=missing)
    weights = (model.terms - model.without)[model.counted].mean(axis=0)[kept]
    origin = LEVEL_PRIORS[DEFAULT_PRIOR][1]
    return _from_posterior(effect, posterior, weights, DEFAULT_PRIOR, origin)


def _autoregressive(model: SeriesModel, effect: SeriesEffect) -> Estimate:
    """Estimate the average effect by the exact posterior of a first-order autoregression."""
    rows, response, missing = weigh(model.terms, model_working(model), model.offset, model.used)
    posterior = fit_posterior(rows, response, missing=missing)
    weights = (model.terms - model.without)[model.counted].mean(axis=0)
    return _from_posterior(effect, posterior, weights, "uniform", RHO_PRIORS["uniform"])


def _from_posterior(
    effect: SeriesEffect, posterior: SeriesPosterior, weights: Floats, prior: str, origin: str
) -> Estimate:
    def limits(level: float) -> tuple[float, float]:
        return posterior.interval(weights, prior=prior, level=level)

    mean = posterior.weights(prior) @ (posterior.coefficients @ weights)
    return Estimate(
        name=effect.name, unit=effect.unit, value=float(mean), limits=limits, origin=origin
    )


def _spell_prior(prior: str) -> str:
    return RHO_PRIORS[prior] if prior in RHO_PRIORS else LEVEL_PRIORS[prior][1]
