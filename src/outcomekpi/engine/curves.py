"""Doctor curves: each doctor's log-likelihood of his own effect, tabulated once.

At fixed effects beta + delta the curve is nearly that at beta, moved by the doctor's mean
covariates times delta (exactly so for the intercept and for a doctor whose cases are alike).
With t = u + shift the conditional of t is exp(C(t)) N(t; shift, sigma²): one table of C per
doctor serves every draw.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from outcomekpi.engine.integration import center_effects
from outcomekpi.engine.kernels import Kernel, clipped_exp
from outcomekpi.engine.quantiles import find_reach

__all__ = ["Bows", "Curves", "spline_curves", "tabulate_curves"]

Array = NDArray[np.float64]

_NODES = 41
_DROP = 20.0  # log density below the mode at which the table ends
_SKEWED = 0.3  # |C'''| s³ from which a curve is tabulated less its bow


# The bow of a doctor's curve: what it would be if his cases were all alike
_LEAST_SHARE = 1e-15
_FARTHEST = 300.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bows:
    """Closed forms taken out of the curves before they are tabulated.

    Attributes
    ----------
    center, curvature : (doctor,), c and W
    lean : (doctor,), p in [0, 1]
    """

    center: Array
    curvature: Array
    lean: Array

    def of(self, doctors: slice | NDArray[np.intp]) -> "Bows":
        """Return the bows of some of the doctors."""
        return Bows(
            center=self.center[doctors],
            curvature=self.curvature[doctors],
            lean=self.lean[doctors],
        )

    def _terms(self, t: Array) -> tuple[Array, Array, Array, Array, Array]:
        """Weight, sign, share, argument and growth; p above one half is its mirror image."""
        shape = (-1, *[1] * (t.ndim - 1))
        lean = self.lean.reshape(shape)
        sign = np.where(lean > 0.5, -1.0, 1.0)
        share = np.maximum(np.minimum(lean, 1.0 - lean), _LEAST_SHARE)
        x = np.clip(sign * (t - self.center.reshape(shape)), -_FARTHEST, _FARTHEST)
        return self.curvature.reshape(shape), sign, share, x, np.expm1(x)

    def value(self, t: Array) -> Array:
        """-W G at t (doctor, ...)."""
        weight, _, share, x, growth = self._terms(t)
        bent = np.log1p(share * growth) / share - x
        result: Array = -weight / (1.0 - share) * bent
        return result

    def derivatives(self, t: Array) -> tuple[Array, Array]:
        """First and second derivative of -W G at t (doctor, ...)."""
        weight, sign, share, _, growth = self._terms(t)
        odds = 1.0 + share * growth
        return -weight * sign * growth / odds, -weight * (growth + 1.0) / odds**2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curves:
    """Cubic splines of all doctors' curves on equally spaced nodes.

    Attributes
    ----------
    lower, step : (doctor,), first node and distance between nodes
    coefficients : (4, piece, doctor), of powers 3, 2, 1, 0 of the distance in steps
    center : (doctor,), mode of the conditional at the largest doctor SD, where shift is 0
    curvature : (doctor,), -C'' there
    bows : what was taken out of the curves before they were tabulated, where some are skewed
    """

    lower: Array
    step: Array
    coefficients: Array
    center: Array
    curvature: Array
    bows: Bows | None = None

    def of(self, doctors: slice | NDArray[np.intp]) -> "Curves":
        """Return the curves of some of the doctors."""
        return Curves(
            lower=self.lower[doctors],
            step=self.step[doctors],
            coefficients=self.coefficients[:, :, doctors],
            center=self.center[doctors],
            curvature=self.curvature[doctors],
            bows=None if self.bows is None else self.bows.of(doctors),
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
        if self.bows is not None:
            result += self.bows.value(t)
        return result

    def derivatives(self, t: Array) -> tuple[Array, Array]:
        """Return C' and C'' at t (doctor, ...); beyond the table, those at its end."""
        x, _, (a, b, c, _) = self._pieces(t)
        step = self.step.reshape(-1, *[1] * (t.ndim - 1))
        slope, bend = ((3 * a * x + 2 * b) * x + c) / step, (6 * a * x + 2 * b) / step**2
        if self.bows is not None:
            bowed = self.bows.derivatives(t)
            slope, bend = slope + bowed[0], bend + bowed[1]
        return slope, bend


def _ends(
    kernel: Kernel, size: Array, sigma: float, center: Array, scale: Array
) -> tuple[Array, Array]:
    """Distances below and above the center at which each conditional has fallen by ``_DROP``."""

    def height(t: Array) -> Array:
        partition = kernel.log_partition(size, clipped_exp(t.T)).T
        result: Array = kernel.rows.y_doctor[:, None] * t - partition - 0.5 * (t / sigma) ** 2
        return result

    top = height(center[:, None])[:, 0]
    below, above = (find_reach(height, center, scale, top, side, _DROP) for side in (-1.0, 1.0))
    return below, above


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
        center, curvature, third = center_effects(kernel, size, sigma, center)
        scale = (curvature + sigma**-2) ** -0.5
        pull = np.minimum(1.5 / (1 + curvature * sigma**2), 1.0)
        left, right = _ends(kernel, size, sigma, center, scale)
        lower = np.minimum(lower, center - left + pull * np.minimum(shifts[0], 0.0))
        upper = np.maximum(upper, center + right + pull * np.maximum(shifts[1], 0.0))
    bows = None
    if float((third * scale**3).max()) > _SKEWED or float((third * scale**3).min()) < -_SKEWED:
        bows = _bows(center, curvature, third)
    return replace(
        spline_curves(kernel, beta[None], lower[None], upper[None], bows=bows),
        center=center,
        curvature=curvature,
    )


def _bows(center: Array, curvature: Array, third: Array) -> Bows:
    lean = 0.5 * (1.0 - third / np.maximum(curvature, 1e-300))
    return Bows(center=center, curvature=curvature, lean=np.clip(lean, 0.0, 1.0))


def spline_curves(
    kernel: Kernel, betas: Array, lower: Array, upper: Array, *, bows: Bows | None = None
) -> Curves:
    """Tabulate the curves of all doctors at many fixed effects, theta after theta.

    Parameters
    ----------
    betas : (theta, column)
    lower, upper : (theta, doctor), ends of the tables
    bows : of all units, taken out of the curves

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
    if bows is not None:
        places = np.moveaxis(nodes, 1, 0).reshape(_NODES, -1)
        heights = heights - bows.value(places.T).T
    return Curves(
        lower=lower.ravel(),
        step=step.ravel(),
        coefficients=np.ascontiguousarray(CubicSpline(np.arange(_NODES), heights, axis=0).c),
        center=lower.ravel() + top * step.ravel(),
        curvature=-bend / step.ravel() ** 2,
        bows=bows,
    )
