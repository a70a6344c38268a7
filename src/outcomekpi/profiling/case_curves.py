"""Expected and predicted events of many cases: one smooth curve per doctor, read in each draw."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from outcomekpi.draws.nodes import normal_nodes
from outcomekpi.draws.threads import in_blocks
from outcomekpi.profiling.case_sums import CaseSums, sum_exactly
from outcomekpi.profiling.doctor_population import (
    AverageDoctor,
    DoctorPopulation,
    read_population,
)
from outcomekpi.profiling.linear_predictor import Predictor

__all__ = ["information_by_curves", "subset", "sum_by_curves"]

Array = NDArray[np.floating]

NODES = 10  # Chebyshev nodes of a doctor's curve; its logit is close to a straight line
BLOCK_DOCTORS = 64  # doctors worked on at once, so that their draws stay in cache
AVERAGED = 9  # Gauss-Hermite nodes of a curve's mean over the population of doctors
CHECKED_DOCTORS, CHECKED_DRAWS = 64, 64  # summed exactly as well, to measure the error
WORST_IN_SD = 0.1  # error, in posterior SD, above which every case is summed exactly
NEGLIGIBLE = 1e-5  # relative error that is accepted whatever the posterior SD


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Curves:
    """One curve G(t)/n per doctor, as the polynomial of its logit.

    ``center, half_width`` (doctor, 1): range of t; ``coefficient`` (doctor, node), of powers of
    (t - center) / half_width, lowest first.
    """

    center: Array
    half_width: Array
    coefficient: Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tables:
    """What the sums need of each doctor's cases.

    ``predicted, expected``: each doctor's curve, and its mean over the population of doctors (None
    for counts, whose curve is an exponential); ``size`` (doctor, 1): cases, or events at t = 0;
    ``mean_x`` pair of (doctor, term): information-weighted covariate means at t for E and P;
    ``spread`` (sample,): variance of the within-doctor part of the linear predictor's departure;
    ``level, scatter`` (sample,): center of the population, and its variance minus the mean of
    that over draws.
    """

    predicted: _Curves | None
    expected: _Curves | None
    size: Array
    mean_x: tuple[Array, Array]
    spread: Array
    level: Array
    scatter: Array


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
    G is tabulated at 10 Chebyshev nodes per doctor and its logit interpolated. For the population
    of doctors a second curve, the mean of G(t + spread z) at the mean spread, is tabulated from
    the first; its center is exact in each draw, its variance of second order. The error is
    measured on a sample of doctors that are summed exactly as well.
    """
    logistic = predictor.family in ("bernoulli", "binomial")
    averaged = logistic and average_doctor == "population"
    population = read_population(predictor) if averaged else None
    expected, predicted, information = _sum(predictor, population, own=True)
    pairs = {"expected": expected, "predicted": predicted}
    error = _measured_error(pairs, predictor, average_doctor, population)
    if error is None:
        return sum_exactly(predictor, average_doctor=average_doctor)
    return CaseSums(
        expected=expected,
        predicted=predicted,
        information=information,
        method="one curve per doctor, second order in the slopes",
        relative_error=error,
    )


def information_by_curves(predictor: Predictor) -> Array:
    """Information of :func:`sum_by_curves` at the median doctor alone: (doctor, sample)."""
    expected, _, information = _sum(predictor, None, own=False)
    if _measured_error({"expected": expected}, predictor, "median", None) is None:
        return sum_exactly(predictor, average_doctor="median").information
    return information


def _sum(
    predictor: Predictor, population: DoctorPopulation | None, *, own: bool
) -> tuple[Array, Array, Array]:
    """Return expected, predicted (zeros unless ``own``) and information: (doctor, sample)."""
    n_doctors, n_samples = predictor.n_doctors, predictor.n_samples
    slope_mean = predictor.slope.mean(axis=1)
    departure = (predictor.slope - slope_mean[:, None]).astype(np.float32)
    base_mean, own_mean = _posterior_means(predictor)
    eta = predictor.matrix @ slope_mean + base_mean[predictor.doctor_code]
    tables = _build_tables(predictor, eta, (base_mean, own_mean), departure, population)
    dtype = np.float32 if n_doctors * n_samples > 4_000_000 else np.float64
    shape = (n_doctors, n_samples)
    out = (np.empty(shape, dtype), np.zeros(shape, dtype), np.empty(shape, dtype))

    def fill(block: slice) -> None:
        _fill_block(predictor, tables, departure, base_mean, block, out, own=own)

    in_blocks(fill, n_doctors, BLOCK_DOCTORS)
    return out


