"""Pointwise log likelihood of a fit, for cross-validation by ArviZ."""

from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import expit, logsumexp

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.model.families import Conditional, conditional, log_density
from outcomekpi.model.likelihood_model import Model
from outcomekpi.model.spec import STUDENT_T_DF
from outcomekpi.posterior.fit import Fit
from outcomekpi.posterior.predictor import FlatDraws, linear_predictor, read_draws

__all__ = ["pointwise_log_likelihood"]

Array = NDArray[np.float64]
LeftOut = Literal["case", "doctor"]

MOST_VALUES = 500_000_000
"""Cases (or doctors) times draws that are held in memory: 4 GB of doubles."""
BLOCK_VALUES = 4_000_000


def pointwise_log_likelihood(fit: Fit, *, by: LeftOut = "case") -> xr.DataTree:
    """Log likelihood of each case, or of each doctor's cases together, under every draw.

    Parameters
    ----------
    fit : a fit by either engine
    by : "case": given the doctor's effect, which asks how well the model predicts another case
        of a known doctor. "doctor": the doctor's effect is integrated out, which asks how well
        it predicts all cases of a doctor it has not seen (his hospital is kept)

    Returns
    -------
    DataTree: the fit's draws and a group ``log_likelihood`` with ``outcome`` of dimensions
    (chain, draw, case) or (chain, draw, doctor); ``arviz.loo`` works on it

    Raises
    ------
    SpecError
        Unknown ``by``, or more than 5e8 values would have to be held in memory.

    Notes
    -----
    by="doctor": ``log ∫ prod_i p(y_i | u) p(u | sd_doctor) du`` by the trapezoidal rule on 33
    nodes around the mode of the integrand, in units of its curvature, for each doctor and draw;
    for Student-t effects on 129 nodes that are even in asinh(u), since their tails are long.

    References
    ----------
    Vehtari, Gelman and Gabry (2017), Statistics and Computing, doi:10.1007/s11222-016-9696-4.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(case_mix="age"), seed=1)
    >>> tree = ok.pointwise_log_likelihood(fit)  # arviz.loo(tree) compares models with it
    >>> tree["log_likelihood"]["outcome"].sizes["case"]
    1500
    """
    check_arguments(pointwise_log_likelihood, locals())
    model, draws = fit.model, read_draws(fit.draws)
    units = model.outcome.size if by == "case" else model.n_doctors
    if units * draws.n_samples > MOST_VALUES:
        raise SpecError(
            f"The log likelihood of {units} x {draws.n_samples} {by}s x draws does not fit into "
            f"memory ({MOST_VALUES:.0e} values at most). Fit with fewer draws, or use by='doctor'."
        )
    rows = _by_case(model, draws) if by == "case" else _by_doctor(model, draws)
    sizes = fit.draws["posterior"].sizes
    values = xr.DataArray(
        rows.reshape(units, sizes["chain"], sizes["draw"]), dims=(by, "chain", "draw")
    ).transpose("chain", "draw", by)
    tree = fit.draws.copy()
    posterior = fit.draws["posterior"]
    labels = {name: posterior[name] for name in ("chain", "draw")}
    if by == "doctor":
        labels["doctor"] = posterior["doctor"]
    tree["log_likelihood"] = xr.DataTree(xr.Dataset({"outcome": values}, coords=labels))
    return tree


def _spread(draws: FlatDraws) -> Array | None:
    return draws.sd_residual if draws.sd_residual is not None else draws.dispersion


