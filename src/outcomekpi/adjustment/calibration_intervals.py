"""Intervals that respect that the cases of one doctor belong together."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, stdtrit

from outcomekpi.intervals import check_level

__all__ = ["Scale", "cluster_weights", "clustered_interval"]

Array = NDArray[np.float64]
Scale = Literal["identity", "log", "logit", "distance"]


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


def clustered_interval(
    estimate: Array, draws: Array, *, scale: Scale, n_clusters: Array, level: float
) -> tuple[Array, Array]:
    """Interval of a measure from its replicates over doctors.

    Parameters
    ----------
    estimate : (unit,), of all cases
    draws : (replicate, unit), under the weights of :func:`cluster_weights`
    scale : on which the measure is nearly normal; "distance" for a mean of absolute values,
        which is never below 0 and too large on average
    n_clusters : (unit,), doctors who have cases in it
    level : probability in (0, 1)

    Notes
    -----
    g(estimate) ± t s, with s the SD of g over the replicates times √((J + 1)/(J − 1)), since
    Dirichlet weights have variance (J − 1)/(J + 1) times that of doctors drawn anew and their sum
    of squares is about its mean; t has J − 1 degrees of freedom, J the number of doctors. For a
    distance: from 2 estimate − q to 2 estimate − q', the basic bootstrap interval, which takes the
    bias of the replicates off, cut at 0.
    """
    check_level(level)
    tail = (1.0 - level) / 2.0
    doctors = np.maximum(n_clusters.astype(np.float64), 2.0)
    spread = np.sqrt((doctors + 1.0) / (doctors - 1.0))
    if scale == "distance":
        low, high = np.quantile(draws, [tail, 1.0 - tail], axis=0)
        return np.maximum(2 * estimate - high, 0.0), np.maximum(2 * estimate - low, 0.0)
    forward, back = {
        "identity": (np.asarray, np.asarray),
        "log": (np.log, np.exp),
        "logit": (logit, expit),
    }[scale]
    with np.errstate(divide="ignore", invalid="ignore"):
        center, away = forward(estimate), forward(draws).std(axis=0, ddof=1) * spread
        reach = -stdtrit(doctors - 1.0, tail) * away
    return np.asarray(back(center - reach)), np.asarray(back(center + reach))
