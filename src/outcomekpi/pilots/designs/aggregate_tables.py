"""Tables of published figures: what is possible, what moves the answer, what the priors do."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.draws.intervals import DEFAULT_LEVEL, interval
from outcomekpi.pilots.estimators.aggregate_posterior import AggregateDraws, draw_aggregates
from outcomekpi.pilots.estimators.aggregate_priors import AggregatePriors, PriorRange
from outcomekpi.pilots.estimators.aggregate_sampling import (
    patients_for_power,
    patients_to_exclude_nil,
)
from outcomekpi.pilots.estimators.possible_figures import odds_ratio_bounds, ratio_bounds
from outcomekpi.pilots.estimators.published import PublishedFigures
from outcomekpi.tables.cases import Direction

__all__ = ["ASK_FOR", "needed_table", "possible_table", "prior_table", "unknown_table"]

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


def needed_table(before: float, after: float, priors: AggregatePriors | None) -> pd.DataFrame:
    """Patients per period that this change needs, independent or alike within doctors.

    Returns
    -------
    DataFrame: ``design_effect``; ``to_exclude_nil``, patients from which on the 95 % interval
    leaves out no change; ``for_power``, patients for 80 % power.
    """
    effects = [1.0]
    if priors is not None:
        effects.append(1 + (priors.patients_per_doctor.median - 1) * priors.icc.median)
    rows = [
        (
            effect,
            patients_to_exclude_nil(before, after, design_effect=effect),
            patients_for_power(before, after, design_effect=effect),
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


def prior_table(
    figures: PublishedFigures,
    priors: AggregatePriors,
    effect: NDArray[np.float64],
    *,
    direction: Direction | None,
    selected: bool | None,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Estimate the program's effect under other priors than the stated ones.

    Parameters
    ----------
    figures, priors : as given
    effect : (draw,), percentage points under the stated priors
    direction, selected : as for :func:`draw_aggregates`
    rng : source of random numbers

    Returns
    -------
    DataFrame: ``prior``, what is different; ``mean, lower, upper`` of the effect in percentage
    points, 95 %.
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
    table = [
        (name, float(values.mean()), *(float(x[0]) for x in interval(values[None], level=0.95)))
        for name, values in rows
    ]
    frame = pd.DataFrame(table, columns=["prior", "mean", "lower", "upper"])
    frame.attrs.update(level=DEFAULT_LEVEL, unit="percentage points")
    return frame
