"""Graded report cards: as many grades as the posterior can tell apart."""

from dataclasses import dataclass
from html import escape
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import SpecError, check_choice
from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.lineage.origins import Provenance
from outcomekpi.profiling.grading import grade_exactly, grade_in_order, pairwise_worse
from outcomekpi.profiling.standardization import StandardizedRates, require_direction
from outcomekpi.tables.cases import Direction

__all__ = ["ReportCard", "report_card"]

GradingMethod = Literal["auto", "exact", "ordered"]
EXACT_UP_TO = 14
BISECTIONS = 30


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
        return f"<p><b>{escape(repr(self))}</b></p>{counts.to_html()}"


def report_card(
    rates: StandardizedRates,
    *,
    certainty: float = 0.8,
    max_discordance: float | None = None,
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
    direction = require_direction(rates, "report_card")
    check_choice("method", method, ("auto", "exact", "ordered"))
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
    if not 0.5 <= certainty < 1:
        raise SpecError(f"certainty must lie in [0.5, 1); got {certainty!r}.")
    if max_discordance is not None and not 0 < max_discordance < 1:
        raise SpecError(f"max_discordance must lie between 0 and 1; got {max_discordance!r}.")
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
