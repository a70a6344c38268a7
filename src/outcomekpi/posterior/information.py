"""What the cases can say at all: refused before an engine runs, or named where one gave up."""

import re
from collections import Counter

import numpy as np

from outcomekpi.declare.errors import CasesError, EngineError
from outcomekpi.model.design import Design
from outcomekpi.model.likelihood_model import Model
from outcomekpi.tables.cases import Cases
from outcomekpi.tables.columns import count_of

__all__ = ["check_doctors", "explain_failure"]

FEWEST_DOCTORS = 20
"""Fewer rows with a doctor of his own each may be all there is; more are somebody's identifiers."""
EVENTS_PER_TERM = 10
"""Peduzzi et al. (1996), doi:10.1016/S0895-4356(96)00236-3; with fewer, estimates drift."""


def check_doctors(cases: Cases, family: str) -> None:
    """Refuse doctors who have one case each: nothing tells such a doctor from his patient.

    Parameters
    ----------
    cases : of the fit
    family : of the fit; counts over an exposure or out of trials tell more than one case does

    Raises
    ------
    CasesError
        No doctor has two cases. The standard deviation between doctors would be its prior.
    """
    n_rows = len(cases.frame)
    alone = len(cases.doctors) == n_rows and family in ("bernoulli", "gaussian")
    if alone and n_rows >= FEWEST_DOCTORS:
        raise CasesError(
            f"Column {cases.roles['doctor']!r} (doctor) names another doctor in each of "
            f"{count_of(n_rows, 'row')}, the first {cases.doctors[0]!r}: nothing tells a doctor "
            "from his patient, and the standard deviation between doctors would be its prior. Is "
            "it the identifier of patients? Name the column of doctors, or of their hospitals."
        )


def explain_failure(error: EngineError, cases: Cases, design: Design, model: Model) -> EngineError:
    """Name what the cases lack, where that is why an engine gave up.

    Returns
    -------
    EngineError, the same where nothing is lacking that is known to make a posterior hard
    """
    reasons = [reason for reason in (_terms(design, model), _doctors(cases, model)) if reason]
    return EngineError(f"{' '.join(reasons)} {error}") if reasons else error


def _terms(design: Design, model: Model) -> str:
    """Too few events for the terms of the case mix, and the column that makes most of them."""
    if not design.terms or model.family == "gaussian":
        return ""
    events = float(model.outcome.sum())
    if model.family in ("bernoulli", "binomial"):
        size = model.outcome.size if model.trials is None else float(model.trials.sum())
        events = min(events, size - events)
    if events >= EVENTS_PER_TERM * len(design.terms):
        return ""
    made = Counter(re.sub(r"\[T?\.?.*", "", term) for term in design.terms)
    name, most = made.most_common(1)[0]
    column = f"; {name!r} alone makes {most:,}: group its categories" if most > 2 else ""
    return (
        f"The case mix makes {count_of(len(design.terms), 'term')} for "
        f"{count_of(round(events), 'event')}, less than {EVENTS_PER_TERM} events a term{column}. "
        "Leave covariates out, or put them together."
    )


def _doctors(cases: Cases, model: Model) -> str:
    """Too many doctors with a single case."""
    if model.family not in ("bernoulli", "gaussian"):
        return ""
    counts = np.bincount(cases.doctor_code, minlength=len(cases.doctors))
    single = int((counts == 1).sum())
    if single <= len(cases.doctors) / 2:
        return ""
    return (
        f"{single:,} of {count_of(len(cases.doctors), 'doctor')} in column "
        f"{cases.roles['doctor']!r} have one case each: little tells a doctor from his patient. "
        "Check that it is the column of doctors, or leave out doctors with so few cases."
    )
