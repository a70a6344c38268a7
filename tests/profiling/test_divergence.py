from dataclasses import replace

import numpy as np
import pytest
from handmade import make_fit
from made_fits import fit_with_draws
from scipy.special import expit

from outcomekpi.declare.errors import SpecError
from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.posterior.likelihood import pointwise_log_likelihood
from outcomekpi.profiling import divergence
from outcomekpi.profiling import predictive_curves as draw_interpolation
from outcomekpi.profiling.count_tails import poisson_binomial_tails, poisson_tails
from outcomekpi.profiling.divergence import divergence_test
from outcomekpi.profiling.linear_predictor import posterior_of, read_predictor
from outcomekpi.profiling.predictive_curves import log_marginal, upper_tails


def views_of(fit):
    predictor = read_predictor(fit)
    residual = divergence._residual(fit, slice(None))
    sd_hospital = divergence._sd_hospital(fit, slice(None))
    return list(divergence._views(predictor, fit.model, residual, sd_hospital))


def dense_upper_tail(view, weights):
    """Mean over draws of the exact tail integrated over 121 effects."""
    z = np.linspace(-6, 6, 121)
    density = np.exp(-0.5 * z**2)
    density /= density.sum()
    total = 0.0
    for s in range(view.sd.size):
        eta = view.eta + view.x @ view.departure[:, s] + view.shift[s]
        tails = []
        for u in view.sd[s] * z:
            if view.family == "poisson":
                found = poisson_tails(view.total, float(view.weight @ np.exp(eta + u)))
            else:
                found = poisson_binomial_tails(view.total, expit(eta + u), view.weight)
            tails.append(np.exp(found.upper))
        total += weights[s] * float(density @ np.array(tails))
    return total


@pytest.mark.parametrize("family", ["bernoulli", "binomial", "poisson"])
def test_predictive_tails_equal_dense_integration(family):
    fit = make_fit(family, draws=8, n_cases=400, n_doctors=8)
    weights = np.random.default_rng(1).dirichlet(np.ones(8))
    for view in views_of(fit)[:3]:
        # shift form and nodes: 1e-3 of a probability at most (slopes have SD .05 here)
        assert upper_tails(view, weights[None])[0] == pytest.approx(
            dense_upper_tail(view, weights), abs=2e-3
        )


def test_saddlepoint_tails_of_large_counts_equal_exact_ones():
    rng = np.random.default_rng(4)
    code = np.repeat([0, 1, 2], [60, 200, 600])
    outcome = rng.random(code.size) < 0.35
    fit = fit_with_draws(
        doctor_code=code, outcome=outcome, effect=np.zeros((3, 3)), intercept=[-1.3, -1.1, -0.9]
    )
    weights = np.full(3, 1 / 3)
    for view in views_of(fit):
        assert view.total >= 12
        assert upper_tails(view, weights[None])[0] == pytest.approx(
            dense_upper_tail(view, weights), abs=5e-4
        )


@pytest.mark.parametrize("family", ["bernoulli", "binomial", "poisson", "gaussian"])
@pytest.mark.parametrize("nested", [False, True])
def test_marginal_likelihoods_agree_with_integration_over_every_case(family, nested):
    fit = make_fit(family, draws=200, nested=nested)
    exact = flatten_draws(pointwise_log_likelihood(fit, by="doctor")["log_likelihood"]["outcome"])
    for j, view in enumerate(views_of(fit)):
        ours, truth = log_marginal(view), exact[j]
        difference = (ours - ours.mean()) - (truth - truth.mean())
        # what is left is of third order in slopes of SD .05: sum of var (1 - 2p) z³ / 6, some
        # hundredths in the farthest of 200 draws; weights are off by that fraction
        assert np.abs(difference).max() < 0.1
        assert difference.std() < 0.01


@pytest.mark.parametrize("sd", [0.02, 0.5, 3.0])
def test_marginal_likelihoods_hold_for_any_spread_of_doctors(sd):
    rng = np.random.default_rng(6)
    code = np.repeat([0, 1, 2, 3], [1, 4, 40, 300])
    outcome = np.r_[[1.0], np.zeros(4), rng.random(40) < 0.9, rng.random(300) < 0.2]
    fit = fit_with_draws(
        doctor_code=code,
        outcome=outcome,
        effect=np.zeros((4, 50)),
        intercept=rng.normal(-1, 0.3, 50),
        sd_doctor=sd * np.exp(rng.normal(0, 0.3, 50)),
    )
    z = np.linspace(-8, 8, 2001)
    for view in views_of(fit)[:3]:
        ours = log_marginal(view)
        effect = view.sd[:, None] * z
        eta = view.eta[:, None, None] + view.shift[:, None] + effect
        y = view.outcome[:, None, None]
        log_likelihood = (y * eta - np.logaddexp(0, eta)).sum(axis=0)
        truth = np.log((np.exp(log_likelihood) * np.exp(-0.5 * z**2)).sum(axis=1))
        np.testing.assert_allclose(ours - ours.mean(), truth - truth.mean(), atol=5e-4)