def _posterior_means(predictor: Predictor) -> tuple[Array, Array]:
    """Posterior means, by doctor, of what cases and what the doctor bring: two (doctor,)."""
    base = np.empty(predictor.n_doctors)
    own = np.empty(predictor.n_doctors)

    def fill(block: slice) -> None:
        base[block] = predictor.brought_by_cases(block).mean(axis=1)
        own[block] = predictor.brought_by_doctor(block).mean(axis=1)

    in_blocks(fill, predictor.n_doctors, BLOCK_DOCTORS)
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
    population: DoctorPopulation | None,
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

    still = np.zeros(predictor.n_samples)
    level = still if population is None else population.center
    variance = still if population is None else population.spread**2
    information = slope_of_mean(np.full(n_doctors, level.mean()))
    _, mean_expected = _weighted_means(predictor, information)
    _, mean_predicted = _weighted_means(predictor, slope_of_mean(own_mean))
    mean_x = (mean_expected, mean_expected if counts else mean_predicted)
    if counts:
        expected = predicted = None
        total = np.bincount(code, weights=size * np.exp(eta), minlength=n_doctors)
    else:
        total = np.bincount(code, weights=size, minlength=n_doctors)
        ranges = _ranges(predictor, base_mean, mean_x, departure, level)
        nodes, weights = normal_nodes(1 if population is None else AVERAGED)
        nodes = nodes * np.sqrt(variance.mean())
        predicted = _trace(predictor, eta, size, total, ranges, reach=nodes.max())
        expected = predicted
        if population is not None:
            expected = _average(predicted, ranges[0], nodes, weights)
    return _Tables(
        predicted=predicted,
        expected=expected,
        size=total[:, None],
        mean_x=mean_x,
        spread=_spread(predictor, information, mean_expected, departure),
        level=level,
        scatter=variance - variance.mean(),
    )


def _chebyshev() -> tuple[Array, Array]:
    """Nodes on (-1, 1), and the matrix that takes values there to coefficients of powers."""
    node = np.cos((2 * np.arange(NODES) + 1) * np.pi / (2 * NODES))
    return node, np.linalg.inv(np.vander(node, NODES, increasing=True)).T


def _trace(
    predictor: Predictor,
    eta: Array,
    size: Array,
    n: Array,
    ranges: tuple[tuple[Array, Array], ...],
    *,
    reach: float,
) -> _Curves:
    """Curve of each doctor's cases over all of ``ranges`` and ``reach`` more on each side."""
    code = predictor.doctor_code
    low = np.minimum(*(low for low, _ in ranges))
    high = np.maximum(*(high for _, high in ranges))
    center, half_width = (low + high) / 2, (high - low) / 2 + reach + 1e-3
    node, to_powers = _chebyshev()
    values = np.empty((n.size, NODES))
    odds = np.exp(np.minimum(eta, 50.0))
    for q in range(NODES):
        factor = odds * np.exp(center + half_width * node[q])[code]
        values[:, q] = np.bincount(code, weights=size * factor / (1 + factor), minlength=n.size)
    return _Curves(
        center=center[:, None],
        half_width=half_width[:, None],
        coefficient=logit(values / n[:, None]) @ to_powers,
    )


def _average(curves: _Curves, over: tuple[Array, Array], nodes: Array, weights: Array) -> _Curves:
    """Mean of curves at t + node, for t in the range ``over``."""
    low, high = (bound[:, None] for bound in over)
    center, half_width = (low + high) / 2, (high - low) / 2 + 1e-3
    node, to_powers = _chebyshev()
    mean = np.zeros((low.size, NODES))
    for shift, weight in zip(nodes, weights, strict=True):
        mean += weight * _read_curve(curves, slice(None), center + half_width * node + shift)[0]
    return _Curves(center=center, half_width=half_width, coefficient=logit(mean) @ to_powers)


def _ranges(
    predictor: Predictor,
    base_mean: Array,
    mean_x: tuple[Array, Array],
    departure: Array,
    level: Array,
) -> tuple[tuple[Array, Array], ...]:
    """Lowest and highest t of each doctor over draws, for expected and predicted: two pairs."""
    ends = np.empty((2, 2, predictor.n_doctors))

    def fill(block: slice) -> None:
        base = predictor.brought_by_cases(block) - base_mean[block, None]
        t = base + mean_x[0][block] @ departure + level
        t_own = base + mean_x[1][block] @ departure + predictor.brought_by_doctor(block)
        for which, values in enumerate((t, t_own)):
            ends[which, :, block] = values.min(axis=1), values.max(axis=1)

    in_blocks(fill, predictor.n_doctors, BLOCK_DOCTORS)
    return tuple((low, high) for low, high in ends)


