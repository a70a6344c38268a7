"""Whether a baseline is cut off at one value, as if patients had been selected by it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammaln

from outcomekpi.draws.checks import CheckResult

__all__ = ["BaselineEdge", "check_edge", "find_edge"]

Array = NDArray[np.float64]
RARE = 0.001
"""Chance below which an edge is taken for a selection."""
LEAST = 0.05
"""Share of the follow-ups that lie beyond the edge of a selection, at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineEdge:
    """A value that no baseline lies beyond, and that many follow-ups do.

    Attributes
    ----------
    at : the value
    side : "above" or "below", where every baseline lies
    beyond : follow-ups on the other side of it, also with the change of the medians taken off
    after : follow-ups
    chance : of so many with no selection, given as many baselines
    """

    at: float
    side: str
    beyond: int
    after: int
    chance: float


def find_edge(before: Array, after: Array) -> BaselineEdge | None:
    """Find a value at which the baseline, and it alone, is cut off.

    Parameters
    ----------
    before, after : (row,), outcomes of the two periods, events or measurements

    Returns
    -------
    the edge, or None where the baseline ends as the follow-up does

    Notes
    -----
    Without a selection, and with a program that moves everybody alike, baselines and follow-ups
    less the change of the medians are exchangeable: the k values that lie furthest out are all
    follow-ups with chance prod_{i<k} (n_1 - i) / (n_0 + n_1 - i). An edge has a chance below .001
    and a twentieth of the follow-ups beyond it, as they are, with the change of the medians taken
    off, and where all are positive with their ratio taken out (none of this for events): a natural
    limit is one for both periods, and a change of level moves both ends. Five times as many lie
    beyond it as beyond the other end: a change of spread is none.
    """
    if before.size < 2 or after.size < 2:
        return None
    moved = [after] if _are_events(before, after) else _align(before, after)
    ends = [
        (sign, edge, min(_beyond(edge, one, sign) for one in moved))
        for sign, edge in ((1.0, float(before.min())), (-1.0, float(before.max())))
    ]
    ends.sort(key=lambda end: -end[2])
    (sign, edge, beyond), (_, _, other) = ends
    chance = _chance(beyond, before.size, after.size)
    if chance >= RARE or beyond < LEAST * after.size or beyond < 5 * other:
        return None
    return BaselineEdge(
        at=edge,
        side="above" if sign > 0 else "below",
        beyond=beyond,
        after=int(after.size),
        chance=chance,
    )


def _align(before: Array, after: Array) -> list[Array]:
    """Follow-ups as they are, less the change of the medians, and divided by their ratio."""
    old, new = float(np.median(before)), float(np.median(after))
    found = [after, after - new + old]
    if min(before.min(), after.min()) > 0:
        found.append(after * (old / new))
    return found


def _beyond(edge: float, after: Array, sign: float) -> int:
    slack = 1e-9 * max(abs(edge), 1.0)
    return int((sign * (after - edge) < -slack).sum())


def _chance(beyond: int, before: int, after: int) -> float:
    """Chance that the furthest of all values are follow-ups, and not one a baseline."""
    if beyond == 0:
        return 1.0
    total = before + after
    log = gammaln(after + 1) - gammaln(after - beyond + 1)
    log -= gammaln(total + 1) - gammaln(total - beyond + 1)
    return float(np.exp(log))


def check_edge(
    before: Array, after: Array, *, outcome: str, said: bool | None
) -> tuple[CheckResult, ...]:
    """Say that a baseline is cut off where nobody said that patients were selected by it.

    Parameters
    ----------
    before, after : (row,), outcomes of the two periods
    outcome : its column
    said : whether the program selected on its baseline, as the user says

    Returns
    -------
    one check that fails, or none
    """
    edge = find_edge(before, after)
    if edge is None or said:
        return ()
    where = "or more" if edge.side == "above" else "or less"
    beyond = f"{edge.beyond:,} of {edge.after:,} follow-ups"
    contrary = " although the program is said not to have" if said is False else ""
    return (
        CheckResult(
            name="a baseline that is cut off",
            passed=False,
            verdict=f"Every baseline of {outcome} is {edge.at:.6g} {where}, and {beyond} lie "
            "beyond that, also with the change of the middle taken off: so looks a program that "
            f"took its patients for their baseline{contrary}. Patients chosen so come back by "
            "themselves, and nothing here is corrected for it. If they were, say so by "
            "Program(selected_on_baseline=True).",
            table=pd.DataFrame(
                {"value": [edge.at, edge.beyond, edge.after, edge.chance]},
                index=["edge", "follow-ups beyond it", "follow-ups", "chance without selection"],
            ),
        ),
    )


def _are_events(before: Array, after: Array) -> bool:
    """Whether the values are events, which have no middle to take off."""
    return bool(np.isin(np.concatenate([before, after]), (0.0, 1.0)).all())
