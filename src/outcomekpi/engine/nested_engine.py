"""The fast engine for doctors nested in hospitals, from start to end."""

from dataclasses import replace

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from outcomekpi.engine.curves import Curves, tabulate_curves
from outcomekpi.engine.draws_tree import PosteriorSamples, chains_for
from outcomekpi.engine.effects import draw_conditionals
from outcomekpi.engine.evaluation import Anchor, anchor_effects
from outcomekpi.engine.integration import choose_rule
from outcomekpi.engine.ladder import (
    N_POINTS,
    Attempt,
    Moments,
    climb_ladder,
    rungs_of_the_grid,
)
from outcomekpi.engine.mode import Mode, Target, find_mode
from outcomekpi.engine.nested_mode import Base, nested_log_posterior
from outcomekpi.engine.nested_proposal import propose_nested
from outcomekpi.engine.nesting import NestedTarget, inner_integrals
from outcomekpi.engine.proposal import Proposal
from outcomekpi.engine.quantiles import find_quantiles
from outcomekpi.engine.redraws import redraw_bent
from outcomekpi.engine.scores import shuffled_midpoints
from outcomekpi.engine.shifts import curve_shifts
from outcomekpi.engine.weights import Weights, resample
from outcomekpi.model.likelihood_model import Model

__all__ = ["draw_hospitals", "sample_nested"]

Array = NDArray[np.float64]
Diagnostics = dict[str, float | str]


# Draws of every hospital effect, the doctors' own effects integrated out
_UNITS = 1 << 12
_TABLE_NODES, _SIGMAS = 49, 8
_HEIGHTS = (11, 25)


