import re

import pytest
from made_records import made_records
from made_results import made_rates

from outcomekpi.appraisal.misallocation import misallocate
from outcomekpi.appraisal.payout import pay
from outcomekpi.appraisal.points import PointRule, earn_points
from outcomekpi.appraisal.rate_pay import RatePayRule, pay_rates
from outcomekpi.appraisal.tiers import TierRule, assess_tiers
from outcomekpi.indicators.drop_goals import DropGoal
from outcomekpi.indicators.reached_by_chance import reached_by_chance

GOAL = DropGoal(measure="hba1c", drop=0.8, below=7.0, population=("diabetes",))
RECORDS = made_records([{0: 7.0 + 0.1 * k, 12: 6.5} for k in range(30)])
RATES = made_rates(direction="higher")
SHARES = (("doctor", 0.5), ("dietitian", 0.5))
TIERS = assess_tiers(
    RECORDS, [TierRule(name="HbA1c", goal=GOAL, payee="team", amount=1.0, shares=SHARES)]
)
PAYOUT = pay(TIERS)
LEDGER = earn_points(RECORDS, [PointRule(name="HbA1c", goal=GOAL)])
RATE_PAYOUT = pay_rates(
    RATES, RatePayRule(by="probability", target=RATES.reference_rate, budget=1.0)
)
MISALLOCATION = misallocate(RATE_PAYOUT)
CHANCE = reached_by_chance(GOAL, RECORDS, within_sd={"hba1c": 0.3})


@pytest.mark.parametrize(
    "method",
    [
        TIERS.to_frame,
        TIERS.reasons,
        PAYOUT.to_frame,
        PAYOUT.totals,
        PAYOUT.members_frame,
        LEDGER.to_frame,
        RATE_PAYOUT.to_frame,
        MISALLOCATION.to_frame,
        MISALLOCATION.doctors_frame,
        CHANCE.to_frame,
        lambda: GOAL.judge(RECORDS),
    ],
    ids=lambda method: method.__qualname__,
)
def test_the_columns_of_a_table_are_the_ones_that_its_docstring_names(method):
    text = DropGoal.judge.__doc__ if method.__doc__ is None else method.__doc__
    documented = set()
    for listed in re.findall(r"``([^`]+)``", text):
        documented |= {re.sub(r"\s+", " ", column).strip() for column in listed.split(",")}
    assert set(method().columns) <= documented


@pytest.mark.parametrize(
    "result",
    [TIERS, PAYOUT, LEDGER, RATE_PAYOUT, MISALLOCATION, CHANCE, RECORDS],
    ids=lambda r: type(r).__name__,
)
def test_results_show_themselves_in_one_line_and_in_a_short_table(result):
    assert "\n" not in repr(result)
    assert len(repr(result)) < 300
    assert "<table" in result._repr_html_()
    assert result._repr_html_().count("<tr") < 30
