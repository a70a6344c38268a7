"""The mode of the marginal posterior, by Newton steps with Louis' information matrix."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.errors import EngineError
from outcomekpi.engine.integration import LocalFit, choose_rule, integrate_effects
from outcomekpi.engine.kernels import Kernel, Score, clipped_exp
from outcomekpi.engine.priors import (
    FixedEffectPrior,
    largest_log_sigma,
    log_sd_prior,
    log_sd_prior_derivatives,
)
from outcomekpi.engine.rows import Rows
from outcomekpi.model.priors import SDPrior

__all__ = ["Mode", "Target", "evaluate", "find_mode"]

Array = NDArray[np.float64]

_MAX_STEPS = 40
_DECREMENT = 1e-4
_DECREMENT_OF_LARGE = 2e-2  # .14 posterior SD, where another step reads all rows again
_DECREMENT_AT_NOISE = 2e-2  # .14 posterior SD: near enough for a proposal that weights correct
_DECREMENT_OF_RIDGE = 1.0  # one posterior SD, at doctor SDs that hardly count
_LOSS_ALLOWED = 1e-3  # the quadrature nodes move between evaluations
_LARGEST_STEP = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """The marginal posterior of (beta, log sigma): kernel and priors."""

    kernel: Kernel
    fixed: FixedEffectPrior
    sd_prior: SDPrior


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mode:
    """A value of theta = (beta, log sigma) with everything Newton's method knows there.

    Attributes
    ----------
    theta : (column + 1,)
    log_posterior : of (beta, log sigma), up to a constant
    gradient, information : (column + 1,) and its negative second derivatives
    local : every doctor's conditional
    steps, decrement : Newton steps taken, and the last decrement g'H⁻¹g
    """

    theta: Array
    log_posterior: float
    gradient: Array
    information: Array
    local: LocalFit
    steps: int = 0
    decrement: float = np.inf

    @property
    def beta(self) -> Array:
        """Fixed effects."""
        return self.theta[:-1]

    @property
    def sigma(self) -> float:
        """Doctor SD."""
        return float(np.exp(self.theta[-1]))


def evaluate(target: Target, theta: Array, start: Array) -> Mode:
    """Log posterior, gradient and information at one theta, in one pass over the rows.

    Notes
    -----
    With q the nodes of doctor j and w_q their weights, the gradient is
    ``sum_i (y_i - sum_q w_q mu_iq) x_i`` for beta and ``sum_j E[u²/sigma²] - 1`` for
    log sigma. The information is Louis' (1982): expected complete-data information less the
    covariance of the complete-data scores over the nodes. Where a doctor's cases say far more
    than the doctor SD, both are differences of large numbers that nearly cancel; what is left
    of them follows from integration by parts, see :func:`_by_parts`.
    """
    beta, sigma = theta[:-1], float(np.exp(theta[-1]))
    rows = target.kernel.rows
    local = integrate_effects(target.kernel, beta, sigma, start=start, rule=choose_rule(0.0))
    functions = _orthonormal(local)
    kinds = np.concatenate((local.weights[None], functions * local.weights))
    score = target.kernel.score(local.size, clipped_exp(local.nodes), kinds)

    squared = (local.nodes / sigma) ** 2
    moment = (local.weights * squared).sum(axis=0)
    spread = (local.weights * squared**2).sum(axis=0) - moment**2
    prior_slope, prior_bend = log_sd_prior_derivatives(target.sd_prior, float(theta[-1]))
    slope, curvature, cross = _by_parts(rows, score, local, functions, sigma)
    gradient = np.append(slope + target.fixed.slope(beta), (moment - 1).sum() + prior_slope)
    information = np.empty((theta.size, theta.size))
    information[:-1, :-1] = curvature + np.diag(target.fixed.precision)
    information[:-1, -1] = information[-1, :-1] = cross
    information[-1, -1] = (2 * moment - spread).sum() - prior_bend
    log_posterior = (
        float(rows.xty @ beta + local.log_marginal.sum())
        + float(target.fixed.log_density(beta))
        + float(log_sd_prior(target.sd_prior, theta[-1]))
    )
    return Mode(
        theta=theta,
        log_posterior=log_posterior,
        gradient=gradient,
        information=information,
        local=local,
    )


def _by_parts(
    rows: Rows, score: Score, local: LocalFit, functions: Array, sigma: float
) -> tuple[Array, Array, Array]:
    """Gradient of beta, its information, and that of beta and log sigma, without the priors.

    Notes
    -----
    With M = sum_i mu_i of a doctor and any function h of his effect, E[h'] = Cov(h, M + u/sigma²)
    under his conditional (Stein's identity). The covariates of every doctor are split into
    their mean, weighted by information, and the rest. In the direction of the mean, his
    residuals add up to E[u]/sigma², and his information is Cov(u, M)/sigma² and not the difference
    of E[M'] and Var(M), which are larger by the number of his events. Sums of the rest vary
    little with u, and enter through their projections on two functions of u.
    """
    u = local.nodes - local.center
    mean_u = (local.weights * u).sum(axis=0)
    sd_u = np.sqrt((local.weights * (u - mean_u) ** 2).sum(axis=0))
    effect = local.center + mean_u
    middle = score.covariates / np.maximum(score.covariates[0], 1e-300)  # (column, doctor)
    shared = score.loadings[0] * (sd_u / sigma**2)  # Cov(u, sum_i mu_i x_i) / sigma²
    rest = score.loadings - middle * score.loadings[:, :1]

    excess = rows.y_doctor - score.expected - effect / sigma**2
    gradient = rows.xty - score.mean - middle @ excess
    both = middle @ shared.T
    information = score.information - (middle * score.covariates[0]) @ middle.T
    information += both + both.T - (middle * shared[0]) @ middle.T
    squared = (functions * local.weights * (local.nodes / sigma) ** 2).sum(axis=1)
    cross = middle @ ((2 * effect - sd_u * squared[0]) / sigma**2)
    for loading, along in zip(rest, squared, strict=True):
        information -= loading @ loading.T
        cross += loading @ along
    return gradient, information, cross


def _orthonormal(local: LocalFit) -> Array:
    """Two functions of the nodes, orthonormal under the weights.

    The first is u, which integration by parts asks for. The second is the score of a doctor
    whose cases are alike, (e^x - 1) / (1 - p + p e^x) at distance x from the center, p from
    C''' / C'' = 1 - 2p, made orthogonal to u: exponential for a doctor without events.

    Returns
    -------
    (2, node, doctor)
    """
    w, x = local.weights, local.nodes - local.center
    lean = np.clip(0.5 * (1.0 + local.third / np.maximum(local.curvature, 1e-300)), 0.0, 1.0)
    first = _standardized(x, w)
    growth = clipped_exp(x)
    score = _standardized((growth - 1.0) / (1.0 - lean + lean * growth), w)
    score = score - (w * score * first).sum(axis=0) * first
    return np.stack((first, _standardized(score, w)))


def _standardized(values: Array, weights: Array) -> Array:
    """Center and scale each doctor's values under his weights; zero where they do not vary."""
    values = values - (weights * values).sum(axis=0)
    sd = np.sqrt((weights * values**2).sum(axis=0))
    return np.where(sd > 1e-12, values / np.maximum(sd, 1e-12), 0.0)


def _newton_step(mode: Mode, free: slice) -> tuple[Array, float]:
    """Capped Newton step and decrement; eigenvalues that are not positive are lifted."""
    information, gradient = mode.information[free, free], mode.gradient[free]
    scale = np.maximum(np.abs(np.diag(information)), 1e-10) ** -0.5
    values, vectors = np.linalg.eigh(information * np.outer(scale, scale))
    floor = 1e-10 * values[-1]
    lifted = np.where(values > floor, values, np.maximum(np.abs(values), floor))
    step = scale * (vectors @ ((vectors.T @ (scale * gradient)) / lifted))
    decrement = float(gradient @ step)
    largest = np.abs(step).max()
    return step * min(1.0, _LARGEST_STEP / largest) if largest > 0 else step, decrement


def find_mode(target: Target, theta: Array, *, start: Array, fix_sigma: bool = False) -> Mode:
    """Climb to the mode from ``theta``; with ``fix_sigma`` over the fixed effects only.

    Where the climb over everything does not settle, as on the long ridge of a prior that hardly
    says anything, the best of nine doctor SDs with their own fixed effects is returned instead.

    Parameters
    ----------
    theta : (column + 1,), (beta, log sigma)
    start : (doctor,), effects to begin from

    Raises
    ------
    EngineError
        No convergence in 40 Newton steps.
    """
    end = largest_log_sigma(target.sd_prior)
    mode = evaluate(target, theta, start)
    for steps in range(_MAX_STEPS):
        at_end = mode.theta[-1] >= end and mode.gradient[-1] > 0
        free = slice(0, -1) if fix_sigma or at_end else slice(None)
        step, decrement = _newton_step(mode, free)
        if decrement < (_DECREMENT_OF_LARGE if target.kernel.rows.is_large else _DECREMENT):
            return replace(mode, steps=steps, decrement=decrement)
        trial, scale = _accepted_step(target, mode, step, free)
        if scale < 1 and decrement < _DECREMENT_AT_NOISE:
            return replace(mode, steps=steps, decrement=decrement)
        mode = trial
    if decrement < _DECREMENT_AT_NOISE:
        return replace(mode, steps=_MAX_STEPS, decrement=decrement)
    if not fix_sigma:
        return _best_of_sigmas(target, theta[:-1], start)
    if decrement < _DECREMENT_OF_RIDGE:
        return replace(mode, steps=_MAX_STEPS, decrement=decrement)
    raise EngineError(
        f"The posterior mode was not found in {_MAX_STEPS} Newton steps (last decrement "
        f"{decrement:.2g}, wanted below {_DECREMENT:g}). Use engine='nuts', or look for "
        "covariates that separate the outcome perfectly."
    )


def _best_of_sigmas(target: Target, beta: Array, start: Array) -> Mode:
    """Return the highest of the conditional modes at nine doctor SDs from .02 to 8."""
    highest = min(8.0, float(np.exp(largest_log_sigma(target.sd_prior))))
    found: list[Mode] = []
    for sigma in np.geomspace(min(0.02, highest / 8), highest, 9):
        theta = np.append(found[-1].beta if found else beta, np.log(sigma))
        center = found[-1].local.center if found else start
        found.append(find_mode(target, theta, start=center, fix_sigma=True))
    return replace(max(found, key=lambda mode: mode.log_posterior), steps=_MAX_STEPS)


def _accepted_step(target: Target, mode: Mode, step: Array, free: slice) -> tuple[Mode, float]:
    """Halve the step until the log posterior no longer falls; return the share taken, too."""
    scale = 1.0
    while True:
        theta = mode.theta.copy()
        theta[free] += scale * step
        theta[-1] = min(theta[-1], largest_log_sigma(target.sd_prior))
        trial = evaluate(target, theta, mode.local.center)
        if trial.log_posterior >= mode.log_posterior - _LOSS_ALLOWED or scale < 1e-3:
            return trial, scale
        scale /= 2
