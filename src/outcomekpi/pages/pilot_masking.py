"""Small cells of a pilot: whether its table may be published, cell by cell."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd

from outcomekpi.declare.errors import SpecError
from outcomekpi.pages.suppression import check_suppression, is_small
from outcomekpi.pilots.data.patient_columns import PatientColumns
from outcomekpi.pilots.data.patient_rows import PatientRows, read_patients
from outcomekpi.pilots.ladder.findings import Design

__all__ = ["check_pilot_counts", "note_pilot_counts", "tabulate_counts"]

PATIENTS = ("BeforeAfter", "DoctorEffects")
SERIES = ("InterruptedSeries", "ControlledSeries")
UNKNOWN = (
    "With suppress_below a table has to say how many patients are behind each row, and this one "
    "does not: name the column of {columns}. A mean or share without its patients cannot be "
    "checked."
)


def check_pilot_counts(data: object, design: Design, *, below: int | None) -> None:
    """Refuse to publish a pilot of which a page or file would show a small cell.

    Parameters
    ----------
    data : the table, which the design has read without complaint; or published figures, which
        are public already
    design : names the columns
    below : counts below this are small, zero included; None refuses nothing

    Raises
    ------
    SpecError
        A cell is small, or the table does not say how many patients a row has.

    Notes
    -----
    Estimates, intervals and placebos of a pilot are functions of every cell, and its pictures
    draw them. Nothing less than leaving cells out before the estimation would withhold them, and
    that is another study; so the table is refused, with what to do.
    """
    if below is None:
        return
    check_suppression(below)
    if not isinstance(data, pd.DataFrame):
        return
    counts = tabulate_counts(data, design)
    small = is_small(np.rint(counts[["count"]].to_numpy()).astype(np.int64), below)
    if not small.any():
        return
    first = counts[small].iloc[0]
    raise SpecError(
        f"With suppress_below={below} this pilot cannot be published: {int(small.sum()):,} of "
        f"{len(counts):,} counts behind its estimates and pictures are below {below}, the first "
        f"{first['what']}. Put periods or units together, or leave out a column of doctors that "
        "the design can do without."
    )


def note_pilot_counts(data: object, *, below: int | None) -> str:
    """Say what was made sure of, for the head of the page; empty where nothing was asked."""
    if below is None:
        return ""
    if not isinstance(data, pd.DataFrame):
        return "For publication: made from published figures, which withhold nothing of their own."
    return (
        f"For publication: no count of patients, of events, or of patients without the event lies "
        f"below {below} in any unit and period of this page."
    )


def tabulate_counts(data: pd.DataFrame, design: Design) -> pd.DataFrame:
    """Return every count that estimates and pictures of a pilot are made of.

    Parameters
    ----------
    data : table of the pilot
    design : names the columns

    Returns
    -------
    DataFrame: ``what`` in words, ``count``

    Raises
    ------
    SpecError
        The table does not say how many patients a row has.
    """
    kind = type(design).__name__
    if kind in PATIENTS:
        return _of_patients(data, design)
    return _of_series(data, design) if kind in SERIES else _of_units(data, design)


def _of_patients(data: pd.DataFrame, design: Design) -> pd.DataFrame:
    rows = read_patients(data, cast(PatientColumns, design))[1]
    parts = [_before_and_after(rows, "")]
    if "patient" in rows.labels:
        parts += [_before_and_after(rows.take(rows.stays), " seen in both periods")]
        left = rows.take(~rows.stays)
        if left.outcome.size:
            parts += [_sides(left, np.ones(left.outcome.size), "rows of patients seen in one only")]
    missing = rows.take(~rows.known)
    if missing.outcome.size:
        parts.append(_sides(missing, np.ones(missing.outcome.size), "rows without an outcome"))
    found = pd.concat(parts, ignore_index=True)
    nobody = (found["count"] == 0) & found["what"].str.startswith("rows ")
    return found[~nobody]


def _before_and_after(rows: PatientRows, whom: str) -> pd.DataFrame:
    """Count patients and events of each period, and of each doctor and hospital in it."""
    rows = rows.take(rows.known)
    cells = {f"patients{whom}": np.ones(rows.outcome.size)}
    if np.isin(rows.outcome, (0.0, 1.0)).all():
        cells = {
            f"patients{whom} with the event": rows.outcome,
            f"patients{whom} without the event": 1 - rows.outcome,
        }
    parts = [_sides(rows, cell, what) for what, cell in cells.items()]
    for role in ("doctor", "hospital"):
        if role in rows.labels:
            parts += [_sides(rows, cell, what, role=role) for what, cell in cells.items()]
    return pd.concat(parts, ignore_index=True)


def _sides(rows: PatientRows, cell: np.ndarray, what: str, *, role: str = "") -> pd.DataFrame:
    n = len(rows.labels[role].names) if role else 1
    code = rows.labels[role].code if role else np.zeros(rows.outcome.size, dtype=np.intp)
    side = rows.after.astype(np.intp)
    counts = np.bincount(2 * code + side, weights=cell, minlength=2 * n)
    names = rows.labels[role].names if role else [""]
    of = [f" of {role} {name!r}" if role else "" for name in names for _ in (0, 1)]
    when = ["before", "after"] * n
    words = [
        f"{what}{whose} {time}: {count:,.0f}"
        for whose, time, count in zip(of, when, counts, strict=True)
    ]
    return pd.DataFrame({"what": words, "count": counts})


def _of_series(data: pd.DataFrame, design: Design) -> pd.DataFrame:
    parts = []
    for outcome, trials in (("outcome", "trials"), ("control", "control_trials")):
        column = getattr(design, outcome, None)
        if column is None:
            continue
        patients = getattr(design, trials)
        if patients is None and getattr(design, "family") != "poisson":  # noqa: B009
            words = "--trials" if outcome == "outcome" else "--control-trials"
            raise SpecError(UNKNOWN.format(columns=f"patients ({words}, for --family binomial)"))
        time = str(getattr(design, "time"))  # noqa: B009
        parts.append(_cells(data, [time], column, patients))
    return pd.concat(parts, ignore_index=True)


def _of_units(data: pd.DataFrame, design: Design) -> pd.DataFrame:
    columns = {
        name: getattr(design, name, None)
        for name in ("outcome", "unit", "time", "trials", "patients", "rows", "family")
    }
    keys = [str(columns["unit"]), str(columns["time"])]
    outcome, trials, patients = columns["outcome"], columns["trials"], columns["patients"]
    if patients is not None:
        return _cells(data, keys, None, str(patients))
    of_patients = columns["rows"] == "patients" or (columns["rows"] is None and trials is None)
    if not of_patients:
        if trials is None and columns["family"] != "poisson":
            raise SpecError(UNKNOWN.format(columns="patients (--trials), or --rows patients"))
        return _cells(data, keys, outcome, trials)
    known = data[data[outcome].notna()]
    event = getattr(design, "event", None)
    values = known[outcome]
    is_event = values.astype(str) == str(event)
    if event is None and values.nunique() <= len(("with", "without")):
        is_event = values == values.max()
    elif event is None:
        return _cells(known.assign(**{"patients of row": 1}), keys, None, "patients of row")
    counted = known[keys].assign(events=is_event.astype(float), everybody=1.0)
    return _cells(counted, keys, "events", "everybody")


def _cells(
    data: pd.DataFrame, keys: Sequence[str], events: str | None, patients: str | None
) -> pd.DataFrame:
    """Count events, and patients without one, for every combination of the keys."""
    wanted = [name for name in (events, patients) if name is not None]
    numbers = data[[*keys]].astype(str).join(data[wanted].apply(pd.to_numeric, errors="coerce"))
    sums = numbers.groupby(list(keys), sort=False)[wanted].sum()
    cells = {}
    if events is not None:
        cells["events"] = sums[events]
    if patients is not None:
        rest = sums[patients] - (sums[events] if events is not None else 0)
        cells["patients without the event" if events is not None else "patients"] = rest
    parts = []
    for what, counts in cells.items():
        labels = [label if isinstance(label, tuple) else (label,) for label in counts.index]
        words = [
            f"{what} in {', '.join(map(str, label))}: {count:,.0f}"
            for label, count in zip(labels, counts, strict=True)
        ]
        parts.append(pd.DataFrame({"what": words, "count": counts.to_numpy(dtype=np.float64)}))
    return pd.concat(parts, ignore_index=True)
