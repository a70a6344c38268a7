"""What a difference in differences refuses, and what its messages say."""

import numpy as np
import pandas as pd
import pytest
from made_panels import made_panel as longer_panel
from made_panels import staggered_panel

from outcomekpi.declare.errors import CasesError, EngineError, SpecError
from outcomekpi.pilots.designs.did import DifferenceInDifferences
from outcomekpi.pilots.estimators.did_adapter import heard
from outcomekpi.pilots.ladder.comparison import compare_pilot


def design(**changes):
    given = {"outcome": "rate", "unit": "ward", "time": "year", "start": "start"}
    return DifferenceInDifferences(**(given | {"estimator": "2x2"} | changes))


def made_panel(**changes):
    """A panel with one time before the start, so that no event study takes time."""
    return longer_panel(**({"start": 2} | changes))


def changed(**columns):
    return made_panel().assign(**columns)


def without_controls(frame):
    return frame[frame["start"] > 0]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (changed(start=lambda f: f["start"].replace(2002, 2001)), "had the program in every"),
        (changed(start=lambda f: f["start"].replace(2002, 2030)), "must lie within the data"),
        (changed(start=lambda f: f["start"].replace(2002, 1990)), "must lie within the data"),
        (changed(start=lambda f: f["start"].replace(2002, 2003.5)), "one of the times"),
        (changed(start=0), "nobody was treated"),
        (without_controls(made_panel()), "use InterruptedSeries"),
        (pd.concat([made_panel(), made_panel().iloc[[5]]]), "rows='patients'"),
        (made_panel().drop(index=[3, 4]), "'w000' at '2004', '2005'"),
        (made_panel().drop(columns="rate"), r"1 column not found in the table: 'rate' \(outcome\)"),
        (changed(ward=lambda f: f["ward"].where(f.index != 2)), "must name the unit"),
        (changed(year=lambda f: f["year"].where(f["year"] < 2006, 2009)), "evenly spaced"),
        (changed(year=2001), "holds one"),
        (changed(year=lambda f: "term " + f["year"].astype(str)), "Number the periods"),
        (changed(rate=np.inf), "hold finite numbers"),
        (changed(start=lambda f: f["start"].where(f.index != 3, 2005)), "one value for each unit"),
    ],
)
def test_data_that_are_no_panel_with_controls_are_refused(frame, message):
    with pytest.raises(CasesError, match=message):
        compare_pilot(frame, design())


def test_a_start_given_per_unit_must_not_differ_between_its_rows():
    frame = made_panel()
    frame.loc[frame.index[3], "start"] = 0
    with pytest.raises(CasesError, match="first 'w000'"):
        compare_pilot(frame, design())


def test_units_with_gaps_can_be_left_out():
    frame = made_panel().drop(index=[3])
    effect = compare_pilot(frame, design(gaps="drop_units"))
    whole = frame[frame["ward"] != "w000"]
    assert effect.main.value == pytest.approx(compare_pilot(whole, design()).main.value)
    assert "1 unit with gaps left out: 'w000'" in effect.findings.facts["units"]


def test_missing_outcomes_are_counted_and_make_gaps():
    frame = made_panel()
    frame.loc[frame.index[4], "rate"] = np.nan
    with pytest.raises(CasesError, match="no row, or no outcome"):
        compare_pilot(frame, design())
    effect = compare_pilot(frame, design(gaps="drop_units"))
    assert "treated 0 before and 1 after" in effect.findings.facts["missing_outcomes"]
    assert "attrition" in effect.threats_frame().index


def test_several_starts_are_no_two_by_two():
    with pytest.raises(CasesError, match="use estimator='callaway_santanna'"):
        compare_pilot(staggered_panel(), design())


def test_everybody_treated_in_turn_points_to_units_not_yet_treated():
    frame = staggered_panel()
    frame.loc[frame["start"] == 0, "start"] = 2006
    with pytest.raises(CasesError, match="control='not_yet_treated'"):
        compare_pilot(frame, design(estimator="callaway_santanna"))


@pytest.mark.parametrize("inference", ["cluster", "wild_bootstrap"])
def test_one_treated_cluster_gets_no_cluster_robust_interval(inference):
    frame = made_panel(n_treated=1, n_controls=24)
    with pytest.raises(CasesError, match=r"One treated cluster .* inference='randomization'"):
        compare_pilot(frame, design(inference=inference))


def test_one_treated_cluster_of_several_units_is_one():
    frame = made_panel()
    frame["site"] = np.where(frame["start"] > 0, "here", frame["ward"])
    with pytest.raises(CasesError, match="One treated cluster"):
        compare_pilot(frame, design(cluster="site"))


