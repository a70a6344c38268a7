import numpy as np
import pytest
from made_histories import made_history, three_years

from outcomekpi.review.review import review_thresholds
from outcomekpi.review.rule import ReviewJudgment, ReviewRule
from outcomekpi.review.targets import propose_target, ratchet_rows, score_units

WANTED = (0.70, 0.85)


def certain(rates, samples=5):
    """Rates that are known, (unit, sample)."""
    return np.repeat(np.asarray(rates, dtype=float)[:, None], samples, axis=1)


def propose(rates, target, *, reading="share_of_doctors", next_rates=None, wanted=WANTED):
    rates = certain(rates)
    later = rates if next_rates is None else next_rates
    return propose_target(np.asarray(target), later, reading=reading, wanted=wanted)


def test_a_share_is_solved_by_the_quantile_of_the_rates():
    rates = np.linspace(0.50, 0.95, 10)
    found = propose(rates, np.full(10, 0.8))
    # the 22.5% quantile of ten even steps of .05 from .50, in one draw and in all together
    np.testing.assert_allclose(found.target_draws, 0.50 + 0.225 * 0.45)
    np.testing.assert_allclose(found.proposed, 0.60)
    assert found.completion == pytest.approx(0.8)
    assert found.within


def test_a_mean_achievement_is_solved_by_scaling():
    found = propose([0.6, 0.7], np.full(2, 0.5), reading="mean_achievement")
    np.testing.assert_allclose(found.proposed, 0.65 / 0.775)
    assert found.completion == pytest.approx(0.775)


def test_targets_that_differ_move_by_one_factor():
    found = propose([0.6, 0.4], np.array([0.5, 0.4]), reading="mean_achievement")
    np.testing.assert_allclose(found.proposed / found.present, 1.1 / 0.775)
    # no target passes 1
    capped = propose([0.9, 0.6], np.array([0.8, 0.4]), reading="mean_achievement")
    np.testing.assert_allclose(capped.proposed, [1.0, 0.5])


def test_a_band_that_no_target_reaches_is_said_to_be_out_of_reach():
    found = propose([0.95, 0.97], np.full(2, 0.8), reading="mean_achievement")
    assert not found.within
    assert found.proposed.max() == 1.0


def test_the_interval_of_a_target_holds_the_proposal_and_what_the_next_cycle_calls_for(rng):
    rates = np.linspace(0.70, 0.90, 9)
    later = rng.binomial(20, certain(rates, 4000)) / 20
    noisy = propose(rates, np.full(9, 0.8), next_rates=later)
    plain = propose(rates, np.full(9, 0.8))
    assert noisy.proposed[0] < plain.proposed[0]
    lower, upper = np.quantile(noisy.target_draws, [0.05, 0.95])
    assert lower < noisy.proposed[0] < upper
    # other next cycles from the same truth: the target that would have been right in each
    again = rng.binomial(20, certain(rates, 4000)) / 20
    right = np.quantile(again, 1 - 0.775, axis=0)
    held = ((right >= lower) & (right <= upper)).mean()
    assert held >= 0.90 - 4 * np.sqrt(0.9 * 0.1 / 4000)  # ties of counts can only add


def test_scores_count_a_rate_on_the_target_as_reached():
    np.testing.assert_array_equal(
        score_units(certain([0.8, 0.79]), np.array([0.8, 0.8]), "share_of_doctors")[:, 0], [1, 0]
    )


def test_a_raised_target_whips_the_fast_ox_and_a_lowered_one_does_not():
    rates = certain([0.95, 0.85, 0.75, 0.65])
    raised = propose([0.95, 0.85, 0.75, 0.65], np.full(4, 0.7), wanted=(0.45, 0.55))
    rows = ratchet_rows(rates, rates, rates, raised, level=0.9)
    assert rows["change"].tolist() == ["", "", "loses", ""]
    assert rows["ratchet"].tolist() == [False, False, True, False]
    assert rows["p_loses"].tolist() == [0, 0, 1, 0]
    lowered = propose([0.95, 0.85, 0.75, 0.65], np.full(4, 0.9), wanted=(0.7, 0.8))
    rows = ratchet_rows(rates, rates, rates, lowered, level=0.9)
    assert rows["change"].tolist() == ["", "gains", "gains", ""]
    assert not rows["ratchet"].any()


@pytest.fixture(scope="module")
def review():
    return review_thresholds(three_years(), ReviewRule(reading="share_of_doctors"))


def test_the_proposed_target_brings_the_next_completion_into_the_wanted_band(review):
    frame = review.to_frame()
    assert frame["proposed"].notna().all()
    assert frame["completion_at_target"].between(*WANTED).all()
    # the middle of the band, up to the steps of shares of 8 units with discrete rates
    assert frame["completion_at_target"].to_numpy() == pytest.approx(0.775, abs=0.02)
    assert (frame["target_lower"] <= frame["target_mean"]).all()


def test_another_band_moves_the_target_the_other_way():
    history = three_years()
    targets = [
        review_thresholds(
            history,
            ReviewRule(reading="share_of_doctors"),
            judgment=ReviewJudgment(wanted=wanted),
            draws=400,
        ).to_frame()["proposed"]
        for wanted in ((0.4, 0.5), (0.6, 0.7), (0.8, 0.9))
    ]
    assert (targets[0] > targets[1]).all()
    assert (targets[1] > targets[2]).all()


def test_who_gains_and_loses_agrees_with_the_table_and_the_draws(review):
    rows = review.ratchet_frame()
    assert len(rows) == 6 * 8
    difference = rows["p_reaches_target"] - rows["p_reaches_proposed"]
    np.testing.assert_allclose(difference, rows["p_loses"] - rows["p_gains"], atol=1e-12)
    raised = rows["proposed"] > rows["target"]
    assert (rows.loc[raised, "p_gains"] == 0).all()
    assert (rows.loc[~raised, "p_loses"] == 0).all()
    hard = review.to_frame().loc["Follow-up call"]
    assert rows.loc["Follow-up call", "proposed"].unique() == pytest.approx(hard["proposed"])


def test_readings_without_targets_have_no_ratchet_and_say_what_is_missing():
    found = review_thresholds(
        made_history([[97, 98], [96, 97]], 100), ReviewRule(reading="raw_rate")
    )
    assert found.ratchet_frame().empty
    assert list(found.ratchet_frame().columns)[:3] == ["mean", "lower", "upper"]
    assert "it takes a target for each unit" in found.to_frame()["sentence"].iloc[0]


def test_an_unreachable_band_is_told_and_names_nobody():
    history = made_history([[97, 98], [96, 97]], 100, target=0.9)
    found = review_thresholds(history, ReviewRule(reading="mean_achievement"))
    assert found.ratchet_frame().empty
    assert np.isnan(found.to_frame()["proposed"].iloc[0])
    assert (
        "No target up to 100% would bring the mean achievement"
        in (found.to_frame()["sentence"].iloc[0])
    )


def test_a_department_that_closed_is_neither_predicted_nor_touched_by_the_target():
    events = [[45, 46, 44], [40, 41, 42], [30, 31, 0]]
    trials = [[50, 50, 50], [50, 50, 50], [50, 50, 0]]
    rule = ReviewRule(reading="share_of_doctors")
    found = review_thresholds(made_history(events, trials, target=0.7), rule)
    rows = found.ratchet_frame().reset_index()
    assert rows["unit"].tolist() == ["U00", "U01"]
    # the third, at 62%, would keep the share of three below 1
    assert found.to_frame()["next_mean"].iloc[0] > 0.9
