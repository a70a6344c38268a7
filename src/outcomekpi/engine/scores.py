"""Stratified random numbers: every margin is spread evenly, whatever the seed."""

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

__all__ = ["normal_midpoints", "shuffled_midpoints", "stratified_normals", "stratified_uniforms"]

Array = NDArray[np.float64]
Unit = Literal["doctor", "hospital"]


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


@lru_cache(maxsize=8)
def normal_midpoints(n: int) -> Array:
    """Return the normal scores of the midpoints of n equally likely strata, ascending."""
    scores: Array = ndtri((np.arange(n) + 0.5) / n)
    scores.flags.writeable = False
    return scores


def shuffled_midpoints(n: int, unit: Unit, index: int, seed: int) -> Array:
    """Shuffle the normal scores of n equally likely strata, in an order of the unit's own.

    Every doctor and every hospital has a random stream that depends on nothing but the seed, so
    that its draws are the same however the units are split up. The stream is a spawned one:
    seeds that are lists of numbers collide when they end in zeros.

    Returns
    -------
    (n,), standard normal
    """
    key = (("doctor", "hospital").index(unit), index)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
    return rng.permutation(normal_midpoints(n))
