"""`outcomekpi check --design ...`: every fault that a pilot would meet, and no other."""

import shlex

import numpy as np
import pandas as pd
import pytest
from made_panels import made_panel

from outcomekpi.cli import main


def counted_panel():
    frame = made_panel()
    return frame.assign(n=200, events=(frame["rate"] * 2).round().astype(int))


def patients(n=400):
    rng = np.random.default_rng(8)
    return pd.DataFrame(
        {
            "patient": [f"P{i}" for i in range(n)],
            "controlled": rng.binomial(1, 0.4, n).astype(object),
            "period": np.where(np.arange(n) % 2, "after", "before"),
            "doctor": [f"D{i % 9}" for i in range(n)],
            "ward": [f"W{i % 4 // 2}" for i in range(n)],
            "age": rng.integers(40, 90, n).astype(object),
            "bmi": rng.normal(27, 3, n).round(1).astype(object),
        }
    )


def months():
    rng = np.random.default_rng(3)
    n = rng.integers(180, 220, 30)
    dates = pd.period_range("2023-01", periods=30, freq="M").astype(str)
    other = rng.binomial(n, 0.3)
    return pd.DataFrame(
        {"month": dates, "events": rng.binomial(n, 0.3), "n": n, "other": other, "other_n": n}
    )


def wedge():
    rng = np.random.default_rng(5)
    rows = [(f"C{c}", t, c // 2 + 2) for c in range(6) for t in range(1, 6)]
    frame = pd.DataFrame(rows, columns=["cluster", "time", "start"])
    return frame.assign(n=80, events=rng.binomial(80, 0.4, len(frame)))


BEFORE = "--outcome controlled --time period --after after --patient patient --doctor doctor"
SERIES = "--outcome events --trials n --family binomial --time month --start 2024-07"
KINDS = {
    "did": (
        counted_panel,
        "--outcome events --trials n --unit ward --time year --start start",
        {"n": {3: 0}, "events": {5: -2}, "ward": {8: "Unknown"}},
        ("Column 'n' (trials)", "Column 'events' (outcome)", "'Unknown'"),
    ),
    "synthetic": (
        made_panel,
        "--outcome rate --unit ward --time year --start start",
        {"rate": {3: "n/k"}, "ward": {9: "Total"}},
        ("Column 'rate' (outcome)", "'Total'"),
    ),
    "stepped-wedge": (
        wedge,
        "--outcome events --trials n --family binomial --unit cluster --time time --start start",
        {"events": {2: 95}, "start": {1: 4}},
        ("whole numbers from 0 to the trials", "in all rows of a cluster"),
    ),
    "interrupted": (
        months,
        SERIES,
        {"n": {4: -3}, "events": {7: 2.5}},
        ("Column 'n' (trials)", "Column 'events' (outcome)"),
    ),
    "controlled": (
        months,
        f"{SERIES} --control other --control-trials other_n",
        {"other": {4: -3}, "events": {7: 2.5}},
        ("Column 'other' (control)", "Column 'events' (outcome)"),
    ),
    "before-after": (
        patients,
        f'{BEFORE} --adjust "age + bmi"',
        {"controlled": {4: 7}, "age": {6: "67 years"}, "bmi": {9: "?"}, "doctor": {3: "d3"}},
        ("hold only 0 and 1", "'age' holds text", "'bmi' holds text", "'D3' and 'd3'"),
    ),
    "doctor-effects": (
        patients,
        f"{BEFORE} --adjust age",
        {"controlled": {4: 7}, "patient": {8: "P6", 6: "P6"}},
        ("hold only 0 and 1", "once before and once after"),
    ),
    "controlled-before-after": (
        patients,
        "--outcome controlled --time period --after after --group ward --treated W1 --adjust age",
        {"controlled": {4: 7}, "age": {6: "?"}, "ward": {11: None}},
        ("hold only 0 and 1", "'age' holds text", "'ward' (group)"),
    ),
}


def spoilt(frame, changes):
    frame = frame.astype(object)
    for column, cells in changes.items():
        for row, value in cells.items():
            frame.loc[row, column] = value
    return frame


def check(frame, path, options, capsys):
    frame.to_csv(path, index=False)
    code = main(["check", str(path), *shlex.split(options)])
    told = capsys.readouterr()
    return code, told.out + told.err


@pytest.mark.parametrize("design", KINDS)
def test_a_clean_table_of_each_design_has_no_fault(design, tmp_path, capsys):
    make, options, _, _ = KINDS[design]
    typed = f"--design {design} {options}"  # no fault depends on the direction
    code, said = check(make(), tmp_path / "t.csv", typed, capsys)
    assert code == 0, said
    assert f"rows that --design {design} can read" in said


@pytest.mark.parametrize("design", KINDS)
def test_all_faults_of_each_design_are_told_at_once(design, tmp_path, capsys):
    make, options, changes, words = KINDS[design]
    typed = f"--design={design} {options} --direction higher --out {tmp_path / 'faults'}"
    code, said = check(spoilt(make(), changes), tmp_path / "t.csv", typed, capsys)
    assert code == 1, said
    for part in words:
        assert part in said
    assert f"{len(words)} faults:" in said
    table = pd.read_csv(tmp_path / "faults" / "faults.csv")
    assert len(table) == len(words)


def test_an_option_of_another_design_and_one_that_is_missing_are_errors(tmp_path, capsys):
    options = "--design did --outcome rate --unit ward --start start"
    code, said = check(made_panel(), tmp_path / "t.csv", options, capsys)
    assert code == 2 and "--design did needs --time" in said
    options = "--design interrupted --outcome rate --unit ward --time year --direction higher"
    code, said = check(made_panel(), tmp_path / "t.csv", options, capsys)
    assert code == 2 and "--unit does not belong to --design interrupted" in said
    code, said = check(made_panel(), tmp_path / "t.csv", "--design panel --unit ward", capsys)
    assert code == 2 and "design must be" in said


def test_monthly_records_are_checked_with_their_patients(tmp_path, capsys):
    people = pd.DataFrame({"patient": ["A", "B", "C"], "doctor": ["x", "x", "y"]})
    table = pd.DataFrame(
        {"patient": list("AABBCC"), "month": [0, 6] * 3, "hba1c": [8.1, 7.2, 7.9, 7.0, 9.1, 8.8]}
    )
    people.to_csv(tmp_path / "people.csv", index=False)
    options = f"--as records --patients {tmp_path / 'people.csv'}"
    code, said = check(table, tmp_path / "t.csv", options, capsys)
    assert code == 0 and "3 patients, 6 rows of measurements" in said
    bad = spoilt(table, {"hba1c": {1: "<6.0"}, "month": {2: 0.5}, "patient": {4: "Z"}})
    code, said = check(bad, tmp_path / "t.csv", options, capsys)
    assert code == 1 and "3 faults:" in said
    for part in ("'<6.0' of patient 'A'", "patients who are not in patients", "month 0"):
        assert part in said


def test_faults_of_cases_and_of_their_case_mix_are_told_together(tmp_path, capsys):
    frame = spoilt(patients(), {"doctor": {3: "d3"}, "age": {6: "?"}, "bmi": {9: "27 kg"}})
    options = '--outcome controlled --doctor doctor --adjust "age + bmi"'
    code, said = check(frame, tmp_path / "t.csv", options, capsys)
    assert code == 1 and "3 faults:" in said


def test_a_pilot_with_several_faults_is_refused_in_the_words_of_the_command(tmp_path, capsys):
    frame = spoilt(patients(), {"controlled": {4: 7}, "ward": {6: None}, "age": {3: "?"}})
    frame.to_csv(tmp_path / "t.csv", index=False)
    options = f"{KINDS['controlled-before-after'][1]} --direction higher --quick"
    argv = ["pilot", str(tmp_path / "t.csv"), "--design", "controlled-before-after"]
    assert main([*argv, *shlex.split(options), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "The table has 3 faults" in said and "Pass --event to say which value counts" in said


def test_doctors_with_one_case_each_are_told_before_a_fit(tmp_path, capsys):
    frame = patients().assign(doctor=lambda f: f["patient"])
    code, said = check(frame, tmp_path / "t.csv", "--outcome controlled --doctor doctor", capsys)
    assert code == 1 and "Is it the identifier of patients?" in said
    counted = frame.assign(n=9)
    options = "--outcome controlled --doctor doctor --trials n"
    assert check(counted, tmp_path / "t.csv", options, capsys)[0] == 0


DAYS = [f"01/{1 + k % 12:02d}/{2023 + k // 12}" for k in range(30)]


@pytest.mark.parametrize("clock", ["", " 00:00"])
def test_times_that_are_typed_are_in_the_declared_order_too(clock, tmp_path, capsys):
    frame = months().assign(month=[day + clock for day in DAYS])
    typed = f"{SERIES.replace('2024-07', '01/07/2024')} --design interrupted --direction lower"
    code, said = check(frame, tmp_path / "t.csv", typed, capsys)
    assert code == 1 and "say their order, --dates dmy or --dates mdy" in said
    code, said = check(frame, tmp_path / "t.csv", f"{typed} --dates dmy", capsys)
    assert code == 0, said
    assert check(frame, tmp_path / "t.csv", f"{typed} --dates dym", capsys)[0] == 2


def test_cycles_that_are_typed_are_in_the_declared_order_too(tmp_path, capsys):
    rows = [("A", f"U{u}", f"01/02/{y}", 40 + u, 90) for u in range(5) for y in (2023, 2024)]
    frame = pd.DataFrame(rows, columns=["indicator", "unit", "cycle", "reached", "patients"])
    typed = (
        "--indicator indicator --unit unit --cycle cycle --numerator reached --denominator patients"
    )
    order = f"{typed} --dates dmy --cycle-order 01/02/2023 01/02/2024"
    assert check(frame, tmp_path / "t.csv", order, capsys)[0] == 0
