"""Quantiles of log-concave densities on nodes that lie where the density is.

A conditional may fall like a normal on one side and like exp(-exp t) on the other. The nodes
reach as far on either side as the density needs to fall by a given amount, and lie the denser the
steeper its flank.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

__all__ = ["find_quantiles", "find_reach", "invert_density"]

Array = NDArray[np.float64]

_NODES, _NODES_OF_FLANKS = 33, 49
_DROP = 18.0  # log density below the top at which the nodes end
_SEARCHES, _NEAR = 24, 0.3
_SYMMETRIC = 0.35  # log ratio of the reaches above and below the mode
_MONOTONE = 3.0  # slopes in secants up to which a cubic is monotone (Fritsch & Carlson 1980)


def find_quantiles(
    height: Callable[[Array], Array],
    mode: Array,
    scale: Array,
    scores: Array,
    *,
    has_flanks: bool = True,
    n_heights: tuple[int, int] | None = None,
) -> Array:
    """Quantiles at normal scores of densities known up to a constant.

    Parameters
    ----------
    height : log densities at positions (..., node)
    mode, scale : (...), where each density is highest, and its Laplace standard deviation
    scores : (score,) or (..., score)
    has_flanks : whether some densities are skewed: 49 nodes, else 33
    n_heights : where a height is dear, how many are evaluated where all densities are nearly
        symmetric, and where one is not; a cubic spline gives those at the nodes

    Returns
    -------
    (..., score)

    Notes
    -----
    With w the distances below and above the mode at which the log density has fallen by 18, the
    nodes are t = mode + c (exp(k x) - 1) at equally spaced x in [-1, 1], k = log(w+ / w-): equal
    steps for a symmetric density, small ones on a steep flank. What is inverted is the density
    of x.
    """
    top = height(mode[..., None])[..., 0]
    below, above = (find_reach(height, mode, scale, top, side, _DROP) for side in (-1.0, 1.0))
    lean = np.log(above / below)
    lean = np.where(np.abs(lean) < 1e-3, 1e-3, lean)[..., None]
    stretch = above[..., None] / np.expm1(lean)
    x = np.linspace(-1.0, 1.0, _NODES_OF_FLANKS if has_flanks else _NODES)
    known = x
    if n_heights is not None:
        known = np.linspace(-1.0, 1.0, n_heights[int(np.abs(lean).max() > _SYMMETRIC)])
    log_density = height(mode[..., None] + stretch * np.expm1(lean * known)) + lean * known
    if n_heights is not None:
        from scipy.interpolate import CubicSpline

        log_density = CubicSpline(known, log_density, axis=-1)(x)
    at = invert_density(np.broadcast_to(x, log_density.shape), log_density, scores)
    quantiles: Array = mode[..., None] + stretch * np.expm1(lean * at)
    return quantiles


def find_reach(
    height: Callable[[Array], Array],
    mode: Array,
    scale: Array,
    top: Array,
    side: float,
    drop: float,
) -> Array:
    """Distance from the mode at which log densities have fallen by about ``drop``.

    Secant steps of the log fall against the log distance, whose slope is 2 for a normal and
    grows on a flank like exp(-exp t).
    """
    distance: Array = np.sqrt(2 * drop) * scale
    power = np.full(mode.shape, 2.0)
    before: tuple[Array, Array] | None = None
    for _ in range(_SEARCHES):
        fall = np.maximum(top - height((mode + side * distance)[..., None])[..., 0], 1e-3)
        off = np.log(drop / fall)
        if np.all(np.abs(off) < _NEAR):
            break
        place = np.log(distance)
        if before is not None:
            moved = place - before[0]
            known = np.abs(moved) > 1e-6
            slope = (before[1] - off)[known] / moved[known]
            power[known] = np.clip(slope, 1.0, 60.0)
        before = place, off
        step = np.where(np.abs(off) < _NEAR, 0.0, np.clip(off / power, -1.0, 1.0))
        distance = distance * np.exp(step)
    return distance


def invert_density(grid: Array, log_density: Array, scores: Array) -> Array:
    """Quantiles of densities tabulated on equally spaced nodes, at normal scores.

    Parameters
    ----------
    grid, log_density : (..., node)
    scores : (score,) or (..., score)

    Returns
    -------
    (..., score)

    Notes
    -----
    The cumulative integral uses the four-point rule h/24 (-f₋₁ + 13 f₀ + 13 f₁ - f₂), from the
    left for the lower half and from the right for the upper half, and is inverted by cubic
    Hermite interpolation of t against its normal score, whose slope phi(z) / f(t) is known.
    Where that cubic might turn back, as between a node that matters and one where the density
    is 1e-200, the density between the two nodes is taken as an exponential and inverted exactly.
    """
    density = np.exp(log_density - log_density.max(axis=-1, keepdims=True))
    step = (grid[..., 1] - grid[..., 0])[..., None]
    edge = np.zeros((*density.shape[:-1], 1))
    padded = np.concatenate((edge, density, edge), axis=-1)
    increment = (step / 24) * (
        13 * (density[..., 1:] + density[..., :-1]) - padded[..., :-3] - padded[..., 3:]
    )
    increment = np.maximum(increment, 1e-300)
    left = np.cumsum(increment, axis=-1)
    right = np.cumsum(increment[..., ::-1], axis=-1)[..., ::-1]
    total = left[..., -1:]
    below, above = left[..., :-1] / total, right[..., 1:] / total
    z = np.where(below < 0.5, ndtri(np.minimum(below, 0.5)), -ndtri(np.minimum(above, 0.5)))
    phi = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    slope = phi * total / np.maximum(density[..., 1:-1], 1e-300)
    return _interpolate(z, grid[..., 1:-1], slope, log_density[..., 1:-1], scores)


def _interpolate(z: Array, t: Array, slope: Array, log_density: Array, at: Array) -> Array:
    """Interpolate t(z) with known slopes dt/dz at each of ``at``; linear outside."""
    piece = (z[..., None] <= at[..., None, :]).sum(axis=-2) - 1
    piece = np.clip(piece, 0, z.shape[-1] - 2)

    def take(values: Array, ahead: int) -> Array:
        return np.take_along_axis(values, piece + ahead, axis=-1)

    z0, z1, t0, t1 = take(z, 0), take(z, 1), take(t, 0), take(t, 1)
    width = np.maximum(z1 - z0, 1e-12)
    m0, m1, secant = take(slope, 0), take(slope, 1), (t1 - t0) / width
    position = (at - z0) / width
    x = np.clip(position, 0.0, 1.0)
    result: Array = (
        t0 * (1 + 2 * x) * (1 - x) ** 2
        + m0 * width * x * (1 - x) ** 2
        + t1 * x**2 * (3 - 2 * x)
        + m1 * width * x**2 * (x - 1)
    )
    turns = (m0 > _MONOTONE * secant) | (m1 > _MONOTONE * secant)
    if turns.any():
        h0, h1 = take(log_density, 0), take(log_density, 1)
        share = _share_of_exponential(h1 - h0, z0, z1, np.clip(at, z0, z1))
        result = np.where(turns, t0 + (t1 - t0) * share, result)
    outside = np.minimum(position, 0.0) * np.minimum(m0, _MONOTONE * secant)
    outside += np.maximum(position - 1.0, 0.0) * np.minimum(m1, _MONOTONE * secant)
    result += outside * width
    return result


def _share_of_exponential(rise: Array, z0: Array, z1: Array, at: Array) -> Array:
    """Where between two nodes a density exp(rise x), x in [0, 1], has the score ``at``.

    Tail areas are those of the nearer tail, so that nothing is lost far out.
    """
    sign = np.where(z0 + z1 > 0, -1.0, 1.0)
    near, here, far = (ndtr(sign * score) for score in (z0, at, z1))
    share = np.clip((here - near) / np.where(far == near, 1.0, far - near), 0.0, 1.0)
    flat = np.abs(rise) < 1e-6
    rise = np.where(flat, 1.0, np.clip(rise, -700.0, 700.0))
    within: Array = np.where(flat, share, np.log((1.0 - share) + share * np.exp(rise)) / rise)
    return within
