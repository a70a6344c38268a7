"""Whether trends differed before the start, and which difference the test could have seen."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtri, chndtr, ndtr, ndtri

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Level
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.pilots.estimators.event_study import EventStudy, joint_p_value

__all__ = ["Criterion", "PreTrendTest", "assess_pre_trend", "box_probability", "truncated_mean"]

Floats = NDArray[np.float64]
Criterion = Literal["any", "joint"]
POWERS = (0.5, 0.8)
SLOPE_TOLERANCE = 1e-6


# Probability and mean of a normal vector that is cut to a box
POINTS = 8192
SMALLEST = 1e-15


def box_probability(lower: Floats, upper: Floats, shape: Floats) -> float:
    """Probability that a centered normal vector lies in a box.

    Parameters
    ----------
    lower, upper : (dimension,)
    shape : (dimension, dimension), positive definite covariance

    Notes
    -----
    One coordinate after the other, given those before it, over a fixed set of evenly spread
    points (Geweke, Hajivassiliou and Keane), so that it is smooth in the limits.
    """
    if not lower.size:
        return 1.0
    root = np.linalg.cholesky(shape)
    points = _spread_points(lower.size)
    drawn = np.zeros((points.shape[0], lower.size))
    mass = np.ones(points.shape[0])
    for one in range(lower.size):
        known = drawn[:, :one] @ root[one, :one]
        low = ndtr((lower[one] - known) / root[one, one])
        high = ndtr((upper[one] - known) / root[one, one])
        mass *= high - low
        inside = low + points[:, one] * (high - low)
        drawn[:, one] = ndtri(np.clip(inside, SMALLEST, 1.0 - SMALLEST))
    return float(mass.mean())


@lru_cache(maxsize=16)
def _spread_points(dimension: int) -> Floats:
    """Points of a lattice with irrational steps, folded so that both ends count alike."""
    primes = [n for n in range(2, 400) if all(n % k for k in range(2, int(n**0.5) + 1))]
    steps = np.sqrt(np.array(primes[:dimension], dtype=np.float64))
    raw = (np.arange(1, POINTS + 1)[:, None] * steps[None, :] + 0.5) % 1.0
    return np.asarray(np.abs(2.0 * raw - 1.0))


def truncated_mean(lower: Floats, upper: Floats, shape: Floats) -> Floats:
    """Mean of a centered normal with a correlation matrix, cut to a box (Tallis 1961).

    Parameters
    ----------
    lower, upper : (dimension,)
    shape : (dimension, dimension), correlations
    """
    mass = box_probability(lower, upper, shape)
    edge = np.zeros(lower.size)
    for one in range(lower.size):
        rest = np.delete(np.arange(lower.size), one)
        partial = shape[rest, one]
        left = shape[np.ix_(rest, rest)] - np.outer(partial, partial)
        for sign, at in ((1.0, lower[one]), (-1.0, upper[one])):
            density = np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi)
            inner = box_probability(lower[rest] - partial * at, upper[rest] - partial * at, left)
            edge[one] += sign * density * inner
    return np.asarray(shape @ edge / mass, dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreTrendTest:
    """Joint test of the coefficients before the start, and its power against a linear trend.

    Attributes
    ----------
    event_study : that was tested
    statistic, degrees_of_freedom, p_value : of the test that all are 0: a quadratic
        form, compared with chi-square or, where the covariance comes from clusters, with F
    level : 1 minus the size of the test whose power is reported
    criterion : "any" calls the trends different if any coefficient is significant by itself, as
        readers of an event-study plot do; "joint" if the chi-square test is
    power : DataFrame with ``power`` (probability of seeing it), ``slope`` (difference in trends
        per period that is seen so often), ``bias`` (of the average effect under it) and
        ``bias_if_passed`` (the same, given that the test saw nothing)
    """

    event_study: EventStudy
    statistic: float
    degrees_of_freedom: int
    p_value: float
    level: float
    criterion: Criterion
    power: pd.DataFrame

    def power_at(self, slope: float) -> float:
        """Probability that the test sees a linear difference in trends of a slope per period."""
        return _power(self.event_study, slope, self.level, self.criterion)

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the table of power."""
        return self.power.copy()

    def __repr__(self) -> str:
        row = self.power.iloc[-1]
        return (
            f"PreTrendTest: p = {self.p_value:.3g} ({self.degrees_of_freedom} coefficients); a "
            f"slope of {row['slope']:.3g} {self.event_study.unit} a period would be seen with a "
            f"probability of {row['power']:.0%}, and unseen biases the effect by "
            f"{row['bias_if_passed']:.3g}"
        )

    def _repr_html_(self) -> str:
        from html import escape

        table = self.power.to_html(float_format="{:.4g}".format, index=False)
        return f"<p><b>{escape(repr(self))}</b></p>{table}"


