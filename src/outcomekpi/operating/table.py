"""From the moments of simulated or exact decisions to tables of probabilities and money."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from outcomekpi.draws.intervals import check_level
from outcomekpi.operating.scores import MOMENTS, ROUNDING

__all__ = ["add_family_wise", "estimate_moments", "pool_levels"]

Array = NDArray[np.float64]

NOT_PROBABILITIES = frozenset(
    {"award", "deserved", "misallocated", "overpaid", "time_to_fire", "withheld"}
)


def estimate_moments(moments: pd.DataFrame, *, exact: bool, level: float) -> pd.DataFrame:
    """Estimate, Monte Carlo error and interval of every quantity.

    Parameters
    ----------
    moments : columns :data:`~outcomekpi.operating.scores.MOMENTS`, one row per
        quantity (last level of the index) and setting
    exact : whether the moments are expectations, without Monte Carlo error
    level : probability of the interval

    Returns
    -------
    DataFrame with the same index: ``mean, mc_error, lower, upper``

    Notes
    -----
    For a ratio q of the means of u and v, the error is sqrt(var(u - q v)) / mean(v). Intervals of
    probabilities are Wilson's with the number of independent trials that has this error,
    q (1 - q) / error^2; where every replicate says the same, with the number of replicates. Those
    of awards, money and times are q -/+ z error.
    """
    check_level(level)
    above, below, var_above, covariance, var_below, base = (
        moments[name].to_numpy() for name in MOMENTS
    )
    empty = below <= ROUNDING
    safe = np.where(empty, 1.0, below)
    mean = np.where(empty, np.nan, above / safe)
    ratio = np.where(empty, 0.0, mean)
    variance = var_above - 2 * ratio * covariance + ratio**2 * var_below
    error = np.where(empty, np.nan, np.sqrt(np.maximum(variance, 0)) / safe)
    names = moments.index.get_level_values("quantity")
    chance = ~names.isin(NOT_PROBABILITIES)
    mean = np.where(chance, np.clip(mean, 0, 1), mean)
    if exact:
        lower = upper = mean
        error = np.where(empty, np.nan, 0.0)
    else:
        z = float(ndtri((1 + level) / 2))
        low, high = _wilson(mean, error, base, z)
        lower = np.where(chance, low, mean - z * error)
        upper = np.where(chance, high, mean + z * error)
    return pd.DataFrame(
        {"mean": mean, "mc_error": error, "lower": lower, "upper": upper}, index=moments.index
    )


def add_family_wise(estimates: pd.DataFrame, n_indicators: int) -> pd.DataFrame:
    """Turn ``any`` into the probability that at least one of ``n_indicators`` fires.

    Parameters
    ----------
    estimates : columns ``quantity, mean, mc_error, lower, upper``

    Notes
    -----
    1 - (1 - p)^m: the indicators are taken to be independent and at the same level.
    """
    names = estimates["quantity"].to_numpy()
    mean, error, lower, upper = (
        estimates[name].to_numpy() for name in ("mean", "mc_error", "lower", "upper")
    )
    is_any = names == "any"
    m = n_indicators
    slope = np.where(is_any, m * (1 - mean) ** (m - 1), 1.0)
    return estimates.assign(
        quantity=np.where(is_any, "family_wise", names),
        mean=np.where(is_any, 1 - (1 - mean) ** m, mean),
        mc_error=slope * error,
        lower=np.where(is_any, 1 - (1 - lower) ** m, lower),
        upper=np.where(is_any, 1 - (1 - upper) ** m, upper),
    )


def pool_levels(moments: pd.DataFrame) -> pd.DataFrame:
    """Moments by caseload, every level with the same weight."""
    pooled = moments.groupby(["caseload", "quantity"], sort=False).sum()
    n_levels = moments.index.get_level_values("level").nunique()
    for name, power in zip(MOMENTS, (1, 1, 2, 2, 2, 0), strict=True):
        pooled[name] = pooled[name] / n_levels**power
    return pooled


def _wilson(mean: Array, error: Array, base: Array, z: float) -> tuple[Array, Array]:
    settled = (mean <= ROUNDING) | (mean >= 1 - ROUNDING)
    with np.errstate(divide="ignore", invalid="ignore"):
        trials = np.where(settled, base, mean * (1 - mean) / error**2)
        center = (mean + z**2 / (2 * trials)) / (1 + z**2 / trials)
        half = z / (1 + z**2 / trials) * np.sqrt(mean * (1 - mean) / trials + (z / trials) ** 2 / 4)
    return np.maximum(center - half, 0.0), np.minimum(center + half, 1.0)
