"""What would overturn an effect: other explanations, placebos, single clusters, other settings."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import Annotated

import numpy as np
import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError, check_kind
from outcomekpi.declare.fields import Count, Positive, Range, Seed
from outcomekpi.draws.checks import CheckResult
from outcomekpi.draws.intervals import DEFAULT_LEVEL, check_level
from outcomekpi.pilots.estimators.published import PublishedFigures
from outcomekpi.pilots.ladder.effect import PilotEffect
from outcomekpi.pilots.ladder.estimates import Estimate, tabulate_estimates
from outcomekpi.pilots.ladder.findings import Answer, Design, Findings
from outcomekpi.pilots.robustness.effect_reading import as_risk_ratio, find_span, read_effect
from outcomekpi.pilots.robustness.placebo import (
    Reestimate,
    find_cluster,
    leave_out_clusters,
    placebo_outcomes,
    placebo_starts,
    reestimate,
)
from outcomekpi.pilots.robustness.tipping import Explained, explain_grid, list_tipping
from outcomekpi.tables.roles import open_table

__all__ = ["Sensitivity", "sensitivity"]

CARRIED = ("bounds", "prior_sensitivity")
MOST_CLUSTERS = 60


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sensitivity:
    """Everything that could overturn the effect of a pilot.

    Attributes
    ----------
    effect : that is asked about
    explained : how its size is read: level without the program, standard deviation, span
    span_unit : unit of a trend, such as "a month"; None counts it in total
    reestimates : placebo starts and outcomes, leave one out, other designs
    notes : what could not be done, and why
    """

    effect: PilotEffect
    explained: Explained
    span_unit: str | None
    reestimates: tuple[Reestimate, ...]
    notes: tuple[str, ...]

    def near_limit(self, *, level: float = DEFAULT_LEVEL) -> Explained:
        """Limit of the interval that lies nearer to no effect; no effect where it is inside.

        Parameters
        ----------
        level : of the interval
        """
        check_level(level)
        lower, upper = self.effect.main.interval(level=level)
        null = self.explained.null
        if np.isnan([lower, upper]).any() or lower <= null <= upper:
            return self.explained.at(null)
        return self.explained.at(lower if lower > null else upper)

    def tipping(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """Each explanation alone: how strong it must be to leave nothing.

        Parameters
        ----------
        level : of the interval

        Returns
        -------
        DataFrame indexed by ``explanation``: ``tipping``, ``tipping_of_limit``, ``unit``.
        """
        limit = self.near_limit(level=level)
        return list_tipping(self.explained, limit, span_unit=self.span_unit)

    def frontier(self, *, level: float | None = None) -> pd.DataFrame:
        """Tell what is left over a grid of all explanations together.

        Parameters
        ----------
        level : None for the estimate; else for the limit of the interval of that level

        Returns
        -------
        DataFrame: ``trend, regression_to_mean, attrition, confounder`` as they apply, and
        ``effect_left``.
        """
        what = self.explained if level is None else self.near_limit(level=level)
        return explain_grid(what, span_unit=self.span_unit)

    def e_values(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """List E-values of the main effect and of ratios, and what was taken as a risk ratio.

        Parameters
        ----------
        level : of the interval

        Returns
        -------
        DataFrame indexed by ``estimate``: ``ratio, lower, upper``, taken as a risk ratio;
        ``e_value, e_value_of_limit`` (at least 1); ``approximation``, in words.
        """
        check_level(level)
        rows = [
            as_risk_ratio(one, self.explained, level=level)
            for place, one in enumerate(self.effect.findings_at(level).estimates)
            if place == 0 or (one.scale == "log" and "ratio" in one.name.lower())
        ]
        names = ["estimate", "ratio", "lower", "upper", "e_value", "e_value_of_limit"]
        found = [row for row in rows if row is not None]
        return pd.DataFrame(found, columns=[*names, "approximation"]).set_index("estimate")

    def placebo(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """Effects where none can be: ``what, mean, lower, upper``.

        Parameters
        ----------
        level : of the intervals
        """
        return self._collect(("placebo start", "placebo outcome"), "what", level)

    def leave_one_out(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """List the main effect without each cluster: ``cluster, mean, lower, upper``.

        Parameters
        ----------
        level : of the intervals
        """
        return self._collect(("leave one out",), "cluster", level)

    def other_designs(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """List the main effect under other priors or settings: ``design, mean, lower, upper``.

        Parameters
        ----------
        level : of the intervals
        """
        return self._collect(("other design",), "design", level)

    def _collect(self, kinds: tuple[str, ...], name: str, level: float) -> pd.DataFrame:
        named = [
            (one.what, one.estimate)
            for one in self.reestimates
            if one.kind in kinds and one.estimate is not None
        ]
        frame = tabulate_estimates(named, name, level=level)
        frame.attrs["unit"] = self.effect.main.unit
        return frame

    def checks(self, *, level: float = DEFAULT_LEVEL) -> tuple[CheckResult, ...]:
        """Judge placebos and single clusters.

        Parameters
        ----------
        level : of the intervals
        """
        found = []
        null = self.effect.main.null
        placebo = self.placebo(level=level)
        if len(placebo):
            clear = ~((placebo["lower"] <= null) & (null <= placebo["upper"]))
            found.append(
                CheckResult(
                    name="placebos",
                    passed=not bool(clear.any()),
                    verdict=f"{int(clear.sum())} of {len(placebo)} analyses where no effect can be "
                    f"show one ({level:.0%} intervals)"
                    + (f": {', '.join(placebo['what'][clear])}." if clear.any() else "."),
                    table=placebo,
                )
            )
        single = self.leave_one_out(level=level)
        if len(single):
            found.append(_judge_clusters(self.effect.main, single, level))
        return tuple(found)

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Tables at the default level."""
        return self.tables_at()

    def tables_at(self, level: float = DEFAULT_LEVEL) -> dict[str, pd.DataFrame]:
        """Tables for reports and plots, empty ones left out.

        Parameters
        ----------
        level : of the intervals
        """
        made = {
            "tipping": self.tipping(level=level),
            "frontier": self.frontier(),
            "e_values": self.e_values(level=level),
            "placebo": self.placebo(level=level),
            "leave_one_out": self.leave_one_out(level=level),
            "other_designs": self.other_designs(level=level),
        }
        own = self.effect.findings_at(level).tables
        made |= {name: own[name] for name in CARRIED if name in own}
        return {name: table for name, table in made.items() if len(table)}

    def add_to(self, effect: PilotEffect) -> PilotEffect:
        """Return the effect with these tables and checks among its findings, for its report.

        Parameters
        ----------
        effect : that was asked about
        """
        if effect is not self.effect:
            raise SpecError("This sensitivity belongs to another effect: add it to its own.")
        return replace(effect, answer=_Tried(answer=effect.answer, found=self))

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """Every effect that was estimated again, the real one first.

        Returns
        -------
        DataFrame: ``kind``; ``what``; ``mean, lower, upper``, nan where it could not be made;
        ``unit``; ``reason``, why it could not.
        """
        main = Reestimate(kind="main effect", what=self.effect.main.name, estimate=self.effect.main)
        rows = []
        for one in (main, *self.reestimates):
            values = (np.nan, np.nan, np.nan)
            if one.estimate is not None:
                values = (one.estimate.value, *one.estimate.interval(level=level))
            unit = self.effect.main.unit if one.estimate is None else one.estimate.unit
            rows.append((one.kind, one.what, *values, unit, one.reason))
        frame = pd.DataFrame(
            rows, columns=["kind", "what", "mean", "lower", "upper", "unit", "reason"]
        )
        frame.attrs.update(level=level)
        return frame

    def __repr__(self) -> str:
        tips = self.tipping()
        parts = [f"{name} {row.tipping:.3g}" for name, row in tips.iterrows()]
        counts = [
            f"{len(table)} {words}"
            for table, words in (
                (self.placebo(), "placebos"),
                (self.leave_one_out(), "clusters left out"),
            )
            if len(table)
        ]
        return (
            f"Sensitivity of {self.effect.main.name} {self.effect.main.value:.4g}: nil at "
            f"{', '.join(parts)}" + (f"; {', '.join(counts)}" if counts else "")
        )

    def _repr_html_(self) -> str:
        table = self.tipping().to_html(float_format="{:.4g}".format)
        return f"<p><b>{escape(repr(self))}</b></p>{table}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tried:
    """An answer with everything that was tried against it among its findings."""

    answer: Answer
    found: Sensitivity

    def tell(self, *, level: float) -> Findings:
        """Add tables and checks, and the frontier at which the limit of the interval is nil."""
        own, tables = self.answer.tell(level=level), self.found.tables_at(level)
        if self.found.effect.design.rung == 0:
            tables |= own.tables
        tables["frontier_of_limit"] = self.found.frontier(level=level)
        return replace(
            own,
            tables={**own.tables, **tables},
            checks=(*own.checks, *self.found.checks(level=level)),
        )


