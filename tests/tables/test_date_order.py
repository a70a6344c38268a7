"""Dates with the day first are read as declared, and never guessed."""

import pandas as pd
import pytest

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.tables.file_marks import FileMarks
from outcomekpi.tables.files import read_table


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("ward,seen,note\nA,01/05/2024,1/2\nB,13.05.2024,x\nA,,y\n")
    return file


def test_the_declared_order_is_the_one_that_is_read(path):
    seen = read_table(path, marks=FileMarks(dates="dmy"))["seen"]
    assert seen.tolist()[:2] == ["2024-05-01", "2024-05-13"] and pd.isna(seen[2])
    assert read_table(path)["seen"][0] == "01/05/2024"
    assert read_table(path, marks=FileMarks(dates="dmy"))["note"].tolist() == ["1/2", "x", "y"]


def test_days_that_no_calendar_has_in_that_order_are_refused(path):
    with pytest.raises(CasesError) as refusal:
        read_table(path, marks=FileMarks(dates="mdy"))
    assert "'seen' must hold dates in the order mdy" in str(refusal.value)
    assert "the first at index 1 ('13.05.2024')" in str(refusal.value)


def test_an_unknown_order_is_refused(path):
    with pytest.raises(SpecError, match="dates must be one of 'dmy', 'mdy', 'ymd'; got 'dym'"):
        read_table(path, marks=FileMarks(dates="dym"))
