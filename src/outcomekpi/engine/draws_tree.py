"""From the samples of an engine to the DataTree that everything later reads."""

from dataclasses import dataclass, field
from math import gcd

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from outcomekpi.model.design import Design
from outcomekpi.model.likelihood_model import Model
from outcomekpi.tables.cases import Cases

__all__ = ["PosteriorSamples", "assemble_draws", "chains_for"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PosteriorSamples:
    """Joint draws of an engine, chain after chain, on the standardized scale.

    Attributes
    ----------
    intercept, sd_doctor : (sample,)
    coefficient : (sample, term), per standard deviation of each column
    doctor_effect : (doctor, sample), link scale
    hospital_effect : (hospital, sample), or None
    sd_hospital, sd_residual, dispersion : (sample,), or None where the model has none
    n_chains : chains of equal length that ``sample`` is made of
    stats : name -> (sample,), what the engine noted about each draw
    diagnostics : name -> value, what the engine reports about its own accuracy
    """

    intercept: NDArray[np.float64]
    coefficient: NDArray[np.float64]
    sd_doctor: NDArray[np.float64]
    doctor_effect: NDArray[np.floating]
    hospital_effect: NDArray[np.floating] | None = None
    sd_hospital: NDArray[np.float64] | None = None
    sd_residual: NDArray[np.float64] | None = None
    dispersion: NDArray[np.float64] | None = None
    n_chains: int = 1
    stats: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    diagnostics: dict[str, float | str] = field(default_factory=dict)


def chains_for(draws: int) -> int:
    """Chains that independent draws are laid out in: 4 where that divides them, else 2 or 1."""
    return gcd(draws, 4)


def assemble_draws(
    samples: PosteriorSamples, *, cases: Cases, design: Design, model: Model
) -> xr.DataTree:
    """Label the samples, put them on the user's scale and add what was observed.

    Notes
    -----
    With x standardized as (x - center) / scale, the user's slope is ``b / scale`` and the user's
    intercept ``a - sum(b * center / scale)``. No array of the size of the cases is copied.
    """
    n_chains = samples.n_chains

    def labelled(values: NDArray[np.generic], unit: str | None = None) -> xr.DataArray:
        shape = (*values.shape[:-1], n_chains, values.shape[-1] // n_chains)
        lead = () if unit is None else (unit,)
        array = xr.DataArray(values.reshape(shape), dims=(*lead, "chain", "draw"))
        return array.transpose("chain", "draw", *lead)

    slope = samples.coefficient / design.scale
    posterior = {
        "intercept": labelled(samples.intercept - slope @ design.center),
        "coefficient": labelled(slope.T, "term"),
        "sd_doctor": labelled(samples.sd_doctor),
        "doctor_effect": labelled(samples.doctor_effect, "doctor"),
        "intercept_standardized": labelled(samples.intercept),
        "coefficient_standardized": labelled(samples.coefficient.T, "term"),
    }
    if samples.hospital_effect is not None:
        posterior["hospital_effect"] = labelled(samples.hospital_effect, "hospital")
    for name in ("sd_hospital", "sd_residual", "dispersion"):
        values = getattr(samples, name)
        if values is not None:
            posterior[name] = labelled(values)
    coords: dict[str, object] = {
        "chain": np.arange(n_chains),
        "draw": np.arange(samples.intercept.size // n_chains),
        "term": np.array(design.terms, dtype=object),
        "doctor": cases.doctors.to_numpy(dtype=object),
    }
    if samples.hospital_effect is not None and cases.hospitals is not None:
        coords["hospital"] = cases.hospitals.to_numpy(dtype=object)
    sample_stats = {name: labelled(values) for name, values in samples.stats.items()}
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(posterior, coords=coords),
            "sample_stats": xr.Dataset(sample_stats),
            "observed_data": xr.Dataset({"outcome": ("case", model.outcome)}),
            "constant_data": xr.Dataset(_constants(model)),
        }
    )


def _constants(model: Model) -> dict[str, tuple[str, NDArray[np.generic]]]:
    constants: dict[str, tuple[str, NDArray[np.generic]]] = {
        "doctor_code": ("case", model.doctor_code)
    }
    if model.trials is not None:
        constants["trials"] = ("case", model.trials)
    if model.exposure is not None:
        constants["exposure"] = ("case", model.exposure)
    if model.offset is not None:
        constants["offset"] = ("case", model.offset)
    if model.hospital_code is not None:
        constants["hospital_code"] = ("doctor", model.hospital_code)
    return constants
