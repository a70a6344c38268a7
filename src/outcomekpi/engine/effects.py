"""Draws of every doctor's effect from its conditional given theta."""

import numpy as np
from numpy.typing import NDArray

from outcomekpi.draws.threads import in_threads
from outcomekpi.engine.curves import Curves
from outcomekpi.engine.scores import normal_midpoints, shuffled_midpoints
from outcomekpi.engine.shifts import Shifts
from outcomekpi.engine.surfaces import (
    Surfaces,
    build_surfaces,
    conditional_quantiles,
    conditional_scales,
)

__all__ = ["doubtful_doctors", "draw_conditionals", "draw_exactly", "leaving_doctors"]

Array = NDArray[np.float64]

_SINGLE_PRECISION_FROM = 4_000_000  # draws of doctor effects
_TABLE = 256  # doctors whose surfaces are built together
_CHUNK = 1 << 15
_EXACT = 16  # doctors drawn exactly together


# Whether a doctor's quantile surface may stand for his conditional, and draws where it may not
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


def draw_conditionals(
    curves: Curves, shifts: Shifts, sigma: Array, *, seed: int, compiled: bool
) -> NDArray[np.floating]:
    """Draw every doctor's effect u, given his curve's shift and the doctor SD of every draw.

    The curves give t = u + shift; what is returned is u.

    Doctors whose quantile surface fails a comparison with the inverted density, or sends a draw
    where no conditional reaches, are drawn by inverting the density of every draw.

    Each doctor has a random stream of his own, so that his draws do not depend on how doctors
    are split up, and his scores are stratified: the midpoints of equally likely strata in random
    order, so that the draws of one doctor reproduce his posterior with little Monte Carlo error.
    From four million draws on they are kept in single precision.

    Parameters
    ----------
    sigma : (draw,)
    compiled : draw by compiled code, in threads; same distribution, other random orders

    Returns
    -------
    (doctor, draw)
    """
    n_doctors, n_draws = shifts.n_doctors, shifts.n_draws
    midpoints = normal_midpoints(n_draws)
    many = n_doctors * n_draws >= _SINGLE_PRECISION_FROM
    result = np.empty((n_doctors, n_draws), dtype=np.float32 if many else np.float64)
    ends = (float(sigma.min()), float(sigma.max()))
    lowest, highest = shifts.ranges()

    def work(first: int) -> None:
        part = slice(first, min(first + _TABLE, n_doctors))
        own, shift = curves.of(part), shifts.of(part)
        surfaces = build_surfaces(
            own,
            sigmas=ends,
            shifts=(lowest[part], highest[part]),
            largest_score=float(midpoints[-1]),
        )
        if compiled:
            from outcomekpi.engine.compiled_surfaces import draw_compiled

            draw_compiled(surfaces, shift, sigma, midpoints, result, part, seed)
        else:
            _draw(surfaces, shift, sigma, result[part], first, seed)
        failed = doubtful_doctors(surfaces, own, shift, sigma, first=first)
        if own.bows is not None:
            left = leaving_doctors(own, shift, sigma, result[part], surfaces.largest_score)
            failed = np.union1d(failed, left)
        for start in range(0, failed.size, _EXACT):
            doctors = failed[start : start + _EXACT]
            scores = _scores(doctors + first, sigma.size, seed)
            drawn = draw_exactly(own.of(doctors), shift[doctors], sigma, scores)
            result[doctors + first] = drawn - shift[doctors]

    firsts = list(range(0, n_doctors, _TABLE))
    if compiled:
        in_threads(work, firsts)
    else:
        for first in firsts:
            work(first)
    return result


def _draw(
    surfaces: Surfaces,
    shift: Array,
    sigma: Array,
    out: NDArray[np.floating],
    first: int,
    seed: int,
) -> None:
    """Fill ``out`` (doctor, draw) with the draws of the doctors from ``first`` on."""
    step = max(1, _CHUNK // sigma.size)
    for start in range(0, out.shape[0], step):
        part = slice(start, min(start + step, out.shape[0]))
        scores = _scores(np.arange(part.start, part.stop) + first, sigma.size, seed)
        out[part] = surfaces.draw(part, shift[part], sigma, scores) - shift[part]


def _scores(doctors: NDArray[np.intp], n_draws: int, seed: int) -> Array:
    """Stratified normal scores in every doctor's own order, (doctor, draw)."""
    return np.stack([shuffled_midpoints(n_draws, "doctor", int(j), seed) for j in doctors])
