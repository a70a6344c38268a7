"""Columns that belong to the doctor: doctor means of the case mix, and traits of the doctor."""

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.errors import FormulaError
from outcomekpi.model.covariates import Covariate
from outcomekpi.tables.cases import Cases
from outcomekpi.tables.columns import spell

__all__ = ["doctor_covariates", "doctor_means"]

NEGLIGIBLE = 1e-10
"""Standard deviation, as a share of the column's own, that counts as none."""


def doctor_covariates(cases: Cases, covariates: dict[str, Covariate]) -> dict[str, Covariate]:
    """Reduce covariates to one row per doctor, and add ``cases``, the caseload.

    Raises
    ------
    FormulaError
        A column differs between cases of the same doctor.
    """
    code = cases.doctor_code
    first = np.empty(len(cases.doctors), dtype=np.intp)
    first[code[::-1]] = np.arange(code.size)[::-1]
    reduced = {}
    for name, covariate in covariates.items():
        of_doctor = covariate.take(first)
        varies = covariate.values != of_doctor.values[code]
        if varies.any():
            doctors = np.unique(code[varies])
            row = int(varies.argmax())
            raise FormulaError(
                f"doctor_level must use columns that are the same for all cases of a doctor; "
                f"{name!r} varies within {doctors.size:,} of {len(cases.doctors):,} doctors, the "
                f"first {cases.doctors[code[row]]!r} (at index {spell(cases.frame.index[row])}). "
                "Put it in case_mix, or average it over each doctor first."
            )
        reduced[name] = of_doctor
    caseload = cases.caseload.to_numpy()
    reduced["cases"] = Covariate(name="cases", values=caseload, levels=None)
    return reduced


def doctor_means(
    column: NDArray[np.float64],
    term: str,
    code: NDArray[np.intp],
    weights: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """Mean of a standardized column over the patients of each doctor.

    Parameters
    ----------
    column : (case,), mean 0 and standard deviation 1
    term : its name, for messages
    code : (case,), doctor
    weights : (case,), patients in each row, or None for 1 each

    Returns
    -------
    (doctor,), in standard deviations of the column

    Raises
    ------
    FormulaError
        The column does not vary within doctors, or its mean not between them.
    """
    size = np.bincount(code, weights=weights)
    share = np.ones(column.size) if weights is None else weights
    means = np.bincount(code, weights=column * share) / size
    within = column - means[code]
    if float((share * within) @ within) <= size.sum() * NEGLIGIBLE**2:
        raise FormulaError(
            f"mundlak=True adds the mean of each case-mix column over the cases of a doctor, but "
            f"{term!r} is the same for all cases of each doctor, so that its mean would repeat it. "
            "Move it from case_mix to doctor_level, or leave mundlak out."
        )
    if float(size @ means**2) <= size.sum() * NEGLIGIBLE**2:
        raise FormulaError(
            f"mundlak=True adds the mean of each case-mix column over the cases of a doctor, but "
            f"that of {term!r} is the same for every doctor. Leave mundlak out."
        )
    return means
