"""Hospital Value-Based Purchasing: points for achievement or improvement, whichever is more."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike

from outcomekpi.awards.rules import CycleResults
from outcomekpi.declare.alignment import align
from outcomekpi.declare.checking import check_arguments, check_fields
from outcomekpi.declare.fields import NotNegative, Probability, Range
from outcomekpi.programs.bars import (
    Floats,
    Scale,
    as_counts,
    as_scores,
    check_bars,
    check_units,
    last_cycle,
    whole_steps,
)
from outcomekpi.tables.cases import Direction

__all__ = [
    "VbpRule",
    "VbpThresholds",
    "vbp_achievement_points",
    "vbp_improvement_points",
    "vbp_points",
    "vbp_thresholds",
]

FULL_POINTS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VbpThresholds:
    """Bars of one measure, from the baseline period of all hospitals.

    Attributes
    ----------
    threshold : (...,), median: where achievement points start
    benchmark : (...,), mean of the top decile: where all points are earned
    hospitals : (...,), number of hospitals behind them
    """

    threshold: Floats
    benchmark: Floats
    hospitals: Floats

    def __repr__(self) -> str:
        if np.ndim(self.threshold):
            return f"VbpThresholds: {np.size(self.threshold)} sets of bars"
        return (
            f"VbpThresholds: threshold {float(self.threshold):.4g}, benchmark "
            f"{float(self.benchmark):.4g}, {int(self.hospitals)} hospitals"
        )


def vbp_thresholds(
    baseline: ArrayLike,
    *,
    cases: ArrayLike | None = None,
    minimum_cases: NotNegative = 25,
    top_share: Probability = 0.10,
    direction: Direction = "higher",
    scale: Scale = "fraction",
) -> VbpThresholds:
    """Bars that the hospitals of the baseline period set for everyone.

    Parameters
    ----------
    baseline : (..., hospital), rates of the baseline period
    cases : (..., hospital), cases behind them; hospitals with too few do not count
    minimum_cases : least number of cases
    top_share : share of the hospitals whose mean is the benchmark
    direction : "higher" or "lower" is better
    scale : "fraction", "percent" or "free"

    Returns
    -------
    VbpThresholds, one pair of bars for each leading index

    Raises
    ------
    CasesError
        Fewer than ten hospitals count, or a rate lies outside its scale.

    Notes
    -----
    Threshold: median. Benchmark: arithmetic mean of the ⌈top_share × n⌉ best hospitals; that the
    number of hospitals in the decile is rounded up is our choice.

    References
    ----------
    42 CFR 412.160 (achievement threshold, benchmark). 25 cases [K].

    Examples
    --------
    >>> from outcomekpi import programs
    >>> programs.vbp_thresholds([.1, .2, .3, .4, .5, .6, .7, .8, .9, 1])
    VbpThresholds: threshold 0.55, benchmark 1, 10 hospitals
    """
    check_arguments(vbp_thresholds, locals())
    baseline, cases = align(baseline=baseline, cases=cases)
    rates = as_scores("baseline", baseline, scale=scale)
    if cases is not None:
        enough = as_counts("cases", cases) >= minimum_cases
        rates = np.where(enough, rates, np.nan)
    counts = np.sum(~np.isnan(rates), axis=-1)
    check_units(counts, wanted=10, what="A benchmark from the top decile")
    sign = -1.0 if direction == "higher" else 1.0
    best_first = sign * np.sort(sign * rates, axis=-1)
    # whole_steps of the complement: rounds up, and .1 * 30 counts as 3
    inside = -whole_steps(-counts.astype(np.float64), steps=top_share)
    top = np.arange(rates.shape[-1]) < inside[..., None]
    benchmark = np.where(top, best_first, 0.0).sum(axis=-1) / inside
    return VbpThresholds(
        threshold=np.nanmedian(rates, axis=-1),
        benchmark=benchmark[()],
        hospitals=counts.astype(np.float64)[()],
    )


def vbp_achievement_points(
    rate: ArrayLike,
    *,
    threshold: ArrayLike,
    benchmark: ArrayLike,
    direction: Direction = "higher",
    scale: Scale = "fraction",
) -> Floats:
    """Points for where a hospital stands, whatever it came from.

    Parameters
    ----------
    rate : (...,), rate of the performance period
    threshold : (...,), see :func:`vbp_thresholds`
    benchmark : (...,), the same
    direction : "higher" or "lower" is better
    scale : "fraction", "percent" or "free"

    Returns
    -------
    (...,), whole points 0 … 10; nan where the rate is

    Raises
    ------
    SpecError
        The benchmark is not better than the threshold.
    CasesError
        A rate lies outside its scale.

    Notes
    -----
    0 below the threshold, 10 at the benchmark and beyond, otherwise
    9 (x − t)/(b − t) + .5 rounded, halves up, which is ⌊9 (x − t)/(b − t)⌋ + 1. The steps are
    first rounded to nine decimals, so that a tie in decimal numbers is a tie here.

    References
    ----------
    42 CFR 412.165(a)(2), (a)(4). Formula and rounding [K].

    Examples
    --------
    >>> from outcomekpi import programs
    >>> programs.vbp_achievement_points([.55, .60, .68, .86], threshold=.60, benchmark=.85).tolist()
    [0.0, 1.0, 3.0, 10.0]
    """
    check_arguments(vbp_achievement_points, locals())
    rate, threshold, benchmark = align(rate=rate, threshold=threshold, benchmark=benchmark)
    low, high = _bars(threshold, benchmark, direction, scale)
    steps = whole_steps((as_scores("rate", rate, scale=scale) - low) / (high - low), steps=9.0)
    points = np.clip(steps + 1.0, 0.0, FULL_POINTS)
    return np.asarray(points)


def vbp_improvement_points(
    rate: ArrayLike,
    baseline: ArrayLike,
    *,
    benchmark: ArrayLike,
    direction: Direction = "higher",
    scale: Scale = "fraction",
) -> Floats:
    """Points for how much of the way from its own past to the benchmark a hospital went.

    Parameters
    ----------
    rate : (...,), rate of the performance period
    baseline : (...,), rate of the same hospital in the baseline period
    benchmark : (...,), see :func:`vbp_thresholds`
    direction : "higher" or "lower" is better
    scale : "fraction", "percent" or "free"

    Returns
    -------
    (...,), whole points 0 … 9; nan where a rate is; 0 for hospitals that were at the benchmark

    Raises
    ------
    CasesError
        A rate lies outside its scale.

    Notes
    -----
    10 (x − base)/(b − base) − .5 rounded, halves up, limited to 0 … 9, which is
    ⌊10 (x − base)/(b − base)⌋ limited to 0 … 9. Rounding to nine decimals as for achievement.

    References
    ----------
    42 CFR 412.165(a)(3). Formula and rounding [K].

    Examples
    --------
    >>> from outcomekpi import programs
    >>> programs.vbp_improvement_points([.55, .60, .68], .43, benchmark=.85).tolist()
    [2.0, 4.0, 5.0]
    """
    check_arguments(vbp_improvement_points, locals())
    rate, baseline, benchmark = align(rate=rate, baseline=baseline, benchmark=benchmark)
    now = as_scores("rate", rate, scale=scale)
    before = as_scores("baseline", baseline, scale=scale)
    sign = 1.0 if direction == "higher" else -1.0
    gain, way = np.broadcast_arrays(
        sign * (now - before), sign * (as_scores("benchmark", benchmark, scale=scale) - before)
    )
    share = np.where(np.isnan(gain), np.nan, 0.0)
    np.divide(gain, way, out=share, where=way > 0)
    return np.asarray(np.clip(whole_steps(share, steps=10.0), 0.0, 9.0))


def vbp_points(
    rate: ArrayLike,
    baseline: ArrayLike | None = None,
    *,
    threshold: ArrayLike,
    benchmark: ArrayLike,
    cases: ArrayLike | None = None,
    baseline_cases: ArrayLike | None = None,
    minimum_cases: NotNegative = 25,
    direction: Direction = "higher",
    scale: Scale = "fraction",
) -> Floats:
    """Points of a hospital on one measure: achievement or improvement, whichever is more.

    Parameters
    ----------
    rate : (...,), rate of the performance period
    baseline : (...,), rate of the same hospital in the baseline period; None or nan: achievement
        alone
    threshold : (...,), see :func:`vbp_thresholds`
    benchmark : (...,), the same
    cases : (...,), cases of the performance period
    baseline_cases : (...,), cases of the baseline period
    minimum_cases : with fewer cases a period does not count
    direction : "higher" or "lower" is better
    scale : "fraction", "percent" or "free"

    Returns
    -------
    (...,), whole points 0 … 10; nan where the performance period does not count

    Raises
    ------
    SpecError
        The benchmark is not better than the threshold.
    CasesError
        A rate lies outside its scale.

    References
    ----------
    42 CFR 412.165(a). 25 cases [K].

    Examples
    --------
    >>> from outcomekpi import programs
    >>> programs.vbp_points([.55, .60, .68, .86], .43, threshold=.60, benchmark=.85).tolist()
    [2.0, 4.0, 5.0, 10.0]
    """
    check_arguments(vbp_points, locals())
    rate, baseline, threshold, benchmark, cases, baseline_cases = align(
        rate=rate,
        baseline=baseline,
        threshold=threshold,
        benchmark=benchmark,
        cases=cases,
        baseline_cases=baseline_cases,
    )
    points = vbp_achievement_points(
        rate, threshold=threshold, benchmark=benchmark, direction=direction, scale=scale
    )
    if baseline is not None:
        gained = vbp_improvement_points(
            rate, baseline, benchmark=benchmark, direction=direction, scale=scale
        )
        if baseline_cases is not None:
            counted = as_counts("baseline_cases", baseline_cases) >= minimum_cases
            gained = np.where(counted, gained, np.nan)
        points = np.fmax(points, gained)
    if cases is not None:
        points = np.where(as_counts("cases", cases) >= minimum_cases, points, np.nan)
    return np.asarray(points)


def _bars(
    threshold: ArrayLike, benchmark: ArrayLike, direction: Direction, scale: Scale
) -> tuple[Floats, Floats]:
    low = as_scores("threshold", threshold, scale=scale)
    high = as_scores("benchmark", benchmark, scale=scale)
    if direction == "higher":
        check_bars("threshold", low, "benchmark", high)
    else:
        check_bars("benchmark", high, "threshold", low)
    return low, high


@dataclass(frozen=True, slots=True, kw_only=True)
class VbpRule:
    """Points of a measure as an award: points over ten, for every doctor or hospital.

    Attributes
    ----------
    threshold, benchmark : bars, fractions
    improvement : whether the cycle before the last is the baseline of improvement points
    minimum_cases : a cycle with fewer cases does not count; without the last there is no award
    direction : "higher" or "lower" is better
    """

    threshold: float
    benchmark: float
    improvement: bool = True
    minimum_cases: Annotated[int, Range(low=0)] = 25
    direction: Direction = "higher"

    def __post_init__(self) -> None:
        check_fields(self)
        _bars(self.threshold, self.benchmark, self.direction, "fraction")

    @property
    def cycles(self) -> int:
        """Cycles that the rule looks at."""
        return 2 if self.improvement else 1

    def decide(self, results: CycleResults) -> Floats:
        """Return points over ten, (replicate, unit), from the last one or two cycles.

        Raises
        ------
        SpecError
            Improvement is asked for and there is one cycle only.
        """
        rates, cases = last_cycle(results)
        before, past = None, None
        if self.improvement:
            before, past = last_cycle(results, back=1)
        points = vbp_points(
            rates,
            before,
            threshold=self.threshold,
            benchmark=self.benchmark,
            cases=cases,
            baseline_cases=past,
            minimum_cases=self.minimum_cases,
            direction=self.direction,
        )
        return np.where(np.isnan(points), 0.0, points / FULL_POINTS)
