"""Numbers written as text: which sign is the decimal point, which parts the thousands."""

import re
from typing import Literal

import pandas as pd

from outcomekpi.declare.errors import SpecError

__all__ = ["Writing", "check_marks", "convert_numbers", "describe_two_readings", "how_written"]

Writing = Literal["plain", "decimal", "thousands", "either", "neither"]
"""What a sign in a column of numbers is: nothing there, decimal point, mark of thousands; what
cannot be told; or the cells are no numbers."""
SIGNS = {",": "comma", ".": "dot", "，": "comma", "'": "apostrophe", " ": "blank"}
LONG = re.compile(r"[-+]?\d{4,}")


def how_written(cells: pd.Series, mark: str) -> Writing:
    """Tell what a sign means in a column of text, from the column alone.

    Parameters
    ----------
    cells : text without missing values
    mark : "," or "."

    Returns
    -------
    "thousands" where numbers have several groups or the other sign behind the groups; "decimal"
    where some number cannot be grouped (``12,5``, ``0,286``) or has four digits without a group;
    "either" where every number with the sign has exactly three digits behind it: 1,286 may be
    1286 or 1.286

    Examples
    --------
    >>> [how_written(pd.Series(cells), ",") for cells in (
    ...     ["680", "1,286"], ["680", "12,5"], ["1,286", "1,234,567"], ["1,286", "1286"])]
    ['either', 'decimal', 'thousands', 'decimal']
    """
    cells = cells.str.strip()
    has = cells.str.contains(mark, regex=False)
    marked = cells[has]
    sign, other = re.escape(mark), re.escape("." if mark == "," else ",")
    if not cells.str.fullmatch(rf"[-+]?\d[\d{sign}{other}]*(?:[eE][-+]?\d+)?").all():
        return "neither"
    if marked.empty:
        return "plain"
    grouped = marked.str.fullmatch(rf"[-+]?[1-9]\d{{0,2}}(?:{sign}\d{{3}})+(?:{other}\d+)?")
    if not grouped.all():
        decimal = marked.str.fullmatch(rf"[-+]?\d+(?:{other}\d{{3}})*{sign}\d+")
        return "decimal" if decimal.all() else "neither"
    sure = marked.str.count(sign).gt(1) | marked.str.contains(other)
    if sure.any():
        return "thousands"
    return "decimal" if cells[~has].str.fullmatch(LONG.pattern).any() else "either"


def describe_two_readings(cells: pd.Series, index: pd.Index) -> str | None:
    """Say so where numbers in a column of text can be read in two ways, or return None.

    Parameters
    ----------
    cells : text, missing values allowed
    index : labels of its rows
    """
    given = cells.notna().to_numpy()
    text = cells[given].astype(str)
    for mark in (",", "."):
        if how_written(text, mark) != "either":
            continue
        has = text.str.contains(mark, regex=False).to_numpy()
        cell = text.iloc[int(has.argmax())].strip()
        whole, point = cell.replace(mark, ""), cell.replace(mark, ".")
        at = index[given][int(has.argmax())]
        return (
            f"{int(has.sum()):,} of {given.size:,} rows hold a number with a {SIGNS[mark]} and "
            f"three digits behind it, the first {cell!r} at index {at!r}: it may be {whole} or "
            f"{point}. Say which when the file is read: thousands={mark!r} or decimal={mark!r}."
        )
    return None


def check_marks(decimal: str | None, thousands: str | None) -> None:
    """Refuse signs that no number is written with.

    Raises
    ------
    SpecError
        Names the option, the signs wanted and what was found.
    """
    for name, value, known in (
        ("decimal", decimal, (",", ".")),
        ("thousands", thousands, (",", ".", " ", "'")),
    ):
        if value is not None and value not in known:
            listed = ", ".join(repr(sign) for sign in known)
            raise SpecError(f"{name} must be one of {listed}; got {value!r}.")
    if decimal is not None and decimal == thousands:
        raise SpecError(
            f"decimal and thousands must be different signs; got {decimal!r} for both. "
            "Leave one out."
        )


def convert_numbers(cells: pd.Series, *, decimal: str, thousands: str | None) -> pd.Series:
    """Convert a column of text to numbers, if every cell is written in this way.

    Parameters
    ----------
    cells : text, missing values allowed
    decimal, thousands : the signs; None where thousands are not marked

    Returns
    -------
    numbers, or the text as it was where a cell is written in another way
    """
    text = cells.str.strip().str.replace("−", "-", regex=False)
    if thousands == "'":
        text = text.str.replace("’", "'", regex=False)
    if thousands == " ":
        text = text.str.replace("[\u00a0\u2009\u202f]", " ", regex=True)
    point = re.escape(decimal)
    forms = [rf"[-+]?\d+(?:{point}\d+)?(?:[eE][-+]?\d+)?"]
    if thousands is not None:
        forms.append(rf"[-+]?\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+(?:{point}\d+)?")
    given = text.dropna()
    if given.empty or not given.str.fullmatch("|".join(forms)).all():
        return cells
    if thousands is not None:
        text = text.str.replace(thousands, "", regex=False)
    return pd.to_numeric(text.str.replace(decimal, ".", regex=False))
