"""`Records`: everything that hospitals noted about patients, read and checked once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd

from outcomekpi.declare.errors import StorageError, did_you_mean
from outcomekpi.records.identity import refuse_names
from outcomekpi.records.reading import read_record_table
from outcomekpi.records.schemas import SCHEMAS
from outcomekpi.tables.faults import Faults, fault_error, refuse_rows
from outcomekpi.tables.files import read_table
from outcomekpi.tables.time_columns import check_zone

__all__ = ["Records"]

SHARES_DIFFER = 1e-6
"""Shares of a team may differ from 1 by this: thirds are written with six digits or more."""
SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".pq")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Records:
    """Raw records of patients: who they are, what was found, done, given and when.

    Attributes
    ----------
    tables : name -> table, read by its schema: ``patients``, ``encounters``, ``conditions``,
        ``measurements``, ``medications``, ``procedures``, ``orders``, ``deaths``, ``surveys``,
        ``doctors``, ``teams``, ``activities``; those that were not given are empty
    time_zone : whose calendar days count

    Examples
    --------
    >>> import pandas as pd
    >>> from outcomekpi import Records
    >>> patients = pd.DataFrame({"patient": ["a"], "birth_date": ["1960-02-29"]})
    >>> Records.from_frames({"patients": patients})
    Records: 1 patient, time zone UTC
    """

    tables: Mapping[str, pd.DataFrame]
    time_zone: str = "UTC"

    @classmethod
    def from_frames(
        cls, tables: Mapping[str, pd.DataFrame], *, time_zone: str = "UTC"
    ) -> "Records":
        """Read tables and refuse them with all faults at once.

        Parameters
        ----------
        tables : name of the table -> its rows, in columns of the schema
        time_zone : whose calendar days count; times with an offset are moved to it, times
            without one are taken as they stand

        Raises
        ------
        CasesError
            A table that is unknown, a column that is missing, cells that cannot be read, records
            that stand twice, columns that name people, patients or doctors who do not exist,
            shares that do not add to 1.
        """
        check_zone(time_zone)
        faults = Faults()
        for name in tables:
            faults.attempt(_check_name, name)
        if "patients" not in tables:
            faults.attempt(_refuse_no_patients, tables)
        for name, table in tables.items():
            if name not in ("doctors", "teams"):
                faults.attempt(refuse_names, table, name)
        faults.raise_all()
        read = {
            name: read_record_table(name, tables.get(name, _nothing(name)), time_zone, faults)
            for name in SCHEMAS
        }
        faults.raise_all()
        for name, table in read.items():
            if "patient" in SCHEMAS[name].required and name != "patients":
                faults.attempt(_refuse_strangers, table, "patient", name, read["patients"])
            if len(read["doctors"]) and "doctor" in table and name != "doctors":
                faults.attempt(_refuse_strangers, table, "doctor", name, read["doctors"])
        faults.attempt(_check_shares, read["teams"])
        faults.raise_all()
        return cls(tables=read, time_zone=time_zone)

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], *, time_zone: str = "UTC") -> "Records":
        """Read a folder of CSV or Parquet files, or a DuckDB file, that hold a table each.

        Parameters
        ----------
        path : folder with files named after the tables (``patients.csv``; other files are left
            alone), or a file ``.duckdb`` or ``.db`` with tables of these names
        time_zone : whose calendar days count

        Raises
        ------
        StorageError
            Nothing there, or no table of records in it.
        """
        place = Path(path).expanduser()
        if place.suffix.lower() in (".duckdb", ".db"):
            tables = _read_duckdb(place)
        else:
            tables = _read_folder(place)
        if not tables:
            raise StorageError(
                f"{str(path)!r} must hold tables of records, such as patients.csv and "
                f"measurements.parquet; none of its names is one. They are {', '.join(SCHEMAS)}."
            )
        return cls.from_frames(tables, time_zone=time_zone)

    def __repr__(self) -> str:
        n = len(self.tables["patients"])
        counts = [f"{len(t):,} {name}" for name, t in self.tables.items() if len(t)][1:]
        said = ", ".join([f"{n:,} patient{'' if n == 1 else 's'}", *counts])
        return f"Records: {said}, time zone {self.time_zone}"

    def _repr_html_(self) -> str:
        rows = pd.Series({name: len(t) for name, t in self.tables.items() if len(t)}, name="rows")
        return f"<p><b>{escape(repr(self))}</b></p>{rows.to_frame().to_html()}"


def _nothing(name: str) -> pd.DataFrame:
    return pd.DataFrame(columns=[*SCHEMAS[name].required], dtype=object)


def _check_name(name: str) -> None:
    if name not in SCHEMAS:
        raise fault_error(
            "unknown-table",
            f"Records have the tables {', '.join(SCHEMAS)}; got {name!r}."
            f"{did_you_mean(name, SCHEMAS)}",
        )


def _refuse_no_patients(tables: Mapping[str, pd.DataFrame]) -> None:
    raise fault_error(
        "missing-table",
        f"Records need a table of patients, one row each; got {', '.join(tables) or 'none'}.",
    )


def _refuse_strangers(table: pd.DataFrame, column: str, name: str, known: pd.DataFrame) -> None:
    cells = table[column]
    refuse_rows(
        ((cells != "") & ~cells.isin(known["id"])).to_numpy(dtype=bool),
        table.index,
        column=column,
        role=name,
        wanted=f"name a {column} of the table {column}s",
        found=lambda row: repr(cells.iloc[row]),
        remedy=f"Add the {column}, or drop the records.",
        code=f"unknown-{column}",
    )


def _check_shares(teams: pd.DataFrame) -> None:
    total = teams.groupby("team")["share"].sum() if len(teams) else pd.Series(dtype=float)
    wrong = total[(total - 1).abs() > SHARES_DIFFER]
    if len(wrong):
        raise fault_error(
            "wrong-shares",
            f"Shares of a team must add to 1; {len(wrong)} of {len(total)} teams do not, the first "
            f"{wrong.index[0]!r} ({wrong.iloc[0]:g}). Correct the table teams.",
            column="share",
            count=len(wrong),
        )


def _read_folder(folder: Path) -> dict[str, pd.DataFrame]:
    if not folder.is_dir():
        raise StorageError(
            f"{str(folder)!r} must be a folder of tables of records or a DuckDB file; it is "
            f"{'a file' if folder.exists() else 'not there'}."
        )
    files = {f.stem: f for f in sorted(folder.iterdir()) if f.suffix.lower() in SUFFIXES}
    return {name: _read_file(files[name]) for name in SCHEMAS if name in files}


def _read_file(path: Path) -> pd.DataFrame:
    if path.suffix.lower() in (".parquet", ".pq"):
        return read_table(path)
    # every cell as text: codes keep their zeros, and the schema says what is a number
    return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")


def _read_duckdb(path: Path) -> dict[str, pd.DataFrame]:
    import duckdb

    if not path.is_file():
        raise StorageError(f"{str(path)!r} not found.")
    with duckdb.connect(str(path), read_only=True) as base:
        names = {row[0] for row in base.execute("SHOW TABLES").fetchall()}
        return {
            name: base.execute(f'SELECT * FROM "{name}"').df() for name in SCHEMAS if name in names
        }
