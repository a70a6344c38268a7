import numpy as np
import pandas as pd
import pytest

from outcomekpi.datasets import simulate_history
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.review.review import review_thresholds
from outcomekpi.review.rule import ReviewRule
from outcomekpi.tables.cycle_order import length_of_cycles, order_cycles
from outcomekpi.tables.history import CycleHistory


def small(**columns):
    """Two departments in two years, with columns replaced."""
    return pd.DataFrame(
        {
            "kpi": "Washing",
            "dept": ["A", "A", "B", "B"],
            "year": [2024, 2025, 2024, 2025],
            "hits": [45, 48, 30, 33],
            "n": [50, 50, 40, 40],
            **columns,
        }
    )


def read(frame, **changes):
    named = {
        "indicator": "kpi",
        "unit": "dept",
        "cycle": "year",
        "numerator": "hits",
        "denominator": "n",
        "counts": "events",
    }
    return CycleHistory.from_frame(frame, **(named | changes))


def test_a_history_is_sorted_by_indicator_unit_and_time_and_leaves_the_table_alone():
    frame = small().iloc[::-1]
    before = frame.copy()
    history = read(frame)
    assert history.cycles == ("2024", "2025")
    assert history.units == ("A", "B")
    assert list(history.frame["cycle"]) == ["2024", "2025", "2024", "2025"]
    assert list(history.frame["numerator"]) == [45, 48, 30, 33]
    assert history.frame["target"].isna().all()
    assert history.log == ()
    pd.testing.assert_frame_equal(frame, before)


def test_any_eager_table_is_read():
    import polars as pl

    assert read(pl.from_pandas(small())).cycles == ("2024", "2025")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"hits": [45, 51, 30, 33]}, r"must not exceed .* 1 of 4 rows does not, .* 1 \(51 of 50\)"),
        ({"hits": [60, 60, 60, 60]}, "Are the columns swapped"),
        ({"hits": [45, -1, 30, 33]}, r"counts from 0\. 1 of 4 rows .* 1 \(-1\)"),
        ({"n": [50, 50, 40, -40]}, r"'n' \(denominator\) must hold counts from 0"),
        ({"hits": [45, 48.5, 30, 33]}, "whole counts"),
        ({"hits": [0.9, 0.96, 0.75, 0.8]}, "completion='hits' in place of numerator"),
        ({"hits": [45, np.nan, 30, 33]}, "must hold a count in every row"),
        ({"hits": ["45", "many", "30", "33"]}, "must hold numbers"),
        ({"year": [2024, 2024, 2024, 2025]}, r"one row per indicator, unit and cycle; 1 row rep"),
        ({"year": [2024, None, 2024, 2025]}, r"'year' \(cycle\) must name the cycle"),
        ({"n": [0, 0, 0, 0], "hits": [0, 0, 0, 0]}, "Every denominator is 0"),
    ],
)
def test_impossible_counts_and_doubled_cycles_are_refused_with_the_first_row(columns, message):
    with pytest.raises(CasesError, match=message):
        read(small(**columns))


def test_rows_of_several_doctors_without_a_unit_are_refused_with_the_remedy():
    with pytest.raises(CasesError, match=r"Pass unit=\.\.\."):
        read(small(), unit=None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"numerator": None}, "numerator=... or completion=..., one of the two; got neither"),
        ({"completion": "hits"}, "got both"),
        ({"indicator": None}, "indicator must be the name of a column"),
        ({"denominator": None}, "says nothing about chance"),
        ({"unit": "dep"}, "Did you mean 'dept'"),
        ({"unit": "kpi"}, "named as indicator and unit"),
        ({"cycle": 3}, "as text; got int"),
    ],
)
def test_columns_are_checked_by_name(changes, message):
    with pytest.raises(CasesError, match=message):
        read(small(), **changes)


def test_an_unknown_kind_of_counts_is_refused_with_a_hint():
    with pytest.raises(SpecError, match="Did you mean 'doctors'"):
        read(small(), counts="doctor")


def completions(values, **changes):
    return read(small(share=values), numerator=None, completion="share", **changes)


def test_completions_become_counts_and_say_so():
    history = completions([0.9, 0.96, 0.75, 0.825])
    assert list(history.frame["numerator"]) == [45, 48, 30, 33]
    assert "worked out as completion x denominator" in history.log[0]


def test_completions_in_percent_give_the_same_counts_when_it_is_said():
    history = completions([90, 96, 75, 82.5], percent=True)
    assert list(history.frame["numerator"]) == [45, 48, 30, 33]


