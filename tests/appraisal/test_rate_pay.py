from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import made_rates

from outcomekpi.appraisal.misallocation import misallocate
from outcomekpi.appraisal.rate_pay import RatePayRule, pay_rates
from outcomekpi.awards.awards import AbsoluteRule
from outcomekpi.awards.misclassification import misclassify
from outcomekpi.declare.errors import SpecError
from outcomekpi.draws.intervals import flatten_draws

RATES = made_rates(direction="higher")
TARGET = RATES.reference_rate
PROBABILITY = RatePayRule(by="probability", target=TARGET, amount=100.0)
THRESHOLD = RatePayRule(by="threshold", target=TARGET, amount=100.0)
CASES = RatePayRule(by="cases", seen="raw", amount=10.0)


def test_payment_by_probability_is_the_amount_times_the_posterior_probability():
    paid = pay_rates(RATES, PROBABILITY).pay
    expected = 100.0 * (flatten_draws(RATES.draws) > TARGET).mean(axis=1)
    # shares of 400 draws are held in single precision: relative error below 1e-7
    np.testing.assert_allclose(paid, expected, rtol=1e-6)


def test_payment_by_threshold_is_all_or_nothing_of_the_same_posterior():
    paid = pay_rates(RATES, THRESHOLD).pay
    mean = flatten_draws(RATES.draws).mean(axis=1)
    assert paid.tolist() == np.where(mean > TARGET, 100.0, 0.0).tolist()


def test_payment_per_case_of_the_raw_rate_is_the_number_of_events():
    paid = pay_rates(RATES, CASES).pay
    np.testing.assert_allclose(paid, 10.0 * RATES.observed, rtol=1e-12)


def test_where_lower_is_better_cases_without_the_event_are_paid():
    rates = made_rates(direction="lower")
    paid = pay_rates(rates, CASES).pay
    np.testing.assert_allclose(paid, 10.0 * (rates.cases - rates.observed), rtol=1e-12)


def test_what_the_rule_sees_changes_who_is_paid():
    seen = {
        see: pay_rates(RATES, replace(THRESHOLD, seen=see)).result
        for see in ("raw", "O/E", "posterior")
    }
    np.testing.assert_allclose(seen["raw"], RATES.raw_rate)
    # shrinkage: the posterior means vary less than the risk-adjusted rates do
    assert seen["posterior"].std() < seen["O/E"].std()


@settings(max_examples=20)
@given(st.floats(1.0, 1e6), st.sampled_from(["cases", "threshold", "probability"]))
def test_a_budget_is_spent_whole_and_in_the_same_proportions(budget, by):
    free = RatePayRule(by=by, target=None if by == "cases" else TARGET, amount=1.0)
    fixed = replace(free, amount=None, budget=budget)
    one, other = pay_rates(RATES, free).pay, pay_rates(RATES, fixed).pay
    assert other.sum() == pytest.approx(budget)
    np.testing.assert_allclose(other / budget, one / one.sum(), atol=1e-12)


def test_a_higher_target_never_pays_more():
    paid = [
        pay_rates(RATES, replace(PROBABILITY, target=target)).pay.to_numpy()
        for target in (0.05, 0.10, 0.15)
    ]
    assert (paid[0] >= paid[1]).all()
    assert (paid[1] >= paid[2]).all()


@pytest.mark.parametrize("rule", [PROBABILITY, THRESHOLD], ids=["probability", "threshold"])
def test_money_to_the_wrong_doctors_is_that_of_misclassify(rule):
    payout = pay_rates(RATES, rule)
    found = misallocate(payout).to_frame()
    known = misclassify(RATES, payout.weight, bar=TARGET, amount=100.0).to_frame()
    for measure in ("overpaid", "withheld"):
        np.testing.assert_allclose(
            found.loc[measure].to_numpy(), known.loc[measure, ["mean", "lower", "upper"]], rtol=1e-5
        )


def test_misallocation_by_hand():
    rates = made_rates(4, direction="higher")
    payout = pay_rates(rates, RatePayRule(by="threshold", target=0.08, budget=120.0, seen="raw"))
    given = replace(payout, pay=pd.Series([60.0, 60.0, 0.0, 0.0], index=rates.cases.index))
    truth = pd.Series([0.20, 0.05, 0.20, 0.20], index=rates.cases.index)
    found = misallocate(given, truth=truth).to_frame()["mean"]
    # three deserve 40 each: 20 too much to the first, all 60 of the second
    assert found["overpaid"] == pytest.approx(80.0)
    assert found["withheld"] == pytest.approx(80.0)
    assert found["to_undeserving"] == pytest.approx(60.0)
    assert found["overpaid_share"] == pytest.approx(80 / 120)


