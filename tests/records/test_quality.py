"""The table of data quality finds what was injected."""

import pandas as pd

from outcomekpi.records.quality import quality_table
from outcomekpi.records.records import Records

GOOD = {
    "patient": "a", "concepts": "hba1c", "value": "6.5", "unit": "%", "start": "2026-03-01T08:00",
    "issued": "2026-03-02", "source": "EHR",
}  # fmt: skip


def test_every_kind_of_fault_is_found_once_where_it_was_put():
    faults = {
        "missing": {"value": ""},
        "without_number": {"value": "hemolyzed"},
        "without_unit": {"unit": ""},
        "implausible": {"value": "65"},
        "late": {"issued": "2026-04-30"},
        "before_birth": {"start": "1959-03-05", "issued": "1959-03-06"},
        "after_death": {"start": "2026-11-02"},
    }
    rows = [GOOD] + [
        {**GOOD, "start": f"2026-03-1{n}T08:00", "issued": f"2026-03-1{n}", **fault}
        for n, fault in enumerate(faults.values())
    ]
    rows.append({**GOOD})
    patients = pd.DataFrame(
        {"patient": ["a"], "birth_date": ["1960-01-01"], "deceased": ["2026-11-01"]}
    )
    records = Records.from_frames({"patients": patients, "measurements": pd.DataFrame(rows)})
    table = quality_table(records)
    found = table.drop(columns=["concepts", "source", "month", "round_share"]).sum().to_dict()
    assert found.pop("records") == len(rows)
    assert found == {**dict.fromkeys(faults, 1), "duplicated": 1}
    assert table.set_index("month").loc["1959-03", "before_birth"] == 1
