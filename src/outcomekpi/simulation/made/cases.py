"""Simulated cases with known truth: for tests, validation and benchmarks."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Count, NotNegative, Range, Seed
from outcomekpi.draws.nodes import normal_nodes

__all__ = ["SimulatedFamily", "Truth", "simulate_cases"]

SimulatedFamily = Literal["bernoulli", "binomial", "poisson", "negative_binomial", "gaussian"]
Array = NDArray[np.float64]

COEFFICIENT_SD = 0.3
MAX_TRIALS = 20
DISPERSION = 0.5
HERMITE_NODES = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """The parameters that a table of simulated cases was drawn from.

    Attributes
    ----------
    intercept : linear predictor of an average case of a doctor with effect 0
    coefficient : (covariate,), per unit of ``x1, x2, ...``, which have SD 1
    doctor_effect : Series indexed by doctor, link scale
    sd_doctor : SD that the doctor effects were drawn with
    hospital_effect : Series indexed by hospital, link scale; empty without hospitals
    sd_hospital : SD that the hospital effects were drawn with
    """

    intercept: float
    coefficient: Array
    doctor_effect: pd.Series
    sd_doctor: float
    hospital_effect: pd.Series
    sd_hospital: float


def simulate_cases(
    *,
    n_cases: Count,
    n_doctors: Count,
    n_covariates: Annotated[int, Range(low=0)] = 8,
    sd_doctor: NotNegative = 0.4,
    rate: float = 0.2,
    family: SimulatedFamily = "bernoulli",
    n_hospitals: Annotated[int, Range(low=0)] = 0,
    sd_hospital: NotNegative = 0.2,
    seed: Seed,
) -> tuple[pd.DataFrame, Truth]:
    """Draw cases of doctors whose true effects are known.

    Parameters
    ----------
    n_cases : rows of the table; every doctor has at least one
    n_doctors : doctors, with caseloads in proportion to Gamma(2, 1) draws
    n_covariates : independent standard normal covariates ``x1, x2, ...``
    sd_doctor, sd_hospital : SD of the effects on the link scale
    rate : expected events per patient (or per unit of exposure; the mean, if Gaussian)
    family : binomial rows have 1 to 20 ``trials``; count rows have ``exposure`` from .5 to 1.5;
        the negative binomial has 1/sqrt(alpha) = .5; the Gaussian residual has SD 1
    n_hospitals : 0 for none; doctors are spread over them evenly
    seed : the same seed and sizes give the same table

    Returns
    -------
    frame : columns ``outcome, doctor`` and where they apply ``hospital, trials, exposure``, then
        ``x1, x2, ...``; doctor and hospital are categories of text; rows in random order
    truth : the parameters

    Raises
    ------
    SpecError
        Fewer cases than doctors, or a rate that the family cannot have.

    Notes
    -----
    Coefficients are Normal(0, .3). The intercept solves E[g⁻¹(intercept + s Z)] = ``rate`` with
    s² the variance of the linear predictor and Z standard normal.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> frame, truth = ok.datasets.simulate_cases(n_cases=500, n_doctors=10, seed=1)
    >>> frame["doctor"].nunique(), len(truth.coefficient)
    (10, 8)
    """
    check_arguments(simulate_cases, locals())
    _check_world(n_cases, n_doctors, rate, family)
    rng = np.random.default_rng(seed)
    coefficient = rng.normal(0.0, COEFFICIENT_SD, n_covariates)
    hospital_effect = rng.normal(0.0, sd_hospital, n_hospitals)
    doctor_effect = rng.normal(0.0, sd_doctor, n_doctors)
    variance = float(coefficient @ coefficient) + sd_doctor**2
    variance += sd_hospital**2 if n_hospitals else 0.0
    intercept = _solve_intercept(rate, np.sqrt(variance), family)

    doctor_code = _draw_doctor_codes(rng, n_cases, n_doctors)
    total = doctor_effect.copy()
    hospital_of = np.arange(n_doctors) % max(n_hospitals, 1)
    if n_hospitals:
        total += hospital_effect[hospital_of]
    predictor = intercept + total[doctor_code]
    covariates = {}
    for k in range(n_covariates):
        x = rng.standard_normal(n_cases)
        predictor += coefficient[k] * x
        covariates[f"x{k + 1}"] = x

    doctors, hospitals = _labels("D", n_doctors), _labels("H", n_hospitals)
    columns: dict[str, object] = dict(_draw_outcome(rng, predictor, family))
    columns["doctor"] = pd.Categorical.from_codes(doctor_code, doctors)
    if n_hospitals:
        columns["hospital"] = pd.Categorical.from_codes(hospital_of[doctor_code], hospitals)
    truth = Truth(
        intercept=intercept,
        coefficient=coefficient,
        doctor_effect=pd.Series(doctor_effect, doctors, name="doctor_effect"),
        sd_doctor=sd_doctor,
        hospital_effect=pd.Series(hospital_effect, hospitals, name="hospital_effect"),
        sd_hospital=sd_hospital if n_hospitals else 0.0,
    )
    return pd.DataFrame(columns | covariates, copy=False), truth


def _check_world(n_cases: int, n_doctors: int, rate: float, family: str) -> None:
    if n_doctors > n_cases:
        raise SpecError(
            "n_doctors must lie between 1 and n_cases, so that each doctor has a case; "
            f"got {n_doctors} doctors and {n_cases} cases."
        )
    ceiling = 1.0 if family in ("bernoulli", "binomial") else np.inf
    if family != "gaussian" and not 0.0 < rate < ceiling:
        raise SpecError(f"rate must lie between 0 and {ceiling:g} for {family!r}; got {rate!r}.")


def _labels(letter: str, n: int) -> pd.Index:
    width = len(str(n))
    return pd.Index([f"{letter}{k:0{width}d}" for k in range(1, n + 1)], dtype="str")


def _draw_doctor_codes(rng: np.random.Generator, n_cases: int, n_doctors: int) -> NDArray[np.int32]:
    weights = rng.gamma(2.0, 1.0, n_doctors)
    caseload = 1 + rng.multinomial(n_cases - n_doctors, weights / weights.sum())
    codes = np.repeat(np.arange(n_doctors, dtype=np.int32), caseload)
    rng.shuffle(codes)
    return codes


def _solve_intercept(rate: float, sd: float, family: SimulatedFamily) -> float:
    """Intercept at which the mean over cases and doctors is ``rate``."""
    if family == "gaussian":
        return float(rate)
    if family in ("poisson", "negative_binomial"):
        return float(np.log(rate) - sd**2 / 2)
    nodes, weights = normal_nodes(HERMITE_NODES)
    low, high = -30.0, 30.0
    while high - low > 1e-10:
        middle = (low + high) / 2
        if weights @ expit(middle + sd * nodes) < rate:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _draw_outcome(
    rng: np.random.Generator, predictor: Array, family: SimulatedFamily
) -> dict[str, NDArray[np.generic]]:
    n = predictor.size
    if family == "gaussian":
        return {"outcome": predictor + rng.standard_normal(n)}
    if family == "bernoulli":
        return {"outcome": (rng.random(n) < expit(predictor)).astype(np.int8)}
    if family == "binomial":
        trials = rng.integers(1, MAX_TRIALS + 1, n)
        return {"outcome": rng.binomial(trials, expit(predictor)), "trials": trials}
    exposure = rng.uniform(0.5, 1.5, n)
    mean = exposure * np.exp(predictor)
    if family == "negative_binomial":
        size = DISPERSION**-2
        mean = mean * rng.gamma(size, 1 / size, n)
    return {"outcome": rng.poisson(mean), "exposure": exposure}
