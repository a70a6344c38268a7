"""Direct standardization: what all cases would experience with each doctor."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from outcomekpi.profiling.case_rows import CaseRows, collapse_rows
from outcomekpi.profiling.linear_predictor import Predictor

__all__ = ["direct_rates"]

Array = NDArray[np.floating]

NODES = 12
BLOCK = 1 << 19  # numbers in one block of rows x draws
EXACT_UP_TO = 5e7  # rows x draws x 1; above it the slopes enter by their Taylor series
BLOCK_DOCTORS = 512


def direct_rates(predictor: Predictor) -> Array:
    """Mean outcome per case over everyone's cases, with each doctor's effect: (doctor, sample).

    Notes
    -----
    G(d) = sum_i w_i g(eta_i + d) / sum w_i over all cases, in each draw; logit G is interpolated
    in d by a polynomial through 12 Chebyshev nodes (relative error about 1e-8). Above 5e7
    rows x draws, G at the nodes is a second-order Taylor series in the slopes, hospital by
    hospital, around their posterior mean. Counts: G = exp(d) G(0); Gaussian: G = d + G(0).
    """
    if predictor.family == "gaussian":
        mean_x = predictor.matrix.mean(axis=0)
        base = _mean_base(predictor) + mean_x @ predictor.slope
        return np.asarray(base + predictor.brought_by_doctor(slice(None)))
    rows = collapse_rows(predictor.matrix, _cluster_code(predictor), predictor.weight)
    if predictor.family in ("poisson", "negative_binomial"):
        table = _tabulate(predictor, rows, np.zeros((1, predictor.n_samples)))[0]
        dtype = predictor.effect.dtype
        rates = table.astype(dtype) * np.exp(predictor.brought_by_doctor(slice(None)))
        return np.asarray(rates)
    low, high = _ranges(predictor)
    center, half_width = (low + high) / 2, (high - low) / 2 + 1e-3
    node = np.cos((2 * np.arange(NODES) + 1) * np.pi / (2 * NODES))
    at = center + half_width * node[:, None]
    values = logit(_tabulate(predictor, rows, at))
    coefficient = np.linalg.inv(np.vander(node, NODES, increasing=True)) @ values
    return _interpolate(predictor, coefficient, center, half_width)


def _cluster_code(predictor: Predictor) -> NDArray[np.intp]:
    """Cluster of each case whose shift differs between draws: the hospital, or one for all."""
    if predictor.comparison == "within" and predictor.hospital_code is not None:
        return predictor.hospital_code[predictor.doctor_code]
    return np.zeros(predictor.doctor_code.size, dtype=np.intp)


def _cluster_base(predictor: Predictor) -> Array:
    """Linear predictor that each cluster of cases starts from: (cluster, sample)."""
    if predictor.comparison == "within" and predictor.hospital is not None:
        return np.asarray(predictor.hospital + predictor.intercept)
    return predictor.intercept[None, :]


def _mean_base(predictor: Predictor) -> Array:
    base = _cluster_base(predictor)
    share = np.bincount(_cluster_code(predictor), minlength=base.shape[0])
    return np.asarray(share @ base / share.sum())


def _ranges(predictor: Predictor) -> tuple[Array, Array]:
    """Lowest and highest doctor effect in each draw: two (sample,)."""
    low = np.full(predictor.n_samples, np.inf)
    high = np.full(predictor.n_samples, -np.inf)
    for start in range(0, predictor.n_doctors, BLOCK_DOCTORS):
        own = predictor.brought_by_doctor(slice(start, start + BLOCK_DOCTORS))
        np.minimum(low, own.min(axis=0), out=low)
        np.maximum(high, own.max(axis=0), out=high)
    return low, high


def _tabulate(predictor: Predictor, rows: CaseRows, at: Array) -> Array:
    """Mean outcome over all cases at doctor effects ``at`` (node, sample): the same shape."""
    if rows.row.size * predictor.n_samples <= EXACT_UP_TO:
        return _tabulate_exactly(predictor, rows, at)
    return _tabulate_by_series(predictor, rows, at)


def _tabulate_exactly(predictor: Predictor, rows: CaseRows, at: Array) -> Array:
    base = _cluster_base(predictor)
    counts = predictor.family in ("poisson", "negative_binomial")
    per_block = max(1, BLOCK // predictor.n_samples)
    total = np.zeros_like(at)
    for start in range(0, rows.row.size, per_block):
        block = slice(start, start + per_block)
        eta = predictor.matrix[rows.row[block]] @ predictor.slope + base[rows.doctor[block]]
        odds = np.exp(eta if counts else np.minimum(eta, 50.0))
        weight = rows.weight[block]
        for q, shift in enumerate(at):
            chance = odds * np.exp(shift)
            if not counts:
                chance /= 1 + chance
            total[q] += weight @ chance
    return total / rows.weight.sum()


def _tabulate_by_series(predictor: Predictor, rows: CaseRows, at: Array) -> Array:
    """Second-order series in the slopes, for each cluster; shifts of its base are exact.

    The nodes ``at + base`` differ between draws, so each derivative is tabulated on one fixed
    grid that covers them all and interpolated by a polynomial.
    """
    counts = predictor.family in ("poisson", "negative_binomial")
    base = _cluster_base(predictor)
    slope_mean = predictor.slope.mean(axis=1)
    departure = predictor.slope - slope_mean[:, None]
    base_mean = base.mean(axis=1)
    total = np.zeros_like(at)
    edges = np.searchsorted(rows.doctor, np.arange(base.shape[0] + 1))
    for cluster in range(base.shape[0]):
        part = slice(edges[cluster], edges[cluster + 1])
        x = predictor.matrix[rows.row[part]]
        eta = x @ slope_mean + base_mean[cluster]
        t = at + (base[cluster] - base_mean[cluster])
        total += _series(x, eta, rows.weight[part], t, departure, counts)
    return total / rows.weight.sum()


def _series(x: Array, eta: Array, weight: Array, t: Array, departure: Array, counts: bool) -> Array:
    """Sum of w g(eta + t + x'delta) to second order in delta, at t (node, sample)."""
    center, half_width = (t.max() + t.min()) / 2, (t.max() - t.min()) / 2 + 1e-3
    node = np.cos((2 * np.arange(NODES) + 1) * np.pi / (2 * NODES))
    n_terms = x.shape[1]
    zeroth, first = np.empty(NODES), np.empty((NODES, n_terms))
    second = np.empty((NODES, n_terms, n_terms))
    for q in range(NODES):
        shifted = eta + center + half_width * node[q]
        if counts:
            value = slope = bend = weight * np.exp(shifted)
        else:
            chance = expit(shifted)
            value = weight * chance
            slope = value * (1 - chance)
            bend = slope * (1 - 2 * chance)
        zeroth[q], first[q], second[q] = value.sum(), slope @ x, (x * bend[:, None]).T @ x
    to_polynomial = np.linalg.inv(np.vander(node, NODES, increasing=True))
    quadratic = 0.5 * np.einsum("ks,qkl,ls->qs", departure, second, departure, optimize=True)
    ratio = (first @ departure + quadratic) / zeroth[:, None]
    curve = np.log(zeroth)[:, None] + np.log1p(ratio)
    powers = to_polynomial @ curve
    return np.exp(_horner(powers, (t - center) / half_width))


def _horner(powers: Array, x: Array) -> Array:
    """Evaluate polynomials with coefficients (power, sample), lowest first, at x (..., sample)."""
    value = np.broadcast_to(powers[-1], x.shape).copy()
    for row in powers[-2::-1]:
        value *= x
        value += row
    return value


def _interpolate(predictor: Predictor, powers: Array, center: Array, half_width: Array) -> Array:
    n_doctors, n_samples = predictor.n_doctors, predictor.n_samples
    single = n_doctors * n_samples > 4_000_000
    dtype = np.dtype(np.float32 if single else np.float64)
    out: Array = np.empty((n_doctors, n_samples), dtype)
    powers = powers.astype(dtype)
    for start in range(0, n_doctors, BLOCK_DOCTORS):
        block = slice(start, start + BLOCK_DOCTORS)
        own = predictor.brought_by_doctor(block)
        x = ((own - center) / half_width).astype(dtype)
        out[block] = expit(_horner(powers, x))
    return out
