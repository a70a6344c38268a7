from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_records import made_records, two_pressures

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.indicators.chance.criteria import ConsecutiveCriterion
from outcomekpi.indicators.chance.performance import DropCriterion
from outcomekpi.indicators.coverage_goals import CoverageGoal
from outcomekpi.indicators.drop_goals import DropGoal
from outcomekpi.indicators.event_goals import NoEventGoal
from outcomekpi.indicators.goal_verdicts import Goal
from outcomekpi.indicators.run_goals import RunGoal
from outcomekpi.tables.patient_records import DAYS_PER_MONTH, PatientRecords

HBA1C = DropGoal(measure="hba1c", drop=0.8, below=7.0, population=("diabetes",))
PRESSURE = RunGoal(bars=(("sbp", 140), ("dbp", 90)), months=3, population=("hypertension",))
YEAR = NoEventGoal(kind="hf_admission")


def verdict(goal, *readings, **settings):
    return goal.judge(made_records(readings, **settings))["verdict"].tolist()


@pytest.mark.parametrize(
    ("baseline", "now", "reached"),
    [
        (8.0, 6.9, True),
        (7.8, 7.0, False),  # not below 7
        (7.7, 6.9, True),  # a drop of exactly .8, which floating point makes .7999
        (7.6, 6.9, False),  # below 7, a drop of .7
        (7.2, 6.4, True),  # who starts at 7.2 must reach 6.4
        (7.2, 6.5, False),
        (6.5, 5.7, True),  # the letter of the rule also pays for those who were below 7 before
    ],
)
def test_the_first_tier_asks_for_a_level_and_a_drop(baseline, now, reached):
    expected = "reached" if reached else "not reached"
    assert verdict(HBA1C, {0: baseline, 12: now}) == [expected]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_drop_of_exactly_0_8_counts_in_either_precision(kind):
    tenths = np.arange(50, 70)
    records = made_records([{0: (t + 8) / 10, 12: t / 10} for t in tenths])
    table = records.measurements.astype({"hba1c": kind})
    judged = HBA1C.judge(replace(records, measurements=table))
    assert (judged["verdict"] == "reached").all()


def test_a_relative_drop_of_0_8_percent_is_another_rule_altogether():
    relative = replace(HBA1C, drop=0.008, relative=True)
    # .8 % of 7.0 is .056 points: a tenth of a point is enough
    assert verdict(relative, {0: 7.0, 12: 6.9}) == ["reached"]
    assert verdict(HBA1C, {0: 7.0, 12: 6.9}) == ["not reached"]


def test_each_verdict_says_why():
    readings = [{0: 8.0, 12: 7.5}, {0: 7.5, 12: 6.9}, {0: 9.0, 12: 8.0}, {12: 6.0}, {0: 8.0}]
    judged = HBA1C.judge(made_records(readings))
    assert judged["reason"].tolist() == [
        "hba1c not below 7, nor down by 0.8",
        "hba1c fell by less than 0.8",
        "hba1c not below 7",
        "no baseline reading",
        "no reading in the window",
    ]
    assert judged["verdict"].tolist() == ["not reached"] * 3 + ["not assessable"] * 2


def test_a_missing_follow_up_can_be_declared_a_failure_but_a_missing_baseline_cannot():
    fails = replace(HBA1C, missing="fails")
    assert verdict(fails, {0: 8.0}, {12: 6.0}) == ["not reached", "not assessable"]


def test_the_baseline_rule_decides_who_has_fallen():
    readings = {-2: 8.0, -1: 7.8, 0: 7.4, 12: 6.9}
    by_rule = {
        rule: verdict(replace(HBA1C, baseline=rule), readings)[0]
        for rule in ("last", "mean", "first")
    }
    # 7.4 - 6.9 = .5; mean 7.733 - 6.9 = .833; 8.0 - 6.9 = 1.1
    assert by_rule == {"last": "not reached", "mean": "reached", "first": "reached"}
    recent = replace(HBA1C, baseline="mean", baseline_months=2)
    assert verdict(recent, readings) == ["not reached"]  # (7.8 + 7.4) / 2 - 6.9 = .7


def test_the_last_reading_decides_or_any_or_their_mean():
    readings = {0: 8.0, 3: 6.8, 9: 7.1}
    by_rule = {
        rule: verdict(replace(HBA1C, judged=rule), readings)[0] for rule in ("last", "any", "mean")
    }
    assert by_rule == {"last": "not reached", "any": "reached", "mean": "reached"}
    at = {
        rule: replace(HBA1C, judged=rule).judge(made_records([readings]))["month"].iloc[0]
        for rule in ("last", "any")
    }
    assert at == {"last": 9, "any": 3}


