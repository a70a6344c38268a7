"""Both sides of every edge where definitions of indicators differ, on patients made by hand."""

import pytest
from made_patients import chart, charts, define, judge

from outcomekpi.measures.assess import assess
from outcomekpi.measures.definition import read_indicator, shipped_indicators
from outcomekpi.records.records import Records

YEAR = {"since": "start", "until": "end"}
A1C = {"table": "measurements", "concepts": ["hba1c"], "has": "number", **YEAR}
REACHED, NOT, UNKNOWN, OUT = "reached", "not reached", "not assessable", "excluded"


def met(records, find, **more):
    """Whether a find holds for the only patient."""
    return judge(records, find={"x": find}, success="x", **more) == [REACHED]


@pytest.mark.parametrize("name", shipped_indicators())
def test_every_shipped_indicator_runs_on_records_without_any_row(name):
    records = Records.from_frames({"patients": chart().tables["patients"].drop(columns="id")})
    found = assess(records, read_indicator(name), start="2026-01-01", end="2026-12-31")
    assert not found.counts()[REACHED]


@pytest.mark.parametrize(
    ("day", "counts"),
    [("2026-06-30T23:59:59", True), ("2026-07-01", False), ("2025-12-31T23:59", False),
     ("2026-01-01", True)],
)  # fmt: skip
def test_the_first_six_months_end_before_the_first_of_july(day, counts):
    find = {"table": "conditions", "since": "start", "before": "start + 6 months"}
    assert met(chart(conditions=[(day, "", "x")]), find) is counts


@pytest.mark.parametrize(("day", "counts"), [("2026-12-31T23:59:59", True), ("2027-01-01", False)])
def test_the_last_day_of_a_window_counts_whole(day, counts):
    assert met(chart(measurements=[(day, "6.5", "hba1c")]), A1C) is counts


@pytest.mark.parametrize(
    ("zone", "counts"), [("UTC", True), ("Asia/Shanghai", False), ("America/New_York", True)]
)
def test_days_are_those_of_the_declared_time_zone(zone, counts):
    people = {"a": ("1960-01-01", {"measurements": [("2026-12-31T18:00:00Z", "6.5", "hba1c")]})}
    assert met(charts(people, time_zone=zone), A1C) is counts


@pytest.mark.parametrize(
    ("end", "age"), [("2026-02-28", 17), ("2026-03-01", 18), ("2028-02-28", 19), ("2028-02-29", 20)]
)
def test_whoever_was_born_on_29_february_is_older_on_1_march(end, age):
    records = chart(born="2008-02-29")
    found = judge(records, start="2026-01-01", end=end, find={}, success=f"age_end == {age}")
    assert found == [REACHED]


@pytest.mark.parametrize(
    ("index", "later", "counts"),
    [("2025-10-31", "2026-10-31", True), ("2025-10-31", "2026-11-01", False),
     ("2024-02-29", "2025-02-28", True), ("2024-02-29", "2025-03-01", False),
     ("2025-08-31", "2026-08-31", True)],
)  # fmt: skip
def test_twelve_months_end_on_the_same_day_or_the_last_of_february(index, later, counts):
    records = chart(procedures=[(index, index, "go")], measurements=[(later, "6.5", "hba1c")])
    find = {
        "go": {"table": "procedures", "concepts": ["go"]},
        "x": {"table": "measurements", "since": "index", "until": "index + 12 months"},
    }
    found = judge(records, find=find, index={"find": "go"}, success="x")
    assert found == [REACHED if counts else NOT]


@pytest.mark.parametrize(
    ("later", "counts"),
    [("2026-01-09", False), ("2026-01-10", True), ("2026-05-10", True), ("2026-05-11", False)],
)
def test_sixty_days_around_twelve_months_include_both_ends(later, counts):
    # 12 months after 11 March 2025 is 11 March 2026; 60 days before is 10 January, after 10 May
    records = chart(
        procedures=[("2025-03-11", "2025-03-11", "go")], measurements=[(later, "3", "phq")]
    )
    around = "index + 12 months {} 60 days"
    find = {
        "go": {"table": "procedures", "concepts": ["go"]},
        "x": {
            "table": "measurements",
            "since": around.format("-"),
            "until": around.format("+"),
        },
    }
    found = judge(records, find=find, index={"find": "go"}, success="x")
    assert found == [REACHED if counts else NOT]


