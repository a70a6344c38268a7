"""Small inputs that once gave wrong numbers, through the command line, with the right answers."""

import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import outcomekpi as ok
from outcomekpi.cli import main

CASES = Path(__file__).parents[3] / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.exists(), reason="needs the inputs of ../shared/cases")


@pytest.fixture
def run(tmp_path, capsys):
    """Run a command on one of the files; return exit code, both outputs and the folder."""

    def command(verb, file, arguments):
        argv = [verb, str(CASES / file), *shlex.split(arguments), "--out", str(tmp_path / "out")]
        code = main(argv)
        captured = capsys.readouterr()
        return code, captured.out, captured.err, tmp_path / "out"

    return command


def main_effect(folder):
    effect = pd.read_csv(folder / "effect.csv")
    return effect.iloc[0]


PILOTS = {
    "zero_start.csv": (
        "--design did --outcome score --unit ward --time month --start start",
        (9.97, 0.005),
        7.22,
    ),
    "did_flat_before.csv": (
        "--design did --outcome consults --unit ward --time quarter --start start",
        (8.90, 0.005),
        None,
    ),
    # 2 more in each period with the program, 8 such periods: 9 on average, and readings have noise
    "wedge_missing_period.csv": (
        "--design stepped-wedge --outcome y --unit clinic --time period --start start",
        (9.0, 0.45),
        9.89,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("file", PILOTS)
def test_pilots_have_the_effect_that_was_worked_out(run, file):
    arguments, (effect, tolerance), wrong = PILOTS[file]
    code, _, err, folder = run("pilot", file, f"{arguments} --direction higher --quick")
    assert code == 0, err
    found = main_effect(folder)
    assert found["mean"] == pytest.approx(effect, abs=tolerance)
    assert found["lower"] < effect < found["upper"]
    assert wrong is None or not found["lower"] < wrong < found["upper"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "effect"),
    [("", 0.427), ("--weights units", 0.427), ("--weights patients --estimator 2x2", -5.197)],
)
def test_wards_alike_and_patients_alike_are_two_effects_and_each_is_named(run, options, effect):
    base = "--design did --outcome x --trials n --unit w --time t --start s --direction higher"
    code, said, err, folder = run(
        "pilot", "did_small_and_large_wards.csv", f"{base} {options} --quick"
    )
    assert code == 0, err
    assert main_effect(folder)["mean"] == pytest.approx(effect, abs=5e-4)
    assert ("patient-weighted" if "patients" in options else "unit-weighted") in said


def test_fractions_declared_as_percent_are_refused(run):
    code, _, err, _ = run(
        "pilot",
        "share_as_percent.csv",
        "--design interrupted --outcome share --time month --start 2022-09 --outcome-unit % "
        "--direction higher",
    )
    assert code == 2
    assert "no value is above 1" in err


def test_a_missing_fiscal_year_leaves_the_rule_without_an_answer(run):
    code, said, err, folder = run(
        "thresholds",
        "cycles_missing_fiscal_year.csv",
        "--indicator indicator --cycle year --numerator reached --denominator patients "
        "--reading raw_rate --counts events",
    )
    assert code == 0, err
    assert pd.read_csv(folder / "review.csv")["rule_verdict"].tolist() == ["cannot say"]
    assert "No row has cycle 2012/13" in said


def test_visits_with_offsets_are_days_of_one_time_zone(run):
    code, _, err, _ = run(
        "pilot",
        "visits_with_offsets.csv",
        "--design before-after --outcome controlled --doctor doctor --time visit "
        "--start 2024-01-01 --direction higher --quick",
    )
    assert code == 0, err


@pytest.mark.slow
@pytest.mark.parametrize(("draws", "seed"), [(4000, 7), (20_000, 20261)])
def test_doctors_without_events_keep_finite_effects(draws, seed):
    frame = pd.read_csv(CASES / "poisson_without_events.csv")
    cases = ok.Cases.from_frame(frame, outcome="y", doctor="d", exposure="e")
    fit = ok.fit(cases, ok.ModelSpec(), draws=draws, seed=seed)
    effects = fit.draws["posterior"]["doctor_effect"].to_numpy()
    assert np.isfinite(effects).all()
    assert effects.min() > -15
    assert effects.max() < 15


@pytest.mark.slow
@pytest.mark.parametrize("draws", [1000, 2000, 4000, 20_000])
def test_separation_by_a_rare_covariate_has_the_posterior_of_nuts(draws):
    frame = pd.read_csv(CASES / "separated_by_rare_covariate.csv")
    cases = ok.Cases.from_frame(frame, outcome="y", doctor="d")
    fit = ok.fit(cases, ok.ModelSpec(case_mix="x1 + x2"), draws=draws, seed=20261)
    x2 = fit.draws["posterior"]["coefficient"].sel(term="x2").to_numpy().ravel()
    error = 3.15 / np.sqrt(draws / 4)  # of the mean, at an efficiency of a quarter
    assert x2.mean() == pytest.approx(7.52, abs=0.08 * 3.15 + 2 * error)
    # the SD of draws with this kurtosis has an error of about 1.2 SD / sqrt(draws / 4)
    assert x2.std() == pytest.approx(3.15, abs=0.08 * 3.15 + 2.4 * error)


@pytest.mark.slow
def test_rare_binary_counts_have_the_posterior_of_nuts():
    frame = pd.read_csv(CASES / "rare_binary_counts.csv")
    cases = ok.Cases.from_frame(frame, outcome="y", doctor="d", exposure="e")
    fit = ok.fit(cases, ok.ModelSpec(case_mix="x1 + x2"), draws=20_000, seed=20261)
    x1 = fit.draws["posterior"]["coefficient"].sel(term="x1").to_numpy().ravel()
    assert x1.mean() == pytest.approx(-0.35, abs=0.08 * 1.29)
    assert x1.std() == pytest.approx(1.29, rel=0.08)


def test_thousands_beside_small_numbers_are_asked_about(run):
    """1,286 days beside 680 were read as 1.286: a ward's O/E of .076 where 2.42 is right."""
    columns = "--outcome falls --doctor ward --exposure days --direction lower"
    columns += " --average-doctor median"  # as 2.42 was worked out
    code, _, err, _ = run("evaluate", "falls_thousands.txt", columns)
    assert code == 2
    assert "--thousands ','" in err and "--decimal ','" in err
    tables = {}
    for file, how in (("falls_thousands.txt", " --thousands ,"), ("falls_plain.csv", "")):
        code, _, err, folder = run("evaluate", file, columns + how)
        assert code == 0, err
        tables[file] = pd.read_csv(folder / "doctors.csv").set_index("doctor")
    one, two = tables.values()
    pd.testing.assert_frame_equal(one, two)
    # worked out from other draws: expected falls of a few wards are known to about 1 %
    assert one.loc["W00", "oe"] == pytest.approx(2.42, rel=0.01)
    assert one["flag"].value_counts().to_dict() == {"better": 3, "worse": 2}
