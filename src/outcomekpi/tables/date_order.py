"""Dates with the day or the month first: read in the order that was declared, never guessed."""

import re
from datetime import date

import pandas as pd

from outcomekpi.declare.errors import CasesError
from outcomekpi.tables.columns import describe_row, holds_text
from outcomekpi.tables.file_marks import DateOrder

__all__ = ["DATE_ORDERS", "looks_like_dates", "order_dates"]

DATE_ORDERS: tuple[DateOrder, ...] = ("dmy", "mdy", "ymd")
SIGNS = r"[-/. ]"
FORMS = {
    "dmy": rf"(?P<d>\d{{1,2}}){SIGNS}(?P<m>\d{{1,2}}){SIGNS}(?P<y>\d{{4}})",
    "mdy": rf"(?P<m>\d{{1,2}}){SIGNS}(?P<d>\d{{1,2}}){SIGNS}(?P<y>\d{{4}})",
    "ymd": rf"(?P<y>\d{{4}}){SIGNS}(?P<m>\d{{1,2}}){SIGNS}(?P<d>\d{{1,2}})",
}


def looks_like_dates(text: str) -> bool:
    """Tell whether a text is a date whose year comes last, so that day and month may be swapped."""
    return re.fullmatch(FORMS["dmy"], text.strip()) is not None


def order_dates(table: pd.DataFrame, order: DateOrder) -> pd.DataFrame:
    """Write every column of dates in the declared order as year, month and day.

    Parameters
    ----------
    table : columns of text in which every cell is a date of that form are changed
    order : such as "dmy" for 31/12/2024

    Raises
    ------
    CasesError
        A column in which most cells are dates of that order, and some are no days of a calendar.
    """
    changed = {}
    for name in table.columns:
        column = table[name]
        if not holds_text(column):
            continue
        given = column.dropna().astype(str).str.strip()
        parts = given.str.extract(f"^{FORMS[order]}$")
        if given.empty or parts["y"].isna().any():
            continue
        days = {text: _read(part) for text, *part in zip(given, *_columns(parts), strict=True)}
        wrong = column.isin([text for text, day in days.items() if day is None]).to_numpy()
        if wrong.any():
            raise CasesError(
                f"Column {name!r} must hold dates in the order {order}, as was said. "
                f"{describe_row(table.index, wrong)} ({column.to_numpy()[wrong.argmax()]!r}). "
                "Name the order that the file has, or correct these cells."
            )
        changed[name] = column.where(column.isna(), column.astype(str).str.strip().map(days))
    return table.assign(**changed)


def _columns(parts: pd.DataFrame) -> list[list[str]]:
    return [parts[part].tolist() for part in "ymd"]


def _read(part: list[str]) -> str | None:
    try:
        return date(*(int(number) for number in part)).isoformat()
    except ValueError:
        return None
