from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_records import made_records

from outcomekpi.appraisal.points import (
    PointLedger,
    PointRule,
    earn_points,
    health_points,
    redeem_points,
)
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.tables.patient_records import PatientRecords

QUIT, WEIGHT, MEDICATION = health_points(weight_loss=5.0)


def residents():
    """Three residents: 1 loses 5 kg, quits and takes his medication; 2 loses 4 kg; 3 smokes on."""
    months = range(1, 13)
    rows = [{"patient": p, "month": 0, "weight": 100.0, "smokes": 1.0} for p in (1, 2, 3)]
    rows += [{"patient": 1, "month": m, "smokes": float(m < 4), "covered": 0.9} for m in months]
    rows += [{"patient": 2, "month": m, "covered": 0.5} for m in months]
    rows += [{"patient": 3, "month": m, "smokes": float(m == 6)} for m in months if m != 9]
    rows += [{"patient": p, "month": 12, "weight": w} for p, w in ((1, 95.0), (2, 96.0))]
    patients = pd.DataFrame(
        {
            "patient": [1, 2, 3],
            "team": ["T", "T", "U"],
            "smoker": [True, False, True],
            "obesity": [True, True, False],
            "diabetes": [True, True, False],
            "hypertension": False,
            "heart_failure": False,
        }
    )
    return PatientRecords(patients=patients, measurements=pd.DataFrame(rows), months=12)


def ledger(**settings):
    return earn_points(residents(), health_points(weight_loss=5.0, **settings))


BOOK = ledger()


def test_residents_and_teams_both_earn_for_the_same_goals():
    found = ledger(team=2.0, resident=1.0)
    assert found.balance("resident").to_dict() == {1: 3.0}
    assert found.balance("team").to_dict() == {"T": 6.0}
    frame = found.to_frame().loc[("team", "T")]
    assert frame[["earned", "redeemed", "balance", "patients", "goals_reached"]].tolist() == [
        6.0,
        0.0,
        6.0,
        1,
        3,
    ]


def test_a_goal_is_worth_one_point_to_either_unless_the_rule_says_more():
    plain = PointRule(name="quit smoking", goal=QUIT.goal)
    book = earn_points(residents(), [plain])
    assert book.balance("resident").to_dict() == {1: 1.0}
    assert book.balance("team").to_dict() == {"T": 1.0}
    team_only = earn_points(residents(), [replace(plain, resident=0.0)])
    assert team_only.balance("team").to_dict() == {"T": 1.0}


def test_a_month_without_an_answer_is_smoking():
    # resident 3 has no six answers in a row: 1-5, then 7, 8 and 10-12
    judged = QUIT.goal.judge(residents())
    assert judged["verdict"].to_dict() == {1: "reached", 3: "not reached"}
    assert judged.loc[1, "month"] == 9


def test_every_entry_is_traced_to_patient_goal_and_month():
    own = ledger().trace("team", "T")
    assert set(zip(own["goal"], own["patient"], own["month"], strict=True)) == {
        ("quit smoking", 1, 9),
        ("weight loss", 1, 12),
        ("regular medication", 1, 12),
    }
    assert own["balance"].tolist() == [1, 2, 3]
    with pytest.raises(CasesError, match="No entry"):
        ledger().trace("team", "U")


def test_five_kilograms_and_five_percent_are_two_goals():
    heavy = made_records([{0: 120.0, 12: 115.0}], measure="weight", flags=("obesity",))
    percent = health_points(weight_loss=0.05, relative=True)[1]
    assert WEIGHT.goal.judge(heavy)["verdict"].tolist() == ["reached"]
    assert percent.goal.judge(heavy)["verdict"].tolist() == ["not reached"]


def test_points_are_there_from_the_month_in_which_they_were_earned():
    assert ledger().balance("resident", month=8).empty
    assert ledger().balance("resident", month=9).to_dict() == {1: 1.0}
    assert ledger().balance("resident").to_dict() == {1: 3.0}


def redeemed(before, *, points, month, holders=(1,), account="resident"):
    return redeem_points(
        before, account=account, holders=holders, points=points, month=month, item="free check-up"
    )


def test_redeeming_takes_points_and_leaves_the_old_ledger_as_it_was():
    before = ledger()
    after = redeemed(before, points=2, month=12)
    assert after.balance("resident").to_dict() == {1: 1.0}
    assert before.balance("resident").to_dict() == {1: 3.0}
    assert after.trace("resident", 1)["item"].tolist() == ["", "", "", "free check-up"]
    assert after.trace("resident", 1)["balance"].tolist() == [1, 2, 3, 1]


