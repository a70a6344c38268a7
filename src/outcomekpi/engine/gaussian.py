"""The fast engine for Gaussian outcomes: exact but for the posterior of the SDs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from outcomekpi.engine.draws_tree import PosteriorSamples, chains_for
from outcomekpi.engine.gaussian_grid import RatioPoints, draw_ratios
from outcomekpi.engine.gaussian_scale import (
    Conjugate,
    GaussianTarget,
    gaussian_target,
)
from outcomekpi.engine.gaussian_sums import Sums, sum_cases
from outcomekpi.engine.scores import shuffled_midpoints, stratified_normals, stratified_uniforms
from outcomekpi.engine.weights import (
    Weights,
    assess_weights,
    refusal,
    resample,
)
from outcomekpi.model.likelihood_model import Model

__all__ = ["GivenDraws", "draw_doctors", "draw_hospitals", "sample_gaussian"]

Array = NDArray[np.float64]
Diagnostics = dict[str, float | str]

_FEWEST_POINTS = 1000
_CHECKED = 32
_TOLERANCE = 0.02
_SINGLE_PRECISION_FROM = 4_000_000  # draws of doctor effects
_ATTEMPTS = ((65, 33, 1), (257, 97, 4))  # nodes of both ratios, points per draw


# Gaussian outcomes: draws of hospitals' and doctors' effects given everything else
Index = NDArray[np.intp]

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GivenDraws:
    """Draws that the effects are drawn given.

    Attributes
    ----------
    beta : (draw, column), differences from ``sums.offset``
    ratio, hospital_ratio : (draw,), sd_doctor and sd_hospital over sd_residual
    sd : (draw,), sd_residual
    """

    beta: Array
    ratio: Array
    hospital_ratio: Array
    sd: Array

    def residuals(self, means: Array) -> Array:
        """Mean outcome less its prediction without effects, (doctor, draw)."""
        return means[:, -1:] - means[:, :-1] @ self.beta.T


def draw_hospitals(
    sums: Sums, given: GivenDraws, code: Index, n_hospitals: int, *, seed: int
) -> Array:
    """Draw the effect of every hospital given fixed effects and SDs, doctors integrated out.

    Parameters
    ----------
    code : (doctor,), hospital of each doctor

    Returns
    -------
    (hospital, draw)

    Notes
    -----
    With w_j = n_j / (1 + n_j r²) and residuals e_j of the doctors' means, the effect is normal
    with mean ``k² sum w_j e_j / (1 + k² sum w_j)`` and variance ``s² k² / (1 + k² sum w_j)``.
    """
    n_draws = given.sd.size
    order = np.argsort(code, kind="stable")
    bounds = np.concatenate(([0], np.cumsum(np.bincount(code, minlength=n_hospitals))))
    step = max(1, _CHUNK // n_draws)
    result = np.empty((n_hospitals, n_draws))
    for hospital in range(n_hospitals):
        total, weighted = np.zeros(n_draws), np.zeros(n_draws)
        for first in range(bounds[hospital], bounds[hospital + 1], step):
            doctors = order[first : min(first + step, bounds[hospital + 1])]
            counts = sums.counts[doctors, None]
            weight = counts / (1.0 + counts * given.ratio**2)
            total += weight.sum(axis=0)
            weighted += np.einsum("jd,jd->d", weight, given.residuals(sums.means[doctors]))
        shrunk = given.hospital_ratio**2 / (1.0 + given.hospital_ratio**2 * total)
        score = shuffled_midpoints(n_draws, "hospital", hospital, seed)
        result[hospital] = shrunk * weighted + given.sd * np.sqrt(shrunk) * score
    return result


def draw_doctors(
    sums: Sums,
    given: GivenDraws,
    hospital_part: tuple[Array, Index] | None,
    *,
    seed: int,
    dtype: type[np.floating],
) -> NDArray[np.floating]:
    """Draw the effect of every doctor given fixed effects, SDs and hospital effects.

    Each doctor has a random stream of his own and stratified scores, as in the other families.

    Parameters
    ----------
    hospital_part : effects (hospital, draw) and hospital of each doctor (doctor,), or None

    Returns
    -------
    (doctor, draw), of ``dtype``

    Notes
    -----
    With g = 1 / (1 + n r²), e the residual of his mean and v his hospital's effect, the effect
    is normal with mean ``n r² g (e - v)`` and variance ``s² r² g``.
    """
    n_doctors, n_draws = sums.counts.size, given.sd.size
    squared, sd_doctor = given.ratio**2, given.sd * given.ratio
    result = np.empty((n_doctors, n_draws), dtype=dtype)
    step = max(1, _CHUNK // n_draws)
    for first in range(0, n_doctors, step):
        part = slice(first, min(first + step, n_doctors))
        center = given.residuals(sums.means[part])
        if hospital_part is not None:
            effects, code = hospital_part
            center -= effects[code[part]]
        growth = sums.counts[part, None] * squared
        center *= growth
        growth += 1.0
        center /= growth
        units = range(part.start, part.stop)
        scores = np.stack([shuffled_midpoints(n_draws, "doctor", unit, seed) for unit in units])
        scores *= sd_doctor
        scores /= np.sqrt(growth, out=growth)
        result[part] = np.add(center, scores, out=center)
    return result


def sample_gaussian(model: Model, *, draws: int, seed: int) -> PosteriorSamples:
    """Joint posterior draws of a Gaussian model, doctors alone or nested in hospitals.

    The ratios of the SDs come from a grid with exact importance weights, the residual SD from
    its tabulated conditional, everything else from exact normal conditionals.

    Raises
    ------
    EngineError
        The residual SD or the slopes have no posterior, or the weights are bad; says which.
    """
    sums = sum_cases(model)
    target = gaussian_target(model, sums)
    rng = np.random.default_rng(seed)
    points, weights, diagnostics = _weighted_points(target, draws, rng)
    chosen = resample(weights, points.ratios.scores, draws, rng)
    given = GivenDraws(
        beta=points.beta[chosen.chosen],
        ratio=points.ratios.ratio[chosen.chosen],
        hospital_ratio=points.ratios.hospital_ratio[chosen.chosen],
        sd=np.exp(points.log_sd[chosen.chosen]),
    )
    hospital = None
    if model.hospital_code is not None:
        effects = draw_hospitals(sums, given, model.hospital_code, model.n_hospitals, seed=seed)
        hospital = (effects, model.hospital_code)
    single = model.n_doctors * draws >= _SINGLE_PRECISION_FROM
    doctor = draw_doctors(
        sums, given, hospital, seed=seed, dtype=np.float32 if single else np.float64
    )
    beta = given.beta + sums.offset
    return PosteriorSamples(
        intercept=beta[:, 0],
        coefficient=beta[:, 1:],
        sd_doctor=given.ratio * given.sd,
        doctor_effect=doctor,
        hospital_effect=None if hospital is None else hospital[0],
        sd_hospital=None if hospital is None else given.hospital_ratio * given.sd,
        sd_residual=given.sd,
        n_chains=chains_for(draws),
        stats={"lp": points.log_posterior[chosen.chosen]},
        diagnostics={**diagnostics, "surrogate_residual": chosen.residual},
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Points:
    """Points of the proposal with everything drawn given their ratios.

    Attributes
    ----------
    log_weights : (point,), exact
    log_sd : (point,), log sd_residual
    beta : (point, column), differences from the first fit
    log_posterior : (point,), of (beta, log SDs), up to a constant
    quadrature_error : SD of what twice the nodes change in the log density of the ratios
    """

    ratios: RatioPoints
    log_weights: Array
    log_sd: Array
    beta: Array
    log_posterior: Array
    quadrature_error: float


def _weighted_points(
    target: GaussianTarget, draws: int, rng: np.random.Generator
) -> tuple[_Points, Weights, Diagnostics]:
    """Refine the grid until the exact weights are good enough."""
    tried: list[str] = []
    for n_doctor, n_hospital, per_draw in _ATTEMPTS:
        nodes = (n_doctor,) if target.sd_hospital is None else (n_hospital, n_hospital)
        n_points = per_draw * max(draws, _FEWEST_POINTS)
        points = _complete(target, draw_ratios(target, n_points, rng, n_nodes=nodes), rng)
        weights = assess_weights(points.log_weights)
        kind = "doctor SD" if target.sd_hospital is None else "doctor and hospital SD"
        name = f"grid of {' x '.join(map(str, nodes))} over the {kind}, relative to the residual SD"
        tried.append(weights.describe(name, points.quadrature_error))
        if weights.acceptable and points.quadrature_error < _TOLERANCE:
            return points, weights, weights.diagnostics(name, points.quadrature_error, tried)
    raise refusal(tried, _TOLERANCE)


def _complete(target: GaussianTarget, ratios: RatioPoints, rng: np.random.Generator) -> _Points:
    """Weigh the ratios exactly, and draw the residual SD and the fixed effects given them."""
    n_points, n_columns = ratios.ratio.size, target.sums.n_columns
    sd_scores = ndtri(stratified_uniforms(n_points, 1, rng)[:, 0])
    scores = stratified_normals(n_points, n_columns, rng)
    log_weights, log_sd, lp = (np.empty(n_points) for _ in range(3))
    beta = np.empty((n_points, n_columns))
    error = 0.0
    for part in target.sums.chunks(n_points, 1):
        ratio, hospital = ratios.ratio[part], ratios.hospital_ratio[part, None]
        conjugate = Conjugate.of(target, target.sums.form(ratio, hospital), ratio, hospital)
        table = conjugate.table()
        exact = table.log_integral()
        if part.start == 0:
            doubled = conjugate.table(n_nodes=2 * table.nodes.shape[1]).log_integral()
            error = float(np.std((doubled - exact)[:_CHECKED]))
        log_weights[part] = exact + ratios.log_slope[part] - ratios.log_density[part]
        log_sd[part] = table.quantiles(sd_scores[part])
        beta[part] = conjugate.fixed_effects(log_sd[part], scores[part])
        lp[part] = conjugate.log_density(log_sd[part, None])[:, 0]
        lp[part] += conjugate.log_fixed_density(log_sd[part], scores[part])
    lp += np.log(ratios.ratio)
    if target.sd_hospital is not None:
        lp += np.log(ratios.hospital_ratio)
    return _Points(
        ratios=ratios,
        log_weights=log_weights,
        log_sd=log_sd,
        beta=beta,
        log_posterior=lp,
        quadrature_error=error,
    )
