"""Probability and mean of a normal vector that is cut to a box."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

__all__ = ["box_probability", "truncated_mean"]

Floats = NDArray[np.float64]
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
