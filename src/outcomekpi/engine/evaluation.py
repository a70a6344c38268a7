"""The log posterior at many values of theta, in one sweep over the doctors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.engine.integration import Rule, choose_rule, log_integral
from outcomekpi.engine.kernels import clipped_exp
from outcomekpi.engine.mode import Mode, Target
from outcomekpi.engine.priors import log_sd_prior

__all__ = ["Anchor", "anchor_effects", "log_posterior"]

Array = NDArray[np.float64]

_LOG_2PI = float(np.log(2 * np.pi))
_CHUNK = 1 << 21
_PREDICTIONS, _NEAR = 6, 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Anchor:
    """Each doctor's conditional at the mode, from which other thetas are predicted.

    Notes
    -----
    The curve of a doctor is taken for that of many like cases: with p such that
    C''' / C'' = 1 - 2p, its slope changes by W (e^x - 1) / (1 - p + p e^x) when the effect and
    the fixed effects together move it by x. That is exact for counts (p = 0) and for a doctor
    whose cases are all alike, and follows a doctor without events far out.

    Attributes
    ----------
    beta : (column,), fixed effects at the mode
    center : (doctor,), modes of the effects
    curvature : (doctor,), W = -C''(center)
    third : (doctor,), |C'''(center)|
    probability : (doctor,), p in [0, 1]
    precision : float, 1 / sigma² at the mode
    covariate : (doctor, column), A / W with A = sum_i mu'_i x_i: the mean covariates of the
        cases, weighted by their information
    """

    beta: Array
    center: Array
    curvature: Array
    third: Array
    probability: Array
    precision: float
    covariate: Array

    def predicted(self, thetas: Array) -> tuple[Array, Array, Array]:
        """Predict the conditionals of all doctors at other thetas.

        Parameters
        ----------
        thetas : (theta, column + 1)

        Returns
        -------
        center, scale, skewness : (theta, doctor), mode, Laplace standard deviation s, |C'''| s³
        """
        shift = (thetas[:, :-1] - self.beta) @ self.covariate.T
        precision = np.exp(-2 * thetas[:, -1:])
        lean, curvature = self.probability, self.curvature
        pull = self.center * self.precision + shift * precision
        slope = pull - self.center * precision
        # Without the prior's pull the answer would be a logarithm, a bound on how far it lies.
        above, below = curvature + slope * (1.0 - lean), curvature - slope * lean
        bound = np.abs(np.log(np.maximum(above, 1e-300) / np.maximum(below, 1e-300)))
        x = np.clip(slope / (curvature + precision), -bound, bound)
        for _ in range(_PREDICTIONS):
            growth = clipped_exp(x)
            spread = 1.0 - lean + lean * growth
            bent = curvature * growth / spread**2
            slope = pull - curvature * (growth - 1.0) / spread - (self.center + x) * precision
            step = np.clip(slope / (bent + precision), -2.0, 2.0)
            x += step
            if np.max(np.abs(step) * np.sqrt(bent + precision)) < _NEAR:
                break
        scale = (bent + precision) ** -0.5
        skewness = bent * np.abs(1.0 - 2.0 * lean * growth / spread) * scale**3
        return self.center + x - shift, scale, skewness


def anchor_effects(target: Target, mode: Mode) -> Anchor:
    """Collect what predicts the doctors' conditionals near the mode."""
    local = mode.local
    ones = np.ones((1, 1, local.center.size))
    score = target.kernel.score(local.size, clipped_exp(local.center[None]), ones)
    # The intercept's ones give the doctor's information.
    curvature = np.maximum(score.covariates[0], 1e-300)
    return Anchor(
        beta=mode.beta,
        center=local.center,
        curvature=curvature,
        third=np.abs(local.third),
        probability=np.clip(
            0.5 * (1.0 + local.third / np.maximum(local.curvature, 1e-300)), 0.0, 1.0
        ),
        precision=mode.sigma**-2,
        covariate=np.ascontiguousarray((score.covariates / curvature).T),
    )


def log_posterior(target: Target, anchor: Anchor, thetas: Array, *, doubled: bool = False) -> Array:
    """Log posterior density of (beta, log sigma) at many thetas, up to a constant.

    Parameters
    ----------
    thetas : (theta, column + 1)
    doubled : use twice the nodes on a wider range, to check the quadrature

    Returns
    -------
    (theta,)
    """
    rows = target.kernel.rows
    result = np.empty(thetas.shape[0])
    step = max(1, _CHUNK // (16 * rows.n_doctors))
    for first in range(0, thetas.shape[0], step):
        chunk = slice(first, first + step)
        result[chunk] = _sum_of_marginals(target, anchor, thetas[chunk], doubled)
    result += thetas[:, :-1] @ rows.xty
    result += target.fixed.log_density(thetas[:, :-1])
    result += log_sd_prior(target.sd_prior, thetas[:, -1])
    return result


def _sum_of_marginals(target: Target, anchor: Anchor, thetas: Array, doubled: bool) -> Array:
    """Sum over doctors of the log integrals, each theta with the nodes its doctors need."""
    center, scale, skewness = anchor.predicted(thetas)
    rules = [choose_rule(float(value)) for value in skewness.max(axis=1)]
    result = np.empty(thetas.shape[0])
    for n_nodes in {rule.n_nodes for rule in rules}:
        chosen = np.flatnonzero([rule.n_nodes == n_nodes for rule in rules])
        rule = rules[chosen[0]].doubled() if doubled else rules[chosen[0]]
        result[chosen] = _log_marginals(target, thetas[chosen], center[chosen], scale[chosen], rule)
    return result


def _log_marginals(target: Target, thetas: Array, center: Array, scale: Array, rule: Rule) -> Array:
    """Sum over doctors of the log integrals, (theta,), on nodes around (theta, doctor) centers."""
    sigma = np.exp(thetas[:, -1])
    nodes = center[:, None, :] + rule.offsets[:, None] * scale[:, None, :]
    terms = target.kernel.rows.y_doctor * nodes
    terms -= target.kernel.log_partitions(thetas[:, :-1], clipped_exp(nodes))
    terms -= 0.5 * (nodes / sigma[:, None, None]) ** 2
    log_width = np.log(scale) + rule.log_spacing - thetas[:, -1:] - 0.5 * _LOG_2PI
    log_marginal, _ = log_integral(terms, log_width, axis=1)
    return log_marginal.sum(axis=1)
