"""Draws of every doctor's effect from its conditional given theta."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from outcomekpi.adjustment.quadrature.curves import Curves
from outcomekpi.adjustment.quadrature.surfaces import build_surfaces

__all__ = ["draw_conditionals"]

Array = NDArray[np.float64]

_CHUNK = 1 << 15


def draw_conditionals(
    curves: Curves, shift: Array, sigma: Array, *, seed: int, dtype: type[np.floating]
) -> NDArray[np.floating]:
    """Draw every doctor's effect u, given his curve's shift and the doctor SD of every draw.

    The curves give t = u + shift; what is returned is u.

    Each doctor has a random stream of his own, so that his draws do not depend on how doctors
    are split up, and his scores are stratified: the midpoints of equally likely strata in random
    order, so that the draws of one doctor reproduce his posterior with little Monte Carlo error.

    Parameters
    ----------
    shift : (doctor, draw)
    sigma : (draw,)

    Returns
    -------
    (doctor, draw), of ``dtype``
    """
    n_doctors, n_draws = shift.shape
    midpoints = ndtri((np.arange(n_draws) + 0.5) / n_draws)
    ends = (float(sigma.min()), float(sigma.max()))
    result = np.empty((n_doctors, n_draws), dtype=dtype)
    step = max(1, _CHUNK // n_draws)
    table_step = 256
    for first in range(0, n_doctors, table_step):
        table = slice(first, min(first + table_step, n_doctors))
        surfaces = build_surfaces(
            curves.part(table),
            sigmas=ends,
            shifts=(shift[table].min(axis=1), shift[table].max(axis=1)),
            largest_score=float(midpoints[-1]),
        )
        for start in range(table.start, table.stop, step):
            part = slice(start, min(start + step, table.stop))
            scores = np.stack(
                [
                    np.random.default_rng((seed, doctor)).permutation(midpoints)
                    for doctor in range(part.start, part.stop)
                ]
            )
            local = slice(part.start - first, part.stop - first)
            result[part] = surfaces.draw(local, shift[part], sigma, scores) - shift[part]
    return result
