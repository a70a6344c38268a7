"""What a model says about one doctor's events before seeing them: tails and marginal likelihood."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from scipy.special import expit, gammainc, gammaln, ndtr, ndtri

from outcomekpi.model.spec import Family

__all__ = ["DoctorView", "log_marginal", "over_draws", "upper_tails"]

Array = NDArray[np.float64]

COUNTED_BELOW = 12.0  # events (or non-events) below which the tail is summed exactly
SPACING = 0.25  # of the nodes of t, in the smaller of its two SDs
REACH_PRIOR, REACH_TAIL = 6.0, 8.0
TINY = 1e-15  # tails below are not told apart
INTEGRATION = np.linspace(-7.0, 7.0, 41)  # nodes of the marginal likelihood, conditional SDs


# Values of a smooth function of two parameters in every draw, from few evaluations
MEAN_NODES, SD_NODES = 11, 11
FEW_DRAWS = 250  # up to which every draw is evaluated
WIDEST = 6.0  # ratio of the largest to the smallest SD up to which the polynomial is trusted


def over_draws(function: Callable[[Array, Array], Array], mean: Array, sd: Array) -> Array:
    """Evaluate ``function(mean, sd)`` in every draw.

    Parameters
    ----------
    function : smooth; takes and returns (point,) arrays
    mean, sd : (sample,), sd > 0

    Returns
    -------
    (sample,)

    Notes
    -----
    For many draws the function is evaluated on an 11 x 11 grid of Chebyshev nodes in (mean,
    log sd) that spans the draws, and the tensor polynomial through them is read. Draws whose SDs
    differ by more than a factor of 6 are evaluated one by one.
    """
    if mean.size <= FEW_DRAWS or sd.max() > WIDEST * sd.min():
        return function(mean, sd)
    x, x_node = _scaled(mean, MEAN_NODES)
    z, z_node = _scaled(np.log(sd), SD_NODES)
    x_values, z_values = (_unscaled(mean, x_node), _unscaled(np.log(sd), z_node))
    grid_mean, grid_log_sd = np.meshgrid(x_values, z_values, indexing="ij")
    values = function(grid_mean.ravel(), np.exp(grid_log_sd.ravel())).reshape(grid_mean.shape)
    x_inverse = np.linalg.inv(chebyshev.chebvander(x_node, MEAN_NODES - 1))
    z_inverse = np.linalg.inv(chebyshev.chebvander(z_node, SD_NODES - 1))
    coefficient = x_inverse @ values @ z_inverse.T
    by_mean = chebyshev.chebvander(x, MEAN_NODES - 1) @ coefficient
    return np.asarray((by_mean * chebyshev.chebvander(z, SD_NODES - 1)).sum(axis=1))


def _edges(values: Array) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return 0.5 * (low + high), 0.5 * (high - low) + 1e-6


def _scaled(values: Array, n: int) -> tuple[Array, Array]:
    """Scale values to [-1, 1]; beside them, n Chebyshev nodes there."""
    center, half = _edges(values)
    return (values - center) / half, np.cos((2 * np.arange(n) + 1) * np.pi / (2 * n))


def _unscaled(values: Array, node: Array) -> Array:
    center, half = _edges(values)
    return center + half * node


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DoctorView:
    """One doctor's cases as the other parameters see them.

    Attributes
    ----------
    family : "bernoulli", "binomial", "poisson" or "gaussian"
    x : (row, term), standardized case mix
    eta : (row,), linear predictor at the posterior mean, without the doctor
    departure : (term, sample), slopes minus their mean
    shift : (sample,), what else moves all rows alike: intercept and hospital minus their
        means, doctor-level terms
    sd : (sample,), SD of the doctor effects
    outcome, weight : (row,), events, and trials or exposure
    sd_residual : (sample,), Gaussian family, else None
    """

    family: Family
    x: Array
    eta: Array
    departure: Array
    shift: Array
    sd: Array
    outcome: Array
    weight: Array
    sd_residual: Array | None

    @property
    def total(self) -> float:
        """Observed events."""
        return float(self.outcome.sum())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Moved:
    """Center and spread of the doctor's total shift t in each draw.

    t = effect + shift + xbar'delta is what all his cases share; given a draw it is normal with
    ``mean`` and ``sd`` (sample,). ``constant`` (sample,) is what the slopes add to the log
    likelihood besides.
    """

    mean: Array
    sd: Array
    constant: Array


def _cumulant(view: DoctorView, t: Array) -> Array:
    """Sum over rows of the cumulant function at eta + t: (point,)."""
    if view.family == "poisson":
        return np.asarray(float(view.weight @ np.exp(view.eta)) * np.exp(t))
    return np.asarray(view.weight @ np.logaddexp(0.0, view.eta[:, None] + t))


def _moments(view: DoctorView, t: float) -> tuple[float, float, float]:
    """Mean, variance and third cumulant of the doctor's events at t."""
    if view.family == "poisson":
        mean = float(view.weight @ np.exp(view.eta + t))
        return mean, mean, mean
    p = expit(view.eta + t)
    v = view.weight * p * (1 - p)
    return float(view.weight @ p), float(v.sum()), float(v @ (1 - 2 * p))


