"""Whether a doctor's quantile surface may stand for his conditional, and draws where it may not."""

import numpy as np
from numpy.typing import NDArray

from outcomekpi.engine.curves import Curves
from outcomekpi.engine.surfaces import (
    Surfaces,
    conditional_quantiles,
    conditional_scales,
)

__all__ = ["doubtful_doctors", "draw_exactly", "leaving_doctors"]

Array = NDArray[np.float64]

_LARGEST_ERROR, _LARGEST_RMS = 0.1, 0.03  # conditional standard deviations
_SPACED = 4
_EVERY = 32
_UNITS = 1 << 14


def doubtful_doctors(
    surfaces: Surfaces, curves: Curves, shift: Array, sigma: Array, *, first: int
) -> NDArray[np.intp]:
    """Doctors whose surface is not where their conditional's quantiles are.

    Eight draws of every doctor are compared with the inverted density: those of the smallest
    and largest SD and shift, and four others, the extreme scores among them. Where no curve is
    skewed and the SD varies little, every 32nd doctor is looked at, and all if one fails.

    Parameters
    ----------
    shift : (doctor, draw)
    sigma : (draw,)
    first : number of the first doctor

    Returns
    -------
    positions among these doctors
    """
    everybody = np.arange(shift.shape[0])
    if curves.bows is not None or sigma.max() > 2 * sigma.min():
        return everybody[_fails(surfaces, curves, shift, sigma, everybody)]
    some = everybody[(everybody + first) % _EVERY == 0]
    if some.size == 0 or not _fails(surfaces, curves, shift, sigma, some).any():
        return everybody[:0]
    return everybody[_fails(surfaces, curves, shift, sigma, everybody)]


def _fails(
    surfaces: Surfaces, curves: Curves, shift: Array, sigma: Array, doctors: NDArray[np.intp]
) -> NDArray[np.bool_]:
    shift = shift[doctors]
    ones = np.ones((doctors.size, 1), dtype=np.intp)
    at = np.hstack(
        (
            ones * sigma.argmin(),
            ones * sigma.argmax(),
            shift.argmin(axis=1)[:, None],
            shift.argmax(axis=1)[:, None],
            ones * np.linspace(0, sigma.size - 1, _SPACED).astype(np.intp),
        )
    )
    scores = surfaces.largest_score * np.array([1.0, -1.0, -0.3, 0.3, -0.6, 0.6, 1.0, -1.0])
    scores = np.broadcast_to(scores, at.shape)
    shift, sigma = np.take_along_axis(shift, at, axis=1), sigma[at]
    own = curves.of(doctors)
    exact = conditional_quantiles(own, shift, sigma, scores[..., None])[..., 0]
    error = (surfaces.draw(doctors, shift, sigma, scores) - exact) / conditional_scales(
        own, shift, sigma
    )
    largest = np.abs(error).max(axis=1)
    failed: NDArray[np.bool_] = ~(
        (largest < _LARGEST_ERROR) & (np.sqrt((error**2).mean(axis=1)) < _LARGEST_RMS)
    )
    return failed


def leaving_doctors(
    curves: Curves, shift: Array, sigma: Array, effects: NDArray[np.floating], largest_score: float
) -> NDArray[np.intp]:
    """Doctors some of whose draws lie where no conditional among them reaches.

    The bounds are the quantiles at the largest score of the extreme shifts and SDs, and one
    standard deviation more.

    Parameters
    ----------
    shift, effects : (doctor, draw)
    sigma : (draw,)
    """
    moves = np.stack((shift.min(axis=1), shift.max(axis=1)), axis=1)
    units = np.repeat(moves, 2, axis=1)
    sigmas = np.broadcast_to(np.tile([sigma.min(), sigma.max()], 2), units.shape)
    ends = conditional_quantiles(curves, units, sigmas, largest_score * np.array([-1.0, 1.0]))
    margin = conditional_scales(curves, units, sigmas).max(axis=1)
    t = effects + shift
    inside = t.min(axis=1) >= ends[..., 0].min(axis=1) - margin
    inside &= t.max(axis=1) <= ends[..., 1].max(axis=1) + margin
    return np.flatnonzero(~inside)


def draw_exactly(curves: Curves, shift: Array, sigma: Array, scores: Array) -> Array:
    """Draw t by inverting the conditional of every draw on nodes of its own.

    Parameters
    ----------
    curves : of these doctors
    shift, scores : (doctor, draw)
    sigma : (draw,)

    Returns
    -------
    (doctor, draw)
    """
    result = np.empty(shift.shape)
    step = max(1, _UNITS // shift.shape[0])
    for start in range(0, sigma.size, step):
        part = slice(start, start + step)
        result[:, part] = conditional_quantiles(
            curves, shift[:, part], sigma[part], scores[:, part, None]
        )[..., 0]
    return result
