"""Proposals for theta = (beta, log sigma): a normal at the mode, or a grid over sigma.

A normal in log sigma fails where the doctor SD is poorly determined: its density is finite at
sigma = 0, so that the left tail in log sigma is exponential. The grid tabulates the marginal
density of sigma and puts a normal for beta around the conditional mode at each sigma.
"""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from scipy.special import gammaln, ndtri

from outcomekpi.engine.evaluation import Anchor, log_posterior
from outcomekpi.engine.mode import Mode, Target, find_mode
from outcomekpi.engine.priors import largest_log_sigma
from outcomekpi.engine.scores import stratified_normals, stratified_uniforms

__all__ = [
    "Proposal",
    "describe_scores",
    "draw_scores",
    "inverse_root",
    "log_determinants",
    "propose_from_grid",
    "propose_normal",
]

Array = NDArray[np.float64]

_LOG_2PI = float(np.log(2 * np.pi))
_SMALLEST_SIGMA = 1e-3
_LARGEST_SIGMA = 50.0
_DROP = 12.0  # log density below the top at which the grid of sigma ends
_SOLVES = 6
_SWEEP = 33
_FINE = 2049


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Proposal:
    """Points of a proposal distribution.

    Attributes
    ----------
    thetas : (point, column + 1)
    scores : (point, column + 1), the standardized coordinates of each point
    log_density : (point,), log density of (beta, log sigma), normalized
    name : which proposal this is
    """

    thetas: Array
    scores: Array
    log_density: Array
    name: str

    def first(self, n_points: int) -> "Proposal":
        """Return the proposal with its first points only, which are a sample of their own."""
        return Proposal(
            thetas=self.thetas[:n_points],
            scores=self.scores[:n_points],
            log_density=self.log_density[:n_points],
            name=self.name,
        )


def propose_normal(mode: Mode, n_points: int, rng: np.random.Generator) -> Proposal:
    """Draw from the normal at the mode with the inverse information as its covariance."""
    scores = stratified_normals(n_points, mode.theta.size, rng)
    factor = inverse_root(mode.information)
    return Proposal(
        thetas=mode.theta + scores @ factor.T,
        scores=scores,
        log_density=_log_normal(scores) - np.log(np.diag(factor)).sum(),
        name="normal at the mode",
    )


def inverse_root(information: Array, *, least: float = 0.0) -> Array:
    """Lower triangular L with L L' the inverse of a symmetric matrix.

    Eigenvalues that are not positive come from rounding or from quadrature at doctor SDs far out;
    they are lifted to a 1e-8th of the largest, or to ``least``, if that is more. Whether they are
    is judged with ones on the diagonal: the information on an intercept may well be a 1e-8th
    of that on a slope.
    """
    diagonal = np.diag(information)
    if diagonal.min() > 0:
        scale = diagonal**-0.5
        values, vectors = np.linalg.eigh(information * np.outer(scale, scale))
        if values[0] > 1e-9:
            root: Array = np.linalg.cholesky((vectors / values) @ vectors.T)
            return scale[:, None] * root
    values, vectors = np.linalg.eigh(information)
    least = max(least, 1e-8 * values[-1], 1e-16)
    return np.linalg.cholesky((vectors / np.maximum(values, least)) @ vectors.T)


def _log_normal(scores: Array) -> Array:
    result: Array = -0.5 * (scores**2).sum(axis=1) - 0.5 * scores.shape[1] * _LOG_2PI
    return result


def _log_student(scores: Array, df: float) -> Array:
    d = scores.shape[1]
    constant = gammaln((df + d) / 2) - gammaln(df / 2) - 0.5 * d * np.log(df * np.pi)
    result: Array = constant - 0.5 * (df + d) * np.log1p((scores**2).sum(axis=1) / df)
    return result


