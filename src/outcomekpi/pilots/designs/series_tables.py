"""Tables of an interrupted series: counterfactual, forecast, variants."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.pilots.designs.series_answer import SeriesAnswer
from outcomekpi.pilots.designs.series_bounds import clip_levels
from outcomekpi.pilots.estimators.working_series import inverse_link

__all__ = ["tabulate"]

Floats = NDArray[np.float64]
LEVELS = ("fitted", "counterfactual", "lower", "upper")


def tabulate(answer: SeriesAnswer) -> Mapping[str, pd.DataFrame]:
    """Write every table; levels are cut at the bounds of the outcome.

    Returns
    -------
    "counterfactual" : time, observed, fitted, counterfactual, lower, upper (of the expected
        counterfactual, without the noise of single points), after
    "forecast" : time, observed, mean, lower, upper (of the point itself, noise included) after
        the start, from the points before it; absent where they are too few
    "variants" : variant, mean, lower, upper: the main effect under other models of the noise
    "prior_sensitivity" : prior, mean, lower, upper; of a Bayesian fit alone
    """
    tables = {"counterfactual": _counterfactual(answer)}
    if answer.forecast is not None:
        tables["forecast"] = _forecast(answer)
    for name, first, named in (
        ("variants", "variant", answer.variants),
        ("prior_sensitivity", "prior", answer.priors),
    ):
        if named:
            rows = [(words, one.value, *one.interval(level=DEFAULT_LEVEL)) for words, one in named]
            frame = pd.DataFrame(rows, columns=[first, "mean", "lower", "upper"])
            frame.attrs.update(
                level=DEFAULT_LEVEL, estimate=answer.main.name, unit=answer.main.unit
            )
            tables[name] = frame
    return tables


def _counterfactual(answer: SeriesAnswer) -> pd.DataFrame:
    model, family = answer.model, answer.model.family
    fitted = answer.predictor(model.terms, level=DEFAULT_LEVEL)[0]
    center, lower, upper = answer.predictor(model.without, level=DEFAULT_LEVEL)
    frame = pd.DataFrame(
        {
            "time": answer.data.times.labels,
            "observed": answer.data.rate,
            "fitted": inverse_link(family, fitted),
            "counterfactual": inverse_link(family, center),
            "lower": inverse_link(family, lower),
            "upper": inverse_link(family, upper),
            "after": answer.data.after,
        }
    )
    if answer.data.control is not None:
        unknown = ~np.isfinite(answer.data.control)
        frame.loc[unknown, ["fitted", "counterfactual", "lower", "upper"]] = np.nan
    per = {"gaussian": answer.columns.unit or "", "binomial": "share of trials"}
    frame = clip_levels(frame, LEVELS, answer.columns.limits)
    frame.attrs.update(
        level=DEFAULT_LEVEL,
        unit=per.get(family, answer.words.unit),
        interval="of the expected counterfactual, without the noise of single points",
    )
    return frame


def _forecast(answer: SeriesAnswer) -> pd.DataFrame:
    forecast = answer.forecast
    if forecast is None:
        return pd.DataFrame()
    ahead = np.flatnonzero(forecast.ahead)
    observed = answer.data.rate[ahead]
    weights = (forecast.selection * forecast.slope[:, None])[ahead]
    if answer.forecast_draws is not None:
        drawn = answer.forecast_draws.coefficients
        gaps = drawn @ weights[:, : drawn.shape[1]].T
        tail = (1.0 - DEFAULT_LEVEL) / 2.0
        low, high = np.quantile(gaps, [tail, 1.0 - tail], axis=0)
        center = gaps.mean(axis=0)
    else:
        found = np.array([forecast.fit.contrast(row) for row in weights])
        half = stdtrit(np.minimum(found[:, 2], 1e9), 0.5 + DEFAULT_LEVEL / 2.0) * found[:, 1]
        center, low, high = found[:, 0], found[:, 0] - half, found[:, 0] + half
    frame = pd.DataFrame(
        {
            "time": answer.data.times.labels[ahead],
            "observed": observed,
            "mean": observed - center,
            "lower": observed - high,
            "upper": observed - low,
        }
    )
    frame = clip_levels(frame, ["mean", "lower", "upper"], answer.columns.limits)
    frame.attrs.update(
        level=DEFAULT_LEVEL, interval="of the point itself, autocorrelated noise included"
    )
    return frame
