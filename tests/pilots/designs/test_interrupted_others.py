"""More than one interruption, methods that disagree, wide intervals, bounds of an outcome."""

import numpy as np
import pandas as pd
import pytest

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.pilots.data.series_interruptions import Interruption
from outcomekpi.pilots.designs.controlled import ControlledSeries
from outcomekpi.pilots.designs.interrupted import InterruptedSeries
from outcomekpi.pilots.ladder.comparison import compare_pilot
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.verdicts import word_verdict
from outcomekpi.pilots.robustness.placebo import placebo_starts


def months(*, noise=1.0, seed=4, count=55):
    """55 months: +.1 a month; +6 from month 20 (the program); -9, and +.5 a month, from 38."""
    month = np.arange(count)
    rate = 50 + 0.1 * month + 6.0 * (month >= 20)
    rate += (month >= 38) * (-9.0 + 0.5 * (month - 38))
    return pd.DataFrame(
        {"month": month, "rate": rate + noise * np.random.default_rng(seed).normal(size=count)}
    )


def estimate(data, **settings):
    given = {"outcome": "rate", "time": "month", "start": 20} | settings
    return compare_pilot(data, InterruptedSeries(**given))


SECOND = Interruption(start=38, name="merger")


def test_two_interruptions_have_their_own_effects():
    frame = estimate(months(noise=0.01), other_interruptions=(SECOND,)).to_frame()
    truth = {
        "average effect": 6.0,
        "level change": 6.0,
        "slope change": 0.0,
        "level change of merger": -9.0,
        "slope change of merger": 0.5,
        "average effect of merger": -9.0 + 0.5 * 8,  # 17 months, on average 8 after its start
    }
    for name, value in truth.items():
        # noise of SD .01 in 55 months
        assert frame.loc[name, "mean"] == pytest.approx(value, abs=0.03), name


def test_the_model_is_least_squares_with_both_interruptions():
    data = months()
    effect = estimate(data, other_interruptions=(SECOND,), method="independent")
    month = data["month"].to_numpy(float)
    x = np.column_stack(
        [
            *(np.ones(55), month - 20, month >= 38, (month >= 38) * (month - 38)),
            *(month >= 20, (month >= 20) * (month - 20)),
        ]
    )
    beta = np.linalg.lstsq(x, data["rate"], rcond=None)[0]
    frame = effect.to_frame()
    assert frame.loc["level change", "mean"] == pytest.approx(beta[4])
    assert frame.loc["slope change of merger", "mean"] == pytest.approx(beta[3])


def test_a_second_interruption_that_changes_the_level_alone_has_one_term():
    one = Interruption(start=38, change="level")
    names = estimate(months(), other_interruptions=(one,)).to_frame().index
    assert "level change of 38" in names
    assert "slope change of 38" not in names


def test_the_forecast_ends_where_something_else_begins():
    effect = estimate(months(), other_interruptions=(SECOND,))
    assert effect.findings.tables["forecast"]["time"].tolist() == list(range(20, 38))
    plain = effect.to_frame().loc["average observed minus forecast", "mean"]
    shorter = estimate(months(count=38)).to_frame().loc["average observed minus forecast", "mean"]
    assert plain == pytest.approx(shorter, abs=1e-6)


def test_counts_and_controls_take_other_interruptions():
    data = months(noise=0.1).assign(there=50 + np.sin(np.arange(55) ** 2))
    control = ControlledSeries(
        outcome="rate", control="there", time="month", start=20, other_interruptions=(SECOND,)
    )
    frame = compare_pilot(data, control).to_frame()
    assert frame.loc["level change of merger", "mean"] == pytest.approx(-9.0, abs=1.0)
    counts = data.assign(rate=np.random.default_rng(1).poisson(20 * data["rate"]))
    frame = estimate(counts, family="poisson", other_interruptions=(SECOND,)).to_frame()
    # from month 38 on: (59.8 + .1 s) against (59.8 + .1 s - 9 + .5 s), s from 0 to 16
    steps = np.arange(17)
    ratio = (50.8 + 0.6 * steps).sum() / (59.8 + 0.1 * steps).sum()
    assert frame.loc["rate ratio of merger", "mean"] == pytest.approx(ratio, rel=0.05)
    assert frame.loc["rate ratio of merger", "unit"] == "ratio"


@pytest.mark.parametrize(
    ("others", "error", "message"),
    [
        ((Interruption(start=20),), CasesError, "begins with the program"),
        ((Interruption(start=70),), CasesError, "must lie within column 'month'"),
        ((SECOND, SECOND), CasesError, "share one time"),
        ((38,), SpecError, r"Interruption\(start='2020-03'\)"),
        ([SECOND], SpecError, "must be a tuple"),
        ((Interruption(start=54),), CasesError, "too few points of its own"),
    ],
)
def test_interruptions_that_cannot_be_are_refused(others, error, message):
    with pytest.raises(error, match=message):
        estimate(months(), other_interruptions=others)


def test_placebo_starts_keep_earlier_interruptions_and_the_unit_of_the_labels():
    labels = [f"{2010 + k // 4}-{k % 4 + 1}" for k in range(60)]
    data = pd.DataFrame({"quarter": labels, "rate": 50 + np.sin(np.arange(60) ** 2)})
    early, late = (Interruption(start=at, change="level") for at in ("2014-2", "2022-1"))
    design = InterruptedSeries(
        outcome="rate", time="quarter", start="2020-1", time_unit="quarter",
        other_interruptions=(early, late),
    )  # fmt: skip
    fakes = list(placebo_starts(design, data, count=4))
    assert len(fakes) > 2
    for _, fake, before in fakes:
        assert fake.other_interruptions == (early,)
        compare_pilot(before, fake)