def draw_scores(
    n_points: int,
    dimension: int,
    tail_df: float | None,
    rng: np.random.Generator,
    *,
    moments: tuple[Array, Array] | None = None,
) -> tuple[Array, Array]:
    """Standardized normal (or multivariate t) scores with their log density.

    Parameters
    ----------
    moments : mean (dimension,) and covariance to give them, None for 0 and 1

    Returns
    -------
    scores : (point, dimension)
    log_density : (point,)
    """
    scores = stratified_normals(n_points, dimension, rng)
    if tail_df is None:
        log_density = _log_normal(scores)
    else:
        scores *= np.sqrt(tail_df / rng.chisquare(tail_df, n_points))[:, None]
        log_density = _log_student(scores, tail_df)
    if moments is None:
        return scores, log_density
    root = np.linalg.cholesky(moments[1] + 1e-6 * np.eye(dimension))
    return moments[0] + scores @ root.T, log_density - np.log(np.diag(root)).sum()


def describe_scores(tail_df: float | None, moments: tuple[Array, Array] | None) -> str:
    """Name what was done to the scores of a proposal."""
    tails = "" if tail_df is None else f", t({tail_df:g}) tails"
    return tails + ("" if moments is None else ", recentered")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Ridge:
    """Conditional modes and spreads of beta along sigma, on Chebyshev nodes of xi.

    xi = log(sigma + offset) resolves small and large SDs alike; all coefficients are of
    polynomials in xi scaled to [-1, 1].
    """

    lower: float
    upper: float
    offset: float
    beta: Array
    factor: Array

    def sigma(self, xi: Array) -> Array:
        """Doctor SD at xi."""
        return np.exp(xi) - self.offset

    def _scaled(self, xi: Array) -> Array:
        return (2 * xi - self.lower - self.upper) / (self.upper - self.lower)

    def _mix(self, xi: Array, coefficients: Array) -> Array:
        """Evaluate polynomials with (order, ...) coefficients at every xi, (point, ...)."""
        basis = np.asarray(chebyshev.chebvander(self._scaled(xi), _SOLVES - 1), dtype=float)
        return np.tensordot(basis, coefficients, axes=1)

    def betas(self, xi: Array) -> Array:
        """Conditional modes (point, column)."""
        return self._mix(xi, self.beta)

    def factors(self, xi: Array) -> Array:
        """Lower triangular roots of the conditional covariances, (point, column, column)."""
        result: Array = np.tril(self._mix(xi, self.factor))
        diagonal = np.arange(result.shape[1])
        result[:, diagonal, diagonal] = np.exp(result[:, diagonal, diagonal])
        return result


def _conditional(target: Target, mode: Mode, sigma: float) -> tuple[Mode, float]:
    """Mode of beta given sigma, and the Laplace log density of sigma there."""
    theta = np.append(mode.beta, np.log(sigma))
    found = find_mode(target, theta, start=mode.local.center, fix_sigma=True)
    _, log_determinant = np.linalg.slogdet(found.information[:-1, :-1])
    return found, found.log_posterior - np.log(sigma) - 0.5 * float(log_determinant)


def _search_range(target: Target, mode: Mode) -> tuple[float, float]:
    """SDs between which the density of sigma lies within ``_DROP`` of its top."""
    upper_bound = min(_LARGEST_SIGMA, float(np.exp(largest_log_sigma(target.sd_prior))))
    spread = float(np.clip(np.abs(mode.information[-1, -1]), 1.0, None)) ** -0.5
    _, top = _conditional(target, mode, mode.sigma)

    def end(step: float, bound: float) -> float:
        nonlocal top
        near, sigma = mode, mode.sigma
        while sigma != bound:
            sigma = min(sigma * step, bound) if step > 1 else max(sigma * step, bound)
            near, density = _conditional(target, near, sigma)
            top = max(top, density)
            if density < top - _DROP:
                break
        return sigma

    upper = end(float(np.exp(min(2.5 * spread, 0.7))), upper_bound)
    lower = end(float(np.exp(-3.0 * spread)), min(_SMALLEST_SIGMA, mode.sigma / 2))
    return lower, upper


