from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_records import made_records

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.indicators.chance.criteria import ConsecutiveCriterion, JointCriterion
from outcomekpi.indicators.chance.performance import DropCriterion, assess_criterion, normal_levels
from outcomekpi.indicators.drop_goals import DropGoal
from outcomekpi.indicators.event_goals import NoEventGoal
from outcomekpi.indicators.reached_by_chance import _chance_of_run, reached_by_chance
from outcomekpi.indicators.run_goals import RunGoal
from outcomekpi.tables.patient_records import PatientRecords

HBA1C = DropGoal(measure="hba1c", drop=0.8, below=7.0)
PRESSURE = RunGoal(bars=(("sbp", 140), ("dbp", 90)), months=6)
N = 20_000
FEW = 1_500


def unchanged(rng, *, mean, sd, within, correlation=0.0, own=0.0, months=12, missing=0.0, size=N):
    """Records of patients whose true levels stay as they are, and these levels."""
    names = list(mean)
    n = len(names)
    mix = np.linalg.cholesky(np.where(np.eye(n) > 0, 1.0, own))
    noise = np.linalg.cholesky(np.where(np.eye(n) > 0, 1.0, correlation))
    level = np.array(list(mean.values())) + rng.normal(size=(size, n)) @ mix.T * list(sd.values())
    readings = level[:, None] + rng.normal(size=(size, months + 1, n)) @ noise.T * list(
        within.values()
    )
    table = pd.DataFrame(
        {
            "patient": np.repeat(np.arange(size), months + 1),
            "month": np.tile(range(months + 1), size),
        }
    )
    table[names] = readings.reshape(-1, n)
    seen = (table["month"] == 0) | (rng.random(len(table)) >= missing)
    patients = pd.DataFrame({"patient": range(size)})
    return PatientRecords(patients=patients, measurements=table[seen], months=months), level


def agrees(found, hits, errors=4.5):
    """Whether a probability agrees with a simulated share, 4.5 standard errors of the share."""
    return abs(found - hits.mean()) < errors * np.sqrt(found * (1 - found) / hits.size)


def test_a_fall_by_chance_is_that_of_the_criterion_over_the_population(rng):
    records, _ = unchanged(rng, mean={"hba1c": 7.6}, sd={"hba1c": 1.0}, within={"hba1c": 0.4})
    found = reached_by_chance(HBA1C, records, within_sd={"hba1c": 0.4}).to_frame().iloc[0]
    criterion = DropCriterion(drop=0.8, bar=7.0, within_sd=0.4)
    exact = assess_criterion(criterion, normal_levels(mean=7.6, sd=1.0)).summary()["passes"].iloc[0]
    # the population is estimated from 20,000 baselines: 2 % of the probability
    assert found["expected"] / found["patients"] == pytest.approx(exact, rel=0.02)
    assert abs(found["reached"] - found["expected"]) < 4.5 * found["sd"]


@pytest.mark.parametrize(
    "goal", [HBA1C, DropGoal(measure="hba1c", drop=0.05, relative=True)], ids=["points", "share"]
)
def test_the_chance_of_each_patient_comes_true_as_often_as_it_says(goal, rng):
    records, _ = unchanged(rng, mean={"hba1c": 7.6}, sd={"hba1c": 1.0}, within={"hba1c": 0.4})
    table = reached_by_chance(goal, records, within_sd={"hba1c": 0.4}).verdicts
    for _, group in table.groupby(pd.qcut(table["chance"], 5)):
        assert agrees(group["chance"].mean(), group["reached"])


@pytest.mark.parametrize("missing_month", ["fails", "skipped", "passes"])
@pytest.mark.parametrize("within", ["any", "last"])
def test_a_run_by_chance_comes_true_as_often_as_it_says(rng, missing_month, within):
    pressure = {
        "mean": {"sbp": 138.0, "dbp": 82.0},
        "sd": {"sbp": 12.0, "dbp": 8.0},
        "within": {"sbp": 9.0, "dbp": 6.0},
    }
    records, _ = unchanged(rng, **pressure, correlation=0.5, own=0.6, missing=0.1, size=FEW)
    goal = replace(PRESSURE, missing_month=missing_month, within=within)
    found = reached_by_chance(
        goal, records, within_sd=pressure["within"], correlation=0.5
    ).to_frame()
    row = found.iloc[0]
    # beside chance, the population is estimated from 1,500 baselines
    assert abs(row["reached"] - row["expected"]) < 4.5 * row["sd"] + 0.02 * row["expected"]


