"""Tables in files: CSV and Parquet in, CSV out, each file written whole or not at all."""

import os
import secrets
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from outcomekpi.declare.errors import CasesError, StorageError, check_choice, did_you_mean
from outcomekpi.tables.columns import list_values
from outcomekpi.tables.csv_files import as_declared, mark_missing, read_csv
from outcomekpi.tables.date_order import DATE_ORDERS, order_dates
from outcomekpi.tables.file_marks import FileMarks
from outcomekpi.tables.number_text import check_marks

__all__ = ["read_table", "replacing", "write_bytes_atomic", "write_csv", "write_text_atomic"]

CSV_SUFFIXES = (".csv", ".tsv", ".txt")
PARQUET_SUFFIXES = (".parquet", ".pq")
FORMULA_SIGNS = ("=", "+", "-", "@")
# what is seen as nothing though Unicode calls it a letter, a sign or a mark
BLANK_SIGNS = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
CONTROL_SIGNS = ("\t", "\r", "\n")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_table(
    path: str | os.PathLike[str],
    *,
    text_columns: Collection[str] = (),
    encoding: str | None = None,
    marks: FileMarks | None = None,
) -> pd.DataFrame:
    """Read a table of cases from a CSV or Parquet file.

    Parameters
    ----------
    path : ``.csv``, ``.tsv`` or ``.txt`` with commas, semicolons or tabs between the columns;
        or ``.parquet``, ``.pq``
    text_columns : columns of identifiers, which keep their leading zeros; names that the file
        does not have are ignored
    encoding : of a CSV file; None finds UTF-8 (with or without byte order mark), UTF-16 and
        GB18030 by itself
    marks : signs that numbers of a CSV file are written with, and cells that say that there is no
        value; None finds the signs where the numbers tell. A number such as 1,286 beside 680 does
        not: its column stays text, which is refused where it is used

    Returns
    -------
    DataFrame, one row per line; lines without any value are skipped

    Raises
    ------
    StorageError
        The file does not exist or cannot be read; says why, and where in the file.
    CasesError
        The file has a header and no rows, or a column name twice.
    SpecError
        ``decimal`` or ``thousands`` is no sign that numbers are written with.

    Notes
    -----
    In files with semicolons or tabs, columns of numbers with decimal commas are read as numbers.
    """
    marks = FileMarks() if marks is None else marks
    check_marks(marks.decimal, marks.thousands)
    path = Path(path).expanduser()
    _check_readable(path)
    if path.suffix.lower() in PARQUET_SUFFIXES:
        table = mark_missing(_read_parquet(path), marks, text_columns)
        if marks.decimal or marks.thousands:
            table = as_declared(table, text_columns, marks)
    else:
        table = read_csv(path, text_columns=text_columns, encoding=encoding, marks=marks)
    if marks.dates is not None:
        check_choice("dates", marks.dates, DATE_ORDERS)
        table = order_dates(table, marks.dates)
    if not len(table):
        raise CasesError(
            f"{str(path)!r} has a header ({list_values(table.columns)}) but no rows. "
            "Check how the file was exported."
        )
    return table


def _check_readable(path: Path) -> None:
    if not path.exists():
        if not path.parent.is_dir():
            raise StorageError(f"{str(path)!r} not found: the folder does not exist.")
        hint = did_you_mean(path.name, sorted(sibling.name for sibling in path.parent.iterdir()))
        raise StorageError(f"{str(path)!r} not found.{hint}")
    if path.is_dir():
        tables = sorted(
            child.name
            for child in path.iterdir()
            if child.suffix.lower() in (*CSV_SUFFIXES, *PARQUET_SUFFIXES)
        )
        inside = f" It holds {list_values(tables)}." if tables else ""
        raise StorageError(f"{str(path)!r} is a folder; name a CSV or Parquet file.{inside}")
    suffix = path.suffix.lower()
    if suffix not in (*CSV_SUFFIXES, *PARQUET_SUFFIXES):
        excel = suffix in (".xls", ".xlsx", ".xlsm", ".ods", ".et")
        remedy = "Save the sheet as 'CSV UTF-8'." if excel else "Convert the file."
        raise StorageError(
            f"{str(path)!r} must be a CSV file ({', '.join(CSV_SUFFIXES)}) or a Parquet file "
            f"({', '.join(PARQUET_SUFFIXES)}); its name ends in {suffix!r}. {remedy}"
        )
    if not path.stat().st_size:
        raise StorageError(f"{str(path)!r} is empty: it holds no bytes. Export it again.")
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise StorageError(f"{str(path)!r} cannot be opened: {error.strerror}.") from error


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow as pa

    try:
        return pd.read_parquet(path, engine="pyarrow")
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise StorageError(
            f"{str(path)!r} cannot be read as a Parquet file: {reason}. Export it again."
        ) from error


def write_csv(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a table as CSV that a spreadsheet opens safely, whole or not at all.

    Parameters
    ----------
    frame : any table; an index that has a name is written as the first column, others are not
    path : file to write or replace, in a folder that exists

    Raises
    ------
    StorageError
        The file cannot be written.

    Notes
    -----
    A text cell or column name that a spreadsheet would run as a formula (it starts with ``= + -
    @`` in any width or size, also behind characters that are not seen, or with a tab or a line
    break) gets an apostrophe in front; carriage
    returns inside a cell become line feeds. Numbers stay as they are. The file is UTF-8; it
    starts with a byte order mark only if it holds more than ASCII, since Excel needs the mark to
    read Chinese and other readers trip over it.
    """
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    guarded = pd.DataFrame(
        {position: _guard_column(frame.iloc[:, position]) for position in range(frame.shape[1])}
    )
    guarded.columns = pd.Index([_guard(str(name)) for name in frame.columns], dtype=object)
    text = guarded.to_csv(index=False, lineterminator="\n")
    data = text.encode("utf-8")
    write_bytes_atomic(path, data if text.isascii() else BYTE_ORDER_MARK + data)


def _guard_column(column: pd.Series) -> pd.Series:
    dtype = column.dtype
    if pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_datetime64_any_dtype(dtype):
        return column
    return column.astype(object).map(_guard)


def _guard(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    # a lone carriage return would end the line for some readers
    text = cell.replace("\r\n", "\n").replace("\r", "\n")
    is_risky = cell.startswith(CONTROL_SIGNS) or _first_sign(cell) in FORMULA_SIGNS
    return f"'{text}" if is_risky else text


def _first_sign(text: str) -> str:
    """First character that is seen, in its plain form: small, full-width or raised signs too."""
    for sign in text:
        unseen = unicodedata.category(sign) in ("Cc", "Cf", "Zs", "Zl", "Zp")
        if not (unseen or sign in BLANK_SIGNS or "\ufe00" <= sign <= "\ufe0f"):
            return unicodedata.normalize("NFKC", sign)[:1]
    return ""


def write_text_atomic(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    write_bytes_atomic(path, text.encode("utf-8"))


def write_bytes_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file of bytes, whole or not at all."""
    with replacing(path) as partial, partial.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a name beside ``path`` to write to; it replaces ``path`` if nothing goes wrong.

    Parameters
    ----------
    path : file to write or replace, in a folder that exists

    Yields
    ------
    Path of a file that does not exist yet, in the same folder and with the same suffix

    Raises
    ------
    StorageError
        The file cannot be written; whatever was at ``path`` before is still there.
    """
    path = Path(path).expanduser()
    partial = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    except StorageError:
        raise
    except OSError as error:
        missing = "" if path.parent.is_dir() else " The folder does not exist."
        raise StorageError(
            f"{str(path)!r} cannot be written: {error.strerror or error}.{missing}"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
