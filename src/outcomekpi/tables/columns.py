"""One column at a time: text labels, numbers and events read from any kind of column."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError, did_you_mean

__all__ = [
    "Labels",
    "compact_labels",
    "count_of",
    "describe_row",
    "holds_numbers",
    "holds_text",
    "label_text",
    "list_values",
    "read_events",
    "read_labels",
    "read_numbers",
    "spell",
]

LARGEST_EXACT_FLOAT = 2**53
LARGEST_NUMBER = 1e15
"""Of outcomes, trials and exposures: above it, decimal numbers no longer tell n from n + 1."""
SHOWN_VALUES = 6
IDENTIFIERS = ("doctor", "hospital", "patient", "unit", "indicator", "cluster")
"""Roles of columns that tell people, places or indicators apart."""
NO_IDENTIFIERS = (bool, np.bool_, bytes, bytearray, timedelta, np.timedelta64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """Labels of a column as sorted text, and the position of each row's label.

    Attributes
    ----------
    names : sorted labels
    code : (case,), position in ``names``; -1 where the label is missing or blank
    """

    names: list[str]
    code: NDArray[np.intp]


def spell(value: object) -> str:
    """Write a value in a message: text in quotes, numbers bare."""
    return repr(value) if isinstance(value, str) else str(value)


def list_values(values: Iterable[object], *, shown: int = SHOWN_VALUES) -> str:
    """Write the first values of a list, and how many more there are."""
    texts = [spell(value) for value in values]
    more = f" and {len(texts) - shown:,} more" if len(texts) > shown else ""
    return ", ".join(texts[:shown]) + more


def count_of(number: int, noun: str) -> str:
    """Write a count with its noun: ``"1 doctor"``, ``"12 doctors"``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def describe_row(index: pd.Index, wrong: NDArray[np.bool_]) -> str:
    """Say how many rows are wrong and where the first of them is."""
    positions = np.flatnonzero(wrong)
    verb = "rows does" if positions.size == 1 else "rows do"
    first = index[positions[0]]
    return f"{positions.size:,} of {wrong.size:,} {verb} not, the first at index {spell(first)}"


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


def read_labels(column: pd.Series, role: str) -> Labels:
    """Turn identifiers into sorted text labels and a code for each row.

    Parameters
    ----------
    column : identifiers of any type; missing and blank ones get code -1
    role : what the column is, for messages

    Raises
    ------
    CasesError
        Cells that hold lists and the like, labels that differ only in blanks around them, numbers
        too long to be exact; or truth values, time spans or bytes where somebody is identified.
    """
    try:
        raw, uniques = pd.factorize(column)
    except TypeError as error:
        first = column.dropna().iloc[0]
        raise CasesError(
            f"Column {column.name!r} ({role}) must hold text or numbers; its cells hold "
            f"{type(first).__name__} objects. Turn them into text."
        ) from error
    _check_identifiers(column, uniques, role)
    _check_exact(column, uniques, role)
    texts = [label_text(value) for value in uniques.tolist()]
    names = sorted({text for text in texts if text.strip()})
    _check_blanks(names, column.name, role)
    position = {name: number for number, name in enumerate(names)}
    lookup = np.fromiter((position.get(text, -1) for text in [*texts, ""]), np.intp)
    return Labels(names=names, code=lookup[raw])


def _check_identifiers(column: pd.Series, uniques: pd.Index, role: str) -> None:
    """Refuse what tells nobody apart: truth values, time spans and bytes."""
    if role not in IDENTIFIERS:
        return
    odd = [value for value in uniques.tolist() if isinstance(value, NO_IDENTIFIERS)]
    if pd.api.types.is_timedelta64_dtype(uniques.dtype):
        odd = uniques.tolist()  # numpy hands nanoseconds out as numbers
    if odd:
        raise CasesError(
            f"Column {column.name!r} ({role}) must hold names or numbers that tell one {role} from "
            f"another; it holds {type(odd[0]).__name__} values such as {odd[0]!r:.60}. Name the "
            "column of identifiers, or turn it into text."
        )