@pytest.mark.parametrize(
    ("values", "changes", "message"),
    [
        ([90, 96, 75, 82.5], {}, "Did you mean percent: pass percent=True"),
        ([0.9, 1.2, 0.75, 0.8], {}, r"between 0 and 1\. 1 of 4 rows"),
        ([0.9, -0.2, 0.75, 0.8], {}, "Correct the table"),
        ([90, 120, 75, 80], {"percent": True}, "between 0 and 100"),
        ([0.9, 0.96, 0.75, 0.8], {"percent": True}, "Leave out percent=True"),
        ([0.9, np.nan, 0.75, 0.8], {}, "must hold a share in every row"),
    ],
)
def test_completions_outside_their_range_are_asked_about(values, changes, message):
    with pytest.raises(CasesError, match=message):
        completions(values, **changes)


def test_completions_that_no_count_can_give_are_refused():
    with pytest.raises(CasesError, match=r"0\.5 of 3, which no whole count gives"):
        read(small(share=[0.5, 0.5, 0.5, 0.5], n=[3, 4, 4, 4]), numerator=None, completion="share")


def test_targets_are_shares_and_percent_is_asked_about():
    history = read(small(goal=[0.8, 0.8, np.nan, np.nan]), target="goal")
    assert history.frame["target"].tolist()[:2] == [0.8, 0.8]
    with pytest.raises(CasesError, match="pass percent=True"):
        read(small(goal=80), target="goal")
    with pytest.raises(CasesError, match="must lie above 0"):
        read(small(goal=0.0), target="goal")


def rates(values):
    return small(rate=values).drop(columns="hits")


def test_percent_signs_are_read_where_percent_was_said_and_asked_about_elsewhere():
    frame = rates(["90%", "96.0 %", "75％", "82.5%"])
    history = read(frame, numerator=None, completion="rate", percent=True)
    assert list(history.frame["numerator"]) == [45, 48, 30, 33]
    with pytest.raises(CasesError, match=r"have a percent sign, .*'90%'. Did you mean percent"):
        read(frame, numerator=None, completion="rate")
    with pytest.raises(CasesError, match="must be written one way"):
        read(rates(["90%", "96%", "75%", "82.5"]), numerator=None, completion="rate", percent=True)


def test_a_single_completion_above_1_is_not_taken_for_percent():
    with pytest.raises(CasesError, match=r"1 of 4 rows does not, .* Correct the table"):
        read(rates([0.9, 0.96, 0.75, 1.2]), numerator=None, completion="rate")


# --- the order of cycles -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "cycles"),
    [
        ([10, 9, 10, 9], ("9", "10")),
        (["2024Q4", "2025Q1", "2024Q4", "2025Q1"], ("2024Q4", "2025Q1")),
        (["2024-10", "2024-9", "2024-10", "2024-9"], ("2024-9", "2024-10")),
        (["10", "9", "10", "9"], ("9", "10")),
        (pd.to_datetime(["2025-01-01", "2024-01-01"] * 2), ("2024-01-01", "2025-01-01")),
        (pd.PeriodIndex(["2024Q4", "2025Q1"] * 2, freq="Q"), ("2024Q4", "2025Q1")),
        (
            pd.Categorical(["old", "new"] * 2, categories=["old", "new"], ordered=True),
            ("old", "new"),
        ),
    ],
)
def test_cycles_come_in_order_of_time(labels, cycles):
    assert read(small(year=labels)).cycles == cycles


@pytest.mark.parametrize(
    ("labels", "cycles", "length"),
    [
        (["2024Q2", "2024Q1", "2024Q4"], ("2024Q1", "2024Q2", "2024Q3", "2024Q4"), "quarter"),
        (["202411", "202410", "202501"], ("202410", "202411", "2024-12", "202501"), "month"),
        (["2023-24", "2022-23", "2025-26"], ("2022-23", "2023-24", "2024-25", "2025-26"), "year"),
        (["2024H1", "2024H2", "2025H2"], ("2024H1", "2024H2", "2025H1", "2025H2"), "half-year"),
        (["2023年", "2024年", "2026年"], ("2023年", "2024年", "2025", "2026年"), "year"),
        (
            ["2024年第1季度", "2024年二季度", "2024年第四季度"],
            ("2024年第1季度", "2024年二季度", "2024Q3", "2024年第四季度"),
            "quarter",
        ),
        (["2024年9月", "2024年8月", "2024年11月"], None, "month"),
        (["2024年下半年", "2024年上半年", "2025年下半年"], None, "half-year"),
    ],
)
def test_a_part_of_a_year_that_nobody_has_keeps_its_place(labels, cycles, length):
    order = order_cycles(pd.Series(labels), np.array(labels, dtype=object), None)
    assert len(order.labels) == 4
    assert cycles is None or order.labels == cycles
    assert "the cycles around it do not count as consecutive" in order.log[0]
    assert length_of_cycles(order.labels) == length


