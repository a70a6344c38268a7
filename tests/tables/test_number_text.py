"""Numbers written as text: decimal point or thousands, and what a file says about itself."""

import numpy as np
import pandas as pd
import pytest

import outcomekpi as ok
from outcomekpi.declare.errors import CasesError, SpecError, StorageError
from outcomekpi.tables.file_marks import FileMarks
from outcomekpi.tables.files import read_table
from outcomekpi.tables.number_text import how_written


@pytest.fixture
def file(tmp_path):
    def write(text, name="t.txt", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


@pytest.mark.parametrize(
    ("cells", "mark", "writing"),
    [
        (["680", "1,286"], ",", "either"),
        (["1.286", "680"], ".", "either"),
        (["0,286", "1,286"], ",", "decimal"),
        (["1,28", "1,286"], ",", "decimal"),
        (["1,286", "2000"], ",", "decimal"),
        (["1,286.5", "680"], ",", "thousands"),
        (["1,286,000"], ",", "thousands"),
        (["680", "12"], ",", "plain"),
        (["1,286", "x"], ",", "neither"),
        (["12,34,567"], ",", "neither"),
    ],
)
def test_what_a_sign_means_is_told_by_its_column(cells, mark, writing):
    assert how_written(pd.Series(cells), mark) == writing


def wards(sep, days):
    """24 rows of three wards; falls are about 9 in 1,000 days."""
    rows = [f"W{i % 3}{sep}{days[i % len(days)]}{sep}{5 + i % 4}" for i in range(24)]
    return "\n".join([f"ward{sep}days{sep}falls", *rows]) + "\n"


def rate(path, **marks):
    table = read_table(path, text_columns=["ward"], marks=FileMarks(**marks))
    cases = ok.Cases.from_frame(
        table, outcome="falls", doctor="ward", exposure="days", direction="lower"
    )
    return cases.exposure.sum()


@pytest.mark.parametrize("sep", ["\t", ";"])
@pytest.mark.parametrize("mark", [",", "."])
def test_thousands_are_not_read_as_decimals_in_silence(file, sep, mark):
    path = file(wards(sep, ["680", f"1{mark}286", "757", f"1{mark}024"]))
    with pytest.raises(CasesError) as refusal:
        rate(path)
    message = str(refusal.value)
    assert f"'1{mark}286' at index 1: it may be 1286 or 1.286" in message
    assert f"thousands={mark!r} or decimal={mark!r}" in message
    assert rate(path, thousands=mark) == 6 * (680 + 1286 + 757 + 1024)
    assert rate(path, decimal=mark) == pytest.approx(6 * (680 + 1.286 + 757 + 1.024))


def test_quoted_thousands_between_commas_are_asked_about_too(file):
    path = file(wards(",", ["680", '"1,286"']), "t.csv")
    with pytest.raises(CasesError, match="it may be 1286 or"):
        rate(path)
    assert rate(path, thousands=",") == 12 * (680 + 1286)


@pytest.mark.parametrize(
    ("sep", "days", "total"),
    [
        (";", ["680,5", "1286,25"], 12 * (680.5 + 1286.25)),
        (";", ["0,286", "1,286"], 12 * 1.572),
        ("\t", ["680.5", "1.286"], 12 * 681.786),
        (";", ["1.286,5", "680,25"], 12 * (1286.5 + 680.25)),
        ("\t", ["1,286,500", "680"], 12 * 1287180),
        (",", ["1.286", "2.345"], 12 * 3.631),
        (";", ["1.5", "2.25"], 12 * 3.75),
    ],
)
def test_numbers_that_tell_are_read(file, sep, days, total):
    assert rate(file(wards(sep, days))) == pytest.approx(total)


def test_another_column_tells_what_a_sign_means(file):
    text = wards(";", ["680", "1.286"]).splitlines()
    with_age = [f"{line};{'age' if i == 0 else '61,5'}" for i, line in enumerate(text)]
    assert rate(file("\n".join(with_age))) == 12 * (680 + 1286)
    with_dots = [f"{line};{'age' if i == 0 else '61.5'}" for i, line in enumerate(text)]
    assert rate(file("\n".join(with_dots))) == pytest.approx(12 * (680 + 1.286))


def test_a_column_that_nobody_uses_is_not_asked_about(file):
    text = wards(";", ["680", "690"]).splitlines()
    more = [f"{line};{'cost' if i == 0 else '1,286'}" for i, line in enumerate(text)]
    assert rate(file("\n".join(more))) == 12 * (680 + 690)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"decimal": ";"}, "decimal must be one of ',', '.'; got ';'"),
        ({"decimal": ",", "thousands": ","}, "must be different signs"),
    ],
)
def test_signs_that_no_number_is_written_with_are_refused(file, options, words):
    with pytest.raises(SpecError, match=words):
        rate(file(wards(";", ["680"])), **options)


