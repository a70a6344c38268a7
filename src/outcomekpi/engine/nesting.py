"""Doctors within hospitals: both effects integrated out, for many thetas at once.

A doctor's total intercept is a = v + d, v his hospital's effect and d his own. His curve C(a) does
not depend on v, so that it is tabulated once per theta; hospital and doctor integrals then run
on the table. Everything below works on *units*: the doctors of all thetas, theta after theta.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.engine.curves import Curves
from outcomekpi.engine.integration import Rule, log_integral
from outcomekpi.engine.kernels import Kernel
from outcomekpi.engine.priors import FixedEffectPrior
from outcomekpi.model.priors import SDPrior

__all__ = ["Inner", "NestedTarget", "Outer", "inner_integrals", "outer_integrals"]

Array = NDArray[np.float64]

_LOG_2PI = float(np.log(2 * np.pi))
_OUTER = Rule(offsets=np.linspace(-4.5, 4.5, 9))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NestedTarget:
    """Marginal posterior of (beta, log sd_doctor, log sd_hospital).

    Attributes
    ----------
    order : (doctor,), doctors sorted by hospital
    starts : (hospital,), first of each hospital's doctors in ``order``
    code : (doctor,), hospital of each doctor
    rule : nodes of the doctor integrals
    """

    kernel: Kernel
    fixed: FixedEffectPrior
    sd_prior: SDPrior
    sd_hospital_prior: SDPrior
    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    code: NDArray[np.intp]
    rule: Rule

    @property
    def n_hospitals(self) -> int:
        """Number of hospitals."""
        return self.starts.size

    def by_hospital(self, values: Array) -> Array:
        """Sum unit values (theta * doctor, ...) over each hospital, (theta * hospital, ...)."""
        n_doctors = self.order.size
        shaped = values.reshape(-1, n_doctors, *values.shape[1:])[:, self.order]
        sums = np.add.reduceat(shaped, self.starts, axis=1)
        return sums.reshape(-1, *values.shape[1:])

    def to_doctors(self, values: Array) -> Array:
        """Give every doctor his hospital's value, (theta * hospital, ...) to units."""
        shaped = values.reshape(-1, self.n_hospitals, *values.shape[1:])[:, self.code]
        return shaped.reshape(-1, *values.shape[1:])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inner:
    """Integrals over the doctors' own effects d at given hospital effects.

    Attributes
    ----------
    log_marginal : (unit, node), log of the integral of exp(C(v + d)) N(d; 0, sigma²)
    mean, variance : (unit, node), of d given v
    """

    log_marginal: Array
    mean: Array
    variance: Array


def inner_integrals(curves: Curves, v: Array, sigma: Array, rule: Rule) -> Inner:
    """Integrate the doctors' own effects out at hospital effects v.

    Parameters
    ----------
    v : (unit, node)
    sigma : (unit,), doctor SD
    """
    precision = sigma[:, None] ** -2
    slope, bend = curves.derivatives(v)
    offset = np.clip(slope / (np.maximum(-bend, 0.0) + precision), -2.0, 2.0)
    for _ in range(20):
        slope, bend = curves.derivatives(v + offset)
        information = np.maximum(-bend, 0.0) + precision
        step = (slope - offset * precision) / information
        offset = offset + np.clip(step, -2.0, 2.0)
        if np.all(np.abs(step) * np.sqrt(information) < 0.05):
            break
    scale = information**-0.5
    nodes = offset[..., None] + scale[..., None] * rule.offsets
    terms = curves.value(v[..., None] + nodes) - 0.5 * nodes**2 * precision[..., None]
    log_width = np.log(scale) + rule.log_spacing - np.log(sigma)[:, None] - 0.5 * _LOG_2PI
    log_marginal, weights = log_integral(terms, log_width, axis=-1)
    mean = (weights * nodes).sum(axis=-1)
    variance = (weights * (nodes - mean[..., None]) ** 2).sum(axis=-1)
    return Inner(log_marginal=log_marginal, mean=mean, variance=variance)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outer:
    """Hospital effects integrated out, too.

    Attributes
    ----------
    log_marginal : (theta * hospital,)
    center, scale : (theta * hospital,), mode and Laplace SD of the hospital effect
    mean, sd : (unit,), of the doctor's total intercept
    mean_doctor : (unit,), E[d]
    square_doctor : (unit,), E[d²]
    square_hospital : (theta * hospital,), E[v²]
    """

    log_marginal: Array
    center: Array
    scale: Array
    mean: Array
    sd: Array
    mean_doctor: Array
    square_doctor: Array
    square_hospital: Array


def center_hospitals(
    target: NestedTarget, curves: Curves, start: Array, sigma: Array, omega: Array
) -> tuple[Array, Array]:
    """Mode and Laplace standard deviation of each hospital effect, (theta * hospital,)."""
    center = start
    for _ in range(20):
        inner = inner_integrals(curves, target.to_doctors(center)[:, None], sigma, target.rule)
        slope = target.by_hospital(inner.mean[:, 0] * sigma**-2) - center * omega**-2
        bend = target.by_hospital((1.0 - inner.variance[:, 0] * sigma**-2) * sigma**-2)
        information = np.maximum(bend, 0.0) + omega**-2
        step = slope / information
        center = center + np.clip(step, -2.0, 2.0)
        if np.all(np.abs(step) * np.sqrt(information) < 0.05):
            break
    return center, information**-0.5


def outer_integrals(
    target: NestedTarget, curves: Curves, start: Array, sigma: Array, omega: Array
) -> Outer:
    """Integrate doctors' and hospitals' effects out.

    Parameters
    ----------
    curves : of all units
    start : (theta * hospital,), where the search for the hospital modes begins
    sigma : (unit,), doctor SD
    omega : (theta * hospital,), hospital SD
    """
    center, scale = center_hospitals(target, curves, start, sigma, omega)
    v = center[:, None] + scale[:, None] * _OUTER.offsets
    v_unit = target.to_doctors(v)
    inner = inner_integrals(curves, v_unit, sigma, target.rule)
    terms = target.by_hospital(inner.log_marginal) - 0.5 * (v / omega[:, None]) ** 2
    log_width = np.log(scale) + _OUTER.log_spacing - np.log(omega) - 0.5 * _LOG_2PI
    log_marginal, weights = log_integral(terms, log_width, axis=1)
    w = target.to_doctors(weights)
    conditional = v_unit + inner.mean
    mean = (w * conditional).sum(axis=1)
    shared = (w * (conditional - mean[:, None]) ** 2).sum(axis=1)
    own = (w * inner.variance).sum(axis=1)
    return Outer(
        log_marginal=log_marginal,
        center=center,
        scale=scale,
        mean=mean,
        sd=np.sqrt(np.maximum(shared + own, 1e-12)),
        mean_doctor=(w * inner.mean).sum(axis=1),
        square_doctor=(w * (inner.variance + inner.mean**2)).sum(axis=1),
        square_hospital=(weights * v**2).sum(axis=1),
    )
