"""A published risk at the door: which column it is, what it holds, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from outcomekpi.declare.errors import CasesError, FormulaError, SpecError
from outcomekpi.lineage.origins import hash_cases
from outcomekpi.tables.cases import Cases, keep_cases


def table(**changes):
    columns = {
        "died": [0, 1, 0, 0] * 3,
        "surgeon": ["A", "B", "C"] * 4,
        "risk": [0.5, 0.2, 0.9, 0.01] * 3,
    }
    return pd.DataFrame({**columns, **changes})


def read(frame=None, *, offset="risk", offset_scale="probability", **roles):
    return Cases.from_frame(
        table() if frame is None else frame,
        outcome="died",
        doctor="surgeon",
        offset=offset,
        offset_scale=offset_scale,
        **roles,
    )


def refused(error, frame=None, **arguments):
    with pytest.raises(error) as caught:
        read(frame, **arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("scale", "values", "expected"),
    [
        ("probability", [0.5, 0.2], [0.0, np.log(0.25)]),
        ("expected_count", [1.0, 0.2], [0.0, np.log(0.2)]),
        ("expected_value", [12.5, -3.0], [12.5, -3.0]),
        ("linear_predictor", [-1.5, 2.0], [-1.5, 2.0]),
    ],
)
def test_each_scale_is_brought_to_the_linear_predictor(scale, values, expected):
    cases = read(table(risk=values * 6), offset_scale=scale)
    np.testing.assert_allclose(cases.offset, expected * 6, rtol=1e-15)
    assert cases.offset_scale == scale


def test_an_expected_count_is_of_the_whole_row_whatever_the_exposure():
    frame = table(risk=[6.0, 3.0] * 6, days=[2.0, 3.0] * 6)
    cases = read(frame, offset_scale="expected_count", exposure="days")
    # exposure times exp(offset) is the expected count again: 2 * 3 and 3 * 1
    np.testing.assert_allclose(cases.exposure * np.exp(cases.offset), [6.0, 3.0] * 6, rtol=1e-15)


def test_no_offset_leaves_none():
    cases = Cases.from_frame(table(), outcome="died", doctor="surgeon")
    assert cases.offset is None
    assert cases.offset_scale is None


def test_the_log_and_the_representation_name_the_published_risk():
    cases = read()
    assert cases.log[-1] == (
        "Column 'risk' (offset) holds probabilities; their log odds enter the linear predictor "
        "with slope 1."
    )
    assert "relative to 'risk'" in repr(cases)


def test_the_scale_is_never_guessed():
    message = refused(SpecError, offset_scale=None)
    for scale in ("probability", "expected_count", "expected_value", "linear_predictor"):
        assert repr(scale) in message
    assert "Did you mean 'probability'?" in refused(SpecError, offset_scale="probabilities")
    assert "no offset was named" in refused(SpecError, offset=None)


@pytest.mark.parametrize("wrong", [0.0, 1.0])
def test_probabilities_of_0_and_1_are_refused(wrong):
    message = refused(CasesError, table(risk=[0.5] * 11 + [wrong]))
    assert "1 of 12 rows does not, the first at index 11" in message
    assert "infinite log odds" in message


def test_percent_given_as_probability_is_refused_with_the_remedy():
    message = refused(CasesError, table(risk=[0.8, 3.2, 12.0] * 4))
    assert "8 of 12 rows do not, the first at index 1 (3.2)" in message
    assert "Divide the column by 100" in message
    assert "Divide" not in refused(CasesError, table(risk=[-0.8, 3.2, 12.0] * 4))


@pytest.mark.parametrize("wrong", [0.0, -2.0])
def test_expected_counts_of_0_and_below_are_refused(wrong):
    frame = table(risk=[0.5] * 11 + [wrong])
    message = refused(CasesError, frame, offset_scale="expected_count")
    assert f"greater than 0. 1 of 12 rows does not, the first at index 11 ({wrong:g})" in message


@pytest.mark.parametrize("scale", ["probability", "expected_value", "linear_predictor"])
def test_missing_and_infinite_offsets_are_refused(scale):
    assert "1 in 'risk' (offset)" in refused(
        CasesError, table(risk=[np.nan] + [0.5] * 11), offset_scale=scale
    )
    assert "'risk' (offset) must hold finite numbers" in refused(
        CasesError, table(risk=[np.inf] + [0.5] * 11), offset_scale=scale
    )


def test_rows_without_an_offset_are_dropped_on_request():
    cases = read(table(risk=[np.nan] + [0.5] * 11), missing="drop")
    assert cases.offset.size == cases.outcome.size == 11


def test_kept_cases_keep_their_offset():
    cases = read()
    kept = keep_cases(cases, np.arange(12) >= 4, because="A reason.")
    np.testing.assert_array_equal(kept.offset, cases.offset[4:])
    assert kept.offset_scale == "probability"


def test_the_fingerprint_changes_with_the_scale_and_with_a_cell():
    frame = table(died=[0, 1, 2, 0] * 3)
    seen = {
        hash_cases(read(frame, offset_scale=scale))
        for scale in ("probability", "expected_count", "linear_predictor", "expected_value")
    }
    seen.add(hash_cases(read(frame.assign(risk=frame["risk"].replace(0.01, 0.02)))))
    assert len(seen) == 5


def test_an_offset_is_not_adjusted_for_a_second_time():
    from outcomekpi.model.design import build_design
    from outcomekpi.model.spec import ModelSpec

    with pytest.raises(FormulaError, match="'risk', the offset column: it enters with slope 1"):
        build_design(read(), ModelSpec(case_mix="risk"))


def test_the_columns_with_a_role_stay_apart():
    assert "'risk' was named as trials and offset" in refused(CasesError, trials="risk")
