from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom

from outcomekpi.declare.errors import SpecError
from outcomekpi.review.rule import PosteriorReviewRule, ReviewJudgment, ReviewRule
from outcomekpi.tables.completion import completion_by_cycle

RATE = ReviewRule(reading="raw_rate")


def results(events, trials):
    """What a rule sees: (replicate, unit, cycle)."""
    return SimpleNamespace(events=np.asarray(events), trials=np.asarray(trials))


def firing(rule, p, n):
    """P(too easy), P(too hard) for two independent binomial cycles, by enumeration."""
    counts = np.arange(n + 1)
    first, second = (grid.ravel() for grid in np.meshgrid(counts, counts, indexing="ij"))
    decisions = rule.decide(results(np.stack([first, second], axis=-1)[:, None, :], n))
    chance = np.outer(*[binom.pmf(counts, n, p)] * 2).ravel()
    return chance[decisions > 0].sum(), chance[decisions < 0].sum()


# the table of B-CAL: probability that a pair of cycles triggers, to three decimals
TABLE = {
    (0.85, "easy"): (0.031, 0.013, 0.003, 0.000),
    (0.90, "easy"): (0.153, 0.186, 0.204, 0.217),
    (0.95, "easy"): (0.541, 0.804, 0.944, 0.995),
    (0.65, "hard"): (0.056, 0.035, 0.016, 0.004),
    (0.60, "hard"): (0.164, 0.193, 0.209, 0.220),
    (0.55, "hard"): (0.343, 0.510, 0.667, 0.832),
}


@pytest.mark.parametrize(("p", "side"), TABLE)
def test_the_two_cycle_rule_fires_as_often_as_the_table_says(p, side):
    for n, wanted in zip((20, 50, 100, 200), TABLE[p, side], strict=True):
        # half a unit of the third decimal
        assert firing(RATE, p, n)[side == "hard"] == pytest.approx(wanted, abs=5e-4)


@pytest.mark.parametrize(("p", "wanted"), [(0.90, 0.143), (0.95, 0.956)])
def test_the_posterior_rule_triggers_as_often_as_the_note_says(p, wanted):
    assert firing(PosteriorReviewRule(), p, 100)[0] == pytest.approx(wanted, abs=5e-4)


