"""`outcomekpi pilot`: what it writes, what it says, and what it refuses."""

import json
import shlex

import numpy as np
import pandas as pd
import pytest

from outcomekpi.cli import main
from outcomekpi.cli.pilot_arguments import add_pilot
from outcomekpi.cli.pilot_designs import DESIGNS, all_options
from outcomekpi.cli.pilot_wording import DESIGNS as DESIGN_WORDS
from outcomekpi.cli.pilot_wording import reword_pilot
from outcomekpi.pages.pilot_masking import tabulate_counts
from outcomekpi.pilots.designs.before_after import BeforeAfter
from outcomekpi.public_names import HOME
from outcomekpi.simulation.made.pilots import simulate_pilot

FILES = {
    *("effect.csv", "sensitivity.csv", "checklist.csv", "report.html", "provenance.json"),
    *("figures", "tables"),
}
FIGURES = "--before 43 --after 68 --percent --years 2"
PATIENTS = (
    "--design before-after --outcome controlled --time period --after after --doctor doctor "
    "--direction higher --quick"
)
SERIES = "--design interrupted --outcome rate --time month --direction higher --quick"
PANEL = (
    "--design did --rows patients --outcome controlled --unit doctor --time quarter "
    "--start start --estimator 2x2 --direction higher --quick"
)


def patients(**options):
    return simulate_pilot(n_doctors=12, n_hospitals=2, n_patients=40, **options)[0]


def series(points=30, start=15, **columns):
    at = np.arange(points)
    frame = pd.DataFrame({"month": at + 1, "rate": 50 + np.sin(at**2) + 3 * (at >= start)})
    return frame.assign(**columns)


@pytest.fixture
def run(tmp_path, capsys):
    """Evaluate a pilot; return exit code, standard output, error output and the folder."""

    def evaluate(arguments, table=None, name="pilot.csv"):
        argv = shlex.split(arguments)
        if table is not None:
            table.to_csv(tmp_path / name, index=False)
            argv = [str(tmp_path / name), *argv]
        code = main(["pilot", *argv, "--out", str(tmp_path / "out"), "--draws", "300"])
        captured = capsys.readouterr()
        return code, captured.out, captured.err, tmp_path / "out"

    return evaluate


