"""Regression to the mean in closed form: published numbers and laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import outcomekpi as ok
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.pilots.estimators.selected_normal import expected_change, next_on_target

MEANS = st.floats(-50, 50)
SDS = st.floats(0.5, 20)
RELIABILITIES = st.floats(0, 1)
DEPTHS = st.floats(-3, 3)
SIDES = st.sampled_from(["above", "below"])


# the note of methods, section 7: mu 60, sigma 15, selected <= 40; three printed decimals
@pytest.mark.parametrize(
    ("reliability", "change"), [(0.0, 26.972), (0.2, 21.578), (0.5, 13.486), (0.8, 5.394)]
)
def test_those_selected_below_40_rise_by_the_published_numbers(reliability, change):
    population = ok.BaselinePopulation(mean=60, sd=15, reliability=reliability)
    found = ok.regression_to_mean(population, cutoff=40, side="below")
    assert found.expected == pytest.approx(change, abs=5e-4)


# the same note, section 2: HbA1c ~ N(7.5, 1.5), on target below 7; a tenth of a point
@pytest.mark.parametrize(
    ("reliability", "cutoff", "share"), [(0.7, 7.0, 18.9), (0.5, 7.0, 24.9), (0.7, 8.0, 9.5)]
)
def test_patients_off_target_come_back_by_themselves(reliability, cutoff, share):
    population = ok.BaselinePopulation(mean=7.5, sd=1.5, reliability=reliability)
    found = ok.regression_to_mean(population, cutoff=cutoff, side="above", target=7.0)
    assert found.expected == pytest.approx(share, abs=0.05)
    assert found.unit == "percentage points"


def test_the_closed_forms_agree_with_a_simulation_of_several_readings():
    rng = np.random.default_rng(3)
    truth = rng.normal(7.5, 1.5 * np.sqrt(0.6), 400_000)
    noise = 1.5 * np.sqrt(0.4)
    baseline = truth + rng.normal(0, noise / np.sqrt(3), truth.size)
    later = (truth + rng.normal(0, noise, truth.size))[baseline >= 8]
    change = later.mean() - baseline[baseline >= 8].mean()
    setting = {"cutoff": 8, "side": "above", "readings": 3}
    # standard errors .0024 and .0012; 4 of them
    assert expected_change(7.5, 1.5, 0.6, **setting) == pytest.approx(change, abs=0.01)
    share = (later < 7).mean()
    assert next_on_target(7.5, 1.5, 0.6, target=7, **setting) == pytest.approx(share, abs=0.005)


@settings(max_examples=60, deadline=None)
@given(MEANS, SDS, RELIABILITIES, DEPTHS, SIDES)
def test_perfect_readings_and_no_selection_leave_nothing_to_regress(mean, sd, r, depth, side):
    cutoff = mean + depth * sd
    assert expected_change(mean, sd, 1.0, cutoff=cutoff, side=side) == 0
    everybody = -np.inf if side == "above" else np.inf
    assert expected_change(mean, sd, r, cutoff=everybody, side=side) == 0
    assert next_on_target(mean, sd, 1.0, cutoff=cutoff, side=side) == pytest.approx(0, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(MEANS, SDS, RELIABILITIES, DEPTHS, SIDES, st.integers(1, 10))
def test_more_baseline_readings_make_less_regression(mean, sd, r, depth, side, readings):
    cutoff = mean + depth * sd
    few, more = (
        abs(float(expected_change(mean, sd, r, cutoff=cutoff, side=side, readings=m)))
        for m in (readings, readings + 1)
    )
    assert more <= few * (1 + 1e-12)


@settings(max_examples=60, deadline=None)
@given(MEANS, SDS, RELIABILITIES, DEPTHS, st.floats(0.1, 5))
def test_the_change_follows_units_and_mirrors(mean, sd, r, depth, factor):
    cutoff = mean + depth * sd
    change = float(expected_change(mean, sd, r, cutoff=cutoff, side="above"))
    scaled = expected_change(factor * mean, factor * sd, r, cutoff=factor * cutoff, side="above")
    mirrored = expected_change(-mean, sd, r, cutoff=-cutoff, side="below")
    assert change <= 0
    assert float(scaled) == pytest.approx(factor * change, rel=1e-6, abs=1e-9)
    assert float(mirrored) == pytest.approx(-change, rel=1e-6, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 0.9), st.floats(0.01, 0.09), DEPTHS)
def test_a_better_reading_brings_fewer_back(r, more, depth):
    shares = next_on_target(0, 1, np.array([r, r + more]), cutoff=depth, side="above")
    assert shares[1] <= shares[0] + 1e-12


def test_of_the_few_selected_far_out_no_more_than_all_come_back():
    # 6 is almost 5 SD above what is expected next, of those just above it: all but 1e-6 are below,
    # and what rounding does to a joint probability of 1e-9 and less must not make it more than all
    cutoff = np.linspace(6, 7.5, 200)
    share = next_on_target(0, 1, 0.2, cutoff=cutoff, side="above", target=6.0)
    assert (share <= 1).all()
    assert share[:20] == pytest.approx(1, abs=1e-5)


def test_what_is_uncertain_about_the_population_is_in_the_interval():
    population = ok.BaselinePopulation(
        mean=60, sd=15, reliability=0.5, mean_se=2, reliability_se=0.05
    )
    frame = ok.regression_to_mean(population, cutoff=40, side="below").to_frame()
    row = frame.loc["expected with no program"]
    assert row["lower"] < 13.486 < row["upper"]
    assert frame.attrs["level"] == 0.95
    exact = ok.regression_to_mean(
        ok.BaselinePopulation(mean=60, sd=15, reliability=0.5), cutoff=40, side="below"
    )
    row = exact.to_frame().loc["expected with no program"]
    assert row["lower"] == row["mean"] == row["upper"]
    assert exact.effect is None
    assert exact.explained is None
    assert "<table" in exact._repr_html_()


def test_a_screened_sample_gives_the_population():
    rng = np.random.default_rng(4)
    truth = rng.normal(7.5, 1.2, 20_000)
    readings = truth[:, None] + rng.normal(0, 0.9, (20_000, 2))
    found = ok.BaselinePopulation.from_readings(readings)
    for name, value in [("mean", 7.5), ("sd", 1.5), ("reliability", 0.64)]:
        error = getattr(found, f"{name}_se")
        assert abs(getattr(found, name) - value) < 4 * error
        assert error < 0.02
    single = ok.BaselinePopulation.from_readings(readings[:, 0], includes_selected=True)
    assert single.reliability is None
    assert single.includes_selected


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"mean": np.nan}, "finite"),
        ({"mean": 1, "sd": -1}, "sd must be a number above 0"),
        ({"mean": 1, "sd": 1, "reliability": 1.2}, "between 0 and 1"),
        ({"mean": 1, "sd": 1, "reliability": 0.5, "within_sd": 1}, "not both"),
        ({"mean": 1, "sd": 1, "within_sd": 2}, "cannot exceed"),
        ({"mean": 1, "within_sd": 2}, "only beside sd"),
        ({"mean": 1, "sd_se": 0.1}, "sd is not"),
        ({"mean": 1, "mean_se": -0.1}, "mean_se"),
        ({"mean": 1, "reliability": 1, "reliability_se": 0.1}, "cannot have"),
    ],
)
def test_an_impossible_population_is_refused(known, message):
    with pytest.raises(SpecError, match=message):
        ok.BaselinePopulation(**known)


def test_readings_that_say_nothing_are_refused():
    with pytest.raises(CasesError, match="missing"):
        ok.BaselinePopulation.from_readings([1.0, np.nan, 2.0])
    with pytest.raises(CasesError, match="no better than chance"):
        ok.BaselinePopulation.from_readings([[1, 5], [5, 1], [1, 5], [5, 1.0]])


def test_the_closed_form_asks_for_what_it_needs():
    with pytest.raises(SpecError, match="needs mean, sd and reliability"):
        ok.regression_to_mean(ok.BaselinePopulation(mean=60, sd=15), cutoff=40, side="below")
    whole = ok.BaselinePopulation(mean=60, sd=15, reliability=0.5)
    with pytest.raises(SpecError, match="side"):
        ok.regression_to_mean(whole, cutoff=40, side="under")
    with pytest.raises(SpecError, match="readings"):
        ok.regression_to_mean(whole, cutoff=40, side="below", readings=0)
