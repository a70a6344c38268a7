"""How much the cut points of Medicare Star Ratings owe to the random split of the scores."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import NotNegative, Range, Seed
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL, interval
from outcomekpi.programs.bars import Floats, Scale, as_scores
from outcomekpi.programs.clusters import (
    inside_fences,
    mean_cut_points,
    run_cut_points,
)
from outcomekpi.programs.stars import star_ratings
from outcomekpi.tables.cases import Direction

__all__ = ["StarSpread", "star_cut_spread"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StarSpread:
    """Cut points over many random splits of the same scores.

    Attributes
    ----------
    draws : (split, star - 1), cut points
    changed : share of the units whose star is not the same in every split
    differs : share of the units whose star differs between two splits, on average over pairs
    direction : "higher" or "lower" is better
    """

    draws: Floats
    changed: float
    differs: float
    direction: Direction

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per star from the second, over the splits.

        Returns
        -------
        DataFrame indexed by ``star``: ``mean, lower, upper`` (equal-tailed share of splits),
        ``sd``, ``lowest``, ``highest`` of the cut point
        """
        lower, upper = interval(self.draws.T, level=level)
        frame = pd.DataFrame(
            {
                "mean": self.draws.mean(axis=0),
                "lower": lower,
                "upper": upper,
                "sd": self.draws.std(axis=0, ddof=1),
                "lowest": self.draws.min(axis=0),
                "highest": self.draws.max(axis=0),
            },
            index=pd.Index(range(2, self.draws.shape[1] + 2), name="star"),
        )
        frame.attrs.update(level=level, unit="score")
        return frame

    def __repr__(self) -> str:
        widest = float(np.ptp(self.draws, axis=0).max())
        return (
            f"StarSpread: over {len(self.draws)} random splits a cut point moves by up to "
            f"{widest:.3g}; {self.differs:.1%} of the units change stars from one split to "
            f"another, {self.changed:.1%} in some"
        )

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame(), number=".4f")


def star_cut_spread(
    scores: ArrayLike,
    *,
    splits: Annotated[int, Range(low=2)] = 200,
    stars: Annotated[int, Range(low=2)] = 5,
    groups: Annotated[int, Range(low=2)] = 10,
    fences: NotNegative | None = 3.0,
    direction: Direction = "higher",
    scale: Scale = "fraction",
    seed: Seed = 20261,
) -> StarSpread:
    """How far the cut points of the same scores move with the random split alone.

    Parameters
    ----------
    scores : (unit,), without missing ones
    splits : number of random splits
    stars : number of clusters
    groups : random groups of each split
    fences : outer fences in interquartile ranges; None keeps all scores
    direction : "higher" or "lower" is better
    scale : "fraction", "percent" or "free"
    seed : of the splits

    Returns
    -------
    StarSpread

    Raises
    ------
    SpecError
        Fewer than two splits, stars or groups.
    CasesError
        Missing scores, scores outside their scale, too few scores or distinct ones.

    Notes
    -----
    Repeats :func:`star_cut_points` without guardrails. The program publishes one split; what
    another would have given is not part of it. 200 splits of 500 scores take about ten seconds.

    Examples
    --------
    >>> import numpy as np
    >>> from outcomekpi import programs
    >>> programs.star_cut_spread(np.repeat([.2, .4, .6, .8, .9], 20), splits=5)
    StarSpread: over 5 random splits a cut point moves by up to 0; 0.0% of the units change...
    """
    check_arguments(star_cut_spread, locals())
    ordered, _, _ = inside_fences(scores, fences, direction, scale)
    rng = np.random.default_rng(seed)
    draws = np.stack(
        [mean_cut_points(run_cut_points(ordered, stars, groups, rng)) for _ in range(splits)]
    )
    draws = -draws if direction == "lower" else draws
    found = as_scores("scores", scores, scale=scale)
    rated = np.stack([star_ratings(found, cuts=cut, direction=direction) for cut in draws])
    return StarSpread(
        draws=draws,
        changed=float((rated != rated[0]).any(axis=0).mean()),
        differs=_differing_pairs(rated),
        direction=direction,
    )


def _differing_pairs(rated: Floats) -> float:
    """Share of units that two different splits rate differently; ratings are (split, unit)."""
    splits = len(rated)
    counts = np.stack([(rated == star).sum(axis=0) for star in np.unique(rated)])
    pairs_alike = (counts * (counts - 1)).sum(axis=0)
    return float(1 - (pairs_alike / (splits * (splits - 1))).mean())
