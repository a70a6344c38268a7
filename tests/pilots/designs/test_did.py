"""Difference in differences: R's numbers on mpdta, sums by hand, families, wording."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_panels import made_panel, staggered_panel
from scipy.stats import chi2, f, t

from outcomekpi.declare.errors import SpecError
from outcomekpi.pilots.data.panel import PanelColumns, read_panel
from outcomekpi.pilots.designs.did import DifferenceInDifferences
from outcomekpi.pilots.estimators.did_adapter import fit_cells
from outcomekpi.pilots.estimators.event_study import EventStudy
from outcomekpi.pilots.estimators.parallel_bounds import bound_parallel_trends
from outcomekpi.pilots.ladder.checklist import QUESTIONS
from outcomekpi.pilots.ladder.comparison import compare_pilot
from outcomekpi.pilots.ladder.program import Program

MPDTA = Path(__file__).parents[4] / "shared" / "data" / "mpdta.csv"


def design(**changes):
    given = {"outcome": "rate", "unit": "ward", "time": "year", "start": "start"}
    return DifferenceInDifferences(**(given | changes))


def early_panel():
    """Starts in 2003 and 2005, without the first year: few coefficients before the start."""
    frame = staggered_panel()
    return frame[frame["year"] > 2001]


@pytest.fixture(scope="module")
def counties():
    if not MPDTA.exists():
        pytest.skip("mpdta.csv is not beside this checkout")
    return pd.read_csv(MPDTA)


@pytest.fixture(scope="module")
def employment(counties):
    return compare_pilot(
        counties,
        DifferenceInDifferences(
            outcome="lemp", unit="countyreal", time="year", start="first.treat"
        ),
    )


# did::att_gt(yname = "lemp", tname = "year", idname = "countyreal", gname = "first.treat",
#   control_group = "nevertreated", est_method = "reg"); printed with four digits
@pytest.mark.parametrize(
    ("start", "wanted"),
    [
        ("2004", [-0.0105, -0.0704, -0.1373, -0.1008]),
        ("2006", [-0.0046, -0.0412]),
        ("2007", [-0.0261]),
    ],
)
def test_effects_by_start_and_time_are_those_of_r(employment, start, wanted):
    table = employment.findings.tables["by_start"]
    after = table[table["after"] & (table["start"] == start)]
    np.testing.assert_allclose(after["mean"], wanted, atol=5.1e-5)


def test_averages_are_those_of_r(employment):
    frame = employment.to_frame()
    assert frame["mean"].iloc[0] == pytest.approx(-0.03995, abs=5e-6)
    dynamic = frame.loc["average effect over the times since the start", "mean"]
    assert dynamic == pytest.approx(-0.0772, abs=5e-5)
    table = employment.findings.tables["by_start"]
    by_start = table[table["after"]].groupby("start")["mean"].mean()
    # did::aggte(type = "group"): starts weighted by their 20, 40 and 131 counties
    assert float(by_start @ [20, 40, 131] / 191) == pytest.approx(-0.0310, abs=5e-5)


def test_the_test_of_the_trends_before_is_that_of_r(counties):
    columns = PanelColumns(outcome="lemp", unit="countyreal", time="year", start="first.treat")
    panel = read_panel(counties, columns)
    cells = fit_cells(panel.frame, family="gaussian", covariates=(), cluster="cluster")
    before = cells.time < cells.start
    # R divides by G, not by G - 1 clusters
    spread = cells.covariance[np.ix_(before, before)] * 499 / 500
    found = cells.coefficients[before]
    statistic = found @ np.linalg.solve(spread, found)
    assert chi2.sf(statistic, before.sum()) == pytest.approx(0.16812, abs=5e-6)


def test_two_by_two_is_the_difference_of_changes():
    frame = made_panel(start=2)
    late = frame["year"] >= 2002
    means = frame.groupby([frame["start"] > 0, late])["rate"].mean()
    wanted = (means[True, True] - means[True, False]) - (means[False, True] - means[False, False])
    effect = compare_pilot(frame, design(estimator="2x2"))
    assert effect.main.value == pytest.approx(wanted)
    assert effect.main.degrees_of_freedom == 17
    assert effect.findings.naive.value == pytest.approx(means[True, True] - means[True, False])


def test_the_clustered_error_is_that_of_statsmodels():
    from statsmodels.regression.linear_model import OLS

    frame = made_panel(start=2)
    treated, late = (frame["start"] > 0) * 1.0, (frame["year"] >= 2002) * 1.0
    matrix = np.column_stack([np.ones(len(frame)), treated, late, treated * late])
    fit = OLS(frame["rate"], matrix).fit(
        cov_type="cluster", cov_kwds={"groups": frame["ward"].to_numpy()}
    )
    assert compare_pilot(frame, design(estimator="2x2")).main.se == pytest.approx(
        float(fit.bse.iloc[3])
    )


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["callaway_santanna", "etwfe", "event_study"])
def test_estimators_agree_where_they_estimate_the_same(estimator):
    frame = made_panel(start=6)
    # one period after: the change from the last period before is what all but 2x2 look at
    last = frame[frame["year"] >= 2005].pivot(index="ward", columns="year", values="rate")
    change = last[2006] - last[2005]
    treated = frame.groupby("ward")["start"].first() > 0
    wanted = change[treated].mean() - change[~treated].mean()
    effect = compare_pilot(frame, design(estimator=estimator))
    assert effect.main.value == pytest.approx(wanted)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["callaway_santanna", "etwfe", "event_study"])
def test_a_staggered_effect_is_found_by_each_estimator(estimator):
    effect = compare_pilot(early_panel(), design(estimator=estimator))
    lower, upper = effect.main.interval(level=0.99)
    assert lower < 2.0 < upper
    assert effect.main.excludes_null(level=0.95)


def test_log_odds_and_log_rates_are_those_of_the_cell_means():
    rng = np.random.default_rng(3)
    frame = made_panel(n_times=2, start=2)
    frame["patients"] = 40
    after = (frame["start"] > 0) & (frame["year"] == 2002)
    frame["events"] = rng.binomial(40, 0.3 + 0.2 * after)
    p = (frame["events"] / 40).groupby([frame["start"] > 0, frame["year"]]).mean()
    odds = p / (1 - p)
    log_ratio = np.log(
        odds[True, 2002] / odds[True, 2001] / (odds[False, 2002] / odds[False, 2001])
    )
    without = 1 / (1 + np.exp(log_ratio) / odds[True, 2002])
    for estimator in ("event_study", "etwfe"):
        chosen = design(outcome="events", trials="patients", estimator=estimator, family="logit")
        effect = compare_pilot(frame, chosen)
        assert effect.main.value == pytest.approx(100 * (p[True, 2002] - without), rel=1e-5)
        assert effect.main.unit == "percentage points"
    effect = compare_pilot(
        frame, design(outcome="events", estimator="event_study", family="poisson")
    )
    ratio = p[True, 2002] / p[True, 2001] / (p[False, 2002] / p[False, 2001])
    found = effect.to_frame().loc["rate ratio, average over the times since the start"]
    assert found["mean"] == pytest.approx(ratio, rel=1e-6)
    assert found["lower"] < found["mean"] < found["upper"]


def test_the_error_of_an_outcome_scale_effect_agrees_with_the_other_library():
    rng = np.random.default_rng(4)
    frame = made_panel(n_treated=20, n_controls=25, n_times=2, start=2)
    frame["patients"] = 50
    frame["events"] = rng.binomial(50, 0.4, len(frame))
    errors = []
    for estimator in ("event_study", "etwfe"):
        chosen = design(outcome="events", trials="patients", estimator=estimator, family="logit")
        errors.append(compare_pilot(frame, chosen).main.se)
    # diff-diff lets the observed mean vary as well and has other small-sample factors
    assert errors[0] == pytest.approx(errors[1], rel=0.1)


def test_patients_and_their_averages_say_the_same_where_units_are_equally_large():
    import pyfixest as pf

    from outcomekpi.pilots.estimators.did_adapter import heard

    rng = np.random.default_rng(5)
    rows = (
        made_panel(n_times=4, start=3).loc[lambda rows: rows.index.repeat(5)].reset_index(drop=True)
    )
    rows["cured"] = rng.binomial(1, 0.3 + 0.3 * ((rows["start"] > 0) & (rows["year"] >= 2003)))
    effect = compare_pilot(rows, design(outcome="cured", rows="patients", estimator="2x2"))
    rows["treated"], rows["late"] = (rows["start"] > 0) * 1, (rows["year"] >= 2003) * 1
    with heard([]):
        fit = pf.feols("cured ~ treated * late", data=rows, vcov={"CRV1": "ward"})
    assert effect.main.value == pytest.approx(100 * fit.coef()["treated:late"])
    # (N - 1) / (N - k) of 360 patients against that of 72 averages
    factor = np.sqrt((71 / 68) / (359 / 356))
    assert effect.main.se == pytest.approx(100 * fit.se()["treated:late"] * factor)
    assert "360 patients averaged to 72" in effect.findings.facts["units"]


def test_relative_effects_divide_by_the_mean_without_the_program():
    frame = made_panel(start=2)
    effect = compare_pilot(frame, design(estimator="2x2"))
    observed = frame.loc[(frame["start"] > 0) & (frame["year"] >= 2002), "rate"].mean()
    row = effect.to_frame().loc["ratio to the mean without the program"]
    assert row["mean"] == pytest.approx(observed / (observed - effect.main.value))
    lower, _ = effect.main.interval(level=0.95)
    assert row["lower"] == pytest.approx(observed / (observed - lower))


def test_units_not_yet_treated_are_controls_where_everybody_starts_in_the_end():
    frame = staggered_panel()
    frame.loc[frame["start"] == 0, "start"] = 2006
    effect = compare_pilot(frame, design(control="not_yet_treated"))
    assert "times from then on" in effect.findings.facts["units"]
    lower, upper = effect.main.interval(level=0.99)
    assert lower < 2.0 < upper
    assert "2005" in effect.findings.estimand


def test_a_covariate_that_carries_the_difference_takes_it_away():
    frame = made_panel(effect=0.0, sd=0.1, start=2)
    rng = np.random.default_rng(1)
    frame["age"] = rng.normal(60, 5, len(frame)) + 3 * (
        (frame["start"] > 0) & (frame["year"] >= 2002)
    )
    frame["rate"] += 0.5 * frame["age"]
    plain = compare_pilot(frame, design(estimator="2x2"))
    adjusted = compare_pilot(frame, design(estimator="2x2", covariates=("age",)))
    assert abs(adjusted.main.value) < 0.6 < plain.main.value
    assert adjusted.findings.facts["case_mix"] == "in the model: age"


def test_tables_and_facts_have_their_names(employment):
    tables = compare_pilot(made_panel(), design()).findings.tables
    assert list(tables["event_study"].columns) == ["time", "mean", "lower", "upper", "is_reference"]
    assert list(tables["bounds"].columns) == ["m", "lower", "upper", "method"]
    assert {"relative_magnitudes", "smoothness"} < set(tables["bounds"]["method"])
    assert list(tables["weights"].columns) == ["unit", "weight"]
    assert tables["weights"]["weight"].sum() == pytest.approx(1)
    columns = ["time", "observed", "fitted", "counterfactual", "lower", "upper", "after"]
    assert list(tables["counterfactual"].columns) == columns
    facts = employment.findings.facts
    assert set(facts) <= set(QUESTIONS)
    assert "M = " in facts["sensitivity"]
    assert "seen with a probability of 50 %" in facts["pre_trend"]
    # R's statistic, with G - 1 for G clusters, against Hotelling's F
    statistic = chi2.isf(0.16812, 5) * 499 / 500
    chance = f.sf(statistic * 495 / (5 * 499), 5, 495)
    assert f"p = {chance:.3g} (5 effects before)" in facts["pre_trend"]
    named = {threat.name for threat in employment.findings.threats}
    assert "trends that were not parallel" in named


def test_the_counterfactual_is_the_observed_mean_less_the_effect():
    effect = compare_pilot(made_panel(), design())
    table = effect.findings.tables["counterfactual"]
    gap = (table["observed"] - table["counterfactual"])[table["after"]]
    assert gap.mean() == pytest.approx(effect.main.value)
    assert (table["lower"] <= table["counterfactual"]).all()


def test_regression_to_the_mean_is_a_threat_unless_nobody_was_chosen_by_a_baseline():
    said = Program(selected_on_baseline=False)
    named = compare_pilot(made_panel(start=2), design()).threats_frame().index
    assert "regression to the mean" in named
    denied = compare_pilot(made_panel(start=2), design(), program=said).threats_frame().index
    assert "regression to the mean" not in denied


def test_the_verdict_follows_the_direction():
    effect = compare_pilot(made_panel(), design(direction="lower"))
    assert "for the worse" in effect.verdict()
    assert "parallel" in effect.verdict()


@pytest.mark.parametrize("library", ["diff_diff", "pyfixest"])
def test_without_the_libraries_the_message_says_how_to_install_them(monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(SpecError, match=r"pip install 'outcomekpi\[did\]'"):
        compare_pilot(made_panel(), design(estimator="event_study" if "fix" in library else "2x2"))


@pytest.mark.slow
def test_relabeling_units_changes_nothing():
    frame = early_panel()
    renamed = frame.assign(ward=frame["ward"].map(lambda one: f"z{999 - int(one[1:])}"))
    first, second = (compare_pilot(one, design()).main for one in (frame, renamed))
    assert first.value == pytest.approx(second.value)
    assert first.se == pytest.approx(second.se)


def test_the_unit_of_the_outcome_multiplies_through():
    frame = made_panel(start=2)
    first = compare_pilot(frame, design()).main
    second = compare_pilot(frame.assign(rate=10 * frame["rate"]), design()).main
    assert second.value == pytest.approx(10 * first.value)
    assert second.se == pytest.approx(10 * first.se)


def test_the_covariance_of_the_event_study_is_part_of_the_result():
    effect = compare_pilot(staggered_panel(), design())
    tables = effect.findings.tables
    means, covariance = tables["event_study"], tables["event_study_covariance"]
    free = means[~means["is_reference"]]
    assert covariance["time"].tolist() == free["time"].tolist()
    matrix = covariance.drop(columns="time").to_numpy()
    half = t.ppf(0.975, covariance.attrs["degrees_of_freedom"])
    assert np.sqrt(np.diag(matrix)) * half == pytest.approx(
        (free["upper"] - free["mean"]).to_numpy()
    )
    after = (free["time"] >= 0).to_numpy()
    averaged = {one.name: one for one in effect.findings.estimates}[
        "average effect over the times since the start"
    ]
    weights = after / after.sum()
    assert np.sqrt(weights @ matrix @ weights) == pytest.approx(averaged.se)


def test_bounds_can_be_had_again_from_the_tables_and_their_files(tmp_path):
    effect = compare_pilot(staggered_panel(), design())
    tables = effect.findings.tables
    study = EventStudy.from_tables(tables)
    again = bound_parallel_trends(study).to_frame()
    shown = tables["bounds"].iloc[: len(again)]
    assert again[["lower", "upper"]].to_numpy() == pytest.approx(
        shown[["lower", "upper"]].to_numpy()
    )
    read = {}
    for name in ("event_study", "event_study_covariance"):
        tables[name].to_csv(tmp_path / name, index=False)
        read[name] = pd.read_csv(tmp_path / name)
    assert EventStudy.from_tables(read).covariance == pytest.approx(study.covariance)
    with pytest.raises(SpecError, match="'event_study_covariance' is not among 'event_study'"):
        EventStudy.from_tables({"event_study": read["event_study"]})
    with pytest.raises(SpecError, match="a row and a column for each time"):
        EventStudy.from_tables(
            read | {"event_study_covariance": read["event_study_covariance"][1:]}
        )
