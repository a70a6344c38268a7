"""The model of an interrupted series: its terms, its noise, its fit, and its forecast."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError
from outcomekpi.pilots.data.series import Family, SeriesData
from outcomekpi.pilots.data.series_interruptions import (
    Change,
    ReadInterruption,
    interruption_columns,
)
from outcomekpi.pilots.estimators.seasonality import Seasonality
from outcomekpi.pilots.estimators.segmented import (
    SeriesFit,
    fit_prais_winsten,
    fit_restricted,
    fit_with_noise,
)
from outcomekpi.pilots.estimators.structural_series import (
    DEFAULT_PRIOR,
    WANDERING_PRIOR,
    fit_structural,
    likeliest_step,
    whiten_structural,
)
from outcomekpi.pilots.estimators.working_series import (
    WorkingSeries,
    iterate_weights,
    linearize,
)

__all__ = [
    "STRUCTURAL",
    "Change",
    "Method",
    "SeriesModel",
    "build_model",
    "fit_at_likeliest_step",
    "fit_model",
    "level_loads",
    "model_working",
    "pair_with_control",
    "plain_coefficients",
    "weigh",
]

Floats = NDArray[np.float64]
Method = Literal[
    "auto",
    "reml",
    "prais_winsten",
    "bayes",
    "structural",
    "structural_trend",
    "quasi",
    "independent",
]
STRUCTURAL: dict[str, str] = {"structural": DEFAULT_PRIOR, "structural_trend": WANDERING_PRIOR}
"""Method with a wandering level -> prior of its step."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesModel:
    """Everything that is fitted, as arrays.

    Attributes
    ----------
    family, method, order : of the outcome, of the estimation, of the autoregression
    names : of the terms
    terms : (time, term), with the program
    program : (term,), True for level change and slope change
    outcome, size, offset : (time,); the offset is added to the predictor
    used, after, before : (time,)
    paired : working response of treated less control with its weights, or None
    others : other interruptions, whose terms stay where the program is taken out
    """

    family: Family
    method: Method
    order: int
    names: tuple[str, ...]
    terms: Floats
    program: NDArray[np.bool_]
    outcome: Floats
    size: Floats
    offset: Floats
    used: NDArray[np.bool_]
    after: NDArray[np.bool_]
    before: NDArray[np.bool_]
    paired: WorkingSeries | None = None
    others: tuple[ReadInterruption, ...] = ()

    @property
    def without(self) -> Floats:
        """(time, term), terms as if the program had not been."""
        return np.where(self.program, 0.0, self.terms)

    @property
    def counted(self) -> NDArray[np.bool_]:
        """(time,), True for the points after the start that were observed."""
        return self.used & self.after


def build_model(
    data: SeriesData,
    *,
    family: Family,
    method: Method,
    order: int,
    change: Change,
    seasonality: Seasonality | None,
    control_as: Literal["none", "difference", "covariate"] = "none",
) -> SeriesModel:
    """Put the terms together: intercept, trend, seasons, covariates, level and slope change."""
    since = data.since
    columns = {"intercept": np.ones_like(since)}
    if method != "structural":
        columns["trend"] = since
    if seasonality is not None:
        waves = seasonality.columns(since.size)
        columns |= {f"season {k + 1}": waves[:, k] for k in range(waves.shape[1])}
    for k in range(data.covariates.shape[1]):
        columns[f"covariate {k + 1}"] = np.nan_to_num(data.covariates[:, k])
    if control_as == "covariate":
        columns["control"] = _control_covariate(data, family)
    for other in data.others:
        columns |= interruption_columns(other, since.size)
    after = data.after.astype(np.float64)
    if change != "slope":
        columns["level change"] = after
    if change != "level":
        columns["slope change"] = after * since
    terms = np.column_stack(list(columns.values()))
    model = SeriesModel(
        family=family,
        method=method,
        order=0 if method in (*STRUCTURAL, "quasi", "independent") else order,
        names=tuple(columns),
        terms=terms,
        program=np.array([name in ("level change", "slope change") for name in columns]),
        outcome=np.where(data.used, data.outcome, 0.0),
        size=np.where(data.used, data.size, 1.0),
        offset=np.zeros_like(since),
        used=data.used,
        after=data.after,
        before=data.before,
        others=data.others,
    )
    _check_rank(model)
    if control_as != "difference":
        return model
    control, size = _require_control(data)
    return pair_with_control(model, control, size)


def _require_control(data: SeriesData) -> tuple[Floats, Floats]:
    if data.control is None or data.control_size is None:
        raise CasesError("A controlled series needs a control column.")
    return data.control, data.control_size


def _control_covariate(data: SeriesData, family: Family) -> Floats:
    control, size = _require_control(data)
    if family == "gaussian":
        values = control
    elif family == "poisson":
        values = np.log((control + 0.5) / size)
    else:
        values = np.log((control + 0.5) / (size - control + 0.5))
    return np.where(data.used, values - np.nanmean(values[data.used]), 0.0)


