"""Sampling variation of means and slopes of patients, alone or in clusters."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SampleScatter", "scatter_of"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampleScatter:
    """How uncertain the means of several columns are, and of any combination of them.

    Attributes
    ----------
    covariance : (column, column), of the means
    degrees_of_freedom : patients or clusters, less one
    clusters : number of clusters, None where patients are independent
    """

    covariance: Array
    degrees_of_freedom: int
    clusters: int | None

    def variance(self, weights: Array) -> Array:
        """Variance of combinations of the means, weights (..., column) -> (...,)."""
        return np.asarray(np.einsum("...i,ij,...j", weights, self.covariance, weights))

    def draw(self, weights: Array, draws: int, rng: np.random.Generator) -> Array:
        """Draw t noise of combinations of the means; weights (column,) or (draw, column)."""
        spread = np.sqrt(np.maximum(self.variance(weights), 0.0))
        return np.asarray(spread * rng.standard_t(self.degrees_of_freedom, draws))

    @property
    def origin(self) -> str:
        """Where the interval comes from, in words."""
        if self.clusters is not None:
            return f"t, {self.clusters} clusters"
        return f"t, {self.degrees_of_freedom} degrees of freedom"


def scatter_of(columns: Array, clusters: NDArray[np.int64] | None) -> SampleScatter:
    """Estimate the covariance of the means of columns.

    Parameters
    ----------
    columns : (patient, column)
    clusters : (patient,), number of each patient's cluster from 0, or None

    Notes
    -----
    Independent patients: S / n with n - 1 degrees of freedom. G clusters: G / (G - 1) / n² times
    the sum over clusters of the outer products of their sums of deviations, G - 1 degrees.
    """
    n = columns.shape[0]
    centered = columns - columns.mean(axis=0)
    if clusters is None:
        covariance = centered.T @ centered / (n - 1) / n
        return SampleScatter(covariance=covariance, degrees_of_freedom=n - 1, clusters=None)
    count = int(clusters.max()) + 1
    sums = np.zeros((count, columns.shape[1]))
    np.add.at(sums, clusters, centered)
    covariance = count / (count - 1) / n**2 * (sums.T @ sums)
    return SampleScatter(covariance=covariance, degrees_of_freedom=count - 1, clusters=count)
