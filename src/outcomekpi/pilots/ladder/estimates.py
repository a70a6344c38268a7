"""One estimated quantity and its interval, whatever the method gave: an error, draws or limits."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import SpecError
from outcomekpi.draws.intervals import check_level, interval, t_reach
from outcomekpi.draws.memory import remembered

__all__ = ["READ_BACK_LEVEL", "Estimate", "find_estimate", "tabulate_estimates"]

READ_BACK_LEVEL = 0.95
"""Of the interval that is read back to a standard error where a method gives none: the error is one
of the data, and must not move with the level at which intervals are shown."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimate:
    """A quantity with its uncertainty.

    Attributes
    ----------
    name : what it is, such as "risk difference" or "level change"
    unit : "percentage points", "ratio", or the unit of the outcome
    value : point estimate, on the scale that is reported
    scale : "log" for ratios, whose standard error and interval belong to the logarithm
    se : standard error on that scale; None where ``draws`` or ``limits`` speak
    degrees_of_freedom : of the t distribution; infinite for the normal
    draws : (draw,), posterior or bootstrap draws on the reported scale, or None
    limits : level -> (lower, upper) for intervals that are found by inverting a test, or None
    origin : how the interval was made, in a few words ("t, 12 clusters", "posterior draws")
    bounds : lowest and highest value that is possible; intervals end there
    code : of what it is, for code that looks for it among others; names are for readers
    basis : what the interval rests on beside the data, to be said with it ("from a prior on the
        number of patients, which was not published"); empty where nothing
    """

    name: str
    unit: str
    value: float
    scale: Literal["identity", "log"] = "identity"
    se: float | None = None
    degrees_of_freedom: float = np.inf
    draws: NDArray[np.float64] | None = None
    limits: Callable[[float], tuple[float, float]] | None = None
    origin: str = ""
    bounds: tuple[float, float] = (-np.inf, np.inf)
    code: str = ""
    basis: str = ""

    def __post_init__(self) -> None:
        sources = sum(source is not None for source in (self.se, self.draws, self.limits))
        if sources > 1:
            raise SpecError(f"Estimate {self.name!r} takes one of se, draws and limits.")
        if self.scale == "log" and self.value <= 0:
            raise SpecError(f"Estimate {self.name!r} is a ratio and must be positive.")

    @property
    def null(self) -> float:
        """The value that means no effect."""
        return 1.0 if self.scale == "log" else 0.0

    def interval(self, *, level: float) -> tuple[float, float]:
        """Lower and upper limit, within the bounds; nan where the design allows no interval."""
        check_level(level)
        lower, upper = np.clip(self._unbounded(level), *self.bounds)
        return float(lower), float(upper)

    def _unbounded(self, level: float) -> tuple[float, float]:
        if self.draws is not None:
            lower, upper = interval(self.draws[None, :], level=level)
            return float(lower[0]), float(upper[0])
        if self.limits is not None:
            return _inverted(self.limits, level)
        if self.se is None:
            return float("nan"), float("nan")
        half = float(t_reach(self.degrees_of_freedom, level=level)) * self.se
        if self.scale == "log":
            return self.value * float(np.exp(-half)), self.value * float(np.exp(half))
        return self.value - half, self.value + half

    def rough_error(self) -> float:
        """Read the 95 % interval back to a normal standard error; nan without an interval."""
        lower, upper = self.interval(level=READ_BACK_LEVEL)
        return (upper - lower) / 3.92

    def excludes_null(self, *, level: float) -> bool | None:
        """Whether the interval leaves out "no effect"; None where there is no interval."""
        lower, upper = self.interval(level=level)
        if np.isnan(lower) or np.isnan(upper):
            return None
        return not lower <= self.null <= upper


@remembered
def _inverted(limits: Callable[[float], tuple[float, float]], level: float) -> tuple[float, float]:
    """Limits that may have taken a bootstrap or a grid; each level is found once."""
    return limits(level)


def find_estimate(estimates: Iterable[Estimate], code: str) -> Estimate | None:
    """Return the first estimate of a code, None where there is none."""
    return next((one for one in estimates if one.code == code), None)


def tabulate_estimates(
    named: Iterable[tuple[str, Estimate]], first: str, *, level: float
) -> pd.DataFrame:
    """One row per estimate: its name in the column ``first``, then ``mean, lower, upper``.

    Parameters
    ----------
    named : (name, estimate)
    first : column of the names
    level : probability of the intervals, which is also in the attributes
    """
    rows = [(name, one.value, *one.interval(level=level)) for name, one in named]
    frame = pd.DataFrame(rows, columns=[first, "mean", "lower", "upper"])
    frame.attrs["level"] = level
    return frame
