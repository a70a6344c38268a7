"""Encoding: from covariates to the columns of numbers that a formula makes of them."""

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import FormulaError
from outcomekpi.model.covariates import (
    Covariate,
    check_categories,
    check_codes,
    check_identifiers,
)
from outcomekpi.model.formulas import ParsedFormula, first_line
from outcomekpi.tables.columns import label_text
from outcomekpi.tables.faults import Faults

__all__ = ["Encoding", "check_used", "encode", "encode_again", "made_classes"]

MADE_CATEGORICAL = re.compile(r"C\((?:`([^`]+)`|([^\W\d]\w*))[,)]")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Encoding:
    """How columns became terms, kept so that other cases can be encoded in the same way.

    Attributes
    ----------
    formula : the formula
    levels : column -> its categories, or None for a column of numbers
    specification : formulaic's model specification; None for a plain formula
    names : (term,), without the intercept
    """

    formula: ParsedFormula
    levels: dict[str, tuple[str, ...] | None]
    specification: Any
    names: tuple[str, ...]


def check_used(
    covariates: Mapping[str, Covariate],
    formula: ParsedFormula,
    index: pd.Index,
    *,
    weights: NDArray[np.float64] | None = None,
) -> None:
    """Refuse covariates of cases that a formula cannot use, all of them at once.

    Parameters
    ----------
    covariates : column -> covariate
    formula : that names them
    index : labels of the rows, for messages
    weights : (row,), patients of each row; None where each is one, which identifiers tell apart

    Raises
    ------
    FormulaError
        As :func:`check_categories`, :func:`check_codes` and :func:`check_identifiers`.
    """
    used = [covariates[name] for name in formula.columns]
    faults = Faults()
    classes = made_classes(formula.text)
    faults.attempt(check_categories, used, weights, "case", index, classes)
    faults.attempt(check_codes, used, index, formula.text)
    if weights is None:
        faults.attempt(check_identifiers, [covariates[name] for name in formula.bare], index)
    faults.raise_all()


def made_classes(formula: str) -> set[str]:
    """Columns that a formula says are categories: those in ``C(...)``."""
    return {quoted or bare for quoted, bare in MADE_CATEGORICAL.findall(formula)}


def encode(
    formula: ParsedFormula,
    covariates: dict[str, Covariate],
    *,
    n_rows: int,
    weights: NDArray[np.float64] | None = None,
) -> tuple[Encoding, Iterator[NDArray[Any]]]:
    """Turn covariates into terms: one column of numbers each, without the intercept.

    Parameters
    ----------
    formula : as parsed
    covariates : column name -> values, complete
    n_rows : number of rows
    weights : (row,), patients in each row; what a formula learns from the data (knots, means)
        is learned from patients, so that it does not matter how they are aggregated

    Returns
    -------
    encoding, columns : the columns come one at a time and in order

    Raises
    ------
    FormulaError
        The formula cannot be evaluated.
    """
    used = {name: covariates[name] for name in formula.columns}
    levels = {name: covariate.levels for name, covariate in used.items()}
    if formula.is_plain:
        names = tuple(name for covariate in used.values() for name in covariate.term_names())
        encoding = Encoding(formula=formula, levels=levels, specification=None, names=names)
        return encoding, (c for covariate in used.values() for c in covariate.term_columns())
    matrix = _evaluate(formula, _frame_of(formula, used, n_rows), weights)
    specification = matrix.model_spec
    _check_encoded(formula, specification, used, weights)
    names = tuple(str(matrix.columns[position]) for position in _positions(specification))
    encoding = Encoding(formula=formula, levels=levels, specification=specification, names=names)
    return encoding, _columns_of(matrix, specification)


