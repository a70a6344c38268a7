"""Draws of every doctor's effect from its conditional given theta."""

import numpy as np
from numpy.typing import NDArray

from outcomekpi.adjustment.quadrature.curves import Curves
from outcomekpi.adjustment.quadrature.scores import normal_midpoints, shuffled_midpoints
from outcomekpi.adjustment.quadrature.shifts import Shifts
from outcomekpi.adjustment.quadrature.surfaces import Surfaces, build_surfaces
from outcomekpi.adjustment.quadrature.threads import in_threads

__all__ = ["draw_conditionals"]

Array = NDArray[np.float64]

_SINGLE_PRECISION_FROM = 4_000_000  # draws of doctor effects
_TABLE = 256  # doctors whose surfaces are built together
_CHUNK = 1 << 15


def draw_conditionals(
    curves: Curves, shifts: Shifts, sigma: Array, *, seed: int, compiled: bool
) -> NDArray[np.floating]:
    """Draw every doctor's effect u, given his curve's shift and the doctor SD of every draw.

    The curves give t = u + shift; what is returned is u.

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
        surfaces = build_surfaces(
            curves.part(part),
            sigmas=ends,
            shifts=(lowest[part], highest[part]),
            largest_score=float(midpoints[-1]),
        )
        if compiled:
            from outcomekpi.adjustment.quadrature.compiled_surfaces import draw_compiled

            draw_compiled(surfaces, shifts.of(part), sigma, midpoints, result, part, seed)
        else:
            _draw(surfaces, shifts.of(part), sigma, result[part], first, seed)

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
        scores = np.stack(
            [
                shuffled_midpoints(sigma.size, "doctor", first + doctor, seed)
                for doctor in range(part.start, part.stop)
            ]
        )
        out[part] = surfaces.draw(part, shift[part], sigma, scores) - shift[part]
