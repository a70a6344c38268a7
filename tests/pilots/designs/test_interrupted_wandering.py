"""Near a unit root: the default says that the series wanders, and its intervals have a bound."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import stdtrit

from outcomekpi.pilots.designs.controlled import ControlledSeries
from outcomekpi.pilots.designs.interrupted import InterruptedSeries
from outcomekpi.pilots.estimators.structural_series import fit_structural
from outcomekpi.pilots.ladder.comparison import compare_pilot

# packs of cigarettes sold per head in California, 1970 to 2000 (Abadie, Diamond & Hainmueller
# 2010, doi:10.1198/jasa.2009.ap08746); a tax and a campaign from 1989
PACKS = (
    *(123.0, 121.0, 123.5, 124.4, 126.7, 127.1, 128.0, 126.4, 126.1, 121.9, 120.2, 118.6),
    *(115.4, 110.8, 104.8, 102.8, 99.7, 97.5, 90.1, 82.4, 77.8, 68.7, 67.5, 63.4, 58.6, 56.4),
    *(54.5, 53.8, 52.3, 47.2, 41.6),
)


def packs(**settings):
    frame = pd.DataFrame({"year": range(1970, 2001), "packs": PACKS})
    design = InterruptedSeries(outcome="packs", time="year", start=1989, **settings)
    return compare_pilot(frame, design)


def check(effect):
    return next(one for one in effect.findings.checks if one.name == "returns to its trend")


def known_walk():
    """Interval of the average effect where the noise is known to be a random walk.

    Its steps are independent, so that least squares on the differences is exact: drift, a jump at
    the start, and a change of the drift after it.
    """
    steps = np.diff(PACKS)
    since = np.arange(1971, 2001) - 1989
    x = np.column_stack([np.ones(30), since == 0, since > 0]).astype(float)
    beta, squares = np.linalg.lstsq(x, steps, rcond=None)[:2]
    weights = np.array([0.0, 1.0, np.arange(12).mean()])
    error = np.sqrt(squares[0] / 27 * weights @ np.linalg.inv(x.T @ x) @ weights)
    value, half = weights @ beta, stdtrit(27, 0.975) * error
    return value - half, value + half


def test_a_yearly_series_that_wanders_has_the_interval_of_known_noise():
    effect = packs()
    assert effect.main.interval(level=0.95) == pytest.approx(known_walk(), abs=2.0)
    lower, upper = packs(method="reml").main.interval(level=0.95)
    assert upper - lower > 5 * np.ptp(known_walk())


def test_the_default_says_that_the_series_wanders_and_what_it_did():
    found = check(packs())
    assert found.passed is False
    assert "The series wanders" in found.verdict
    assert "level that wanders (method='structural_trend')" in found.verdict
    assert "have no bound here" in check(packs(method="reml")).verdict
    assert "wandering about it" in packs().findings.assumptions[0]
    assert "level that wanders about the straight trend" in packs().findings.facts["standard_error"]


def test_the_switch_is_the_method_that_can_be_asked_for():
    asked = packs(method="structural_trend")
    assert packs().to_frame().equals(asked.to_frame())


def test_a_series_that_returns_to_its_trend_is_fitted_as_before():
    rate = 50 + np.random.default_rng(1).normal(size=48)
    frame = pd.DataFrame({"month": range(48), "rate": rate})
    design = {"outcome": "rate", "time": "month", "start": 24}
    default = compare_pilot(frame, InterruptedSeries(**design))
    reml = compare_pilot(frame, InterruptedSeries(**design, method="reml"))
    assert check(default).passed
    assert default.to_frame().equals(reml.to_frame())


def test_a_distance_from_the_control_that_wanders_is_bounded_too():
    there = 100 + np.random.default_rng(3).normal(size=31)
    frame = pd.DataFrame({"year": range(1970, 2001), "packs": PACKS + there, "there": there})
    design = ControlledSeries(outcome="packs", control="there", time="year", start=1989)
    effect = compare_pilot(frame, design)
    assert not check(effect).passed
    assert np.ptp(effect.main.interval(level=0.95)) < 1.1 * np.ptp(known_walk())


def test_counts_that_wander_have_intervals_with_a_bound():
    rng = np.random.default_rng(0)
    rate = 2000 * np.exp(0.1 * rng.standard_normal(40).cumsum())
    frame = pd.DataFrame({"month": range(40), "falls": rng.poisson(rate)})
    design = {"outcome": "falls", "time": "month", "start": 20, "family": "poisson"}
    effect = compare_pilot(frame, InterruptedSeries(**design))
    wide = compare_pilot(frame, InterruptedSeries(**design, method="reml"))
    assert not check(effect).passed
    limits = effect.to_frame().drop(effect.findings.naive.name)[["lower", "upper"]]
    assert np.isfinite(limits).all(axis=None)
    spans = [np.ptp(np.log(one.main.interval(level=0.95))) for one in (effect, wide)]
    assert spans[0] < spans[1] / 3
    table = effect.findings.tables["counterfactual"]
    assert (table["fitted"] / table["observed"]).between(0.7, 1.4).all()


def test_a_wandering_level_with_weights_is_generalized_least_squares():
    """Rows of unequal weight against the covariance written out on the scale of the link."""
    rng = np.random.default_rng(2)
    count, step = 20, 0.7
    root = rng.uniform(3, 9, count)
    x = np.column_stack([np.ones(count), np.arange(count)]).astype(float)
    y = rng.normal(size=count)
    posterior = fit_structural(root[:, None] * x, root * y, loads=root / root.mean())
    node = int(np.abs(posterior.nodes - step).argmin())
    size = posterior.nodes[node] / root.mean()
    time = np.arange(count)
    inverse = np.linalg.inv(np.diag(1 / root**2) + size**2 * np.minimum.outer(time, time))
    expected = np.linalg.solve(x.T @ inverse @ x, x.T @ inverse @ y)
    assert posterior.coefficients[node] == pytest.approx(expected)


def test_the_ratio_of_means_counts_the_wandering_level():
    """Without it the expected outcome would be that of the first year, which is far above."""
    effect = packs(method="structural")
    frame = effect.to_frame()
    table = effect.findings.tables["counterfactual"].query("after")
    expected = table["fitted"].mean() / table["counterfactual"].mean()
    assert frame.loc["ratio of means", "mean"] == pytest.approx(expected, rel=0.02)
