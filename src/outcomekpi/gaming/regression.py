"""Regression to the mean in closed form: what those who began worst gain without any change."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from outcomekpi.declare.alignment import align
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Probability
from outcomekpi.draws.bivariate import normal_quadrant

__all__ = ["expected_regression", "improvement_by_chance", "regression_share"]

Array = NDArray[np.float64]


def expected_regression(
    reliability: ArrayLike, *, worst: ArrayLike = 0.25, sd: ArrayLike = 1.0
) -> Array:
    """Mean improvement of those whose baseline was worst, when nothing truly changed.

    Parameters
    ----------
    reliability : of a result, in [0, 1]
    worst : share of the doctors who count as worst at baseline, in (0, 1)
    sd : between doctors of the observed results, in the unit of the results

    Raises
    ------
    SpecError
        A reliability outside [0, 1], a share outside (0, 1), a negative SD.

    Notes
    -----
    Baseline and follow-up are normal with correlation R: E(improvement | worst share q) =
    (1 - R) i sd, i = phi(z_q) / q, the selection differential of the worst q.

    References
    ----------
    Barnett, van der Pols & Dobson (2005), International Journal of Epidemiology 34,
    doi:10.1093/ije/dyh299.

    Examples
    --------
    >>> from outcomekpi import expected_regression
    >>> expected_regression([0.4, 0.7, 0.9], worst=0.25).round(3)
    array([0.763, 0.381, 0.127])
    """
    reliability, worst, sd = align(reliability=reliability, worst=worst, sd=sd)
    r, q = _reliability(reliability), _share(worst)
    if (np.asarray(sd) < 0).any():
        raise SpecError(f"sd must not be negative; got {sd!r}.")
    differential = np.exp(-0.5 * ndtri(q) ** 2) / np.sqrt(2 * np.pi) / q
    return np.asarray((1 - r) * differential * np.asarray(sd, dtype=np.float64))


def regression_share(
    improvement: ArrayLike, *, reliability: ArrayLike, worst: ArrayLike, sd: ArrayLike
) -> Array:
    """Share of the improvement of those who began worst that regression to the mean explains.

    Parameters
    ----------
    improvement : mean improvement observed among the worst at baseline, positive, in the unit of
        the results; where all doctors improved, subtract their mean first
    reliability : of a result, in [0, 1]
    worst : share of the doctors who count as worst at baseline
    sd : between doctors of the observed baseline results

    Raises
    ------
    SpecError
        An improvement that is not positive, or as :func:`expected_regression`.

    Notes
    -----
    expected_regression / improvement; above 1, they improved less than chance alone predicts.

    References
    ----------
    Joshi et al. (2019), JAMA Internal Medicine 179, doi:10.1001/jamainternmed.2019.1004: 74.3 to
    86.5 % of the improvement at hospitals penalized at first.

    Examples
    --------
    >>> from outcomekpi import regression_share
    >>> float(regression_share(1.0, reliability=0.4, worst=0.25, sd=1.0).round(2))
    0.76
    """
    improvement, reliability, worst, sd = align(
        improvement=improvement, reliability=reliability, worst=worst, sd=sd
    )
    gained = np.asarray(improvement, dtype=np.float64)
    if not (gained > 0).all():
        raise SpecError(f"improvement must be positive; got {improvement!r}.")
    return np.asarray(expected_regression(reliability, worst=worst, sd=sd) / gained)


def improvement_by_chance(
    reliability: ArrayLike, *, by: ArrayLike, sd: ArrayLike = 1.0, worst: Probability | None = None
) -> Array:
    """Probability of improving by at least so much when nothing truly changed.

    Parameters
    ----------
    reliability : of a result, in [0, 1]
    by : improvement that is rewarded, in the unit of the results
    sd : between doctors of the observed results
    worst : among the worst such share at baseline; None, among all doctors

    Raises
    ------
    SpecError
        A reliability outside [0, 1] or a share outside (0, 1).

    Notes
    -----
    Improvement ~ N(0, 2 (1 - R) sd²), its correlation with a bad baseline sqrt((1 - R) / 2):
    1 - Phi(by / SD), and among the worst Phi2(-by / SD, z_q; rho) / q.

    Examples
    --------
    >>> from outcomekpi import improvement_by_chance
    >>> improvement_by_chance(0.7, by=0.5, worst=None).round(2), improvement_by_chance(
    ...     0.7, by=0.5, worst=0.25).round(2)
    (np.float64(0.26), np.float64(0.43))
    """
    check_arguments(improvement_by_chance, locals())
    reliability, by, sd = align(reliability=reliability, by=by, sd=sd)
    r = _reliability(reliability)
    spread = np.sqrt(2 * (1 - r)) * np.asarray(sd, dtype=np.float64)
    wanted = np.asarray(by, dtype=np.float64)
    # perfectly reliable results: whoever did not change improves by 0 for sure
    bar = wanted / np.maximum(spread, 1e-300)
    if worst is None:
        return np.asarray(ndtr(-bar))
    q = _share(worst)
    bar, r = np.broadcast_arrays(np.clip(bar, -40.0, 40.0), r)
    return np.asarray(normal_quadrant(-bar, ndtri(q), np.sqrt((1 - r) / 2)) / q)


def _reliability(value: ArrayLike) -> Array:
    r = np.asarray(value, dtype=np.float64)
    if not ((r >= 0) & (r <= 1)).all():
        raise SpecError(f"reliability must lie between 0 and 1; got {value!r}.")
    return r


def _share(value: ArrayLike) -> Array:
    q = np.asarray(value, dtype=np.float64)
    if not ((q > 0) & (q < 1)).all():
        hint = f" Did you mean {float(q) / 100:g}?" if q.ndim == 0 and 1 < q < 100 else ""
        raise SpecError(f"worst must be a share, strictly between 0 and 1; got {value!r}.{hint}")
    return q
