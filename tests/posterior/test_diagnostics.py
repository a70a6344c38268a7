"""Checks of a fit pass where it is right and fail where it is wrong, and ArviZ reads the draws."""

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from handmade import make_cases, make_fit
from scipy import integrate, stats
from scipy.special import expit

from outcomekpi.declare.errors import SpecError
from outcomekpi.model.priors import HalfNormal, Priors
from outcomekpi.model.spec import ModelSpec
from outcomekpi.posterior.diagnostics import check_sampling
from outcomekpi.posterior.fit import fit
from outcomekpi.posterior.likelihood import pointwise_log_likelihood
from outcomekpi.posterior.predictive import check_predictive, mid_p, replicate_doctors
from outcomekpi.posterior.predictor import linear_predictor, read_draws
from outcomekpi.posterior.sensitivity import check_prior_sensitivity
from outcomekpi.posterior.storage import load_fit, save_fit

FAMILIES = ["bernoulli", "binomial", "poisson", "negative_binomial", "gaussian"]


@cache
def real_fit(family="bernoulli", draws=1000, **world):
    """A fit by the fast engine to cases of a known world."""
    cases = make_cases(family, n_cases=1500, n_doctors=30, **world)[0]
    spec = ModelSpec(case_mix="age + frailty", family=family)
    return fit(cases, spec, draws=draws, seed=4)


# Sampling


def test_a_good_quadrature_fit_passes():
    result = check_sampling(real_fit())
    assert result.passed
    assert set(result.table.index) >= {"efficiency", "pareto_k", "quadrature_error"}


@pytest.mark.parametrize(
    ("name", "value"), [("efficiency", 0.3), ("pareto_k", 0.9), ("quadrature_error", 0.1)]
)
def test_a_quadrature_diagnostic_beyond_its_limit_fails_and_is_named(name, value):
    good = real_fit()
    result = check_sampling(replace(good, diagnostics=good.diagnostics | {name: value}))
    assert result.passed is False
    assert not result.table.loc[name, "passed"]
    assert f"{value:.3g}" in result.verdict


def test_a_diagnostic_that_is_missing_is_no_pass():
    result = check_sampling(replace(real_fit(), diagnostics={"efficiency": 0.9}))
    assert result.passed is False
    assert not result.table.loc["quadrature_error", "passed"]


def test_pareto_k_is_not_judged_where_there_are_too_few_weights():
    good = real_fit()
    few = good.diagnostics | {"pareto_k": float("nan"), "exact_weights": 32.0}
    assert check_sampling(replace(good, diagnostics=few)).passed


GOOD_NUTS = {
    "sampler": "pymc",
    "r_hat_max": 1.008,
    "r_hat_max_parameters": 1.004,
    "ess_bulk_min": 900.0,
    "ess_tail_min": 700.0,
    "divergences": 0.0,
    "bfmi_min": 0.9,
}


def test_a_good_nuts_fit_passes():
    fit_by_nuts = replace(make_fit(), engine="nuts", diagnostics=GOOD_NUTS)
    assert check_sampling(fit_by_nuts).passed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("r_hat_max", 1.06),
        ("r_hat_max_parameters", 1.02),
        ("ess_bulk_min", 150.0),
        ("ess_tail_min", 150.0),
        ("divergences", 9.0),
        ("bfmi_min", 0.2),
    ],
)
def test_a_nuts_diagnostic_beyond_its_limit_fails(name, value):
    bad = replace(make_fit(), engine="nuts", diagnostics=GOOD_NUTS | {name: value})
    assert check_sampling(bad).passed is False


# Posterior predictive


@pytest.mark.parametrize("family", FAMILIES)
def test_replicated_outcomes_have_the_mean_and_spread_of_the_model(family):
    """Against the formulas for mean and variance given the parameters, one draw repeated."""
    base = make_fit(family, n_cases=400, n_doctors=4, draws=4)
    draws = read_draws(base.draws, at_most=1)
    n = 4000
    repeated = replace(
        draws,
        **{
            name: np.repeat(getattr(draws, name), n, axis=-1)
            for name in ("intercept", "coefficient", "doctor_effect", "sd_doctor")
        },
        sd_residual=None if draws.sd_residual is None else np.repeat(draws.sd_residual, n),
        dispersion=None if draws.dispersion is None else np.repeat(draws.dispersion, n),
    )
    own, _ = replicate_doctors(base.model, repeated, np.random.default_rng(1))
    eta = linear_predictor(base.model, draws)[:, 0]
    mean, variance = moments(base.model, eta, draws)
    code = base.model.doctor_code
    wanted, spread = np.bincount(code, mean), np.sqrt(np.bincount(code, variance))
    # 4,000 replicates: 4.5 standard errors for the mean, 8 % for the SD (about 6 of its errors)
    assert np.abs(own.mean(axis=1) - wanted).max() < (4.5 * spread / np.sqrt(n)).max()
    assert own.std(axis=1) == pytest.approx(spread, rel=0.08)