def test_marks_of_missing_values_are_declared(file):
    marks = FileMarks(missing_marks=("Too few to report", "缺失"))
    text = wards(",", ["680", "Too few to report", "缺失", "700"])
    path = file(text, "t.csv")
    with pytest.raises(CasesError, match="which holds 'Too few to report'"):
        rate(path)
    table = read_table(path, text_columns=["ward"], marks=marks)
    assert table["days"].isna().sum() == 12 and table["days"].dtype == np.float64
    parquet = path.with_suffix(".parquet")
    pd.read_csv(path).to_parquet(parquet)
    again = read_table(parquet, marks=marks)
    assert again["days"].isna().sum() == 12 and again["days"].dtype == np.float64


def test_a_line_that_names_the_separator_is_obeyed(file):
    assert len(read_table(file("sep=;\n" + wards(";", ["680", "690"]), "t.csv"))) == 24


@pytest.mark.parametrize("title", ["Falls on wards, 2025", "病区跌倒", "Report\n"])
def test_titles_above_the_header_are_named(file, title):
    with pytest.raises(StorageError) as refusal:
        read_table(file(f"{title}\n{wards(';', ['680', '690'])}"))
    assert "like a title" in str(refusal.value) and "'ward;days;falls'" in str(refusal.value)


def test_a_title_in_a_row_of_empty_cells_is_named(file):
    with pytest.raises(StorageError, match="like a title: 'Falls'"):
        read_table(file(f"Falls,,\n{wards(',', ['680', '690'])}"))


@pytest.mark.parametrize("footer", ["(24 rows)", "Source: ward books", "(24 rows),,"])
def test_footers_are_named(file, footer):
    with pytest.raises(StorageError, match="like a footer"):
        read_table(file(f"{wards(',', ['680', '690'])}{footer}\n"))


def test_two_quotation_marks_that_were_never_closed_swallow_no_rows(file):
    lines = wards(",", ["680", "690"]).splitlines()
    lines[5] = lines[5].replace("W1", '"W1')
    lines[17] = lines[17].replace("W1", '"W1').replace('"W1,', 'W1",')
    with pytest.raises(StorageError) as refusal:
        read_table(file("\n".join(lines) + "\n", "t.csv"))
    assert "line 6" in str(refusal.value)


def test_a_line_break_inside_a_cell_is_no_fault(file):
    text = 'ward,note,falls\nW1,"two\nlines, and a comma",3\nW2,,4\n'
    assert read_table(file(text, "t.csv"))["note"].iloc[0] == "two\nlines, and a comma"


def test_declared_signs_are_read_in_parquet_as_well(tmp_path):
    path = tmp_path / "t.parquet"
    pd.DataFrame({"ward": ["A", "B"], "days": ["1,286", "680"], "age": ["61.5", "70"]}).to_parquet(
        path
    )
    assert read_table(path)["days"].tolist() == ["1,286", "680"]
    table = read_table(path, text_columns=["ward"], marks=FileMarks(thousands=","))
    assert table["days"].tolist() == [1286, 680] and table["age"].tolist() == [61.5, 70.0]
