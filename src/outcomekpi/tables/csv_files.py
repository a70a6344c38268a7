"""CSV files: their encoding, their separator, their faults, and then their table."""

import codecs
import csv
import io
import warnings
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import pandas as pd

from outcomekpi.declare.errors import CasesError, StorageError
from outcomekpi.tables.columns import list_values

__all__ = ["detect_encoding", "detect_separator", "read_csv"]

CHUNK = 2**22
SAMPLE = 2**16
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
PLAUSIBLE_SHARE = 0.75
"""Share of characters in common use (GB2312) below which GB18030 was a wrong guess."""
DECIMAL_COMMA = r"\s*[-+]?\d+(?:,\d+)?\s*"


def read_csv(
    path: Path, *, text_columns: Collection[str], encoding: str | None = None
) -> pd.DataFrame:
    """Read a CSV file whose encoding and separator are found by looking.

    Raises
    ------
    StorageError
        Not a text file, unknown encoding or separator, lines of different length.
    CasesError
        A column name comes twice.
    """
    encoding = detect_encoding(path) if encoding is None else _check_encoding(path, encoding)
    separator = detect_separator(path, encoding)
    header = _read_header(path, encoding, separator)
    sample = csv.reader(_read_sample(path, encoding), delimiter=separator, skipinitialspace=True)
    if any(len(row) > len(header) for row in sample):
        _refuse_ragged(path, encoding, separator, len(header))  # pandas cuts such lines in silence
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                path,
                sep=separator,
                encoding=encoding,
                header=0,
                names=header,
                index_col=False,
                dtype=dict.fromkeys((c for c in header if c in text_columns), "str"),
                skipinitialspace=True,
                low_memory=False,
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, csv.Error) as error:
        _refuse_ragged(path, encoding, separator, len(header))
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        remedy = " Look for a quotation mark that is not closed." if "EOF" in reason else ""
        raise StorageError(f"{str(path)!r} cannot be read as CSV: {reason}.{remedy}") from error
    if table.iloc[:, -1].isna().any():
        _refuse_ragged(path, encoding, separator, len(header))
        table = table.dropna(how="all", ignore_index=True)
    return table if separator == "," else _read_decimal_commas(table, text_columns)


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


def _read_sample(path: Path, encoding: str) -> list[str]:
    with path.open(encoding=encoding, newline="") as file:
        lines = list(io.StringIO(file.read(SAMPLE), newline=""))
    complete = lines[:-1] if len(lines) > 1 and not lines[-1].endswith(("\n", "\r")) else lines
    return [line for line in complete if line.strip()]


def detect_separator(path: Path, encoding: str) -> str:
    """Find what separates the columns: comma, semicolon or tab.

    Raises
    ------
    StorageError
        None of them gives more than one column.
    """
    lines = _read_sample(path, encoding)
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
    if best is None:
        raise StorageError(
            f"{str(path)!r} must have its columns separated by commas, semicolons or tabs. Its "
            f"first line is read as one column: {lines[0].strip()[:60]!r}."
        )
    return best


def _read_header(path: Path, encoding: str, separator: str) -> list[str]:
    with path.open(encoding=encoding, newline="") as file:
        rows = csv.reader(file, delimiter=separator, skipinitialspace=True)
        header = next(row for row in rows if len(row) > 1 or any(cell.strip() for cell in row))
    names = [name.strip() for name in header]
    if not any(names):
        raise StorageError(
            f"{str(path)!r} must name its columns in the first line, which is blank there. "
            "Remove blank lines above the header."
        )
    twice = [name for name, count in Counter(filter(None, names)).items() if count > 1]
    if twice:
        raise CasesError(
            f"Column names must be unique; {str(path)!r} has {list_values(twice)} more than once. "
            "Rename or remove the copies."
        )
    return [name or f"Unnamed: {position}" for position, name in enumerate(names)]


def _refuse_ragged(path: Path, encoding: str, separator: str, width: int) -> None:
    """Refuse a file in which lines have more or fewer cells than the header."""
    wrong, first, total, line = 0, (0, 0), 0, 1
    with path.open(encoding=encoding, newline="") as file:
        rows = csv.reader(file, delimiter=separator, skipinitialspace=True)
        try:
            for row in rows:
                total += bool(row)
                if row and len(row) != width:
                    first = first if wrong else (line, len(row))
                    wrong += 1
                line = rows.line_num + 1
        except csv.Error as error:
            raise StorageError(
                f"{str(path)!r} cannot be read as CSV in line {rows.line_num:,}: {error}. "
                "Look for a quotation mark that is not closed."
            ) from error
    if wrong:
        raise StorageError(
            f"{str(path)!r} must have {width} cells in every line, as in its header. {wrong:,} of "
            f"{total - 1:,} lines do not, the first is line {first[0]:,} with {first[1]}. A "
            f"{SEPARATORS[separator]} inside a text needs quotation marks around it, and each "
            "quotation mark a second one that closes it."
        )


def _read_decimal_commas(table: pd.DataFrame, text_columns: Collection[str]) -> pd.DataFrame:
    converted = {}
    for name in table.columns:
        column = table[name]
        if name in text_columns or not pd.api.types.is_string_dtype(column.dtype):
            continue
        given = column.dropna()
        if given.str.fullmatch(DECIMAL_COMMA).all() and given.str.contains(",").any():
            converted[name] = column.str.replace(",", ".").astype("float64")
    return table.assign(**converted)
