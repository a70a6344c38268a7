"""Posterior of a population's mean, SD and reliability, the selection in the likelihood."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.errors import EngineError
from outcomekpi.pilots.estimators.baseline_population import BaselinePopulation
from outcomekpi.pilots.estimators.selected_normal import Side
from outcomekpi.pilots.estimators.selection_density import (
    ParameterSpace,
    SelectedMoments,
    log_density,
)

__all__ = ["ParameterDraws", "locate_mode", "sample_parameters"]

Array = NDArray[np.float64]
_DEGREES = 4.0
_FEWEST = 200
_FARTHEST = 6.0
_MOST_ROUNDS = 4


# The mode of a smooth density of a few coordinates, and its width there
_MOST_STEPS = 40
_FRACTIONS = np.array([2.0, 1.0, 0.5, 0.2, 0.05, 1e-2, 1e-3, 1e-4, 0.0])


def locate_mode(
    density: Callable[[Array], Array], start: Array, width: Array
) -> tuple[Array, Array]:
    """Find the mode by damped Newton steps, and a factor of the covariance there.

    Parameters
    ----------
    density : (point, coordinate) -> (point,), log density
    start : (coordinate,), inside the support
    width : (coordinate,), SD that each coordinate could have; no difference is wider

    Returns
    -------
    mode : (coordinate,)
    factor : (coordinate, coordinate), times its transpose the inverse of minus the Hessian

    Notes
    -----
    All points of a step are evaluated together; the width of the differences follows the
    curvature that the last step found.
    """
    mode, steps = start, 0.5 * width
    for _ in range(_MOST_STEPS):
        gradient, curvature = _differences(density, mode, steps)
        values, vectors = np.linalg.eigh(curvature * np.outer(steps, steps))
        # absolute values lead away from a saddle
        factor = steps[:, None] * vectors / np.sqrt(np.maximum(np.abs(values), 0.02))
        whitened = factor.T @ gradient
        tried = mode + _FRACTIONS[:, None] * (factor @ whitened)
        mode = tried[int(np.nan_to_num(density(tried), nan=-np.inf).argmax())]
        spread = np.sqrt((factor**2).sum(axis=1))
        settled = bool((steps <= spread).all()) and float(whitened @ whitened) < 0.02
        steps = np.minimum(0.5 * spread, width)
        if settled:
            break
    return mode, factor


def _differences(
    density: Callable[[Array], Array], mode: Array, steps: Array
) -> tuple[Array, Array]:
    """Gradient and minus the Hessian of the log density by central differences."""
    size = mode.size
    unit = np.diag(steps)
    pairs = [(i, j) for i in range(size) for j in range(i + 1, size)]
    mixed = [
        a * unit[i] + b * unit[j] for i, j in pairs for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))
    ]
    around = np.vstack([np.zeros((1, size)), unit, -unit, *mixed])
    value = np.maximum(density(mode + around), -1e12)  # finite outside the support as well
    ahead, behind = value[1 : size + 1], value[size + 1 : 2 * size + 1]
    gradient = (ahead - behind) / (2 * steps)
    curvature = np.diag(-(ahead - 2 * value[0] + behind) / steps**2)
    corners = value[2 * size + 1 :].reshape(-1, 4)
    for (i, j), corner in zip(pairs, corners, strict=True):
        bend = -(corner[0] - corner[1] - corner[2] + corner[3]) / (4 * steps[i] * steps[j])
        curvature[i, j] = curvature[j, i] = bend
    return gradient, curvature


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
        The selected patients put mean, sd or reliability more than 6 standard errors away from
        what is said of the population, or no draw fits both.

    Notes
    -----
    The density is that of :func:`log_density`. Coordinates: mean, log of sd or within_sd, logit
    reliability; those known exactly are left out. Importance sampling from a t distribution with 4
    degrees of freedom at the mode, four proposals for each draw, up to three times again from
    their weighted mean and covariance where less than a fifth of them counts; systematic
    resampling.
    """
    space = ParameterSpace.of(population, moments)
    density = log_density(population, moments, space, cutoff=cutoff, side=side)
    if space.start.size == 0:
        ones = np.ones(draws)
        mean, sd, reliability = space.unpack(np.empty((1, 0)))
        return ParameterDraws(
            mean=mean * ones, sd=sd * ones, reliability=reliability * ones, effective=float(draws)
        )
    mode, factor = locate_mode(density, space.start, space.width)
    effective = 0.0
    for _ in range(_MOST_ROUNDS):
        points, log_proposal = _propose(mode, factor, 4 * draws, rng)
        log_weights = density(points) - log_proposal
        if not np.isfinite(log_weights).any():
            raise EngineError(_CONTRADICTION)
        weights = np.exp(log_weights - log_weights.max())
        weights /= weights.sum()
        effective = float(1 / np.sum(weights**2))
        if effective > 0.2 * weights.size:
            break
        mode, factor = _refit(points, weights, factor)
    if effective < min(_FEWEST, 0.2 * draws):
        raise EngineError(_CONTRADICTION)
    places = np.searchsorted(np.cumsum(weights), (rng.random() + np.arange(draws)) / draws)
    kept = points[rng.permutation(np.minimum(places, weights.size - 1))]
    mean, sd, reliability = space.unpack(kept)
    drawn = ParameterDraws(mean=mean, sd=sd, reliability=reliability, effective=effective)
    _check_agreement(population, drawn)
    return drawn


_CONTRADICTION = (
    "What is said about the population and the selected patients contradict each other. Check that "
    "mean, sd and reliability are in the unit of the readings, and that cutoff and side are those "
    "of the selection. Where readings are not normal, they have no normal tail: "
    "transform them, or give the mean of the population alone."
)


def _check_agreement(population: BaselinePopulation, found: ParameterDraws) -> None:
    for name in ("mean", "sd", "reliability"):
        said, error = getattr(population, name), getattr(population, f"{name}_se")
        center = float(getattr(found, name).mean())
        if error > 0 and abs(center - said) > _FARTHEST * error:
            raise EngineError(
                f"The selected patients say {name} {center:.4g}, the population was said to have "
                f"{said:.4g} (se {error:.2g}). {_CONTRADICTION}"
            )


def _refit(points: Array, weights: Array, factor: Array) -> tuple[Array, Array]:
    """Weighted mean and a factor of the covariance of the last proposals, tempered."""
    tempered = np.sqrt(weights)
    tempered /= tempered.sum()
    center = tempered @ points
    away = (points - center) * np.sqrt(tempered)[:, None]
    covariance = away.T @ away + 1e-4 * factor @ factor.T
    return center, np.asarray(np.linalg.cholesky(covariance))


def _propose(
    mode: Array, factor: Array, count: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Multivariate t draws and their log density, up to a constant."""
    z = rng.standard_normal((count, mode.size))
    z *= np.sqrt(_DEGREES / rng.chisquare(_DEGREES, count))[:, None]
    log_density = -0.5 * (_DEGREES + mode.size) * np.log1p((z**2).sum(axis=1) / _DEGREES)
    return mode + z @ factor.T, log_density