def test_a_balance_is_never_below_zero():
    with pytest.raises(SpecError, match="the first 1 with 3"):
        redeemed(ledger(), points=4, month=12)
    with pytest.raises(SpecError, match="the first 1 with 0"):
        redeemed(ledger(), points=1, month=8)
    with pytest.raises(SpecError, match="1 of 2 residents have fewer than the 1 points"):
        redeemed(ledger(), points=1, month=12, holders=(1, 2))


def test_one_holder_given_as_text_is_not_read_letter_by_letter():
    with pytest.raises(SpecError, match=r"holders must be a list of teams.*\['TU'\]"):
        redeemed(ledger(), points=1, month=12, holders="TU", account="team")


def test_points_that_are_spent_later_cannot_be_spent_before():
    spent = redeemed(ledger(), points=3, month=12)
    with pytest.raises(SpecError, match="the first 1 with 0"):
        redeemed(spent, points=1, month=9)


def test_points_earned_later_do_not_pay_for_earlier_ones():
    spent = redeemed(ledger(), points=1, month=9)
    assert spent.balance("resident", month=9).to_dict() == {1: 0.0}
    assert redeemed(spent, points=2, month=12).balance("resident").to_dict() == {1: 0.0}


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.integers(0, 13), st.sampled_from([0.5, 1, 2, 3])), min_size=1, max_size=6)
)
def test_whatever_is_tried_no_account_is_ever_overdrawn(tries):
    book = BOOK
    for month, points in tries:
        try:
            book = redeemed(book, points=points, month=month)
        except SpecError:
            continue
    own = book.entries[book.entries["account"] == "resident"]
    for month in range(14):
        assert own["points"][own["month"] <= month].sum() >= 0
    earned = book.to_frame()
    assert (earned["earned"] - earned["redeemed"]).tolist() == earned["balance"].tolist()


def test_a_table_that_is_overdrawn_is_no_ledger():
    good = ledger().entries
    with pytest.raises(CasesError, match="below zero"):
        PointLedger(entries=good.assign(points=-good["points"]))
    with pytest.raises(CasesError, match="must have a column 'item'"):
        PointLedger(entries=good.drop(columns="item"))


def test_refusals_say_what_is_wrong():
    with pytest.raises(SpecError, match="points must be a number above 0; got 0"):
        redeemed(ledger(), points=0, month=12)
    with pytest.raises(SpecError, match="more than once"):
        redeemed(ledger(), points=1, month=12, holders=(1, 1))
    with pytest.raises(SpecError, match="must be one of 'team', 'resident'"):
        redeemed(ledger(), points=1, month=12, account="doctor")
    with pytest.raises(SpecError, match="team must be a number of at least 0; got -1"):
        replace(QUIT, team=-1.0)
    with pytest.raises(SpecError, match="rules must be PointRule; got"):
        earn_points(residents(), ["quit"])
    with pytest.raises(CasesError, match="have no team, the first 1"):
        earn_points(replace(residents(), patients=residents().patients.assign(team=None)), [WEIGHT])


def test_a_goal_without_points_for_an_account_makes_no_entry_there():
    only = earn_points(residents(), [replace(WEIGHT, resident=0.0)])
    assert only.entries["account"].tolist() == ["team"]
    assert isinstance(only.to_frame(), pd.DataFrame)


def test_nobody_reaching_anything_is_an_empty_ledger():
    empty = earn_points(residents(), [PointRule(name="10 kg", goal=replace(WEIGHT.goal, drop=10))])
    assert len(empty.entries) == 0
    assert "0 entries" in repr(empty)


def test_the_ledger_shows_itself():
    assert repr(ledger()).startswith("PointLedger: 6 entries; teams earned 3 and redeemed 0")
    assert "<table" in ledger()._repr_html_()


def test_what_can_be_spent_is_the_balance_and_not_a_tenth_more():
    with pytest.raises(SpecError, match=r"fewer than the 3\.05 points"):
        redeemed(ledger(), points=3.05, month=12)
    with pytest.raises(SpecError, match=r"fewer than the 0\.05 points"):
        redeemed(ledger(), points=0.05, month=8)  # all is earned later


def test_what_a_resident_redeems_is_his_own_and_what_a_team_redeems_nobodys():
    book = redeemed(
        redeemed(ledger(team=2.0, resident=1.0), points=1, month=12),
        points=1,
        month=12,
        holders=("T",),
        account="team",
    )
    spent = book.entries[book.entries["entry"] == "redeemed"].set_index("account")
    assert spent.loc["resident", "patient"] == 1
    assert spent.loc["team", "patient"] is None


def test_the_short_table_of_a_ledger_has_eight_holders():
    many = pd.concat(
        [
            BOOK.entries.assign(holder=BOOK.entries["holder"].astype(str) + f"-{k}")
            for k in range(9)
        ],
        ignore_index=True,
    )
    body = PointLedger(entries=many)._repr_html_().split("<tbody>")[1]
    assert body.count("<tr>") == 8
