"""Published figures: how they are read, how far they are rounded, and which ones are impossible."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.pilots.estimators.possible_figures import (
    clip_square,
    odds_ratio_bounds,
    ratio_bounds,
    slice_after,
)
from outcomekpi.pilots.estimators.published import PublishedFigures, base_limit
from outcomekpi.pilots.ladder.e_values import e_value, e_value_of_interval


def published(**given):
    return PublishedFigures(unit="percent", **given)


@pytest.mark.parametrize(
    ("ratio", "expected"), [(3.9, 7.263), (1.8, 3.0), (0.8, 1.809), (10.73, 20.948), (1.0, 1.0)]
)
def test_the_e_value_is_the_published_one(ratio, expected):
    # VanderWeele & Ding 2017 print three decimals
    assert e_value(ratio) == pytest.approx(expected, abs=5e-4)
    assert e_value(1 / ratio) == pytest.approx(e_value(ratio), rel=1e-12)


def test_the_e_value_of_an_interval_is_that_of_its_limit_nearer_to_one():
    assert e_value_of_interval(1.8, 8.7) == pytest.approx(3.0)
    assert e_value_of_interval(0.5, 0.8) == pytest.approx(1.809, abs=5e-4)
    assert e_value_of_interval(0.9, 1.2) == 1.0


@pytest.mark.parametrize("ratio", [0, -1, float("nan"), float("inf"), True])
def test_a_ratio_that_is_none_has_no_e_value(ratio):
    with pytest.raises(SpecError, match="ratio must be a number above 0; got"):
        e_value(ratio)


def test_limits_in_the_wrong_order_are_refused():
    with pytest.raises(SpecError, match="in order"):
        e_value_of_interval(2.0, 1.5)


@pytest.mark.parametrize(
    ("unit", "value", "half"),
    [
        ("percent", 43, 0.005),
        ("percent", 43.0, 0.005),
        ("percent", 40, 0.005),
        ("percent", 43.5, 0.0005),
        ("percent", 43.25, 0.00005),
        ("percent", np.float64(43.5), 0.0005),
        ("fraction", 0.43, 0.005),
        ("fraction", 0.4, 0.005),
        ("fraction", 0, 0.005),
        ("fraction", 0.435, 0.0005),
    ],
)
def test_rounding_follows_the_last_digit_typed(unit, value, half):
    figures = PublishedFigures(before=value, after=value, unit=unit)
    assert figures.half_width("before") == pytest.approx(half, rel=1e-9)


def test_stated_rounding_replaces_the_typed_digits_for_every_figure():
    figures = published(before=43, after=68.25, rounding=0.05)
    assert figures.half_width("before") == figures.half_width("after") == pytest.approx(5e-4)
    exact = published(before=43, after=68, rounding=0)
    assert np.ptp(exact.possible(), axis=0).max() < 1e-7


def test_percent_and_fraction_say_the_same():
    percent = published(before=43, after=68)
    fraction = PublishedFigures(before=0.43, after=0.68, unit="fraction")
    np.testing.assert_allclose(percent.possible(), fraction.possible(), atol=1e-12)
    assert percent.face_values() == pytest.approx(fraction.face_values())


@pytest.mark.parametrize(
    ("given", "pair"),
    [
        ({"before": 20, "change": -34, "reading": "relative"}, (0.20, 0.132)),
        ({"before": 40, "change": -34, "reading": "points"}, (0.40, 0.06)),
        ({"after": 68, "change": 25, "reading": "points"}, (0.43, 0.68)),
        ({"after": 60, "change": 50, "reading": "relative"}, (0.40, 0.60)),
        ({"before": 43, "after": 68, "change": 58, "reading": "relative"}, (0.43, 0.68)),
        ({"change": 41, "reading": "relative"}, None),
    ],
)
def test_levels_follow_from_a_level_and_a_change(given, pair):
    found = published(**given).face_values()
    assert found is None if pair is None else found == pytest.approx(pair)


def test_a_face_value_beyond_100_that_rounding_rescues_is_drawn_inside():
    # 71 may be 70.5, and 41 % may be 40.5 %: 99.05 % after is possible, 100.11 % is not
    before, after = published(before=71, change=41, reading="relative").face_values()
    assert 0.705 <= before <= 0.715
    assert 0.99 <= after <= 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"before": 60, "change": 41, "reading": "points"},
            r"\+41 points is impossible above a base of 59 %; before is 60 %",
        ),
        (
            {"before": 72, "change": 41, "reading": "relative"},
            r"\+41 % relative is impossible above a base of 70.9 %; before is 72 %",
        ),
        (
            {"before": 20, "change": -34, "reading": "points"},
            "-34 points is impossible below a base of 34 %; before is 20 %",
        ),
        ({"after": 30, "change": 41, "reading": "points"}, "cannot lead to 30 %"),
        ({"change": -101, "reading": "relative"}, "more than all of it"),
        ({"change": -100, "reading": "relative"}, "leaves 0 % whatever"),
        ({"after": 0, "change": -100, "reading": "relative"}, "leaves 0 % whatever"),
        ({"change": 101, "reading": "points"}, "more than 100 percentage points"),
        ({"before": 143, "after": 68}, "between 0 and 100 in percent; before is 143"),
        ({"before": 43, "after": -1}, "between 0 and 100 in percent; after is -1"),
        ({"after": 92}, "found after alone"),
        ({}, "found none"),
    ],
)
def test_impossible_figures_are_refused_with_the_reason(given, message):
    with pytest.raises(CasesError, match=message):
        published(**given)


@pytest.mark.parametrize(
    ("base", "reading"), [(59, "points"), (70.9, "relative"), (70, "relative"), (0, "points")]
)
def test_a_base_at_or_below_the_limit_is_accepted(base, reading):
    assert len(published(before=base, change=41, reading=reading).possible()) >= 3


def test_the_limits_of_the_base_are_those_of_the_reading():
    assert base_limit(published(change=41, reading="points")).endswith("above a base of 59 %")
    assert base_limit(published(change=41, reading="relative")).endswith("above a base of 70.9 %")
    assert base_limit(published(change=-34, reading="relative")) is None
    assert base_limit(published(before=43, after=68)) is None


def test_figures_that_contradict_each_other_beyond_rounding_are_refused():
    with pytest.raises(CasesError, match=r"24 to 26 points apart.*Did you mean reading='relative'"):
        published(before=43, after=68, change=58, reading="points")
    with pytest.raises(CasesError, match=r"contradict.*Did you mean reading='points'"):
        published(before=43, after=68, change=25, reading="relative")
    with pytest.raises(CasesError, match="Check the figures or the rounding"):
        published(before=43, after=68, change=-34, reading="relative")


@pytest.mark.parametrize("change", [24.5, 25, 26])
def test_figures_that_agree_within_rounding_are_accepted(change):
    assert len(published(before=43, after=68, change=change, reading="points").possible()) >= 3


def test_a_published_change_has_no_default_reading():
    with pytest.raises(SpecError, match=r"\+41 %.*reading='relative'.*41 percentage points"):
        published(before=43, change=41)
    with pytest.raises(SpecError, match="say which"):
        published(change=41, reading="levels")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"reading": "relative"}, "none is given"),
        ({"reading": "level"}, "Did you mean 'levels'"),
        ({"n_before": 12.5}, "must be a whole number of at least 1, or None; got"),
        ({"n_after": 0}, "at least 1"),
        ({"n_after": True}, "must be a whole number of at least 1, or None; got"),
        ({"years": 0}, "years must be a number above 0"),
        ({"rounding": -1}, "rounding must be a number of at least 0"),
        ({"years": float("nan")}, "must be a number .*got"),
        ({"rounding": "0.5"}, "must be a number .*got"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given, message):
    with pytest.raises(SpecError, match=message):
        published(before=43, after=68, **given)


def test_percent_taken_for_a_fraction_is_refused_with_a_hint():
    with pytest.raises(CasesError, match="Did you mean unit='percent'"):
        PublishedFigures(before=43, after=68, unit="fraction")
    with pytest.raises(SpecError, match="unit must be one of"):
        PublishedFigures(before=43, after=68, unit="%")


def test_a_relative_change_alone_identifies_a_ratio_and_nothing_else():
    corners = published(change=41, reading="relative").possible()
    assert ratio_bounds(corners) == pytest.approx((1.405, 1.415), rel=1e-6)
    low, high = odds_ratio_bounds(corners)
    assert low == pytest.approx(1.405, rel=1e-6)
    assert high == np.inf
    difference = corners[:, 1] - corners[:, 0]
    assert difference.min() == pytest.approx(0, abs=1e-12)
    # at most all patients after: 1 - 1 / 1.415
    assert difference.max() == pytest.approx(1 - 1 / 1.415, rel=1e-6)


def test_a_change_in_points_alone_identifies_a_difference_and_nothing_else():
    corners = published(change=41, reading="points").possible()
    difference = corners[:, 1] - corners[:, 0]
    assert (difference.min(), difference.max()) == pytest.approx((0.405, 0.415), rel=1e-6)
    low, high = ratio_bounds(corners)
    assert low == pytest.approx(1 / 0.595, rel=1e-6)
    assert high == np.inf


def test_cutting_a_square_outside_itself_leaves_nothing():
    assert clip_square([(1.0, 1.0, -0.5)]).shape == (0, 2)


boxes = st.tuples(
    st.floats(0.02, 0.98), st.floats(0.02, 0.98), st.floats(0.001, 0.2), st.floats(0.3, 0.9)
)


@settings(max_examples=40, deadline=None)
@given(boxes)
def test_bounds_of_ratios_hold_every_point_of_the_polygon_and_are_reached(box):
    x, y, half, slope = box
    corners = clip_square(
        [(1, 0, x + half), (-1, 0, half - x), (0, 1, y + half), (0, -1, half - y), (-slope, 1, 0.4)]
    )
    if not len(corners) or np.ptp(corners, axis=0).min() < 1e-6:
        return
    edge = 1e-9 * np.ptp(corners[:, 0])
    before = np.linspace(corners[:, 0].min() + edge, corners[:, 0].max() - edge, 401)
    lower, upper = slice_after(corners, before)
    assert (lower <= upper + 1e-12).all()
    grid = np.linspace(0, 1, 401)[:, None]
    after = np.clip(lower + grid * (upper - lower), 1e-9, 1 - 1e-9)
    inside = np.clip(before, 1e-9, 1 - 1e-9)
    ratio = after / inside
    odds = ratio * (1 - inside) / (1 - after)
    for values, (low, high) in ((ratio, ratio_bounds(corners)), (odds, odds_ratio_bounds(corners))):
        assert values.min() >= low * (1 - 1e-6) - 1e-12
        assert values.max() <= high * (1 + 1e-6)
        # the grid holds the corners' columns, and a step is at most 1 / 400: away from 0 and 1 it
        # comes within 2 % of extremes in the middle of an edge
        if corners.min() > 0.05 and corners.max() < 0.95:
            assert values.min() == pytest.approx(low, rel=0.02)
            assert values.max() == pytest.approx(high, rel=0.02)
