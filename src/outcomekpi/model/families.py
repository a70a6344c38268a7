"""The outcome families: mean, density and random outcomes given a linear predictor."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, gammaln, xlogy

from outcomekpi.model.likelihood_model import Model
from outcomekpi.model.spec import Family

__all__ = ["Conditional", "conditional", "draw_outcomes", "log_density", "mean_outcome"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conditional:
    """What the density of some cases needs besides the linear predictor.

    Attributes
    ----------
    family : resolved family
    outcome, size : (case, 1); size is trials, exposure or 1
    spread : (sample,), residual SD or dispersion, or None
    """

    family: Family
    outcome: Array
    size: Array
    spread: Array | None


def conditional(
    model: Model, spread: Array | None = None, *, cases: slice | NDArray[np.intp] = slice(None)
) -> Conditional:
    """Outcome, trials or exposure of some cases, as columns."""
    size = model.trials if model.trials is not None else model.exposure
    outcome = model.outcome[cases, None]
    return Conditional(
        family=model.family,
        outcome=outcome,
        size=np.ones_like(outcome) if size is None else size[cases, None],
        spread=spread,
    )


def mean_outcome(given: Conditional, eta: Array) -> Array:
    """Return the expected outcome of each case: events, or the measurement; (case, sample)."""
    if given.family == "gaussian":
        return eta
    inverse = expit if given.family in ("bernoulli", "binomial") else np.exp
    mean: Array = given.size * inverse(eta)
    return mean


def log_density(given: Conditional, eta: Array) -> Array:
    """Log probability (or density) of each case's outcome, normalized; (case, sample).

    Notes
    -----
    Negative binomial: variance ``mu + dispersion² mu²``, size ``dispersion⁻²``.
    """
    y, size = given.outcome, given.size
    if given.family in ("bernoulli", "binomial"):
        constant = gammaln(size + 1) - gammaln(y + 1) - gammaln(size - y + 1)
        return np.asarray(constant + y * eta - size * np.logaddexp(0.0, eta))
    if given.family == "gaussian":
        spread = _spread(given)
        return np.asarray(-0.5 * ((y - eta) / spread) ** 2 - np.log(spread * np.sqrt(2 * np.pi)))
    mean = size * np.exp(eta)
    if given.family == "poisson":
        return np.asarray(y * (eta + np.log(size)) - mean - gammaln(y + 1))
    alpha = _spread(given) ** -2.0
    return np.asarray(
        gammaln(y + alpha)
        - gammaln(alpha)
        - gammaln(y + 1)
        + xlogy(y, mean / (mean + alpha))
        - alpha * np.log1p(mean / alpha)
    )


def draw_outcomes(given: Conditional, eta: Array, rng: np.random.Generator) -> Array:
    """One random outcome of each case under each sample; (case, sample)."""
    mean = mean_outcome(given, eta)
    match given.family:
        case "bernoulli":
            return np.asarray(rng.random(mean.shape) < mean, dtype=np.float64)
        case "binomial":
            count = np.broadcast_to(given.size, mean.shape).astype(np.int64)
            return np.asarray(rng.binomial(count, expit(eta)), dtype=np.float64)
        case "poisson":
            return rng.poisson(mean).astype(np.float64)
        case "negative_binomial":
            alpha = _spread(given) ** -2.0
            return rng.poisson(rng.gamma(alpha, mean / alpha)).astype(np.float64)
        case "gaussian":
            return np.asarray(rng.normal(mean, _spread(given)))


def _spread(given: Conditional) -> Array:
    if given.spread is None:
        raise TypeError(f"family {given.family!r} needs the draws of its spread")
    return given.spread
