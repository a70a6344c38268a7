"""Integrity of a table of cases: complete, finite, countable, nested, and worth comparing."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError
from outcomekpi.tables.columns import count_of, describe_row, spell
from outcomekpi.tables.faults import Faults, fault_error, refuse_rows
from outcomekpi.tables.labels import Labels, compact_labels
from outcomekpi.tables.missing_codes import warn_of_code
from outcomekpi.tables.roles import ReadColumns
from outcomekpi.tables.schema import Role, check_numbers_of
from outcomekpi.tables.totals import refuse_totals

__all__ = ["check_table", "check_variation", "find_hospitals"]

ROWS = "Correct or remove these rows."


class HasOutcome(Protocol):
    """Whatever carries the arrays of an outcome: columns just read, or cases."""

    @property
    def outcome(self) -> NDArray[np.float64]: ...
    @property
    def trials(self) -> NDArray[np.float64] | None: ...
    @property
    def exposure(self) -> NDArray[np.float64] | None: ...


def check_table(
    table: pd.DataFrame,
    roles: Mapping[str, str],
    read: ReadColumns,
    missing: str,
    unread: Collection[str],
    faults: Faults,
) -> tuple[pd.DataFrame, ReadColumns, list[str]]:
    """Run every check that the columns that could be read allow, and gather what they refuse.

    Returns
    -------
    table, columns and sentences for the log: without the rows that miss a value, also where
    ``missing`` refuses such rows, so that the others can be looked at
    """
    given = {role: column for role, column in roles.items() if role not in unread}
    found = faults.attempt(check_missing, table, given, read, missing)
    if found is None:
        found = faults.attempt(check_missing, table, given, read, "drop")
        if found is None:
            return table, read, []
    table, read, excluded = found
    checks: tuple[tuple[Callable[..., object], set[str]], ...] = (
        (check_numbers, set()),
        (check_outcome, {"outcome", "trials", "exposure"}),
        (check_totals, {"outcome", "trials", "exposure"}),
        (check_duplicates, {"patient", "doctor", "hospital", "period"}),
        (find_hospitals, {"doctor", "hospital"}),
    )
    before = len(faults)
    for check, needed in checks:
        if not needed & set(unread):
            faults.attempt(check, table, given, read)
    if not {"outcome", "doctor", "trials", "exposure"} & set(unread) and len(faults) == before:
        faults.attempt(check_variation, given, read, compact_labels(read.doctor)[0])
    return table, read, excluded


def check_missing(
    table: pd.DataFrame, roles: Mapping[str, str], read: ReadColumns, policy: str
) -> tuple[pd.DataFrame, ReadColumns, list[str]]:
    """Refuse or exclude the rows in which a column with a role has no value.

    Returns
    -------
    table, columns and the sentence for the log; the same objects where nothing is missing

    Raises
    ------
    CasesError
        Values are missing and ``policy`` is "error", or no row is complete.
    """
    gaps = {role: _is_missing(getattr(read, role)) for role in roles}
    counts = {role: int(gap.sum()) for role, gap in gaps.items()}
    if not any(counts.values()):
        return table, read, []
    rows = np.logical_or.reduce(list(gaps.values()))
    listed = ", ".join(f"{n:,} in {roles[role]!r} ({role})" for role, n in counts.items() if n)
    if policy == "error":
        raise fault_error(
            "empty-cell",
            f"Every case needs its outcome, its doctor and whatever role is named. "
            f"{int(rows.sum()):,} of {rows.size:,} rows have missing or blank values: {listed}; "
            f"the first at index {spell(table.index[rows.argmax()])}. "
            "Complete them, or pass missing='drop' to exclude these rows.",
            first_row=table.index[int(rows.argmax())],
            count=int(rows.sum()),
        )
    sentence = (
        f"Excluded {int(rows.sum()):,} of {rows.size:,} rows with missing or blank values: "
        f"{listed}."
    )
    if rows.all():
        raise CasesError(f"No case is left. {sentence}")
    kept = np.flatnonzero(~rows)
    return table.iloc[kept], _take_rows(read, kept), [sentence]


def _is_missing(values: NDArray[np.float64] | Labels) -> NDArray[np.bool_]:
    return values.code < 0 if isinstance(values, Labels) else np.isnan(values)


def _take_rows(read: ReadColumns, kept: NDArray[np.intp]) -> ReadColumns:
    changes: dict[str, Any] = {}
    for field in fields(read):
        value = getattr(read, field.name)
        if isinstance(value, Labels):
            changes[field.name] = Labels(names=value.names, code=value.code[kept])
        elif isinstance(value, np.ndarray):
            changes[field.name] = value[kept]
    return replace(read, **changes)


SIZES = (
    Role(
        name="trials",
        wanted="count the patients of each row: whole numbers, 1 or more",
        lowest=1,
        whole=True,
        remedy=ROWS,
    ),
    Role(
        name="exposure",
        wanted="hold time or volume at risk, greater than 0",
        lowest=0,
        above=True,
        remedy=ROWS,
    ),
    Role(name="outcome", remedy=ROWS),
    Role(name="offset", remedy=ROWS),
)
COUNT = Role(
    name="outcome",
    wanted="hold whole numbers of events, 0 or more",
    lowest=0,
    whole=True,
    remedy=ROWS,
)


def check_numbers(table: pd.DataFrame, roles: Mapping[str, str], read: ReadColumns) -> None:
    """Refuse infinite values, trials that count no patients and exposures that are not positive."""
    for role in SIZES:
        values = getattr(read, role.name)
        if values is not None and role.name in roles:
            check_numbers_of(values, role, roles[role.name], table.index)


def check_totals(table: pd.DataFrame, roles: Mapping[str, str], read: ReadColumns) -> None:
    """Refuse a row of sums, where rows hold counts out of trials or over an exposure."""
    if read.trials is not None or read.exposure is not None:
        given = {role: getattr(read, role) for role in ("outcome", "trials", "exposure")}
        counted = {roles[role]: values for role, values in given.items() if values is not None}
        refuse_totals(counted, table.index)


def check_outcome(table: pd.DataFrame, roles: Mapping[str, str], read: ReadColumns) -> None:
    """Refuse counts that are none, more events than trials, and two values other than 0 and 1."""
    y, name = read.outcome, roles["outcome"]
    if read.trials is not None or read.exposure is not None:
        check_numbers_of(y, COUNT, name, table.index)
    if read.trials is not None:
        n = read.trials
        refuse_rows(
            y > n,
            table.index,
            column=name,
            role="outcome",
            wanted=f"hold at most as many events as there are {roles['trials']!r} (trials)",
            found=lambda row: f"{y[row]:g} events, {n[row]:g} trials",
            remedy="Correct these rows, or check that the two columns were not swapped.",
            code="more-events-than-trials",
        )
    elif read.exposure is None and not ((y == 0) | (y == 1)).all():
        values = pd.unique(y)
        if len(values) == 2:
            low, high = sorted(values.tolist())
            wrong = (y != 0) & (y != 1)
            raise CasesError(
                f"Outcome column {name!r} must hold only 0 and 1. "
                f"{describe_row(table.index, wrong)}; values seen: {low:g}, {high:g}. "
                f"Pass event={high:g} (or event={low:g}) to say which value is the event."
            )
        warn_of_code(name, y, table.index)


def check_duplicates(table: pd.DataFrame, roles: Mapping[str, str], read: ReadColumns) -> None:
    """Refuse the same patient twice with the same doctor in the same period."""
    if read.patient is None:
        return
    key = read.patient.code.astype(np.int64)
    for labels in (read.doctor, read.hospital, read.period):
        if labels is not None:
            key = key * len(labels.names) + labels.code
    again = pd.Series(key).duplicated().to_numpy()
    if not again.any():
        return
    first = int(again.argmax())
    names = ", ".join(
        f"{roles[role]!r}" for role in ("doctor", "hospital", "period") if role in roles
    )
    patient = read.patient.names[read.patient.code[first]]
    raise fault_error(
        "repeated-patient",
        f"Each patient ({roles['patient']!r}) may appear once for the same {names}. "
        f"{int(again.sum()):,} of {again.size:,} rows repeat an earlier one, the first at index "
        f"{spell(table.index[first])} (patient {patient!r}). Remove the copies; if they are "
        "separate episodes, name a period, or leave patient out.",
        column=roles["patient"],
        first_row=table.index[first],
        count=int(again.sum()),
    )


def find_hospitals(
    table: pd.DataFrame, roles: Mapping[str, str], read: ReadColumns
) -> tuple[pd.Index | None, NDArray[np.intp] | None]:
    """Find the one hospital of each doctor.

    Raises
    ------
    CasesError
        A doctor has cases in more than one hospital.
    """
    if read.hospital is None:
        return None, None
    doctors, _ = compact_labels(read.doctor)
    hospitals, _ = compact_labels(read.hospital)
    of_doctor = np.empty(len(doctors.names), dtype=np.intp)
    of_doctor[doctors.code[::-1]] = hospitals.code[::-1]
    elsewhere = hospitals.code != of_doctor[doctors.code]
    if elsewhere.any():
        moving = np.unique(doctors.code[elsewhere])
        row = elsewhere.argmax()
        doctor = doctors.code[row]
        one, two = hospitals.names[of_doctor[doctor]], hospitals.names[hospitals.code[row]]
        raise fault_error(
            "doctor-in-two-hospitals",
            f"Each doctor must belong to one hospital. {moving.size:,} of "
            f"{count_of(len(doctors.names), 'doctor')} have cases in more than one, the first "
            f"{doctors.names[doctor]!r} (in {one!r} and, at index {spell(table.index[row])}, in "
            f"{two!r}). If different people share an identifier, or one person should be judged in "
            f"each hospital, combine the two columns: table['doctor_in_hospital'] = "
            f"table[{roles['hospital']!r}].astype(str) + '/' + "
            f"table[{roles['doctor']!r}].astype(str).",
            column=roles["hospital"],
            first_row=table.index[int(row)],
            count=int(moving.size),
        )
    return pd.Index(hospitals.names, name="hospital"), of_doctor


def check_variation(roles: Mapping[str, str], read: HasOutcome, doctors: Labels) -> None:
    """Refuse cases that have nothing to compare: one doctor, no events, or only events."""
    if len(doctors.names) < 2:
        raise CasesError(
            f"At least two doctors are needed to compare; column {roles['doctor']!r} has one, "
            f"{doctors.names[0]!r}. Check that it is the right column."
        )
    y, name = read.outcome, roles["outcome"]
    if not y.any():
        raise CasesError(
            f"Outcome column {name!r} has no events at all in {count_of(y.size, 'row')}: there is "
            "no rate to model. Check the column and the event value."
        )
    full = read.trials if read.trials is not None else np.ones(1)
    if read.exposure is None and (y == full).all():
        raise CasesError(
            f"Outcome column {name!r} has only events in {count_of(y.size, 'row')}: there is no "
            "rate to model. Check the column and the event value."
        )
    if read.exposure is None and read.trials is None and (y == y[0]).all():
        raise CasesError(
            f"Outcome column {name!r} holds one value only, {y[0]:g}, in "
            f"{count_of(y.size, 'row')}: there is nothing to model. Check the column."
        )
