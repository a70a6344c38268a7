"""Calibration measures against numbers worked by hand, and verdicts on right and wrong models."""

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from handmade import make_cases
from scipy import integrate, stats
from scipy.special import expit, logit

from outcomekpi.calibration.check import MEASURES, check_calibration
from outcomekpi.calibration.measures import (
    Predictions,
    bin_predictions,
    brier_score,
    calibration_line,
    concordance,
    group_interval,
    integrated_calibration_index,
    risk_groups,
)
from outcomekpi.calibration.predictions import population_rate
from outcomekpi.model.spec import ModelSpec
from outcomekpi.posterior.fit import fit


def make_predictions(*, seed=1, n=4000, slope=1.0, shift=0.0, family="bernoulli"):
    """Outcomes whose true calibration line is known: link(truth) = shift + slope link(rate)."""
    rng = np.random.default_rng(seed)
    score = rng.normal(-1.0, 1.0, n)
    eta = shift + slope * score
    size = np.ones(n)
    if family == "bernoulli":
        rate, outcome = expit(score), (rng.random(n) < expit(eta)).astype(float)
    elif family == "poisson":
        size = rng.gamma(4.0, 0.25, n)
        rate, outcome = np.exp(score), rng.poisson(size * np.exp(eta)).astype(float)
    else:
        rate, outcome = score, rng.normal(eta, 1.0)
    return Predictions(family=family, rate=rate, outcome=outcome, size=size)


# Measures


def test_concordance_of_four_patients_by_hand():
    """Pairs (event, no event): (.8,.3) (.8,.6) (.3,.3 tie) (.3,.6): 1 + 1 + .5 + 0 of 4."""
    given = Predictions(
        family="bernoulli",
        rate=np.array([0.8, 0.3, 0.3, 0.6]),
        outcome=np.array([1.0, 1.0, 0.0, 0.0]),
        size=np.ones(4),
    )
    assert concordance(given) == pytest.approx(2.5 / 4)


def test_concordance_is_the_mann_whitney_statistic():
    given = make_predictions(n=500)
    events, others = given.rate[given.outcome == 1], given.rate[given.outcome == 0]
    wanted = stats.mannwhitneyu(events, others).statistic / (events.size * others.size)
    assert concordance(given) == pytest.approx(wanted, rel=1e-12)


def test_brier_score_by_hand():
    given = Predictions(
        family="bernoulli",
        rate=np.array([0.9, 0.2]),
        outcome=np.array([1.0, 1.0]),
        size=np.ones(2),
    )
    assert brier_score(given) == pytest.approx((0.01 + 0.64) / 2)


@pytest.mark.parametrize("measure", [concordance, brier_score, calibration_line])
def test_splitting_aggregated_rows_changes_no_measure(measure):
    rate, events, size = np.array([0.2, 0.6, 0.4]), np.array([3, 4, 2]), np.array([9, 6, 5])
    rows = Predictions(
        family="binomial", rate=rate, outcome=events.astype(float), size=size.astype(float)
    )
    patients = np.concatenate(
        [np.repeat([1.0, 0.0], [e, n - e]) for e, n in zip(events, size, strict=True)]
    )
    split = Predictions(
        family="bernoulli", rate=np.repeat(rate, size), outcome=patients, size=np.ones(20)
    )
    assert measure(rows) == pytest.approx(measure(split), rel=1e-9)


@pytest.mark.parametrize(
    ("family", "glm"),
    [
        ("bernoulli", sm.families.Binomial()),
        ("poisson", sm.families.Poisson()),
        ("gaussian", sm.families.Gaussian()),
    ],
)
def test_the_calibration_line_is_that_of_statsmodels(family, glm):
    given = make_predictions(family=family, slope=0.7, shift=0.3)
    offset = np.log(given.size) if family == "poisson" else np.zeros_like(given.score)
    one = np.ones_like(given.score)
    large = sm.GLM(given.outcome, one, family=glm, offset=offset + given.score).fit()
    both = sm.GLM(
        given.outcome, np.column_stack([one, given.score]), family=glm, offset=offset
    ).fit()
    in_the_large, slope = calibration_line(given)
    # both are iterated to convergence; statsmodels stops at 1e-8 of the deviance
    assert in_the_large == pytest.approx(large.params[0], abs=1e-6)
    assert slope == pytest.approx(both.params[1], abs=1e-6)