def refused(run, arguments, table=None):
    code, out, err, folder = run(arguments, table)
    assert code == 2, out
    assert err.startswith("outcomekpi: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert not folder.exists()
    return err


def test_two_numbers_become_an_honest_page(run):
    code, out, err, folder = run(FIGURES + " --direction higher")
    assert (code, err) == (0, "")
    assert {path.name for path in folder.iterdir()} == FILES
    verdict, report = out.strip().split("\n")
    assert verdict.startswith("These data show a change, for the better (risk difference 25 per")
    assert "The cause of it is not identified." in verdict
    assert report == f"Report: {folder / 'report.html'}"
    page = (folder / "report.html").read_text("utf-8")
    assert "What they cannot say" in page
    assert "Where they say nothing" in page
    assert (folder / "figures" / "frontier.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_tables_of_two_numbers_hold_the_numbers_of_the_note(run):
    folder = run(FIGURES)[3]
    effect = pd.read_csv(folder / "effect.csv").set_index("estimate")
    assert list(effect["role"]) == ["main", *["other"] * (len(effect) - 2), "plain"]
    assert effect.loc["risk difference", "mean"] == pytest.approx(25)
    assert effect.loc["risk ratio", "mean"] == pytest.approx(68 / 43)
    # the note gives the odds ratio to three digits
    assert effect.loc["odds ratio", "mean"] == pytest.approx(2.82, abs=0.005)
    tipping = pd.read_csv(folder / "tables" / "tipping.csv").set_index("explanation")["tipping"]
    assert tipping["trend a year"] == pytest.approx(12.5)
    assert tipping["attrition"] == pytest.approx(0.645, abs=5e-4)
    assert tipping["attrition of the panel"] == pytest.approx(0.368, abs=5e-4)
    checklist = pd.read_csv(folder / "checklist.csv")
    assert set(checklist["status"]) == {"answered", "missing", "not applicable"}
    record = json.loads((folder / "provenance.json").read_text("utf-8"))
    assert record["seed"] == 20261


@pytest.mark.slow
def test_a_table_of_patients_with_controls_becomes_effect_checks_and_checklist(run):
    pytest.importorskip("diff_diff", reason="the extra 'did' is not installed")
    code, out, _, folder = run(
        PANEL.replace("--estimator 2x2", ""), patients(controls=True, effect=2.0)
    )
    assert code == 0
    assert "an effect if trends would have been parallel" in out
    assert "M = " in out
    effect = pd.read_csv(folder / "effect.csv")
    assert effect.loc[0, ["mean", "lower", "upper"]].notna().all()
    page = (folder / "report.html").read_text("utf-8")
    for words in ("What was checked", "The checklist", "If the comparison is broken"):
        assert words in page
    figures = {path.name for path in (folder / "figures").iterdir()}
    assert {"event_study.png", "counterfactual.png"} <= figures
    kinds = set(pd.read_csv(folder / "sensitivity.csv")["kind"])
    assert {"threat", "bounds"} <= kinds


@pytest.mark.slow
def test_patients_before_and_after_are_split_and_single_doctors_left_out(run):
    table = patients(mix_shift=0.4)
    arguments = PATIENTS.replace(" --quick", "") + " --adjust 'age + severity'"
    code, out, err, folder = run(arguments, table)
    assert (code, err) == (0, "")
    assert "standardized risk difference" in out
    names = {path.stem for path in (folder / "figures").iterdir()}
    assert {"kitagawa", "slope", "frontier"} <= names
    sensitivity = pd.read_csv(folder / "sensitivity.csv")
    left_out = sensitivity[sensitivity["kind"] == "leave_one_out"]
    assert len(left_out) == table["doctor"].nunique()


def test_chinese_columns_and_a_doctor_named_script_come_out_whole_and_inert(run):
    table = patients().rename(
        columns={"controlled": "达标", "period": "时期", "doctor": "医生", "age": "年龄"}
    )
    table["医生"] = table["医生"].replace({"D01": "<script>alert(1)</script>", "D02": "王医生"})
    table["时期"] = table["时期"].replace({"before": "前", "after": "后"})
    code, _, err, folder = run(
        "--design before-after --outcome 达标 --time 时期 --after 后 --doctor 医生 --adjust 年龄 "
        "--direction higher --quick --name '糖尿病 <b>pilot</b>'",
        table,
    )
    assert (code, err) == (0, "")
    page = (folder / "report.html").read_text("utf-8")
    assert "<script>alert" not in page
    assert "<b>pilot" not in page
    assert "达标 before and after 糖尿病" in page
    clusters = pd.read_csv(folder / "tables" / "leave_one_out.csv")["cluster"]
    assert {"<script>alert(1)</script>", "王医生"} <= set(clusters)


def test_few_points_are_a_note_on_the_screen_and_on_the_page(run):
    code, out, err, folder = run(SERIES + " --start 7", series(14, 6))
    assert code == 0
    assert "departure from the trend" in out
    assert "note: 6 points before and 8 after the start: below 8 a side" in err
    page = (folder / "report.html").read_text("utf-8")
    assert "Read this first" in page
    assert "6 points before and 8 after the start" in page


def test_more_missing_after_than_before_stands_first_with_its_bounds(run):
    table = patients()
    lost = (table["period"] == "after") & (np.arange(len(table)) % 4 == 0)
    code, out, _, folder = run(PATIENTS, table.assign(controlled=table["controlled"].mask(lost)))
    assert code == 0
    assert "Failed check: missing outcomes" in out
    names = pd.read_csv(folder / "effect.csv")["estimate"]
    assert names.str.startswith("bounds").any()


@pytest.mark.slow
def test_the_same_command_gives_the_same_tables(run):
    first = run(FIGURES)[3]
    before = {name: (first / name).read_bytes() for name in ("effect.csv", "sensitivity.csv")}
    again = run(FIGURES)[3]
    assert before == {name: (again / name).read_bytes() for name in before}


def test_facts_come_from_a_file_and_options_win(run, tmp_path):
    path = tmp_path / "program.toml"
    path.write_text(
        'name = "diabetes pilot"\nassignment = "volunteers"\nselected_on_baseline = false\n'
        'other_outcomes = ["mortality", "cost"]\n',
        encoding="utf-8",
    )
    code, _, err, folder = run(f"{FIGURES} --program {path} --assignment 'chosen by managers'")
    assert (code, err) == (0, "")
    answers = pd.read_csv(folder / "checklist.csv").set_index("item")["answer"]
    assert answers["assignment"] == "chosen by managers; not selected on their baseline"
    assert answers["other_outcomes"] == "mortality, cost"
    assert "before and after diabetes pilot" in (folder / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('harm = "none"', "'harm', which is no fact about a program.* Did you mean 'harms'"),
        ('selected_on_baseline = "yes"', "must be true or false; got 'yes'"),
        ('other_outcomes = "cost"', "must be a list of texts"),
        ("assignment = volunteers", "is no TOML file in UTF-8"),
    ],
)
def test_a_file_of_facts_that_cannot_be_used_is_refused(run, tmp_path, text, words):
    path = tmp_path / "program.toml"
    path.write_text(text, encoding="utf-8")
    err = refused(run, f"{FIGURES} --program {path}")
    assert pd.Series([err]).str.contains(words).all(), err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "or published figures, as in pilot --before 43 --after 68 --percent."),
        (PATIENTS, "Found --design without a table."),
        ("--before 43 --percent", "found before alone"),
        ("--before 43 --after 68", "Did you mean --percent?"),
        ("--before 43 --after 168 --percent", "between 0 and 100 in percent; after is 168"),
        ("--before 43 --after late --percent", "--after must be a figure"),
        ("--before 60 --change 41 --percent", "(--reading relative) or"),
        (
            "--before 60 --change 41 --percent --reading points",
            "+41 points is impossible above a base of 59 %",
        ),
        (f"{FIGURES} --trend 5 1", "needs lower <= upper"),
        (f"{FIGURES} --no-priors --trend 0 1", "--no-priors refuses beliefs"),
        (f"{FIGURES} --program nowhere.toml", "cannot be read: No such file"),
        (f"{FIGURES} --direction up", "--direction must be one of 'higher', 'lower'"),
        (f"{FIGURES} --level 95", "--level must"),
        (f"{FIGURES} --selected-on-baseline maybe", "--selected-on-baseline must be one of"),
        (f"{FIGURES} --n-before many", "wanted a whole number above 0"),
    ],
)
def test_figures_that_cannot_be_are_refused_in_one_line(run, arguments, words):
    assert words in refused(run, arguments)


