"""Times and their labels are read alike by every command, in one time zone."""

import numpy as np
import pandas as pd
import pytest

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.pilots.data.panel_times import read_panel_times
from outcomekpi.pilots.data.patient_columns import PatientColumns, read_after
from outcomekpi.pilots.data.series_times import read_times
from outcomekpi.pilots.designs.before_after import BeforeAfter
from outcomekpi.pilots.designs.wedge_data import read_moments
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.cycle_order import order_cycles
from outcomekpi.tables.time_columns import check_zone, parse_times
from outcomekpi.tables.times import name_time, read_time_labels

# eight periods in a row, and how each way of writing them names the fifth
WAYS = {
    "2024Q1": [f"{2023 + k // 4}Q{k % 4 + 1}" for k in range(8)],
    "2024q1": [f"{2023 + k // 4}-q{k % 4 + 1}" for k in range(8)],
    "2024年第1季度": [f"{2023 + k // 4}年第{k % 4 + 1}季度" for k in range(8)],
    "2024W05": [f"2024W{k + 1:02d}" for k in range(8)],
    "2024-W05": [f"2024-W{k + 1:02d}" for k in range(8)],
    "2024-05": [f"2024-{k + 1:02d}" for k in range(8)],
    "202405": [f"2024{k + 1:02d}" for k in range(8)],
    "20245": [f"2024{k + 1}" for k in range(8)],
    "2024年5月": [f"2024年{k + 1}月" for k in range(8)],
    "2024/25": [f"{2020 + k}/{21 + k}" for k in range(8)],
    "2024": [str(2020 + k) for k in range(8)],
    "2024H1": [f"{2022 + k // 2}H{k % 2 + 1}" for k in range(8)],
    "20240129": [f"{day:%Y%m%d}" for day in pd.date_range("2024-01-01", periods=8, freq="7D")],
}


def positions(labels, start):
    """Position of the start and number of periods, by each of the readers."""
    column = pd.Series(labels, name="t")
    series = read_times(column, start)
    panel = read_panel_times(column, pd.Series([start] * len(labels), name="start"))
    moments = read_moments(column, "time")
    order = np.unique(moments.to_numpy())
    begin = read_moments(pd.Series([start]), "start", like=column).to_numpy()[0]
    cycles = order_cycles(column, np.array([str(one) for one in labels], object), None).labels
    return {
        (series.start, series.row.size),
        (int(panel.start[0]) - 1, len(panel.labels)),
        (int(np.searchsorted(order, begin)), order.size),
        (cycles.index(str(labels[4])), len(cycles)),
    }


@pytest.mark.parametrize("labels", WAYS.values(), ids=WAYS)
def test_labels_are_read_alike_by_series_panels_wedges_and_cycles(labels):
    assert positions(labels, labels[4]) == {(4, 8)}
    shuffled = [labels[k] for k in (4, 2, 7, 0, 1, 6, 5, 3)]
    assert positions([*shuffled[:4], shuffled[6], *shuffled[4:6], shuffled[7]], labels[4])
    assert read_times(pd.Series(shuffled, name="t"), labels[4]).start == 4


def test_labels_as_numbers_are_read_like_labels_as_text():
    assert positions([202401 + k for k in range(8)], 202405) == {(4, 8)}
    assert positions([20241 + k for k in range(8)], 20245) == {(4, 8)}


def test_a_hole_is_a_hole_to_all():
    labels = WAYS["2024W05"][:3] + WAYS["2024W05"][4:]
    assert (read_times(pd.Series(labels, name="t"), labels[4]).row < 0).sum() == 1
    with pytest.raises(CasesError, match="evenly spaced"):
        read_panel_times(pd.Series(labels, name="t"), pd.Series([labels[4]] * 7, name="s"))
    assert len(order_cycles(pd.Series(labels), np.array(labels, object), None).labels) == 8