def _by_case(model: Model, draws: FlatDraws) -> Array:
    n_cases = model.outcome.size
    rows = np.empty((n_cases, draws.n_samples))
    step = max(1, BLOCK_VALUES // draws.n_samples)
    for first in range(0, n_cases, step):
        block = slice(first, first + step)
        given = conditional(model, _spread(draws), cases=block)
        rows[block] = log_density(given, linear_predictor(model, draws, cases=block))
    return rows


def _by_doctor(model: Model, draws: FlatDraws) -> Array:
    rows = np.zeros((model.n_doctors, draws.n_samples))
    order = np.argsort(model.doctor_code, kind="stable")
    starts = np.searchsorted(model.doctor_code[order], np.arange(model.n_doctors + 1))
    hospital = draws.hospital_effect
    for doctor in range(model.n_doctors):
        cases = order[starts[doctor] : starts[doctor + 1]]
        if cases.size == 0:
            continue
        base = draws.intercept + model.matrix[cases] @ draws.coefficient
        if model.offset is not None:
            base = base + model.offset[cases, None]
        if hospital is not None and model.hospital_code is not None:
            base = base + hospital[model.hospital_code[doctor]]
        given = conditional(model, _spread(draws), cases=cases)
        rows[doctor] = _integrate(given, base, draws.sd_doctor, model.doctor_effects)
    return rows


def _integrate(given: Conditional, base: Array, sd: Array, effects: str) -> Array:
    """Integrate one doctor's effect out; base (case, sample), sd (sample,)."""
    center, scale = _mode(given, base, sd)
    steps, widths = _nodes(effects)
    total = np.empty((steps.size, sd.size))
    for k, (step, width) in enumerate(zip(steps, widths, strict=True)):
        effect = center + scale * step
        total[k] = log_density(given, base + effect).sum(axis=0) + np.log(scale * width)
        total[k] += _log_prior(effect, sd, effects)
    return np.asarray(logsumexp(total, axis=0))


def _nodes(effects: str) -> tuple[Array, Array]:
    """Nodes and weights in units of the integrand's scale: even, or spread out for long tails."""
    if effects == "normal":
        steps = np.linspace(-7.0, 7.0, 33)
        return steps, np.full(33, steps[1] - steps[0])
    even = np.linspace(-6.5, 6.5, 129)
    return np.sinh(even), np.cosh(even) * (even[1] - even[0])


def _mode(given: Conditional, base: Array, sd: Array, steps: int = 30) -> tuple[Array, Array]:
    """Mode of the integrand in the doctor's effect (under a normal prior), and its scale."""
    effect = np.zeros_like(sd)
    longest = np.inf if given.family == "gaussian" else 1.0  # one step solves the Gaussian
    for _ in range(steps):
        gradient, information = _slope(given, base + effect)
        curvature = information + sd**-2.0
        move = (gradient - effect / sd**2) / curvature
        effect = effect + np.clip(move, -longest, longest)
        if np.abs(move).max() < 1e-6:
            break
    _, information = _slope(given, base + effect)
    return effect, (information + sd**-2.0) ** -0.5


def _slope(given: Conditional, eta: Array) -> tuple[Array, Array]:
    """First derivative and expected information of the log likelihood, summed over cases."""
    y, size, spread = given.outcome, given.size, given.spread
    if given.family in ("bernoulli", "binomial"):
        p = expit(eta)
        gradient, information = y - size * p, size * p * (1.0 - p)
    elif given.family == "gaussian" and spread is not None:
        gradient = (y - eta) / spread**2
        information = np.broadcast_to(spread**-2.0, eta.shape)
    else:
        mean = size * np.exp(eta)
        shrink = 1.0 if spread is None else 1.0 + spread**2 * mean
        gradient, information = (y - mean) / shrink, mean / shrink
    return gradient.sum(axis=0), information.sum(axis=0)


def _log_prior(effect: Array, sd: Array, effects: str) -> Array:
    if effects == "normal":
        return np.asarray(-0.5 * (effect / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi)))
    from math import lgamma, log, pi

    df = STUDENT_T_DF
    scale = sd * np.sqrt((df - 2) / df)
    constant = lgamma((df + 1) / 2) - lgamma(df / 2) - 0.5 * log(df * pi)
    return np.asarray(
        constant - np.log(scale) - 0.5 * (df + 1) * np.log1p((effect / scale) ** 2 / df)
    )
