"""The same model in PyMC: the reference that the fast engine is checked against."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from outcomekpi.engine.centering import StartingPoint, choose_start
from outcomekpi.model.likelihood_model import Model
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

if TYPE_CHECKING:
    import pymc as pm

__all__ = ["STUDENT_T_DF", "build_pymc_model"]

STUDENT_T_DF = np.float64(4.0)
"""Degrees of freedom of Student-t doctor effects; fixed, since few data sets can estimate them."""

Array = NDArray[np.float64]


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
