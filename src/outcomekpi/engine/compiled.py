"""Compiled kernels for large data, by numba: the same sums as the array kernels, faster.

They are compiled on first use (about ten seconds, then cached on disk), run without the
interpreter lock, and are called from several threads, each on its own blocks of doctors.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from outcomekpi.draws.threads import THREADS, in_threads
from outcomekpi.engine.kernels import (
    Score,
    add_block,
    empty_score,
)
from outcomekpi.engine.rows import Block, Rows

__all__ = ["CompiledLogisticKernel"]

Array = NDArray[np.float64]

_LARGEST_LOG = 690.0  # products up to exp(690) fit in a double


@njit(nogil=True, cache=True, fastmath=True)
def _log_products(size, f, rows, out):  # type: ignore[no-untyped-def]
    """Sum log(1 + E f) at eight nodes side by side, one logarithm for so many ``rows``."""
    f0, f1, f2, f3, f4, f5, f6, f7 = f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7]
    out[:] = 0.0
    for first in range(0, size.size, rows):
        p0 = p1 = p2 = p3 = p4 = p5 = p6 = p7 = 1.0
        for row in range(first, min(first + rows, size.size)):
            e = np.float64(size[row])
            p0 *= 1.0 + e * f0
            p1 *= 1.0 + e * f1
            p2 *= 1.0 + e * f2
            p3 *= 1.0 + e * f3
            p4 *= 1.0 + e * f4
            p5 *= 1.0 + e * f5
            p6 *= 1.0 + e * f6
            p7 *= 1.0 + e * f7
        out[0] += np.log(p0)
        out[1] += np.log(p1)
        out[2] += np.log(p2)
        out[3] += np.log(p3)
        out[4] += np.log(p4)
        out[5] += np.log(p5)
        out[6] += np.log(p6)
        out[7] += np.log(p7)


@njit(nogil=True, cache=True, fastmath=True)
def _partition(size, factor, starts, counts, largest, out):  # type: ignore[no-untyped-def]
    """Sum log(1 + E F) over the rows of each doctor, by products that cannot overflow."""
    n_nodes = factor.shape[1]
    f, sums = np.empty(8), np.empty(8)
    for theta in range(factor.shape[0]):
        for doctor in range(starts.size):
            own = size[theta, starts[doctor] : starts[doctor] + counts[doctor]]
            steepest = largest[theta] * factor[theta, :, doctor].max()
            rows = int(min(_LARGEST_LOG / np.log1p(steepest), 1e9))
            if rows < 2:
                for node in range(n_nodes):
                    total = 0.0
                    for row in range(own.size):
                        total += np.log1p(own[row] * factor[theta, node, doctor])
                    out[theta, node, doctor] = total
                continue
            for group in range(0, n_nodes, 8):
                n = min(8, n_nodes - group)
                f[:] = 0.0  # log(1 + 0) = 0 where there are fewer than eight nodes
                for node in range(n):
                    f[node] = factor[theta, group + node, doctor]
                _log_products(own, f, rows, sums)
                for node in range(n):
                    out[theta, group + node, doctor] = sums[node]


@njit(nogil=True, cache=True, fastmath=True)
def _weighted_partition(size, weight, factor, starts, counts, out):  # type: ignore[no-untyped-def]
    """Sum m log(1 + E F) over the rows of each doctor."""
    for theta in range(factor.shape[0]):
        for node in range(factor.shape[1]):
            for doctor in range(starts.size):
                f = factor[theta, node, doctor]
                total = 0.0
                for row in range(starts[doctor], starts[doctor] + counts[doctor]):
                    total += weight[row] * np.log1p(size[theta, row] * f)
                out[theta, node, doctor] = total


@njit(nogil=True, cache=True, fastmath=True)
def _derivatives(size, weight, factor, starts, counts, out):  # type: ignore[no-untyped-def]
    """Sum m p, m p(1-p) and m p(1-p)(1-2p) over the rows of each doctor."""
    weighted = weight.size > 0
    for doctor in range(starts.size):
        f = factor[doctor]
        first = second = third = 0.0
        for row in range(starts[doctor], starts[doctor] + counts[doctor]):
            odds = size[row] * f
            q = 1.0 / (1.0 + odds)
            p = odds * q
            m = weight[row] if weighted else 1.0
            v = m * p * q
            first += m * p
            second += v
            third += v * (q - p)
        out[0, doctor], out[1, doctor], out[2, doctor] = first, second, third


@njit(nogil=True, cache=True, fastmath=True)
def _averages(size, weight, factor, kinds, starts, counts, means, variance):  # type: ignore[no-untyped-def]
    """Average m p (each kind of weight) and m p(1-p) (the first) over the nodes, row by row."""
    n_kinds, n_nodes = kinds.shape[0], kinds.shape[1]
    weighted = weight.size > 0
    means[:] = 0.0
    for doctor in range(starts.size):
        first, last = starts[doctor], starts[doctor] + counts[doctor]
        for row in range(first, last):
            variance[row] = 0.0
        for node in range(n_nodes):
            f = factor[node, doctor]
            w = kinds[0, node, doctor]
            for row in range(first, last):
                odds = size[row] * f
                q = 1.0 / (1.0 + odds)
                p = odds * q
                means[0, row] += w * p
                variance[row] += w * p * q
                for kind in range(1, n_kinds):
                    means[kind, row] += kinds[kind, node, doctor] * p
        if weighted:
            for row in range(first, last):
                variance[row] *= weight[row]
                for kind in range(n_kinds):
                    means[kind, row] *= weight[row]


@dataclass(frozen=True, slots=True, eq=False)
class CompiledLogisticKernel:
    """Bernoulli and binomial outcomes, b(eta) = m log(1 + exp eta), compiled and threaded."""

    rows: Rows

    def _weight(self, block: Block) -> Array:
        weight = self.rows.weight
        return np.empty(0) if weight is None else weight[block.rows]

    def sizes(self, beta: Array) -> Array:
        """Return the odds of every row at u = 0, in the precision of the covariates."""
        result = np.empty(self.rows.n_rows, dtype=self.rows.x.dtype)
        beta = beta.astype(result.dtype)

        def work(block: Block) -> None:
            result[block.rows] = _odds(beta, self.rows, block)

        in_threads(work, list(self.rows.blocks))
        return result

    def log_partition(self, size: Array, factor: Array) -> Array:
        """Return sum_i m log(1 + E_i F)."""
        result = np.empty((1, *factor.shape))

        def work(block: Block) -> None:
            self._partition(block, size[None, block.rows], factor[None], result)

        in_threads(work, list(self.rows.blocks))
        first: Array = result[0]
        return first

    def _partition(self, block: Block, size: Array, factor: Array, out: Array) -> None:
        own = np.ascontiguousarray(factor[:, :, block.doctors])
        sums = np.empty(own.shape)
        if self.rows.weight is None:
            largest = size.max(axis=1).astype(np.float64)
            _partition(size, own, block.starts, block.counts, largest, sums)
        else:
            _weighted_partition(size, self._weight(block), own, block.starts, block.counts, sums)
        out[:, :, block.doctors] = sums

    def derivatives(self, size: Array, factor: Array) -> tuple[Array, Array, Array]:
        """Return sums of m p, m p(1-p) and m p(1-p)(1-2p)."""
        result = np.empty((3, self.rows.n_doctors))

        def work(block: Block) -> None:
            sums = np.empty((3, block.starts.size))
            own = np.ascontiguousarray(factor[block.doctors])
            _derivatives(
                size[block.rows], self._weight(block), own, block.starts, block.counts, sums
            )
            result[:, block.doctors] = sums

        in_threads(work, list(self.rows.blocks))
        return result[0], result[1], result[2]

    def third(self, size: Array, factor: Array) -> Array:
        """Return m p(1-p)(1-2p) of every row."""
        odds = size * np.repeat(factor, self.rows.counts)
        p = odds / (1.0 + odds)
        result = p * (1.0 - p) * (1.0 - 2.0 * p)
        return result if self.rows.weight is None else result * self.rows.weight

    def score(self, size: Array, factor: Array, weights: Array) -> Score:
        """Sum node averages of m p and m p(1-p) against the covariates."""
        groups = _groups(self.rows.blocks)
        parts = [empty_score(self.rows, weights.shape[0]) for _ in groups]
        total = parts[0]

        def work(index: int) -> None:
            part = parts[index]
            # sums by doctor fall on different doctors: all threads write into the first part
            own = Score(
                mean=part.mean,
                expected=total.expected,
                information=part.information,
                covariates=total.covariates,
                loadings=total.loadings,
            )
            for block in groups[index]:
                n = block.rows.stop - block.rows.start
                means, variance = np.empty((weights.shape[0], n)), np.empty(n)
                _averages(
                    size[block.rows],
                    self._weight(block),
                    np.ascontiguousarray(factor[:, block.doctors]),
                    np.ascontiguousarray(weights[:, :, block.doctors]),
                    block.starts,
                    block.counts,
                    means,
                    variance,
                )
                add_block(own, self.rows, block, means, variance)

        in_threads(work, list(range(len(groups))))
        for part in parts[1:]:
            total.mean[:] += part.mean
            total.information[:] += part.information
        return total

    def log_partitions(self, betas: Array, factors: Array) -> Array:
        """Return sum_i m log(1 + E_i F) for many fixed effects, block by block."""
        result = np.empty(factors.shape)
        betas = betas.astype(self.rows.x.dtype)

        def work(block: Block) -> None:
            self._partition(block, _odds(betas, self.rows, block), factors, result)

        in_threads(work, list(self.rows.blocks))
        return result


def _odds(betas: NDArray[np.floating], rows: Rows, block: Block) -> Array:
    """Return exp(x'beta + offset) of a block, in the precision of x, without overflow."""
    x = rows.x[:, block.rows]
    limit = 80.0 if x.dtype == np.float32 else 300.0
    eta = betas @ x
    if rows.offset is not None:
        eta += rows.offset[block.rows]
    np.clip(eta, -limit, limit, out=eta)
    odds: Array = np.exp(eta, out=eta)
    return odds


def _groups(blocks: tuple[Block, ...]) -> list[list[Block]]:
    """Deal the blocks to the threads, neighbors together."""
    size = -(-len(blocks) // THREADS)
    return [list(blocks[first : first + size]) for first in range(0, len(blocks), size)]
