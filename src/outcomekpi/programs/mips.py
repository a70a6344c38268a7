"""Merit-based Incentive Payment System: points by decile, and measures that are topped out."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from outcomekpi.awards.rules import CycleResults
from outcomekpi.declare.alignment import align
from outcomekpi.declare.checking import check_arguments, check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Count, NotNegative, Probability, Range
from outcomekpi.programs.bars import (
    Floats,
    Scale,
    as_counts,
    as_scores,
    check_units,
    last_cycle,
    whole_steps,
)
from outcomekpi.tables.cases import Direction

__all__ = [
    "MipsRule",
    "ToppedOut",
    "ToppedOutRule",
    "mips_benchmark",
    "mips_points",
    "mips_topped_out",
]

FULL_POINTS = 10.0
START = {"fraction": (0.0, 1.0), "percent": (0.0, 100.0)}
"""Worst possible rate where higher and where lower is better."""


def mips_benchmark(
    rates: ArrayLike,
    *,
    cases: ArrayLike | None = None,
    minimum_cases: NotNegative = 20,
    minimum_reporters: Count = 20,
    direction: Direction = "higher",
    scale: Scale = "fraction",
) -> Floats:
    """Where deciles 2 to 10 of a measure start, among those who reported it.

    Parameters
    ----------
    rates : (..., doctor), rates of one measure and one way of collecting it
    cases : (..., doctor), cases behind them
    minimum_cases : doctors with fewer cases do not count
    minimum_reporters : fewest doctors that make a benchmark
    direction : "higher" or "lower" is better
    scale : "fraction", "percent" or "free"

    Returns
    -------
    (..., 9), rates, from the worst decile to the best

    Raises
    ------
    CasesError
        Too few doctors count, or a rate lies outside its scale.

    Notes
    -----
    Deciles by linear interpolation [K], one doctor one vote. Rates of exactly 0 are left out, as
    the regulation says; for inverse measures that leaves out the best, which it does not discuss.

    References
    ----------
    42 CFR 414.1380(b)(1)(ii)(A), (b)(1)(iii); 81 FR 77277-77282 (20 reporters, 20 cases, deciles).

    Examples
    --------
    >>> from outcomekpi import programs
    >>> programs.mips_benchmark([i / 100 for i in range(1, 101)]).round(3).tolist()[-2:]
    [0.802, 0.901]
    """
    check_arguments(mips_benchmark, locals())
    rates, cases = align(rates=rates, cases=cases)
    found = as_scores("rates", rates, scale=scale)
    counts = found != 0
    if cases is not None:
        counts &= as_counts("cases", cases) >= minimum_cases
    found = np.where(counts, found, np.nan)
    check_units(
        np.sum(~np.isnan(found), axis=-1),
        wanted=max(10, minimum_reporters),
        what="A benchmark in deciles",
    )
    levels = np.arange(1, 10) / 10
    cuts = np.nanquantile(found, levels if direction == "higher" else 1 - levels, axis=-1)
    return np.moveaxis(cuts, 0, -1)


def mips_points(
    rate: ArrayLike,
    *,
    cuts: ArrayLike,
    cases: ArrayLike | None = None,
    minimum_cases: NotNegative = 20,
    minimum_points: NotNegative = 1.0,
    topped_out_years: ArrayLike = 0,
    capped_from: Count = 2,
    cap: NotNegative = 7.0,
    direction: Direction = "higher",
    scale: Scale = "fraction",
) -> Floats:
    """Achievement points of a doctor on one measure: the decile, and tenths within it.

    Parameters
    ----------
    rate : (...,), rates
    cuts : (9,), see :func:`mips_benchmark`
    cases : (...,), cases behind the rates
    minimum_cases : with fewer cases the measure is not scored
    minimum_points : least points of a scored measure (3 in the first years of the program)
    topped_out_years : (...,), consecutive years that the measure has been topped out
    capped_from : year from which topped-out measures are capped
    cap : most points of such a measure
    direction : "higher" or "lower" is better
    scale : "fraction", "percent" or "free"

    Returns
    -------
    (...,), points 1 … 10 in tenths; nan where the measure is not scored

    Raises
    ------
    SpecError
        The cuts are not nine numbers from worst to best.
    CasesError
        A rate lies outside its scale.

    Notes
    -----
    Points are the decile d plus the way through it, cut to tenths, at most d + .9; the tenth
    decile has 10 [K]. A rate at a cut belongs to the better decile. Decile 1 starts at the worst
    possible rate; on the free scale there is none and decile 1 has 1 point.

    References
    ----------
    42 CFR 414.1380(b)(1)(iv)(B) (cap in the second consecutive year); 81 FR 77282 (partial
    points).

    Examples
    --------
    >>> from outcomekpi import programs
    >>> cuts = [.07, .16, .23, .36, .41, .62, .69, .79, .85]
    >>> programs.mips_points([.035, .36, .74, .90], cuts=cuts).tolist()
    [1.5, 5.0, 8.5, 10.0]
    """
    check_arguments(mips_points, locals())
    rate, cases, topped_out_years = align(rate=rate, cases=cases, topped_out_years=topped_out_years)
    sign = 1.0 if direction == "higher" else -1.0
    found = sign * as_scores("rate", rate, scale=scale)
    bars = sign * as_scores("cuts", cuts, scale=scale)
    if bars.shape != (9,) or np.isnan(bars).any() or (np.diff(bars) < 0).any():
        raise SpecError(
            "cuts must be nine rates from the worst decile to the best "
            f"(direction={direction!r}); got {np.asarray(cuts).tolist()}."
        )
    decile = np.searchsorted(bars, found, side="right")
    worst = -np.inf if scale == "free" else sign * START[scale][direction == "lower"]
    starts, ends = np.r_[worst, bars], np.r_[bars, np.inf]
    width = (ends - starts)[decile]
    inside = np.zeros(found.shape)
    np.divide(found - starts[decile], width, out=inside, where=np.isfinite(width) & (width > 0))
    tenths = np.minimum(whole_steps(inside, steps=10.0), 9.0) / 10
    points = np.where(decile == 9, FULL_POINTS, 1.0 + decile + tenths)
    points = np.maximum(points, minimum_points)
    capped = as_counts("topped_out_years", topped_out_years) >= capped_from
    points = np.where(capped, np.minimum(points, cap), points)
    scored = ~np.isnan(found)
    if cases is not None:
        scored = scored & (as_counts("cases", cases) >= minimum_cases)
    return np.where(scored, points, np.nan)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ToppedOut:
    """Whether a measure leaves no room, and the numbers that say so.

    Attributes
    ----------
    is_topped_out : (...,), verdict
    median : (...,), median rate
    truncated_cv : (...,), SD over mean without the tails
    upper_gap : (...,), distance between the 75th and the 90th percentile, in the better direction
    standard_error : (...,), SD of all rates over the root of their number
    """

    is_topped_out: NDArray[np.bool_]
    median: Floats
    truncated_cv: Floats
    upper_gap: Floats
    standard_error: Floats

    def __repr__(self) -> str:
        if np.ndim(self.median):
            verdicts = np.asarray(self.is_topped_out)
            return f"ToppedOut: {int(verdicts.sum())} of {verdicts.size} sets of rates topped out"
        said = "topped out" if self.is_topped_out else "not topped out"
        return (
            f"ToppedOut: {said}; median {float(self.median):.4g}, truncated CV "
            f"{float(self.truncated_cv):.3g}, 75th to 90th percentile {float(self.upper_gap):.3g}, "
            f"standard error {float(self.standard_error):.3g}"
        )


def mips_topped_out(
    rates: ArrayLike,
    *,
    kind: Literal["process", "other"],
    median_bar: Probability = 0.95,
    cv_bar: NotNegative = 0.10,
    trimmed: Annotated[float, Range(low=0, high=0.5, inside="high")] = 0.05,
    standard_errors: NotNegative = 2.0,
    minimum_reporters: Count = 20,
    direction: Direction = "higher",
    scale: Scale = "fraction",
) -> ToppedOut:
    """Whether nearly everyone is at the top of a measure, so that it separates nobody.

    Parameters
    ----------
    rates : (..., doctor), rates without missing ones
    kind : "process" or "other" (outcomes, experience)
    median_bar : process measures are topped out from this median, as a share of the scale
    cv_bar : others if their truncated coefficient of variation is below this
    trimmed : share of doctors left out at either end for it
    standard_errors : and the two percentiles are closer than this many standard errors
    minimum_reporters : fewest doctors
    direction : "higher" or "lower" is better
    scale : "fraction", "percent" or "free" (others only)

    Returns
    -------
    ToppedOut, one verdict for each leading index

    Raises
    ------
    SpecError
        An unknown kind, or a process measure on the free scale.
    CasesError
        Too few doctors, missing rates or rates outside their scale.

    Notes
    -----
    Process: median ≥ .95 (at most .05 of the scale where lower is better). Other: CV without the
    ⌊trimmed × n⌋ lowest and highest < .10, and |75th − 90th percentile| < 2 SD/√n. The regulation
    says less than .10 where Hospital VBP says at most; that the standard error is that of all
    rates is [K].

    References
    ----------
    42 CFR 414.1305; 81 FR 77286.

    Examples
    --------
    >>> from outcomekpi import programs
    >>> bool(programs.mips_topped_out([.97] * 30, kind="process").is_topped_out)
    True
    """
    check_arguments(mips_topped_out, locals())
    if kind == "process" and scale == "free":
        raise SpecError("A process measure needs scale='fraction' or 'percent' for its median bar.")
    ordered = np.sort(as_scores("rates", rates, scale=scale), axis=-1)
    n = ordered.shape[-1]
    present = np.sum(~np.isnan(ordered), axis=-1)
    check_units(present, wanted=minimum_reporters, what="The topped-out test")
    check_units(present, wanted=n, what="The topped-out test without missing rates")
    tail = int(whole_steps(np.array(float(n)), steps=trimmed))
    kept = ordered[..., tail : n - tail]
    mean, sd = kept.mean(axis=-1), kept.std(axis=-1, ddof=1)
    cv = np.where(sd == 0, 0.0, np.inf)
    np.divide(sd, mean, out=cv, where=mean > 0)
    median = np.median(ordered, axis=-1)
    ends = (0.75, 0.90) if direction == "higher" else (0.25, 0.10)
    near, far = np.quantile(ordered, ends, axis=-1)
    gap, error = np.abs(far - near), ordered.std(axis=-1, ddof=1) / np.sqrt(n)
    if kind == "process":
        top = START[scale][1]
        bar = median_bar * top if direction == "higher" else (1 - median_bar) * top
        # lowest representable differences must not undo an exact .95
        beyond = median - bar if direction == "higher" else bar - median
        verdict = beyond >= -1e-12 * top
    else:
        verdict = (cv < cv_bar) & (gap < standard_errors * error) | (ordered.std(axis=-1) == 0)
    return ToppedOut(
        is_topped_out=np.asarray(verdict),
        median=median,
        truncated_cv=cv,
        upper_gap=gap,
        standard_error=error,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MipsRule:
    """Decile points of a measure as an award: points over ten, for every doctor.

    Attributes
    ----------
    cuts : where deciles 2 to 10 start, from the worst to the best, fractions
    topped_out_years : consecutive years that the measure has been topped out
    minimum_cases : with fewer cases there is no award
    direction : "higher" or "lower" is better
    """

    cuts: tuple[float, ...]
    topped_out_years: Annotated[int, Range(low=0)] = 0
    minimum_cases: Annotated[int, Range(low=0)] = 20
    direction: Direction = "higher"
    cycles: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_fields(self)
        mips_points(0.0, cuts=self.cuts, direction=self.direction)

    def decide(self, results: CycleResults) -> Floats:
        """Return points over ten, (replicate, unit), from the last cycle."""
        rates, cases = last_cycle(results)
        points = mips_points(
            rates,
            cuts=self.cuts,
            cases=cases,
            minimum_cases=self.minimum_cases,
            topped_out_years=self.topped_out_years,
            direction=self.direction,
        )
        return np.where(np.isnan(points), 0.0, points / FULL_POINTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToppedOutRule:
    """The topped-out test as a decision about the indicator: too easy in consecutive cycles.

    Attributes
    ----------
    kind : "process" or "other"
    median_bar : median from which a process measure is topped out
    cycles : consecutive cycles that must all be topped out
    minimum_reporters : fewest doctors
    """

    kind: Literal["process", "other"] = "process"
    median_bar: Probability = 0.95
    cycles: Count = 2
    minimum_reporters: Count = 20

    def __post_init__(self) -> None:
        check_fields(self)

    def decide(self, results: CycleResults) -> NDArray[np.bool_]:
        """Say in which replicates the indicator is topped out, (replicate,)."""
        topped = [
            mips_topped_out(
                last_cycle(results, back=back)[0],
                kind=self.kind,
                median_bar=self.median_bar,
                minimum_reporters=self.minimum_reporters,
            ).is_topped_out
            for back in range(self.cycles)
        ]
        return np.asarray(np.all(topped, axis=0))
