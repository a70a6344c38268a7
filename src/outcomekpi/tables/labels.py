"""Labels: who or what a row is about, in one spelling each; labels that name nobody are refused."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError
from outcomekpi.tables.columns import (
    describe_row,
    label_text,
    list_values,
    to_floats,
)
from outcomekpi.tables.faults import Faults, fault_error

__all__ = [
    "Labels",
    "compact_labels",
    "find_label",
    "fold_label",
    "is_no_label",
    "is_total",
    "read_labels",
]

IDENTIFIERS = ("doctor", "hospital", "patient", "unit", "indicator", "cluster", "payee", "team")
"""Roles of columns that tell people, places or indicators apart."""
JUDGED = ("doctor", "hospital", "unit", "indicator", "cluster", "payee", "team")
"""Those of them that are named in results."""
NO_IDENTIFIERS = (bool, np.bool_, bytes, bytearray, timedelta, np.timedelta64)
LARGEST_EXACT_FLOAT = 2**53
NO_LABELS = frozenset(
    re.split(
        r"\s*;\s*",
        "?;??;-;--;---;—;–;.;..;...;*;**;/;//;n/a;na;#n/a;nan;nil;null;none;missing;"
        "unknown;unk;unspecified;undefined;blank;empty;tbd;not available;not applicable;not known;"
        "not recorded;not stated;no data;缺失;缺;缺失值;未知;不详;不明;未填;未填写;未登记;无;空;"
        "空白;暂无;无数据;未提供;不适用;(blank);(empty);(null);n.a.;n.d.;k.a.;k. a.;unbekannt;"
        "inconnu;inconnue;desconocido;sconosciuto",
    )
)
"""Folded: what people write where they know no name and no value."""
TOTALS = frozenset(
    re.split(
        r"\s*;\s*",
        "total;totals;subtotal;sub total;sub-total;grand total;sum;overall;all doctors;"
        "all hospitals;合计;总计;小计;总和;共计;总数;累计;全院;全部;汇总;全院合计;本院合计;"
        "gesamt;insgesamt;summe;gesamtsumme;total general;total général",
    )
)
"""Folded: what the last row of an export is called."""
WHOLE = re.compile(r"(\d+)\.0+")
SCIENTIFIC = re.compile(r"\d(?:[.,]\d+[eE]\+?|[eE]\+)\d{1,3}")
SPREADSHEET_ROUNDS, SPREADSHEET_DECIMALS = 1e11, 5
"""A cell of general format shows whole numbers from here on as 4.40301E+12."""


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


def fold_label(text: str) -> str:
    r"""Return a label without what readers do not see as a difference.

    Width of letters, case, blanks of every kind, signs that are not seen (byte order mark, zero
    width), and the ``.0`` that spreadsheets add to whole numbers.

    Examples
    --------
    >>> [fold_label(text) for text in ("F", "ｆ ", "7.0", "Ward\u00a0 3", "\ufeffLi")]
    ['f', 'f', '7', 'ward 3', 'li']
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = "".join(sign for sign in text if unicodedata.category(sign) != "Cf")
    text = " ".join(text.split()).casefold()
    whole = WHOLE.fullmatch(text)
    return whole[1] if whole else text


def find_label(value: object, names: list[str], *, is_number: bool) -> str | None:
    """Return the label that a value names, whatever its case and width; None where none is.

    Parameters
    ----------
    value : as a user typed it
    names : labels of a column
    is_number : whether the column holds numbers or truth values: 1, "1.0" and True are one label
    """
    text = label_text(value)
    if text in names:
        return text
    alike = [name for name in names if fold_label(name) == fold_label(text)]
    if len(alike) == 1:
        return alike[0]
    if not is_number:
        return None
    truth = {"true": "1", "false": "0"}.get(text.strip().lower(), text.strip())
    try:
        number = float(truth)
    except ValueError:
        return None
    spoken = {0.0: "False", 1.0: "True"}.get(number, "")
    return next((name for name in (label_text(number), spoken) if name in names), None)


def is_no_label(text: str) -> bool:
    """Tell whether a text says that a name or a value is not known."""
    folded = fold_label(text)
    return not folded or folded in NO_LABELS


def is_total(text: str) -> bool:
    """Tell whether a label is that of a row of sums."""
    folded = fold_label(text).rstrip(":： ")
    return folded in TOTALS or "".join(folded.split()) in TOTALS or folded.endswith(" total")


