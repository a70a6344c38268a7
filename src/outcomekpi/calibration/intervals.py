"""Intervals that respect that the cases of one doctor belong together."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from outcomekpi.draws.intervals import check_level, t_reach

__all__ = [
    "Scale",
    "cluster_weights",
    "clustered_interval",
    "distance_interval",
    "effective_clusters",
    "reach_of",
]

Array = NDArray[np.float64]
Scale = Literal["identity", "log", "logit"]


def cluster_weights(n_clusters: int, n_replicates: int, rng: np.random.Generator) -> Array:
    """Weights of the doctors in each replicate of the cluster bootstrap.

    Returns
    -------
    (replicate, doctor), positive, mean 1 in each replicate

    Notes
    -----
    The fractional-weight (Bayesian) bootstrap of Rubin: all cases of a doctor get the weight that
    he drew from a flat Dirichlet distribution, times the number of doctors. Where the classical
    bootstrap draws doctors with replacement and leaves out a third of them, nobody is left out
    here, so that a regression that exists in the data exists in every replicate too.

    References
    ----------
    Rubin (1981), Annals of Statistics 9 (Bayesian bootstrap). Davison and Hinkley (1997),
    Bootstrap methods and their application, section 3.8 (hierarchical data: whole clusters).
    """
    weights = rng.standard_exponential((n_replicates, n_clusters))
    return np.asarray(weights / weights.mean(axis=1, keepdims=True))


def effective_clusters(cluster: NDArray[np.intp], size: Array) -> float:
    """Return the number of doctors of equal caseload who would say as much: (Σ n)² / Σ n²."""
    n = np.bincount(cluster, size)
    return float(n.sum() ** 2 / (n**2).sum())


def reach_of(effective: Array, level: float) -> Array:
    """By how many SDs of the replicates an interval reaches to each side.

    Notes
    -----
    t √((J + 1)/(J - 1)) with J - 1 degrees of freedom, J the effective number of doctors: the
    weights of J doctors have variance (J - 1)/(J + 1) times that of J doctors drawn anew.
    """
    check_level(level)
    doctors = np.maximum(effective, 1.1)
    return np.asarray(
        t_reach(doctors - 1.0, level=level) * np.sqrt((doctors + 1.0) / (doctors - 1.0))
    )


def clustered_interval(
    estimate: Array, draws: Array, *, scale: Scale, effective: Array, level: float
) -> tuple[Array, Array]:
    """Interval of a measure from its replicates over doctors.

    Parameters
    ----------
    estimate : (unit,), of all cases
    draws : (replicate, unit), under the weights of :func:`cluster_weights`
    scale : on which the measure is nearly normal
    effective : (unit,), see :func:`effective_clusters`
    level : probability in (0, 1)

    Notes
    -----
    g(estimate) ± reach × SD of g(draws), turned back by the inverse of g.
    """
    forward, back = {
        "identity": (np.asarray, np.asarray),
        "log": (np.log, np.exp),
        "logit": (logit, expit),
    }[scale]
    with np.errstate(divide="ignore", invalid="ignore"):
        center, values = forward(estimate), forward(draws)
        away = reach_of(effective, level) * values.std(axis=0, ddof=1)
    return np.asarray(back(center - away)), np.asarray(back(center + away))


def distance_interval(
    estimate: Array, draws: Array, chance: Array, *, effective: Array, level: float
) -> tuple[Array, Array]:
    """Interval of a mean, quantile or maximum of absolute distances between curve and diagonal.

    Parameters
    ----------
    estimate, draws, effective, level : as in :func:`clustered_interval`
    chance : (replicate, unit), the same distance between the curve of the replicate and that of
        all cases: what a calibrated model would show through sampling

    Notes
    -----
    Distances are never negative, so that noise makes them too large, in the estimate and once more
    in the replicates. Upper: estimate + reach × SD. Lower: the same to the other side, less the
    bias of the replicates, and 0 where the estimate lies within the central interval of what
    chance would show.
    """
    away = reach_of(effective, level) * draws.std(axis=0, ddof=1)
    bias = np.maximum(draws.mean(axis=0) - estimate, 0.0)
    doctors = np.maximum(effective, 1.1)
    noise = np.quantile(chance, (1.0 + level) / 2.0, axis=0)
    noise = noise * np.sqrt((doctors + 1.0) / (doctors - 1.0))
    lower = np.where(estimate <= noise, 0.0, np.maximum(estimate - bias - away, 0.0))
    return lower, estimate + away
