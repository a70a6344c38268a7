"""Posterior of a population's mean, SD and reliability, the selection in the likelihood."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.errors import EngineError
from outcomekpi.pilots.baseline_population import BaselinePopulation
from outcomekpi.pilots.selected_normal import Side, log_selected_share, reading_moments

__all__ = ["ParameterDraws", "SelectedMoments", "sample_parameters"]

Array = NDArray[np.float64]
_DEGREES = 4.0
_FEWEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedMoments:
    """Sufficient statistics of the selected patients.

    Attributes
    ----------
    size : number of patients
    mean_before, mean_after : of their readings; nan where nothing is known afterwards
    ss_before, ss_after, products : sums of squares and products about the means
    readings : baseline readings that each patient's baseline is the mean of
    ss_within, df_within : of the repeated baseline readings about each patient's mean
    temper_before, temper_slope : powers of the likelihood of the baselines and of the slope, below
        1 where patients of a cluster are alike
    """

    size: int
    mean_before: float
    ss_before: float
    mean_after: float = float("nan")
    ss_after: float = 0.0
    products: float = 0.0
    readings: int = 1
    ss_within: float = 0.0
    df_within: int = 0
    temper_before: float = 1.0
    temper_slope: float = 1.0

    def residual_squares(self, slope: Array) -> Array:
        """Sum of squares of follow-up less ``slope`` times baseline, about its mean."""
        return self.ss_after - 2 * slope * self.products + slope**2 * self.ss_before


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ParameterDraws:
    """Draws of the parameters of the unselected population.

    Attributes
    ----------
    mean, sd, reliability : (draw,), of single readings
    effective : effective number of independent draws before resampling
    """

    mean: Array
    sd: Array
    reliability: Array
    effective: float


def sample_parameters(
    population: BaselinePopulation,
    moments: SelectedMoments,
    *,
    cutoff: float,
    side: Side,
    draws: int,
    rng: np.random.Generator,
) -> ParameterDraws:
    """Draw mean, SD and reliability given what is known outside and the selected patients.

    Parameters
    ----------
    population : what is known outside. Without ``reliability`` and ``within_sd`` the reliability
        is learned from the slope of follow-up on baseline; without ``sd`` the baselines tell
        nothing about the population, and 1 stands in its place
    moments : of the selected patients
    cutoff, side : of the selection
    draws : to return
    rng : of everything random

    Raises
    ------
    EngineError
        What is known outside and the selected patients contradict each other so strongly that
        no draw fits both.

    Notes
    -----
    The density is that of :func:`_log_density`. Coordinates: mean, log sd, logit reliability,
    those known exactly left out. Importance sampling from a t distribution with 4 degrees of
    freedom at the mode, four proposals for each draw, resampled by systematic sampling.
    """
    space = _Space.of(population, moments)
    density = _log_density(population, moments, space, cutoff=cutoff, side=side)
    if space.start.size == 0:
        ones = np.ones(draws)
        mean, sd, reliability = space.unpack(np.empty((1, 0)))
        return ParameterDraws(
            mean=mean * ones, sd=sd * ones, reliability=reliability * ones, effective=float(draws)
        )
    mode, factor = _locate(density, space)
    points, log_proposal = _propose(mode, factor, 4 * draws, rng)
    log_weights = density(points) - log_proposal
    if not np.isfinite(log_weights).any():
        raise EngineError(_CONTRADICTION)
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    effective = float(1 / np.sum(weights**2))
    if effective < _FEWEST:
        raise EngineError(_CONTRADICTION)
    places = np.searchsorted(np.cumsum(weights), (rng.random() + np.arange(draws)) / draws)
    kept = points[rng.permutation(np.minimum(places, weights.size - 1))]
    mean, sd, reliability = space.unpack(kept)
    return ParameterDraws(mean=mean, sd=sd, reliability=reliability, effective=effective)


_CONTRADICTION = (
    "What is said about the population and the selected patients contradict each other: hardly a "
    "draw fits both. Check that mean, sd and reliability are in the unit of the readings, and that "
    "cutoff and side are those of the selection."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Space:
    """Which of mean, log sd and logit reliability are uncertain, and where to start looking."""

    free: tuple[bool, bool, bool]
    fixed: tuple[float, float, float]
    start: Array
    scale: Array
    within_sd: float | None

    @classmethod
    def of(cls, population: BaselinePopulation, moments: SelectedMoments) -> "_Space":
        sd = float(population.sd or 1.0)
        known = population.known_reliability()
        exact_within = population.within_sd is not None and population.within_sd_se == 0
        learned = known is None
        uncertain = learned or population.reliability_se > 0 or population.within_sd_se > 0
        free = (population.mean_se > 0, population.sd_se > 0, uncertain)
        if exact_within or (population.reliability is not None and not population.reliability_se):
            free = (free[0], free[1], False)
        guess = known
        if guess is None:
            slope = moments.products / moments.ss_before if moments.ss_before > 0 else 0.5
            guess = float(np.clip(slope if np.isfinite(slope) else 0.5, 0.1, 0.9))
        inner = float(np.clip(guess, 1e-3, 1 - 1e-3))
        center = (population.mean, np.log(sd), np.log(inner / (1 - inner)))
        scale = (population.mean_se, population.sd_se / sd, 0.5)
        return cls(
            free=free,
            fixed=(population.mean, sd, float(guess)),
            start=np.array([c for c, f in zip(center, free, strict=True) if f]),
            scale=np.array([s for s, f in zip(scale, free, strict=True) if f]),
            within_sd=population.within_sd if exact_within else None,
        )

    def unpack(self, points: Array) -> tuple[Array, Array, Array]:
        """(point, coordinate) -> mean, sd, reliability, each (point,)."""
        columns = iter(points.T)
        rows = points.shape[0]
        mean = next(columns) if self.free[0] else np.full(rows, self.fixed[0])
        sd = np.exp(next(columns)) if self.free[1] else np.full(rows, self.fixed[1])
        if self.free[2]:
            reliability = 1 / (1 + np.exp(-next(columns)))
        elif self.within_sd is not None:
            reliability = 1 - (self.within_sd / sd) ** 2
        else:
            reliability = np.full(rows, self.fixed[2])
        return mean, sd, reliability


def _log_density(
    population: BaselinePopulation,
    moments: SelectedMoments,
    space: _Space,
    *,
    cutoff: float,
    side: Side,
) -> Callable[[Array], Array]:
    """Log posterior density of the coordinates, up to a constant.

    Notes
    -----
    Outside knowledge: mean ~ N(mean, mean_se²), log sd ~ N(log sd, (sd_se / sd)²), logit R ~
    N(logit R, (se / (R (1 - R)))²) or log s_w ~ N(log s_w, (se / s_w)²) with R uniform; R is
    uniform where nothing is said. Baselines: normal (mean, S), truncated at the cutoff, unless
    the outside numbers hold them already. Repeated readings: s_w^-df exp(-SSW / (2 s_w²)).
    Follow-up given baseline: intercept and residual SD are free (flat, 1 / SD) and integrated
    out, which leaves RSS(B)^(-(n - 1) / 2) for the slope B = reliability of the baseline; only
    where nobody else says the reliability.
    """
    learned = space.free[2] and population.known_reliability() is None
    tail = moments.size > 0 and population.sd is not None and not population.includes_selected

    def density(points: Array) -> Array:
        with np.errstate(all="ignore"):
            mean, sd, reliability = space.unpack(points)
            value = _outside(population, space, mean, sd, reliability)
            spread, slope = reading_moments(sd, reliability, moments.readings)
            if tail:
                squares = moments.ss_before + moments.size * (moments.mean_before - mean) ** 2
                share = log_selected_share(mean, spread, cutoff=cutoff, side=side)
                minus = moments.size * (np.log(spread) + share) + squares / (2 * spread**2)
                value -= moments.temper_before * minus
            if moments.df_within and population.sd is not None:
                variance = (1 - reliability) * sd**2
                value -= moments.df_within * np.log(variance) / 2 + moments.ss_within / variance / 2
            if learned and np.isfinite(moments.mean_after):
                power = 0.5 * (moments.size - 1) * moments.temper_slope
                value -= power * np.log(moments.residual_squares(slope))
            outside = (reliability < 0) | (reliability > 1)
            return np.where(outside | np.isnan(value), -np.inf, value)

    return density


def _outside(
    population: BaselinePopulation, space: _Space, mean: Array, sd: Array, reliability: Array
) -> Array:
    value = np.zeros_like(mean)
    if space.free[0]:
        value -= 0.5 * ((mean - population.mean) / population.mean_se) ** 2
    if space.free[1]:
        known = float(population.sd or 1.0)
        value -= 0.5 * (np.log(sd / known) * known / population.sd_se) ** 2
    if space.free[2]:
        odds = np.log(reliability / (1 - reliability))
        if population.reliability is not None:
            r = population.reliability
            off = (odds - np.log(r / (1 - r))) * r * (1 - r)
            value -= 0.5 * (off / population.reliability_se) ** 2
        else:  # uniform reliability, on the scale of its logit
            value += np.log(reliability) + np.log1p(-reliability)
        if population.within_sd is not None:
            w = population.within_sd
            within = np.sqrt(1 - reliability) * sd
            value -= 0.5 * (np.log(within / w) * w / population.within_sd_se) ** 2
    return value


def _locate(density: Callable[[Array], Array], space: _Space) -> tuple[Array, Array]:
    """Find the mode and a factor of the covariance there."""
    from scipy.optimize import minimize

    size = space.start.size

    def height(z: Array) -> float:
        value = float(density((space.start + space.scale * z)[None, :])[0])
        return -value if np.isfinite(value) else 1e300

    simplex = np.vstack([np.zeros(size), np.eye(size)])
    options = {"xatol": 0.02, "fatol": 0.02, "initial_simplex": simplex}
    found = minimize(height, np.zeros(size), method="Nelder-Mead", options=options)
    mode = space.start + space.scale * found.x
    covariance = np.diag(space.scale**2)
    steps = space.scale.copy()
    for _ in range(3):  # the width of each step follows the curvature found with the last one
        steps = np.minimum(0.5 * np.sqrt(np.diag(covariance)), steps)
        curvature = _curvature(density, mode, steps)
        values, vectors = np.linalg.eigh(curvature * np.outer(steps, steps))
        values = np.maximum(values, 0.02)
        root = steps[:, None] * vectors / np.sqrt(values)
        covariance = root @ root.T
    return mode, root


def _curvature(density: Callable[[Array], Array], mode: Array, steps: Array) -> Array:
    """Return minus the Hessian by central differences; huge differences outside are kept finite."""
    size = mode.size
    unit = np.diag(steps)
    hessian = np.empty((size, size))
    for i in range(size):
        for j in range(i, size):
            corners = np.array([unit[i] + unit[j], unit[i] - unit[j], unit[j] - unit[i]])
            around = np.vstack([mode + corners, mode - unit[i] - unit[j]])
            value = np.maximum(density(around), -1e12)
            hessian[i, j] = hessian[j, i] = -(value[0] - value[1] - value[2] + value[3]) / (
                4 * steps[i] * steps[j]
            )
    return hessian


def _propose(
    mode: Array, factor: Array, count: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Multivariate t draws and their log density, up to a constant."""
    z = rng.standard_normal((count, mode.size))
    z *= np.sqrt(_DEGREES / rng.chisquare(_DEGREES, count))[:, None]
    log_density = -0.5 * (_DEGREES + mode.size) * np.log1p((z**2).sum(axis=1) / _DEGREES)
    return mode + z @ factor.T, log_density
