"""Predictions and outcomes added up by doctor and predicted risk, so that resamples are sums."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from outcomekpi.calibration.measures import Predictions, bin_predictions

__all__ = ["Cells", "Predicted", "add_up"]

Array = NDArray[np.float64]

BINS = 1000
"""More distinct predictions than these are added up with their neighbors."""
ALMOST = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predicted:
    """Predicted probabilities of some cases, their outcomes, and whose cases they are.

    Attributes
    ----------
    probability : (draw, case), of the event in one patient; one draw where it is just a number
    outcome : (case,), events
    size : (case,), patients
    doctor : (case,), position of the doctor among all doctors
    cluster : (case,), position of what is resampled: the doctor, or his hospital
    n_clusters : doctors (or hospitals) in all
    """

    probability: Array
    outcome: Array
    size: Array
    doctor: NDArray[np.intp]
    cluster: NDArray[np.intp]
    n_clusters: int

    @property
    def mean_probability(self) -> Array:
        """(case,), mean over the draws."""
        return np.asarray(self.probability.mean(axis=0))

    def part(self, keep: NDArray[np.bool_]) -> "Predicted":
        """Return some of the cases; doctors keep their positions."""
        return Predicted(
            probability=self.probability[:, keep],
            outcome=self.outcome[keep],
            size=self.size[keep],
            doctor=self.doctor[keep],
            cluster=self.cluster[keep],
            n_clusters=self.n_clusters,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """Sums over the cases of a doctor within a bin of predicted risk, for one draw.

    Attributes
    ----------
    rate, score : (bin,), mean predicted probability, rising, and its logit
    position : (case,), the bin of each case
    events, size : sparse (cluster, bin)
    totals : (cluster, 4): events, expected events, patients, and the sum over patients of the
        squared difference of prediction and event; exact, without bins
    """

    rate: Array
    score: Array
    position: NDArray[np.intp]
    events: Any
    size: Any
    totals: Array


def add_up(given: Predicted, draw: int = 0) -> Cells:
    """Add up the cases of each doctor by predicted risk.

    Notes
    -----
    Up to 1,000 distinct predictions are kept as they are. Beyond, neighbors in risk share a bin of
    like size and its mean; what that changes is far below the sampling error (a C-statistic by
    about 1e-6).
    """
    from scipy.sparse import coo_array

    rate, size, outcome = given.probability[draw], given.size, given.outcome
    values, position = np.unique(rate, return_inverse=True)
    if values.size > BINS:
        whole = Predictions(family="binomial", rate=rate, outcome=outcome, size=size)
        binned, position = bin_predictions(whole, BINS)
        values = binned.rate
    shape = (given.n_clusters, values.size)
    at = (given.cluster, position)
    squared = outcome * (1.0 - rate) ** 2 + (size - outcome) * rate**2
    totals = [
        np.bincount(given.cluster, column, given.n_clusters)
        for column in (outcome, size * rate, size, squared)
    ]
    return Cells(
        rate=values,
        score=np.asarray(logit(np.clip(values, ALMOST, 1.0 - ALMOST))),
        position=position,
        events=coo_array((outcome, at), shape=shape).tocsr(),
        size=coo_array((size, at), shape=shape).tocsr(),
        totals=np.column_stack(totals),
    )
