"""The fast engine from start to end: mode, proposal, weights, draws."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.errors import EngineError
from outcomekpi.engine.curves import tabulate_curves
from outcomekpi.engine.draws_tree import PosteriorSamples, chains_for
from outcomekpi.engine.effects import draw_conditionals
from outcomekpi.engine.evaluation import Anchor, anchor_effects, log_posterior
from outcomekpi.engine.gaussian import sample_gaussian
from outcomekpi.engine.kernels import Kernel, LogisticKernel, PoissonKernel
from outcomekpi.engine.ladder import (
    N_POINTS,
    Attempt,
    Moments,
    climb_ladder,
    rungs_of_the_grid,
)
from outcomekpi.engine.mode import Mode, Target, find_mode
from outcomekpi.engine.nested_engine import sample_nested
from outcomekpi.engine.priors import fixed_effect_prior, largest_log_sigma
from outcomekpi.engine.proposal import Proposal, propose_from_grid, propose_normal
from outcomekpi.engine.redraws import redraw_bent
from outcomekpi.engine.rows import Rows, sort_rows
from outcomekpi.engine.shifts import curve_shifts
from outcomekpi.engine.weights import Weights, resample
from outcomekpi.model.likelihood_model import Model
from outcomekpi.model.offset_levels import overall_level

__all__ = ["sample_quadrature", "some_doctors"]

Array = NDArray[np.float64]
Diagnostics = dict[str, float | str]

_FEWEST_DOCTORS_FOR_NORMAL = 50
_LARGEST_SD_ERROR_FOR_NORMAL = 0.12  # posterior SD of log sigma
_START_SIGMA = 0.3


# Where the search for the mode begins: on large data, at the mode of a part of the doctors
_ALL_BELOW = 300_000
_ROWS, _SHARE = 60_000, 15


def some_doctors(model: Model) -> Model | None:
    """Return the model of randomly chosen doctors with 60,000 rows together, or a 15th of all.

    Their mode is within a few posterior SDs of the mode of all, so that the search on all rows
    needs one or two steps instead of four or five. None below 300,000 rows. The choice
    is the same every time, and moves nothing but the number of steps.
    """
    n_rows = model.outcome.size
    if n_rows <= _ALL_BELOW:
        return None
    wanted = max(_ROWS, n_rows // _SHARE)
    n_chosen = max(2, round(model.n_doctors * wanted / n_rows))
    chosen = np.random.default_rng(0).choice(model.n_doctors, n_chosen, replace=False)
    position = np.full(model.n_doctors, -1)
    position[np.sort(chosen)] = np.arange(n_chosen)
    rows = np.flatnonzero(position[model.doctor_code] >= 0)

    def part(values: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        return None if values is None else values[rows]

    return replace(
        model,
        outcome=model.outcome[rows],
        trials=part(model.trials),
        exposure=part(model.exposure),
        offset=part(model.offset),
        matrix=model.matrix[rows],
        doctor_code=position[model.doctor_code[rows]],
        n_doctors=n_chosen,
        hospital_code=None,
        n_hospitals=0,
    )


def sample_quadrature(model: Model, *, draws: int, seed: int) -> PosteriorSamples:
    """Joint posterior draws of a Bernoulli, binomial, Poisson or Gaussian model.

    Raises
    ------
    EngineError
        No proposal came close enough to the posterior; says what was tried.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):  # many small products: threads only cost time
        if model.family == "gaussian":
            return sample_gaussian(model, draws=draws, seed=seed)
        target = build_target(model)
        start = _start(target, model)
        part = some_doctors(model)
        if part is not None and part.outcome.any():
            start = find_mode(build_target(part), start, start=np.zeros(part.n_doctors)).theta
        if model.hospital_code is not None:
            return sample_nested(model, target, start, draws=draws, seed=seed)
        return _sample_doctors(model, target, start, draws=draws, seed=seed)


