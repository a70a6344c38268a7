"""Design: the standardized covariate matrix of a model, and how to rebuild it elsewhere."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.adjustment.spec import ModelSpec
from outcomekpi.cases import Cases

__all__ = ["Design", "build_design", "replay_design"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Design:
    """Covariates of every case, standardized, without an intercept.

    Attributes
    ----------
    matrix : (case, term), each column centered at ``center`` and divided by ``scale``;
        Fortran order, so that a column is contiguous
    terms : (term,), names as formulaic writes them, e.g. ``"sex[T.M]"``
    center, scale : (term,), mean and standard deviation of each column over the cases
        (``center`` is 0 nowhere special: dummies are centered too)
    doctor_level : (term,), True for doctor-level covariates and Mundlak means, which belong
        to the doctor and not to his patients
    recipe : formulaic's materialized specifications, for replay; None in a fit loaded from a file
    """

    matrix: NDArray[np.float64]
    terms: tuple[str, ...]
    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    doctor_level: NDArray[np.bool_]
    recipe: Any


def build_design(cases: Cases, spec: ModelSpec) -> Design:
    """Materialize the formulas of ``spec`` on ``cases``, check the covariates, standardize."""
    raise NotImplementedError


def replay_design(design: Design, frame: pd.DataFrame) -> NDArray[np.float64]:
    """Rebuild the matrix on other cases with the stored encoding, centers and scales."""
    raise NotImplementedError
