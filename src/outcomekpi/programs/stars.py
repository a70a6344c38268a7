"""Medicare Star Ratings: cut points where clusters of scores begin, averaged over ten runs."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from outcomekpi.awards.rules import CycleResults
from outcomekpi.declare.checking import check_arguments, check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import NotNegative, Range, Seed
from outcomekpi.declare.showing import show_html
from outcomekpi.programs.bars import (
    Floats,
    Scale,
    as_scores,
    last_cycle,
)
from outcomekpi.programs.clusters import (
    inside_fences,
    mean_cut_points,
    outer_fences,
    run_cut_points,
)
from outcomekpi.tables.cases import Direction

__all__ = [
    "StarCutPoints",
    "StarRule",
    "star_cut_points",
    "star_ratings",
]

CAPS = {"fraction": 0.05, "percent": 5.0}
"""Guardrail: five percentage points, on either scale of them."""

NEAR = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StarCutPoints:
    """Scores at which 2, 3, … stars begin.

    Attributes
    ----------
    cuts : (star - 1,), from the worst star to the best, with guardrails
    free_cuts : (star - 1,), the same before guardrails
    run_cuts : (group, star - 1), cuts of each run that leaves one group out
    fences : lower and upper outer fence; scores beyond them were left out
    scores : number of scores used
    outliers : number of scores left out
    """

    cuts: Floats
    free_cuts: Floats
    run_cuts: Floats
    fences: tuple[float, float]
    scores: int
    outliers: int

    def to_frame(self) -> pd.DataFrame:
        """One row per star from the second: ``cut``, ``free_cut``, ``run_sd`` over the runs."""
        stars = pd.Index(range(2, len(self.cuts) + 2), name="star")
        columns = {
            "cut": self.cuts,
            "free_cut": self.free_cuts,
            "run_sd": self.run_cuts.std(axis=0, ddof=1),
        }
        return pd.DataFrame(columns, index=stars)

    def __repr__(self) -> str:
        cuts = ", ".join(f"{star} from {cut:.4g}" for star, cut in enumerate(self.cuts, start=2))
        return f"StarCutPoints: {cuts} ({self.scores} scores, {self.outliers} outliers left out)"

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame(), number=".4f")


def star_cut_points(
    scores: ArrayLike,
    *,
    stars: Annotated[int, Range(low=2)] = 5,
    groups: Annotated[int, Range(low=2)] = 10,
    fences: NotNegative | None = 3.0,
    previous_cuts: ArrayLike | None = None,
    previous_scores: ArrayLike | None = None,
    cap: NotNegative | None = None,
    direction: Direction = "higher",
    scale: Scale = "fraction",
    seed: Seed = 20261,
) -> StarCutPoints:
    """Cut points of a measure: where the clusters of the scores begin, averaged over ten runs.

    Parameters
    ----------
    scores : (unit,), without missing ones
    stars : number of clusters
    groups : random groups; each run leaves one out
    fences : outer fences in interquartile ranges; None keeps all scores
    previous_cuts : (stars - 1,), cut points of the year before; None sets no guardrails
    previous_scores : (unit,), scores of the year before, for the guardrails of a free scale
    cap : largest move from the year before; None is 5 percentage points, or 5 % of the
        restricted range of the previous scores on a free scale
    direction : "higher" or "lower" is better
    scale : "fraction", "percent" or "free"
    seed : of the random groups; CMS uses a seed of its own

    Returns
    -------
    StarCutPoints

    Raises
    ------
    SpecError
        Guardrails without what they need, or fewer than two stars or groups.
    CasesError
        Missing scores, scores outside their scale, too few scores or distinct ones.

    Notes
    -----
    1. Scores outside Q1 − 3 IQR … Q3 + 3 IQR are left out (SAS quartiles). 2. The rest, sorted,
    is dealt at random into groups of equal size (they differ by one at most). 3. Ten times one
    group is left out and Ward's method makes five clusters of the others; the cut of a star is
    the smallest score of its cluster (the largest where lower is better). 4. Cuts are averaged
    over the runs. 5. A cut moves at most ``cap`` from that of the year before. Rounding to the
    precision of the measure is left to the caller.

    References
    ----------
    42 CFR 422.166(a)(2)(i), 422.162(a) (mean resampling, Tukey outer fence outliers, guardrail,
    restricted range). Ward's method and SAS quartiles: Medicare 2026 Part C & D Star Ratings
    Technical Notes.

    Examples
    --------
    >>> import numpy as np
    >>> from outcomekpi import programs
    >>> scores = np.repeat([.2, .4, .6, .8, .9], 20)
    >>> programs.star_cut_points(scores).cuts.round(3).tolist()
    [0.4, 0.6, 0.8, 0.9]
    """
    check_arguments(star_cut_points, locals())
    ordered, limits, outliers = inside_fences(scores, fences, direction, scale)
    rng = np.random.default_rng(seed)
    run_cuts = run_cut_points(ordered, stars, groups, rng)
    free = mean_cut_points(run_cuts)
    if direction == "lower":
        run_cuts, free = -run_cuts, -free
    cuts = _guard(free, previous_cuts, previous_scores, cap, fences, scale)
    return StarCutPoints(
        cuts=cuts,
        free_cuts=free,
        run_cuts=run_cuts,
        fences=limits,
        scores=ordered.size,
        outliers=outliers,
    )


def star_ratings(scores: ArrayLike, *, cuts: ArrayLike, direction: Direction = "higher") -> Floats:
    """Stars of each unit.

    Parameters
    ----------
    scores : (...,), on the scale of the cuts
    cuts : (star - 1,), from the worst star to the best
    direction : "higher" or "lower" is better

    Returns
    -------
    (...,), 1 … stars; a score at a cut (to 1e-9 of it) has the better star; nan where missing

    Raises
    ------
    SpecError
        The cuts are not in order from the worst star to the best.

    References
    ----------
    42 CFR 422.166(a)(4).

    Examples
    --------
    >>> from outcomekpi import programs
    >>> programs.star_ratings([.1, .6, .95], cuts=[.4, .6, .8, .9]).tolist()
    [1.0, 3.0, 5.0]
    """
    check_arguments(star_ratings, locals())
    sign = 1.0 if direction == "higher" else -1.0
    bars = sign * np.asarray(cuts, dtype=np.float64)
    if bars.ndim != 1 or bars.size == 0 or np.isnan(bars).any() or (np.diff(bars) < 0).any():
        raise SpecError(
            f"cuts must go from the worst star to the best (direction={direction!r}); got "
            f"{np.asarray(cuts).tolist()}."
        )
    found = sign * np.asarray(scores, dtype=np.float64)
    # a mean of cuts may lie a binary digit above the score that it equals in decimals
    stars = 1.0 + np.searchsorted(bars - NEAR * np.abs(bars), found, side="right")
    return np.where(np.isnan(found), np.nan, stars)


def _guard(
    free: Floats,
    previous_cuts: ArrayLike | None,
    previous_scores: ArrayLike | None,
    cap: float | None,
    fences: float | None,
    scale: Scale,
) -> Floats:
    if previous_cuts is None:
        return free.copy()
    before = as_scores("previous_cuts", previous_cuts, scale=scale)
    if before.shape != free.shape or np.isnan(before).any():
        raise SpecError(f"previous_cuts must hold {free.size} cut points; got {before.tolist()}.")
    if cap is None and scale == "free":
        if previous_scores is None:
            raise SpecError(
                "Guardrails of a free scale are 5 % of the restricted range of the year before: "
                "give previous_scores, or cap."
            )
        past = as_scores("previous_scores", previous_scores, scale=scale)
        low, high = outer_fences(past, fences=3.0 if fences is None else fences)
        cap = 0.05 * float(np.ptp(past[(past >= low) & (past <= high)]))
    reach = CAPS[scale] if cap is None else cap
    return np.clip(free, before - reach, before + reach)


@dataclass(frozen=True, slots=True, kw_only=True)
class StarRule:
    """A bonus from a number of stars, with the cut points given.

    Attributes
    ----------
    cuts : where 2, 3, … stars begin, from the worst to the best, fractions
    stars : stars that the bonus asks for (4 in the quality bonus of Medicare Advantage)
    minimum_cases : with fewer cases there is no bonus
    direction : "higher" or "lower" is better
    """

    cuts: tuple[float, ...]
    stars: Annotated[int, Range(low=2)] = 4
    minimum_cases: Annotated[int, Range(low=0)] = 1
    direction: Direction = "higher"
    cycles: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_fields(self)
        star_ratings(0.0, cuts=self.cuts, direction=self.direction)
        if self.stars > len(self.cuts) + 1:
            raise SpecError(
                f"StarRule.stars must be from 2 to {len(self.cuts) + 1}; got {self.stars!r}."
            )

    def decide(self, results: CycleResults) -> NDArray[np.bool_]:
        """Say who gets the bonus, (replicate, unit), from the last cycle."""
        rates, cases = last_cycle(results)
        rated = star_ratings(rates, cuts=self.cuts, direction=self.direction)
        return np.asarray((rated >= self.stars) & (cases >= self.minimum_cases))
