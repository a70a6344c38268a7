from dataclasses import replace

import numpy as np
import pytest
from made_results import made_rates

from outcomekpi.declare.errors import SpecError
from outcomekpi.profiling.r_values import _first_crossing, r_values


def normal_posteriors(spread, *, seed, n_doctors=1000, n_samples=400):
    """Posterior draws of doctors with standard normal effects and known noise SDs."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n_doctors)
    noise = rng.choice(spread, n_doctors)
    raw = truth + noise * rng.normal(size=n_doctors)
    weight = 1 / (1 + noise**2)
    draws = (weight * raw)[:, None] + np.sqrt(1 - weight)[:, None] * rng.normal(
        size=(n_doctors, n_samples)
    )
    rates = made_rates(n_doctors, direction="higher")
    array = rates.draws[:1].isel(draw=np.zeros(n_samples, dtype=int)).copy(data=draws.T[None])
    return replace(rates, draws=array), truth, raw, weight * raw


def test_about_a_share_a_of_the_doctors_has_r_values_up_to_a():
    rates, *_ = normal_posteriors([0.3, 1.0, 3.0], seed=1)
    values = r_values(rates).values
    for share in (0.05, 0.1, 0.25, 0.5, 0.75):
        assert (values <= share).mean() == pytest.approx(share, abs=0.02)


def test_with_equal_precision_r_values_follow_the_posterior_means():
    rates, _, _, mean = normal_posteriors([0.5], seed=2, n_samples=4000)
    values = r_values(rates).values
    # equal posteriors up to location have one order; Monte Carlo error of the draws blurs it
    assert np.corrcoef(np.argsort(np.argsort(-mean)), values)[0, 1] > 0.998


def test_r_values_agree_best_with_the_true_top():
    found = {"r": 0, "raw": 0, "mean": 0}
    for seed in range(20):
        rates, truth, raw, mean = normal_posteriors([0.2, 2.0], seed=seed, n_doctors=500)
        top = set(np.argsort(-truth)[:50])
        lists = {"r": r_values(rates).values.to_numpy(), "raw": -raw, "mean": -mean}
        for name, score in lists.items():
            found[name] += len(top & set(np.argsort(score)[:50]))
    assert found["r"] > found["raw"]
    # noise in 20 x 50 places is about 15; r-values may not fall behind the means by more
    assert found["r"] > found["mean"] - 15


def test_the_cutoff_is_the_normal_theory_one():
    # equal noise: V_a >= l(a) holds for exactly the best share a, whose posterior mean is known
    rates, *_ = normal_posteriors([1.0], seed=3, n_doctors=4000, n_samples=1000)
    found = r_values(rates)
    from scipy.special import ndtr, ndtri

    k = 39  # a = .2
    share = found.fraction[k]
    mean_at_cut = np.sqrt(0.5) * ndtri(1 - share)
    theory = ndtr((mean_at_cut - ndtri(1 - share)) / np.sqrt(0.5))
    assert found.cutoff[k] == pytest.approx(theory, abs=0.03)


def test_r_values_turn_with_the_direction():
    rates = made_rates(12)
    mirrored = replace(rates, draws=-rates.draws, direction="higher")
    np.testing.assert_allclose(r_values(rates).values, r_values(mirrored).values)


def test_few_doctors_and_no_direction_are_refused():
    with pytest.raises(SpecError, match="at least 5"):
        r_values(made_rates(4))
    with pytest.raises(SpecError, match="direction"):
        r_values(made_rates(12, direction=None))


def test_r_values_describe_themselves():
    found = r_values(made_rates(12))
    assert list(found.to_frame().columns) == ["r_value"]
    assert "<table" in found._repr_html_()
    assert "12 doctors" in repr(found)
    # the three best of them by name
    best = found.values.sort_values().index
    assert [doctor in repr(found) for doctor in best] == [True] * 3 + [False] * 9


def test_a_fraction_is_read_between_the_points_on_either_side_of_the_crossing():
    fraction = np.array([0.1, 0.2, 0.3, 0.4])
    margin = np.array(
        [
            [-0.3, 0.1, -0.2, 0.5],  # crosses 3/4 of the way from .1 to .2, and again later
            [-0.1, -0.1, 0.3, 0.4],  # 1/4 of the way from .2 to .3
            [0.2, 0.5, 0.5, 0.5],  # there from the first
            [-0.1, -0.1, -0.1, 0.0],  # there at the last, exactly
        ]
    )
    np.testing.assert_allclose(
        _first_crossing(margin, fraction), [0.175, 0.225, 0.1, 0.4], rtol=1e-12
    )


def test_everybody_is_in_the_best_share_of_one():
    rates, *_ = normal_posteriors([0.3, 3.0], seed=4, n_doctors=50)
    assert r_values(rates).cutoff[-1] == 1
