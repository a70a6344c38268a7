"""What is counted about decisions, and the shares and money that follow from the counts."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOMENTS", "ROUNDING", "quantity_parts", "score_decisions", "summarize_parts"]

Array = NDArray[np.float64]

MOMENTS = ("above", "below", "var_above", "covariance", "var_below", "base")
"""Mean numerator, mean denominator, their (co)variances, replicates with a denominator."""

ROUNDING = 1e-12  # what may be left of 0 where shares are taken from 1


def score_decisions(awards: Array, deserved: Array, amount: float) -> dict[str, Array]:
    """Scores of the decisions of one world each, means over units (money: sums).

    Parameters
    ----------
    awards : (replicate, unit), as the rule decided; one column for an indicator
    deserved : broadcastable to awards
    amount : money of an award of 1

    Returns
    -------
    name -> (replicate,)
    """
    deserved = np.broadcast_to(deserved, awards.shape)
    fired, due = awards != 0, deserved != 0
    gap = amount * (awards - deserved)
    scores = {
        "fires": fired.mean(axis=1),
        "up": (awards > 0).mean(axis=1),
        "down": (awards < 0).mean(axis=1),
        "any": fired.any(axis=1).astype(np.float64),
        "award": awards.mean(axis=1),
        "deserved": deserved.mean(axis=1),
        "due": due.mean(axis=1),
        "hit": (due & (np.sign(awards) == np.sign(deserved))).mean(axis=1),
        "rest": (~due & ~fired).mean(axis=1),
        "overpaid": np.maximum(gap, 0).sum(axis=1),
        "withheld": np.maximum(-gap, 0).sum(axis=1),
    }
    return {name: np.asarray(score, dtype=np.float64) for name, score in scores.items()}


def quantity_parts(
    scores: Mapping[str, Array], first: Array | None
) -> dict[str, tuple[Array, Array]]:
    """Numerator and denominator of every quantity, of which each is a ratio of means.

    Parameters
    ----------
    scores : as :func:`score_decisions` gives them, or their expectations
    first : (replicate, cycle), share of units that fire for the first time in cycle 1, 2, ...
    """
    c = scores
    one = np.ones_like(c["fires"])
    undue = one - c["due"]
    parts = {
        "fires": (c["fires"], one),
        "fires_up": (c["up"], one),
        "fires_down": (c["down"], one),
        "false_fires": (undue - c["rest"], undue),
        "missed": (c["due"] - c["hit"], c["due"]),
        "any": (c["any"], one),
        "award": (c["award"], one),
        "deserved": (c["deserved"], one),
        "deserving": (c["due"], one),
        "sensitivity": (c["hit"], c["due"]),
        "specificity": (c["rest"], undue),
        "ppv": (c["hit"], c["fires"]),
        "npv": (c["rest"], one - c["fires"]),
        "misclassified": (one - c["hit"] - c["rest"], one),
        "overpaid": (c["overpaid"], one),
        "withheld": (c["withheld"], one),
        "misallocated": (c["overpaid"] + c["withheld"], one),
    }
    if first is not None:
        within = first.sum(axis=1)
        parts["fires_within"] = (within, one)
        parts["time_to_fire"] = (first @ np.arange(1.0, first.shape[1] + 1), within)
    return parts


def summarize_parts(parts: Mapping[str, tuple[Array, Array]]) -> list[list[float]]:
    """Mean numerator and denominator of each quantity, and how these means vary.

    Returns
    -------
    one row per quantity, in the order of :data:`MOMENTS`

    Notes
    -----
    Replicates, not units, are independent: the (co)variances are those between replicates, over
    their number.
    """
    rows = []
    for above, below in parts.values():
        n = above.size
        spread = np.cov(above, below, ddof=1) / n
        base = float(np.count_nonzero(below > ROUNDING))
        moments = (above.mean(), below.mean(), spread[0, 0], spread[0, 1], spread[1, 1], base)
        rows.append([float(moment) for moment in moments])
    return rows
