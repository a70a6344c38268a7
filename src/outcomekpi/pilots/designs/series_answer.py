"""A fitted series with everything that its tables, facts and threats are written from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.draws.intervals import t_reach
from outcomekpi.pilots.data.series import SeriesData
from outcomekpi.pilots.designs.series_design import SeriesDesign
from outcomekpi.pilots.designs.series_effects import EffectWords
from outcomekpi.pilots.designs.series_forecast import SeriesForecast
from outcomekpi.pilots.designs.series_model import (
    STRUCTURAL,
    SeriesModel,
    level_loads,
    model_working,
    weigh,
)
from outcomekpi.pilots.designs.series_wandering import Wandering
from outcomekpi.pilots.estimators.bayesian_series import SeriesDraws, SeriesPosterior
from outcomekpi.pilots.estimators.segmented import SeriesFit
from outcomekpi.pilots.estimators.structural_series import likeliest_step, whiten_structural
from outcomekpi.pilots.ladder.estimates import Estimate

__all__ = ["SeriesAnswer", "spell_time"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesAnswer:
    """What was asked, what was fitted, what came out.

    Attributes
    ----------
    design : what was asked
    data, model, fit : series, terms, estimates
    forecast : from the points before the start alone, or None
    posterior : of a Bayesian fit, else None
    draws : of a Bayesian fit, else None
    level : (draw, time), wandering level of a structural fit, else None
    forecast_draws : of the forecast, else None
    words : units
    estimates, naive : effects, the main one first
    variants : (words, estimate) of the main effect under other models of the noise
    priors : (words, estimate) of the main effect under other priors
    wandering : whether the series wanders
    chosen : whether the method was chosen by that
    """

    design: SeriesDesign
    data: SeriesData
    model: SeriesModel
    fit: SeriesFit
    forecast: SeriesForecast | None
    posterior: SeriesPosterior | None
    draws: SeriesDraws | None
    level: Floats | None
    forecast_draws: SeriesDraws | None
    words: EffectWords
    estimates: tuple[Estimate, ...]
    naive: Estimate
    variants: tuple[tuple[str, Estimate], ...]
    priors: tuple[tuple[str, Estimate], ...]
    wandering: Wandering
    chosen: bool

    @property
    def main(self) -> Estimate:
        """The main effect."""
        return self.estimates[0]

    def find(self, start: str) -> Estimate | None:
        """Return the first estimate whose name begins so."""
        return next((one for one in self.estimates if one.name.startswith(start)), None)

    def predictor(self, terms: Floats, *, level: float) -> tuple[Floats, Floats, Floats]:
        """Center and limits of the predictor at rows of terms, on the scale of the link.

        Parameters
        ----------
        terms : (time, term)
        level : probability in (0, 1)
        """
        count = self.model.terms.shape[1]
        offset = self.model.offset
        if self.draws is not None:
            values = self.draws.coefficients[:, :count] @ terms.T
            if self.level is not None:
                values = values + self.level
            tail = (1.0 - level) / 2.0
            lower, upper = np.quantile(values, [tail, 1.0 - tail], axis=0)
            return offset + values.mean(axis=0), offset + lower, offset + upper
        padded = np.zeros((terms.shape[0], self.fit.coefficients.size))
        padded[:, :count] = terms
        found = np.array([self.fit.contrast(row) for row in padded])
        half = t_reach(found[:, 2], level=level) * found[:, 1]
        center = offset + found[:, 0]
        return center, center - half, center + half

    def weighed(self) -> tuple[Floats, Floats]:
        """Rows of equal variance and their response, indicators of unused times included."""
        model = self.model
        working = model_working(model)
        rows, response, _ = weigh(model.terms, working, model.offset, model.used)
        if self.model.method in STRUCTURAL and self.posterior is not None:
            prior = STRUCTURAL[self.model.method]
            step = float(self.posterior.nodes[likeliest_step(self.posterior, prior)])
            loads = level_loads(working, model.used)[0]
            white = whiten_structural(step, np.column_stack([rows, response]), loads)
            return white[:, :-1], white[:, -1]
        return rows, response


def spell_time(value: object) -> str:
    """Write a time: a date without its hour, a number without its decimals."""
    import pandas as pd

    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}"
    return f"{value:g}" if isinstance(value, float | int | np.number) else str(value)
