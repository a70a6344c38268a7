"""Hospital Readmissions Reduction Program: a payment factor from excess readmissions."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from outcomekpi.declare.alignment import align
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.declare.fields import Count, NotNegative, Probability
from outcomekpi.programs.bars import (
    Floats,
    as_counts,
    as_scores,
)

__all__ = ["hrrp_adjustment", "hrrp_excess_ratio", "hrrp_peer_groups", "hrrp_peer_medians"]


def hrrp_excess_ratio(predicted: ArrayLike, expected: ArrayLike) -> Floats:
    """Readmissions that the model predicts for a hospital over those of an average one.

    Parameters
    ----------
    predicted : (...,), adjusted readmissions with the hospital's own effect
    expected : (...,), the same patients in an average hospital

    Returns
    -------
    (...,), excess readmission ratio; above 1 is worse than average

    Raises
    ------
    CasesError
        A number is negative or missing, or nothing is expected.

    References
    ----------
    42 CFR 412.152 (excess readmissions ratio).

    Examples
    --------
    >>> from outcomekpi import programs
    >>> float(programs.hrrp_excess_ratio(22.0, 20.0))
    1.1
    """
    predicted, expected = align(predicted=predicted, expected=expected)
    above, below = as_counts("predicted", predicted), as_counts("expected", expected)
    if (below == 0).any():
        raise CasesError(
            f"expected must be positive; {int((below == 0).sum())} of {below.size} are 0. "
            "Leave out hospitals without cases."
        )
    return np.asarray(above / below)


def hrrp_peer_groups(dual_share: ArrayLike, *, groups: Count = 5) -> NDArray[np.intp]:
    """Peer group of each hospital, by its share of patients who are poor.

    Parameters
    ----------
    dual_share : (hospital,), fraction of stays of patients with Medicare and full Medicaid
    groups : number of peer groups

    Returns
    -------
    (hospital,), 1 (smallest share) … groups

    Raises
    ------
    CasesError
        Too few hospitals, or so many equal shares that a group is empty.

    Notes
    -----
    Cut at the quantiles k/groups (linear); a hospital at a cut belongs to the lower group [K].

    References
    ----------
    21st Century Cures Act, section 15002 (five peer groups by dual eligibility) [K].

    Examples
    --------
    >>> from outcomekpi import programs
    >>> programs.hrrp_peer_groups([.1, .2, .3, .4, .5]).tolist()
    [1, 2, 3, 4, 5]
    """
    check_arguments(hrrp_peer_groups, locals())
    share = as_scores("dual_share", dual_share)
    if share.size < groups or np.isnan(share).any():
        raise CasesError(
            f"{groups} peer groups need at least {groups} hospitals, each with a dual share; got "
            f"{share.size}, {int(np.isnan(share).sum())} of them without."
        )
    cuts = np.quantile(share, np.arange(1, groups) / groups)
    group = 1 + np.searchsorted(cuts, share, side="left")
    missing = sorted(set(range(1, groups + 1)) - set(group.tolist()))
    if missing:
        raise CasesError(
            f"Peer groups {missing} are empty, because many dual shares are equal. Use fewer "
            "groups."
        )
    return group


def hrrp_peer_medians(
    excess_ratio: ArrayLike, *, peer_group: ArrayLike, counts: ArrayLike | None = None
) -> Floats:
    """Median excess ratio among the peers of each hospital, for each condition.

    Parameters
    ----------
    excess_ratio : (hospital, condition)
    peer_group : (hospital,), see :func:`hrrp_peer_groups`
    counts : (hospital, condition), True where a hospital has enough discharges to count

    Returns
    -------
    (hospital, condition); nan where no peer counts

    Raises
    ------
    CasesError
        A ratio is negative.

    References
    ----------
    42 CFR 412.152 (peer-group median excess readmission ratio).

    Examples
    --------
    >>> from outcomekpi import programs
    >>> programs.hrrp_peer_medians([[.9], [1.1], [1.3]], peer_group=[1, 1, 2]).tolist()
    [[1.0], [1.0], [1.3]]
    """
    excess_ratio, peer_group, counts = align(
        excess_ratio=excess_ratio, peer_group=peer_group, counts=counts
    )
    ratio = as_counts("excess_ratio", excess_ratio, missing=True)
    ratio = ratio if counts is None else np.where(np.asarray(counts, dtype=bool), ratio, np.nan)
    medians = pd.DataFrame(ratio).groupby(np.asarray(peer_group)).transform("median")
    return medians.to_numpy(dtype=np.float64)


def hrrp_adjustment(
    excess_ratio: ArrayLike | pd.DataFrame,
    *,
    discharges: ArrayLike,
    payments: ArrayLike,
    total_payments: ArrayLike,
    dual_share: ArrayLike | None = None,
    peer_medians: ArrayLike | None = None,
    minimum_discharges: NotNegative = 25,
    groups: Count = 5,
    neutrality_modifier: NotNegative = 1.0,
    floor: Probability = 0.97,
) -> pd.DataFrame:
    """Factor that a hospital's payments are multiplied with for its excess readmissions.

    Parameters
    ----------
    excess_ratio : (hospital, condition), see :func:`hrrp_excess_ratio`; nan where none
    discharges : (hospital, condition), eligible discharges
    payments : (hospital, condition), base operating payments of the condition (amount per
        admission times admissions)
    total_payments : (hospital,), base operating payments of all discharges
    dual_share : (hospital,), fraction, for peer groups and medians among the hospitals given here,
        who should then be all of the program
    peer_medians : (hospital, condition), or (condition,) for hospitals of one peer group: the
        published median of each hospital's peers, in place of ``dual_share``; any number of
        hospitals, one as well
    minimum_discharges : with fewer discharges a condition does not count
    groups : number of peer groups
    neutrality_modifier : factor that keeps total savings at what they were without peer groups
    floor : smallest factor

    Returns
    -------
    DataFrame, one row per hospital: ``peer_group`` (missing with published medians),
    ``conditions`` (that count and lie above the peer median), ``excess_payments``, ``ratio``
    (before the floor), ``factor``, ``penalty`` (in the unit of the payments)

    Raises
    ------
    SpecError
        Tables of different shape, a floor that is no factor, or not exactly one of ``dual_share``
        and ``peer_medians``.
    CasesError
        Negative or missing numbers, payments of conditions above the total, too few hospitals.

    Notes
    -----
    excess payments = m Σ payments × max(ERR − peer median, 0) over conditions with enough
    discharges; factor = max(floor, 1 − excess payments / total payments). The regulation writes
    ERR − median; that a condition below the median earns nothing back, and that hospitals with
    too few discharges do not enter the median, is [K]. The neutrality modifier is published with
    each rule; 1 leaves it out. With ``total_payments`` of 1, ``payments`` are the published ratios
    of DRG payments.

    References
    ----------
    42 CFR 412.152 (aggregate payments), 412.154(c) (ratio, floor adjustment factor).

    Examples
    --------
    >>> from outcomekpi import programs
    >>> programs.hrrp_adjustment([[1.2], [1.0], [.8]], discharges=[[50]] * 3, payments=[[10]] * 3,
    ...     total_payments=[100] * 3, dual_share=[.1, .1, .1], groups=1)["factor"].tolist()
    [0.98, 1.0, 1.0]
    """
    check_arguments(hrrp_adjustment, locals())
    excess_ratio, discharges, payments, total_payments, dual_share = align(
        excess_ratio=excess_ratio,
        discharges=discharges,
        payments=payments,
        total_payments=total_payments,
        dual_share=dual_share,
    )
    ratio = as_counts("excess_ratio", excess_ratio, missing=True)
    seen, paid = as_counts("discharges", discharges), as_counts("payments", payments)
    total = as_counts("total_payments", total_payments)
    _check_shapes(ratio, seen, paid, total)
    counts = (seen >= minimum_discharges) & ~np.isnan(ratio)
    if (dual_share is None) == (peer_medians is None):
        raise SpecError(
            "Give dual_share, for medians among these hospitals, or peer_medians, the published "
            f"ones; got {'neither' if dual_share is None else 'both'}."
        )
    peer_group: NDArray[np.generic] = np.full(len(ratio), np.nan)
    if dual_share is not None:
        peer_group = hrrp_peer_groups(dual_share, groups=groups)
        medians = hrrp_peer_medians(ratio, peer_group=peer_group, counts=counts)
    else:
        medians = _published(peer_medians, counts)
    above = ratio - medians
    excess = np.where(counts, np.maximum(above, 0.0), 0.0)
    owed = neutrality_modifier * (paid * excess).sum(axis=1)
    unbounded = 1.0 - owed / total
    factor = np.maximum(unbounded, floor)
    index = excess_ratio.index if isinstance(excess_ratio, pd.DataFrame) else None
    return pd.DataFrame(
        {
            "peer_group": peer_group,
            "conditions": (excess > 0).sum(axis=1),
            "excess_payments": owed,
            "ratio": unbounded,
            "factor": factor,
            "penalty": (1.0 - factor) * total,
        },
        index=index,
    )


def _published(peer_medians: ArrayLike | None, counts: NDArray[np.bool_]) -> Floats:
    """Return the published medians of every hospital, there wherever a condition counts."""
    given = as_counts("peer_medians", np.asarray(peer_medians, dtype=np.float64), missing=True)
    if given.shape not in (counts.shape, counts.shape[1:]):
        raise SpecError(
            f"peer_medians must be (hospital, condition), {counts.shape}, or one for each of the "
            f"{counts.shape[1]} conditions; got shape {given.shape}."
        )
    medians = np.broadcast_to(given, counts.shape)
    absent = counts & np.isnan(medians)
    if absent.any():
        hospital, condition = (int(at[0]) for at in np.nonzero(absent))
        raise CasesError(
            f"peer_medians must hold a median wherever a condition counts; {int(absent.sum())} "
            f"are missing, the first of hospital {hospital}, condition {condition}."
        )
    return medians


def _check_shapes(ratio: Floats, seen: Floats, paid: Floats, total: Floats) -> None:
    if ratio.ndim != 2 or not ratio.shape == seen.shape == paid.shape:
        raise SpecError(
            "excess_ratio, discharges and payments must be (hospital, condition) alike; got "
            f"{ratio.shape}, {seen.shape} and {paid.shape}."
        )
    if total.shape != ratio.shape[:1]:
        raise SpecError(
            f"total_payments must hold one amount per hospital ({ratio.shape[0]}); got shape "
            f"{total.shape}."
        )
    beyond = (total <= 0) | (paid.sum(axis=1) > total * (1 + 1e-9))
    if beyond.any():
        where = int(np.flatnonzero(beyond)[0])
        raise CasesError(
            "total_payments must be positive and hold the payments of the conditions; "
            f"{int(beyond.sum())} of {total.size} do not, the first at position {where}."
        )
