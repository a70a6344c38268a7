"""What remains of an effect if trends were not parallel: bounds and the point where it is gone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.draws.intervals import DEFAULT_LEVEL, check_level, t_reach
from outcomekpi.pilots.estimators.did_adapter import smoothness_interval
from outcomekpi.pilots.estimators.event_study import EventStudy
from outcomekpi.pilots.estimators.relative_magnitudes import build_tests, hull_of_accepted

__all__ = ["Break", "ParallelBounds", "bound_parallel_trends"]

Floats = NDArray[np.float64]
Break = Literal["relative_magnitudes", "smoothness"]

GRID_POINTS = 1000
GRID_REACH = 20.0
WIDENINGS = 4
LARGEST_BREAK = 64.0
BREAKDOWN_STEPS = 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ParallelBounds:
    """Intervals of an effect while trends may break, and the break at which it is gone.

    Attributes
    ----------
    event_study : that the bounds are of
    target : (after,), weights of the effect over the times after the start
    method : "relative_magnitudes", the break of the trend between neighbors after the start is at
        most ``m`` times the largest one before; "smoothness", the slope of the difference in
        trends changes by at most ``m`` from one period to the next
    magnitudes : values of ``m`` in the table
    """

    event_study: EventStudy
    target: Floats
    method: Break
    magnitudes: tuple[float, ...]

    def interval(self, magnitude: float, *, level: float = DEFAULT_LEVEL) -> tuple[float, float]:
        """Lower and upper limit of the effect while trends break by at most ``magnitude``."""
        check_level(level)
        if self.method == "smoothness":
            return smoothness_interval(
                self.event_study, target=self.target, magnitude=magnitude, level=level
            )
        return _relative_interval(self.event_study, self.target, magnitude, level)

    def original(self, *, level: float = DEFAULT_LEVEL) -> tuple[float, float]:
        """Interval that takes trends as parallel, by the normal distribution."""
        check_level(level)
        value, sd = _plain(self.event_study, self.target)
        half = float(t_reach(np.inf, level=level)) * sd
        return value - half, value + half

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per magnitude: ``m, lower, upper, method``; the first takes trends as parallel.

        An upper limit of infinity means that no value of the grid was rejected on that side.
        """
        rows = [(0.0, *self.original(level=level), "parallel trends")]
        rows += [(m, *self.interval(m, level=level), self.method) for m in self.magnitudes]
        frame = pd.DataFrame(rows, columns=["m", "lower", "upper", "method"])
        frame.attrs.update(level=level, unit=self.event_study.unit)
        return frame

    def breakdown(self, *, level: float = DEFAULT_LEVEL) -> float:
        """Smallest magnitude at which the interval includes no effect.

        Returns
        -------
        0 where it is included even with parallel trends; infinity where no magnitude that was
        tried (64 breaks, or 64 standard errors of slope) is enough
        """

        def gone(magnitude: float) -> bool:
            if self.method == "smoothness":
                lower, upper = self.interval(magnitude, level=level)
            else:
                lower, upper = _relative_interval(
                    self.event_study, self.target, magnitude, level, refine=False
                )
            return not (lower > 0 or upper < 0)

        lower, upper = self.original(level=level)
        if lower <= 0 <= upper:
            return 0.0
        sd = _plain(self.event_study, self.target)[1]
        unit = sd if self.method == "smoothness" else 1.0
        return _first_true(gone, unit, LARGEST_BREAK * unit)

    def __repr__(self) -> str:
        return self._say()

    def _say(self, level: float = DEFAULT_LEVEL) -> str:
        lower, upper = self.original(level=level)
        return (
            f"ParallelBounds ({self.method.replace('_', ' ')}): {level:.0%} interval "
            f"{lower:.4g} to {upper:.4g} under parallel trends; includes no effect from "
            f"m = {self.breakdown(level=level):.3g} on"
        )

    def _repr_html_(self) -> str:
        from html import escape

        table = self.to_frame().to_html(float_format="{:.4g}".format)
        return f"<p><b>{escape(repr(self))}</b></p>{table}"


