"""Interrupted series: published numbers, effects, tables, words."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from outcomekpi.declare.errors import OutcomeKPIWarning, SpecError
from outcomekpi.pilots.designs.interrupted import InterruptedSeries
from outcomekpi.pilots.estimators.seasonality import Seasonality
from outcomekpi.pilots.ladder.comparison import compare_pilot
from outcomekpi.pilots.ladder.program import Program

SICILY = Path(__file__).parents[4] / "shared" / "data" / "sicily_ace_its.csv"
YEAR = Seasonality(period=12, harmonics=2)


@pytest.fixture(scope="module")
def sicily():
    if not SICILY.exists():
        pytest.skip("the Sicilian admissions are not on this machine")
    return pd.read_csv(SICILY)


def smoking_ban(**settings):
    settings = {"method": "quasi", "change": "level"} | settings
    return InterruptedSeries(
        outcome="aces", time="time", start=37, exposure="stdpop", family="poisson", **settings
    )


# R: glm(aces ~ offset(log(stdpop)) + smokban + time, family = poisson / quasipoisson) of
# Bernal, Cummins & Gasparrini 2017, with harmonic(month, 2, 12) in the third row
@pytest.mark.parametrize(
    ("settings", "ratio", "limits", "dispersion"),
    [
        ({"method": "independent"}, 0.89438, (0.86469, 0.92509), 1.0),
        ({}, 0.89438, (0.83919, 0.95319), 3.5592),
        ({"seasonality": YEAR}, 0.88507, (0.83940, 0.93323), 2.2622),
    ],
)
def test_the_smoking_ban_of_sicily_is_reproduced(sicily, settings, ratio, limits, dispersion):
    effect = compare_pilot(sicily, smoking_ban(**settings))
    assert effect.main.value == pytest.approx(ratio, abs=5e-6)  # five printed decimals
    assert effect.main.interval(level=0.95) == pytest.approx(limits, abs=5e-6)
    if settings.get("method") != "independent":
        plain = compare_pilot(sicily, smoking_ban(**(settings | {"method": "independent"})))
        inflation = (effect.main.se / plain.main.se) ** 2
        assert inflation == pytest.approx(dispersion, abs=5e-5)


def test_the_slope_of_sicily_did_not_change(sicily):
    from scipy.stats import norm

    frame = compare_pilot(sicily, smoking_ban(change="level and slope", seasonality=YEAR))
    slope = next(one for one in frame.findings.estimates if one.name == "slope change")
    assert slope.value == pytest.approx(1.00148, abs=5e-6)
    assert 2 * norm.sf(abs(np.log(slope.value)) / slope.se) == pytest.approx(0.42, abs=0.005)


def test_the_crude_rate_of_sicily_rises_while_the_effect_is_a_fall(sicily):
    effect = compare_pilot(sicily, smoking_ban(seasonality=YEAR, method="reml", direction="lower"))
    rates = (sicily["aces"] / sicily["stdpop"] * 1e5).groupby(sicily["smokban"]).mean()
    assert rates.tolist() == pytest.approx([213.3, 220.5], abs=0.05)
    assert effect.findings.naive.value > 0
    assert effect.main.value < 1
    assert "for the better" in effect.verdict()


def test_without_autocorrelation_reml_stays_near_quasi_likelihood(sicily):
    reml = compare_pilot(sicily, smoking_ban(seasonality=YEAR, method="reml"))
    lower, upper = reml.main.interval(level=0.95)
    assert reml.main.value == pytest.approx(0.88507, abs=0.005)
    assert (lower, upper) == pytest.approx((0.8394, 0.9332), abs=0.01)


def made(effect=0.0, slope=0.0, length=48, seed=5, rho=0.4):
    rng = np.random.default_rng(seed)
    noise = np.zeros(length)
    for time, shock in enumerate(rng.standard_normal(length)):
        noise[time] = rho * noise[time - 1] + shock if time else shock / np.sqrt(1 - rho**2)
    since = np.arange(length) - length // 2
    after = since >= 0
    values = 60 + 0.1 * since + noise + after * (effect + slope * since)
    return pd.DataFrame({"month": np.arange(1, length + 1), "rate": values})


def design(**settings):
    return InterruptedSeries(outcome="rate", time="month", **({"start": 25} | settings))


def test_level_slope_horizon_average_and_sum_belong_together():
    frame = compare_pilot(made(effect=5, slope=0.2), design(horizon=6)).to_frame()
    level, slope = frame.loc["level change", "mean"], frame.loc["slope change", "mean"]
    assert frame.loc["effect at 31", "mean"] == pytest.approx(level + 6 * slope)
    assert frame.loc["average effect", "mean"] == pytest.approx(level + 11.5 * slope)
    assert frame.loc["cumulative effect", "mean"] == pytest.approx(24 * (level + 11.5 * slope))
    width = frame["upper"] - frame["lower"]
    assert width["cumulative effect"] == pytest.approx(24 * width["average effect"])
    assert frame.index[0] == "average effect"


def test_adding_an_effect_moves_every_estimate_by_it_and_no_interval():
    none, some = (compare_pilot(made(effect=effect), design()).to_frame() for effect in (0, 3))
    for name in ("average effect", "level change", "average observed minus forecast"):
        assert some.loc[name, "mean"] - none.loc[name, "mean"] == pytest.approx(3, abs=1e-6)
        for frame in (none, some):
            frame.loc[name, "width"] = frame.loc[name, "upper"] - frame.loc[name, "lower"]
        assert some.loc[name, "width"] == pytest.approx(none.loc[name, "width"], rel=1e-4)


def test_observed_minus_forecast_is_less_certain_than_the_contrast_of_the_model():
    frame = compare_pilot(made(), design()).to_frame()
    width = frame["upper"] - frame["lower"]
    assert width["average observed minus forecast"] > width["average effect"]


def test_the_ratio_of_means_is_left_out_where_means_may_be_negative():
    data = made()
    positive = compare_pilot(data, design()).to_frame()
    assert "ratio of means" in positive.index
    data["rate"] -= 60
    assert "ratio of means" not in compare_pilot(data, design()).to_frame().index


@pytest.mark.parametrize("method", ["reml", "prais_winsten", "bayes", "independent"])
def test_a_step_of_a_share_is_found_by_every_method(method):
    effect = compare_pilot(made(effect=8), design(method=method, unit="%", direction="higher"))
    lower, upper = effect.main.interval(level=0.95)
    assert lower < 8 < upper
    assert lower > 0
    assert effect.main.unit == "percentage points"
    assert "for the better" in effect.verdict()


def test_autocorrelation_widens_the_interval_over_that_of_independent_errors():
    data = made(rho=0.6, length=96)
    widths = {}
    for method in ("reml", "bayes", "independent"):
        lower, upper = compare_pilot(data, design(method=method, start=49)).main.interval(
            level=0.95
        )
        widths[method] = upper - lower
    assert widths["reml"] > 1.3 * widths["independent"]
    assert widths["bayes"] == pytest.approx(widths["reml"], rel=0.15)


def test_a_bayesian_series_keeps_draws_and_shows_other_priors():
    effect = compare_pilot(made(effect=2), design(method="bayes"), draws=500)
    assert effect.main.draws.shape == (500,)
    table = effect.findings.tables["prior_sensitivity"]
    assert list(table.columns) == ["prior", "mean", "lower", "upper"]
    assert len(table) == 3
    again = compare_pilot(made(effect=2), design(method="bayes"), draws=500)
    assert np.array_equal(effect.main.draws, again.main.draws)


def test_counts_out_of_trials_give_points_and_a_risk_ratio():
    rng = np.random.default_rng(8)
    after = np.arange(40) >= 20
    share = np.where(after, 0.6, 0.45)
    frame = pd.DataFrame({"t": range(40), "n": 200, "y": rng.binomial(200, share)})
    chosen = InterruptedSeries(outcome="y", trials="n", time="t", start=20, family="binomial")
    table = compare_pilot(frame, chosen).to_frame()
    assert table.loc["average effect", "unit"] == "percentage points"
    assert table.loc["average effect", "lower"] < 15 < table.loc["average effect", "upper"]
    assert table.loc["risk ratio", "lower"] < 0.6 / 0.45 < table.loc["risk ratio", "upper"]
    events = table.loc["cumulative effect", "mean"]
    assert events == pytest.approx(table.loc["average effect", "mean"] / 100 * 20 * 200)


def test_the_tables_have_the_columns_that_pictures_and_reports_expect():
    effect = compare_pilot(made(effect=4), design())
    table = effect.findings.tables["counterfactual"]
    expected = ["time", "observed", "fitted", "counterfactual", "lower", "upper", "after"]
    assert list(table.columns) == expected
    before = table[~table["after"]]
    assert np.allclose(before["fitted"], before["counterfactual"])
    gap = (table["fitted"] - table["counterfactual"])[table["after"]].mean()
    assert gap == pytest.approx(effect.main.value)
    forecast = effect.findings.tables["forecast"]
    assert list(forecast.columns) == ["time", "observed", "mean", "lower", "upper"]
    realized = (forecast["observed"] - forecast["mean"]).mean()
    shown = effect.to_frame().loc["average observed minus forecast", "mean"]
    assert realized == pytest.approx(shown)


def test_the_interval_of_a_single_forecast_point_holds_its_noise():
    forecast = compare_pilot(made(), design()).findings.tables["forecast"]
    expected = compare_pilot(made(), design()).findings.tables["counterfactual"]
    expected = expected[expected["after"]]
    first = (forecast["upper"] - forecast["lower"]).iloc[0]
    assert first > (expected["upper"] - expected["lower"]).iloc[0]


ANSWERED = {
    "points",
    "seasonality",
    "autocorrelation",
    "standard_error",
    "comparator",
    "pre_trend",
    "missing_outcomes",
    "main_effect",
    "naive_effect",
    "sensitivity",
    "power",
    "program_dates",
    "units",
    "threats",
}


@pytest.mark.parametrize("method", ["reml", "bayes", "independent"])
def test_a_series_answers_its_items_of_the_checklist(method):
    checklist = compare_pilot(made(), design(method=method)).checklist.set_index("item")
    answered = checklist[checklist["status"] == "answered"]
    assert set(answered.index) >= ANSWERED
    assert not answered["answer"].str.contains(r"\bnan\b").any()
    assert checklist.loc["clustering", "status"] == "not applicable"


def test_the_detectable_effect_is_shown_with_four_of_five():
    from outcomekpi.pilots.designs.series_facts import detectable_effect

    # normal: 1.959964 + 0.841621
    assert detectable_effect(1.0, np.inf, level=0.95) == pytest.approx(2.801585, abs=1e-5)


def test_history_has_the_size_that_leaves_no_effect():
    effect = compare_pilot(made(effect=6), design())
    threats = effect.threats_frame()
    assert f"{effect.main.value:.4g}" in threats.loc["history", "tipping"]
    assert f"{effect.main.interval(level=0.95)[0]:.4g}" in threats.loc["history", "tipping"]
    assert "regression to the mean" not in threats.index
    chosen = compare_pilot(made(effect=6), design(), program=Program(selected_on_baseline=True))
    assert "regression to the mean" in chosen.threats_frame().index


def test_a_season_that_is_left_out_is_seen_and_one_that_is_modeled_is_not():
    data = made(length=72, rho=0.0)
    data["rate"] += 4 * np.cos(2 * np.pi * np.arange(72) / 12)
    left = {}
    for season in (None, Seasonality(period=12, harmonics=1)):
        effect = compare_pilot(data, design(start=37, seasonality=season))
        lower, upper = effect.main.interval(level=0.95)
        left[season is None] = upper - lower
    assert left[True] > 2 * left[False]


def test_twelve_months_have_eleven_columns_however_many_waves():
    waves = Seasonality(period=12, harmonics=6).columns(48)
    assert waves.shape == (48, 11)
    assert np.linalg.matrix_rank(np.column_stack([np.ones(48), waves])) == 12


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"period": 1.0}, "period must be a number of at least 2; got 1"),
        ({"period": 12, "harmonics": 7}, "period / 2 = 6"),
        ({"period": True}, "period must be a number .*got True"),
        (
            {"period": 12, "harmonics": 1.5},
            "harmonics must be a whole number of at least 1; got 1.5",
        ),
    ],
)
def test_seasons_that_cannot_be_are_refused(settings, message):
    with pytest.raises(SpecError, match=message):
        Seasonality(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"family": "gausian"}, "Did you mean 'gaussian'"),
        ({"method": "quasi"}, "is for counts"),
        ({"method": "bayes", "order": 2}, "takes no order but 1"),
        ({"family": "poisson", "method": "bayes"}, "exact for family='gaussian'"),
        ({"family": "binomial"}, "name the column, trials="),
        ({"trials": "n"}, "goes with family='binomial'"),
        ({"order": 0}, "order must be a whole number between 1 and 6; got 0"),
        ({"covariates": "age"}, "covariates must be several values.*got 'age'"),
        ({"seasonality": 12}, "Seasonality"),
        ({"direction": "up"}, "direction must be"),
        ({"change": "step"}, "change must be"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(SpecError, match=message):
        design(**settings)


def test_a_horizon_beyond_the_data_is_refused():
    with pytest.raises(SpecError, match="24 periods after the start"):
        compare_pilot(made(), design(horizon=24))


def test_covariates_enter_the_model_and_answer_for_the_case_mix():
    data = made(effect=3)
    data["age"] = np.random.default_rng(2).normal(60, 3, len(data))
    data["rate"] += 0.5 * data["age"]
    with_age = compare_pilot(data, design(covariates=("age",)))
    without = compare_pilot(data, design())
    assert with_age.main.se < without.main.se
    assert with_age.findings.facts["case_mix"] == "in the model: age"


def test_the_ramp_up_counts_on_neither_side():
    data = made(effect=5)
    data.loc[24:26, "rate"] += 100
    effect = compare_pilot(data, design(ramp_up=3))
    clean = compare_pilot(made(effect=5), design(ramp_up=3))
    assert effect.main.value == pytest.approx(clean.main.value)
    assert "3 periods of ramp-up left out" in effect.findings.facts["points"]


def test_fewer_than_eight_points_a_side_warn_with_the_consequence():
    with pytest.warns(OutcomeKPIWarning, match="below 8 a side"):
        effect = compare_pilot(made(length=14), design(start=8))
    assert not next(one for one in effect.findings.checks if "points" in one.name).passed


def test_a_change_of_unit_and_origin_changes_nothing_else():
    data = made(effect=3)
    plain = compare_pilot(data, design()).main
    moved = data.assign(rate=7 - 2.5 * data["rate"], month=data["month"] + 1000)
    other = compare_pilot(moved, design(start=1025)).main
    assert other.value == pytest.approx(-2.5 * plain.value)
    assert other.se == pytest.approx(2.5 * plain.se)
    assert other.degrees_of_freedom == pytest.approx(plain.degrees_of_freedom, rel=1e-4)


def test_no_posterior_of_a_long_series_asks_for_its_forecast():
    effect = compare_pilot(made(length=600), design(start=301, method="bayes"), draws=100)
    assert "forecast" not in effect.findings.tables
    assert "forecast" in compare_pilot(made(length=600), design(start=301)).findings.tables


@pytest.mark.validate
@pytest.mark.parametrize("method", ["reml", "bayes"])
def test_the_default_holds_the_truth_in_93_to_97_of_100_series(method):
    held = []
    for seed in range(1000):
        main = compare_pilot(made(seed=seed, rho=0.4), design(method=method), draws=1000).main
        lower, upper = main.interval(level=0.95)
        held.append(lower <= 0 <= upper)
    assert 0.93 <= np.mean(held) <= 0.97


def test_a_correction_below_zero_near_a_unit_root_still_gives_intervals():
    # here the adjusted variance of the intercept is negative: intervals fall back on the plain one
    effect = compare_pilot(made(seed=126), design(order=2))
    frame = effect.to_frame().drop(index="plain difference, after minus before")
    assert (frame["upper"] > frame["lower"]).all()
