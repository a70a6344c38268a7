"""Likelihood kernels: sums over the rows of each doctor, at many values of his effect.

A kernel turns fixed effects into the *size* of every row, E = exp(x'beta) (times the exposure
for counts), once; any value u of a doctor's effect then costs multiplications only, because
exp(x'beta + u) = E exp(u). The effects come in as F = exp(u).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from outcomekpi.adjustment.quadrature.rows import Block, Rows

__all__ = ["Kernel", "LogisticKernel", "PoissonKernel", "clipped_exp"]

Array = NDArray[np.float64]

_LARGEST_EXPONENT = 300.0
_LARGEST_FACTOR = 1e18  # 16 factors of this size still fit in a double
_CHUNK = 1 << 17


class Kernel(Protocol):
    """What the engine asks of a family whose doctor effects are integrated out."""

    @property
    def rows(self) -> Rows:
        """Return the sorted cases."""

    def sizes(self, beta: Array) -> Array:
        """Return E (row,) of fixed effects (column,)."""

    def log_partition(self, size: Array, factor: Array) -> Array:
        """Return sum_i b(eta_i + u), (node, doctor), for factors exp(u) of the same shape."""

    def derivatives(self, size: Array, factor: Array) -> tuple[Array, Array, Array]:
        """Return the first three derivatives of sum_i b at one u per doctor, (doctor,) each."""

    def third(self, size: Array, factor: Array) -> Array:
        """Return b'''(eta_i + u) of every row, (row,), at one u per doctor."""

    def averages(self, size: Array, factor: Array, weights: Array) -> tuple[Array, Array]:
        """Weighted sums over nodes of each row's mean, and of its variance.

        Parameters
        ----------
        size : (row,)
        factor : (node, doctor)
        weights : (kind, node, doctor)

        Returns
        -------
        means : (kind, row), sum_q w_q mu_iq for each kind of weight
        variance : (row,), sum_q w_q b''(eta_iq) for the first kind
        """

    def log_partitions(self, betas: Array, factors: Array) -> Array:
        """Return sum_i b for many fixed effects at once.

        Parameters
        ----------
        betas : (theta, column)
        factors : (theta, node, doctor)

        Returns
        -------
        (theta, node, doctor)
        """


def clipped_exp(value: Array) -> Array:
    """Exponential that neither overflows nor underflows to zero."""
    result: Array = np.exp(np.clip(value, -_LARGEST_EXPONENT, _LARGEST_EXPONENT))
    return result


def _spread(values: Array, block: Block) -> Array:
    """Repeat (..., doctor) values for every row of the block's doctors."""
    return np.repeat(values[..., block.doctors], block.counts, axis=-1)


@dataclass(frozen=True, slots=True, eq=False)
class LogisticKernel:
    """Bernoulli and binomial outcomes: b(eta) = m log(1 + exp eta)."""

    rows: Rows

    def sizes(self, beta: Array) -> Array:
        """Return the odds of every row at u = 0."""
        return clipped_exp(beta @ self.rows.x)

    def _weight(self, block: Block) -> Array | float:
        return 1.0 if self.rows.weight is None else self.rows.weight[block.rows]

    def _block_partition(self, block: Block, size: Array, factor: Array) -> Array:
        """Sum m log(1 + E F); size (theta, row), factor (theta, node, doctor) of the block."""
        odds = np.repeat(factor, block.counts, axis=-1)
        odds *= size[:, None, :]
        if self.rows.weight is None and odds.max() < _LARGEST_FACTOR:
            odds += 1.0
            runs = np.multiply.reduceat(odds, block.product_starts, axis=-1)
            return np.add.reduceat(np.log(runs, out=runs), block.product_first, axis=-1)
        terms = np.log1p(odds, out=odds)
        terms *= self._weight(block)
        return np.add.reduceat(terms, block.starts, axis=-1)

    def log_partition(self, size: Array, factor: Array) -> Array:
        """Return sum_i m log(1 + E_i F)."""
        result = np.empty(factor.shape)
        for block in self.rows.blocks:
            result[:, block.doctors] = self._block_partition(
                block, size[None, block.rows], factor[None, :, block.doctors]
            )[0]
        return result

    def derivatives(self, size: Array, factor: Array) -> tuple[Array, Array, Array]:
        """Return sums of m p, m p(1-p) and m p(1-p)(1-2p)."""
        first, second, third = (np.empty(self.rows.n_doctors) for _ in range(3))
        for block in self.rows.blocks:
            p = _probability(size[block.rows] * _spread(factor, block))
            mean = p * self._weight(block)
            variance = mean * (1.0 - p)
            for total, terms in (
                (first, mean),
                (second, variance),
                (third, variance * (1.0 - 2.0 * p)),
            ):
                total[block.doctors] = np.add.reduceat(terms, block.starts)
        return first, second, third

    def third(self, size: Array, factor: Array) -> Array:
        """Return m p(1-p)(1-2p) of every row."""
        p = _probability(size * np.repeat(factor, self.rows.counts))
        result = p * (1.0 - p) * (1.0 - 2.0 * p)
        return result if self.rows.weight is None else result * self.rows.weight

    def averages(self, size: Array, factor: Array, weights: Array) -> tuple[Array, Array]:
        """Return weighted sums of m p, and of m p(1-p)."""
        means = np.empty((weights.shape[0], self.rows.n_rows))
        variance = np.empty(self.rows.n_rows)
        for block in self.rows.blocks:
            p = _probability(size[block.rows] * _spread(factor, block))
            for kind in range(weights.shape[0]):
                spread = _spread(weights[kind], block)
                np.einsum("qn,qn->n", spread, p, out=means[kind, block.rows])
                if kind == 0:
                    variance[block.rows] = means[0, block.rows] - np.einsum(
                        "qn,qn,qn->n", spread, p, p
                    )
        if self.rows.weight is not None:
            means *= self.rows.weight
            variance *= self.rows.weight
        return means, variance

    def log_partitions(self, betas: Array, factors: Array) -> Array:
        """Return sum_i m log(1 + E_i F) for many fixed effects, block by block."""
        result = np.empty(factors.shape)
        for block in self.rows.blocks:
            x = np.ascontiguousarray(self.rows.x[:, block.rows])
            for part in _theta_chunks(betas.shape[0], factors.shape[1] * x.shape[1]):
                result[part, :, block.doctors] = self._block_partition(
                    block, clipped_exp(betas[part] @ x), factors[part, :, block.doctors]
                )
        return result


def _probability(odds: Array) -> Array:
    """Probability of the odds, written over them."""
    denominator = odds + 1.0
    return np.divide(odds, denominator, out=odds)


def _theta_chunks(n_thetas: int, elements: int) -> Iterator[slice]:
    step = max(1, _CHUNK // elements)
    for first in range(0, n_thetas, step):
        yield slice(first, min(first + step, n_thetas))


@dataclass(frozen=True, slots=True, eq=False)
class PoissonKernel:
    """Counts with exposure: b(eta) = e exp(eta), so that the rows of a doctor add up first."""

    rows: Rows

    def sizes(self, beta: Array) -> Array:
        """Return the expected events of every row at u = 0."""
        size = clipped_exp(beta @ self.rows.x)
        return size if self.rows.weight is None else size * self.rows.weight

    def _totals(self, size: Array) -> Array:
        return np.add.reduceat(size, self.rows.starts, axis=-1)

    def log_partition(self, size: Array, factor: Array) -> Array:
        """Return F sum_i E_i."""
        return factor * self._totals(size)

    def derivatives(self, size: Array, factor: Array) -> tuple[Array, Array, Array]:
        """Return F sum_i E_i three times: every derivative of exp is exp."""
        total = factor * self._totals(size)
        return total, total, total

    def third(self, size: Array, factor: Array) -> Array:
        """Return E_i F of every row."""
        return size * np.repeat(factor, self.rows.counts)

    def averages(self, size: Array, factor: Array, weights: Array) -> tuple[Array, Array]:
        """Return E_i sum_q w_q F_q; a Poisson variance is its mean."""
        moments = np.einsum("kqj,qj->kj", weights, factor)
        means = size * np.repeat(moments, self.rows.counts, axis=-1)
        return means, means[0]

    def log_partitions(self, betas: Array, factors: Array) -> Array:
        """Return F sum_i E_i for many fixed effects."""
        totals = np.empty((betas.shape[0], self.rows.n_doctors))
        for index in range(betas.shape[0]):
            totals[index] = self._totals(self.sizes(betas[index]))
        return factors * totals[:, None, :]
