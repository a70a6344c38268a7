import numpy as np
import pytest
from scipy.special import expit
from worlds import gamma_counts, log_likelihood_of_rows, simulate

from outcomekpi.engine.kernels import LogisticKernel, PoissonKernel, clipped_exp
from outcomekpi.engine.rows import sort_rows

FAMILIES = ("bernoulli", "binomial", "poisson")
ROUNDING = 1e-11  # relative; sums of up to 9,000 doubles in another order


def world(family, counts=(1, 40, 16, 17, 3, 250, 32)):
    model = simulate(family, counts=np.array(counts), slopes=(0.5, -0.4), sigma=0.7, seed=3)
    rows = sort_rows(model)
    kernel = PoissonKernel(rows) if family == "poisson" else LogisticKernel(rows)
    return model, kernel


def mean_of_rows(model, eta, rows):
    if model.family == "poisson":
        return model.exposure[rows] * np.exp(eta)
    return (1.0 if model.trials is None else model.trials[rows]) * expit(eta)


def variance_of_rows(model, eta, rows):
    mean = mean_of_rows(model, eta, rows)
    return mean if model.family == "poisson" else mean * expit(-eta)


def by_doctor(model, beta):
    """For each doctor his rows, in the order of the sorted rows, and their eta."""
    for doctor in range(model.n_doctors):
        rows = np.flatnonzero(model.doctor_code == doctor)
        yield doctor, rows, beta[0] + model.matrix[rows] @ beta[1:]


@pytest.mark.parametrize("family", FAMILIES)
def test_log_partition_is_the_sum_over_each_doctors_rows(family):
    model, kernel = world(family)
    beta, u = np.array([-1.0, 0.4, -0.2]), np.linspace(-3, 3, 5)[:, None] + np.arange(7) / 10
    found = kernel.log_partition(kernel.sizes(beta), clipped_exp(u))
    for doctor, rows, eta in by_doctor(model, beta):
        y_part = (model.outcome[rows] * (eta + u[:, doctor, None])).sum(axis=1)
        naive = y_part - log_likelihood_of_rows(model, eta + u[:, doctor, None], rows).sum(axis=1)
        np.testing.assert_allclose(found[:, doctor], naive, rtol=ROUNDING, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_log_partitions_of_many_thetas_equal_one_at_a_time(family):
    _, kernel = world(family, gamma_counts(9000, 30))
    rng = np.random.default_rng(1)
    betas, factors = rng.normal(size=(11, 3)), np.exp(rng.normal(size=(11, 8, 30)))
    found = kernel.log_partitions(betas, factors)
    for beta, factor, one in zip(betas, factors, found, strict=True):
        np.testing.assert_allclose(
            one, kernel.log_partition(kernel.sizes(beta), factor), rtol=ROUNDING
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_derivatives_are_those_of_the_log_partition(family):
    _, kernel = world(family)
    beta, u, step = np.array([-1.0, 0.4, -0.2]), np.linspace(-1.5, 1.5, 7), 1e-3
    size = kernel.sizes(beta)

    def along(multiple):
        return kernel.log_partition(size, clipped_exp(u + multiple * step)[None])[0]

    first, second, third = kernel.derivatives(size, clipped_exp(u))
    # Central differences: error step²/6 times a derivative of the same size as the value.
    np.testing.assert_allclose(first, (along(1) - along(-1)) / (2 * step), rtol=1e-6)
    np.testing.assert_allclose(second, (along(1) - 2 * along(0) + along(-1)) / step**2, rtol=1e-5)
    difference = (along(2) - 2 * along(1) + 2 * along(-1) - along(-2)) / (2 * step**3)
    np.testing.assert_allclose(third, difference, rtol=1e-3, atol=1e-3 * second.max())


@pytest.mark.parametrize("family", FAMILIES)
def test_third_of_every_row_adds_up_to_the_doctors(family):
    _, kernel = world(family)
    size = kernel.sizes(np.array([-1.0, 0.4, -0.2]))
    factor = clipped_exp(np.linspace(-1, 1, 7))
    summed = np.add.reduceat(kernel.third(size, factor), kernel.rows.starts)
    np.testing.assert_allclose(summed, kernel.derivatives(size, factor)[2], rtol=ROUNDING)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_score_sums_node_averages_against_the_covariates(family):
    model, kernel = world(family)
    rng = np.random.default_rng(2)
    beta, u = np.array([-1.0, 0.4, -0.2]), rng.normal(size=(6, 7))
    weights = rng.dirichlet(np.ones(6), size=(3, 7)).transpose(0, 2, 1)
    found = kernel.score(kernel.sizes(beta), clipped_exp(u), weights)
    mean, information = np.zeros(3), np.zeros((3, 3))
    for doctor, rows, eta in by_doctor(model, beta):
        x = np.column_stack((np.ones(rows.size), model.matrix[rows]))
        mu = mean_of_rows(model, eta + u[:, doctor, None], rows)
        bend = weights[0, :, doctor] @ variance_of_rows(model, eta + u[:, doctor, None], rows)
        mean += x.T @ (weights[0, :, doctor] @ mu)
        information += (x.T * bend) @ x
        np.testing.assert_allclose(found.covariates[:, doctor], x.T @ bend, rtol=1e-9)
        for kind in (1, 2):
            naive = x.T @ (weights[kind, :, doctor] @ mu)
            np.testing.assert_allclose(found.loadings[kind - 1, :, doctor], naive, rtol=1e-9)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-10)
    np.testing.assert_allclose(found.information, information, rtol=1e-9)


@pytest.mark.parametrize("family", ["bernoulli", "binomial"])
def test_huge_odds_do_not_overflow(family):
    _, kernel = world(family)
    beta = np.array([45.0, 0.0, 0.0])  # odds of 3e19: sixteen factors would overflow
    rows = kernel.rows
    size = rows.counts if rows.weight is None else np.add.reduceat(rows.weight, rows.starts)
    found = kernel.log_partition(kernel.sizes(beta), np.ones((1, 7)))[0]
    np.testing.assert_allclose(found, 45.0 * size, rtol=1e-12)
    extreme = kernel.log_partition(kernel.sizes(beta), clipped_exp(np.full((1, 7), 2000.0)))
    assert np.isfinite(extreme).all()
    below = kernel.log_partition(kernel.sizes(-beta), clipped_exp(np.full((1, 7), -2000.0)))
    assert (below >= 0).all() and below.max() < 1e-100


def test_clipped_exp_is_exp_where_that_is_finite():
    value = np.array([-299.0, -1.0, 0.0, 2.5, 299.0])
    np.testing.assert_array_equal(clipped_exp(value), np.exp(value))
