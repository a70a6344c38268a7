import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcomekpi.engine.ladder import Attempt, climb_ladder
from outcomekpi.engine.proposal import Proposal
from outcomekpi.engine.scores import stratified_normals, stratified_uniforms
from outcomekpi.engine.weights import (
    assess_weights,
    pareto_shape,
    predict_weights,
    resample,
    systematic,
)


@pytest.mark.parametrize("shape", [-0.3, 0.1, 0.4, 0.8, 1.2])
@pytest.mark.parametrize("n", [200, 400, 2500])  # where 3 sqrt(n) is whole: ArviZ rounds it down
def test_the_pareto_shape_is_that_of_arviz(shape, n):
    from arviz_stats.base import array_stats

    u = np.random.default_rng(7).random(n)
    weights = (u**-shape - 1) / shape + 1.0
    log_weights = np.log(weights)
    _, expected = array_stats.psislw(-log_weights, r_eff=1, axis=0)  # it takes log ratios negated
    assert pareto_shape(log_weights) == pytest.approx(float(expected), abs=1e-6)


def test_the_pareto_shape_ignores_a_constant():
    log_weights = np.random.default_rng(1).normal(size=500)
    assert pareto_shape(log_weights + 700.0) == pytest.approx(pareto_shape(log_weights), abs=1e-9)


def test_equal_weights_are_fully_efficient_and_have_no_tail():
    weights = assess_weights(np.full(300, -5.0))
    assert weights.efficiency == pytest.approx(1.0)
    assert weights.pareto_k == 0.0
    assert weights.acceptable


def test_one_dominant_weight_is_refused():
    log_weights = np.zeros(300)
    log_weights[17] = 10.0
    weights = assess_weights(log_weights)
    assert weights.pareto_k == np.inf
    assert not weights.acceptable


def test_a_heavy_tail_is_refused_although_the_efficiency_looks_good():
    u = np.random.default_rng(2).random(4000)
    weights = assess_weights(np.log(300.0 + u**-0.9))
    assert weights.efficiency > 0.5
    assert weights.pareto_k > 0.7
    assert not weights.acceptable


def test_the_efficiency_of_normal_log_weights_is_known():
    # E[w]² / E[w²] = exp(-s²) for log w ~ N(0, s²); the midpoints of 20,000 strata.
    z = stratified_normals(20_000, 1, np.random.default_rng(1))[:, 0]
    assert assess_weights(0.5 * z).efficiency == pytest.approx(np.exp(-0.25), abs=2e-3)


@given(
    log_weights=st.lists(st.floats(-30, 0), min_size=1, max_size=40),
    n_draws=st.integers(1, 300),
    seed=st.integers(0, 10),
)
def test_systematic_resampling_takes_each_point_floor_or_ceiling_times(log_weights, n_draws, seed):
    weights = np.exp(np.array(log_weights))
    chosen = systematic(weights, n_draws, np.random.default_rng(seed))
    expected = n_draws * weights / weights.sum()
    taken = np.bincount(chosen, minlength=weights.size)
    assert chosen.size == n_draws
    assert (taken >= np.floor(expected - 1e-6)).all()
    assert (taken <= np.ceil(expected + 1e-6)).all()


def test_systematic_resampling_puts_the_draws_in_random_order():
    chosen = systematic(np.ones(1000), 1000, np.random.default_rng(1))
    assert abs(np.corrcoef(chosen, np.arange(1000))[0, 1]) < 0.1  # 3 standard errors


def test_resampling_reproduces_the_target_of_exact_weights():
    rng = np.random.default_rng(3)
    z = stratified_normals(20_000, 1, rng)
    weights = assess_weights(0.4 * z[:, 0])  # turns N(0, 1) into N(.4, 1)
    chosen = resample(weights, z, 20_000, rng)
    drawn = z[chosen.chosen, 0]
    assert chosen.residual == 0.0
    # Systematic resampling of the strata: errors of 1/sqrt(n) are an upper bound.
    assert abs(drawn.mean() - 0.4) < 3 / np.sqrt(20_000)
    assert abs(drawn.std() - 1.0) < 3 / np.sqrt(40_000)


