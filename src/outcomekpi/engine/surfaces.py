"""Quantile surfaces: each doctor's conditional quantiles as a function of shift and SD.

The conditional of t = u + shift has two parameters beside the doctor's curve: the shift and the
doctor SD. Its quantiles, measured from a Gaussian approximation, are smooth in both and in the
normal score z, so that a small tensor of Chebyshev coefficients per doctor turns every
(shift, sigma, z) into a draw. The SD enters through the pull kappa = 1 / (1 + W sigma²), in which
the Gaussian approximation is linear, down to sigma = 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from outcomekpi.engine.curves import Curves
from outcomekpi.engine.quantiles import find_quantiles

__all__ = ["Surfaces", "build_surfaces", "conditional_quantiles", "conditional_scales"]

Array = NDArray[np.float64]

_NEWTON_STEPS = 60


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surfaces:
    """Chebyshev coefficients of the standardized quantiles of every doctor.

    Attributes
    ----------
    coefficients : (doctor, pull, shift, score)
    target : (doctor,), t to which the pull shrinks from: mode of the curve's quadratic
    curvature : (doctor,), W of the pull
    pull_range, shift_range : (2, doctor), lower and upper ends of the tabulated range
    largest_score : |z| at which the tabulated range ends
    """

    coefficients: Array
    target: Array
    curvature: Array
    pull_range: Array
    shift_range: Array
    largest_score: float

    def draw(
        self, doctors: slice | NDArray[np.intp], shift: Array, sigma: Array, score: Array
    ) -> Array:
        """Draws of t for some doctors.

        Parameters
        ----------
        shift : (doctor, draw)
        sigma : (draw,) or (doctor, draw)
        score : (doctor, draw), standard normal

        Returns
        -------
        (doctor, draw)
        """
        curvature = self.curvature[doctors, None]
        pull = 1.0 / (1.0 + curvature * sigma**2)
        scale = sigma * np.sqrt(pull)
        target = self.target[doctors, None]
        center = target + (shift - target) * pull
        table = self.coefficients[doctors]
        n_doctors, n_pull, n_shift, n_score = table.shape
        basis = _basis(_scaled(pull, self.pull_range[:, doctors]), n_pull)
        mixed = np.matmul(
            np.moveaxis(basis, 0, -1), table.reshape(n_doctors, n_pull, n_shift * n_score)
        )
        mixed = np.moveaxis(mixed, -1, 0).reshape(n_shift, n_score, *shift.shape)
        rows = _basis(_scaled(shift, self.shift_range[:, doctors]), n_shift)
        by_score = mixed[0]
        for order in range(1, n_shift):
            by_score = by_score + rows[order] * mixed[order]
        z = _basis(score / self.largest_score, n_score)
        standardized = by_score[0] + sum(z[order] * by_score[order] for order in range(1, n_score))
        draws: Array = center + scale * standardized
        return draws


def _basis(x: Array, n: int) -> Array:
    """Chebyshev polynomials T_0 .. T_{n-1} at x, stacked first."""
    result = np.empty((n, *x.shape))
    result[0] = 1.0
    if n > 1:
        result[1] = x
    for order in range(2, n):
        np.multiply(2 * x, result[order - 1], out=result[order])
        result[order] -= result[order - 2]
    return result


def _scaled(values: Array, ends: Array) -> Array:
    """Map (doctor, draw) values from each doctor's range to [-1, 1]."""
    lower, upper = ends[0][:, None], ends[1][:, None]
    scaled: Array = np.clip((2 * values - lower - upper) / (upper - lower), -1.0, 1.0)
    return scaled


def _nodes(n: int) -> Array:
    """Chebyshev-Lobatto nodes in [-1, 1]."""
    return -np.cos(np.pi * np.arange(n) / (n - 1))


def _at(ends: Array, n: int) -> Array:
    """Nodes of each doctor's range, (doctor, n)."""
    middle, half = 0.5 * (ends[0] + ends[1]), 0.5 * (ends[1] - ends[0])
    nodes: Array = middle[:, None] + half[:, None] * _nodes(n)
    return nodes


