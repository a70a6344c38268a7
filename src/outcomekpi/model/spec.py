"""ModelSpec: what is adjusted for, and with which family and priors."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError, percent_hint
from outcomekpi.model.priors import Priors

__all__ = ["STUDENT_T_DF", "DoctorEffects", "Family", "ModelSpec", "check_rate"]

Family = Literal["bernoulli", "binomial", "poisson", "negative_binomial", "gaussian"]
DoctorEffects = Literal["normal", "student_t"]
STUDENT_T_DF = np.float64(4.0)  # of double precision: PyMC reads a plain 4.0 as a single one
"""Degrees of freedom of Student-t doctor effects; fixed, since few data sets can estimate them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """The model of an outcome: case mix, family, doctor effects and priors.

    Attributes
    ----------
    case_mix : right-hand side of a formula in formulaic's grammar, e.g.
        ``"age + sex + bs(charlson, df=4)"``; None adjusts for nothing
    family : None chooses binomial where cases have trials, Poisson where they have exposure or an
        offset of expected counts, Gaussian where it holds expected values, Bernoulli otherwise
    doctor_level : formula over one row per doctor (columns that are constant within each
        doctor, and ``cases``, his caseload); shrinks doctors towards others like them
        (Silber 2010) and never enters the expected events
    mundlak : add the doctor means of the case-mix columns, which splits each slope into a part
        within and a part between doctors
    doctor_effects : distribution of the doctor effects; "student_t" runs by NUTS only
    priors : see :class:`Priors`; the default centers the intercept's at the observed level

    Notes
    -----
    Doctors are nested in hospitals whenever the cases name a hospital column, and judged relative
    to a published risk whenever they name an ``offset``, which enters with slope 1 whatever the
    case mix.

    Examples
    --------
    >>> from outcomekpi import ModelSpec
    >>> ModelSpec(case_mix="age + sex").case_mix
    'age + sex'
    """

    case_mix: str | None = None
    family: Family | None = None
    doctor_level: str | None = None
    mundlak: bool = False
    doctor_effects: DoctorEffects = "normal"
    priors: Priors = field(default_factory=Priors)

    def __post_init__(self) -> None:
        check_fields(self)


def check_rate(name: str, rate: float, family: Family) -> None:
    """Raise a :class:`SpecError` unless a rate is one that an outcome of this family can have.

    Raises
    ------
    SpecError
        A share of cases outside (0, 1), or a rate of counts that is not positive.
    """
    if family in ("bernoulli", "binomial") and not 0.0 < rate < 1.0:
        hint = percent_hint(rate)
        raise SpecError(
            f"{name} must be a share of cases, strictly between 0 and 1; got {rate:g}.{hint}"
        )
    if family in ("poisson", "negative_binomial") and not rate > 0.0:
        raise SpecError(f"{name} must be a rate above 0 for counts; got {rate:g}.")
