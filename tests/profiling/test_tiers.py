from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_results import made_rates

from outcomekpi.declare.errors import SpecError
from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.profiling.tiers import median_cut_misclassification, misclassify_tiers


def normal_rates(reliability, n_doctors=2000, n_samples=200, seed=5):
    """Rates of doctors with normal true values, a flat known mean and given reliability."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n_doctors)
    noise = 1 / reliability - 1
    raw = truth + rng.normal(0, np.sqrt(noise), n_doctors)
    mean, sd = reliability * raw, np.sqrt(1 - reliability)
    draws = mean[:, None] + sd * rng.normal(size=(n_doctors, n_samples))
    rates = made_rates(n_doctors)
    array = rates.draws[:1].isel(draw=np.zeros(n_samples, dtype=int)).copy(data=draws.T[None])
    return replace(rates, draws=array), truth, raw


@pytest.mark.parametrize("reliability", [0.3, 0.7, 0.9])
def test_a_median_cut_misclassifies_the_share_of_the_formula(reliability):
    rates, truth, raw = normal_rates(reliability)
    formula = float(median_cut_misclassification(reliability))
    # 2000 doctors: the standard error of an observed share is at most .011; 4 of them
    assert np.mean((truth > 0) != (raw > 0)) == pytest.approx(formula, abs=0.045)
    found = misclassify_tiers(rates, cuts=(0.0,))
    assert found.wrong_share.mean() == pytest.approx(formula, abs=0.02)


def test_the_formula_runs_from_a_coin_toss_to_certainty():
    np.testing.assert_allclose(median_cut_misclassification(np.array([0.0, 1.0])), [0.5, 0.0])


def test_tiers_by_shares_follow_the_ranks():
    rates = made_rates(12)
    found = misclassify_tiers(rates, shares=(0.25, 0.5, 0.25))
    frame = found.to_frame()
    assert list(frame["assigned"].value_counts().sort_index()) == [3, 6, 3]
    place = flatten_draws(rates.draws).argsort(axis=0).argsort(axis=0) + 1
    np.testing.assert_allclose(frame["p_1"], (place <= 3).mean(axis=1))
    np.testing.assert_allclose(frame["p_3"], (place > 9).mean(axis=1))
    assert found.wrong_share.mean() == pytest.approx(frame["p_wrong"].mean())
    assert found.confusion().to_numpy().sum() == pytest.approx(12)


@pytest.mark.parametrize("direction", ["lower", "higher"])
def test_tier_one_is_the_best_and_a_rate_at_a_cut_belongs_to_the_better_tier(direction):
    rates = made_rates(3, direction=direction)
    values = np.array([[0.05] * 4, [0.10] * 4, [0.20] * 4])
    array = rates.draws[:1].isel(draw=np.zeros(4, dtype=int)).copy(data=values.T[None])
    rates = replace(rates, draws=array)
    found = misclassify_tiers(rates, cuts=(0.10,))
    assert list(found.assigned) == ([1, 1, 2] if direction == "lower" else [2, 1, 1])
    assert found.wrong_share.max() == 0


def test_tiers_in_use_are_judged_as_they_are():
    rates = made_rates(12)
    reversed_tiers = 3 - misclassify_tiers(rates, shares=(0.5, 0.5)).assigned
    found = misclassify_tiers(rates, shares=(0.5, 0.5), assigned=reversed_tiers)
    right = misclassify_tiers(rates, shares=(0.5, 0.5))
    assert found.wrong_share.mean() == pytest.approx(1 - right.wrong_share.mean())


def test_wrong_uses_are_refused():
    rates = made_rates(12)
    with pytest.raises(SpecError, match="either cuts or shares"):
        misclassify_tiers(rates)
    with pytest.raises(SpecError, match="add up to 1"):
        misclassify_tiers(rates, shares=(0.5, 0.4))
    with pytest.raises(SpecError, match="no tier for 11 of 12"):
        misclassify_tiers(rates, cuts=(0.1,), assigned=pd.Series({"D0000": 1}))
    with pytest.raises(SpecError, match="numbered 1"):
        misclassify_tiers(rates, cuts=(0.1,), assigned=pd.Series(5, index=rates.cases.index))
    with pytest.raises(SpecError, match="direction"):
        misclassify_tiers(made_rates(12, direction=None), cuts=(0.1,))


def test_tiers_describe_themselves():
    found = misclassify_tiers(made_rates(12), cuts=(0.1,))
    assert "wrong tier" in repr(found)
    assert "<table" in found._repr_html_()
    assert found.summary(level=0.8).loc["wrong_share", "lower"] <= found.wrong_share.mean()