def _shift_for(view: DoctorView, events: float) -> float:
    """Shift t at which the expected events are ``events``, by bisection and Newton."""
    if view.family == "poisson":
        return float(np.log(events) - np.log(view.weight @ np.exp(view.eta)))
    low, high = -1.0, 1.0
    while _moments(view, low)[0] > events:
        low *= 2
    while _moments(view, high)[0] < events:
        high *= 2
    t = 0.5 * (low + high)
    for _ in range(100):
        mean, variance, _ = _moments(view, t)
        low, high = (t, high) if mean < events else (low, t)
        step = (events - mean) / variance
        if abs(step) < 1e-12 * max(1.0, abs(t)):
            break
        t = t + step if low < t + step < high else 0.5 * (low + high)
    return t


def _typical_shift(view: DoctorView) -> float:
    """Shift at which the doctor's cases are most likely, given a typical draw."""
    center, precision = float(view.shift.mean()), 1 / float(np.median(view.sd)) ** 2
    t = center
    for _ in range(100):
        mean, variance, _ = _moments(view, t)
        step = (view.total - mean - (t - center) * precision) / (variance + precision)
        t += float(np.clip(step, -1.0, 1.0))
        if abs(step) < 1e-9:
            break
    return t


def _move(view: DoctorView) -> _Moved:
    """Expand the log likelihood in the slopes around the likely shift t.

    With z = (x - xbar)'delta, xbar weighted by the variances at t, the log likelihood is that of
    equal shifts plus sum (y - mean) z - sum variance z² / 2; the weights make the first sum
    constant in t.
    """
    t = 0.0 if view.family == "gaussian" else _typical_shift(view)
    if view.family == "gaussian":
        mean, variance = np.zeros_like(view.eta), np.ones_like(view.eta)
    elif view.family == "poisson":
        mean = variance = view.weight * np.exp(view.eta + t)
    else:
        p = expit(view.eta + t)
        mean, variance = view.weight * p, view.weight * p * (1 - p)
    mean_x = variance @ view.x / variance.sum()
    inner = view.x - mean_x
    second = inner.T @ (inner * variance[:, None])
    constant = ((view.outcome - mean) @ inner) @ view.departure
    constant = constant - 0.5 * np.einsum("ks,kl,ls->s", view.departure, second, view.departure)
    return _Moved(mean=view.shift + mean_x @ view.departure, sd=view.sd, constant=constant)


