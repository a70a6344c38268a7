"""What missing outcomes of two groups could do to their difference in differences."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.draws.checks import CheckResult
from outcomekpi.pilots.designs.group_effect import GroupOptions, measure_groups
from outcomekpi.pilots.designs.group_estimates import EFFECT, main_effect
from outcomekpi.pilots.designs.group_rows import CELLS, GroupRows
from outcomekpi.pilots.ladder.estimates import Estimate, tabulate_estimates

__all__ = ["MissingGroups", "bound_missing_groups"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MissingGroups:
    """How many outcomes are missing in each group and period, and what they could do.

    Attributes
    ----------
    lost, rows : (cell,), in order of ``CELLS``
    bounds : the main effect over everything that they may be; None where nothing is missing, or
        where nobody said between which values a measurement lies
    cases : (assumption, effect under it); empty without ``bounds``
    """

    lost: NDArray[np.intp]
    rows: NDArray[np.intp]
    bounds: Estimate | None
    cases: tuple[tuple[str, Estimate], ...]

    @property
    def any(self) -> bool:
        """Whether an outcome is missing."""
        return bool(self.lost.any())

    @property
    def more_in_treated(self) -> bool:
        """Whether the share that is missing grew more in the treated than in the controls."""
        return bool(EFFECT @ (self.lost / self.rows) > 0)

    def to_frame(self, *, level: float) -> pd.DataFrame:
        """Write the effect under each ``assumption``: ``mean, lower, upper``."""
        return tabulate_estimates(self.cases, "assumption", level=level)

    def spell(self, *, level: float) -> str:
        """Say how many outcomes are missing, and what they could do."""
        parts = zip(self.lost, self.rows, CELLS, strict=True)
        said = ", ".join(f"{lost:,} of {rows:,} of the {cell}" for lost, rows, cell in parts)
        if not self.any:
            return f"none missing: {said}"
        if self.bounds is None:
            return f"{said}; give outcome_range= for bounds on what they could do"
        lower, upper = self.bounds.interval(level=level)
        return (
            f"{said}; whatever they are, the effect lies in {lower:.4g} to {upper:.4g} "
            f"{self.bounds.unit} ({self.bounds.origin})"
        )

    def check(self, *, level: float) -> CheckResult:
        """Fail if outcomes of the treated went missing more than those of the controls."""
        said = self.spell(level=level)
        return CheckResult(
            name="missing outcomes",
            passed=not self.more_in_treated,
            verdict=f"{said[:1].upper()}{said[1:]}.",
            table=pd.DataFrame({"missing": self.lost, "rows": self.rows}, index=list(CELLS)),
        )


def bound_missing_groups(
    groups: GroupRows,
    options: GroupOptions,
    main: Estimate,
    *,
    outcome_range: tuple[float, float] | None,
    rng: np.random.Generator,
) -> MissingGroups:
    """Bound the main effect over every value that the missing outcomes may have.

    Parameters
    ----------
    groups : all rows, also those without an outcome
    options : how the groups are compared
    main : the effect of the rows with one
    outcome_range : between which values an outcome can lie; None where nobody said
    rng : of the comparisons

    Notes
    -----
    Worst-case bounds (Manski): lowest with the missing outcomes of the treated after and of the
    controls before at their minimum and the others at their maximum, highest the other way round.

    References
    ----------
    Manski (1990), American Economic Review 80.
    """
    rows = groups.sizes()
    lost = rows - groups.take(groups.rows.known).sizes()
    if not lost.any() or outcome_range is None:
        return MissingGroups(lost=lost, rows=rows, bounds=None, cases=())
    low, high = outcome_range
    ends = []
    for upwards in (False, True):
        guess = np.where((EFFECT[groups.cell] > 0) == upwards, high, low)
        outcome = np.where(groups.rows.known, groups.rows.outcome, guess)
        filled = replace(groups, rows=replace(groups.rows, outcome=outcome))
        ends.append(main_effect(measure_groups(filled, options, rng=rng), unit=main.unit))

    def limits(level: float) -> tuple[float, float]:
        return ends[0].interval(level=level)[0], ends[1].interval(level=level)[1]

    bounds = Estimate(
        name="bounds, whatever the missing outcomes are",
        unit=main.unit,
        value=(ends[0].value + ends[1].value) / 2.0,
        limits=limits,
        origin=f"worst cases {ends[0].value:.4g} to {ends[1].value:.4g}, outer ends of their "
        "intervals",
    )
    cases = (
        ("missing as if at random", main),
        ("lowest effect", ends[0]),
        ("highest effect", ends[1]),
    )
    return MissingGroups(lost=lost, rows=rows, bounds=bounds, cases=cases)
