"""Confidence sets that hold while trends break after the start at most M times as much as before.

The conditional and least-favorable hybrid test of Andrews, Roth and Pakes for the set of relative
magnitudes of Rambachan and Roth, with the linear program of the test solved in closed form.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri_exp

__all__ = ["MomentTest", "build_tests", "hull_of_accepted"]

Floats = NDArray[np.float64]

SIMULATIONS = 20_000
SIMULATION_SEED = 20261
HYBRID_SHARE = 0.1
EDGE_STEPS = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MomentTest:
    """Test of one value of the effect, for one place and sign of the largest break before.

    The moments are linear in the event-study coefficients and in the effect. The largest
    standardized violation that no nuisance parameter can remove is a maximum over a few fixed
    combinations of the coefficients, ``direction @ coefficients + slope * effect``.

    Attributes
    ----------
    direction : (vertex, coefficient), combinations of the event-study coefficients
    slope : (vertex,), change of each combination with the effect that is tested
    covariance : (vertex, vertex), of the combinations
    least_favorable : critical value of the first stage
    second_size : size of the conditional second stage
    """

    direction: Floats
    slope: Floats
    covariance: Floats
    least_favorable: float
    second_size: float

    def accepts(self, effects: Floats, coefficients: Floats) -> NDArray[np.bool_]:
        """Tell which values of the effect are not rejected.

        Parameters
        ----------
        effects : (value,), values of the average effect to be tested
        coefficients : (coefficient,), estimates before and after, the reference left out
        """
        values = (self.direction @ coefficients)[None, :] + effects[:, None] * self.slope[None, :]
        best = values.argmax(axis=1)
        row = np.arange(effects.size)
        largest = values[row, best]
        variance = np.diag(self.covariance)[best]
        # how every other combination moves with the binding one, and what is left of it
        share = self.covariance[best] / np.where(variance > 0, variance, 1.0)[:, None]
        rest = values - share * largest[:, None]
        steepness = 1.0 - share
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = rest / steepness
        flat = np.abs(steepness) < 1e-10
        lower = np.where(~flat & (steepness > 0), crossing, -np.inf).max(axis=1)
        upper = np.where(~flat & (steepness < 0), crossing, np.inf).min(axis=1)
        upper = np.minimum(upper, self.least_favorable)
        spread = np.sqrt(variance)
        fixed = spread < 1e-10
        safe = np.where(fixed, 1.0, spread)
        critical = safe * truncated_quantile(1.0 - self.second_size, lower / safe, upper / safe)
        rejected = largest > np.maximum(critical, 0.0)
        rejected |= largest > self.least_favorable
        return np.asarray(~np.where(fixed, largest > 0, rejected))


def truncated_quantile(probability: float, lower: Floats, upper: Floats) -> Floats:
    """Quantile of a standard normal that is cut to [lower, upper], safe far in the tails."""
    # work in the tail where the cut-out lies, so that no probability is close to one
    flip = lower > 0
    low = np.where(flip, -upper, lower)
    high = np.where(flip, -lower, upper)
    share = np.where(flip, 1.0 - probability, probability)
    log_low, log_high = log_ndtr(low), log_ndtr(high)
    with np.errstate(divide="ignore", invalid="ignore"):
        mass = log_high + np.log1p(-np.exp(np.minimum(log_low - log_high, 0.0)))
        point = np.logaddexp(log_low, np.log(share) + mass)
    found = ndtri_exp(np.minimum(point, -0.0))
    found = np.clip(np.where(flip, -found, found), lower, upper)
    return np.asarray(np.where(upper <= lower, upper, found), dtype=np.float64)


def build_tests(
    covariance: Floats, *, n_before: int, target: Floats, magnitude: float, level: float
) -> list[MomentTest]:
    """One test for each place and sign of the largest break before the start.

    Parameters
    ----------
    covariance : (coefficient, coefficient), of the estimates before and after the start
    n_before : coefficients before the start
    target : (after,), weights of the effect over the periods after
    magnitude : largest break of the trend after the start, in breaks before
    level : of the confidence set
    """
    return [
        _build_test(
            covariance,
            n_before=n_before,
            target=target,
            magnitude=magnitude,
            level=level,
            place=place,
            sign=sign,
        )
        for place in range(n_before)
        for sign in (1.0, -1.0)
    ]


def _build_test(
    covariance: Floats,
    *,
    n_before: int,
    target: Floats,
    magnitude: float,
    level: float,
    place: int,
    sign: float,
) -> MomentTest:
    """Write the moments of one largest break and the vertices of the dual program."""
    n_after = target.size
    steps = _first_differences(n_before, n_after)
    bound = magnitude * sign * steps[place]
    after = steps[n_before:]
    above, below = after - bound, -after - bound
    # standard deviation of each moment: the violation is measured in them
    sd = [np.sqrt(np.einsum("ij,jk,ik->i", m, covariance, m)) for m in (above, below)]
    # the target in first differences: how often each step is counted
    counted = np.cumsum(target[::-1])[::-1]
    vertices, slopes = [], []
    for turn in (1.0, -1.0):
        up, down = np.maximum(turn * counted, 0.0), np.maximum(-turn * counted, 0.0)
        scale = float(up @ sd[0] + down @ sd[1])
        vertices.append((up @ above + down @ below) / scale)
        slopes.append(-turn / scale)
    if n_after > 1:
        for step in range(n_after):
            scale = float(sd[0][step] + sd[1][step])
            if scale > 0:
                vertices.append((above[step] + below[step]) / scale)
                slopes.append(0.0)
    direction, slope = np.array(vertices), np.array(slopes)
    spread = direction @ covariance @ direction.T
    alpha = 1.0 - level
    first = HYBRID_SHARE * alpha
    return MomentTest(
        direction=direction,
        slope=slope,
        covariance=spread,
        least_favorable=_least_favorable(spread, first),
        second_size=(alpha - first) / (1.0 - first),
    )


def _first_differences(n_before: int, n_after: int) -> Floats:
    """Take steps of the trend from one period to the next; the reference is a fixed 0."""
    full = np.eye(n_before + n_after + 1)
    steps = np.diff(full, axis=0)
    return np.asarray(np.delete(steps, n_before, axis=1))


def _least_favorable(covariance: Floats, size: float) -> float:
    """Upper quantile of the largest combination when every moment binds."""
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    largest = (_standard_normal(values.size) @ root.T).max(axis=1)
    return float(np.quantile(largest, 1.0 - size))


@lru_cache(maxsize=4)
def _standard_normal(count: int) -> Floats:
    return np.random.default_rng(SIMULATION_SEED).standard_normal((SIMULATIONS, count))


def hull_of_accepted(
    tests: list[MomentTest], coefficients: Floats, grid: Floats, *, refine: bool
) -> tuple[float, float]:
    """Smallest and largest effect that some test does not reject.

    Parameters
    ----------
    tests : a value is kept if one of them keeps it
    coefficients : (coefficient,), event-study estimates
    grid : (value,), ascending values to be tried
    refine : whether to halve the step at either end until it no longer matters

    Returns
    -------
    lower, upper : infinite where the end of the grid is kept; nan where nothing is
    """

    def kept(effects: Floats) -> NDArray[np.bool_]:
        return np.any([test.accepts(effects, coefficients) for test in tests], axis=0)

    inside = np.flatnonzero(kept(grid))
    if not inside.size:
        return float("nan"), float("nan")
    first, last = int(inside[0]), int(inside[-1])
    ends = []
    for edge, beyond, open_end in ((first, first - 1, -np.inf), (last, last + 1, np.inf)):
        if not 0 <= beyond < grid.size:
            ends.append(open_end)
            continue
        good, bad = float(grid[edge]), float(grid[beyond])
        for _ in range(EDGE_STEPS if refine else 0):
            middle = (good + bad) / 2
            good, bad = (middle, bad) if kept(np.array([middle]))[0] else (good, middle)
        ends.append(good)
    return ends[0], ends[1]
