"""Regression to the mean of normal readings that were selected beyond a cutoff, in closed form."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, ndtr

from outcomekpi.draws.bivariate import normal_quadrant

__all__ = [
    "Side",
    "expected_change",
    "log_selected_share",
    "next_on_target",
    "normal_hazard",
    "reading_moments",
    "sign_of",
]

Array = NDArray[np.float64]
Side = Literal["above", "below"]
_FAR = 37.0  # beyond this the normal density underflows


def sign_of(side: Side) -> float:
    """+1 where patients were selected for high readings, -1 for low ones."""
    return 1.0 if side == "above" else -1.0


def reading_moments(sd: ArrayLike, reliability: ArrayLike, readings: int) -> tuple[Array, Array]:
    """SD and reliability of the mean of several readings.

    Parameters
    ----------
    sd : of single readings in the unselected population
    reliability : correlation of two single readings
    readings : number that were averaged

    Returns
    -------
    sd, reliability : of the mean of ``readings`` readings
    """
    d, r = np.asarray(sd, dtype=np.float64), np.asarray(reliability, dtype=np.float64)
    share = r + (1 - r) / readings
    return d * np.sqrt(share), r / share


def normal_hazard(z: ArrayLike) -> Array:
    """phi(z) / (1 - Phi(z)), stable in both tails; 0 at minus infinity."""
    values = np.asarray(z, dtype=np.float64)
    with np.errstate(over="ignore"):
        log_density = -0.5 * values**2 - 0.5 * np.log(2 * np.pi)
    return np.asarray(np.exp(log_density - log_ndtr(-values)))


def log_selected_share(mean: ArrayLike, sd: ArrayLike, *, cutoff: float, side: Side) -> Array:
    """Log of the share of a normal population that lies beyond the cutoff."""
    z = (np.asarray(mean, dtype=np.float64) - cutoff) / np.asarray(sd, dtype=np.float64)
    return np.asarray(log_ndtr(sign_of(side) * z))


def expected_change(
    mean: ArrayLike,
    sd: ArrayLike,
    reliability: ArrayLike,
    *,
    cutoff: ArrayLike,
    side: Side,
    readings: int = 1,
) -> Array:
    """Mean change, with no program, of those whose baseline lay beyond a cutoff.

    Parameters
    ----------
    mean, sd : of single readings in the unselected population
    reliability : correlation of two single readings
    cutoff : that the mean of the baseline readings had to pass
    side : "above" where high readings were selected, "below" for low ones
    readings : baseline readings that were averaged

    Returns
    -------
    Change in the unit of the readings: below 0 after a selection of high readings

    Notes
    -----
    With s_w² = (1 - R) sd², S² = R sd² + s_w² / m, z = (c - mean) / S (its negative for low
    readings): -(s_w² / m) / S phi(z) / (1 - Phi(z)), and the same with + for low readings.

    References
    ----------
    Barnett, van der Pols & Dobson (2005), International Journal of Epidemiology 34:215-220,
    doi:10.1093/ije/dyh299.
    """
    sign = sign_of(side)
    spread, share = reading_moments(sd, reliability, readings)
    center = np.asarray(mean, dtype=np.float64)
    z = sign * (np.asarray(cutoff, dtype=np.float64) - center) / spread
    return np.asarray(-sign * (1 - share) * spread * normal_hazard(z))


def next_on_target(
    mean: ArrayLike,
    sd: ArrayLike,
    reliability: ArrayLike,
    *,
    cutoff: ArrayLike,
    side: Side,
    readings: int = 1,
    target: ArrayLike | None = None,
) -> Array:
    """Probability that the next reading is on target, with no program, of those selected off it.

    Parameters
    ----------
    mean, sd, reliability, cutoff, side, readings : as in :func:`expected_change`; "above" means
        that high readings are off target
    target : bar of the next, single reading; the cutoff where it is not given

    Notes
    -----
    Baseline X (mean of m readings, SD S) and next reading Y (SD sd) are normal with correlation
    R sd / S: P(Y on target, X beyond the cutoff) / P(X beyond the cutoff), the bivariate normal
    by Owen's T.
    """
    sign = sign_of(side)
    d, center = np.asarray(sd, dtype=np.float64), np.asarray(mean, dtype=np.float64)
    spread, _ = reading_moments(sd, reliability, readings)
    entry = np.asarray(cutoff, dtype=np.float64)
    bar = entry if target is None else np.asarray(target, dtype=np.float64)
    h = np.clip(-sign * (entry - center) / spread, -_FAR, _FAR)
    k = np.clip(sign * (bar - center) / d, -_FAR, _FAR)
    joint = normal_quadrant(h, k, -np.asarray(reliability, dtype=np.float64) * d / spread)
    return np.asarray(np.clip(joint / ndtr(h), 0.0, 1.0))
