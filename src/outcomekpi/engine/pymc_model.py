"""The same model in PyMC: the reference that the fast engine is checked against."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from outcomekpi.model.likelihood_model import Model
from outcomekpi.model.offset_levels import overall_level
from outcomekpi.model.priors import (
    Exponential,
    Flat,
    GammaPrecision,
    HalfNormal,
    HalfStudentT,
    Normal,
    SDPrior,
    Uniform,
)
from outcomekpi.model.spec import STUDENT_T_DF

__all__ = ["StartingPoint", "build_pymc_model", "choose_start"]

Array = NDArray[np.float64]


# Where a sampler starts, and how far each doctor is centered: rough moments of the data
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


if TYPE_CHECKING:
    import pymc as pm


def build_pymc_model(model: Model) -> "pm.Model":
    """Joint density of the outcomes, the doctors' effects and every parameter, in PyMC.

    Parameters
    ----------
    model : what :func:`outcomekpi.model.likelihood_model.build_model` returns: standardized
        covariates, and priors with numbers in place of every "from the data"

    Returns
    -------
    pymc.Model with the variables ``intercept_standardized``, ``coefficient_standardized``
    (term), ``sd_doctor``, ``doctor_effect`` (doctor) and, where the model has them,
    ``hospital_effect`` (hospital), ``sd_hospital``, ``sd_residual``, ``dispersion``; the
    observed variable is ``outcome`` (case)

    Notes
    -----
    ``g(E[y]) = intercept + X b + v[hospital] + u[doctor]``, plus log(exposure) for the count
    families, and the offset of the cases where they have one. ``u ~ Normal(0, sd_doctor)``, or
    Student-t with 4 degrees of freedom scaled so that ``sd_doctor`` is its standard deviation in
    both cases. The negative binomial has variance ``mu + dispersion² mu²``.

    Each doctor is sampled partially centered (Papaspiliopoulos, Roberts and Sköld 2007,
    Statistical Science): with m the mean of his intercept and c in [0, 1],
    ``raw ~ Normal(c m, sd^c)`` and ``u = sd^(1-c) (raw - c m)``. c = 1 is the centered, c = 0
    the non-centered form; c is the share of information about the doctor that comes from his
    own cases. The posterior is the same for every c, only the sampler's path differs.
    """
    import pymc as pm

    start = choose_start(model)
    constant = _constant_within_doctors(model)
    coords = {
        "case": np.arange(model.outcome.size),
        "term": np.arange(model.matrix.shape[1]),
        "doctor": np.arange(model.n_doctors),
        "hospital": np.arange(model.n_hospitals),
    }
    with pm.Model(coords=coords) as pymc_model:
        intercept = _intercept(model, start)
        slopes = _slopes(model)
        doctor_mean = intercept + _hospital_part(model, intercept, start)
        if slopes is not None and constant.any():
            rows = pm.Data("doctor_matrix", _first_case(model)[:, constant])
            doctor_mean = doctor_mean + (rows * slopes[np.flatnonzero(constant)]).sum(axis=-1)
        effect = _doctor_effects(model, doctor_mean, start)
        code = pm.Data("doctor_code", model.doctor_code, dims="case")
        eta = (doctor_mean + effect)[code]
        if slopes is not None and not constant.all():
            rows = pm.Data("case_matrix", np.ascontiguousarray(model.matrix[:, ~constant]))
            # not a matrix product: numba takes 40 s to compile one inside a gradient
            eta = eta + (rows * slopes[np.flatnonzero(~constant)]).sum(axis=-1)
        _likelihood(model, eta, start)
    return pymc_model


def _intercept(model: Model, start: StartingPoint) -> Any:
    import pymc as pm

    prior = model.priors.intercept
    if isinstance(prior, Flat):
        return pm.Flat("intercept_standardized", initval=start.intercept)
    mean, sd = _double(prior.mean), _double(prior.sd)
    return pm.Normal("intercept_standardized", mean, sd, initval=start.intercept)


def _slopes(model: Model) -> Any:
    import pymc as pm

    prior = model.priors.coefficient
    if model.matrix.shape[1] == 0:
        return None
    if isinstance(prior, Normal):
        mean, sd = _double(prior.mean), _double(prior.sd)
        return pm.Normal("coefficient_standardized", mean, sd, dims="term")
    return pm.Flat("coefficient_standardized", dims="term")


def _hospital_part(model: Model, intercept: Any, start: StartingPoint) -> Any:
    """Effect of each doctor's hospital, or 0 where doctors are not nested."""
    import pymc as pm

    if model.hospital_code is None:
        return np.zeros(model.n_doctors)
    sd = _standard_deviation("sd_hospital", model.priors.sd_hospital, start.sd_hospital)
    c = pm.Data("hospital_centering", start.hospital_centering, dims="hospital")
    raw = pm.Normal("hospital_raw", c * intercept, sd**c, dims="hospital")
    effect = sd ** (1.0 - c) * (raw - c * intercept)
    effect = pm.Deterministic("hospital_effect", effect, dims="hospital")
    return effect[pm.Data("hospital_code", model.hospital_code, dims="doctor")]


