"""Autoregressive noise, restricted likelihood, small-sample terms, exact posterior."""

import numpy as np
import pytest
from scipy.linalg import toeplitz
from scipy.stats import multivariate_normal

from outcomekpi.pilots.estimators.ar_errors import (
    apply_precision,
    autocovariances,
    estimate_coefficients,
    log_determinant,
    marginal_variance,
    precision_trace,
    to_coefficients,
    to_partial,
    unwhiten_transposed,
    whiten,
    whitening_bands,
)
from outcomekpi.pilots.estimators.bayesian_series import fit_posterior
from outcomekpi.pilots.estimators.first_order import best_rho, first_order
from outcomekpi.pilots.estimators.segmented import (
    fit_prais_winsten,
    fit_restricted,
    fit_with_noise,
    profile_interval,
    restricted_log_likelihood,
)

LENGTH = 30
SINCE = np.arange(LENGTH) - 15.0
AFTER = (SINCE >= 0).astype(float)
TERMS = np.column_stack([np.ones(LENGTH), SINCE, AFTER, AFTER * SINCE])
orders = pytest.mark.parametrize(
    "partial", [np.zeros(0), np.array([0.6]), np.array([0.5, -0.3]), np.array([0.5, 0.2, -0.4])]
)


def series(seed=3):
    rng = np.random.default_rng(seed)
    return 0.3 * rng.standard_normal(LENGTH).cumsum() + rng.standard_normal(LENGTH)


@orders
def test_whitening_precision_and_determinant_are_those_of_one_covariance(partial):
    phi = to_coefficients(partial)
    bands = whitening_bands(partial, LENGTH)
    root = whiten(bands, np.eye(LENGTH))
    precision = root.T @ root
    covariance = np.linalg.inv(precision)
    # a stationary series has the same covariance at the same distance everywhere
    assert np.allclose(covariance, toeplitz(covariance[0]), atol=1e-10)
    assert np.allclose(covariance[0, : phi.size + 1], autocovariances(phi))
    assert covariance[0, 0] == pytest.approx(marginal_variance(phi))
    assert np.allclose(precision, apply_precision(phi, np.eye(LENGTH)))
    assert np.linalg.slogdet(precision)[1] == pytest.approx(log_determinant(phi))
    other = 0.7 * phi
    trace = np.trace(apply_precision(other, np.eye(LENGTH)) @ covariance)
    assert precision_trace(other, autocovariances(phi), LENGTH) == pytest.approx(trace)
    assert np.allclose(root.T @ unwhiten_transposed(bands, TERMS), TERMS)
    assert np.allclose(to_partial(phi), partial)


def test_first_order_noise_has_the_textbook_covariance():
    assert autocovariances(np.array([0.5])) == pytest.approx([4 / 3, 2 / 3])


def test_yule_walker_coefficients_are_always_stationary():
    from statsmodels.regression.linear_model import yule_walker

    walk = np.arange(20.0) - 9.5
    assert np.abs(to_partial(estimate_coefficients(walk, 3))).max() < 1
    values = series() - series().mean()
    theirs = yule_walker(values, order=2, method="mle", demean=False, result_object=True)
    assert estimate_coefficients(values, 2) == pytest.approx(theirs.rho)


def correlation(phi):
    root = whiten(whitening_bands(to_partial(phi), LENGTH), np.eye(LENGTH))
    covariance = np.linalg.inv(root.T @ root)
    return covariance / covariance[0, 0]


