"""The log posterior at many values of theta, in one sweep over the doctors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.adjustment.quadrature.integration import Rule, choose_rule, log_integral
from outcomekpi.adjustment.quadrature.kernels import clipped_exp
from outcomekpi.adjustment.quadrature.mode import Mode, Target
from outcomekpi.adjustment.quadrature.priors import log_sd_prior

__all__ = ["Anchor", "anchor_effects", "log_posterior"]

Array = NDArray[np.float64]

_LOG_2PI = float(np.log(2 * np.pi))
_CHUNK = 1 << 21


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Anchor:
    """Each doctor's conditional at the mode, from which other thetas are predicted.

    Attributes
    ----------
    beta : (column,), fixed effects at the mode
    center : (doctor,), modes of the effects
    curvature : (doctor,), W = -C''(center)
    third : (doctor,), |C'''(center)|
    precision : float, 1 / sigma² at the mode
    covariate : (doctor, column), A / W with A = sum_i mu'_i x_i: the mean covariates of the
        cases, weighted by their information
    """

    beta: Array
    center: Array
    curvature: Array
    third: Array
    precision: float
    covariate: Array

    def predicted(self, thetas: Array) -> tuple[Array, Array]:
        """Predict centers and scales of all doctors at other thetas, from a linear model.

        Parameters
        ----------
        thetas : (theta, column + 1)

        Returns
        -------
        center, scale : (theta, doctor)
        """
        shift = (thetas[:, :-1] - self.beta) @ self.covariate.T
        information = self.curvature + np.exp(-2 * thetas[:, -1:])
        center = (self.curvature + self.precision) * self.center - self.curvature * shift
        return center / information, information**-0.5


def anchor_effects(target: Target, mode: Mode) -> Anchor:
    """Collect what predicts the doctors' conditionals near the mode."""
    local = mode.local
    ones = np.ones((1, 1, local.center.size))
    score = target.kernel.score(local.size, clipped_exp(local.center[None]), ones)
    curvature = score.covariates[0]  # of the intercept's ones: the doctor's information
    return Anchor(
        beta=mode.beta,
        center=local.center,
        curvature=curvature,
        third=np.abs(local.third),
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
    for part, rule in _rule_groups(anchor, thetas):
        if doubled:
            rule = rule.doubled()
        step = max(1, _CHUNK // (rule.n_nodes * rows.n_doctors))
        for first in range(0, part.size, step):
            chosen = part[first : first + step]
            result[chosen] = _log_marginals(target, anchor, thetas[chosen], rule)
    result += thetas[:, :-1] @ rows.xty
    result += target.fixed.log_density(thetas[:, :-1])
    result += log_sd_prior(target.sd_prior, thetas[:, -1])
    return result


def _rule_groups(anchor: Anchor, thetas: Array) -> list[tuple[NDArray[np.intp], Rule]]:
    """Split the thetas by the nodes that their most skewed doctor needs."""
    precision = np.exp(-2 * thetas[:, -1])
    steepest = np.argmax(anchor.third * (anchor.curvature + np.median(precision)) ** -1.5)
    skewness = anchor.third[steepest] * (anchor.curvature[steepest] + precision) ** -1.5
    rules: dict[int, tuple[list[int], Rule]] = {}
    for index, value in enumerate(skewness):
        rule = choose_rule(float(value))
        rules.setdefault(rule.n_nodes, ([], rule))[0].append(index)
    return [(np.array(indices), rule) for indices, rule in rules.values()]


def _log_marginals(target: Target, anchor: Anchor, thetas: Array, rule: Rule) -> Array:
    """Sum over doctors of the log integrals, (theta,)."""
    sigma = np.exp(thetas[:, -1])
    center, scale = anchor.predicted(thetas)
    nodes = center[:, None, :] + rule.offsets[:, None] * scale[:, None, :]
    terms = target.kernel.rows.y_doctor * nodes
    terms -= target.kernel.log_partitions(thetas[:, :-1], clipped_exp(nodes))
    terms -= 0.5 * (nodes / sigma[:, None, None]) ** 2
    log_width = np.log(scale) + rule.log_spacing - thetas[:, -1:] - 0.5 * _LOG_2PI
    log_marginal, _ = log_integral(terms, log_width, axis=1)
    return log_marginal.sum(axis=1)
