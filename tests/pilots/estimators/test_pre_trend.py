"""Test of trends before the start and its power: closed forms, simulation, laws."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2, f, multivariate_normal, norm, truncnorm

from outcomekpi.declare.errors import SpecError
from outcomekpi.pilots.estimators.event_study import EventStudy, joint_p_value
from outcomekpi.pilots.estimators.pre_trend import assess_pre_trend, box_probability, truncated_mean

SHAPE = np.array([[1.0, 0.5, 0.2], [0.5, 1.0, 0.4], [0.2, 0.4, 1.0]])


def made_study(n_before=3, seed=3):
    rng = np.random.default_rng(seed)
    times = np.array([*range(-n_before - 1, -1), 0, 1])
    root = rng.normal(size=(times.size, times.size)) / 10 + 0.2 * np.eye(times.size)
    return EventStudy(
        times=times, coefficients=rng.normal(0, 0.1, times.size), covariance=root @ root.T
    )


def test_the_statistic_is_a_chi_square_of_the_coefficients_before():
    study = made_study()
    test = assess_pre_trend(study)
    before = study.coefficients[:3]
    wanted = before @ np.linalg.inv(study.covariance[:3, :3]) @ before
    assert test.statistic == pytest.approx(wanted)
    assert test.p_value == pytest.approx(chi2.sf(wanted, 3))


def test_with_clusters_the_statistic_is_compared_with_hotellings_f():
    study = made_study()
    clustered = replace(study, degrees_of_freedom=11.0)
    test = assess_pre_trend(clustered)
    assert test.statistic == assess_pre_trend(study).statistic
    assert test.p_value == pytest.approx(f.sf(test.statistic * 9 / 33, 3, 9))


def test_covariances_of_sampled_clusters_reject_at_their_size():
    rng = np.random.default_rng(1)
    draws = rng.normal(size=(4000, 12, 3))
    mean, spread = draws.mean(axis=1), np.array([np.cov(one.T) / 12 for one in draws])
    found = [one @ np.linalg.solve(s, one) for one, s in zip(mean, spread, strict=True)]
    share = np.mean([joint_p_value(one, 3, 11.0) < 0.05 for one in found])
    # 4,000 samples: standard error .0034; 3 of them
    assert share == pytest.approx(0.05, abs=0.0105)


def test_with_one_period_before_power_and_bias_have_a_closed_form():
    # one coefficient at t = -2 with SD .2, correlated with the one after
    covariance = np.array([[0.04, 0.01], [0.01, 0.09]])
    study = EventStudy(times=np.array([-2, 0]), coefficients=np.zeros(2), covariance=covariance)
    row = assess_pre_trend(study).power.set_index("power").loc[0.8]
    shift = -row["slope"] / 0.2
    power = norm.sf(1.959964 - shift) + norm.cdf(-1.959964 - shift)
    assert power == pytest.approx(0.8, abs=1e-5)
    passed = truncnorm.mean(-1.959964 - shift, 1.959964 - shift) * 0.2
    wanted = row["slope"] + 0.01 / 0.04 * passed
    assert row["bias"] == pytest.approx(row["slope"])
    assert row["bias_if_passed"] == pytest.approx(wanted, rel=1e-5)


def test_a_box_has_the_probability_of_scipy():
    lower, upper = np.array([-1.5, -2.0, 0.1]), np.array([1.0, 0.5, 2.5])
    wanted = multivariate_normal.cdf(
        upper, cov=SHAPE, lower_limit=lower, rng=np.random.default_rng(1)
    )
    # 8,192 lattice points
    assert box_probability(lower, upper, SHAPE) == pytest.approx(wanted, abs=2e-5)


def test_the_mean_of_a_cut_normal_is_that_of_draws():
    lower, upper = np.array([-1.5, -2.0, 0.1]), np.array([1.0, 0.5, 2.5])
    draws = np.random.default_rng(1).multivariate_normal(np.zeros(3), SHAPE, 400_000)
    kept = draws[((draws > lower) & (draws < upper)).all(axis=1)]
    # standard error of a mean of some 80,000 draws: .003; 3 of them
    np.testing.assert_allclose(truncated_mean(lower, upper, SHAPE), kept.mean(axis=0), atol=0.008)


@pytest.mark.parametrize("criterion", ["any", "joint"])
def test_power_and_conditional_bias_are_those_of_simulated_studies(criterion):
    study = made_study()
    test = assess_pre_trend(study, criterion=criterion)
    row = test.power.iloc[0]
    delta = row["slope"] * (study.times + 1.0)
    draws = np.random.default_rng(1).multivariate_normal(delta, study.covariance, 200_000)
    before, spread = draws[:, :3], study.covariance[:3, :3]
    if criterion == "any":
        passed = (np.abs(before) <= norm.ppf(0.975) * np.sqrt(np.diag(spread))).all(axis=1)
    else:
        passed = np.einsum("ij,jk,ik->i", before, np.linalg.inv(spread), before) <= chi2.ppf(
            0.95, 3
        )
    # 4 standard errors of a share, and of a mean with SD .3
    assert 1 - passed.mean() == pytest.approx(0.5, abs=0.005)
    assert draws[passed][:, 3:].mean() == pytest.approx(row["bias_if_passed"], abs=0.005)
    assert row["bias"] == pytest.approx(delta[3:].mean())


def test_without_a_trend_the_joint_test_has_its_size():
    test = assess_pre_trend(made_study(), criterion="joint", level=0.9)
    assert test.power_at(0.0) == pytest.approx(0.1, abs=1e-9)


def test_steeper_trends_are_seen_more_often():
    test = assess_pre_trend(made_study())
    powers = [test.power_at(slope) for slope in (0.0, 0.05, 0.1, 0.2)]
    assert powers == sorted(powers)
    assert test.power["slope"].is_monotonic_increasing


def test_diff_diff_finds_the_same_slope():
    dd = pytest.importorskip("diff_diff")
    import pandas as pd

    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"unit": np.repeat(range(60), 6), "time": np.tile(range(1, 7), 60)})
    frame["start"] = np.where(frame["unit"] < 30, 5, 0)
    frame["outcome"] = rng.normal(size=360) + rng.normal(size=60)[frame["unit"]]
    fit = dd.CallawaySantAnna(base_period="universal").fit(
        frame, outcome="outcome", unit="unit", time="time", first_treat="start"
    )
    events = fit.aggregate("event_study")
    kept = ~np.asarray(events.is_reference)
    study = EventStudy(
        times=np.asarray(events.event_time)[kept].astype(int),
        coefficients=np.asarray(events.att)[kept],
        covariance=np.asarray(events.vcov),
    )
    theirs = dd.PreTrendsPower(power=0.8, violation_type="linear").fit(events)
    ours = assess_pre_trend(study).power.set_index("power").loc[0.8, "slope"]
    assert theirs.power_at(ours) == pytest.approx(0.8, abs=0.005)


def test_no_period_before_is_refused():
    study = EventStudy(times=np.array([0]), coefficients=np.zeros(1), covariance=np.eye(1))
    with pytest.raises(SpecError, match="no period before"):
        assess_pre_trend(study)
    with pytest.raises(SpecError, match="criterion must be one of"):
        assess_pre_trend(made_study(), criterion="all")


def test_the_test_describes_itself():
    test = assess_pre_trend(made_study())
    assert "would be seen with a probability of 80%" in repr(test)
    assert "<table" in test._repr_html_()
    assert list(test.to_frame().columns) == ["power", "slope", "bias", "bias_if_passed"]
