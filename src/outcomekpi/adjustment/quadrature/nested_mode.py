"""Nested model: log posterior at many thetas, and the conditional mode of beta given the SDs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.adjustment.quadrature.curves import Curves, spline_curves
from outcomekpi.adjustment.quadrature.kernels import clipped_exp
from outcomekpi.adjustment.quadrature.nesting import NestedTarget, Outer, outer_integrals
from outcomekpi.adjustment.quadrature.priors import log_sd_prior
from outcomekpi.errors import EngineError

__all__ = ["Base", "Conditional", "find_conditional_mode", "nested_log_posterior"]

Array = NDArray[np.float64]

_UNITS = 1 << 12
_MAX_STEPS = 30
_DECREMENT = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Base:
    """Where the doctors' curves are tabulated.

    Attributes
    ----------
    beta : (column,), fixed effects at which the range was found
    lower, upper : (doctor,), ends of the range there
    covariate : (doctor, column), how other fixed effects move the range
    curves : the table at ``beta``
    """

    beta: Array
    lower: Array
    upper: Array
    covariate: Array
    curves: Curves


def _tabulate(target: NestedTarget, base: Base, betas: Array) -> Curves:
    """Tabulate the curves of all units at (theta, column) fixed effects."""
    shift = (betas - base.beta) @ base.covariate.T
    lower = base.lower - shift
    width = np.broadcast_to(base.upper - base.lower, lower.shape)
    return spline_curves(target.kernel, betas, lower, lower + width)


def nested_log_posterior(target: NestedTarget, base: Base, thetas: Array) -> Array:
    """Log posterior density of (beta, log sigma, log omega), up to a constant.

    Parameters
    ----------
    thetas : (theta, column + 2)

    Returns
    -------
    (theta,)
    """
    rows = target.kernel.rows
    result = np.empty(thetas.shape[0])
    step = max(1, _UNITS // rows.n_doctors)
    for first in range(0, thetas.shape[0], step):
        part = thetas[first : first + step]
        outer = _integrate(target, base, part)
        result[first : first + step] = outer.log_marginal.reshape(len(part), -1).sum(axis=1)
    result += thetas[:, :-2] @ rows.xty + target.fixed.log_density(thetas[:, :-2])
    result += log_sd_prior(target.sd_prior, thetas[:, -2])
    result += log_sd_prior(target.sd_hospital_prior, thetas[:, -1])
    return result


def _integrate(target: NestedTarget, base: Base, thetas: Array) -> Outer:
    n_doctors, n_hospitals = target.order.size, target.n_hospitals
    curves = _tabulate(target, base, thetas[:, :-2])
    return outer_integrals(
        target,
        curves,
        np.zeros(len(thetas) * n_hospitals),
        np.repeat(np.exp(thetas[:, -2]), n_doctors),
        np.repeat(np.exp(thetas[:, -1]), n_hospitals),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conditional:
    """Mode of beta given the two SDs.

    Attributes
    ----------
    theta : (column + 2,)
    information : (column, column)
    log_density : Laplace's approximation to log p(sigma, omega), up to a constant
    outer : the integrals there
    """

    theta: Array
    information: Array
    log_density: float
    outer: Outer


def find_conditional_mode(target: NestedTarget, base: Base, theta: Array) -> Conditional:
    """Climb to the mode of beta at the SDs of ``theta``.

    Notes
    -----
    The scores use a normal approximation to the distribution of each doctor's total intercept,
    with its exact mean and variance, and the information is that of the linearized model; what
    both leave is corrected by the importance weights.
    """
    theta, last, damping = theta.copy(), np.inf, 1.0
    for _ in range(_MAX_STEPS):
        outer = _integrate(target, base, theta[None])
        gradient, information = _score(target, theta, outer)
        step = np.linalg.solve(information, gradient)
        decrement = float(gradient @ step)
        if decrement < _DECREMENT:
            break
        if decrement > 0.5 * last:  # the linearized information overshoots
            damping *= 0.6
        last = decrement
        theta[:-2] += step * min(damping, 1.0 / np.abs(step).max())
    else:
        raise EngineError(
            f"The conditional mode of a nested model was not found in {_MAX_STEPS} steps. "
            "Use engine='nuts'."
        )
    _, log_determinant = np.linalg.slogdet(information)
    log_sds = theta[-2:].sum()
    value = float(nested_log_posterior(target, base, theta[None])[0])
    return Conditional(
        theta=theta,
        information=information,
        log_density=value - float(log_sds) - 0.5 * float(log_determinant),
        outer=outer,
    )


def _score(target: NestedTarget, theta: Array, outer: Outer) -> tuple[Array, Array]:
    """Gradient of beta, and its information in the linearized model; priors included.

    With v_i the mean information of row i, the linearized model has covariance
    diag(1/v) + sigma² Z Z' + omega² H H', whose inverse Woodbury's identity gives in two steps.
    """
    rows, kernel = target.kernel.rows, target.kernel
    beta, sigma2, omega2 = theta[:-2], np.exp(2 * theta[-2]), np.exp(2 * theta[-1])
    offsets = np.linspace(-4.0, 4.0, 8)[:, None]
    weights = np.exp(-0.5 * offsets**2)
    weights = np.broadcast_to(weights / weights.sum(), (8, rows.n_doctors))
    nodes = outer.mean + outer.sd * offsets
    score = kernel.score(kernel.sizes(beta), clipped_exp(nodes), weights[None])
    gradient = rows.xty - score.mean + target.fixed.slope(beta)

    total = score.covariates
    kept = 1.0 / (1.0 + sigma2 * total[0])  # the intercept's total is the doctor's information
    shared = target.by_hospital((total * kept).T)
    pooled = 1.0 / (1.0 / omega2 + target.by_hospital(total[0] * kept))
    information = score.information + np.diag(target.fixed.precision)
    information -= (total * (sigma2 * kept)) @ total.T + (shared.T * pooled) @ shared
    return gradient, information
