"""Missing readings that fail, are left out, or are imputed, side by side."""

import pandas as pd
from made_patients import define

from outcomekpi.measures.assess import assess
from outcomekpi.measures.policies import compare_missing
from outcomekpi.records.records import Records


def test_what_was_not_measured_turns_the_order_of_two_doctors():
    # x: 3 of 4 measured reached, none missing; y: 2 of 2 reached, 2 never measured
    values = {"x1": "6", "x2": "6", "x3": "6", "x4": "9", "y1": "6", "y2": "6"}
    patients = [f"{doctor}{n}" for doctor in "xy" for n in (1, 2, 3, 4)]
    tables = {
        "patients": pd.DataFrame({"patient": patients, "doctor": [p[0] for p in patients]}),
        "measurements": pd.DataFrame(
            {"patient": values.keys(), "value": values.values(), "start": "2026-03-01"}
        ),
    }
    find = {"r": {"table": "measurements", "since": "start", "until": "end"}}
    period = {"start": "2026-01-01", "end": "2026-12-31"}
    rule = define(find=find, value={"v": {"find": "r"}}, success="v < 7")
    table = compare_missing(Records.from_frames(tables), rule, **period)
    assert table["fail"].tolist() == [0.75, 0.5]
    assert table["exclude"].tolist() == [0.75, 1.0]
    assert table["unmeasured"].tolist() == [0, 2]
    assert table["impute"]["x"] == 0.75
    assert 0.5 < table["impute"]["y"] < 1
    assert table.attrs["changed"]["exclude"] == 2
    # an inverse indicator counts the same two patients as events
    inverse = define(find=find, value={"v": {"find": "r"}}, success="v > 8", direction="lower")
    table = compare_missing(Records.from_frames(tables), inverse, **period)
    assert table["fail"].tolist() == [0.25, 0.5]
    assert table["rank_fail"].tolist() == [1, 2]


def test_judged_patients_go_on_to_a_model_as_cases():
    tables = {
        "patients": pd.DataFrame({"patient": ["a", "b"], "doctor": ["x", "y"], "ward": ["1", "2"]}),
        "measurements": pd.DataFrame({"patient": ["b"], "value": ["6"], "start": ["2026-03-01"]}),
    }
    find = {"r": {"table": "measurements", "since": "start", "until": "end"}}
    rule = define(find=find, value={"v": {"find": "r"}}, success="v < 7")
    found = assess(Records.from_frames(tables), rule, start="2026-01-01", end="2026-12-31")
    cases = found.to_cases()
    assert cases.direction == "higher"
    assert cases.observed.to_dict() == {"x": 0, "y": 1}
    assert cases.frame["ward"].tolist() == ["1", "2"]