def encode_again(
    encoding: Encoding, covariates: dict[str, Covariate], *, n_rows: int
) -> Iterator[NDArray[Any]]:
    """Encode other cases as the first ones were; yields the same terms in the same order."""
    if encoding.specification is None:
        return (
            column
            for name in encoding.formula.columns
            for column in covariates[name].term_columns()
        )
    data = _frame_of(encoding.formula, covariates, n_rows)
    matrix = _run(encoding.formula, lambda: encoding.specification.get_model_matrix(data))
    return _columns_of(matrix, encoding.specification)


def _evaluate(
    formula: ParsedFormula, data: pd.DataFrame, weights: NDArray[np.float64] | None
) -> Any:
    from formulaic import Formula

    parsed = Formula(formula.text)

    def materialize(rows: pd.DataFrame) -> Any:
        return parsed.get_model_matrix(rows, na_action="ignore", output="pandas")

    matrix = _run(formula, lambda: materialize(data))
    if weights is None or not matrix.model_spec.transform_state:
        return matrix
    patients = np.repeat(np.arange(len(data)), weights.astype(np.intp))
    specification = _run(
        formula, lambda: materialize(data.iloc[patients].reset_index(drop=True))
    ).model_spec
    return _run(formula, lambda: specification.get_model_matrix(data))


def _check_encoded(
    formula: ParsedFormula,
    specification: Any,
    covariates: dict[str, Covariate],
    weights: NDArray[np.float64] | None,
) -> None:
    """Refuse terms without a column, and categories of one case that the formula made."""
    for term, place in specification.term_slices.items():
        if place.start == place.stop:
            raise FormulaError(
                f"{formula.argument}={formula.text!r}: the term {str(term)!r} is constant, all "
                "rows are of the same category. Leave it out of the formula."
            )
    for factor in specification.factor_contrasts:
        made = MADE_CATEGORICAL.match(str(factor))
        covariate = covariates.get((made[1] or made[2]) if made else "")
        if covariate is not None and covariate.levels is None:
            code, values = pd.factorize(covariate.values)
            levels = tuple(label_text(value) for value in values)
            categories = Covariate(name=str(factor), values=code, levels=levels)
            check_categories([categories], weights, "case")


def _run(formula: ParsedFormula, step: Any) -> Any:
    """Evaluate a formula; whatever goes wrong in its Python becomes one FormulaError."""
    from formulaic.errors import DataMismatchWarning

    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("error", DataMismatchWarning)
            return step()
    except DataMismatchWarning as error:
        seen = re.search(r"\{(.*)\}", str(error))
        unknown = re.sub(r"np\.\w+\((.*?)\)", r"\1", seen[1]) if seen else first_line(error)
        raise FormulaError(
            f"{formula.argument}={formula.text!r} meets categories that were not there when the "
            f"model was fitted: {unknown}. Leave out these cases, or fit the model with them."
        ) from error
    except Exception as error:  # arithmetic of a formula can go wrong in many ways
        reason = first_line(error)
        if "extend beyond upper and/or lower bounds" in str(error):
            reason = (
                "a spline meets values outside the range that the model was fitted on. Write "
                "bs(..., extrapolation='clip') when fitting, or leave out these cases."
            )
        raise FormulaError(
            f"{formula.argument}={formula.text!r} cannot be evaluated: {reason}"
        ) from error


def _frame_of(
    formula: ParsedFormula, covariates: dict[str, Covariate], n_rows: int
) -> pd.DataFrame:
    """Columns as formulaic wants them: whole numbers as decimals, so that powers cannot wrap."""
    categorical = made_classes(formula.text)
    columns = {
        name: covariate.as_column(as_decimal=name not in categorical)
        for name, covariate in covariates.items()
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(n_rows))


def _positions(specification: Any) -> list[int]:
    """Positions of the columns other than the intercept."""
    places = {str(term): place for term, place in specification.term_slices.items()}
    intercept = range(len(specification.column_names))[places["1"]]
    return [p for p in range(len(specification.column_names)) if p not in intercept]


def _columns_of(matrix: pd.DataFrame, specification: Any) -> Iterator[NDArray[Any]]:
    for position in _positions(specification):
        yield matrix.iloc[:, position].to_numpy()
