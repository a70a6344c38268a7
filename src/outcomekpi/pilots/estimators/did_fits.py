"""What the libraries hand back: effects on the treated, and coefficients of starts and times."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.pilots.estimators.event_study import EventStudy

__all__ = ["AverageFit", "CellFit"]

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
