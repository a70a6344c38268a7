"""How calibration differs between doctors: the curve of an average one, and of the next one."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, gammaln, logsumexp, ndtri

from outcomekpi.calibration.bins import Cells, Predicted
from outcomekpi.calibration.curve import FLAT, regress_batch
from outcomekpi.calibration.measures import Predictions, risk_groups
from outcomekpi.calibration.numbers import clipped_logit
from outcomekpi.draws.intervals import check_level, t_reach
from outcomekpi.draws.nodes import normal_nodes

__all__ = [
    "AcrossDoctors",
    "DoctorSums",
    "across_frame",
    "compare_clusters",
    "fit_group",
    "group_log_likelihood",
    "pool_effects",
    "sum_by_doctor",
]

Array = NDArray[np.float64]

FEWEST_EVENTS = 10
"""A doctor with fewer events, or non-events, has no line of his own."""
FEWEST_DOCTORS = 3
NODES = 15
GROUPS, LINES = "groups", "lines"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DoctorSums:
    """Cases added up by doctor: what a comparison of their calibration needs.

    Attributes
    ----------
    events, size, expected : (doctor, tenth), sums over the cases of each tenth of predicted risk
    cells : sums by doctor and bin of predicted risk
    grid : (grid,), predictions on the logit scale at which the doctors' lines are read
    """

    events: Array
    size: Array
    expected: Array
    cells: Cells
    grid: Array


def sum_by_doctor(given: Predicted, cells: Cells, grid: Array) -> DoctorSums:
    """Add up all cases by doctor and tenth of predicted risk, ties together."""
    rate, size = given.probability[0], given.size
    whole = Predictions(family="binomial", rate=rate, outcome=given.outcome, size=size)
    tenth = risk_groups(whole)
    n_tenths = int(tenth.max()) + 1
    at = given.cluster * n_tenths + tenth

    def total(values: Array) -> Array:
        sums = np.bincount(at, values, given.n_clusters * n_tenths)
        return sums.reshape(given.n_clusters, n_tenths)

    return DoctorSums(
        events=total(given.outcome),
        size=total(size),
        expected=total(size * rate),
        cells=cells,
        grid=grid,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AcrossDoctors:
    """Random-effects summary of the doctors' calibration at several predicted risks.

    Attributes
    ----------
    method : (point,), "groups" or "lines"
    predicted : (point,), predicted probability
    mean, error : (point,), logit of the observed probability with an average doctor, and its
        standard error
    tau : (point,), SD between doctors, logit scale
    doctors : (point,), who took part
    """

    method: tuple[str, ...]
    predicted: Array
    mean: Array
    error: Array
    tau: Array
    doctors: NDArray[np.intp]


def across_frame(across: AcrossDoctors, *, level: float) -> pd.DataFrame:
    """One row per method and point; see ``Calibration.across_doctors``."""
    check_level(level)
    tail = (1.0 - level) / 2.0
    reach = np.where(
        np.array(across.method) == LINES, t_reach(across.doctors - 1.0, level=level), -ndtri(tail)
    )
    new = t_reach(np.maximum(across.doctors - 2.0, 1.0), level=level)
    away, new_away = reach * across.error, new * np.hypot(across.tau, across.error)
    frame = pd.DataFrame(
        {
            "method": across.method,
            "predicted": across.predicted,
            "mean": expit(across.mean),
            "lower": expit(across.mean - away),
            "upper": expit(across.mean + away),
            "new_lower": expit(across.mean - new_away),
            "new_upper": expit(across.mean + new_away),
            "tau": across.tau,
            "doctors": across.doctors,
        }
    )
    frame.attrs["level"] = level
    return frame


def compare_clusters(sums: DoctorSums) -> AcrossDoctors:
    """Summarize the doctors' calibration by tenths of risk, and by a line for each of them."""
    rows = [*_by_groups(sums), *_by_lines(sums.cells, sums.grid)]
    columns = list(zip(*rows, strict=True)) if rows else [()] * 6
    return AcrossDoctors(
        method=tuple(columns[0]),
        predicted=np.array(columns[1], dtype=np.float64),
        mean=np.array(columns[2], dtype=np.float64),
        error=np.array(columns[3], dtype=np.float64),
        tau=np.array(columns[4], dtype=np.float64),
        doctors=np.array(columns[5], dtype=np.intp),
    )


Row = tuple[str, float, float, float, float, int]


def _by_groups(sums: DoctorSums) -> list[Row]:
    """Clustered group calibration, by the exact binomial likelihood of each tenth of risk."""
    rows: list[Row] = []
    for tenth in range(sums.size.shape[1]):
        has = sums.size[:, tenth] > 0
        events, size, expected = (x[has, tenth] for x in (sums.events, sums.size, sums.expected))
        if size.size < FEWEST_DOCTORS or not 0 < events.sum() < size.sum():
            continue
        shift, error, tau = fit_group(events, size, clipped_logit(expected / size))
        predicted = float(expected.sum() / size.sum())
        middle = float(clipped_logit(np.array([predicted]))[0])
        rows.append((GROUPS, predicted, middle + shift, error, tau, size.size))
    return rows


