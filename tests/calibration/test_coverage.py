"""Coverage of the intervals of a calibration, in small: the benchmark makes the full table."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from outcomekpi.calibration.intervals import (
    cluster_weights,
    clustered_interval,
    distance_interval,
    reach_of,
)

PATH = Path(__file__).parents[2] / "benchmarks" / "calibration_coverage.py"


@pytest.fixture(scope="module")
def coverage():
    specification = importlib.util.spec_from_file_location("calibration_coverage", PATH)
    module = importlib.util.module_from_spec(specification)
    sys.modules["calibration_coverage"] = module
    specification.loader.exec_module(module)
    return module


def test_weights_have_mean_one_and_the_variance_of_the_bayesian_bootstrap():
    weights = cluster_weights(40, 20_000, np.random.default_rng(1))
    np.testing.assert_allclose(weights.mean(axis=1), 1.0)
    # Dirichlet: (J - 1)/(J + 1); 800,000 weights know a variance to about .3 %
    assert weights.var() == pytest.approx(39 / 41, rel=0.02)


def test_the_interval_of_a_mean_over_doctors_is_students():
    """30 doctors of equal caseload: mean ± t s/√J, what a textbook gives."""
    rng = np.random.default_rng(2)
    values = rng.normal(3.0, 2.0, 30)
    draws = cluster_weights(30, 40_000, rng) @ values / 30
    lower, upper = clustered_interval(
        np.array(values.mean()), draws, scale="identity", effective=np.array(30.0), level=0.95
    )
    half = 2.045 * values.std(ddof=1) / 30**0.5
    # 40,000 replicates know an SD to .4 %
    assert (upper - lower) / 2 == pytest.approx(half, rel=0.015)
    assert (upper + lower) / 2 == pytest.approx(values.mean())


def test_few_effective_doctors_reach_far():
    assert reach_of(np.array([5.0]), 0.95)[0] > reach_of(np.array([50.0]), 0.95)[0] > 1.96


def test_a_distance_within_chance_reaches_down_to_zero_and_never_below():
    rng = np.random.default_rng(3)
    chance = np.abs(rng.normal(0, 1.0, 4000))
    draws = 1.0 + np.abs(rng.normal(0, 0.2, 4000))
    options = {"effective": np.array(100.0), "level": 0.95}
    within = distance_interval(np.array(1.0), draws, chance, **options)
    beyond = distance_interval(np.array(3.0), draws + 2.0, chance, **options)
    assert within[0] == 0.0
    assert 2.0 < beyond[0] < 3.0 < beyond[1]


@pytest.mark.slow
def test_predictions_of_a_calibrated_world_are_calibrated(coverage):
    truth = coverage.find_truth(coverage.WORLDS[0], seed=1)
    # 40,000 doctors with an SD of .5: standard error of O/E about .002
    assert truth["oe"] == pytest.approx(1.0, abs=0.01)
    assert truth["slope"] == pytest.approx(1.0, abs=0.01)


@pytest.mark.validate
def test_clustered_intervals_hold_the_truth_and_naive_ones_do_not(coverage):
    table = coverage.run_world(coverage.WORLDS[1], n_data_sets=150, seed=5, workers=2)
    # standard error of a coverage of .95 over 150 data sets: .018
    assert (table["clustered"] > 0.95 - 3 * 0.018).all()
    assert table.loc["oe", "naive"] < 0.8
    assert (table["width clustered"] > table["width naive"]).all()