def moments(model, eta, draws):
    if model.family in ("bernoulli", "binomial"):
        n, p = (1.0 if model.trials is None else model.trials), expit(eta)
        return n * p, n * p * (1 - p)
    if model.family == "gaussian":
        return eta, np.full(eta.size, draws.sd_residual[0] ** 2)
    mean = model.exposure * np.exp(eta)
    extra = 0.0 if draws.dispersion is None else (draws.dispersion[0] * mean) ** 2
    return mean, mean + extra


def test_the_true_model_passes_the_predictive_check():
    result = check_predictive(real_fit())
    assert result.passed
    assert (
        result.table["cases"] == real_fit().cases.frame["doctor"].value_counts().sort_index()
    ).all()


def test_a_doctor_the_model_cannot_explain_fails_the_predictive_check():
    """Effects held at 0 while the doctors truly differ by an SD of 1.5."""
    world = {"sd_doctor": 1.5, "n_cases": 3000, "n_doctors": 30}
    wrong = make_fit(**world)
    posterior = wrong.draws["posterior"].to_dataset()
    posterior["doctor_effect"] = 0.0 * posterior["doctor_effect"]
    draws = wrong.draws.copy()
    draws["posterior"] = xr.DataTree(posterior)
    result = check_predictive(replace(wrong, draws=draws))
    assert result.passed is False
    assert "30 doctors" in result.verdict


def test_predictive_counts_agree_with_the_table():
    result = check_predictive(real_fit(), level=0.5)
    table = result.table
    outside = ((table["observed"] < table["lower"]) | (table["observed"] > table["upper"])).sum()
    assert result.verdict.startswith(f"{outside} of 30 doctors")
    assert ((table["lower"] <= table["mean"]) & (table["mean"] <= table["upper"])).all()


def test_the_predictive_seed_repeats_the_check():
    one, other = (check_predictive(real_fit(), seed=9).table for _ in range(2))
    pd.testing.assert_frame_equal(one, other)


def test_mid_p_of_known_ranks():
    replicated = np.arange(1.0, 10.0)[None, :]
    # below 5 lie 4, equal 1: (4 + 0.5 + 0.5) / 10 = 0.5, two-sided 1; below 0 none: 2 * 0.05
    assert mid_p(replicated, np.array([5.0])) == pytest.approx([1.0])
    assert mid_p(replicated, np.array([0.0])) == pytest.approx([0.1])


# Prior sensitivity


def test_many_cases_leave_the_prior_without_say():
    result = check_prior_sensitivity(real_fit())
    assert result.passed
    assert result.table.loc["as fitted", "largest_move"] == 0.0
    assert result.table.index.tolist() == ["halved", "as fitted", "doubled"]


def test_a_prior_that_holds_the_doctors_together_is_called_decisive():
    cases = make_cases(n_cases=600, n_doctors=12, sd_doctor=1.0)[0]
    tight = Priors(sd_doctor=HalfNormal(0.05))
    found = fit(cases, ModelSpec(case_mix="age", priors=tight), draws=1000, seed=1)
    result = check_prior_sensitivity(found)
    assert result.passed is False
    spreads = result.table["sd_doctor"]
    assert spreads["halved"] < spreads["as fitted"] < spreads["doubled"]


def test_prior_sensitivity_works_on_a_loaded_fit(tmp_path):
    loaded = load_fit(save_fit(real_fit(), tmp_path / "fit.nc"))
    wanted = check_prior_sensitivity(real_fit()).table
    pd.testing.assert_frame_equal(check_prior_sensitivity(loaded).table, wanted)


# Log likelihood


@pytest.mark.parametrize("family", FAMILIES)
def test_log_likelihood_of_a_case_is_that_of_its_family(family):
    given = make_fit(family, n_cases=50, n_doctors=5, draws=8)
    found = pointwise_log_likelihood(given)["log_likelihood"]["outcome"]
    assert found.dims == ("chain", "draw", "case")
    draws = read_draws(given.draws)
    eta = linear_predictor(given.model, draws)
    wanted = scipy_log_density(given.model, eta, draws)
    values = found.transpose("case", "chain", "draw").to_numpy().reshape(50, 8)
    np.testing.assert_allclose(values, wanted, rtol=1e-9)


