from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from outcomekpi.awards.rules import CycleResults
from outcomekpi.declare.errors import SpecError
from outcomekpi.gaming.no_effect import ChangeRule, rewards_without_effect
from outcomekpi.gaming.regression import (
    expected_regression,
    improvement_by_chance,
    regression_share,
)
from outcomekpi.operating.settings import Setting
from outcomekpi.programs.vbp import VbpRule, vbp_points, vbp_thresholds

ONE_UNIT = Setting(levels=(0.3, 0.6), caseloads=(10, 40), icc=0.05)


@dataclass(frozen=True)
class Best:
    """A bonus for the best unit of each replicate: no unit can be judged alone."""

    direction: str = "higher"

    def decide(self, results):
        after = results.rates[..., -1]
        return after == after.max(axis=1, keepdims=True)


@dataclass(frozen=True)
class WholeIndicator:
    direction: str = "higher"

    def decide(self, results):
        return results.rates.mean(axis=(1, 2)) > 0.5


def two_normal_cycles(reliability, n=400_000, seed=1):
    rng = np.random.default_rng(seed)
    truth = np.sqrt(reliability) * rng.normal(size=n)
    return truth + np.sqrt(1 - reliability) * rng.normal(size=(2, n))


@pytest.mark.parametrize("worst", [0.1, 0.25, 0.5])
def test_the_worst_regress_by_one_minus_reliability_of_what_they_were_selected_by(worst):
    before, after = two_normal_cycles(0.6)
    chosen = before <= np.quantile(before, worst)
    gain = (after - before)[chosen]
    wanted = float(expected_regression(0.6, worst=worst))
    assert abs(gain.mean() - wanted) < 4.5 * gain.std() / np.sqrt(gain.size)
    # by hand for one half: i = 2 phi(0) = .798
    assert expected_regression(0.6, worst=0.5) == pytest.approx(0.4 * 0.7979, abs=1e-4)


def test_regression_explains_all_of_an_improvement_that_is_regression():
    expected = expected_regression(0.4, worst=0.5, sd=3.0)
    assert regression_share(expected, reliability=0.4, worst=0.5, sd=3.0) == pytest.approx(1)
    share = regression_share(expected / 0.8, reliability=0.4, worst=0.5, sd=3.0)
    assert share == pytest.approx(0.8)


@pytest.mark.parametrize("worst", [None, 0.2])
def test_the_chance_of_a_rewarded_improvement_agrees_with_simulation(worst):
    before, after = two_normal_cycles(0.7, seed=2)
    chosen = np.full(before.size, True) if worst is None else before <= np.quantile(before, worst)
    improved = (after - before)[chosen] >= 0.5
    wanted = float(improvement_by_chance(0.7, by=0.5, worst=worst))
    assert abs(improved.mean() - wanted) < 4.5 * np.sqrt(wanted * (1 - wanted) / improved.size)


def test_perfectly_reliable_results_reward_no_chance_improvement():
    assert expected_regression(1.0) == 0
    assert improvement_by_chance(1.0, by=0.01) == 0
    assert improvement_by_chance([1.0, 0.5], by=0.01, worst=0.25)[0] == pytest.approx(0, abs=1e-12)