def pressure(readings, **value):
    records = chart(measurements=[(day, f"{x}", "sbp") for day, x in readings])
    find = {"sbp": {"table": "measurements", "concepts": ["sbp"], "has": "number", **YEAR}}
    found = assess(
        records, define(find=find, value={"v": {"find": "sbp", **value}}, success="v < 140"),
        start="2026-01-01", end="2026-12-31",
    )  # fmt: skip
    return float(found.facts["v_v"].iloc[0])


def test_the_latest_day_comes_first_and_then_that_days_rule():
    readings = [("2026-03-01", 120), ("2026-05-01T08:00", 150), ("2026-05-01T09:00", 141)]
    assert pressure(readings, per_day="min") == 141
    assert pressure(readings, per_day="max") == 150
    assert pressure(readings, per_day="mean") == 145.5
    assert pressure(readings, per_day="last") == 141
    assert pressure(readings, pick="min") == 120
    assert pressure(readings, per_day="each", pick="mean") == 137
    assert pressure(readings, per_day="mean", pick="mean") == 132.75
    assert pressure(readings, per_day="each", pick="share", below=150) == pytest.approx(2 / 3)


def test_a_tie_of_time_is_broken_by_value_whatever_the_order_of_rows():
    readings = [("2026-05-01T08:00", 150), ("2026-05-01T08:00", 141)]
    assert pressure(readings) == pressure(readings[::-1]) == 141


@pytest.mark.parametrize(
    ("status", "verdict"),
    [("final", NOT), ("amended", NOT), ("corrected", NOT), ("preliminary", REACHED),
     ("entered-in-error", REACHED), ("registered", REACHED)],
)  # fmt: skip
def test_a_reading_in_error_is_as_if_absent_also_where_it_would_be_the_latest(status, verdict):
    readings = [("2026-03-01", "6.5", "hba1c"), ("2026-05-01", "9", "hba1c", "", status)]
    found = judge(
        chart(measurements=readings), find={"r": A1C}, value={"v": {"find": "r"}}, success="v < 7"
    )
    assert found == [verdict]


@pytest.mark.parametrize(
    ("value", "kinds"),
    [("", set()), ("hemolyzed", {"value"}), ("<20", {"value", "result"}),
     ("< 20", {"value", "result"}), ("6.5", {"value", "result", "number"})],
)  # fmt: skip
def test_no_result_a_word_a_bound_and_a_number_are_four_things(value, kinds):
    records = chart(measurements=[("2026-03-01", value, "hba1c")])
    assert {k for k in ("value", "number", "result") if met(records, {**A1C, "has": k})} == kinds
    assert met(records, {**A1C, "has": ""})


@pytest.mark.parametrize(
    ("bar", "verdict"), [("v < 7", NOT), ("v <= 7", REACHED), ("v > 7", NOT), ("v >= 7", REACHED)]
)
def test_below_and_at_most_differ_on_the_bar(bar, verdict):
    records = chart(measurements=[("2026-03-01", "7.0", "hba1c")])
    assert judge(records, find={"r": A1C}, value={"v": {"find": "r"}}, success=bar) == [verdict]


def test_a_drop_from_7_7_to_6_9_is_one_of_0_8():
    readings = [("2026-01-10", "7.7", "hba1c"), ("2026-05-01", "6.9", "hba1c")]
    values = {"last": {"find": "r"}, "first": {"find": "r", "pick": "first"}}
    records = chart(measurements=readings)
    for bar, verdict in (("0.8", REACHED), ("0.80001", NOT)):
        found = judge(records, find={"r": A1C}, value=values, success=f"first - last >= {bar}")
        assert found == [verdict]


@pytest.mark.parametrize(
    ("direction", "missing", "verdict"),
    [("higher", "fail", NOT), ("lower", "fail", REACHED), ("higher", "exclude", UNKNOWN),
     ("lower", "exclude", UNKNOWN)],
)  # fmt: skip
def test_what_was_not_measured_fails_also_where_reaching_is_bad(direction, missing, verdict):
    found = judge(
        chart(), find={"r": A1C}, value={"v": {"find": "r"}}, success="v > 9",
        direction=direction, missing=missing,
    )  # fmt: skip
    assert found == [verdict]