def test_a_series_with_other_interruptions_and_bounds(run):
    options = " --start 12 --other-interruptions 20 --other-shape level --range 0 100"
    code, _, err, folder = run(SERIES + options, series(30, 12))
    assert (code, err) == (0, "")
    table = pd.read_csv(folder / "effect.csv")
    assert "level change of 20" in set(table["estimate"])
    assert "slope change of 20" not in set(table["estimate"])


def broken(name):
    table = patients(controls=True)
    first = table["doctor"].unique()[0]
    once = table.drop_duplicates(["doctor", "quarter"])
    made = {
        "as is": table,
        "no before": table[table["period"] == "after"],
        "no after": table[table["period"] == "before"],
        "three periods": table.assign(period=np.resize(["a", "before", "after"], len(table))),
        "one doctor": table[table["doctor"] == first],
        "not percent": table.assign(controlled=table["hba1c"] * 20),
        "always treated": table.assign(start=table["start"].mask(table["doctor"] == first, 1)),
        "one treated": table.assign(start=np.where(table["doctor"] == first, 5, 0)),
        "late": table.assign(start=table["start"].mask(table["start"] > 0, 99)),
        "gap": once[~((once["doctor"] == first) & (once["quarter"] == 2))],
        "series": series(),
        "series gap": series().drop(index=7),
        "series twice": pd.concat([series(), series().tail(1)]),
        "series percent": series(rate=100.0 + np.arange(30)),
    }
    return made[name]