def kenward_roger(phi, y):
    """Kenward and Roger 1997 written out with dense matrices and numerical derivatives."""
    step, count = 1e-4, phi.size
    moves = np.eye(count) * step
    sigma = correlation(phi)
    first = [sigma] + [(correlation(phi + e) - correlation(phi - e)) / (2 * step) for e in moves]
    second = [[0 * sigma, *first[1:]]]
    for i, e in enumerate(moves):
        row = [
            correlation(phi + e + f)
            - correlation(phi + e - f)
            - correlation(phi - e + f)
            + correlation(phi - e - f)
            for f in moves
        ]
        second.append([first[i + 1]] + [one / (4 * step**2) for one in row])
    inverse = np.linalg.inv(sigma)
    bread = np.linalg.inv(TERMS.T @ inverse @ TERMS)
    project = inverse - inverse @ TERMS @ bread @ TERMS.T @ inverse
    information = [[np.trace(project @ a @ project @ b) / 2 for a in first] for b in first]
    weights = np.linalg.inv(np.array(information))
    p = [-TERMS.T @ inverse @ one @ inverse @ TERMS for one in first]
    total = 0
    for i, a in enumerate(first):
        for j, b in enumerate(first):
            q = TERMS.T @ inverse @ a @ inverse @ b @ inverse @ TERMS
            r = TERMS.T @ inverse @ second[i][j] @ inverse @ TERMS
            total = total + weights[i, j] * (q - p[i] @ bread @ p[j] - r / 4)
    variance = y @ project @ y / (LENGTH - 4)
    return variance * (bread + 2 * bread @ total @ bread), variance * bread, weights


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("fit", [fit_restricted, fit_prais_winsten])
def test_small_sample_terms_equal_kenward_and_roger_written_out(fit, order):
    y = series()
    found = fit(TERMS, y, order)
    adjusted, plain, weights = kenward_roger(found.autoregression, y)
    # numerical second derivatives: about 1e-16 / step^2
    assert np.allclose(found.covariance, adjusted, rtol=1e-5)
    assert np.allclose(found.plain_covariance, plain)
    assert np.allclose(found.parameter_covariance, weights, rtol=1e-5)


def test_the_restricted_likelihood_is_that_of_error_contrasts():
    y = series()
    basis = np.linalg.svd(TERMS)[0][:, 4:]
    values = []
    for rho in (-0.3, 0.2, 0.7):
        squares = restricted_log_likelihood(np.array([rho]), TERMS, y)[3]
        variance = squares / (LENGTH - 4)
        covariance = variance * correlation(np.array([rho])) / (1 - rho**2)
        dense = multivariate_normal.logpdf(basis.T @ y, cov=basis.T @ covariance @ basis)
        values.append(dense - restricted_log_likelihood(np.array([rho]), TERMS, y)[0])
    assert np.ptp(values) < 1e-8


def test_every_autocorrelation_at_once_equals_one_at_a_time():
    y = series()
    rho = np.array([-0.9, 0.0, 0.4, 0.99])
    found = first_order(TERMS, y, rho)
    singly = [restricted_log_likelihood(np.array([one]), TERMS, y) for one in rho]
    differences = found.log_likelihood - [one[0] for one in singly]
    assert np.ptp(differences) < 1e-8
    assert np.allclose(found.coefficients, [one[1] for one in singly])
    for root, one in zip(found.roots, singly, strict=True):
        assert np.allclose(root @ root.T, one[2] @ one[2].T)
    assert np.allclose(found.squares, [one[3] for one in singly])


def test_the_restricted_estimate_is_where_the_likelihood_is_greatest():
    y = series()
    best = best_rho(TERMS, y)
    top = restricted_log_likelihood(np.array([best]), TERMS, y)[0]
    for other in (best - 1e-3, best + 1e-3):
        assert restricted_log_likelihood(np.array([other]), TERMS, y)[0] < top
    low, high = profile_interval(TERMS, y, level=0.95)
    assert low < best < high


def test_given_noise_the_fit_is_generalized_least_squares():
    import statsmodels.api as sm

    y, rho = series(), 0.4
    ours = fit_with_noise(TERMS, y, np.array([rho]))
    theirs = sm.GLS(y, TERMS, sigma=toeplitz(rho ** np.arange(LENGTH))).fit()
    assert ours.coefficients == pytest.approx(theirs.params)
    assert ours.plain_covariance == pytest.approx(theirs.cov_params())


def test_independent_errors_are_ordinary_least_squares():
    import statsmodels.api as sm

    y = series()
    theirs = sm.OLS(y, TERMS).fit()
    value, error, degrees = fit_restricted(TERMS, y, 0).contrast(np.array([0, 0, 1.0, 0]))
    assert (value, error) == pytest.approx((theirs.params[2], theirs.bse[2]))
    assert degrees == pytest.approx(theirs.df_resid)


