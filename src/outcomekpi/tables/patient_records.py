"""Records of patients over time: the tables that goals are judged on, checked once."""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError, SpecError, did_you_mean
from outcomekpi.declare.showing import show_html
from outcomekpi.tables.columns import holds_text
from outcomekpi.tables.faults import Faults, fault_error, refuse_rows
from outcomekpi.tables.hba1c import check_hba1c_readings
from outcomekpi.tables.labels import read_labels
from outcomekpi.tables.missing_codes import warn_of_code
from outcomekpi.tables.number_text import describe_two_readings

__all__ = [
    "DAYS_PER_MONTH",
    "PatientRecords",
    "Readings",
    "column_numbers",
    "months_by_patient",
    "require_columns",
]

Array = NDArray[np.float64]
Readings = Literal["mean", "each"]

DAYS_PER_MONTH = 365.25 / 12
ENCOUNTERS = ("patient", "day", "kind")


# Columns of numbers in the tables of patients: read as numbers, or refused where they are not
DATES = (date, timedelta, np.datetime64, np.timedelta64)


def column_numbers(
    table: pd.DataFrame,
    column: str,
    which: str,
    *,
    wanted: str,
    dates: str = "",
    missing: bool = True,
) -> Array:
    """Read a column as numbers, without guessing.

    Parameters
    ----------
    table : with a column ``patient``
    column, which : name of the column, and of the table in messages
    wanted : what the column must hold
    dates : what to do about dates; for messages
    missing : whether values may be missing

    Returns
    -------
    (row,), missing where not known

    Raises
    ------
    CasesError
        Dates, text, infinite or, unless they may be, missing values: how many, the first and whose.
    """
    values, patients = table[column], table["patient"].tolist()
    cells = values.tolist()

    def show(row: int) -> str:
        cell = str(cells[row]) if isinstance(cells[row], DATES) else repr(cells[row])
        return f"{cell} of patient {patients[row]!r}"

    refuse = partial(refuse_rows, index=values.index, column=column, role=which, found=show)
    known = values.notna().to_numpy()
    if pd.api.types.is_numeric_dtype(values):
        found = values.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        is_date = np.array([isinstance(cell, DATES) for cell in cells], dtype=bool) & known
        refuse(is_date, wanted=f"hold {wanted}, no dates or times", remedy=dates)
        doubt = describe_two_readings(values, values.index) if holds_text(values) else None
        if doubt is not None:
            said = f"Column {column!r} ({which}) must hold {wanted}. {doubt}"
            raise fault_error("two-readings", said, column=column)
        numbers = pd.to_numeric(values.astype(object), errors="coerce")
        found = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
        advice = "Text such as '7,1' or '<6.0' has to become a number before, or missing."
        refuse(known & np.isnan(found), wanted=f"hold {wanted}", remedy=advice)
    infinite = "Give the value itself, or leave it missing."
    refuse(np.isinf(found), wanted="hold finite numbers", remedy=infinite)
    if not missing:
        absent = "Find the value, or drop the row and say so."
        refuse(np.isnan(found), wanted=f"hold {wanted} in each row", remedy=absent)
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PatientRecords:
    """Patients, what was measured on them month by month, and what happened to them.

    Attributes
    ----------
    patients : one row per ``patient``, with the columns that goals and payees name: flags such as
        ``diabetes`` (True, False), ``doctor``, ``responsible``, ``team``
    measurements : rows of ``patient`` and ``month`` (0 and before: before the program acts), one
        column per measure, missing where not measured; several rows in a month are several
        readings
    months : last month of follow-up: records are complete up to its end
    encounters : rows of ``patient``, ``day`` (days since the end of month 0) and ``kind`` (such as
        "hf_admission", "death"); None where nothing of the sort is recorded: goals on events then
        refuse. An empty table says that nothing happened

    Raises
    ------
    CasesError
        A column that is missing, a patient twice or unknown, months that are no whole numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> from outcomekpi import PatientRecords
    >>> patients = pd.DataFrame({"patient": [1], "doctor": ["A"], "diabetes": [True]})
    >>> hba1c = pd.DataFrame({"patient": [1, 1], "month": [0, 12], "hba1c": [8.1, 6.9]})
    >>> PatientRecords(patients=patients, measurements=hba1c, months=12)
    PatientRecords: 1 patient, 2 rows of measurements, no encounters given, 12 months of follow-up
    """

    patients: pd.DataFrame
    measurements: pd.DataFrame
    months: int
    encounters: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        if isinstance(self.months, bool) or not isinstance(self.months, int) or self.months < 1:
            raise SpecError(
                f"PatientRecords.months must be a whole number from 1; got {self.months!r}."
            )
        faults = Faults()
        tables = {
            "patients": (self.patients, ("patient",)),
            "measurements": (self.measurements, ("patient", "month")),
            "encounters": (self.encounters, ENCOUNTERS),
        }
        for which, (table, needed) in tables.items():
            if table is not None:
                faults.attempt(require_columns, table, needed, which)
        faults.raise_all()
        faults.attempt(_check_patients, self.patients)
        faults.attempt(_check_strangers, self.measurements, "measurements", self.patients)
        faults.attempt(_check_months, self.measurements)
        if self.encounters is not None:
            faults.attempt(_check_strangers, self.encounters, "encounters", self.patients)
            faults.attempt(_check_encounters, self.encounters)
        faults.raise_all()

    def eligible(self, population: tuple[str, ...]) -> pd.Index:
        """Patients with any of these flags; all patients without one.

        Raises
        ------
        CasesError
            A flag that is no column of True and False.
        """
        everybody: pd.Index = pd.Index(self.patients["patient"], name="patient")
        if not population:
            return everybody
        require_columns(self.patients, population, "patients")
        chosen: NDArray[np.bool_] = np.zeros(len(everybody), dtype=bool)
        for flag in population:
            values = self.patients[flag]
            neither = ~values.isin([0, 1])
            if neither.any():
                raise CasesError(
                    f"patients[{flag!r}] must hold True and False; {int(neither.sum())} of "
                    f"{len(values)} values are neither."
                )
            chosen |= values.to_numpy(dtype=bool)
        found: pd.Index = everybody[chosen]
        return found

    def __repr__(self) -> str:
        n = len(self.patients)
        events = "no encounters given"
        if self.encounters is not None:
            events = f"{len(self.encounters):,} encounters"
        return (
            f"PatientRecords: {n:,} patient{'' if n == 1 else 's'}, "
            f"{len(self.measurements):,} rows of measurements, {events}, "
            f"{self.months} months of follow-up"
        )

    def _repr_html_(self) -> str:
        return show_html(self, self.patients.head(8), index=False)


