"""Schema of a table: its roles, which column plays each, and what its cells must be."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import did_you_mean
from outcomekpi.tables.columns import count_of, list_values, read_numbers
from outcomekpi.tables.faults import Faults, fault_error, refuse_rows
from outcomekpi.tables.labels import Labels, read_labels

__all__ = ["Role", "check_numbers_of", "name_columns", "read_names", "read_schema", "read_values"]

SHOWN_COLUMNS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a column is, and what its cells must be.

    Attributes
    ----------
    name : such as "doctor" or "trials"; the argument that names the column
    is_label : whether the cells are labels; else numbers
    wanted : what numbers must do, in words; where empty, hold finite numbers and no more
    lowest : the smallest number that is right, or None
    above : whether ``lowest`` itself is wrong
    whole : whether numbers must be whole
    may_miss : whether cells may be empty
    remedy : what to do about wrong or empty cells
    """

    name: str
    is_label: bool = False
    wanted: str = ""
    lowest: float | None = None
    above: bool = False
    whole: bool = False
    may_miss: bool = False
    remedy: str = "Correct the table."


def name_columns(
    table: pd.DataFrame, named: Mapping[str, Any], *, required: Iterable[str] = ()
) -> dict[str, str]:
    """Return role -> column for the roles that were named, once each is a column of its own.

    Parameters
    ----------
    table : the table
    named : role -> name of its column, or None
    required : roles that must be named

    Raises
    ------
    CasesError
        A name that is no text or no column, a role without one, or one column in two roles.
    """
    faults = Faults()
    faults.attempt(_check_texts, named, tuple(required))
    roles = {role: column for role, column in named.items() if isinstance(column, str)}
    faults.attempt(_check_found, table, roles)
    faults.attempt(_check_apart, roles)
    faults.raise_all()
    return roles


def _check_texts(named: Mapping[str, Any], required: tuple[str, ...]) -> None:
    for role, column in named.items():
        if column is None and role not in required:
            continue
        if not isinstance(column, str):
            kind = "None" if column is None else type(column).__name__
            raise fault_error(
                "unnamed-role", f"{role} must be the name of a column, as text; got {kind}."
            )


def _check_found(table: pd.DataFrame, roles: Mapping[str, str]) -> None:
    missing = {role: column for role, column in roles.items() if column not in table.columns}
    if missing:
        listed = " ".join(
            f"{column!r} ({role}).{did_you_mean(column, table.columns)}"
            for role, column in missing.items()
        )
        raise fault_error(
            "missing-column",
            f"{count_of(len(missing), 'column')} not found in the table: {listed} "
            f"The columns are {list_values(table.columns, shown=SHOWN_COLUMNS)}.",
            column=next(iter(missing.values())),
            count=len(missing),
        )


def _check_apart(roles: Mapping[str, str]) -> None:
    for column, count in Counter(roles.values()).items():
        if count > 1:
            twice = " and ".join(role for role, name in roles.items() if name == column)
            raise fault_error(
                "column-in-two-roles",
                f"Each role needs a column of its own; {column!r} was named as {twice}. "
                "Name another column, or leave one role out.",
                column=column,
                count=count,
            )


def read_names(table: pd.DataFrame, column: str, role: Role) -> Labels:
    """Read a column of labels, and refuse empty cells unless they may be.

    Raises
    ------
    CasesError
        Cells that are empty, or labels that name nobody or stand in several spellings.
    """
    labels = read_labels(table[column], role.name)
    if not role.may_miss:
        refuse_rows(
            labels.code < 0,
            table.index,
            column=column,
            role=role.name,
            wanted=role.wanted or f"name the {role.name} in each row",
            remedy=role.remedy,
            code="empty-cell",
        )
    return labels


def read_values(table: pd.DataFrame, column: str, role: Role) -> NDArray[np.float64]:
    """Read a column of numbers, and refuse those that the role cannot have.

    Raises
    ------
    CasesError
        Cells that hold no numbers, are empty, or hold numbers of the wrong kind.
    """
    values = read_numbers(table[column], role.name)
    check_numbers_of(values, role, column, table.index)
    return values


def check_numbers_of(values: NDArray[np.float64], role: Role, column: str, index: pd.Index) -> None:
    """Refuse numbers that a role cannot have.

    Raises
    ------
    CasesError
        Infinite ones, missing ones where a number is needed, or ones below the lowest or broken.
    """

    def refuse(wrong: NDArray[np.bool_], wanted: str, code: str) -> None:
        refuse_rows(
            wrong,
            index,
            column=column,
            role=role.name,
            wanted=wanted,
            found=values,
            remedy=role.remedy,
            code=code,
        )

    refuse(np.isinf(values), "hold finite numbers", "infinite-number")
    missing = np.isnan(values)
    if not role.may_miss:
        refuse(missing, role.wanted or "hold a number in each row", "empty-cell")
    wrong = np.zeros(values.size, dtype=np.bool_)
    if role.lowest is not None:
        wrong |= values <= role.lowest if role.above else values < role.lowest
    if role.whole:
        wrong |= values != np.floor(values)
    refuse(wrong & ~missing, role.wanted, "wrong-number")


def read_schema(
    table: pd.DataFrame, roles: Mapping[str, str], schema: Iterable[Role], faults: Faults
) -> dict[str, Any]:
    """Read every column of a schema that was named, and gather what is wrong with any of them.

    Returns
    -------
    role -> labels or numbers, None where a column cannot be used
    """
    return {
        role.name: faults.attempt(
            read_names if role.is_label else read_values, table, roles[role.name], role
        )
        for role in schema
        if role.name in roles
    }
