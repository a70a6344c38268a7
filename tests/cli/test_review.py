"""`outcomekpi thresholds`: what it writes, what it says, and what it refuses."""

import json

import numpy as np
import pandas as pd
import pytest
from made_reviews import made_table

from outcomekpi.cli import main
from outcomekpi.cli.wording import reword
from outcomekpi.simulation.made.completion import simulate_history

FILES = {
    "review.csv",
    "cycles.csv",
    "ratchet.csv",
    "operating.csv",
    "report.html",
    "figures",
    "provenance.json",
}
REVIEW_COLUMNS = [
    *("indicator", "cycles", "completion", "rule_verdict", "mean", "lower", "upper"),
    *("p_too_easy", "p_too_hard", "verdict", "p_rule_wrong", "next_mean", "next_lower"),
    *("next_upper", "target", "target_mean", "target_lower", "target_upper", "sentence"),
]


@pytest.fixture
def run_whole(tmp_path, capsys):
    """Review a table and return exit code, standard output, error output and the folder."""

    def review(table, *arguments, name="history.csv", columns=None, reading="raw_rate"):
        path = tmp_path / name
        if isinstance(table, bytes):
            path.write_bytes(table)
        elif table is not None:
            table.to_csv(path, index=False)
        named = {
            "indicator": "indicator",
            "cycle": "year",
            "unit": "unit",
            "numerator": "reached",
            "denominator": "patients",
            **(columns or {}),
        }
        argv = ["thresholds", str(path), "--out", str(tmp_path / "out"), "--draws", "200"]
        for role, column in named.items():
            argv += [f"--{role}", column] if column is not None else []
        argv += ["--reading", reading] if reading is not None else []
        if "--model" not in arguments:
            argv += ["--model", "conjugate"]
        code = main([*argv, *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err, tmp_path / "out"

    return review


@pytest.fixture
def run(run_whole, monkeypatch):
    """Do as ``run_whole`` does, without drawing: most tests are about what comes before."""
    module = "outcomekpi.cli.review"
    monkeypatch.setattr(f"{module}.save_figures", lambda folder, _: folder.mkdir())
    monkeypatch.setattr(f"{module}.write_review", lambda *_, path, **__: path.write_text("report"))
    return run_whole


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """One review of three years of indicators with the default model, in one command."""
    folder = tmp_path_factory.mktemp("ordinary")
    simulate_history().to_csv(folder / "history.csv", index=False)
    code = main([
        *("thresholds", str(folder / "history.csv"), "--indicator", "indicator"),
        *("--cycle", "year", "--unit", "department", "--numerator", "reached"),
        *("--denominator", "patients", "--target", "target", "--counts", "events"),
        *("--reading", "share_of_doctors", "--draws", "400", "--out", str(folder / "out")),
    ])  # fmt: skip
    assert code == 0
    return folder / "out"


@pytest.mark.slow
def test_a_review_writes_the_files_of_the_contract(results):
    assert {path.name for path in results.iterdir()} == FILES
    assert {path.name for path in (results / "figures").iterdir()} == {
        "operating.png",
        "review.png",
    }
    table = pd.read_csv(results / "review.csv")
    assert set(REVIEW_COLUMNS) <= set(table.columns)
    assert len(table) == 6
    cycles = pd.read_csv(results / "cycles.csv")
    assert len(cycles) == 18
    assert list(cycles.columns[:6]) == ["indicator", "cycle", "observed", "mean", "lower", "upper"]
    ratchet = pd.read_csv(results / "ratchet.csv")
    assert list(ratchet.columns[:2]) == ["indicator", "unit"]
    assert len(ratchet) == 48
    operating = pd.read_csv(results / "operating.csv")
    assert {"true_completion", "caseload", "fires_up", "fires_down", "mc_error", "method"} <= set(
        operating.columns
    )
    assert set(operating["units"]) == {8}


def test_the_files_agree_with_each_other(results):
    review = pd.read_csv(results / "review.csv", index_col="indicator")
    cycles = pd.read_csv(results / "cycles.csv")
    last = cycles[cycles["cycle"] == 2025].set_index("indicator")["observed"]
    assert review["completion"].to_numpy() == pytest.approx(last[review.index].to_numpy())
    ratchet = pd.read_csv(results / "ratchet.csv", index_col="indicator")
    for name, row in review.iterrows():
        assert set(ratchet.loc[name, "target"]) == {row["target"]}
    page = (results / "report.html").read_text(encoding="utf-8")
    for sentence in review["sentence"]:
        assert sentence.split(": ", 1)[1][1:60] in page
    record = json.loads((results / "provenance.json").read_text(encoding="utf-8"))
    assert record["data_hash"] in page
    assert record["seed"] == 20261


def test_the_screen_shows_the_answer_in_one_line_and_where_the_report_is(run, tmp_path):
    code, out, err, folder = run(made_table())
    assert (code, err) == (0, "")
    history, answer, where = out.splitlines()
    assert history == "CycleHistory: 4 indicators, 4 units, 3 cycles (2023-2025), 5,760 patients"
    assert answer == (
        "2 of 4 indicators need a change of their bars (too easy: easy; too hard: hard)."
    )
    assert where == f"Report: {folder / 'report.html'}"


def test_every_option_reaches_the_review(run):
    code, _, err, out = run(
        made_table(),
        *("--upper", ".8", "--lower", ".5", "--cycles", "3", "--inclusive", "--fdr", ".05"),
        *("--wanted", ".5", ".9", "--level", ".5", "--seed", "7", "--counts", "events"),
    )
    assert (code, err) == (0, "")
    review = pd.read_csv(out / "review.csv", index_col="indicator")
    assert review.loc["near", "verdict"] == review.loc["near", "rule_verdict"] == "too easy"
    operating = pd.read_csv(out / "operating.csv")
    assert {0.8, 0.5} <= set(operating["true_completion"])
    assert json.loads((out / "provenance.json").read_text())["seed"] == 7
    _, _, _, out = run(made_table(), "--level", ".99")
    wide = pd.read_csv(out / "review.csv", index_col="indicator")
    assert (wide["upper"] - wide["lower"] > review["upper"] - review["lower"]).all()


def test_losses_move_the_verdict(run):
    table = made_table({"near": 0.9}, units=1)
    table["reached"] = 109  # of 120: P(true completion > 90%) is about .6
    for losses, wanted in ((("9", "1"), "leave alone"), (("1", "4"), "too easy")):
        _, _, _, out = run(table, "--loss-false", losses[0], "--loss-missed", losses[1])
        assert pd.read_csv(out / "review.csv")["verdict"].tolist() == [wanted]


@pytest.mark.slow
def test_a_target_may_be_a_column_or_one_share(run):
    share = ("share_of_doctors", "--counts", "events")
    found = {}
    for target in ("goal", ".7"):
        code, _, _, out = run(made_table(), *share[1:], "--target", target, reading=share[0])
        assert code == 0
        found[target] = (out / "review.csv").read_text()
    assert found["goal"] == found[".7"]
    code, _, _, out = run(made_table(), *share[1:], "--target", "70", "--percent", reading=share[0])
    assert (out / "review.csv").read_text() == found["goal"]


def test_completion_in_percent_is_read_when_it_is_said_to_be(run):
    table = made_table()
    table["completion"] = (100 * table["reached"] / table["patients"]).round(1)
    columns = {"numerator": None, "completion": "completion"}
    code, out, _, folder = run(table, "--percent", columns=columns)
    assert code == 0
    assert "Numerators were worked out as completion x denominator" in out
    by_rate = (folder / "review.csv").read_text()
    _, _, _, folder = run(made_table())
    assert (folder / "review.csv").read_text() == by_rate


def test_a_rule_of_years_is_told_of_quarters_until_it_is_said_to_be_about_them(run):
    table = made_table().assign(year=lambda t: "2025Q" + (t["year"] - 2022).astype(str))
    assert "is about a quarter, pass --cycle-length quarter." in run(table)[1]
    assert "--cycle-length" not in run(table, "--cycle-length", "quarter")[1]


def test_cycles_in_words_are_ordered_as_they_are_told(run):
    table = made_table()
    table["year"] = table["year"].map({2023: "前年", 2024: "去年", 2025: "今年"})
    code, _, _, out = run(table, "--cycle-order", "前年", "去年", "今年")
    assert code == 0
    cycles = pd.read_csv(out / "cycles.csv", encoding="utf-8-sig")["cycle"]
    assert list(cycles[:3]) == ["前年", "去年", "今年"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_chinese_columns_and_labels_work_in_every_encoding(run, encoding):
    table = made_table({"糖化血红蛋白达标率": 0.97, "血压达标率": 0.75}).rename(
        columns={"indicator": "指标", "unit": "科室", "year": "年度", "reached": "达标"}
    )
    columns = {"indicator": "指标", "unit": "科室", "cycle": "年度", "numerator": "达标"}
    code, out, err, folder = run(table.to_csv(index=False).encode(encoding), columns=columns)
    assert (code, err) == (0, "")
    assert "too easy: 糖化血红蛋白达标率" in out
    review = pd.read_csv(folder / "review.csv", encoding="utf-8-sig")
    assert set(review["indicator"]) == {"糖化血红蛋白达标率", "血压达标率"}


def test_chinese_names_are_drawn_and_reported_without_a_note(run_whole):
    table = made_table({"糖化血红蛋白达标率": 0.97, "<script>alert(1)</script>": 0.75})
    code, _, err, folder = run_whole(table)
    assert (code, err) == (0, "")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<strong>糖化血红蛋白达标率</strong>" in page
    assert "<script>alert" not in page


def test_names_that_a_spreadsheet_would_run_are_defused(run):
    code, _, _, out = run(made_table({'=HYPERLINK("x")': 0.7, "fine": 0.75}))
    assert code == 0
    for name in ("review.csv", "cycles.csv"):
        assert not pd.read_csv(out / name)["indicator"].str.startswith("=").any()


def test_one_cycle_is_reviewed_and_the_rule_stays_silent(run):
    code, out, _, folder = run(made_table(cycles=(2025,)))
    assert code == 0
    assert "Only one cycle (2025): a rule that needs consecutive cycles cannot fire." in out
    assert set(pd.read_csv(folder / "review.csv")["rule_verdict"]) == {"cannot say"}


def change(**columns):
    return lambda table: table.assign(**columns)


def only(**columns):
    """Change the third row alone."""

    def alter(table):
        table = table.copy()
        for name, value in columns.items():
            table[name] = table[name].astype(object)
            table.loc[2, name] = value
        return table

    return alter


SHARE = {"reading": "share_of_doctors"}
COMPLETION = {"columns": {"numerator": None, "completion": "c"}}
REFUSALS = {
    "numerator above denominator": (
        {}, only(reached=1000), (), ["'reached'", "in line 4", "1000 of 120"]
    ),
    "negative count": ({}, only(reached=-3), (), ["'reached'", "from 0", "in line 4", "-3"]),
    "doubled cycle": (
        {}, lambda t: pd.concat([t, t.iloc[[5]]]), (), ["one row per indicator", "'2025'"]
    ),
    "units without --unit": (
        {"columns": {"unit": None}}, None, (), ["Pass --unit COLUMN if the rows belong to"]
    ),
    "fraction for a count": (
        {}, lambda t: t.assign(reached=t["reached"] / t["patients"]), (),
        ["Then pass --completion reached in place of numerator"],
    ),
    "percent for a share": (
        COMPLETION, lambda t: t.assign(c=100 * t["reached"] / t["patients"]), (),
        ["between 0 and 1", "Did you mean percent: pass --percent."],
    ),
    "share for a percent": (
        COMPLETION, lambda t: t.assign(c=t["reached"] / t["patients"]), ("--percent",),
        ["Leave out --percent if these are shares"],
    ),
    "completion above 1": (COMPLETION, change(c=250), (), ["'c' (completion)", "250"]),
    "numerator and completion": (
        {"columns": {"completion": "unit"}}, None, (), ["--numerator or --completion", "both"]
    ),
    "neither of them": ({"columns": {"numerator": None}}, None, (), ["neither"]),
    "crossed bars": (
        {}, None, ("--upper", ".5"),
        ["--lower must lie below --upper; got --lower 0.6 and --upper 0.5"],
    ),
    "upper in percent": ({}, None, ("--upper", "90"), ["--upper", "Did you mean 0.9?"]),
    "lower in percent": ({}, None, ("--lower", "60"), ["--lower", "Did you mean 0.6?"]),
    "bar in words": ({}, None, ("--upper", "high"), ["--upper", "'high'"]),
    "no cycles": ({}, None, ("--cycles", "0"), ["--cycles", "'0'"]),
    "wanted crossed": ({}, None, ("--wanted", ".9", ".7"), ["--wanted", "lower", "(0.9, 0.7)"]),
    "wanted in percent": ({}, None, ("--wanted", "70", "85"), ["--wanted", "Did you mean 0.7?"]),
    "no reading": ({"reading": None}, None, (), ["--reading"]),
    "unknown reading": (
        {"reading": "raw_rates"}, None, (), ["--reading must", "Did you mean 'raw_rate'?"]
    ),
    "unknown length": ({}, None, ("--cycle-length", "quater"), ["--cycle-length", "'quarter'?"]),
    "misspelt column": (
        {"columns": {"numerator": "reachd"}}, None, (), ["'reachd'", "Did you mean 'reached'?"]
    ),
    "cycles without an order": (
        {}, lambda t: t.assign(year=t["year"].map({2023: "a", 2024: "b", 2025: "c"})), (),
        ["Pass --cycle-order OLDEST ... NEWEST"],
    ),
    "lost cycle": ({}, None, ("--cycle-order", "2023", "2024"), ["--cycle-order must", "'2025'"]),
    "share of whom": (SHARE, None, (), ["--counts doctors", "--counts events"]),
    "share of units without target": (
        SHARE, None, ("--counts", "events"), ["Pass --target COLUMN (or one share)"]
    ),
    "unknown counts": (
        SHARE, None, ("--counts", "docters"), ["--counts must", "Did you mean 'doctors'?"]
    ),
    "doctors for patients": (
        {"reading": "mean_achievement"}, None, ("--counts", "doctors"),
        ["--counts events", "for which --reading share_of_doctors is the reading"],
    ),
    "misspelt target": (
        SHARE, None, ("--counts", "events", "--target", "gaol"),
        ["--target must be a column of the table or one share", "Did you mean 'goal'?"],
    ),
    "target in percent": (
        SHARE, None, ("--counts", "events", "--target", "80"), ["--target", "Did you mean 0.8?"]
    ),
    "target for raw rates": ({}, None, ("--target", ".8"), ["Leave out --target"]),
    "column of targets for raw rates": (
        {}, change(target=0.7), ("--target", "target"), ["column 'target' would change nothing"]
    ),
    "losses and fdr": (
        {}, None, ("--loss-false", "3", "--loss-missed", "1", "--fdr", ".1"), ["not both"]
    ),
    "one loss": ({}, None, ("--loss-false", "3"), ["Name both losses"]),
    "negative loss": (
        {}, None, ("--loss-false=-3", "--loss-missed", "1"), ["--loss-false must be a number"]
    ),
    "fdr in percent": ({}, None, ("--fdr", "10"), ["--fdr must lie strictly between 0 and 1"]),
    "unknown model": (
        {}, None, ("--model", "hierachical"), ["--model must", "Did you mean 'hierarchical'?"]
    ),
    "few draws": ({}, None, ("--draws", "50"), ["--draws must", "100"]),
    "level in percent": ({}, None, ("--level", "95"), ["--level must", "Did you mean 0.95?"]),
    "missing count": ({}, only(reached=np.nan), (), ["'reached'", "in line 4"]),
    "count in words": ({}, only(reached="many"), (), ["'reached'", "in line 4", "'many'"]),
    "missing label": ({}, only(indicator=None), (), ["'indicator'", "in line 4"]),
    "nobody counted": ({}, change(patients=0, reached=0), (), ["Every denominator is 0"]),
    "unknown option": ({}, None, ("--raeding", "x"), ["--raeding"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_bad_input_gets_one_message_and_leaves_nothing(name, run, tmp_path):
    named, altered, arguments, fragments = REFUSALS[name]
    table = made_table(units=2)
    code, out, err, folder = run(table if altered is None else altered(table), *arguments, **named)
    assert code == 2
    assert out == ""
    assert err.startswith("outcomekpi: ")
    assert err.count("\n") == 1
    assert "should not have happened" not in err
    for fragment in fragments:
        assert fragment in err
    for python in ("ReviewRule", "ReviewJudgment", "from_frame", "=True", "=..."):
        assert python not in err
    assert not folder.exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_an_interrupted_review_leaves_nothing(run, monkeypatch, tmp_path):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("outcomekpi.cli.review.write_review", interrupt)
    code, _, err, out = run(made_table(units=1))
    assert code == 130
    assert "nothing was written" in err
    assert not out.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"history.csv"}


def test_the_same_seed_gives_the_same_tables(run):
    found = []
    for seed in ("1", "1", "2"):
        _, _, _, out = run(made_table(units=2), "--seed", seed)
        found.append((out / "review.csv").read_text())
    assert found[0] == found[1]
    assert found[0] != found[2]


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("pass percent=True.", "pass --percent."),
        ("Pass unit=... if", "Pass --unit COLUMN if"),
        ("ReviewRule.upper must be", "--upper must be"),
        ("use reading='raw_rate'.", "use --reading raw_rate."),
        ("(counts='events')", "(--counts events)"),
    ],
)
def test_arguments_of_a_review_become_options(said, wanted):
    assert wanted in reword(said)


def test_what_is_withheld_is_in_no_file(run_whole):
    table = made_table({"common": 0.7, "rare": 0.97}, units=2, cases=90)
    arguments = ("--target", "goal", "--counts", "events", "--suppress-below")
    code, said, error, out = run_whole(table, *arguments, "11", reading="share_of_doctors")
    assert code == 0, error
    assert "left out: rare" in said
    for file in ("review.csv", "cycles.csv", "ratchet.csv", "operating.csv"):
        assert "rare" not in (out / file).read_text(encoding="utf-8")
    code, _, error, _ = run_whole(table, *arguments, "40", reading="share_of_doctors")
    assert code == 2 and "--suppress-below 40 no indicator is left" in error
