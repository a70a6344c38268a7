"""What a series can be at all: bounds of its level, and what they mean for an effect."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.draws.checks import CheckResult
from outcomekpi.pilots.designs.series_forecast import SeriesForecast
from outcomekpi.pilots.designs.series_model import SeriesModel
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.tables.columns import count_of

__all__ = ["bound_estimates", "check_bounds", "clip_levels"]

Bounds = tuple[float, float]


def bound_estimates(
    estimates: Sequence[Estimate],
    model: SeriesModel,
    forecast: SeriesForecast | None,
    limits: Bounds | None,
) -> tuple[Estimate, ...]:
    """End every interval where the bounds of the outcome end what is possible.

    Parameters
    ----------
    estimates : of the series
    model : of the series
    forecast : of the points after the start, or None
    limits : lowest and highest outcome of a period (of a trial, of a unit of exposure), or None

    Notes
    -----
    With a level from a to b, an effect is the difference of two levels: a - b to b - a. An observed
    mean m less its forecast lies between m - b and m - a. Cutting an interval at what is
    impossible leaves its coverage as it is.
    """
    if limits is None:
        return tuple(estimates)
    ahead = model.counted if forecast is None else forecast.ahead
    return tuple(_bound(one, model, ahead, limits) for one in estimates)


def _bound(one: Estimate, model: SeriesModel, ahead: NDArray[np.bool_], limits: Bounds) -> Estimate:
    low, high = limits
    points = 100.0 if model.family == "binomial" else 1.0
    seen = float(model.outcome[ahead].sum())
    size = float(model.size[ahead].sum())
    whole = float(model.size[model.counted].sum())
    found = {
        "average effect": (points * (low - high), points * (high - low)),
        "effect at": (points * (low - high), points * (high - low)),
        "cumulative effect": (whole * (low - high), whole * (high - low)),
        "average observed minus forecast": (
            points * (seen / size - high),
            points * (seen / size - low),
        ),
        "cumulative observed minus forecast": (seen - size * high, seen - size * low),
    }
    if model.family == "gaussian":
        found["level change"] = (low - high, high - low)
    bounds = next((both for name, both in found.items() if one.name.startswith(name)), None)
    if bounds is None:
        return one
    return replace(one, value=float(np.clip(one.value, *bounds)), bounds=bounds)


def clip_levels(frame: pd.DataFrame, columns: Sequence[str], limits: Bounds | None) -> pd.DataFrame:
    """Cut levels of a table at the bounds of the outcome, and note them in its attributes.

    Parameters
    ----------
    frame : of levels
    columns : that hold them
    limits : bounds, or None
    """
    if limits is None:
        return frame
    frame[list(columns)] = frame[list(columns)].clip(*limits)
    frame.attrs["bounds"] = limits
    return frame


def check_bounds(
    counterfactual: NDArray[np.float64], after: NDArray[np.bool_], limits: Bounds | None
) -> CheckResult | None:
    """Tell whether the expected outcome without the program stays where an outcome can be.

    Parameters
    ----------
    counterfactual : (time,), before it is cut
    after : (time,), points after the start
    limits : bounds, or None

    Returns
    -------
    None where there are no bounds
    """
    if limits is None or not np.isfinite(limits).all():
        return None
    low, high = limits
    outside = after & ((counterfactual < low) | (counterfactual > high))
    number = int(outside.sum())
    cut = (
        f"Levels are cut at {low:g} and {high:g} where they are printed, effects at {low - high:g} "
        f"and {high - low:g}, observed less forecast where the forecast would leave the bounds."
    )
    if number:
        verdict = (
            f"Without the program the straight trend would have left {low:g} to {high:g} in "
            f"{count_of(number, 'period')}: it cannot be right there. Use family='binomial' with "
            f"its trials, fewer periods after the start, or change='level'. {cut}"
        )
    else:
        verdict = f"Without the program the outcome stays within {low:g} to {high:g}. {cut}"
    return CheckResult(
        name="outcome within its bounds",
        passed=number == 0,
        verdict=verdict,
        table=pd.DataFrame({"low": [low], "high": [high], "periods_outside": [number]}),
    )