def fit_group(events: Array, size: Array, offset: Array) -> tuple[float, float, float]:
    """Maximum likelihood of y ~ Bin(n, expit(offset + shift + u)), u ~ N(0, tau²).

    Returns
    -------
    shift, its standard error (observed information of both parameters), tau
    """
    from scipy.optimize import minimize

    def negative(parameters: Array) -> float:
        tau = float(np.exp(parameters[1]))
        return -group_log_likelihood(events, size, offset + parameters[0], tau)

    start = np.array([0.0, np.log(0.3)])
    bounds = [(-15.0, 15.0), (np.log(1e-3), np.log(5.0))]
    found = minimize(negative, start, method="L-BFGS-B", bounds=bounds)
    best = found.x
    step = 1e-3
    second = np.empty((2, 2))
    for i in range(2):
        for j in range(2):
            a, b = np.eye(2)[i] * step, np.eye(2)[j] * step
            corners = [negative(best + s * a + t * b) * s * t for s in (1, -1) for t in (1, -1)]
            second[i, j] = sum(corners) / (4 * step**2)
    at_edge = best[1] < np.log(0.02) or second[1, 1] <= 1e-6
    variance = 1.0 / second[0, 0] if at_edge else np.linalg.inv(second)[0, 0]
    return float(best[0]), float(np.sqrt(max(variance, 1e-300))), float(np.exp(best[1]))


def group_log_likelihood(events: Array, size: Array, center: Array, tau: float) -> float:
    """Log likelihood of binomial counts with normal effects, by adaptive Gauss-Hermite."""
    nodes, weights = normal_nodes(NODES)
    mode = np.zeros_like(center)
    for _ in range(30):
        rate = expit(center + mode)
        curvature = size * rate * (1 - rate) + 1 / tau**2
        step = (events - size * rate - mode / tau**2) / curvature
        mode = mode + np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-10:
            break
    rate = expit(center + mode)
    width = 1.0 / np.sqrt(size * rate * (1 - rate) + 1 / tau**2)
    effect = mode[:, None] + width[:, None] * nodes
    eta = center[:, None] + effect
    log = events[:, None] * eta - size[:, None] * np.logaddexp(0.0, eta)
    log += -0.5 * (effect / tau) ** 2 - np.log(tau) + 0.5 * nodes**2 + np.log(weights)
    constant = gammaln(size + 1) - gammaln(events + 1) - gammaln(size - events + 1)
    each = logsumexp(log, axis=1) + np.log(width) + constant
    return float(each.sum())


def _by_lines(cells: Cells, grid: Array) -> list[Row]:
    """Two-stage meta-analysis of the calibration lines of doctors with enough events."""
    events, size = np.asarray(cells.events.sum(axis=1)), np.asarray(cells.size.sum(axis=1))
    enough = np.flatnonzero(np.minimum(events, size - events) >= FEWEST_EVENTS)
    if enough.size < FEWEST_DOCTORS or np.ptp(cells.score) < FLAT:
        return []
    y, n = cells.events[enough].toarray(), cells.size[enough].toarray()
    middle = float(cells.score.mean())
    basis = np.column_stack([np.ones_like(cells.score), cells.score - middle])
    line = regress_batch(basis, y, n)
    known = np.isfinite(line).all(axis=1)
    line, n = line[known], n[known]
    if len(line) < FEWEST_DOCTORS:
        return []
    rate = expit(line @ basis.T)
    information = ((n * rate * (1 - rate)) @ (basis[:, :, None] * basis[:, None, :]).reshape(
        len(basis), 4
    )).reshape(-1, 2, 2)  # fmt: skip
    covariance = np.linalg.inv(information)
    at = np.column_stack([np.ones_like(grid), grid - middle])
    mean, error, tau = pool_effects(line @ at.T, np.einsum("gi,jik,gk->jg", at, covariance, at))
    return [
        (LINES, float(expit(g)), float(m), float(e), float(t), len(line))
        for g, m, e, t in zip(grid, mean, error, tau, strict=True)
    ]


def pool_effects(effect: Array, variance: Array) -> tuple[Array, Array, Array]:
    """Random-effects meta-analysis by restricted maximum likelihood, at many points at once.

    Parameters
    ----------
    effect, variance : (doctor, point), estimates and their squared standard errors

    Returns
    -------
    mean, error, tau : (point,), error after Hartung and Knapp, never below the plain one
    """
    tau2 = np.maximum(effect.var(axis=0, ddof=1) - variance.mean(axis=0), 0.0)
    for _ in range(500):
        weight = 1.0 / (variance + tau2)
        total = weight.sum(axis=0)
        mean = (weight * effect).sum(axis=0) / total
        excess = (weight**2 * ((effect - mean) ** 2 - variance)).sum(axis=0)
        new = np.maximum(excess / (weight**2).sum(axis=0) + 1.0 / total, 0.0)
        moved = np.abs(new - tau2).max()
        tau2 = new
        if moved < 1e-12:
            break
    weight = 1.0 / (variance + tau2)
    total = weight.sum(axis=0)
    mean = (weight * effect).sum(axis=0) / total
    scatter = (weight * (effect - mean) ** 2).sum(axis=0) / (len(effect) - 1)
    return mean, np.sqrt(np.maximum(scatter, 1.0) / total), np.sqrt(tau2)