def test_a_gaussian_doctor_has_the_closed_form_predictive():
    from scipy.stats import norm

    fit = make_fit("gaussian", draws=40)
    posterior = posterior_of(fit)
    view = views_of(fit)[2]
    sd = flatten_draws(posterior["sd_doctor"])[0]
    residual = flatten_draws(posterior["sd_residual"])[0]
    mean = (view.x @ view.departure).mean(axis=0) + view.shift
    spread = np.sqrt(sd**2 + residual**2 / view.eta.size)
    truth = norm.sf((view.outcome - view.eta).mean(), mean, spread).mean()
    assert upper_tails(view, np.full((1, 40), 1 / 40))[0] == pytest.approx(truth, rel=1e-10)


def test_a_hospitals_only_doctor_is_drawn_with_its_variance():
    fit = fit_with_draws(
        doctor_code=np.repeat([0, 1, 2], 20),
        outcome=np.tile([1.0, 0.0], 30),
        effect=np.zeros((3, 5)),
        intercept=0.0,
        hospital_code=[0, 0, 1],
        hospital_effect=np.ones((2, 5)),
        sd_doctor=0.3,
        sd_hospital=0.4,
    )
    first, _, alone = views_of(fit)
    np.testing.assert_allclose(first.sd, 0.3)
    np.testing.assert_allclose(alone.sd, 0.5)
    np.testing.assert_allclose(first.eta, 1.0)
    np.testing.assert_allclose(alone.eta, 0.0)


def test_predictive_p_values_are_uniform_for_doctors_of_the_population():
    rng = np.random.default_rng(7)
    effect = rng.normal(0, 0.5, 300)
    code = np.repeat(np.arange(300), 50)
    fit = fit_with_draws(
        doctor_code=code,
        outcome=rng.random(code.size) < expit(-1 + effect)[code],
        effect=effect[:, None] + np.zeros(400),
        intercept=-1.0,
        sd_doctor=0.5,
    )
    frame = divergence_test(fit).to_frame()
    # 300 uniform values: SE of the mean .017
    assert frame["p_mixed"].mean() == pytest.approx(0.5, abs=0.07)
    # hyperparameters do not vary between draws, so taking a doctor out changes nothing
    np.testing.assert_allclose(frame["p_cross"], frame["p_mixed"], atol=1e-9)


def test_a_divergent_doctor_surprises_more_when_he_is_taken_out():
    rng = np.random.default_rng(8)
    code = np.repeat(np.arange(20), 60)
    rate = np.r_[np.full(19, 0.2), 0.75]
    outcome = rng.random(code.size) < rate[code]
    # draws in which a larger SD goes with the outlier's data, as in a real posterior
    fit = fit_with_draws(
        doctor_code=code,
        outcome=outcome,
        effect=np.zeros((20, 500)),
        intercept=rng.normal(-1.35, 0.1, 500),
        sd_doctor=rng.uniform(0.2, 0.9, 500),
    )
    frame = divergence_test(fit).to_frame()
    assert frame["p_cross"].iloc[-1] < frame["p_mixed"].iloc[-1] < 0.1
    assert frame["side"].iloc[-1] == "high"


def test_uncovered_models_are_refused():
    with pytest.raises(SpecError, match="negative binomial"):
        divergence_test(make_fit("negative_binomial", draws=20))
    fit = make_fit("bernoulli", draws=20)
    student = replace(fit, model=replace(fit.model, doctor_effects="student_t"))
    with pytest.raises(SpecError, match="normal doctor effects"):
        divergence_test(student)
    with pytest.raises(SpecError, match="at most 60"):
        divergence_test(make_fit("bernoulli", draws=20, n_doctors=61), method="refit")


def test_divergence_describes_itself():
    found = divergence_test(make_fit("bernoulli"))
    assert "cross-validatory p < .05" in repr(found)
    assert "<table" in found._repr_html_()
    assert all(column in type(found).to_frame.__doc__ for column in found.to_frame().columns)


@pytest.mark.parametrize("family", ["bernoulli", "poisson"])
def test_many_draws_are_read_from_a_polynomial(family, monkeypatch):
    fit = make_fit(family, draws=2000)
    weights = np.random.default_rng(3).dirichlet(np.ones(2000), size=2)
    views = views_of(fit)[:4]
    read = [(upper_tails(view, weights), log_marginal(view)) for view in views]
    monkeypatch.setattr(draw_interpolation, "FEW_DRAWS", 10**6)
    for view, (tails, marginal) in zip(views, read, strict=True):
        np.testing.assert_allclose(tails, upper_tails(view, weights), atol=1e-6)
        np.testing.assert_allclose(marginal, log_marginal(view), atol=1e-4)
