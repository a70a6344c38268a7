import os
import stat
import threading

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcomekpi.declare.errors import CasesError, StorageError
from outcomekpi.tables.csv_files import detect_encoding, detect_separator
from outcomekpi.tables.files import (
    read_table,
    replacing,
    write_bytes_atomic,
    write_csv,
    write_text_atomic,
)

CHINESE = "医生,年龄,是否达标\n王伟,61,1\n李娜,47,0\n张敏,80,1\n"
PLAIN = "doctor,age,died\n007,61,1\nB,47,0\n"


def put(folder, text, *, encoding="utf-8", name="cases.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def refused(path, error=StorageError, **options):
    with pytest.raises(error) as caught:
        read_table(path, **options)
    return str(caught.value)


# reading


@pytest.mark.parametrize(
    ("encoding", "found"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("gb18030", "gb18030"), ("gbk", "gb18030"),
     ("utf-16", "utf-16")],
)  # fmt: skip
def test_chinese_files_are_read_in_every_usual_encoding(tmp_path, encoding, found):
    path = put(tmp_path, CHINESE, encoding=encoding)
    frame = read_table(path)
    assert detect_encoding(path) == found
    assert frame.columns.tolist() == ["医生", "年龄", "是否达标"]
    assert frame["医生"].tolist() == ["王伟", "李娜", "张敏"]
    assert frame["年龄"].tolist() == [61, 47, 80]


def test_a_rare_character_in_a_name_is_still_chinese(tmp_path):
    path = put(tmp_path, CHINESE + "陶喆,33,0\n王菲,40,1\n", encoding="gb18030")
    assert read_table(path)["医生"].tolist()[3] == "陶喆"


@pytest.mark.parametrize("encoding", ["latin-1", "shift_jis", "utf-16-le"])
def test_other_encodings_are_refused(tmp_path, encoding):
    names = {"latin-1": "Müller, René", "shift_jis": "カタカナひらがな", "utf-16-le": "a"}
    text = f'doctor,died\n"{names[encoding]}",1\nB,0\n'
    message = refused(put(tmp_path, text, encoding=encoding))
    assert "Save" in message
    assert "'CSV UTF-8'" in message


def test_the_first_wrong_byte_is_located(tmp_path):
    path = put(tmp_path, "doctor,died\nA,1\nRené,0\n", encoding="latin-1")
    assert "0xE9 in line 3" in refused(path)


def test_a_named_encoding_is_used(tmp_path):
    path = put(tmp_path, "doctor,died\nRené,0\nMüller,1\n", encoding="latin-1")
    assert read_table(path, encoding="latin-1")["doctor"].tolist() == ["René", "Müller"]
    assert "is not encoded in utf-8: byte 0xE9 in line 2" in refused(path, encoding="utf-8")
    assert "encoding='utf-9' is not known" in refused(path, encoding="utf-9")


def test_a_multibyte_character_across_two_chunks_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("outcomekpi.tables.csv_files.CHUNK", 7)
    for encoding in ("utf-8", "gb18030"):
        path = put(tmp_path, CHINESE, encoding=encoding)
        assert read_table(path)["医生"].tolist() == ["王伟", "李娜", "张敏"]
    path = put(tmp_path, "doctor,died\nAnna,1\nRené,0\n", encoding="latin-1")
    assert "0xE9 in line 3" in refused(path)


def test_text_columns_keep_leading_zeros(tmp_path):
    frame = read_table(put(tmp_path, "doctor,zip\n007,01234\n012,00001\n"),
                       text_columns=["doctor", "not there"])  # fmt: skip
    assert frame["doctor"].tolist() == ["007", "012"]
    assert frame["zip"].tolist() == [1234, 1]


def test_blank_identifiers_are_missing(tmp_path):
    frame = read_table(put(tmp_path, "doctor,died\n007,1\n,0\n"), text_columns=["doctor"])
    assert frame["doctor"].isna().tolist() == [False, True]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_are_found(tmp_path, separator):
    path = put(tmp_path, PLAIN.replace(",", separator))
    assert detect_separator(path, "utf-8") == separator
    assert read_table(path)["age"].tolist() == [61, 47]


def test_a_separator_inside_quotation_marks_does_not_count(tmp_path):
    path = put(tmp_path, 'doctor;note;died\nA;"a, b, c, d";1\nB;"x, y, z, w";0\n')
    assert read_table(path)["note"].tolist() == ["a, b, c, d", "x, y, z, w"]


def test_decimal_commas_are_read_where_they_cannot_be_separators(tmp_path):
    path = put(tmp_path, "doctor;age;code\n007;61,5;1,5\n012;-47;2,5\nA;;3,5\n")
    frame = read_table(path, text_columns=["code"])
    assert frame["age"].tolist()[:2] == [61.5, -47.0]
    assert np.isnan(frame["age"].iloc[2])
    assert frame["code"].tolist() == ["1,5", "2,5", "3,5"]
    assert frame["doctor"].tolist() == ["007", "012", "A"]


def test_blanks_around_names_and_after_separators_are_ignored(tmp_path):
    frame = read_table(put(tmp_path, 'doctor , age, "my note"\nA, 61, "x, y"\nB, 47, z\n'))
    assert frame.columns.tolist() == ["doctor", "age", "my note"]
    assert frame["my note"].tolist() == ["x, y", "z"]


def test_lines_without_values_are_skipped(tmp_path):
    frame = read_table(put(tmp_path, "doctor,died\nA,1\n,\n\nB,0\n,\n"))
    assert frame["doctor"].tolist() == ["A", "B"]
    assert frame.index.tolist() == [0, 1]


def test_line_breaks_inside_cells_and_windows_line_ends_are_read(tmp_path):
    frame = read_table(put(tmp_path, 'doctor,note,died\r\nA,"one\ntwo",1\r\nB,x,0\r\n'))
    assert frame["note"].tolist() == ["one\ntwo", "x"]
    assert frame["died"].tolist() == [1, 0]


def test_the_row_numbers_that_r_writes_are_kept_under_a_name(tmp_path):
    frame = read_table(put(tmp_path, '"","doctor","died"\n"1","A",1\n"2","B",0\n'))
    assert frame.columns.tolist() == ["Unnamed: 0", "doctor", "died"]


def test_parquet_is_read(tmp_path):
    frame = pd.DataFrame({"医生": ["007", "B"], "died": [1, 0]})
    frame.to_parquet(tmp_path / "cases.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "cases.parquet"), frame)


def test_upper_case_suffixes_are_read(tmp_path):
    assert len(read_table(put(tmp_path, PLAIN, name="CASES.CSV"))) == 2


# files that cannot be read


def test_a_missing_file_is_refused_with_its_nearest_neighbor(tmp_path):
    put(tmp_path, PLAIN)
    message = refused(tmp_path / "casse.csv")
    assert "casse.csv' not found. Did you mean 'cases.csv'?" in message
    assert "the folder does not exist" in refused(tmp_path / "no" / "cases.csv")


def test_a_folder_is_refused_and_its_tables_are_named(tmp_path):
    put(tmp_path, PLAIN)
    assert "is a folder; name a CSV or Parquet file. It holds 'cases.csv'." in refused(tmp_path)


@pytest.mark.parametrize("text", [b"", b"\n\n  \n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(tmp_path, text):
    assert "is empty: it holds" in refused(put(tmp_path, text))


def test_a_blank_header_is_refused(tmp_path):
    assert "must name its columns in the first line" in refused(put(tmp_path, ",,\nA,1,2\n"))


def test_blank_lines_above_the_header_are_skipped(tmp_path):
    assert read_table(put(tmp_path, "\n  \ndoctor,died\nA,1\n"))["died"].tolist() == [1]


def test_unusual_line_separators_belong_to_their_cell(tmp_path):
    frame = read_table(put(tmp_path, "doctor,note,died\nA,one\u2028two\x85,1\nB,x,0\n"))
    assert frame["note"].tolist() == ["one\u2028two\x85", "x"]


def test_a_header_alone_is_refused(tmp_path):
    message = refused(put(tmp_path, "doctor,died\n"), CasesError)
    assert "has a header ('doctor', 'died') but no rows" in message
    pd.DataFrame({"a": []}).to_parquet(tmp_path / "none.parquet")
    assert "no rows" in refused(tmp_path / "none.parquet", CasesError)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("cases.xlsx", "Save the sheet as 'CSV UTF-8'"), ("cases.sav", "Convert the file"),
     ("cases", "its name ends in ''")],
)  # fmt: skip
def test_other_kinds_of_files_are_refused(tmp_path, name, remedy):
    assert remedy in refused(put(tmp_path, PLAIN, name=name))


def test_a_spreadsheet_named_csv_is_refused(tmp_path):
    assert "is an Excel or zip file" in refused(put(tmp_path, b"PK\x03\x04rest of the file"))
    assert "is a Parquet file" in refused(put(tmp_path, b"PAR1rest of the file"))
    assert "is not a text file" in refused(put(tmp_path, b"a,b\n1,\x00\n"))


def test_a_csv_named_parquet_is_refused(tmp_path):
    message = refused(put(tmp_path, PLAIN, name="cases.parquet"))
    assert "cannot be read as a Parquet file" in message


def test_an_unknown_separator_is_refused(tmp_path):
    message = refused(put(tmp_path, PLAIN.replace(",", "|")))
    assert "separated by commas, semicolons or tabs" in message
    assert "'doctor|age|died'" in message


@pytest.mark.parametrize(("line", "cells"), [("A,1", 2), ("A,1,2,3", 4), ("A,1,2,", 4), ("A", 1)])
def test_ragged_lines_are_counted_and_located(tmp_path, line, cells):
    text = "doctor,age,died\n" + "X,61,1\n" * 3 + f"{line}\n" + "Y,50,0\n" + f"{line}\n"
    message = refused(put(tmp_path, text))
    assert "must have 3 cells in every line" in message
    assert f"2 of 6 lines do not, the first is line 5 with {cells}" in message


def test_lines_that_all_have_one_cell_more_are_refused(tmp_path):
    message = refused(put(tmp_path, "doctor,died\nA,1,\nB,0,\n"))
    assert "2 of 2 lines do not, the first is line 2 with 3" in message


def test_an_open_quotation_mark_is_refused(tmp_path):
    message = refused(put(tmp_path, 'doctor,age,died\nA,61,1\n"B,47,0\nC,50,1\n'))
    assert "the first is line 3" in message
    assert "quotation mark" in message


def test_an_open_quotation_mark_in_the_last_column_is_explained(tmp_path):
    message = refused(put(tmp_path, 'doctor,died\nA,1\nB,"0\nC,1\n'))
    assert "Look for a quotation mark that is not closed" in message


def test_an_open_quotation_mark_in_a_long_file_is_refused(tmp_path):
    message = refused(put(tmp_path, 'doctor,age,died\n"A,61,1\n' + "B,47,0\n" * 30_000))
    assert "Look for a quotation mark that is not closed" in message


def test_duplicate_names_in_the_header_are_refused(tmp_path):
    message = refused(put(tmp_path, "doctor,age,age \nA,1,2\n"), CasesError)
    assert "'age' more than once" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may open every file")
def test_a_file_without_permission_is_refused(tmp_path):
    path = put(tmp_path, PLAIN)
    path.chmod(0)
    assert "cannot be opened: Permission denied" in refused(path)


@given(text=st.binary(min_size=1, max_size=200))
def test_any_bytes_give_a_table_or_one_of_our_errors(tmp_path_factory, text):
    path = put(tmp_path_factory.mktemp("any"), text)
    try:
        assert len(read_table(path))
    except (StorageError, CasesError) as error:
        assert "cases.csv" in str(error)


# writing


def cells_of(path):
    return path.read_text(encoding="utf-8-sig").splitlines()


UNSEEN = (
    "\u200b\u200c\u200d\u200e\u200f\u2060\u2061\ufeff\u00ad\u180e\u202a\u202e\u2066\u061c\ufff9"
    "\u034f\u115f\u1160\u2800\u3164\uffa0\ufe0f\u00a0\u3000\u2003\u2028\x0b\x0c\x00\x1b\x85"
)
SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u207c\u207a\u208c\u208a"


@pytest.mark.parametrize(
    "risky",
    [
        "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", "－1",
        *(f"{sign}1" for sign in SIGNS),
        *(f"{unseen}=1" for unseen in UNSEEN),
        "\u200b \ufeff\u3000\ufe66HYPERLINK(1)",
    ],
)  # fmt: skip
def test_no_text_cell_starts_a_formula(tmp_path, risky):
    path = tmp_path / "doctors.csv"
    write_csv(pd.DataFrame({risky: [risky, "plain"]}), path)
    back = pd.read_csv(path, dtype="str")
    assert back.iloc[:, 0].tolist()[1] == "plain"
    assert back.iloc[0, 0].startswith("'")
    assert back.columns[0].startswith("'")


@pytest.mark.parametrize("kind", ["str", "object", "category", "string[pyarrow]"])
def test_every_kind_of_text_column_is_guarded(tmp_path, kind):
    frame = pd.DataFrame({"doctor": pd.Series(["=1", "B", None]).astype(kind)})
    write_csv(frame.assign(n=1), tmp_path / "a.csv")
    assert cells_of(tmp_path / "a.csv") == ["doctor,n", "'=1,1", "B,1", ",1"]


def test_numbers_are_left_alone(tmp_path):
    frame = pd.DataFrame({"effect": [-0.1, 1 / 3, np.nan], "n": [-1, 2, 3]})
    write_csv(frame, tmp_path / "a.csv")
    assert cells_of(tmp_path / "a.csv")[1] == "-0.1,-1"
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "a.csv"), frame)