def read_labels(column: pd.Series, role: str) -> Labels:
    """Turn identifiers into sorted text labels and a code for each row.

    Parameters
    ----------
    column : identifiers of any type; missing and blank ones get code -1
    role : what the column is, for messages

    Raises
    ------
    CasesError
        Cells that hold lists and the like; one label in several spellings; numbers too long to be
        exact; truth values, time spans or bytes where somebody is identified, or labels that
        name nobody ("Unknown", "Total") where results are about who is named.
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
    names, place = _sort_texts(uniques)
    faults = Faults()
    faults.attempt(_check_spellings, names, column.name, role)
    labels = Labels(names=names, code=np.append(place, -1)[raw])
    if role in IDENTIFIERS:
        faults.attempt(_refuse_rounded, column, labels, role)
    if role in JUDGED:
        faults.attempt(_refuse_nobody, column, labels, role)
        faults.attempt(_refuse_sums, column, labels, role)
    faults.raise_all()
    return labels


def _sort_texts(uniques: pd.Index) -> tuple[list[str], NDArray[np.intp]]:
    """Sort different values as text; return the labels, and the place of each value among them."""
    if isinstance(uniques.dtype, pd.StringDtype):  # a million patients: no step by step in Python
        order = np.asarray(uniques.argsort())
        names = uniques[order].tolist()
        if all(map(str.strip, names)):
            place = np.empty(len(names), dtype=np.intp)
            place[order] = np.arange(len(names))
            return names, place
    texts = [label_text(value) for value in uniques.tolist()]
    names = sorted({text for text in texts if text.strip()})
    position = {name: number for number, name in enumerate(names)}
    return names, np.fromiter((position.get(text, -1) for text in texts), np.intp)


def _check_identifiers(column: pd.Series, uniques: pd.Index, role: str) -> None:
    """Refuse what tells nobody apart: truth values, time spans and bytes."""
    if role not in IDENTIFIERS or isinstance(uniques.dtype, pd.StringDtype):
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


def _check_spellings(names: list[str], column: object, role: str) -> None:
    """Refuse one label in several spellings; identifiers of patients may differ in case."""
    folded = list(map(str.strip if role == "patient" else fold_label, names))
    if len(set(folded)) == len(names):
        return
    seen: dict[str, str] = {}
    pairs = []
    for name, key in zip(names, folded, strict=True):
        twin = seen.setdefault(key, name)
        if twin != name:
            pairs.append((twin, name))
    if pairs:
        first, second = pairs[0]
        blanks = all(one.strip() == two.strip() for one, two in pairs)
        what = "in blanks around them" if blanks else "in case, width, blanks or a '.0'"
        remedy = (
            "Strip the blanks from that column first."
            if blanks
            else "Write each in one way; if they are different ones, give them different names."
        )
        raise fault_error(
            "one-label-several-spellings",
            f"Column {column!r} ({role}) has {len(pairs):,} label(s) that differ from another one "
            f"only {what}, the first {first!r} and {second!r}. {remedy}",
            column=column,
            count=len(pairs),
        )


def _refuse_rounded(column: pd.Series, labels: Labels, role: str) -> None:
    """Refuse identifiers that a spreadsheet rounded: different ones have become one."""
    every = "\n".join(labels.names)  # one look at a million names
    signed = any(sign in every for sign in "+.,")
    odd = [name for name in labels.names if signed and SCIENTIFIC.fullmatch(name.strip())]
    wrong = np.isin(labels.code, [labels.names.index(name) for name in odd])
    example = odd[0] if odd else ""
    if pd.api.types.is_float_dtype(column.dtype):
        values = np.nan_to_num(np.abs(to_floats(column)))
        wrong = values >= SPREADSHEET_ROUNDS
        long = np.unique(values[wrong])
        step = 10.0 ** (np.floor(np.log10(long)) - SPREADSHEET_DECIMALS)
        if len(long) < 2 or (long % step != 0).any():
            return
        example = f"{long[0]:.{SPREADSHEET_DECIMALS}E}"
    _refuse_labels(
        column,
        wrong,
        "rounded-label",
        f"Column {column.name!r} ({role}) must hold whole identifiers. {{rows}} ({example!r}): a "
        "spreadsheet has rounded long numbers, so that different ones look alike. Format that "
        "column as text in the spreadsheet, and export it again.",
    )


def _refuse_nobody(column: pd.Series, labels: Labels, role: str) -> None:
    nobody = [place for place, name in enumerate(labels.names) if is_no_label(name)]
    named = list_values(labels.names[place] for place in nobody)
    _refuse_labels(
        column,
        np.isin(labels.code, nobody),
        "placeholder-label",
        f"Column {column.name!r} ({role}) must name somebody in every row. {{rows}}: {named} would "
        f"be judged as one {role}. Declare it a missing mark when the file is read, or leave those "
        "cells empty or those rows out.",
    )


def _refuse_sums(column: pd.Series, labels: Labels, role: str) -> None:
    totals = [place for place, name in enumerate(labels.names) if is_total(name)]
    if totals and role != "indicator":  # "Overall" may well be an indicator
        _refuse_labels(
            column,
            np.isin(labels.code, totals),
            "row-of-sums",
            f"Column {column.name!r} ({role}) must name one {role} in every row. {{rows}}: "
            f"{labels.names[totals[0]]!r} is what sums of other rows are named. Leave them out.",
        )


def _refuse_labels(column: pd.Series, wrong: NDArray[np.bool_], code: str, text: str) -> None:
    """Refuse some rows; ``{rows}`` says how many and where first."""
    if wrong.any():
        raise fault_error(
            code,
            text.replace("{rows}", describe_row(column.index, wrong)),
            column=column.name,
            first_row=column.index[int(wrong.argmax())],
            count=int(wrong.sum()),
        )


def compact_labels(labels: Labels) -> tuple[Labels, list[str]]:
    """Drop the labels that no row has; return them as well."""
    present = np.bincount(labels.code, minlength=len(labels.names)) > 0
    if present.all():
        return labels, []
    names = [name for name, here in zip(labels.names, present, strict=True) if here]
    lost = [name for name, here in zip(labels.names, present, strict=True) if not here]
    return Labels(names=names, code=(np.cumsum(present) - 1)[labels.code]), lost
