"""Design: the standardized covariate matrix of a model, and how to rebuild it elsewhere."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import FormulaError, did_you_mean
from outcomekpi.model.collinearity import find_collinear
from outcomekpi.model.covariates import (
    Covariate,
    check_categories,
    check_codes,
    check_roles_of,
    complete_covariates,
    match_covariates,
)
from outcomekpi.model.encoding import Encoding, check_used, encode, encode_again, made_classes
from outcomekpi.model.formulas import ParsedFormula, parse_formula
from outcomekpi.model.spec import ModelSpec
from outcomekpi.tables.cases import Cases
from outcomekpi.tables.columns import describe_row, list_values, spell
from outcomekpi.tables.roles import open_table

__all__ = [
    "Design",
    "build_design",
    "check_moments",
    "doctor_covariates",
    "doctor_means",
    "moments",
    "refuse_not_finite",
    "replay_design",
    "standardize_column",
]

CASELOAD = "cases"
"""What a doctor-level formula calls the number of patients of each doctor."""


# Scaling: mean and standard deviation of a column over patients, and what they rule out
CONSTANT = 1e-12
"""Standard deviation, as a share of the mean, that rounding leaves in a constant column."""


# Columns that belong to the doctor: doctor means of the case mix, and traits of the doctor
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


SMALLEST_SCALE = 1e-150
"""Standard deviation whose square can still be represented."""
BLOCK = 8192
"""Rows worked on at a time: they stay in the cache, and are too few for BLAS to wake threads."""


def check_moments(
    column: NDArray[Any], found: tuple[float, float], term: str, index: pd.Index
) -> None:
    """Refuse a column that is not finite, constant, or beyond the reach of arithmetic.

    Parameters
    ----------
    column : (case,)
    found : its mean and standard deviation
    term : its name
    index : labels of the rows
    """
    mean, sd = found
    if not (np.isfinite(mean) and np.isfinite(sd)) and not np.isfinite(column).all():
        refuse_not_finite(column, term, index)
    is_scaled = np.isfinite(sd) and sd > SMALLEST_SCALE
    if sd > CONSTANT * abs(mean) and is_scaled:
        return
    if column.min() == column.max() or is_scaled:
        raise FormulaError(
            f"Covariate {term!r} is constant: it is {mean:g} in all {column.size:,} rows. "
            "Leave it out of the formula."
        )
    raise FormulaError(
        f"Covariate {term!r} runs from {column.min():g} to {column.max():g}, which is out of "
        "reach of computer arithmetic. Use another unit."
    )


def moments(column: NDArray[Any], weights: NDArray[np.float64] | None) -> tuple[float, float]:
    """Weighted mean and standard deviation (n - 1) of a column, in one pass over it.

    Notes
    -----
    Values are shifted by the mean of the first block. If that lies k standard deviations from
    the mean, k^2 <= n / BLOCK, so that at most three of sixteen digits are lost in 10^7 rows.
    """
    size = float(column.size if weights is None else weights.sum())
    total = squares = 0.0
    with np.errstate(
        invalid="ignore", over="ignore"
    ):  # infinite values make the mean NaN, which is refused
        shift = float(column[:BLOCK].mean(dtype=np.float64))
        for start in range(0, column.size, BLOCK):
            rows = slice(start, start + BLOCK)
            shifted = np.subtract(column[rows], shift, dtype=np.float64)
            weighted = shifted if weights is None else weights[rows] * shifted
            total += float(weighted.sum())
            squares += float(weighted @ shifted)
    variance = (squares - total * total / size) / (size - 1.0)
    return shift + total / size, float(np.sqrt(max(variance, 0.0)))


def standardize_column(
    column: NDArray[Any], center: float, scale: float, *, out: NDArray[np.float64]
) -> None:
    """Write (column - center) / scale into ``out``."""
    for start in range(0, column.size, BLOCK):
        rows = slice(start, start + BLOCK)
        np.subtract(column[rows], center, out=out[rows], dtype=np.float64)
        out[rows] /= scale


def refuse_not_finite(column: NDArray[Any], term: str, index: pd.Index) -> None:
    """Raise a :class:`FormulaError` that says where a term is not a finite number."""
    wrong = ~np.isfinite(column)
    raise FormulaError(
        f"Term {term!r} must be a finite number for every case. {describe_row(index, wrong)}. "
        "Check what the formula does with these values: the logarithm of 0, say, or a polynomial "
        "of a constant."
    )


LARGEST_MATRIX = 8 * 2**30
"""Bytes; a larger matrix means a column with far too many categories."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Design:
    """Covariates of every case, standardized, without an intercept.

    Attributes
    ----------
    matrix : (case, term), each column centered at ``center`` and divided by ``scale``;
        Fortran order, so that a column is contiguous
    terms : (term,), names as formulaic writes them, e.g. ``"sex[T.M]"``
    center, scale : (term,), mean and standard deviation (n - 1) of each column over the patients;
        dummies are centered too
    doctor_level : (term,), True for doctor-level covariates and Mundlak means, which belong
        to the doctor and not to his patients
    recipe : how the case-mix columns were encoded, for replay; None in a fit loaded from a file
    """

    matrix: NDArray[np.float64]
    terms: tuple[str, ...]
    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    doctor_level: NDArray[np.bool_]
    recipe: Any

    def __repr__(self) -> str:
        terms = f" ({', '.join(self.terms[:6])}{', ...' if len(self.terms) > 6 else ''})"
        return (
            f"Design: {self.matrix.shape[0]:,} cases x {len(self.terms)} terms"
            f"{terms if self.terms else ''}"
        )


