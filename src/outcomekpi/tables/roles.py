"""Roles: which column of a table is what, and reading each accordingly."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError
from outcomekpi.tables.columns import count_of, holds_numbers, holds_text, list_values, read_numbers
from outcomekpi.tables.events import read_events
from outcomekpi.tables.faults import Faults
from outcomekpi.tables.labels import Labels, read_labels
from outcomekpi.tables.schema import name_columns
from outcomekpi.tables.spoilt_numbers import NUMBER

__all__ = ["ReadColumns", "check_roles", "open_table", "read_roles"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadColumns:
    """The columns with a role, read but not yet checked: NaN or code -1 where missing."""

    outcome: NDArray[np.float64]
    doctor: Labels
    hospital: Labels | None
    period: Labels | None
    patient: Labels | None
    trials: NDArray[np.float64] | None
    exposure: NDArray[np.float64] | None
    offset: NDArray[np.float64] | None
    event: str | None
    log: tuple[str, ...]


def open_table(frame: Any) -> tuple[pd.DataFrame, list[str]]:
    """Return any eager table as a pandas one that later changes of the original do not reach.

    Raises
    ------
    CasesError
        Not a table, a lazy table, no columns, no rows, or column names that cannot be used.
    """
    log = []
    if not isinstance(frame, pd.DataFrame):
        frame = _to_pandas(frame)
        log.append("The table was converted to pandas.")
    names = list(frame.columns)
    if isinstance(frame.columns, pd.MultiIndex):
        raise CasesError(
            "The table must have one name per column; it has "
            f"{frame.columns.nlevels} levels of names. Flatten them first."
        )
    _check_unique(names)
    numbers = [name for name in names if not isinstance(name, str)]
    if numbers:
        raise CasesError(
            f"Column names must be text; {len(numbers):,} of {len(names):,} are not: "
            f"{list_values(numbers)}. Rename them: table.columns = table.columns.map(str)."
        )
    if not names:
        raise CasesError("The table is empty: it has no columns. Check the file it comes from.")
    if not len(frame):
        raise CasesError(
            f"The table has a header ({list_values(names)}) but no rows. "
            "Check the file it comes from."
        )
    return frame.copy(deep=False), log


def _to_pandas(frame: Any) -> pd.DataFrame:
    import narwhals as nw
    from narwhals.exceptions import DuplicateError

    kind = f"{type(frame).__module__.partition('.')[0]}.{type(frame).__name__}"
    try:
        table: pd.DataFrame = nw.from_native(frame, eager_only=True).to_pandas()
        return table
    except DuplicateError:
        _check_unique(list(frame.column_names))
        raise
    except TypeError as error:
        lazy = "collect" in dir(frame) or "compute" in dir(frame)
        remedy = "Call its collect() first." if lazy else "Pass it through pandas.DataFrame first."
        raise CasesError(
            f"Cases must come as a pandas, Polars or PyArrow table; got {kind}. {remedy}"
        ) from error


def _check_unique(names: list[Any]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise CasesError(
            f"Column names must be unique; {count_of(len(twice), 'name')} found more than once: "
            f"{list_values(twice)}. Rename or drop the copies."
        )


def check_roles(table: pd.DataFrame, named: Mapping[str, Any]) -> dict[str, str]:
    """Return role -> column for the roles that were named, once each is a column of its own.

    Raises
    ------
    CasesError
        A name that is no text or no column, or one column in two roles.
    """
    roles = name_columns(table, named, required=("outcome", "doctor"))
    if "trials" in roles and "exposure" in roles:
        raise CasesError(
            "An outcome is counted either out of trials or over an exposure; got both, "
            f"{roles['trials']!r} and {roles['exposure']!r}. Leave one out."
        )
    return roles


def read_roles(
    table: pd.DataFrame,
    roles: Mapping[str, str],
    event: object,
    no_event: object = None,
    *,
    faults: Faults,
) -> tuple[ReadColumns, frozenset[str]]:
    """Read every column that has a role; missing values become NaN or code -1.

    Returns
    -------
    columns, unread : and the roles whose columns cannot be read, which hold nothing
    """
    log: list[str] = []
    read: dict[str, Any] = {}
    for role in ("doctor", "hospital", "period", "patient"):
        if role in roles:
            read[role] = faults.attempt(read_labels, table[roles[role]], role)
    for role in ("trials", "exposure", "offset"):
        if role in roles:
            read[role] = faults.attempt(read_numbers, table[roles[role]], role)
    outcome = faults.attempt(_read_outcome, table[roles["outcome"]], roles, event, no_event)
    read["outcome"] = outcome
    unread = frozenset(role for role, found in read.items() if found is None)
    for role in ("doctor", "hospital"):
        if read.get(role) is not None and holds_numbers(table[roles[role]]):
            example = next(iter(read[role].names), "")
            log.append(
                f"The numbers in column {roles[role]!r} ({role}) are kept as text, "
                f"such as {example!r}."
            )
    nobody = Labels(names=[""], code=np.zeros(len(table), dtype=np.intp))
    values, label, sentences = outcome or (np.zeros(len(table)), None, [])
    columns = ReadColumns(
        outcome=values,
        doctor=read["doctor"] or nobody,
        hospital=read.get("hospital"),
        period=read.get("period"),
        patient=read.get("patient"),
        trials=read.get("trials"),
        exposure=read.get("exposure"),
        offset=read.get("offset"),
        event=label,
        log=(*log, *sentences),
    )
    return columns, unread


def _read_outcome(
    column: pd.Series, roles: Mapping[str, str], event: object, no_event: object
) -> tuple[NDArray[np.float64], str | None, list[str]]:
    if event is None and no_event is not None:
        raise CasesError("no_event names values beside the event; name the event too: event=...")
    if event is not None:
        if "trials" in roles:
            raise CasesError(
                f"event={event!r} picks the event value of single patients; with trials, the "
                f"outcome column {column.name!r} counts the events of each row. "
                "Leave out event or trials."
            )
        events, label, others = read_events(column, event, no_event)
        rest = f"; {list_values(others)} counts as no event" if others else ""
        return events, label, [f"The event is {label!r} in column {column.name!r}{rest}."]
    if holds_text(column) and not {"trials", "exposure"} & set(roles):
        names = read_labels(column, "outcome").names
        if len(names) > 2 and sum(NUMBER.fullmatch(name) is not None for name in names) > 1:
            return read_numbers(column, "outcome"), None, []  # refuses the cells that are none
        remedy = f"Pass event={names[-1]!r} or another of these values to say which is the event."
        if any(str(name).rstrip().endswith(("%", "％")) for name in names):
            remedy = (
                "A rate alone does not say of how many: give one row per patient, or counts of "
                "events with trials=, the column of patients."
            )
        raise CasesError(
            f"Outcome column {column.name!r} must hold 0 and 1 (or booleans); it holds text or "
            f"categories. Values seen: {list_values(names)}. {remedy}"
        )
    return read_numbers(column, "outcome"), None, []