def upper_tails(view: DoctorView, weights: Array) -> Array:
    """P(Y > y) + P(Y = y)/2 of the doctor's events, his effect drawn from the population.

    Parameters
    ----------
    view : the doctor's cases
    weights : (set, sample), each adding up to 1

    Returns
    -------
    (set,), one tail for each set of weights

    Notes
    -----
    With U(t) the tail given the total shift t, increasing from 0 to 1, and F the normal
    distribution of t in a draw, the draw's tail is U(t_0) + sum over nodes of
    (U(t_q+1) - U(t_q)) (1 - F((t_q + t_q+1)/2)); tails are averaged over draws by the weights.
    """
    moved = _move(view)
    if view.family == "gaussian" and view.sd_residual is not None:
        mean, sd = _gaussian_moments(view, moved)
        return np.asarray(weights @ ndtr((mean - (view.outcome - view.eta).mean()) / sd))
    trials = np.inf if view.family == "poisson" else float(view.weight.sum())
    typical = float(np.clip(view.total, 0.5, trials - 0.5))
    t_tail = _shift_for(view, typical)
    width = 1 / np.sqrt(_moments(view, t_tail)[1])
    reach = REACH_PRIOR * float(moved.sd.max())
    low = max(float(moved.mean.min()) - reach, t_tail - REACH_TAIL * width)
    high = min(float(moved.mean.max()) + reach, t_tail + REACH_TAIL * width)
    if high <= low:  # the observed events are out of reach on one side
        low, high = sorted((low, high))
    typical_sd = max(float(np.median(moved.sd)), 0.05 * width)
    points = int(np.clip((high - low) / (SPACING * min(width, typical_sd)), 32, 400))
    t = np.linspace(low, high, points)
    tail = _tail_given_shift(view, t, t_tail, trials)
    middle, increment = 0.5 * (t[1:] + t[:-1]), np.diff(tail)

    def score(mean: Array, sd: Array) -> Array:
        below = ndtr((middle - mean[:, None]) / sd[:, None])
        return np.asarray(ndtri(np.clip(tail[0] + (1 - below) @ increment, TINY, 1 - TINY)))

    return np.asarray(weights @ ndtr(over_draws(score, moved.mean, moved.sd)))


def _gaussian_moments(view: DoctorView, moved: _Moved) -> tuple[Array, Array]:
    """Mean and SD, in each draw, of the mean residual of a new set of his cases."""
    residual = view.sd_residual if view.sd_residual is not None else np.ones_like(view.sd)
    return moved.mean, np.sqrt(moved.sd**2 + residual**2 / view.eta.size)


def _tail_given_shift(view: DoctorView, t: Array, t_tail: float, trials: float) -> Array:
    y = view.total
    if view.family == "poisson":
        mean = _cumulant(view, t)
        point = np.exp(y * np.log(mean) - mean - gammaln(y + 1))
        return np.asarray(gammainc(y + 1, mean) + 0.5 * point)
    if min(y, trials - y) < COUNTED_BELOW:
        return _counted_tail(view, t, trials)
    return _saddlepoint_tail(view, t, t_tail)


def _counted_tail(view: DoctorView, t: Array, trials: float) -> Array:
    """Exact tail where few events, or few non-events, were seen: the recursion over cases."""
    mirrored = view.total > trials / 2
    log_odds = view.eta[:, None] + t
    chance = expit(-log_odds) if mirrored else expit(log_odds)
    y = int(trials - view.total) if mirrored else int(view.total)
    probability = np.zeros((y + 1, t.size))
    probability[0] = 1.0
    for p, m in zip(chance, view.weight.astype(np.int64), strict=True):
        for _ in range(m):
            probability[1:] += p * (probability[:-1] - probability[1:])
            probability[0] *= 1 - p
    below = probability[:-1].sum(axis=0) + 0.5 * probability[-1]
    return np.asarray(below if mirrored else 1 - below)


def _saddlepoint_tail(view: DoctorView, t: Array, t_tail: float) -> Array:
    """Lugannani & Rice's formula without continuity correction, which gives the mid-p tail."""
    y = view.total
    _, variance, third = _moments(view, t_tail)
    tilt = t_tail - t
    deviance = tilt * y - (_cumulant(view, np.array([t_tail]))[0] - _cumulant(view, t))
    w = np.sign(tilt) * np.sqrt(2 * np.maximum(deviance, 0.0))
    v = tilt * np.sqrt(variance)
    near = np.abs(v) < 1e-3
    safe_w, safe_v = np.where(near, 1.0, w), np.where(near, 1.0, v)
    density = np.exp(-0.5 * w**2) / np.sqrt(2 * np.pi)
    correction = np.where(near, -third / variance**1.5 / 6, 1 / safe_v - 1 / safe_w)
    return np.asarray(np.clip(ndtr(-w) + density * correction, 0.0, 1.0))


