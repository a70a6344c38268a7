import numpy as np
import pytest
from reference_sets import make_set
from worlds import (
    HARD_CASES,
    PRIORS,
    brute_log_posterior,
    gamma_counts,
    hard_case,
    make_model,
    simulate,
)

from outcomekpi.engine.engine import build_target
from outcomekpi.engine.evaluation import anchor_effects, log_posterior
from outcomekpi.engine.mode import evaluate, find_mode
from outcomekpi.engine.priors import log_sd_prior, log_sd_prior_derivatives
from outcomekpi.model.priors import (
    Exponential,
    Flat,
    GammaPrecision,
    HalfNormal,
    HalfStudentT,
    Normal,
    Priors,
    Uniform,
)

FAMILIES = ("bernoulli", "binomial", "poisson")


def world(family, sigma=0.6):
    return simulate(family, counts=gamma_counts(400, 12), sigma=sigma, seed=4)


def at(model, theta):
    return evaluate(build_target(model), np.asarray(theta), np.zeros(model.n_doctors))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_log_posterior_is_that_of_a_dense_grid(family):
    model = world(family)
    thetas = [[-1.3, 0.3, -0.2, -0.5], [-1.0, 0.0, 0.1, 0.3], [-1.6, 0.5, -0.4, -3.0]]
    for theta in thetas:
        exact = brute_log_posterior(model, np.array(theta))
        # The engine's integrals at one node set: 1e-3 a doctor at most, errors of either sign.
        assert abs(at(model, theta).log_posterior - exact) < 2e-3


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("theta", [[-1.3, 0.3, -0.2, -0.5], [-0.8, 0.1, 0.2, 0.4]])
def test_the_gradient_is_that_of_the_dense_log_posterior(family, theta):
    model, theta, step = world(family), np.array(theta), 1e-4
    found = at(model, theta)
    standard_error = np.diag(np.linalg.inv(found.information)) ** 0.5
    for k, unit in enumerate(np.eye(4)):
        rise = brute_log_posterior(model, theta + step * unit) - brute_log_posterior(
            model, theta - step * unit
        )
        # In posterior SDs: a gradient error of g moves the mode by g times the SD, in SDs.
        error = (found.gradient[k] - rise / (2 * step)) * standard_error[k]
        assert abs(error) < 5e-3


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_information_is_that_of_the_dense_log_posterior(family):
    model, step = world(family), 3e-3
    theta = np.array([-1.3, 0.3, -0.2, -0.5])
    found = at(model, theta).information
    unit = np.eye(4) * step

    def second(k, other):
        corners = [
            sign * brute_log_posterior(model, theta + a * unit[k] + b * unit[other])
            for a, b, sign in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
        ]
        return -sum(corners) / (4 * step**2)

    exact = np.array([[second(k, other) for other in range(4)] for k in range(4)])
    size = np.sqrt(np.outer(np.diag(exact), np.diag(exact)))
    # Two polynomials leave .004 % of the logistic intercept's curvature out, and up to .5 % of the
    # Poisson one, whose scores are exponential in u. A proposal 1 % too wide loses 1e-4 of its
    # efficiency per parameter.
    np.testing.assert_allclose(found / size, exact / size, rtol=0, atol=1e-2)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_mode_is_higher_than_its_neighbors_on_the_dense_log_posterior(family):
    model = world(family)
    mode = find_mode(build_target(model), np.array([-1.0, 0, 0, -1.2]), start=np.zeros(12))
    top = brute_log_posterior(model, mode.theta)
    spread = np.linalg.cholesky(np.linalg.inv(mode.information))
    for direction in np.concatenate((spread.T, -spread.T)):
        # One posterior SD away a normal log density falls by .5.
        drop = top - brute_log_posterior(model, mode.theta + direction)
        assert 0.25 < drop < 1.0
        assert top > brute_log_posterior(model, mode.theta + 0.1 * direction)


def test_the_mode_does_not_depend_on_where_the_search_begins():
    target = build_target(world("bernoulli"))
    starts = ([-1.0, 0, 0, -1.2], [2.0, 1.0, -1.0, 1.0], [-4.0, -1.0, 1.0, -5.0])
    modes = [find_mode(target, np.array(s, dtype=float), start=np.zeros(12)) for s in starts]
    standard_error = np.diag(np.linalg.inv(modes[0].information)) ** 0.5
    for other in modes[1:]:
        # A decrement below 1e-4 leaves .01 posterior SD, on either side.
        np.testing.assert_allclose(
            other.theta / standard_error, modes[0].theta / standard_error, rtol=0, atol=0.02
        )


def test_with_the_sd_fixed_only_the_fixed_effects_move():
    target = build_target(world("bernoulli"))
    mode = find_mode(target, np.array([0.0, 0, 0, np.log(0.7)]), start=np.zeros(12), fix_sigma=True)
    assert mode.sigma == pytest.approx(0.7, rel=1e-14)
    inverse = np.linalg.inv(mode.information[:-1, :-1])
    assert mode.gradient[:-1] @ inverse @ mode.gradient[:-1] < 1e-4


@pytest.mark.parametrize("name", HARD_CASES)
def test_the_mode_is_found_in_every_hard_case(name):
    model = hard_case(name)
    n_terms = model.matrix.shape[1]
    start = np.concatenate(([-1.5], np.zeros(n_terms), [np.log(0.3)]))
    mode = find_mode(build_target(model), start, start=np.zeros(model.n_doctors))
    assert mode.decrement < 2e-2
    assert np.linalg.eigvalsh(mode.information)[0] > 0


