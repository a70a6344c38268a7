"""Gaussian outcomes: draws of hospitals' and doctors' effects given everything else."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.engine.gaussian_sums import Sums
from outcomekpi.engine.scores import shuffled_midpoints

__all__ = ["GivenDraws", "draw_doctors", "draw_hospitals"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_CHUNK = 1 << 16


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
        score = shuffled_midpoints(n_draws, "hospital", hospital, seed)
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
        units = range(part.start, part.stop)
        scores = np.stack([shuffled_midpoints(n_draws, "doctor", unit, seed) for unit in units])
        scores *= sd_doctor
        scores /= np.sqrt(growth, out=growth)
        result[part] = np.add(center, scores, out=center)
    return result
