"""The compiled kernels give the sums of the array kernels."""

from dataclasses import replace

import numpy as np
import pytest

from outcomekpi.engine.compiled import CompiledLogisticKernel
from outcomekpi.engine.kernels import LogisticKernel, clipped_exp
from outcomekpi.engine.rows import Rows

ROUNDING = 1e-11  # sums of up to a thousand doubles in another order


def rows_of(*, trials: bool, offset: bool = False) -> Rows:
    from outcomekpi.engine.rows import cut_blocks

    rng = np.random.default_rng(1)
    counts = np.concatenate((np.arange(1, 40), [300, 1000, 7, 8, 9, 10_000]))
    n = counts.sum()
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    return Rows(
        x=np.vstack((np.ones(n), rng.normal(size=(3, n)))),
        weight=rng.integers(1, 9, n).astype(float) if trials else None,
        starts=starts,
        counts=counts,
        y_doctor=counts / 4,
        xty=np.zeros(4),
        blocks=cut_blocks(starts, counts),
        offset=rng.normal(-1.0, 2.0, n) if offset else None,
    )


@pytest.mark.slow
@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize("trials", [False, True])
@pytest.mark.parametrize("level", [-1.0, 30.0])  # at 30 products of odds would overflow
def test_compiled_sums_equal_array_sums(trials, level, offset):
    rows = rows_of(trials=trials, offset=offset)
    plain, compiled = LogisticKernel(rows), CompiledLogisticKernel(rows)
    rng = np.random.default_rng(2)
    beta = np.array([level, 0.3, -0.2, 0.1])
    u = rng.normal(size=(8, rows.n_doctors))
    size = plain.sizes(beta)
    np.testing.assert_allclose(compiled.sizes(beta), size, rtol=ROUNDING)
    factor = clipped_exp(u)
    np.testing.assert_allclose(
        compiled.log_partition(size, factor), plain.log_partition(size, factor), rtol=ROUNDING
    )
    for found, wanted in zip(
        compiled.derivatives(size, factor[0]), plain.derivatives(size, factor[0]), strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(
        compiled.third(size, factor[0]), plain.third(size, factor[0]), rtol=1e-8, atol=1e-14
    )
    weights = rng.dirichlet(np.ones(8), size=(3, rows.n_doctors)).transpose(0, 2, 1)
    found, wanted = (kernel.score(size, factor, weights) for kernel in (compiled, plain))
    for name in ("mean", "information", "covariates", "loadings"):
        # variances near 0 are differences of sums near 1: rounding of every row, 2e-16, adds up
        np.testing.assert_allclose(
            getattr(found, name), getattr(wanted, name), rtol=1e-8, atol=4e-16 * rows.n_rows
        )
    betas = beta + rng.normal(0, 0.1, (5, 4))
    factors = clipped_exp(rng.normal(size=(5, 8, rows.n_doctors)))
    np.testing.assert_allclose(
        compiled.log_partitions(betas, factors), plain.log_partitions(betas, factors), rtol=ROUNDING
    )


def test_single_precision_covariates_move_sums_by_rounding_only():
    rows = rows_of(trials=False)
    single = CompiledLogisticKernel(replace(rows, x=rows.x.astype(np.float32)))
    beta, factor = np.array([-1.0, 0.3, -0.2, 0.1]), np.ones((1, rows.n_doctors))
    wanted = LogisticKernel(rows).log_partition(LogisticKernel(rows).sizes(beta), factor)
    # Odds carry a relative error of at most a few 6e-8
    np.testing.assert_allclose(single.log_partition(single.sizes(beta), factor), wanted, rtol=5e-7)


@pytest.mark.parametrize("kernel", [LogisticKernel, CompiledLogisticKernel])
def test_an_offset_is_a_column_with_slope_1(kernel):
    rows = rows_of(trials=True, offset=True)
    column = replace(rows, x=np.vstack((rows.x, rows.offset)), offset=None, xty=np.zeros(5))
    betas = np.array([[-1.0, 0.3, -0.2, 0.1], [0.5, 0.1, 0.0, 0.2]])
    with_slope = np.column_stack((betas, np.ones(2)))
    own, wanted = kernel(rows), kernel(column)
    np.testing.assert_allclose(own.sizes(betas[0]), wanted.sizes(with_slope[0]), rtol=ROUNDING)
    factors = np.exp(np.random.default_rng(3).normal(size=(2, 8, rows.n_doctors)))
    np.testing.assert_allclose(
        own.log_partitions(betas, factors),
        wanted.log_partitions(with_slope, factors),
        rtol=ROUNDING,
    )
