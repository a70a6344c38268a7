"""Posterior of a population's mean, SD and reliability, the selection in the likelihood."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.errors import EngineError
from outcomekpi.pilots.estimators.baseline_population import BaselinePopulation
from outcomekpi.pilots.estimators.mode_search import locate_mode
from outcomekpi.pilots.estimators.selected_normal import Side
from outcomekpi.pilots.estimators.selection_density import (
    ParameterSpace,
    SelectedMoments,
    log_density,
)

__all__ = ["ParameterDraws", "sample_parameters"]

Array = NDArray[np.float64]
_DEGREES = 4.0
_FEWEST = 200
_FARTHEST = 6.0
_MOST_ROUNDS = 4


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
