"""Synthetic control: published numbers, placebos, what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_panels import made_panel, staggered_panel

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.pilots.designs.synthetic import SyntheticControl
from outcomekpi.pilots.estimators.synthetic_fit import run_placebos
from outcomekpi.pilots.ladder.comparison import compare_pilot

PROP99 = Path(__file__).parents[4] / "shared" / "data" / "california_prop99_wide.csv"


def design(**changes):
    given = {"outcome": "rate", "unit": "ward", "time": "year", "start": "start"}
    return SyntheticControl(**(given | changes))


@pytest.fixture(scope="module")
def cigarettes():
    if not PROP99.exists():
        pytest.skip("california_prop99_wide.csv is not beside this checkout")
    frame = pd.read_csv(PROP99).melt("Year", var_name="ward", value_name="rate")
    frame["start"] = np.where(frame["ward"] == "California", 1989, 0)
    return frame.rename(columns={"Year": "year"})


# synthdid::synthdid_estimate, sc_estimate, did_estimate(Y, N0, T0)
@pytest.mark.parametrize(
    ("method", "wanted"), [("sdid", -15.60383), ("sc", -19.61966), ("did", -27.34911)]
)
def test_california_has_the_effect_of_synthdid(cigarettes, method, wanted):
    effect = compare_pilot(cigarettes, design(method=method))
    assert effect.main.value == pytest.approx(wanted, abs=5e-6)
    assert effect.findings.tables["weights"]["weight"].sum() == pytest.approx(1)


def test_the_whole_of_diff_diff_says_the_same(cigarettes):
    dd = pytest.importorskip("diff_diff")
    frame = cigarettes.assign(treated=(cigarettes["start"] > 0).astype(int))
    theirs = dd.SyntheticDiD(n_bootstrap=20, seed=1).fit(
        frame,
        outcome="rate",
        treatment="treated",
        unit="ward",
        time="year",
        post_periods=list(range(1989, 2001)),
    )
    found = compare_pilot(cigarettes, design()).findings
    assert found.estimates[0].value == pytest.approx(theirs.att, abs=1e-9)
    ours = found.tables["weights"].set_index("unit")["weight"]
    assert ours["Nevada"] == pytest.approx(theirs.unit_weights["Nevada"], abs=1e-9)


def test_each_control_stands_in_once_for_one_treated_unit():
    frame = made_panel(n_treated=1, n_controls=9, n_times=8, start=6)
    effect = compare_pilot(frame, design(method="did"))
    wide = frame.pivot(index="year", columns="ward", values="rate")
    controls = wide.drop(columns="w000").to_numpy()
    change = controls[5:].mean(axis=0) - controls[:5].mean(axis=0)
    placebo = [change[one] - np.delete(change, one).mean() for one in range(9)]
    table = effect.findings.tables["placebo"]
    np.testing.assert_allclose(table["mean"][:9], placebo)
    assert effect.main.se == pytest.approx(np.std(placebo))


def test_an_effect_is_found_and_the_counterfactual_lies_below_it():
    frame = made_panel(n_treated=2, n_controls=12, n_times=10, start=7, effect=5.0)
    effect = compare_pilot(frame, design(direction="higher"))
    lower, upper = effect.main.interval(level=0.99)
    assert lower < 5.0 < upper
    assert effect.main.excludes_null(level=0.95)
    assert "for the better" in effect.verdict()
    table = effect.findings.tables["counterfactual"]
    gap = (table["observed"] - table["counterfactual"])[table["after"]]
    assert gap.mean() == pytest.approx(effect.main.value)
    assert "200" in effect.main.origin


def test_tables_and_facts_are_there():
    findings = compare_pilot(made_panel(n_treated=1, n_times=8, start=6), design()).findings
    assert {"counterfactual", "weights", "time_weights", "placebo", "leave_one_out"} == set(
        findings.tables
    )
    assert list(findings.tables["leave_one_out"].columns) == ["cluster", "mean", "lower", "upper"]
    assert "placebo rank: p = " in findings.facts["sensitivity"]
    assert "that was none" in findings.facts["sensitivity"]
    assert findings.naive.se is None


@pytest.mark.parametrize("n_controls", [2, 3])
def test_a_placebo_error_without_more_controls_than_treated_is_refused(n_controls):
    frame = made_panel(n_treated=3, n_controls=n_controls)
    with pytest.raises(CasesError, match="placebo standard error is undefined"):
        compare_pilot(frame, design())
    with pytest.raises(CasesError, match=f"{n_controls} controls and 3 treated units"):
        run_placebos(
            np.zeros((6, n_controls)), 3, method="did", n_treated=3, rng=np.random.default_rng(1)
        )


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (staggered_panel(), "2 starts found"),
        (made_panel(n_controls=1), "1 control found"),
        (made_panel(start=3), "3 times or more before"),
        (made_panel(n_controls=0), "0 controls found"),
    ],
)
def test_panels_without_a_synthetic_control_are_refused(frame, message):
    with pytest.raises(CasesError, match=message):
        compare_pilot(frame, design())


def test_unknown_methods_are_refused():
    with pytest.raises(SpecError, match="Did you mean 'sdid'"):
        design(method="sdd")


@pytest.mark.validate
def test_without_an_effect_placebo_intervals_reject_near_their_rate():
    rejected = [
        compare_pilot(
            made_panel(n_treated=1, n_controls=20, n_times=8, start=6, effect=0.0, seed=seed),
            design(method="did"),
        ).main.excludes_null(level=0.95)
        for seed in range(400)
    ]
    # the placebos have the same noise as the treated; 20 of them leave the error 16 % uncertain
    assert np.mean(rejected) == pytest.approx(0.05, abs=0.035)
