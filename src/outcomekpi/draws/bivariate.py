"""Two correlated normal variables: how likely both lie below their bars."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, owens_t

__all__ = ["normal_quadrant"]

Array = NDArray[np.float64]


def normal_quadrant(
    first: Array | float, second: Array | float, correlation: Array | float
) -> Array:
    """Probability that two correlated standard normal variables both lie below their bars.

    Parameters
    ----------
    first, second : any shapes that broadcast, bars in standard deviations; may be infinite
    correlation : from -1 to 1, of a shape that broadcasts with them

    Notes
    -----
    By Owen's T function: Phi2(h, k; r) = (Phi(h) + Phi(k)) / 2 - T(h, (k / h - r) / s)
    - T(k, (h / k - r) / s) - d, s = sqrt(1 - r²), d = 1/2 if h and k lie on different sides of
    0 (or one is 0 and the other negative), else 0. At h = k = 0 it is 1/4 + arcsin(r) / (2 pi); at
    r = 1 the smaller tail, at r = -1 what the two tails have beyond 1.

    References
    ----------
    Owen (1956), Annals of Mathematical Statistics 27.
    """
    # adding 0 makes a negative zero a plain one, whose quotients have the right sign
    h, k, r = (
        np.asarray(one, dtype=np.float64) + 0.0
        for one in np.broadcast_arrays(first, second, correlation)
    )
    below = ndtr(h), ndtr(k)
    s = np.sqrt(np.maximum(1.0 - r**2, 0.0))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = (below[0] + below[1]) / 2 - owens_t(h, (k / h - r) / s)
        found -= owens_t(k, (h / k - r) / s)
        found -= 0.5 * ((h * k < 0) | ((h * k == 0) & (h + k < 0)))
    found = np.where((h == 0) & (k == 0), 0.25 + np.arcsin(r) / (2 * np.pi), found)
    found = np.where(r >= 1, np.minimum(*below), found)
    found = np.where(r <= -1, below[0] - ndtr(-k), found)
    # beyond an infinite bar lies nobody, so that the other variable decides alone
    found = np.where(np.isinf(h) | np.isinf(k), below[0] * below[1], found)
    return np.asarray(np.clip(found, 0.0, np.minimum(*below)))
