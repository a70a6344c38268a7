"""The posterior behind two published percentages, and its calibration on simulated pilots."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from outcomekpi.declare.errors import SpecError
from outcomekpi.pilots.designs.aggregates import PublishedAggregates
from outcomekpi.pilots.estimators.aggregate_posterior import draw_aggregates
from outcomekpi.pilots.estimators.aggregate_priors import SELECTION, AggregatePriors, PriorRange
from outcomekpi.pilots.estimators.frontier import effect_left
from outcomekpi.pilots.estimators.published import PublishedFigures
from outcomekpi.pilots.ladder.comparison import compare_pilot
from outcomekpi.pilots.ladder.program import Program

PATH = Path(__file__).parents[3] / "benchmarks" / "aggregates_coverage.py"
CASE = PublishedFigures(before=43, after=68, unit="percent", reading="levels", years=2)
NOTHING = PriorRange(lower=0, upper=0)


@pytest.fixture(scope="module")
def effect():
    """The published case, with nothing said but its two figures."""
    return compare_pilot(CASE, PublishedAggregates(), draws=2000)


@pytest.fixture(scope="module")
def coverage():
    specification = importlib.util.spec_from_file_location("aggregates_coverage", PATH)
    module = importlib.util.module_from_spec(specification)
    sys.modules["aggregates_coverage"] = module
    specification.loader.exec_module(module)
    return module


def draw(figures=CASE, priors=None, direction="higher", selected=None, draws=4000, seed=3):
    return draw_aggregates(
        figures,
        priors or AggregatePriors(),
        direction=direction,
        selected=selected,
        draws=draws,
        rng=np.random.default_rng(seed),
    )


def test_with_many_patients_and_no_drift_the_effect_is_the_change_within_rounding():
    many = replace(CASE, n_before=10**7, n_after=10**7)
    priors = AggregatePriors(
        trend=NOTHING, regression_to_mean=NOTHING, attrition=NOTHING, icc=NOTHING, pairing=NOTHING
    )
    drawn = draw(many, priors)
    # the difference of two uniform roundings of half-width .5 is triangular between 24 and 26
    assert drawn.effect.min() > 23.9
    assert drawn.effect.max() < 26.1
    assert drawn.effect.mean() == pytest.approx(25, abs=0.03)
    assert drawn.effect.std() == pytest.approx(np.sqrt(2 * 1 / 12), rel=0.05)


def test_with_known_independent_patients_the_change_has_its_textbook_error():
    known = replace(CASE, n_before=200, n_after=300)
    drawn = draw(known, AggregatePriors(icc=NOTHING, pairing=NOTHING, attrition=NOTHING))
    expected = 100 * np.sqrt(0.43 * 0.57 / 200 + 0.68 * 0.32 / 300)
    # 4000 draws know a standard deviation to 1.1 %; flat priors and rounding add about 1 %
    assert (100 * (drawn.after - drawn.before)).std() == pytest.approx(expected, rel=0.05)


def test_a_known_drift_is_subtracted_from_the_effect():
    many = replace(CASE, n_before=10**7, n_after=10**7)
    known = AggregatePriors(
        trend=PriorRange(lower=3, upper=3),
        regression_to_mean=PriorRange(lower=4, upper=4),
        attrition=PriorRange(lower=0.3, upper=0.3),
        icc=NOTHING,
    )
    left = effect_left(0.43, 0.68, drift=10, attrition=0.3)
    assert draw(many, known).effect.mean() == pytest.approx(float(left), abs=0.05)
    # where lower is better, the same drift and attrition hide part of a harm
    hidden = draw(many, known, direction="lower").effect.mean()
    full = 100 * (1 - 0.32 * 0.7 / (1 - 0.3 * 0.32)) - 43
    assert hidden == pytest.approx(full + 10, abs=0.05)


def test_likeness_within_doctors_widens_and_pairing_narrows_the_change():
    known = replace(CASE, n_before=200, n_after=200)
    base = AggregatePriors(icc=NOTHING, pairing=NOTHING, attrition=NOTHING)

    def spread(priors):
        drawn = draw(known, priors)
        return (drawn.after - drawn.before).std()

    alike = replace(
        base,
        icc=PriorRange(lower=0.1, upper=0.1),
        patients_per_doctor=PriorRange(lower=31, upper=31),
    )
    paired = replace(base, pairing=PriorRange(lower=0.5, upper=0.5))
    # design effect 1 + 30 x .1 = 4; a correlation of one half halves the variance
    assert spread(alike) / spread(base) == pytest.approx(2, rel=0.05)
    assert spread(paired) / spread(base) == pytest.approx(np.sqrt(0.5), rel=0.05)


def test_no_direction_takes_the_published_change_as_meant_for_the_better():
    told, silent = draw(direction="higher"), draw(direction=None)
    np.testing.assert_array_equal(told.effect, silent.effect)
    fallen = PublishedFigures(before=57, after=32, unit="percent", years=2)
    assert draw(fallen, direction=None).direction == "lower"


def test_what_is_known_about_the_selection_sets_the_regression_to_the_mean():
    mean = {chosen: draw(selected=chosen).effect.mean() for chosen in (False, None, True)}
    assert mean[False] > mean[None] > mean[True]
    selected = compare_pilot(
        CASE, PublishedAggregates(), program=Program(selected_on_baseline=True), draws=500
    )
    assert "2 to 19" in selected.threats_frame().loc["regression to the mean", "handled"]


def test_the_widest_regression_that_is_believed_is_that_of_patients_all_chosen_off_target():
    from outcomekpi.pilots.estimators.selected_normal import next_on_target

    share = next_on_target(mean=7.5, sd=1.5, reliability=0.7, cutoff=7.0, target=7.0, side="above")
    assert 100 * float(share) == pytest.approx(18.9, abs=0.05)
    assert SELECTION.upper == pytest.approx(100 * float(share), abs=0.2)


def test_the_mirror_image_of_a_pilot_has_the_mirrored_effect():
    mirrored = PublishedFigures(before=57, after=32, unit="percent", years=2)
    up, down = draw(draws=20_000), draw(mirrored, direction="lower", draws=20_000, seed=4)
    # Monte Carlo error of a mean of 20,000 draws with SD 9: .06; of a tail quantile about .2
    assert up.effect.mean() == pytest.approx(-down.effect.mean(), abs=0.3)
    assert np.quantile(up.effect, 0.05) == pytest.approx(-np.quantile(down.effect, 0.95), abs=0.8)


def test_a_skeptical_prior_draws_the_effect_towards_none():
    skeptical = AggregatePriors(effect_sd=5)
    assert 0 < draw(priors=skeptical).effect.mean() < 0.6 * draw().effect.mean()


def test_the_unknown_that_moves_the_answer_most_comes_first():
    priors = AggregatePriors(
        trend=PriorRange(lower=-20, upper=20),
        regression_to_mean=NOTHING,
        attrition=PriorRange(lower=0.02, upper=0.03, scale="logit"),
    )
    known = replace(CASE, n_before=1000, n_after=1000)
    found = compare_pilot(known, PublishedAggregates(priors=priors, direction="higher"))
    unknowns = found.findings.tables["unknowns"].set_index("unknown")
    assert unknowns.index[0] == "trend"
    assert unknowns.loc["trend", "variance_share"] > 0.8
    assert unknowns.loc["attrition", "variance_share"] < 0.02
    assert unknowns.loc["trend", "effect_if_low"] > unknowns.loc["trend", "effect_if_high"]
    assert "regression to the mean" not in unknowns.index


@pytest.mark.slow
def test_variance_shares_are_those_of_an_additive_world():
    """Trend and regression normal, the rest known: the shares are those of their variances."""
    priors = AggregatePriors(
        trend=PriorRange(lower=-3, upper=3),
        regression_to_mean=PriorRange(lower=-3, upper=9),
        attrition=NOTHING,
        icc=NOTHING,
    )
    many = replace(CASE, n_before=10**6, n_after=10**6)
    found = compare_pilot(
        many, PublishedAggregates(priors=priors, direction="higher"), draws=20_000
    )
    shares = found.findings.tables["unknowns"].set_index("unknown")["variance_share"]
    # two years of a trend with SD 3 / 1.96, and a regression with SD 6 / 1.96: equal variances;
    # groups lose the variance within them, about 3 % with 20 groups of a normal quantity
    assert shares["trend"] == pytest.approx(0.5, abs=0.04)
    assert shares["regression to the mean"] == pytest.approx(0.5, abs=0.04)


def test_prior_sensitivity_names_what_each_prior_does(effect):
    table = effect.findings.tables["prior_sensitivity"].set_index("prior")
    stated = table.loc["as stated", "mean"]
    for name in ("no trend", "no regression to the mean", "no attrition"):
        assert table.loc[name, "mean"] > stated
    wider = table.loc["trend, range twice as wide"]
    assert (
        wider["upper"] - wider["lower"]
        > table.loc["as stated", "upper"] - table.loc["as stated", "lower"]
    )


def test_the_same_seed_gives_the_same_page_and_draws_keep_their_number():
    first, second = (compare_pilot(CASE, PublishedAggregates(), draws=400) for _ in range(2))
    assert first.to_frame().equals(second.to_frame())
    assert len(first.main.draws) == 400
    other = compare_pilot(CASE, PublishedAggregates(), draws=400, seed=1)
    assert not first.to_frame().equals(other.to_frame())


def test_intervals_widen_with_the_level(effect):
    narrow, wide = effect.to_frame(level=0.5), effect.to_frame(level=0.99)
    assert (wide["lower"] <= narrow["lower"])[:-1].all()
    assert (wide["upper"] >= narrow["upper"])[:-1].all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lower": 5, "upper": 2}, "lower <= upper"),
        ({"lower": 0, "upper": 2, "scale": "log"}, "must be positive"),
        ({"lower": 0.1, "upper": 1, "scale": "logit"}, "strictly between 0 and 1"),
        ({"lower": 0.1, "upper": float("inf")}, "finite number"),
        ({"lower": 0.1, "upper": 1, "scale": "ln"}, "scale must be one of"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(settings, message):
    with pytest.raises(SpecError, match=message):
        PriorRange(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trend": 3.0}, "trend must be PriorRange; got float"),
        ({"icc": PriorRange(lower=0.01, upper=0.2, scale="log")}, "needs scale='logit'"),
        ({"patients": PriorRange(lower=0.5, upper=9, scale="log")}, "must lie between 1 and inf"),
        ({"attrition": PriorRange(lower=1, upper=1)}, "must lie between 0 and 1"),
        ({"effect_sd": -1}, "effect_sd must be a number above 0, or None; got -1"),
    ],
)
def test_priors_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(SpecError, match=message):
        AggregatePriors(**settings)


@pytest.mark.parametrize("scale", ["identity", "log", "logit"])
def test_a_range_holds_95_percent(scale):
    one = PriorRange(lower=0.1, upper=0.6, scale=scale)
    np.testing.assert_allclose(one.quantiles(np.array([0.025, 0.975])), [0.1, 0.6], rtol=1e-9)
    # the density is the slope of the probabilities
    p = np.linspace(0.01, 0.99, 2001)
    x = one.quantiles(p)
    slope = np.gradient(p, x)
    np.testing.assert_allclose(
        one.density(x)[5:-5] / one.density(x)[1000] * slope[1000], slope[5:-5], rtol=2e-3
    )


def test_every_default_range_says_why():
    priors = AggregatePriors()
    for name in ("patients", "icc", "patients_per_doctor", "pairing", "trend", "attrition"):
        assert len(getattr(priors, name).why) > 30, name
    for selected in (True, False, None):
        assert len(priors.regression_range(selected).why) > 30


# --- calibration; `python benchmarks/aggregates_coverage.py` makes the full table


def assert_calibrated(module, name, pilots, draws, seed):
    places = module.place_truth(
        module.WORLDS[name], pilots, np.random.default_rng(seed), draws=draws
    )
    for level in module.LEVELS:
        error = np.sqrt(level * (1 - level) / pilots)
        # 4 standard errors of a share, and a point for the approximations
        limit = 4 * error + 0.01
        assert np.abs(module.coverage(places, level) - level).max() < limit, (name, level)
    # the place of the truth is uniform: standard error of its mean sqrt(1 / 12 / pilots)
    assert np.abs(places.mean(axis=0) - 0.5).max() < 4 * np.sqrt(1 / 12 / pilots) + 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", ["numbers of patients published", "lower is better"])
def test_intervals_hold_the_truth_of_simulated_pilots_in_small(coverage, name):
    assert_calibrated(coverage, name, pilots=150, draws=200, seed=11)


@pytest.mark.validate
def test_intervals_hold_the_truth_of_simulated_pilots(coverage):
    for name in coverage.WORLDS:
        assert_calibrated(coverage, name, pilots=400, draws=400, seed=12)


def test_a_posterior_that_ignores_trend_would_fail_the_same_check(coverage):
    """The check has teeth: pilots drift, and a posterior that believes in no drift is caught."""
    world = coverage.WORLDS["numbers of patients published"]
    rng = np.random.default_rng(13)
    blind = replace(world.priors, trend=NOTHING, regression_to_mean=NOTHING, attrition=NOTHING)
    held = 0
    for _ in range(100):
        pilot = coverage.publish(world, rng)
        drawn = draw(pilot.figures, blind, draws=200)
        lower, upper = np.quantile(drawn.effect, [0.025, 0.975])
        held += lower < pilot.effect < upper
    assert held < 85