def test_labels_that_several_units_fit_are_refused_by_all():
    labels = [f"{2023 + k // 4}-{k % 4 + 1}" for k in range(8)]
    column = pd.Series(labels, name="t")
    with pytest.raises(CasesError, match=r"months or quarters.*time_unit='quarter'"):
        read_times(column, "2024-1")
    with pytest.raises(CasesError, match=r"months or quarters.* Write them as"):
        read_panel_times(column, pd.Series(["2024-1"] * 8, name="s"))
    with pytest.raises(CasesError, match="months or quarters"):
        read_moments(column, "time")
    assert read_times(column, "2024-1", unit="quarter").start == 4


@pytest.mark.parametrize(
    ("labels", "message"),
    [(["2023-5", "2023-6"], "cannot be read as quarters"), (["a"], "cannot be read as quarters")],
)
def test_a_unit_that_does_not_fit_is_refused(labels, message):
    with pytest.raises(CasesError, match=message):
        read_time_labels(labels, column="t", option="time_unit", unit="quarter")


@pytest.mark.parametrize("label", ["2024", "2024H2", "2024Q3", "2024-11", "2024-W53", "2024-02-29"])
def test_a_place_is_named_as_it_was_read(label):
    if label == "2024-W53":
        label = "2020-W53"
    found = read_time_labels([label], column="t", option="time_unit")
    assert name_time(found.unit, found.places[label]) == label


# --- zones ---------------------------------------------------------------------------------------


def test_times_of_one_place_keep_its_days_through_summer_time():
    text = pd.Series(["2024-01-01T00:30:00+01:00", "2024-07-01T23:30:00+02:00"], name="t")
    days = parse_times(text).values.dt.strftime("%Y-%m-%d %H:%M").tolist()
    assert days == ["2024-01-01 00:30", "2024-07-01 23:30"]
    there = parse_times(text, zone="Asia/Shanghai").values.dt.strftime("%Y-%m-%d").tolist()
    assert there == ["2024-01-01", "2024-07-02"]


def test_times_of_several_places_need_a_zone():
    text = pd.Series(["2024-01-01T00:30:00Z", "2024-01-01T00:30:00+08:00"], name="t")
    with pytest.raises(CasesError, match=r"offsets from UTC between .*Pass time_zone="):
        parse_times(text)
    assert parse_times(text, zone="UTC").values.dt.day.tolist() == [1, 31]
    with pytest.raises(CasesError, match="without: which day"):
        parse_times(pd.Series(["2024-01-01T00:30:00Z", "2024-01-01T00:30:00"], name="t"))


def test_columns_with_a_zone_are_moved_to_the_one_that_is_said():
    column = pd.Series(pd.to_datetime(["2024-01-01 23:30"]).tz_localize("Europe/Berlin"))
    assert parse_times(column).values.dt.day.tolist() == [1]
    assert parse_times(column, zone="Asia/Shanghai").values.dt.day.tolist() == [2]
    mixed = pd.Series([column.iloc[0], column.iloc[0].tz_convert("Europe/Athens")], dtype=object)
    assert parse_times(mixed).values.dt.hour.tolist() == [23, 0]


def test_a_zone_that_nobody_knows_is_refused():
    with pytest.raises(SpecError, match="time_zone must be a name such as 'Europe/Berlin'"):
        check_zone("Berlin")


def test_patients_are_split_by_the_days_of_one_zone():
    times = ["2023-12-31T23:45:00+01:00", "2024-01-01T00:15:00+01:00", "2023-07-01T09:30:00+02:00"]
    table = pd.DataFrame({"visit": times, "y": [0, 1, 0]})
    columns = {"outcome": "y", "period": "visit", "start": "2024-01-01"}
    assert read_after(table, PatientColumns(**columns))[0].tolist() == [False, True, False]
    there = PatientColumns(**columns, time_zone="Asia/Shanghai")
    assert read_after(table, there)[0].tolist() == [True, True, False]
    with pytest.raises(SpecError, match="time_zone must be"):
        BeforeAfter(**columns, direction="higher", time_zone="nowhere").estimate(
            table, program=Program(), draws=100, rng=np.random.default_rng(1)
        )