def _trace_ridge(target: Target, mode: Mode, lower: float, upper: float) -> _Ridge:
    offset = 0.2 * mode.sigma
    xi_lower, xi_upper = np.log(lower + offset), np.log(upper + offset)
    nodes = np.cos(np.pi * np.arange(_SOLVES) / (_SOLVES - 1))
    betas, factors, near = [], [], mode
    for node in nodes:
        xi = 0.5 * (xi_lower + xi_upper) + 0.5 * (xi_upper - xi_lower) * node
        near, _ = _conditional(target, near, float(np.exp(xi) - offset))
        factor = inverse_root(
            near.information[:-1, :-1], least=0.5 * near.local.center.size / near.sigma**2
        )
        np.fill_diagonal(factor, np.log(np.diag(factor)))
        betas.append(near.beta)
        factors.append(factor)
    to_coefficients = np.linalg.inv(chebyshev.chebvander(nodes, _SOLVES - 1))
    return _Ridge(
        lower=float(xi_lower),
        upper=float(xi_upper),
        offset=offset,
        beta=np.einsum("ck,kp->cp", to_coefficients, np.array(betas)),
        factor=np.einsum("ck,kpq->cpq", to_coefficients, np.array(factors)),
    )


def log_determinants(factors: Array) -> Array:
    """Log determinants of triangular matrices with a positive diagonal."""
    result: Array = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    return result


def propose_from_grid(
    target: Target,
    anchor: Anchor,
    mode: Mode,
    n_points: int,
    rng: np.random.Generator,
    *,
    tail_df: float | None = None,
    moments: tuple[Array, Array] | None = None,
) -> Proposal:
    """Sigma from its tabulated marginal density, beta normal (or t) given sigma.

    Parameters
    ----------
    tail_df : degrees of freedom of a t distribution for beta, None for the normal
    moments : mean (column,) and covariance of the standardized beta, where weights have shown
        that they are not 0 and 1

    Notes
    -----
    log p(sigma) = log posterior(beta(sigma), sigma) + log |L(sigma)|, L L' the conditional
    covariance of beta: Laplace's approximation along the ridge (Tierney & Kadane 1986; Rue,
    Martino & Chopin 2009), evaluated at 33 points and interpolated by a cubic spline.
    """
    from scipy.interpolate import CubicSpline

    ridge = _trace_ridge(target, mode, *_search_range(target, mode))
    sweep = np.linspace(ridge.lower, ridge.upper, _SWEEP)
    log_sigma = np.log(ridge.sigma(sweep))
    path = np.column_stack((ridge.betas(sweep), log_sigma))
    log_root = log_determinants(ridge.factors(sweep))
    exact = log_posterior(target, anchor, path) - log_sigma + log_root
    curve = CubicSpline(sweep, exact - exact.max())

    fine = np.linspace(ridge.lower, ridge.upper, _FINE)
    density = np.exp(curve(fine) + fine)  # d sigma / d xi = exp(xi)
    area = 0.5 * (density[1:] + density[:-1]) * (fine[1] - fine[0])
    cumulative = np.concatenate(([0.0], np.cumsum(area)))
    uniforms = stratified_uniforms(n_points, 1, rng)[:, 0]
    xi = np.interp(uniforms * cumulative[-1], cumulative, fine)

    normals, log_scores = draw_scores(n_points, mode.theta.size - 1, tail_df, rng, moments=moments)
    factor = ridge.factors(xi)
    beta = ridge.betas(xi) + np.einsum("mpq,mq->mp", factor, normals)
    log_sigma = np.log(ridge.sigma(xi))
    log_root = log_determinants(factor)
    return Proposal(
        thetas=np.column_stack((beta, log_sigma)),
        scores=np.column_stack((normals, ndtri(uniforms))),
        log_density=curve(xi) - np.log(cumulative[-1]) + log_sigma + log_scores - log_root,
        name="grid over the doctor SD" + describe_scores(tail_df, moments),
    )
