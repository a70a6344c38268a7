from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_records import made_records

from outcomekpi.appraisal.payout import pay
from outcomekpi.appraisal.tiers import TierRule, assess_tiers, reward_ladder
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.indicators.drop_goals import DropGoal

GOAL = DropGoal(measure="hba1c", drop=0.8, below=7.0, population=("diabetes",))
RULE = TierRule(name="HbA1c", goal=GOAL, payee="doctor", amount=3.0)
LADDER = reward_ladder(hba1c_below=7, drop=0.8, sbp_below=140, dbp_below=90, months=6, years=1)
# patients 1 and 3 are A's, 2 and 4 are B's; 1, 2 are of team T, 3, 4 of U
READINGS = [{0: 8.0, 12: 6.9}, {0: 8.0, 12: 7.9}, {0: 9.0, 12: 6.0}, {0: 8.0}]


def assessed(rules=(RULE,), readings=READINGS):
    return assess_tiers(made_records(readings), list(rules))


def test_the_ladder_of_the_source_has_three_payees():
    assert [rule.payee for rule in LADDER] == ["doctor", "team", "responsible"]
    assert [rule.unit for rule in LADDER] == ["points", "points", "money"]
    assert LADDER[0].goal.relative is False
    assert LADDER[1].goal.bars == (("sbp", 140), ("dbp", 90))


def test_months_of_a_table_of_figures_are_whole_though_floats():
    numbers = {"hba1c_below": 7.0, "drop": 0.8, "sbp_below": 140.0, "dbp_below": 90.0}
    assert reward_ladder(**numbers, months=6.0, years=1.0) == LADDER
    with pytest.raises(SpecError, match="must be whole"):
        reward_ladder(**numbers, months=6.5, years=1.0)


def test_the_three_tiers_are_judged_side_by_side_on_the_same_patients():
    records = made_records(
        [{0: 8.0, 12: 6.9}] * 2,
        encounters=[(2, 10.0, "hf_admission")],
        flags=("diabetes", "hypertension", "heart_failure"),
    )
    pressures = pd.DataFrame(
        {"patient": 1, "month": range(1, 7), "sbp": 130.0, "dbp": 80.0, "hba1c": np.nan}
    )
    table = pd.concat([records.measurements, pressures])
    found = assess_tiers(replace(records, measurements=table), LADDER).to_frame()
    assert found["eligible"].tolist() == [2, 2, 2]
    assert found["reached"].tolist() == [2, 1, 1]


def test_the_table_counts_every_eligible_patient_once():
    row = assessed().to_frame().loc["HbA1c"]
    assert row[["eligible", "reached", "not_reached", "not_assessable"]].tolist() == [4, 2, 1, 1]
    assert row["share"] == pytest.approx(2 / 3)
    assert row["share_of_eligible"] == pytest.approx(0.5)


def test_the_reasons_are_counted():
    reasons = assessed().reasons()
    assert reasons["patients"].tolist() == [1, 1]
    assert set(reasons["reason"]) == {
        "hba1c not below 7, nor down by 0.8",
        "no reading in the window",
    }


def test_a_payout_adds_up_the_patients_of_each_payee():
    payout = pay(assessed())
    assert payout.amounts("HbA1c").to_dict() == {"A": 6.0, "B": 0.0}
    frame = payout.to_frame().set_index("payee")
    assert frame.loc["B", ["eligible", "assessable", "reached"]].tolist() == [2, 1, 0]
    assert payout.totals("points")["amount"].sum() == 6.0
    assert len(payout.totals("money")) == 0


def test_every_amount_is_traced_to_the_patients_who_earned_it():
    payout = pay(assessed())
    assert payout.entries["patient"].tolist() == [1, 3]
    assert payout.entries["amount"].sum() == payout.to_frame()["amount"].sum()
    whole = payout.trace("HbA1c", "B")
    assert whole["patient"].tolist() == [2, 4]
    assert whole["verdict"].tolist() == ["not reached", "not assessable"]
    assert whole["amount"].sum() == 0
    with pytest.raises(CasesError, match="no eligible patient"):
        payout.trace("HbA1c", "C")
    with pytest.raises(SpecError, match="Did you mean 'HbA1c'"):
        payout.trace("HbA1", "A")


def test_who_is_paid_is_an_argument_and_changes_who_gets_what():
    team = pay(assessed([replace(RULE, payee="team")])).amounts("HbA1c")
    assert team.to_dict() == {"T": 3.0, "U": 3.0}


def test_a_team_divides_its_credit_by_the_shares_it_declared():
    shares = (("doctor", 0.6), ("dietitian", 0.3), ("counsellor", 0.1))
    members = pay(assessed([replace(RULE, payee="team", shares=shares)])).members_frame()
    assert members.groupby("payee")["amount"].sum().to_dict() == {"T": 3.0, "U": 3.0}
    own = members[members["payee"] == "T"].set_index("member")["amount"]
    assert own.to_dict() == pytest.approx({"doctor": 1.8, "dietitian": 0.9, "counsellor": 0.3})
    assert len(pay(assessed()).members_frame()) == 0


def test_a_fixed_budget_is_divided_by_the_patients_who_reached_the_tier():
    payout = pay(assessed(), budget={"HbA1c": 1000.0})
    assert payout.amounts("HbA1c").to_dict() == {"A": 1000.0, "B": 0.0}
    with pytest.raises(SpecError, match="no payee"):
        pay(assessed(readings=[{0: 8.0, 12: 8.0}]), budget={"HbA1c": 10.0})
    with pytest.raises(SpecError, match="no tier"):
        pay(assessed(), budget={"HbA1": 10.0})
    with pytest.raises(SpecError, match="0 or more"):
        pay(assessed(), budget={"HbA1c": -10.0})


def test_relabelling_the_doctors_relabels_the_payout():
    records = made_records(READINGS)
    swapped = records.patients.assign(doctor=records.patients["doctor"].map({"A": "B", "B": "A"}))
    other = pay(assess_tiers(replace(records, patients=swapped), [RULE])).amounts("HbA1c")
    assert other.to_dict() == {"B": 6.0, "A": 0.0}


def test_patients_without_a_payee_are_refused():
    records = made_records(READINGS)
    nobody = replace(records, patients=records.patients.assign(doctor=["A", None, "A", "B"]))
    with pytest.raises(CasesError, match="have no 'doctor', the first patient 2"):
        assess_tiers(nobody, [RULE])
    with pytest.raises(CasesError, match="must have a column 'nurse'"):
        assess_tiers(records, [replace(RULE, payee="nurse")])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"amount": -1.0}, "amount must be a number of at least 0; got -1"),
        ({"unit": "yuan"}, "must be one of 'points', 'money'"),
        ({"shares": (("doctor", 0.6),)}, "add up to 1"),
        ({"goal": "HbA1c < 7"}, "must have a method judge"),
    ],
)
def test_a_rule_that_cannot_be_paid_is_refused(change, words):
    with pytest.raises(SpecError, match=words):
        replace(RULE, **change)


def test_two_tiers_of_one_name_are_refused():
    with pytest.raises(SpecError, match="names of their own"):
        assessed([RULE, RULE])
    with pytest.raises(SpecError, match="at least one"):
        assess_tiers(made_records(READINGS), [])


def test_results_say_in_one_line_what_they_are():
    assert repr(assessed()) == ("TierAssessment: HbA1c: 2 of 4 patients reached, 1 not assessable")
    assert repr(pay(assessed())) == "Payout: HbA1c: 6 points to 2 payees (doctor)"
    assert "<table" in pay(assessed())._repr_html_()
    assert "<table" in assessed()._repr_html_()
