"""Expected and predicted events of many cases: one smooth curve per doctor, read in each draw."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from outcomekpi.profiling.case_sums import AverageDoctor, CaseSums, normal_nodes, sum_exactly
from outcomekpi.profiling.linear_predictor import Predictor

__all__ = ["subset", "sum_by_curves"]

Array = NDArray[np.floating]

NODES = 10  # Chebyshev nodes of a doctor's curve; its logit is close to a straight line
BLOCK_DOCTORS = 64  # doctors worked on at once, so that their draws stay in cache
REACH = 4.5  # doctor SDs on each side that a population average needs of a curve
CHECKED_DOCTORS, CHECKED_DRAWS = 64, 64  # summed exactly as well, to measure the error
WORST_IN_SD = 0.1  # error, in posterior SD, above which every case is summed exactly
NEGLIGIBLE = 1e-5  # relative error that is accepted whatever the posterior SD


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tables:
    """What the curves need of each doctor's cases.

    ``center, half_width`` (doctor, 1): range of t; ``coefficient`` (doctor, node): polynomial in
    (t - center) / half_width of logit(G / n); ``size`` (doctor, 1): n; ``mean_x`` pair of
    (doctor, term): information-weighted covariate means at t for E and P; ``spread`` (sample,):
    variance of the within-doctor part of the linear predictor's departure.
    """

    center: Array
    half_width: Array
    coefficient: Array
    size: Array
    mean_x: tuple[Array, Array]
    spread: Array


def sum_by_curves(predictor: Predictor, *, average_doctor: AverageDoctor) -> CaseSums:
    """Sum over the cases of each doctor through his curve G(t), for large data.

    Notes
    -----
    Let m be the posterior mean of everything that cases bring, x'b + a + v, and delta the
    departure of a draw's slopes from their mean. Then
    sum w g(m + t + x'delta) = G(t + xbar'delta) + G''(.) var(x'delta) / 2 + ...,
    G(t) = sum w g(m + t), with xbar the mean of x weighted by g'(m + t), taken once near the
    expected and once near the predicted events, and var the weighted variance of x'delta within
    doctors, pooled over doctors. Shifts of the intercept, the hospital and the doctor are exact.
    G is tabulated at 10 Chebyshev nodes per doctor and its logit interpolated. The error is
    measured on a sample of doctors that are summed exactly as well.
    """
    n_doctors, n_samples = predictor.n_doctors, predictor.n_samples
    slope_mean = predictor.slope.mean(axis=1)
    departure = (predictor.slope - slope_mean[:, None]).astype(np.float32)
    base_mean, own_mean = _posterior_means(predictor)
    eta = predictor.matrix @ slope_mean + base_mean[predictor.doctor_code]
    reach = REACH * float(predictor.sd_doctor.mean()) if average_doctor == "population" else 0.0
    tables = _build_tables(predictor, eta, (base_mean, own_mean), departure, reach)
    dtype = np.float32 if n_doctors * n_samples > 4_000_000 else np.float64
    out = tuple(np.empty((n_doctors, n_samples), dtype) for _ in range(3))
    for start in range(0, n_doctors, BLOCK_DOCTORS):
        block = slice(start, start + BLOCK_DOCTORS)
        _fill_block(predictor, tables, departure, base_mean, block, out, average_doctor)
    sums = CaseSums(
        expected=out[0],
        predicted=out[1],
        information=out[2],
        method="one curve per doctor, second order in the slopes",
        relative_error=0.0,
    )
    return _with_measured_error(sums, predictor, average_doctor)


def _posterior_means(predictor: Predictor) -> tuple[Array, Array]:
    """Posterior means, by doctor, of what cases and what the doctor bring: two (doctor,)."""
    base = np.empty(predictor.n_doctors)
    own = np.empty(predictor.n_doctors)
    for start in range(0, predictor.n_doctors, BLOCK_DOCTORS):
        block = slice(start, start + BLOCK_DOCTORS)
        base[block] = predictor.brought_by_cases(block).mean(axis=1)
        own[block] = predictor.brought_by_doctor(block).mean(axis=1)
    return base, own


def _weighted_means(
    predictor: Predictor, weight: Array
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum of ``weight`` by doctor (doctor,), and the means of x that it gives (doctor, term)."""
    code, n_doctors = predictor.doctor_code, predictor.n_doctors
    total = np.bincount(code, weights=weight, minlength=n_doctors)
    means = np.empty((n_doctors, predictor.matrix.shape[1]))
    for k in range(means.shape[1]):
        means[:, k] = np.bincount(
            code, weights=weight * predictor.matrix[:, k], minlength=n_doctors
        )
    return total, means / total[:, None]


def _spread(predictor: Predictor, weight: Array, means: Array, departure: Array) -> Array:
    """Variance of x'delta within doctors, pooled, in each draw: (sample,)."""
    second = (predictor.matrix * weight[:, None]).T @ predictor.matrix
    total = np.bincount(predictor.doctor_code, weights=weight, minlength=predictor.n_doctors)
    within = (second - (means * total[:, None]).T @ means) / total.sum()
    return np.asarray(np.einsum("ks,kl,ls->s", departure, within, departure))


def _build_tables(
    predictor: Predictor,
    eta: Array,
    means: tuple[Array, Array],
    departure: Array,
    reach: float,
) -> _Tables:
    code, n_doctors = predictor.doctor_code, predictor.n_doctors
    size = np.ones(code.size) if predictor.weight is None else predictor.weight
    base_mean, own_mean = means
    counts = predictor.family in ("poisson", "negative_binomial")

    def slope_of_mean(t: Array) -> Array:
        if counts:
            return np.asarray(size * np.exp(eta + t[code]))
        chance = expit(eta + t[code])
        return np.asarray(size * chance * (1 - chance))

    information = slope_of_mean(np.zeros(n_doctors))
    _, mean_expected = _weighted_means(predictor, information)
    _, mean_predicted = _weighted_means(predictor, slope_of_mean(own_mean))
    spread = _spread(predictor, information, mean_expected, departure)
    if counts:
        events = np.bincount(code, weights=size * np.exp(eta), minlength=n_doctors)
        blank = np.zeros((n_doctors, 1))
        return _Tables(
            center=blank,
            half_width=blank,
            coefficient=blank,
            size=events[:, None],
            mean_x=(mean_expected, mean_expected),
            spread=spread,
        )
    n = np.bincount(code, weights=size, minlength=n_doctors)
    low, high = _ranges(predictor, base_mean, (mean_expected, mean_predicted), departure)
    center, half_width = (low + high) / 2, (high - low) / 2 + reach + 1e-3
    node = np.cos((2 * np.arange(NODES) + 1) * np.pi / (2 * NODES))
    values = np.empty((n_doctors, NODES))
    odds = np.exp(np.minimum(eta, 50.0))
    for q in range(NODES):
        factor = odds * np.exp(center + half_width * node[q])[code]
        values[:, q] = np.bincount(code, weights=size * factor / (1 + factor), minlength=n_doctors)
    to_polynomial = np.linalg.inv(np.vander(node, NODES, increasing=True))
    return _Tables(
        center=center[:, None],
        half_width=half_width[:, None],
        coefficient=logit(values / n[:, None]) @ to_polynomial.T,
        size=n[:, None],
        mean_x=(mean_expected, mean_predicted),
        spread=spread,
    )


def _ranges(
    predictor: Predictor, base_mean: Array, mean_x: tuple[Array, Array], departure: Array
) -> tuple[Array, Array]:
    """Lowest and highest t of each doctor over draws, for expected and predicted: (doctor,)."""
    low, high = np.empty(predictor.n_doctors), np.empty(predictor.n_doctors)
    for start in range(0, predictor.n_doctors, BLOCK_DOCTORS):
        block = slice(start, start + BLOCK_DOCTORS)
        base = predictor.brought_by_cases(block) - base_mean[block, None]
        t = base + mean_x[0][block] @ departure
        t_own = base + mean_x[1][block] @ departure + predictor.brought_by_doctor(block)
        low[block] = np.minimum(t.min(axis=1), t_own.min(axis=1))
        high[block] = np.maximum(t.max(axis=1), t_own.max(axis=1))
    return low, high


def _read_curve(tables: _Tables, block: slice, t: Array) -> tuple[Array, Array]:
    """Return G(t)/n and d logit(G/n) / dt of the doctors of a block: two (doctor, sample)."""
    dtype = t.dtype
    center = tables.center[block].astype(dtype)
    inverse = (1 / tables.half_width[block]).astype(dtype)
    x = (t - center) * inverse
    coefficient = tables.coefficient[block].astype(dtype)
    value = np.broadcast_to(coefficient[:, -1:], x.shape).copy()
    steepness = np.zeros_like(x)
    for q in range(NODES - 2, -1, -1):
        steepness *= x
        steepness += value
        value *= x
        value += coefficient[:, q : q + 1]
    np.exp(-value, out=value)
    value += 1
    return np.reciprocal(value, out=value), steepness * inverse


def _fill_block(
    predictor: Predictor,
    tables: _Tables,
    departure: Array,
    base_mean: Array,
    block: slice,
    out: tuple[Array, ...],
    average_doctor: AverageDoctor,
) -> None:
    dtype = out[0].dtype
    base = (predictor.brought_by_cases(block) - base_mean[block, None]).astype(dtype)
    own = predictor.brought_by_doctor(block).astype(dtype)
    shift = (tables.mean_x[0][block] @ departure).astype(dtype)
    size = tables.size[block].astype(dtype)
    spread = (0.5 * tables.spread).astype(dtype)
    if predictor.family in ("poisson", "negative_binomial"):
        expected = size * np.exp(base + shift) * (1 + spread)
        out[2][block] = expected
        out[1][block] = expected * np.exp(own)
        if average_doctor == "population":
            expected = expected * np.exp(0.5 * predictor.sd_doctor**2)
        out[0][block] = expected
        return
    t = base + shift
    share, steepness = _read_curve(tables, block, t)
    gradient = share * (1 - share) * steepness
    out[2][block] = size * gradient
    if average_doctor == "population":
        out[0][block] = size * _population_share(tables, block, t, predictor.sd_doctor, spread)
    else:
        out[0][block] = size * (share + spread * gradient * (1 - 2 * share))
    shift = (tables.mean_x[1][block] @ departure).astype(dtype)
    share, steepness = _read_curve(tables, block, base + shift + own)
    gradient = share * (1 - share) * steepness
    out[1][block] = size * (share + spread * gradient * (1 - 2 * share))


def _population_share(tables: _Tables, block: slice, t: Array, sd: Array, spread: Array) -> Array:
    """Mean of the curve over the population of doctors, 9 Gauss-Hermite nodes."""
    dtype = t.dtype
    total = np.zeros_like(t)
    edge = (
        (tables.center - tables.half_width)[block].astype(dtype),
        (tables.center + tables.half_width)[block].astype(dtype),
    )
    for node, weight in zip(*normal_nodes(9), strict=True):
        at = t + (sd * node).astype(dtype)
        inside = np.clip(at, *edge)
        share, steepness = _read_curve(tables, block, inside)
        # beyond the table the logit of the curve is continued as a straight line
        value = logit(share) + steepness * (at - inside)
        share = expit(value)
        gradient = share * (1 - share) * steepness
        total += dtype.type(weight) * (share + spread * gradient * (1 - 2 * share))
    return total


def subset(predictor: Predictor, doctors: NDArray[np.intp], samples: NDArray[np.intp]) -> Predictor:
    """Return the predictor of some doctors in some draws, with all their cases."""
    place = np.full(predictor.n_doctors, -1)
    place[doctors] = np.arange(doctors.size)
    rows = np.flatnonzero(place[predictor.doctor_code] >= 0)
    hospital, code = predictor.hospital, predictor.hospital_code
    return replace(
        predictor,
        matrix=predictor.matrix[rows],
        slope=predictor.slope[:, samples],
        intercept=predictor.intercept[samples],
        sd_doctor=predictor.sd_doctor[samples],
        hospital=None if hospital is None else hospital[:, samples],
        hospital_code=None if code is None else code[doctors],
        effect=predictor.effect[doctors][:, samples],
        doctor_matrix=predictor.doctor_matrix[doctors],
        doctor_slope=predictor.doctor_slope[:, samples],
        doctor_code=place[predictor.doctor_code[rows]],
        weight=None if predictor.weight is None else predictor.weight[rows],
    )


def _with_measured_error(
    sums: CaseSums, predictor: Predictor, average_doctor: AverageDoctor
) -> CaseSums:
    """Sum some doctors exactly in some draws; keep the curves if they are close enough.

    The error that counts is the root mean square over draws in units of the posterior standard
    deviation of the same sum.
    """
    rng = np.random.default_rng(0)
    doctors = np.sort(rng.permutation(predictor.n_doctors)[:CHECKED_DOCTORS])
    samples = np.sort(rng.permutation(predictor.n_samples)[:CHECKED_DRAWS])
    exact = sum_exactly(subset(predictor, doctors, samples), average_doctor=average_doctor)
    relative, in_sd = 0.0, 0.0
    for ours, truth in ((sums.expected, exact.expected), (sums.predicted, exact.predicted)):
        difference = ours[np.ix_(doctors, samples)].astype(np.float64) - truth
        relative = max(relative, float(np.abs(difference / truth).max()))
        sd = truth.std(axis=1).clip(min=np.finfo(np.float64).tiny)
        in_sd = max(in_sd, float((np.sqrt((difference**2).mean(axis=1)) / sd).max()))
    if in_sd > WORST_IN_SD and relative > NEGLIGIBLE:
        return sum_exactly(predictor, average_doctor=average_doctor)
    return replace(sums, relative_error=relative)
