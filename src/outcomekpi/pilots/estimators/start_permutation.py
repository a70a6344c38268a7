"""Randomization of start times: the distribution of a statistic over all ways to hand them out."""

from dataclasses import dataclass
from math import factorial, prod

import numpy as np
from numpy.typing import NDArray

from outcomekpi.pilots.estimators.wedge_model import CellVariance, Sample, fit_means

__all__ = ["StartTest", "count_assignments", "draw_assignments", "randomization_interval"]

Floats = NDArray[np.float64]
TIE = 1e-9
BISECTIONS = 40
WIDENINGS = 12


def count_assignments(first: NDArray[np.intp]) -> int:
    """Count the different ways to hand out the start times."""
    return factorial(first.size) // prod(factorial(int(n)) for n in np.bincount(first))


def draw_assignments(
    first: NDArray[np.intp], *, most: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], bool]:
    """Ways to hand out the start times, the real one first.

    Parameters
    ----------
    first : (cluster,), first period with the program
    most : all ways are taken if there are at most this many, else so many random ones
    rng : of the random ones

    Returns
    -------
    assignments, complete : (assignment, cluster), and whether these are all
    """
    if count_assignments(first) <= most:
        every = list(_orders(np.sort(first)))
        rest = [one for one in every if not np.array_equal(one, first)]
        return np.array([first, *rest], dtype=np.intp), True
    drawn = np.array([rng.permutation(first) for _ in range(most)], dtype=np.intp)
    return np.vstack([first, drawn]), False


def _orders(values: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """List the different orders of sorted values, in lexicographic order."""
    current, found = values.copy(), []
    while True:
        found.append(current.copy())
        rises = np.flatnonzero(current[:-1] < current[1:])
        if not rises.size:
            return found
        pivot = int(rises[-1])
        swap = int(np.flatnonzero(current > current[pivot])[-1])
        current[pivot], current[swap] = current[swap], current[pivot]
        current[pivot + 1 :] = current[pivot + 1 :][::-1]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StartTest:
    """Test of a constant effect by the randomization of the start times.

    Attributes
    ----------
    sample, variance : the cells, and how their variance is made up
    periods : (cluster, time, time), terms without the program
    assignments : (assignment, cluster), the real one first
    complete : whether these are all ways to hand out the start times
    """

    sample: Sample
    variance: CellVariance
    periods: Floats
    assignments: NDArray[np.intp]
    complete: bool

    def p_value(self, effect: float) -> float:
        """Share of the ways to hand out starts that look as extreme, if this is the effect.

        Notes
        -----
        The effect is taken off the cells with the program. Without it the outcomes are the same
        whoever starts when, and so are the variances fitted to them without a program: the
        statistic x'My / sqrt(x'Mx), with M the precision that periods are swept from and x who
        has the program, is compared over the assignments. Exact if all of them are taken; with
        random ones the real one is counted among them.
        """
        statistics = self._statistics(effect)
        return float((statistics >= statistics[0] * (1 - TIE)).mean())

    def _statistics(self, effect: float) -> Floats:
        present, clusters = self.sample.present, self.assignments.shape[1]
        times = present.shape[1]
        real = np.arange(times)[None, :] >= self.assignments[0][:, None]
        outcome = self.sample.mean - effect * real
        sample = Sample(
            mean=np.where(present, outcome, 0.0),
            present=present,
            within=self.sample.within,
            within_degrees=self.sample.within_degrees,
        )
        fit = fit_means(sample, self.variance, self.periods)
        absent = np.eye(times) * (~present)[:, :, None]
        whole = np.einsum("k,kitu->itu", fit.components, self.variance.shapes) + absent
        inverse = np.linalg.inv(whole)
        rows = np.where(present[:, :, None], self.periods, 0.0)
        left = sample.mean - np.where(present, rows @ fit.coefficients, 0.0)
        # the cluster and its start alone decide on each part of x'My and x'Mx
        program = np.arange(times)[None, :] >= np.arange(times + 1)[:, None]
        has = program[None, :, :] & present[:, None, :]
        solved = np.einsum("itu,isu->ist", inverse, has)
        loads = np.einsum("ist,it->is", solved, left)
        squares = np.einsum("ist,ist->is", solved, has)
        swept = np.einsum("ist,itp->isp", solved, rows)
        who = np.arange(clusters)[None, :]
        root = np.linalg.cholesky(fit.plain_covariance)
        explained = swept[who, self.assignments].sum(axis=1) @ root
        length = squares[who, self.assignments].sum(axis=1) - (explained**2).sum(axis=1)
        size = loads[who, self.assignments].sum(axis=1)
        return np.asarray(np.abs(size) / np.sqrt(np.maximum(length, 1e-300)))


def randomization_interval(
    test: StartTest, *, level: float, center: float, error: float
) -> tuple[float, float]:
    """Effects that the randomization does not reject; infinite where it can reject none.

    Parameters
    ----------
    test : of a constant effect
    level : probability in (0, 1)
    center, error : estimate and standard error, where the search begins
    """
    alpha = 1.0 - level
    if 1.0 / test.assignments.shape[0] > alpha:
        return float("-inf"), float("inf")
    ends = []
    for side in (-1.0, 1.0):
        inside, outside, step = center, center, 2.0 * error
        for _ in range(WIDENINGS):
            outside = inside + side * step
            if test.p_value(outside) <= alpha:
                break
            inside, step = outside, 2.0 * step
        else:
            ends.append(side * float("inf"))
            continue
        for _ in range(BISECTIONS):
            middle = (inside + outside) / 2.0
            if test.p_value(middle) <= alpha:
                outside = middle
            else:
                inside = middle
            if abs(outside - inside) < 1e-4 * error:
                break
        ends.append(inside)
    return ends[0], ends[1]
