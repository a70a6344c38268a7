"""Doctor curves: each doctor's log-likelihood of his own effect, tabulated once.

At fixed effects beta + delta the curve is nearly that at beta, moved by the doctor's mean
covariates times delta (exactly so for the intercept and for a doctor whose cases are alike).
With t = u + shift the conditional of t is exp(C(t)) N(t; shift, sigma²): one table of C per
doctor serves every draw.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from outcomekpi.adjustment.quadrature.integration import center_effects
from outcomekpi.adjustment.quadrature.kernels import Kernel, clipped_exp

__all__ = ["Curves", "spline_curves", "tabulate_curves"]

Array = NDArray[np.float64]

_NODES = 41
_DROP = 20.0  # log density below the mode at which the table ends


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curves:
    """Cubic splines of all doctors' curves on equally spaced nodes.

    Attributes
    ----------
    lower, step : (doctor,), first node and distance between nodes
    coefficients : (4, piece, doctor), of powers 3, 2, 1, 0 of the distance in steps
    center : (doctor,), mode of the conditional at the largest doctor SD, where shift is 0
    curvature : (doctor,), -C'' there
    """

    lower: Array
    step: Array
    coefficients: Array
    center: Array
    curvature: Array

    def part(self, doctors: slice) -> "Curves":
        """Return the curves of some of the doctors."""
        return Curves(
            lower=self.lower[doctors],
            step=self.step[doctors],
            coefficients=self.coefficients[:, :, doctors],
            center=self.center[doctors],
            curvature=self.curvature[doctors],
        )

    def _pieces(self, t: Array) -> tuple[Array, Array, tuple[Array, Array, Array, Array]]:
        """Distance into the piece, distance beyond the table, coefficients, at t (doctor, ...)."""
        shape = (-1, *[1] * (t.ndim - 1))
        position = (t - self.lower.reshape(shape)) / self.step.reshape(shape)
        n_pieces = self.coefficients.shape[1]
        inside = np.clip(position, 0.0, n_pieces)
        piece = np.minimum(inside.astype(np.intp), n_pieces - 1)
        doctor = np.arange(t.shape[0]).reshape(shape)
        flat = self.coefficients.reshape(4, -1)
        at = piece * self.lower.size + doctor
        return (
            inside - piece,
            position - inside,
            (flat[0][at], flat[1][at], flat[2][at], flat[3][at]),
        )

    def value(self, t: Array) -> Array:
        """C at t (doctor, ...), up to a constant per doctor; straight lines beyond the table."""
        x, beyond, (a, b, c, d) = self._pieces(t)
        result: Array = ((a * x + b) * x + c) * x + d
        if beyond.any():
            result += beyond * ((3 * a * x + 2 * b) * x + c)
        return result

    def derivatives(self, t: Array) -> tuple[Array, Array]:
        """Return C' and C'' at t (doctor, ...); beyond the table, those at its end."""
        x, _, (a, b, c, _) = self._pieces(t)
        step = self.step.reshape(-1, *[1] * (t.ndim - 1))
        return ((3 * a * x + 2 * b) * x + c) / step, (6 * a * x + 2 * b) / step**2


def _end(
    kernel: Kernel, size: Array, sigma: float, center: Array, scale: Array, side: float
) -> Array:
    """Distance from the center at which each doctor's conditional has fallen by ``_DROP``."""

    def height(t: Array) -> Array:
        partition = kernel.log_partition(size, clipped_exp(t[None]))[0]
        result: Array = kernel.rows.y_doctor * t - partition - 0.5 * (t / sigma) ** 2
        return result

    top = height(center)
    width = 6.5 * scale
    for _ in range(6):
        drop = np.maximum(top - height(center + side * width), 1e-3)
        wider = np.minimum(width * np.clip(np.sqrt(_DROP / drop), 1.0, 2.0), 6.5 * sigma)
        if np.all(wider <= width * 1.02):
            break
        width = np.maximum(wider, width)
    return width


def tabulate_curves(
    kernel: Kernel,
    beta: Array,
    *,
    center: Array,
    sigmas: tuple[float, float],
    shifts: tuple[Array, Array],
) -> Curves:
    """Tabulate every doctor's curve over the range that the posterior visits.

    Parameters
    ----------
    beta : (column,), fixed effects at the mode
    center : (doctor,), where the search for each conditional's mode begins
    sigmas : smallest and largest doctor SD among the draws
    shifts : (doctor,) each, smallest and largest shift among the draws
    """
    size = kernel.sizes(beta)
    lower, upper = np.full(center.size, np.inf), np.full(center.size, -np.inf)
    curvature = np.empty(center.size)
    for sigma in sigmas:
        center, curvature, _ = center_effects(kernel, size, sigma, center)
        scale = (curvature + sigma**-2) ** -0.5
        pull = np.minimum(1.5 / (1 + curvature * sigma**2), 1.0)
        left = _end(kernel, size, sigma, center, scale, -1.0)
        right = _end(kernel, size, sigma, center, scale, 1.0)
        lower = np.minimum(lower, center - left + pull * np.minimum(shifts[0], 0.0))
        upper = np.maximum(upper, center + right + pull * np.maximum(shifts[1], 0.0))
    return replace(
        spline_curves(kernel, beta[None], lower[None], upper[None]),
        center=center,
        curvature=curvature,
    )


def spline_curves(kernel: Kernel, betas: Array, lower: Array, upper: Array) -> Curves:
    """Tabulate the curves of all doctors at many fixed effects, theta after theta.

    Parameters
    ----------
    betas : (theta, column)
    lower, upper : (theta, doctor), ends of the tables

    Returns
    -------
    Curves of theta * doctor units; ``center`` and ``curvature`` are those of the highest node
    """
    from scipy.interpolate import CubicSpline

    step = (upper - lower) / (_NODES - 1)
    nodes = lower[:, None] + np.arange(_NODES)[:, None] * step[:, None]
    heights = kernel.rows.y_doctor * nodes
    heights -= kernel.log_partitions(betas, clipped_exp(nodes))
    heights = np.moveaxis(heights, 1, 0).reshape(_NODES, -1)
    unit = np.arange(heights.shape[1])
    top = np.clip(heights.argmax(axis=0), 1, _NODES - 2)
    bend = heights[top - 1, unit] - 2 * heights[top, unit] + heights[top + 1, unit]
    return Curves(
        lower=lower.ravel(),
        step=step.ravel(),
        coefficients=np.ascontiguousarray(CubicSpline(np.arange(_NODES), heights, axis=0).c),
        center=lower.ravel() + top * step.ravel(),
        curvature=-bend / step.ravel() ** 2,
    )
