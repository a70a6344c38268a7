"""What an interrupted series refuses, and how it reads times."""

import numpy as np
import pandas as pd
import pytest

from outcomekpi.declare.errors import CasesError, OutcomeKPIWarning, SpecError
from outcomekpi.pilots.data.series_times import read_times
from outcomekpi.pilots.designs.interrupted import InterruptedSeries
from outcomekpi.pilots.ladder.comparison import compare_pilot


def table(length=24, **columns):
    rng = np.random.default_rng(1)
    base = {"month": np.arange(1, length + 1), "rate": 50 + rng.standard_normal(length)}
    return pd.DataFrame(base | columns)


def estimate(data, **settings):
    settings = {"outcome": "rate", "time": "month", "start": 13} | settings
    return compare_pilot(data, InterruptedSeries(**settings))


@pytest.mark.parametrize("start", [0, 1, 25, 99.5])
def test_a_series_without_a_period_before_or_after_is_refused(start):
    with pytest.raises(CasesError, match=r"no period (before|after) the program.*BeforeAfter"):
        estimate(table(), start=start)


def test_repeated_times_are_refused_with_the_designs_that_would_fit():
    data = pd.concat([table(), table().head(2)], ignore_index=True)
    with pytest.raises(CasesError, match=r"2 times .* have several.*DifferenceInDifferences"):
        estimate(data)


def test_gaps_are_named_and_refused():
    with pytest.raises(CasesError, match=r"2 periods without a row: '?7'?, '?8'?.*gaps='missing'"):
        estimate(table().drop(index=[6, 7]))
    data = table()
    data.loc[4, "rate"] = np.nan
    with pytest.raises(CasesError, match=r"1 period where column 'rate' \(outcome\) is empty"):
        estimate(data)


def test_gaps_that_are_said_to_be_missing_are_integrated_out():
    data = table()
    some = estimate(data.drop(index=[6, 7]), gaps="missing")
    blank = data.copy()
    blank.loc[[6, 7], "rate"] = np.nan
    other = estimate(blank, gaps="missing")
    assert some.main.interval(level=0.95) == pytest.approx(other.main.interval(level=0.95))
    assert "2 periods taken as missing" in some.findings.facts["points"]
    assert some.findings.facts["missing_outcomes"] == "2 periods missing of 24"


def test_the_order_of_the_rows_does_not_matter():
    data = table()
    mixed = data.sample(frac=1, random_state=1)
    assert estimate(mixed).main.value == estimate(data).main.value
    assert "order of time" in estimate(mixed).findings.facts["points"]


@pytest.mark.parametrize("bad", [-1.0, 101.0])
def test_percentages_outside_0_to_100_are_refused(bad):
    data = table()
    data.loc[3, "rate"] = bad
    with pytest.raises(CasesError, match=r"percentages from 0 to 100.* at index '4'"):
        estimate(data, unit="%")
    estimate(data)


@pytest.mark.parametrize(
    ("columns", "settings", "message"),
    [
        ({"n": 10, "y": 11}, {"trials": "n", "family": "binomial"}, "no more events than trials"),
        ({"n": 0, "y": 0}, {"trials": "n", "family": "binomial"}, "hold numbers above 0"),
        ({"y": 1.5}, {"family": "poisson"}, "count events"),
        ({"y": -1}, {"family": "poisson"}, "count events"),
        ({"y": np.inf}, {}, "finite numbers"),
        ({"y": "many"}, {}, "must hold numbers"),
    ],
)
def test_impossible_outcomes_are_refused(columns, settings, message):
    with pytest.raises(CasesError, match=message):
        estimate(table(**columns), outcome="y", **settings)


def test_a_stretch_without_events_has_no_finite_estimate():
    counts = np.where(np.arange(24) < 12, 20, 0)
    with pytest.raises(CasesError, match="no finite estimate"):
        estimate(table(y=counts), outcome="y", family="poisson")


def test_a_series_without_noise_is_refused():
    with pytest.raises(CasesError, match="exactly on the fitted lines"):
        estimate(table(y=np.arange(24.0)), outcome="y")


def test_too_few_points_are_refused_and_few_are_warned_of():
    with pytest.raises(CasesError, match="3 points or more on each side"):
        estimate(table(), start=23)
    with pytest.warns(OutcomeKPIWarning, match="below 8 a side"):
        estimate(table(), start=19)


def test_more_terms_than_the_points_can_carry_are_refused():
    columns = {f"x{k}": np.random.default_rng(k).normal(size=24) for k in range(18)}
    with pytest.raises(CasesError, match="cannot carry"):
        estimate(table(**columns), covariates=tuple(columns))


def test_a_covariate_that_repeats_the_trend_is_refused():
    with pytest.raises(CasesError, match="cannot be told apart"):
        estimate(table(x=np.arange(24.0)), covariates=("x",))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"outcome": "rat"}, "Did you mean 'rate'"),
        ({"outcome": "month"}, "named as outcome and time"),
    ],
)
def test_columns_that_are_not_there_are_refused(settings, message):
    with pytest.raises(CasesError, match=message):
        estimate(table(), **settings)


def test_a_name_that_is_no_text_is_refused():
    with pytest.raises(SpecError, match="covariates must be text; got 3"):
        estimate(table(), covariates=(3,))


