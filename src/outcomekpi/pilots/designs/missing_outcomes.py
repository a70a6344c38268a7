"""What missing outcomes could do to a change: bounds that assume nothing of them."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from outcomekpi.pilots.data.patient_rows import PatientRows
from outcomekpi.pilots.designs.change_estimates import main_estimate
from outcomekpi.pilots.designs.patient_change import MeasuredChange, measure_change
from outcomekpi.pilots.ladder.estimates import Estimate, tabulate_estimates

__all__ = ["MissingOutcomes", "bound_missing"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MissingOutcomes:
    """How many outcomes are missing, and what they could do.

    Attributes
    ----------
    before, after : missing outcomes and rows of each period
    bounds : the main effect over everything that the missing outcomes may be, with the outer ends
        of the intervals of the two extremes; None where nothing is missing, or where nobody said
        between which values a measurement lies
    cases : (assumption, effect under it); empty without ``bounds``
    tipping : which missing outcomes would make the plain difference nil, in words
    """

    before: tuple[int, int]
    after: tuple[int, int]
    bounds: Estimate | None
    cases: tuple[tuple[str, Estimate], ...]
    tipping: str

    @property
    def any(self) -> bool:
        """Whether an outcome is missing."""
        return self.before[0] + self.after[0] > 0

    @property
    def more_after(self) -> bool:
        """Whether a larger share is missing after the start than before it."""
        return self.after[0] * self.before[1] > self.before[0] * self.after[1]

    def to_frame(self, *, level: float) -> pd.DataFrame:
        """Write the effect under each ``assumption``: ``mean, lower, upper``."""
        return tabulate_estimates(self.cases, "assumption", level=level)

    def spell(self, *, level: float) -> str:
        """Say how many outcomes are missing, and what they could do."""
        shares = [one[0] / one[1] for one in (self.before, self.after)]
        said = (
            f"{self.before[0]:,} of {self.before[1]:,} ({shares[0]:.1%}) before, "
            f"{self.after[0]:,} of {self.after[1]:,} ({shares[1]:.1%}) after"
        )
        if not self.any:
            return said
        if self.more_after:
            said += "; more are missing after than before, as when failures stop coming"
        if self.bounds is not None:
            lower, upper = self.bounds.interval(level=level)
            said += (
                f"; whatever they are, the effect lies in {lower:.4g} to {upper:.4g} "
                f"{self.bounds.unit} ({self.bounds.origin})"
            )
        else:
            said += "; give outcome_range= for bounds on what they could do"
        return f"{said}; {self.tipping}" if self.tipping else said


def bound_missing(
    rows: PatientRows,
    change: MeasuredChange,
    *,
    unit: str,
    outcome_range: tuple[float, float] | None,
    rng: np.random.Generator,
) -> MissingOutcomes:
    """Bound the main effect over every value that the missing outcomes may have.

    Parameters
    ----------
    rows : all rows, also those without an outcome
    change : of the rows with one
    unit : of the effect
    outcome_range : between which values the outcome of a patient can lie; None where nobody said
    rng : of the resamples

    Notes
    -----
    Worst-case bounds (Manski): lowest with every missing outcome before at its maximum and after
    at its minimum, highest the other way round. Each end is measured as the main effect is, with
    the same case mix and clusters, and the interval runs from the lower limit of the one to the
    upper limit of the other: it covers every effect between the bounds.

    References
    ----------
    Manski (1990), American Economic Review 80. Horowitz & Manski (2000), Journal of the American
    Statistical Association 95.
    """
    counts = [
        (int((side & ~rows.known).sum()), int(side.sum())) for side in (~rows.after, rows.after)
    ]
    nothing = counts[0][0] + counts[1][0] == 0
    bounds: Estimate | None = None
    cases: tuple[tuple[str, Estimate], ...] = ()
    if not nothing and outcome_range is not None:
        low, high = outcome_range
        options = replace(change.options, inference="t")
        ends = []
        for before, after in ((high, low), (low, high)):
            guess = np.where(rows.after, after, before)
            filled = replace(rows, outcome=np.where(rows.known, rows.outcome, guess))
            ends.append(main_estimate(measure_change(filled, options, rng=rng), unit=unit))
        bounds = _join(ends[0], ends[1], unit)
        cases = (
            ("missing as if at random", main_estimate(change, unit=unit)),
            ("missing outcomes bad for an increase", ends[0]),
            ("missing outcomes good for an increase", ends[1]),
        )
    return MissingOutcomes(
        before=counts[0],
        after=counts[1],
        bounds=bounds,
        cases=cases,
        tipping="" if nothing else _tip(rows, counts, change, unit, outcome_range),
    )


def _join(low: Estimate, high: Estimate, unit: str) -> Estimate:
    def limits(level: float) -> tuple[float, float]:
        return low.interval(level=level)[0], high.interval(level=level)[1]

    return Estimate(
        name="bounds, whatever the missing outcomes are",
        unit=unit,
        value=(low.value + high.value) / 2.0,
        limits=limits,
        origin=f"worst cases {low.value:.4g} to {high.value:.4g}, outer ends of their intervals",
    )


def _tip(
    rows: PatientRows,
    counts: list[tuple[int, int]],
    change: MeasuredChange,
    unit: str,
    outcome_range: tuple[float, float] | None,
) -> str:
    """Mean that the missing outcomes after would need for the plain difference to be nil."""
    lost, everybody = counts[1]
    known = rows.known
    before = float(rows.outcome[known & ~rows.after].mean())
    after = float(rows.outcome[known & rows.after].mean())
    if lost == 0:
        return "outcomes are missing before the start only"
    needed = (before * everybody - after * (everybody - lost)) / lost
    words = f"{100 * needed:.3g} % successes" if change.options.binary else f"mean {needed:.4g}"
    seen = f"{100 * after:.3g} %" if change.options.binary else f"{after:.4g}"
    if outcome_range is not None and not outcome_range[0] <= needed <= outcome_range[1]:
        worst = outcome_range[0] if needed < outcome_range[0] else outcome_range[1]
        left = (after * (everybody - lost) + worst * lost) / everybody - before
        return (
            f"even if each of the {lost:,} missing after the start were {worst:g}, "
            f"{change.scale * left:.4g} {unit} of the plain difference would be left"
        )
    return (
        f"the plain difference is nil if the {lost:,} missing after the start had {words}, against "
        f"{seen} in those seen"
    )