def _sample_doctors(
    model: Model, target: Target, start: Array, *, draws: int, seed: int
) -> PosteriorSamples:
    """Sample a model without hospitals whose effects are integrated out by quadrature."""
    mode = find_mode(target, start, start=np.zeros(model.n_doctors))
    anchor = anchor_effects(target, mode)
    rng = np.random.default_rng(seed)
    proposal, weights, diagnostics = _weighted_proposal(target, anchor, mode, draws, rng)
    chosen = resample(weights, proposal.scores, draws, rng)
    thetas = proposal.thetas[chosen.chosen]
    sigma = np.exp(thetas[:, -1])
    shifts = curve_shifts(target.kernel, anchor, thetas[:, :-1])
    curves = tabulate_curves(
        target.kernel,
        mode.beta,
        center=mode.local.center,
        sigmas=(float(sigma.min()), float(sigma.max())),
        shifts=shifts.ranges(),
    )
    effects = draw_conditionals(
        curves, shifts, sigma, seed=seed, compiled=target.kernel.rows.is_large
    )
    redrawn = redraw_bent(target.kernel, curves, shifts, thetas[:, :-1], sigma, effects, seed=seed)
    return PosteriorSamples(
        intercept=thetas[:, 0],
        coefficient=thetas[:, 1:-1],
        sd_doctor=sigma,
        doctor_effect=effects,
        n_chains=chains_for(draws),
        stats={"lp": proposal.log_density[chosen.chosen] + chosen.log_weights},
        diagnostics={
            **diagnostics,
            "surrogate_residual": chosen.residual,
            "doctors_drawn_by_patients": float(redrawn),
        },
    )


def build_target(model: Model) -> Target:
    """Bring the sorted rows, the family's kernel and the priors together."""
    rows = sort_rows(model)
    return Target(
        kernel=_kernel(model, rows),
        fixed=fixed_effect_prior(model),
        sd_prior=model.priors.sd_doctor,
    )


def _kernel(model: Model, rows: Rows) -> Kernel:
    if model.family == "poisson":
        return PoissonKernel(rows)
    if model.family in ("bernoulli", "binomial"):
        if rows.is_large:
            from outcomekpi.engine.compiled import CompiledLogisticKernel

            return CompiledLogisticKernel(rows)
        return LogisticKernel(rows)
    raise EngineError(
        f"The fast engine has no kernel for family {model.family!r}. Use engine='nuts'."
    )


def _start(target: Target, model: Model) -> Array:
    """Overall rate, no covariate effects, a moderate doctor SD."""
    rows = target.kernel.rows
    size = rows.n_rows if rows.weight is None else rows.weight.sum()
    rate = rows.y_doctor.sum() / size
    theta = np.zeros(rows.n_columns + 1)
    theta[0] = np.log(rate) if model.family == "poisson" else np.log(rate) - np.log1p(-rate)
    if rows.offset is not None and model.offset is not None:
        theta[0] = overall_level(model.family, model.outcome, model.trials, model.offset)
    theta[-1] = np.log(min(_START_SIGMA, getattr(model.priors.sd_doctor, "upper", 1.0) / 2))
    return theta


def _n_exact(n_rows: int) -> int:
    """Points with exact weights: more where a weight is cheap and the posterior less normal."""
    if n_rows <= 2_000:
        return 2048
    if n_rows <= 50_000:
        return 256
    return 128 if n_rows <= 300_000 else 24


def _attempts(target: Target, mode: Mode) -> list[Attempt]:
    """Proposals in the order in which they are tried."""
    rows = target.kernel.rows
    n = _n_exact(rows.n_rows)
    rest = rungs_of_the_grid(n)
    if rows.n_doctors < _FEWEST_DOCTORS_FOR_NORMAL or not _is_positive(mode.information):
        return rest
    error = np.linalg.inv(mode.information)[-1, -1] ** 0.5
    inside = mode.theta[-1] + 4 * error < largest_log_sigma(target.sd_prior)
    if error <= _LARGEST_SD_ERROR_FOR_NORMAL and inside:
        return [Attempt("normal", n), *rest]
    return rest


def _is_positive(matrix: Array) -> bool:
    return bool(np.linalg.eigvalsh(matrix)[0] > 0)


def _weighted_proposal(
    target: Target, anchor: Anchor, mode: Mode, draws: int, rng: np.random.Generator
) -> tuple[Proposal, Weights, Diagnostics]:
    """Try proposals until the exact weights of one are good enough."""
    n_points = max(N_POINTS, 2 * draws)

    def propose(attempt: Attempt, moments: Moments | None) -> Proposal:
        if attempt.kind == "normal":
            return propose_normal(mode, n_points, rng)
        return propose_from_grid(
            target, anchor, mode, n_points, rng, tail_df=attempt.tail_df, moments=moments
        )

    def density(thetas: Array, doubled: bool) -> Array:
        return log_posterior(target, anchor, thetas, doubled=doubled)

    proposal, weights, diagnostics = climb_ladder(
        _attempts(target, mode), propose, density, n_sds=1, n_draws=draws
    )
    search = {"newton_steps": float(mode.steps), "newton_decrement": mode.decrement}
    return proposal, weights, {**search, **diagnostics}
