"""Least squares whose intervals allow for patients who are alike within doctors or hospitals."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

__all__ = ["ClusterFit", "WildWeights", "fit_clustered", "wild_bootstrap_interval"]

Floats = NDArray[np.float64]
WildWeights = Literal["signs", "six points"]
SIX_POINTS = np.array([-np.sqrt(1.5), -1.0, -np.sqrt(0.5), np.sqrt(0.5), 1.0, np.sqrt(1.5)])
ENUMERATE_UP_TO = 12
"""Clusters up to which every pattern of signs is tried: 4,096."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClusterFit:
    """A least-squares fit with what its clusters add to it.

    Attributes
    ----------
    coefficients : (term,)
    bread : (term, term), inverse of X'X
    root : (term, term), symmetric root of it
    squares : (cluster, term, term), X'X of each cluster
    scores : (cluster, term), X'e of each cluster
    leverage : (cluster, term, term), what undoes the pull of each cluster on its own residuals
    size : rows
    """

    coefficients: Floats
    bread: Floats
    root: Floats
    squares: Floats
    scores: Floats
    leverage: Floats
    size: int

    @property
    def clusters(self) -> int:
        """Number of clusters."""
        return int(self.scores.shape[0])

    @property
    def covariance(self) -> Floats:
        """(term, term), CR2: unbiased where patients are independent and alike."""
        pulled = self.scores @ self.root
        moved = np.einsum("gij,gj->gi", self.leverage, pulled) @ self.root
        return np.asarray(moved.T @ moved)

    def crude_covariance(self) -> Floats:
        """(term, term), CR1: the sandwich times G / (G - 1) x (N - 1) / (N - p)."""
        moved = self.scores @ self.bread
        count, terms = self.scores.shape
        factor = count / (count - 1) * (self.size - 1) / (self.size - terms)
        return np.asarray(factor * moved.T @ moved)

    def contrast(self, weights: Floats) -> tuple[float, float, float]:
        """Value, CR2 standard error and Satterthwaite degrees of freedom of weights'b.

        Parameters
        ----------
        weights : (term,)

        Notes
        -----
        Degrees of freedom (tr P)² / tr(P²), with P_gh = p_g'p_h and p_g = (I - H)_g' A_g X_g M c,
        under independent errors of one variance.
        """
        value = float(weights @ self.coefficients)
        variance = float(weights @ self.covariance @ weights)
        error = float(np.sqrt(max(variance, 0.0)))
        return value, error, self._degrees(weights)

    def _degrees(self, weights: Floats) -> float:
        pulled = np.einsum("gij,j->gi", self.leverage, self.root @ weights) @ self.root
        moved = np.einsum("gij,gj->gi", self.squares, pulled)
        own = np.einsum("gi,gi->g", pulled, moved)
        shared = np.einsum("gi,ij,gj->g", moved, self.bread, moved)
        gram = self.bread @ (moved.T @ moved)
        trace = float((own - shared).sum())
        square = float((own**2).sum() - 2.0 * (own * shared).sum() + np.trace(gram @ gram))
        return trace**2 / square if square > 0 else float("nan")


