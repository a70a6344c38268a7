import numpy as np
import pytest

from outcomekpi.review.indicator_review import _complete_next
from outcomekpi.review.indicator_table import IndicatorTable
from outcomekpi.review.rule import ReviewRule


def make_table(target=None):
    """Two units in two cycles: 10 and 30 cases, then 20 and 60."""
    return IndicatorTable(
        units=("a", "b"),
        unit=np.array([0, 0, 1, 1]),
        cycle=np.array([0, 1, 0, 1]),
        events=np.array([5.0, 16.0, 27.0, 54.0]),
        trials=np.array([10.0, 20.0, 30.0, 60.0]),
        target=target,
        n_cycles=2,
    )


RATES = np.array([[0.5, 0.4], [0.8, 0.2], [0.9, 0.6], [0.9, 1.0]])  # (row, sample)


def test_a_pooled_completion_is_the_mean_over_cases():
    rule = ReviewRule(reading="raw_rate")
    first = np.array([True, False, True, False])
    # (10 x .5 + 30 x .9) / 40 and (10 x .4 + 30 x .6) / 40
    found = make_table().complete(RATES, first, rule)
    np.testing.assert_allclose(found, [0.8, 0.55], rtol=1e-14)


def test_the_next_pooled_completion_is_the_mean_over_the_cases_of_the_latest_cycle():
    rule = ReviewRule(reading="raw_rate")
    # (20 x .8 + 60 x .9) / 80
    found = _complete_next(make_table(), np.array([[0.8], [0.9]]), rule)
    np.testing.assert_allclose(found, [0.875], rtol=1e-14)


def test_a_completion_of_units_counts_those_that_reach_their_target():
    table = make_table(target=np.array([0.5, 0.5, 0.95, 0.95]))
    share = table.complete(RATES, np.ones(4, dtype=bool), ReviewRule(reading="share_of_doctors"))
    np.testing.assert_allclose(share, [2 / 4, 1 / 4])
    achieved = table.complete(RATES, np.ones(4, dtype=bool), ReviewRule(reading="mean_achievement"))
    by_hand = np.mean([0.5 / 0.5, 0.8 / 0.5, 0.9 / 0.95, 0.9 / 0.95])
    assert achieved[0] == pytest.approx(by_hand, rel=1e-14)


def test_what_was_observed_is_the_completion_of_the_counts():
    np.testing.assert_allclose(
        make_table().observe(ReviewRule(reading="raw_rate")), [32 / 40, 70 / 80], rtol=1e-14
    )


def test_pooled_units_keep_their_counts():
    pooled = make_table().pool_units()
    assert pooled.events.tolist() == [32, 70]
    assert pooled.trials.tolist() == [40, 80]


def test_the_rate_of_a_unit_is_weighted_by_its_cases():
    found = make_table().average_by_unit(RATES, np.ones(4, dtype=bool))
    # unit a: (10 x .5 + 20 x .8) / 30; unit b: (30 x .9 + 60 x .9) / 90
    np.testing.assert_allclose(found[:, 0], [0.7, 0.9], rtol=1e-14)
