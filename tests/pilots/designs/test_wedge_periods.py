"""Periods of a stepped wedge without rows pass all the same; and what order starts look like."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from outcomekpi.declare.errors import CasesError
from outcomekpi.pilots.designs.stepped_wedge import SteppedWedge
from outcomekpi.pilots.designs.wedge_data import fill_periods
from outcomekpi.pilots.estimators.wedge_terms import build_terms
from outcomekpi.pilots.ladder.comparison import compare_pilot
from outcomekpi.pilots.ladder.program import Program

DESIGN = SteppedWedge(outcome="y", unit="clinic", time="period", start="start", direction="higher")


def growing(*, left_out=(5,), sd=0.3, periods=9, seed=4):
    """Twelve clinics whose effect is 2 for each period with the program: 2, 4, ..., 16."""
    rng = np.random.default_rng(seed)
    cells = pd.MultiIndex.from_product([range(12), range(1, periods + 1)])
    frame = cells.set_names(["clinic", "period"]).to_frame(index=False)
    frame["start"] = frame["clinic"] % (periods - 3) + 2
    exposure = (frame["period"] - frame["start"] + 1).clip(lower=0)
    level = rng.normal(40, 2, 12)[frame["clinic"]]
    frame["y"] = level + 0.5 * frame["period"] + 2 * exposure + rng.normal(0, sd, len(frame))
    return frame[~frame["period"].isin(left_out)]


def test_a_period_without_rows_counts_among_the_periods_with_the_program():
    effect = compare_pilot(growing(), DESIGN, draws=200)
    lower, upper = effect.main.interval(level=0.95)
    assert lower < 9 < upper and upper - lower < 2
    table = effect.findings.tables["event_study"].set_index("time")["mean"]
    assert table.loc[0:].to_numpy() == pytest.approx(2 * np.arange(1, 9), abs=1)
    assert "no row at '5', which passed all the same" in effect.findings.facts["units"]


def test_without_noise_every_exposure_is_right():
    effect = compare_pilot(growing(sd=1e-6), DESIGN, draws=200)
    assert effect.main.value == pytest.approx(9, abs=1e-3)
    numbered = growing(sd=1e-6).assign(period=lambda f: f["period"] * 10 - 3)
    numbered["start"] = numbered["start"] * 10 - 3
    assert compare_pilot(numbered, DESIGN, draws=200).main.value == pytest.approx(9, abs=1e-3)


@pytest.mark.parametrize("spell", ["%Y-%m-%d", "%Y-%m"])
def test_dates_leave_out_months_as_numbers_do(spell):
    months = dict(enumerate(pd.date_range("2023-08-01", periods=9, freq="MS"), 1))
    frame = growing(sd=1e-6)
    for column in ("period", "start"):
        frame[column] = frame[column].map(months).dt.strftime(spell)
    assert compare_pilot(frame, DESIGN, draws=200).main.value == pytest.approx(9, abs=1e-3)


def test_a_start_in_the_period_without_rows_is_its_first_with_the_program():
    frame = growing(sd=1e-6)
    assert (frame["start"] == 5).any()
    moved = frame.assign(start=frame["start"].replace(5, 6))
    wrong = compare_pilot(moved, DESIGN, draws=200).main.value
    assert abs(wrong - 9) > 0.1


def test_an_exposure_that_no_cell_shows_is_left_out_of_the_average():
    # starts at 1 and 3 of periods 0, 1, 2, 4: third periods with the program are never seen
    first = np.array([1, 1, 1, 3, 3, 3])
    position = np.arange(6)
    exposure = np.maximum(position[None, :] - first[:, None] + 1, 0)
    present = np.broadcast_to(np.isin(position, [0, 1, 2, 4]), exposure.shape)
    terms = build_terms(exposure, present, "by period")
    assert terms.exposures.tolist() == [1, 2, 4]
    assert terms.values.shape == (6, 6, 4 + 3)
    assert terms.average[-3:].tolist() == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        ([1.0, 2.0, 4.0], [1, 2, 3, 4]),
        ([0.0, 0.5, 1.5], [0, 0.5, 1, 1.5]),
        ([10.0, 20.0, 40.0], [10, 20, 30, 40]),
        ([-2.0, 0.0, 2.0], [-2, 0, 2]),
    ],
)
def test_numbers_are_filled_by_their_common_step(times, wanted):
    assert fill_periods(pd.Index(times), "t").tolist() == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("dates", "wanted"),
    [
        (["2024-01-31", "2024-03-31", "2024-04-30"], "2024-02-29"),
        (["2023-10-01", "2024-01-01", "2024-07-01"], "2024-04-01"),
        (["2024-01-15", "2024-02-15", "2024-04-15"], "2024-03-15"),
        (["2024-01-03", "2024-01-10", "2024-01-24"], "2024-01-17"),
    ],
)
def test_dates_are_filled_by_months_or_days(dates, wanted):
    filled = fill_periods(pd.DatetimeIndex(dates), "t")
    assert filled.tolist() == sorted(pd.to_datetime([*dates, wanted]).tolist())


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([20233.0, 20234.0, 20241.0], "look like year and quarter, such as 20233"),
        ([202310.0, 202312.0, 202401.0], "look like year and month, such as 202310"),
        ([1.0, 2.0, 40.0], "distances of its 3 times run from 1 to 38"),
        ([1.0, 2.0, 3.3], "evenly spaced"),
    ],
)
def test_times_that_are_no_periods_are_refused(times, message):
    with pytest.raises(CasesError, match=message):
        fill_periods(pd.Index(times), "t")


def test_a_start_of_zero_is_a_time_where_the_times_run_across_it():
    frame = growing(sd=1e-6, left_out=())
    shifted = frame.assign(period=frame["period"] - 5, start=frame["start"] - 5.0)
    shifted.loc[shifted["clinic"] >= 10, "start"] = np.nan
    named = frame.assign(start=frame["start"].where(frame["clinic"] < 10))
    wanted = compare_pilot(named, DESIGN, draws=200).main.value
    assert compare_pilot(shifted, DESIGN, draws=200).main.value == pytest.approx(wanted)
    with pytest.raises(CasesError, match="0 may be that time, or mean never"):
        compare_pilot(shifted.fillna({"start": 1.0}), DESIGN)


def worst_first(*, by_baseline, seed=2):
    """No program does anything; clinics start in the order of their first reading, or by lot."""
    rng = np.random.default_rng(seed)
    readings = rng.normal(50, 3, (16, 1)) + rng.normal(0, 6, (16, 6))
    order = np.argsort(np.argsort(-readings[:, 0])) if by_baseline else rng.permutation(16)
    return pd.DataFrame(
        {
            "clinic": np.repeat(np.arange(16), 6),
            "period": np.tile(np.arange(1, 7), 16),
            "start": np.repeat(2 + order // 4, 6),
            "y": readings.ravel(),
        }
    )


def order_check(effect):
    return {one.name: one for one in effect.findings.checks}["start times against the baseline"]


def test_clinics_that_start_in_the_order_of_their_baseline_fail_a_check():
    frame = worst_first(by_baseline=True)
    effect = compare_pilot(frame, DESIGN, draws=500)
    assert order_check(effect).passed is False
    assert "clusters with the highest outcomes came first" in order_check(effect).verdict
    assert effect.findings.withheld == ""
    lot = compare_pilot(worst_first(by_baseline=False), DESIGN, draws=500)
    assert order_check(lot).passed is True


def test_a_selection_that_was_said_and_is_seen_takes_the_claim_away():
    selected = Program(selected_on_baseline=True)
    effect = compare_pilot(worst_first(by_baseline=True), DESIGN, program=selected, draws=500)
    assert effect.verdict().startswith("These data do not show an effect, given that")
    assert "says that it selected on the baseline" in effect.verdict()
    lot = compare_pilot(worst_first(by_baseline=False), DESIGN, program=selected, draws=500)
    assert lot.findings.withheld == ""


def test_the_order_of_the_starts_is_judged_by_all_ways_to_hand_them_out():
    frame = worst_first(by_baseline=False).query("clinic < 6").copy()
    frame["start"] = np.repeat([2, 2, 3, 3, 4, 5], 6)
    found = order_check(compare_pilot(frame, DESIGN, draws=1000)).table
    first = frame[frame["period"] == 1]["y"].to_numpy()
    starts = np.array(list(permutations([2, 2, 3, 3, 4, 5])))
    all_ways = starts @ (first - first.mean())
    real = np.array([2, 2, 3, 3, 4, 5]) @ (first - first.mean())
    wanted = np.mean(np.abs(all_ways) >= abs(real) * (1 - 1e-9))
    assert found["p_value"].iloc[0] == pytest.approx(wanted)


def test_the_covariance_of_the_effects_by_exposure_is_part_of_the_result():
    effect = compare_pilot(growing(), DESIGN, draws=200)
    matrix = effect.findings.tables["event_study_covariance"]
    assert matrix["time"].tolist() == list(range(8))
    values = matrix.drop(columns="time").to_numpy()
    assert values == pytest.approx(values.T)
    assert np.sqrt(values.mean()) == pytest.approx(effect.main.se, rel=0.01)
