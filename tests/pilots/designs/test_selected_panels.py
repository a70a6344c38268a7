"""Units chosen by an extreme baseline: refused, left out, or seen where nobody said so."""

import numpy as np
import pandas as pd
import pytest
from made_panels import made_panel, staggered_panel
from scipy.stats import ttest_ind

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.pilots.data.panel import PanelColumns, read_panel
from outcomekpi.pilots.designs.did import DifferenceInDifferences
from outcomekpi.pilots.designs.selection_signs import CHECK, find_selection_signs
from outcomekpi.pilots.designs.synthetic import SyntheticControl
from outcomekpi.pilots.ladder.comparison import compare_pilot
from outcomekpi.pilots.ladder.program import Program

COLUMNS = {"outcome": "bp", "unit": "patient", "time": "visit", "start": "start"}
SELECTED = Program(selected_on_baseline=True)


def noise_alone(*, visits=2, chosen_by=0, count=400, seed=3, cutoff=160):
    """Readings N(140, 15) with SD 10 of the noise; those from 160 on are treated at the end."""
    rng = np.random.default_rng(seed)
    readings = rng.normal(140, 15, (count, 1)) + rng.normal(0, 10, (count, visits))
    treated = readings[:, chosen_by] >= cutoff
    return pd.DataFrame(
        {
            "patient": np.repeat(np.arange(count), visits),
            "visit": np.tile(np.arange(1, visits + 1), count),
            "start": np.repeat(np.where(treated, float(visits), np.nan), visits),
            "bp": readings.ravel(),
        }
    )


def checked(effect):
    return {one.name: one for one in effect.findings.checks}[CHECK]


def did(**changes):
    return DifferenceInDifferences(**COLUMNS, direction="lower", **changes)


def test_patients_chosen_by_their_one_reading_get_no_effect():
    effect = compare_pilot(noise_alone(), did())
    assert effect.main.excludes_null(level=0.95)
    assert checked(effect).passed is False
    assert effect.verdict().startswith("These data do not show an effect")
    assert "the treated look chosen by their baseline" in effect.verdict()
    assert "for the better" not in effect.verdict()
    told = compare_pilot(noise_alone(), did(), program=Program(selected_on_baseline=False))
    assert "for the better" in told.verdict()
    assert checked(told).passed is False


@pytest.mark.parametrize(
    "design",
    [did(), SyntheticControl(**COLUMNS)],
    ids=["did", "synthetic"],
)
def test_a_program_that_chose_by_the_baseline_must_name_its_periods(design):
    with pytest.raises(SpecError, match=r"Name these periods by selected_in=\(\.\.\.\)"):
        compare_pilot(noise_alone(), design, program=SELECTED)


def test_naming_periods_and_denying_the_choice_contradict_each_other():
    with pytest.raises(SpecError, match="Correct one of them"):
        compare_pilot(
            noise_alone(visits=3),
            did(selected_in=(2,)),
            program=Program(selected_on_baseline=False),
        )


def test_the_only_period_before_cannot_be_left_out():
    with pytest.raises(CasesError, match="use BeforeAfter with selection="):
        compare_pilot(noise_alone(), did(selected_in=(1,)), program=SELECTED)


@pytest.mark.slow
def test_without_the_periods_that_chose_them_nothing_is_left_of_noise():
    frame = noise_alone(visits=4, chosen_by=2, count=2000)
    plain = compare_pilot(frame, did())
    assert plain.main.value < -5  # about -10 by regression to the mean
    assert checked(plain).passed is False
    effect = compare_pilot(frame, did(selected_in=(3,)), program=SELECTED)
    by_hand = frame[frame["visit"] != 3].assign(visit=lambda f: f["visit"].replace(4, 3))
    by_hand["start"] = by_hand["start"].replace(4, 3)
    wanted = compare_pilot(by_hand, did()).main
    assert effect.main.value == pytest.approx(wanted.value)
    assert effect.main.se == pytest.approx(wanted.se)
    assert abs(effect.main.value) < 2.5 * effect.main.se
    assert checked(effect).passed is True
    assert "Left out, because they chose the units: '3'" in effect.findings.facts["units"]
    assert "are left out" in effect.threats_frame().loc["regression to the mean", "handled"]


def test_the_synthetic_control_leaves_out_the_same_periods():
    frame = made_panel(n_treated=1, n_controls=12, n_times=8, start=8)
    frame.loc[(frame["start"] > 0) & (frame["year"] == 2007), "rate"] += 40
    columns = {"outcome": "rate", "unit": "ward", "time": "year", "start": "start"}
    assert compare_pilot(frame, SyntheticControl(**columns)).findings.withheld
    found = compare_pilot(
        frame, SyntheticControl(**columns, selected_in=("2007",)), program=SELECTED
    )
    by_hand = frame[frame["year"] != 2007].replace({"year": {2008: 2007}, "start": {2008: 2007}})
    wanted = compare_pilot(by_hand, SyntheticControl(**columns)).main
    assert found.main.value == pytest.approx(wanted.value)
    assert found.findings.withheld == ""


