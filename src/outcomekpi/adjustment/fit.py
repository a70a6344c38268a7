"""fit: from cases and a specification to the posterior, by either engine."""

from dataclasses import dataclass
from typing import Literal

import pandas as pd
import xarray as xr

from outcomekpi.adjustment.design import Design
from outcomekpi.adjustment.model import Model
from outcomekpi.adjustment.spec import ModelSpec
from outcomekpi.cases import Cases
from outcomekpi.provenance import Provenance

__all__ = ["Engine", "Fit", "fit"]

Engine = Literal["quadrature", "nuts"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """Posterior of a model: every parameter and every doctor effect, as joint draws.

    Attributes
    ----------
    draws : DataTree with groups ``posterior, sample_stats, observed_data, constant_data``.
        ``posterior`` holds ``intercept`` and ``coefficient`` (term) on the user's scale,
        ``doctor_effect`` (doctor) on the link scale, ``sd_doctor``, and where the model has
        them ``hospital_effect`` (hospital), ``sd_hospital``, ``sd_residual``, ``dispersion``;
        each with dimensions (chain, draw, ...)
    cases, spec, design, model : what was fitted; ``model.priors`` are the priors used
    engine : "quadrature" or "nuts", the one that ran
    diagnostics : name -> value, what the engine reports about its own accuracy
    provenance : versions, seed, hashes, time
    """

    draws: xr.DataTree
    cases: Cases
    spec: ModelSpec
    design: Design
    model: Model
    engine: Engine
    diagnostics: dict[str, float | str]
    provenance: Provenance

    def to_frame(self, *, level: float) -> pd.DataFrame:
        """One row per fixed effect and SD: ``mean, sd, lower, upper``, indexed by term."""
        raise NotImplementedError


def fit(
    cases: Cases,
    spec: ModelSpec,
    *,
    engine: Engine = "quadrature",
    draws: int = 2000,
    seed: int = 20261,
) -> Fit:
    """Posterior of the doctors' effects and of every parameter of the model."""
    raise NotImplementedError