def _judge_clusters(main: Estimate, single: pd.DataFrame, level: float) -> CheckResult:
    """Say whether one cluster makes the result."""
    null = main.null
    clear = main.excludes_null(level=level)
    without = ~((single["lower"] <= null) & (null <= single["upper"]))
    turned = (single["mean"] > null) != (main.value > null)
    changed = turned | (without != clear) if clear is not None else turned
    span = f"{single['mean'].min():.4g} to {single['mean'].max():.4g}"
    names = ", ".join(single["cluster"][changed].astype(str))
    return CheckResult(
        name="single clusters",
        passed=not bool(changed.any()),
        verdict=f"Without one cluster the effect runs from {span}; "
        + (f"the result rests on {names}." if changed.any() else "no cluster alone makes it."),
        table=single,
    )


def sensitivity(
    effect: PilotEffect,
    data: object = None,
    *,
    base: Positive | None = None,
    sd: Positive | None = None,
    span: Positive | None = None,
    span_unit: str | None = None,
    starts: Annotated[int, Range(low=0)] = 5,
    outcomes: Iterable[str | Design] = (),
    cluster: str | None = None,
    others: Mapping[str, Design] | None = None,
    draws: Count = 1000,
    seed: Seed = 20261,
) -> Sensitivity:
    """Find what would overturn the effect of a pilot, and whether it shows where none can be.

    Parameters
    ----------
    effect : as :func:`compare_pilot` gave it
    data : the same data, for placebos and single clusters; None leaves these out
    base : level without the program (a fraction for events); None takes it from the estimates
        or the counterfactual
    sd : standard deviation of a patient's measurement, for attrition and E-values of means
    span : time over which a trend would have acted; None takes it from the design where it knows
    span_unit : of a trend, such as "a month"
    starts : placebo starts at most; 0 for none
    outcomes : columns of outcomes that the program cannot have changed, or whole designs of them
    cluster : column to leave out one by one; None takes the outermost one of the design
    others : name -> design with other priors or settings, estimated from the same data
    draws : of each new estimate
    seed : of each new estimate

    Raises
    ------
    SpecError
        The effect is none, or the numbers are impossible.
    CasesError
        The cluster is not in the table.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> figures = ok.PublishedFigures(before=43, after=68, unit="percent", years=2)
    >>> found = ok.sensitivity(ok.compare_pilot(figures, ok.PublishedAggregates()), figures)
    >>> found.tipping().loc[["trend", "attrition"], "tipping"].round(3).tolist()
    [12.5, 0.645]
    """
    check_arguments(sensitivity, locals())
    check_kind("effect", effect, PilotEffect, "compare_pilot(...)")
    explained = read_effect(effect, base=base, sd=sd)
    own_span, own_unit = find_span(effect, data)
    span, span_unit = (own_span, own_unit) if span is None else (span, span_unit)
    notes: list[str] = []
    table = data
    if data is not None and not isinstance(data, PublishedFigures):
        table = open_table(data)[0]
    plan = []
    if isinstance(table, pd.DataFrame):
        plan = _plan(effect, table, starts, tuple(outcomes), cluster, notes)
    elif data is None:
        notes.append("Without data: no placebos, and no cluster left out.")
    if table is not None:
        plan += [("other design", name, design, table) for name, design in (others or {}).items()]
    made = tuple(
        reestimate(kind, what, design, rows, program=effect.program, draws=draws, seed=seed)
        for kind, what, design, rows in plan
    )
    return Sensitivity(
        effect=effect,
        explained=replace(explained, span=span),
        span_unit=span_unit,
        reestimates=made,
        notes=tuple(notes),
    )


