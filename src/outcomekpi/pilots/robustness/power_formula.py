"""Power of a two-sided test, and what solves for it: the effect, or the size."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtr, ndtri, stdtr

from outcomekpi.draws.intervals import t_reach

__all__ = [
    "Noise",
    "Precision",
    "least_effect",
    "least_size",
    "power_of",
    "two_sided_p",
]

Floats = NDArray[np.float64]
NORMAL_FROM = 1e6
LARGEST_SIZE = 10_000_000
HALVINGS = 45
NODES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """One possible outcome of estimating the noise of a series.

    Attributes
    ----------
    weight : probability
    se : standard error that the test divides by, if the variance is estimated without error
    degrees_of_freedom : of the test's quantile
    spread_degrees : of the estimated variance
    """

    weight: float
    se: float
    degrees_of_freedom: float
    spread_degrees: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """How precisely a plan tells an effect.

    Attributes
    ----------
    se : standard error of the estimate under the effect
    se_null : standard error that the test divides by
    degrees_of_freedom : of the test; infinite for the normal
    noises : what else than the variance is estimated, where that matters; empty elsewhere
    """

    se: float
    se_null: float
    degrees_of_freedom: float = np.inf
    noises: tuple[Noise, ...] = ()

    def reach(self, *, level: float) -> float:
        """Half-width of the interval of an estimate, with the standard error under the effect."""
        error = self.se_null if self.noises else self.se
        return float(t_reach(self.degrees_of_freedom, level=level)) * error


def power_of(effect: float, precision: Precision, *, level: float) -> float:
    """Probability that the interval leaves out no effect, on either side.

    Parameters
    ----------
    effect : true effect
    precision : in the same unit
    level : of the interval, in (0, 1)

    Notes
    -----
    Normal: Phi((d - z se_null) / se) + Phi((-d - z se_null) / se). With degrees of freedom: the
    noncentral t with noncentrality d / se, and the critical value times se_null / se, by
    integrating the normal over the quantiles of the estimated standard error; with ``noises``
    also over them.
    """
    degrees = precision.degrees_of_freedom
    shift = abs(effect) / precision.se
    if precision.noises:
        found = [
            one.weight
            * _shown(
                shift,
                float(t_reach(one.degrees_of_freedom, level=level)) * one.se / precision.se,
                one.spread_degrees,
            )
            for one in precision.noises
        ]
        return float(sum(found))
    ratio = precision.se_null / precision.se
    if degrees >= NORMAL_FROM:
        reach = float(ndtri(0.5 + level / 2.0)) * ratio
        return float(ndtr(shift - reach) + ndtr(-shift - reach))
    return _shown(shift, float(t_reach(degrees, level=level)) * ratio, degrees)


def _shown(shift: float, reach: float, degrees: float) -> float:
    """Probability of more than ``reach`` estimated standard errors, on either side."""
    nodes, weights = _quadrature()
    spread = np.sqrt(2.0 * gammaincinv(degrees / 2.0, (nodes + 1.0) / 2.0) / degrees)
    shown = ndtr(shift - reach * spread) + ndtr(-shift - reach * spread)
    return float(weights @ shown / 2.0)


@cache
def _quadrature() -> tuple[Floats, Floats]:
    return np.polynomial.legendre.leggauss(NODES)


def least_effect(
    precision_at: Callable[[float], Precision], *, power: float, level: float, most: float
) -> float:
    """Smallest effect that is shown with a given power; nan where none is.

    Parameters
    ----------
    precision_at : effect -> precision; its sign is that of ``most``
    power, level : wanted
    most : largest possible effect, with its sign; infinite for measurements, whose precision
        does not depend on the effect
    """
    fixed = precision_at(0.0) if np.isinf(most) else None

    def reached(effect: float) -> bool:
        precision = precision_at(effect) if fixed is None else fixed
        return power_of(effect, precision, level=level) >= power

    if fixed is not None:
        top = float(np.sign(most)) * fixed.se
        for _ in range(200):
            if reached(top):
                break
            top *= 2.0
    else:
        top = most
    if not reached(top):
        return float("nan")
    low, high = 0.0, top
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def least_size(power_at: Callable[[int], float], *, power: float, smallest: int) -> int | None:
    """Smallest size with a given power; None where ten million are not enough.

    Parameters
    ----------
    power_at : size -> power, never falling with the size
    power : wanted
    smallest : size that the plan needs in any case
    """
    low, high = smallest - 1, smallest
    while power_at(high) < power:
        low, high = high, 2 * high
        if high > LARGEST_SIZE:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_at(middle) >= power else (middle, high)
    return high


def two_sided_p(statistic: Floats, degrees: Floats | float) -> Floats:
    """Two-sided p-values of t statistics; normal for infinite degrees of freedom."""
    bounded = np.minimum(degrees, 1e9)
    return np.asarray(2.0 * stdtr(bounded, -np.abs(statistic)), dtype=np.float64)