def build_design(cases: Cases, spec: ModelSpec) -> tuple[Design, Cases]:
    """Turn the covariates of every case into a standardized matrix, after checking them.

    Parameters
    ----------
    cases : checked cases
    spec : ``case_mix``, ``mundlak`` and ``doctor_level`` are used

    Returns
    -------
    design, cases : the cases are the ones given, or fewer where ``cases.missing`` is "drop" and
        covariates are missing; ``cases.log`` says which were excluded

    Raises
    ------
    FormulaError
        The formula or a covariate cannot be used, or covariates are missing and
        ``cases.missing`` is "error".

    Notes
    -----
    Column x becomes (x - m) / s with m = sum(w x) / W and s^2 = sum(w (x - m)^2) / (W - 1), where
    w are the patients of a row (``trials``, else 1) and W their sum: how patients are aggregated
    into rows changes nothing. docs/methods/cases.md lists the functions that a formula may use.
    """
    case_mix, doctor_level = _parse(cases, spec)
    traits = [name for name in doctor_level.columns if name != CASELOAD]
    cases, covariates = complete_covariates(cases, [*case_mix.columns, *traits])
    encoding, case_columns = _encode_case_mix(cases, case_mix, covariates)
    check_codes([covariates[name] for name in traits], cases.frame.index, doctor_level.text)
    of_doctor = doctor_covariates(cases, {name: covariates[name] for name in traits})
    check_categories(of_doctor.values(), None, "doctor", None, made_classes(doctor_level.text))
    doctors, doctor_columns = encode(doctor_level, of_doctor, n_rows=len(cases.doctors))
    n_means = len(encoding.names) if spec.mundlak else 0
    means = tuple(f"mean({name})" for name in encoding.names[:n_means])
    terms = (*encoding.names, *means, *doctors.names)
    _check_terms(terms)
    matrix, center, scale = _fill(cases, terms, case_columns, n_means, doctor_columns)
    _refuse_collinear(matrix, terms, cases.trials)
    design = Design(
        matrix=matrix,
        terms=terms,
        center=center,
        scale=scale,
        doctor_level=np.arange(len(terms)) >= len(encoding.names),
        recipe=encoding,
    )
    return design, cases


def _parse(cases: Cases, spec: ModelSpec) -> tuple[ParsedFormula, ParsedFormula]:
    columns = list(cases.frame.columns)
    case_mix = parse_formula(spec.case_mix, columns, argument="case_mix")
    doctor_level = parse_formula(spec.doctor_level, [*columns, CASELOAD], argument="doctor_level")
    is_trials = cases.roles.get("trials") == CASELOAD
    if CASELOAD in doctor_level.columns and CASELOAD in columns and not is_trials:
        raise FormulaError(
            "In doctor_level, 'cases' is the number of patients of each doctor; the table has a "
            "column of that name as well. Rename that column."
        )
    if spec.mundlak and not case_mix.columns:
        raise FormulaError(
            "mundlak=True adds the doctor means of the case-mix columns, and case_mix names none. "
            "Name case_mix, or leave mundlak out."
        )
    check_roles_of(cases.roles, case_mix.columns, "case_mix")
    check_roles_of(cases.roles, set(doctor_level.columns) - {CASELOAD}, "doctor_level")
    return case_mix, doctor_level


