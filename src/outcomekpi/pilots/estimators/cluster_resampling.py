"""Intervals of any estimate by leaving clusters out, or by drawing them again."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Jackknife", "draw_clusters", "jackknife_clusters"]

Floats = NDArray[np.float64]
Measure = Callable[[Floats], Floats]
MOST_GROUPS = 200
"""Left out one at a time; more clusters than these are put together at random."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Jackknife:
    """Estimates with each cluster left out.

    Attributes
    ----------
    values : (measure,), of all the data
    without : (cluster, measure), each cluster left out
    """

    values: Floats
    without: Floats

    @property
    def degrees_of_freedom(self) -> int:
        """Clusters less one."""
        return int(self.without.shape[0]) - 1

    def errors(self) -> Floats:
        """(measure,), standard errors: sqrt((G - 1) / G x sum of squared changes)."""
        count = self.without.shape[0]
        moved = self.without - self.values
        return np.asarray(np.sqrt((count - 1) / count * (moved**2).sum(axis=0)))

    def errors_without(self) -> Floats:
        """(cluster, measure), standard errors of the values without each cluster.

        Notes
        -----
        From the pseudo-values of the clusters that are left: their variance over their number.
        """
        count = self.without.shape[0]
        pseudo = count * self.values - (count - 1) * self.without
        total, square = pseudo.sum(axis=0), (pseudo**2).sum(axis=0)
        left = count - 1
        mean = (total - pseudo) / left
        spread = (square - pseudo**2) - left * mean**2
        if left < 2:
            return np.full_like(self.without, np.nan)
        return np.asarray(np.sqrt(np.maximum(spread, 0.0) / (left - 1) / left))


def jackknife_clusters(
    measure: Measure, cluster: NDArray[np.intp], *, rng: np.random.Generator
) -> Jackknife:
    """Measure with each cluster left out (CV3).

    Parameters
    ----------
    measure : weights (row,) -> (measure,)
    cluster : (row,), number of each row's cluster from 0
    rng : puts more than 200 clusters into groups

    References
    ----------
    MacKinnon, Nielsen & Webb (2023), Journal of Econometrics 232.
    """
    count = int(cluster.max()) + 1
    if count > MOST_GROUPS:
        group = rng.permutation(np.arange(count) % MOST_GROUPS)
        cluster, count = group[cluster], MOST_GROUPS
    return Jackknife(
        values=measure(np.ones(cluster.size)),
        without=np.array([measure((cluster != left).astype(np.float64)) for left in range(count)]),
    )


def draw_clusters(
    measure: Measure,
    cluster: NDArray[np.intp],
    after: NDArray[np.bool_],
    *,
    draws: int,
    rng: np.random.Generator,
) -> Floats:
    """Draw whole clusters again, as many as there are, and measure each time.

    Parameters
    ----------
    measure : weights (row,) -> (measure,)
    cluster, after : (row,); a resample without rows before or without rows after is drawn again
    draws : resamples
    rng : of the draws

    Returns
    -------
    (draw, measure)
    """
    count = int(cluster.max()) + 1
    present = np.zeros((count, 2), dtype=np.bool_)
    present[cluster, after.astype(np.intp)] = True
    found: list[Floats] = []
    while len(found) < draws:
        times = rng.multinomial(count, np.full(count, 1.0 / count))
        if present[times > 0].any(axis=0).all():
            found.append(measure(times[cluster].astype(np.float64)))
    return np.array(found)