def scipy_log_density(model, eta, draws):
    y = model.outcome[:, None]
    if model.family in ("bernoulli", "binomial"):
        n = 1 if model.trials is None else model.trials[:, None]
        return stats.binom.logpmf(y, n, expit(eta))
    if model.family == "gaussian":
        return stats.norm.logpdf(y, eta, draws.sd_residual)
    mean = model.exposure[:, None] * np.exp(eta)
    if model.family == "poisson":
        return stats.poisson.logpmf(y, mean)
    size = draws.dispersion**-2
    return stats.nbinom.logpmf(y, size, size / (size + mean))


@pytest.mark.slow
@pytest.mark.parametrize("effects", ["normal", "student_t"])
@pytest.mark.parametrize("family", ["bernoulli", "poisson", "gaussian"])
def test_log_likelihood_of_a_doctor_integrates_his_effect_out(family, effects):
    """Against adaptive quadrature by scipy, one draw and every doctor."""
    given = make_fit(family, n_cases=40, n_doctors=6, draws=4)
    given = replace(given, model=replace(given.model, doctor_effects=effects))
    found = pointwise_log_likelihood(given, by="doctor")["log_likelihood"]["outcome"]
    assert found.dims == ("chain", "draw", "doctor")
    draws = read_draws(given.draws, at_most=1)
    sd = draws.sd_doctor[0]
    prior = stats.norm(0, sd) if effects == "normal" else stats.t(4, scale=sd * np.sqrt(0.5))
    base = linear_predictor(given.model, draws, doctor_effect=np.zeros((6, 1)))
    for doctor in range(6):
        rows = given.model.doctor_code == doctor

        def likelihood(u, rows=rows):
            with np.errstate(over="ignore", invalid="ignore"):
                every = scipy_log_density(given.model, base + np.clip(u, None, 300.0), draws)
            return float(np.exp(every[rows].sum()) * prior.pdf(u))

        ends = np.array([-2000, -30, -3, 0, 3, 30, 2000]) * sd
        wanted = sum(integrate.quad(likelihood, *pair)[0] for pair in pairwise(ends))
        # 1e-6: far below anything that leave-one-out could notice
        assert float(found[0, 0, doctor]) == pytest.approx(np.log(wanted), abs=1e-6)


def test_the_fit_is_not_changed_by_its_log_likelihood():
    given = make_fit(draws=8, n_cases=30, n_doctors=3)
    pointwise_log_likelihood(given)
    assert "log_likelihood" not in given.draws.children


def test_a_log_likelihood_too_large_for_memory_is_refused():
    given = make_fit(draws=8, n_cases=30, n_doctors=3)
    huge = np.broadcast_to(0.0, 10**9)
    with pytest.raises(SpecError, match="does not fit"):
        pointwise_log_likelihood(replace(given, model=replace(given.model, outcome=huge)))


def test_an_unknown_unit_to_leave_out_gets_a_hint():
    with pytest.raises(SpecError, match="Did you mean 'doctor'"):
        pointwise_log_likelihood(make_fit(draws=8), by="doctors")


# ArviZ


def test_arviz_summarizes_and_plots_the_draws():
    import arviz as az
    import matplotlib.pyplot as plt

    given = real_fit()
    summary = az.summary(given.draws, var_names=["intercept", "coefficient", "sd_doctor"])
    own = given.to_frame()
    assert summary.loc["sd_doctor", "mean"] == pytest.approx(own.loc["sd_doctor", "mean"])
    # independent draws: effective sample size near their number
    assert summary["ess_bulk"].min() > 700
    plot = az.plot_forest(given.draws, var_names=["doctor_effect"], combined=True)
    assert plot.viz["figure"].item() is not None
    plt.close("all")


@pytest.mark.slow
def test_arviz_loo_prefers_the_model_with_the_right_covariates():
    import arviz as az

    cases = make_cases(n_cases=1500, n_doctors=30)[0]
    poor = fit(cases, ModelSpec(case_mix="frailty"), draws=1000, seed=4)
    good, bad = (az.loo(pointwise_log_likelihood(one)) for one in (real_fit(), poor))
    assert good.elpd > bad.elpd + 10  # age carries 0.6 on the logit scale in 1,500 cases
    assert float(good.pareto_k.max()) < 0.7


def test_leaving_a_doctor_out_is_defined_too():
    import arviz as az

    loo = az.loo(pointwise_log_likelihood(real_fit(), by="doctor"))
    assert loo.pareto_k.sizes == {"doctor": 30}
    assert float(loo.pareto_k.max()) < 0.7
