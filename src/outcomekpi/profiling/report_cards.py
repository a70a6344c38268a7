"""Graded report cards: as many grades as the posterior can tell apart."""

from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import EngineError, SpecError
from outcomekpi.declare.fields import Probability, Range
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.lineage.origins import Provenance
from outcomekpi.profiling.ranking import rank_draws
from outcomekpi.profiling.standardization import StandardizedRates, require_direction
from outcomekpi.tables.cases import Direction

__all__ = [
    "PairProbabilities",
    "ReportCard",
    "grade_exactly",
    "grade_in_order",
    "pairwise_worse",
    "report_card",
]

GradingMethod = Literal["auto", "exact", "ordered"]
EXACT_UP_TO = 14
BISECTIONS = 30


# Gradings that minimize the posterior expected loss over pairs of doctors
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportCard:
    """Grade of each doctor; doctors with one grade are not told apart.

    Attributes
    ----------
    grade : (doctor,), 1 is best
    certainty : posterior probability that one doctor is better than another at which it pays to
        give him the better grade, 1 / (1 + weight)
    weight : value of a correctly ordered pair relative to the cost of a wrongly ordered one
    discordance : posterior expected share of all pairs that the grades order wrongly
    concordance : posterior expected share of all pairs that the grades order correctly
    method : "exact", or "ordered": exact among gradings along the expected ranks
    approximation : what was approximated, in words; empty where nothing was
    direction : "higher" or "lower" is better
    provenance : of the fit
    """

    grade: pd.Series
    certainty: float
    weight: float
    discordance: float
    concordance: float
    method: str
    approximation: str
    direction: Direction
    provenance: Provenance | None = None

    @property
    def wrong_among_ordered(self) -> float:
        """Posterior expected share of wrong pairs among those that the grades order."""
        ordered = self.discordance + self.concordance
        return self.discordance / ordered if ordered > 0 else 0.0

    def to_frame(self) -> pd.DataFrame:
        """One row per doctor, in the order of the labels: ``grade``, 1 is best."""
        return self.grade.to_frame()

    def __repr__(self) -> str:
        note = f"; {self.approximation}" if self.approximation else ""
        top = int(self.grade.max())
        return (
            f"ReportCard: {top} grade{'s' if top > 1 else ''} for {len(self.grade)} doctors, "
            f"expected share of wrongly ordered pairs {self.discordance:.2%} "
            f"(certainty {self.certainty:.2f}, {self.method}{note})"
        )

    def _repr_html_(self) -> str:
        counts = self.grade.value_counts().sort_index().rename("doctors").to_frame()
        return show_html(self, counts)


def report_card(
    rates: StandardizedRates,
    *,
    certainty: Annotated[float, Range(low=0.5, high=1, inside="high")] = 0.8,
    max_discordance: Probability | None = None,
    method: GradingMethod = "auto",
) -> ReportCard:
    """Grades that weigh every pair they order correctly against every pair they order wrongly.

    Parameters
    ----------
    rates : standardized rates
    certainty : posterior probability at which one doctor of a pair deserves a better grade,
        in [.5, 1)
    max_discordance : bound on the expected share of wrongly ordered pairs among all pairs; given,
        the lowest certainty from ``certainty`` upwards that keeps it is used
    method : "exact" solves the integer program (up to 14 doctors in seconds), "ordered" finds the
        best grading along the expected ranks, "auto" chooses

    Raises
    ------
    SpecError
        Impossible option, fewer than two doctors, or an unknown direction.

    Notes
    -----
    With p_ij the posterior probability that i is better than j, a pair in which i has the better
    grade contributes p_ji - w p_ij, pairs with one grade nothing; the sum over pairs is
    minimized over all weak orders. w = 1/certainty - 1, so that one pair on its own is
    ordered when p_ij > 1/(1 + w) = certainty. The integer program has one variable for "i is
    graded better than j" and one transitivity constraint for each triple. The ordered method is
    a dynamic program over cuts of the doctors sorted by expected rank; for more than 1,500
    doctors neighbors are put into blocks first, and p_ij comes from normal approximations of
    the ranks.

    References
    ----------
    Kline, Rose & Walters (2024), A Discrimination Report Card, American Economic Review 114
    (arXiv:2306.13005).

    Examples
    --------
    >>> import outcomekpi as ok
    >>> cases = ok.datasets.load_synthetic_cases()
    >>> card = ok.report_card(ok.standardize(ok.fit(cases, ok.ModelSpec(), draws=400)))
    >>> int(card.grade.min())
    1
    """
    check_arguments(report_card, locals())
    direction = require_direction(rates, "report_card")
    n_doctors = rates.draws.sizes["doctor"]
    _check(certainty, max_discordance, n_doctors)
    chosen = method
    if method == "auto":
        chosen = "exact" if n_doctors <= EXACT_UP_TO else "ordered"
    draws = flatten_draws(rates.draws)
    pairs = pairwise_worse(draws if direction == "lower" else -draws)
    solve = grade_exactly if chosen == "exact" else grade_in_order

    def graded(required: float) -> tuple[NDArray[np.intp], float, float]:
        grades = solve(pairs, weight=1 / required - 1)
        return grades, *pairs.shares(grades)

    found = graded(certainty)
    if max_discordance is not None and found[1] > max_discordance:
        certainty, found = _bisect(graded, certainty, max_discordance)
    grades, wrong, right = found
    return ReportCard(
        grade=pd.Series(pairs.to_doctors(grades), index=rates.cases.index, name="grade"),
        certainty=certainty,
        weight=1 / certainty - 1,
        discordance=wrong,
        concordance=right,
        method=chosen,
        approximation=pairs.approximation,
        direction=direction,
        provenance=rates.provenance,
    )


def _check(certainty: float, max_discordance: float | None, n_doctors: int) -> None:
    if n_doctors < 2:
        raise SpecError("A report card needs at least two doctors.")


def _bisect(
    graded: object, low: float, bound: float
) -> tuple[float, tuple[NDArray[np.intp], float, float]]:
    """Lowest certainty whose grading keeps the bound, found by bisection from below."""
    high = 1 - 1e-9
    best = graded(high)  # type: ignore[operator]
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        attempt = graded(middle)  # type: ignore[operator]
        if attempt[1] <= bound:
            high, best = middle, attempt
        else:
            low = middle
        if high - low < 1e-4:
            break
    return high, best