def _doctor_effects(model: Model, mean: Any, start: StartingPoint) -> Any:
    import pymc as pm

    sd = _standard_deviation("sd_doctor", model.priors.sd_doctor, start.sd_doctor)
    c = pm.Data("doctor_centering", start.doctor_centering, dims="doctor")
    if model.doctor_effects == "student_t":
        scale = sd * np.sqrt((STUDENT_T_DF - 2.0) / STUDENT_T_DF)
        raw = pm.StudentT("doctor_raw", nu=STUDENT_T_DF, mu=c * mean, sigma=scale**c, dims="doctor")
    else:
        scale = sd
        raw = pm.Normal("doctor_raw", c * mean, scale**c, dims="doctor")
    effect = scale ** (1.0 - c) * (raw - c * mean)
    return pm.Deterministic("doctor_effect", effect, dims="doctor")


def _standard_deviation(name: str, prior: SDPrior, initial: float) -> Any:
    """One standard deviation with its prior, started where the data roughly put it."""
    import pymc as pm

    match prior:
        case HalfNormal(scale):
            return pm.HalfNormal(name, _double(scale), initval=initial)
        case HalfStudentT(df, scale):
            return pm.HalfStudentT(name, nu=_double(df), sigma=_double(scale), initval=initial)
        case Exponential(rate):
            return pm.Exponential(name, _double(rate), initval=initial)
        case Uniform(upper):
            return pm.Uniform(name, 0.0, _double(upper), initval=min(initial, 0.5 * upper))
        case GammaPrecision(shape, rate):
            name_of_precision = f"precision_of_{name}"
            precision = pm.Gamma(
                name_of_precision, _double(shape), _double(rate), initval=initial**-2.0
            )
            return pm.Deterministic(name, precision**-0.5)


def _double(value: float | None) -> np.float64:
    """Keep a constant in double precision; PyTensor stores a Python 4.0 in single."""
    return np.float64(value)


def _likelihood(model: Model, eta: Any, start: StartingPoint) -> None:
    import pymc as pm

    observed = pm.Data("outcome_observed", model.outcome, dims="case")
    shared = {"observed": observed, "dims": "case"}
    if model.exposure is not None:
        eta = eta + pm.Data("log_exposure", np.log(model.exposure), dims="case")
    if model.offset is not None:
        eta = eta + pm.Data("offset", model.offset, dims="case")
    match model.family:
        case "bernoulli":
            pm.Bernoulli("outcome", logit_p=eta, **shared)
        case "binomial":
            trials = pm.Data("trials", np.asarray(model.trials), dims="case")
            pm.Binomial("outcome", n=trials, logit_p=eta, **shared)
        case "poisson":
            pm.Poisson("outcome", mu=pm.math.exp(eta), **shared)
        case "negative_binomial":
            dispersion = _standard_deviation("dispersion", model.priors.dispersion, 0.5)
            pm.NegativeBinomial("outcome", mu=pm.math.exp(eta), alpha=dispersion**-2.0, **shared)
        case "gaussian":
            sd = _standard_deviation("sd_residual", model.priors.sd_residual, start.sd_residual)
            pm.Normal("outcome", eta, sd, **shared)


def _first_case(model: Model) -> Array:
    """Covariates of one case of each doctor: (doctor, term), zeros for a doctor without cases."""
    rows = np.zeros((model.n_doctors, model.matrix.shape[1]))
    rows[model.doctor_code[::-1]] = model.matrix[::-1]
    return rows


def _constant_within_doctors(model: Model) -> NDArray[np.bool_]:
    """Whether a column belongs to the doctor: (term,); those enter the doctor's mean."""
    constant: NDArray[np.bool_] = np.array(
        [
            np.array_equal(column, first[model.doctor_code])
            for column, first in zip(model.matrix.T, _first_case(model).T, strict=True)
        ],
        dtype=bool,
    )
    return constant
