"""Gradings that minimize the posterior expected loss over pairs of doctors."""

from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from outcomekpi.declare.errors import EngineError
from outcomekpi.profiling.ranking import rank_draws

__all__ = ["PairProbabilities", "grade_exactly", "grade_in_order", "pairwise_worse"]

Array = NDArray[np.float64]

ALL_PAIRS_UP_TO = 1500
MEMBERS_COMPARED = 10  # doctors of a block that stand for it when there are many


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairProbabilities:
    """Pairs of units in the order of their expected ranks.

    A unit is one doctor, or a block of neighbors when there are many doctors.

    Attributes
    ----------
    wrong : (unit, unit), expected number of pairs (i of the row, j of the column) in which j is
        better than i; the diagonal counts no pair
    size : (unit,), doctors in each unit
    unit : (doctor,), unit of each doctor
    approximation : in words; empty where pairs were counted in the draws
    """

    wrong: Array
    size: Array
    unit: NDArray[np.intp]
    approximation: str

    def to_doctors(self, grades: NDArray[np.intp]) -> NDArray[np.intp]:
        """Grade of each doctor from the grades of the units."""
        return grades[self.unit]

    def shares(self, grades: NDArray[np.intp]) -> tuple[float, float]:
        """Return the expected shares of all pairs that are ordered wrongly and correctly."""
        better = grades[:, None] < grades[None, :]
        pairs = np.outer(self.size, self.size)
        n = self.size.sum()
        wrong = float(self.wrong[better].sum())
        return wrong / (n * (n - 1) / 2), (float(pairs[better].sum()) - wrong) / (n * (n - 1) / 2)


def pairwise_worse(values: NDArray[np.floating]) -> PairProbabilities:
    """Probability, for every pair, that the one with the better expected rank is worse.

    Parameters
    ----------
    values : (doctor, sample), low is good

    Returns
    -------
    PairProbabilities; ties in a draw count half
    """
    ranks = rank_draws(values, highest_first=False)
    mean = ranks.mean(axis=1, dtype=np.float64)
    order = np.argsort(mean, kind="stable")
    n_doctors = order.size
    if n_doctors <= ALL_PAIRS_UP_TO:
        unit = np.empty(n_doctors, dtype=np.intp)
        unit[order] = np.arange(n_doctors)
        return PairProbabilities(
            wrong=_count_pairs(ranks[order]),
            size=np.ones(n_doctors),
            unit=unit,
            approximation="",
        )
    return _blocked_pairs(mean, ranks.std(axis=1, dtype=np.float64), order)


def _count_pairs(ranks: NDArray[np.floating]) -> Array:
    n_doctors, n_samples = ranks.shape
    # twice the rank is a whole number, shared or not: small integers compare fastest
    doubled = (2 * ranks).astype(np.uint16)
    wrong = np.zeros((n_doctors, n_doctors))
    for i in range(n_doctors - 1):
        later = doubled[i + 1 :]
        below = np.count_nonzero(later < doubled[i], axis=1)
        tied = n_samples - below - np.count_nonzero(later > doubled[i], axis=1)
        wrong[i, i + 1 :] = (below + 0.5 * tied) / n_samples
        wrong[i + 1 :, i] = 1 - wrong[i, i + 1 :]
    return wrong


def _blocked_pairs(mean: Array, sd: Array, order: NDArray[np.intp]) -> PairProbabilities:
    n_doctors = order.size
    n_blocks = ALL_PAIRS_UP_TO // 2
    block = np.arange(n_doctors) * n_blocks // n_doctors
    unit = np.empty(n_doctors, dtype=np.intp)
    unit[order] = block
    size = np.bincount(block).astype(np.float64)
    starts = np.searchsorted(block, np.arange(n_blocks))
    steps = np.arange(MEMBERS_COMPARED) / MEMBERS_COMPARED
    pick = starts[:, None] + np.floor(steps * size[:, None])
    members = order[np.minimum(pick, n_doctors - 1).astype(np.intp)]
    m, v = mean[members], sd[members] ** 2
    wrong = np.zeros((n_blocks, n_blocks))
    for a in range(n_blocks):
        gap = m[a][:, None, None] - m[None]
        spread = np.sqrt(v[a][:, None, None] + v[None])
        wrong[a] = ndtr(gap / np.maximum(spread, 1e-12)).mean(axis=(0, 2))
    wrong *= np.outer(size, size)
    np.fill_diagonal(wrong, 0.0)
    return PairProbabilities(
        wrong=wrong,
        size=size,
        unit=unit,
        approximation=(
            f"{n_blocks} blocks of neighbors are graded as wholes, normal approximation of ranks"
        ),
    )


