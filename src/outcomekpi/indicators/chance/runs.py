"""Probability that readings which scatter around a true level all stay on one side of a bar."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

__all__ = ["HIGHEST_AUTOCORRELATION", "probability_of_run"]

Array = NDArray[np.float64]

HIGHEST_AUTOCORRELATION = 0.95
EDGE = 9.0  # standard deviations; a normal variable lies beyond with probability 1e-19
LOWEST, TOP, STEP = -7.0, 9.0, 0.05
FEW = 48  # distances that are computed one by one; more are read from a table


def probability_of_run(
    distance: Array, *, length: int, autocorrelation: float = 0.0, absent: float = 0.0
) -> Array:
    """Probability that every one of several consecutive readings lies below a bar.

    Parameters
    ----------
    distance : any shape, bar minus true level in within-person standard deviations
    length : number of consecutive readings
    autocorrelation : correlation of consecutive readings given the true level, first-order
        autoregressive; 0 to .95, or 1
    absent : probability that a reading was not taken, independently of its value; it then does
        not count

    Returns
    -------
    the shape of ``distance``, probabilities

    Notes
    -----
    Independent readings: (m + (1 - m) Phi(z))^k. Otherwise the forward recursion of the chain
    x' = r x + sqrt(1 - r²) u, its density multiplied by m + (1 - m) 1[x < z] at every step, by
    Gauss-Legendre quadrature with at least 4 nodes per innovation SD (errors below 1e-10); more
    than 48 distances are read from a cubic spline through steps of .05 (errors below 1e-7).
    """
    z = np.asarray(distance, dtype=np.float64)
    once = absent + (1 - absent) * ndtr(z)
    if autocorrelation == 0.0 or length == 1:
        return np.asarray(once**length)
    if autocorrelation == 1.0:
        # one latent value: it matters if at least one reading was taken
        nobody = absent**length
        return np.asarray(nobody + (1 - nobody) * ndtr(z))
    distinct, position = np.unique(z, return_inverse=True)
    if distinct.size <= FEW:
        chances = [_chain(float(at), length, autocorrelation, absent) for at in distinct]
        return np.asarray(chances)[position].reshape(z.shape)
    from scipy.interpolate import CubicSpline

    nodes, values = _table(length, autocorrelation, absent)
    read = CubicSpline(nodes, values)(np.clip(z, LOWEST, TOP))
    return np.asarray(np.clip(read, 0.0, 1.0))


def _chain(z: float, length: int, autocorrelation: float, absent: float) -> float:
    """Forward recursion for one distance, in standard deviations."""
    z = float(np.clip(z, -EDGE, EDGE))
    spread = float(np.sqrt(1 - autocorrelation**2))
    x, weight = _nodes(-EDGE, z, spread)
    if absent > 0:
        above, heavy = _nodes(z, EDGE, spread)
        x, weight = np.r_[x, above], np.r_[weight, heavy * absent]
    if not x.size:
        return 0.0
    kernel = np.exp(-0.5 * ((x[:, None] - autocorrelation * x[None, :]) / spread) ** 2)
    kernel *= 1 / (spread * np.sqrt(2 * np.pi))
    density = np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
    for _ in range(length - 1):
        density = kernel @ (weight * density)
    return float(np.clip(weight @ density, 0.0, 1.0))


def _nodes(start: float, stop: float, spread: float) -> tuple[Array, Array]:
    if stop <= start:
        return np.empty(0), np.empty(0)
    n = int(np.clip(np.ceil(4 * (stop - start) / spread), 24, 1200))
    points, weights = _legendre(n)
    half = (stop - start) / 2
    return start + half * (points + 1), weights * half


@lru_cache(maxsize=64)
def _legendre(n: int) -> tuple[Array, Array]:
    points, weights = np.polynomial.legendre.leggauss(n)
    return points, weights


@lru_cache(maxsize=32)
def _table(length: int, autocorrelation: float, absent: float) -> tuple[Array, Array]:
    nodes = np.arange(LOWEST, TOP + STEP / 2, STEP)
    chances = [_chain(float(z), length, autocorrelation, absent) for z in nodes]
    return nodes, np.asarray(chances)
