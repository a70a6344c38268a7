"""How an indicator moves from one cycle to the next, and what the next cycle may bring."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

__all__ = ["draw_drift_sd", "next_counts", "next_shift"]

Array = NDArray[np.float64]

GRID = 400
WIDEST = 6.0  # prior scales; a half-normal has 2e-9 of its mass beyond


def draw_drift_sd(
    cycle_level: Array, steps: NDArray[np.intp], *, scale: float, rng: np.random.Generator
) -> Array:
    """Posterior of the SD by which the level of an indicator moves in one cycle.

    Parameters
    ----------
    cycle_level : (cycle, sample), posterior of the level of each cycle, log odds
    steps : (cycle - 1,), cycles between one level and the next; 1 without gaps
    scale : of the half-normal prior of the SD

    Returns
    -------
    (sample,); draws of the prior where there is only one cycle

    Notes
    -----
    With d the posterior means of the differences of neighboring levels and S their posterior
    covariance (the levels have a weak prior, so that these stand for the likelihood),
    p(tau | d) is proportional to HalfNormal(tau | scale) N(d | 0, S + tau^2 diag(steps)), on a
    grid of 400 midpoints.
    """
    edge = WIDEST * scale
    tau = (np.arange(GRID) + 0.5) / GRID * edge
    log_weight = -0.5 * (tau / scale) ** 2
    if len(cycle_level) > 1:
        difference = np.diff(cycle_level, axis=0)
        mean, spread = difference.mean(axis=1), np.atleast_2d(np.cov(difference))
        total = spread + tau[:, None, None] ** 2 * np.diag(steps.astype(np.float64))
        solved = np.linalg.solve(total, np.broadcast_to(mean[:, None], (GRID, mean.size, 1)))
        log_weight += -0.5 * (solved[..., 0] @ mean) - 0.5 * np.linalg.slogdet(total)[1]
    weight = np.exp(log_weight - log_weight.max())
    size = cycle_level.shape[1]
    chosen = rng.choice(tau, size=size, p=weight / weight.sum())
    return np.asarray(chosen + (rng.random(size) - 0.5) * edge / GRID)


def next_shift(drift_sd: Array, rng: np.random.Generator) -> Array:
    """Movement of the indicator's level to the next cycle: N(0, drift_sd^2), (sample,)."""
    return np.asarray(rng.normal(size=drift_sd.size) * drift_sd)


def next_counts(
    unit_level: Array, shift: Array, sd_move: Array, trials: Array, rng: np.random.Generator
) -> Array:
    """Draw the counts of the next cycle, with the chance in them.

    Parameters
    ----------
    unit_level : (unit, sample), log odds now
    shift : (sample,), movement that all units share
    sd_move : (sample,), SD of each unit's own movement
    trials : (unit,), denominators that the next cycle will have

    Returns
    -------
    (unit, sample), whole numbers
    """
    own = rng.normal(size=unit_level.shape) * sd_move
    chance = expit(unit_level + shift + own)
    return np.asarray(rng.binomial(trials[:, None].astype(np.int64), chance), dtype=np.float64)