def test_exact_awards_agree_with_a_loop_over_simulated_units():
    rng = np.random.default_rng(3)
    p = rng.beta(0.6 * 19, 0.4 * 19, 200_000)
    before, after = rng.binomial(40, p, (2, p.size))
    improved = after - before >= 4
    found = rewards_without_effect(ChangeRule(by=0.1), ONE_UNIT, worst=0.25).to_frame()
    row = found[(found["level"] == 0.6) & (found["caseload"] == 40)].iloc[0]
    assert row["mc_error"] == 0
    error = np.sqrt(row["mean"] * (1 - row["mean"]) / p.size)
    assert abs(improved.mean() - row["mean"]) < 4.5 * error
    worst = (before + rng.random(p.size)).argsort().argsort() < 0.25 * p.size
    error = np.sqrt(row["worst_mean"] * (1 - row["worst_mean"]) / worst.sum())
    assert abs(improved[worst].mean() - row["worst_mean"]) < 4.5 * error


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_exact_and_simulated_awards_agree_within_monte_carlo_error(direction):
    rule = ChangeRule(by=0.08, direction=direction)
    exact = rewards_without_effect(rule, ONE_UNIT).to_frame()
    simulated = rewards_without_effect(rule, ONE_UNIT, method="simulated").to_frame()
    for prefix in ("", "worst_"):
        error = simulated[f"{prefix}mc_error"]
        assert (error > 0).all()
        # 4 cells, 2 groups: beyond 4 errors once in 2000
        assert (np.abs(exact[f"{prefix}mean"] - simulated[f"{prefix}mean"]) < 4 * error).all()


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_the_observed_improvement_of_the_worst_is_the_closed_form(direction):
    found = rewards_without_effect(
        ChangeRule(by=0.1, direction=direction), ONE_UNIT, worst=0.2
    ).to_frame()
    np.testing.assert_allclose(found["worst_change"], found["worst_expected"], atol=1e-9)
    assert (found["worst_change"] > 0).all()
    np.testing.assert_allclose(found["reliability"], 0.05 / (0.05 + 0.95 / found["caseload"]))


def test_without_differences_between_units_all_selection_is_undone():
    setting = Setting(levels=(0.5,), caseloads=(20,))
    row = rewards_without_effect(ChangeRule(by=0.1), setting).to_frame().iloc[0]
    assert row["reliability"] == 0
    assert row["worst_change"] == pytest.approx(row["worst_expected"])


def test_improvement_points_of_vbp_are_earned_without_improving():
    full = VbpRule(threshold=0.6, benchmark=0.85, minimum_cases=20)
    standing = VbpRule(threshold=0.6, benchmark=0.85, minimum_cases=20, improvement=False)
    setting = Setting(levels=(0.6,), caseloads=(25, 100), icc=0.05, amount=1000.0)
    frame = rewards_without_effect(full, setting, instead=standing).to_frame()
    assert (frame["beyond"] > 0).all()
    # fewer cases, more luck; the worst gain most
    assert frame["beyond"].is_monotonic_decreasing
    assert (frame["worst_beyond"] > frame["beyond"]).all()
    np.testing.assert_allclose(frame["money"], 1000 * frame["mean"])
    # by a loop over pairs of counts
    pairs = np.array([(x, y) for x in range(26) for y in range(26)])
    awards = full.decide(CycleResults(events=pairs[:, None, :], trials=np.array(25)))[:, 0]
    rng = np.random.default_rng(5)
    p = rng.beta(0.6 * 19, 0.4 * 19, 300_000)
    drawn = rng.binomial(25, p) * 26 + rng.binomial(25, p)
    error = awards[drawn].std() / np.sqrt(p.size)
    assert abs(awards[drawn].mean() - frame["mean"].iloc[0]) < 4.5 * error


def test_rules_that_compare_units_are_simulated():
    setting = Setting(levels=(0.5,), caseloads=(30,), icc=0.05, n_units=8, replicates=4000)
    found = rewards_without_effect(Best(), setting)
    assert found.method == "simulated"
    row = found.to_frame().iloc[0]
    assert row["mean"] > 1 / 8  # ties share the place
    assert row["worst_mean"] < row["mean"]
    np.testing.assert_allclose(row["worst_change"], row["worst_expected"], atol=0.01)


@dataclass(frozen=True)
class OwnBars:
    """VBP points with the bars that the baseline of the same hospitals sets."""

    direction: str = "higher"

    def decide(self, results):
        before, after = results.rates[..., 0], results.rates[..., 1]
        bars = vbp_thresholds(before)
        low, high = bars.threshold[:, None], bars.benchmark[:, None]
        return vbp_points(after, before, threshold=low, benchmark=high) / 10


