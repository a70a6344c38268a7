"""Cells of records: times of one zone, numbers out of text, words."""

import re
from typing import Any

import numpy as np
import pandas as pd

from outcomekpi.declare.errors import did_you_mean
from outcomekpi.records.schemas import SCHEMAS, Schema
from outcomekpi.tables.columns import label_text
from outcomekpi.tables.faults import Faults, fault_error, refuse_rows

__all__ = ["read_record_table", "split_values"]

SIGNED = re.compile(r"^\s*([<>≤≥]?)=?\s*([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*$")


def read_record_table(name: str, table: pd.DataFrame, zone: str, faults: Faults) -> pd.DataFrame:
    """Read one table of records; what is wrong with it joins the faults.

    Parameters
    ----------
    name : of the table, such as "measurements"
    table : as it was exported
    zone : time zone whose days count; times with an offset are moved to it
    faults : gathers what is wrong

    Returns
    -------
    The columns of the schema and ``patient`` and ``id`` first, empty where the table has none;
    further columns are kept as text
    """
    schema = SCHEMAS[name]
    table = _named(table, schema.aliases)
    for column in schema.required:
        faults.attempt(_need, name, table, column)
    read = pd.DataFrame(index=table.index)
    if "patient" in schema.required:
        read["patient"] = _labels(table, "patient")
        faults.attempt(_refuse_empty, read["patient"], name, "patient")
    numbered = pd.Series([f"{name}-{row}" for row in range(len(table))], index=table.index)
    read["id"] = _labels(table, schema.key) if schema.key in table else numbered.astype(object)
    faults.attempt(_refuse_repeated, read["id"], name, schema.key)
    for column, cells in schema.columns.items():
        if column not in table:
            read[column] = _absent(column, cells, schema, len(table))
        elif cells == "time":
            read[column] = faults.attempt(_times, table[column], f"{name}.{column}", zone)
        elif cells == "number":
            read[column] = faults.attempt(_numbers, table[column], f"{name}.{column}")
        else:
            read[column] = _labels(table, column)
    if "value" in schema.columns and "value" in table:
        read["number"], read["sign"] = split_values(read["value"])
    further = [c for c in table.columns if c not in read and c not in (schema.key, "patient")]
    return read.assign(**{str(c): _labels(table, c) for c in further}).reset_index(drop=True)


def split_values(values: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Split results into numbers and signs: "<20" has no number and the sign "<".

    Parameters
    ----------
    values : texts; a word instead of a number has neither

    Returns
    -------
    Numbers (NaN where there is none or only a bound), and signs ("" where there is none)
    """
    parts = values.astype(str).str.extract(SIGNED)
    sign = parts[0].fillna("").replace({"≤": "<", "≥": ">"})
    number = pd.to_numeric(parts[1], errors="coerce").astype(np.float64)
    return number.where(sign == ""), sign.astype(object)


def _named(table: pd.DataFrame, aliases: dict[str, str]) -> pd.DataFrame:
    """Give columns the names of the schema; where a table has both, one fills the other's gaps."""
    for old, new in aliases.items():
        if old in table.columns and new in table.columns:
            is_empty = table[new].isna() | (table[new].astype(str).str.strip() == "")
            table = table.assign(**{new: table[new].where(~is_empty, table[old])}).drop(columns=old)
        elif old in table.columns:
            table = table.rename(columns={old: new})
    return table


def _absent(column: str, cells: str, schema: Schema, n: int) -> Any:
    """Fill a column that an export has not: every record of it counts."""
    if cells == "time":
        return pd.Series(pd.NaT, index=range(n), dtype="datetime64[us]").array
    if cells == "number":
        return np.full(n, np.nan)
    return schema.counted[0] if column == schema.status and schema.counted else ""


def _labels(table: pd.DataFrame, column: str) -> pd.Series:
    cells = table[column].astype(object)
    return cells.map(lambda cell: "" if pd.isna(cell) else label_text(cell)).astype(object)


def _need(name: str, table: pd.DataFrame, column: str) -> None:
    if column not in table.columns:
        raise fault_error(
            "missing-column",
            f"Records: the table {name} must have a column {column!r}; it has "
            f"{', '.join(map(str, table.columns))}.{did_you_mean(column, table.columns)}",
            column=column,
        )


def _refuse_empty(labels: pd.Series, name: str, column: str) -> None:
    refuse_rows(
        (labels == "").to_numpy(dtype=bool),
        labels.index,
        column=column,
        role=name,
        wanted=f"name the {column} in each row",
        code="empty-cell",
    )


def _refuse_repeated(ids: pd.Series, name: str, column: str) -> None:
    refuse_rows(
        ids.duplicated().to_numpy(dtype=bool),
        ids.index,
        column=column,
        role=name,
        wanted="name each record once",
        found=lambda row: repr(ids.iloc[row]),
        remedy="Export every record once, or drop the column so that rows are numbered.",
        code="repeated-record",
    )


def _times(column: pd.Series, name: str, zone: str) -> pd.Series:
    """Moments without a zone, of the days of the declared one."""
    if pd.api.types.is_datetime64_any_dtype(column):
        moments = column
        if getattr(moments.dt, "tz", None) is not None:
            moments = moments.dt.tz_convert(zone).dt.tz_localize(None)
        return moments.astype("datetime64[us]")
    text = column.astype(object).map(lambda cell: "" if pd.isna(cell) else str(cell).strip())
    has_offset = text.str.contains(r"(?:Z|[+-]\d{2}:?\d{2})$", regex=True) & text.str.contains(":")
    plain = pd.to_datetime(
        text.where(~has_offset & (text != "")), errors="coerce", format="ISO8601"
    )
    moved = pd.to_datetime(text.where(has_offset), errors="coerce", format="ISO8601", utc=True)
    moments = plain.astype("datetime64[us]").fillna(
        moved.dt.tz_convert(zone).dt.tz_localize(None).astype("datetime64[us]")
    )
    refuse_rows(
        ((text != "") & moments.isna()).to_numpy(dtype=bool),
        column.index,
        column=name,
        role="time",
        wanted="hold dates as 2026-03-31 or moments as 2026-03-31T08:00:00+08:00",
        found=lambda row: repr(text.iloc[row]),
        remedy="Write year, month and day in this order, so that none is confused.",
    )
    return moments


def _numbers(column: pd.Series, name: str) -> pd.Series:
    text = column.astype(object).map(lambda cell: "" if pd.isna(cell) else str(cell).strip())
    numbers = pd.to_numeric(text.where(text != ""), errors="coerce").astype(np.float64)
    refuse_rows(
        ((text != "") & ~np.isfinite(numbers)).to_numpy(dtype=bool),
        column.index,
        column=name,
        role="number",
        wanted="hold finite numbers",
        found=lambda row: repr(text.iloc[row]),
    )
    return numbers
