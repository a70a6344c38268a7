"""Where a sampler starts, and how far each doctor is centered: rough moments of the data."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from outcomekpi.model.likelihood_model import Model
from outcomekpi.model.offset_levels import overall_level

__all__ = ["StartingPoint", "choose_start"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StartingPoint:
    """Starting values, and the share of centering of each doctor and hospital.

    Attributes
    ----------
    intercept : link of the observed rate; with an offset, the level that adds up to the events
    sd_doctor, sd_hospital, sd_residual : moment estimates, kept away from zero
    doctor_centering : (doctor,), in [0, 1]; near 1 where his own cases say most about him
    hospital_centering : (hospital,), the same for hospitals
    """

    intercept: float
    sd_doctor: float
    sd_hospital: float
    sd_residual: float
    doctor_centering: Array
    hospital_centering: Array


def choose_start(model: Model) -> StartingPoint:
    """Rough estimates of level and spread, and from them the centering of each doctor.

    Notes
    -----
    With information w = n p (1 - p) (logit), expected events (log) or n / variance (identity)
    and score s = observed - expected, a doctor's effect is roughly s / w with variance 1 / w.
    The spread comes from the moment estimate of DerSimonian and Laird (1986, Controlled
    Clinical Trials) and the centering is ``w sd² / (1 + w sd²)``, the share of information
    about the doctor that his own cases carry. Case mix is ignored, an offset is not: the
    posterior does not depend on these numbers, only the sampler's speed does.
    """
    size = _size(model)
    rate = float(model.outcome.sum() / size.sum())
    intercept, unit_information, residual = _level(model, rate)
    doctor_size = np.bincount(model.doctor_code, size, model.n_doctors)
    events = np.bincount(model.doctor_code, model.outcome, model.n_doctors)
    expected, information = doctor_size * rate, doctor_size * unit_information
    if model.offset is not None:
        intercept, residual, expected, information = _with_offset(model, model.offset, size)
    score = (events - expected) * (1.0 if model.family != "gaussian" else residual**-2)
    effect = np.divide(score, information, out=np.zeros_like(score), where=information > 0)
    spread = _moment_variance(effect, information)
    floor = 1e-2 * (residual if model.family == "gaussian" else 1.0) ** 2
    hospital_spread, hospital_centering = 0.0, np.empty(0)
    if model.hospital_code is not None:
        weight = information / (1.0 + information * spread)
        total = np.bincount(model.hospital_code, weight, model.n_hospitals)
        summed = np.bincount(model.hospital_code, weight * effect, model.n_hospitals)
        mean = np.divide(summed, total, out=np.zeros_like(total), where=total > 0)
        hospital_spread = _moment_variance(mean, total)
        hospital_centering = _share(total, hospital_spread)
    return StartingPoint(
        intercept=intercept,
        sd_doctor=max(spread, floor) ** 0.5,
        sd_hospital=max(hospital_spread, floor) ** 0.5,
        sd_residual=residual,
        doctor_centering=_share(information, spread),
        hospital_centering=hospital_centering,
    )


def _size(model: Model) -> Array:
    """Patients, or exposure, of each row."""
    if model.trials is not None:
        return model.trials
    return np.ones_like(model.outcome) if model.exposure is None else model.exposure


def _level(model: Model, rate: float) -> tuple[float, float, float]:
    """Link of the overall rate, information per unit of size, residual SD."""
    residual = max(float(model.outcome.std()), 1e-6)
    if model.family == "gaussian":
        return rate, residual**-2, residual
    if model.family in ("bernoulli", "binomial"):
        rate = min(max(rate, 1e-6), 1.0 - 1e-6)
        return float(logit(rate)), rate * (1.0 - rate), residual
    return float(np.log(rate)), rate, residual


def _with_offset(model: Model, offset: Array, size: Array) -> tuple[float, float, Array, Array]:
    """Level and residual SD around the offset, expected outcome and information by doctor."""
    level = overall_level(model.family, model.outcome, size, offset)
    residual = max(float((model.outcome - offset).std()), 1e-6)
    if model.family == "gaussian":
        mean, information = level + offset, np.full_like(offset, residual**-2)
    elif model.family in ("bernoulli", "binomial"):
        chance = expit(level + offset)
        mean, information = size * chance, size * chance * (1.0 - chance)
    else:
        mean = information = size * np.exp(level + offset)
    expected, total = (
        np.bincount(model.doctor_code, values, model.n_doctors) for values in (mean, information)
    )
    return level, residual, expected, total


def _moment_variance(effect: Array, information: Array) -> float:
    """Variance between units beyond what chance explains, at least 0."""
    total = information.sum()
    mean = (information * effect).sum() / total
    surplus = (information * (effect - mean) ** 2).sum() - (np.count_nonzero(information) - 1)
    return float(max(surplus / max(total - (information**2).sum() / total, 1e-12), 0.0))


def _share(information: Array, variance: float) -> Array:
    return information * variance / (1.0 + information * variance)
