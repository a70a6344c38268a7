"""Rung 0: a pilot of which only percentages were published."""

from dataclasses import dataclass, replace
from typing import ClassVar, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError, SpecError, check_choice
from outcomekpi.pilots.designs.aggregate_facts import check_figures, list_assumptions, list_facts
from outcomekpi.pilots.designs.aggregate_statements import Evidence, list_threats, state
from outcomekpi.pilots.designs.aggregate_tables import (
    needed_table,
    possible_table,
    prior_table,
    unknown_table,
)
from outcomekpi.pilots.estimators.aggregate_posterior import AggregateDraws, draw_aggregates
from outcomekpi.pilots.estimators.aggregate_priors import AggregatePriors
from outcomekpi.pilots.estimators.frontier import (
    bound_effect,
    frontier_table,
    nil_table,
    tipping_table,
)
from outcomekpi.pilots.estimators.published import PublishedFigures
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Findings, Rung
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.cases import Direction

__all__ = ["PublishedAggregates"]

Array = NDArray[np.float64]

LEAST_DRAWS = 200
"""Fewer draws than this carry no interval and no ranking of the unknowns."""

BASES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Levels before that the frontier is shown for where none was published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedAggregates:
    """Two published percentages, or one and a change, and nothing else (rung 0).

    Attributes
    ----------
    priors : beliefs about what was not published; None refuses them, and bounds are all there is
    direction : whether a "higher" or a "lower" proportion is better; None leaves "better" and
        "worse" out of the verdict, and lets the priors count the published change as the better
        side (the skeptical reading)

    Notes
    -----
    The main estimate is the change, with its sampling error under the priors for the number of
    patients and their likeness. The program's effect under the priors for trend, regression to
    the mean and attrition stands below it, and is never the verdict: published figures do not
    identify it.

    Tables: "statements" (``kind, text``), "possible" (what rounding and reading allow), "bounds"
    (of the effect without priors), "tipping", "frontier", "frontier_nil", "patients_needed",
    "unknowns" (which one moves the answer most) and "prior_sensitivity".

    References
    ----------
    Greenland (2005), Journal of the Royal Statistical Society A 168(2):267-306,
    doi:10.1111/j.1467-985X.2004.00349.x (biases with priors).

    Examples
    --------
    >>> import outcomekpi as ok
    >>> figures = ok.PublishedFigures(before=43, after=68, unit="percent", years=2)
    >>> effect = ok.compare_pilot(figures, ok.PublishedAggregates(direction="higher"))
    >>> effect.main.name, round(effect.main.value, 1)
    ('risk difference', 25.0)
    """

    rung: ClassVar[Rung] = 0

    priors: AggregatePriors | None = AggregatePriors()  # noqa: RUF009
    direction: Direction | None = None

    def __post_init__(self) -> None:
        if self.priors is not None and not isinstance(self.priors, AggregatePriors):
            raise SpecError(
                f"priors must be AggregatePriors(...) or None for bounds; got {self.priors!r}."
            )
        if self.direction is not None:
            check_choice("direction", self.direction, get_args(Direction))

    def estimate(
        self, data: object, *, program: Program, draws: int, rng: np.random.Generator
    ) -> Findings:
        """Change, bounds, effect under the priors, and the frontier at which nothing is left."""
        figures = _require_figures(data)
        if draws < LEAST_DRAWS:
            raise SpecError(f"Published figures need at least {LEAST_DRAWS} draws; got {draws}.")
        pair = figures.face_values()
        drawn = self._draw(figures, program, draws, rng)
        tables = _describe(figures, pair, self.priors)
        if drawn is not None and figures.years is not None and self.priors is not None:
            tables["unknowns"] = unknown_table(drawn)
            tables["prior_sensitivity"] = prior_table(
                figures,
                self.priors,
                drawn.effect,
                direction=self.direction,
                selected=program.selected_on_baseline,
                rng=rng,
            )
        evidence = Evidence(
            figures=figures,
            program=program,
            direction=self.direction,
            pair=pair,
            drawn=drawn,
            tables=tables,
        )
        tables["statements"] = state(evidence)
        return Findings(
            estimand=_estimand(figures, program),
            estimates=(*_changes(figures, pair, drawn), *_effects(evidence)),
            naive=_naive(figures, pair),
            assumptions=list_assumptions(evidence, self.priors),
            checks=check_figures(evidence, self.priors),
            threats=list_threats(evidence),
            tables=tables,
            facts=list_facts(evidence, self.priors),
            direction=self.direction,
        )

    def _draw(
        self, figures: PublishedFigures, program: Program, draws: int, rng: np.random.Generator
    ) -> AggregateDraws | None:
        if self.priors is None or not (figures.base_is_known or self.priors.base is not None):
            return None
        return draw_aggregates(
            figures,
            self.priors,
            direction=self.direction,
            selected=program.selected_on_baseline,
            draws=draws,
            rng=rng,
        )


def _require_figures(data: object) -> PublishedFigures:
    if isinstance(data, PublishedFigures):
        return data
    kind = type(data).__name__
    raise CasesError(
        "PublishedAggregates reads PublishedFigures(before=..., after=..., unit=...); got "
        f"{kind}. For a table of patients use BeforeAfter, for one of periods InterruptedSeries."
    )