def bound_parallel_trends(
    event_study: EventStudy,
    *,
    method: Break = "relative_magnitudes",
    magnitudes: Sequence[float] | None = None,
    target: Sequence[float] | None = None,
) -> ParallelBounds:
    """Interval of the effect that still holds if trends were not parallel by a stated amount.

    Parameters
    ----------
    event_study : effects by time since the start, with covariance
    method : "relative_magnitudes" or "smoothness"; see :class:`ParallelBounds`
    magnitudes : breaks to be tabulated; None takes .5, 1, 1.5, 2 relative to before, or 0, .5, 1, 2
        standard errors of the effect for the slope
    target : weights of the effect over the times after the start; None is their average

    Raises
    ------
    SpecError
        No time before, holes, a singular covariance, a negative magnitude.

    Notes
    -----
    Relative magnitudes: the union, over the place and sign of the largest break before, of the
    values that the hybrid of the least-favorable and the conditional test does not reject, first
    stage of size alpha / 10. The linear program of the test has T + 2 dual vertices, which are
    written down instead of searched. Smoothness: the shortest fixed-length interval of an affine
    estimator, from diff-diff. Coefficients are taken as normal with known covariance: with few
    clusters the intervals are too short.

    References
    ----------
    Rambachan & Roth (2023), Review of Economic Studies 90. Andrews, Roth & Pakes (2023), Review
    of Economic Studies 90.

    Examples
    --------
    >>> import numpy as np, outcomekpi as ok
    >>> study = ok.EventStudy(times=np.array([-3, -2, 0, 1]), covariance=0.01 * np.eye(4),
    ...                       coefficients=np.array([0.0, 0.02, 1.0, 1.2]))
    >>> bool(ok.bound_parallel_trends(study).breakdown() > 1)
    True
    """
    check_arguments(bound_parallel_trends, locals())
    if event_study.flaw:
        raise SpecError(f"No bounds can be had from this event study: {event_study.flaw}.")
    count = event_study.n_after
    weights = np.full(count, 1.0 / count) if target is None else np.asarray(target, dtype=float)
    if weights.shape != (count,) or not np.isfinite(weights).all() or not weights.any():
        raise SpecError(
            f"target must hold one weight for each of the {count:,} times after the start, not "
            f"all 0; got {target!r}."
        )
    if magnitudes is None:
        sd = _plain(event_study, weights)[1]
        magnitudes = (0.0, 0.5 * sd, sd, 2 * sd) if method == "smoothness" else (0.5, 1.0, 1.5, 2.0)
    values = tuple(float(one) for one in magnitudes)
    if not values or not all(0 <= one < np.inf for one in values):
        raise SpecError(f"magnitudes must be numbers from 0; got {magnitudes!r}.")
    return ParallelBounds(event_study=event_study, target=weights, method=method, magnitudes=values)


def _plain(study: EventStudy, target: Floats) -> tuple[float, float]:
    after = study.times >= 0
    spread = study.covariance[np.ix_(after, after)]
    return float(target @ study.coefficients[after]), float(np.sqrt(target @ spread @ target))


def _relative_interval(
    study: EventStudy, target: Floats, magnitude: float, level: float, *, refine: bool = True
) -> tuple[float, float]:
    tests = build_tests(
        study.covariance, n_before=study.n_before, target=target, magnitude=magnitude, level=level
    )
    value, sd = _plain(study, target)
    reach = GRID_REACH * sd
    for _ in range(WIDENINGS):
        grid = np.linspace(value - reach, value + reach, GRID_POINTS)
        found = hull_of_accepted(tests, study.coefficients, grid, refine=refine)
        if np.isfinite(found).all():
            break
        reach *= 4.0
    return found


def _first_true(holds: Callable[[float], bool], start: float, largest: float) -> float:
    """Smallest value at which something that stays true becomes true."""
    low, high = 0.0, start
    while not holds(high):
        low, high = high, 2.0 * high
        if high > largest:
            return float("inf")
    for _ in range(BREAKDOWN_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
