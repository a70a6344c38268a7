"""Dates with the day or the month first: read in the order that was declared, never guessed."""

import re
from datetime import date

import pandas as pd

from outcomekpi.declare.errors import CasesError
from outcomekpi.tables.columns import describe_row, holds_text
from outcomekpi.tables.file_marks import DateOrder

__all__ = ["DATE_ORDERS", "looks_like_dates", "order_date", "order_dates"]

DATE_ORDERS: tuple[DateOrder, ...] = ("dmy", "mdy", "ymd")
SIGNS = r"[-/. ]"
CLOCK = r"(?P<clock>[ T]\d{1,2}:\d{2}(?::\d{2})?)?"
FORMS = {
    "dmy": rf"(?P<d>\d{{1,2}}){SIGNS}(?P<m>\d{{1,2}}){SIGNS}(?P<y>\d{{4}})",
    "mdy": rf"(?P<m>\d{{1,2}}){SIGNS}(?P<d>\d{{1,2}}){SIGNS}(?P<y>\d{{4}})",
    "ymd": rf"(?P<y>\d{{4}}){SIGNS}(?P<m>\d{{1,2}}){SIGNS}(?P<d>\d{{1,2}})",
}


PARTS = ("y", "m", "d", "clock")


def looks_like_dates(text: str) -> bool:
    """Tell whether a text is a date whose year comes last, so that day and month may be swapped."""
    return re.fullmatch(FORMS["dmy"] + CLOCK, text.strip()) is not None


def order_date(text: str, order: DateOrder | None) -> str:
    """Write one date in the declared order as year, month and day; other texts stay as they are.

    Examples
    --------
    >>> order_date("01/07/2024", "dmy"), order_date("2024-07-01", "dmy")
    ('2024-07-01', '2024-07-01')
    """
    known = FORMS.get(order or "")  # another word is refused where the file is read
    match = None if known is None else re.fullmatch(known + CLOCK, text.strip())
    return text if match is None else _read([match[part] or "" for part in PARTS]) or text


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
        parts = given.str.extract(f"^{FORMS[order]}{CLOCK}$")
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
    return [parts[part].fillna("").tolist() for part in PARTS]


def _read(part: list[str]) -> str | None:
    year, month, day, clock = part
    try:
        return date(int(year), int(month), int(day)).isoformat() + clock
    except ValueError:
        return None