def assess_pre_trend(
    event_study: EventStudy, *, criterion: Criterion = "any", level: Level = DEFAULT_LEVEL
) -> PreTrendTest:
    """Test of parallel trends before the start, with what it could have missed.

    Parameters
    ----------
    event_study : effects by time since the start, with covariance
    criterion : "any" or "joint"; see :class:`PreTrendTest`
    level : 1 minus the size of the test

    Raises
    ------
    SpecError
        No coefficient before the start, or a singular covariance.

    Notes
    -----
    Power takes the covariance as known. Linear violation: delta_t = slope * (t + 1), 0 at the
    reference t = -1. Power of "any" is one minus the normal probability of a box, of "joint" a
    noncentral chi-square tail. The bias given that nothing was seen is mean(delta_after) + mean
    rows of S_ab S_bb^-1 times (E[b | nothing seen] - delta_before), with Tallis' moments of the
    truncated normal, or for "joint" E[b | passed] = delta F(k+2) / F(k) of noncentral chi-square
    distributions.

    References
    ----------
    Roth (2022), American Economic Review: Insights 4.

    Examples
    --------
    >>> import numpy as np, outcomekpi as ok
    >>> study = ok.EventStudy(times=np.array([-3, -2, 0, 1]), covariance=0.01 * np.eye(4),
    ...                       coefficients=np.array([0.0, 0.02, 1.0, 1.2]))
    >>> ok.assess_pre_trend(study).power["power"].tolist()
    [0.5, 0.8]
    """
    check_arguments(assess_pre_trend, locals())
    if event_study.flaw:
        raise SpecError(f"Trends before cannot be tested: {event_study.flaw}.")
    before, spread = _before(event_study)
    statistic = float(before @ np.linalg.solve(spread, before))
    rows = []
    for power in POWERS:
        slope = _slope_for(event_study, power, level, criterion)
        delta = slope * (event_study.times + 1.0)
        rows.append(
            {
                "power": power,
                "slope": slope,
                "bias": float(event_study.average() @ delta),
                "bias_if_passed": _conditional_bias(event_study, slope, level, criterion),
            }
        )
    return PreTrendTest(
        event_study=event_study,
        statistic=statistic,
        degrees_of_freedom=before.size,
        p_value=joint_p_value(statistic, before.size, event_study.degrees_of_freedom),
        level=level,
        criterion=criterion,
        power=pd.DataFrame(rows),
    )


def _before(study: EventStudy) -> tuple[Floats, Floats]:
    side = study.times < 0
    return study.coefficients[side], study.covariance[np.ix_(side, side)]


def _power(study: EventStudy, slope: float, level: float, criterion: Criterion) -> float:
    _, spread = _before(study)
    delta = slope * (study.times[study.times < 0] + 1.0)
    if criterion == "joint":
        shift = float(delta @ np.linalg.solve(spread, delta))
        return 1.0 - float(chndtr(_critical(delta.size, level), delta.size, shift))
    sd = np.sqrt(np.diag(spread))
    limit = float(ndtri(0.5 + level / 2))
    shape = spread / np.outer(sd, sd)
    return 1.0 - box_probability(-limit - delta / sd, limit - delta / sd, shape)


def _critical(count: int, level: float) -> float:
    return float(chdtri(count, 1.0 - level))


def _slope_for(study: EventStudy, power: float, level: float, criterion: Criterion) -> float:
    """Slope per period that the test sees with a given probability."""
    start = float(np.sqrt(np.diag(_before(study)[1])).min())

    def enough(slope: float) -> bool:
        return _power(study, slope, level, criterion) >= power

    return _first_true(enough, start)


def _first_true(holds: Callable[[float], bool], start: float) -> float:
    low, high = 0.0, start
    while not holds(high):
        low, high = high, 2.0 * high
    while high - low > SLOPE_TOLERANCE * high:
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _conditional_bias(study: EventStudy, slope: float, level: float, criterion: Criterion) -> float:
    """Return the expected error of the average effect under a linear trend that was not seen."""
    side = study.times < 0
    _, spread = _before(study)
    delta = np.asarray(slope * (study.times + 1.0), dtype=np.float64)
    weights = study.average()
    mean = _passed_mean(delta[side], spread, level, criterion)
    cross = weights @ study.covariance[:, side]
    return float(weights @ delta + cross @ np.linalg.solve(spread, mean - delta[side]))


def _passed_mean(delta: Floats, spread: Floats, level: float, criterion: Criterion) -> Floats:
    """Mean of the coefficients before the start, given that the test saw nothing."""
    count = delta.size
    if criterion == "joint":
        shift = float(delta @ np.linalg.solve(spread, delta))
        limit = _critical(count, level)
        shrink = float(chndtr(limit, count + 2, shift) / chndtr(limit, count, shift))
        return delta * shrink
    sd = np.sqrt(np.diag(spread))
    limit = float(ndtri(0.5 + level / 2))
    lower, upper = -limit - delta / sd, limit - delta / sd
    return delta + sd * truncated_mean(lower, upper, spread / np.outer(sd, sd))
