"""NCQA health plan ratings: five ratings between four percentiles of the peers."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from outcomekpi.awards.rules import CycleResults
from outcomekpi.declare.checking import check_arguments, check_fields
from outcomekpi.declare.errors import CasesError, SpecError, check_choice
from outcomekpi.declare.fields import Probability, Range
from outcomekpi.programs.bars import (
    DECIMALS,
    Floats,
    as_scores,
    check_units,
    last_cycle,
    whole_steps,
)
from outcomekpi.tables.cases import Direction

__all__ = ["NcqaRule", "ncqa_overall", "ncqa_percentiles", "ncqa_rating"]

Decimals = Annotated[int, Range(low=0, high=DECIMALS - 1)]
LEVELS = (0.10, 0.3333, 0.6667, 0.90)
WEIGHTS: Mapping[str, float] = MappingProxyType({"process": 1.0, "experience": 1.5, "outcome": 3.0})


def ncqa_percentiles(
    rates: ArrayLike,
    *,
    levels: tuple[Probability, ...] = LEVELS,
    decimals: Decimals = 3,
    direction: Direction = "higher",
) -> Floats:
    """Rates of the peers that separate the ratings, truncated.

    Parameters
    ----------
    rates : (..., peer), fractions; missing ones do not count
    levels : shares of the peers below each cut
    decimals : decimals that are kept
    direction : where "lower" is better, rates are first turned into 1 − rate

    Returns
    -------
    (..., cut), ascending; of 1 − rate where lower is better

    Raises
    ------
    CasesError
        Fewer than ten peers, or rates outside 0 to 1 (percent is named).

    Notes
    -----
    Linear percentiles [K], truncated (not rounded) to three decimals. Rates are rounded to
    nine decimals before, so that a decimal number is not truncated to the one below it.

    References
    ----------
    NCQA, Health Plan Ratings methodology: percentiles 10, 33.33, 66.67, 90 of all lines of
    business, rates and percentiles truncated to three decimals, inverted where lower is better.

    Examples
    --------
    >>> from outcomekpi import programs
    >>> programs.ncqa_percentiles([i / 20 for i in range(1, 21)]).tolist()
    [0.145, 0.366, 0.683, 0.905]
    """
    check_arguments(ncqa_percentiles, locals())
    found = _turned(rates, direction)
    check_units(np.sum(~np.isnan(found), axis=-1), wanted=10, what="Percentiles of the peers")
    shares = np.asarray(levels, dtype=np.float64)
    if (np.diff(shares) <= 0).any():
        raise SpecError(f"levels must rise; got {levels!r}.")
    cuts = np.moveaxis(np.nanquantile(found, shares, axis=-1), 0, -1)
    return _truncated(cuts, decimals)


def ncqa_rating(
    rates: ArrayLike,
    *,
    cuts: ArrayLike,
    decimals: Decimals = 3,
    direction: Direction = "higher",
) -> Floats:
    """Rating of each unit from 1 to 5.

    Parameters
    ----------
    rates : (..., unit), fractions
    cuts : (..., cut), see :func:`ncqa_percentiles`
    decimals : decimals of the rate that are kept
    direction : where "lower" is better, rates are first turned into 1 − rate

    Returns
    -------
    (..., unit), 1 … 5; a rate at a cut has the better rating; nan where a rate is missing

    Raises
    ------
    SpecError
        The cuts do not ascend.
    CasesError
        Rates outside 0 to 1.

    References
    ----------
    NCQA, Health Plan Ratings methodology (5: at or above the 90th percentile; 1: below the 10th).

    Examples
    --------
    >>> from outcomekpi import programs
    >>> programs.ncqa_rating([.0999, .10, .90], cuts=[.10, .30, .60, .90]).tolist()
    [1.0, 2.0, 5.0]
    """
    check_arguments(ncqa_rating, locals())
    found = _truncated(_turned(rates, direction), decimals)
    bars = _truncated(as_scores("cuts", cuts), decimals)
    if bars.ndim == 0 or np.isnan(bars).any() or (np.diff(bars, axis=-1) < 0).any():
        raise SpecError(
            f"cuts must ascend (of 1 − rate where lower is better); got {np.asarray(cuts)!r}."
        )
    above = found[..., None] >= (bars if bars.ndim == 1 else bars[..., None, :])
    return np.where(np.isnan(found), np.nan, 1.0 + above.sum(axis=-1))


def ncqa_overall(
    ratings: ArrayLike,
    *,
    kinds: tuple[str, ...],
    weights: Mapping[str, float] = WEIGHTS,
) -> Floats:
    """Overall rating: weighted mean of the measures, to the nearest half.

    Parameters
    ----------
    ratings : (..., measure), 1 … 5; missing ones do not count
    kinds : kind of each measure
    weights : kind -> weight

    Returns
    -------
    (...,), in half points; nan where no measure is rated

    Raises
    ------
    SpecError
        A kind without a weight, or not one kind per measure.
    CasesError
        A rating outside 0 to 5.

    References
    ----------
    NCQA, Health Plan Ratings methodology (weights 1, 1.5 and 3; half points). Bonus points for
    accreditation are left out.

    Examples
    --------
    >>> from outcomekpi import programs
    >>> float(programs.ncqa_overall([5, 3], kinds=("process", "outcome")))
    3.5
    """
    check_arguments(ncqa_overall, locals())
    found = as_scores("ratings", ratings, scale="free")
    if ((found < 0) | (found > 5)).any():
        raise CasesError("ratings must lie from 0 to 5.")
    if found.ndim == 0 or found.shape[-1] != len(kinds):
        raise SpecError(f"kinds must name each of the measures, {found.shape}; got {len(kinds)}.")
    for kind in kinds:
        check_choice("kinds", kind, weights)
    weight = np.where(np.isnan(found), 0.0, [weights[kind] for kind in kinds])
    total = weight.sum(axis=-1)
    mean = np.full(total.shape, np.nan)
    np.divide((weight * np.nan_to_num(found)).sum(axis=-1), total, out=mean, where=total > 0)
    return np.asarray(whole_steps(mean + 0.25, steps=2.0) / 2)


def _turned(rates: ArrayLike, direction: Direction) -> Floats:
    found = as_scores("rates", rates)
    return found if direction == "higher" else 1.0 - found


def _truncated(values: Floats, decimals: int) -> Floats:
    return np.asarray(whole_steps(values, steps=10.0**decimals) / 10**decimals)


@dataclass(frozen=True, slots=True, kw_only=True)
class NcqaRule:
    """A bonus from a rating, against fixed percentiles or those of the doctors themselves.

    Attributes
    ----------
    rating : rating that the bonus asks for
    cuts : percentiles known beforehand; None takes those of the doctors in the same cycle, so
        that the same share is awarded whatever the level
    minimum_cases : doctors with fewer cases are no peers and get no bonus
    direction : "higher" or "lower" is better
    """

    rating: Annotated[int, Range(low=2)] = 5
    cuts: tuple[float, ...] | None = None
    minimum_cases: Annotated[int, Range(low=0)] = 1
    direction: Direction = "higher"
    cycles: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_fields(self)
        bars = len(LEVELS) if self.cuts is None else len(self.cuts)
        if self.rating > bars + 1:
            raise SpecError(f"NcqaRule.rating must be from 2 to {bars + 1}; got {self.rating!r}.")
        if self.cuts is not None:
            ncqa_rating([0.0], cuts=self.cuts)

    def decide(self, results: CycleResults) -> NDArray[np.bool_]:
        """Say who gets the bonus, (replicate, unit), from the last cycle."""
        rates, cases = last_cycle(results)
        rates = np.where(cases >= self.minimum_cases, rates, np.nan)
        cuts: ArrayLike = self.cuts or ncqa_percentiles(rates, direction=self.direction)
        return np.asarray(ncqa_rating(rates, cuts=cuts, direction=self.direction) >= self.rating)
