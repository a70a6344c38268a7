"""The versions that run here, compared with those that a notebook was executed with."""

import json
from dataclasses import replace

import pytest
from made_results import PROVENANCE

import outcomekpi as ok
from outcomekpi.lineage.environment import Environment

HERE = Environment(versions={"python": "3.13.1", "outcomekpi": "0.1.0", "numpy": "2.5.0"})


def against(**there):
    return replace(HERE, executed_with={**HERE.versions, **there})


def test_the_same_versions_are_said_in_one_line():
    assert against().versions_line == "Same versions as executed."
    assert against().differences == {}


def test_a_package_with_another_version_is_named_with_both():
    line = against(numpy="2.4.1").versions_line
    assert line == "Executed with numpy 2.4.1, here 2.5.0: last digits may differ."


def test_every_package_that_differs_is_named():
    line = against(numpy="2.4.1", python="3.12.9", nutpie="0.16").versions_line
    assert line == (
        "Executed with python 3.12.9, here 3.13.1; with numpy 2.4.1, here 2.5.0; "
        "with nutpie 0.16, here none: last digits may differ."
    )


def test_a_package_that_was_absent_is_named():
    there = {"python": "3.13.1", "outcomekpi": "0.1.0"}
    line = replace(HERE, executed_with=there).versions_line
    assert line == "Executed without numpy, here 2.5.0: last digits may differ."


def test_without_a_file_nothing_is_compared():
    assert HERE.versions_line == ""
    assert repr(HERE) == "Environment: outcomekpi 0.1.0, numpy 2.5.0, Python 3.13.1"


def test_the_line_stands_in_both_representations():
    other = against(numpy="2.4.1")
    assert repr(other).endswith(other.versions_line)
    assert "\n" not in repr(other)
    assert other.versions_line in other._repr_html_()


def test_names_are_escaped():
    assert "<x>" not in replace(HERE, versions={"<x>": "1"})._repr_html_()


def test_what_is_written_here_is_read_as_the_same(tmp_path):
    path = tmp_path / "executed_with.json"
    path.write_text(ok.provenance().to_json(), encoding="utf-8")
    assert ok.provenance(executed_with=path).versions_line == "Same versions as executed."
    assert ok.provenance(executed_with=str(path)).differences == {}


def test_the_running_environment_names_the_package_and_no_machine():
    here = ok.provenance()
    assert here.versions["outcomekpi"] == ok.__version__
    assert set(json.loads(here.to_json())["versions"]) == set(here.versions)
    assert "/" not in here.to_json()


def test_the_record_of_a_result_can_be_compared_with_here(tmp_path):
    path = tmp_path / "provenance.json"
    path.write_text(PROVENANCE.to_json(), encoding="utf-8")
    assert ok.provenance(executed_with=path).executed_with == PROVENANCE.versions


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read"),
        ("no json", "must be JSON"),
        ("[1]", "holds list"),
        ('{"seed": 1}', r"holds \['seed'\]"),
        ('{"versions": {"numpy": 2}}', "package by package"),
    ],
)
def test_a_file_that_does_not_hold_versions_is_refused_with_what_to_do(tmp_path, text, words):
    path = tmp_path / "versions.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ok.StorageError, match=words) as caught:
        ok.provenance(executed_with=path)
    assert "versions.json" in str(caught.value)
    assert "provenance().to_json()" in str(caught.value)


def test_a_result_gives_its_own_record():
    class Result:
        provenance = PROVENANCE

    assert ok.provenance(Result()) is PROVENANCE
    assert ok.provenance(PROVENANCE) is PROVENANCE


def test_a_result_without_a_record_is_refused():
    with pytest.raises(ok.SpecError, match="str keeps no provenance of its own"):
        ok.provenance("43 %")


def test_a_result_and_a_file_together_are_refused():
    with pytest.raises(ok.SpecError, match="Leave out one of the two"):
        ok.provenance(PROVENANCE, executed_with="versions.json")