PRIORS_OF_SD = (
    HalfNormal(0.7),
    HalfStudentT(3.0, 0.5),
    Exponential(2.0),
    Uniform(3.0),
    GammaPrecision(0.5, 0.1),
)


@pytest.mark.parametrize("prior", PRIORS_OF_SD, ids=lambda p: type(p).__name__)
def test_the_prior_of_log_sd_integrates_to_one(prior):
    grid = np.linspace(-12.0, 12.0, 240_001)
    density = np.exp(log_sd_prior(prior, grid))
    # Uniform ends inside a cell of width 1e-4; the others are smooth.
    assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=2e-4)


@pytest.mark.parametrize("prior", PRIORS_OF_SD, ids=lambda p: type(p).__name__)
def test_the_derivatives_of_the_prior_of_log_sd_are_right(prior):
    for log_sd in (-3.0, -0.5, 0.8):
        h = 1e-3
        below, here, above = (float(log_sd_prior(prior, log_sd + k * h)) for k in (-1, 0, 1))
        slope, bend = log_sd_prior_derivatives(prior, log_sd)
        # The differences err by h² / 6 and h² / 12 times the next derivatives.
        assert slope == pytest.approx((above - below) / (2 * h), rel=1e-5, abs=1e-5)
        assert bend == pytest.approx((above - 2 * here + below) / h**2, rel=1e-5, abs=1e-4)


def test_the_derivatives_at_the_end_of_a_uniform_prior_are_those_of_its_jacobian():
    for upper in (2.0, 2):
        for log_sd in (np.log(2.0), np.log(2.0) - 5e-5, np.log(2.0) - 1.0):
            assert log_sd_prior_derivatives(Uniform(upper), float(log_sd)) == (1.0, 0.0)


@pytest.mark.parametrize("prior", PRIORS_OF_SD, ids=lambda p: type(p).__name__)
def test_the_log_posterior_uses_the_priors_that_were_given(prior):
    priors = Priors(intercept=Normal(-2.0, 0.7), coefficient=Normal(0.1, 0.4), sd_doctor=prior)
    counts = gamma_counts(200, 6)
    model, plain = (simulate(counts=counts, seed=4, priors=p) for p in (priors, PRIORS))
    one, other = np.array([-1.3, 0.3, -0.2, -0.5]), np.array([-1.0, 0.2, 0.1, 0.2])

    def rise(of):
        return at(of, one).log_posterior - at(of, other).log_posterior

    def log_prior(given, theta):
        z = (theta[0] - given.intercept.mean) / given.intercept.sd
        slopes = (theta[1:-1] - given.coefficient.mean) / given.coefficient.sd
        density = given.sd_doctor.log_density(np.exp(theta[-1])) + theta[-1]
        return -0.5 * z**2 - 0.5 * (slopes**2).sum() + float(density)

    expected = sum(
        sign * log_prior(given, theta)
        for given, sign_of in ((priors, 1), (PRIORS, -1))
        for theta, sign in ((one, sign_of), (other, -sign_of))
    )
    assert rise(model) - rise(plain) == pytest.approx(expected, abs=1e-9)


def test_flat_priors_leave_the_likelihood_alone():
    flat = Priors(intercept=Flat(), coefficient=Flat(), sd_doctor=HalfNormal(1.0))
    model = simulate(counts=gamma_counts(200, 6), seed=4, priors=flat)
    theta = np.array([-1.3, 0.3, -0.2, -0.5])
    moved = simulate(
        counts=gamma_counts(200, 6),
        seed=4,
        priors=Priors(
            intercept=Normal(-1.3, 1.0), coefficient=Normal(0.3, 1.0), sd_doctor=HalfNormal(1.0)
        ),
    )
    # The normal priors are at their tops but for the second slope: (.5)² / 2.
    difference = at(model, theta).log_posterior - at(moved, theta).log_posterior
    assert difference == pytest.approx(0.125, abs=1e-9)


@pytest.mark.parametrize("name", ["exposures, huge counts", "exposures, 5 doctors, sd 3"])
def test_the_information_is_right_where_counts_say_far_more_than_the_doctor_sd(name):
    """Two numbers of 1e7 whose difference is 1: the mode was missed by whole units."""
    data = make_set(name)
    model = make_model(
        "poisson",
        data.code,
        data.matrix,
        data.outcome,
        exposure=data.size,
        priors=Priors(intercept=Normal(*data.intercept), sd_doctor=HalfNormal(1.0)),
    )
    start = np.array([data.intercept[0], 0.0, np.log(0.3)])
    target = build_target(model)
    mode = find_mode(target, start, start=np.zeros(model.n_doctors))
    assert mode.steps < 20
    assert mode.decrement < 1e-4
    anchor = anchor_effects(target, mode)
    step = 0.3 * np.diag(mode.information) ** -0.5

    def second(k, other):
        corners = np.array(
            [
                mode.theta + a * step[k] * np.eye(3)[k] + b * step[other] * np.eye(3)[other]
                for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))
            ]
        )
        height = log_posterior(target, anchor, corners)
        return -(height @ [1, -1, -1, 1]) / (4 * step[k] * step[other])

    exact = np.array([[second(k, other) for other in range(3)] for k in range(3)])
    size = np.sqrt(np.outer(np.diag(exact), np.diag(exact)))
    # Third derivatives over steps of .3 SD leave 1 %.
    np.testing.assert_allclose(mode.information / size, exact / size, rtol=0, atol=2e-2)
