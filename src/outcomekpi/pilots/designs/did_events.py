"""Effects of each start and time on the scale of the link, and what is made of them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import EngineError
from outcomekpi.pilots.data.panel import HUNDRED, PanelColumns, PanelData
from outcomekpi.pilots.designs.did_controls import FEWEST_CLUSTERS
from outcomekpi.pilots.designs.did_options import DidOptions
from outcomekpi.pilots.estimators.did_adapter import fit_cells
from outcomekpi.pilots.estimators.did_fits import CellFit
from outcomekpi.pilots.estimators.event_study import EventStudy, joint_p_value
from outcomekpi.tables.columns import count_of

__all__ = ["CellEffects", "OutcomeEffect", "fit_cell_effects", "try_cell_effects"]

Floats = NDArray[np.float64]
LINKS = {"logit": "log odds", "poisson": "log rate"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutcomeEffect:
    """Average effect over the times since the start, on the scale of the outcome."""

    value: float
    error: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellEffects:
    """Effects of every start and time, and their averages by time since the start.

    Attributes
    ----------
    cells : of the regression
    weights : (time since, cell), average the starts at each time since the start by their units
    study : those averages
    """

    cells: CellFit
    weights: Floats
    study: EventStudy

    def joint_test(self) -> tuple[float, int, float] | None:
        """Test that all effects before the start are 0, for each start by itself.

        Returns
        -------
        statistic, degrees of freedom, p value; None where there are none, or too few clusters
        """
        before = self.cells.time < self.cells.start
        spread = self.cells.covariance[np.ix_(before, before)]
        count = int(before.sum())
        clusters = self.study.degrees_of_freedom
        if not count or count > clusters or np.linalg.matrix_rank(spread) < count:
            return None
        found = self.cells.coefficients[before]
        statistic = float(found @ np.linalg.solve(spread, found))
        return statistic, count, joint_p_value(statistic, count, clusters)

    def on_outcome_scale(self, panel: PanelData, options: DidOptions) -> OutcomeEffect:
        """Compare each observed mean with the one without the program, and average."""
        cells = self.cells
        means = panel.frame.groupby(["start", "time"])["outcome"].mean()
        observed = means.loc[list(zip(cells.start, cells.time, strict=True))].to_numpy()
        if options.family == "logit":
            without = 1.0 / (1.0 + np.exp(cells.coefficients) * (1.0 - observed) / observed)
            slope = without * (1.0 - without)
        else:
            without = observed * np.exp(-cells.coefficients)
            slope = without
        average = self.study.average() @ self.weights
        factor = HUNDRED if panel.is_share else 1.0
        gradient = average * slope
        return OutcomeEffect(
            value=factor * float(average @ (observed - without)),
            error=factor * float(np.sqrt(gradient @ cells.covariance @ gradient)),
        )


def try_cell_effects(
    panel: PanelData, columns: PanelColumns, options: DidOptions
) -> tuple[CellEffects | None, str]:
    """Effects of every start and time, or the reason why there are none."""
    if min(panel.treated_clusters, panel.control_clusters) < FEWEST_CLUSTERS:
        return None, "one cluster on a side leaves no standard error"
    try:
        return fit_cell_effects(panel, columns, options), ""
    except EngineError as error:
        return None, str(error)


def fit_cell_effects(panel: PanelData, columns: PanelColumns, options: DidOptions) -> CellEffects:
    """Fit a coefficient for every start and time, on the scale of the link."""
    gaussian = options.family == "gaussian"
    if not gaussian:
        _check_means(panel, options)
    cells = fit_cells(
        panel.scaled() if gaussian else panel.frame,
        family=options.family,
        covariates=columns.covariates,
        cluster="cluster",
    )
    weights = _time_weights(panel, cells)
    study = EventStudy(
        times=np.unique(cells.time - cells.start).astype(np.intp),
        coefficients=weights @ cells.coefficients,
        covariance=weights @ cells.covariance @ weights.T,
        degrees_of_freedom=float(panel.n_clusters - 1),
        unit=LINKS.get(options.family, panel.word),
    )
    return CellEffects(cells=cells, weights=weights, study=study)


def _check_means(panel: PanelData, options: DidOptions) -> None:
    """Refuse a mean whose logarithm or log odds is infinite."""
    means = panel.frame.groupby(["start", "time"])["outcome"].mean()
    wrong = means[(means <= 0) | ((means >= 1) & (options.family == "logit"))]
    if len(wrong):
        start, time = wrong.index[0]
        who = f"units that start at {panel.times[start - 1]}" if start else "controls"
        raise EngineError(
            f"{count_of(len(wrong), 'mean')} of a start and time have no {LINKS[options.family]}, "
            f"the first of the {who} at {panel.times[time - 1]}: {wrong.iloc[0]:g}. Use "
            "family='gaussian', or longer periods."
        )


def _time_weights(panel: PanelData, cells: CellFit) -> Floats:
    """Weights that average the starts at each time since the start, by their units' weights."""
    units = panel.frame.groupby(["start", "unit"])["weight"].first().groupby("start").sum()
    size = units.reindex(pd.Index(cells.start)).to_numpy(dtype=np.float64)
    since = cells.time - cells.start
    rows = np.array([np.where(since == one, size, 0.0) for one in np.unique(since)])
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))
