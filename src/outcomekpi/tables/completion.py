"""Completion of a cycle, in the three readings that the word has."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.errors import SpecError

__all__ = ["TIE", "Reading", "as_counts", "completion_by_cycle"]

Reading = Literal["share_of_doctors", "mean_achievement", "raw_rate"]
Array = NDArray[np.float64]

# completions are ratios of counts and means of such: closer than this, they are equal
TIE = 1e-9


def completion_by_cycle(events: Any, trials: Any, *, reading: Reading, target: Any = None) -> Array:
    """Completion of each cycle as the reading defines it.

    Parameters
    ----------
    events : (replicate, unit, cycle)
    trials : broadcastable to events; 0 where a unit has no cases in a cycle
    target : rate that units are held to, broadcastable to events; None pools all counts

    Returns
    -------
    (replicate, cycle), NaN where no unit has trials
    """
    events, trials = as_counts(events, trials)
    present = trials > 0
    if reading == "raw_rate" or target is None:
        total = trials.sum(axis=1)
        hits = np.where(present, events, 0.0).sum(axis=1)
        return _ratio(hits, total)
    rate = _ratio(events, trials)
    if reading == "share_of_doctors":
        score = (rate >= np.asarray(target) - TIE).astype(np.float64)
    else:
        score = rate / target
    units = present.sum(axis=1)
    summed = np.where(present, score, 0.0).sum(axis=1)
    return _ratio(summed, units)


def _ratio(top: Array, bottom: NDArray[np.generic]) -> Array:
    out = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=out, where=np.asarray(bottom) > 0)
    return out


def as_counts(events: Any, trials: Any) -> tuple[Array, Array]:
    """Read events and trials as numbers (replicate, unit, cycle), trials broadcast to events."""
    counted = np.asarray(events, dtype=np.float64)
    if counted.ndim != 3:
        raise SpecError(
            "A review rule reads events as (replicate, unit, cycle); "
            f"got {counted.ndim} dimension{'' if counted.ndim == 1 else 's'}."
        )
    return counted, np.broadcast_to(np.asarray(trials, dtype=np.float64), counted.shape)
