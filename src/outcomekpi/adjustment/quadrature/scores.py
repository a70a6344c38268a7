"""Stratified random numbers: every margin is spread evenly, whatever the seed."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

__all__ = ["stratified_normals", "stratified_uniforms"]

Array = NDArray[np.float64]


def stratified_uniforms(n: int, columns: int, rng: np.random.Generator) -> Array:
    """Latin hypercube sample: each column holds the midpoints of n strata in random order.

    Returns
    -------
    (n, columns), in (0, 1)

    References
    ----------
    McKay, Beckman & Conover (1979), Technometrics 21(2).
    """
    midpoints = (np.arange(n) + 0.5) / n
    return np.stack([rng.permutation(midpoints) for _ in range(columns)], axis=1)


def stratified_normals(n: int, columns: int, rng: np.random.Generator) -> Array:
    """Latin hypercube sample of standard normals, (n, columns)."""
    result: Array = ndtri(stratified_uniforms(n, columns, rng))
    return result
