"""A schema of roles: which column is what, and records of everything that is wrong with one."""

import pickle

import numpy as np
import pandas as pd
import pytest

import outcomekpi as ok
from outcomekpi import CasesError
from outcomekpi.tables.faults import Fault, Faults, faults_of
from outcomekpi.tables.schema import Role, name_columns, read_schema

TABLE = pd.DataFrame(
    {
        "who": ["A", "B", None, "C"],
        "n": [10, 0, 12.5, 9],
        "y": [1, 2, np.inf, 3],
        "x": ["1", "2", "?", "4"],
    },
    index=["r1", "r2", "r3", "r4"],
)
SCHEMA = (
    Role(name="doctor", is_label=True),
    Role(name="trials", wanted="count patients", lowest=1, whole=True),
    Role(name="outcome"),
    Role(name="exposure", wanted="hold time", lowest=0, above=True),
)
ROLES = {"doctor": "who", "trials": "n", "outcome": "y", "exposure": "x"}


def test_every_wrong_column_is_found_in_one_pass():
    faults = Faults()
    read = read_schema(TABLE, ROLES, SCHEMA, faults)
    assert set(read.values()) == {None}
    with pytest.raises(CasesError, match="4 faults") as caught:
        faults.raise_all()
    records = faults_of(caught.value)
    assert [record.column for record in records] == ["who", "n", "y", "x"]
    assert [record.code for record in records[:3]] == [
        "empty-cell", "wrong-number", "infinite-number"
    ]  # fmt: skip
    assert [record.first_row for record in records[:3]] == ["r3", "r2", "r3"]
    assert records[1].count == 2
    assert all(record.text in str(caught.value) for record in records)
    assert faults_of(pickle.loads(pickle.dumps(caught.value))) == records


def test_columns_that_are_right_are_read():
    faults = Faults()
    read = read_schema(TABLE.iloc[[0, 3]], ROLES, SCHEMA, faults)
    assert not len(faults)
    assert read["doctor"].names == ["A", "C"]
    assert read["exposure"].tolist() == [1.0, 4.0]


def test_missing_columns_and_columns_in_two_roles_are_told_together():
    named = {"doctor": "whom", "outcome": "y", "trials": "y", "exposure": None, "patient": 7}
    with pytest.raises(CasesError) as caught:
        name_columns(TABLE, named, required=("doctor",))
    assert [record.code for record in faults_of(caught.value)] == [
        "unnamed-role", "missing-column", "column-in-two-roles"
    ]  # fmt: skip
    assert name_columns(TABLE, {"doctor": "who", "trials": None}) == {"doctor": "who"}
    with pytest.raises(CasesError, match="trials must be the name of a column, as text; got None"):
        name_columns(TABLE, {"doctor": "who", "trials": None}, required=("trials",))


def test_an_error_without_a_record_has_one_made_of_its_text():
    assert faults_of(CasesError("No.")) == (Fault(code="unusable", text="No."),)


def test_cases_tell_where_each_fault_is():
    table = pd.DataFrame({"died": [3, 1, 2, 4], "n": [5, 0, 9, 8], "doctor": ["A", "B", "C", "D"]})
    with pytest.raises(CasesError) as caught:
        ok.Cases.from_frame(table, outcome="died", doctor="doctor", trials="n")
    first = faults_of(caught.value)[0]
    assert (first.code, first.column, first.first_row, first.count) == ("wrong-number", "n", 1, 1)
