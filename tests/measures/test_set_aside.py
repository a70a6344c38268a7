"""Everything that was set aside is counted by reason."""

from made_patients import chart, define

from outcomekpi.measures.set_aside import set_aside


def test_each_record_that_does_not_count_is_counted_once_with_its_reason():
    day = "2026-03-01"
    readings = [
        (day, "6.5", "hba1c", "%"), (day, "48", "hba1c", "mmol/mol"), ("", "6.5", "hba1c", "%"),
        (day, "6.5", "hba1c", "%", "entered-in-error"), (day, "", "hba1c", "%"),
        (day, "high", "hba1c", "%"), (day, "6.5", "hba1c", ""), (day, "6.5", "hba1c", "percent"),
        (day, "140", "sbp", ""),
    ]  # fmt: skip
    find = {
        "table": "measurements", "concepts": ["hba1c"], "has": "number", "unit": "%",
        "measure": "hba1c",
    }  # fmt: skip
    table = set_aside(chart(measurements=readings), define(find={"r": find}, success="r"))
    assert dict(zip(table["reason"], table["records"], strict=True)) == {
        "without a time": 1, "status": 1, "without a result": 1, "without a number": 1,
        "without a known unit": 2,
    }  # fmt: skip
    assert table["of"].tolist() == [8] * 5