def test_a_cluster_that_leaves_no_controls_is_refused():
    frame = made_panel()
    frame["site"] = frame["ward"].str[-1].astype(int) % 2
    with pytest.raises(CasesError, match="no cluster is left"):
        compare_pilot(frame, design(cluster="site"))


def test_few_clusters_fail_the_check_and_name_the_remedy():
    frame = made_panel(n_treated=3)
    checks = {one.name: one for one in compare_pilot(frame, design()).findings.checks}
    assert checks["clusters on each side"].passed is False
    assert "wild_bootstrap" in checks["clusters on each side"].verdict
    facts = compare_pilot(longer_panel(n_treated=4), design()).findings.facts
    assert "differences that are none are often seen" in facts["pre_trend"]


def test_percentages_outside_their_range_are_refused():
    with pytest.raises(CasesError, match="percentages from 0 to 100"):
        compare_pilot(changed(rate=lambda f: f["rate"] * 3), design(outcome_unit="%"))
    effect = compare_pilot(made_panel(), design(outcome_unit="%"))
    assert effect.main.unit == "percentage points"


def test_more_events_than_patients_are_refused():
    frame = changed(n=30, rate=lambda f: f["rate"].round())
    with pytest.raises(CasesError, match="no more than trials"):
        compare_pilot(frame, design(trials="n"))


