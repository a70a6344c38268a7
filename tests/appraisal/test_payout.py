"""What pay refuses: a sum of no tier, tiers that do not exist."""

import pandas as pd
import pytest

import outcomekpi as ok
from outcomekpi import SpecError


@pytest.fixture(scope="module")
def tiers():
    patients = pd.DataFrame({"patient": [1, 2], "doctor": ["A", "B"]})
    readings = pd.DataFrame(
        {"patient": [1, 1, 2, 2], "month": [0, 12] * 2, "hba1c": [8.1, 6.9, 8.3, 8.0]}
    )
    records = ok.PatientRecords(patients=patients, measurements=readings, months=12)
    goal = ok.DropGoal(measure="hba1c", drop=0.8, below=7)
    return ok.assess_tiers(records, [ok.TierRule(name="HbA1c", goal=goal, payee="doctor")])


@pytest.mark.parametrize("budget", [10000, 0, "HbA1c", [100.0]])
def test_a_sum_needs_its_tier(tiers, budget):
    with pytest.raises(SpecError, match=r"budget must map tiers to sums, as \{'HbA1c': \.\.\.\}"):
        ok.pay(tiers, budget=budget)


@pytest.mark.parametrize("amount", ["many", None, -1.0, float("nan")])
def test_a_sum_is_a_number(tiers, amount):
    with pytest.raises(SpecError, match="The budget of 'HbA1c' must be 0 or more"):
        ok.pay(tiers, budget={"HbA1c": amount})


def test_a_tier_that_does_not_exist_is_named(tiers):
    with pytest.raises(SpecError, match=r"'HbA1'.*Did you mean 'HbA1c'"):
        ok.pay(tiers, budget={"HbA1": 10.0})
    paid = ok.pay(tiers, budget={"HbA1c": 10.0})
    for ask in (paid.amounts, lambda tier: paid.trace(tier, "A")):
        with pytest.raises(SpecError, match="tier must be one of 'HbA1c'; got 'blood'"):
            ask("blood")
    assert paid.amounts("HbA1c").to_dict() == {"A": 10.0, "B": 0.0}
