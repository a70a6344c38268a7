"""Records out of a hospital's own export: a mapping file says what its columns and codes mean."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError, StorageError, did_you_mean
from outcomekpi.records.records import Records
from outcomekpi.records.schemas import SCHEMAS
from outcomekpi.tables.files import read_table

__all__ = ["from_his"]

KEYS = ("file", "columns", "values", "fixed")


def from_his(
    folder: str | os.PathLike[str],
    mapping: str | os.PathLike[str],
    *,
    time_zone: str = "Asia/Shanghai",
) -> Records:
    r"""Read the export of a hospital information system by a mapping file.

    Parameters
    ----------
    folder : of the exported CSV files (UTF-8 or GB18030)
    mapping : TOML file with a table per table of records: ``file``, ``columns`` (column of the
        records = "column of the export"), ``values`` (column -> cell of the export = what it
        means) and ``fixed`` (column = what all rows have). Several files of one table are an
        array of tables
    time_zone : whose calendar days count

    Returns
    -------
    Records

    Raises
    ------
    StorageError
        A file that is not there or cannot be read.
    SpecError
        A key, table or column of the mapping that is unknown: all of them.
    CasesError
        What was read cannot be used.

    Notes
    -----
    A cell that ``values`` does not name is kept as it is.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from outcomekpi import from_his
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     place = pathlib.Path(folder)
    ...     _ = (place / "病人.csv").write_text("病历号,性别\n007,女\n", encoding="gb18030")
    ...     _ = (place / "map.toml").write_text(
    ...         '[patients]\nfile = "病人.csv"\ncolumns = { patient = "病历号", sex = "性别" }\n'
    ...         'values = { sex = { "女" = "female" } }', encoding="utf-8")
    ...     records = from_his(place, place / "map.toml")
    >>> records.tables["patients"][["patient", "sex"]].values.tolist()
    [['007', 'female']]
    """
    check_arguments(from_his, locals())
    plan = _read_plan(Path(mapping))
    faults: list[str] = []
    tables: dict[str, pd.DataFrame] = {}
    for name, parts in plan.items():
        listed = parts if isinstance(parts, list) else [parts]
        read = [_read_part(Path(folder), name, part, faults) for part in listed]
        if not faults:
            tables[name] = pd.concat(read, ignore_index=True)
    if faults:
        raise SpecError("\n".join(["The mapping cannot be used.", *faults]))
    return Records.from_frames(tables, time_zone=time_zone)


def _read_plan(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StorageError(f"{str(path)!r} cannot be read: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise StorageError(f"{str(path)!r} is no TOML file: {error}.") from error


def _read_part(folder: Path, name: str, part: Mapping[str, Any], faults: list[str]) -> pd.DataFrame:
    empty = pd.DataFrame()
    if name not in SCHEMAS:
        faults.append(f"{name!r} is no table of records.{did_you_mean(name, SCHEMAS)}")
        return empty
    unknown = [key for key in part if key not in KEYS]
    faults += [f"{name} has no key {key!r}.{did_you_mean(key, KEYS)}" for key in unknown]
    known = {SCHEMAS[name].key, "patient", *SCHEMAS[name].columns, *SCHEMAS[name].required}
    for key in ("values", "fixed") if name == "patients" else ("columns", "values", "fixed"):
        wrong = [column for column in part.get(key, {}) if column not in known]
        faults += [f"{name}.{key} names {c!r}.{did_you_mean(c, known)}" for c in wrong]
    file = folder / str(part.get("file", ""))
    if not file.is_file():
        raise StorageError(f"{name}.file: {str(file)!r} not found.")
    columns: Mapping[str, str] = part.get("columns", {})
    table = read_table(file, text_columns=list(columns.values()))
    absent = [column for column in columns.values() if column not in table.columns]
    faults += [f"{file.name} has no column {c!r}.{did_you_mean(c, table.columns)}" for c in absent]
    if unknown or absent:
        return empty
    found = pd.DataFrame({ours: table[theirs] for ours, theirs in columns.items()})
    for column, meaning in part.get("values", {}).items():
        if column in found:
            found[column] = found[column].map(lambda cell, m=meaning: m.get(cell, cell))
    return found.assign(**part.get("fixed", {}))