@pytest.mark.parametrize(
    ("labels", "length", "remark"),
    [
        (["2023-12", "2024-12", "2025-12"], "year", "every 12 months"),
        (["2024-03-31", "2024-06-30", "2024-09-30"], "quarter", "every 3 months"),
        (["2023年度", "2024年度"], "year", None),
        (["2024-01-05", "2024-01-12"], "", None),
        (["2024-13", "2024-14"], "", None),
        (["2025-12-31"], "", None),
    ],
)
def test_cycles_that_come_evenly_have_no_gap(labels, length, remark):
    order = order_cycles(pd.Series(labels), np.array(labels, dtype=object), None)
    assert order.labels == tuple(labels)
    assert length_of_cycles(order.labels) == length
    assert (remark in order.log[0]) if remark else not order.log


def test_a_rule_cannot_say_across_a_quarter_that_nobody_has():
    frame = small(year=["2024Q1", "2024Q3"] * 2)
    frame = pd.concat([frame, small(year=["2024Q4", "2025Q2"] * 2)])
    history = read(frame)
    assert history.cycles[-2:] == ("2025Q1", "2025Q2")
    review = review_thresholds(history, ReviewRule(reading="raw_rate"), draws=200).to_frame()
    assert review["rule_verdict"].tolist() == ["cannot say"]
    assert "no data in 2025Q1" in review["sentence"].iloc[0]


def test_cycles_whose_order_cannot_be_told_are_refused_until_it_is_stated():
    frame = small(year=["first", "second"] * 2)
    with pytest.raises(CasesError, match=r"cycle_order=\[oldest, ..., newest\]"):
        read(frame)
    assert read(frame, cycle_order=["first", "second"]).cycles == ("first", "second")


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([2025, 2024], "runs against the numbers"),
        ([2024], "must name every cycle of the table, oldest first; not named: '2025'"),
        ([2024, 2025, 2024], "each cycle once"),
        ("20242025", "must list the cycles"),
    ],
)
def test_an_order_of_cycles_that_cannot_be_is_refused(order, message):
    with pytest.raises(CasesError, match=message):
        read(small(), cycle_order=order)


# --- what is missing or changed is named ---------------------------------------------------------


def test_a_year_that_nobody_has_is_named_and_keeps_its_place():
    history = read(small(year=[2023, 2025, 2023, 2025]))
    assert history.cycles == ("2023", "2024", "2025")
    assert any("No row has cycle 2024" in line for line in history.log)
    assert any(line == "Washing: no data in '2024'." for line in history.log)


def test_months_as_numbers_are_not_taken_for_running_numbers():
    assert read(small(year=[202412, 202501, 202412, 202501])).cycles == ("202412", "202501")


def test_a_unit_without_data_in_one_cycle_is_named():
    history = read(small().iloc[:3])
    assert history.log == ("Washing: no data of B in 2025.",)


def test_a_denominator_that_jumps_is_named_with_both_numbers():
    history = read(small(n=[50, 90, 40, 70]))
    assert "from 90 in 2024 to 160 in 2025" in history.log[0]
    assert read(small(n=[50, 60, 40, 50])).log == ()


def test_too_little_data_is_named():
    history = read(small(hits=[45, 3, 30, 4], n=[50, 4, 40, 5]))
    assert history.log[0] == "Washing: fewer than 10 in the denominator in '2025'."


def test_one_cycle_only_is_named():
    history = read(small().query("year == 2025"))
    assert "a rule that needs consecutive cycles cannot fire" in history.log[0]


def test_rows_without_anybody_are_left_out_and_named():
    history = read(small(hits=[45, 48, 30, 0], n=[50, 50, 40, 0]))
    assert len(history.frame) == 3
    assert "1 row with denominator 0 left out" in history.log[0]


def test_a_target_that_moved_between_cycles_is_named():
    history = read(small(goal=[0.8, 0.85, 0.8, 0.8]), target="goal")
    assert "the target changed between cycles ('A')" in history.log[0]


def test_a_history_shows_itself_in_one_line_and_a_table():
    history = read(small())
    assert repr(history) == (
        "CycleHistory: 1 indicator, 2 units, 2 cycles (2024-2025), 180 patients"
    )
    assert "(2023-24 to 2024-25)" in repr(read(small(year=["2023-24", "2024-25"] * 2)))
    assert "&lt;b&gt;" in read(small(kpi="<b>"))._repr_html_()


# --- the simulated history -----------------------------------------------------------------------


