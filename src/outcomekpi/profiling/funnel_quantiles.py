"""Limits of O/E at any number of expected events, and the tails that they are made of."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from outcomekpi.profiling.funnel_laws import (
    CountLaw,
    beta_binomial_law,
    binomial_law,
    negative_binomial_law,
    poisson_law,
)
from outcomekpi.profiling.overdispersion import (
    NO_EVENTS,
    Distribution,
    Outliers,
    Transform,
    chance_sd,
    z_scores,
)

__all__ = ["LimitRule", "limits_at", "tails_at"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRule:
    """How limits are computed, and what was learned about overdispersion.

    Attributes
    ----------
    distribution, method, overdispersion, transform, outliers, outlier_share : as chosen
    sd_residual : residual SD of a Gaussian outcome
    phi : mean square of the z-scores, 1 where it was not asked for
    tau2 : variance between doctors on the transformed scale, 0 where it was not asked for
    precision : size of the negative binomial, M of the beta-binomial; infinite without
        overdispersion
    """

    distribution: Distribution
    method: Literal["exact", "normal"]
    overdispersion: str
    transform: Transform
    outliers: Outliers
    outlier_share: float
    sd_residual: float | None = None
    phi: float = 1.0
    tau2: float = 0.0
    precision: float = float("inf")

    def learned(
        self, *, phi: float = 1.0, tau2: float = 0.0, precision: float = float("inf")
    ) -> "LimitRule":
        """Return the rule with what the data say about overdispersion."""
        return replace(self, phi=phi, tau2=tau2, precision=precision)

    def __str__(self) -> str:
        if self.overdispersion == "predictive":
            name = "negative binomial" if self.distribution == "poisson" else "beta-binomial"
            return f"predictive, {name}, precision {self.precision:.4g}"
        if self.overdispersion == "none":
            return f"{self.method} {self.distribution}".replace("normal normal", "normal")
        learned = f"phi {self.phi:.4g}"
        if self.overdispersion == "additive":
            learned += f", tau² {self.tau2:.4g}"
        cut = "" if self.outliers == "keep" else f", {self.outliers} {self.outlier_share:.0%}"
        return f"{self.overdispersion} overdispersion, {self.transform} scale{cut}, {learned}"


def limits_at(
    rule: LimitRule, level: float, *, expected: Array, cases: Array
) -> tuple[Array, Array]:
    """Lower and upper limit of O/E (Gaussian: of (O - E)/n) at one level.

    Parameters
    ----------
    rule : with what was learned about overdispersion
    level : probability inside
    expected, cases : (point,); ``cases`` matters for binomial and Gaussian limits

    Returns
    -------
    lower, upper : (point,)
    """
    tail = (1 - level) / 2
    law = _law(rule, expected, cases)
    if law is not None:
        lower, upper = law.interpolated_limits(tail)
        return lower / law.mean, upper / law.mean
    target, sd = _normal_scale(rule, expected, cases)
    reach = -float(ndtri(tail)) * sd
    lower = _back(target - reach, rule.transform)
    upper = _back(target + reach, rule.transform)
    if rule.transform == "log":
        # without events a doctor counts as half an event: where that is inside, so is he
        lower = np.where(NO_EVENTS / expected >= lower, 0.0, lower)
    return lower, upper


def tails_at(
    rule: LimitRule, observed: Array, *, expected: Array, cases: Array
) -> tuple[Array, Array]:
    """Probability, by chance alone, of as few events as observed, and of as many.

    Parameters
    ----------
    rule : with what was learned about overdispersion
    observed, expected, cases : (doctor,), as in :func:`limits_at`

    Returns
    -------
    at_most, at_least : (doctor,), P(Y <= observed) and P(Y >= observed); of normal limits the two
        tails of the z-score
    """
    law = _law(rule, expected, cases)
    if law is not None:
        return law.at_most(observed), law.at_least(observed)
    if rule.distribution == "normal":
        _, sd = _normal_scale(rule, expected, cases)
        z = (observed - expected) / cases / sd
    else:
        n = cases if rule.distribution == "binomial" else None
        scores = z_scores(observed, expected, n, rule.transform)
        z = replace(scores, sd=_widened(rule, scores.sd)).z
    return ndtr(z), ndtr(-z)


def _law(rule: LimitRule, expected: Array, cases: Array) -> CountLaw | None:
    """Distribution of the counts where limits are quantiles of one; None where they are normal."""
    binomial = rule.distribution == "binomial"
    if rule.overdispersion == "predictive" and np.isfinite(rule.precision):
        if binomial:
            return beta_binomial_law(expected, cases, rule.precision)
        return negative_binomial_law(expected, rule.precision)
    exact = rule.method == "exact" and rule.overdispersion == "none"
    if exact or rule.overdispersion == "predictive":
        return binomial_law(expected, cases) if binomial else poisson_law(expected)
    return None


def _normal_scale(rule: LimitRule, expected: Array, cases: Array) -> tuple[float, Array]:
    """Center and SD of normal limits on the transformed scale."""
    if rule.distribution == "normal":
        return 0.0, _widened(rule, (rule.sd_residual or 1.0) / np.sqrt(cases))
    n = cases if rule.distribution == "binomial" else None
    target = 0.0 if rule.transform == "log" else 1.0
    return target, _widened(rule, chance_sd(expected, n, rule.transform))


def _widened(rule: LimitRule, sd: Array) -> Array:
    if rule.overdispersion == "multiplicative":
        # phi below 1 would promise less than chance
        return np.asarray(sd * np.sqrt(max(rule.phi, 1.0)))
    if rule.overdispersion == "additive":
        return np.asarray(np.sqrt(sd**2 + rule.tau2))
    return sd


def _back(value: Array, transform: Transform) -> Array:
    if transform == "log":
        return np.exp(value)
    if transform == "square_root":
        return np.asarray(np.maximum(value, 0.0) ** 2)
    return value
