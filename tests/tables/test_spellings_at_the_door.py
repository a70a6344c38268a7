"""Files as people write them: what the door understands when it is told, and what it refuses."""

import numpy as np
import pandas as pd
import pytest

import outcomekpi as ok
from outcomekpi.declare.errors import CasesError, FormulaError
from outcomekpi.tables.date_order import order_date
from outcomekpi.tables.file_marks import FileMarks
from outcomekpi.tables.files import read_table
from outcomekpi.tables.labels import is_no_label, is_total
from outcomekpi.tables.missing_codes import describe_code
from outcomekpi.tables.totals import refuse_totals


def written(tmp_path, frame, sep=",", **marks):
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False, sep=sep)
    return read_table(path, text_columns=["doctor"], marks=FileMarks(**marks))


@pytest.mark.parametrize("cell", ["NOT AVAILABLE", "Ｎot available", "not  available "])
@pytest.mark.parametrize("sep", [",", ";"])
def test_missing_marks_are_known_in_any_case_width_and_blanks(tmp_path, cell, sep):
    frame = pd.DataFrame({"doctor": list("ABCD"), "age": ["61", cell, "72", "80"]})
    table = written(tmp_path, frame, sep, missing_marks=("Not available",))
    assert table["age"].dtype == float and list(table["age"].isna()) == [False, True, False, False]


def test_a_missing_mark_does_not_decide_what_a_dot_is(tmp_path):
    frame = pd.DataFrame({"doctor": list("ABCD"), "n": ["1.286", "缺失 ", "680", "2.125"]})
    table = written(tmp_path, frame, ";", missing_marks=("缺失",))
    with pytest.raises(CasesError, match=r"it may be 1286 or 1\.286"):
        ok.Cases.from_frame(table.assign(died=1), outcome="died", doctor="doctor", exposure="n")
    told = written(tmp_path, frame, ";", missing_marks=("缺失",), thousands=".")
    assert told["n"].tolist()[0] == 1286 and np.isnan(told["n"].iloc[1])


def test_dots_beside_numbers_without_one_are_asked_about_in_comma_files_too(tmp_path):
    mixed = pd.DataFrame({"doctor": list("ABCD"), "n": ["1.286", "680", "2.125", "3.410"]})
    table = written(tmp_path, mixed).assign(died=1)
    with pytest.raises(CasesError, match=r"it may be 1286 or 1\.286"):
        ok.Cases.from_frame(table, outcome="died", doctor="doctor", exposure="n")
    assert written(tmp_path, mixed, decimal=".")["n"].tolist() == [1.286, 680, 2.125, 3.41]
    assert written(tmp_path, mixed, thousands=".")["n"].tolist() == [1286, 680, 2125, 3410]
    # a column of measurements with three decimals, or with zeros left out, is read as it stands
    for cells in (["1.286", "6.800", "2.125", "3.410"], ["1.286", "6", "2.12", "3.4"]):
        table = written(tmp_path, pd.DataFrame({"doctor": list("ABCD"), "n": cells}))
        assert table["n"].tolist() == [float(cell) for cell in cells]


@pytest.mark.parametrize(
    ("mark", "cells"),
    [("'", ["1’286", "680"]), (" ", ["1\u00a0286", "680"]), (" ", ["1\u202f286", "680"])],
)
def test_declared_thousands_are_known_in_every_sign_for_them(tmp_path, mark, cells):
    frame = pd.DataFrame({"doctor": ["A", "B"], "n": cells})
    assert written(tmp_path, frame, ";", thousands=mark)["n"].tolist() == [1286, 680]


@pytest.mark.parametrize("text", ["合 计", "合　计", "总 计：", "Gesamt", "Ward total", "TOTAL :"])
def test_names_of_sums_are_known_with_blanks_and_in_other_words(text):
    assert is_total(text)
    assert not is_total("Dr Totalis")


@pytest.mark.parametrize("text", ["n.a.", "(blank)", "Unbekannt", "K.A."])
def test_more_words_name_nobody(text):
    assert is_no_label(text)


def counts(seed=2):
    rng = np.random.default_rng(seed)
    n = rng.integers(50, 150, 20).astype(float)
    return {"n": n, "died": rng.binomial(n.astype(int), 0.2).astype(float)}


def with_sums(columns, below=True, grand=False):
    out = {}
    for name, values in columns.items():
        blocks = []
        for block in (values[:10], values[10:]):
            blocks += [block, [block.sum()]] if below else [[block.sum()], block]
        cells = np.concatenate(blocks)
        out[name] = np.append(cells, values.sum()) if grand else cells
    return out


