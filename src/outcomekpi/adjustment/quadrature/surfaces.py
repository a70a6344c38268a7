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
from scipy.special import ndtri

from outcomekpi.adjustment.quadrature.curves import Curves

__all__ = ["Surfaces", "build_surfaces", "invert_density"]

Array = NDArray[np.float64]

_GRID = 33
_DROP = 18.0


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

    def draw(self, doctors: slice, shift: Array, sigma: Array, score: Array) -> Array:
        """Draws of t for some doctors.

        Parameters
        ----------
        shift : (doctor, draw)
        sigma : (draw,)
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
    quantiles = _quantiles(curves, shift, sigma, largest_score * _nodes(n_score))
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


def _conditional_mode(curves: Curves, shift: Array, precision: Array, start: Array) -> Array:
    t = start
    for _ in range(12):
        slope, bend = curves.derivatives(t)
        information = np.maximum(-bend, 0.0) + precision
        step = (slope - (t - shift) * precision) / information
        t = t + np.clip(step, -2.0, 2.0)
        if np.all(np.abs(step) * np.sqrt(information) < 0.02):
            break
    return t


def _quantiles(curves: Curves, shift: Array, sigma: Array, scores: Array) -> Array:
    """Quantiles of exp(C(t)) N(t; shift, sigma²) at normal scores.

    Parameters
    ----------
    shift, sigma : (doctor, pull, shift) after broadcasting
    scores : (score,)

    Returns
    -------
    (doctor, pull, shift, score)
    """
    shift, sigma = np.broadcast_arrays(shift, sigma)
    precision = sigma**-2
    center = curves.center.reshape(-1, 1, 1)
    weight = curves.curvature.reshape(-1, 1, 1) / (curves.curvature.reshape(-1, 1, 1) + precision)
    mode = _conditional_mode(curves, shift, precision, shift + (center - shift) * weight)
    _, bend = curves.derivatives(mode)
    scale = (np.maximum(-bend, 0.0) + precision) ** -0.5

    def height(t: Array) -> Array:
        offset = (t.ndim - shift.ndim) * (None,)
        index = (..., *offset)
        return curves.value(t) - 0.5 * (t - shift[index]) ** 2 * precision[index]

    top = height(mode)
    ends = []
    for side in (-1.0, 1.0):
        width = 6.0 * scale
        for _ in range(6):
            drop = np.maximum(top - height(mode + side * width), 1e-3)
            width = np.minimum(width * np.clip(np.sqrt(_DROP / drop), 0.7, 1.6), 6.0 * sigma)
        ends.append(mode + side * width)
    fraction = np.linspace(0.0, 1.0, _GRID)
    grid = ends[0][..., None] + (ends[1] - ends[0])[..., None] * fraction
    return invert_density(grid, height(grid), scores)


def invert_density(grid: Array, log_density: Array, scores: Array) -> Array:
    """Quantiles of densities tabulated on equally spaced nodes, at normal scores.

    Parameters
    ----------
    grid, log_density : (..., node)
    scores : (score,) or (..., score)

    Returns
    -------
    (..., score)

    Notes
    -----
    The cumulative integral uses the four-point rule h/24 (-f₋₁ + 13 f₀ + 13 f₁ - f₂), from the
    left for the lower half and from the right for the upper half, and is inverted by cubic
    Hermite interpolation of t against its normal score, whose slope phi(z) / f(t) is known.
    """
    density = np.exp(log_density - log_density.max(axis=-1, keepdims=True))
    step = (grid[..., 1] - grid[..., 0])[..., None]
    edge = np.zeros((*density.shape[:-1], 1))
    padded = np.concatenate((edge, density, edge), axis=-1)
    increment = (step / 24) * (
        13 * (density[..., 1:] + density[..., :-1]) - padded[..., :-3] - padded[..., 3:]
    )
    increment = np.maximum(increment, 1e-300)
    left = np.cumsum(increment, axis=-1)
    right = np.cumsum(increment[..., ::-1], axis=-1)[..., ::-1]
    total = left[..., -1:]
    below, above = left[..., :-1] / total, right[..., 1:] / total
    z = np.where(below < 0.5, ndtri(np.minimum(below, 0.5)), -ndtri(np.minimum(above, 0.5)))
    phi = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    slope = phi * total / np.maximum(density[..., 1:-1], 1e-300)
    return _hermite(z, grid[..., 1:-1], slope, scores)


def _hermite(z: Array, t: Array, slope: Array, at: Array) -> Array:
    """Interpolate t(z) with known slopes dt/dz at each of ``at``; linear outside."""
    piece = (z[..., None] <= at[..., None, :]).sum(axis=-2) - 1
    piece = np.clip(piece, 0, z.shape[-1] - 2)

    def take(values: Array, ahead: int) -> Array:
        return np.take_along_axis(values, piece + ahead, axis=-1)

    z0, z1, t0, t1 = take(z, 0), take(z, 1), take(t, 0), take(t, 1)
    m0, m1 = take(slope, 0), take(slope, 1)
    width = np.maximum(z1 - z0, 1e-12)
    position = (at - z0) / width
    x = np.clip(position, 0.0, 1.0)
    inside = (
        t0 * (1 + 2 * x) * (1 - x) ** 2
        + m0 * width * x * (1 - x) ** 2
        + t1 * x**2 * (3 - 2 * x)
        + m1 * width * x**2 * (x - 1)
    )
    result: Array = inside + np.where(position < 0, m0 * (at - z0), 0.0)
    result += np.where(position > 1, m1 * (at - z1), 0.0)
    return result