def test_a_run_of_the_last_months_is_that_of_the_criterion(rng):
    records, _ = unchanged(
        rng, mean={"sbp": 132.0}, sd={"sbp": 12.0}, within={"sbp": 13.0}, months=6
    )
    goal = RunGoal(bars=(("sbp", 140),), months=6, window=6)
    row = reached_by_chance(goal, records, within_sd={"sbp": 13.0}).to_frame().iloc[0]
    criterion = ConsecutiveCriterion(bar=140, within_sd=13.0)
    exact = assess_criterion(criterion, normal_levels(mean=132, sd=12)).summary()["passes"].iloc[0]
    assert row["expected"] / row["patients"] == pytest.approx(exact, rel=0.03)


def test_two_pressures_given_no_spread_between_patients_are_those_of_the_joint_criterion(rng):
    spread = {"sbp": 0.5, "dbp": 0.5}  # nearly the same level for everybody
    within = {"sbp": 10.0, "dbp": 6.0}
    records, _ = unchanged(
        rng, mean={"sbp": 128.0, "dbp": 80.0}, sd=spread, within=within, correlation=0.6, months=6
    )
    one, two = (ConsecutiveCriterion(bar=bar, within_sd=sd) for bar, sd in ((140, 10.0), (90, 6.0)))
    exact = JointCriterion(first=one, second=two, correlation=0.6).pass_probability([128.0, 80.0])
    goal = replace(PRESSURE, window=6)
    judged = goal.judge(records)["verdict"] == "reached"
    assert judged.mean() == pytest.approx(float(exact), abs=0.015)


def test_who_truly_improved_reaches_more_than_chance_alone(rng):
    records, _ = unchanged(rng, mean={"hba1c": 7.6}, sd={"hba1c": 1.0}, within={"hba1c": 0.4})
    table = records.measurements.copy()
    table.loc[table["month"] > 0, "hba1c"] -= 0.6
    better = replace(records, measurements=table)
    row = reached_by_chance(HBA1C, better, within_sd={"hba1c": 0.4}).to_frame().iloc[0]
    assert row["share"] < 0.5


def test_patients_without_a_baseline_are_left_out_of_both_sides():
    readings = [{0: 7.0 + 0.1 * k, 12: 7.0} for k in range(30)] + [{12: 6.0}]
    row = reached_by_chance(HBA1C, made_records(readings), within_sd={"hba1c": 0.3}).to_frame()
    assert row["patients"].iloc[0] == 30


def test_what_cannot_be_computed_is_refused():
    records = made_records([{0: 7.0 + 0.1 * k, 12: 7.0} for k in range(30)])
    with pytest.raises(SpecError, match="goal must be DropGoal or RunGoal; got NoEventGoal"):
        reached_by_chance(NoEventGoal(kind="hf_admission"), records, within_sd={})
    with pytest.raises(SpecError, match="lacks 'hba1c'"):
        reached_by_chance(HBA1C, records, within_sd={"sbp": 10.0})
    with pytest.raises(SpecError, match="no variance between patients"):
        reached_by_chance(HBA1C, records, within_sd={"hba1c": 3.0})
    with pytest.raises(SpecError, match="judged by the last reading"):
        reached_by_chance(replace(HBA1C, judged="any"), records, within_sd={"hba1c": 0.3})
    readings = [{0: 7.0 + 0.1 * k, 12: 7.0} for k in range(10)]
    with pytest.raises(CasesError, match="Only 9 patients"):
        reached_by_chance(HBA1C, made_records(readings[:9]), within_sd={"hba1c": 0.1})
    ten = reached_by_chance(HBA1C, made_records(readings), within_sd={"hba1c": 0.1}).to_frame()
    assert ten["patients"].iloc[0] == 10
    for edge in (-1.0, 1.0):
        with pytest.raises(SpecError, match="between -1 and 1"):
            reached_by_chance(HBA1C, records, within_sd={"hba1c": 0.3}, correlation=edge)


def test_the_result_says_in_one_line_what_it_is():
    records = made_records([{0: 7.0 + 0.1 * k, 12: 7.0} for k in range(30)])
    found = reached_by_chance(HBA1C, records, within_sd={"hba1c": 0.3})
    assert repr(found).startswith("ReachedByChance: 0 of 30 patients reached the goal; ")
    assert "<table" in found._repr_html_()
    assert np.isnan(found.to_frame()["share"].iloc[0])


def test_a_month_without_a_reading_fails_passes_or_is_skipped_by_hand():
    # 2 months of 3, the middle one missing; the others pass with probability .6
    month, measured = np.array([[0.6]]), np.array([[True, False, True]])
    by_hand = {"fails": 0.0, "passes": 0.6 + 0.6 - 0.36, "skipped": 0.36}
    for missing_month, chance in by_hand.items():
        goal = RunGoal(bars=(("sbp", 140),), months=2, window=3, missing_month=missing_month)
        assert _chance_of_run(goal, month, measured)[0, 0] == pytest.approx(chance, abs=1e-15)