def test_a_loss_that_must_be_kept_needs_all_readings_in_a_row():
    kept = DropGoal(measure="weight", drop=0.05, relative=True, kept=3, judged="any")
    lost = {0: 100.0, 1: 94.0, 2: 95.0, 3: 94.9}
    regained = {0: 100.0, 1: 94.0, 2: 95.1, 3: 94.9, 4: 94.9}
    few = {0: 100.0, 1: 90.0, 2: 90.0}
    assert verdict(kept, lost, regained, few, measure="weight") == [
        "reached",
        "not reached",
        "not assessable",
    ]


def test_months_outside_the_window_do_not_count():
    year_two = replace(HBA1C, start=12)
    records = made_records([{0: 9.0, 6: 8.0, 12: 7.6, 20: 6.9, 24: 6.7}], months=24)
    assert year_two.judge(records)["value"].tolist() == [6.7]
    assert HBA1C.judge(records)["value"].tolist() == [7.6]
    # the year before is the new baseline: 7.6 - 6.7 = .9
    assert year_two.judge(records)["verdict"].tolist() == ["reached"]


def test_a_goal_does_not_judge_months_that_have_not_been_seen():
    with pytest.raises(SpecError, match="records end with month 6"):
        HBA1C.judge(made_records([{0: 8.0, 6: 6.9}], months=6))


def pressures(*months):
    return two_pressures([(m, 150, 80) if bad else (m, 130, 80) for m, bad in months])


def test_a_run_needs_both_pressures_below_their_bars_month_after_month():
    good = [(m, 139.9, 89.9) for m in (1, 2, 3)]
    assert PRESSURE.judge(two_pressures(good))["verdict"].tolist() == ["reached"]
    for at_bar in ((2, 140, 80), (2, 130, 90)):
        rows = [good[0], at_bar, good[2]]
        judged = PRESSURE.judge(two_pressures(rows))
        assert judged["verdict"].tolist() == ["not reached"]
        assert judged["reason"].tolist() == ["1 of 3 months in a row"]


def test_what_a_missing_month_means_is_declared():
    gap = two_pressures([(m, 130, 80) for m in (1, 2, 4)])
    found = {
        policy: replace(PRESSURE, missing_month=policy).judge(gap)["verdict"].iloc[0]
        for policy in ("fails", "skipped", "passes")
    }
    assert found == {"fails": "not reached", "skipped": "reached", "passes": "reached"}
    one = two_pressures([(2, 130, 80)])
    found = {
        policy: replace(PRESSURE, missing_month=policy).judge(one)["verdict"].iloc[0]
        for policy in ("fails", "skipped", "passes")
    }
    assert found == {"fails": "not reached", "skipped": "not assessable", "passes": "reached"}


def test_a_month_with_one_pressure_is_not_measured():
    half = two_pressures([(1, 130, 80), (2, 130, np.nan), (3, 130, 80)])
    assert PRESSURE.judge(half)["verdict"].tolist() == ["not reached"]


def test_a_run_may_be_any_or_the_last_months():
    early = two_pressures(
        [(m, 130, 80) for m in range(1, 4)] + [(m, 150, 80) for m in range(4, 13)]
    )
    assert PRESSURE.judge(early)["verdict"].tolist() == ["reached"]
    assert PRESSURE.judge(early)["month"].tolist() == [3]
    assert replace(PRESSURE, within="last").judge(early)["verdict"].tolist() == ["not reached"]


def test_several_readings_in_a_month_are_averaged_or_each_judged():
    rows = [(1, 130, 80), (2, 130, 80), (3, 145, 80), (3, 131, 80)]
    assert PRESSURE.judge(two_pressures(rows))["verdict"].tolist() == ["reached"]
    each = replace(PRESSURE, readings="each")
    assert each.judge(two_pressures(rows))["verdict"].tolist() == ["not reached"]
    twice = replace(PRESSURE, readings_per_month=2)
    assert twice.judge(two_pressures(rows))["verdict"].tolist() == ["not reached"]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.booleans(), min_size=12, max_size=12), st.integers(1, 6))
def test_a_run_is_found_as_a_string_of_months_finds_it(passes, months):
    rows = [(m, 130 if good else 150, 80) for m, good in enumerate(passes, start=1)]
    goal = replace(PRESSURE, months=months)
    text = "".join("x" if good else "-" for good in passes)
    judged = goal.judge(two_pressures(rows))
    assert (judged["verdict"].iloc[0] == "reached") == ("x" * months in text)
    assert judged["value"].iloc[0] == max(map(len, text.split("-")))


