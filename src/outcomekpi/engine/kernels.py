"""Likelihood kernels: sums over the rows of each doctor, at many values of his effect.

A kernel turns fixed effects into the *size* of every row, E = exp(x'beta + offset) (times the
exposure for counts), once; any value u of a doctor's effect then costs multiplications only,
because exp(x'beta + offset + u) = E exp(u). The effects come in as F = exp(u).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from outcomekpi.engine.rows import Block, Rows

__all__ = [
    "Kernel",
    "LogisticKernel",
    "PoissonKernel",
    "Score",
    "add_block",
    "clipped_exp",
    "empty_score",
]

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

    def score(self, size: Array, factor: Array, weights: Array) -> "Score":
        """Sum means and variances, averaged over nodes, against the covariates.

        Parameters
        ----------
        size : (row,)
        factor : (node, doctor)
        weights : (kind, node, doctor); the first kind are probabilities
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Score:
    """Sums of node averages against the covariates.

    With mu_iq and v_iq the mean and variance of row i at node q, and w_q the first kind of weight:

    Attributes
    ----------
    mean : (column,), sum_i sum_q w_q mu_iq x_i
    expected : (doctor,), sum_i sum_q w_q mu_iq
    information : (column, column), sum_i sum_q w_q v_iq x_i x_i'
    covariates : (column, doctor), the same variances against x_i alone, by doctor
    loadings : (kind - 1, column, doctor), sum_i sum_q w_q mu_iq x_i for the other kinds, by doctor
    """

    mean: Array
    expected: Array
    information: Array
    covariates: Array
    loadings: Array


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
        eta = beta.astype(self.rows.x.dtype) @ self.rows.x
        return clipped_exp(eta if self.rows.offset is None else eta + self.rows.offset)

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

    def score(self, size: Array, factor: Array, weights: Array) -> Score:
        """Sum node averages of m p and m p(1-p) against the covariates, block by block."""
        result = empty_score(self.rows, weights.shape[0])
        for block in self.rows.blocks:
            p = _probability(size[block.rows] * _spread(factor, block))
            means = np.empty((weights.shape[0], p.shape[1]))
            for kind in range(weights.shape[0]):
                np.einsum("qn,qn->n", _spread(weights[kind], block), p, out=means[kind])
            variance = means[0] - np.einsum("qn,qn,qn->n", _spread(weights[0], block), p, p)
            weight = self._weight(block)
            add_block(result, self.rows, block, means * weight, variance * weight)
        return result

    def log_partitions(self, betas: Array, factors: Array) -> Array:
        """Return sum_i m log(1 + E_i F) for many fixed effects, block by block."""
        result = np.empty(factors.shape)
        for block in self.rows.blocks:
            x = np.ascontiguousarray(self.rows.x[:, block.rows])
            for part in _theta_chunks(betas.shape[0], factors.shape[1] * x.shape[1]):
                eta = betas[part] @ x
                if self.rows.offset is not None:
                    eta += self.rows.offset[block.rows]
                result[part, :, block.doctors] = self._block_partition(
                    block, clipped_exp(eta), factors[part, :, block.doctors]
                )
        return result


def _probability(odds: Array) -> Array:
    """Probability of the odds, written over them."""
    denominator = odds + 1.0
    return np.divide(odds, denominator, out=odds)


def empty_score(rows: Rows, n_kinds: int) -> Score:
    """Return sums that nothing has been added to yet."""
    n, n_doctors = rows.n_columns, rows.n_doctors
    return Score(
        mean=np.zeros(n),
        expected=np.empty(n_doctors),
        information=np.zeros((n, n)),
        covariates=np.empty((n, n_doctors)),
        loadings=np.empty((n_kinds - 1, n, n_doctors)),
    )


def add_block(score: Score, rows: Rows, block: Block, means: Array, variance: Array) -> None:
    """Add the rows of a block, (kind, row) means and (row,) variances, to the sums in place."""
    x = rows.x[:, block.rows].astype(np.float64, copy=False)
    weighted = x * variance
    score.mean[:] += x @ means[0]
    score.expected[block.doctors] = np.add.reduceat(means[0], block.starts)
    score.information[:] += weighted @ x.T
    score.covariates[:, block.doctors] = np.add.reduceat(weighted, block.starts, axis=1)
    for kind in range(1, means.shape[0]):
        score.loadings[kind - 1][:, block.doctors] = np.add.reduceat(
            x * means[kind], block.starts, axis=1
        )


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
        size = clipped_exp(beta.astype(self.rows.x.dtype) @ self.rows.x)
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

    def score(self, size: Array, factor: Array, weights: Array) -> Score:
        """Sum E_i sum_q w_q F_q against the covariates; a Poisson variance is its mean."""
        result = empty_score(self.rows, weights.shape[0])
        moments = np.einsum("kqj,qj->kj", weights, factor)
        for block in self.rows.blocks:
            means = size[block.rows] * _spread(moments, block)
            add_block(result, self.rows, block, means, means[0])
        return result

    def log_partitions(self, betas: Array, factors: Array) -> Array:
        """Return F sum_i E_i for many fixed effects."""
        totals = np.empty((betas.shape[0], self.rows.n_doctors))
        for index in range(betas.shape[0]):
            totals[index] = self._totals(self.sizes(betas[index]))
        return factors * totals[:, None, :]
