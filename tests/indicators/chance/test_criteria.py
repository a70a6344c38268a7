from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from outcomekpi.declare.errors import SpecError
from outcomekpi.indicators.chance.criteria import (
    ConsecutiveCriterion,
    JointCriterion,
    TargetCriterion,
)
from outcomekpi.indicators.chance.performance import DropCriterion, assess_criterion, normal_levels
from outcomekpi.indicators.chance.readings import effective_bar
from outcomekpi.indicators.chance.runs import probability_of_run

SIX_MONTHS = ConsecutiveCriterion(bar=140, cv=0.10)
CONTROLLED_AND_FALLEN = DropCriterion(drop=0.8, bar=7.0, within_sd=0.3)


def chain(rng, n, length, autocorrelation):
    """Standard normal readings of n patients, first-order autoregressive."""
    x = rng.normal(size=(n, length))
    for t in range(1, length):
        x[:, t] = autocorrelation * x[:, t - 1] + np.sqrt(1 - autocorrelation**2) * x[:, t]
    return x


def within_simulation_error(found, hits, errors=4.5):
    """Whether a probability agrees with a simulated share; 4.5 standard errors, once in 10^5."""
    return abs(found - hits.mean()) < errors * np.sqrt(found * (1 - found) / hits.size) + 1e-12


def test_six_months_below_140_are_passed_as_rarely_as_the_note_says():
    # the note gives two digits; SD = 10 % of the true level, independent monthly readings
    np.testing.assert_allclose(
        SIX_MONTHS.pass_probability([120, 125, 130]), [0.75, 0.48, 0.22], atol=0.005
    )


def test_the_table_of_the_note_needs_the_sd_to_follow_the_true_level():
    fixed = ConsecutiveCriterion(bar=140, within_sd=13.0).pass_probability([120, 130])
    assert fixed[0] == pytest.approx(norm.cdf(20 / 13) ** 6)
    assert abs(fixed[0] - 0.75) > 0.05


