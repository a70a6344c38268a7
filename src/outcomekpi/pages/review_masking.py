"""Small cells of a published review: which indicators are withheld, whose units are added up."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from outcomekpi.declare.errors import SpecError
from outcomekpi.pages.suppression import check_suppression, is_small
from outcomekpi.review.review import ThresholdReview, review_thresholds
from outcomekpi.tables.columns import count_of
from outcomekpi.tables.history import ALL_UNITS, CycleHistory, Reading

__all__ = ["ReviewMask", "mask_history", "publish_review"]

KEYS = ["indicator", "unit", "cycle"]
COUNTS = ["numerator", "denominator"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReviewMask:
    """What a published review leaves out.

    Attributes
    ----------
    below : counts below this are small; None withholds nothing
    withheld : indicators that are left out altogether
    added_up : indicators whose units are put together
    has_remarks : whether remarks on the history are not printed
    """

    below: int | None = None
    withheld: tuple[str, ...] = ()
    added_up: tuple[str, ...] = ()
    has_remarks: bool = False

    @property
    def note(self) -> str:
        """What was withheld, empty where nothing was to be."""
        if self.below is None:
            return ""
        if not self.withheld and not self.added_up:
            return f"For publication: no count of any unit lies below {self.below}."
        parts = []
        if self.withheld:
            parts.append(
                f"{count_of(len(self.withheld), 'indicator')} with a count below {self.below} "
                f"(reached, not reached, or in all) left out: {', '.join(self.withheld)}"
            )
        if self.added_up:
            parts.append(
                f"the units of {count_of(len(self.added_up), 'indicator')} added up, because some "
                f"have such counts: {', '.join(self.added_up)}"
            )
        return f"For publication, {'; '.join(parts)}. Nothing here was computed from their counts."


def mask_history(
    history: CycleHistory, reading: Reading, *, below: int | None
) -> tuple[CycleHistory, ReviewMask]:
    """Return the part of a history that may be published.

    Parameters
    ----------
    history : checked table of the counts
    reading : what completion is
    below : counts below this are small, zero included; None withholds nothing

    Returns
    -------
    history, mask : the history has no remarks where ``below`` is given

    Raises
    ------
    SpecError
        ``below`` cannot be used, or no indicator is left.

    Notes
    -----
    An indicator is reviewed from its own counts alone. One that has a numerator, a denominator or
    a difference of both below k in any cycle, of any unit, is therefore left out whole: a
    posterior is a function of the counts, and completion and denominator give each other's. For
    the reading "raw_rate", which pools the units, they are added up first; the others compare
    each unit with its target.
    """
    if below is None:
        return history, ReviewMask()
    check_suppression(below)
    frame = history.frame
    units = _indicators_with_small(frame, below)
    added_up: tuple[str, ...] = ()
    if reading == "raw_rate":
        several = frame.groupby("indicator")["unit"].nunique()
        added_up = tuple(name for name in units if several[name] > 1)
        frame = _add_up(frame, added_up, history.cycles)
    withheld = _indicators_with_small(frame, below)
    left = frame[~frame["indicator"].isin(withheld)].reset_index(drop=True)
    if left.empty:
        remedy = (
            "Review longer cycles."
            if reading == "raw_rate"
            else "Review longer cycles or larger units, or the reading raw_rate, which adds units "
            "up."
        )
        raise SpecError(
            f"With suppress_below={below} no indicator is left: each of "
            f"{len(history.indicators):,} has a unit and cycle with a count below {below} "
            f"(reached, not reached, or in all). {remedy}"
        )
    public = replace(
        history,
        frame=left,
        indicators=tuple(name for name in history.indicators if name not in withheld),
        units=tuple(sorted(set(left["unit"]))),
        log=(),
    )
    mask = ReviewMask(
        below=below,
        withheld=withheld,
        added_up=tuple(name for name in added_up if name not in withheld),
        has_remarks=bool(history.log),
    )
    return public, mask


def publish_review(
    review: ThresholdReview, *, below: int | None
) -> tuple[ThresholdReview, ReviewMask]:
    """Return the same review of what may be published.

    Parameters
    ----------
    review : review of the thresholds
    below : counts below this are small, zero included; None withholds nothing

    Raises
    ------
    SpecError
        ``below`` cannot be used, or no indicator is left.
    """
    history, mask = mask_history(review.history, review.rule.reading, below=below)
    if history is review.history:
        return review, mask
    again = review_thresholds(
        history,
        review.rule,
        judgment=review.judgment,
        draws=review.draws.shape[1],
        seed=review.provenance.seed,
    )
    return again, mask


def _indicators_with_small(frame: pd.DataFrame, below: int) -> tuple[str, ...]:
    reached, everybody = (frame[name].to_numpy(dtype=np.float64) for name in COUNTS)
    cells = np.rint(np.column_stack([reached, everybody - reached])).astype(np.int64)
    return tuple(sorted(set(frame.loc[is_small(cells, below), "indicator"])))


def _add_up(
    frame: pd.DataFrame, indicators: tuple[str, ...], cycles: tuple[str, ...]
) -> pd.DataFrame:
    """Put the units of some indicators together, one row per cycle and no target."""
    chosen = frame["indicator"].isin(indicators)
    if not chosen.any():
        return frame
    sums = frame[chosen].groupby(["indicator", "cycle"], as_index=False)[COUNTS].sum()
    sums = sums.assign(unit=ALL_UNITS, target=np.nan)[list(frame.columns)]
    rank = {label: position for position, label in enumerate(cycles)}
    return pd.concat([frame[~chosen], sums]).sort_values(
        KEYS,
        key=lambda column: column.map(rank) if column.name == "cycle" else column,
        ignore_index=True,
    )
