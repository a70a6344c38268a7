"""Proposal for the nested model: a grid over both SDs, normal (or t) fixed effects given them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from scipy.special import ndtri

from outcomekpi.declare.errors import EngineError
from outcomekpi.engine.nested_mode import (
    Base,
    Conditional,
    find_conditional_mode,
    nested_log_posterior,
)
from outcomekpi.engine.nesting import NestedTarget
from outcomekpi.engine.priors import largest_log_sigma
from outcomekpi.engine.proposal import (
    Proposal,
    describe_scores,
    draw_scores,
    inverse_root,
    log_determinants,
)
from outcomekpi.engine.scores import stratified_uniforms

__all__ = ["propose_nested"]

Array = NDArray[np.float64]

_SMALLEST_SD, _LARGEST_SD = 1e-3, 50.0
_NEAR, _FAR = 12.0, 40.0  # log density below the top at which an end of the grid is good
_SOLVES, _SWEEP, _FINE = 5, 17, 201
_FLOOR = 60.0  # log densities further below the top are all the same to the spline
_ROUNDS = 10
_WARM_STEPS = 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Plane:
    """Conditional modes and spreads of beta over both SDs.

    Attributes
    ----------
    ends : (2, 2), lower and upper xi = log(sd + offset) of each SD
    offset : (2,)
    beta, factor : Chebyshev coefficients over both, (order, order, ...)
    log_density : (solve, solve), Laplace log density at the nodes
    """

    ends: Array
    offset: Array
    beta: Array
    factor: Array
    log_density: Array

    def sds(self, xi: Array) -> Array:
        """Both SDs at (point, 2) coordinates."""
        return np.exp(xi) - self.offset

    def _basis(self, xi: Array) -> tuple[Array, Array]:
        scaled = (2 * xi - self.ends.sum(axis=1)) / (self.ends[:, 1] - self.ends[:, 0])
        first = np.asarray(chebyshev.chebvander(scaled[:, 0], _SOLVES - 1), dtype=float)
        second = np.asarray(chebyshev.chebvander(scaled[:, 1], _SOLVES - 1), dtype=float)
        return first, second

    def betas(self, xi: Array) -> Array:
        """Conditional modes (point, column)."""
        first, second = self._basis(xi)
        betas: Array = np.einsum("ma,mb,abp->mp", first, second, self.beta, optimize=True)
        return betas

    def factors(self, xi: Array) -> Array:
        """Lower triangular roots of the conditional covariances, (point, column, column)."""
        first, second = self._basis(xi)
        values = np.einsum("ma,mb,abpq->mpq", first, second, self.factor, optimize=True)
        result: Array = np.tril(values)
        diagonal = np.arange(result.shape[1])
        result[:, diagonal, diagonal] = np.exp(result[:, diagonal, diagonal])
        return result


def _warm_start(target: NestedTarget, base: Base, theta: Array) -> Conditional:
    """Move both SDs towards the mode by a few steps of expectation-maximization."""
    found = find_conditional_mode(target, base, theta)
    for _ in range(_WARM_STEPS):
        theta = found.theta.copy()
        theta[-2] = 0.5 * np.log(found.outer.square_doctor.mean())
        theta[-1] = 0.5 * np.log(found.outer.square_hospital.mean())
        found = find_conditional_mode(target, base, theta)
    return found


def _solve_plane(target: NestedTarget, base: Base, theta: Array, sds: Array) -> _Plane:
    """Solve for beta on the Chebyshev nodes between the given SDs, (2, 2)."""
    offset = 0.2 * np.sqrt(sds[:, 0] * sds[:, 1])
    ends = np.log(sds + offset[:, None])
    nodes = -np.cos(np.pi * np.arange(_SOLVES) / (_SOLVES - 1))
    xi = 0.5 * ends.sum(axis=1)[:, None] + 0.5 * (ends[:, 1] - ends[:, 0])[:, None] * nodes
    log_sds = np.log(np.clip(np.exp(xi) - offset[:, None], sds[:, :1], sds[:, 1:]))
    n = theta.size - 2
    beta, factor = np.empty((_SOLVES, _SOLVES, n)), np.empty((_SOLVES, _SOLVES, n, n))
    log_density = np.empty((_SOLVES, _SOLVES))
    for a in range(_SOLVES):
        for b in range(_SOLVES):
            theta = np.concatenate((theta[:-2], [log_sds[0, a], log_sds[1, b]]))
            found = find_conditional_mode(target, base, theta)
            theta = found.theta
            root = inverse_root(found.information)
            np.fill_diagonal(root, np.log(np.diag(root)))
            beta[a, b], factor[a, b], log_density[a, b] = theta[:-2], root, found.log_density
    inverse = np.linalg.inv(chebyshev.chebvander(nodes, _SOLVES - 1))
    return _Plane(
        ends=ends,
        offset=offset,
        beta=np.einsum("ca,db,abp->cdp", inverse, inverse, beta),
        factor=np.einsum("ca,db,abpq->cdpq", inverse, inverse, factor),
        log_density=log_density,
    )


def _fit_plane(target: NestedTarget, base: Base, start: Array) -> _Plane:
    """Widen or narrow the grid until the density at each of its ends is negligible, not absurd."""
    warm = _warm_start(target, base, start)
    priors = (target.sd_prior, target.sd_hospital_prior)
    bounds = np.array(
        [[_SMALLEST_SD, min(_LARGEST_SD, np.exp(largest_log_sigma(prior)))] for prior in priors]
    )
    sds = np.exp(warm.theta[-2:, None]) * np.array([[1 / 3, 2.5]])
    sds = np.clip(sds, bounds[:, :1], bounds[:, 1:])
    for _ in range(_ROUNDS):
        plane = _solve_plane(target, base, warm.theta, sds)
        top = plane.log_density.max()
        moved = False
        for axis in range(2):
            table = np.moveaxis(plane.log_density, axis, 0)
            for end, edge in enumerate((table[0].max(), table[-1].max())):
                drop, old = top - edge, sds[axis, end]
                if drop < _NEAR:
                    new = old * (0.4, 1.7)[end]
                    if end == 0 and new < 0.1 * sds[axis, 1]:
                        new = bounds[axis, 0]
                elif drop > _FAR:
                    new = old * (1.5, 0.75)[end]
                else:
                    continue
                sds[axis, end] = np.clip(new, *bounds[axis])
                moved |= bool(sds[axis, end] != old)
        if not moved:
            break
    return plane


def propose_nested(
    target: NestedTarget,
    base: Base,
    start: Array,
    n_points: int,
    rng: np.random.Generator,
    *,
    tail_df: float | None,
    moments: tuple[Array, Array] | None = None,
) -> Proposal:
    """Both SDs from their tabulated joint density, beta normal (or t) given them.

    Parameters
    ----------
    start : (column + 2,), theta to begin from
    tail_df : degrees of freedom of a t distribution for beta, None for the normal
    moments : mean (column,) and covariance of the standardized beta, where weights have shown
        that they are not 0 and 1
    """
    from scipy.interpolate import RectBivariateSpline

    plane = _fit_plane(target, base, start)
    if not (np.isfinite(plane.log_density).all() and (plane.ends[:, 1] > plane.ends[:, 0]).all()):
        raise EngineError(
            "The fast engine found no range of the doctor and hospital SDs in which this nested "
            "model has its posterior. Use engine='nuts', or stronger priors."
        )
    axes = [np.linspace(plane.ends[axis, 0], plane.ends[axis, 1], _SWEEP) for axis in range(2)]
    sweep = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    log_sds = np.log(np.maximum(plane.sds(sweep), _SMALLEST_SD))
    thetas = np.column_stack((plane.betas(sweep), log_sds))
    exact = nested_log_posterior(target, base, thetas) - log_sds.sum(axis=1)
    exact += log_determinants(plane.factors(sweep))
    exact = np.maximum(exact - exact.max(), -_FLOOR)
    surface = RectBivariateSpline(*axes, exact.reshape(_SWEEP, _SWEEP))

    uniforms = stratified_uniforms(n_points, 2, rng)
    xi, log_density = _draw_plane(surface, plane.ends, uniforms)
    normals, log_scores = draw_scores(n_points, start.size - 2, tail_df, rng, moments=moments)
    factor = plane.factors(xi)
    beta = plane.betas(xi) + np.einsum("mpq,mq->mp", factor, normals)
    log_sds = np.log(np.maximum(plane.sds(xi), _SMALLEST_SD / 2))
    return Proposal(
        thetas=np.column_stack((beta, log_sds)),
        scores=np.column_stack((normals, ndtri(uniforms))),
        log_density=log_density + log_sds.sum(axis=1) + log_scores - log_determinants(factor),
        name="grid over both SDs" + describe_scores(tail_df, moments),
    )


def _draw_plane(surface: Any, ends: Array, uniforms: Array) -> tuple[Array, Array]:
    """Draw (point, 2) coordinates from a tabulated log density of the SDs.

    Returns
    -------
    xi : (point, 2)
    log_density : (point,), of the two SDs, normalized
    """
    axes = [np.linspace(ends[axis, 0], ends[axis, 1], _FINE) for axis in range(2)]
    spacing = [axis[1] - axis[0] for axis in axes]
    jacobian = np.exp(axes[0])[:, None] * np.exp(axes[1])
    joint = np.exp(surface(*axes)) * jacobian
    marginal = _cumulate(joint.sum(axis=1) - 0.5 * (joint[:, 0] + joint[:, -1]))
    first = np.interp(uniforms[:, 0] * marginal[-1], marginal, axes[0])
    order = np.argsort(first)
    rows = np.empty((first.size, _FINE))
    rows[order] = np.exp(surface(first[order], axes[1])) * np.exp(axes[1])
    cumulative = np.apply_along_axis(_cumulate, 1, rows)
    second = np.array(
        [
            np.interp(u * total[-1], total, axes[1])
            for u, total in zip(uniforms[:, 1], cumulative, strict=True)
        ]
    )
    log_total = np.log(marginal[-1] * spacing[0] * spacing[1])
    return np.column_stack((first, second)), surface.ev(first, second) - log_total


def _cumulate(density: Array) -> Array:
    """Trapezoidal cumulative sum, in units of the spacing, beginning at 0."""
    return np.concatenate(([0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))))
