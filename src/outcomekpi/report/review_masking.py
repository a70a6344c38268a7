"""Small cells of a published review: whose counts are withheld."""

from dataclasses import dataclass

import pandas as pd

from outcomekpi.report.masking import check_suppression
from outcomekpi.thresholds.review.history import CycleHistory

__all__ = ["ReviewMask", "mask_history"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReviewMask:
    """Which indicators and units a report shows no counts of.

    Attributes
    ----------
    below : counts below this are withheld; None withholds nothing
    indicators : (indicator,), True where a count of the indicator in some cycle is small
    units : MultiIndex of indicator and unit, True where a count of that unit is small
    """

    below: int | None
    indicators: pd.Series
    units: pd.Series

    @property
    def text(self) -> str:
        """What stands in the place of a withheld number."""
        return "withheld" if self.below is not None else ""

    @property
    def note(self) -> str:
        """One sentence that says what was withheld, empty where nothing was."""
        if self.below is None:
            return ""
        return (
            f"For publication, counts below {self.below} are withheld: completion as observed and "
            f"number of cases of {int(self.indicators.sum()):,} of {len(self.indicators):,} "
            f"indicators, and the rows of {int(self.units.sum()):,} units among those who gain "
            "or lose."
        )


def mask_history(history: CycleHistory, *, below: int | None) -> ReviewMask:
    """Decide whose counts are withheld.

    Parameters
    ----------
    history : checked table of the counts
    below : counts below this are withheld, zero included; None withholds nothing

    Raises
    ------
    SpecError
        ``below`` is not a whole number of at least 2.

    Notes
    -----
    An indicator is withheld if, in any cycle, its numerator, denominator or their difference over
    all units is below k; a unit if one of its own is. Posterior summaries stay: they are not
    counts. Completions and denominators give each other's counts, so both are withheld.
    """
    frame = history.frame
    if below is None:
        none = pd.Series(False, index=pd.Index(history.indicators, name="indicator"))
        pairs = pd.MultiIndex.from_frame(frame[["indicator", "unit"]].drop_duplicates())
        return ReviewMask(below=None, indicators=none, units=pd.Series(False, index=pairs))
    check_suppression(below)
    columns = ["numerator", "denominator"]
    total = frame.groupby(["indicator", "cycle"])[columns].sum()
    small = _is_small(total, below).groupby("indicator").any()
    own = _is_small(frame.set_index(["indicator", "unit"])[columns], below)
    return ReviewMask(
        below=below,
        indicators=small.reindex(list(history.indicators)),
        units=own.groupby(["indicator", "unit"]).any(),
    )


def _is_small(counts: pd.DataFrame, below: int) -> pd.Series:
    rest = counts["denominator"] - counts["numerator"]
    return (counts["numerator"] < below) | (counts["denominator"] < below) | (rest < below)
