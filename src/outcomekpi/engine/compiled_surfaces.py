"""Draws from the quantile surfaces, compiled: twenty million in a fraction of a second."""

import numpy as np
from numba import njit
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from outcomekpi.engine.surfaces import Surfaces

__all__ = ["draw_compiled"]

Array = NDArray[np.float64]


@njit(nogil=True, cache=True)
def _shuffle(values, seed, doctor):  # type: ignore[no-untyped-def]
    """Fisher-Yates with a SplitMix64 stream of the doctor's own."""
    state = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) ^ (
        np.uint64(doctor + 1) * np.uint64(0xD1B54A32D192ED03)
    )
    for last in range(values.size - 1, 0, -1):
        state += np.uint64(0x9E3779B97F4A7C15)
        mixed = state
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
        other = np.int64(((mixed >> np.uint64(32)) * np.uint64(last + 1)) >> np.uint64(32))
        values[last], values[other] = values[other], values[last]


@njit(nogil=True, cache=True, fastmath=True)
def _draw_doctor(powers, place, reach, shift, sigma, score, work, out):  # type: ignore[no-untyped-def]
    """Evaluate one doctor's surface, a polynomial in (pull, shift, score), at every draw.

    The loops over draws are innermost, so that they become vector instructions.
    """
    target, curvature, pull_low, pull_high, move_low, move_high = place
    n_pull, n_score = powers.shape[0], powers.shape[2]
    x, y, plane, total = work[0], work[1], work[2], work[3]
    to_x, to_y = 2.0 / (pull_high - pull_low), 2.0 / (move_high - move_low)
    for s in range(sigma.size):
        pull = 1.0 / (1.0 + curvature * sigma[s] * sigma[s])
        x[s] = min(max((pull - pull_low) * to_x - 1.0, -1.0), 1.0)
        y[s] = min(max((shift[s] - move_low) * to_y - 1.0, -1.0), 1.0)
        total[s] = 0.0
    for c in range(n_score - 1, -1, -1):
        plane[:] = 0.0
        for a in range(n_pull - 1, -1, -1):
            p0, p1, p2 = powers[a, 0, c], powers[a, 1, c], powers[a, 2, c]
            for s in range(sigma.size):
                plane[s] = plane[s] * x[s] + ((p2 * y[s] + p1) * y[s] + p0)
        for s in range(sigma.size):
            total[s] = total[s] * (score[s] / reach) + plane[s]
    for s in range(sigma.size):
        pull = 1.0 / (1.0 + curvature * sigma[s] * sigma[s])
        center = target + (shift[s] - target) * pull
        out[s] = center + sigma[s] * np.sqrt(pull) * total[s] - shift[s]


@njit(nogil=True, cache=True)
def _draw_all(powers, places, reach, shift, sigma, midpoints, out, first, seed):  # type: ignore[no-untyped-def]
    """Shuffle the scores of every doctor and draw his effects."""
    score, work = np.empty_like(midpoints), np.empty((4, midpoints.size))
    for doctor in range(places.shape[0]):
        score[:] = midpoints
        _shuffle(score, seed, first + doctor)
        place = places[doctor]
        _draw_doctor(
            powers[doctor],
            (place[0], place[1], place[2], place[3], place[4], place[5]),
            reach,
            shift[doctor],
            sigma,
            score,
            work,
            out[doctor],
        )


def draw_compiled(
    surfaces: Surfaces,
    shift: Array,
    sigma: Array,
    midpoints: Array,
    out: NDArray[np.floating],
    doctors: slice,
    seed: int,
) -> None:
    """Fill rows ``doctors`` of ``out`` with draws of the doctors' effects.

    Parameters
    ----------
    surfaces : of these doctors
    shift : (doctor, draw), of these doctors
    sigma, midpoints : (draw,)
    out : (doctor, draw), of all doctors
    """
    powers = surfaces.coefficients
    for axis in (1, 2, 3):
        n = powers.shape[axis]
        to_powers = np.array([_padded(chebyshev.cheb2poly(row), n) for row in np.eye(n)])
        powers = np.moveaxis(np.tensordot(powers, to_powers, axes=(axis, 0)), -1, axis)
    places = np.column_stack(
        (
            surfaces.target,
            surfaces.curvature,
            *surfaces.pull_range,
            *surfaces.shift_range,
        )
    )
    _draw_all(
        np.ascontiguousarray(powers),
        places,
        surfaces.largest_score,
        shift,
        sigma,
        midpoints,
        out[doctors],
        doctors.start,
        seed,
    )


def _padded(coefficients: NDArray[np.floating], n: int) -> NDArray[np.floating]:
    return np.concatenate((coefficients, np.zeros(n - coefficients.size)))
