"""Awards on a posterior: by hand, against closed forms, against the truth, and their laws."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import made_rates
from made_truth import normal_truth, rates_of

from outcomekpi.awards.awards import (
    AbsoluteRule,
    PercentileRule,
    PosteriorRule,
    ProportionalRule,
    RelativeRule,
)
from outcomekpi.awards.misclassification import misclassify, tally_awards
from outcomekpi.awards.normal_cuts import cut_misclassification
from outcomekpi.declare.errors import SpecError
from outcomekpi.profiling.reliability import Reliability

SHARES = ["sensitivity", "specificity", "ppv", "npv", "misclassified"]

FOUR_DRAWS = [
    [0.9, 0.8, 0.7, 0.4],
    [0.7, 0.4, 0.7, 0.4],
    [0.2, 0.7, 0.3, 0.4],
    [0.1, 0.1, 0.2, 0.2],
]


def test_every_measure_of_four_doctors_in_four_draws_is_the_one_by_hand():
    rates = rates_of(FOUR_DRAWS, observed=[0.8, 0.6, 0.5, 0.1], family="bernoulli")
    rule = AbsoluteRule(bar=0.55, direction="higher")
    found = misclassify(rates, rule, results="raw", amount=100)
    assert found.award.tolist() == [1, 1, 0, 0]
    by_draw = found.samples()
    # deserving: doctors 1, 2 / 1, 3 / 1, 2 / nobody
    np.testing.assert_allclose(by_draw["sensitivity"], [1, 0.5, 1, np.nan])
    np.testing.assert_allclose(by_draw["specificity"], [1, 0.5, 1, 0.5])
    np.testing.assert_allclose(by_draw["ppv"], [1, 0.5, 1, 0])
    np.testing.assert_allclose(by_draw["npv"], [1, 0.5, 1, 1])
    np.testing.assert_allclose(by_draw["misclassified"], [0, 0.5, 0, 0.5])
    np.testing.assert_allclose(by_draw["overpaid"], [0, 100, 0, 200])
    np.testing.assert_allclose(by_draw["withheld"], [0, 100, 0, 0])
    frame = found.to_frame(level=0.5)
    assert frame.loc["sensitivity", "mean"] == pytest.approx(2.5 / 3)
    assert frame.loc["sensitivity", "defined"] == 0.75
    assert frame.loc["overpaid", "mean"] == 75
    doctors = found.doctors_frame()
    np.testing.assert_allclose(doctors["p_deserved"], [0.75, 0.5, 0.25, 0])
    np.testing.assert_allclose(doctors["p_wrong"], [0.25, 0.5, 0.25, 0])
    np.testing.assert_allclose(doctors["overpaid"], [25, 50, 0, 0])
    np.testing.assert_allclose(doctors["withheld"], [0, 0, 25, 0])
    assert doctors["overpaid"].sum() == frame.loc["overpaid", "mean"]
    assert doctors["withheld"].sum() == frame.loc["withheld", "mean"]


@pytest.mark.parametrize("reliability", [0.5, 0.7, 0.9])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_on_a_normal_posterior_the_shares_are_those_of_the_formula(reliability, share):
    rates, truth, observed = normal_truth(reliability)
    rule = PercentileRule(share=share, direction="higher")
    found = misclassify(rates, rule).to_frame()["mean"]
    formula = cut_misclassification(reliability, share=share).to_frame().iloc[0]
    # 2,000 doctors, 200 awarded: the standard error of a PPV is at most .035, most of it within
    # the draws; what is left between data sets is less than .02
    for name in SHARES:
        assert found[name] == pytest.approx(formula[name], abs=0.03), name
    awarded = observed >= np.sort(observed)[-round(share * 2000)]
    deserving = truth >= np.sort(truth)[-round(share * 2000)]
    assert found["ppv"] == pytest.approx(deserving[awarded].mean(), abs=0.14)


@pytest.mark.parametrize(
    ("rule", "cut"),
    [
        (AbsoluteRule(bar=0.8, direction="higher"), {"bar": 0.8}),
        (PosteriorRule(bar=0.8, probability=0.7, direction="higher"), {"probability": 0.7}),
    ],
)
def test_bars_on_a_normal_posterior_are_those_of_the_formula(rule, cut):
    rates, _, _ = normal_truth(0.7, n_samples=1000)
    found = misclassify(rates, rule).to_frame()["mean"]
    formula = cut_misclassification(0.7, **{"bar": 0.8} | cut).to_frame().iloc[0]
    for name in SHARES:
        assert found[name] == pytest.approx(formula[name], abs=0.03), name


def test_seven_tenths_reliable_results_send_two_fifths_of_the_bonuses_astray():
    rates, _, _ = normal_truth(0.7)
    found = misclassify(rates, PercentileRule(share=0.1, direction="higher"), amount=1000)
    astray = found.to_frame().loc["overpaid", "mean"] / found.money_paid
    assert astray == pytest.approx(0.40, abs=0.03)


@pytest.mark.validate
def test_intervals_of_the_ppv_hold_the_true_share_as_often_as_they_say():
    covered, held = [], []
    for seed in range(400):
        rates, truth, observed = normal_truth(0.6, n_doctors=60, n_samples=500, seed=seed)
        rule = AbsoluteRule(bar=0.5, direction="higher")
        frame = misclassify(rates, rule).to_frame(level=0.8)
        awarded, deserving = observed >= 0.5, truth > 0.5
        right = deserving[awarded].mean()
        covered.append(
            frame.loc["ppv", "lower"] - 1e-9 <= right <= frame.loc["ppv", "upper"] + 1e-9
        )
        held.append(right - frame.loc["ppv", "mean"])
    # discrete shares: at least the level; 400 worlds give a standard error of .02
    assert np.mean(covered) > 0.8 - 0.05
    assert abs(np.mean(held)) < 0.02


def test_certain_truth_leaves_only_the_mistakes_of_the_rule():
    draws = np.repeat([[0.5], [0.6], [0.7], [0.8]], 10, axis=1)
    rates = rates_of(draws, family="bernoulli")
    right = misclassify(rates, AbsoluteRule(bar=0.65, direction="higher"))
    assert right.to_frame().loc["misclassified", "mean"] == 0
    wrong = misclassify(
        rates_of(draws, observed=[0.7, 0.6, 0.7, 0.8], family="bernoulli"),
        AbsoluteRule(bar=0.65, direction="higher"),
        results="raw",
    )
    frame = wrong.to_frame()
    assert frame.loc["misclassified", ["mean", "lower", "upper"]].tolist() == [0.25] * 3
    assert frame.loc["overpaid", "mean"] == 1


def test_groups_by_caseload_add_up_to_all_doctors():
    rates = made_rates(40, direction="lower")
    found = misclassify(rates, PercentileRule(share=0.25, direction="lower"), amount=10)
    table, whole = found.caseload_frame(groups=4), found.to_frame()
    assert table["doctors"].tolist() == [10, 10, 10, 10]
    assert (table["fewest_cases"].iloc[1:].to_numpy() >= table["most_cases"].iloc[:-1]).all()
    for money in ("overpaid", "withheld"):
        assert table[money].sum() == pytest.approx(whole.loc[money, "mean"])
    assert table["misclassified"].mean() == pytest.approx(whole.loc["misclassified", "mean"])
    assert found.caseload_frame(groups=1)["ppv"].item() == pytest.approx(whole.loc["ppv", "mean"])


def test_fewer_cases_and_lower_reliability_go_with_more_mistakes():
    rng = np.random.default_rng(9)
    cases = np.repeat([20, 60, 200, 600], 100)
    share = cases / (cases + 60)
    truth = rng.normal(size=400)
    observed = truth + rng.normal(0, np.sqrt(1 / share - 1))
    noise = rng.normal(size=(400, 500)) * np.sqrt(1 - share)[:, None]
    rates = rates_of((share * observed)[:, None] + noise, observed=observed, cases=cases)
    found = misclassify(rates, AbsoluteRule(bar=0.0, direction="higher"))
    index = rates.cases.index
    known = replace(made_reliability(index), estimate=pd.Series(share, index=index))
    table = found.caseload_frame(groups=4, reliability=known)
    np.testing.assert_allclose(table["reliability"], [0.25, 0.5, 200 / 260, 600 / 660])
    assert table["misclassified"].is_monotonic_decreasing
    # a bar at the mean: arccos(sqrt(R)) / pi; 100 doctors in a group, most of whose luck is
    # averaged over in the draws
    formula = np.arccos(np.sqrt(table["reliability"])) / np.pi
    np.testing.assert_allclose(table["misclassified"], formula, atol=0.05)


def made_reliability(index):
    draws = xr.DataArray(
        np.full((1, 2, len(index)), 0.5), dims=("chain", "draw", "doctor"), coords={"doctor": index}
    )
    return Reliability(
        method="latent",
        draws=draws,
        estimate=pd.Series(0.5, index=index),
        cases=pd.Series(60, index=index),
        signal_per_case=draws[..., 0].drop_vars("doctor"),
        signal_estimate=1 / 60,
    )


def test_groups_that_cannot_be_made_are_refused():
    rates = made_rates(12, direction="lower")
    found = misclassify(rates, AbsoluteRule(bar=0.1, direction="lower"))
    with pytest.raises(SpecError, match="from 1 to the 12 doctors"):
        found.caseload_frame(groups=13)
    with pytest.raises(SpecError, match="lacks 1 of 12 doctors, the first 'D0011'"):
        found.caseload_frame(reliability=made_reliability(rates.cases.index[:11]))
    alike = rates_of(FOUR_DRAWS, family="bernoulli", cases=50)
    table = misclassify(alike, AbsoluteRule(bar=0.5, direction="higher")).caseload_frame(groups=2)
    assert table["doctors"].tolist() == [4]


def test_what_the_rule_sees_is_what_was_asked_for():
    rates = made_rates(20, direction="lower")
    rule = AbsoluteRule(bar=0.1, direction="lower")
    expected = rates.expected.mean(("chain", "draw")).to_numpy()
    ratio = rates.observed / expected * rates.reference_rate
    results = {
        "O/E": ratio,
        "raw": rates.raw_rate,
        "posterior": rates.draws.mean(("chain", "draw")).to_series(),
    }
    for name, values in results.items():
        found = misclassify(rates, rule, results=name)
        np.testing.assert_allclose(found.result, values)
        np.testing.assert_array_equal(found.award, values <= 0.1)
        assert found.results == name
    certain = PosteriorRule(bar=0.1, probability=0.8, direction="lower")
    found = misclassify(rates, certain)
    assert found.results == "posterior"
    np.testing.assert_array_equal(found.award, (rates.draws < 0.1).mean(("chain", "draw")) > 0.8)


def test_who_deserves_follows_the_rule_the_bar_or_another_rule():
    rates = made_rates(20, direction="lower")
    draws = rates.draws.stack(sample=("chain", "draw")).to_numpy()
    share = misclassify(rates, PercentileRule(share=0.25, direction="lower"))
    places = draws.argsort(axis=0).argsort(axis=0)
    np.testing.assert_array_equal(share.deserved > 0, places < 5)
    bar = misclassify(rates, PercentileRule(share=0.25, direction="lower"), bar=0.09)
    np.testing.assert_array_equal(bar.deserved > 0, draws < 0.09)
    other = misclassify(
        rates,
        PercentileRule(share=0.25, direction="lower"),
        truth=RelativeRule(factor=0.9, direction="lower"),
    )
    mean = np.average(draws, axis=0, weights=rates.exposure)
    np.testing.assert_array_equal(other.deserved > 0, draws < 0.9 * mean)


def test_a_rule_over_two_cycles_reads_the_rates_that_pool_them():
    rates = made_rates(20, direction="lower")
    one = misclassify(rates, PercentileRule(share=0.25, direction="lower"))
    two = misclassify(rates, PercentileRule(share=0.25, direction="lower", cycles=2))
    pd.testing.assert_frame_equal(one.to_frame(), two.to_frame())


def test_graded_awards_are_weighed_by_their_size():
    award = np.array([0.5, 1.0, 0.0])
    deserved = np.array([[1.0, 0.0], [1.0, 0.5], [0.0, 1.0]])
    found = tally_awards(award, deserved, amount=10)
    np.testing.assert_allclose(found["sensitivity"], [1.5 / 2, 0.5 / 1.5])
    np.testing.assert_allclose(found["ppv"], [1, 0.5 / 1.5])
    np.testing.assert_allclose(found["overpaid"], [0, 10])
    np.testing.assert_allclose(found["withheld"], [5, 10])
    np.testing.assert_allclose(found["misclassified"], [0.5 / 3, 2 / 3])
    np.testing.assert_allclose(found["npv"], [1.0 / 1.5, 0.5 / 1.5])


def test_paying_by_probability_pays_the_wrong_doctors_what_it_expects_to():
    rates, _, _ = normal_truth(0.7, n_doctors=300)
    found = misclassify(rates, ProportionalRule(share=0.1, direction="higher"))
    p = found.p_deserved.to_numpy()
    np.testing.assert_allclose(found.award, p, atol=1e-6)
    assert found.award.sum() == pytest.approx(30)
    assert found.to_frame().loc["overpaid", "mean"] == pytest.approx((p * (1 - p)).sum(), rel=1e-5)


def test_awards_in_use_are_judged_as_they_are():
    rates = made_rates(12, direction="lower")
    rule = AbsoluteRule(bar=0.1, direction="lower")
    own = misclassify(rates, rule, results="posterior", bar=0.1)
    shuffled = own.award[::-1]
    given_awards = misclassify(rates, shuffled, bar=0.1)
    pd.testing.assert_frame_equal(given_awards.to_frame(), own.to_frame())
    swapped = misclassify(rates, 1 - shuffled, bar=0.1).to_frame()["mean"]
    assert swapped["misclassified"] == pytest.approx(
        1 - own.to_frame().loc["misclassified", "mean"]
    )


def test_a_flag_for_bad_doctors_says_so():
    rates = made_rates(12, direction="lower")
    flag = AbsoluteRule(bar=0.11, direction="higher")
    with pytest.raises(SpecError, match="side='worse' to misclassify"):
        misclassify(rates, flag)
    found = misclassify(rates, flag, side="worse")
    bonus = misclassify(rates, AbsoluteRule(bar=0.11, direction="lower"))
    np.testing.assert_allclose(found.p_deserved, 1 - bonus.p_deserved, atol=1e-6)
    # what is a false negative on one side is a false positive on the other
    assert found.to_frame().loc["ppv", "mean"] == pytest.approx(bonus.to_frame().loc["npv", "mean"])


@settings(max_examples=10)
@given(order=st.permutations(range(8)))
def test_relabelling_the_doctors_permutes_the_result(order):
    rates = made_rates(8, direction="lower")
    order = np.array(order)
    moved = replace(
        rates,
        draws=rates.draws.isel(doctor=order),
        expected=rates.expected.isel(doctor=order),
        predicted=rates.predicted.isel(doctor=order),
        observed=rates.observed.iloc[order],
        cases=rates.cases.iloc[order],
        exposure=rates.exposure.iloc[order],
    )
    for rule in (
        PercentileRule(share=0.25, direction="lower"),
        RelativeRule(factor=0.9, direction="lower"),
        ProportionalRule(share=0.25, direction="lower"),
    ):
        here, there = misclassify(rates, rule), misclassify(moved, rule)
        pd.testing.assert_frame_equal(there.to_frame(), here.to_frame())
        pd.testing.assert_frame_equal(
            there.doctors_frame().sort_index(), here.doctors_frame().sort_index()
        )


@dataclass(frozen=True)
class Fewest:
    """A rule of one's own, in five lines."""

    def decide(self, results):
        rates = results.rates[:, :, -1]
        return rates == rates.min(axis=1, keepdims=True)


