"""One doctor's effect integrated out: mode, nodes and weights by the trapezoidal rule.

The integrand exp(C(u)) N(u; 0, sigma²) of each doctor is log-concave and smooth, for which
equally spaced nodes around its mode converge geometrically (Trefethen & Weideman 2014).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.engine.kernels import Kernel, clipped_exp

__all__ = ["LocalFit", "Rule", "center_effects", "choose_rule", "integrate_effects", "log_integral"]

Array = NDArray[np.float64]

_MAX_CENTER_STEPS = 25
_LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rule:
    """Equally spaced nodes in units of each doctor's scale.

    Attributes
    ----------
    offsets : (node,), distance from the mode in units of the Laplace standard deviation
    """

    offsets: Array

    @property
    def log_spacing(self) -> float:
        """Log distance between neighboring nodes."""
        return float(np.log(self.offsets[1] - self.offsets[0]))

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return self.offsets.size

    def doubled(self) -> "Rule":
        """Twice the nodes on a wider range, to check the accuracy of this rule."""
        return Rule(offsets=np.linspace(-1, 1, 2 * self.n_nodes) * (self.offsets[-1] + 1.5))


def choose_rule(skewness: float) -> Rule:
    """Nodes for the most skewed doctor: 8, 16 above .3, 24 above .8, 48 above 1, 96 above 2.

    A doctor without events has a skewness up to .8 where his cases say more than the doctor SD,
    and above where the normal tail of a large doctor SD meets the steep flank of his cases.

    Parameters
    ----------
    skewness : largest |C'''(u)| s³ over the doctors, at their modes
    """
    if skewness > 1.0:
        return _FINEST if skewness > 2.0 else _FINER
    return _FINE if skewness > 0.8 else _MEDIUM if skewness > 0.3 else _COARSE


_COARSE = Rule(offsets=np.linspace(-4.0, 4.0, 8))
_MEDIUM = Rule(offsets=np.linspace(-5.5, 5.5, 16))
_FINE = Rule(offsets=np.linspace(-6.5, 6.5, 24))
_FINER = Rule(offsets=np.linspace(-10.0, 10.0, 48))
_FINEST = Rule(offsets=np.linspace(-14.0, 14.0, 96))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LocalFit:
    """Every doctor's conditional at one value of the fixed effects and the doctor SD.

    Attributes
    ----------
    size : (row,), E of the kernel
    center, scale : (doctor,), mode and Laplace standard deviation of the effect
    curvature : (doctor,), -C''(mode), information of the cases alone
    third : (doctor,), C'''(mode)
    rule : the nodes that were used, at least those asked for
    log_marginal : (doctor,), log of the integral, without the constant sum y_i eta_i
    nodes, weights : (node, doctor), weights sum to 1 over nodes
    """

    size: Array
    center: Array
    scale: Array
    curvature: Array
    third: Array
    rule: Rule
    log_marginal: Array
    nodes: Array
    weights: Array


def center_effects(
    kernel: Kernel, size: Array, sigma: float, start: Array
) -> tuple[Array, Array, Array]:
    """Mode of each doctor's conditional, with the second and third derivatives of sum b there.

    Newton steps, at most 2 on the link scale, until every step is below a twentieth of the
    doctor's scale: the nodes need no better center.
    """
    center = start.copy()
    precision = 1.0 / sigma**2
    for _ in range(_MAX_CENTER_STEPS):
        first, second, third = kernel.derivatives(size, clipped_exp(center))
        information = second + precision
        step = (kernel.rows.y_doctor - first - center * precision) / information
        np.clip(step, -2.0, 2.0, out=step)
        center += step
        if np.max(np.abs(step) * np.sqrt(information)) < 0.05:
            break
    return center, second, third


def log_integral(log_terms: Array, log_width: Array | float, axis: int) -> tuple[Array, Array]:
    """Log of a trapezoidal sum, and the terms' shares of it along ``axis``."""
    top = log_terms.max(axis=axis, keepdims=True)
    shares = np.exp(log_terms - top)
    total = shares.sum(axis=axis, keepdims=True)
    shares /= total
    return np.squeeze(top + np.log(total), axis=axis) + log_width, shares


def integrate_effects(
    kernel: Kernel, beta: Array, sigma: float, *, start: Array, rule: Rule
) -> LocalFit:
    """Integrate every doctor's effect out at one (beta, sigma).

    Parameters
    ----------
    beta : (column,)
    start : (doctor,), where the search for the modes begins
    rule : nodes to use at least; skewed doctors get more
    """
    size = kernel.sizes(beta)
    center, curvature, third = center_effects(kernel, size, sigma, start)
    scale = 1.0 / np.sqrt(curvature + 1.0 / sigma**2)
    needed = choose_rule(float(np.abs(third * scale**3).max()))
    rule = needed if needed.n_nodes > rule.n_nodes else rule
    nodes = center + rule.offsets[:, None] * scale
    terms = kernel.rows.y_doctor * nodes - kernel.log_partition(size, clipped_exp(nodes))
    terms -= 0.5 * (nodes / sigma) ** 2
    log_width = np.log(scale) + rule.log_spacing - np.log(sigma) - 0.5 * _LOG_2PI
    log_marginal, weights = log_integral(terms, log_width, axis=0)
    return LocalFit(
        size=size,
        center=center,
        scale=scale,
        curvature=curvature,
        third=-third,
        rule=rule,
        log_marginal=log_marginal,
        nodes=nodes,
        weights=weights,
    )
