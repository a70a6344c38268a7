"""Draws of every doctor's effect from its conditional given theta."""

import numpy as np
from numpy.typing import NDArray

from outcomekpi.engine.accuracy import (
    doubtful_doctors,
    draw_exactly,
    leaving_doctors,
)
from outcomekpi.engine.curves import Curves
from outcomekpi.engine.scores import normal_midpoints, shuffled_midpoints
from outcomekpi.engine.shifts import Shifts
from outcomekpi.engine.surfaces import Surfaces, build_surfaces
from outcomekpi.engine.threads import in_threads

__all__ = ["draw_conditionals"]

Array = NDArray[np.float64]

_SINGLE_PRECISION_FROM = 4_000_000  # draws of doctor effects
_TABLE = 256  # doctors whose surfaces are built together
_CHUNK = 1 << 15
_EXACT = 16  # doctors drawn exactly together


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
