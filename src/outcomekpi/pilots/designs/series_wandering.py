"""Whether a series wanders: whether its noise may as well be a random walk about the trend."""

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri

from outcomekpi.pilots.designs.series_model import Method, SeriesModel, model_working, weigh
from outcomekpi.pilots.estimators.first_order import LARGEST, best_rho, first_order

__all__ = ["LEAST_RHO", "LIKELIHOOD_LEVEL", "Wandering", "choose_method", "judge_wandering"]

LEAST_RHO = 0.5
LIKELIHOOD_LEVEL = 0.95
"""Of the interval that decides which method "auto" takes: an effect must not change its method with
the level at which its own interval is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wandering:
    """First-order autocorrelation of a series, and how well a unit root would do.

    Attributes
    ----------
    rho : of greatest restricted likelihood, with trend, seasons and program in the model
    drop : log likelihood at ``rho`` less that at the edge of a unit root (.995)
    """

    rho: float
    drop: float

    @property
    def wanders(self) -> bool:
        """Whether rho is at least .5 and its 95 % likelihood interval reaches a unit root."""
        return self.rho >= LEAST_RHO and self.drop < float(chdtri(1, 1.0 - LIKELIHOOD_LEVEL)) / 2.0


def judge_wandering(model: SeriesModel) -> Wandering:
    """Compare the best autocorrelation of a series with a unit root.

    Parameters
    ----------
    model : of the series, with a straight trend
    """
    rows, response, _ = weigh(model.terms, model_working(model), model.offset, model.used)
    rho = best_rho(rows, response)
    likelihood = first_order(rows, response, np.array([rho, LARGEST])).log_likelihood
    return Wandering(rho=rho, drop=max(float(likelihood[0] - likelihood[1]), 0.0))


def choose_method(asked: Method, wandering: Wandering) -> Method:
    """Return the method that "auto" stands for; any other is left as it was asked."""
    if asked != "auto":
        return asked
    return "structural_trend" if wandering.wanders else "reml"
