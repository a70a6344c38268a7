"""Gaussian outcomes: draws of hospitals' and doctors' effects given everything else."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from outcomekpi.adjustment.quadrature.gaussian_sums import Sums

__all__ = ["GivenDraws", "draw_doctors", "draw_hospitals"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_CHUNK = 1 << 16
_DOCTORS, _HOSPITALS = 0, 1  # first word of each unit's own stream


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GivenDraws:
    """Draws that the effects are drawn given.

    Attributes
    ----------
    beta : (draw, column), differences from ``sums.offset``
    ratio, hospital_ratio : (draw,), sd_doctor and sd_hospital over sd_residual
    sd : (draw,), sd_residual
    """

    beta: Array
    ratio: Array
    hospital_ratio: Array
    sd: Array

    def residuals(self, means: Array) -> Array:
        """Mean outcome less its prediction without effects, (doctor, draw)."""
        return means[:, -1:] - means[:, :-1] @ self.beta.T


def _scores(seed: int, kind: int, units: Index, midpoints: Array) -> Array:
    """Stratified normal scores of some units, each from a stream of its own, (unit, draw).

    Spawned streams: seeds that are lists of numbers collide when they end in zeros.
    """
    scores = np.empty((units.size, midpoints.size))
    for row, unit in enumerate(units):
        stream = np.random.SeedSequence(seed, spawn_key=(kind, int(unit)))
        scores[row] = np.random.default_rng(stream).permutation(midpoints)
    return scores


def _midpoints(n_draws: int) -> Array:
    result: Array = ndtri((np.arange(n_draws) + 0.5) / n_draws)
    return result


def draw_hospitals(
    sums: Sums, given: GivenDraws, code: Index, n_hospitals: int, *, seed: int
) -> Array:
    """Draw the effect of every hospital given fixed effects and SDs, doctors integrated out.

    Parameters
    ----------
    code : (doctor,), hospital of each doctor

    Returns
    -------
    (hospital, draw)

    Notes
    -----
    With w_j = n_j / (1 + n_j r²) and residuals e_j of the doctors' means, the effect is normal
    with mean ``k² sum w_j e_j / (1 + k² sum w_j)`` and variance ``s² k² / (1 + k² sum w_j)``.
    """
    n_draws = given.sd.size
    order = np.argsort(code, kind="stable")
    bounds = np.concatenate(([0], np.cumsum(np.bincount(code, minlength=n_hospitals))))
    midpoints = _midpoints(n_draws)
    step = max(1, _CHUNK // n_draws)
    result = np.empty((n_hospitals, n_draws))
    for hospital in range(n_hospitals):
        total, weighted = np.zeros(n_draws), np.zeros(n_draws)
        for first in range(bounds[hospital], bounds[hospital + 1], step):
            doctors = order[first : min(first + step, bounds[hospital + 1])]
            counts = sums.counts[doctors, None]
            weight = counts / (1.0 + counts * given.ratio**2)
            total += weight.sum(axis=0)
            weighted += np.einsum("jd,jd->d", weight, given.residuals(sums.means[doctors]))
        shrunk = given.hospital_ratio**2 / (1.0 + given.hospital_ratio**2 * total)
        score = _scores(seed, _HOSPITALS, np.array([hospital]), midpoints)[0]
        result[hospital] = shrunk * weighted + given.sd * np.sqrt(shrunk) * score
    return result


def draw_doctors(
    sums: Sums,
    given: GivenDraws,
    hospital_part: tuple[Array, Index] | None,
    *,
    seed: int,
    dtype: type[np.floating],
) -> NDArray[np.floating]:
    """Draw the effect of every doctor given fixed effects, SDs and hospital effects.

    Each doctor has a random stream of his own and stratified scores, as in the other families.

    Parameters
    ----------
    hospital_part : effects (hospital, draw) and hospital of each doctor (doctor,), or None

    Returns
    -------
    (doctor, draw), of ``dtype``

    Notes
    -----
    With g = 1 / (1 + n r²), e the residual of his mean and v his hospital's effect, the effect
    is normal with mean ``n r² g (e - v)`` and variance ``s² r² g``.
    """
    n_doctors, n_draws = sums.counts.size, given.sd.size
    midpoints = _midpoints(n_draws)
    squared, sd_doctor = given.ratio**2, given.sd * given.ratio
    result = np.empty((n_doctors, n_draws), dtype=dtype)
    step = max(1, _CHUNK // n_draws)
    for first in range(0, n_doctors, step):
        part = slice(first, min(first + step, n_doctors))
        center = given.residuals(sums.means[part])
        if hospital_part is not None:
            effects, code = hospital_part
            center -= effects[code[part]]
        growth = sums.counts[part, None] * squared
        center *= growth
        growth += 1.0
        center /= growth
        scores = _scores(seed, _DOCTORS, np.arange(part.start, part.stop), midpoints)
        scores *= sd_doctor
        scores /= np.sqrt(growth, out=growth)
        result[part] = np.add(center, scores, out=center)
    return result
