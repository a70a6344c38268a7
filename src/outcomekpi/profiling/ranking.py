"""Ranks of the doctors in each draw, and what is certain about them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Count
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL, flatten_draws, interval
from outcomekpi.draws.memory import remembered
from outcomekpi.draws.threads import in_threads
from outcomekpi.lineage.origins import Provenance
from outcomekpi.profiling.standardization import (
    StandardizedRates,
    label_draws,
    require_direction,
)
from outcomekpi.tables.cases import Direction

__all__ = ["Ranks", "rank", "rank_draws"]

BLOCK_NUMBERS = 1 << 20  # draws x doctors ranked at once


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Ranks:
    """Posterior of each doctor's rank; rank 1 is best.

    Attributes
    ----------
    draws : (chain, draw, doctor), rank within each draw, 1 .. number of doctors; doctors who
        share a value share the mean of their ranks
    top : number of doctors that "top" and "bottom" stand for
    direction : "higher" or "lower" is better
    measure : measure that was ranked
    provenance : of the fit
    """

    draws: xr.DataArray
    top: int
    direction: Direction
    measure: str
    provenance: Provenance

    @remembered
    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per doctor, in the order of the labels.

        Returns
        -------
        DataFrame indexed by doctor. ``mean``, expected rank; ``lower, upper``, rank interval;
        ``percentile``, posterior expected percentile, 100 x mean / (doctors + 1), low is good;
        ``p_best``, ``p_top``, ``p_bottom``, posterior probability of rank 1, of the first and of
        the last ``top`` ranks.
        """
        ranks = flatten_draws(self.draws)
        n_doctors = ranks.shape[0]
        lower, upper = interval(ranks, level=level)
        mean = ranks.mean(axis=1, dtype=np.float64)
        frame = pd.DataFrame(
            {
                "mean": mean,
                "lower": lower,
                "upper": upper,
                "percentile": 100 * mean / (n_doctors + 1),
                "p_best": (ranks <= 1).mean(axis=1),
                "p_top": (ranks <= self.top).mean(axis=1),
                "p_bottom": (ranks > n_doctors - self.top).mean(axis=1),
            },
            index=pd.Index(self.draws["doctor"].to_numpy(), name="doctor"),
        )
        frame.attrs.update(level=level, unit="rank, 1 is best", top=self.top)
        return frame

    def __repr__(self) -> str:
        return (
            f"Ranks of {self.draws.sizes['doctor']} doctors by {self.measure}, 1 is best "
            f"({self.direction} is better), top and bottom {self.top}"
        )

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame().sort_values("mean").head(8))


def rank(rates: StandardizedRates, *, top: Count | None = None) -> Ranks:
    """Posterior of each doctor's place among all doctors.

    Parameters
    ----------
    rates : standardized rates
    top : number of doctors that P(top) and P(bottom) are about; a tenth of them, at least one,
        unless given

    Raises
    ------
    SpecError
        The direction of the outcome is unknown, or ``top`` is not a number of doctors.

    Notes
    -----
    The doctors are ranked within each draw, so that the expected ranks add up to J(J + 1)/2 and
    every probability keeps the dependence between doctors.

    References
    ----------
    Laird & Louis (1989), Journal of Educational Statistics 14. Goldstein & Spiegelhalter (1996),
    Journal of the Royal Statistical Society A 159. Lin, Louis, Paddock & Ridgeway (2006),
    Bayesian Analysis 1.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> cases = ok.datasets.load_synthetic_cases()
    >>> ranks = ok.rank(ok.standardize(ok.fit(cases, ok.ModelSpec(), draws=400)))
    >>> bool(ranks.to_frame()["mean"].min() >= 1)
    True
    """
    check_arguments(rank, locals())
    direction = require_direction(rates, "rank")
    n_doctors = rates.draws.sizes["doctor"]
    if top is None:
        top = max(1, round(n_doctors / 10))
    if not 1 <= top <= n_doctors:
        raise SpecError(f"top must lie between 1 and the {n_doctors} doctors; got {top!r}.")
    ranks = rank_draws(flatten_draws(rates.draws), highest_first=direction == "higher")
    return Ranks(
        draws=label_draws(ranks, rates.draws),
        top=top,
        direction=direction,
        measure=rates.measure,
        provenance=rates.provenance,
    )


def rank_draws(values: NDArray[np.floating], *, highest_first: bool) -> NDArray[np.float32]:
    """Rank the doctors within each draw.

    Parameters
    ----------
    values : (doctor, sample)
    highest_first : whether the highest value gets rank 1

    Returns
    -------
    (doctor, sample), 1 .. n_doctors; equal values share the mean of their ranks
    """
    n_doctors, n_samples = values.shape
    ranks = np.empty((n_doctors, n_samples), dtype=np.float32)
    per_block = max(1, BLOCK_NUMBERS // n_doctors)

    def work(start: int) -> None:
        block = slice(start, start + per_block)
        rows = np.ascontiguousarray(values[:, block].T)
        if highest_first:
            np.negative(rows, out=rows)
        ranks[:, block] = _rank_rows(rows).T

    in_threads(work, list(range(0, n_samples, per_block)))
    return ranks


def _rank_rows(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rank each row, lowest first: (row, doctor)."""
    order = np.argsort(rows, axis=1)
    ordered = np.take_along_axis(rows, order, axis=1)
    place = np.broadcast_to(np.arange(1, rows.shape[1] + 1, dtype=np.float32), rows.shape)
    tied = ordered[:, 1:] == ordered[:, :-1]
    if tied.any():
        place = place.copy()
        for row in np.flatnonzero(tied.any(axis=1)):
            place[row] = _shared_places(tied[row])
    ranks = np.empty(rows.shape, dtype=np.float32)
    np.put_along_axis(ranks, order, place, axis=1)
    return ranks


def _shared_places(tied: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean place of each run of equal values, in order; ``tied``: equal to the one before."""
    run = np.cumsum(np.r_[True, ~tied]) - 1
    size = np.bincount(run)
    last = np.cumsum(size)
    return np.asarray((last - (size - 1) / 2)[run])
