"""Small records of patients, written out so that verdicts can be checked by eye."""

import pandas as pd

from outcomekpi.tables.patient_records import PatientRecords


def made_records(readings, *, measure="hba1c", months=12, encounters=(), flags=("diabetes",)):
    """Records of patients 1, 2, ..., each with a mapping of month -> reading (or readings)."""
    rows = [
        {"patient": patient, "month": month, measure: value}
        for patient, by_month in enumerate(readings, start=1)
        for month, values in by_month.items()
        for value in (values if isinstance(values, list) else [values])
    ]
    n = len(readings)
    patients = pd.DataFrame(
        {
            "patient": range(1, n + 1),
            "doctor": ["A" if k % 2 else "B" for k in range(1, n + 1)],
            "responsible": "C",
            "team": ["T" if k < 3 else "U" for k in range(1, n + 1)],
            **dict.fromkeys(flags, True),
        }
    )
    return PatientRecords(
        patients=patients,
        measurements=pd.DataFrame(rows, columns=["patient", "month", measure]),
        months=months,
        encounters=pd.DataFrame(encounters, columns=["patient", "day", "kind"]),
    )


def two_pressures(rows, *, months=12):
    """Records of one patient: rows of month, systolic, diastolic."""
    table = pd.DataFrame(rows, columns=["month", "sbp", "dbp"])
    table.insert(0, "patient", 1)
    patients = pd.DataFrame({"patient": [1], "hypertension": [True], "team": ["T"]})
    return PatientRecords(patients=patients, measurements=table, months=months)
