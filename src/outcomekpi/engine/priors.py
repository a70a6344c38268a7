"""The priors as the engine needs them: log density and derivatives at a parameter vector."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.model.likelihood_model import Model
from outcomekpi.model.priors import Flat, Normal, SDPrior, Uniform

__all__ = [
    "FixedEffectPrior",
    "fixed_effect_prior",
    "largest_log_sigma",
    "log_sd_prior",
    "log_sd_prior_derivatives",
]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FixedEffectPrior:
    """Independent normal priors of the fixed effects; precision 0 stands for a flat one.

    Attributes
    ----------
    mean, precision : (column,), the intercept first
    """

    mean: Array
    precision: Array

    def log_density(self, beta: Array) -> Array:
        """Log density up to a constant at (..., column)."""
        result: Array = -0.5 * (self.precision * (beta - self.mean) ** 2).sum(axis=-1)
        return result

    def slope(self, beta: Array) -> Array:
        """Gradient at (column,)."""
        return -self.precision * (beta - self.mean)


def _moments(prior: Normal | Flat) -> tuple[float, float]:
    if isinstance(prior, Flat) or prior.mean is None:
        return 0.0, 0.0
    return prior.mean, prior.sd**-2


def fixed_effect_prior(model: Model) -> FixedEffectPrior:
    """Bring the priors of the intercept and of the slopes into one vector."""
    intercept, slope = _moments(model.priors.intercept), _moments(model.priors.coefficient)
    n_slopes = model.matrix.shape[1]
    return FixedEffectPrior(
        mean=np.array([intercept[0], *[slope[0]] * n_slopes]),
        precision=np.array([intercept[1], *[slope[1]] * n_slopes]),
    )


def log_sd_prior(prior: SDPrior, log_sd: Array) -> Array:
    """Log prior density of log sd: the density of the sd times the Jacobian sd."""
    return prior.log_density(np.exp(log_sd)) + log_sd


def largest_log_sigma(prior: SDPrior) -> float:
    """Largest log sd that a prior allows, a hair inside: log and exp round."""
    return float(np.log(prior.upper)) - 1e-9 if isinstance(prior, Uniform) else np.inf


def log_sd_prior_derivatives(prior: SDPrior, log_sd: float) -> tuple[float, float]:
    """First and second derivative of :func:`log_sd_prior`, by central differences.

    Those of a uniform prior are its Jacobian's, 1 and 0, up to its very end.
    """
    if isinstance(prior, Uniform):
        return 1.0, 0.0
    step = 1e-4
    below, here, above = log_sd_prior(prior, log_sd + step * np.array([-1.0, 0.0, 1.0]))
    return float(above - below) / (2 * step), float(above - 2 * here + below) / step**2
