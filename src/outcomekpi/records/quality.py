"""Data quality of measurements: what is missing, doubled, implausible, late, heaped."""

import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.records.records import Records

__all__ = ["quality_table"]

LATE_DAYS = 30
"""A result that was issued more days after it was taken is late."""
BOUNDS = {
    "hba1c": (3.0, 20.0),
    "systolic pressure": (50.0, 300.0),
    "diastolic pressure": (20.0, 200.0),
    "body weight": (1.0, 400.0),
    "PHQ-9": (0.0, 27.0),
    "LDL-C": (0.1, 20.0),
}
"""What a reading can be, in the first unit of its measure; others are not judged."""
FIRST_UNITS = {
    "hba1c": "%", "systolic pressure": "mmHg", "diastolic pressure": "mmHg", "body weight": "kg",
    "LDL-C": "mmol/L",
}  # fmt: skip
COUNTS = (
    "missing",
    "without_number",
    "without_unit",
    "implausible",
    "duplicated",
    "before_birth",
    "after_death",
    "late",
)


def quality_table(records: Records) -> pd.DataFrame:
    """How good the measurements are, by concept, source and month.

    Parameters
    ----------
    records : raw records

    Returns
    -------
    One row per concept, source and month: ``concepts, source, month, records`` and how many are
    ``missing`` (no result), ``without_number`` (a word or a bound), ``without_unit``,
    ``implausible`` (in the unit they name), ``duplicated`` (same patient, moment, concept and
    value as another), ``before_birth``, ``after_death``, ``late`` (issued over 30 days later);
    ``round_share`` is the share of numbers that end in 0, which is about .1 of whole ones
    unless readings are rounded

    Examples
    --------
    >>> import pandas as pd
    >>> from outcomekpi import Records, quality_table
    >>> readings = pd.DataFrame({"patient": ["a"], "concepts": ["hba1c"], "value": [""],
    ...                          "start": ["2026-03-01"]})
    >>> patients = pd.DataFrame({"patient": ["a"]})
    >>> records = Records.from_frames({"patients": patients, "measurements": readings})
    >>> int(quality_table(records)["missing"].sum())
    1
    """
    check_arguments(quality_table, locals())
    found = records.tables["measurements"].merge(
        records.tables["patients"][["patient", "birth_date", "deceased"]], on="patient"
    )
    deaths = records.tables["deaths"].groupby("patient")["start"].min().rename("died")
    died = found["deceased"].fillna(
        found.merge(deaths.reset_index(), on="patient", how="left")["died"]
    )
    low = found["concepts"].map({name: bounds[0] for name, bounds in BOUNDS.items()})
    high = found["concepts"].map({name: bounds[1] for name, bounds in BOUNDS.items()})
    usual = found["concepts"].map(FIRST_UNITS)
    is_usual = usual.isna() | (found["unit"] == usual) | (found["unit"] == "")
    day = found["start"].dt.normalize()
    checked = pd.DataFrame(
        {
            "concepts": found["concepts"],
            "source": found["source"],
            "month": found["start"].dt.to_period("M").astype(str),
            "records": 1,
            "missing": found["value"] == "",
            "without_number": (found["value"] != "") & found["number"].isna(),
            "without_unit": (found["value"] != "") & (found["unit"] == ""),
            "implausible": is_usual & ((found["number"] < low) | (found["number"] > high)),
            "duplicated": found.duplicated(["patient", "start", "concepts", "value"]),
            "before_birth": day < found["birth_date"],
            "after_death": day > died.dt.normalize(),
            "late": (found["issued"] - found["start"]).dt.days > LATE_DAYS,
            "round_share": (found["number"] % 10 == 0).where(found["number"].notna()),
        }
    )
    how = dict.fromkeys(("records", *COUNTS), "sum") | {"round_share": "mean"}
    checked["round_share"] = checked["round_share"].astype("float64")
    return checked.groupby(["concepts", "source", "month"], as_index=False).agg(how)