@pytest.mark.parametrize(
    ("arguments", "table", "words"),
    [
        ("--outcome controlled", "as is", "A table needs --design: before-after"),
        (PATIENTS.replace("before-", "befor-"), "as is", "Did you mean 'before-after'?"),
        (PATIENTS + " --before 43", "as is", "--before belongs to published figures"),
        (PATIENTS.replace("--direction higher", ""), "as is", "needs --direction."),
        (PATIENTS + " --control x", "as is", "--control does not belong to --design before-"),
        (PATIENTS.replace("controlled", "control1ed"), "as is", "Did you mean 'controlled'?"),
        (PATIENTS, "no before", "no row is before the start"),
        (PATIENTS, "no after", "no row is after the start"),
        (PATIENTS, "three periods", "must hold two values"),
        (
            PATIENTS.replace("--after after", "--start 2024"),
            "as is",
            "the period that is with the program by --after.",
        ),
        (
            PATIENTS.replace("period --after after", "quarter --start 99"),
            "as is",
            "no row is after the start",
        ),
        (PATIENTS + " --start 5", "as is", "--after, the value of the period column"),
        (PATIENTS, "one doctor", "--cluster patient"),
        (
            PATIENTS + " --family gaussian --outcome-unit %",
            "not percent",
            "must hold percentages from 0 to 100",
        ),
        (PATIENTS + " --selected-on-baseline", "as is", "--population-mean"),
        (PATIENTS + " --cutoff 8", "as is", "need --side"),
        (PATIENTS + " --chosen program --cutoff 8", "as is", "one of the two"),
        (PATIENTS + " --chosen-by doctor", "as is", "belongs to --chosen"),
        (PANEL + " --doctor doctor", "as is", "Name doctors by --unit."),
        (PANEL, "always treated", "had the program in every period"),
        (PANEL, "one treated", "--inference randomization"),
        (PANEL.replace("--rows patients", ""), "as is", "pass --rows patients"),
        (PANEL, "late", "must lie within the data"),
        (PANEL, "gap", "--gaps drop_units"),
        (PANEL + " --adjust 'bs(age)'", "as is", "takes columns joined by +"),
        (SERIES, "series", "--design interrupted needs --start."),
        (SERIES + " --start 99", "series", "there is no period after the program"),
        (SERIES + " --start 2024-01", "series", "are numbers"),
        (SERIES + " --start 16", "series gap", "--gaps missing"),
        (SERIES + " --start 16", "series twice", "one row for each time"),
        (SERIES + " --start 3", "series", "--design before-after"),
        (SERIES + " --start 16 --outcome-unit %", "series percent", "from 0 to 100"),
        (SERIES + " --start 16 --harmonics 2", "series", "--harmonics belongs to --season"),
        (SERIES + " --start 16 --other-shape level", "series", "belongs to --other-interruptions"),
        (SERIES + " --start 16 --other-interruptions 99", "series", "must lie within column"),
        (SERIES + " --start 16 --range 0 1", "series", "hold values from 0 to 1"),
    ],
)
def test_tables_that_do_not_fit_are_refused_in_one_line(run, arguments, table, words):
    if "--design did" in arguments:
        pytest.importorskip("diff_diff", reason="the extra 'did' is not installed")
    err = refused(run, arguments, broken(table))
    assert words in err


