"""Limits of O/E at any number of expected events: exact, normal or predictive quantiles."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, gammaincinv, ndtri

from outcomekpi.profiling.overdispersion import Distribution, Outliers, Transform, chance_sd

__all__ = ["LimitRule", "limits_at"]

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
    binomial = rule.distribution == "binomial"
    n = cases if binomial else None
    if rule.overdispersion == "predictive" and np.isfinite(rule.precision):
        return tuple(_predictive(p, rule.precision, expected, n) for p in (tail, 1 - tail))  # type: ignore[return-value]
    exact = rule.method == "exact" and rule.overdispersion == "none"
    if exact or rule.overdispersion == "predictive":
        return _exact(tail, expected, n)
    if rule.distribution == "normal":
        sd, target = (rule.sd_residual or 1.0) / np.sqrt(cases), 0.0
    else:
        sd = chance_sd(expected, n, rule.transform)
        target = 0.0 if rule.transform == "log" else 1.0
    if rule.overdispersion == "multiplicative":
        # phi below 1 would promise less than chance
        sd = sd * np.sqrt(max(rule.phi, 1.0))
    elif rule.overdispersion == "additive":
        sd = np.sqrt(sd**2 + rule.tau2)
    reach = -float(ndtri(tail)) * sd
    return _back(target - reach, rule.transform), _back(target + reach, rule.transform)


def _back(value: Array, transform: Transform) -> Array:
    if transform == "log":
        return np.exp(value)
    if transform == "square_root":
        return np.asarray(np.maximum(value, 0.0) ** 2)
    return value


def _exact(tail: float, expected: Array, cases: Array | None) -> tuple[Array, Array]:
    """Exact limits: gamma (that is, chi-squared / 2) or beta quantiles over the expectation.

    The quantiles never reach 0, nor every case. Where chance alone gives no events (or events
    only) more often than ``tail``, that limit is put there, so that nobody is outside of it.
    """
    if cases is None:
        lower = gammaincinv(expected, tail) / expected
        upper = gammaincinv(expected + 1, 1 - tail) / expected
        return np.where(np.exp(-expected) > tail, 0.0, lower), upper
    share = expected / cases
    lower = betaincinv(expected, cases - expected + 1, tail) / share
    upper = betaincinv(expected + 1, np.maximum(cases - expected, 1e-9), 1 - tail) / share
    none, only = (1 - share) ** cases, share**cases
    return np.where(none > tail, 0.0, lower), np.where(only > tail, cases / expected, upper)


def _predictive(p: float, precision: float, expected: Array, cases: Array | None) -> Array:
    """Interpolated quantile of O/E under the fitted mixing distribution.

    Spiegelhalter's interpolation: with r the smallest count whose probability F(r) reaches p,
    the limit is r - (F(r) - p) / f(r), at least 0.
    """
    from scipy.stats import nbinom

    if cases is not None:
        n = np.maximum(np.round(cases), 1)
        share = expected / cases
        quantiles = [
            _beta_binomial_quantile(p, int(m), precision * s, precision * (1 - s))
            for m, s in zip(n, share, strict=True)
        ]
        return np.asarray(quantiles) / (n * share)
    law = nbinom(precision, precision / (precision + expected))
    count = law.ppf(p)
    excess = (law.cdf(count) - p) / law.pmf(count)
    return np.asarray(np.maximum(count - excess, 0.0) / expected)


def _beta_binomial_quantile(p: float, n: int, a: float, b: float) -> float:
    """Interpolated quantile, from the ratios of neighboring probabilities."""
    k = np.arange(n)
    steps = np.log((n - k) * (k + a)) - np.log((k + 1) * (n - k - 1 + b))
    log_mass = np.r_[0.0, np.cumsum(steps)]
    mass = np.exp(log_mass - log_mass.max())
    below = np.cumsum(mass) / mass.sum()
    count = int(np.searchsorted(below, p))
    excess = (below[count] - p) / (mass[count] / mass.sum())
    return max(count - float(excess), 0.0)
