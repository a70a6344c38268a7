"""The model as the engines see it: arrays, a family and proper numbers for every prior."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.model.design import Design
from outcomekpi.model.offset_levels import check_offset, overall_level
from outcomekpi.model.priors import Normal, Priors
from outcomekpi.model.spec import DoctorEffects, Family, ModelSpec
from outcomekpi.tables.cases import Cases

__all__ = ["Model", "assemble_model", "build_model", "choose_family", "overall_rate"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """Everything an engine needs, and nothing else.

    Attributes
    ----------
    family : resolved family
    outcome : (case,)
    trials : (case,) for the binomial family, else None
    exposure : (case,) for the count families where given, else None
    matrix : (case, term), standardized
    doctor_code : (case,); doctors are numbered 0 .. n_doctors - 1
    hospital_code : (doctor,) or None
    priors : with numbers in place of every "from the data", on the scale of ``outcome``'s link
    doctor_effects : "normal" or "student_t"
    offset : (case,), what enters the linear predictor with slope 1 besides the exposure, or None
    """

    family: Family
    outcome: NDArray[np.float64]
    trials: NDArray[np.float64] | None
    exposure: NDArray[np.float64] | None
    matrix: NDArray[np.float64]
    doctor_code: NDArray[np.intp]
    n_doctors: int
    hospital_code: NDArray[np.intp] | None
    n_hospitals: int
    priors: Priors
    doctor_effects: DoctorEffects
    offset: NDArray[np.float64] | None = None


def choose_family(cases: Cases, spec: ModelSpec) -> Family:
    """Return the family named in ``spec``, or the one that the columns of ``cases`` ask for.

    An offset that was declared as an expected value asks for the Gaussian family, as an expected
    count for the Poisson family.

    Raises
    ------
    CasesError, SpecError
        The outcome does not fit the family, or a role is missing or superfluous for it.
    """
    family: Family
    if spec.family is not None:
        family = spec.family
    elif cases.trials is not None:
        family = "binomial"
    else:
        family = "poisson" if cases.exposure is not None else _family_of_offset(cases)
    if family == "binomial" and cases.trials is None:
        raise SpecError("family='binomial' needs trials: name that column in Cases.from_frame.")
    if family != "binomial" and cases.trials is not None:
        raise SpecError(f"family={family!r} has no use for trials. Use 'binomial', or drop trials.")
    if family in ("bernoulli", "binomial", "gaussian") and cases.exposure is not None:
        raise SpecError(f"family={family!r} has no use for exposure. Use 'poisson', or drop it.")
    _check_outcome(cases, family)
    check_offset(cases, family)
    return family


def _family_of_offset(cases: Cases) -> Family:
    """Family of rows without trials and exposure; Bernoulli unless the offset says otherwise."""
    if cases.offset_scale == "expected_value":
        return "gaussian"
    # events of single patients stay Bernoulli, for which a count is refused: it may be either
    single = bool(((cases.outcome == 0) | (cases.outcome == 1)).all())
    return "poisson" if cases.offset_scale == "expected_count" and not single else "bernoulli"


def _check_outcome(cases: Cases, family: Family) -> None:
    name = cases.roles["outcome"]
    y = cases.outcome
    if family == "bernoulli":
        wrong = np.flatnonzero((y != 0) & (y != 1))
        wanted, remedy = (
            "hold only 0 and 1",
            (
                "Recode it, pass event=... to choose the event value, or name another family "
                "(poisson for counts, gaussian for measurements)"
            ),
        )
    elif family == "gaussian":
        if not y.std() > 0:
            raise CasesError(
                f"Outcome column {name!r} must vary for family 'gaussian'; all {y.size} rows "
                f"hold {y[0]:g}. Look whether the right column was named."
            )
        return
    else:
        wrong = np.flatnonzero((y < 0) | (y != np.floor(y)))
        wanted, remedy = "hold whole numbers of events, 0 or more", "Recode it"
    if wrong.size:
        seen = ", ".join(f"{value:g}" for value in np.unique(y)[:6])
        raise CasesError(
            f"Outcome column {name!r} must {wanted} for family {family!r}. {wrong.size} of "
            f"{y.size} rows do not, the first at index {cases.frame.index[wrong[0]]}; "
            f"values seen: {seen}. {remedy}."
        )
    if not y.any():
        raise CasesError(f"Outcome column {name!r} has no events at all: no rate to model.")


def overall_rate(cases: Cases) -> float:
    """Outcome per patient (or per unit of exposure) over all cases."""
    if cases.trials is not None:
        size = float(cases.trials.sum())
    elif cases.exposure is not None:
        size = float(cases.exposure.sum())
    else:
        size = float(cases.outcome.size)
    return float(cases.outcome.sum() / size)


def _resolve_priors(priors: Priors, family: Family, cases: Cases) -> Priors:
    """Put numbers in place of "link of the observed rate" and of the Gaussian scale."""
    left = cases.outcome if cases.offset is None else cases.outcome - cases.offset
    unit = float(left.std()) if family == "gaussian" else 1.0
    intercept, coefficient = priors.intercept, priors.coefficient
    if isinstance(intercept, Normal):
        mean = _level(cases, family) if intercept.mean is None else intercept.mean
        intercept = Normal(mean, intercept.sd * unit)
    if isinstance(coefficient, Normal) and coefficient.mean is not None:
        coefficient = Normal(coefficient.mean * unit, coefficient.sd * unit)
    return replace(
        priors,
        intercept=intercept,
        coefficient=coefficient,
        sd_doctor=priors.sd_doctor.scaled(unit),
        sd_hospital=priors.sd_hospital.scaled(unit),
        sd_residual=priors.sd_residual.scaled(unit),
    )


def _level(cases: Cases, family: Family) -> float:
    """Link of the overall rate; with an offset, the intercept at which it adds up to the events."""
    if cases.offset is not None:
        size = cases.trials if cases.trials is not None else cases.exposure
        return overall_level(family, cases.outcome, size, cases.offset)
    rate = overall_rate(cases)
    link = {"gaussian": lambda r: r, "bernoulli": logit, "binomial": logit}.get(family, np.log)
    return float(link(rate))


def _check_hospitals(cases: Cases) -> None:
    """Refuse a level of hospitals about which the data say nothing."""
    if cases.hospitals is None:
        return
    name, n, n_doctors = cases.roles["hospital"], len(cases.hospitals), len(cases.doctors)
    if n == 1:
        raise CasesError(
            f"hospital={name!r} wants two hospitals or more; all {n_doctors} doctors belong to "
            f"{cases.hospitals[0]!r}. The standard deviation between hospitals would be its prior, "
            "and the intercept several times less certain. Leave hospital out."
        )
    if n == n_doctors:
        raise CasesError(
            f"hospital={name!r} wants hospitals with several doctors; each of the {n} hospitals "
            f"has one, the first {cases.hospitals[0]!r}. Nothing tells a doctor from "
            "his hospital. Leave hospital out."
        )


def build_model(cases: Cases, spec: ModelSpec, design: Design) -> Model:
    """Bring cases, specification and design together for an engine.

    Raises
    ------
    CasesError
        The outcome does not fit the family; one hospital only, or one doctor in each.
    """
    _check_hospitals(cases)
    family = choose_family(cases, spec)
    priors = _resolve_priors(spec.priors, family, cases)
    return assemble_model(
        cases, design, family=family, priors=priors, doctor_effects=spec.doctor_effects
    )


def assemble_model(
    cases: Cases,
    design: Design,
    *,
    family: Family,
    priors: Priors,
    doctor_effects: DoctorEffects,
) -> Model:
    """Bring together what was checked; every prior has numbers."""
    return Model(
        family=family,
        outcome=cases.outcome,
        trials=cases.trials,
        exposure=cases.exposure,
        matrix=design.matrix,
        doctor_code=cases.doctor_code,
        n_doctors=len(cases.doctors),
        hospital_code=cases.hospital_code,
        n_hospitals=0 if cases.hospitals is None else len(cases.hospitals),
        priors=priors,
        doctor_effects=doctor_effects,
        offset=cases.offset,
    )