def build_surfaces(
    curves: Curves,
    *,
    sigmas: tuple[float, float],
    shifts: tuple[Array, Array],
    largest_score: float,
) -> Surfaces:
    """Tabulate the quantile surfaces of the doctors over the range of the draws.

    Parameters
    ----------
    curves : of these doctors
    sigmas : smallest and largest doctor SD among the draws
    shifts : (doctor,) each, smallest and largest shift among the draws
    largest_score : largest |z| that will be asked for
    """
    wide = sigmas[1] / sigmas[0]
    n_pull = 3 if wide < 2.0 else 5 if wide < 5.0 else 8
    n_shift, n_score = 3, 6 if wide < 2.0 else 8
    if curves.bows is not None:  # quantiles bend where a flank begins
        n_pull, n_score = n_pull + 2, n_score + 4
    curvature = np.maximum(curves.curvature, 1e-6)
    slope, _ = curves.derivatives(curves.center[:, None])
    target = curves.center + slope[:, 0] / curvature
    pull_range = 1.0 / (1.0 + curvature * np.square(sigmas[::-1])[:, None])
    pull_range[1] += 1e-9
    margin = 1e-6 * np.sqrt(curvature + sigmas[1] ** -2) ** -1
    shift_range = np.stack((shifts[0] - margin, shifts[1] + margin))

    pull = _at(pull_range, n_pull)[:, :, None]
    sigma = np.sqrt((1.0 / np.clip(pull, 1e-12, 1 - 1e-12) - 1.0) / curvature[:, None, None])
    sigma = np.clip(sigma, *sigmas)
    shift = _at(shift_range, n_shift)[:, None, :]
    units = np.broadcast_arrays(shift, sigma)
    at_shift, at_sigma = (values.reshape(curves.center.size, -1) for values in units)
    quantiles = conditional_quantiles(curves, at_shift, at_sigma, largest_score * _nodes(n_score))
    quantiles = quantiles.reshape(*units[0].shape, n_score)
    pull = 1.0 / (1.0 + curvature[:, None, None] * sigma**2)
    center = target[:, None, None] + (shift - target[:, None, None]) * pull
    scale = sigma * np.sqrt(pull)
    standardized = (quantiles - center[..., None]) / scale[..., None]
    coefficients = np.einsum(
        "ag,bm,cz,jgmz->jabc",
        *[
            np.linalg.inv(chebyshev.chebvander(_nodes(n), n - 1))
            for n in (n_pull, n_shift, n_score)
        ],
        standardized,
        optimize=True,
    )
    return Surfaces(
        coefficients=coefficients,
        target=target,
        curvature=curvature,
        pull_range=pull_range,
        shift_range=shift_range,
        largest_score=largest_score,
    )


def conditional_quantiles(curves: Curves, shift: Array, sigma: Array, scores: Array) -> Array:
    """Quantiles of exp(C(t)) N(t; shift, sigma²) at normal scores.

    Parameters
    ----------
    shift, sigma : (doctor, unit) after broadcasting: a doctor's conditional at many thetas
    scores : (score,) or (doctor, unit, score)

    Returns
    -------
    (doctor, unit, score), of t
    """
    shift, sigma = np.broadcast_arrays(shift, sigma)
    precision = sigma**-2
    mode, scale = _conditional_mode(curves, shift, precision)

    def height(t: Array) -> Array:
        return curves.value(t) - 0.5 * (t - shift[..., None]) ** 2 * precision[..., None]

    return find_quantiles(height, mode, scale, scores, has_flanks=curves.bows is not None)


def conditional_scales(curves: Curves, shift: Array, sigma: Array) -> Array:
    """Laplace standard deviations of exp(C(t)) N(t; shift, sigma²), (doctor, unit)."""
    return _conditional_mode(curves, shift, np.broadcast_to(sigma, shift.shape) ** -2)[1]


def _conditional_mode(curves: Curves, shift: Array, precision: Array) -> tuple[Array, Array]:
    """Mode and Laplace standard deviation of the conditionals, (doctor, unit)."""
    curvature = curves.curvature[:, None]
    t = shift + (curves.center[:, None] - shift) * curvature / (curvature + precision)
    for _ in range(_NEWTON_STEPS):
        slope, bend = curves.derivatives(t)
        information = np.maximum(-bend, 0.0) + precision
        step = (slope - (t - shift) * precision) / information
        t = t + np.clip(step, -2.0, 2.0)
        if np.all(np.abs(step) * np.sqrt(information) < 0.02):
            break
    return t, information**-0.5