def test_a_rule_of_ones_own_is_judged_by_what_it_would_do_with_true_rates():
    rates = made_rates(12, direction="lower")
    found = misclassify(rates, Fewest())
    assert found.award.sum() == 1
    best = (rates.draws == rates.draws.min("doctor")).mean(("chain", "draw"))
    np.testing.assert_allclose(found.p_deserved, best, atol=1e-6)


@dataclass(frozen=True)
class Constant:
    value: float
    about: str = "doctor"

    def decide(self, results):
        replicates, units, _ = results.events.shape
        shape = (replicates, units) if self.about == "doctor" else (replicates,)
        return np.full(shape, self.value)


def test_wrong_uses_are_refused():
    rates = made_rates(12, direction="lower")
    rule = AbsoluteRule(bar=0.1, direction="lower")
    with pytest.raises(SpecError, match="direction"):
        misclassify(made_rates(12, direction=None), rule)
    with pytest.raises(SpecError, match="chance included"):
        misclassify(replace(rates, measure="O/E"), rule)
    with pytest.raises(SpecError, match="bar or truth, not both"):
        misclassify(rates, rule, bar=0.1, truth=rule)
    with pytest.raises(SpecError, match=r"Did you mean 0\.1"):
        misclassify(rates, AbsoluteRule(bar=10, direction="lower"))
    with pytest.raises(SpecError, match="results must be one of"):
        misclassify(rates, rule, results="OE")
    with pytest.raises(SpecError, match="at least 0; got -1"):
        misclassify(rates, rule, amount=-1)
    with pytest.raises(SpecError, match="gives 12 others, the first 3"):
        misclassify(rates, Constant(3.0))
    with pytest.raises(SpecError, match="about the indicator"):
        misclassify(rates, Constant(1.0, "indicator"))
    with pytest.raises(SpecError, match="11 of 12 doctors, the first 'D0001'"):
        misclassify(rates, pd.Series({"D0000": 1.0}), bar=0.1)
    with pytest.raises(SpecError, match="do not say who deserves one"):
        misclassify(rates, pd.Series(1.0, index=rates.cases.index))


def test_the_result_describes_itself():
    found = misclassify(
        made_rates(12, direction="lower"), AbsoluteRule(bar=0.1, direction="lower"), amount=1000
    )
    assert "doctors awarded (rate at most 0.1)" in repr(found)
    assert "to the wrong ones" in repr(found)
    assert "\n" not in repr(found)
    assert "<table" in found._repr_html_()
    narrow, wide = found.to_frame(level=0.5), found.to_frame(level=0.99)
    assert (wide["lower"] <= narrow["lower"]).all()
    assert (wide["upper"] >= narrow["upper"]).all()