def _read_curve(curves: _Curves, block: slice, t: Array) -> tuple[Array, Array, Array]:
    """Return G/n at t and its first and second derivatives: three (doctor, sample).

    The second one leaves out how the slope of the logit changes, since it is near 1 everywhere.
    """
    dtype = t.dtype
    center = curves.center[block].astype(dtype)
    inverse = (1 / curves.half_width[block]).astype(dtype)
    x = (t - center) * inverse
    coefficient = curves.coefficient[block].astype(dtype)
    value = np.broadcast_to(coefficient[:, -1:], x.shape).copy()
    steepness = np.zeros_like(x)
    for q in range(NODES - 2, -1, -1):
        steepness *= x
        steepness += value
        value *= x
        value += coefficient[:, q : q + 1]
    np.exp(-value, out=value)
    value += 1
    share = np.reciprocal(value, out=value)
    steepness *= inverse
    gradient = share * (1 - share)
    gradient *= steepness
    steepness *= gradient
    steepness *= 1 - 2 * share
    return share, gradient, steepness


def _fill_block(
    predictor: Predictor,
    tables: _Tables,
    departure: Array,
    base_mean: Array,
    block: slice,
    out: tuple[Array, ...],
    *,
    own: bool,
) -> None:
    dtype = out[0].dtype
    base = (predictor.brought_by_cases(block) - base_mean[block, None]).astype(dtype)
    effect = predictor.brought_by_doctor(block).astype(dtype) if own else None
    shift = (tables.mean_x[0][block] @ departure).astype(dtype)
    size = tables.size[block].astype(dtype)
    spread = (0.5 * tables.spread).astype(dtype)
    if tables.expected is None or tables.predicted is None:
        expected = size * np.exp(base + shift) * (1 + spread)
        out[2][block] = expected
        out[0][block] = expected
        if effect is not None:
            out[1][block] = expected * np.exp(effect)
        return
    t = base + shift + tables.level.astype(dtype)
    share, gradient, bend = _read_curve(tables.expected, block, t)
    out[2][block] = size * gradient
    scatter = spread + (0.5 * tables.scatter).astype(dtype)
    out[0][block] = size * (share + scatter * bend)
    if effect is None:
        return
    shift = (tables.mean_x[1][block] @ departure).astype(dtype)
    share, _, bend = _read_curve(tables.predicted, block, base + shift + effect)
    out[1][block] = size * (share + spread * bend)


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


def _measured_error(
    sums: Mapping[str, Array],
    predictor: Predictor,
    average_doctor: AverageDoctor,
    population: DoctorPopulation | None,
) -> float | None:
    """Largest relative error on some doctors and draws summed exactly; None where it matters.

    The error that counts is the root mean square over draws, relative to the sum, in units of
    the relative posterior SD of the doctor's expected or predicted events, whichever is larger.
    """
    rng = np.random.default_rng(0)
    doctors = np.sort(rng.permutation(predictor.n_doctors)[:CHECKED_DOCTORS])
    samples = np.sort(rng.permutation(predictor.n_samples)[:CHECKED_DRAWS])
    if population is not None:
        population = DoctorPopulation(
            center=population.center[samples], spread=population.spread[samples]
        )
    some = subset(predictor, doctors, samples)
    exact = sum_exactly(some, average_doctor=average_doctor, population=population)
    relative, in_sd = 0.0, 0.0
    sd = np.maximum(*(_relative_sd(truth) for truth in (exact.expected, exact.predicted)))
    for name, ours in sums.items():
        truth = getattr(exact, name)
        error = (ours[np.ix_(doctors, samples)].astype(np.float64) - truth) / truth
        relative = max(relative, float(np.abs(error).max()))
        in_sd = max(in_sd, float((np.sqrt((error**2).mean(axis=1)) / sd).max()))
    return None if in_sd > WORST_IN_SD and relative > NEGLIGIBLE else relative


def _relative_sd(sums: Array) -> NDArray[np.float64]:
    """Posterior SD of each doctor's sum over its mean: (doctor,)."""
    ratio = sums.std(axis=1) / np.abs(sums.mean(axis=1))
    return np.asarray(ratio.clip(min=np.finfo(np.float64).tiny))
