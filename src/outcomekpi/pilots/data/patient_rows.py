"""Patients before and after, checked: outcome, period, clusters, case mix."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError, FormulaError
from outcomekpi.model.covariates import (
    Covariate,
    check_roles_of,
    read_covariates,
)
from outcomekpi.model.encoding import check_used, encode
from outcomekpi.model.formulas import parse_formula
from outcomekpi.pilots.data.patient_columns import PatientColumns, read_after
from outcomekpi.pilots.data.series import PERCENT
from outcomekpi.tables.columns import describe_row, read_numbers, spell
from outcomekpi.tables.events import read_events
from outcomekpi.tables.faults import Faults
from outcomekpi.tables.labels import Labels, compact_labels
from outcomekpi.tables.missing_codes import warn_of_code
from outcomekpi.tables.schema import Role, name_columns, read_schema

__all__ = ["PatientRows", "read_patients"]

Floats = NDArray[np.float64]
UNITS = tuple(
    Role(
        name=name,
        is_label=True,
        wanted=f"name the {name} of each row",
        remedy="Complete or remove these rows, or leave the column out.",
    )
    for name in ("doctor", "hospital", "patient")
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PatientRows:
    """One row for each patient and period.

    Attributes
    ----------
    outcome : (row,), 0 and 1 or a measurement; nan where it is missing
    after : (row,), whether the row is with the program
    matrix : (row, term), intercept and case mix, columns standardized
    terms : (term,), names
    labels : role -> labels of each row, for doctor, hospital and patient where they were named
    periods : what lies before and after, in words
    place : (row,), number of each row in the table
    """

    outcome: Floats
    after: NDArray[np.bool_]
    matrix: Floats
    terms: tuple[str, ...]
    labels: dict[str, Labels]
    periods: tuple[str, str]
    place: NDArray[np.intp]

    @property
    def known(self) -> NDArray[np.bool_]:
        """(row,), where the outcome is known."""
        return np.isfinite(self.outcome)

    @property
    def stays(self) -> NDArray[np.bool_]:
        """(row,), rows of patients who are in both periods; False without a patient column."""
        patient = self.labels.get("patient")
        if patient is None:
            return np.zeros(self.outcome.size, dtype=np.bool_)
        sides = np.zeros((len(patient.names), 2), dtype=np.bool_)
        sides[patient.code, self.after.astype(np.intp)] = True
        return np.asarray(sides.all(axis=1)[patient.code])

    def take(self, keep: NDArray[np.bool_]) -> "PatientRows":
        """Return some of the rows, with the labels that are left."""
        rows = np.flatnonzero(keep)
        labels = {
            role: compact_labels(Labels(names=one.names, code=one.code[rows]))[0]
            for role, one in self.labels.items()
        }
        return replace(
            self,
            outcome=self.outcome[rows],
            after=self.after[rows],
            matrix=self.matrix[rows],
            labels=labels,
            place=self.place[rows],
        )


def read_patients(data: object, columns: PatientColumns) -> tuple[pd.DataFrame, PatientRows]:
    """Read and check a table of patients.

    Returns
    -------
    table, rows : the table itself, with rows numbered from 0, and what was read from it

    Raises
    ------
    CasesError
        The data are no table of patients before and after; says what was found and what to do.
    FormulaError
        The case mix cannot be used.
    """
    if not isinstance(data, pd.DataFrame):
        raise CasesError(
            "Before and after on patients needs a table with one row for each patient and period; "
            f"got {type(data).__name__}. Published figures belong to PublishedAggregates."
        )
    name_columns(data, columns.named())
    table = data.reset_index(drop=True)
    faults = Faults()
    sides = faults.attempt(read_after, data, columns)
    outcome = faults.attempt(_read_outcome, data, columns)
    labels = read_schema(data, columns.named(), UNITS, faults)
    case_mix = faults.attempt(_read_case_mix, data, columns)
    if sides is not None and labels.get("patient") is not None:
        faults.attempt(_check_repeated, data, columns, labels["patient"], sides[0])
    faults.raise_all()
    (after, periods), (matrix, terms) = sides, case_mix
    rows = PatientRows(
        outcome=outcome,
        after=after,
        matrix=matrix,
        terms=terms,
        labels=labels,
        periods=periods,
        place=np.arange(len(data)),
    )
    _check_sides(rows, columns)
    return table, rows


def _read_outcome(data: pd.DataFrame, columns: PatientColumns) -> Floats:
    column = data[columns.outcome]
    if columns.event is not None:
        return read_events(column, columns.event, names_others=False)[0]
    values = read_numbers(column, "outcome")
    wrong = np.isinf(values)
    wanted = "hold finite numbers"
    remedy = "Correct these rows."
    if columns.family == "bernoulli":
        wrong = np.isfinite(values) & (values != 0) & (values != 1) | wrong
        wanted = "hold only 0 and 1"
        remedy = "Pass event= to say which value counts, or family='gaussian' for a measurement."
    elif columns.unit is not None and columns.unit.lower() in PERCENT:
        wrong = wrong | (values < 0) | (values > 100)
        wanted = "hold percentages from 0 to 100"
    if wrong.any():
        raise CasesError(
            f"Outcome column {columns.outcome!r} must {wanted}. "
            f"{describe_row(data.index, wrong)} ({values[wrong.argmax()]:g}). {remedy}"
        )
    if columns.family == "gaussian":
        warn_of_code(columns.outcome, values, data.index)
    return values


def _check_repeated(
    data: pd.DataFrame,
    columns: PatientColumns,
    patients: Labels,
    after: NDArray[np.bool_],
) -> None:
    """Refuse a patient twice in one period: which row counts is not ours to guess."""
    again = pd.Series(patients.code * 2 + after).duplicated().to_numpy()
    if again.any():
        first = int(again.argmax())
        repeat = "repeats" if again.sum() == 1 else "repeat"
        patient = patients.names[patients.code[first]]
        raise CasesError(
            f"Each patient ({columns.patient!r}) may come once before and once after. "
            f"{int(again.sum()):,} of {again.size:,} rows {repeat} an earlier one, the "
            f"first at index {spell(data.index[first])} (patient {patient!r}). Keep one row for "
            "each, such as the last reading of the period, or leave patient out if rows are "
            "separate episodes."
        )


def _read_case_mix(data: pd.DataFrame, columns: PatientColumns) -> tuple[Floats, tuple[str, ...]]:
    formula = parse_formula(columns.case_mix, list(data.columns), argument="case_mix")
    used = {role: name for role, name in columns.named().items() if role in ("outcome", "patient")}
    check_roles_of(used, formula.columns, "case_mix")
    if columns.period in formula.columns:
        raise FormulaError(
            f"case_mix must not adjust for {columns.period!r}, the period column: the change "
            "between the periods is what is asked. Leave it out of the formula."
        )
    covariates = read_covariates(data, formula.columns)
    faults = Faults()
    for covariate in covariates.values():
        faults.attempt(_check_complete, covariate, data.index)
    faults.raise_all()
    check_used(covariates, formula, data.index)
    encoding, made = encode(formula, covariates, n_rows=len(data))
    matrix = np.ones((len(data), len(encoding.names) + 1))
    for place, column in enumerate(made, start=1):
        values = np.asarray(column, dtype=np.float64)
        spread = float(values.std())
        matrix[:, place] = (values - values.mean()) / (spread if spread > 0 else 1.0)
    return matrix, ("Intercept", *encoding.names)


def _check_complete(covariate: Covariate, index: pd.Index) -> None:
    if covariate.levels is None and covariate.values.dtype.kind != "f":
        return
    gap = covariate.is_missing()
    if gap.any():
        raise FormulaError(
            f"Covariate {covariate.name!r} must have a value in each row. "
            f"{describe_row(index, gap)}. Complete it, leave these rows out, or leave the "
            "covariate out of the formula."
        )


def _check_sides(rows: PatientRows, columns: PatientColumns) -> None:
    for side, name, mask in (
        ("before", rows.periods[0], ~rows.after),
        ("after", rows.periods[1], rows.after),
    ):
        number = int((mask & rows.known).sum())
        if number < 2:
            raise CasesError(
                f"Both periods need at least 2 known outcomes; {side} the start ({name}) there "
                f"{'is' if number == 1 else 'are'} {number:,} of {int(mask.sum()):,} rows. "
                f"Look at column {columns.outcome!r}."
            )
    known = rows.outcome[rows.known]
    if np.ptp(known) == 0:
        raise CasesError(
            f"Outcome column {columns.outcome!r} holds {known[0]:g} in every row before and after: "
            "there is nothing to compare. Look whether the right column was named."
        )
