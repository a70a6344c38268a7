"""The award that each doctor deserves, in each draw of the true rates."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from outcomekpi.awards.rules import CycleResults, Rule, apply_rule
from outcomekpi.declare.errors import SpecError
from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.profiling.standardization import StandardizedRates, require_direction
from outcomekpi.tables.cases import Direction

__all__ = [
    "Side",
    "award_draws",
    "awarded_direction",
    "check_awards",
    "require_doctors",
    "require_truth",
]

Array = NDArray[np.float64]
Side = Literal["better", "worse"]

BLOCK_NUMBERS = 1 << 21  # doctors x draws that a rule sees at once


def require_truth(rates: StandardizedRates, verb: str) -> Direction:
    """Return the direction of rates whose draws can stand for true rates, or refuse.

    Raises
    ------
    SpecError
        These are no rates, have no direction, or are O/E.
    """
    direction = require_direction(rates, verb)
    if rates.measure == "O/E":
        raise SpecError(
            f"{verb} compares awards with true rates; the draws of O/E hold the observed events, "
            "chance included. Use standardize(fit) (P/E) or measure='direct'."
        )
    return direction


def awarded_direction(direction: Direction, side: Side) -> Direction:
    """Whether high or low rates are awarded, given which are better and the side of the award."""
    if side == "better":
        return direction
    return "lower" if direction == "higher" else "higher"


def award_draws(rates: StandardizedRates, truth: Rule) -> NDArray[np.float32]:
    """Awards that a rule gives to the true rates of each draw: (doctor, sample), in [0, 1]."""
    draws = flatten_draws(rates.draws)
    n_doctors, n_samples = draws.shape
    exposure = rates.exposure.to_numpy(dtype=np.float64)[None, :, None]
    deserved = np.empty((n_doctors, n_samples), dtype=np.float32)
    per_block = max(1, BLOCK_NUMBERS // n_doctors)
    for start in range(0, n_samples, per_block):
        block = slice(start, start + per_block)
        true = draws[:, block].T[:, :, None].astype(np.float64)
        seen = CycleResults(events=true * exposure, trials=exposure)
        awards = apply_rule(truth, seen)
        require_doctors(truth, awards)
        deserved[:, block] = check_awards(awards, str(truth)).T
    return deserved


def require_doctors(rule: Rule, awards: Array) -> None:
    """Raise a :class:`SpecError` unless there is one award per replicate and doctor."""
    if awards.ndim != 2:
        raise SpecError(
            f"{type(rule).__name__} decides about the indicator, not about each doctor; "
            "misclassify needs one decision per doctor."
        )


def check_awards(award: Array, name: str) -> Array:
    """Return awards, or raise a :class:`SpecError` if any is outside [0, 1]."""
    wrong = award[(award < 0) | (award > 1)]
    if wrong.size:
        raise SpecError(
            f"Awards must be shares of a full award, in [0, 1]; {name} gives {wrong.size} "
            f"others, the first {wrong[0]:g}. Divide points by their maximum, and judge penalties "
            "on their own with side='worse'."
        )
    return award
