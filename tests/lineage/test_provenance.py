"""Provenance: what is recorded, what changes a fingerprint, and what does not."""

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcomekpi.declare.errors import StorageError
from outcomekpi.lineage.origins import Provenance, hash_cases, record_provenance
from outcomekpi.model.priors import HalfNormal, Priors
from outcomekpi.model.spec import ModelSpec
from outcomekpi.tables.cases import Cases


def make_cases(table, **changes):
    doctors, code = np.unique(table["doctor"].to_numpy(dtype=str), return_inverse=True)
    fields = {
        "frame": table,
        "roles": {"outcome": "died", "doctor": "doctor"},
        "outcome": table["died"].to_numpy(np.float64),
        "trials": None,
        "exposure": None,
        "doctors": pd.Index(doctors),
        "doctor_code": code.astype(np.intp),
        "hospitals": None,
        "hospital_code": None,
        "direction": "lower",
        "event": None,
        "log": (),
    }
    return Cases(**{**fields, **changes})


def make_frame(n=9000, seed=1):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "doctor": rng.choice(["A", "B", "C"], n),
            "died": rng.integers(0, 2, n),
            "age": rng.normal(60, 10, n),
            "sex": rng.choice(["F", "M"], n),
            "ward": pd.Categorical(rng.choice(["x", "y"], n)),
            "day": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 99, n), "D"),
            "emergency": rng.random(n) < 0.5,
        }
    )


@pytest.fixture(scope="module")
def frame():
    return make_frame()


def test_a_record_survives_the_way_through_json(frame):
    record = record_provenance(make_cases(frame), ModelSpec(), seed=7, seconds=0.5)
    assert Provenance.from_json(record.to_json()) == record
    assert record.seed == 7
    assert record.created.endswith("+00:00")
    assert {"python", "outcomekpi", "numpy", "pymc"} <= set(record.versions)


@pytest.mark.parametrize("text", ["no json", "[1]", '{"seed": 1}'])
def test_a_text_that_is_no_record_is_refused(text):
    with pytest.raises(StorageError, match="provenance record must"):
        Provenance.from_json(text)


def test_the_same_data_and_specification_give_the_same_hashes(frame):
    first = record_provenance(make_cases(frame), ModelSpec(), seed=1, seconds=1)
    again = record_provenance(make_cases(frame.copy()), ModelSpec(), seed=2, seconds=2)
    assert (first.data_hash, first.spec_hash) == (again.data_hash, again.spec_hash)


def test_another_prior_gives_another_specification_hash(frame):
    other = ModelSpec(priors=Priors(sd_doctor=HalfNormal(0.5)))
    hashes = {
        record_provenance(make_cases(frame), spec, seed=1, seconds=1).spec_hash
        for spec in (ModelSpec(), other, ModelSpec(case_mix="age"))
    }
    assert len(hashes) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("died", None),
        ("age", 60.0000001),
        ("sex", "X"),
        ("ward", None),
        ("day", pd.Timestamp("1999-01-01")),
        ("emergency", None),
    ],
)
@given(row=st.integers(0, 8999))
def test_a_change_of_any_single_cell_changes_the_fingerprint(column, value, row):
    frame = make_frame()
    before = hash_cases(make_cases(frame))
    if column in ("died", "emergency"):
        frame.loc[row, column] = frame[column].dtype.type(not frame.loc[row, column])
    elif column == "ward":
        frame.loc[row, column] = "y" if frame.loc[row, column] == "x" else "x"
    else:
        frame.loc[row, column] = value
    assert hash_cases(make_cases(frame)) != before


@pytest.mark.slow
@given(st.tuples(st.integers(0, 8999), st.integers(0, 8999)).filter(lambda p: p[0] != p[1]))
def test_swapping_two_rows_changes_the_fingerprint(pair):
    frame = make_frame()
    order = np.arange(len(frame))
    order[list(pair)] = order[list(reversed(pair))]
    assert hash_cases(make_cases(frame.iloc[order])) != hash_cases(make_cases(frame))


def test_roles_and_labels_belong_to_the_fingerprint(frame):
    cases = make_cases(frame)
    others = [
        replace(cases, direction="higher"),
        replace(cases, event="1"),
        replace(cases, doctors=pd.Index(["A", "B", "D"])),
        replace(cases, exposure=np.ones(len(frame))),
        replace(cases, frame=frame.rename(columns={"age": "years"})),
    ]
    assert len({hash_cases(each) for each in [cases, *others]}) == 6


def test_odd_columns_can_be_hashed():
    frame = make_frame(5).assign(
        lists=[[1], [2], None, [3], [4]],
        whole=pd.array([1, None, 3, 4, 5], dtype="Int64"),
        small=np.arange(5, dtype=np.float32),
    )
    assert len(hash_cases(make_cases(frame))) == 16


def test_a_million_rows_are_hashed_in_passing():
    n = 1_000_000
    numbers = np.random.default_rng(1).normal(size=(n, 8))
    frame = pd.DataFrame(numbers, columns=[f"x{k}" for k in range(8)])
    frame = frame.assign(died=0, doctor=pd.Categorical.from_codes(np.zeros(n, np.int8), ["A"]))
    code = np.zeros(n, np.intp)
    cases = make_cases(
        frame.head(9), frame=frame, outcome=np.zeros(n), doctors=pd.Index(["A"]), doctor_code=code
    )
    times = []
    for _ in range(5):
        start = time.perf_counter()
        hash_cases(cases)
        times.append(time.perf_counter() - start)
    # 8 ms on a quiet machine of this kind; a fit of this size takes .5 s or more
    assert min(times) < 0.1


def test_the_representations_name_what_matters(frame):
    record = record_provenance(make_cases(frame), ModelSpec(), seed=7, seconds=0.5)
    assert "seed 7" in repr(record)
    assert record.data_hash in record._repr_html_()


def test_a_table_is_recorded_by_its_cells_and_not_by_its_index(frame):
    changed = frame.copy()
    changed.loc[17, "age"] += 1e-9
    same = record_provenance(frame.set_axis(range(5, 5 + len(frame))), "rule", seed=1, seconds=0.0)
    one = record_provenance(frame, "rule", seed=1, seconds=0.0)
    other = record_provenance(changed, "rule", seed=1, seconds=0.0)
    assert one.data_hash == same.data_hash != other.data_hash
