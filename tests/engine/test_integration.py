import numpy as np
import pytest
from scipy.integrate import quad
from worlds import dense_grid, gamma_counts, log_marginal, make_model, simulate

from outcomekpi.engine.integration import (
    center_effects,
    choose_rule,
    integrate_effects,
    log_integral,
)
from outcomekpi.engine.kernels import LogisticKernel, PoissonKernel, clipped_exp
from outcomekpi.engine.rows import sort_rows


def kernel_of(model):
    rows = sort_rows(model)
    return PoissonKernel(rows) if model.family == "poisson" else LogisticKernel(rows)


def one_doctor(n_cases, n_events):
    outcome = np.repeat([1.0, 0.0], [n_events, n_cases - n_events])
    return make_model("bernoulli", np.zeros(n_cases), np.empty((n_cases, 0)), outcome)


def integrate(model, beta, sigma):
    kernel = kernel_of(model)
    start = np.zeros(model.n_doctors)
    return integrate_effects(kernel, beta, sigma, start=start, rule=choose_rule(0.0))


# The doctors of the study's table of quadrature orders, with its errors of 8 and 16 equally spaced
# nodes. Tolerance: twice those, which are rounded to one digit and came from doctors whose cases
# differed; here all cases of a doctor are alike.
@pytest.mark.parametrize(
    ("n_cases", "n_events", "eta", "sigma", "error"),
    [
        (100, 15, np.log(15 / 85), 0.4, 6e-6),
        (50, 0, -4.5, 1.0, 3e-5),
        (50, 0, -4.5, 2.0, 2e-5),
        (3, 0, -1.5, 2.0, 2e-6),
        (50, 0, -4.5, 5.0, 4e-3),
    ],
)
def test_the_integral_of_one_doctor_is_as_exact_as_the_study_found(
    n_cases, n_events, eta, sigma, error
):
    model = one_doctor(n_cases, n_events)
    beta = np.array([eta])

    def integrand(u):
        log_terms = n_events * (eta + u) - n_cases * np.logaddexp(0.0, eta + u)
        return np.exp(log_terms + 20.0 - 0.5 * (u / sigma) ** 2)

    value, _ = quad(integrand, -12 * sigma, 12 * sigma, epsabs=0.0, epsrel=1e-11, limit=400)
    exact = np.log(value) - 20.0 - np.log(sigma) - 0.5 * np.log(2 * np.pi)
    found = integrate(model, beta, sigma).log_marginal[0] + n_events * eta
    assert abs(found - exact) < 2 * error


@pytest.mark.parametrize("family", ["bernoulli", "binomial", "poisson"])
@pytest.mark.parametrize("sigma", [0.02, 0.4, 2.0])
def test_the_integrals_of_all_doctors_agree_with_a_dense_grid(family, sigma):
    model = simulate(family, counts=gamma_counts(300, 12), sigma=0.6, seed=4)
    beta = np.array([-1.3, 0.3, -0.2])
    local = integrate(model, beta, sigma)
    eta = beta[0] + model.matrix @ beta[1:]
    constant = np.bincount(model.doctor_code, model.outcome * eta)
    exact = [log_marginal(model, beta, sigma, j) for j in range(12)]
    # .001 per doctor is 3.5e-3 over 12 doctors, a sixth of what the engine allows itself.
    np.testing.assert_allclose(local.log_marginal + constant, exact, rtol=0, atol=1e-3)


@pytest.mark.parametrize("family", ["bernoulli", "poisson"])
def test_node_weights_give_the_conditional_mean_and_variance(family):
    model = simulate(family, counts=np.array([5, 60, 200]), sigma=0.8, seed=5)
    beta, sigma = np.array([-1.0, 0.2, 0.1]), 0.8
    local = integrate(model, beta, sigma)
    for doctor in range(3):
        nodes, height = dense_grid(model, beta, sigma, doctor)
        weights = np.exp(height - height.max())
        mean = np.average(nodes, weights=weights)
        sd = np.sqrt(np.average((nodes - mean) ** 2, weights=weights))
        found = local.weights[:, doctor] @ local.nodes[:, doctor]
        spread = local.weights[:, doctor] @ (local.nodes[:, doctor] - found) ** 2
        assert abs(found - mean) < 1e-3 * sd
        assert abs(spread**0.5 / sd - 1) < 1e-3


def test_centers_are_where_the_slope_of_the_conditional_is_zero():
    model = simulate(counts=gamma_counts(2000, 60), sigma=1.0, seed=6)
    kernel = kernel_of(model)
    size = kernel.sizes(np.array([-1.5, 0.4, -0.3]))
    for sigma in (0.01, 0.5, 3.0):
        center, second, third = center_effects(kernel, size, sigma, np.zeros(60))
        first, bend, twist = kernel.derivatives(size, clipped_exp(center))
        slope = kernel.rows.y_doctor - first - center / sigma**2
        # In units of the scale: the last Newton step was below .05, and the next is its square.
        assert np.abs(slope * (bend + sigma**-2) ** -0.5).max() < 0.05**2
        np.testing.assert_allclose(second, bend, rtol=0.1)
        assert third.shape == twist.shape


@pytest.mark.parametrize("n_events", [0, 400])
def test_doctors_with_no_or_only_events_have_a_finite_center_at_a_large_sd(n_events):
    kernel = kernel_of(one_doctor(400, n_events))
    center, *_ = center_effects(kernel, kernel.sizes(np.array([0.0])), 10.0, np.zeros(1))
    assert np.isfinite(center).all()
    assert np.sign(center[0]) == (1 if n_events else -1)


def test_more_skewed_doctors_get_more_nodes():
    assert [choose_rule(s).n_nodes for s in (0.0, 0.31, 0.81, 1.1)] == [8, 16, 24, 48]
    rule = choose_rule(0.0)
    assert rule.doubled().n_nodes == 16
    assert rule.doubled().offsets[-1] > rule.offsets[-1]


def test_log_integral_neither_overflows_nor_loses_its_shares():
    terms = np.array([[-2000.0, 900.0], [-2001.0, 900.0], [-2002.0, -900.0]])
    value, shares = log_integral(terms, np.log(0.5), axis=0)
    np.testing.assert_allclose(shares.sum(axis=0), 1.0)
    e = np.e
    np.testing.assert_allclose(
        value, [-2000 + np.log(0.5 * (1 + 1 / e + 1 / e**2)), 900.0], rtol=1e-14
    )