def _plan(
    effect: PilotEffect,
    table: pd.DataFrame,
    starts: int,
    outcomes: tuple[str | Design, ...],
    cluster: str | None,
    notes: list[str],
) -> list[tuple[str, str, Design, object]]:
    """Everything that is estimated again: kind, what, design, data."""
    design = effect.design
    if getattr(design, "engine", None) == "nuts":
        design = replace(design, engine="quadrature")  # type: ignore[type-var]
        notes.append("New estimates were made by the fast engine, not by NUTS.")
    plan: list[tuple[str, str, Design, object]] = []
    if starts > 0:
        found = list(placebo_starts(design, table, count=starts))
        plan += [("placebo start", *one) for one in found]
        if not found:
            notes.append("No placebo start: the design has no times, or too few before the start.")
    plan += [("placebo outcome", *one) for one in placebo_outcomes(design, outcomes, table)]
    column = find_cluster(design, table, cluster)
    if column is None:
        notes.append("No cluster left out: the design names none.")
        return plan
    count = table[column].nunique()
    if count > MOST_CLUSTERS:
        notes.append(f"The {MOST_CLUSTERS} largest of {count:,} clusters were left out one by one.")
    plan += [
        ("leave one out", name, design, rows)
        for name, rows in leave_out_clusters(table, column, most=MOST_CLUSTERS)
    ]
    return plan