@pytest.mark.parametrize("family", ["bernoulli", "poisson", "gaussian"])
def test_the_calibration_line_finds_the_true_slope(family):
    given = make_predictions(family=family, slope=0.6, n=40_000)
    assert calibration_line(given)[1] == pytest.approx(0.6, abs=0.05)


def test_equal_predictions_have_no_slope():
    given = replace(make_predictions(n=100), rate=np.full(100, 0.3))
    assert np.isnan(calibration_line(given)[1])


def test_the_calibration_index_of_a_known_miscalibration():
    """True probability expit(logit(p) + 0.5): the index is the mean of |difference|."""
    given = make_predictions(shift=0.5, n=60_000)
    wanted = np.abs(expit(logit(given.rate) + 0.5) - given.rate).mean()
    # sampling error of a rate from 60,000 cases is below .002
    assert integrated_calibration_index(given) == pytest.approx(wanted, abs=0.004)


def test_the_calibration_index_of_calibrated_predictions_is_near_zero():
    assert integrated_calibration_index(make_predictions(n=60_000)) < 0.006


def test_the_calibration_index_sees_a_bend_that_a_line_misses():
    rng = np.random.default_rng(2)
    score = rng.normal(0.0, 1.0, 40_000)
    bent = (rng.random(40_000) < expit(score**2 - 1.0)).astype(float)
    given = Predictions(
        family="bernoulli", rate=expit(score), outcome=bent, size=np.ones_like(bent)
    )
    wanted = np.abs(expit(score**2 - 1.0) - given.rate).mean()
    # the spline has 4 free columns; the bend is smooth
    assert integrated_calibration_index(given) == pytest.approx(wanted, rel=0.1)


def test_the_calibration_index_of_one_constant_prediction_is_its_distance():
    given = replace(make_predictions(n=1000), rate=np.full(1000, 0.4))
    wanted = abs(given.outcome.mean() - 0.4)
    assert integrated_calibration_index(given) == pytest.approx(wanted, abs=1e-9)


def test_binning_neighbors_leaves_the_measures_alone():
    given = make_predictions(n=20_000, slope=0.8)
    binned, position = bin_predictions(given, 2000)
    assert binned.rate.size == 2000
    assert np.bincount(position, given.outcome) == pytest.approx(binned.outcome)
    assert concordance(binned) == pytest.approx(concordance(given), abs=1e-4)
    # a twentieth of the slope's sampling error, which is about .02 in 20,000 cases
    assert calibration_line(binned) == pytest.approx(calibration_line(given), abs=1e-3)
    wanted = integrated_calibration_index(given)
    assert integrated_calibration_index(binned) == pytest.approx(wanted, abs=1e-4)


def test_binning_many_ties_leaves_no_empty_row():
    given = replace(make_predictions(n=5000), rate=np.repeat([0.1, 0.2], 2500))
    binned, position = bin_predictions(given, 2000)
    assert (binned.size > 0).all()
    assert position.max() + 1 == binned.size.size


def test_deciles_are_of_like_size_and_in_order_of_risk():
    given = make_predictions(n=1003)
    group = risk_groups(given)
    sizes = np.bincount(group)
    assert sizes.size == 10 and np.ptp(sizes) <= 2
    means = np.bincount(group, given.rate) / sizes
    assert (np.diff(means) > 0).all()


def test_cases_of_equal_risk_stay_together():
    rate = np.repeat([0.1, 0.3, 0.5], [50, 20, 30])
    given = replace(make_predictions(n=100), rate=rate)
    group = risk_groups(given)
    for value in np.unique(rate):
        assert np.unique(group[rate == value]).size == 1


def test_intervals_of_groups_are_those_of_jeffreys():
    events, size = np.array([0.0, 7.0]), np.array([20.0, 40.0])
    lower, upper = group_interval("bernoulli", events, size, sd=0.0, level=0.95)
    assert lower == pytest.approx(stats.beta.ppf(0.025, events + 0.5, size - events + 0.5))
    assert upper == pytest.approx(stats.beta.ppf(0.975, events + 0.5, size - events + 0.5))
    lower, _ = group_interval("poisson", events, size, sd=0.0, level=0.9)
    assert lower == pytest.approx(stats.gamma.ppf(0.05, events + 0.5) / size)