@pytest.mark.parametrize(
    ("selected_in", "message"),
    [
        ((1999,), "must name times in the data, which run from 2001 to 2006; 1999"),
        ((2004,), "must name periods before the program; '2004' lie at or after the last start"),
        ((2001, 2002, 2003), "there is no period before the start at '2004'"),
    ],
)
def test_periods_that_cannot_have_chosen_are_refused(selected_in, message):
    design = DifferenceInDifferences(
        outcome="rate", unit="ward", time="year", start="start", selected_in=selected_in
    )
    with pytest.raises(CasesError, match=message):
        compare_pilot(made_panel(), design)


def test_a_start_in_a_period_that_chose_later_units_begins_with_the_next_one():
    columns = {"outcome": "rate", "unit": "ward", "time": "year", "start": "start"}
    panel = read_panel(staggered_panel(), PanelColumns(**columns, selected_in=(2003,)))
    assert panel.times == ("2001", "2002", "2004", "2005", "2006")
    assert panel.starts == [3, 4]


def signs_of(frame):
    columns = {"outcome": "rate", "unit": "ward", "time": "year", "start": "start"}
    return find_selection_signs(read_panel(frame, PanelColumns(**columns)))


def test_the_departure_is_welchs_t_of_the_last_period_less_the_earlier_ones():
    frame = made_panel()
    wide = frame.pivot(index="ward", columns="year", values="rate")
    last = wide[2003] - wide[[2001, 2002]].mean(axis=1)
    treated = frame.groupby("ward")["start"].first() > 0
    wanted = ttest_ind(last[treated], last[~treated], equal_var=False)
    found = signs_of(frame)
    assert found.departure == pytest.approx(last[treated].mean() - last[~treated].mean())
    assert found.p_value == pytest.approx(wanted.pvalue)
    assert found.degrees_of_freedom == pytest.approx(wanted.df)


def test_several_starts_are_averaged_by_their_treated():
    frame = staggered_panel()
    alone = [signs_of(frame[frame["start"].isin([0, one])]) for one in (2003, 2005)]
    found = signs_of(frame)
    assert found.departure == pytest.approx((6 * alone[0].departure + 5 * alone[1].departure) / 11)


def test_one_treated_unit_has_the_spread_of_the_controls():
    frame = made_panel(n_treated=1, n_controls=12)
    found = signs_of(frame)
    wide = frame.pivot(index="ward", columns="year", values="rate")
    last = wide[2003] - wide[[2001, 2002]].mean(axis=1)
    assert found.error == pytest.approx(last.iloc[1:].std(ddof=1) * np.sqrt(1 + 1 / 12))
    assert found.degrees_of_freedom == 11


def test_a_cut_is_no_sign_where_chance_makes_it():
    # of 6 choices of 2 among 4 units 2 are cut
    few = made_panel(n_treated=2, n_controls=2, start=2, sd=0.01)
    few.loc[few["start"] > 0, "rate"] += 100
    assert signs_of(few).cut is None
    many = made_panel(n_treated=8, n_controls=8, start=2, sd=0.01)
    many.loc[many["start"] > 0, "rate"] += 100
    found = signs_of(many).cut
    assert found.above and found.treated == 8 and found.when == "2001"
    assert np.isnan(signs_of(many).p_value)


def test_nothing_before_the_start_is_said_of_units_that_overlap():
    effect = compare_pilot(
        made_panel(start=2),
        DifferenceInDifferences(outcome="rate", unit="ward", time="year", start="start"),
    )
    assert checked(effect).passed is None
    assert "does not rule out" in checked(effect).verdict
    assert effect.findings.withheld == ""


def test_a_return_of_half_the_distance_names_the_correlation_that_makes_it():
    frame = made_panel(start=2, effect=0.0, sd=0.01)
    treated = frame["start"] > 0
    gap = (
        frame.loc[treated & (frame["year"] == 2001), "rate"].mean()
        - frame.loc[~treated & (frame["year"] == 2001), "rate"].mean()
    )
    frame.loc[treated & (frame["year"] > 2001), "rate"] -= gap / 4
    effect = compare_pilot(
        frame, DifferenceInDifferences(outcome="rate", unit="ward", time="year", start="start")
    )
    threat = effect.threats_frame().loc["regression to the mean", "tipping"]
    assert "a correlation of 0.75 between two readings" in threat