def test_exclusions_come_before_the_numerator_and_exceptions_after():
    good, bad = ([("2026-03-01", value, "hba1c")] for value in ("6.5", "9"))
    refused = [("2026-02-01", "", "refused")]
    find = {"r": A1C, "refused": {"table": "conditions", "concepts": ["refused"]}}
    rule = {"find": find, "value": {"v": {"find": "r"}}, "success": "v < 7"}
    for readings, as_exclusion, as_exception in ((good, OUT, REACHED), (bad, OUT, OUT)):
        records = chart(measurements=readings, conditions=refused)
        assert judge(records, **rule, exclusions={"refused": "refused"}) == [as_exclusion]
        assert judge(records, **rule, exceptions={"refused": "refused"}) == [as_exception]


@pytest.mark.parametrize(
    ("condition", "counts"),
    [(("2020-01-01", "", "dm"), True), (("2020-01-01", "2025-12-31", "dm"), False),
     (("2020-01-01", "2026-01-01", "dm"), True), (("2027-01-01", "", "dm"), False),
     (("2020-01-01", "", "dm", "resolved"), False), (("2020-01-01", "", "dm", ""), True),
     (("2020-01-01", "", "dm", "active", "refuted"), False),
     (("2020-01-01", "", "dm", "active", "entered-in-error"), False), (("", "", "dm"), False)],
)  # fmt: skip
def test_a_diagnosis_lasts_from_onset_to_abatement_and_must_overlap(condition, counts):
    find = {"table": "conditions", "by": "overlap", **YEAR}
    assert met(chart(conditions=[condition]), find) is counts


@pytest.mark.parametrize(
    ("visit", "counts"),
    [(("2026-01-01", "2026-01-01"), True), (("2026-12-31", "2026-12-31T23:59"), True),
     (("2025-12-31", "2026-01-01"), False), (("2026-12-31", "2027-01-01"), False),
     (("2026-06-01", ""), False), (("2026-06-01", "2026-06-01", "", "", "cancelled"), False)],
)  # fmt: skip
def test_a_visit_lies_wholly_inside_and_without_an_end_it_does_not(visit, counts):
    assert met(chart(encounters=[visit]), {"table": "encounters", "by": "inside", **YEAR}) is counts


@pytest.mark.parametrize(
    ("day", "counts"),
    [
        ("2026-04-30", True),
        ("2026-05-01", False),
        ("2026-05-03T23:00", False),
        ("2026-05-04", True),
    ],
)
def test_readings_on_a_day_of_a_stay_do_not_count(day, counts):
    records = chart(
        encounters=[("2026-05-01T20:00", "2026-05-03T09:00", "", "IMP")],
        measurements=[(day, "130", "hba1c")],
    )
    stay = {"table": "encounters", "where": {"class": ["IMP", "EMER"]}, "by": "overlap", **YEAR}
    find = {"stay": stay, "x": {**A1C, "not_on_days_of": "stay"}}
    assert judge(records, find=find, success="x") == [REACHED if counts else NOT]


@pytest.mark.parametrize(
    ("day", "counts"),
    [("2026-03-02", False), ("2026-03-03", True), ("2026-03-10", True), ("2026-03-11", False)],
)
def test_an_index_lies_within_seven_days_before_or_during_a_visit(day, counts):
    records = chart(
        encounters=[("2026-03-10T08:00", "2026-03-10T09:00")], measurements=[(day, "12", "phq")]
    )
    index = {"table": "measurements", "above": 9, "during": "visit", "days_before": 7, **YEAR}
    find = {"visit": {"table": "encounters"}, "high": index}
    found = judge(records, find=find, index={"find": "high"}, success="True")
    assert found == ([REACHED] if counts else [])


def test_the_index_is_the_first_reading_over_the_bar_and_not_the_highest():
    readings = [
        ("2026-02-01", "9", "phq"),
        ("2026-03-01", "12", "phq"),
        ("2026-04-01", "20", "phq"),
    ]
    rule = define(
        find={"high": {"table": "measurements", "above": 9, **YEAR}},
        index={"find": "high"},
        success="True",
    )
    found = assess(chart(measurements=readings), rule, start="2026-01-01", end="2026-12-31")
    assert [f"{day:%m-%d}" for day in found.facts["index_day"]] == ["03-01"]


