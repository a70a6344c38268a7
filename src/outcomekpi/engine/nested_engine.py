"""The fast engine for doctors nested in hospitals, from start to end."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from outcomekpi.engine.curves import tabulate_curves
from outcomekpi.engine.draws_tree import PosteriorSamples, chains_for
from outcomekpi.engine.effects import draw_conditionals
from outcomekpi.engine.evaluation import Anchor, anchor_effects
from outcomekpi.engine.hospitals import draw_hospitals
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
from outcomekpi.engine.nesting import NestedTarget
from outcomekpi.engine.proposal import Proposal
from outcomekpi.engine.redraws import redraw_bent
from outcomekpi.engine.shifts import curve_shifts
from outcomekpi.engine.weights import Weights, resample
from outcomekpi.model.likelihood_model import Model

__all__ = ["sample_nested"]

Array = NDArray[np.float64]
Diagnostics = dict[str, float | str]


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