def _check_exact(column: pd.Series, uniques: pd.Index, role: str) -> None:
    if not pd.api.types.is_float_dtype(uniques.dtype) or not len(uniques):
        return
    values = np.asarray(uniques, dtype=np.float64)
    if np.isinf(values).any():
        wrong = np.isinf(to_floats(column))
        raise CasesError(
            f"Column {column.name!r} ({role}) must hold finite identifiers. "
            f"{describe_row(column.index, wrong)}. Correct them in the table."
        )
    if np.abs(values).max() >= LARGEST_EXACT_FLOAT:
        wrong = np.abs(np.nan_to_num(to_floats(column))) >= LARGEST_EXACT_FLOAT
        raise CasesError(
            f"Column {column.name!r} ({role}) must hold identifiers that are exact. "
            f"{describe_row(column.index, wrong)}: decimal numbers above 2**53 have lost their "
            "last digits, so that different identifiers may look alike. Read the column as text."
        )


def _check_blanks(names: list[str], column: object, role: str) -> None:
    if not any(name != name.strip() for name in names):
        return
    seen: dict[str, str] = {}
    pairs = []
    for name in names:
        twin = seen.setdefault(name.strip(), name)
        if twin != name:
            pairs.append((twin, name))
    if pairs:
        first, second = pairs[0]
        raise CasesError(
            f"Column {column!r} ({role}) has {len(pairs):,} label(s) that differ from another one "
            f"only in blanks around them, the first {first!r} and {second!r}. "
            "Strip the blanks from that column first."
        )


def compact_labels(labels: Labels) -> tuple[Labels, list[str]]:
    """Drop the labels that no row has; return them as well."""
    present = np.bincount(labels.code, minlength=len(labels.names)) > 0
    if present.all():
        return labels, []
    names = [name for name, here in zip(labels.names, present, strict=True) if here]
    lost = [name for name, here in zip(labels.names, present, strict=True) if not here]
    return Labels(names=names, code=(np.cumsum(present) - 1)[labels.code]), lost


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
        converted = pd.to_numeric(column, errors="coerce")
        wrong = (converted.isna() & column.notna()).to_numpy()
        if not wrong.any():
            return _check_size(np.asarray(converted, dtype=np.float64), column, role)
        raise CasesError(
            f"Column {column.name!r} ({role}) must hold numbers. "
            f"{describe_row(column.index, wrong)}, which holds "
            f"{column.to_numpy()[wrong.argmax()]!r}. Correct the table"
            + (", or pass event=... to say which value is the event." if role == "outcome" else ".")
        )
    raise CasesError(
        f"Column {column.name!r} ({role}) must hold numbers; its type is {column.dtype}. "
        "Convert it to numbers."
    )


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


def read_events(column: pd.Series, event: object) -> tuple[NDArray[np.float64], str]:
    """Count one value of the outcome column as the event: 1 there, 0 elsewhere, NaN if missing.

    Returns
    -------
    events, label : (case,) 0, 1 or NaN; and the event value as text

    Raises
    ------
    CasesError
        No row has the event value; lists the values seen.
    """
    labels = read_labels(column, "outcome")
    wanted = _event_label(event, labels.names, is_number=holds_numbers(column))
    if wanted is None:
        raise CasesError(
            f"event={event!r} is not a value of the outcome column {column.name!r}. "
            f"Values seen: {list_values(labels.names)}.{did_you_mean(str(event), labels.names)}"
        )
    events = (labels.code == labels.names.index(wanted)).astype(np.float64)
    events[labels.code < 0] = np.nan
    return events, wanted


def _event_label(event: object, names: list[str], *, is_number: bool) -> str | None:
    text = label_text(event)
    if text in names:
        return text
    if not is_number:
        return None
    # 1, "1.0", "true" and True name the same event of a column of numbers or booleans
    truth = {"true": "1", "false": "0"}.get(text.strip().lower(), text.strip())
    try:
        number = float(truth)
    except ValueError:
        return None
    spoken = {0.0: "False", 1.0: "True"}.get(number, "")
    return next((name for name in (label_text(number), spoken) if name in names), None)