def test_outcomes_that_do_not_fit_the_family_are_refused():
    with pytest.raises(CasesError, match="shares from 0 to 1"):
        compare_pilot(made_panel(), design(estimator="etwfe", family="logit"))
    with pytest.raises(CasesError, match="outcomes from 0"):
        compare_pilot(
            changed(rate=lambda f: f["rate"] - 60), design(estimator="etwfe", family="poisson")
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"family": "logit"}, "estimator='etwfe' or 'event_study'"),
        ({"estimator": "etwfe", "inference": "wild_bootstrap"}, "goes with estimator='2x2' alone"),
        ({"inference": "randomization", "covariates": ("age",)}, "takes no covariates"),
        ({"estimator": "event_study", "control": "not_yet_treated"}, "never treated"),
        ({"estimator": "2×2"}, "Did you mean '2x2'"),
        ({"covariates": "age"}, "covariates must be several values.*got 'age'"),
        ({"rows": "patients", "trials": "n"}, "Leave one out"),
        ({"direction": "up"}, "direction must be one of"),
        ({"gaps": "ignore"}, "gaps must be one of"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(SpecError, match=message):
        design(**options)


def test_one_column_in_two_roles_is_refused():
    with pytest.raises(CasesError, match="was named as outcome and time"):
        compare_pilot(made_panel(), design(outcome="year"))


@pytest.mark.parametrize(
    ("times", "start"),
    [
        (pd.date_range("2024-01-01", periods=6, freq="MS"), pd.Timestamp("2024-02-01")),
        ([f"2024-{month:02d}" for month in range(1, 7)], "2024-02"),
        (["2023Q1", "2023Q2", "2023Q3", "2023Q4", "2024Q1", "2024Q2"], "2023Q2"),
        (pd.date_range("2024-01-03", periods=6, freq="7D"), pd.Timestamp("2024-01-10")),
        (["1", "2", "3", "4", "5", "6"], "2"),
    ],
)
def test_times_may_be_dates_months_or_quarters(times, start):
    frame = made_panel()
    wanted = compare_pilot(frame, design()).main.value
    known = dict(zip(range(2001, 2007), times, strict=True))
    dated = frame.assign(
        year=frame["year"].map(known),
        start=pd.Series(
            [start if one else None for one in frame["start"]], index=frame.index, dtype=object
        ),
    )
    assert compare_pilot(dated, design()).main.value == pytest.approx(wanted)


def test_never_may_be_written_in_words():
    frame = made_panel()
    words = frame.assign(start=frame["start"].replace(0, -1).astype(str).replace("-1", "never"))
    wanted = compare_pilot(frame, design()).main.value
    assert compare_pilot(words, design()).main.value == pytest.approx(wanted)


def test_published_figures_point_to_their_design():
    with pytest.raises(CasesError, match="PublishedAggregates"):
        compare_pilot("43 % to 68 %", design())


def test_a_covariate_must_be_complete_and_have_a_name_of_its_own():
    frame = changed(age=np.nan, start_=1.0)
    with pytest.raises(CasesError, match=r"Column 'age' \(covariate\)"):
        compare_pilot(frame, design(covariates=("age",)))
    with pytest.raises(CasesError, match="needs another name"):
        compare_pilot(changed(treated=1.0), design(covariates=("treated",)))


def test_missing_outcomes_of_patients_bound_the_effect():
    rng = np.random.default_rng(5)
    rows = made_panel(n_times=2).loc[lambda f: f.index.repeat(10)].reset_index(drop=True)
    rows["cured"] = rng.binomial(1, 0.5, len(rows)).astype(float)
    after = (rows["start"] > 0) & (rows["year"] == 2002)
    rows.loc[after & (np.arange(len(rows)) % 5 == 0), "cured"] = np.nan
    chosen = design(outcome="cured", rows="patients")
    ends = [
        compare_pilot(rows.assign(cured=rows["cured"].fillna(value)), chosen).main.value
        for value in (0.0, 1.0)
    ]
    threat = compare_pilot(rows, chosen).threats_frame().loc["attrition", "tipping"]
    assert "16 outcomes of the treated are missing after the start, 0 before it" in threat
    assert f"the effect would be {ends[0]:.4g}" in threat
    assert f"been 1, {ends[1]:.4g} percentage points" in threat


def test_shares_without_log_odds_are_refused_with_the_group_and_the_time():
    frame = changed(n=20, rate=10)
    frame.loc[(frame["start"] > 0) & (frame["year"] == 2002), "rate"] = 20
    with pytest.raises(EngineError, match="units that start at 2002 at 2002: 1"):
        compare_pilot(frame, design(trials="n", estimator="event_study", family="logit"))


@pytest.mark.parametrize(
    ("told", "message"),
    [(lambda f: (f["start"] > 0) * 1.0, "tells treated and controls apart"), (7.0, "one value, 7")],
)
def test_covariates_that_adjust_for_nothing_are_refused(told, message):
    frame = changed(told=told)
    with pytest.raises(CasesError, match=message):
        compare_pilot(frame, design(estimator="callaway_santanna", covariates=("told",)))


def test_an_error_of_a_library_becomes_one_of_ours_with_its_reason():
    wanted = "cannot be estimated from these data: no units left"
    with pytest.raises(EngineError, match=wanted), heard([]):
        raise ValueError("no units\n left")


def flat_before(shift=0.0):
    """Three times before the start at which every unit has the same outcome."""
    frame = longer_panel(n_treated=10, n_controls=10)
    frame.loc[frame["year"] < 2004, "rate"] = 0.0
    frame.loc[(frame["year"] == 2003) & (frame["start"] > 0), "rate"] = shift
    return frame


def test_a_change_before_the_start_that_is_the_same_for_everyone_is_one():
    frame = flat_before()
    effect = compare_pilot(frame, design(estimator="callaway_santanna"))
    after = frame[frame["year"] >= 2004].groupby("start")["rate"].mean()
    assert effect.main.value == pytest.approx(after[2004] - after[0])
    table = effect.findings.tables["event_study"].set_index("time")
    assert (table.loc[[-3, -2], ["mean", "lower", "upper"]] == 0).all(axis=None)
    assert effect.findings.tables["counterfactual"].notna().all(axis=None)
    assert "at -3 from the start is the same for every unit" in effect.findings.facts["pre_trend"]
    assert effect.findings.withheld == ""


def test_a_departure_before_the_start_without_any_spread_is_certain():
    effect = compare_pilot(flat_before(1.0), design(estimator="callaway_santanna"))
    assert "stood 1 units of rate above their own earlier ones" in effect.verdict()


def across_zero(**changes):
    frame = made_panel(n_times=6, start=4)
    frame["year"] -= 2004
    frame["start"] = np.where(frame["start"] > 0, 0.0, np.nan)
    return frame.assign(**changes)


@pytest.mark.slow
def test_a_start_of_zero_is_a_time_where_the_times_run_across_it():
    wanted = compare_pilot(made_panel(n_times=6, start=4), design()).main
    for start in (lambda f: f["start"], lambda f: f["start"].map({0.0: "0"}).fillna("never")):
        found = compare_pilot(across_zero(start=start), design()).main
        assert found.value == pytest.approx(wanted.value)


def test_a_start_of_zero_that_may_be_a_time_or_never_is_refused():
    for first in (0, -3):
        frame = across_zero(start=lambda f: f["start"].fillna(1.0))
        frame["year"] += first + 3
        with pytest.raises(CasesError, match="0 may be that time, or mean never"):
            compare_pilot(frame, design())
