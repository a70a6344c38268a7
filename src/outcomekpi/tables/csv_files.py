"""CSV files: their encoding, their separator, their faults, and then their table."""

import codecs
import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd

from outcomekpi.declare.errors import CasesError, StorageError
from outcomekpi.tables.columns import count_of, holds_text, list_values
from outcomekpi.tables.file_marks import FileMarks
from outcomekpi.tables.labels import fold_label
from outcomekpi.tables.number_text import convert_numbers, how_written

__all__ = ["as_declared", "detect_encoding", "detect_separator", "mark_missing", "read_csv"]

CHUNK = 2**22
SAMPLE = 2**16
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
PLAUSIBLE_SHARE = 0.75
"""Share of characters in common use (GB2312) below which GB18030 was a wrong guess."""
SEPARATOR_LINE = re.compile(r"\"?sep=(.)\"?\s*")
"""First line by which Excel is told what separates the columns."""


def read_csv(
    path: Path,
    *,
    text_columns: Collection[str],
    encoding: str | None = None,
    marks: FileMarks,
) -> pd.DataFrame:
    """Read a CSV file whose encoding and separator are found by looking.

    Raises
    ------
    StorageError
        Not a text file, unknown encoding or separator, lines of different length, titles or
        footers, a quotation mark that swallows rows.
    CasesError
        A column name comes twice.
    """
    encoding = detect_encoding(path) if encoding is None else _check_encoding(path, encoding)
    layout = _find_layout(path, encoding)
    header = _read_header(path, layout)
    sample = csv.reader(_read_sample(path, layout), delimiter=layout.sep, skipinitialspace=True)
    if any(len(row) > len(header) for row in sample):
        _refuse_ragged(path, layout, len(header))  # pandas cuts such lines in silence
    text = (
        list(header)
        if marks.decimal or marks.thousands
        else [c for c in header if c in text_columns]
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                path,
                sep=layout.sep,
                encoding=encoding,
                skiprows=layout.skipped,
                header=0,
                names=header,
                index_col=False,
                dtype=dict.fromkeys(text, "str"),
                na_values=list(marks.missing_marks),
                skipinitialspace=True,
                low_memory=False,
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, csv.Error) as error:
        _refuse_ragged(path, layout, len(header))
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        remedy = " Look for a quotation mark that is not closed." if "EOF" in reason else ""
        raise StorageError(f"{str(path)!r} cannot be read as CSV: {reason}.{remedy}") from error
    table = mark_missing(table, marks, text_columns)
    if table.iloc[:, -1].isna().any():
        _refuse_ragged(path, layout, len(header))
        _refuse_footer(path, table)
        table = table.dropna(how="all", ignore_index=True)
    _refuse_swallowed(path, layout, len(header), len(table))
    if marks.decimal or marks.thousands:
        return as_declared(table, text_columns, marks)
    return _read_marks(path, layout, table, text_columns, marks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a file is laid out: its encoding, what separates columns, lines before the header."""

    encoding: str
    sep: str
    skipped: int


def _find_layout(path: Path, encoding: str) -> Layout:
    with path.open(encoding=encoding, newline="") as file:
        told = SEPARATOR_LINE.fullmatch(file.readline().strip())
    if told and told[1] in SEPARATORS:
        return Layout(encoding=encoding, sep=told[1], skipped=1)
    return Layout(encoding=encoding, sep=detect_separator(path, encoding), skipped=0)


def detect_encoding(path: Path) -> str:
    """Find the encoding of a text file: UTF-8, UTF-16 with its mark, or GB18030.

    Raises
    ------
    StorageError
        None of them fits, or the file is not text.
    """
    with path.open("rb") as file:
        start = file.read(SAMPLE)
    if start.startswith(codecs.BOM_UTF8):
        return _check_encoding(path, "utf-8-sig")
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _check_encoding(path, "utf-16")
    for mark, kind in ((b"PK\x03\x04", "an Excel or zip"), (b"PAR1", "a Parquet")):
        if start.startswith(mark):
            raise StorageError(
                f"{str(path)!r} is named as a text file but is {kind} file. Give it its own "
                "suffix, or save it as 'CSV UTF-8'."
            )
    if b"\x00" in start:
        raise StorageError(f"{str(path)!r} is not a text file. Save the table as 'CSV UTF-8'.")
    wrong = _first_undecodable(path, "utf-8")
    if wrong is None:
        return "utf-8"
    if _first_undecodable(path, "gb18030") is None and _is_plausible_chinese(path):
        return "gb18030"
    line, byte = _locate(path, wrong)
    raise StorageError(
        f"{str(path)!r} must be encoded in UTF-8 or GB18030. The first byte that is no UTF-8 is "
        f"0x{byte:02X} in line {line:,}, and the text makes no sense in GB18030. "
        "Save it as 'CSV UTF-8', or name its encoding."
    )


def _check_encoding(path: Path, encoding: str) -> str:
    try:
        wrong = _first_undecodable(path, encoding)
    except LookupError as error:
        raise StorageError(f"encoding={encoding!r} is not known. Try 'utf-8'.") from error
    if wrong is not None:
        line, byte = _locate(path, wrong)
        raise StorageError(
            f"{str(path)!r} is not encoded in {encoding}: byte 0x{byte:02X} in line {line:,} does "
            "not fit. Save it as 'CSV UTF-8'."
        )
    return encoding


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _first_undecodable(path: Path, encoding: str) -> int | None:
    """Offset of the first byte that the encoding cannot read; None if it reads the whole file."""
    decoder = codecs.getincrementaldecoder(encoding)()
    consumed = 0
    try:
        for chunk in _chunks(path):
            pending = len(decoder.getstate()[0])
            decoder.decode(chunk)
            consumed += len(chunk)
        pending = len(decoder.getstate()[0])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        return consumed - pending + error.start
    except UnicodeError:
        return 0
    return None


def _locate(path: Path, offset: int) -> tuple[int, int]:
    """Line and value of the byte at an offset."""
    line, start = 1, 0
    for chunk in _chunks(path):
        if offset < start + len(chunk):
            return line + chunk.count(b"\n", 0, offset - start), chunk[offset - start]
        line += chunk.count(b"\n")
        start += len(chunk)
    return line, 0


def _is_plausible_chinese(path: Path) -> bool:
    """Tell Chinese text from another encoding that happens to decode as GB18030."""
    decoder = codecs.getincrementaldecoder("gb18030")()
    text = ""
    for chunk in _chunks(path):
        text += "".join(letter for letter in decoder.decode(chunk) if letter > "\x7f")
        if len(text) > SAMPLE:
            break
    common = len(text.encode("gb2312", "ignore")) / 2
    return common >= PLAUSIBLE_SHARE * len(text)


def _read_sample(path: Path, layout: Layout) -> list[str]:
    with path.open(encoding=layout.encoding, newline="") as file:
        lines = list(io.StringIO(file.read(SAMPLE), newline=""))[layout.skipped :]
    complete = lines[:-1] if len(lines) > 1 and not lines[-1].endswith(("\n", "\r")) else lines
    return [line for line in complete if line.strip()]


def detect_separator(path: Path, encoding: str) -> str:
    """Find what separates the columns: comma, semicolon or tab.

    Raises
    ------
    StorageError
        None of them gives more than one column.
    """
    lines = _read_sample(path, Layout(encoding=encoding, sep=",", skipped=0))
    if not lines:
        raise StorageError(f"{str(path)!r} is empty: it holds blank lines only. Export it again.")
    best, best_score = None, (0.0, 0)
    for separator in SEPARATORS:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        except csv.Error:
            continue
        score = (widths.count(widths[0]) / len(widths), widths[0])
        if widths[0] > 1 and score > best_score:
            best, best_score = separator, score
    if best_score[0] < 0.5:
        _refuse_title(path, lines)
    if best is None:
        raise StorageError(
            f"{str(path)!r} must have its columns separated by commas, semicolons or tabs. Its "
            f"first line is read as one column: {lines[0].strip()[:60]!r}."
        )
    return best


def _refuse_title(path: Path, lines: list[str]) -> None:
    """Refuse lines above the header that hold one text, where the lines below hold cells."""
    for separator in SEPARATORS:
        widths = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        below = [place for place, width in enumerate(widths) if width > 1]
        if below and below[0] and len(below) >= len(widths) - below[0] > 1:
            raise StorageError(
                f"{str(path)!r} must begin with the names of its columns; "
                f"{count_of(below[0], 'line')} above them "
                f"{'looks' if below[0] == 1 else 'look'} like a title: {lines[0].strip()[:60]!r}. "
                f"Remove what stands above the line {lines[below[0]].strip()[:60]!r}."
            )


def _rows_of(file: TextIO, layout: Layout) -> Any:
    for _ in range(layout.skipped):
        file.readline()
    return csv.reader(file, delimiter=layout.sep, skipinitialspace=True)


def _read_header(path: Path, layout: Layout) -> list[str]:
    with path.open(encoding=layout.encoding, newline="") as file:
        rows = _rows_of(file, layout)
        header = next(row for row in rows if len(row) > 1 or any(cell.strip() for cell in row))
    names = [name.strip() for name in header]
    if not any(names):
        raise StorageError(
            f"{str(path)!r} must name its columns in the first line, which is blank there. "
            "Remove blank lines above the header."
        )
    if len(names) > 2 and sum(bool(name) for name in names) == 1:
        raise StorageError(
            f"{str(path)!r} must begin with the names of its columns; its first line holds one "
            f"text in {len(names)} cells, like a title: {next(filter(None, names))[:60]!r}. "
            "Remove the lines above the names."
        )
    twice = [name for name, count in Counter(filter(None, names)).items() if count > 1]
    if twice:
        raise CasesError(
            f"Column names must be unique; {str(path)!r} has {list_values(twice)} more than once. "
            "Rename or remove the copies."
        )
    return [name or f"Unnamed: {position}" for position, name in enumerate(names)]


def _refuse_ragged(path: Path, layout: Layout, width: int) -> None:
    """Refuse a file in which lines have more or fewer cells than the header."""
    wrong, first, total, line = 0, (0, 0), 0, 1 + layout.skipped
    last: list[str] = []
    with path.open(encoding=layout.encoding, newline="") as file:
        rows = _rows_of(file, layout)
        try:
            for row in rows:
                total += bool(row)
                last = row or last
                if row and len(row) != width:
                    first = first if wrong else (line, len(row))
                    wrong += 1
                line = rows.line_num + 1 + layout.skipped
        except csv.Error as error:
            raise StorageError(
                f"{str(path)!r} cannot be read as CSV in line {rows.line_num:,}: {error}. "
                "Look for a quotation mark that is not closed."
            ) from error
    if wrong == 1 and len(last) == 1 and "\n" not in last[0]:
        raise StorageError(
            f"{str(path)!r} must hold rows of the table only; its last line, {first[0]:,}, looks "
            f"like a footer: {last[0].strip()[:60]!r}. Remove it."
        )
    if wrong:
        raise StorageError(
            f"{str(path)!r} must have {width} cells in every line, as in its header. {wrong:,} of "
            f"{total - 1:,} lines do not, the first is line {first[0]:,} with {first[1]}. A "
            f"{SEPARATORS[layout.sep]} inside a text needs quotation marks around it, and each "
            "quotation mark a second one that closes it."
        )


def _refuse_footer(path: Path, table: pd.DataFrame) -> None:
    """Refuse a last row that holds one text and nothing else."""
    if table.shape[1] < 3 or len(table) < 2:
        return
    last = table.iloc[-1].dropna()
    if len(last) == 1 and isinstance(last.iloc[0], str):
        raise StorageError(
            f"{str(path)!r} must hold rows of the table only; its last line holds one text and "
            f"nothing else, like a footer: {last.iloc[0][:60]!r}. Remove it."
        )


def _refuse_swallowed(path: Path, layout: Layout, width: int, n_rows: int) -> None:
    """Refuse a cell that holds whole rows: between two quotation marks that were never closed."""
    lines = sum(chunk.count(b"\n") for chunk in _chunks(path))
    if lines <= n_rows + 1 + layout.skipped:
        return
    with path.open(encoding=layout.encoding, newline="") as file:
        rows = _rows_of(file, layout)
        start = 1 + layout.skipped
        for row in rows:
            for cell in row:
                if "\n" in cell and cell.count(layout.sep) >= width - 1:
                    end = rows.line_num + layout.skipped
                    raise StorageError(
                        f"{str(path)!r} has a cell from line {start:,} to line {end:,} that holds "
                        f"line breaks and {cell.count(layout.sep):,} "
                        f"{SEPARATORS[layout.sep]}s, as whole rows do: a quotation mark there is "
                        "not closed. Close it, or remove it."
                    )
            start = rows.line_num + 1 + layout.skipped


def mark_missing(
    table: pd.DataFrame, marks: FileMarks, text_columns: Collection[str]
) -> pd.DataFrame:
    """Make the cells missing that say so, whatever their case, width and blanks.

    Parameters
    ----------
    table : as read
    marks : with the cells that say that there is no value
    text_columns : that stay text; others that are left with numbers hold numbers, unless their
        signs were declared and are read later
    """
    wanted = {fold_label(mark) for mark in marks.missing_marks}
    changed = {}
    for name in table.columns if wanted else ():
        column = table[name]
        if not holds_text(column):
            continue
        texts = [text for text in column.dropna().unique() if isinstance(text, str)]
        is_mark = column.isin([text for text in texts if fold_label(text) in wanted])
        if not is_mark.any():
            continue
        left = column.astype(object).where(~is_mark)
        numbers = pd.to_numeric(left, errors="coerce")
        is_plain = not (marks.decimal or marks.thousands) and name not in text_columns
        whole = is_plain and (numbers.notna() | left.isna()).all()
        changed[name] = numbers if whole else left
    return table.assign(**changed)


def as_declared(
    table: pd.DataFrame, text_columns: Collection[str], marks: FileMarks
) -> pd.DataFrame:
    """Convert columns of text in which every number is written with the declared signs."""
    decimal = marks.decimal or ("," if marks.thousands == "." else ".")
    converted = {
        name: convert_numbers(table[name], decimal=decimal, thousands=marks.thousands)
        for name in table.columns
        if name not in text_columns
        and pd.api.types.is_string_dtype(table[name].dtype)
        and not table[name].isna().all()
    }
    return table.assign(**converted)


def _read_marks(
    path: Path,
    layout: Layout,
    table: pd.DataFrame,
    text_columns: Collection[str],
    marks: FileMarks,
) -> pd.DataFrame:
    """Read numbers with commas, and leave as text what can be read in two ways.

    What a sign means in one column of a file it means in all. Between semicolons or tabs a dot may
    part thousands. Between commas it is the decimal point, unless numbers without a dot stand
    beside others that all have three digits behind it: 680 and 1.286 are not written with one
    number of decimals, nor with trailing zeros left out.
    """
    doubtful, has_points = _look_at_points(table, text_columns)
    if layout.sep == ",":
        doubtful = [name for name in doubtful if (table[name] % 1 == 0).any()]
    if doubtful and not has_points:
        written = pd.read_csv(
            path,
            sep=layout.sep,
            encoding=layout.encoding,
            skiprows=layout.skipped,
            header=0,
            names=list(table.columns),
            index_col=False,
            dtype="str",
            na_values=list(marks.missing_marks),
            skipinitialspace=True,
        )[doubtful].dropna(how="all", ignore_index=True)
        written = mark_missing(written, marks, doubtful)
        if all(how_written(written[name].dropna(), ".") == "either" for name in doubtful):
            table = table.assign(**{name: written[name] for name in doubtful})
        else:
            has_points = True
    columns = [
        name
        for name in table.columns
        if name not in text_columns and pd.api.types.is_string_dtype(table[name].dtype)
    ]
    commas = {name: how_written(table[name].dropna().astype(str), ",") for name in columns}
    is_decimal = layout.sep != "," and "decimal" in commas.values()
    converted = {}
    for name in columns:
        if commas[name] == "thousands" or (commas[name] == "either" and has_points):
            converted[name] = convert_numbers(table[name], decimal=".", thousands=",")
        elif is_decimal and commas[name] in ("decimal", "either", "plain"):
            converted[name] = convert_numbers(table[name], decimal=",", thousands=".")
    return table.assign(**converted)


def _look_at_points(table: pd.DataFrame, text_columns: Collection[str]) -> tuple[list[str], bool]:
    """Columns whose numbers may be thousands, and whether a dot is surely the decimal point."""
    doubtful, has_points = [], False
    for name in table.columns:
        column = table[name]
        if name in text_columns or not pd.api.types.is_float_dtype(column.dtype):
            continue
        values = np.abs(column.to_numpy(dtype=np.float64))
        values = values[np.isfinite(values)]
        parts = values[values != np.floor(values)]
        if not parts.size:
            continue
        scaled = parts * 1000
        like = (parts >= 1).all() and np.abs(scaled - np.round(scaled)).max() < 1e-6
        if like and values.max() < 1000:
            doubtful.append(name)
        else:
            has_points = True
    return doubtful, has_points