# --- a real series of 55 months had .398 to 2.444 by the default, .694 to .906 otherwise ---------


def falls(seed=3):
    """55 months of counts: a program in month 20, and a third more from month 42 on, unnamed."""
    month = np.arange(55)
    rate = 300 * np.exp(0.002 * month - 0.2 * (month >= 20) + 0.5 * (month >= 42))
    return pd.DataFrame({"month": month, "rate": np.random.default_rng(seed).poisson(rate)})


def test_an_interval_much_wider_than_the_others_is_explained_with_the_largest_jump():
    effect = estimate(falls(), family="poisson", direction="lower")
    check = next(one for one in effect.findings.checks if one.name == "width of the interval")
    assert "times as wide as the narrowest" in check.verdict
    assert "Neighboring points are alike" in check.verdict
    assert "lies at 42" in check.verdict
    assert "other_interruptions" in check.verdict
    named = Interruption(start=42, change="level")
    again = estimate(falls(), family="poisson", direction="lower", other_interruptions=(named,))
    assert np.ptp(again.main.interval(level=0.95)) < np.ptp(effect.main.interval(level=0.95)) / 3
    assert again.main.interval(level=0.95)[0] < np.exp(-0.2) < again.main.interval(level=0.95)[1]
    check = next(one for one in again.findings.checks if one.name == "width of the interval")
    assert "Neighboring points" not in check.verdict


def test_the_first_sentence_says_when_its_own_other_methods_disagree():
    walk = np.random.default_rng(1).normal(size=48).cumsum()
    effect = estimate(pd.DataFrame({"month": np.arange(48), "rate": walk}), start=24)
    assert not effect.main.excludes_null(level=0.95)
    plain = effect.findings.tables["variants"].set_index("variant").loc["independent errors"]
    assert plain["lower"] > 0 or plain["upper"] < 0
    first = effect.verdict().split("; they do not show")[0]
    said = f"independent errors, {plain['lower']:.4g} to {plain['upper']:.4g}"
    assert f"other methods disagree: {said}" in first


def test_methods_on_the_other_side_of_no_effect_disagree_and_the_rest_do_not():
    def made(value, se):
        return Estimate(name="change", unit="points", value=value, se=se)

    words = {"direction": None, "level": 0.95}
    others = [("plain", made(3.0, 0.5)), ("wide", made(3.0, 4.0)), ("lower", made(-3.0, 0.5))]
    text = word_verdict(2, made(2.0, 0.5), **words, others=others)
    first = text.split(". It is")[0]
    assert "other methods disagree: wide, -4.84 to 10.84; lower, -3.98 to -2.02" in first
    assert "plain" not in text
    assert "disagree" not in word_verdict(2, made(2.0, 0.5), **words, others=others[:1])


# --- bounds --------------------------------------------------------------------------------------


def near_the_top(count=24):
    share = 96 + 3 * np.sin(np.arange(count) ** 2)
    return pd.DataFrame({"month": np.arange(count), "rate": share})


def test_levels_and_forecasts_of_percentages_end_at_0_and_100():
    data = near_the_top()
    effect = estimate(data, unit="%", start=12)
    free = estimate(data, start=12)
    for name, columns in (
        ("counterfactual", ["fitted", "counterfactual", "lower", "upper"]),
        ("forecast", ["mean", "lower", "upper"]),
    ):
        assert free.findings.tables[name][columns].to_numpy().max() > 100
        assert effect.findings.tables[name][columns].to_numpy().max() <= 100
        assert effect.findings.tables[name].attrs["bounds"] == (0.0, 100.0)


def test_an_effect_ends_at_what_the_bounds_allow():
    """The forecast is at most 100, so that observed less forecast is at least the mean less 100."""
    data = near_the_top()
    effect = estimate(data, unit="%", start=12)
    free = estimate(data, start=12).to_frame().loc["average observed minus forecast"]
    row = effect.to_frame().loc["average observed minus forecast"]
    assert free["lower"] < data["rate"][12:].mean() - 100
    assert row["lower"] == pytest.approx(data["rate"][12:].mean() - 100)
    assert row["upper"] == free["upper"]


def test_a_trend_that_leaves_the_bounds_is_said():
    month = np.arange(24)
    rate = 60 + 2.5 * np.minimum(month, 14) + np.sin(month**2)
    effect = estimate(pd.DataFrame({"month": month, "rate": rate}), unit="%", start=14)
    check = next(one for one in effect.findings.checks if one.name == "outcome within its bounds")
    assert check.passed is False
    assert "would have left 0 to 100 in" in check.verdict
    assert "effects at -100 and 100" in check.verdict


def test_counts_are_never_forecast_below_0():
    rng = np.random.default_rng(8)
    data = pd.DataFrame({"month": np.arange(30), "rate": rng.poisson(1.2, 30)})
    effect = estimate(data, family="poisson", start=15, method="quasi")
    assert effect.findings.tables["forecast"]["lower"].min() >= 0
    row = effect.to_frame().loc["cumulative observed minus forecast"]
    assert row["upper"] <= data["rate"][15:].sum()


def test_declared_bounds_are_held_and_checked():
    data = near_the_top().assign(rate=lambda frame: frame["rate"] / 10)
    effect = estimate(data, outcome_range=(0, 10), start=12, unit="points")
    assert effect.findings.tables["counterfactual"]["upper"].max() <= 10
    with pytest.raises(CasesError, match="hold values from 0 to 9"):
        estimate(data, outcome_range=(0, 9), start=12)
    with pytest.raises(SpecError, match="lowest and the highest"):
        estimate(data, outcome_range=(10, 0), start=12)
