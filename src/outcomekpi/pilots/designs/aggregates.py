"""Rung 0: a pilot of which only percentages were published."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.draws.intervals import interval
from outcomekpi.pilots.designs.aggregate_facts import check_figures, list_assumptions, list_facts
from outcomekpi.pilots.designs.aggregate_statements import Evidence, list_threats, state
from outcomekpi.pilots.estimators.aggregate_posterior import AggregateDraws, draw_aggregates
from outcomekpi.pilots.estimators.aggregate_priors import AggregatePriors, PriorRange
from outcomekpi.pilots.estimators.aggregate_sampling import (
    patients_for_power,
    patients_to_exclude_nil,
)
from outcomekpi.pilots.estimators.frontier import (
    bound_effect,
    frontier_table,
    nil_table,
    tipping_table,
)
from outcomekpi.pilots.estimators.possible_figures import odds_ratio_bounds, ratio_bounds
from outcomekpi.pilots.estimators.published import PublishedFigures
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Answered, Findings, Rung
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.cases import Direction

__all__ = ["PublishedAggregates", "PublishedAnswer", "describe_published"]

Array = NDArray[np.float64]

LEAST_DRAWS = 200
"""Fewer draws than this carry no interval and no ranking of the unknowns."""


# Tables of published figures: what is possible, what moves the answer, what the priors do
GROUPS = 20
"""Groups of draws, by the size of an unknown, whose mean effects are compared."""

SENSITIVITY_DRAWS = 1000

ASK_FOR = {
    "trend": "the same proportion in the two or three years before the program, or in a place "
    "without it",
    "regression to the mean": "how patients entered, and a second reading from before the program",
    "attrition": "how many patients counted before are still counted, and the last known outcome "
    "of those who left",
    "sampling error": "the number of patients and of doctors behind each figure, and whether both "
    "figures are of the same patients",
}
"""Unknown -> what the authors would have to be asked."""


def possible_table(figures: PublishedFigures) -> pd.DataFrame:
    """List what the figures allow, rounding and reading included, before any sampling error.

    Returns
    -------
    DataFrame indexed by ``quantity``: ``unit``, ``lower``, ``upper``.
    """
    corners = figures.possible()
    rows: list[tuple[str, str, float, float]] = []
    for name, values in (
        ("before", 100 * corners[:, 0]),
        ("after", 100 * corners[:, 1]),
        ("risk difference", 100 * (corners[:, 1] - corners[:, 0])),
    ):
        unit = "percentage points" if name == "risk difference" else "percent"
        rows.append((name, unit, float(values.min()), float(values.max())))
    rows.append(("risk ratio", "ratio", *ratio_bounds(corners)))
    rows.append(("odds ratio", "ratio", *odds_ratio_bounds(corners)))
    return pd.DataFrame(rows, columns=["quantity", "unit", "lower", "upper"]).set_index("quantity")


def needed_table(
    before: float, after: float, priors: AggregatePriors | None, *, level: float
) -> pd.DataFrame:
    """Patients per period that this change needs, independent or alike within doctors.

    Returns
    -------
    DataFrame: ``design_effect``; ``to_exclude_nil``, patients from which on the interval of
    that level leaves out no change; ``for_power``, patients for 80 % power.
    """
    effects = [1.0]
    if priors is not None:
        effects.append(1 + (priors.patients_per_doctor.median - 1) * priors.icc.median)
    rows = [
        (
            effect,
            patients_to_exclude_nil(before, after, level=level, design_effect=effect),
            patients_for_power(before, after, level=level, design_effect=effect),
        )
        for effect in effects
    ]
    return pd.DataFrame(rows, columns=["design_effect", "to_exclude_nil", "for_power"])


def unknown_table(drawn: AggregateDraws) -> pd.DataFrame:
    """Which unknown moves the answer most, and what would have to be asked to know it.

    Number of patients, likeness within doctors and pairing act together, as the sampling error of
    the change.

    Returns
    -------
    DataFrame, the most important unknown first: ``unknown``; ``prior``, its range;
    ``variance_share``, the part of the posterior variance of the effect that would go if it were
    known; ``effect_if_low, effect_if_high``, mean effect (points) in the lowest and the highest
    group of its draws; ``ask_for``.

    Notes
    -----
    First-order index Var(E[effect | unknown]) / Var(effect): draws are sorted by the unknown and
    cut into 20 groups of equal size (fewer below 400 draws); the variance of the group means, less
    what sampling within groups adds to it, over the variance of all.
    """
    effect = drawn.effect
    count = min(GROUPS, len(effect) // 20)
    rows = []
    unknowns = {name: drawn.unknowns[name] for name in ASK_FOR if name in drawn.unknowns}
    unknowns["sampling error"] = drawn.after - drawn.before
    for name, values in unknowns.items():
        groups = np.array_split(effect[np.argsort(values, kind="stable")], count)
        means = np.array([group.mean() for group in groups])
        noise = np.mean([group.var(ddof=1) / len(group) for group in groups])
        share = max(0.0, float((means.var(ddof=1) - noise) / effect.var(ddof=1)))
        rows.append(
            {
                "unknown": name,
                "prior": str(drawn.ranges.get(name, "from the priors for n, ICC and pairing")),
                "variance_share": share,
                "effect_if_low": float(means[0]),
                "effect_if_high": float(means[-1]),
                "ask_for": ASK_FOR[name],
            }
        )
    frame = pd.DataFrame(rows, columns=list(_UNKNOWN_COLUMNS))
    return frame.sort_values("variance_share", ascending=False, ignore_index=True)


_UNKNOWN_COLUMNS = (
    "unknown",
    "prior",
    "variance_share",
    "effect_if_low",
    "effect_if_high",
    "ask_for",
)


def draw_other_priors(
    figures: PublishedFigures,
    priors: AggregatePriors,
    effect: NDArray[np.float64],
    *,
    direction: Direction | None,
    selected: bool | None,
    rng: np.random.Generator,
) -> tuple[tuple[str, NDArray[np.float64]], ...]:
    """Draw the program's effect under other priors than the stated ones.

    Parameters
    ----------
    figures, priors : as given
    effect : (draw,), percentage points under the stated priors
    direction, selected : as for :func:`draw_aggregates`
    rng : source of random numbers

    Returns
    -------
    (what is different, draws of the effect in percentage points), the stated priors first
    """
    nothing = PriorRange(lower=0, upper=0, why="left out")
    half = (priors.trend.upper - priors.trend.lower) / 2
    wider = replace(priors.trend, lower=priors.trend.lower - half, upper=priors.trend.upper + half)
    others = {
        "no trend": replace(priors, trend=nothing),
        "no regression to the mean": replace(priors, regression_to_mean=nothing),
        "no attrition": replace(priors, attrition=nothing),
        "skeptical of any effect, SD 10 points": replace(priors, effect_sd=10.0),
    }
    if priors.trend.scale == "identity" and half > 0:
        others["trend, range twice as wide"] = replace(priors, trend=wider)
    rows = [("as stated", effect)]
    for name, other in others.items():
        drawn = draw_aggregates(
            figures, other, direction=direction, selected=selected, draws=SENSITIVITY_DRAWS, rng=rng
        )
        rows.append((name, drawn.effect))
    return tuple(rows)


def prior_table(
    others: tuple[tuple[str, NDArray[np.float64]], ...], *, level: float
) -> pd.DataFrame:
    """One row for each ``prior``: ``mean, lower, upper`` of the effect in percentage points."""
    table = [
        (name, float(values.mean()), *(float(x[0]) for x in interval(values[None], level=level)))
        for name, values in others
    ]
    frame = pd.DataFrame(table, columns=["prior", "mean", "lower", "upper"])
    frame.attrs.update(level=level, unit="percentage points")
    return frame


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
        check_fields(self)

    def estimate(
        self, data: object, *, program: Program, draws: int, rng: np.random.Generator
    ) -> "Answered[PublishedAnswer]":
        """Change, bounds, effect under the priors, and the frontier at which nothing is left."""
        figures = _require_figures(data)
        if draws < LEAST_DRAWS:
            raise SpecError(f"Published figures need at least {LEAST_DRAWS} draws; got {draws}.")
        pair = figures.face_values()
        drawn = self._draw(figures, program, draws, rng)
        others: tuple[tuple[str, Array], ...] = ()
        if drawn is not None and figures.years is not None and self.priors is not None:
            others = draw_other_priors(
                figures,
                self.priors,
                drawn.effect,
                direction=self.direction,
                selected=program.selected_on_baseline,
                rng=rng,
            )
        answer = PublishedAnswer(
            design=self, figures=figures, pair=pair, drawn=drawn, other_priors=others
        )
        return Answered(numbers=answer, program=program, describe=describe_published)

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PublishedAnswer:
    """What published figures say under their priors.

    Attributes
    ----------
    design : what was asked
    figures : as published
    pair : before and after as fractions, at face value; None with an unknown base
    drawn : posterior draws, or None where there is none
    other_priors : (what is different, draws of the effect in points), as far as there is one
    """

    design: PublishedAggregates
    figures: PublishedFigures
    pair: tuple[float, float] | None
    drawn: AggregateDraws | None
    other_priors: tuple[tuple[str, Array], ...]


def describe_published(answer: PublishedAnswer, program: Program, level: float) -> Findings:
    """Write down what was found, with intervals of a level."""
    figures, pair, drawn = answer.figures, answer.pair, answer.drawn
    priors, direction = answer.design.priors, answer.design.direction
    tables = _describe(figures, pair, priors, level)
    if drawn is not None and answer.other_priors:
        tables["unknowns"] = unknown_table(drawn)
        tables["prior_sensitivity"] = prior_table(answer.other_priors, level=level)
    evidence = Evidence(
        figures=figures,
        program=program,
        direction=direction,
        pair=pair,
        drawn=drawn,
        tables=tables,
        level=level,
    )
    tables["statements"] = state(evidence)
    return Findings(
        estimand=_estimand(figures, program),
        estimates=(*_changes(figures, pair, drawn), *_effects(evidence)),
        naive=_naive(figures, pair),
        assumptions=list_assumptions(evidence, priors),
        checks=check_figures(evidence, priors),
        threats=list_threats(evidence),
        tables=tables,
        facts=list_facts(evidence, priors),
        direction=direction,
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
    figures: PublishedFigures,
    pair: tuple[float, float] | None,
    priors: AggregatePriors | None,
    level: float,
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
            tables["patients_needed"] = needed_table(*pair, priors, level=level)
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
