"""Autoregressive noise of a series: covariance, precision and partial autocorrelations."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_banded, toeplitz

__all__ = [
    "apply_precision",
    "autocovariances",
    "estimate_coefficients",
    "log_determinant",
    "marginal_variance",
    "precision_trace",
    "to_coefficients",
    "to_partial",
    "unwhiten_transposed",
    "whiten",
    "whitening_bands",
]

Floats = NDArray[np.float64]


def to_coefficients(partial: Floats) -> Floats:
    """Autoregressive coefficients of given partial autocorrelations (Durbin and Levinson).

    Parameters
    ----------
    partial : (order,), each strictly between -1 and 1: exactly the stationary processes

    Returns
    -------
    (order,), coefficients of the past values, the latest first
    """
    return _predictors(partial)[-1]


def _predictors(partial: Floats) -> list[Floats]:
    """Best linear predictors from 0, 1, ..., order past values."""
    rows = [np.zeros(0)]
    for value in partial:
        before = rows[-1]
        rows.append(np.append(before - value * before[::-1], value))
    return rows


def to_partial(coefficients: Floats) -> Floats:
    """Partial autocorrelations of given autoregressive coefficients; the inverse recursion."""
    current = np.asarray(coefficients, dtype=np.float64)
    found = []
    while current.size:
        last = current[-1]
        found.append(last)
        current = (current[:-1] + last * current[:-1][::-1]) / (1.0 - last**2)
    return np.array(found[::-1])


def marginal_variance(coefficients: Floats) -> float:
    """Variance of the process whose innovations have variance 1."""
    return float(1.0 / np.prod(1.0 - to_partial(coefficients) ** 2))


def autocovariances(coefficients: Floats) -> Floats:
    """Autocovariances at lags 0, ..., order for innovations of variance 1."""
    partial = to_partial(coefficients)
    predictors = _predictors(partial)
    found = [float(1.0 / np.prod(1.0 - partial**2))]
    variance = found[0]
    for shorter, value in zip(predictors[:-1], partial, strict=True):
        past = np.array(found[1:])[::-1]
        found.append(float(value * variance + shorter @ past if shorter.size else value * variance))
        variance *= 1.0 - value**2
    return np.array(found)


def log_determinant(coefficients: Floats) -> float:
    """Logarithm of the determinant of the precision, for innovations of variance 1.

    Notes
    -----
    sum over j of j log(1 - pi_j^2), with the partial autocorrelations pi: the first values of a
    stationary series vary more than its innovations. It does not depend on the length.
    """
    partial = to_partial(coefficients)
    return float(np.arange(1, partial.size + 1) @ np.log1p(-(partial**2)))


def whitening_bands(partial: Floats, length: int) -> Floats:
    """Bands of the lower triangular L with L V L' = I, V for innovations of variance 1.

    Returns
    -------
    (order + 1, time), row j holds the entries j below the diagonal by their row: entry [j, t]
    multiplies the value at t - j
    """
    order = partial.size
    bands = np.zeros((order + 1, length))
    bands[0] = 1.0
    rows = _predictors(partial)
    for lag, value in enumerate(rows[-1], start=1):
        bands[lag] = -value
    for time in range(min(order, length)):
        scale = np.sqrt(np.prod(1.0 - partial[time:] ** 2))
        bands[:, time] = 0.0
        bands[0, time] = scale
        bands[1 : time + 1, time] = -scale * rows[time]
    return bands


def whiten(bands: Floats, values: Floats) -> Floats:
    """Turn autocorrelated rows into independent ones, the first ones kept (Prais and Winsten).

    Parameters
    ----------
    bands : of :func:`whitening_bands`
    values : (time, column) or (time,)
    """
    shape = (-1,) + (1,) * (values.ndim - 1)
    out = bands[0].reshape(shape) * values
    for lag, band in enumerate(bands[1:], start=1):
        out[lag:] += band[lag:].reshape(shape) * values[:-lag]
    return np.asarray(out)


def unwhiten_transposed(bands: Floats, values: Floats) -> Floats:
    """Solve L' x = values."""
    order = bands.shape[0] - 1
    upper = np.zeros_like(bands)
    for lag in range(order + 1):
        # L' has the entry of row t, lag j at row t - j, column t
        upper[order - lag, lag:] = bands[lag, lag:]
    return np.asarray(solve_banded((0, order), upper, values))


def apply_precision(coefficients: Floats, values: Floats) -> Floats:
    """Multiply by the precision of the process with innovations of variance 1.

    Notes
    -----
    Gohberg and Semencul: A A' - B B' with lower triangular Toeplitz matrices of the
    coefficients. Quadratic in the coefficients, so that central differences of it are exact.
    """
    order = coefficients.size
    filters = np.concatenate([[1.0], -coefficients])
    inner = values.copy()
    for lag in range(1, order + 1):
        inner[:-lag] += filters[lag] * values[lag:]
    out = inner.copy()
    for lag in range(1, order + 1):
        out[lag:] += filters[lag] * inner[:-lag]
    if order:
        corner = toeplitz(coefficients[::-1], np.zeros(order))
        out[-order:] -= corner @ (corner.T @ values[-order:])
    return np.asarray(out)


def precision_trace(coefficients: Floats, covariances: Floats, length: int) -> float:
    """Trace of the precision of one process times the covariance of another.

    Parameters
    ----------
    coefficients : (order,), of the process whose precision it is, innovations of variance 1
    covariances : (order + 1,), autocovariances of the other process
    length : number of times
    """
    order = coefficients.size
    filters = np.concatenate([[1.0], -coefficients])
    total = 0.0
    for lag in range(order + 1):
        ahead = np.arange(order + 1 - lag)
        diagonal = filters[ahead] @ (filters[ahead + lag] * (length - lag - ahead))
        diagonal -= sum(
            coefficients[i - 1] * coefficients[i - lag - 1] * (i - lag)
            for i in range(lag + 1, order + 1)
        )
        total += (1.0 if lag == 0 else 2.0) * diagonal * covariances[lag]
    return float(total)


def estimate_coefficients(residuals: Floats, order: int) -> Floats:
    """Yule-Walker coefficients of residuals, always those of a stationary process.

    Parameters
    ----------
    residuals : (time,), with mean 0 by construction; divided by their number at every lag
    """
    count = residuals.size
    lagged = [residuals @ residuals]
    lagged += [residuals[lag:] @ residuals[:-lag] for lag in range(1, order + 1)]
    covariance = np.array(lagged) / count
    return np.asarray(np.linalg.solve(toeplitz(covariance[:-1]), covariance[1:]))