@pytest.mark.parametrize(("gap", "episodes"), [(105, 1), (106, 2)])
def test_a_clean_period_of_105_days_counts_the_105th_and_not_the_106th(gap, episodes):
    # day 1 is 1 January; an earlier episode 105 days before keeps the later from being an index
    days = ["2026-01-01", f"{_later('2026-01-01', gap)}"]
    records = chart(procedures=[(day, day, "episode") for day in days])
    index = {"find": "e", "pick": "each", "clean_days": 105}
    found = judge(records, find={"e": {"table": "procedures"}}, index=index, success="True")
    assert found == [REACHED] * episodes


def _later(day, days):
    from datetime import date, timedelta

    return date.fromisoformat(day) + timedelta(days=days)


def test_an_index_within_thirty_days_of_an_index_is_none_and_restarts_nothing():
    days = ["2026-01-01", "2026-01-21", "2026-02-10", "2026-03-12", "2026-03-13"]
    # 21 January is within 30 days; 10 February is 40 days after the last index; 12 March is 30 days
    # after that and none, 13 March is 31 days after
    records = chart(procedures=[(day, day, "stay") for day in days])
    index = {"find": "e", "pick": "each", "clean_days": 30, "clean_of": "index"}
    rule = define(find={"e": {"table": "procedures"}}, index=index, success="True")
    found = assess(records, rule, start="2026-01-01", end="2026-12-31")
    assert [f"{day:%m-%d}" for day in found.facts["index_day"]] == ["01-01", "02-10", "03-13"]


def covered(fills, stays=(), *, start="2026-01-01", end="2026-12-31", **coverage):
    records = chart(
        medications=fills, encounters=[(a, b, "", "IMP") for a, b in stays]
    )  # fmt: skip
    find = {
        "fill": {"table": "medications", "since": coverage.pop("since", "start"), "until": "end"},
        "stay": {"table": "encounters"},
    }
    rule = define(find=find, coverage={"find": "fill", **coverage}, success="share_covered > 0")
    facts = assess(records, rule, start=start, end=end).facts.iloc[0]
    return int(facts["covered_days"]), int(facts["treatment_days"])


def test_days_0_to_114_are_115_days():
    assert covered([("2026-01-01", "30", "a")], end="2026-04-25") == (30, 115)


def test_early_refills_move_forward_within_the_drug_over_all_or_not_at_all():
    # 30 days of a from 1 January; 10 days early 30 of a, and 30 of b on the same day
    same = [("2026-01-01", "30", "a"), ("2026-01-21", "30", "a")]
    other = [("2026-01-01", "30", "a"), ("2026-01-21", "30", "b")]
    assert covered(same)[0] == 60
    assert covered(other)[0] == 50
    assert covered(other, shift="all")[0] == 60
    assert covered(same, shift="none")[0] == 50


def test_supply_from_before_the_window_is_carried_in_only_where_the_fills_reach_back():
    # 60 days from 1 December reach 29 January, the refill of 10 January covers on from 30 January
    fills = [("2025-12-01", "60", "a"), ("2026-01-10", "30", "a")]
    assert covered(fills)[0] == 30
    assert covered(fills, since="start - 3 months")[0] == 50


def test_supply_is_cut_at_the_end_of_the_period():
    assert covered([("2026-12-22", "30", "a")]) == (10, 10)


def test_days_in_hospital_leave_the_period_and_push_the_supply_on():
    # 30 days from 1 January, five of them in hospital (days 11 to 15): supply lasts to 4 February
    fills, stays = [("2026-01-01", "30", "a")], [("2026-01-11", "2026-01-15")]
    assert covered(fills, stays, end="2026-02-04", hospital="stay") == (30, 35)
    assert covered(fills, stays, end="2026-02-03", hospital="stay") == (29, 34)
    assert covered(fills, stays, end="2026-02-04") == (30, 35)


