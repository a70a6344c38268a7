"""Regression of one series with autoregressive errors, and inference that knows it is short."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from outcomekpi.pilots.estimators.ar_errors import (
    apply_precision,
    autocovariances,
    estimate_coefficients,
    log_determinant,
    marginal_variance,
    precision_trace,
    to_coefficients,
    to_partial,
    unwhiten_transposed,
    whiten,
    whitening_bands,
)
from outcomekpi.pilots.estimators.first_order import best_rho, first_order
from outcomekpi.pilots.estimators.kenward_roger import AdjustedFit, small_sample_term

__all__ = [
    "SeriesFit",
    "fit_prais_winsten",
    "fit_restricted",
    "fit_with_noise",
    "profile_interval",
    "restricted_log_likelihood",
]

Floats = NDArray[np.float64]

LARGEST = 0.995
STEP = 1e-4
ITERATIONS = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesFit(AdjustedFit):
    """Coefficients of a series with autoregressive errors.

    The parameters of its covariance are the log of the marginal variance, and the autoregressive
    coefficients at a given marginal variance.

    Attributes
    ----------
    autoregression : (order,), coefficients of the noise
    variance : marginal variance of the noise
    """

    autoregression: Floats
    variance: float


def restricted_log_likelihood(
    partial: Floats, terms: Floats, outcome: Floats
) -> tuple[float, Floats, Floats, float]:
    """Restricted log likelihood of the noise, its variance profiled out.

    Parameters
    ----------
    partial : (order,), partial autocorrelations
    terms : (time, term)
    outcome : (time,)

    Returns
    -------
    value : up to a constant
    coefficients : (term,), generalized least squares
    inverse_root : (term, term), R^-1 of the whitened terms
    squares : whitened residual sum of squares
    """
    bands = whitening_bands(partial, outcome.size)
    basis, root = np.linalg.qr(whiten(bands, terms))
    white = whiten(bands, outcome)
    loads = basis.T @ white
    squares = float(white @ white - loads @ loads)
    inverse_root = np.linalg.inv(root)
    order = np.arange(1, partial.size + 1)
    value = (
        0.5 * float(order @ np.log1p(-(partial**2)))
        - float(np.log(np.abs(np.diag(root))).sum())
        - 0.5 * (outcome.size - terms.shape[1]) * np.log(max(squares, 1e-300))
    )
    return value, inverse_root @ loads, inverse_root, squares


def fit_restricted(terms: Floats, outcome: Floats, order: int, *, adjust: bool = True) -> SeriesFit:
    """Fit by restricted maximum likelihood.

    Parameters
    ----------
    terms : (time, term), with one indicator column for each missing time, placed last
    outcome : (time,), anything where missing
    order : of the autoregression; 0 for independent errors
    adjust : False leaves the small-sample terms out, where only the coefficients are wanted
    """
    partial = _search(terms, outcome, order)
    return fit_with_noise(terms, outcome, partial, adjust=adjust)


def _search(terms: Floats, outcome: Floats, order: int) -> Floats:
    """Partial autocorrelations that maximize the restricted likelihood."""
    if order == 0:
        return np.zeros(0)

    if order == 1:
        return np.array([best_rho(terms, outcome)])
    from scipy.optimize import minimize

    def loss(partial: Floats) -> float:
        return -restricted_log_likelihood(partial, terms, outcome)[0]

    # LARGEST x tanh never reaches 1, however far the search runs
    began = np.arctanh(np.clip(_iterate(terms, outcome, order), -0.9, 0.9) / LARGEST)
    found = minimize(lambda z: loss(LARGEST * np.tanh(z)), began, method="BFGS")
    return np.asarray(LARGEST * np.tanh(found.x))


def fit_prais_winsten(
    terms: Floats, outcome: Floats, order: int, *, adjust: bool = True
) -> SeriesFit:
    """Fit by iterated Prais-Winsten: Yule-Walker on the residuals, all times kept.

    Parameters
    ----------
    terms, outcome, order, adjust : as for :func:`fit_restricted`
    """
    partial = _iterate(terms, outcome, order)
    return fit_with_noise(terms, outcome, partial, adjust=adjust)


def _iterate(terms: Floats, outcome: Floats, order: int) -> Floats:
    """Partial autocorrelations of Yule and Walker at their own least-squares residuals."""
    partial = np.zeros(order)
    for _ in range(ITERATIONS):
        coefficients = restricted_log_likelihood(partial, terms, outcome)[1]
        residuals = outcome - terms @ coefficients
        before = partial
        partial = np.clip(to_partial(estimate_coefficients(residuals, order)), -LARGEST, LARGEST)
        if np.abs(partial - before).max(initial=0.0) < 1e-7:
            break
    return partial


def fit_with_noise(
    terms: Floats,
    outcome: Floats,
    partial: Floats,
    *,
    variance: float | None = None,
    adjust: bool = True,
) -> SeriesFit:
    """Coefficients, covariance and small-sample terms at given partial autocorrelations.

    Parameters
    ----------
    terms, outcome, adjust : as for :func:`fit_restricted`
    partial : (order,)
    variance : marginal variance of the noise where it is known; estimated otherwise

    Notes
    -----
    Sigma = variance x correlation(rho); W is the inverse of the expected information of the
    restricted likelihood in (variance, rho). A known variance leaves C as it is and has infinite
    degrees of freedom.
    """
    rows, count = terms.shape
    _, coefficients, inverse_root, squares = restricted_log_likelihood(partial, terms, outcome)
    phi = to_coefficients(partial)
    scale = marginal_variance(phi)
    known = variance is not None
    if variance is None:
        variance = squares / (rows - count) * scale
    unit = inverse_root @ inverse_root.T / scale
    if adjust and not known:
        derivatives, weights, correction = _small_sample(terms, phi, unit)
    else:
        derivatives = np.zeros((phi.size + 1, count, count))
        weights = np.zeros((phi.size + 1, phi.size + 1))
        correction = np.zeros_like(unit)
    return SeriesFit(
        coefficients=coefficients,
        covariance=variance * (unit + correction),
        plain_covariance=variance * unit,
        derivatives=variance * derivatives,
        parameter_covariance=weights,
        autoregression=phi,
        variance=float(variance),
    )


def _small_sample(terms: Floats, phi: Floats, unit: Floats) -> tuple[Floats, Floats, Floats]:
    """Compute derivatives of C, inverse information, and the Kenward-Roger term, for variance 1."""
    rows, count = terms.shape
    order = phi.size
    bands = whitening_bands(to_partial(phi), rows)
    scale = marginal_variance(phi)
    precisions = [_difference(phi, i, lambda p: _scaled_precision(p, terms)) for i in range(order)]
    inner = [terms.T @ slope for slope in precisions]
    # V = scale^-1 L^-1 L^-T, so that X' dO_i V dO_j X is the product of two solved blocks
    solved = [unwhiten_transposed(bands, slope) / np.sqrt(scale) for slope in precisions]
    cross = [[solved[i].T @ solved[j] for j in range(order)] for i in range(order)]
    information = _information(phi, rows, count, unit, inner, cross)
    weights = np.linalg.inv(information)
    # the variance comes first; Sigma is linear in it, and its own derivative is Sigma
    precision = np.linalg.inv(unit)
    slopes = np.array([-precision, *inner])
    products = np.empty((order + 1, order + 1, count, count))
    curvature = np.empty_like(products)
    products[0, 0], curvature[0, 0] = precision, 0.0
    for i in range(order):
        products[0, i + 1] = products[i + 1, 0] = -inner[i]
        curvature[0, i + 1] = curvature[i + 1, 0] = -inner[i]
        for j in range(order):
            second = _second_difference(phi, i, j, lambda p: terms.T @ _scaled_precision(p, terms))
            products[i + 1, j + 1] = cross[i][j]
            curvature[i + 1, j + 1] = cross[i][j] + cross[i][j].T - second
    derivatives = np.array([unit, *(-unit @ one @ unit for one in inner)])
    return derivatives, weights, small_sample_term(unit, slopes, products, curvature, weights)


def _information(
    phi: Floats,
    rows: int,
    count: int,
    unit: Floats,
    inner: list[Floats],
    cross: list[list[Floats]],
) -> Floats:
    """Compute the expected information of the log variance and the coefficients."""
    order = phi.size
    covariances = autocovariances(phi) / marginal_variance(phi)

    def log_det(p: Floats) -> Floats:
        return np.asarray(log_determinant(p) + rows * np.log(marginal_variance(p)))

    def trace(p: Floats) -> Floats:
        return np.asarray(marginal_variance(p) * precision_trace(p, covariances, rows))

    information = np.empty((order + 1, order + 1))
    information[0, 0] = (rows - count) / 2.0
    for i in range(order):
        first = float(_difference(phi, i, log_det)) - float(np.trace(unit @ inner[i]))
        information[0, i + 1] = information[i + 1, 0] = -first / 2.0
        for j in range(order):
            whole = _second_difference(phi, i, j, trace) - _second_difference(phi, i, j, log_det)
            part = -2.0 * np.trace(unit @ cross[i][j])
            part += np.trace(unit @ inner[i] @ unit @ inner[j])
            information[i + 1, j + 1] = (float(whole) + part) / 2.0
    return information


def _scaled_precision(phi: Floats, terms: Floats) -> Floats:
    return marginal_variance(phi) * apply_precision(phi, terms)


def _shift(phi: Floats, i: int, by: float) -> Floats:
    moved = phi.copy()
    moved[i] += by
    return moved


def _difference(phi: Floats, i: int, function: Callable[[Floats], Floats]) -> Floats:
    ahead, behind = function(_shift(phi, i, STEP)), function(_shift(phi, i, -STEP))
    return np.asarray((ahead - behind) / (2.0 * STEP))


def _second_difference(phi: Floats, i: int, j: int, function: Callable[[Floats], Floats]) -> Floats:
    def slope(p: Floats) -> Floats:
        return _difference(p, i, function)

    return _difference(phi, j, slope)


def profile_interval(
    terms: Floats, outcome: Floats, *, level: float, points: int = 201
) -> tuple[float, float]:
    """Interval of the first-order autocorrelation from the restricted likelihood's drop.

    Parameters
    ----------
    terms, outcome : as for :func:`fit_restricted`
    level : probability in (0, 1)
    points : of the grid over (-1, 1) on which the limits are found
    """
    grid = np.tanh(np.linspace(-3.0, 3.0, points))
    values = first_order(terms, outcome, grid).log_likelihood
    inside = grid[values >= values.max() - float(chdtri(1, 1.0 - level)) / 2.0]
    return float(inside[0]), float(inside[-1])
