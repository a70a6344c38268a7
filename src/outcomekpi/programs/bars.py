"""What every program asks of its numbers: the scale they are on, bars in order, enough units."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from outcomekpi.awards.rules import CycleResults
from outcomekpi.declare.errors import CasesError, SpecError, check_choice

__all__ = [
    "Floats",
    "Scale",
    "as_counts",
    "as_scores",
    "check_bars",
    "check_cycles",
    "check_units",
    "last_cycle",
    "whole_steps",
]

Floats = NDArray[np.float64]
Scale = Literal["fraction", "percent", "free"]

DECIMALS = 9
"""Steps of a scale are rounded to this many decimals before a tie is decided: .6 + .3 is not .9
in binary, but a program that rounds halves up means the decimal number."""

LIMITS = {"fraction": 1.0, "percent": 100.0, "free": np.inf}


def as_scores(name: str, values: ArrayLike, *, scale: Scale = "fraction") -> Floats:
    """Return scores as numbers on the scale that they are said to be on; missing ones stay missing.

    Raises
    ------
    CasesError
        A score is infinite or outside its scale, with what it looks like instead.
    """
    check_choice("scale", scale, LIMITS)
    found = np.asarray(values, dtype=np.float64)
    top = LIMITS[scale]
    low, high = (-np.inf, np.inf) if scale == "free" else (0.0, top)
    wrong = np.isinf(found) | (found < low) | (found > high)
    if wrong.any():
        where = int(np.flatnonzero(wrong)[0])
        first = float(found.reshape(-1)[where])
        asked = "be finite" if scale == "free" else f"lie from 0 to {top:g} (scale={scale!r})"
        raise CasesError(
            f"{name} must {asked}; {int(wrong.sum())} of {found.size} do not, the first "
            f"{first:g} at position {where}.{_other_scale(first, scale)}"
        )
    return found


def _other_scale(first: float, scale: Scale) -> str:
    if scale == "fraction" and 1 < first <= 100:
        return f" Is it in percent? Then divide by 100 ({first / 100:g})."
    return ""


def as_counts(name: str, values: ArrayLike, *, missing: bool = False) -> Floats:
    """Return counts or amounts as numbers; missing ones only where that is allowed.

    Raises
    ------
    CasesError
        A number is infinite, negative or (unless allowed) missing.
    """
    found = np.asarray(values, dtype=np.float64)
    wrong = np.isinf(found) | (found < 0) | (np.isnan(found) & (not missing))
    if wrong.any():
        where = int(np.flatnonzero(wrong)[0])
        raise CasesError(
            f"{name} must be finite and not negative; {int(wrong.sum())} of {found.size} are not, "
            f"the first {float(found.reshape(-1)[where]):g} at position {where}."
        )
    return found


def check_bars(worse: str, low: ArrayLike, better: str, high: ArrayLike) -> None:
    """Raise a :class:`SpecError` unless the first bar lies strictly below the second."""
    below, above = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    if not np.all(below < above):
        raise SpecError(
            f"{worse} must lie below {better}; got {low!r} and {high!r}. Are they exchanged?"
        )


def check_units(found: ArrayLike, *, wanted: int, what: str) -> None:
    """Raise a :class:`CasesError` unless every row has enough units for ``what``."""
    counts = np.asarray(found)
    if counts.size == 0 or counts.min() < wanted:
        fewest = 0 if counts.size == 0 else int(counts.min())
        raise CasesError(
            f"{what} needs at least {wanted} units with a score; found {fewest}. "
            "Pool periods or peers, or set the bar by hand."
        )


def whole_steps(position: Floats, *, steps: float) -> Floats:
    """Whole steps that lie in ``position`` (share of the way), free of binary noise."""
    return np.asarray(np.floor(np.round(steps * position, DECIMALS)))


def last_cycle(results: CycleResults, *, back: int = 0) -> tuple[Floats, Floats]:
    """Rates and cases of the last cycle, or of one before it; without cases no rate (nan).

    Parameters
    ----------
    results : what a rule sees
    back : how many cycles before the last

    Returns
    -------
    rates, cases : (replicate, unit)

    Raises
    ------
    SpecError
        There are not so many cycles.
    """
    check_cycles(results, back + 1)
    place = results.events.shape[-1] - 1 - back
    return results.rates[..., place], results.trials[..., place]


def check_cycles(results: CycleResults, wanted: int) -> None:
    """Raise a :class:`SpecError` unless there are as many cycles as a rule looks at."""
    held = results.events.shape[-1]
    if held < wanted:
        raise SpecError(
            f"The rule looks at {wanted} cycles and the results hold {held}. "
            "Give more cycles, or a rule that needs fewer."
        )