def heart(encounters, goal=YEAR, months=24):
    records = made_records([{0: 7.0}], encounters=encounters, months=months)
    row = goal.judge(records).iloc[0]
    return row["verdict"], row["reason"]


def test_a_readmission_within_the_year_fails_and_one_after_it_does_not():
    assert heart([(1, 365.0, "hf_admission")])[0] == "not reached"
    assert heart([(1, 366.0, "hf_admission")])[0] == "reached"
    assert heart([(1, -3.0, "hf_admission")])[0] == "reached"
    assert heart([])[0] == "reached"


def test_the_window_can_open_with_the_first_admission():
    since = replace(YEAR, since="first event")
    assert heart([(1, 100.0, "hf_admission")], since)[0] == "reached"
    assert heart([(1, 100.0, "hf_admission")])[0] == "not reached"
    twice = [(1, 100.0, "hf_admission"), (1, 300.0, "hf_admission")]
    assert heart(twice, since)[0] == "not reached"
    assert heart([], since) == ("not assessable", "no first hf_admission")
    late = [(1, 400.0, "hf_admission")]
    assert heart(late, since) == ("not assessable", "followed up too short")


@pytest.mark.parametrize(
    ("death", "expected"),
    [("not reached", "not reached"), ("excluded", "not assessable"), ("reached", "reached")],
)
def test_a_death_competes_with_readmission_and_what_it_counts_is_declared(death, expected):
    goal = replace(YEAR, death=death)
    assert heart([(1, 200.0, "death")], goal)[0] == expected
    # whatever is declared: readmitted first is readmitted, dead before the window is out of it
    both = [(1, 100.0, "hf_admission"), (1, 200.0, "death")]
    assert heart(both, goal)[0] == "not reached"
    later = replace(goal, start=12)
    assert heart([(1, 200.0, "death")], later) == ("not assessable", "died before the window")


def test_a_window_that_is_not_over_is_not_assessable_unless_it_is_lost():
    assert heart([], months=11) == ("not assessable", "followed up too short")
    assert heart([(1, 50.0, "hf_admission")], months=11)[0] == "not reached"
    assert heart([], months=12)[0] == "reached"


def covered(shares, **settings):
    goal = CoverageGoal(window=len(shares), fewest_months=1, **settings)
    by_month = {m: share for m, share in enumerate(shares, start=1) if share is not None}
    records = made_records([by_month], measure="covered", months=len(shares))
    return goal.judge(records).iloc[0]


def test_regular_medication_is_the_share_of_days_covered():
    assert covered([1.0, 0.6])["value"] == pytest.approx(0.8)
    assert covered([1.0, 0.6])["verdict"] == "reached"
    assert covered([1.0, 0.59])["verdict"] == "not reached"


def test_a_month_without_a_record_is_not_covered_unless_it_is_skipped():
    assert covered([1.0, None])["verdict"] == "not reached"
    assert covered([1.0, None], missing="skipped")["verdict"] == "reached"


def test_few_months_on_record_are_not_assessable():
    records = made_records([{1: 1.0, 2: 1.0}], measure="covered")
    row = CoverageGoal().judge(records).iloc[0]
    assert (row["verdict"], row["reason"]) == ("not assessable", "fewer than 3 months on record")


def test_shares_in_percent_are_refused():
    with pytest.raises(SpecError, match="0 to 1"):
        covered([80.0, 90.0])


def test_only_eligible_patients_are_judged():
    records = made_records([{0: 8.0, 12: 6.9}, {0: 8.0, 12: 6.9}])
    records.patients["diabetes"] = [True, False]
    records.patients["obesity"] = [False, False]
    assert HBA1C.judge(records).index.tolist() == [1]
    either = replace(HBA1C, population=("diabetes", "obesity"))
    assert either.judge(records).index.tolist() == [1]
    assert replace(HBA1C, population=()).judge(records).index.tolist() == [1, 2]


def test_a_drop_by_luck_happens_as_often_as_the_criterion_says():
    # no patient changes; 40,000 of them, 4.5 standard errors of a share
    rng = np.random.default_rng(20261)
    n, level, sd = 40_000, 7.4, 0.4
    readings = [{0: a, 12: b} for a, b in level + sd * rng.normal(size=(n, 2))]
    share = (HBA1C.judge(made_records(readings))["verdict"] == "reached").mean()
    chance = float(DropCriterion(drop=0.8, bar=7.0, within_sd=sd).pass_probability(level))
    assert share == pytest.approx(chance, abs=4.5 * np.sqrt(chance / n))


