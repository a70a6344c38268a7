"""Definitions of indicators: read, refused with every fault, written, and printed as SQL."""

import pytest

from outcomekpi.declare.errors import SpecError
from outcomekpi.measures.definition import (
    from_mapping,
    read_indicator,
    shipped_indicators,
    write_indicator,
)

VISIT = {"table": "encounters", "since": "start", "until": "end"}


def define(**changes):
    return {"name": "x", "find": {"visit": VISIT}, "success": "visit", **changes}


@pytest.mark.parametrize("name", shipped_indicators())
def test_a_shipped_indicator_comes_back_from_its_own_text(name, tmp_path):
    indicator = read_indicator(name)
    file = tmp_path / "again.toml"
    file.write_text(write_indicator(indicator), encoding="utf-8")
    assert read_indicator(file) == indicator
    assert indicator.source
    assert indicator.version


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sucess": "visit"}, "Did you mean 'success'"),
        ({"find": {"visit": {**VISIT, "untill": "end"}}}, "Did you mean 'until'"),
        ({"success": "vist"}, "Did you mean 'visit'"),
        ({"success": "visit and"}, "condition"),
        ({"success": "visit.__class__"}, "may hold names"),
        ({"success": "__import__('os')"}, "may hold names"),
        ({"find": {"visit": {**VISIT, "since": "start - 2 fortnights"}}}, "start - 9 years"),
        ({"find": {"visit": {**VISIT, "table": "encounter"}}}, "Did you mean 'encounters'"),
        ({"find": {"visit": {**VISIT, "where": {"clas": ["AMB"]}}}}, "Did you mean 'class'"),
        ({"find": {"visit": {**VISIT, "below": 7}}}, "no value"),
        ({"find": {"visit": {**VISIT, "since": "index"}}}, "index"),
        ({"find": {"visit": {**VISIT, "since": "end", "until": "start"}}}, "closes before"),
        ({"missing": "fails"}, "Did you mean 'fail'"),
        ({"event": "visit"}, "one of them"),
    ],
)
def test_a_wrong_definition_is_refused_with_what_was_meant(changes, said):
    with pytest.raises(SpecError, match=said):
        from_mapping(define(**changes))


def test_all_faults_of_a_definition_are_told_at_once():
    with pytest.raises(SpecError, match=r"2 faults(.|\n)*untill(.|\n)*sucess"):
        from_mapping(define(sucess="visit", find={"visit": {**VISIT, "untill": "end"}}))


def test_values_never_become_part_of_the_statement():
    hostile = "x'; DROP TABLE patients; --"
    indicator = from_mapping(define(find={"visit": {**VISIT, "concepts": [hostile]}}))
    body = "\n".join(line for line in indicator.sql().splitlines() if not line.startswith("--"))
    assert "DROP" not in body
    assert hostile in indicator.sql()


def test_names_of_finds_are_quoted():
    odd = 'vis"it; --'
    indicator = from_mapping(define(find={"visit": VISIT, odd: VISIT}))
    assert '"t_vis""it; --"' in indicator.sql()
