"""How much more doctors differ than chance allows: phi, tau² and fitted mixing distributions."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln

__all__ = [
    "NO_EVENTS",
    "Distribution",
    "Outliers",
    "Transform",
    "ZScores",
    "beta_binomial_precision",
    "dispersion",
    "negative_binomial_size",
    "z_scores",
]

Array = NDArray[np.float64]
Distribution = Literal["poisson", "binomial", "normal"]
Transform = Literal["identity", "log", "square_root"]
Outliers = Literal["keep", "winsorize", "trim"]

NO_EVENTS = 0.5  # events that a doctor without any counts as on the log scale
LOG_RANGE = (-8.0, 25.0)  # of the logarithm of a precision; its top means no overdispersion


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ZScores:
    """Departures from the target on a transformed scale.

    Attributes
    ----------
    target : transformed value of a doctor whose observed equal his expected events
    value, sd : (doctor,), transformed value and its standard deviation by chance alone
    """

    target: float
    value: Array
    sd: Array

    @property
    def z(self) -> Array:
        """Departures in standard deviations: (doctor,)."""
        return (self.value - self.target) / self.sd


def chance_sd(expected: Array, cases: Array | None, transform: Transform) -> Array:
    """SD by chance of the transformed ratio O/E of each doctor, by the delta method.

    Var(O/E) is 1/E for Poisson counts and (1 - E/n)/E for binomial ones; the square root halves
    the SD, the logarithm leaves it (at a ratio of 1).
    """
    variance = 1 / expected if cases is None else (1 - expected / cases) / expected
    return np.sqrt(variance) * (0.5 if transform == "square_root" else 1.0)


def z_scores(
    observed: Array, expected: Array, cases: Array | None, transform: Transform
) -> ZScores:
    """Standardized departures of O/E from 1 on a transformed scale.

    Parameters
    ----------
    observed, expected : (doctor,), events
    cases : (doctor,) for binomial variances, None for Poisson ones
    transform : scale; on the log scale a doctor without events counts as half an event
    """
    sd = chance_sd(expected, cases, transform)
    if transform == "log":
        value = np.log(np.where(observed == 0, NO_EVENTS, observed) / expected)
        return ZScores(target=0.0, value=value, sd=sd)
    ratio = observed / expected
    value = np.sqrt(ratio) if transform == "square_root" else ratio
    return ZScores(target=1.0, value=value, sd=sd)


def dispersion(scores: ZScores, *, outliers: Outliers, share: float) -> tuple[float, float]:
    """Multiplicative overdispersion phi and additive between-doctor variance tau².

    Parameters
    ----------
    scores : departures of the doctors
    outliers : "keep" all; "winsorize" z-scores to their ``share`` and 1 - ``share`` quantiles;
        "trim" the doctors with the floor(share x doctors) lowest and highest z-scores
    share : share of doctors on each side

    Returns
    -------
    phi, tau2 : mean square of z; DerSimonian-Laird tau² on the transformed scale

    Notes
    -----
    With n doctors and weights w = 1/sd², tau² = (n phi - (n - 1)) / (sum w - sum w² / sum w),
    0 if negative.

    References
    ----------
    Spiegelhalter (2005), Quality and Safety in Health Care 14:347-351. DerSimonian & Laird
    (1986), Controlled Clinical Trials 7.
    """
    z, weight = scores.z, 1 / scores.sd**2
    n_cut = int(share * z.size)
    if outliers == "winsorize":
        low, high = np.quantile(z, [share, 1 - share])
        z = np.clip(z, low, high)
    elif outliers == "trim" and n_cut:
        kept = np.argsort(z, kind="stable")[n_cut:-n_cut]
        z, weight = z[kept], weight[kept]
    n = z.size
    phi = float((z**2).mean())
    spread = weight.sum() - (weight**2).sum() / weight.sum()
    return phi, max(0.0, float((n * phi - (n - 1)) / spread)) if n > 1 else 0.0


def _maximize(log_likelihood_at_log: object) -> float:
    """Return the exponential of the argument that maximizes; infinity at the top of its range."""
    from scipy.optimize import minimize_scalar

    grid = np.linspace(*LOG_RANGE, 67)
    values = np.array([log_likelihood_at_log(x) for x in grid])  # type: ignore[operator]
    best = int(values.argmax())
    if grid[best] > LOG_RANGE[1] - 10:
        return float("inf")  # the likelihood is flat there: Poisson or binomial in all but name
    found = minimize_scalar(
        lambda x: -log_likelihood_at_log(x),  # type: ignore[operator]
        bounds=(grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)]),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return float(np.exp(found.x))


def negative_binomial_size(observed: Array, expected: Array) -> float:
    """Maximum-likelihood size k of O ~ negative binomial with mean E and variance E + E²/k."""

    def log_likelihood(log_size: float) -> float:
        k = np.exp(log_size)
        terms = gammaln(observed + k) - gammaln(k) - k * np.log1p(expected / k)
        return float((terms - observed * np.log(k + expected)).sum())

    return _maximize(log_likelihood)


def beta_binomial_precision(observed: Array, expected: Array, cases: Array) -> float:
    """Maximum-likelihood M of O ~ beta-binomial(n, M p, M (1 - p)) with p = E/n."""
    p = expected / cases

    def log_likelihood(log_precision: float) -> float:
        a, b = np.exp(log_precision) * p, np.exp(log_precision) * (1 - p)
        return float((betaln(observed + a, cases - observed + b) - betaln(a, b)).sum())

    return _maximize(log_likelihood)