def fit_clustered(matrix: Floats, outcome: Floats, cluster: NDArray[np.intp]) -> ClusterFit:
    """Fit least squares and keep each cluster's part in it.

    Parameters
    ----------
    matrix : (row, term), of full rank
    outcome : (row,)
    cluster : (row,), number of each row's cluster from 0, without gaps

    Notes
    -----
    CR2 (Bell and McCaffrey 2002): A_g = (I - X_g M X_g')^(-1/2), M = (X'X)^(-1). With R = M^(1/2)
    and R X_g'X_g R = V diag(l) V', A_g X_g R = X_g R V diag((1 - l)^(-1/2)) V': matrices of the
    size of the terms. Where l = 1 the cluster alone determines a direction; its part is then 0,
    the Moore-Penrose inverse.

    References
    ----------
    Bell & McCaffrey (2002), Survey Methodology 28. Pustejovsky & Tipton (2018), Journal of
    Business & Economic Statistics 36.
    """
    terms = matrix.shape[1]
    count = int(cluster.max()) + 1
    squares = np.zeros((count, terms, terms))
    for left in range(terms):
        for right in range(left + 1):
            product = matrix[:, left] * matrix[:, right]
            squares[:, left, right] = np.bincount(cluster, weights=product, minlength=count)
            squares[:, right, left] = squares[:, left, right]
    values, vectors = np.linalg.eigh(squares.sum(axis=0))
    bread = (vectors / values) @ vectors.T
    root = (vectors / np.sqrt(values)) @ vectors.T
    coefficients = bread @ (matrix.T @ outcome)
    residual = outcome - matrix @ coefficients
    scores = np.column_stack(
        [np.bincount(cluster, weights=column * residual, minlength=count) for column in matrix.T]
    )
    pull, basis = np.linalg.eigh(root @ squares @ root)
    free = 1.0 - pull
    undone = np.where(free > 1e-10, 1.0 / np.sqrt(np.maximum(free, 1e-10)), 0.0)
    leverage = (basis * undone[:, None, :]) @ basis.transpose(0, 2, 1)
    return ClusterFit(
        coefficients=coefficients,
        bread=bread,
        root=root,
        squares=squares,
        scores=scores,
        leverage=leverage,
        size=matrix.shape[0],
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Restricted:
    """Scores of the fit with the contrast held at a value, linear in that value."""

    fit: ClusterFit
    weights: Floats
    slope: Floats
    drawn: Floats

    def p_value(self, value: float) -> float:
        """Share of drawn weights with a larger t than the data, given this value."""
        fit, weights = self.fit, self.weights
        away = float(weights @ fit.coefficients) - value
        scores = fit.scores + away * self.slope
        pull = weights @ fit.bread
        shift = self.drawn @ scores @ fit.bread
        spread = self.drawn[:, :, None] * scores[None, :, :]
        spread -= np.einsum("gij,bj->bgi", fit.squares, shift)
        error = np.sqrt(((spread @ pull) ** 2).sum(axis=1))
        seen = np.sqrt(((fit.scores @ pull) ** 2).sum())
        # |t*| >= |t| without a division: a pattern may leave no error at all, and its t is infinite
        found = np.abs(shift @ weights) * seen
        return float((found >= np.abs(away) * error * (1.0 - 1e-9)).mean())


def wild_bootstrap_interval(
    fit: ClusterFit,
    weights: Floats,
    *,
    level: float,
    draws: int = 1999,
    rng: np.random.Generator,
    law: WildWeights = "signs",
) -> tuple[float, float]:
    """Interval of a contrast by inverting the restricted wild cluster bootstrap.

    Parameters
    ----------
    fit : least squares with clusters
    weights : (term,)
    level : probability in (0, 1)
    draws : of the weights of clusters; up to 12 clusters every pattern of signs is tried instead
    rng : of the weights
    law : of the weights: signs (Rademacher), or Webb's six points, always drawn, where clusters
        are so few that all patterns of signs are not rare enough

    Returns
    -------
    lower, upper : values at which the p-value passes 1 - level; infinite where it never does, as
        with so few clusters that no pattern of signs is rare enough

    Notes
    -----
    Null imposed, studentized by CR1: the "WCR" of Cameron, Gelbach & Miller. The six points are
    plus and minus the roots of 1/2, 1 and 3/2.

    References
    ----------
    Cameron, Gelbach & Miller (2008), Review of Economics and Statistics 90. Webb (2013), Reworking
    wild bootstrap based inference for clustered errors, Queen's Economics Working Paper 1315.
    """
    direction = fit.bread @ weights / float(weights @ fit.bread @ weights)
    restricted = _Restricted(
        fit=fit,
        weights=weights,
        slope=np.einsum("gij,j->gi", fit.squares, direction),
        drawn=_draw_weights(fit.clusters, law, draws, rng),
    )
    value, error, _ = fit.contrast(weights)
    if error == 0:
        return value, value
    lower = _edge(restricted, value, -error, alpha=1.0 - level)
    return lower, _edge(restricted, value, error, alpha=1.0 - level)


def _draw_weights(count: int, law: WildWeights, draws: int, rng: np.random.Generator) -> Floats:
    """(draw, cluster), what the residuals of each cluster are multiplied with."""
    if law == "six points":
        return np.asarray(rng.choice(SIX_POINTS, size=(draws, count)))
    if count <= ENUMERATE_UP_TO:
        patterns = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    else:
        patterns = rng.integers(0, 2, size=(draws, count))
    return 2.0 * patterns.astype(np.float64) - 1.0


def _edge(restricted: _Restricted, value: float, step: float, *, alpha: float) -> float:
    """Walk outwards until the p-value falls below alpha, then find where it passes."""
    near, far = value, value + 2.0 * step
    for _ in range(12):
        if restricted.p_value(far) <= alpha:
            found = brentq(
                lambda at: restricted.p_value(at) - alpha - 1e-12, near, far, xtol=1e-9 * abs(step)
            )
            return float(found)
        near, far = far, value + 2.0 * (far - value)
    return float(np.copysign(np.inf, step))
