"""Values of a smooth function of two parameters in every draw, from few evaluations."""

from collections.abc import Callable

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

__all__ = ["over_draws"]

Array = NDArray[np.float64]

MEAN_NODES, SD_NODES = 11, 11
FEW_DRAWS = 250  # up to which every draw is evaluated
WIDEST = 6.0  # ratio of the largest to the smallest SD up to which the polynomial is trusted


def over_draws(function: Callable[[Array, Array], Array], mean: Array, sd: Array) -> Array:
    """Evaluate ``function(mean, sd)`` in every draw.

    Parameters
    ----------
    function : smooth; takes and returns (point,) arrays
    mean, sd : (sample,), sd > 0

    Returns
    -------
    (sample,)

    Notes
    -----
    For many draws the function is evaluated on an 11 x 11 grid of Chebyshev nodes in (mean,
    log sd) that spans the draws, and the tensor polynomial through them is read. Draws whose SDs
    differ by more than a factor of 6 are evaluated one by one.
    """
    if mean.size <= FEW_DRAWS or sd.max() > WIDEST * sd.min():
        return function(mean, sd)
    x, x_node = _scaled(mean, MEAN_NODES)
    z, z_node = _scaled(np.log(sd), SD_NODES)
    x_values, z_values = (_unscaled(mean, x_node), _unscaled(np.log(sd), z_node))
    grid_mean, grid_log_sd = np.meshgrid(x_values, z_values, indexing="ij")
    values = function(grid_mean.ravel(), np.exp(grid_log_sd.ravel())).reshape(grid_mean.shape)
    x_inverse = np.linalg.inv(chebyshev.chebvander(x_node, MEAN_NODES - 1))
    z_inverse = np.linalg.inv(chebyshev.chebvander(z_node, SD_NODES - 1))
    coefficient = x_inverse @ values @ z_inverse.T
    by_mean = chebyshev.chebvander(x, MEAN_NODES - 1) @ coefficient
    return np.asarray((by_mean * chebyshev.chebvander(z, SD_NODES - 1)).sum(axis=1))


def _edges(values: Array) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return 0.5 * (low + high), 0.5 * (high - low) + 1e-6


def _scaled(values: Array, n: int) -> tuple[Array, Array]:
    """Scale values to [-1, 1]; beside them, n Chebyshev nodes there."""
    center, half = _edges(values)
    return (values - center) / half, np.cos((2 * np.arange(n) + 1) * np.pi / (2 * n))


def _unscaled(values: Array, node: Array) -> Array:
    center, half = _edges(values)
    return center + half * node
