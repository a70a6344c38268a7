"""Faults of a table, gathered while it is read, so that all of them are told at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError, FormulaError
from outcomekpi.tables.sentences import describe_row

__all__ = [
    "Fault",
    "Faults",
    "FormulaFaults",
    "TableFaults",
    "fault_error",
    "faults_of",
    "refuse_rows",
]

SHOWN = 20
"""Faults that one message tells; a table with more has one cause for most of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something in a table that keeps it from being used.

    Attributes
    ----------
    code : what kind of fault it is, in a word or two: "missing-column", "empty-cell"
    column : the column concerned, or None where it is the table
    first_row : index of the first row concerned, or None where it is no row
    count : rows, labels or columns concerned
    text : what was wanted, what was found, how many, where first, and what to do
    """

    code: str
    column: str | None = None
    first_row: object = None
    count: int = 1
    text: str


def fault_error(
    code: str, text: str, *, column: object = None, first_row: object = None, count: int = 1
) -> CasesError:
    """Build the error of one fault; its ``fault`` is the record."""
    name = None if column is None else str(column)
    error = CasesError(text)
    error.fault = Fault(code=code, column=name, first_row=first_row, count=count, text=text)
    return error


def faults_of(error: CasesError | FormulaError) -> tuple[Fault, ...]:
    """Return the records of an error, whether it tells one fault or several."""
    if isinstance(error, TableFaults):
        return error.records
    if isinstance(error, FormulaError):
        return (Fault(code="covariate", text=str(error)),)
    return (error.fault or Fault(code="unusable", text=str(error)),)


def refuse_rows(
    wrong: NDArray[np.bool_],
    index: pd.Index,
    *,
    column: str,
    role: str,
    wanted: str,
    found: NDArray[np.float64] | Callable[[int], str] | None = None,
    remedy: str = "Correct the table.",
    code: str = "wrong-value",
) -> None:
    """Refuse the rows of a column that are wrong, if there are any.

    Parameters
    ----------
    wrong, index : (row,), where the column is wrong, and the labels of the rows
    column, role : name of the column and what it is
    wanted : what it must do: "hold finite numbers"
    found : (row,) values, or a function of the row's position, to say what the first wrong one is
    remedy, code : what to do, and the kind of fault

    Raises
    ------
    CasesError
        At least one row is wrong; says how many and which is the first.
    """
    if not wrong.any():
        return
    place = int(wrong.argmax())
    said = ""
    if found is not None:
        said = f" ({found[place]:g})" if isinstance(found, np.ndarray) else f" ({found(place)})"
    raise fault_error(
        code,
        f"Column {column!r} ({role}) must {wanted}. {describe_row(index, wrong)}{said}. {remedy}",
        column=column,
        first_row=index[place],
        count=int(wrong.sum()),
    )


class TableFaults(CasesError):
    """A table with several faults; ``records`` holds each, ``faults`` their messages."""

    def __init__(self, records: tuple[Fault, ...]) -> None:
        """Write the faults under each other, with numbers."""
        self.records = records
        self.faults = faults = tuple(record.text for record in records)
        listed = [f"{number}. {text}" for number, text in enumerate(faults[:SHOWN], start=1)]
        more = [f"... and {len(faults) - SHOWN:,} more."] if len(faults) > SHOWN else []
        super().__init__("\n".join([f"The table has {len(faults):,} faults.", *listed, *more]))

    def __reduce__(self) -> tuple[type["TableFaults"], tuple[tuple[Fault, ...]]]:
        """Rebuild from the faults, as processes do that hand errors on."""
        return type(self), (self.records,)


class FormulaFaults(TableFaults, FormulaError):
    """A table with several faults, some of them of covariates."""


class Faults:
    """Runs checks one after another and keeps what they refuse.

    Examples
    --------
    >>> def count(cell):
    ...     if not cell.isdigit():
    ...         raise CasesError(f"wanted a count, found {cell!r}")
    ...     return int(cell)
    >>> faults = Faults()
    >>> [faults.attempt(count, cell) for cell in ("7", "?", "-")]
    [7, None, None]
    >>> len(faults)
    2
    """

    def __init__(self) -> None:
        self._found: list[CasesError | FormulaError] = []

    def __len__(self) -> int:
        """Return how many faults were found so far."""
        return len(self._found)

    def attempt[**P, R](self, check: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | Any:
        """Return what the check gives, or None and keep its message where it refuses."""
        try:
            return check(*args, **kwargs)
        except (CasesError, FormulaError) as error:
            self._found.append(error)
            return None

    def raise_all(self) -> None:
        """Raise what was found: one error as it is, several as one.

        Raises
        ------
        CasesError, FormulaError
            At least one check refused the table.
        """
        if len(self._found) == 1:
            raise self._found[0]
        if self._found:
            records = [record for error in self._found for record in faults_of(error)]
            of_formula = any(isinstance(error, FormulaError) for error in self._found)
            kind = FormulaFaults if of_formula else TableFaults
            raise kind(tuple({record.text: record for record in records}.values()))