def test_with_a_budget_what_is_overpaid_is_withheld_elsewhere():
    for rule in (PROBABILITY, THRESHOLD, CASES):
        payout = pay_rates(RATES, replace(rule, amount=None, budget=1000.0))
        samples = misallocate(payout).samples()
        somebody = samples["withheld"] > 0
        np.testing.assert_allclose(
            samples["overpaid"][somebody], samples["withheld"][somebody], rtol=1e-9
        )
        assert (samples["overpaid"] <= 1000.0 + 1e-9).all()


def test_pay_by_true_rates_is_not_misallocated():
    rates = made_rates(direction="higher")
    truth = pd.Series(rates.raw_rate.to_numpy(), index=rates.cases.index)
    paid = pay_rates(rates, CASES)
    assert misallocate(paid, truth=truth).to_frame().loc["overpaid", "mean"] == pytest.approx(0)
    assert (misallocate(paid, truth=truth).doctors_frame()["withheld"] < 1e-9).all()


def test_where_nobody_deserves_anything_all_of_the_budget_is_overpaid():
    payout = pay_rates(RATES, replace(PROBABILITY, amount=None, budget=50.0))
    truth = pd.Series(0.0, index=RATES.cases.index)
    found = misallocate(payout, truth=truth).to_frame()["mean"]
    assert found["overpaid"] == pytest.approx(50.0)
    assert found["withheld"] == 0


def test_probability_loses_less_than_threshold_when_the_posterior_is_right():
    # truths drawn from the posterior itself: 400 worlds; expected |pay - due| is smallest for the
    # median, so compare squared error, which the probability minimizes (law of total variance)
    due = (flatten_draws(RATES.draws) > TARGET).astype(float) * 100.0
    loss = {
        rule.by: ((pay_rates(RATES, rule).pay.to_numpy()[:, None] - due) ** 2).mean()
        for rule in (PROBABILITY, THRESHOLD)
    }
    assert loss["probability"] < loss["threshold"]


def test_a_truth_of_other_doctors_is_refused():
    with pytest.raises(SpecError, match="lacks the rate of 12 of 12"):
        misallocate(pay_rates(RATES, PROBABILITY), truth=pd.Series([0.1], index=["X"]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": None}, "needs a target"),
        ({"by": "cases"}, "needs no target"),
        ({"by": "probabilty"}, "Did you mean 'probability'"),
        ({"budget": 10.0}, "either amount or budget"),
        ({"amount": None}, "either amount or budget"),
        ({"amount": -1.0}, "amount must be a number above 0, or None; got -1"),
        ({"seen": "raw"}, "read from the posterior"),
    ],
)
def test_a_rule_that_cannot_pay_is_refused(change, words):
    with pytest.raises(SpecError, match=words):
        replace(PROBABILITY, **change)


def test_rates_that_cannot_be_paid_are_refused():
    with pytest.raises(SpecError, match="higher or a lower"):
        pay_rates(made_rates(direction=None), PROBABILITY)
    with pytest.raises(SpecError, match="yes or no"):
        pay_rates(made_rates(family="poisson", direction="lower"), CASES)
    with pytest.raises(SpecError, match="no payee"):
        pay_rates(RATES, RatePayRule(by="threshold", target=0.99, budget=10.0))


def test_the_results_say_in_one_line_what_they_are():
    payout = pay_rates(RATES, PROBABILITY)
    assert repr(payout).startswith("RatePayout (100 x P(true rate beyond ")
    assert "p_beyond" in payout.to_frame()
    assert "p_beyond" not in pay_rates(RATES, CASES).to_frame()
    assert repr(misallocate(payout)).startswith("Misallocation (against the posterior): ")
    for result in (payout, misallocate(payout)):
        assert "<table" in result._repr_html_()
        wide, narrow = (result.to_frame(level=level) for level in (0.99, 0.5))
        assert (wide["upper"] >= narrow["upper"]).all()


def test_the_threshold_is_strict():
    strict = AbsoluteRule(bar=TARGET, direction="higher", strict=True)
    assert misclassify(RATES, strict, bar=TARGET).award.sum() == (
        pay_rates(RATES, replace(THRESHOLD, seen="O/E")).weight.sum()
    )