def test_the_posterior_rule_is_the_beta_tail():
    events = np.arange(201)
    decided = PosteriorReviewRule(probability=0.7).decide(
        results(np.stack([events // 2, events - events // 2], axis=-1)[:, None, :], 100)
    )
    tails = beta(1 + events, 201 - events)
    np.testing.assert_array_equal(decided == 1, tails.sf(0.9) > 0.7)
    np.testing.assert_array_equal(decided == -1, tails.cdf(0.6) > 0.7)


@pytest.mark.parametrize(("strict", "wanted"), [(True, 0), (False, 1)])
def test_a_completion_on_the_bar_fires_only_if_the_rule_is_not_strict(strict, wanted):
    rule = ReviewRule(reading="raw_rate", strict=strict)
    assert rule.decide(results([[[45, 27]]], [[[50, 30]]])) == [wanted]
    assert rule.decide(results([[[30, 18]]], [[[50, 30]]])) == [-wanted]


def test_a_tie_in_a_mean_of_ratios_is_a_tie_however_it_rounds():
    rule = ReviewRule(reading="mean_achievement", target=0.7)
    # .63/.7 = .9 in each of three units, which does not add up exactly in binary
    assert rule.decide(results(np.full((1, 3, 2), 63), 100)) == [0]


def test_only_the_most_recent_cycles_count_and_all_of_them_must_agree():
    events = [[[99, 50, 95]], [[50, 95, 95]], [[95, 95, 50]], [[95, 50, 40]], [[95, 40, 50]]]
    assert list(RATE.decide(results(events, 100))) == [0, 1, 0, -1, -1]
    longer = ReviewRule(reading="raw_rate", cycles=3)
    assert list(longer.decide(results(np.full((2, 1, 3), 95), 100))) == [1, 1]


def test_too_few_cycles_or_a_missing_one_never_fire():
    assert RATE.decide(results([[[99]]], 100)) == [0]
    assert RATE.decide(results([[[99, 0, 99]]], [[[100, 0, 100]]])) == [0]
    assert PosteriorReviewRule().decide(results([[[99]]], 100)) == [0]


def test_the_three_readings_of_one_table_differ():
    events, trials = np.array([[[95], [60], [10]]]), np.array([[[100], [100], [10]]])
    read = {
        "raw_rate": completion_by_cycle(events, trials, reading="raw_rate")[0, 0],
        "share": completion_by_cycle(events, trials, reading="share_of_doctors", target=0.8)[0, 0],
        "mean": completion_by_cycle(events, trials, reading="mean_achievement", target=0.8)[0, 0],
    }
    assert read["raw_rate"] == pytest.approx(165 / 210)
    assert read["share"] == pytest.approx(2 / 3)
    assert read["mean"] == pytest.approx((0.95 + 0.6 + 1) / 3 / 0.8)


def test_counts_of_doctors_are_pooled():
    counts = completion_by_cycle([[[8], [18]]], [[[10], [20]]], reading="share_of_doctors")
    assert counts == pytest.approx(26 / 30)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reading": "share_of_doctor"}, "Did you mean 'share_of_doctors'"),
        ({"reading": "raw_rate", "upper": 0.5, "lower": 0.6}, "crossed"),
        ({"reading": "raw_rate", "upper": 90}, r"Did you mean 0\.9"),
        ({"reading": "mean_achievement", "upper": 90}, r"Did you mean 0\.9"),
        ({"reading": "raw_rate", "upper": 1.2}, "strictly between 0 and 1"),
        (
            {"reading": "raw_rate", "cycles": 0},
            "cycles must be a whole number of at least 1; got 0",
        ),
        ({"reading": "raw_rate", "strict": "yes"}, "True or False"),
        ({"reading": "raw_rate", "target": 0.8}, "'raw_rate' has no target"),
        ({"reading": "mean_achievement", "target": 80}, r"Did you mean 0\.8"),
        ({"reading": "raw_rate", "cycle_length": "years"}, "Did you mean 'year'"),
    ],
)
def test_rules_that_cannot_be_are_refused(settings, message):
    with pytest.raises(SpecError, match=message):
        ReviewRule(**settings)


def test_the_reading_has_no_default():
    with pytest.raises(TypeError, match="reading"):
        ReviewRule()


def test_a_mean_achievement_needs_a_target_and_a_rule_three_dimensions():
    with pytest.raises(SpecError, match="divides each rate by a target"):
        ReviewRule(reading="mean_achievement").decide(results([[[1, 1]]], 1))
    with pytest.raises(SpecError, match=r"\(replicate, unit, cycle\); got 2 dimensions"):
        RATE.decide(results([[1, 1]], 1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss_missed": 0}, "loss_missed must be a number above 0; got 0"),
        ({"wanted": (0.8, 0.7)}, "lower completion first"),
        ({"wanted": (70, 85)}, r"Did you mean 0\.7"),
        ({"fdr": 1.0}, "fdr must lie strictly between 0 and 1, or None; got 1"),
        ({"model": "hierarchic"}, "Did you mean 'hierarchical'"),
        ({"fewest": 0}, "at least 1"),
    ],
)
def test_judgments_that_cannot_be_are_refused(settings, message):
    with pytest.raises(SpecError, match=message):
        ReviewJudgment(**settings)


# --- laws ----------------------------------------------------------------------------------------

counts = st.lists(st.lists(st.integers(0, 20), min_size=3, max_size=3), min_size=1, max_size=4)
bars = st.tuples(st.floats(0.05, 0.95), st.floats(0.05, 0.95))


@given(counts, bars, st.sampled_from(["raw_rate", "share_of_doctors", "mean_achievement"]))
def test_raising_the_upper_bar_never_makes_the_rule_fire_upward(events, pair, reading):
    low, high = min(pair), max(pair)
    target = None if reading == "raw_rate" else 0.5
    fired = [
        ReviewRule(reading=reading, upper=bar, lower=0.01, target=target)
        .decide(results(np.array([events]), 20))
        .item()
        for bar in (low, high)
    ]
    assert fired[1] <= fired[0]


@given(counts, st.randoms())
def test_the_order_of_units_changes_no_decision(events, random):
    shuffled = events.copy()
    random.shuffle(shuffled)
    for rule in (
        RATE,
        PosteriorReviewRule(),
        ReviewRule(reading="share_of_doctors", target=0.9),
        ReviewRule(reading="mean_achievement", target=0.9),
    ):
        decided = [
            rule.decide(results(np.array([table]), 20)).item() for table in (events, shuffled)
        ]
        assert decided[0] == decided[1]


@pytest.mark.parametrize("p", [0.55, 0.65, 0.85, 0.95])
def test_with_many_cases_the_rule_becomes_the_truth(p):
    easy, hard = firing(RATE, p, 1000)
    # 5 points are at least 3.1 standard errors of a cycle: at most 2 x .001 is left
    assert easy == pytest.approx(float(p > 0.9), abs=2e-3)
    assert hard == pytest.approx(float(p < 0.6), abs=2e-3)


@pytest.mark.parametrize(
    ("rule", "pools"),
    [
        (ReviewRule(reading="raw_rate"), True),
        (ReviewRule(reading="share_of_doctors"), True),
        (ReviewRule(reading="share_of_doctors", target=0.7), False),
        (ReviewRule(reading="mean_achievement", target=0.7), False),
        (PosteriorReviewRule(), True),
    ],
)
def test_a_rule_that_pools_units_decides_the_same_about_their_sum(rule, pools, rng):
    assert rule.pools_units is pools
    trials = np.array([2, 3, 8, 20, 40, 60])[:, None]
    events = rng.binomial(trials, 0.6, size=(400, 6, 2))
    apart = results(events, trials)
    together = results(events.sum(axis=1, keepdims=True), trials.sum())
    assert (rule.decide(apart) == rule.decide(together)).all() == pools


def test_a_unit_without_cases_is_nobody_and_one_at_its_target_reaches_it():
    events, trials = [[[8], [0], [6]]], [[[10], [0], [10]]]
    share = completion_by_cycle(events, trials, reading="share_of_doctors", target=0.8)
    assert share[0, 0] == pytest.approx(1 / 2, rel=1e-15)
    mean = completion_by_cycle(events, trials, reading="mean_achievement", target=0.8)
    assert mean[0, 0] == pytest.approx((1 + 0.75) / 2, rel=1e-15)
    # events without cases are none of the pool's either
    pooled = completion_by_cycle([[[8], [5], [6]]], trials, reading="raw_rate")
    assert pooled[0, 0] == pytest.approx(14 / 20, rel=1e-15)
    # .1 + .2 is not .3 in doubles: 3 of 10 reach it all the same
    tie = completion_by_cycle([[[3]]], [[[10]]], reading="share_of_doctors", target=0.1 + 0.2)
    assert tie[0, 0] == 1
