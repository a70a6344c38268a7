"""Worlds that broke the engine once: found by trying some hundred rough ones at random."""

import numpy as np
import pytest
from worlds import brute_log_posterior, make_model, simulate

from outcomekpi.declare.errors import EngineError
from outcomekpi.engine.engine import build_target, sample_quadrature
from outcomekpi.engine.evaluation import anchor_effects, log_posterior
from outcomekpi.engine.mode import find_mode
from outcomekpi.model.priors import (
    Flat,
    GammaPrecision,
    HalfNormal,
    HalfStudentT,
    Normal,
    Priors,
    Uniform,
)


def without_events(family="bernoulli", *, n_doctors=6, n_cases=40, priors=None):
    """Half of the doctors have no events at all, the others an ordinary rate."""
    world = simulate(family, counts=[n_cases] * n_doctors, slopes=(0.3,), sigma=0.3, seed=3)
    outcome = np.where(world.doctor_code % 2 == 0, 0.0, world.outcome)
    return make_model(
        family,
        world.doctor_code,
        world.matrix,
        outcome,
        trials=world.trials,
        exposure=world.exposure,
        priors=priors or world.priors,
    )


@pytest.mark.parametrize("family", ["bernoulli", "binomial", "poisson"])
def test_other_sds_are_exact_for_doctors_without_events(family):
    """Far from the mode their conditionals are neither centered nor shaped as they are there."""
    model = without_events(family, priors=Priors(intercept=Normal(-1.0, 2.5)))
    target = build_target(model)
    mode = find_mode(target, np.array([-1.0, 0.0, 0.0]), start=np.zeros(6))
    anchor = anchor_effects(target, mode)
    thetas = np.tile(mode.theta, (6, 1))
    thetas[:, -1] = np.log([0.05, 0.3, 1.0, 3.0, 6.0, 9.0])
    thetas[3:, 0] -= [1.0, 2.0, -1.0]
    exact = np.array([brute_log_posterior(model, theta) for theta in thetas])
    # A quarter of what the engine allows, over six doctors, at SDs up to 9 on the logit scale.
    np.testing.assert_allclose(log_posterior(target, anchor, thetas), exact, rtol=0, atol=5e-3)


@pytest.mark.parametrize("family", ["bernoulli", "poisson"])
@pytest.mark.parametrize("n_doctors", [4, 60])
def test_half_of_the_doctors_without_events_are_fitted(family, n_doctors):
    samples = sample_quadrature(without_events(family, n_doctors=n_doctors), draws=1000, seed=1)
    mean = samples.doctor_effect.mean(axis=1)
    assert (mean[::2] < 0).all() and (mean[1::2] > 0).all()
    assert np.isfinite(samples.doctor_effect).all()


def test_newtons_method_converges_quickly_for_skewed_doctors():
    model = without_events("poisson", n_doctors=60)
    target = build_target(model)
    mode = find_mode(target, np.array([-1.0, 0.0, np.log(0.3)]), start=np.zeros(60))
    # The information sees the exponential scores, so that the last steps are quadratic.
    assert mode.steps < 25
    assert mode.decrement < 1e-4
    assert np.linalg.eigvalsh(mode.information)[0] > 0


@pytest.mark.parametrize("upper", [0.05, 0.3, 1, 2.0])
def test_a_uniform_prior_that_ends_below_the_data_piles_up_at_its_end(upper):
    priors = Priors(intercept=Normal(-1.0, 2.5), sd_doctor=Uniform(upper))
    model = simulate(counts=[80] * 8, slopes=(), sigma=2.5, seed=5, priors=priors)
    sigma = sample_quadrature(model, draws=1000, seed=1).sd_doctor
    assert sigma.max() <= upper
    assert np.quantile(sigma, 0.5) > 0.6 * upper


def test_many_doctors_at_the_end_of_a_uniform_prior_are_not_given_a_normal():
    priors = Priors(intercept=Normal(-1.0, 2.5), sd_doctor=Uniform(0.8))
    model = simulate(counts=[60] * 80, slopes=(0.3,), sigma=0.9, seed=5, priors=priors)
    samples = sample_quadrature(model, draws=1000, seed=1)
    assert str(samples.diagnostics["proposal"]).startswith("grid")
    assert samples.sd_doctor.max() <= 0.8


def test_a_prior_that_says_nothing_about_few_doctors_is_fitted_or_refused_in_words():
    """Gamma(.001, .001) with four doctors has its ridge over four decades of SDs."""
    priors = Priors(intercept=Normal(-1.0, 2.5), sd_doctor=GammaPrecision())
    for seed in range(3):
        model = simulate(counts=[40] * 4, slopes=(), sigma=0.3, seed=seed, priors=priors)
        try:
            samples = sample_quadrature(model, draws=400, seed=1)
        except EngineError as refusal:
            assert "Use engine='nuts'" in str(refusal)
        else:
            assert np.isfinite(samples.sd_doctor).all()


def test_complete_separation_with_a_flat_prior_is_refused_in_words():
    world = simulate(counts=[50] * 8, slopes=(0.2,), seed=3)
    matrix = (world.outcome[:, None] - world.outcome.mean()) / world.outcome.std()
    priors = Priors(intercept=Flat(), coefficient=Flat(), sd_doctor=HalfNormal(1.0))
    model = make_model("bernoulli", world.doctor_code, matrix, world.outcome, priors=priors)
    with pytest.raises(EngineError, match="Use engine='nuts', or"):
        sample_quadrature(model, draws=400, seed=1)


def test_one_case_per_doctor_gives_the_prior_of_the_sd_back_where_cases_say_nothing():
    priors = Priors(intercept=Normal(0.0, 1.0), sd_doctor=HalfStudentT(4.0, 0.5))
    model = simulate(counts=[1] * 12, slopes=(), intercept=0.0, seed=4, priors=priors)
    sigma = sample_quadrature(model, draws=4000, seed=1).sd_doctor
    prior = np.abs(np.random.default_rng(1).standard_t(4.0, 200_000)) * 0.5
    # One binary case a doctor carries next to no information on the SD.
    assert np.quantile(sigma, 0.5) == pytest.approx(np.quantile(prior, 0.5), rel=0.15)


def test_one_huge_doctor_among_tiny_ones_is_fitted():
    model = simulate(counts=[6000, 1, 2, 1, 3], slopes=(0.3,), sigma=0.5, seed=6)
    samples = sample_quadrature(model, draws=1000, seed=1)
    total = samples.doctor_effect + samples.intercept
    # The huge doctor's own log odds is known to 1 / sqrt(n p q), everybody else's is not.
    assert total[0].std() < 0.06
    assert total[1:].std(axis=1).min() > 0.25


def test_huge_counts_and_tiny_exposures_neither_overflow_nor_warn():
    for exposure in (1e-6, 1e6):
        world = simulate("poisson", counts=[30] * 10, slopes=(0.3,), sigma=0.4, seed=7)
        model = make_model(
            "poisson",
            world.doctor_code,
            world.matrix,
            world.outcome,
            exposure=world.exposure * exposure,
            priors=Priors(intercept=Normal(-1.5 - np.log(exposure), 2.5)),
        )
        samples = sample_quadrature(model, draws=400, seed=1)
        assert samples.intercept.mean() + np.log(exposure) == pytest.approx(-1.5, abs=0.8)
