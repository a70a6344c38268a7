"""Which doctors of a published table are withheld, so that no small count can be worked out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.errors import SpecError

__all__ = ["Withheld", "check_suppression", "choose_withheld", "is_small"]

ONE_MORE = 1
"""Withheld beyond what the totals need: else that no more were needed would say something."""
FEWEST_SHOWN = 2

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Withheld:
    """Doctors who are withheld, and why.

    Attributes
    ----------
    below : counts below this are small, zero included
    small : (doctor,), True where a count of the doctor's own is small (primary suppression)
    others : (doctor,), True where he is withheld so that those cannot be found by subtraction
        (complementary suppression)
    """

    below: int
    small: NDArray[np.bool_]
    others: NDArray[np.bool_]

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """Doctors of whom nothing may be seen, (doctor,); which of the two they are is not said."""
        return self.small | self.others


def check_suppression(below: object) -> None:
    """Refuse a bound for small counts that hides nothing or is no count.

    Raises
    ------
    SpecError
        ``below`` is not a whole number of at least 2.
    """
    if isinstance(below, bool) or not isinstance(below, int) or below < 2:
        raise SpecError(
            f"suppress_below must be a whole number of at least 2, or None; got {below!r}."
        )


def is_small(cells: Counts, below: int) -> NDArray[np.bool_]:
    """Whether any count of a row lies below the bound; zero is small.

    Parameters
    ----------
    cells : (row, cell), counts
    below : the bound

    Returns
    -------
    (row,)
    """
    return np.asarray((cells < below).any(axis=1))


def choose_withheld(cells: Counts, size: Counts, *, below: int) -> Withheld:
    """Decide whose counts are withheld from a table whose totals are published.

    Parameters
    ----------
    cells : (doctor, cell), the counts that may not be small: events and cases without event
        where events are among cases, cases and events where they are not, cases alone of
        measurements, events alone over an exposure
    size : (doctor,), caseload (events over an exposure); the smallest go first
    below : counts below this are withheld, zero included

    Raises
    ------
    SpecError
        ``below`` cannot be used, or fewer than two doctors could be shown.

    Notes
    -----
    With c the counts of those withheld beside the small ones and k the bound, doctors are added
    in the order of floor(log2 size), then of their labels, until for every cell sum(c - k) >= k - 1
    and sum(2^(floor(log2 size) + 1) - 1 - size) >= k - 1; and then one more. The totals then allow
    a small count every value from 0 to k - 1: what it gains the others lose, and what it loses they
    gain, without one of them becoming small or changing the order. The order is by classes and not
    by size itself, because "the next smallest" would say how large those withheld can be at
    most; and one more is withheld because "no more were needed" bounds what they have together
    (``benchmarks/suppression.md``). At least three are withheld, so that none of them can subtract
    his own counts and have another's.

    References
    ----------
    Hundepool et al. (2012), Statistical Disclosure Control, Wiley, chapter 4 (primary and
    secondary cell suppression, audit by linear programming; singletons).
    """
    check_suppression(below)
    small = is_small(cells, below)
    others = np.zeros_like(small)
    if not small.any():
        return Withheld(below=below, small=small, others=others)
    level = np.floor(np.log2(np.maximum(size, 1))).astype(np.int64)
    candidates = np.lexsort((np.arange(size.size), level))
    candidates = candidates[~small[candidates]]
    lower = np.cumsum(cells[candidates] - below, axis=0).min(axis=1)
    upper = np.cumsum((2 << level[candidates]) - 1 - size[candidates])
    enough = (lower >= below - 1) & (upper >= below - 1)
    n_others = int(enough.argmax()) + 1 + ONE_MORE if enough.any() else candidates.size
    if candidates.size - n_others < FEWEST_SHOWN:
        raise SpecError(
            f"With suppress_below={below}, {int(small.sum()):,} of {small.size:,} doctors have a "
            f"count below {below} (of events, of cases, or of cases without the event), and too "
            f"few others are left to be shown beside those who have to be withheld with them. "
            "Publish a longer period, or larger units such as departments."
        )
    others[candidates[:n_others]] = True
    return Withheld(below=below, small=small, others=others)
