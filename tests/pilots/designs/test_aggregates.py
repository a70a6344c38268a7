"""Two published percentages: what they say, what they cannot say, and where they say nothing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.pilots.designs.aggregates import PublishedAggregates
from outcomekpi.pilots.estimators.aggregate_posterior import draw_aggregates, keep_all
from outcomekpi.pilots.estimators.aggregate_priors import AggregatePriors, PriorRange
from outcomekpi.pilots.estimators.aggregate_sampling import (
    independent_interval,
    matches_whole_patients,
    patients_for_power,
    patients_to_exclude_nil,
)
from outcomekpi.pilots.estimators.frontier import (
    attrition_at_nil,
    attrition_for_rest,
    bound_effect,
    effect_left,
    tipping_table,
    trend_at_nil,
)
from outcomekpi.pilots.estimators.published import PublishedFigures
from outcomekpi.pilots.ladder.comparison import compare_pilot

CASE = PublishedFigures(before=43, after=68, unit="percent", reading="levels", years=2)
NOTHING = PriorRange(lower=0, upper=0)


@pytest.fixture(scope="module")
def effect():
    """The published case, with nothing said but its two figures."""
    return compare_pilot(CASE, PublishedAggregates(), draws=2000)


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


def test_other_data_and_settings_are_refused():
    import pandas as pd

    with pytest.raises(CasesError, match=r"BeforeAfter.*InterruptedSeries"):
        compare_pilot(pd.DataFrame({"y": [1]}), PublishedAggregates())
    with pytest.raises(SpecError, match="Did you mean 'higher'"):
        PublishedAggregates(direction="highr")
    with pytest.raises(SpecError, match="priors must be AggregatePriors, or None; got str"):
        PublishedAggregates(priors="default")
    with pytest.raises(SpecError, match="at least 200 draws"):
        compare_pilot(CASE, PublishedAggregates(), draws=50)
    with pytest.raises(CasesError, match="needs a level before"):
        draw_aggregates(
            PublishedFigures(change=41, unit="percent", reading="relative", years=1),
            AggregatePriors(),
            direction="higher",
            selected=None,
            draws=200,
            rng=np.random.default_rng(3),
        )
    with pytest.raises(SpecError, match="no change to show"):
        patients_for_power(0.3, 0.3)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "to 35.99 from a prior on the number of patients, which was not published)."),
        ({"n_before": 300}, "from a prior on the number of patients after, which was not"),
        ({"n_before": 300, "n_after": 310}, "from priors on how alike patients are)."),
    ],
)
def test_the_sentence_says_which_prior_made_its_interval(given, words):
    figures = PublishedFigures(before=43, after=68, unit="percent", years=2, **given)
    effect = compare_pilot(figures, PublishedAggregates(direction="higher"))
    assert words in effect.verdict()
    bare = compare_pilot(figures, PublishedAggregates(direction="higher", priors=None))
    assert "prior" not in bare.verdict()
