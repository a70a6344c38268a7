"""Two published percentages: what they say, what they cannot say, and where they say nothing."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from outcomekpi.errors import CasesError, SpecError
from outcomekpi.pilots.aggregate_posterior import draw_aggregates, keep_all
from outcomekpi.pilots.aggregate_priors import SELECTION, AggregatePriors, PriorRange
from outcomekpi.pilots.aggregate_sampling import (
    independent_interval,
    matches_whole_patients,
    patients_for_power,
    patients_to_exclude_nil,
)
from outcomekpi.pilots.aggregates import PublishedAggregates
from outcomekpi.pilots.comparison import compare_pilot
from outcomekpi.pilots.frontier import (
    attrition_at_nil,
    attrition_for_rest,
    bound_effect,
    effect_left,
    tipping_table,
    trend_at_nil,
)
from outcomekpi.pilots.program import Program
from outcomekpi.pilots.published import PublishedFigures

PATH = Path(__file__).parents[2] / "benchmarks" / "aggregates_coverage.py"
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


def texts(effect, kind):
    table = effect.findings.tables["statements"]
    return " ".join(table.loc[table["kind"] == kind, "text"])


# --- the published case: 43 % to 68 % in two years


def test_the_published_case_has_the_contrasts_of_its_two_figures(effect):
    frame = effect.to_frame()
    assert frame.loc["risk difference", "mean"] == pytest.approx(25)
    assert frame.loc["risk ratio", "mean"] == pytest.approx(1.58, abs=0.005)
    assert frame.loc["odds ratio", "mean"] == pytest.approx(2.82, abs=0.005)
    assert effect.findings.naive.value == pytest.approx(25)
    assert effect.main.name == "risk difference"


def test_the_published_case_tips_at_the_documented_strengths(effect):
    tipping = effect.findings.tables["tipping"]["tipping"]
    assert tipping["trend a year"] == pytest.approx(12.5)
    assert tipping["regression to the mean"] == pytest.approx(25)
    # 64.5 % and 36.8 % as printed
    assert tipping["attrition"] == pytest.approx(0.645, abs=5e-4)
    assert tipping["attrition of the panel"] == pytest.approx(0.368, abs=5e-4)
    assert tipping["confounder"] == pytest.approx(2.54, abs=5e-3)


@pytest.mark.parametrize(
    ("before", "after", "nil", "power"), [(0.43, 0.68, 29, 61), (0.2, 0.2 * 0.66, 229, 469)]
)
def test_patients_needed_are_the_documented_ones(before, after, nil, power):
    assert patients_to_exclude_nil(before, after) == nil
    assert patients_for_power(before, after) == power
    for n, leaves_out in ((nil, True), (nil - 1, False)):
        lower, upper = independent_interval(before, after, n, n)
        assert (lower > 0 or upper < 0) is leaves_out


def test_the_power_that_was_asked_for_is_reached():
    """In simulated pooled tests the 469 patients of the formula show it 80 % of the time."""
    rng = np.random.default_rng(5)
    n = patients_for_power(0.2, 0.132)
    a, b = (rng.binomial(n, p, 20_000) / n for p in (0.2, 0.132))
    middle = (a + b) / 2
    shown = np.abs(a - b) > 1.959964 * np.sqrt(2 * middle * (1 - middle) / n)
    # standard error .003, and the formula is asymptotic: within a point
    assert shown.mean() == pytest.approx(0.8, abs=0.01)


def test_a_design_effect_multiplies_the_patients_needed():
    ratio = patients_for_power(0.2, 0.132, design_effect=3) / patients_for_power(0.2, 0.132)
    assert ratio == pytest.approx(3, abs=0.01)


def test_the_published_case_comes_out_as_an_honest_page(effect):
    assert "The cause of it is not identified" in effect.verdict()
    says, cannot, nothing = (texts(effect, k) for k in ("says", "cannot say", "says nothing"))
    assert "from 43 % to 68 % in 2 years: +25 percentage points" in says
    assert "at least 29 independent patients" in says
    assert "program made the change" in cannot
    assert "-32.5 and +68.5" in cannot
    assert "number of patients before" in cannot
    for text in ("12.5 a year", "64.5 %", "36.8 % of all", "2.54"):
        assert text in nothing
    assert "years before the program" in texts(effect, "ask for")


def test_the_example_of_explanations_that_act_together_leaves_nothing():
    third = 25 / 3
    rest = attrition_for_rest(0.43, 0.68, drift=2 * third)
    left = effect_left(0.43, 0.68, drift=2 * third, attrition=rest)
    assert left == pytest.approx(0, abs=1e-9)
    fall = attrition_for_rest(0.3, 0.2, drift=5.0)
    assert effect_left(0.3, 0.2, drift=5.0, attrition=fall) == pytest.approx(0, abs=1e-9)


def test_the_checklist_says_what_figures_cannot_answer(effect):
    status = effect.checklist.set_index("item")["status"]
    for item in ("points", "main_effect", "naive_effect", "power", "sensitivity", "clustering"):
        assert status[item] == "answered", item
    for item in ("pre_trend", "case_mix", "missing_outcomes", "entries_exits", "heterogeneity"):
        assert status[item] == "missing", item
    assert status["autocorrelation"] == "not applicable"


def test_every_other_explanation_stands_in_the_ledger_with_its_strength(effect):
    threats = effect.threats_frame()
    assert {"history", "regression to the mean", "attrition", "confounding"} <= set(threats.index)
    assert "12.5 a year" in threats.loc["history", "tipping"]
    assert "-2 to 5" in threats.loc["history", "handled"]
    assert set(threats["direction"]) == {"either"}
    told = compare_pilot(CASE, PublishedAggregates(priors=None, direction="lower"))
    assert told.threats_frame().loc["history", "direction"] == "towards harm"


# --- the frontier


def test_nothing_is_left_on_the_frontier_and_all_at_its_origin(effect):
    tables = effect.findings.tables
    grid, nil = tables["frontier"], tables["frontier_nil"]
    origin = grid[(grid[["trend", "regression_to_mean", "attrition"]] == 0).all(axis=1)]
    assert origin["effect_left"].item() == pytest.approx(25)
    drift = 2 * nil["trend"] + nil["regression_to_mean"]
    left = effect_left(0.43, 0.68, drift=drift.to_numpy(), attrition=nil["attrition"].to_numpy())
    np.testing.assert_allclose(left, 0, atol=1e-9)
    assert grid.groupby("trend")["effect_left"].mean().is_monotonic_decreasing


proportions = st.floats(0.01, 0.99)


@given(proportions, proportions)
def test_each_explanation_alone_leaves_nothing_at_its_tipping_point(before, after):
    share, panel = attrition_at_nil(before, after)
    change = abs(100 * (after - before))
    assert effect_left(before, after, drift=0, attrition=share) == pytest.approx(0, abs=1e-9)
    assert effect_left(before, after, drift=change, attrition=0) == pytest.approx(0, abs=1e-9)
    assert trend_at_nil(before, after, years=2) == pytest.approx(change / 2)
    assert 0 <= panel <= share < 1


@given(proportions, proportions)
def test_a_fall_is_the_rise_of_the_complement(before, after):
    assume(before != after)
    risen = effect_left(before, after, drift=2.0, attrition=0.2)
    assert risen == pytest.approx(effect_left(1 - before, 1 - after, drift=2.0, attrition=0.2))


@given(proportions, st.floats(-0.9, 0.9))
def test_who_left_is_put_back_into_the_count(full, attrition):
    """Patients leave a full panel; the proportion of the rest leads back to the full one."""
    left = abs(attrition)
    if attrition >= 0:
        counted = full / (full + (1 - full) * (1 - left))
    else:
        counted = full * (1 - left) / (full * (1 - left) + 1 - full)
    found, slope = keep_all(np.array(counted), np.array(attrition))
    assert found == pytest.approx(full, rel=1e-9)
    step = 1e-6
    ahead, _ = keep_all(np.array(counted + step), np.array(attrition))
    assert slope == pytest.approx((ahead - found) / step, rel=1e-3)


def test_a_fall_to_nothing_and_no_change_have_no_false_tipping_points():
    assert attrition_at_nil(0.4, 0.4) == (0.0, 0.0)
    assert attrition_at_nil(0.4, 0.0) == pytest.approx((1.0, 0.4))
    assert "confounder" not in tipping_table(0.4, 0.0, years=1).index


# --- bounds


def test_bounds_grow_with_the_drift_that_is_thought_possible(effect):
    bounds = effect.findings.tables["bounds"].set_index("m")
    assert bounds.loc[0.0, ["lower", "upper"]].tolist() == pytest.approx([24, 26])
    assert bounds.loc[5.0, ["lower", "upper"]].tolist() == pytest.approx([14, 36])
    assert bounds.loc[np.inf, ["lower", "upper"]].tolist() == pytest.approx([-32.5, 68.5])
    assert bounds["lower"].is_monotonic_decreasing
    # 12 points a year take the smallest change that rounds to the figures, 24 points
    # (the ranges of rounding are open by 1e-9 of their width)
    assert bounds.loc[12.0, "lower"] == pytest.approx(0, abs=1e-6)


def test_bounds_without_rounding_tip_at_the_trend_of_the_face_values():
    exact = PublishedFigures(before=43, after=68, unit="percent", rounding=0, years=2)
    bounds = bound_effect(exact.possible(), years=2)
    assert bounds.loc[np.abs(bounds["lower"]).idxmin(), "m"] == pytest.approx(12.5, abs=1e-5)


def test_without_priors_there_are_bounds_and_no_interval():
    refused = compare_pilot(CASE, PublishedAggregates(priors=None, direction="higher"))
    assert list(refused.to_frame().index[:3]) == ["risk difference", "risk ratio", "odds ratio"]
    assert refused.to_frame()[["lower", "upper"]].isna().all().all()
    assert "no interval can be given" in refused.verdict()
    possible = refused.findings.tables["possible"]
    assert possible.loc["risk ratio"].tolist()[1:] == pytest.approx([67.5 / 43.5, 68.5 / 42.5])
    assert not {"unknowns", "prior_sensitivity"} & set(refused.findings.tables)
    assert "program effect" not in refused.to_frame().index


# --- readings


def test_a_relative_change_alone_comes_out_as_a_ratio():
    figures = PublishedFigures(change=41, unit="percent", reading="relative", years=1)
    found = compare_pilot(figures, PublishedAggregates(direction="higher"))
    assert found.main.name == "risk ratio"
    assert found.main.value == pytest.approx(1.41)
    assert list(found.to_frame().index) == ["risk ratio", "published ratio less 1"]
    assert "identifies the ratio after / before alone" in texts(found, "says")
    assert "impossible above a base of 70.9 %" in texts(found, "says")
    assert "the level before is missing" in texts(found, "cannot say")
    # 1 - 1 / 1.41 of the panel
    assert "29.1 % of all patients" in texts(found, "says nothing")
    frontier = found.findings.tables["frontier"]
    assert frontier["before"].max() == pytest.approx(0.7)
    ends = frontier.groupby("before")["trend"].max()
    np.testing.assert_allclose(ends, 41 * ends.index.to_numpy())


def test_a_change_in_points_alone_comes_out_as_a_difference():
    figures = PublishedFigures(change=41, unit="percent", reading="points")
    found = compare_pilot(figures, PublishedAggregates())
    assert found.main.name == "risk difference"
    assert found.main.value == pytest.approx(41)
    assert "impossible above a base of 59 %" in texts(found, "says")
    assert "the years between the figures" in texts(found, "cannot say")


def test_a_prior_of_the_base_turns_a_ratio_into_points():
    figures = PublishedFigures(change=-34, unit="percent", reading="relative", years=2)
    base = PriorRange(lower=0.19, upper=0.21, scale="logit", why="readmissions elsewhere")
    large = PriorRange(lower=1e5, upper=2e5, scale="log")
    priors = AggregatePriors(base=base, patients=large, icc=PriorRange(lower=1e-6, upper=1e-6))
    found = compare_pilot(figures, PublishedAggregates(priors=priors, direction="lower"))
    frame = found.to_frame()
    assert frame.loc["risk ratio", "mean"] == pytest.approx(0.66, abs=1e-9)
    # base .2, ratio .66: 6.8 points down
    assert frame.loc["risk difference", "mean"] == pytest.approx(-6.8, abs=0.1)


def test_a_fall_of_34_percent_at_a_base_of_20_is_not_shown_by_unknown_numbers_of_patients():
    figures = PublishedFigures(before=20, change=-34, unit="percent", reading="relative", years=2)
    found = compare_pilot(figures, PublishedAggregates(direction="lower"))
    assert "do not show" in found.verdict()
    assert "229 independent patients" in found.checklist.set_index("item").loc["power", "answer"]
    reach = next(one for one in found.findings.checks if one.name == "reach of the priors")
    assert reach.passed is False


# --- the posterior


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
    from outcomekpi.pilots.selected_normal import next_on_target

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


# --- whole patients and hard cases


@pytest.mark.parametrize(
    ("percent", "patients", "possible"),
    [
        (43, 29, False),
        (43, 100, True),
        (43, 28, True),
        (68, 25, True),
        (50, 3, False),
        (0, 5, True),
    ],
)
def test_a_percentage_must_be_a_whole_number_of_patients(percent, patients, possible):
    assert matches_whole_patients(percent / 100, 0.005, patients) is possible


def test_figures_that_are_no_whole_number_of_patients_fail_a_check_and_are_still_used():
    figures = replace(CASE, n_before=29, n_after=100)
    found = compare_pilot(figures, PublishedAggregates(priors=None))
    check = next(one for one in found.findings.checks if one.name == "whole patients")
    assert check.passed is False
    assert "43 % of 29 patients is no whole number" in check.verdict
    assert "29 patients before, 100 patients after" in texts_of(found, "units")
    assert "With the 29 and 100 published patients" in texts(found, "says")


def texts_of(effect, item):
    return effect.checklist.set_index("item").loc[item, "answer"]


@pytest.mark.parametrize(
    ("before", "after"), [(0, 30), (30, 0), (100, 60), (40, 100), (50, 50), (0, 0)]
)
@pytest.mark.parametrize("priors", [AggregatePriors(), None])
def test_figures_at_the_edges_come_out_as_finite_numbers(before, after, priors):
    figures = PublishedFigures(before=before, after=after, unit="percent", years=1)
    found = compare_pilot(
        figures, PublishedAggregates(priors=priors, direction="higher"), draws=400
    )
    assert np.isfinite(found.to_frame()["mean"]).all()
    if priors is not None:
        assert np.isfinite(found.to_frame()[["lower", "upper"]].iloc[:-1].to_numpy()).all()
    assert "risk difference" in found.verdict()


@pytest.mark.parametrize("change", [94, -97, 3])
def test_a_change_that_few_bases_allow_still_has_a_frontier(change):
    figures = PublishedFigures(change=change, unit="percent", reading="points", years=1)
    frontier = compare_pilot(figures, PublishedAggregates()).findings.tables["frontier"]
    assert frontier["effect_left"].max() == pytest.approx(abs(change), abs=0.3)


def test_a_change_without_years_keeps_its_interval_and_loses_the_effect():
    found = compare_pilot(replace(CASE, years=None), PublishedAggregates(), draws=400)
    assert np.isfinite(found.to_frame().loc["risk difference", "lower"])
    assert "program effect" not in found.to_frame().index
    assert "the years between the figures are missing" in texts(found, "cannot say")
    assert "25 points without the program" in texts(found, "says nothing")


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
        ({"trend": 3.0}, "must be a PriorRange"),
        ({"icc": PriorRange(lower=0.01, upper=0.2, scale="log")}, "needs scale='logit'"),
        ({"patients": PriorRange(lower=0.5, upper=9, scale="log")}, "must lie between 1 and inf"),
        ({"attrition": PriorRange(lower=1, upper=1)}, "must lie between 0 and 1"),
        ({"effect_sd": -1}, "positive number of points"),
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


def test_other_data_and_settings_are_refused():
    import pandas as pd

    with pytest.raises(CasesError, match=r"BeforeAfter.*InterruptedSeries"):
        compare_pilot(pd.DataFrame({"y": [1]}), PublishedAggregates())
    with pytest.raises(SpecError, match="Did you mean 'higher'"):
        PublishedAggregates(direction="highr")
    with pytest.raises(SpecError, match="None for bounds"):
        PublishedAggregates(priors="default")
    with pytest.raises(SpecError, match="at least 200 draws"):
        compare_pilot(CASE, PublishedAggregates(), draws=50)
    with pytest.raises(CasesError, match="needs a level before"):
        draw(PublishedFigures(change=41, unit="percent", reading="relative", years=1))
    with pytest.raises(SpecError, match="no change to show"):
        patients_for_power(0.3, 0.3)


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


@pytest.mark.parametrize("name", ["numbers of patients published", "lower is better"])
def test_intervals_hold_the_truth_of_simulated_pilots_in_small(coverage, name):
    assert_calibrated(coverage, name, pilots=150, draws=200, seed=11)


@pytest.mark.validate
def test_intervals_hold_the_truth_of_simulated_pilots(coverage):
    for name in coverage.WORLDS:
        assert_calibrated(coverage, name, pilots=800, draws=400, seed=12)


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
