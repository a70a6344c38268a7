"""The mode of a smooth density of a few coordinates, and its width there."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["locate_mode"]

Array = NDArray[np.float64]
_MOST_STEPS = 40
_FRACTIONS = np.array([2.0, 1.0, 0.5, 0.2, 0.05, 1e-2, 1e-3, 1e-4, 0.0])


def locate_mode(
    density: Callable[[Array], Array], start: Array, width: Array
) -> tuple[Array, Array]:
    """Find the mode by damped Newton steps, and a factor of the covariance there.

    Parameters
    ----------
    density : (point, coordinate) -> (point,), log density
    start : (coordinate,), inside the support
    width : (coordinate,), SD that each coordinate could have; no difference is wider

    Returns
    -------
    mode : (coordinate,)
    factor : (coordinate, coordinate), times its transpose the inverse of minus the Hessian

    Notes
    -----
    All points of a step are evaluated together; the width of the differences follows the
    curvature that the last step found.
    """
    mode, steps = start, 0.5 * width
    for _ in range(_MOST_STEPS):
        gradient, curvature = _differences(density, mode, steps)
        values, vectors = np.linalg.eigh(curvature * np.outer(steps, steps))
        # absolute values lead away from a saddle
        factor = steps[:, None] * vectors / np.sqrt(np.maximum(np.abs(values), 0.02))
        whitened = factor.T @ gradient
        tried = mode + _FRACTIONS[:, None] * (factor @ whitened)
        mode = tried[int(np.nan_to_num(density(tried), nan=-np.inf).argmax())]
        spread = np.sqrt((factor**2).sum(axis=1))
        settled = bool((steps <= spread).all()) and float(whitened @ whitened) < 0.02
        steps = np.minimum(0.5 * spread, width)
        if settled:
            break
    return mode, factor


def _differences(
    density: Callable[[Array], Array], mode: Array, steps: Array
) -> tuple[Array, Array]:
    """Gradient and minus the Hessian of the log density by central differences."""
    size = mode.size
    unit = np.diag(steps)
    pairs = [(i, j) for i in range(size) for j in range(i + 1, size)]
    mixed = [
        a * unit[i] + b * unit[j] for i, j in pairs for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))
    ]
    around = np.vstack([np.zeros((1, size)), unit, -unit, *mixed])
    value = np.maximum(density(mode + around), -1e12)  # finite outside the support as well
    ahead, behind = value[1 : size + 1], value[size + 1 : 2 * size + 1]
    gradient = (ahead - behind) / (2 * steps)
    curvature = np.diag(-(ahead - 2 * value[0] + behind) / steps**2)
    corners = value[2 * size + 1 :].reshape(-1, 4)
    for (i, j), corner in zip(pairs, corners, strict=True):
        bend = -(corner[0] - corner[1] - corner[2] + corner[3]) / (4 * steps[i] * steps[j])
        curvature[i, j] = curvature[j, i] = bend
    return gradient, curvature
