"""Which pairs of true figures stand behind published ones: rounding and reading as a polygon."""

from collections.abc import Sequence
from math import inf

import numpy as np
from numpy.typing import NDArray

__all__ = ["clip_square", "odds_ratio_bounds", "ratio_bounds", "slice_after"]

Array = NDArray[np.float64]
HalfPlane = tuple[float, float, float]
"""(a, b, c): the pairs with a x before + b x after <= c."""

UNIT_SQUARE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


def clip_square(half_planes: Sequence[HalfPlane]) -> Array:
    """Corners of the part of the unit square that fulfils every inequality.

    Parameters
    ----------
    half_planes : (a, b, c) each, for a x before + b x after <= c

    Returns
    -------
    (corner, 2), before and after as fractions, in order around the polygon; no row where
    nothing is left

    Notes
    -----
    One half-plane after the other cuts the polygon (Sutherland and Hodgman): a corner inside is
    kept, and where an edge crosses the line the crossing becomes a corner.
    """
    corners: list[tuple[float, float]] = list(UNIT_SQUARE)
    for a, b, c in half_planes:
        excess = [a * x + b * y - c for x, y in corners]
        kept: list[tuple[float, float]] = []
        for i, (x, y) in enumerate(corners):
            (x0, y0), out0, out = corners[i - 1], excess[i - 1], excess[i]
            if (out0 <= 0) != (out <= 0):
                share = out0 / (out0 - out)
                kept.append((x0 + share * (x - x0), y0 + share * (y - y0)))
            if out <= 0:
                kept.append((x, y))
        corners = kept
    return np.array(corners, dtype=np.float64).reshape(-1, 2)


def slice_after(corners: Array, before: Array) -> tuple[Array, Array]:
    """Range of the figure after that goes with each figure before.

    Parameters
    ----------
    corners : (corner, 2), of a convex polygon
    before : (draw,), within the polygon's range

    Returns
    -------
    lower, upper : (draw,)
    """
    lower = np.full(before.shape, inf)
    upper = np.full(before.shape, -inf)
    for (x0, y0), (x1, y1) in zip(np.roll(corners, 1, axis=0), corners, strict=True):
        left, right = min(x0, x1), max(x0, x1)
        if right == left:
            continue
        within = (before >= left) & (before <= right)
        height = y0 + (before - x0) / (x1 - x0) * (y1 - y0)
        lower = np.where(within, np.minimum(lower, height), lower)
        upper = np.where(within, np.maximum(upper, height), upper)
    return lower, upper


def ratio_bounds(corners: Array) -> tuple[float, float]:
    """Smallest and largest after / before over a polygon; infinite where before reaches 0.

    The corner (0, 0) says nothing about the ratio: the edges that meet there do, at their
    other ends.
    """
    ratios = []
    for before, after in corners:
        if before > 0:
            ratios.append(after / before)
        elif after > 0:
            ratios.append(inf)
    return min(ratios), max(ratios)


def odds_ratio_bounds(corners: Array) -> tuple[float, float]:
    """Smallest and largest odds ratio of after against before over a polygon.

    Notes
    -----
    The odds ratio rises with after and falls with before, so that its extremes lie on the edges.
    Along an edge before = x + t u, after = y + t v its logarithm is stationary where
    v / (after (1 - after)) = u / (before (1 - before)), a quadratic equation in t. At the corner
    (0, 0) it tends to the ratio, at (1, 1) to the ratio of the complements.
    """
    points = list(corners)
    for start, end in zip(np.roll(corners, 1, axis=0), corners, strict=True):
        points += _stationary_points(start, end)
    values = [_odds_ratio(before, after) for before, after in points]
    found = [value for value in values if value is not None]
    if np.any(np.all(corners == 0, axis=1)):
        found += ratio_bounds(corners)
    if np.any(np.all(corners == 1, axis=1)):
        found += [1 / value if value else inf for value in ratio_bounds(1 - corners)]
    return min(found), max(found)


def _stationary_points(start: Array, end: Array) -> list[Array]:
    (x, y), (u, v) = start, end - start
    square = u * v * (u - v)
    linear = v * u * (1 - 2 * x) - u * v * (1 - 2 * y)
    constant = v * x * (1 - x) - u * y * (1 - y)
    # v before (1 - before) - u after (1 - after) = 0, by powers of t
    roots = np.roots([-square, linear, constant]) if square or linear else np.array([])
    real = [float(root.real) for root in roots if abs(root.imag) < 1e-12 and 0 < root.real < 1]
    return [start + t * (end - start) for t in real]


def _odds_ratio(before: float, after: float) -> float | None:
    upper, lower = after * (1 - before), before * (1 - after)
    if lower <= 0:
        return inf if upper > 0 else None
    return upper / lower