def test_prais_winsten_keeps_the_first_point_where_statsmodels_drops_it():
    from statsmodels.regression.linear_model import GLSAR

    y = series()
    ours = fit_prais_winsten(TERMS, y, 1)
    rho = ours.autoregression[0]
    dropped = GLSAR(y, TERMS, rho=np.array([rho])).fit()
    assert dropped.nobs == LENGTH - 1
    first = np.sqrt(1 - rho**2)
    x = np.vstack([first * TERMS[0], TERMS[1:] - rho * TERMS[:-1]])
    z = np.concatenate([[first * y[0]], y[1:] - rho * y[:-1]])
    assert ours.coefficients == pytest.approx(np.linalg.lstsq(x, z, rcond=None)[0])
    residual = y - TERMS @ ours.coefficients
    assert rho == pytest.approx(residual[1:] @ residual[:-1] / (residual @ residual), abs=1e-6)


def test_an_indicator_for_a_missing_time_integrates_it_out():
    y, gap = series(), 7
    rows = np.column_stack([TERMS, np.eye(LENGTH)[:, gap]])
    found = fit_restricted(rows, np.where(np.arange(LENGTH) == gap, 0.0, y), 1)
    kept = np.arange(LENGTH) != gap
    rho = found.autoregression[0]
    inverse = np.linalg.inv(toeplitz(rho ** np.arange(LENGTH))[np.ix_(kept, kept)])
    bread = np.linalg.inv(TERMS[kept].T @ inverse @ TERMS[kept])
    assert found.coefficients[:4] == pytest.approx(bread @ TERMS[kept].T @ inverse @ y[kept])


def test_an_indicator_for_a_later_point_is_its_forecast_error():
    y, rho, ahead = series()[:16], 0.5, 15
    terms = np.column_stack([np.ones(16), np.eye(16)[:, ahead]])
    found = fit_with_noise(terms, y, np.array([rho]))
    head = fit_with_noise(np.ones((15, 1)), y[:15], np.array([rho]))
    mean = head.coefficients[0]
    assert found.coefficients[1] == pytest.approx(y[ahead] - mean - rho * (y[14] - mean))
    # innovation variance plus that of the mean, which the forecast holds by 1 - rho
    innovation = head.variance * (1 - rho**2)
    expected = innovation + (1 - rho) ** 2 * head.plain_covariance[0, 0]
    assert found.plain_covariance[1, 1] == pytest.approx(expected)


def test_the_posterior_mixture_has_the_moments_of_its_draws():
    posterior = fit_posterior(TERMS, series())
    weights = np.array([0, 0, 1.0, 7.0])
    drawn = posterior.draw(40_000, "uniform", np.random.default_rng(1))
    draws, rho = drawn.coefficients, drawn.parameter
    exact = posterior.interval(weights, prior="uniform", level=0.9)
    sampled = np.quantile(draws @ weights, [0.05, 0.95])
    # Monte Carlo error of a 5 % quantile: sqrt(.05 x .95 / 40,000) / density, about .012 SD
    assert sampled == pytest.approx(exact, abs=0.05 * np.std(draws @ weights))
    assert np.mean(rho) == pytest.approx(posterior.nodes @ posterior.weights("uniform"), abs=0.01)


def test_the_posterior_equals_a_brute_force_grid():
    y = series()
    posterior = fit_posterior(TERMS, y, nodes=401)
    rho = np.linspace(-0.99, 0.99, 1999)
    values = np.array([restricted_log_likelihood(np.array([r]), TERMS, y)[0] for r in rho])
    mass = np.exp(values - values.max())
    exact = rho @ mass / mass.sum()
    assert posterior.nodes @ posterior.weights("uniform") == pytest.approx(exact, abs=1e-3)
    assert (posterior.weights("positive")[posterior.nodes < 0] == 0).all()


@pytest.mark.parametrize("period", [3, 4, 5, 6])
def test_a_search_of_higher_order_never_leaves_the_stationary_processes(period):
    # a pure cycle pushes the second partial autocorrelation to its edge; warnings are errors here
    cycle = np.cos(2 * np.pi * np.arange(24) / period)
    found = fit_restricted(TERMS[:24, :2], cycle, 2)
    assert -1 < to_partial(found.autoregression)[1] < -0.99
    assert np.isfinite(found.covariance).all()
