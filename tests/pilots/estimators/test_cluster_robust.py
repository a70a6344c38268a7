"""Cluster-robust intervals against dense matrices, statsmodels, a paired t test and each other."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from outcomekpi.pilots.estimators.cluster_robust import fit_clustered, wild_bootstrap_interval


def made(seed=1, sizes=(3, 8, 5, 12, 4, 6)):
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    after = rng.integers(0, 2, cluster.size)
    x = rng.normal(size=cluster.size)
    outcome = 0.4 * after + x + rng.normal(size=len(sizes))[cluster] + rng.normal(size=cluster.size)
    return np.column_stack([np.ones(cluster.size), after, x]), outcome, cluster


def dense_cr2(matrix, outcome, cluster, weights):
    """CR2 and Satterthwaite from matrices as large as the data, as the papers write them."""
    n = len(outcome)
    bread = np.linalg.inv(matrix.T @ matrix)
    hat = matrix @ bread @ matrix.T
    residual = outcome - hat @ outcome
    parts, covariance = [], np.zeros_like(bread)
    for g in np.unique(cluster):
        rows = np.flatnonzero(cluster == g)
        values, vectors = np.linalg.eigh(np.eye(rows.size) - hat[np.ix_(rows, rows)])
        adjust = vectors @ np.diag(values**-0.5) @ vectors.T
        score = matrix[rows].T @ adjust @ residual[rows]
        covariance += bread @ np.outer(score, score) @ bread
        pick = np.zeros((n, rows.size))
        pick[rows, np.arange(rows.size)] = 1
        parts.append((np.eye(n) - hat) @ pick @ adjust @ matrix[rows] @ bread @ weights)
    gram = np.array(parts) @ np.array(parts).T
    return weights @ covariance @ weights, np.trace(gram) ** 2 / np.trace(gram @ gram)


@pytest.mark.parametrize("weights", [[0.0, 1.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, 1.0]])
def test_cr2_and_its_degrees_of_freedom_agree_with_dense_matrices(weights):
    matrix, outcome, cluster = made()
    weights = np.array(weights)
    variance, degrees = dense_cr2(matrix, outcome, cluster, weights)
    _, error, found = fit_clustered(matrix, outcome, cluster).contrast(weights)
    # the same algebra in another order: rounding only
    assert error**2 == pytest.approx(variance, rel=1e-9)
    assert found == pytest.approx(degrees, rel=1e-9)


def test_cr2_and_its_degrees_of_freedom_are_those_of_clubsandwich():
    reference = json.loads(Path(__file__).with_name("clubsandwich_cr2.json").read_text())
    x, sizes = np.array(reference["x"]), reference["cluster_sizes"]
    fit = fit_clustered(
        np.column_stack([np.ones(x.size), x]),
        np.array(reference["y"]),
        np.repeat(np.arange(len(sizes)), sizes),
    )
    # the reference is printed to 16 digits
    assert np.allclose(fit.coefficients, reference["coef"], rtol=1e-10)
    assert np.allclose(fit.covariance, reference["vcov_cr2"], rtol=1e-10)
    found = [fit.contrast(weights)[2] for weights in np.eye(2)]
    assert np.allclose(found, reference["dof"], rtol=1e-9)


def test_cr1_agrees_with_statsmodels():
    import statsmodels.api as sm

    matrix, outcome, cluster = made()
    reference = sm.OLS(outcome, matrix).fit(cov_type="cluster", cov_kwds={"groups": cluster})
    found = fit_clustered(matrix, outcome, cluster).crude_covariance()
    assert np.allclose(found, reference.cov_params(), rtol=1e-9)


def test_pairs_as_clusters_are_the_paired_t_test():
    rng = np.random.default_rng(2)
    pair = rng.normal(size=20)
    sides = np.column_stack([pair + rng.normal(size=20), pair + 1 + rng.normal(size=20)])
    matrix = np.kron(np.ones((20, 1)), np.eye(2))
    fit = fit_clustered(matrix, sides.ravel(), np.repeat(np.arange(20), 2))
    value, error, degrees = fit.contrast(np.array([-1.0, 1.0]))
    reference = stats.ttest_rel(sides[:, 1], sides[:, 0])
    assert value / error == pytest.approx(reference.statistic, rel=1e-9)
    assert degrees == pytest.approx(19, rel=1e-9)


def test_one_row_each_gives_welch_and_the_bell_mccaffrey_degrees():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=12), rng.normal(size=30) + 1
    matrix = np.repeat(np.eye(2), [12, 30], axis=0)
    fit = fit_clustered(matrix, np.concatenate([a, b]), np.arange(42))
    _, error, degrees = fit.contrast(np.array([-1.0, 1.0]))
    assert error**2 == pytest.approx(a.var(ddof=1) / 12 + b.var(ddof=1) / 30, rel=1e-9)
    # two independent groups of one variance: (1/12 + 1/30)² / (1/12²/11 + 1/30²/29)
    assert degrees == pytest.approx((1 / 12 + 1 / 30) ** 2 / (1 / 12**2 / 11 + 1 / 30**2 / 29))


def test_a_cluster_that_alone_holds_a_period_adds_nothing_instead_of_infinity():
    matrix = np.repeat(np.eye(2), [4, 12], axis=0)
    cluster = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 1, 2, 3])
    outcome = np.random.default_rng(4).normal(size=16)
    assert np.isfinite(fit_clustered(matrix, outcome, cluster).contrast(np.array([-1.0, 1.0]))[1])


@pytest.mark.parametrize(("clusters", "all_tried"), [(8, True), (12, True), (13, False)])
def test_the_wild_bootstrap_tries_every_pattern_of_up_to_12_clusters(clusters, all_tried):
    matrix, outcome, cluster = made(sizes=(9, 8, 10, 12, 7, 6, 9, 11, 5, 4, 6, 7, 8)[:clusters])
    fit, weights = fit_clustered(matrix, outcome, cluster), np.array([0.0, 1.0, 0.0])
    spans = [
        wild_bootstrap_interval(fit, weights, level=0.9, rng=np.random.default_rng(seed))
        for seed in (1, 2)
    ]
    assert (spans[0] == spans[1]) == all_tried
    assert spans[0][0] < fit.coefficients[1] < spans[0][1]


def test_five_clusters_can_never_reach_95_percent_by_signs():
    matrix, outcome, cluster = made(sizes=(9, 8, 10, 12, 7))
    fit, weights = fit_clustered(matrix, outcome, cluster), np.array([0.0, 1.0, 0.0])
    span = wild_bootstrap_interval(fit, weights, level=0.95, rng=np.random.default_rng(1))
    # 2 of 32 patterns are as extreme as the data: p is never below .0625
    assert span == (-np.inf, np.inf)


def refitted_p_value(matrix, outcome, cluster, at):
    """Share of all patterns of signs whose t is as large as the data's, coefficient 1 at ``at``."""
    held = np.delete(matrix, 1, axis=1)
    shifted = outcome - at * matrix[:, 1]
    base = held @ np.linalg.lstsq(held, shifted, rcond=None)[0]
    residual = shifted - base

    def t_of(y):
        one = fit_clustered(matrix, y, cluster)
        return abs(one.coefficients[1]) / np.sqrt(one.crude_covariance()[1, 1])

    seen, count = t_of(shifted), cluster.max() + 1
    patterns = 2.0 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1) - 1
    larger = [t_of(base + p[cluster] * residual) >= seen * (1 - 1e-9) for p in patterns]
    return np.mean(larger)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (100.0, 5000.0), (100.0, -5000.0)])
def test_the_wild_bootstrap_interval_ends_where_refitting_every_pattern_says(scale, shift):
    matrix, outcome, cluster = made(sizes=(9, 8, 10, 12, 7, 6, 9))
    outcome = scale * outcome + shift * matrix[:, 1]
    fit, weights = fit_clustered(matrix, outcome, cluster), np.array([0.0, 1.0, 0.0])
    value, error, _ = fit.contrast(weights)
    span = wild_bootstrap_interval(fit, weights, level=0.95, rng=np.random.default_rng(1))
    for end, outwards in zip(span, (-1, 1), strict=True):
        # the search begins 2 standard errors away; 7 clusters need more
        assert outwards * (end - value) > 2 * error
        # it stops within 1e-9 standard errors
        near, far = end - outwards * 2e-9 * error, end + outwards * 2e-9 * error
        assert refitted_p_value(matrix, outcome, cluster, near) > 0.05
        assert refitted_p_value(matrix, outcome, cluster, far) <= 0.05
