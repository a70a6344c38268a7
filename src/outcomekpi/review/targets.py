"""The target that would bring completion into the wanted band, and whom it would touch."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.draws.intervals import interval
from outcomekpi.tables.completion import TIE, Reading

__all__ = ["Proposal", "losers_and_gainers", "propose_target", "ratchet_rows", "score_units"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Proposal:
    """A target for the next cycle.

    Attributes
    ----------
    present : (unit,), the target of each unit in its latest cycle
    proposed : (unit,), the target under which the expected completion of the next cycle, as it
        will be observed, is in the middle of the wanted band
    target_draws : (sample,), the target that each next cycle, as it may be observed, would call
        for (mean over units where their targets differ): how well the proposal is known
    completion : (sample,), completion of the next cycle under the proposed target
    within : whether the expected completion lies in the wanted band; False where no target up to
        100% can bring it there
    """

    present: Array
    proposed: Array
    target_draws: Array
    completion: Array
    within: bool


def score_units(rate: Array, target: Array, reading: Reading) -> Array:
    """Score each unit for completion: 1 on target and 0 off it, or achieved / target.

    Parameters
    ----------
    rate : (unit, sample)
    target : (unit,)
    """
    if reading == "mean_achievement":
        return np.asarray(rate / target[:, None])
    return (rate >= target[:, None] - TIE).astype(np.float64)


def propose_target(
    target: Array,
    next_rate: Array,
    *,
    reading: Reading,
    wanted: tuple[float, float],
) -> Proposal:
    """Solve for the target that brings the expected completion to the middle of the wanted band.

    Parameters
    ----------
    target : (unit,), present targets
    next_rate : (unit, sample), rates of the next cycle as they will be observed
    reading : "share_of_doctors" or "mean_achievement"
    wanted : lowest and highest completion

    Notes
    -----
    All targets are multiplied by one factor s. With r_u = next rate_u / target_u and w the middle
    of the band, share_of_doctors: s is the (1 - w) quantile of r; mean_achievement:
    s = mean(r) / w. Over units and draws together this is the proposed target; over the units of
    one draw, the target that this next cycle would call for. No target passes 1.
    """
    aim = sum(wanted) / 2
    highest = 1 / target.max()

    def solve(ratio: Array, axis: int | None) -> Array:
        if reading == "mean_achievement":
            factor = ratio.mean(axis=axis) / aim
        else:
            factor = np.quantile(ratio, 1 - aim, axis=axis)
        return np.asarray(np.minimum(factor, highest))

    ratio = next_rate / target[:, None]
    proposed = target * solve(ratio, None)
    completion = score_units(next_rate, proposed, reading).mean(axis=0)
    return Proposal(
        present=target,
        proposed=proposed,
        target_draws=target.mean() * solve(ratio, 0),
        completion=completion,
        within=bool(wanted[0] <= completion.mean() <= wanted[1]),
    )


def losers_and_gainers(rate: Array, proposal: Proposal) -> tuple[Array, Array]:
    """Probability that each unit reaches only the present target, and only the proposed one.

    Parameters
    ----------
    rate : (unit, sample)

    Returns
    -------
    loses, gains : (unit,)
    """
    old, new = _reaches(rate, proposal.present), _reaches(rate, proposal.proposed)
    return (old & ~new).mean(axis=1), (~old & new).mean(axis=1)


def _reaches(rate: Array, target: Array) -> NDArray[np.bool_]:
    return np.asarray(rate >= target[:, None] - TIE)


def ratchet_rows(
    rate: Array, first: Array, last: Array, proposal: Proposal, *, level: float
) -> pd.DataFrame:
    """One row per unit: who reaches the present target, the proposed one, or only one of them.

    Parameters
    ----------
    rate : (unit, sample), true rate over the cycles under review
    first, last : (unit, sample), true rate in the unit's first and latest cycle
    """
    old, new = proposal.present, proposal.proposed
    lower, upper = interval(rate, level=level)
    loses, gains = losers_and_gainers(rate, proposal)
    return pd.DataFrame(
        {
            "mean": rate.mean(axis=1),
            "lower": lower,
            "upper": upper,
            "target": old,
            "proposed": new,
            "p_reaches_target": _reaches(rate, old).mean(axis=1),
            "p_reaches_proposed": _reaches(rate, new).mean(axis=1),
            "p_loses": loses,
            "p_gains": gains,
            "p_improved": (last > first).mean(axis=1),
            "change": np.where(loses > 0.5, "loses", np.where(gains > 0.5, "gains", "")),
            # a raised bar that passes over those who had reached it: the fast ox is whipped
            "ratchet": (loses > 0.5) & (new > old),
        }
    )
