import numpy as np
import pytest
from worlds import gamma_counts, make_model, simulate

from outcomekpi.declare.errors import EngineError
from outcomekpi.engine.rows import sort_rows


@pytest.mark.parametrize("family", ["bernoulli", "binomial", "poisson"])
def test_sorted_rows_hold_every_case_once_in_its_doctors_run(family):
    model = simulate(family, counts=gamma_counts(700, 23))
    rows = sort_rows(model)
    code = np.repeat(np.arange(23), rows.counts)
    order = np.argsort(model.doctor_code, kind="stable")
    np.testing.assert_array_equal(code, model.doctor_code[order])
    np.testing.assert_array_equal(rows.x[1:], model.matrix[order].T)
    np.testing.assert_array_equal(rows.x[0], 1.0)
    weight = model.trials if family == "binomial" else model.exposure
    if weight is None:
        assert rows.weight is None
    else:
        np.testing.assert_array_equal(rows.weight, weight[order])


def test_events_and_covariate_sums_are_those_of_the_cases():
    model = simulate("binomial", counts=gamma_counts(700, 23))
    rows = sort_rows(model)
    events = np.bincount(model.doctor_code, model.outcome)
    np.testing.assert_array_equal(rows.y_doctor, events)
    full = np.column_stack((np.ones(700), model.matrix))
    np.testing.assert_allclose(rows.xty, full.T @ model.outcome, rtol=1e-12)


def test_rows_already_sorted_give_the_same_as_shuffled_ones():
    shuffled = simulate(counts=gamma_counts(500, 9))
    order = np.argsort(shuffled.doctor_code, kind="stable")
    in_order = make_model(
        "bernoulli", shuffled.doctor_code[order], shuffled.matrix[order], shuffled.outcome[order]
    )
    left, right = sort_rows(shuffled), sort_rows(in_order)
    np.testing.assert_array_equal(left.x, right.x)
    np.testing.assert_array_equal(left.starts, right.starts)


@pytest.mark.parametrize(
    "counts", [[1] * 40, [20_000], [1, 9_000, 1, 8_192, 17], gamma_counts(40_000, 300)]
)
def test_blocks_cover_rows_doctors_and_product_runs_without_gap(counts):
    counts = np.asarray(counts)
    model = simulate(counts=counts, slopes=())
    rows = sort_rows(model)
    assert rows.blocks[0].rows.start == 0 and rows.blocks[-1].rows.stop == counts.sum()
    for block, after in zip(rows.blocks, [*rows.blocks[1:], None], strict=True):
        if after is not None:
            assert block.rows.stop == after.rows.start
            assert block.doctors.stop == after.doctors.start
        n_rows = block.rows.stop - block.rows.start
        assert n_rows <= 8192 or block.counts.size == 1
        np.testing.assert_array_equal(block.counts, counts[block.doctors])
        runs = np.diff([*block.product_starts, n_rows])
        assert runs.min() >= 1 and runs.max() <= 16
        # Adding up a doctor's runs gives his rows, so no run crosses into another doctor.
        np.testing.assert_array_equal(np.add.reduceat(runs, block.product_first), block.counts)


def test_a_doctor_without_cases_is_refused():
    model = make_model("bernoulli", [0, 0, 2, 2], np.empty((4, 0)), [0, 1, 0, 1], n_doctors=3)
    with pytest.raises(EngineError, match="1 of 3 doctors have no cases"):
        sort_rows(model)