@pytest.mark.parametrize(("within_sd", "chance"), [(0.3, 0.03), (0.4, 0.08), (0.5, 0.13)])
def test_a_drop_of_0_8_is_reached_by_chance_as_often_as_the_inventory_says(within_sd, chance):
    drop = DropCriterion(drop=0.8, within_sd=within_sd)
    found = drop.pass_probability([6.5, 9.0])
    np.testing.assert_allclose(found, chance, atol=0.005)  # given in whole percent
    np.testing.assert_allclose(found, norm.cdf(-0.8 / (within_sd * np.sqrt(2))), atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("autocorrelation", [0.2, 0.7, 0.95])
def test_runs_of_autocorrelated_readings_agree_with_the_multivariate_normal(autocorrelation):
    z = np.array([-1.0, 0.3, 1.5])
    apart = np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
    normal = multivariate_normal(cov=autocorrelation**apart, abseps=1e-6, releps=1e-6, seed=1)
    found = probability_of_run(z, length=5, autocorrelation=autocorrelation)
    # SciPy's quasi-Monte Carlo is asked for an error of 1e-6
    np.testing.assert_allclose(found, [normal.cdf(np.full(5, at)) for at in z], atol=5e-6)


@pytest.mark.parametrize("autocorrelation", [0.3, 0.9])
def test_many_distances_are_read_from_a_table_that_agrees_with_single_ones(autocorrelation):
    z = np.linspace(-7.5, 9.5, 171)
    table = probability_of_run(z, length=6, autocorrelation=autocorrelation, absent=0.1)
    single = [
        probability_of_run(part, length=6, autocorrelation=autocorrelation, absent=0.1)
        for part in np.array_split(z, 6)
    ]
    np.testing.assert_allclose(table, np.concatenate(single), atol=2e-7)


@pytest.mark.parametrize("absent", [0.0, 0.25])
def test_runs_are_continuous_in_the_autocorrelation(absent):
    z = np.array([-0.5, 0.8])
    nearly = probability_of_run(z, length=4, autocorrelation=1e-7, absent=absent)
    np.testing.assert_allclose(nearly, probability_of_run(z, length=4, absent=absent), atol=1e-6)
    always = probability_of_run(z, length=4, autocorrelation=1.0, absent=absent)
    np.testing.assert_allclose(always, absent**4 + (1 - absent**4) * norm.cdf(z))


@pytest.mark.parametrize("missing_month", ["fails", "passes"])
def test_months_without_a_reading_fail_or_pass_as_declared(missing_month):
    rng = np.random.default_rng(4)
    criterion = ConsecutiveCriterion(
        bar=140, within_sd=12, autocorrelation=0.5, missing=0.15, missing_month=missing_month
    )
    low = 130 + 12 * chain(rng, 200_000, 6, 0.5) < 140
    there = rng.random(low.shape) > 0.15
    months = low & there if missing_month == "fails" else low | ~there
    assert within_simulation_error(float(criterion.pass_probability(130)), months.all(axis=1))


@pytest.mark.parametrize("judged", ["mean", "each"])
def test_several_readings_a_month_are_averaged_or_must_each_pass(judged):
    rng = np.random.default_rng(5)
    criterion = ConsecutiveCriterion(bar=140, months=3, cv=0.1, readings_per_month=4, judged=judged)
    readings = 133 + 13.3 * rng.normal(size=(100_000, 3, 4))
    low = readings.mean(axis=2) < 140 if judged == "mean" else (readings < 140).all(axis=2)
    assert within_simulation_error(float(criterion.pass_probability(133)), low.all(axis=1))


def test_reported_readings_pass_as_the_measured_ones_half_a_step_away():
    rng = np.random.default_rng(6)
    exact = 131 + 9 * rng.normal(size=(200_000, 2))
    for step, strict in ((1, True), (2, True), (10, True), (10, False)):
        reported = np.round(exact / step) * step
        low = (reported < 140 if strict else reported <= 140).all(axis=1)
        criterion = ConsecutiveCriterion(
            bar=140, months=2, within_sd=9, rounding=step, strict=strict
        )
        assert within_simulation_error(float(criterion.pass_probability(131)), low)


@pytest.mark.parametrize(
    ("bar", "rounding", "strict", "passes", "wanted"),
    [
        (140, 1, True, "below", 139.5),
        (140, 2, False, "below", 141.0),
        (7.0, 0.1, True, "below", 6.95),
        (2.6, 0.1, True, "below", 2.55),
        (139, 10, True, "below", 135.0),
        (60, 1, True, "above", 60.5),
        (60, 1, False, "above", 59.5),
        (59.5, 1, True, "above", 59.5),
    ],
)
def test_bars_of_reported_values_lie_between_two_steps(bar, rounding, strict, passes, wanted):
    assert effective_bar(bar, rounding, strict, passes) == pytest.approx(wanted)


@pytest.mark.parametrize("autocorrelation", [0.0, 0.6])
def test_both_pressures_must_pass_in_every_month(autocorrelation):
    rng = np.random.default_rng(8)
    part = {"autocorrelation": autocorrelation, "months": 4}
    both = JointCriterion(
        first=ConsecutiveCriterion(bar=140, cv=0.1, **part),
        second=ConsecutiveCriterion(bar=90, cv=0.09, **part),
        correlation=0.6,
    )
    one = chain(rng, 200_000, 4, autocorrelation)
    other = 0.6 * one + 0.8 * chain(rng, 200_000, 4, autocorrelation)
    low = (128 * (1 + 0.1 * one) < 140) & (82 * (1 + 0.09 * other) < 90)
    assert within_simulation_error(float(both.pass_probability([128, 82])), low.all(axis=1))
    alone = both.first.pass_probability(128)
    assert both.pass_probability([128, 40]) == pytest.approx(float(alone), abs=2e-4)
    np.testing.assert_array_equal(both.is_met([[128, 82], [128, 95], [145, 82]]), [1, 0, 0])


def test_controlled_and_fallen_agrees_with_the_bivariate_normal():
    # F < bar and B - F >= drop: two linear conditions on two independent normal readings
    mean = np.array([7.6, 6.7])
    covariance = 0.3**2 * np.array([[1.0, 1.0], [1.0, 2.0]])  # of F, and of F - B
    wanted = multivariate_normal(mean=[mean[1], mean[1] - mean[0]], cov=covariance)
    found = CONTROLLED_AND_FALLEN.pass_probability(mean[1], baseline=mean[0])
    assert float(found) == pytest.approx(wanted.cdf([7.0, -0.8]), abs=1e-9)


def test_a_high_measured_baseline_makes_chance_passes_more_frequent():
    rng = np.random.default_rng(9)
    enrolled = replace(CONTROLLED_AND_FALLEN, baseline_at_least=7.5, within_sd=0.4)
    before, after = 7.2 + 0.4 * rng.normal(size=(2, 400_000))
    took_part = before >= 7.5
    passed = (after < 7) & (before - after >= 0.8)
    chance = float(enrolled.pass_probability(7.2))
    assert within_simulation_error(chance, passed[took_part])
    assert chance > 2 * float(replace(enrolled, baseline_at_least=None).pass_probability(7.2))


def test_weight_loss_of_5_percent_kept_for_six_months_can_be_said():
    rng = np.random.default_rng(10)
    kept = DropCriterion(drop=0.05, relative=True, readings=6, cv=0.01, autocorrelation=0.5)
    before = 100 + rng.normal(size=200_000)
    after = 94 * (1 + 0.01 * chain(rng, 200_000, 6, 0.5))
    passed = (after <= 0.95 * before[:, None]).all(axis=1)
    found = float(kept.pass_probability(94, baseline=100))
    assert within_simulation_error(found, passed)
    once = replace(kept, readings=1)
    assert found < float(once.pass_probability(94, baseline=100))
    assert bool(kept.is_met(94, baseline=100))
    assert not bool(kept.is_met(96, baseline=100))


@pytest.mark.parametrize("needed", ["any", "all", "mean"])
def test_ldl_below_2_6_within_three_months_can_be_said(needed):
    rng = np.random.default_rng(11)
    target = TargetCriterion(bar=2.6, readings=3, needed=needed, cv=0.1, autocorrelation=0.4)
    readings = 2.7 * (1 + 0.1 * chain(rng, 200_000, 3, 0.4))
    low = readings.mean(axis=1) < 2.6 if needed == "mean" else readings < 2.6
    passed = low if needed == "mean" else getattr(low, needed)(axis=1)
    assert within_simulation_error(float(target.pass_probability(2.7)), passed)


def test_a_side_above_mirrors_a_side_below():
    above = ConsecutiveCriterion(bar=60, within_sd=5, passes="above").pass_probability([65, 55])
    below = ConsecutiveCriterion(bar=60, within_sd=5).pass_probability([55, 65])
    np.testing.assert_allclose(above, below)
    assert TargetCriterion(bar=60, within_sd=5, passes="above").is_met(61)


levels = st.floats(90, 180)
autocorrelations = st.sampled_from([0.0, 0.3, 0.8, 1.0])


@settings(max_examples=60, deadline=None)
@given(level=levels, months=st.integers(1, 11), autocorrelation=autocorrelations)
def test_one_more_month_never_raises_the_pass_probability(level, months, autocorrelation):
    short = ConsecutiveCriterion(bar=140, cv=0.1, months=months, autocorrelation=autocorrelation)
    longer = replace(short, months=months + 1)
    # 1e-10: the error of the recursion
    assert longer.pass_probability(level) <= short.pass_probability(level) + 1e-10


@settings(max_examples=60, deadline=None)
@given(
    level=levels,
    better=st.floats(0, 40),
    autocorrelation=autocorrelations,
    kind=st.sampled_from(["run", "any", "drop"]),
)
def test_a_lower_true_level_never_lowers_the_pass_probability(level, better, autocorrelation, kind):
    spread = {"cv": 0.1, "autocorrelation": autocorrelation}
    if kind == "drop":
        criterion = DropCriterion(drop=10, bar=140, readings=3, **spread)
        high, low = (criterion.pass_probability(x, baseline=150) for x in (level, level - better))
    else:
        run = ConsecutiveCriterion(bar=140, **spread)
        target = TargetCriterion(bar=140, readings=3, **spread)
        criterion = run if kind == "run" else target
        high, low = (criterion.pass_probability(x) for x in (level, level - better))
    assert low >= high - 1e-9


@settings(max_examples=40, deadline=None)
@given(level=levels, autocorrelation=autocorrelations, more=st.floats(0.0, 0.2))
def test_a_run_is_at_least_as_likely_with_more_autocorrelation(level, autocorrelation, more):
    # Slepian's inequality
    higher = autocorrelation + more if autocorrelation + more <= 0.95 else 1.0
    loose = ConsecutiveCriterion(bar=140, cv=0.1, autocorrelation=autocorrelation)
    tight = replace(loose, autocorrelation=higher)
    assert tight.pass_probability(level) >= loose.pass_probability(level) - 1e-10


def test_the_population_summary_agrees_with_simulated_patients():
    rng = np.random.default_rng(12)
    truth = rng.normal(132, 12, 400_000)
    passed = (truth[:, None] * (1 + 0.1 * rng.normal(size=(truth.size, 6))) < 140).all(axis=1)
    row = assess_criterion(SIX_MONTHS, normal_levels(mean=132, sd=12)).summary().iloc[0]
    controlled = truth < 140
    # standard error at most .0008, grid error 1/2001 of the population; 4 of the first
    assert row["passes"] == pytest.approx(passed.mean(), abs=0.004)
    assert row["met"] == pytest.approx(controlled.mean(), abs=0.004)
    assert row["false_passes"] == pytest.approx(
        (passed & ~controlled).sum() / passed.sum(), abs=0.004
    )
    assert row["false_fails"] == pytest.approx(
        (controlled & ~passed).sum() / controlled.sum(), abs=0.004
    )
    wrong = (passed != controlled).mean()
    assert row["misclassified"] == pytest.approx(wrong, abs=0.004)


def test_nobody_who_did_not_change_passes_a_drop_rightly():
    found = assess_criterion(CONTROLLED_AND_FALLEN, normal_levels(mean=7.3, sd=0.5))
    row = found.summary().iloc[0]
    assert row["false_passes"] == 1
    assert np.isnan(row["false_fails"])
    assert 0 < row["passes"] < 0.03  # selected on nothing, .03 is the chance of the drop alone


def test_frames_say_at_each_level_which_verdict_is_wrong():
    found = assess_criterion(SIX_MONTHS, [120, 139, 141], weights=[2, 1, 1])
    frame = found.to_frame()
    np.testing.assert_allclose(frame["weight"], [0.5, 0.25, 0.25])
    np.testing.assert_allclose(frame["false_fail"], np.r_[1 - frame["pass_probability"][:2], 0])
    np.testing.assert_allclose(frame["false_pass"], np.r_[0, 0, frame["pass_probability"][2]])
    assert "\n" not in repr(found)
    assert "<table" in found._repr_html_()
    pairs = assess_criterion(
        JointCriterion(first=SIX_MONTHS, second=replace(SIX_MONTHS, bar=90)), [[120, 80]]
    )
    assert list(pairs.to_frame().columns[:2]) == ["first", "second"]
    drops = assess_criterion(CONTROLLED_AND_FALLEN, [6.5, 6.9], baseline=8.0).to_frame()
    assert list(drops["baseline"]) == [8.0, 8.0]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ConsecutiveCriterion(bar=140), "either within_sd"),
        (lambda: ConsecutiveCriterion(bar=140, cv=0.1, within_sd=12), "either within_sd"),
        (lambda: ConsecutiveCriterion(bar=140, cv=10), "Did you mean 0.1"),
        (lambda: ConsecutiveCriterion(bar=140, cv=0.1, months=0), "months must be"),
        (lambda: ConsecutiveCriterion(bar=140, cv=0.1, months=2.5), "months must be"),
        (lambda: ConsecutiveCriterion(bar=140, cv=0.1, autocorrelation=0.97), "autocorrelation"),
        (lambda: ConsecutiveCriterion(bar=140, cv=0.1, missing=1.0), "missing must be"),
        (lambda: ConsecutiveCriterion(bar=140, cv=0.1, judged="eech"), "Did you mean 'each'"),
        (lambda: ConsecutiveCriterion(bar=np.nan, cv=0.1), "bar must be"),
        (lambda: DropCriterion(drop=5, relative=True, cv=0.1), "Did you mean 0.05"),
        (
            lambda: DropCriterion(drop=-0.8, within_sd=0.3),
            "drop must be a number above 0; got -0.8",
        ),
        (lambda: TargetCriterion(bar=2.6, cv=0.1, needed="some"), "needed must be"),
        (
            lambda: JointCriterion(first=SIX_MONTHS, second=replace(SIX_MONTHS, months=3)),
            "same months",
        ),
        (
            lambda: JointCriterion(first=SIX_MONTHS, second=SIX_MONTHS, correlation=1.0),
            "correlation",
        ),
        (lambda: SIX_MONTHS.pass_probability([120, np.nan]), "1 of 2 are not"),
        (
            lambda: JointCriterion(first=SIX_MONTHS, second=SIX_MONTHS).pass_probability(120),
            "pairs",
        ),
        (lambda: assess_criterion(SIX_MONTHS, [120], baseline=[130]), "no baseline"),
        (lambda: assess_criterion("six months", [120]), "pass_probability"),
        (lambda: assess_criterion(SIX_MONTHS, [120], weights=[-1]), "weights must be"),
        (lambda: assess_criterion(SIX_MONTHS, []), "not empty"),
        (
            lambda: assess_criterion(replace(CONTROLLED_AND_FALLEN, baseline_at_least=12), [7]),
            "take part",
        ),
        (lambda: normal_levels(mean=120, sd=0), "sd must be a number above 0; got 0"),
    ],
)
def test_what_cannot_be_is_refused(make, says):
    with pytest.raises(SpecError, match=says):
        make()