def readmission(*, back="", died="", end="2026-12-31", back_concepts="acute"):
    tables = {"encounters": [("2026-01-01", "2026-01-10", "hf")]}
    if back:
        tables["encounters"].append((back, back, back_concepts))
    if died:
        tables["deaths"] = [(died,)]
    after = {"after": "index"}
    find = {
        "stay": {"table": "encounters", "concepts": ["hf"], "by": "end", **YEAR},
        "back": {"table": "encounters", "concepts": ["acute"], **after},
        "planned": {"table": "encounters", "concepts": ["planned"], **after},
        "died": {"table": "deaths", **after},
    }
    return judge(
        chart(**tables), end=end, find=find, index={"find": "stay", "at": "end"}, event="back",
        competes=["died", "planned"], horizon=30, direction="lower",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "verdict"),
    [({"back": "2026-02-09"}, REACHED), ({"back": "2026-02-10"}, NOT), ({}, NOT),
     ({"back": "2026-01-10"}, NOT), ({"died": "2026-01-20"}, NOT),
     ({"died": "2026-01-20", "back": "2026-01-20"}, REACHED),
     ({"end": "2026-02-08"}, UNKNOWN), ({"end": "2026-02-09"}, NOT),
     ({"end": "2026-02-08", "died": "2026-01-20"}, NOT),
     ({"back": "2026-01-20", "back_concepts": "planned"}, NOT)],
)  # fmt: skip
def test_readmission_counts_day_thirty_and_is_never_told_too_early(said, verdict):
    # discharged on 10 January: day 30 is 9 February
    assert readmission(**said) == [verdict]


@pytest.mark.parametrize(
    ("value", "unit", "verdict"),
    [("6.9", "%", REACHED), ("52", "mmol/mol", REACHED), ("54", "mmol/mol", NOT), ("6.9", "", NOT),
     ("6.9", "percent", NOT)],
)  # fmt: skip
def test_units_are_converted_and_a_reading_without_one_is_set_aside(value, unit, verdict):
    records = chart(measurements=[("2026-03-01", value, "hba1c", unit)])
    find = {"r": {**A1C, "unit": "%", "measure": "hba1c"}}
    found = judge(records, find=find, value={"v": {"find": "r"}}, success="v < 7")
    assert found == [verdict]


def test_units_are_converted_before_the_lowest_of_a_day_is_taken():
    # 8 mmol/mol more than 53 % would be the lower number; 48 mmol/mol is 6.5 %
    records = chart(
        measurements=[
            ("2026-03-01", "7.5", "hba1c", "%"),
            ("2026-03-01", "48", "hba1c", "mmol/mol"),
        ]
    )
    find = {"r": {**A1C, "unit": "%", "measure": "hba1c"}}
    value = {"v": {"find": "r", "per_day": "min"}}
    assert judge(records, find=find, value=value, success="v < 7") == [REACHED]


def months(values, **value):
    """Mean of each month from January on; None is a month without reading."""
    readings = [
        (f"2026-{month:02d}-15", f"{x}", "sbp")
        for month, x in enumerate(values, 1)
        if x is not None
    ]
    find = {"r": {"table": "measurements", "has": "number", **YEAR}}
    run = {"find": "r", "pick": "run", "below": 140, **value}
    rule = define(find=find, value={"run": run}, success="run >= 6")
    found = assess(chart(measurements=readings), rule, start="2026-01-01", end="2026-12-31")
    return float(found.facts["v_run"].iloc[0])


@pytest.mark.parametrize(("policy", "longest"), [("fail", 3), ("skip", 5), ("pass", 12)])
def test_a_missing_month_breaks_a_run_is_skipped_or_passes(policy, longest):
    assert months([130, 130, 130, None, 130, 130], missing_month=policy) == longest


def test_a_month_over_the_bar_breaks_every_run():
    for policy in ("fail", "skip"):
        assert months([130, 130, 150, 130], missing_month=policy) == 2


def test_explain_names_the_records_that_decided():
    records = chart(measurements=[("2026-03-01", "6.5", "hba1c")])
    rule = define(find={"r": A1C}, value={"v": {"find": "r"}}, success="v < 7")
    told = assess(records, rule, start="2026-01-01", end="2026-12-31").explain("a")
    assert "reached" in told
    assert "6.5, record measurements-0" in told
