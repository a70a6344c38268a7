"""One column at a time: what it holds, numbers read from any kind of it, and how to say so."""

from collections.abc import Hashable, Iterable
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError
from outcomekpi.tables.faults import fault_error
from outcomekpi.tables.number_text import describe_two_readings
from outcomekpi.tables.sentences import count_of, describe_row, list_values, spell

__all__ = [
    "count_of",
    "describe_row",
    "holds_numbers",
    "holds_text",
    "label_text",
    "list_values",
    "read_numbers",
    "spell",
    "to_floats",
]

LARGEST_NUMBER = 1e15
"""Of outcomes, trials and exposures: above it, decimal numbers no longer tell n from n + 1."""


def label_text(value: object) -> str:
    """Write an identifier as text: 7 and 7.0 become ``"7"``, text stays as it is.

    Examples
    --------
    >>> [label_text(value) for value in (7, 7.0, "007", True)]
    ['7', '7', '007', 'True']
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, float | np.floating | Decimal) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, date) and hasattr(value, "hour"):
        text = str(value)
        return text.removesuffix(" 00:00:00")
    return str(value)


def holds_text(column: pd.Series) -> bool:
    """Tell whether a column holds text or categories, and no numbers."""
    if isinstance(column.dtype, pd.CategoricalDtype) or _is_arrow_dictionary(column):
        return True
    if not pd.api.types.is_object_dtype(column.dtype):
        return bool(pd.api.types.is_string_dtype(column.dtype))
    return pd.api.types.infer_dtype(column, skipna=True) in ("string", "mixed", "mixed-integer")


def holds_numbers(column: pd.Series) -> bool:
    """Tell whether a column holds numbers or booleans."""
    dtype = column.dtype
    if not pd.api.types.is_object_dtype(dtype):
        is_number = pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype)
        return bool(is_number) and not pd.api.types.is_complex_dtype(dtype)
    kinds = ("boolean", "integer", "floating", "mixed-integer-float", "decimal", "empty")
    return pd.api.types.infer_dtype(column, skipna=True) in kinds


def _is_arrow_dictionary(column: pd.Series) -> bool:
    if not isinstance(column.dtype, pd.ArrowDtype):
        return False
    import pyarrow as pa

    return bool(pa.types.is_dictionary(column.dtype.pyarrow_dtype))


def to_floats(column: pd.Series) -> NDArray[np.float64]:
    """Convert a column of numbers or booleans, missing values to NaN."""
    if pd.api.types.is_object_dtype(column.dtype):
        column = pd.to_numeric(column.where(column.notna(), np.nan))
        return np.asarray(column.to_numpy(), dtype=np.float64)
    if isinstance(column.dtype, np.dtype):
        return np.asarray(column.to_numpy(), dtype=np.float64)
    return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))


def read_numbers(column: pd.Series, role: str) -> NDArray[np.float64]:
    """Read a column as numbers, missing values to NaN.

    Raises
    ------
    CasesError
        The column holds something else, or a number beyond 1e15; names the first such cell.
    """
    if holds_numbers(column):
        return _check_size(to_floats(column), column, role)
    if holds_text(column):
        column = column.astype(object)
        code, texts = _different(column, role)
        signed = any(sign in text for text in texts if isinstance(text, str) for sign in ",.")
        doubt = describe_two_readings(column, column.index) if signed and _all_text(texts) else None
        if doubt is not None:
            said = f"Column {column.name!r} ({role}) must hold numbers. {doubt}"
            raise fault_error("two-readings", said, column=column.name)
        numbers = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").to_numpy()
        values = np.append(np.asarray(numbers, dtype=np.float64), np.nan)[code]
        wrong = np.append(pd.isna(numbers), False)[code]
        if not wrong.any():
            return _check_size(values, column, role)
        raise fault_error(
            "no-number",
            f"Column {column.name!r} ({role}) must hold numbers. "
            f"{describe_row(column.index, wrong)}, which holds "
            f"{column.to_numpy()[wrong.argmax()]!r}. Correct the table"
            + (", or pass event=... to say which value is the event." if role == "outcome" else ".")
            + " What stands for a missing value is declared a missing mark when the file is read.",
            column=column.name,
            first_row=column.index[int(wrong.argmax())],
            count=int(wrong.sum()),
        )
    raise CasesError(
        f"Column {column.name!r} ({role}) must hold numbers; its type is {column.dtype}. "
        "Convert it to numbers."
    )


def _different(column: pd.Series, role: str) -> tuple[NDArray[np.intp], pd.Index]:
    """Return the code of each cell, -1 where it is missing, and the different cells."""
    try:
        code, cells = pd.factorize(column)
    except TypeError as error:
        first = next(cell for cell in column if not isinstance(cell, Hashable))
        raise fault_error(
            "no-number",
            f"Column {column.name!r} ({role}) must hold numbers; its cells hold "
            f"{type(first).__name__} objects. Turn them into numbers.",
            column=column.name,
        ) from error
    return code, pd.Index(cells, dtype=object)


def _all_text(cells: Iterable[object]) -> bool:
    return all(isinstance(cell, str) for cell in cells)


def _check_size(values: NDArray[np.float64], column: pd.Series, role: str) -> NDArray[np.float64]:
    """Refuse numbers whose sums and squares nobody can add up; infinite ones are told elsewhere."""
    with np.errstate(invalid="ignore"):
        wrong = (np.abs(values) > LARGEST_NUMBER) & np.isfinite(values)
    if wrong.any():
        raise CasesError(
            f"Column {column.name!r} ({role}) must hold numbers of at most {LARGEST_NUMBER:g}. "
            f"{describe_row(column.index, wrong)} ({values[wrong.argmax()]:g}). Correct them, or "
            "use a larger unit."
        )
    return values