def test_something_that_is_no_table_is_sent_to_published_aggregates():
    with pytest.raises(CasesError, match="PublishedAggregates"):
        estimate({"before": 43, "after": 68})


def test_chinese_names_and_dates_are_read():
    data = table().rename(columns={"rate": "达标率"})
    data["月份"] = pd.period_range("2023-01", periods=24, freq="M").strftime("%Y-%m")
    effect = estimate(data, outcome="达标率", time="月份", start="2024-01", unit="%")
    assert effect.findings.facts["points"] == "12 before, 12 after"
    assert "2024-01-01" in effect.findings.facts["program_dates"]


MONTHS = pd.date_range("2023-01-01", periods=24, freq="MS")


@pytest.mark.parametrize(
    ("values", "start", "step", "first"),
    [
        (MONTHS, "2024-01", "month", 12),
        (MONTHS, "2024-01-15", "month", 13),
        (pd.date_range("2023-01-31", periods=24, freq="ME"), "2024-01", "month", 12),
        (MONTHS.strftime("%Y-%m"), pd.Timestamp("2024-01-01"), "month", 12),
        (MONTHS.to_period("M"), "2024-01", "month", 12),
        ([one.date() for one in MONTHS], MONTHS[12].date(), "month", 12),
        (pd.date_range("2020-01-01", periods=24, freq="QS"), "2023Q1", "quarter", 12),
        ([f"{2020 + k // 4}Q{k % 4 + 1}" for k in range(24)], "2023Q1", "quarter", 12),
        (pd.date_range("2023-01-02", periods=24, freq="7D"), "2023-03-27", "week", 12),
        (pd.date_range("2023-01-02", periods=24, freq="D"), "2023-01-14", "day", 12),
        (np.arange(2000, 2024), 2012, "period", 12),
        ([str(k) for k in range(24)], "12", "period", 12),
        (np.arange(24) / 12 + 2020, 2021, "period", 12),
        ([f"{2023 + k // 12}{k % 12 + 1:02d}" for k in range(24)], "202401", "month", 12),
        ([202301 + k % 12 + 100 * (k // 12) for k in range(24)], 202401, "month", 12),
        ([f"{2020 + k // 4}年第{k % 4 + 1}季度" for k in range(24)], "2023年一季度", "quarter", 12),
        ([f"2024-W{k + 1:02d}" for k in range(24)], "2024W13", "week", 12),
        ([f"2024W{k + 1:02d}" for k in range(24)], "2024-03-25", "week", 12),
        ([f"{2000 + k}年" for k in range(24)], "2012年", "year", 12),
        ([f"{2000 + k}/{(k + 1) % 100:02d}" for k in range(24)], "2012/13", "year", 12),
        ([f"{2010 + k // 2}H{k % 2 + 1}" for k in range(24)], "2016H1", "6 months", 12),
        ([f"{one:%Y-%m-%d}T00:00:00+01:00" for one in MONTHS], "2024-01", "month", 12),
    ],
)
def test_times_are_read_from_numbers_dates_and_labels(values, start, step, first):
    times = read_times(pd.Series(values, name="t"), start)
    assert (times.step, times.start, times.row.size) == (step, first, 24)
    assert (times.row >= 0).all()


@pytest.mark.parametrize(
    ("values", "start", "message"),
    [
        (["Jan", "Feb", "Mar"], "Mar", "order of such labels cannot be told"),
        ([f"{2020 + k // 4}-{k % 4 + 1}" for k in range(12)], "2022-1", "time_unit='quarter'"),
        ([1, 2, None], 2, "hold a time in each row"),
        ([1, 2.5, 3.7, 9.1], 3, "evenly spaced"),
        ([1, 2, 3], "2024-01", "is not. Give start as in that column"),
        (pd.to_datetime(["2024-01-01", "2024-01-02", "2031-05-07"]), "2024-01-02", "spread over"),
        ([1, 1, 1], 1, "have several"),
        ([4], 4, "holds one"),
    ],
)
def test_times_that_cannot_be_ordered_are_refused(values, start, message):
    with pytest.raises(CasesError, match=message):
        read_times(pd.Series(values, name="t"), start)


def test_what_a_part_of_a_year_is_can_be_said():
    for labels in (
        [f"{2020 + k // 4}-{k % 4 + 1}" for k in range(24)],
        [int(f"{2020 + k // 4}{k % 4 + 1}") for k in range(24)],
    ):
        times = read_times(pd.Series(labels, name="t"), labels[12], unit="quarter")
        assert (times.step, times.start, times.row.size) == ("quarter", 12, 24)


def test_a_week_without_a_row_is_a_gap():
    weeks = [f"2024-W{k + 1:02d}" for k in range(24) if k != 5]
    times = read_times(pd.Series(weeks, name="t"), "2024-W13")
    assert np.flatnonzero(times.row < 0).tolist() == [5]


def test_fractions_declared_as_percent_are_refused():
    share = 0.43 + 0.01 * np.sin(np.arange(24) ** 2)
    data = pd.DataFrame({"month": range(24), "rate": share})
    with pytest.raises(CasesError, match=r"said to be in percent .*no value is above 1"):
        estimate(data, unit="%")
    low = estimate(data.assign(rate=100 * share), unit="%")
    assert low.main.unit == "percentage points"
