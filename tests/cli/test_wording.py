from pathlib import Path

import pytest

from outcomekpi.cli.wording import name_option, reword
from outcomekpi.declare.errors import FieldError


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("or pass missing='drop' to Cases.from_frame to exclude.", "or pass --missing drop to"),
        ("Pass event='did die' or another of these values to say", "Pass --event 'did die' (or an"),
        ("or pass event=... to say which value", "or pass --event VALUE to say"),
        ("Pass event=2 (or event=1) to say", "Pass --event 2 (or --event 1) to say"),
        ("case_mix='age + `a b`' uses", "--adjust 'age + `a b`' uses"),
        ("is named in Cases.from_frame. Write case_mix='age'.", "on the command line. Write --adj"),
        ("level must lie between", "--level must lie"),
        ("Use engine='nuts'.", "Use --engine nuts."),
        ("Save it as 'CSV UTF-8', or name its encoding.", "Save it as 'CSV UTF-8'."),
    ],
)
def test_arguments_of_python_become_options(said, wanted):
    assert wanted in reword(said)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("FlagRule.probability", "--probability"),
        ("ReviewJudgment.loss_false_change", "--loss-false"),
        ("ReviewRule.cycle_length", "--cycle-length"),
        ("draws", "--draws"),
    ],
)
def test_a_field_is_named_by_its_option(name, option):
    found = name_option(FieldError(name, "be a number above 0", "-1", " Is it?"))
    assert str(found) == f"{option} must be a number above 0; got -1. Is it?"


def test_places_are_lines_of_a_text_file_and_stay_labels_of_other_tables():
    message = "3 of 5 rows do not, the first at index 5 (-1)"
    assert "the first in line 7 (-1)" in reword(message, data=Path("cases.csv"))
    assert reword(message, data=Path("cases.parquet")) == message


def test_what_the_data_say_is_left_alone():
    message = "Covariate 'k' is constant: every case is 'missing values'. Leave it out."
    assert reword(message, data=Path("cases.csv")) == message
