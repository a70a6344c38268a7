"""The frontier of explanations: drift, regression to the mean and attrition that leave nothing."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.pilots.estimators.aggregate_posterior import keep_all
from outcomekpi.pilots.ladder.e_values import e_value

__all__ = [
    "attrition_at_nil",
    "attrition_for_rest",
    "bound_effect",
    "effect_left",
    "frontier_table",
    "nil_table",
    "tipping_table",
    "trend_at_nil",
]

Array = NDArray[np.float64]

TRENDS, REGRESSIONS, ATTRITIONS = 9, 6, 6
"""Grid points of each axis of the frontier."""

TREND_LIMITS = (0.0, 1.0, 2.0, 5.0, 10.0)
"""Percentage points a year: limits of the trend, either way, that bounds are given for."""


def effect_left(
    before: float, after: float, *, drift: Array | float, attrition: Array | float
) -> Array:
    """Percentage points, towards the published change, that drift and attrition do not explain.

    Parameters
    ----------
    before, after : proportions, as fractions
    drift : percentage points towards the published change that would have come anyway
    attrition : share of the patients who do not count towards the change that left the count

    Returns
    -------
    (...,), percentage points; 0 is nothing left, negative is more than everything explained
    """
    sign = 1.0 if after >= before else -1.0
    full, _ = keep_all(np.asarray(after), sign * np.asarray(attrition, dtype=np.float64))
    return np.asarray(sign * 100 * (full - before) - np.asarray(drift))


def attrition_at_nil(before: float, after: float) -> tuple[float, float]:
    """Attrition that makes the whole change: share of those who do not count, and of the panel.

    Notes
    -----
    Upward, from p to q: if a share a of the panel leaves, all of them without the outcome, the rest
    has p / (1 - a) = q, so that a = 1 - p / q, or a / (1 - p) of those without it. Downward the
    same holds for the complements, and those with the outcome leave.
    """
    start, end = (before, after) if after >= before else (1 - before, 1 - after)
    if end == start:
        return 0.0, 0.0
    panel = 1 - start / end
    return panel / (1 - start), panel


def trend_at_nil(
    before: float,
    after: float,
    *,
    years: float,
    regression: Array | float = 0.0,
    attrition: Array | float = 0.0,
) -> Array:
    """Percentage points a year, towards the change, at which nothing is left of it."""
    return effect_left(before, after, drift=regression, attrition=attrition) / years


def frontier_table(before: float, after: float, *, years: float | None) -> pd.DataFrame:
    """Tabulate what is left of the change over a grid of the three explanations.

    Parameters
    ----------
    before, after : proportions, as fractions
    years : between them; None gives the trend in points in total

    Returns
    -------
    DataFrame: ``trend`` (points a year towards the change), ``regression_to_mean`` (points in
    total), ``attrition`` (share of the patients who do not count towards it), ``effect_left``
    (points; 0 or less where nothing is left), and ``before``, the level it starts from.
    """
    span = years or 1.0
    change = abs(100 * (after - before))
    axes = (
        _grid(change / span, TRENDS),
        _grid(change, REGRESSIONS),
        _attrition_grid(before, after),
    )
    trend, regression, attrition = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    left = effect_left(before, after, drift=trend * span + regression, attrition=attrition)
    frame = pd.DataFrame(
        {
            "trend": trend,
            "regression_to_mean": regression,
            "attrition": attrition,
            "effect_left": left,
            "before": before,
        }
    )
    trend_unit = "points in total" if years is None else "points a year"
    frame.attrs.update(unit="percentage points", trend_unit=trend_unit)
    return frame


def nil_table(before: float, after: float, *, years: float | None) -> pd.DataFrame:
    """Tabulate the frontier itself: the trend that leaves nothing beside the other two.

    Returns
    -------
    DataFrame: ``regression_to_mean``, ``attrition``, ``trend`` (0 or less where the other two are
    enough), ``before``; in the units of :func:`frontier_table`.
    """
    axes = (
        _grid(abs(100 * (after - before)), REGRESSIONS),
        _attrition_grid(before, after),
    )
    regression, attrition = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    trend = trend_at_nil(
        before, after, years=years or 1.0, regression=regression, attrition=attrition
    )
    return pd.DataFrame(
        {
            "regression_to_mean": regression,
            "attrition": attrition,
            "trend": trend,
            "before": before,
        }
    )


def attrition_for_rest(before: float, after: float, *, drift: float) -> float:
    """Share of the patients who do not count that must leave to make what a drift does not.

    Notes
    -----
    With f the proportion after the drift, q (1 - x) / (1 - x q) = f gives
    x = (q - f) / (q (1 - f)), for the proportion that counts towards the change.
    """
    start, end = (before, after) if after >= before else (1 - before, 1 - after)
    reached = start + drift / 100
    return (end - reached) / (end * (1 - reached))


def _attrition_grid(before: float, after: float) -> Array:
    """Shares up to the tipping point; short of 1, where nobody is left to show who was lost."""
    top = attrition_at_nil(before, after)[0]
    return _grid(top, ATTRITIONS) if top < 1 else np.linspace(0, 1, ATTRITIONS + 1)[:-1]


def _grid(top: float, points: int) -> Array:
    return np.linspace(0, top, points) if top > 0 else np.zeros(1)


def tipping_table(before: float, after: float, *, years: float | None) -> pd.DataFrame:
    """Each explanation alone: how strong it must be to make the whole change.

    Returns
    -------
    DataFrame indexed by ``explanation``: ``tipping``, ``unit``.
    """
    uncounted, panel = attrition_at_nil(before, after)
    change = abs(100 * (after - before))
    rising = after >= before
    rows: list[tuple[str, float, str]] = [
        ("trend", change, "percentage points in total, towards the change"),
        ("regression to the mean", change, "percentage points in total, towards the change"),
        ("attrition", uncounted, f"share of the patients {'without' if rising else 'with'} it"),
        ("attrition of the panel", panel, "share of all patients"),
    ]
    if years is not None:
        rows.insert(0, ("trend a year", change / years, "percentage points a year"))
    if before > 0 and after > 0:
        rows.append(("confounder", e_value(after / before), "risk ratio with period and outcome"))
    return pd.DataFrame(rows, columns=["explanation", "tipping", "unit"]).set_index("explanation")


def bound_effect(corners: Array, *, years: float | None) -> pd.DataFrame:
    """Bounds of the program's effect, as more and more drift is thought possible.

    Parameters
    ----------
    corners : (corner, 2), polygon of the possible (before, after), as fractions
    years : between them; None counts the limits as points in total

    Returns
    -------
    DataFrame: ``m``, most drift either way, percentage points a year, infinite for anything;
    ``lower, upper`` of the effect in percentage points; ``method``.

    Notes
    -----
    With at most m a year for T years: min(after - before) - mT to max(after - before) + mT, never
    beyond min(after) - 1 to max(after), which holds whatever would have happened. Nobody leaves
    the count, and the sampling error is left out.
    """
    change = 100 * (corners[:, 1] - corners[:, 0])
    widest = 100 * (corners[:, 1].min() - 1), 100 * corners[:, 1].max()
    span = years or 1.0
    nil = min(abs(change.min()), abs(change.max())) / span if change.min() * change.max() > 0 else 0
    limits = np.unique([*TREND_LIMITS, round(nil, 6), np.inf])
    lower = np.maximum(change.min() - limits * span, widest[0])
    upper = np.minimum(change.max() + limits * span, widest[1])
    method = [
        "whatever would have happened" if np.isinf(m) else "drift of at most m, nobody leaves"
        for m in limits
    ]
    return pd.DataFrame({"m": limits, "lower": lower, "upper": upper, "method": method})