def test_bars_set_by_the_baseline_itself_pay_the_worst_for_regressing():
    setting = Setting(levels=(0.6,), caseloads=(50,), icc=0.05, n_units=60, replicates=2000)
    row = rewards_without_effect(OwnBars(), setting).to_frame().iloc[0]
    assert row["mc_error"] < 0.002
    assert row["worst_lower"] > 0.05
    # achievement alone would give the worst quarter next to nothing, were results reliable
    certain = Setting(levels=(0.6,), caseloads=(5000,), icc=0.05, n_units=60, replicates=200)
    reliable = rewards_without_effect(OwnBars(), certain).to_frame().iloc[0]
    assert reliable["worst_mean"] < row["worst_mean"] / 3


def test_the_same_seed_gives_the_same_numbers():
    run = [
        rewards_without_effect(ChangeRule(by=0.1), ONE_UNIT, method="simulated").moments
        for _ in range(2)
    ]
    assert run[0].equals(run[1])


def test_a_relative_change_is_measured_against_the_baseline():
    events = np.array([[[10, 11], [10, 12], [0, 0]]])
    rule = ChangeRule(by=0.2, relative=True)
    decided = rule.decide(CycleResults(events=events, trials=20))
    np.testing.assert_array_equal(decided, [[False, True, False]])
    lower = ChangeRule(by=0.1, direction="lower")
    np.testing.assert_array_equal(
        lower.decide(CycleResults(events=np.array([[[12, 10], [11, 10]]]), trials=20)),
        [[True, False]],
    )


@hypothesis_settings(max_examples=25, deadline=None)
@given(
    level=st.floats(0.1, 0.9),
    caseload=st.integers(5, 60),
    by=st.floats(0.02, 0.3),
    more=st.floats(0.0, 0.2),
)
def test_asking_for_more_never_rewards_more(level, caseload, by, more):
    setting = Setting(levels=(level,), caseloads=(caseload,), icc=0.04)
    easy, hard = (
        rewards_without_effect(ChangeRule(by=b), setting).to_frame().iloc[0]
        for b in (by, by + more)
    )
    assert hard["mean"] <= easy["mean"] + 1e-12
    assert hard["worst_mean"] <= easy["worst_mean"] + 1e-12


def test_results_describe_themselves():
    found = rewards_without_effect(ChangeRule(by=0.1), ONE_UNIT)
    assert "without any true change" in repr(found)
    assert "\n" not in repr(found)
    assert "<table" in found._repr_html_()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ChangeRule(by=10), "Did you mean 0.1"),
        (lambda: ChangeRule(by=0.1, direction="up"), "direction must be"),
        (lambda: ChangeRule(by=0.1, cycles=3), "cycles must be 2; got 3"),
        (
            lambda: rewards_without_effect(
                ChangeRule(by=0.1), Setting(levels=(0.5,), caseloads=(20,), persistence=0.5)
            ),
            "persistence=1",
        ),
        (
            lambda: rewards_without_effect(
                ChangeRule(by=0.1), Setting(levels=(0.5,), caseloads=(20,), n_cycles=3)
            ),
            "n_cycles=2",
        ),
        (lambda: rewards_without_effect(ChangeRule(by=0.1), ONE_UNIT, worst=25), "Did you mean"),
        (
            lambda: rewards_without_effect(
                ChangeRule(by=0.1),
                Setting(levels=(0.5,), caseloads=(20,), n_units=3),
                method="exact",
            ),
            "Only one unit",
        ),
        (
            lambda: rewards_without_effect(
                WholeIndicator(), Setting(levels=(0.5,), caseloads=(20,), n_units=3)
            ),
            "indicator as a whole",
        ),
        (lambda: expected_regression(1.2), "reliability must lie"),
        (lambda: expected_regression(0.5, worst=25), "Did you mean 0.25"),
        (lambda: regression_share(-1, reliability=0.5, worst=0.2, sd=1), "must be positive"),
    ],
)
def test_what_cannot_be_is_refused(make, says):
    with pytest.raises(SpecError, match=says):
        make()


def test_a_rule_without_a_direction_must_be_given_one():
    @dataclass(frozen=True)
    class Mute:
        def decide(self, results):
            return results.rates[..., -1] > 0.5

    with pytest.raises(SpecError, match="does not say"):
        rewards_without_effect(Mute(), ONE_UNIT)
    assert rewards_without_effect(Mute(), ONE_UNIT, direction="higher").direction == "higher"
