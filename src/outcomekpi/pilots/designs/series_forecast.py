"""The points of a series after the start, forecast from those before it."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from outcomekpi.pilots.designs.series_model import (
    STRUCTURAL,
    SeriesModel,
    fit_at_likeliest_step,
    fit_model,
    level_loads,
    plain_coefficients,
    weigh,
)
from outcomekpi.pilots.estimators.ar_errors import to_partial
from outcomekpi.pilots.estimators.segmented import SeriesFit, fit_with_noise
from outcomekpi.pilots.estimators.working_series import inverse_link, linearize, link_slope

__all__ = ["SeriesForecast", "fit_forecast"]

Floats = NDArray[np.float64]
LARGEST_FORECAST = 250


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesForecast:
    """The points after the start, forecast from those before it.

    Attributes
    ----------
    fit : of the terms before and one indicator for each forecast point
    selection : (time, term), row t picks the indicator of time t; 0 where there is none
    slope : (time,), change of the mean for a change of the predictor, at the forecast
    rows, response : what was fitted, of equal variance
    missing : number of indicators of unused times, the last of the terms
    loads : (time,), of a wandering level in the rows
    ahead : (time,), True for the points that were forecast: those after the start, up to the next
        other interruption

    Notes
    -----
    The coefficient of an indicator is the observed point less its forecast, and its variance that
    of the forecast error: the best linear prediction of an autoregressive series is generalized
    least squares with an indicator for each predicted point.
    """

    fit: SeriesFit
    selection: Floats
    slope: Floats
    rows: Floats
    response: Floats
    missing: int
    loads: Floats
    ahead: NDArray[np.bool_]


def fit_forecast(model: SeriesModel) -> SeriesForecast | None:
    """Forecast the points after the start, with their noise.

    Returns
    -------
    None where the points before are too few for the terms, for two series of counts, and where a
    posterior would have to hold more than 250 forecast points
    """
    later = [other for other in model.others if other.position > int(model.after.argmax())]
    foreign = np.isin(model.names, [name for other in later for name in other.terms])
    kept = model.terms[:, ~model.program & ~foreign]
    scaled = kept[model.before]
    full = scaled.size and np.linalg.matrix_rank(scaled) == kept.shape[1]
    if model.paired is not None or int(model.before.sum()) - kept.shape[1] < 3 or not full:
        return None
    if model.method in ("bayes", *STRUCTURAL) and int(model.counted.sum()) > LARGEST_FORECAST:
        return None
    head = _before_start(model, kept)
    first = fit_model(head, adjust=False)
    predictor = model.offset
    if model.family != "gaussian":
        predictor = model.offset + kept @ plain_coefficients(head)
    working = linearize(model.family, predictor, model.outcome, model.size)
    end = later[0].position if later else model.used.size
    known_points = model.used & (np.arange(model.used.size) < end)
    ahead = np.flatnonzero(known_points & model.after)
    if not ahead.size:
        return None
    extra = np.eye(model.used.size)[:, ahead]
    rows, response, missing = weigh(
        np.column_stack([kept, extra]), working, model.offset, known_points
    )
    known = model.family != "gaussian" and model.method in ("quasi", "independent")
    loads = level_loads(working, known_points)[0]
    if model.method in STRUCTURAL:
        fit = fit_at_likeliest_step(model.method, rows, response, missing, loads)
    else:
        fit = fit_with_noise(
            rows,
            response,
            to_partial(first.autoregression),
            variance=first.variance if known else None,
        )
    selection = np.zeros((model.used.size, rows.shape[1]))
    selection[ahead, kept.shape[1] + np.arange(ahead.size)] = 1.0
    return SeriesForecast(
        fit=fit,
        selection=selection,
        slope=link_slope(model.family, inverse_link(model.family, predictor)),
        rows=rows,
        response=response,
        missing=missing,
        loads=loads,
        ahead=known_points & model.after,
    )


def _before_start(model: SeriesModel, kept: Floats) -> SeriesModel:
    end = int(np.flatnonzero(model.before)[-1]) + 1
    return replace(
        model,
        terms=kept[:end],
        program=np.zeros(kept.shape[1], dtype=bool),
        outcome=model.outcome[:end],
        size=model.size[:end],
        offset=model.offset[:end],
        used=model.before[:end],
        after=model.after[:end],
        before=model.before[:end],
    )
