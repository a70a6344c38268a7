"""Doctors of whom nothing is shown in a table that is published."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.pages.numbers import plural
from outcomekpi.pages.suppression import check_suppression, choose_withheld
from outcomekpi.profiling.reliability import Reliability
from outcomekpi.profiling.standardization import StandardizedRates

__all__ = ["Mask", "keep_reliability", "keep_shown", "mask_counts", "nothing_masked"]

NAMED_AT_MOST = 60


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mask:
    """Which doctors a report withholds.

    Attributes
    ----------
    below : counts below this are small; None withholds nothing
    hidden : (doctor,), True where nothing of the doctor is shown
    """

    below: int | None
    hidden: pd.Series

    @property
    def shown(self) -> NDArray[np.bool_]:
        """Doctors who are shown, (doctor,)."""
        return np.asarray(~self.hidden.to_numpy(dtype=bool))

    @property
    def note(self) -> str:
        """What was withheld and how, empty where nothing was to be."""
        if self.below is None:
            return ""
        n = int(self.hidden.sum())
        if not n:
            return f"For publication: no count of any doctor lies below {self.below}."
        return (
            f"For publication, {n:,} of {plural(len(self.hidden), 'doctor')} are withheld: those "
            f"with fewer than {self.below} events, cases, or cases without the event, and others "
            "so that these cannot be found by subtraction. Their patients count in every total and "
            "in the model, but which of them each patient belongs to was exchanged before anything "
            "was computed; results of the others can differ a little from those that the house "
            "has."
        )

    @property
    def names(self) -> str:
        """The doctors who are withheld, in one sentence; empty where none is."""
        names = [str(name) for name in self.hidden.index[self.hidden.to_numpy(dtype=bool)]]
        if not names:
            return ""
        more = len(names) - NAMED_AT_MOST
        listed = ", ".join(names[:NAMED_AT_MOST]) + (f" and {more:,} more" if more > 0 else "")
        return f"Withheld: {listed}."


def nothing_masked(rates: StandardizedRates) -> Mask:
    """Return the mask of a report that withholds nothing."""
    return Mask(below=None, hidden=pd.Series(False, index=rates.cases.index))


def mask_counts(
    rates: StandardizedRates, *, below: int | None, over_exposure: bool = False
) -> Mask:
    """Decide which doctors are withheld.

    Parameters
    ----------
    rates : observed events and cases of each doctor
    below : counts below this are withheld, zero included; None withholds nothing
    over_exposure : rows are stretches of exposure and no patients, so that only events count

    Raises
    ------
    SpecError
        ``below`` is not a whole number of at least 2, or nearly everybody would be withheld.

    Notes
    -----
    Small are cases < k; observed events < k; and, where events are among cases, cases without
    the event < k, since either count gives the other; of measurements only cases. See
    :func:`outcomekpi.pages.suppression.choose_withheld` for who is withheld beside them.
    """
    if below is None:
        return nothing_masked(rates)
    check_suppression(below)
    cases = np.rint(rates.cases.to_numpy(dtype=np.float64)).astype(np.int64)
    if rates.family == "gaussian":
        cells, size = [cases], cases
    else:
        events = np.rint(rates.observed.to_numpy(dtype=np.float64)).astype(np.int64)
        among = rates.family in ("bernoulli", "binomial")
        cells, size = [events, cases - events if among else cases], cases
        if over_exposure:
            cells, size = [events], events
    withheld = choose_withheld(np.column_stack(cells), size, below=below)
    return Mask(below=below, hidden=pd.Series(withheld.hidden, index=rates.cases.index))


def keep_shown(rates: StandardizedRates, mask: Mask) -> StandardizedRates:
    """Return the rates of the doctors who are shown, with the reference rate of all."""
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


def keep_reliability(reliability: Reliability, mask: Mask) -> Reliability:
    """Return the reliability of the doctors who are shown."""
    at = np.flatnonzero(mask.shown)
    return replace(
        reliability,
        draws=reliability.draws.isel(doctor=at),
        estimate=reliability.estimate.iloc[at],
        cases=reliability.cases.iloc[at],
    )
