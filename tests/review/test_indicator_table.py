import numpy as np
import pandas as pd
import pytest

from outcomekpi.declare.errors import SpecError
from outcomekpi.review.indicator_review import _complete_next
from outcomekpi.review.indicator_table import IndicatorTable, check_reading, read_indicator
from outcomekpi.review.rule import ReviewRule
from outcomekpi.tables.history import CycleHistory


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


def test_a_unit_has_the_rate_of_its_only_case_and_none_without_one():
    table = IndicatorTable(
        units=("a", "b"),
        unit=np.array([0, 1]),
        cycle=np.array([0, 0]),
        events=np.array([1.0, 3.0]),
        trials=np.array([1.0, 4.0]),
        target=None,
        n_cycles=1,
    )
    found = table.average_by_unit(np.array([[0.4], [0.8]]), np.array([True, False]))
    np.testing.assert_array_equal(found, [[0.4], [np.nan]])


def make_history(counts, targets=(0.8, 0.8)):
    """One indicator of two units in one cycle, 7 of 10 and 9 of 20."""
    frame = pd.DataFrame(
        {
            "indicator": "a1c",
            "cycle": 2024,
            "unit": ["u", "v"],
            "hits": [7, 9],
            "seen": [10, 20],
            "target": targets,
        }
    )
    return CycleHistory.from_frame(
        frame,
        indicator="indicator",
        cycle="cycle",
        unit="unit",
        numerator="hits",
        denominator="seen",
        target="target",
        counts=counts,
    )


@pytest.mark.parametrize(
    ("counts", "reading", "needed"),
    [
        ("events", "mean_achievement", True),
        ("events", "share_of_doctors", True),
        ("events", "raw_rate", False),
        ("doctors", "share_of_doctors", False),
    ],
)
def test_targets_are_read_where_patients_are_counted_and_compared(counts, reading, needed):
    table = read_indicator(make_history(counts), "a1c", ReviewRule(reading=reading))
    assert table.events.tolist() == [7, 9]
    assert table.trials.tolist() == [10, 20]
    assert (table.target.tolist() if needed else table.target) == ([0.8, 0.8] if needed else None)


@pytest.mark.parametrize(
    ("counts", "settings", "message"),
    [
        ("doctors", {"reading": "raw_rate"}, "needs patients"),
        ("doctors", {"reading": "share_of_doctors", "target": 0.8}, "has no use"),
        ("doctors", {"reading": "share_of_doctors"}, None),
        ("events", {"reading": "raw_rate"}, None),
        ("events", {"reading": "share_of_doctors", "target": 0.8}, None),
        ("events", {"reading": "mean_achievement"}, "1 of 1 indicators have rows without one"),
    ],
)
def test_a_reading_is_refused_exactly_where_the_counts_cannot_give_it(counts, settings, message):
    history = make_history(counts, targets=(np.nan, np.nan))
    if message is None:
        check_reading(history, ReviewRule(**settings))
    else:
        with pytest.raises(SpecError, match=message):
            check_reading(history, ReviewRule(**settings))
