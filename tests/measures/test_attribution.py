"""Who is answerable for a patient, under each rule."""

import pandas as pd
import pytest
from made_patients import define

from outcomekpi.measures.assess import assess
from outcomekpi.records.records import Records


def answerable(visits, rule, responsible="r", **more):
    tables = {
        "patients": pd.DataFrame({"patient": ["a"], "doctor": [responsible]}),
        "encounters": pd.DataFrame(
            [{"patient": "a", "start": day, "end": day, "doctor": who} for day, who in visits],
            columns=["patient", "start", "end", "doctor"],
        ),
    }
    indicator = define(
        find={"visit": {"table": "encounters", "since": "start", "until": "end"}},
        attribution={"find": "visit", "rule": rule, **more},
        success="visit",
    )
    found = assess(Records.from_frames(tables), indicator, start="2026-01-01", end="2026-12-31")
    return found.to_frame()["doctor"].tolist()


JAN, FEB, MAR = "2026-01-10", "2026-02-10", "2026-03-10"
TIED = [(JAN, "y"), (FEB, "x"), (MAR, "y"), ("2026-04-10", "x")]


@pytest.mark.parametrize(
    ("visits", "rule", "more", "doctor"),
    [
        ([(JAN, "x"), (FEB, "x"), (MAR, "y")], "plurality", {}, "x"),
        ([(JAN, "x"), (FEB, "x"), (MAR, "y")], "last", {}, "y"),
        ([(JAN, "x"), (FEB, "x"), (MAR, "y")], "responsible", {}, "r"),
        # a tie goes to the doctor seen last, or first, as declared
        (TIED, "plurality", {"tie": "last"}, "x"),
        (TIED, "plurality", {"tie": "first"}, "y"),
        # visits out of the period, or without a doctor, are nobody's
        ([("2025-12-31", "x"), (JAN, ""), (FEB, "y")], "plurality", {}, "y"),
        ([], "plurality", {}, ""),
    ],
)
def test_each_rule_names_its_doctor(visits, rule, more, doctor):
    assert answerable(visits, rule, **more) == [doctor]
    assert answerable(visits[::-1], rule, **more) == [doctor]
