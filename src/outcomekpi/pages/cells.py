"""Tables as cells that a template writes: the large searchable ones and the small plain ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import pandas as pd
from markupsafe import Markup, escape
from pandas.api.types import is_numeric_dtype

__all__ = [
    "Cell",
    "Column",
    "Listing",
    "PlainTable",
    "Row",
    "interval_bar",
    "number_cell",
    "plain_table",
]

PLAIN_ROWS_AT_MOST = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Heading of a column; ``kind`` is how it sorts, "text" or "number"."""

    label: str
    kind: str = "number"
    hint: str = ""
    sortable: bool = True
    sorted: str = "none"


@dataclass(frozen=True, slots=True)
class Cell:
    """What is read; what is sorted by, None for the text itself; position of an interval."""

    text: str
    sort: str | None = None
    bar: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One doctor or indicator: name, flag, cells, the text a search looks through."""

    name: str
    flag: str
    found_by: str | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A table that a reader can sort and search.

    Attributes
    ----------
    noun : what a row is, "doctor"; the identifiers in the page begin with it
    intro, notes : what is said before and after the table
    columns, rows : headings and content
    positions : of the marks in the intervals, in percent of their width
    find, only : labels of the search and of the box that leaves flagged rows alone; an empty
        ``only`` makes no box
    """

    noun: str
    intro: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    positions: tuple[str, ...]
    find: str
    only: str
    notes: tuple[str, ...]

    @property
    def body(self) -> Markup:
        """The rows in HTML; written here, since a template takes a second for ten thousand."""
        is_text = [column.kind == "text" for column in self.columns[1:]]
        marks = "<b></b>" * len(self.positions)
        return Markup("".join(_write_row(row, is_text, marks) for row in self.rows))

    @property
    def marks(self) -> str:
        """Return the positions of the marks as a style: ``--ref``, then ``--ref2``."""
        names = ("--ref", "--ref2")
        return ";".join(f"{n}:{at}%" for n, at in zip(names, self.positions, strict=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainTable:
    """A small table: headings, rows, which columns are text, and what was left out."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    is_text: tuple[bool, ...]
    remark: str = ""


def _write_row(row: Row, is_text: Sequence[bool], marks: str) -> str:
    name = f' class="{escape(row.flag)}"' if row.flag else ""
    search = "" if row.found_by is None else f' data-s="{escape(row.found_by)}"'
    parts = [f'<tr{name}{search}><th scope="row">{escape(row.name)}</th>']
    for cell, left in zip(row.cells, is_text, strict=True):
        if cell.bar:
            parts.append(f'<td class="iv" style="{escape(cell.bar)}"><i>{marks}</i></td>')
            continue
        side = ' class="left"' if left else ""
        sort = "" if cell.sort is None else f' data-v="{escape(cell.sort)}"'
        parts.append(f"<td{side}{sort}>{escape(cell.text)}</td>")
    parts.append("</tr>\n")
    return "".join(parts)


def plain_table(frame: pd.DataFrame, *, index: bool = True) -> PlainTable:
    """Lay out the numbers of a frame to four digits, the first rows where there are many."""
    shown = frame.head(PLAIN_ROWS_AT_MOST)
    names = [str(frame.index.name or "")] if index else []
    rows = []
    for label, values in zip(shown.index, shown.itertuples(index=False), strict=True):
        cells = [_plain(value) for value in values]
        rows.append((str(label), *cells) if index else tuple(cells))
    remark = f"The first {len(shown)} of {len(frame):,} rows." if len(shown) < len(frame) else ""
    headings = tuple(names + [str(column).replace("_", " ") for column in frame.columns])
    is_text = [True] * index + [not is_numeric_dtype(dtype) for dtype in frame.dtypes]
    return PlainTable(headings=headings, rows=tuple(rows), is_text=tuple(is_text), remark=remark)


def _plain(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | float | np.number):
        number = float(value)
        return f"{number:,.4g}" if np.isfinite(number) else "–"
    return str(value)


def number_cell(text: str, value: float) -> Cell:
    """Return a cell that sorts by its value, last where there is none."""
    return Cell(text, sort=f"{value:.6g}" if isfinite(value) else "")


def interval_bar(mean: float, lower: float, upper: float, *, low: float, width: float) -> Cell:
    """Return the cell of an interval, drawn on a scale from ``low`` to ``low + width``."""
    return Cell(
        "",
        bar=f"--l:{100 * (lower - low) / width:.1f};--w:{100 * (upper - lower) / width:.1f};"
        f"--m:{100 * (mean - low) / width:.1f}",
    )
