"""Patients of a few records each, written so that a test reads like a chart."""

import pandas as pd

from outcomekpi.measures.assess import assess
from outcomekpi.measures.definition import from_mapping
from outcomekpi.records.records import Records

TABLES = {
    "encounters": ("start", "end", "concepts", "class", "status"),
    "conditions": ("start", "end", "concepts", "clinical_status", "verification"),
    "measurements": ("start", "value", "concepts", "unit", "status"),
    "medications": ("start", "days_supply", "drug"),
    "deaths": ("start",),
    "procedures": ("start", "end", "concepts", "status"),
}
USUAL = {"status": "final", "clinical_status": "active", "verification": "confirmed"}
STATUS = {"encounters": "finished", "procedures": "completed"}


def chart(born="1960-06-15", **tables):
    """Records of one patient "a": each table a list of tuples in the order of TABLES."""
    return charts({"a": (born, tables)})


def charts(people, *, time_zone="UTC"):
    """Records of several patients: patient -> (day of birth, tables)."""
    rows = {name: [] for name in TABLES}
    for patient, (_, tables) in people.items():
        for name, records in tables.items():
            for record in records:
                usual = {**USUAL, "status": STATUS.get(name, "final")}
                given = dict(zip(TABLES[name], record, strict=False))
                rows[name].append(
                    {"patient": patient}
                    | {column: given.get(column, usual.get(column, "")) for column in TABLES[name]}
                )
    frames = {name: pd.DataFrame(found) for name, found in rows.items() if found}
    births = [born for born, _ in people.values()]
    frames["patients"] = pd.DataFrame({"patient": list(people), "birth_date": births})
    return Records.from_frames(frames, time_zone=time_zone)


def define(**fields):
    """An indicator from the tables of its file."""
    return from_mapping({"name": "made", **fields})


def judge(records, *, start="2026-01-01", end="2026-12-31", **fields):
    """Verdict of the only patient, or of each in turn; nothing where the cohort leaves him out."""
    found = assess(records, define(**fields), start=start, end=end).to_frame()
    return found["verdict"].tolist()
