"""With no program at all, the corrected effect holds zero as often as its interval says."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parents[3] / "benchmarks" / "regression_to_mean.py"
REPLICATES = 1000
# a binomial share of .95 in 1,000: standard error .0069; the band is 3.6 of them
LOWEST, HIGHEST = 0.925, 0.975
CELLS = [
    ("continuous", (0.3, 1.0, 100)),
    ("continuous", (0.8, 2.0, 30)),
    ("continuous", (0.6, 0.0, 300)),
    ("screened_with_them", (0.6, 1.0)),
    ("binary", (0.6, 1.0, 300)),
    ("clustered", (0.7, 1.0, 600, 20, 0.1)),
    ("unit_rates", (60, 15, 50, 0.05)),
]
# known to miss, and shown in the table for that
MISSING = {"plain change", "model, doctors ignored"}
# a slope learned from few patients, with a prior that ends at 0 and 1: wide, as the table shows
WIDE = {"model, 1,000 screened once"}


@pytest.fixture(scope="module")
def study():
    specification = importlib.util.spec_from_file_location("regression_study", PATH)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.validate
@pytest.mark.parametrize(("name", "row"), CELLS)
def test_no_program_is_no_effect_at_the_nominal_rate(study, name, row):
    held = study.measure(getattr(study, name), row, REPLICATES, np.random.default_rng(7))
    assert held["plain change"] < LOWEST
    wrong = {
        way: share
        for way, share in held.items()
        if way not in MISSING and not LOWEST <= share <= (1.0 if way in WIDE else HIGHEST)
    }
    assert not wrong


@pytest.mark.validate
def test_skewed_true_values_are_noticed_where_they_mislead(study):
    held = study.measure(study.skewed, (0.6, 2.0, 100), 300, np.random.default_rng(7))
    assert held["model, all known"] < 0.5
    assert held["checks passed"] < 0.2


def test_in_small_no_program_is_no_effect(study):
    held = study.measure(study.continuous, (0.6, 1.0, 100), 60, np.random.default_rng(8))
    assert held["plain change"] < 0.2
    # 57 of 60 expected; fewer than 50 has probability .001 for each of six ways
    assert min(share for way, share in held.items() if way != "plain change") >= 50 / 60