def _encode_case_mix(
    cases: Cases, case_mix: ParsedFormula, covariates: dict[str, Covariate]
) -> tuple[Encoding, Iterator[NDArray[Any]]]:
    used = {name: covariates[name] for name in case_mix.columns}
    check_used(used, case_mix, cases.frame.index, weights=cases.trials)
    n_rows = len(cases.frame)
    n_terms = sum(len(covariate.term_names()) for covariate in used.values())
    if n_rows * n_terms * 8 > LARGEST_MATRIX:
        most = max(used.values(), key=lambda covariate: len(covariate.levels or ()))
        raise FormulaError(
            f"case_mix={case_mix.text!r} makes {n_terms:,} terms of {n_rows:,} rows, a matrix of "
            f"{n_rows * n_terms * 8 / 1e9:.0f} GB. Covariate {most.name!r} alone has "
            f"{len(most.levels or ()):,} categories: group them."
        )
    return encode(case_mix, used, n_rows=n_rows, weights=cases.trials)


def _check_terms(terms: tuple[str, ...]) -> None:
    twice = [term for term, count in Counter(terms).items() if count > 1]
    if twice:
        raise FormulaError(
            f"Every term may come once; {list_values(twice)} came twice. A column belongs either "
            "to case_mix or to doctor_level."
        )


def _fill(
    cases: Cases,
    terms: tuple[str, ...],
    case_columns: Iterator[NDArray[Any]],
    n_means: int,
    doctor_columns: Iterator[NDArray[Any]],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Fill the matrix one column at a time, so that nothing is held twice."""
    code, weights = cases.doctor_code, cases.trials
    matrix = np.empty((len(cases.frame), len(terms)), order="F")
    center, scale = np.zeros(len(terms)), np.ones(len(terms))

    def means() -> Iterator[NDArray[np.float64]]:
        for position in range(n_means):
            mean = doctor_means(matrix[:, position], terms[position], code, weights)
            yield (center[position] + scale[position] * mean)[code]

    of_doctor = (np.asarray(column)[code] for column in doctor_columns)
    for position, column in enumerate(chain(case_columns, means(), of_doctor)):
        mean, sd = moments(column, weights)
        check_moments(column, (mean, sd), terms[position], cases.frame.index)
        standardize_column(column, mean, sd, out=matrix[:, position])
        center[position], scale[position] = mean, sd
    return matrix, center, scale


def _refuse_collinear(
    matrix: NDArray[np.float64], terms: tuple[str, ...], weights: NDArray[np.float64] | None
) -> None:
    found = find_collinear(matrix, weights)
    if found is None:
        return
    column, others = terms[found[0]], [terms[other] for other in found[1]]
    remedy = "Leave one of them out."
    if column.startswith("cr("):
        remedy = "Write cr(..., constraints='center')."
    elif column.startswith("mean("):
        remedy = "There are too few doctors for so many doctor means: leave mundlak out."
    raise FormulaError(
        f"Covariates must not determine each other exactly; {column!r} is a weighted sum of "
        f"{list_values(others)} in all {matrix.shape[0]:,} rows. {remedy}"
    )


def replay_design(design: Design, frame: Any) -> NDArray[np.float64]:
    """Rebuild the matrix on other cases with the stored encoding, centers and scales.

    Parameters
    ----------
    design : of a fit
    frame : pandas, Polars or PyArrow table with the case-mix columns

    Returns
    -------
    (case, term), standardized with the centers and scales of ``design``; doctor-level columns are
    0, their mean: they belong to the doctors that were fitted, not to these cases

    Raises
    ------
    FormulaError
        The design was loaded from a file, a column is missing or has missing values, or a
        category was not there when the model was fitted.
    """
    encoding = design.recipe
    if not isinstance(encoding, Encoding):
        raise FormulaError(
            "This design cannot be rebuilt on other cases: a fit loaded from a file keeps no "
            "recipe. Fit the model again in this session."
        )
    table, _ = open_table(frame)
    for name in encoding.formula.columns:
        if name not in table.columns:
            raise FormulaError(
                f"Covariate {name!r} is not in the table.{did_you_mean(name, table.columns)} "
                f"The columns are {list_values(table.columns, shown=15)}."
            )
    covariates = match_covariates(table, encoding.levels)
    matrix = np.zeros((len(table), len(design.terms)), order="F")
    for position, column in enumerate(encode_again(encoding, covariates, n_rows=len(table))):
        if not np.isfinite(column).all():
            refuse_not_finite(column, design.terms[position], table.index)
        center, scale = float(design.center[position]), float(design.scale[position])
        standardize_column(column, center, scale, out=matrix[:, position])
    return matrix
