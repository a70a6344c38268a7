import numpy as np
import pytest
from worlds import HARD_CASES, brute_log_posterior, gamma_counts, hard_case, simulate

from outcomekpi.engine.engine import build_target
from outcomekpi.engine.evaluation import anchor_effects, log_posterior
from outcomekpi.engine.mode import evaluate, find_mode


def anchored(model):
    target = build_target(model)
    n_terms = model.matrix.shape[1]
    start = np.concatenate(([-1.5], np.zeros(n_terms), [np.log(0.3)]))
    mode = find_mode(target, start, start=np.zeros(model.n_doctors))
    return target, mode, anchor_effects(target, mode)


def around(mode, n, seed=1, spread=1.5):
    """Thetas scattered about the mode, log sigma within its plausible range."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(scale=spread, size=(n, mode.theta.size))
    values, vectors = np.linalg.eigh(mode.information)
    thetas = mode.theta + (scores / np.sqrt(np.maximum(values, 1.0))) @ vectors.T
    thetas[:, -1] = np.clip(thetas[:, -1], np.log(1e-3), None)
    return thetas


@pytest.mark.parametrize("family", ["bernoulli", "binomial", "poisson"])
def test_many_thetas_at_once_agree_with_a_dense_grid(family):
    model = simulate(family, counts=gamma_counts(400, 12), sigma=0.6, seed=4)
    target, mode, anchor = anchored(model)
    thetas = around(mode, 12)
    exact = np.array([brute_log_posterior(model, theta) for theta in thetas])
    # A quarter of the SD of log weights that the engine's own check allows (.02).
    np.testing.assert_allclose(log_posterior(target, anchor, thetas), exact, rtol=0, atol=5e-3)


@pytest.mark.parametrize("name", HARD_CASES)
def test_predicted_centers_serve_as_well_as_searched_ones(name):
    model = hard_case(name)
    target, mode, anchor = anchored(model)
    thetas = around(mode, 24)
    fast = log_posterior(target, anchor, thetas)
    # A theta 8 below the top weighs e⁻⁸: what happens there is seen by no draw.
    thetas = thetas[fast > fast.max() - 8.0]
    fast = log_posterior(target, anchor, thetas)
    assert fast.size >= 8
    finer = log_posterior(target, anchor, thetas, doubled=True)
    searched = [evaluate(target, theta, mode.local.center).log_posterior for theta in thetas]
    # Differences between thetas are what weights are made of: .02 is the engine's own limit.
    assert np.std(fast - searched) < 0.02
    assert np.std(fast - finer) < 0.02


def test_doctors_are_predicted_at_their_modes_at_the_anchor_itself():
    model = simulate(counts=gamma_counts(800, 20), sigma=0.6, seed=4)
    _, mode, anchor = anchored(model)
    center, scale, _ = anchor.predicted(mode.theta[None])
    np.testing.assert_allclose(center[0], mode.local.center, rtol=0, atol=1e-10)
    # The mode search knows its curvatures from one Newton step earlier, less than .05 scales away.
    np.testing.assert_allclose(scale[0], mode.local.scale, rtol=1e-3)


def test_predicted_centers_are_right_to_first_order():
    model = simulate(counts=gamma_counts(3000, 20), sigma=0.6, seed=4)
    target, mode, anchor = anchored(model)
    change = np.array([0.02, -0.01, 0.015, 0.03])
    center, *_ = anchor.predicted((mode.theta + change)[None])
    exact = evaluate(target, mode.theta + change, mode.local.center).local
    moved = np.abs(exact.center - mode.local.center)
    # Second order: a change of .02 squared, against a first-order one of that size.
    assert np.abs(center[0] - exact.center).max() < 0.05 * moved.max()


def test_the_order_of_the_thetas_does_not_matter():
    model = simulate(counts=gamma_counts(800, 20), sigma=0.6, seed=4)
    target, mode, anchor = anchored(model)
    thetas = around(mode, 40, spread=2.5)
    order = np.random.default_rng(3).permutation(40)
    np.testing.assert_allclose(
        log_posterior(target, anchor, thetas)[order],
        log_posterior(target, anchor, thetas[order]),
        rtol=0,
        atol=1e-3,  # the median SD decides who is the most skewed doctor
    )
