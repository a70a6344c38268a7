"""`outcomekpi check`: every fault at once, nothing computed, nothing written without --out."""

import numpy as np
import pandas as pd
import pytest

import outcomekpi as ok
from outcomekpi.cli import main


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "died": rng.binomial(1, 0.3, 160).astype(object),
            "doctor": np.tile([f"D{i}" for i in range(8)], 20),
            "age": rng.integers(40, 90, 160).astype(object),
        }
    )

    def write(name="cases.csv", **changes):
        for column, cells in changes.items():
            for row, value in cells.items():
                frame.loc[row, column] = value
        path = tmp_path / name
        frame.to_csv(path, index=False)
        return str(path)

    return write


COLUMNS = ["--outcome", "died", "--doctor", "doctor"]


def test_a_table_without_faults_says_what_it_holds(table, capsys):
    assert main(["check", table(), *COLUMNS, "--adjust", "age"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("No fault found. Cases: 160 patients of 8 doctors")


def test_all_faults_are_printed_and_written(table, capsys, tmp_path):
    path = table(doctor={0: "d0", 9: "Unknown"}, died={3: "?"})
    out = tmp_path / "checked"
    for _ in range(2):  # the second time in the place of the first
        assert main(["check", path, *COLUMNS, "--out", str(out)]) == 1
    printed = capsys.readouterr()
    assert "2 faults:" in printed.out or "3 faults:" in printed.out
    for words in ("'D0' and 'd0'", "in line 5, which holds '?'"):
        assert words in printed.out
    assert "have been replaced" in printed.err
    faults = pd.read_csv(out / "faults.csv")
    assert list(faults.columns) == ["code", "column", "first_row", "count", "text"]
    assert {"doctor", "died"} <= set(faults["column"])
    assert faults["text"].str.len().min() > 40


def test_covariates_are_checked_where_a_formula_names_them(table, capsys):
    path = table(age={7: "Not Available"})
    assert main(["check", path, *COLUMNS]) == 0
    assert main(["check", path, *COLUMNS, "--adjust", "age"]) == 1
    assert "'age' holds text, but most of its values are numbers" in capsys.readouterr().out
    marked = ["--missing-marks", "Not Available", "--missing", "drop"]
    assert main(["check", path, *COLUMNS, "--adjust", "age", *marked]) == 0


def test_a_history_is_known_by_its_columns(tmp_path, capsys):
    history = ok.datasets.simulate_history()
    history.loc[4, "reached"] = 10_000
    history.loc[9, "department"] = "Total"
    path = tmp_path / "history.csv"
    history.to_csv(path, index=False)
    columns = ["--indicator", "indicator", "--unit", "department", "--cycle", "year"]
    columns += ["--numerator", "reached", "--denominator", "patients"]
    assert main(["check", str(path), *columns]) == 1
    out = capsys.readouterr().out
    assert "Total" in out
    assert main(["check", str(path), *columns, "--outcome", "reached"]) == 2
    assert "Say which with --as" in capsys.readouterr().err


def test_without_columns_the_file_itself_is_checked(table, tmp_path, capsys):
    assert main(["check", table()]) == 0
    assert "160 rows of 3 columns" in capsys.readouterr().out
    broken = tmp_path / "broken.csv"
    broken.write_text("a;b\n1;2\n3;4;5\n")
    assert main(["check", str(broken)]) == 2


def test_a_folder_with_other_files_is_left_alone(table, tmp_path, capsys):
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "chapter.txt").write_text("mine")
    for command in (["check", table(), *COLUMNS], ["demo"]):
        target = [str(mine)] if command == ["demo"] else ["--out", str(mine)]
        assert main([*command, *target]) == 2
        assert "holds 1 other file, the first 'chapter.txt'" in capsys.readouterr().err
    assert [path.name for path in mine.iterdir()] == ["chapter.txt"]


def test_faults_of_both_counts_of_a_history_are_told_together(tmp_path, capsys):
    history = ok.datasets.simulate_history().astype(object)
    history.loc[4, "reached"] = -1
    history.loc[6, "reached"] = 2.5
    history.loc[9, "patients"] = "n/k"
    path = tmp_path / "history.csv"
    history.to_csv(path, index=False)
    columns = ["--indicator", "indicator", "--unit", "department", "--cycle", "year"]
    columns += ["--numerator", "reached", "--denominator", "patients"]
    assert main(["check", str(path), *columns]) == 1
    assert "3 faults:" in capsys.readouterr().out
