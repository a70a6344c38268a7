"""Net benefit: whether acting on the predicted risk does more good than harm."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.calibration.bins import Predicted
from outcomekpi.declare.errors import SpecError

__all__ = ["NetBenefit", "check_thresholds", "default_thresholds", "net_benefit"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NetBenefit:
    """Net benefit per patient of acting on every case at or above a threshold.

    Attributes
    ----------
    model, treat_all : (resample, threshold), true positives per patient, less false positives
        weighted by the odds of the threshold; that of treating nobody is 0
    """

    model: Array
    treat_all: Array


def default_thresholds(probability: Array) -> Array:
    """Return 49 thresholds, evenly from near 0 to the 99th percentile of the predictions."""
    top = float(np.quantile(probability, 0.99))
    return np.linspace(0.0, min(max(top, 0.02), 0.98), 50)[1:]


def check_thresholds(thresholds: Array) -> Array:
    """Return thresholds that rise, once all lie between 0 and 1."""
    values = np.unique(np.asarray(thresholds, dtype=np.float64))
    wrong = values[~((values > 0) & (values < 1))]
    if not values.size or wrong.size:
        found = f"; got {wrong[0]:g}" if wrong.size else "; got none"
        raise SpecError(f"thresholds must lie strictly between 0 and 1{found}.")
    return values


def net_benefit(
    given: Predicted, weights: Array, thresholds: Array, *, draw: int = 0
) -> NetBenefit:
    """Net benefit under many weightings of the doctors.

    Parameters
    ----------
    given : predictions and outcomes
    weights : (resample, cluster)
    thresholds : (threshold,), rising, in (0, 1)

    Notes
    -----
    NB(t) = TP/n - FP/n × t/(1 - t), where a case counts as positive if its predicted probability
    is at least t. Treat all: prevalence - (1 - prevalence) t/(1 - t).

    References
    ----------
    Vickers and Elkin (2006), Medical Decision Making 26(6), doi:10.1177/0272989X06295361.
    """
    passed = np.searchsorted(thresholds, given.probability[draw], side="right")
    n_levels = thresholds.size + 1
    cell = given.cluster * n_levels + passed

    def at_or_above(values: Array) -> Array:
        sums = np.bincount(cell, values, given.n_clusters * n_levels)
        rising = weights @ sums.reshape(given.n_clusters, n_levels)
        return np.asarray(rising[:, ::-1].cumsum(axis=1)[:, ::-1])

    events, others = at_or_above(given.outcome), at_or_above(given.size - given.outcome)
    n = events[:, :1] + others[:, :1]
    odds = thresholds / (1.0 - thresholds)
    return NetBenefit(
        model=(events[:, 1:] - odds * others[:, 1:]) / n,
        treat_all=(events[:, :1] - odds * others[:, :1]) / n,
    )
