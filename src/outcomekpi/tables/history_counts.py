"""Counts, completions and targets of a history, read and checked."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError
from outcomekpi.tables.columns import count_of, holds_text, read_numbers

__all__ = ["read_counts", "read_targets"]

Array = NDArray[np.float64]

# a completion printed with two decimals (or a whole percent) is off by half a unit at most
ROUNDING = 0.005 + 1e-9


def read_counts(
    table: pd.DataFrame, roles: dict[str, str], *, percent: bool
) -> tuple[dict[str, Array], list[str]]:
    """Numerators and denominators as whole numbers; completions are turned back into counts.

    Returns
    -------
    columns, log : ``numerator`` and ``denominator`` (row,), and what was converted

    Raises
    ------
    CasesError
        Missing, negative or broken counts, numerators above denominators, completions outside 0
        to 1 or ones that the denominator cannot give.
    """
    denominator = _whole(table, roles["denominator"], "denominator")
    if "numerator" in roles:
        numerator = _whole(table, roles["numerator"], "numerator")
        column = roles["numerator"]
        _refuse(
            numerator > denominator,
            table.index,
            f"Numerators in {column!r} must not exceed their denominators in "
            f"{roles['denominator']!r}.",
            lambda i: f"{numerator[i]:g} of {denominator[i]:g}",
            "Are the columns swapped?"
            if (numerator >= denominator).all()
            else "Correct the table.",
        )
        return {"numerator": numerator, "denominator": denominator}, []
    share = _share(table, roles["completion"], "completion", percent=percent)
    numerator = np.round(share * denominator)
    exact = np.divide(numerator, denominator, out=np.zeros_like(share), where=denominator > 0)
    gap = np.where(denominator > 0, np.abs(share - exact), 0.0)
    _refuse(
        gap > ROUNDING,
        table.index,
        f"Completions in {roles['completion']!r} must be shares of the denominators in "
        f"{roles['denominator']!r}.",
        lambda i: f"{share[i]:.4g} of {denominator[i]:g}, which no whole count gives",
        "Pass the numerators instead.",
    )
    return {"numerator": numerator, "denominator": denominator}, [
        "Numerators were worked out as completion x denominator, rounded to whole counts; "
        f"no completion changed by more than {gap.max():.4f}."
    ]


def read_targets(table: pd.DataFrame, roles: dict[str, str], *, percent: bool) -> Array:
    """Targets as shares above 0; NaN without a column of targets or where a cell is empty."""
    if "target" not in roles:
        return np.full(len(table), np.nan)
    column = roles["target"]
    target = _share(table, column, "target", percent=percent, may_miss=True)
    _refuse(
        target <= 0,
        table.index,
        f"Targets in {column!r} must lie above 0.",
        lambda i: f"{target[i]:g}",
        "Leave the cell empty where there is no target.",
    )
    return target


def _whole(table: pd.DataFrame, column: str, role: str) -> Array:
    values = read_numbers(table[column], role)
    index = table.index
    _refuse(
        ~np.isfinite(values),
        index,
        f"Column {column!r} ({role}) must hold a count in every row.",
        lambda i: f"{values[i]}",
        "Fill it in, or drop those rows: a missing cycle is then named as missing.",
    )
    _refuse(
        values < 0,
        index,
        f"Column {column!r} ({role}) must hold counts from 0.",
        lambda i: f"{values[i]:g}",
        "Correct the table.",
    )
    remedy = "Correct the table."
    if role == "numerator" and bool(((values >= 0) & (values <= 1)).all()):
        remedy = f"Is it a completion? Then pass completion={column!r} in place of numerator."
    _refuse(
        values != np.round(values),
        index,
        f"Column {column!r} ({role}) must hold whole counts.",
        lambda i: f"{values[i]:g}",
        remedy,
    )
    return values


def _share(
    table: pd.DataFrame, column: str, role: str, *, percent: bool, may_miss: bool = False
) -> Array:
    values = read_numbers(_without_signs(table[column], role, percent=percent), role)
    if not may_miss:
        _refuse(
            np.isnan(values),
            table.index,
            f"Column {column!r} ({role}) must hold a share in every row.",
            lambda i: "nothing",
            "Fill it in, or drop those rows: a missing cycle is then named as missing.",
        )
    shares = values / 100 if percent else values
    seen = values[~np.isnan(values)]
    looks_percent = (
        not percent and seen.size and seen.min() >= 0 and np.median(seen) > 1 and seen.max() <= 100
    )
    remedy = (
        "Did you mean percent: pass percent=True."
        if looks_percent
        else "Correct the table, or pass numerators."
    )
    _refuse(
        (shares < 0) | (shares > 1),
        table.index,
        f"Column {column!r} ({role}) must lie between 0 and {'100' if percent else '1'}.",
        lambda i: f"{values[i]:g}",
        remedy,
    )
    if percent and seen.size and 0 < seen.max() <= 1:
        raise CasesError(
            f"Column {column!r} ({role}) was said to be in percent, and no value is above 1: the "
            f"largest is {seen.max():g}. Leave out percent=True if these are shares."
        )
    return np.asarray(shares, dtype=np.float64)


def _without_signs(column: pd.Series, role: str, *, percent: bool) -> pd.Series:
    """Cells such as "95.2%" without their sign, where all are said to be in percent."""
    if not holds_text(column):
        return column
    cells = column.astype(object).str.strip()
    signed = cells.str.endswith(("%", "％")).fillna(False).to_numpy(dtype=bool)
    if not signed.any():
        return column
    first = f"the first at index {column.index[int(signed.argmax())]!r}"
    found = f"{int(signed.sum()):,} of {count_of(signed.size, 'row')} have a percent sign, {first}"
    if not percent:
        raise CasesError(
            f"Column {column.name!r} ({role}) must hold shares. {found}: "
            f"{cells.iloc[int(signed.argmax())]!r}. Did you mean percent: pass percent=True."
        )
    if not (signed | column.isna().to_numpy()).all():
        raise CasesError(
            f"Column {column.name!r} ({role}) must be written one way. {found}, the others none. "
            "Correct the table."
        )
    return cells.str.rstrip("%％ ")


def _refuse(
    wrong: NDArray[np.bool_], index: pd.Index, wanted: str, found: Any, remedy: str
) -> None:
    if not wrong.any():
        return
    position = int(wrong.argmax())
    verb = "does" if wrong.sum() == 1 else "do"
    raise CasesError(
        f"{wanted} {int(wrong.sum()):,} of {count_of(wrong.size, 'row')} {verb} not, the first at "
        f"index {index[position]!r}: {found(position)}. {remedy}"
    )