def test_the_simulated_history_is_the_same_for_the_same_seed_and_close_to_its_truth():
    frame = simulate_history(truth=True)
    pd.testing.assert_frame_equal(frame.drop(columns="true_rate"), simulate_history())
    assert not frame["reached"].equals(simulate_history(seed=1)["reached"])
    rate, truth = frame["reached"] / frame["patients"], frame["true_rate"]
    score = (rate - truth) / np.sqrt(truth * (1 - truth) / frame["patients"])
    # 144 standardized differences: mean 0 and SD 1 within 4 standard errors
    assert abs(score.mean()) < 4 / 12
    assert score.std() == pytest.approx(1, abs=4 / np.sqrt(2 * 144))


# --- a cycle that nobody has is noticed, however cycles are written -------------------------------


@pytest.mark.parametrize(
    ("labels", "missing"),
    [
        (["2011/12", "2013/14"], "2012/13"),
        (["2011-2012", "2013-2014"], "2012-13"),
        (["2023q1", "2023q3"], "2023Q2"),
        (["2023-Q1", "2023-Q3"], "2023Q2"),
        (["2023-1", "2023-3"], "2023-2"),
        (["20241", "20243"], "2024-2"),
        ([20241, 20243], "2024-2"),
        (["2024-W05", "2024-W07"], "2024-W06"),
        (["2024W52", "2025W02"], "2025-W01"),
        (["2024-01-05", "2024-01-19"], "2024-01-12"),
        (["2024-01-05", "2024-01-12", "2024-01-26"], "2024-01-19"),
        (pd.to_datetime(["2024-01-05", "2024-01-19"]), "2024-01-12"),
        (pd.to_datetime(["2024-01-05 08:00", "2024-01-19 08:00"]), "2024-01-12"),
        (["2024-01", "2024-04"], "2024-02"),
        (["20240131", "20240331"], "2024-02"),
        (["2020-01", "2026-04"], "2020-02"),
        ([12001, 12003], "12002"),
        ([100, 300], "101"),
        (["2024T1", "2024T3"], "2024T2"),
        (["２０２４Ｑ１", "２０２４Ｑ３"], "2024Q2"),
        (
            pd.Categorical(["a", "c"], categories=["a", "b", "c", "d"], ordered=True),
            "b",
        ),
    ],
)
def test_a_rule_cannot_say_across_a_cycle_that_nobody_has(labels, missing):
    n = len(labels)
    table = pd.DataFrame({"indicator": "BP", "cycle": labels, "hits": [190] * n, "n": [200] * n})
    history = CycleHistory.from_frame(
        table, indicator="indicator", cycle="cycle", numerator="hits", denominator="n",
        counts="events",
    )  # fmt: skip
    assert missing in history.cycles
    review = review_thresholds(history, ReviewRule(reading="raw_rate"), draws=200).to_frame()
    assert review["rule_verdict"].tolist() == ["cannot say"]


@pytest.mark.parametrize(
    "labels",
    [
        ["2011/12", "2012/13"],
        ["2023q4", "2024q1"],
        ["2024-W52", "2025-W01"],
        ["2024-01-26", "2024-02-02"],
        ["2023Q4", "2024Q4"],
        ["2023-12", "2024-12"],
        ["2024-03-31", "2024-06-30", "2024-09-30"],
        ["2024-9", "2024-10"],
        [100, 200, 300, 400],
    ],
)
def test_cycles_that_follow_one_another_have_no_hole(labels):
    order = order_cycles(pd.Series(labels), np.array([str(one) for one in labels], object), None)
    assert order.labels == tuple(str(one) for one in labels)


@pytest.mark.parametrize(
    ("labels", "unit", "missing"),
    [
        (["2023-4", "2024-1"], "quarter", []),
        (["2023-4", "2024-1"], "month", 8),
        ([20234, 20241], "quarter", []),
        (["2023-2", "2024-1"], "half-year", []),
        (["2009-10", "2010-11", "2011-12"], "year", []),
        (["2009-10", "2010-11", "2011-12"], "month", 24),
    ],
)
def test_labels_with_several_readings_are_refused_until_their_unit_is_said(labels, unit, missing):
    text = np.array([str(one) for one in labels], object)
    with pytest.raises(CasesError, match=r"differ in what follows what.* cycle_unit="):
        order_cycles(pd.Series(labels, name="cycle"), text, None)
    order = order_cycles(pd.Series(labels), text, None, unit)
    assert len(order.labels) == len(labels) + (missing or 0)


def test_parts_of_years_that_no_calendar_knows_need_their_order():
    labels = ["2023T3", "2024T1"]
    with pytest.raises(CasesError, match="whether one is missing among them"):
        order_cycles(pd.Series(labels), np.array(labels, object), None)
