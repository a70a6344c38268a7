"""Density of a population's mean, SD and reliability, and the coordinates that it is smooth in."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.pilots.estimators.baseline_population import BaselinePopulation
from outcomekpi.pilots.estimators.selected_normal import Side, log_selected_share, reading_moments

__all__ = ["ParameterSpace", "SelectedMoments", "log_density"]

Array = NDArray[np.float64]


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
class ParameterSpace:
    """Which of mean, log scale and logit reliability are uncertain, and where to start looking.

    The scale is the SD of single readings or that within patients, whichever is known better: a
    density that is narrow in one of them bends where it is written in the other.
    """

    free: tuple[bool, bool, bool]
    fixed: tuple[float, float, float]
    start: Array
    width: Array
    is_within: bool

    @classmethod
    def of(cls, population: BaselinePopulation, moments: SelectedMoments) -> "ParameterSpace":
        """Choose the coordinates from what is known outside and in the sample."""
        sd = float(population.sd or 1.0)
        known = population.known_reliability()
        is_within = _knows_within_better(population, moments)
        guess = known
        if guess is None:
            slope = moments.products / moments.ss_before if moments.ss_before > 0 else 0.5
            guess = float(np.clip(slope, 0.1, 0.9))
        inner = float(np.clip(guess, 0.02, 0.98))
        scale, error = sd, population.sd_se / sd
        if is_within:
            scale, error = _start_within(population, moments, inner)
        is_exact = population.reliability is not None and population.reliability_se == 0
        if population.within_sd is not None:
            is_exact = population.within_sd_se == population.sd_se == 0
        free = (population.mean_se > 0, error > 0, not is_exact)
        center = (population.mean, float(np.log(scale)), float(np.log(inner / (1 - inner))))
        width = (population.mean_se, error, 0.5)
        return cls(
            free=free,
            fixed=(population.mean, scale, guess),
            start=np.array([c for c, f in zip(center, free, strict=True) if f]),
            width=np.array([w for w, f in zip(width, free, strict=True) if f]),
            is_within=is_within,
        )

    def unpack(self, points: Array) -> tuple[Array, Array, Array]:
        """(point, coordinate) -> mean, sd, reliability, each (point,)."""
        columns = iter(points.T)
        rows = points.shape[0]
        mean = next(columns) if self.free[0] else np.full(rows, self.fixed[0])
        scale = np.exp(next(columns)) if self.free[1] else np.full(rows, self.fixed[1])
        if self.free[2]:
            reliability = 1 / (1 + np.exp(-next(columns)))
        else:
            reliability = np.full(rows, self.fixed[2])
        return mean, scale / np.sqrt(1 - reliability) if self.is_within else scale, reliability


def _knows_within_better(population: BaselinePopulation, moments: SelectedMoments) -> bool:
    """Compare the information on log within_sd with that on log sd."""
    if population.sd is None or population.sd_se == 0:
        return False
    if population.within_sd is not None and population.within_sd_se == 0:
        return True
    within = 2.0 * moments.df_within
    if population.within_sd is not None:
        within += (population.within_sd / population.within_sd_se) ** 2
    whole = (population.sd / population.sd_se) ** 2
    if not population.includes_selected and moments.readings == 1:
        whole += moments.size * moments.temper_before
    return within > whole


def _start_within(
    population: BaselinePopulation, moments: SelectedMoments, reliability: float
) -> tuple[float, float]:
    """SD within patients to start from, and how uncertain its logarithm is."""
    if population.within_sd is not None and population.within_sd_se == 0:
        return population.within_sd, 0.0
    if moments.df_within > 0:
        found = float(np.sqrt(moments.ss_within / moments.df_within))
        if found > 0:
            return found, float(1 / np.sqrt(2 * moments.df_within))
    sd = float(population.sd or 1.0)
    within = population.within_sd or sd * float(np.sqrt(1 - reliability))
    return within, max(population.within_sd_se, population.sd_se) / within


def log_density(
    population: BaselinePopulation,
    moments: SelectedMoments,
    space: ParameterSpace,
    *,
    cutoff: float,
    side: Side,
) -> Callable[[Array], Array]:
    """Log posterior density of the coordinates, up to a constant.

    Notes
    -----
    Outside knowledge: mean ~ N(mean, mean_se²), log sd ~ N(log sd, (sd_se / sd)²), logit R ~
    N(logit R, (se / (R (1 - R)))²) or log s_w ~ N(log s_w, (se / s_w)²); R is uniform where
    neither is said. Baselines: normal (mean, S), truncated at the cutoff, unless
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
            return np.where(np.isnan(value), -np.inf, value)

    return density


def _outside(
    population: BaselinePopulation,
    space: ParameterSpace,
    mean: Array,
    sd: Array,
    reliability: Array,
) -> Array:
    """Log density of what is known outside, by mean, log scale and logit reliability."""
    value = np.zeros_like(mean)
    if population.mean_se > 0:
        value -= 0.5 * ((mean - population.mean) / population.mean_se) ** 2
    if population.sd is not None and population.sd_se > 0:
        value -= 0.5 * (np.log(sd / population.sd) * population.sd / population.sd_se) ** 2
    if not space.free[2]:
        return value
    if population.reliability is not None:
        r = population.reliability
        off = (np.log(reliability / (1 - reliability)) - np.log(r / (1 - r))) * r * (1 - r)
        return np.asarray(value - 0.5 * (off / population.reliability_se) ** 2)
    if population.within_sd is None:  # a uniform reliability
        return np.asarray(value + np.log(reliability) + np.log1p(-reliability))
    value += np.log(reliability)  # of the change from log within_sd to logit reliability
    if population.within_sd_se > 0:
        w = population.within_sd
        within = np.sqrt(1 - reliability) * sd
        value -= 0.5 * (np.log(within / w) * w / population.within_sd_se) ** 2
    return value