def test_a_run_by_luck_happens_as_often_as_the_criterion_says():
    rng = np.random.default_rng(20261)
    n, level = 5_000, 128.0
    table = pd.DataFrame(
        {
            "patient": np.repeat(np.arange(n), 6),
            "month": np.tile(np.arange(1, 7), n),
            "sbp": rng.normal(level, 0.1 * level, 6 * n),
        }
    )
    records = PatientRecords(
        patients=pd.DataFrame({"patient": range(n)}), measurements=table, months=6
    )
    goal = RunGoal(bars=(("sbp", 140),), months=6, window=6)
    share = (goal.judge(records)["verdict"] == "reached").mean()
    chance = float(ConsecutiveCriterion(bar=140, cv=0.10).pass_probability(level))
    assert share == pytest.approx(chance, abs=4.5 * np.sqrt(chance * (1 - chance) / n))


@settings(deadline=None, max_examples=30)
@given(st.floats(0.1, 2.0), st.floats(0.1, 2.0), st.integers(0, 2**32 - 1))
def test_asking_for_a_larger_drop_never_lets_more_patients_reach_it(one, other, seed):
    rng = np.random.default_rng(seed)
    records = made_records([{0: a, 12: b} for a, b in rng.normal(7.5, 1, (20, 2))])
    small, large = sorted((one, other))
    few, many = (
        (replace(HBA1C, drop=drop).judge(records)["verdict"] == "reached").sum()
        for drop in (large, small)
    )
    assert few <= many


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"drop": -1.0}, "drop must be a number above 0; got -1"),
        ({"drop": 5.0, "relative": True}, "Did you mean 0.05"),
        ({"baseline": "mena"}, "Did you mean 'mean'"),
        ({"judged": "mean", "kept": 2}, "kept=1"),
        ({"population": "diabetes"}, "tuple"),
        ({"start": -1}, "start must be a whole number of at least 0; got -1"),
        ({"window": 0}, "whole number"),
    ],
)
def test_a_goal_that_cannot_be_judged_is_refused(change, words):
    with pytest.raises(SpecError, match=words):
        replace(HBA1C, **change)


def test_other_goals_refuse_what_they_cannot_judge():
    with pytest.raises(SpecError, match="does not fit"):
        replace(PRESSURE, months=13)
    with pytest.raises(SpecError, match="at least one measure"):
        replace(PRESSURE, bars=())
    with pytest.raises(SpecError, match=r"Did you mean 0\.8"):
        CoverageGoal(at_least=80)
    with pytest.raises(SpecError, match="death competes"):
        NoEventGoal(kind="death")


def test_records_refuse_tables_that_do_not_fit_together():
    good = made_records([{0: 8.0}])
    with pytest.raises(CasesError, match="one row per patient"):
        replace(good, patients=pd.concat([good.patients] * 2))
    with pytest.raises(CasesError, match="not in patients"):
        replace(good, measurements=good.measurements.assign(patient=9))
    with pytest.raises(CasesError, match="must have a column 'month'"):
        replace(good, measurements=good.measurements.rename(columns={"month": "monat"}))
    with pytest.raises(CasesError, match="whole numbers"):
        replace(good, measurements=good.measurements.assign(month=0.5))
    with pytest.raises(SpecError, match="whole number from 1"):
        replace(good, months=0)
    with pytest.raises(CasesError, match="must have a column 'hba1'"):
        replace(HBA1C, measure="hba1").judge(made_records([{0: 8.0}]))
    with pytest.raises(CasesError, match="True and False"):
        HBA1C.judge(
            made_records([{0: 8.0}], flags=("obesity",)).__class__(
                patients=good.patients.assign(diabetes="yes"),
                measurements=good.measurements,
                months=12,
            )
        )


def test_a_goal_says_in_words_what_it_asks_for():
    assert str(HBA1C) == (
        "hba1c < 7 and hba1c down by 0.8 or more from the last reading up to month 0; "
        "the last reading of months 1 to 12; without one: not assessable"
    )
    assert str(PRESSURE) == (
        "sbp < 140 and dbp < 90 in any 3 consecutive months of months 1 to 12; "
        "a missing month: fails"
    )
    assert str(YEAR) == "no hf_admission within 1 years of month 0; a death: not reached"
    assert str(CoverageGoal()).startswith("80% or more of the days of months 1 to 12 covered")


def test_every_goal_is_a_goal():
    for goal in (HBA1C, PRESSURE, YEAR, CoverageGoal()):
        assert isinstance(goal, Goal)
    assert pytest.approx(365.25) == 12 * DAYS_PER_MONTH
