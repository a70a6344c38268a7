"""What the award rules share: cycles pooled, edges and ties."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from outcomekpi.awards.rules import CycleResults
from outcomekpi.declare.errors import SpecError
from outcomekpi.tables.cases import Direction

__all__ = [
    "Ties",
    "best_places",
    "beyond",
    "enough_cases",
    "event_rates",
    "pool_cycles",
    "pooled_rates",
]

Array = NDArray[np.float64]
Ties = Literal["award", "withhold"]

SAME = 1e-12  # rates closer than this are one rate: means of equal rates differ by rounding


def best_places(
    score: NDArray[np.floating], places: NDArray[np.intp], *, ties: Ties
) -> NDArray[np.bool_]:
    """Mark the best of each row.

    Parameters
    ----------
    score : (replicate, unit), higher is better
    places : (replicate,), how many are to be marked
    ties : whether all or none of those who share the last place are marked

    Returns
    -------
    (replicate, unit)
    """
    n_units = score.shape[1]
    ordered = -np.sort(-score, axis=1)
    places = np.clip(places, 0, n_units)[:, None]
    if ties == "award":
        edge = np.take_along_axis(ordered, np.maximum(places - 1, 0), axis=1)
        return np.asarray((score >= edge) & (places > 0))
    edge = np.take_along_axis(ordered, np.minimum(places, n_units - 1), axis=1)
    return np.asarray((score > edge) | (places == n_units))


def pool_cycles(results: CycleResults, cycles: int) -> tuple[Array, Array]:
    """Events and trials of the latest cycles together: two (replicate, unit).

    Raises
    ------
    SpecError
        Fewer cycles in the results than are to be pooled.
    """
    n_cycles = results.events.shape[2]
    if cycles > n_cycles:
        raise SpecError(f"The rule pools the latest {cycles} cycles; the results have {n_cycles}.")
    latest = results.latest(cycles)
    events = latest.events.sum(axis=2, dtype=np.float64)
    return events, latest.trials.sum(axis=2, dtype=np.float64)


def event_rates(events: Array, trials: Array) -> Array:
    """Events per trial, missing without trials."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(trials > 0, events / trials, np.nan)


def pooled_rates(
    results: CycleResults, *, cycles: int, minimum_cases: float
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Rates and trials of the latest cycles together, and who has enough cases.

    Returns
    -------
    rates, trials, counted : (replicate, unit); rates are missing without trials
    """
    events, trials = pool_cycles(results, cycles)
    return event_rates(events, trials), trials, enough_cases(trials, minimum_cases)


def enough_cases(trials: Array, minimum_cases: float) -> NDArray[np.bool_]:
    """Whether a doctor has any cases, and as many as are asked for."""
    return np.asarray((trials > 0) & (trials >= minimum_cases))


def beyond(
    rates: Array, bar: Array | np.float64, direction: Direction, *, strict: bool
) -> NDArray[np.bool_]:
    """Whether rates are on the awarded side of a bar; strict leaves out those at the bar."""
    lead = rates - bar if direction == "higher" else bar - rates
    edge = SAME * np.maximum(1.0, np.abs(bar))
    return np.asarray(lead > edge if strict else lead >= -edge)