def draw_hospitals(
    target: NestedTarget, curves: Curves, shift: Array, sigma: Array, omega: Array, *, seed: int
) -> Array:
    """Draw every hospital effect from its conditional given theta.

    The log density is evaluated at 11 nodes around the mode, 25 where it is skewed, interpolated by
    a cubic spline and inverted at stratified scores.

    Parameters
    ----------
    curves : of the doctors at the mode
    shift : (doctor, draw)
    sigma, omega : (draw,)

    Returns
    -------
    (hospital, draw)
    """
    n_draws, n_hospitals = sigma.size, target.n_hospitals
    scores = np.stack(
        [shuffled_midpoints(n_draws, "hospital", index, seed) for index in range(n_hospitals)]
    )
    tables = _tabulate(target, curves, float(sigma.min()), float(sigma.max()))
    mixture = _mixture(sigma)
    result = np.empty((n_hospitals, n_draws))
    step = max(1, _UNITS // target.order.size)
    for first in range(0, n_draws, step):
        part = slice(first, min(first + step, n_draws))
        marginals = _mix(tables, mixture[part], shift[:, part])
        wide = np.repeat(omega[part], n_hospitals)
        center, scale = _center(target, marginals, wide)

        def height(v: Array, marginals: Curves = marginals, wide: Array = wide) -> Array:
            heights = target.by_hospital(marginals.value(target.to_doctors(v)))
            result: Array = heights - 0.5 * (v / wide[:, None]) ** 2
            return result

        drawn = find_quantiles(
            height, center, scale, scores[:, part].T.reshape(-1, 1), n_heights=_HEIGHTS
        )[:, 0]
        result[:, part] = drawn.reshape(-1, n_hospitals).T
    return result


def _ends(lower: float, upper: float) -> tuple[float, float, float]:
    """Offset and ends of xi = log(sigma + offset), in which the tables are interpolated."""
    offset = 0.2 * (lower * upper) ** 0.5
    return offset, float(np.log(lower + offset)), float(np.log(upper + offset)) + 1e-9


def _tabulate(target: NestedTarget, curves: Curves, lower: float, upper: float) -> Curves:
    """Chebyshev coefficients in xi of the splines of every doctor's integral.

    Returns
    -------
    Curves whose ``coefficients`` are (order, 4, piece, doctor)
    """
    from scipy.interpolate import CubicSpline

    offset, xi_lower, xi_upper = _ends(lower, upper)
    roots = -np.cos(np.pi * np.arange(_SIGMAS) / (_SIGMAS - 1))
    sigmas = np.exp(0.5 * (xi_lower + xi_upper) + 0.5 * (xi_upper - xi_lower) * roots) - offset
    reach = curves.step * curves.coefficients.shape[1] + 9 * upper
    start = curves.lower - 4.5 * upper
    step = reach / (_TABLE_NODES - 1)
    nodes = start[:, None] + np.arange(_TABLE_NODES) * step[:, None]
    splines = [
        CubicSpline(
            np.arange(_TABLE_NODES),
            inner_integrals(
                curves, nodes, np.full(curves.lower.size, value), target.rule
            ).log_marginal,
            axis=1,
        ).c
        for value in np.clip(sigmas, lower, upper)
    ]
    inverse = np.linalg.inv(chebyshev.chebvander(roots, _SIGMAS - 1))
    return Curves(
        lower=start,
        step=step,
        coefficients=np.tensordot(inverse, np.array(splines), axes=1),
        center=curves.center,
        curvature=curves.curvature,
    )


def _mixture(sigma: Array) -> Array:
    """Chebyshev polynomials of every draw's xi, (draw, order)."""
    offset, lower, upper = _ends(float(sigma.min()), float(sigma.max()))
    scaled = (2 * np.log(sigma + offset) - lower - upper) / (upper - lower)
    return np.asarray(chebyshev.chebvander(scaled, _SIGMAS - 1), dtype=float)


def _mix(tables: Curves, mixture: Array, shift: Array) -> Curves:
    """Curves of all doctors at some draws, draw after draw, each moved by its shift."""
    n_draws = mixture.shape[0]
    mixed = np.tensordot(mixture, tables.coefficients, axes=1)  # (draw, 4, piece, doctor)
    return Curves(
        lower=(tables.lower[:, None] - shift).T.ravel(),
        step=np.tile(tables.step, n_draws),
        coefficients=np.moveaxis(mixed, 0, 2).reshape(*mixed.shape[1:3], -1),
        center=(tables.center[:, None] - shift).T.ravel(),
        curvature=np.tile(tables.curvature, n_draws),
    )


def _center(target: NestedTarget, marginals: Curves, omega: Array) -> tuple[Array, Array]:
    """Mode and Laplace standard deviation of each hospital effect, (draw * hospital,)."""
    center, precision = np.zeros(omega.size), omega**-2
    for _ in range(20):
        slope, bend = marginals.derivatives(target.to_doctors(center)[:, None])
        information = np.maximum(target.by_hospital(-bend[:, 0]), 0.0) + precision
        step = (target.by_hospital(slope[:, 0]) - center * precision) / information
        center = center + np.clip(step, -2.0, 2.0)
        if np.all(np.abs(step) * np.sqrt(information) < 0.05):
            break
    return center, information**-0.5


def sample_nested(
    model: Model, flat: Target, start: Array, *, draws: int, seed: int
) -> PosteriorSamples:
    """Joint posterior draws of a Bernoulli, binomial or Poisson model with hospitals.

    Parameters
    ----------
    flat : target of the same model without hospitals, whose mode is where the search begins
    start : (column + 1,), theta of that target to begin from
    """
    mode = find_mode(flat, start, start=np.zeros(model.n_doctors))
    anchor = anchor_effects(flat, mode)
    target = _nest(model, flat, mode)
    base = _base(flat, mode, anchor)
    rng = np.random.default_rng(seed)
    proposal, weights, diagnostics = _weighted(target, base, mode, draws, rng)
    chosen = resample(weights, proposal.scores, draws, rng)
    thetas = proposal.thetas[chosen.chosen]
    sigma, omega = np.exp(thetas[:, -2]), np.exp(thetas[:, -1])
    shifts = curve_shifts(flat.kernel, anchor, thetas[:, :-2])
    shift = shifts.of(slice(None))
    hospital = draw_hospitals(target, base.curves, shift, sigma, omega, seed=seed)
    shifts = replace(shifts, hospital=hospital, hospital_code=target.code)
    curves = tabulate_curves(
        flat.kernel,
        mode.beta,
        center=mode.local.center,
        sigmas=(float(sigma.min()), float(sigma.max())),
        shifts=shifts.ranges(),
    )
    effects = draw_conditionals(
        curves, shifts, sigma, seed=seed, compiled=flat.kernel.rows.is_large
    )
    redrawn = redraw_bent(flat.kernel, curves, shifts, thetas[:, :-2], sigma, effects, seed=seed)
    return PosteriorSamples(
        intercept=thetas[:, 0],
        coefficient=thetas[:, 1:-2],
        sd_doctor=sigma,
        doctor_effect=effects,
        hospital_effect=hospital,
        sd_hospital=omega,
        n_chains=chains_for(draws),
        stats={"lp": proposal.log_density[chosen.chosen] + chosen.log_weights},
        diagnostics={
            "newton_steps": float(mode.steps),
            **diagnostics,
            "surrogate_residual": chosen.residual,
            "doctors_drawn_by_patients": float(redrawn),
        },
    )


def _nest(model: Model, flat: Target, mode: Mode) -> NestedTarget:
    code = np.asarray(model.hospital_code)
    order = np.argsort(code, kind="stable")
    counts = np.bincount(code, minlength=model.n_hospitals)
    skewness = np.abs(mode.local.third) * (mode.local.curvature + mode.sigma**-2) ** -1.5
    return NestedTarget(
        kernel=flat.kernel,
        fixed=flat.fixed,
        sd_prior=model.priors.sd_doctor,
        sd_hospital_prior=model.priors.sd_hospital,
        order=order,
        starts=np.concatenate(([0], np.cumsum(counts)[:-1])),
        code=code,
        rule=choose_rule(float(skewness.max())),
    )


def _base(flat: Target, mode: Mode, anchor: Anchor) -> Base:
    """Tabulate the curves widely enough for every SD that the grid may visit."""
    nothing = np.zeros(flat.kernel.rows.n_doctors)
    widest = float(np.clip(4 * mode.sigma, 2.0, 8.0))
    curves = tabulate_curves(
        flat.kernel,
        mode.beta,
        center=mode.local.center,
        sigmas=(mode.sigma / 4, widest),
        shifts=(nothing, nothing),
    )
    reach = curves.step * (curves.coefficients.shape[1])
    return Base(
        beta=mode.beta,
        lower=curves.lower,
        upper=curves.lower + reach,
        covariate=anchor.covariate,
        curves=curves,
    )


def _n_exact(n_rows: int) -> int:
    return 1024 if n_rows <= 3_000 else 512 if n_rows <= 10_000 else 256


def _weighted(
    target: NestedTarget, base: Base, mode: Mode, draws: int, rng: np.random.Generator
) -> tuple[Proposal, Weights, Diagnostics]:
    """Try proposals until the exact weights of one are good enough."""
    start = np.concatenate((mode.beta, np.log(mode.sigma * np.array([0.8, 0.6]))))
    finer = replace(target, rule=target.rule.doubled())
    n_points = max(N_POINTS, 2 * draws)

    def propose(attempt: Attempt, moments: Moments | None) -> Proposal:
        return propose_nested(
            target, base, start, n_points, rng, tail_df=attempt.tail_df, moments=moments
        )

    def density(thetas: Array, doubled: bool) -> Array:
        return nested_log_posterior(finer if doubled else target, base, thetas)

    rungs = rungs_of_the_grid(_n_exact(target.kernel.rows.n_rows))
    return climb_ladder(rungs, propose, density, n_sds=2, n_draws=draws)
