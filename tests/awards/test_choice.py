"""The bar of certainty chosen by losses, budget, false discoveries and PPV."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import made_rates
from made_truth import rates_of

from outcomekpi.awards.choice import choose_threshold
from outcomekpi.awards.misclassification import misclassify
from outcomekpi.declare.errors import SpecError
from outcomekpi.profiling.classification import FlagRule, classify

RATES = made_rates(40, direction="lower")


def with_probabilities(p, n_samples=100):
    """Rates of doctors who are above .5 in these shares of the draws, independently."""
    rng = np.random.default_rng(1)
    above = np.array([rng.permutation(np.arange(n_samples) < round(x * n_samples)) for x in p])
    return rates_of(np.where(above, 0.7, 0.3), family="bernoulli")


@pytest.mark.parametrize("losses", [(1, 1), (4, 1), (1, 3)])
def test_no_other_set_of_doctors_has_a_smaller_expected_loss(losses):
    rates = made_rates(9, direction="lower", seed=3)
    choice = choose_threshold(
        rates, by="losses", bar=0.1, loss_mistaken=losses[0], loss_missed=losses[1]
    )
    p = choice.p_deserved.to_numpy()
    assert choice.cut == losses[0] / sum(losses)

    def loss(chosen):
        return losses[0] * (1 - p)[chosen].sum() + losses[1] * p[~chosen].sum()

    every = [loss(np.array(chosen)) for chosen in product([False, True], repeat=9)]
    assert choice.to_frame().loc["losses", "loss"] == pytest.approx(min(every))
    assert loss(choice.chosen.to_numpy()) == pytest.approx(min(every))


def test_a_budget_pays_the_most_probable_doctors_and_never_more_than_there_is():
    p = [0.9, 0.2, 0.8, 0.5, 0.5, 0.0]
    rates = with_probabilities(p)
    paid = {}
    for budget in (0, 999, 1000, 2500, 3000, 4000, 99_000):
        choice = choose_threshold(rates, by="budget", bar=0.5, budget=budget, amount=1000)
        frame = choice.to_frame()
        assert frame.loc["budget", "spent"] <= budget
        paid[budget] = choice.chosen.to_numpy().nonzero()[0].tolist()
    # the two of probability .5 come together; nobody is paid with probability 0
    assert paid == {
        0: [], 999: [], 1000: [0], 2500: [0, 2], 3000: [0, 2], 4000: [0, 2, 3, 4],
        99_000: [0, 1, 2, 3, 4],
    }  # fmt: skip


@settings(max_examples=30)
@given(pair=st.tuples(st.floats(0, 50), st.floats(0, 50)))
def test_a_wider_budget_never_pays_fewer(pair):
    low, high = sorted(pair)
    few = choose_threshold(RATES, by="budget", bar=0.1, budget=low).chosen
    many = choose_threshold(RATES, by="budget", bar=0.1, budget=high).chosen
    assert (few <= many).all()


@settings(max_examples=30)
@given(pair=st.tuples(st.floats(0.01, 0.99), st.floats(0.01, 0.99)))
def test_stricter_goals_never_award_more(pair):
    low, high = sorted(pair)

    def number(by, **numbers):
        return choose_threshold(RATES, by=by, bar=0.1, **numbers).chosen.sum()

    assert number("fdr", fdr=low) <= number("fdr", fdr=high)
    assert number("ppv", ppv=high) <= number("ppv", ppv=low)
    assert number("ppv", ppv=0.7, assurance=high) <= number("ppv", ppv=0.7, assurance=low)
    strict = number("losses", loss_mistaken=high, loss_missed=1)
    assert strict <= number("losses", loss_mistaken=low, loss_missed=1)


def test_the_false_discovery_rate_is_kept_by_the_largest_set_that_keeps_it():
    p = [0.99, 0.9, 0.8, 0.6, 0.4, 0.1]
    choice = choose_threshold(with_probabilities(p), by="fdr", bar=0.5, fdr=0.2)
    # means of 1 - p: .01, .055, .103, .178, .262
    assert choice.chosen.sum() == 4
    row = choice.to_frame().loc["fdr"]
    assert row["fdr"] == pytest.approx(0.1775)
    assert row["cut"] == pytest.approx(0.4)
    assert row["mistaken"] == pytest.approx(0.71)
    assert row["missed"] == pytest.approx(0.5)


def test_an_expected_ppv_is_a_false_discovery_rate_by_another_name():
    by_ppv = choose_threshold(RATES, by="ppv", bar=0.1, ppv=0.85, fdr=0.15)
    assert by_ppv.awarded["ppv"].equals(by_ppv.awarded["fdr"])
    assert by_ppv.to_frame().loc["ppv", "mean"] >= 0.85


@pytest.mark.parametrize("assurance", [0.5, 0.8, 0.95])
def test_an_assured_ppv_is_reached_in_that_share_of_the_draws(assurance):
    choice = choose_threshold(RATES, by="ppv", bar=0.1, ppv=0.8, assurance=assurance)
    order = np.argsort(-choice.p_deserved.to_numpy(), kind="stable")
    number = int(choice.chosen.sum())

    def reached(k):
        return (choice.deserved[order[:k]].mean(axis=0) >= 0.8).mean()

    assert 0 < number < 40
    assert reached(number) >= assurance
    assert all(reached(k) < assurance for k in range(number + 1, 41))


def test_the_choice_is_a_rule_that_awards_the_same_doctors():
    for side in ("better", "worse"):
        choice = choose_threshold(
            RATES, by="fdr", bar=0.1, fdr=0.1, side=side, budget=5, ppv=0.9, assurance=0.9
        )
        again = misclassify(RATES, choice.rule, side=side)
        np.testing.assert_array_equal(again.award > 0, choice.chosen)
        flags = classify(RATES, choice.flag_rule)
        np.testing.assert_array_equal(flags.flag == side, choice.chosen)


def test_the_overall_rate_is_the_bar_unless_another_is_given():
    choice = choose_threshold(RATES, by="losses", loss_mistaken=1, loss_missed=1)
    assert choice.bar == RATES.reference_rate
    flags = classify(RATES, FlagRule(probability=0.5))
    np.testing.assert_array_equal(choice.chosen, flags.flag == "better")


def test_each_choice_is_shown_in_the_currency_of_the_others():
    choice = choose_threshold(
        RATES, by="budget", bar=0.1, budget=9000, amount=1000, fdr=0.1, ppv=0.8, assurance=0.9,
        loss_mistaken=4, loss_missed=1,
    )  # fmt: skip
    frame = choice.to_frame()
    assert frame.index[0] == "budget"
    assert set(frame.index) == {"losses", "budget", "fdr", "ppv"}
    assert frame.loc["losses", "loss"] == frame["loss"].min()
    for way, row in frame.iterrows():
        audit = misclassify(RATES, choice.awarded[way].astype(float), bar=0.1, amount=1000)
        measured = audit.to_frame()
        assert row["overpaid"] == pytest.approx(measured.loc["overpaid", "mean"], rel=1e-6)
        assert row["withheld"] == pytest.approx(measured.loc["withheld", "mean"], rel=1e-6)
        ppv = measured.loc["ppv", ["mean", "lower", "upper"]].astype(float)
        np.testing.assert_allclose(row[["mean", "lower", "upper"]].astype(float), ppv)
        assert row["sensitivity"] == pytest.approx(measured.loc["sensitivity", "mean"])
        # at this ratio of losses the set is the one that the losses would choose
        if 0 < row["loss_ratio"] < np.inf:
            by_losses = choose_threshold(
                RATES, by="losses", bar=0.1, loss_mistaken=row["loss_ratio"], loss_missed=1
            )
            assert (by_losses.chosen == choice.awarded[way]).mean() > 0.95


def test_the_curve_runs_from_nobody_to_everybody_who_may_deserve_it():
    choice = choose_threshold(RATES, by="fdr", bar=0.1, fdr=0.1, amount=10)
    curve = choice.curve_frame()
    assert curve.index[0] == 0
    assert curve.index[-1] == (choice.p_deserved > 0).sum()
    assert curve.index.is_monotonic_increasing
    assert curve["overpaid"].is_monotonic_increasing
    assert curve["withheld"].is_monotonic_decreasing
    assert curve["mean"].iloc[1:].is_monotonic_decreasing
    number = int(choice.chosen.sum())
    same = choice.to_frame().loc["fdr"].drop(["goal", "awarded"]).astype(float)
    np.testing.assert_allclose(curve.loc[number, same.index], same)


def test_an_award_for_a_share_of_the_best_has_no_bar():
    choice = choose_threshold(RATES, by="ppv", share=0.25, ppv=0.7)
    assert choice.bar is None
    assert choice.p_deserved.sum() == pytest.approx(10)
    with pytest.raises(SpecError, match="has no bar"):
        _ = choice.rule


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"by": "money"}, "by must be one of"),
        ({"by": "losses"}, "needs loss_mistaken= and loss_missed="),
        ({"by": "budget"}, "needs budget="),
        ({"by": "losses", "loss_mistaken": 1}, "both loss_mistaken and loss_missed"),
        (
            {"by": "losses", "loss_mistaken": 0, "loss_missed": 1},
            "loss_mistaken must be a number above 0, or None; got 0",
        ),
        ({"by": "budget", "budget": -1}, "budget must be a number of at least 0, or None; got -1"),
        ({"by": "budget", "budget": 1, "amount": 0}, "amount must be a number above 0; got 0"),
        ({"by": "fdr", "fdr": 10}, r"Did you mean 0\.1"),
        ({"by": "fdr", "fdr": 0.1, "assurance": 0.9}, "pass ppv= too"),
        ({"by": "fdr", "fdr": 0.1, "bar": 0.1, "share": 0.1}, "bar or share"),
        ({"by": "fdr", "fdr": 0.1, "bar": 10}, r"Did you mean 0\.1"),
    ],
)
def test_choices_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(SpecError, match=message):
        choose_threshold(RATES, **arguments)


def test_the_choice_describes_itself_in_one_line():
    choice = choose_threshold(RATES, by="losses", bar=0.1, loss_mistaken=4, loss_missed=1)
    assert "award if P(rate below 0.1) > 0.8" in repr(choice)
    assert "\n" not in repr(choice)
    assert "<table" in choice._repr_html_()
    nobody = choose_threshold(RATES, by="budget", bar=0.1, budget=0)
    assert "0 of 40 doctors, nobody" in repr(nobody)
    assert list(choice.doctors_frame()["p_deserved"]) == sorted(choice.p_deserved, reverse=True)
