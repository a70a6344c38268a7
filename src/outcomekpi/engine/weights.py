"""Importance weights: how good they are, and draws of theta from them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.errors import EngineError

__all__ = [
    "Resampled",
    "Surrogate",
    "Weights",
    "assess_weights",
    "pareto_shape",
    "predict_weights",
    "refusal",
    "resample",
    "systematic",
]

Array = NDArray[np.float64]

_EVEN = 3.0  # largest weight in means, up to which a tail is none


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weights:
    """Exact importance weights at the first points of a proposal.

    Attributes
    ----------
    log_weights : (point,), largest 0
    efficiency : effective sample size divided by the number of points
    pareto_k : tail shape of the weights (nan below 100 points, 0 where they hardly vary)
    spread : standard deviation of the log weights
    """

    log_weights: Array
    efficiency: float
    pareto_k: float
    spread: float

    @property
    def acceptable(self) -> bool:
        """Whether the estimates that use these weights can be trusted.

        The limit on k is min(1 - 1/log10 M, 0.7) (Vehtari et al. 2024).
        """
        limit = min(1 - 1 / np.log10(self.log_weights.size), 0.7)
        return self.efficiency > 0.5 and not self.pareto_k > limit

    @property
    def good(self) -> bool:
        """Whether no better proposal need be looked for.

        Weights that hardly vary (efficiency above .95) move no mean by more than a quarter of
        a standard deviation even if they are wrong; else their variance must be finite by far,
        which a tail shape below one half says, and few points may carry most of them.
        """
        return self.efficiency > 0.95 or (self.efficiency > 0.75 and not self.pareto_k > 0.45)

    def describe(self, name: str, quadrature_error: float) -> str:
        """One clause on how a proposal did."""
        return (
            f"{name}: efficiency {self.efficiency:.2f}, Pareto k {self.pareto_k:.2f}, "
            f"quadrature error {quadrature_error:.3g}"
        )

    def diagnostics(
        self, name: str, quadrature_error: float, tried: list[str]
    ) -> dict[str, float | str]:
        """Return what the engine reports about its own accuracy."""
        return {
            "proposal": name,
            "exact_weights": float(self.log_weights.size),
            "effective_sample_size": self.efficiency * self.log_weights.size,
            "efficiency": self.efficiency,
            "pareto_k": self.pareto_k,
            "log_weight_sd": self.spread,
            "quadrature_error": quadrature_error,
            "attempts": "; ".join(tried),
        }


def refusal(tried: list[str], quadrature_tolerance: float) -> EngineError:
    """Return the error of an engine whose proposals have all been tried."""
    return EngineError(
        "The fast engine could not approximate this posterior well enough to be used. Tried "
        + "; ".join(tried)
        + ". Wanted efficiency above 0.5, Pareto k below 0.7 and a quadrature error below "
        f"{quadrature_tolerance:g}. Use engine='nuts', or stronger priors."
    )


def pareto_shape(log_weights: Array) -> float:
    """Shape of the generalized Pareto tail of the weights (Zhang & Stephens 2009).

    The tail holds min(M / 5, 3 sqrt(M)) of the M weights, and the estimate is drawn towards
    one half with the weight of ten observations, as in Vehtari et al. (2024), JMLR 25(72).
    """
    n = log_weights.size
    ordered = np.sort(np.exp(log_weights - log_weights.max()))
    tail_length = int(np.ceil(min(0.2 * n, 3 * np.sqrt(n))))
    excess = ordered[-tail_length:] - ordered[-tail_length - 1]
    if excess[-1] <= 0:
        return 0.0
    if excess[int(tail_length / 4 + 0.5) - 1] <= 1e-12 * excess[-1]:
        return float("inf")  # ties at the cut-off: a few weights tower over equal ones
    n_grid = 30 + int(np.sqrt(tail_length))
    quartile = excess[int(tail_length / 4 + 0.5) - 1]
    b = 1 - np.sqrt(n_grid / (np.arange(1, n_grid + 1) - 0.5))
    b = b / (3 * quartile) + 1 / excess[-1]
    shapes = np.log1p(-b[:, None] * excess).mean(axis=1)
    likelihood = tail_length * (np.log(-b / shapes) - shapes - 1)
    posterior = 1 / np.exp(likelihood - likelihood[:, None]).sum(axis=1)
    b_mean = float((b * posterior).sum() / posterior.sum())
    shape = float(np.log1p(-b_mean * excess).mean())
    return (tail_length * shape + 10 * 0.5) / (tail_length + 10)


def assess_weights(log_weights: Array) -> Weights:
    """Effective sample size and tail shape of importance weights, (point,).

    The tail has no shape worth judging where the log weights vary by less than .05 (standard
    deviation), or where the efficiency is above .95 and no weight exceeds three times the mean: a
    fit to the last few percent of nearly equal weights finds any shape.
    """
    log_weights = log_weights - log_weights.max()
    weights = np.exp(log_weights)
    spread = float(log_weights.std())
    efficiency = float(weights.sum() ** 2 / (weights**2).sum() / weights.size)
    is_even = spread <= 0.05 or (efficiency > 0.95 and _EVEN * weights.mean() > 1.0)
    if log_weights.size < 100:
        pareto_k = float("nan")
    else:
        pareto_k = 0.0 if is_even else pareto_shape(log_weights)
    return Weights(log_weights=log_weights, efficiency=efficiency, pareto_k=pareto_k, spread=spread)


def weighted_sd(values: Array, log_weights: Array) -> float:
    """Return the standard deviation of (point,) values under their weights."""
    share = np.exp(log_weights - log_weights.max())
    mean = np.average(values, weights=share)
    return float(np.average((values - mean) ** 2, weights=share) ** 0.5)


def weighted_moments(weights: Weights, scores: Array) -> tuple[Array, Array]:
    """Mean and covariance of the scores (point, dimension) under the exact weights."""
    share = np.exp(weights.log_weights)
    known = scores[: share.size]
    mean = np.average(known, axis=0, weights=share)
    off = known - mean
    return mean, (off.T * (share / share.sum())) @ off


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resampled:
    """Draws of theta.

    Attributes
    ----------
    chosen : (draw,), positions of the draws among the points of the proposal
    log_weights : (draw,), exact or predicted, up to a constant
    residual : standard deviation of log weights left by the surrogate, where it was used
    """

    chosen: NDArray[np.intp]
    log_weights: Array
    residual: float


def systematic(weights: Array, n_draws: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Systematic resampling: each point is taken floor or ceil of n_draws w times.

    Returns
    -------
    (n_draws,), positions in random order
    """
    cumulative = np.cumsum(weights / weights.sum())
    at = (np.arange(n_draws) + rng.random()) / n_draws
    chosen = np.searchsorted(cumulative, at * cumulative[-1], side="right")
    return rng.permutation(np.minimum(chosen, weights.size - 1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surrogate:
    """Log weights of all points: exact where they are known, predicted elsewhere.

    Attributes
    ----------
    log_weights : (point,), up to a constant
    residual : standard deviation of what the prediction leaves of the exact ones, for as many
        observations as there are above the number of coefficients; 0 where all are exact
    """

    log_weights: Array
    residual: float


def predict_weights(weights: Weights, scores: Array) -> Surrogate:
    """Predict the log weights of the points that have no exact one.

    Notes
    -----
    Least squares on (1, z, z² - 1, z³ - 3z of the last score), or on (1, z) where there are too
    few exact weights for that, with a ridge of 1e-6.

    Parameters
    ----------
    scores : (point, dimension), of all points; the first ones have exact weights
    """
    exact = weights.log_weights
    if exact.size == scores.shape[0]:
        return Surrogate(log_weights=exact, residual=0.0)
    features = [np.ones((scores.shape[0], 1)), scores]
    if exact.size >= 4 * scores.shape[1]:
        last = scores[:, -1:]
        features += [scores**2 - 1, last**3 - 3 * last]
    table = np.hstack(features)
    known = table[: exact.size]
    normal = known.T @ known + 1e-6 * exact.size * np.eye(table.shape[1])
    coefficients = np.linalg.solve(normal, known.T @ exact)
    predicted = table @ coefficients
    spare = max(exact.size - table.shape[1], 1)
    residual = float((((exact - predicted[: exact.size]) ** 2).sum() / spare) ** 0.5)
    predicted[: exact.size] = exact
    return Surrogate(log_weights=predicted - predicted.max(), residual=residual)


def resample(weights: Weights, scores: Array, n_draws: int, rng: np.random.Generator) -> Resampled:
    """Draw among all points, with exact weights where they are known and predicted ones elsewhere.

    Parameters
    ----------
    scores : (point, dimension), of all points; the first ones have exact weights
    """
    known = predict_weights(weights, scores)
    chosen = systematic(np.exp(known.log_weights), n_draws, rng)
    return Resampled(chosen=chosen, log_weights=known.log_weights[chosen], residual=known.residual)
