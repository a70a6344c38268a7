"""The parts of the linear predictor that judgments are made of, as plain arrays of draws."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.model.spec import Family
from outcomekpi.posterior.fit import Fit

__all__ = [
    "HospitalComparison",
    "Predictor",
    "doctor_effects",
    "posterior_of",
    "read_predictor",
    "slope_of_cases",
]

Array = NDArray[np.floating]
HospitalComparison = Literal["within", "population"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictor:
    """Draws of the linear predictor, split into what cases bring and what the doctor brings.

    Attributes
    ----------
    family : family of the outcome
    matrix : (case, term), standardized case-mix columns; doctor-level columns are left out, and an
        offset of the cases is the last column
    slope : (term, sample); 1 in every draw for an offset
    intercept, sd_doctor : (sample,)
    hospital : (hospital, sample) effects, or None
    hospital_code : (doctor,), or None
    effect : (doctor, sample), the doctor's own random effect
    doctor_matrix : (doctor, doctor-level term), standardized
    doctor_slope : (doctor-level term, sample)
    doctor_code : (case,)
    weight : (case,) trials or exposure, or None where each row is one case
    comparison : "within", the hospital effect is part of what cases bring; "population", it is
        part of what the doctor brings
    """

    family: Family
    matrix: Array
    slope: Array
    intercept: Array
    sd_doctor: Array
    hospital: Array | None
    hospital_code: NDArray[np.intp] | None
    effect: Array
    doctor_matrix: Array
    doctor_slope: Array
    doctor_code: NDArray[np.intp]
    weight: NDArray[np.float64] | None
    comparison: HospitalComparison

    @property
    def n_doctors(self) -> int:
        """Number of doctors."""
        return int(self.effect.shape[0])

    @property
    def n_samples(self) -> int:
        """Number of draws, all chains together."""
        return int(self.intercept.size)

    def hospital_effect(self, doctors: NDArray[np.intp] | slice) -> Array | float:
        """Effect of the hospital of each of ``doctors``: (doctor, sample), or 0 without any."""
        if self.hospital is None or self.hospital_code is None:
            return 0.0
        return np.asarray(self.hospital[self.hospital_code[doctors]])

    def brought_by_cases(self, doctors: NDArray[np.intp] | slice) -> Array:
        """Linear predictor of an average case of an average doctor, (doctor, sample)."""
        base = np.broadcast_to(self.intercept, self.effect[doctors].shape)
        if self.comparison == "within":
            return base + self.hospital_effect(doctors)
        return base

    def brought_by_doctor(self, doctors: NDArray[np.intp] | slice) -> Array:
        """Total effect of each of ``doctors``, (doctor, sample), link scale."""
        own = self.total_effect(doctors)
        if self.comparison == "population":
            own = own + self.hospital_effect(doctors)
        return own

    def total_effect(self, doctors: NDArray[np.intp] | slice) -> Array:
        """Random effect plus doctor-level terms, without the hospital, (doctor, sample)."""
        own = self.effect[doctors]
        if self.doctor_matrix.shape[1]:
            own = own + self.doctor_matrix[doctors] @ self.doctor_slope
        return own


def _first_rows(doctor_code: NDArray[np.intp], n_doctors: int) -> NDArray[np.intp]:
    first = np.zeros(n_doctors, dtype=np.intp)
    first[doctor_code[::-1]] = np.arange(doctor_code.size - 1, -1, -1)
    return first


def posterior_of(fit: Fit) -> xr.Dataset:
    """Posterior group of a fit, as a data set that shares its arrays."""
    return fit.draws.children["posterior"].to_dataset()


def read_predictor(fit: Fit, *, comparison: HospitalComparison = "within") -> Predictor:
    """Take the draws and the design of a fit apart, without copying what is large.

    With an offset the matrix is copied: the offset becomes a column whose slope is 1 in every
    draw, so that whatever sums over cases, or puts equal ones together, knows about it.
    """
    posterior = posterior_of(fit)
    slope = flatten_draws(posterior["coefficient_standardized"])
    of_doctor = np.asarray(fit.design.doctor_level, dtype=bool)
    matrix = fit.design.matrix
    code = fit.cases.doctor_code
    n_doctors = len(fit.cases.doctors)
    rows = _first_rows(code, n_doctors) if of_doctor.any() else np.zeros(n_doctors, dtype=np.intp)
    hospital = None
    if "hospital_effect" in posterior:
        hospital = flatten_draws(posterior["hospital_effect"])
    matrix_of_doctors = matrix[rows][:, of_doctor]
    matrix = matrix[:, ~of_doctor] if of_doctor.any() else matrix
    if fit.model.offset is not None:
        matrix = np.asfortranarray(np.column_stack([matrix, fit.model.offset]))
    return Predictor(
        family=fit.model.family,
        matrix=matrix,
        slope=slope_of_cases(fit, slope),
        intercept=flatten_draws(posterior["intercept_standardized"])[0],
        sd_doctor=flatten_draws(posterior["sd_doctor"])[0],
        hospital=hospital,
        hospital_code=None if hospital is None else fit.cases.hospital_code,
        effect=flatten_draws(posterior["doctor_effect"]),
        doctor_matrix=matrix_of_doctors,
        doctor_slope=slope[of_doctor],
        doctor_code=code,
        weight=fit.model.trials if fit.model.trials is not None else fit.model.exposure,
        comparison=comparison,
    )


def slope_of_cases(fit: Fit, slope: Array) -> Array:
    """Slopes (term, sample) of what cases bring: the case mix, and 1 for an offset."""
    kept = np.asarray(slope[~np.asarray(fit.design.doctor_level, dtype=bool)])
    if fit.model.offset is None:
        return kept
    return np.concatenate([kept, np.ones((1, kept.shape[1]), kept.dtype)])


def doctor_effects(fit: Fit) -> Array:
    """Total effect of each doctor on the link scale: random effect plus doctor-level terms.

    Returns
    -------
    (doctor, sample); the hospital effect is not part of it
    """
    return read_predictor(fit).total_effect(slice(None))