def _losses(pairs: PairProbabilities, weight: float) -> Array:
    """Loss of grading the row better than the column: p_ji - weight p_ij, over their pairs."""
    return pairs.wrong - weight * (np.outer(pairs.size, pairs.size) - pairs.wrong)


def grade_in_order(pairs: PairProbabilities, *, weight: float) -> NDArray[np.intp]:
    """Best grading among those that follow the expected ranks, by a dynamic program.

    Notes
    -----
    Loss of all ordered pairs = loss if every pair were ordered - loss within grades. With W(a, b)
    the sum of losses within a..b-1, the best grading maximizes the sum of W over grades:
    V(b) = max over a < b of V(a) + W(a, b).
    """
    loss = np.triu(_losses(pairs, weight), 1)
    n = loss.shape[0]
    # within[a] holds W(a, b) for the b at hand: W(a, b + 1) = W(a, b) + sum of loss[a:b, b]
    within = np.zeros(n)
    best, start = np.zeros(n + 1), np.zeros(n + 1, dtype=np.intp)
    for b in range(1, n + 1):
        column = loss[: b - 1, b - 1]
        within[: b - 1] += column[::-1].cumsum()[::-1]
        value = best[:b] + within[:b]
        # among equal values the shortest list of grades: the earliest start
        start[b] = int(np.argmax(value >= value.max() - 1e-12))
        best[b] = value[start[b]]
    grades = np.empty(n, dtype=np.intp)
    end, parts = n, []
    while end > 0:
        parts.append((int(start[end]), end))
        end = int(start[end])
    for grade, (first, last) in enumerate(reversed(parts), start=1):
        grades[first:last] = grade
    return grades


def grade_exactly(pairs: PairProbabilities, *, weight: float) -> NDArray[np.intp]:
    """Best grading among all weak orders, by integer programming.

    Notes
    -----
    x_ij = 1 if i is graded better than j. Weak orders are the x with x_ij + x_ji <= 1 and, for
    all i, j, k, x_ik <= x_ij + x_jk (not worse is transitive).

    Raises
    ------
    EngineError
        The solver did not prove an optimum.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    n = pairs.size.size
    if n < 2:
        return np.ones(n, dtype=np.intp)
    place = {pair: k for k, pair in enumerate(permutations(range(n), 2))}
    loss = _losses(pairs, weight)
    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    upper: list[float] = []
    for i, j in combinations(range(n), 2):
        rows += [len(upper)] * 2
        columns += [place[i, j], place[j, i]]
        values += [1.0, 1.0]
        upper.append(1.0)
    for i, j, k in permutations(range(n), 3):
        rows += [len(upper)] * 3
        columns += [place[i, k], place[i, j], place[j, k]]
        values += [1.0, -1.0, -1.0]
        upper.append(0.0)
    matrix = csr_array((values, (rows, columns)), shape=(len(upper), len(place)))
    result = milp(
        np.array([loss[pair] for pair in place]),
        integrality=np.ones(len(place)),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(matrix, ub=np.array(upper)),
    )
    if result.status != 0:
        raise EngineError(
            f"The exact grading of {n} doctors was not solved ({result.message}). "
            "Use method='ordered'."
        )
    worse_than = np.zeros(n)
    for (_, j), value in zip(place, result.x, strict=True):
        worse_than[j] += round(value)
    return np.unique(worse_than, return_inverse=True)[1].astype(np.intp) + 1
