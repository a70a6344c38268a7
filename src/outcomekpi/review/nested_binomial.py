"""Posterior of units that move between cycles: Gaussian steps on a grid, weighted to be exact."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from outcomekpi.engine.weights import Weights, assess_weights, systematic

__all__ = ["NestedDraws", "sample_nested_binomial"]

Array = NDArray[np.float64]

SD_INTERCEPT = 2.5
SD_CYCLE = 1.0
SD_SCALE = 1.0  # half-normal priors of both SDs
WIDEST = (0.01, 4.0)  # a half-normal has 1% of its mass outside
N_GRID = 15
STEPS = 12
CLOSE = 1e-3  # the weights make up for what is left, so that more steps are of no use
OVERDRAW = 2
NEGLIGIBLE = 12.0  # grid points this much below the best in log density have no part


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NestedDraws:
    """Joint draws of the model with units and cycles.

    Attributes
    ----------
    eta : (unit, cycle, sample), log odds; of no meaning where a unit has no cases in a cycle
    unit : (unit, sample), what is lasting about a unit
    cycle : (cycle, sample), level of an average unit
    sd_unit, sd_move : (sample,), SD between units, and of a unit between cycles
    weights : how good the proposal was
    """

    eta: Array
    unit: Array
    cycle: Array
    sd_unit: Array
    sd_move: Array
    weights: Weights


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Gaussian:
    """Gaussian steps at every grid point of the two SDs.

    ``z, w`` : (point, unit, cycle), working observations and their precisions, expanded at
    ``eta``; ``log_density`` : (point,), of the SDs, by Laplace's method
    """

    sd_unit: Array
    sd_move: Array
    z: Array
    w: Array
    eta: Array
    log_density: Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Draws:
    """Draws with the sample first: ``cycle`` (., cycle), ``unit`` (., unit), ``eta``."""

    cycle: Array
    unit: Array
    eta: Array


def sample_nested_binomial(
    events: Array, trials: Array, *, draws: int, rng: np.random.Generator
) -> NestedDraws:
    """Draw rates of units that differ, last, and move a little from cycle to cycle.

    Parameters
    ----------
    events, trials : (unit, cycle), trials 0 where a unit has no cases in a cycle
    draws : joint draws wanted

    Returns
    -------
    NestedDraws; look at ``weights.acceptable`` before they are used

    Notes
    -----
    logit p_uc = m_c + v_u + e_uc with v_u ~ N(0, omega^2) and e_uc ~ N(0, sigma^2);
    m_c = a + b_c with a ~ N(logit of the overall rate, 2.5^2) and b_c ~ N(0, 1); omega and sigma
    are half-normal(1). With a single cycle e is left out. On a grid of the two SDs, refined twice,
    the binomial log likelihood is expanded to second order at the mode, which makes everything
    Gaussian and closed: per unit by the Sherman-Morrison formula, over cycles by a system of their
    number. Each unit's
    deviations are drawn as a pair of twins on either side of their mean; a unit has the weight
    sum over twins of exp(sum_c l(eta) - q(eta)) / 2, l the log likelihood and q its expansion, and
    one twin is kept in proportion. The product over units, over its value at the mode, is the
    exact weight of a draw, by which draws are resampled.
    """
    moves = bool(trials.shape[1] > 1)
    prior_mean = float(logit((events.sum() + 0.5) / (trials.sum() + 1)))
    spans = [np.log(WIDEST), np.log(WIDEST)]
    steps = _expand(events, trials, prior_mean, spans, moves)
    for _ in range(2):
        spans = _narrow(steps)
        steps = _expand(events, trials, prior_mean, spans, moves)
    size = OVERDRAW * draws
    share = np.exp(steps.log_density - steps.log_density.max())
    point = systematic(share / share.sum(), size, rng)
    found, log_weights = _draw(steps, prior_mean, point, (events, trials), rng)
    weights = assess_weights(log_weights)
    kept = np.exp(weights.log_weights)
    chosen = rng.permutation(systematic(kept / kept.sum(), draws, rng))
    sd_move = steps.sd_move[point][chosen] if moves else np.zeros(draws)
    return NestedDraws(
        eta=np.moveaxis(found.eta[chosen], 0, -1),
        unit=found.unit[chosen].T,
        cycle=found.cycle[chosen].T,
        sd_unit=steps.sd_unit[point][chosen],
        sd_move=sd_move,
        weights=weights,
    )


def _expand(
    events: Array, trials: Array, prior_mean: float, spans: list[Array], moves: bool
) -> _Gaussian:
    """Find the mode at every grid point and expand the likelihood there."""
    centers = [(np.arange(N_GRID) + 0.5) / N_GRID * (high - low) + low for low, high in spans]
    if not moves:
        centers[1] = np.array([np.log(WIDEST[0] / 10)])
    log_unit, log_move = (axis.ravel() for axis in np.meshgrid(*centers, indexing="ij"))
    sd_unit, sd_move = np.exp(log_unit), np.exp(log_move)
    start = logit((events + 4 * expit(prior_mean)) / (trials + 4))
    eta = np.broadcast_to(start, (sd_unit.size, *trials.shape))
    for _ in range(STEPS):
        z, w = _work(events, trials, eta)
        mean, _ = _solve_cycles(z, w, sd_unit, sd_move, prior_mean)
        unit, _ = _units(z - mean[:, None, :], w, sd_unit, sd_move)
        before = eta
        eta, _ = _cells(z, w, mean[:, None, :] + unit[:, :, None], sd_move)
        if np.abs(eta - before).max() < CLOSE:
            break
    z, w = _work(events, trials, eta)
    _, log_marginal = _solve_cycles(z, w, sd_unit, sd_move, prior_mean)
    gap = _unit_gap(events, trials, z, w, eta).sum(axis=1)
    log_prior = log_unit - 0.5 * (sd_unit / SD_SCALE) ** 2
    if moves:
        log_prior = log_prior + log_move - 0.5 * (sd_move / SD_SCALE) ** 2
    return _Gaussian(
        sd_unit=sd_unit,
        sd_move=sd_move,
        z=z,
        w=w,
        eta=eta,
        log_density=log_prior + log_marginal + gap,
    )


def _narrow(steps: _Gaussian) -> list[Array]:
    """Span of each log SD that holds all grid points with a part in the posterior."""
    part = steps.log_density > steps.log_density.max() - NEGLIGIBLE
    spans = []
    for sd in (steps.sd_unit, steps.sd_move):
        log_sd = np.log(sd)
        levels = np.unique(log_sd)
        half = (levels[1] - levels[0]) / 2 if levels.size > 1 else 0.0
        spans.append(np.array([log_sd[part].min() - half, log_sd[part].max() + half]))
    return spans


def _work(events: Array, trials: Array, eta: Array) -> tuple[Array, Array]:
    """Working observations and precisions; precision 0 where there are no trials."""
    rate = expit(eta)
    w = trials * rate * (1 - rate)
    z = eta + np.divide(events - trials * rate, w, out=np.zeros(w.shape), where=w > 0)
    return z, w


def _spread(w: Array, sd_move: Array) -> Array:
    """Precision of a working observation around its unit: 1 / (1/w + sigma^2)."""
    return np.asarray(w / (1 + w * sd_move[:, None, None] ** 2))


def _solve_cycles(
    z: Array, w: Array, sd_unit: Array, sd_move: Array, prior_mean: float
) -> tuple[Array, Array]:
    """Posterior mean of the levels of the cycles, and the log marginal density of z.

    Returns
    -------
    mean : (point, cycle)
    log_marginal : (point,), without the constant of 2 pi
    """
    precision, shift = _cycle_system(z, w, sd_unit, sd_move, prior_mean)
    level = np.linalg.solve(precision, shift[..., None])[..., 0]
    inner = _spread(w, sd_move)
    off = z - prior_mean
    shrink = _shrink(inner, sd_unit)
    quadratic = (inner * off**2).sum(axis=(1, 2))
    quadratic -= (shrink * (inner * off).sum(axis=2) ** 2).sum(axis=1)
    quadratic -= (shift * level).sum(axis=1)
    positive = np.where(inner > 0, inner, 1.0)
    log_determinant = -np.log(positive).sum(axis=(1, 2))
    log_determinant += np.log1p(sd_unit[:, None] ** 2 * inner.sum(axis=2)).sum(axis=1)
    log_determinant += np.linalg.slogdet(precision)[1]
    return prior_mean + level, -0.5 * (quadratic + log_determinant)


def _cycle_system(
    z: Array, w: Array, sd_unit: Array, sd_move: Array, prior_mean: float
) -> tuple[Array, Array]:
    """Precision (point, cycle, cycle) and shift (point, cycle) of the levels around their prior."""
    inner = _spread(w, sd_move)
    shrink = _shrink(inner, sd_unit)
    off = z - prior_mean
    n_cycles = w.shape[2]
    prior = np.full((n_cycles, n_cycles), SD_INTERCEPT**2) + SD_CYCLE**2 * np.eye(n_cycles)
    own = np.einsum("guc,cd->gcd", inner, np.eye(n_cycles))
    precision = np.linalg.inv(prior) + own - np.einsum("gu,guc,gud->gcd", shrink, inner, inner)
    shift = (inner * off).sum(axis=1)
    shift -= np.einsum("gu,guc->gc", shrink * (inner * off).sum(axis=2), inner)
    return precision, shift


def _shrink(inner: Array, sd_unit: Array) -> Array:
    """Sherman-Morrison factor of each unit: omega^2 / (1 + omega^2 sum of precisions)."""
    variance = sd_unit[:, None] ** 2
    return np.asarray(variance / (1 + variance * inner.sum(axis=2)))


def _units(off: Array, w: Array, sd_unit: Array, sd_move: Array) -> tuple[Array, Array]:
    """Mean and variance of the unit effects given the levels of the cycles, (point, unit)."""
    inner = _spread(w, sd_move)
    variance = _shrink(inner, sd_unit)
    return variance * (inner * off).sum(axis=2), variance


def _cells(z: Array, w: Array, center: Array, sd_move: Array) -> tuple[Array, Array]:
    """Mean and variance of eta given its center m_c + v_u, (point, unit, cycle)."""
    prior = sd_move[:, None, None] ** -2
    variance = 1 / (w + prior)
    return variance * (w * z + prior * center), variance


def _draw(
    steps: _Gaussian,
    prior_mean: float,
    point: NDArray[np.intp],
    counts: tuple[Array, Array],
    rng: np.random.Generator,
) -> tuple[_Draws, Array]:
    """Levels of cycles, unit effects and eta, each given the ones before, with log weights."""
    precision, shift = _cycle_system(steps.z, steps.w, steps.sd_unit, steps.sd_move, prior_mean)
    root = np.linalg.cholesky(np.linalg.inv(precision))
    level = np.linalg.solve(precision, shift[..., None])[..., 0]
    noise = rng.standard_normal((point.size, level.shape[1]))
    cycle = prior_mean + level[point] + np.einsum("scd,sd->sc", root[point], noise)
    z, w = steps.z[point], steps.w[point]
    sd_unit, sd_move = steps.sd_unit[point], steps.sd_move[point]
    middle, variance = _units(z - cycle[:, None, :], w, sd_unit, sd_move)
    unit_noise = np.sqrt(variance) * rng.standard_normal(middle.shape)
    center, variance = _cells(z, w, cycle[:, None, :] + middle[:, :, None], sd_move)
    noise = np.sqrt(variance) * rng.standard_normal(center.shape)
    noise += variance * sd_move[:, None, None] ** -2 * unit_noise[:, :, None]
    gap = [_unit_gap(*counts, z, w, eta) for eta in (center + noise, center - noise)]
    # either twin may stand for its unit; their odd errors of the expansion cancel in the sum
    other = rng.random(middle.shape) > expit(gap[0] - gap[1])
    sign = np.where(other, -1.0, 1.0)
    at_mode = _unit_gap(*counts, steps.z, steps.w, steps.eta).sum(axis=1)
    log_weights = (np.logaddexp(*gap) - np.log(2)).sum(axis=1) - at_mode[point]
    draws = _Draws(
        cycle=cycle,
        unit=middle + sign * unit_noise,
        eta=center + sign[:, :, None] * noise,
    )
    return draws, log_weights


def _unit_gap(events: Array, trials: Array, z: Array, w: Array, eta: Array) -> Array:
    """Log likelihood less its expansion, summed over the cycles of each unit, (..., unit)."""
    exact = events * eta - trials * np.logaddexp(0.0, eta)
    working = 0.5 * np.log(np.where(w > 0, w, 1.0)) - 0.5 * w * (z - eta) ** 2
    return np.asarray((exact - working).sum(axis=-1))
