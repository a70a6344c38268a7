"""Linear predictors of cases under the posterior draws of a fit."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.model.likelihood_model import Model

__all__ = ["FlatDraws", "linear_predictor", "read_draws"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FlatDraws:
    """Posterior draws on the standardized scale, chains end to end.

    Attributes
    ----------
    intercept, sd_doctor : (sample,)
    coefficient : (term, sample)
    doctor_effect : (doctor, sample), link scale, without the hospital's part
    hospital_effect : (hospital, sample), or None
    sd_hospital, sd_residual, dispersion : (sample,), or None where the model has none
    """

    intercept: Array
    coefficient: Array
    doctor_effect: NDArray[np.floating]
    sd_doctor: Array
    hospital_effect: NDArray[np.floating] | None
    sd_hospital: Array | None
    sd_residual: Array | None
    dispersion: Array | None

    @property
    def n_samples(self) -> int:
        """Draws over all chains."""
        return self.intercept.size


def read_draws(tree: xr.DataTree, *, at_most: int | None = None) -> FlatDraws:
    """Read a fit's draws, evenly thinned to ``at_most`` samples.

    Parameters
    ----------
    tree : ``Fit.draws``
    at_most : samples wanted; None keeps every one
    """
    posterior = tree["posterior"].to_dataset()
    total = posterior.sizes["chain"] * posterior.sizes["draw"]
    keep: slice | NDArray[np.intp] = slice(None)
    if at_most is not None and at_most < total:
        keep = np.linspace(0, total - 1, at_most).round().astype(np.intp)

    def rows(name: str) -> NDArray[np.floating]:
        return flatten_draws(posterior[name])[:, keep]

    def single(name: str) -> Array:
        return np.asarray(rows(name)[0], dtype=np.float64)

    def optional(name: str) -> Array | None:
        return single(name) if name in posterior else None

    return FlatDraws(
        intercept=single("intercept_standardized"),
        coefficient=np.asarray(rows("coefficient_standardized"), dtype=np.float64),
        doctor_effect=rows("doctor_effect"),
        sd_doctor=single("sd_doctor"),
        hospital_effect=rows("hospital_effect") if "hospital_effect" in posterior else None,
        sd_hospital=optional("sd_hospital"),
        sd_residual=optional("sd_residual"),
        dispersion=optional("dispersion"),
    )


def linear_predictor(
    model: Model,
    draws: FlatDraws,
    *,
    cases: slice = slice(None),
    samples: slice | NDArray[np.intp] = slice(None),
    doctor_effect: NDArray[np.floating] | None = None,
    skip: NDArray[np.bool_] | None = None,
) -> Array:
    """Linear predictor without the exposure, with the offset, for some cases and some samples.

    Parameters
    ----------
    cases, samples : which cases and which samples
    doctor_effect : (doctor, sample), what each doctor adds, for these samples; by default his
        own effect and that of his hospital
    skip : (term,), columns that are held at their mean

    Returns
    -------
    (case, sample), link scale
    """
    matrix, slopes = model.matrix[cases], draws.coefficient[:, samples]
    if skip is not None and skip.any():
        matrix, slopes = matrix[:, ~skip], slopes[~skip]
    if doctor_effect is None:
        doctor_effect = draws.doctor_effect[:, samples]
        if draws.hospital_effect is not None:
            doctor_effect = doctor_effect + draws.hospital_effect[model.hospital_code][:, samples]
    eta = matrix @ slopes if slopes.size else np.zeros((len(matrix), slopes.shape[1]))
    eta += draws.intercept[samples]
    eta += doctor_effect[model.doctor_code[cases]]
    if model.offset is not None:
        eta += model.offset[cases, None]
    return np.asarray(eta)
