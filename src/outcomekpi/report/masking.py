"""Small cells of a published table: which counts are withheld, so that no patient is found."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.errors import SpecError
from outcomekpi.profiling.standardization import StandardizedRates

__all__ = ["Mask", "check_suppression", "keep_shown", "mask_counts", "nothing_masked"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mask:
    """Which counts of which doctors a report withholds.

    Attributes
    ----------
    below : counts below this are withheld; None withholds nothing
    cases, observed : (doctor,), True where that count is withheld
    """

    below: int | None
    cases: pd.Series
    observed: pd.Series

    @property
    def shown(self) -> NDArray[np.bool_]:
        """Doctors of whom every count may be seen, also as a point in a picture."""
        return ~(self.cases | self.observed).to_numpy()

    @property
    def text(self) -> str:
        """What stands in the place of a count."""
        return f"< {self.below}" if self.below is not None else ""

    @property
    def note(self) -> str:
        """One sentence that says what was withheld, empty where nothing was."""
        if self.below is None:
            return ""
        hidden = int((~self.shown).sum())
        return (
            f"For publication, counts below {self.below} are withheld: this concerns {hidden:,} "
            f"of {len(self.cases):,} doctors, who are also left out of the pictures in which their "
            "counts could be read. Where a single count could be found by subtraction from a "
            "total, one more is withheld."
        )


def nothing_masked(rates: StandardizedRates) -> Mask:
    """Return the mask of a report that withholds nothing."""
    none = pd.Series(False, index=rates.cases.index)
    return Mask(below=None, cases=none, observed=none)


def mask_counts(rates: StandardizedRates, *, below: int | None) -> Mask:
    """Decide which counts of cases and events are withheld.

    Parameters
    ----------
    rates : observed events and cases of each doctor
    below : counts below this are withheld, zero included; None withholds nothing

    Raises
    ------
    SpecError
        ``below`` is not a whole number of at least 2.

    Notes
    -----
    Withheld are cases < k; observed events < k; and, where events are among cases, observed
    events whose complement (cases without the event) is < k, since either count gives the other.
    All of a doctor's events are withheld with his cases. If just one doctor's count is withheld,
    the next smallest one goes with it, because totals are printed.
    """
    if below is None:
        return nothing_masked(rates)
    check_suppression(below)
    cases = _withhold_a_second(rates.cases < below, rates.cases)
    observed = cases.copy()
    if rates.family != "gaussian":
        observed |= rates.observed < below
    if rates.family in ("bernoulli", "binomial"):
        observed |= rates.cases - rates.observed < below
    return Mask(below=below, cases=cases, observed=_withhold_a_second(observed, rates.observed))


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


def keep_shown(rates: StandardizedRates, mask: Mask) -> StandardizedRates:
    """Return the rates of the doctors whose counts may be seen, with the reference rate of all."""
    if mask.shown.all():
        return rates
    at = np.flatnonzero(mask.shown)
    return replace(
        rates,
        draws=rates.draws.isel(doctor=at),
        expected=rates.expected.isel(doctor=at),
        predicted=rates.predicted.isel(doctor=at),
        observed=rates.observed.iloc[at],
        cases=rates.cases.iloc[at],
        exposure=rates.exposure.iloc[at],
    )


def _withhold_a_second(hidden: pd.Series, counts: pd.Series) -> pd.Series:
    """Hide one count more where a single hidden one is the total less all others."""
    if hidden.sum() != 1 or len(hidden) < 2:
        return hidden
    position = int(np.argmin(counts.where(~hidden, np.inf).to_numpy()))
    second = np.zeros(len(hidden), dtype=bool)
    second[position] = True
    return hidden | second
