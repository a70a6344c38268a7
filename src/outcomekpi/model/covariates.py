"""Covariates: columns read as numbers or categories, complete, finite and worth adjusting for."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError, FormulaError
from outcomekpi.tables.cases import Cases, keep_cases
from outcomekpi.tables.columns import (
    count_of,
    describe_row,
    holds_numbers,
    holds_text,
    list_values,
    spell,
    to_floats,
)
from outcomekpi.tables.faults import Faults
from outcomekpi.tables.labels import read_labels
from outcomekpi.tables.missing_codes import describe_code
from outcomekpi.tables.spoilt_numbers import describe_spoilt

__all__ = [
    "Covariate",
    "check_categories",
    "check_codes",
    "check_identifiers",
    "check_roles_of",
    "complete_covariates",
    "match_covariates",
    "read_covariates",
]

PEEK = 1000
"""Rows in which a column is first looked through for repeated values."""
FEWEST_ROWS_OF_AN_IDENTIFIER = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Covariate:
    """A column of numbers, or of categories.

    Attributes
    ----------
    name : column name
    values : (case,), the numbers in their own type; or the code of each case's category, -1
        where it is missing
    levels : categories as text; None for numbers
    is_declared : whether the table itself says that it holds categories
    """

    name: str
    values: NDArray[Any]
    levels: tuple[str, ...] | None
    is_declared: bool = False

    def is_missing(self) -> NDArray[np.bool_]:
        """(case,), where there is no value."""
        if self.levels is not None:
            return self.values < 0
        return np.isnan(self.values)

    def term_names(self) -> tuple[str, ...]:
        """Name of each term: the column, or one per category but the first."""
        if self.levels is None:
            return (self.name,)
        return tuple(f"{self.name}[T.{level}]" for level in self.levels[1:])

    def term_columns(self) -> Iterator[NDArray[Any]]:
        """Numbers, or an indicator (case,) for each category but the first."""
        if self.levels is None:
            yield self.values
            return
        for code in range(1, len(self.levels)):
            yield self.values == code

    def as_column(self, *, as_decimal: bool) -> Any:
        """Column as formulaic wants it, without unused categories.

        ``as_decimal`` turns whole numbers into decimal ones, whose powers do not wrap around.
        """
        if self.levels is not None:
            return pd.Categorical.from_codes(self.values, categories=pd.Index(self.levels))
        if as_decimal and self.values.dtype.kind in "iuf":
            return self.values.astype(np.float64, copy=False)
        return self.values

    def take(self, rows: NDArray[np.intp]) -> "Covariate":
        """Return the covariate of some rows."""
        return Covariate(name=self.name, values=self.values[rows], levels=self.levels)


def check_roles_of(roles: Mapping[str, str], columns: Iterable[str], argument: str) -> None:
    """Refuse columns that already play a part in the model."""
    reasons = {
        "outcome": "it is what the model explains",
        "doctor": "every doctor has an effect in the model already",
        "hospital": "every hospital has an effect in the model already",
        "patient": "it tells patients apart, not their risk",
        "trials": "it counts the patients of a row, not their risk",
        "offset": "it enters with slope 1 already, and would have two slopes",
    }
    for role, reason in reasons.items():
        if roles.get(role) in set(columns):
            raise FormulaError(
                f"{argument} must not adjust for {roles[role]!r}, the {role} column: {reason}. "
                "Leave it out of the formula."
            )


def read_covariates(frame: pd.DataFrame, columns: Iterable[str]) -> dict[str, Covariate]:
    """Read columns as numbers or categories.

    Raises
    ------
    FormulaError
        A column holds neither (dates, lists), or infinite values.
    """
    faults = Faults()
    read = {name: faults.attempt(_read_covariate, frame[name], name) for name in columns}
    faults.raise_all()
    return read


def _read_covariate(column: pd.Series, name: str) -> Covariate:
    if holds_numbers(column):
        dtype = column.dtype
        is_numpy = isinstance(dtype, np.dtype) and not pd.api.types.is_object_dtype(dtype)
        values = column.to_numpy() if is_numpy else to_floats(column)
        if values.dtype.kind == "f" and not np.isfinite(values.sum()):
            _refuse_infinite(column, np.isinf(values), name)
        return Covariate(name=name, values=values, levels=None)
    if not holds_text(column):
        raise FormulaError(
            f"Covariate {name!r} must hold numbers or categories; its type is {column.dtype}. "
            "Turn it into a number, such as days since a date, or into text."
        )
    try:
        labels = read_labels(column, "covariate")
    except CasesError as error:
        raise FormulaError(str(error)) from error
    names, code = labels.names, labels.code
    if isinstance(column.dtype, pd.CategoricalDtype):
        given = [str(level) for level in column.cat.categories]
        known = set(given)
        order = [n for n in given if n in set(names)] if known >= set(names) else names
        place = {level: position for position, level in enumerate(order)}
        lookup = np.fromiter((place[level] for level in names), np.intp, count=len(names))
        names, code = order, np.where(code < 0, -1, lookup[code])
    declared = isinstance(column.dtype, pd.CategoricalDtype)
    return Covariate(name=name, values=code, levels=tuple(names), is_declared=declared)


def _refuse_infinite(column: pd.Series, wrong: NDArray[np.bool_], name: str) -> None:
    if wrong.any():
        raise FormulaError(
            f"Covariate {name!r} must hold finite numbers. {describe_row(column.index, wrong)}. "
            "Correct these values, or make them missing."
        )


def complete_covariates(cases: Cases, columns: Iterable[str]) -> tuple[Cases, dict[str, Covariate]]:
    """Read covariates, and refuse or exclude the cases without a value, as ``cases`` say.

    Raises
    ------
    FormulaError
        Values are missing and ``cases.missing`` is "error".
    """
    columns = list(dict.fromkeys(columns))
    covariates = read_covariates(cases.frame, columns)
    gaps = {
        name: covariate.is_missing()
        for name, covariate in covariates.items()
        if covariate.levels is not None or covariate.values.dtype.kind == "f"
    }
    counts = {name: int(gap.sum()) for name, gap in gaps.items() if gap.any()}
    if not counts:
        return cases, covariates
    rows = np.logical_or.reduce([gaps[name] for name in counts])
    listed = ", ".join(f"{count:,} in {name!r}" for name, count in counts.items())
    if cases.missing == "error":
        raise FormulaError(
            f"Every case needs a value of every covariate. {int(rows.sum()):,} of {rows.size:,} "
            f"rows have missing or blank ones: {listed}; the first at index "
            f"{spell(cases.frame.index[int(rows.argmax())])}. Complete them, leave the covariate "
            "out, or pass missing='drop' to Cases.from_frame to exclude these rows."
        )
    sentence = (
        f"Excluded {int(rows.sum()):,} of {rows.size:,} rows with missing or blank covariates: "
        f"{listed}."
    )
    cases = keep_cases(cases, ~rows, because=sentence)
    return cases, read_covariates(cases.frame, columns)


def match_covariates(
    frame: pd.DataFrame, levels: Mapping[str, tuple[str, ...] | None]
) -> dict[str, Covariate]:
    """Read the covariates of other cases with the categories of the cases that were fitted.

    Raises
    ------
    FormulaError
        A column changed its kind, misses values, or holds a category that was not there.
    """
    matched = {}
    for name, covariate in read_covariates(frame, levels).items():
        known = levels[name]
        if covariate.levels is None and known is not None:
            labels = read_labels(frame[name], "covariate")
            covariate = Covariate(name=name, values=labels.code, levels=tuple(labels.names))
        if known is None and covariate.levels is not None:
            raise FormulaError(
                f"Covariate {name!r} held numbers when the model was fitted; here it holds text, "
                f"such as {covariate.levels[0]!r}."
            )
        if known is None and covariate.values.dtype.kind != "f":
            gap = np.zeros(1, dtype=bool)
        else:
            gap = covariate.is_missing()
        if gap.any():
            raise FormulaError(
                f"Covariate {name!r} must have a value for every case. "
                f"{describe_row(frame.index, gap)}. Complete or leave out these cases."
            )
        matched[name] = covariate if known is None else _recode(covariate, known)
    return matched


def _recode(covariate: Covariate, known: tuple[str, ...]) -> Covariate:
    here = covariate.levels or ()
    unseen = [level for level in here if level not in known]
    if unseen:
        raise FormulaError(
            f"Covariate {covariate.name!r} has {len(unseen):,} category(ies) that were not there "
            f"when the model was fitted: {list_values(unseen)}. Known are {list_values(known)}. "
            "Leave out these cases, or fit the model with them."
        )
    lookup = np.array([known.index(level) for level in here], dtype=np.intp)
    return Covariate(name=covariate.name, values=lookup[covariate.values], levels=known)


def check_categories(
    covariates: Iterable[Covariate],
    weights: NDArray[np.float64] | None,
    unit: str,
    index: pd.Index | None = None,
    classes: Collection[str] = (),
) -> None:
    """Refuse categories that nothing can be learned from.

    Parameters
    ----------
    weights : (row,), units in each row; None for one each
    unit : what a row stands for, "case" or "doctor"
    index : labels of the rows, to say where an odd cell is
    classes : columns that the formula says are categories, though they may look like numbers

    Raises
    ------
    FormulaError
        Numbers spoilt by text, one category only, a category of its own for every row, or a
        category of one unit.
    """
    faults = Faults()
    for covariate in covariates:
        if covariate.levels is not None:
            is_named = covariate.is_declared or covariate.name in classes
            faults.attempt(
                _check_levels, covariate, covariate.levels, weights, unit, index, is_named=is_named
            )
    faults.raise_all()


def _check_levels(
    covariate: Covariate,
    levels: tuple[str, ...],
    weights: NDArray[np.float64] | None,
    unit: str,
    index: pd.Index | None,
    *,
    is_named: bool,
) -> None:
    if len(levels) == 1:
        raise FormulaError(
            f"Covariate {covariate.name!r} is constant: every {unit} is {levels[0]!r}. "
            "Leave it out of the formula."
        )
    spoilt = None if is_named else describe_spoilt(covariate.name, covariate.values, levels, index)
    if spoilt is not None:
        raise FormulaError(spoilt)
    n_rows = covariate.values.size
    sizes = np.bincount(covariate.values, weights=weights, minlength=len(levels))
    alone = [level for level, size in zip(levels, sizes, strict=True) if size < 2]
    if len(levels) == n_rows:
        raise FormulaError(
            f"Covariate {covariate.name!r} has {n_rows:,} different texts in {n_rows:,} rows, "
            "one of its own for each. Is it an identifier? Leave it out of the formula."
        )
    if alone:
        raise FormulaError(
            f"Covariate {covariate.name!r} has {len(alone):,} of {len(levels):,} categories "
            f"with one {unit} only: {list_values(alone)}. Nothing can be learned from one "
            f"{unit}: merge them with another category, or exclude them."
        )


def check_identifiers(covariates: Iterable[Covariate], index: pd.Index) -> None:
    """Refuse whole numbers that are different in every row, as identifiers are.

    Raises
    ------
    FormulaError
        Names the column, and how to use it if it is a measurement after all.
    """
    if len(index) < FEWEST_ROWS_OF_AN_IDENTIFIER:
        return
    faults = Faults()
    for covariate in covariates:
        if covariate.levels is None and covariate.values.dtype.kind in "iu":
            faults.attempt(_check_repeats, covariate)
    faults.raise_all()


def _check_repeats(covariate: Covariate) -> None:
    values = covariate.values
    peek = values[:PEEK]
    if np.unique(peek).size == peek.size and pd.Index(values).is_unique:
        raise FormulaError(
            f"Covariate {covariate.name!r} holds a different whole number in each of "
            f"{count_of(values.size, 'row')}. Is it an identifier? Leave it out; if it is a "
            f"measurement, say so by writing I(1.0 * {_quote(covariate.name)})."
        )


def check_codes(covariates: Iterable[Covariate], index: pd.Index, formula: str) -> None:
    """Refuse numbers that stand for missing ones beside ordinary numbers.

    Parameters
    ----------
    covariates : as read
    index : labels of the rows
    formula : a column that stands in it as ``1.0 * column`` is taken as it is

    Raises
    ------
    FormulaError
        Names the column, the code and its rows, and how to use it if it is a measurement.
    """
    faults = Faults()
    for covariate in covariates:
        name = re.escape(covariate.name)
        if covariate.levels is None and not re.search(rf"1\.0\s*\*\s*`?{name}\b", formula):
            faults.attempt(_check_code, covariate, index)
    faults.raise_all()


def _check_code(covariate: Covariate, index: pd.Index) -> None:
    found = describe_code(covariate.name, covariate.values, index)
    if found is not None:
        raise FormulaError(
            f"Covariate {found} Then make those cells missing; if it was measured, say so by "
            f"writing I(1.0 * {_quote(covariate.name)})."
        )


def _quote(name: str) -> str:
    return name if name.isidentifier() else f"`{name}`"