def test_every_option_of_a_design_is_a_field_of_it_and_can_be_typed():
    import argparse
    from dataclasses import fields
    from importlib import import_module

    from outcomekpi.cli.arguments import Parser

    parser = Parser()
    add_pilot(parser.add_subparsers(), lambda _: None)
    typed = vars(parser.parse_args(["pilot", "--out", "x"]))
    assert isinstance(parser, argparse.ArgumentParser)
    assert all_options() <= set(typed)
    classes = {words: name for name, words in DESIGN_WORDS.items()}
    assert set(classes) == set(DESIGNS)
    for words, options in DESIGNS.items():
        made = getattr(import_module(f"outcomekpi.{HOME[classes[words]]}"), classes[words])
        known = {field.name for field in fields(made)}
        assert {field for field in options.fields.values() if field} <= known, words
        assert set(options.needed) <= set(options.fields)


@pytest.mark.parametrize(
    ("python", "typed"),
    [
        ("pass gaps='missing' to", "pass --gaps missing to"),
        ("use BeforeAfter(...)", "use --design before-after ..."),
        ("use DifferenceInDifferences.", "use --design did."),
        ("reading='levels'", "--reading levels"),
        ("(selected_on_baseline=True)", "(--selected-on-baseline)"),
        ("p=0.05", "p=0.05"),
    ],
)
def test_messages_are_said_in_options(python, typed):
    assert reword_pilot(python) == typed


def wards(cases, share):
    """Patients of 12 doctors in 4 quarters, of whom half of the doctors start in the third."""
    rows = [
        (f"D{doctor:02d}", quarter, 3 if doctor < 6 else 0, int(place < round(share * cases)))
        for doctor in range(12)
        for quarter in range(1, 5)
        for place in range(cases + doctor % 3)
    ]
    return pd.DataFrame(rows, columns=["doctor", "quarter", "start", "controlled"])


@pytest.mark.parametrize(
    ("arguments", "table", "words"),
    [
        (PATIENTS, patients(), "counts behind its estimates and pictures are below 10"),
        (PANEL, wards(20, 0.3), "the first patients without the event|the first events in D"),
        (
            SERIES + " --start 15",
            series(),
            "name the column of patients (--trials, for --family binomial)",
        ),
        (
            SERIES + " --start 15 --trials n --family binomial",
            series(n=30).assign(rate=lambda frame: frame["rate"].round() // 2),
            "the first patients without the event in",
        ),
    ],
)
def test_a_pilot_with_small_cells_is_not_published(run, arguments, table, words):
    if "did" in arguments:
        table = table.assign(start=table["start"].replace(0, np.nan))
    code, _, error, out = run(f"{arguments} --suppress-below 10", table)
    assert code == 2 and not out.exists()
    assert any(one in error for one in words.split("|")), error
    assert "suppress_below" not in error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "table"),
    [
        (FIGURES, None),
        (PANEL, wards(40, 0.5)),
        (
            SERIES.replace("rate", "events") + " --start 15 --trials n --family binomial",
            series(n=100).assign(events=lambda frame: frame["rate"].round()),
        ),
    ],
)
def test_a_pilot_without_small_cells_says_so(run, arguments, table):
    if "did" in arguments:
        table = table.assign(start=table["start"].replace(0, np.nan))
    code, _, error, out = run(f"{arguments} --suppress-below 10", table)
    assert code == 0, error
    assert "For publication: " in (out / "report.html").read_text(encoding="utf-8")


def test_every_count_of_patients_before_and_after_is_looked_at():
    design = BeforeAfter(
        outcome="well", period="period", after="b", doctor="doctor", patient="patient",
        direction="higher",
    )  # fmt: skip
    table = pd.DataFrame(
        {
            "patient": [f"p{k}" for k in range(60)] * 2 + ["new"] * 1,
            "period": ["a"] * 60 + ["b"] * 61,
            "doctor": (["x"] * 30 + ["y"] * 30) * 2 + ["x"],
            "well": [0, 1] * 30 + [1, 1, 0] * 20 + [1],
        }
    )
    counts = tabulate_counts(table, design).set_index("what")["count"]
    assert counts["patients with the event before: 30"] == 30
    assert counts["patients without the event of doctor 'y' after: 10"] == 10
    assert counts["patients seen in both periods with the event after: 40"] == 40
    assert counts["rows of patients seen in one only after: 1"] == 1
    assert (counts < 10).sum() == 1
