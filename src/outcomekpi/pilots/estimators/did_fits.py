"""Fits of starts and times: what the libraries hand back, and the plain interaction."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.pilots.estimators.cluster_robust import ClusterFit, fit_clustered
from outcomekpi.pilots.estimators.event_study import EventStudy

__all__ = ["AverageFit", "CellFit", "fit_interaction"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AverageFit:
    """An average effect on the treated with its standard error, by start and by time since.

    Attributes
    ----------
    effect, error : average over treated units and times after their start, and standard error
    by_start : DataFrame with ``start, time, mean, se``: effects of the units of one start
    event_study : effects by time since the start, where the estimator has them
    notes : what the library warned of
    """

    effect: float
    error: float
    by_start: pd.DataFrame
    event_study: EventStudy | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellFit:
    """Coefficients of every start and time, on the scale of the link.

    Attributes
    ----------
    start, time : (cell,), positions; the last time before a start is the reference
    coefficients, covariance : (cell,) and (cell, cell), clustered, factor G / (G - 1)
    notes : what the library warned of
    """

    start: NDArray[np.intp]
    time: NDArray[np.intp]
    coefficients: Floats
    covariance: Floats
    notes: tuple[str, ...]


def fit_interaction(
    frame: pd.DataFrame, *, covariates: tuple[str, ...], cluster: str
) -> tuple[ClusterFit, Floats]:
    """Two groups, before and after, by least squares with clusters.

    Parameters
    ----------
    frame : ``outcome``, ``treated`` and ``after`` (0 or 1), the cluster and the covariates
    covariates : columns that enter linearly; one that others determine is left out
    cluster : column

    Returns
    -------
    fit, weights : and which combination of its coefficients is the interaction
    """
    treated, after = (frame[one].to_numpy(dtype=np.float64) for one in ("treated", "after"))
    columns = [np.ones(len(frame)), treated, after, treated * after]
    for name in covariates:
        values = frame[name].to_numpy(dtype=np.float64)
        # centered and scaled: the interaction stays as it is, and squares lose no digits
        values = (values - values.mean()) / max(float(values.std()), 1e-300)
        if np.linalg.matrix_rank(np.column_stack([*columns, values])) > len(columns):
            columns.append(values)
    code = frame[cluster].factorize(sort=True)[0]
    fit = fit_clustered(np.column_stack(columns), frame["outcome"].to_numpy(dtype=np.float64), code)
    return fit, np.eye(len(columns))[3]