def _check_patients(patients: pd.DataFrame) -> None:
    """Refuse a patient in several rows, or in several spellings."""
    read_labels(patients["patient"], "patient")
    again = patients["patient"].duplicated().to_numpy()
    if again.any():
        first = patients["patient"].tolist()[int(again.argmax())]
        raise fault_error(
            "repeated-patient",
            f"patients must have one row per patient; {int(again.sum())} of {len(patients)} rows "
            f"repeat one, the first {first!r}.",
            column="patient",
            first_row=patients.index[int(again.argmax())],
            count=int(again.sum()),
        )


def _check_strangers(table: pd.DataFrame, which: str, patients: pd.DataFrame) -> None:
    """Refuse rows of patients who are not in the table of patients."""
    strange = ~table["patient"].isin(patients["patient"]).to_numpy()
    if strange.any():
        first = table["patient"].tolist()[int(strange.argmax())]
        raise fault_error(
            "unknown-patient",
            f"{int(strange.sum())} of {len(table)} rows of {which} are of patients who are not in "
            f"patients, the first {first!r}.",
            column="patient",
            first_row=table.index[int(strange.argmax())],
            count=int(strange.sum()),
        )


def _check_months(table: pd.DataFrame) -> None:
    month = pd.to_numeric(table["month"], errors="coerce").to_numpy(dtype=np.float64)
    found = table["month"].tolist()
    refuse_rows(
        ~(month % 1 == 0),
        table.index,
        column="month",
        role="measurements",
        wanted="hold whole numbers; month 0 is baseline",
        found=lambda row: repr(found[row]),
        remedy="Count the months from the baseline.",
    )


def _check_encounters(table: pd.DataFrame) -> None:
    """Refuse encounters whose day or kind cannot be read."""
    column_numbers(
        table,
        "day",
        "encounters",
        wanted="days since the end of month 0",
        dates="Subtract the date that ends month 0: (date - end_of_month_0).dt.days",
        missing=False,
    )
    patients = table["patient"].tolist()
    refuse_rows(
        table["kind"].isna().to_numpy(),
        table.index,
        column="kind",
        role="encounters",
        wanted="name the kind in each row",
        found=lambda row: f"of patient {patients[row]!r}",
        remedy="Name the kind, or drop the row.",
        code="empty-cell",
    )


def require_columns(table: pd.DataFrame, names: tuple[str, ...], which: str) -> None:
    """Raise a :class:`CasesError` unless a table has these columns."""
    for name in names:
        if name not in table.columns:
            hint = did_you_mean(name, table.columns)
            raise fault_error(
                "missing-column",
                f"{which} must have a column {name!r}; it has "
                f"{', '.join(map(str, table.columns))}.{hint}",
                column=name,
            )


def months_by_patient(
    records: PatientRecords,
    measure: str,
    patients: pd.Index,
    *,
    first: int,
    last: int,
    readings: Readings = "mean",
    fewest: int = 1,
    bars: tuple[float, ...] = (),
) -> Array:
    """Lay a measure out by patient and month.

    Parameters
    ----------
    records : tables
    measure : column of the measurements
    patients : rows wanted
    first, last : months wanted, both included
    readings : the "mean" of the readings of a month, or the highest one ("each" must pass a bar)
    fewest : readings that a month needs; with fewer it counts as not measured
    bars : that readings are held against; HbA1c in another unit than its bar is refused

    Returns
    -------
    (patient, month), missing where not measured
    """
    require_columns(records.measurements, (measure,), "measurements")
    table = records.measurements
    value = column_numbers(table, measure, "measurements", wanted="readings as numbers")
    check_hba1c_readings(measure, value, bars)
    warn_of_code(measure, value, table.index, what="Measure")
    month = table["month"].to_numpy(dtype=np.int64)
    row = patients.get_indexer(pd.Index(table["patient"]))
    used = (row >= 0) & (month >= first) & (month <= last) & np.isfinite(value)
    shape = (len(patients), last - first + 1)
    cell = row[used] * shape[1] + (month[used] - first)
    size = shape[0] * shape[1]
    count = np.bincount(cell, minlength=size)
    if readings == "mean":
        total = np.bincount(cell, weights=value[used], minlength=size)
        found = total / np.maximum(count, 1)
    else:
        found = np.full(size, -np.inf)
        np.maximum.at(found, cell, value[used])
    return np.where(count >= fewest, found, np.nan).reshape(shape)