def test_the_surrogate_finds_log_weights_that_it_can_express():
    rng = np.random.default_rng(4)
    z = stratified_normals(4096, 3, rng)
    log_weights = 0.3 * z[:, 0] - 0.1 * (z[:, 1] ** 2 - 1) + 0.05 * (z[:, 2] ** 3 - 3 * z[:, 2])
    chosen = resample(assess_weights(log_weights[:256]), z, 4096, rng)
    assert chosen.residual < 1e-3
    drawn = z[chosen.chosen]
    # Weighted moments by the exact weights of all points, within 4 standard errors.
    share = np.exp(log_weights) / np.exp(log_weights).sum()
    np.testing.assert_allclose(drawn.mean(axis=0), share @ z, rtol=0, atol=4 / np.sqrt(4096))
    np.testing.assert_allclose(
        (drawn**2).mean(axis=0), share @ z**2, rtol=0, atol=4 * np.sqrt(2 / 4096)
    )


def test_few_exact_weights_use_the_linear_surrogate_only():
    rng = np.random.default_rng(5)
    z = stratified_normals(1000, 9, rng)
    chosen = resample(assess_weights(0.2 * z[:32, 0]), z, 1000, rng)
    assert chosen.residual < 1e-3
    assert abs(z[chosen.chosen, 0].mean() - 0.2) < 4 / np.sqrt(1000)


@given(n=st.integers(1, 200), columns=st.integers(1, 4))
def test_every_column_of_scores_holds_each_stratum_once(n, columns):
    uniforms = stratified_uniforms(n, columns, np.random.default_rng(1))
    for column in uniforms.T:
        np.testing.assert_array_equal(np.sort((column * n).astype(int)), np.arange(n))


def test_predictions_that_miss_the_log_weights_say_so():
    rng = np.random.default_rng(6)
    z = stratified_normals(4096, 3, rng)
    log_weights = 0.3 * np.abs(z[:, 0]) ** 3  # no polynomial of the surrogate is like this
    found = predict_weights(assess_weights(log_weights[:256]), z)
    assert found.residual > 0.1
    every = predict_weights(assess_weights(log_weights), z)
    assert every.residual == 0.0


def test_the_residual_of_few_weights_counts_the_coefficients():
    rng = np.random.default_rng(7)
    z = stratified_normals(1000, 9, rng)
    noise = rng.normal(0.0, 0.2, (200, 24))
    found = [predict_weights(assess_weights(one), z).residual for one in noise]
    # Twenty-four weights, ten coefficients: the plain standard deviation would say .15.
    assert np.mean(found) == pytest.approx(0.2, rel=0.1)


def test_unpredictable_weights_are_made_exact_at_every_point():
    z = stratified_normals(4096, 2, np.random.default_rng(8))
    proposal = Proposal(thetas=z, scores=z, log_density=-0.5 * (z**2).sum(axis=1), name="normal")
    asked = []

    def density(thetas, doubled):
        asked.append(len(thetas))
        steep = np.where(thetas[:, 0] > 1.0, -1.5 * (thetas[:, 0] - 1.0), 0.0)
        return -0.5 * (thetas**2).sum(axis=1) + steep

    _, weights, found = climb_ladder(
        [Attempt("normal", 256)], lambda *_: proposal, density, n_sds=1, n_draws=2000
    )
    assert weights.log_weights.size == 4096
    assert sum(asked) >= 4096
    assert found["exact_weights"] == 4096


def test_weights_of_which_none_is_large_have_no_tail_to_judge():
    """The largest of 4,096 is twice the others: no estimate hangs on it."""
    log_weights = np.random.default_rng(9).normal(0.0, 0.02, 4096)
    log_weights[:12] = 0.7 - np.geomspace(1e-3, 0.6, 12)
    log_weights[:400] += 0.15
    assert assess_weights(log_weights).acceptable