def test_the_population_rate_is_the_mean_over_the_doctors():
    """Against adaptive quadrature, to 1e-6 relative, from rare to certain."""
    model = fit_of("bernoulli").model
    eta = np.linspace(-7.0, 4.0, 23)
    for sd in (0.1, 0.7, 1.5):
        wanted = [
            integrate.quad(lambda z, e=e, sd=sd: expit(e + sd * z) * stats.norm.pdf(z), -9, 9)[0]
            for e in eta
        ]
        # interpolation on 201 points of the logit: 1e-4 of a rate is far below its interval
        assert population_rate(model, eta, sd**2) == pytest.approx(wanted, rel=1e-4)


# The check


def fit_of(family, *, formula="age + frailty", n_cases=3000, seed=1, **world):
    cases = make_cases(family, n_cases=n_cases, n_doctors=30, seed=seed, **world)[0]
    return fit(cases, ModelSpec(case_mix=formula, family=family), draws=400, seed=2)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["bernoulli", "binomial", "poisson"])
def test_the_true_model_is_calibrated(family):
    result = check_calibration(fit_of(family))
    assert result.passed
    overall = result.table.query("group == 'all'").set_index("prediction")
    # the slope of one draw is 1 on average; 3,000 cases know it to about .06
    assert overall.loc["case mix and doctor", "slope"] == pytest.approx(1.0, abs=0.2)
    assert overall.loc["case mix and doctor", "predicted"] == pytest.approx(
        overall.loc["case mix and doctor", "observed"], rel=0.1
    )


@pytest.mark.slow
def test_the_slope_by_doctor_is_one_over_many_worlds():
    """Posterior mean predictions would give about 1.1 here; draws give 1 (mean of 12 worlds)."""
    slopes = []
    for seed in range(12):
        table = check_calibration(fit_of("bernoulli", n_cases=900, seed=seed)).table
        slopes.append(table.query("group == 'all'")["slope"].iloc[1])
    error = np.std(slopes, ddof=1) / np.sqrt(12)
    assert np.mean(slopes) == pytest.approx(1.0, abs=3.5 * error)
    assert error < 0.05


@pytest.mark.slow
def test_a_bend_that_the_model_leaves_out_fails():
    cases, covariates, _ = make_cases(n_cases=8000, n_doctors=30)
    rng = np.random.default_rng(3)
    age = (covariates[:, 0] - 60.0) / 10.0
    outcome = (rng.random(8000) < expit(-1.5 + 0.4 * age + 0.8 * age**2)).astype(float)
    wrong = replace(cases, outcome=outcome, frame=cases.frame.assign(y=outcome))
    straight = fit(wrong, ModelSpec(case_mix="age"), draws=400, seed=2)
    bent = fit(wrong, ModelSpec(case_mix="age + {(age - 60) ** 2}"), draws=400, seed=2)
    assert check_calibration(straight).passed is False
    assert check_calibration(bent).passed is True


def test_the_table_has_both_predictions_overall_and_by_decile():
    table = check_calibration(fit_of("bernoulli")).table
    assert table["prediction"].unique().tolist() == ["case mix", "case mix and doctor"]
    for _, part in table.groupby("prediction"):
        assert part["group"].tolist() == ["all", *map(str, range(1, 11))]
        assert part["cases"].iloc[1:].sum() == pytest.approx(3000)
        assert part[list(MEASURES)].iloc[0].notna().all()
        assert ((part["lower"] < part["observed"]) & (part["observed"] < part["upper"])).all()


@pytest.mark.slow
def test_a_wider_level_gives_wider_intervals_and_the_same_rates():
    given = fit_of("bernoulli")
    narrow, wide = (check_calibration(given, level=level).table for level in (0.5, 0.95))
    assert (wide["upper"] > narrow["upper"]).all() and (wide["lower"] < narrow["lower"]).all()
    assert (wide["observed"] == narrow["observed"]).all()


def test_a_model_without_covariates_is_checked_too():
    given = fit_of("bernoulli", formula=None)
    table = check_calibration(given).table.set_index(["prediction", "group"])
    # one risk for everybody: a single group, and no slope
    assert np.isnan(table.loc[("case mix", "all"), "slope"])
    assert table.loc[("case mix", "all"), "concordance"] == pytest.approx(0.5)