@pytest.mark.parametrize(("below", "grand"), [(True, False), (False, False), (True, True)])
def test_subtotals_of_blocks_are_refused(below, grand):
    columns = with_sums(counts(), below, grand)
    with pytest.raises(CasesError, match="2 rows hold the sums of the rows") as caught:
        refuse_totals(columns, pd.RangeIndex(len(columns["n"])))
    assert caught.value.fault.first_row == (10 if below else 11)


def test_a_row_that_is_a_sum_by_chance_is_no_subtotal():
    n = np.array([1, 1, 1, 3, 1, 1, 2, 1, 1.0])
    died = np.array([1, 0, 0, 1, 0, 1, 1, 0, 0.0])
    refuse_totals({"n": n, "died": died}, pd.RangeIndex(9))
    refuse_totals(counts(), pd.RangeIndex(20))


@pytest.mark.parametrize("codes", [(777,), (888, 999), (7777,)])
def test_more_codes_for_missing_values_are_named(codes):
    values = np.append(np.arange(40.0, 90.0), codes)
    assert f"holds {max(codes)} in" in describe_code("age", values, pd.RangeIndex(values.size))
    assert describe_code("los", np.append(np.arange(1.0, 700.0), 777), pd.RangeIndex(700)) is None


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["1 030", "1 040"], "holds text, but most of its values are numbers"),
        (["10’180", "10’710"], "holds text, but most of its values are numbers"),
        (["−0.8", "−1.3"], "holds text, but most of its values are numbers"),
        (["1,286", "2,125"], "it may be 1286 or 1.286"),
    ],
)
def test_spoilt_covariates_are_named_as_numbers_and_not_as_rare_classes(cells, words):
    rng = np.random.default_rng(1)
    plain = [f"{value}" for value in range(100, 158)]
    frame = pd.DataFrame(
        {
            "died": rng.binomial(1, 0.3, 60),
            "doctor": [f"D{i % 4}" for i in range(60)],
            "x": [*cells, *plain],
        }
    )
    cases = ok.Cases.from_frame(frame, outcome="died", doctor="doctor")
    with pytest.raises(FormulaError, match=words):
        ok.fit(cases, ok.ModelSpec(case_mix="x"))


def test_faults_of_several_covariates_are_told_together():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "died": rng.binomial(1, 0.3, 60),
            "doctor": [f"D{i % 4}" for i in range(60)],
            "age": [*map(str, range(30, 89)), "?"],
            "ward": ["3"] * 60,
            "bmi": [*np.linspace(20, 30, 59), 999],
        }
    ).astype({"ward": "category"})
    cases = ok.Cases.from_frame(frame, outcome="died", doctor="doctor")
    with pytest.raises(FormulaError, match="The table has 3 faults") as caught:
        ok.fit(cases, ok.ModelSpec(case_mix="age + ward + bmi"))
    assert isinstance(caught.value, CasesError)


def test_dates_with_hours_are_read_in_the_declared_order(tmp_path):
    frame = pd.DataFrame({"doctor": ["A", "B"], "day": ["01/05/2024 13:30", "28/07/2024"]})
    assert written(tmp_path, frame, dates="dmy")["day"].tolist() == [
        "2024-05-01 13:30",
        "2024-07-28",
    ]
    assert order_date("07/01/2024", "mdy") == "2024-07-01"
    assert order_date("31/31/2024", "mdy") == "31/31/2024"


def did(start):
    rows = [(f"W{w}", t, start if w < 3 else never) for w in range(8) for t, never in TIMES]
    frame = pd.DataFrame(rows, columns=["ward", "time", "start"])
    return frame.assign(rate=np.random.default_rng(4).normal(50, 2, len(frame)))


TIMES = [(2018 + k, "never") for k in range(6)]
DID = ok.DifferenceInDifferences(
    outcome="rate", unit="ward", time="time", start="start", direction="higher"
)


@pytest.mark.parametrize("never", ["从未", "Not applicable", "Never ", "ＮＥＶＥＲ", None])
def test_a_start_that_never_came_is_known_in_several_words(never):
    frame = did(2021)
    frame["start"] = frame["start"].astype(object).where(frame["start"] != "never", never)
    assert DID.read(frame).n_treated == 3


def test_the_word_that_spoils_a_column_of_starts_is_named():
    frame = did(2021)
    frame["start"] = frame["start"].astype(object).where(frame["start"] != "never", "later")
    with pytest.raises(CasesError, match=r"'start' \(start\).*30 of 48.*which holds 'later'"):
        DID.read(frame)
    frame["start"] = frame["start"].where(frame["start"] == 2021, "")
    frame["time"] = [f"0{1 + t % 9}/05/{t}" for t in frame["time"]]
    with pytest.raises(CasesError, match="Day and month may be swapped: say their order"):
        DID.read(frame)