def log_marginal(view: DoctorView) -> Array:
    """Log likelihood of the doctor's cases in each draw, his effect integrated out: (sample,).

    Notes
    -----
    exp(C(t)) N(t; mean, sd) is integrated by the trapezoidal rule on 41 nodes over 7 conditional
    SDs around its mode, C(t) = y t - B(t), with B read from a Chebyshev interpolant. Constants
    that do not depend on the draw are left out; slopes enter to second order.
    """
    moved = _move(view)
    if view.family == "gaussian":
        return _gaussian_marginal(view, moved)
    curve = _cumulant_curve(view, moved)

    def integral(mean: Array, sd: Array) -> Array:
        return _log_integral(curve, view.total, mean, sd)

    return moved.constant + over_draws(integral, moved.mean, moved.sd)


def _log_integral(curve: "_Curve", y: float, mean: Array, sd: Array) -> Array:
    """Log of the integral of exp(y t - B(t)) N(t; mean, sd) dt: (point,)."""
    precision = 1 / sd**2
    mode = mean.copy()
    for _ in range(60):
        gradient = y - curve(mode, 1) - (mode - mean) * precision
        step = gradient / (curve(mode, 2) + precision)
        mode = curve.inside(mode + np.clip(step, -1.0, 1.0))
        if float(np.abs(step).max()) < 1e-8:
            break
    width = 1 / np.sqrt(curve(mode, 2) + precision)
    t = curve.inside(mode[:, None] + width[:, None] * INTEGRATION)
    log_term = y * t - curve(t, 0) - 0.5 * (t - mean[:, None]) ** 2 * precision[:, None]
    top = log_term.max(axis=1, keepdims=True)
    integral = np.exp(log_term - top).sum(axis=1) * width
    return np.asarray(top[:, 0] + np.log(integral / sd))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Curve:
    """Chebyshev interpolant of the cumulant function and its two first derivatives."""

    low: float
    high: float
    series: tuple[Array, Array, Array]

    def __call__(self, t: Array, order: int) -> Array:
        scale = 2 / (self.high - self.low)
        x = (t - self.low) * scale - 1
        return np.asarray(chebyshev.chebval(x, self.series[order]) * scale**order)

    def inside(self, t: Array) -> Array:
        return np.clip(t, self.low, self.high)


def _cumulant_curve(view: DoctorView, moved: _Moved) -> _Curve:
    trials = np.inf if view.family == "poisson" else float(view.weight.sum())
    t_seen = _shift_for(view, float(np.clip(view.total, 0.5, trials - 0.5)))
    sd = float(moved.sd.max())
    low = min(float(moved.mean.min()) - 8 * sd, t_seen - 1)
    high = max(float(moved.mean.max()) + 8 * sd, t_seen + 1)
    half = (high - low) / 2
    # log(1 + e^z) is analytic up to +-i pi; its Chebyshev series converges like rho^-k
    rho = np.pi / half + np.sqrt(1 + (np.pi / half) ** 2)
    degree = int(min(400, 23 / np.log(rho))) + 4
    node = np.cos((2 * np.arange(degree + 1) + 1) * np.pi / (2 * (degree + 1)))
    values = _cumulant(view, low + half * (node + 1))
    series = 2 / (degree + 1) * (chebyshev.chebvander(node, degree).T @ values)
    series[0] /= 2
    return _Curve(
        low=low,
        high=high,
        series=(
            np.asarray(series, dtype=np.float64),
            np.asarray(chebyshev.chebder(series), dtype=np.float64),
            np.asarray(chebyshev.chebder(series, 2), dtype=np.float64),
        ),
    )


def _gaussian_marginal(view: DoctorView, moved: _Moved) -> Array:
    """Return the closed form: residuals within the doctor, and their mean."""
    mean, sd = _gaussian_moments(view, moved)
    residual = view.sd_residual if view.sd_residual is not None else np.ones_like(view.sd)
    r = view.outcome - view.eta
    inner, deviation = view.x - view.x.mean(axis=0), r - r.mean()
    cross = deviation @ inner @ view.departure
    square = np.einsum("ks,kl,ls->s", view.departure, inner.T @ inner, view.departure)
    within = deviation @ deviation - 2 * cross + square
    log_within = -(r.size - 1) * np.log(residual) - 0.5 * within / residual**2
    return np.asarray(log_within - np.log(sd) - 0.5 * ((r.mean() - mean) / sd) ** 2)
