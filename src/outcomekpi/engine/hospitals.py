"""Draws of every hospital effect, the doctors' own effects integrated out.

With t = v + shift, the integral of exp(C(t + d)) N(d; 0, sigma²) over a doctor's own effect d
depends on t and sigma alone. It is tabulated once for a few values of sigma; the curve of any
draw is a mixture of those tables.
"""

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from outcomekpi.engine.curves import Curves
from outcomekpi.engine.nesting import NestedTarget, inner_integrals
from outcomekpi.engine.quantiles import find_quantiles
from outcomekpi.engine.scores import shuffled_midpoints

__all__ = ["draw_hospitals"]

Array = NDArray[np.float64]

_UNITS = 1 << 12
_TABLE_NODES, _SIGMAS = 49, 8
_HEIGHTS = (11, 25)


def draw_hospitals(
    target: NestedTarget, curves: Curves, shift: Array, sigma: Array, omega: Array, *, seed: int
) -> Array:
    """Draw every hospital effect from its conditional given theta.

    The log density is evaluated at 11 nodes around the mode, 25 where it is skewed, interpolated by
    a cubic spline and inverted at stratified scores.

    Parameters
    ----------
    curves : of the doctors at the mode
    shift : (doctor, draw)
    sigma, omega : (draw,)

    Returns
    -------
    (hospital, draw)
    """
    n_draws, n_hospitals = sigma.size, target.n_hospitals
    scores = np.stack(
        [shuffled_midpoints(n_draws, "hospital", index, seed) for index in range(n_hospitals)]
    )
    tables = _tabulate(target, curves, float(sigma.min()), float(sigma.max()))
    mixture = _mixture(sigma)
    result = np.empty((n_hospitals, n_draws))
    step = max(1, _UNITS // target.order.size)
    for first in range(0, n_draws, step):
        part = slice(first, min(first + step, n_draws))
        marginals = _mix(tables, mixture[part], shift[:, part])
        wide = np.repeat(omega[part], n_hospitals)
        center, scale = _center(target, marginals, wide)

        def height(v: Array, marginals: Curves = marginals, wide: Array = wide) -> Array:
            heights = target.by_hospital(marginals.value(target.to_doctors(v)))
            result: Array = heights - 0.5 * (v / wide[:, None]) ** 2
            return result

        drawn = find_quantiles(
            height, center, scale, scores[:, part].T.reshape(-1, 1), n_heights=_HEIGHTS
        )[:, 0]
        result[:, part] = drawn.reshape(-1, n_hospitals).T
    return result


def _ends(lower: float, upper: float) -> tuple[float, float, float]:
    """Offset and ends of xi = log(sigma + offset), in which the tables are interpolated."""
    offset = 0.2 * (lower * upper) ** 0.5
    return offset, float(np.log(lower + offset)), float(np.log(upper + offset)) + 1e-9


def _tabulate(target: NestedTarget, curves: Curves, lower: float, upper: float) -> Curves:
    """Chebyshev coefficients in xi of the splines of every doctor's integral.

    Returns
    -------
    Curves whose ``coefficients`` are (order, 4, piece, doctor)
    """
    from scipy.interpolate import CubicSpline

    offset, xi_lower, xi_upper = _ends(lower, upper)
    roots = -np.cos(np.pi * np.arange(_SIGMAS) / (_SIGMAS - 1))
    sigmas = np.exp(0.5 * (xi_lower + xi_upper) + 0.5 * (xi_upper - xi_lower) * roots) - offset
    reach = curves.step * curves.coefficients.shape[1] + 9 * upper
    start = curves.lower - 4.5 * upper
    step = reach / (_TABLE_NODES - 1)
    nodes = start[:, None] + np.arange(_TABLE_NODES) * step[:, None]
    splines = [
        CubicSpline(
            np.arange(_TABLE_NODES),
            inner_integrals(
                curves, nodes, np.full(curves.lower.size, value), target.rule
            ).log_marginal,
            axis=1,
        ).c
        for value in np.clip(sigmas, lower, upper)
    ]
    inverse = np.linalg.inv(chebyshev.chebvander(roots, _SIGMAS - 1))
    return Curves(
        lower=start,
        step=step,
        coefficients=np.tensordot(inverse, np.array(splines), axes=1),
        center=curves.center,
        curvature=curves.curvature,
    )


def _mixture(sigma: Array) -> Array:
    """Chebyshev polynomials of every draw's xi, (draw, order)."""
    offset, lower, upper = _ends(float(sigma.min()), float(sigma.max()))
    scaled = (2 * np.log(sigma + offset) - lower - upper) / (upper - lower)
    return np.asarray(chebyshev.chebvander(scaled, _SIGMAS - 1), dtype=float)


def _mix(tables: Curves, mixture: Array, shift: Array) -> Curves:
    """Curves of all doctors at some draws, draw after draw, each moved by its shift."""
    n_draws = mixture.shape[0]
    mixed = np.tensordot(mixture, tables.coefficients, axes=1)  # (draw, 4, piece, doctor)
    return Curves(
        lower=(tables.lower[:, None] - shift).T.ravel(),
        step=np.tile(tables.step, n_draws),
        coefficients=np.moveaxis(mixed, 0, 2).reshape(*mixed.shape[1:3], -1),
        center=(tables.center[:, None] - shift).T.ravel(),
        curvature=np.tile(tables.curvature, n_draws),
    )


def _center(target: NestedTarget, marginals: Curves, omega: Array) -> tuple[Array, Array]:
    """Mode and Laplace standard deviation of each hospital effect, (draw * hospital,)."""
    center, precision = np.zeros(omega.size), omega**-2
    for _ in range(20):
        slope, bend = marginals.derivatives(target.to_doctors(center)[:, None])
        information = np.maximum(target.by_hospital(-bend[:, 0]), 0.0) + precision
        step = (target.by_hospital(slope[:, 0]) - center * precision) / information
        center = center + np.clip(step, -2.0, 2.0)
        if np.all(np.abs(step) * np.sqrt(information) < 0.05):
            break
    return center, information**-0.5