def _estimand(figures: PublishedFigures, program: Program) -> str:
    of = program.numerator or "with the outcome"
    among = program.denominator or "the patients counted (who they are was not published)"
    span = "" if figures.years is None else f" over {figures.years:g} years"
    return (
        f"Change of the proportion {of} among {among}, from before to after {program.name}{span}; "
        "the part that the program made is not identified."
    )


def _describe(
    figures: PublishedFigures, pair: tuple[float, float] | None, priors: AggregatePriors | None
) -> dict[str, pd.DataFrame]:
    corners, years = figures.possible(), figures.years
    tables = {
        "possible": possible_table(figures),
        "bounds": bound_effect(corners, years=years),
    }
    pairs = [pair] if pair is not None else _supposed(figures)
    tables["frontier"] = _stack([frontier_table(*one, years=years) for one in pairs])
    tables["frontier_nil"] = _stack([nil_table(*one, years=years) for one in pairs])
    if pair is not None:
        tables["tipping"] = tipping_table(*pair, years=years)
        if pair[0] != pair[1]:
            tables["patients_needed"] = needed_table(*pair, priors)
    return tables


def _supposed(figures: PublishedFigures) -> list[tuple[float, float]]:
    change = (figures.change or 0.0) / figures.whole
    relative = figures.reading == "relative"
    pairs = [(base, base * (1 + change) if relative else base + change) for base in BASES]
    middle = figures.possible().mean(axis=0)
    allowed = [one for one in pairs if 0 <= one[1] <= 1]
    return allowed or [(float(middle[0]), float(middle[1]))]


def _stack(frames: list[pd.DataFrame]) -> pd.DataFrame:
    frame = pd.concat(frames, ignore_index=True)
    frame.attrs.update(frames[0].attrs)
    return frame


def _changes(
    figures: PublishedFigures, pair: tuple[float, float] | None, drawn: AggregateDraws | None
) -> tuple[Estimate, ...]:
    """Difference, ratio and odds ratio of the change, as far as the figures identify them."""
    found: list[Estimate] = []
    change = (figures.change or 0.0) / figures.whole
    known: dict[str, float | None] = {
        "risk difference": None if figures.reading == "relative" else 100 * change,
        "risk ratio": 1 + change if figures.reading == "relative" else None,
        "odds ratio": None,
    }
    if pair is not None:
        known = {n: float(x) for n, x in zip(known, _contrast(*pair), strict=True)}
    sampled: list[Array | None] = [None] * 3
    if drawn is not None:
        sampled = [*_contrast(drawn.before, drawn.after)]
    for (name, value), draws in zip(known.items(), sampled, strict=True):
        one = _estimate(name, value, draws, "draws under the priors for n, ICC and rounding")
        if one is not None and draws is not None:
            one = replace(one, basis=_basis(figures))
        if one is not None:
            found.append(one)
    main = "risk ratio" if pair is None and figures.reading == "relative" else "risk difference"
    return tuple(sorted(found, key=lambda one: one.name != main))


def _basis(figures: PublishedFigures) -> str:
    """Say which prior made the interval: figures alone hold no sampling error."""
    missing = [n for n in ("before", "after") if getattr(figures, f"n_{n}") is None]
    if not missing:
        return "from priors on how alike patients are"
    which = "" if len(missing) == 2 else f" {missing[0]}"
    return f"from a prior on the number of patients{which}, which was not published"


def _effects(evidence: Evidence) -> tuple[Estimate, ...]:
    """Effect of the program under the priors, on three scales; nothing where there is none."""
    drawn = evidence.drawn
    if drawn is None or not evidence.has_effect:
        return ()
    names = ("program effect", "program risk ratio", "program odds ratio")
    contrasts = _contrast(drawn.without_program, drawn.with_program)
    origin = "posterior under the stated priors"
    found = [_estimate(n, None, x, origin) for n, x in zip(names, contrasts, strict=True)]
    return tuple(one for one in found if one is not None)


def _contrast(before: Array | float, after: Array | float) -> list[Array]:
    with np.errstate(divide="ignore", invalid="ignore"):
        start, end = np.asarray(before), np.asarray(after)
        odds = end * (1 - start) / (start * (1 - end))
        return [100 * (end - start), end / start, odds]


def _estimate(name: str, value: float | None, draws: Array | None, origin: str) -> Estimate | None:
    """One estimate; the mean of the draws (of their logarithms, for ratios) where no value is."""
    ratio = name.endswith("ratio")
    if value is None:
        if draws is None:
            return None
        value = float(np.exp(np.log(draws).mean()) if ratio else draws.mean())
    if not np.isfinite(value) or (ratio and value <= 0):
        return None
    return Estimate(
        name=name,
        unit="ratio" if ratio else "percentage points",
        value=value,
        scale="log" if ratio else "identity",
        draws=draws,
        origin="published alone: no interval" if draws is None else origin,
    )


def _naive(figures: PublishedFigures, pair: tuple[float, float] | None) -> Estimate:
    if pair is None and figures.reading == "relative":
        change = (figures.change or 0.0) / figures.whole
        return Estimate(
            name="published ratio less 1",
            unit="percent of the level before",
            value=100 * change,
            origin="figures at face value",
        )
    points = 100 * ((figures.change or 0.0) / figures.whole if pair is None else pair[1] - pair[0])
    return Estimate(
        name="published difference",
        unit="percentage points",
        value=points,
        origin="figures at face value",
    )