def test_a_named_index_is_written_and_another_is_not(tmp_path):
    frame = pd.DataFrame({"n": [1]}, index=pd.Index(["=A"], name="doctor"))
    write_csv(frame, tmp_path / "a.csv")
    assert cells_of(tmp_path / "a.csv") == ["doctor,n", "'=A,1"]
    write_csv(frame.rename_axis(index=None), tmp_path / "a.csv")
    assert cells_of(tmp_path / "a.csv") == ["n", "1"]


def test_the_byte_order_mark_comes_with_chinese_only(tmp_path):
    write_csv(pd.DataFrame({"doctor": ["A"]}), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == b"doctor\nA\n"
    write_csv(pd.DataFrame({"医生": ["王"], "n": [1]}), tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert read_table(tmp_path / "b.csv")["医生"].tolist() == ["王"]
    assert pd.read_csv(tmp_path / "b.csv").columns[0] == "医生"


@given(
    names=st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1),
        min_size=1,
        max_size=5,
    )
)
def test_what_is_written_is_read_back_but_for_apostrophes(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("round") / "a.csv"
    write_csv(pd.DataFrame({"name": names, "n": range(len(names))}), path)
    back = pd.read_csv(path, dtype={"name": "str"}, keep_default_na=False)["name"].tolist()
    for found, name in zip(back, names, strict=True):
        assert found in (name, f"'{name}")
        if name.startswith(tuple(SIGNS)):
            assert found == f"'{name}"
        if name[0].isalnum():
            assert found == name


@pytest.mark.parametrize(
    "text", ["A=1", "Dr. +", "1-2", "王=", "a@b", "'=1", "", "\u200b", "·=", "−1"]
)
def test_other_texts_are_left_alone(tmp_path, text):
    write_csv(pd.DataFrame({"name": [text, "x"], "n": 1}), tmp_path / "a.csv")
    back = pd.read_csv(tmp_path / "a.csv", dtype={"name": "str"}, keep_default_na=False)
    assert back["name"].tolist() == [text, "x"]


def test_writing_replaces_a_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "note.txt"
    write_text_atomic(path, "old 旧")
    write_text_atomic(path, "new 新")
    assert path.read_text(encoding="utf-8") == "new 新"
    assert [child.name for child in tmp_path.iterdir()] == ["note.txt"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "figure.png"
    write_bytes_atomic(path, b"old")
    with pytest.raises(RuntimeError, match="halfway"), replacing(path) as partial:
        partial.write_bytes(b"half")
        raise RuntimeError("halfway")
    assert path.read_bytes() == b"old"
    assert [child.name for child in tmp_path.iterdir()] == ["figure.png"]


def test_the_partial_file_has_the_suffix_of_the_whole_one(tmp_path):
    with replacing(tmp_path / "figure.png") as partial:
        assert partial.suffix == ".png"
        assert partial.parent == tmp_path
        partial.write_bytes(b"x")
    assert (tmp_path / "figure.png").read_bytes() == b"x"


def test_written_files_have_the_usual_permissions(tmp_path):
    write_text_atomic(tmp_path / "a.txt", "x")
    (tmp_path / "b.txt").write_text("x")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.txt", "b.txt")}
    assert len(modes) == 1


def test_a_missing_folder_is_one_message(tmp_path):
    with pytest.raises(StorageError, match=r"cannot be written: .*The folder does not exist"):
        write_text_atomic(tmp_path / "no" / "a.txt", "x")


def test_a_reader_never_sees_half_a_file(tmp_path):
    path = tmp_path / "a.txt"
    whole = {letter * 200_000 for letter in "ab"}
    write_text_atomic(path, "a" * 200_000)
    seen = set()
    stop = threading.Event()

    def look():
        while not stop.is_set():
            seen.add(path.read_text(encoding="utf-8"))

    reader = threading.Thread(target=look)
    reader.start()
    for letter in "ab" * 20:
        write_text_atomic(path, letter * 200_000)
    stop.set()
    reader.join()
    assert seen <= whole
