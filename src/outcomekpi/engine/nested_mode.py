"""Nested model: log posterior at many thetas, and the conditional mode of beta given the SDs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.engine.curves import Curves, spline_curves
from outcomekpi.engine.kernels import clipped_exp
from outcomekpi.engine.nesting import NestedTarget, Outer, outer_integrals
from outcomekpi.engine.priors import log_sd_prior
from outcomekpi.engine.proposal import inverse_root

__all__ = ["Base", "Conditional", "find_conditional_mode", "nested_log_posterior"]

Array = NDArray[np.float64]

_UNITS = 1 << 12
_MAX_STEPS, _MAX_HALVINGS = 30, 8
_DECREMENT, _NO_GAIN = 1e-3, 1e-5
_WIDEST, _SMALLEST = 1.0, 1e-100


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
    result = np.empty(thetas.shape[0])
    step = max(1, _UNITS // target.kernel.rows.n_doctors)
    for first in range(0, thetas.shape[0], step):
        part = thetas[first : first + step]
        result[first : first + step] = _density(target, part, _integrate(target, base, part))
    return result


def _density(target: NestedTarget, thetas: Array, outer: Outer) -> Array:
    """Log posterior of thetas whose integrals are known."""
    beta = thetas[:, :-2]
    result: Array = outer.log_marginal.reshape(len(thetas), -1).sum(axis=1)
    result += beta @ target.kernel.rows.xty + target.fixed.log_density(beta)
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
    """Climb towards the mode of beta at the SDs of ``theta``.

    Steps are halved while the log posterior falls. Far out, where quadrature and linearization
    are rough, the climb ends where no step gains anything: that is good enough for a proposal.

    Notes
    -----
    The scores use a normal approximation to the distribution of each doctor's total intercept,
    with its exact mean and variance (SDs above 1 count as 1: the right tail of a doctor without
    events is much thinner), corrected so that the residuals of every doctor add up to
    E[d]/sigma², which they do exactly (integration by parts). The information is that of the
    linearized model. What both leave is corrected by the importance weights.
    """
    outer = _integrate(target, base, theta[None])
    value = float(_density(target, theta[None], outer)[0])
    for _ in range(_MAX_STEPS):
        gradient, information = _score(target, theta, outer)
        root = inverse_root(information)
        step = root @ (root.T @ gradient)
        if gradient @ step < _DECREMENT:
            break
        scale, trial = min(1.0, 1.0 / float(np.abs(step).max())), theta
        for _ in range(_MAX_HALVINGS):
            trial = theta.copy()
            trial[:-2] += scale * step
            trial_outer = _integrate(target, base, trial[None])
            trial_value = float(_density(target, trial[None], trial_outer)[0])
            if trial_value > value:
                break
            scale /= 2
        gain = trial_value - value
        if gain > 0:
            theta, outer, value = trial, trial_outer, trial_value
        if gain < _NO_GAIN:
            break
    _, log_determinant = np.linalg.slogdet(information)
    return Conditional(
        theta=theta,
        information=information,
        log_density=value - float(theta[-2:].sum()) - 0.5 * float(log_determinant),
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
    weights = np.broadcast_to(weights / weights.sum(), (2, 8, rows.n_doctors))
    nodes = outer.mean + np.minimum(outer.sd, _WIDEST) * offsets
    score = kernel.score(kernel.sizes(beta), clipped_exp(nodes), weights)
    total = score.covariates
    residual = rows.y_doctor - score.loadings[0, 0]
    excess = residual - outer.mean_doctor / sigma2
    gradient = (
        rows.xty
        - score.mean
        - total @ (excess / np.maximum(total[0], _SMALLEST))
        + target.fixed.slope(beta)
    )

    kept = 1.0 / (1.0 + sigma2 * total[0])  # the intercept's total is the doctor's information
    shared = target.by_hospital((total * kept).T)
    pooled = 1.0 / (1.0 / omega2 + target.by_hospital(total[0] * kept))
    information = score.information + np.diag(target.fixed.precision)
    information -= (total * (sigma2 * kept)) @ total.T + (shared.T * pooled) @ shared
    return gradient, information