def pair_with_control(model: SeriesModel, control: Floats, control_size: Floats) -> SeriesModel:
    """Model the distance of the treated series from the control, on the scale of the link.

    Parameters
    ----------
    model : of the treated series alone
    control, control_size : (time,), outcome of the control and its trials or exposure
    """
    if model.family == "gaussian":
        return replace(model, offset=np.where(np.isfinite(control), control, 0.0))
    control = np.where(model.used, control, 0.0)
    size = np.where(model.used, control_size, 1.0)
    treated_fit = _own_fit(model, model.outcome, model.size)
    control_fit = _own_fit(model, control, size)
    treated = linearize(model.family, treated_fit, model.outcome, model.size)
    other = linearize(model.family, control_fit, control, size)
    return replace(
        model,
        offset=control_fit,
        paired=WorkingSeries(
            response=treated.response - other.response + control_fit,
            weights=1.0 / (1.0 / treated.weights + 1.0 / other.weights),
        ),
    )


def _own_fit(model: SeriesModel, outcome: Floats, size: Floats) -> Floats:
    rows = model.used
    coefficients = iterate_weights(
        model.family, model.terms[rows], outcome[rows], size[rows], np.zeros(int(rows.sum()))
    )
    return np.asarray(model.terms @ coefficients)


def _check_rank(model: SeriesModel) -> None:
    rows, count = int(model.used.sum()), model.terms.shape[1]
    scaled = model.terms[model.used] / np.abs(model.terms[model.used]).max(axis=0).clip(1e-12)
    if rows - count < 3:
        raise CasesError(
            f"{rows} points cannot carry {count} terms ({', '.join(model.names)}) and the noise. "
            "Use fewer harmonics or covariates, or change='level'."
        )
    if np.linalg.matrix_rank(scaled) < count:
        raise CasesError(
            f"The terms ({', '.join(model.names)}) cannot be told apart in these data: a "
            "covariate or season repeats another term, or an interruption has too few points of "
            "its own. Leave one out, or say that it changes the level alone."
        )


def fit_model(model: SeriesModel, *, adjust: bool = True) -> SeriesFit:
    """Fit the terms and the noise; indicator terms of unused times stand last.

    Parameters
    ----------
    model : terms, outcome and method
    adjust : False leaves the small-sample terms out
    """
    return _fit_working(model, model.terms, model_working(model), adjust)


def model_working(model: SeriesModel) -> WorkingSeries:
    """Make the response linear: at the generalized linear fit, for counts.

    Parameters
    ----------
    model : terms and outcome
    """
    if model.paired is not None:
        return model.paired
    predictor = model.offset
    if model.family != "gaussian":
        predictor = model.offset + model.terms @ plain_coefficients(model)
    return linearize(model.family, predictor, model.outcome, model.size)


def plain_coefficients(model: SeriesModel) -> Floats:
    """Coefficients of the generalized linear model with independent errors: (term,)."""
    rows = model.used
    return iterate_weights(
        model.family,
        model.terms[rows],
        model.outcome[rows],
        model.size[rows],
        model.offset[rows],
    )


def _fit_working(
    model: SeriesModel, terms: Floats, working: WorkingSeries, adjust: bool
) -> SeriesFit:
    """Fit a weighted working response by the method of the model."""
    rows, response, missing = weigh(terms, working, model.offset, model.used)
    if model.method in STRUCTURAL:
        loads = level_loads(working, model.used)[0]
        return fit_at_likeliest_step(model.method, rows, response, missing, loads)
    if model.method == "prais_winsten":
        return fit_prais_winsten(rows, response, model.order, adjust=adjust)
    if model.method in ("auto", "reml", "bayes") or (
        model.family == "gaussian" and model.method == "independent"
    ):
        return fit_restricted(rows, response, model.order, adjust=adjust)
    return _fit_known(model, rows, response)


def weigh(
    terms: Floats, working: WorkingSeries, offset: Floats, used: NDArray[np.bool_]
) -> tuple[Floats, Floats, int]:
    """Rows of equal variance, with one indicator column for each unused time.

    Returns
    -------
    terms, response, missing : (time, term + missing), (time,), number of unused times
    """
    root = np.where(used, np.sqrt(working.weights), 1.0)
    gaps = np.eye(used.size)[:, ~used]
    rows = np.column_stack([root[:, None] * terms, gaps])
    response = np.where(used, root * (working.response - offset), 0.0)
    return rows, response, int(gaps.shape[1])


def level_loads(working: WorkingSeries, used: NDArray[np.bool_]) -> tuple[Floats, float]:
    """Return what a wandering level is multiplied by in each row of equal variance.

    Returns
    -------
    loads : (time,), root of the weight over its mean; 1 for Gaussian series and unused times
    mean : of the roots
    """
    root = np.sqrt(working.weights)
    mean = float(root[used].mean())
    return np.where(used, root / mean, 1.0), mean


def fit_at_likeliest_step(
    method: Method, rows: Floats, response: Floats, missing: int, loads: Floats
) -> SeriesFit:
    """Fit at the likeliest step of a wandering level; its posterior has the intervals."""
    posterior = fit_structural(rows, response, missing=missing, loads=loads)
    step = float(posterior.nodes[likeliest_step(posterior, STRUCTURAL[method])])
    white = whiten_structural(step, np.column_stack([rows, response]), loads)
    return fit_with_noise(white[:, :-1], white[:, -1], np.zeros(0))


def _fit_known(model: SeriesModel, rows: Floats, response: Floats) -> SeriesFit:
    """Independent errors with the dispersion taken as known: 1, or Pearson's."""
    none = np.zeros(0)
    fit = fit_with_noise(rows, response, none)
    variance = fit.variance if model.method == "quasi" else 1.0
    return fit_with_noise(rows, response, none, variance=variance)
