"""Three ways to tell an effect from regression to the mean, and one for a binary target."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from outcomekpi.draws.checks import CheckResult
from outcomekpi.pilots.estimators.baseline_population import BaselinePopulation
from outcomekpi.pilots.estimators.selected_normal import (
    Side,
    next_on_target,
    normal_hazard,
    reading_moments,
    sign_of,
)
from outcomekpi.pilots.estimators.selection_data import SelectedPatients
from outcomekpi.pilots.estimators.selection_density import SelectedMoments
from outcomekpi.pilots.estimators.selection_parameters import ParameterDraws, sample_parameters

__all__ = [
    "Correction",
    "by_model",
    "by_regression",
    "by_second_baseline",
    "check_slope",
    "check_tail",
    "on_target",
    "on_target_twice",
]

Array = NDArray[np.float64]
_MOST_PATIENTS = 400


# Whether the selected patients look as their stated population says they should
_MOST_STANDARD_ERRORS = 2.6  # beyond them 1 in 100 by chance


def check_slope(
    patients: SelectedPatients, population: BaselinePopulation, slopes: Array
) -> CheckResult:
    """Compare the slope of follow-up on baseline with the reliability that was stated."""
    before = np.asarray(patients.before)
    x, y = before - before.mean(), patients.after - patients.after.mean()
    squares = max(float(x @ x), 1e-300)
    slope = float(x @ y) / squares
    score = x * (y - slope * x) * x.size / squares
    error = float(np.sqrt(patients.scatter(score).covariance[0, 0] + slopes.var()))
    stated = float(slopes.mean())
    distance = (slope - stated) / error if error > 0 else 0.0
    passed = bool(abs(distance) <= _MOST_STANDARD_ERRORS)
    verdict = (
        f"Follow-up rises by {slope:.2f} (se {error:.2f}) for each unit of baseline; the stated "
        f"reliability says {stated:.2f}."
    )
    if not passed:
        verdict += (
            " Either the reliability is not that of these patients, or the program did more for "
            "those who began further out; in the second case the mean effect stays right."
        )
    table = pd.DataFrame({"value": [slope, error, stated, distance]})
    table.index = pd.Index(["slope", "se", "stated", "standard errors apart"], name="quantity")
    return CheckResult(
        name="Slope of follow-up on baseline against the stated reliability",
        passed=passed,
        verdict=verdict,
        table=table,
    )


def check_tail(
    patients: SelectedPatients,
    population: BaselinePopulation,
    moments: SelectedMoments,
    *,
    cutoff: float,
    side: Side,
) -> CheckResult:
    """Compare the mean of the selected baselines with the tail of the stated population."""
    sign, known = sign_of(side), population.known_reliability()

    def tail_mean(mean: float, sd: float) -> tuple[float, float]:
        spread, _ = reading_moments(sd, 1.0 if known is None else known, moments.readings)
        z = sign * (cutoff - mean) / spread
        hazard = normal_hazard(z)
        bend = 0.0 if np.isinf(z) else z * hazard
        return float(mean + sign * spread * hazard), float(spread**2 * (1 + bend - hazard**2))

    sd = float(population.sd or 1.0)
    expected, variance = tail_mean(population.mean, sd)
    by_mean = tail_mean(population.mean + population.mean_se, sd)[0] - expected
    by_sd = tail_mean(population.mean, sd + population.sd_se)[0] - expected
    sampling = variance / moments.size / moments.temper_before
    error = float(np.sqrt(sampling + by_mean**2 + by_sd**2))
    distance = (moments.mean_before - expected) / error
    passed = bool(abs(distance) <= _MOST_STANDARD_ERRORS)
    verdict = (
        f"The selected baselines average {moments.mean_before:.4g}; the tail of the stated "
        f"population averages {expected:.4g} (se {error:.2g})."
    )
    if not passed:
        verdict += (
            " The patients were not selected from this population by this cutoff alone, or its "
            "readings are not normal: the correction rests on numbers that do not fit."
        )
    table = pd.DataFrame({"value": [moments.mean_before, expected, error, distance]})
    table.index = pd.Index(
        ["mean of baselines", "expected", "se", "standard errors apart"], name="quantity"
    )
    return CheckResult(
        name="Selected baselines against the stated population",
        passed=passed,
        verdict=verdict,
        table=table,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Correction:
    """What a method found, before it is put into words.

    Attributes
    ----------
    expected, corrected : (draw,), expected change and what is left of the observed one
    expected_after : (patient,), expected follow-up with no program
    checks : of the assumptions that the data can speak to
    is_known : whether the expected change has no uncertainty
    """

    expected: Array
    corrected: Array
    expected_after: Array
    checks: tuple[CheckResult, ...] = ()
    is_known: bool = False


def by_second_baseline(
    patients: SelectedPatients, *, draws: int, rng: np.random.Generator
) -> Correction:
    """Compare the follow-up with readings before the program that did not select.

    Notes
    -----
    Expected change: mean(W - X); effect: mean(Y - W); t with n - 1 or G - 1 degrees of freedom.
    """
    before, second = np.asarray(patients.before), np.asarray(patients.second)
    return _between(patients, before, second, draws=draws, rng=rng)


def on_target_twice(
    patients: SelectedPatients, *, side: Side, target: float, draws: int, rng: np.random.Generator
) -> Correction:
    """Compare who is on target with who was on it at a second baseline, in percentage points."""
    second = sign_of(side) * (target - np.asarray(patients.second)) > 0
    off = np.zeros(second.size)  # nobody was on target at the baseline that selected
    return _between(patients, off, second.astype(np.float64), scale=100, draws=draws, rng=rng)


def _between(
    patients: SelectedPatients,
    before: Array,
    second: Array,
    *,
    scale: float = 1.0,
    draws: int,
    rng: np.random.Generator,
) -> Correction:
    came_back, rest = scale * (second - before), scale * (patients.after - second)
    scatter = patients.scatter(came_back, rest)
    expected = float(came_back.mean()) + scatter.draw(np.array([1.0, 0.0]), draws, rng)
    effect = float(rest.mean()) + scatter.draw(np.array([0.0, 1.0]), draws, rng)
    return Correction(expected=expected, corrected=effect, expected_after=scale * second)


def by_regression(
    patients: SelectedPatients,
    population: BaselinePopulation,
    *,
    draws: int,
    rng: np.random.Generator,
) -> Correction:
    """Follow-up on baseline, read off at the mean of the population (Mee and Chua).

    Notes
    -----
    Y = mean + effect + B (X - mean) + noise: effect = mean(Y) - mean + B (mean - mean(X)), B the
    least-squares slope, mean drawn from N(mean, mean_se²). Independent patients: n - 2 degrees
    of freedom. Clusters: the sandwich of (mean, slope), G - 1 degrees.
    """
    x = np.asarray(patients.before) - np.mean(np.asarray(patients.before))
    y = patients.after
    n, squares = x.size, float(x @ x)
    slope = float(x @ y / squares)
    residual = y - y.mean() - slope * x
    mean = population.mean + population.mean_se * rng.standard_normal(draws)
    if patients.clusters is None:
        degrees = n - 2
        variance = float(residual @ residual) / degrees
        covariance = np.diag([variance / n, variance / squares])
    else:
        scatter = patients.scatter(residual, x * residual * n / squares)
        covariance, degrees = scatter.covariance, scatter.degrees_of_freedom
    root = np.linalg.cholesky(covariance + 1e-300 * np.eye(2))
    noise = rng.standard_normal((draws, 2)) @ root.T
    noise *= np.sqrt(degrees / rng.chisquare(degrees, draws))[:, None]
    slopes = slope + noise[:, 1]
    distance = mean - float(np.mean(np.asarray(patients.before)))
    expected = (1 - slopes) * distance
    effect = y.mean() + noise[:, 0] - float(np.mean(np.asarray(patients.before))) - expected
    after = float(mean.mean()) + slope * (np.asarray(patients.before) - float(mean.mean()))
    return Correction(expected=expected, corrected=effect, expected_after=after)


def by_model(
    patients: SelectedPatients,
    population: BaselinePopulation,
    *,
    cutoff: float,
    side: Side,
    draws: int,
    rng: np.random.Generator,
) -> Correction:
    """Fit normal true values and readings, the selection of the baseline in the likelihood.

    Notes
    -----
    Given mean, S and B (see :func:`sample_parameters`), follow-up less B times baseline has a free
    mean and SD: effect = mean(Y) - mean - B (mean(X) - mean) + noise, noise of t with n - 1
    degrees of freedom (its variance a draw) or, in clusters, G - 1.
    """
    before, after = np.asarray(patients.before), patients.after
    moments = patients.moments()
    found = sample_parameters(population, moments, cutoff=cutoff, side=side, draws=draws, rng=rng)
    _, slope = reading_moments(found.sd, found.reliability, patients.readings)
    scatter = patients.scatter(after, before)
    noise = scatter.draw(np.column_stack([np.ones(draws), -slope]), draws, rng)
    expected = (1 - slope) * (found.mean - moments.mean_before)
    effect = moments.mean_after - moments.mean_before - expected + noise
    checks = [check_slope(patients, population, slope)] if _knows_slope(population) else []
    if population.sd is not None:
        checks.insert(0, check_tail(patients, population, moments, cutoff=cutoff, side=side))
    return Correction(
        expected=expected,
        corrected=effect,
        expected_after=float((found.mean * (1 - slope)).mean()) + float(slope.mean()) * before,
        checks=tuple(checks),
        is_known=bool(np.ptp(expected) < 1e-12 * max(1.0, float(np.abs(expected).max()))),
    )


def on_target(
    patients: SelectedPatients,
    population: BaselinePopulation,
    *,
    cutoff: float,
    side: Side,
    target: float,
    draws: int,
    rng: np.random.Generator,
) -> Correction:
    """Share on target afterwards, less the share expected on target with no program.

    Notes
    -----
    Baselines known: mean over patients of Phi((target - mean - B (X - mean)) / tau), tau² = sd² -
    B² S² (its complement for low readings off target). Only their side known:
    :func:`next_on_target`. The observed share: Beta(1/2 + k, 1/2 + n - k), or in clusters its
    mean with t noise of G - 1 degrees. In percentage points.
    """
    moments = SelectedMoments(size=0, mean_before=np.nan, ss_before=0.0, readings=patients.readings)
    if patients.before is not None:
        whole = patients.moments()
        moments = SelectedMoments(
            size=whole.size,
            mean_before=whole.mean_before,
            ss_before=whole.ss_before,
            readings=whole.readings,
            ss_within=whole.ss_within,
            df_within=whole.df_within,
            temper_before=whole.temper_before,
        )
    found = sample_parameters(population, moments, cutoff=cutoff, side=side, draws=draws, rng=rng)
    exact = bool(np.ptp(found.mean) == np.ptp(found.sd) == np.ptp(found.reliability) == 0)
    used = _first(found) if exact else found
    if patients.before is None:
        share = next_on_target(
            used.mean, used.sd, used.reliability, cutoff=cutoff, side=side,
            readings=patients.readings, target=target,
        )  # fmt: skip
        each = np.full(patients.after.size, float(share.mean()))
    else:
        share, each = _patient_shares(patients, used, side=side, target=target)
    expected = np.broadcast_to(share, (draws,)).astype(np.float64)
    observed = _observed_share(patients, draws, rng)
    checks = []
    if patients.before is not None:
        checks = [check_tail(patients, population, moments, cutoff=cutoff, side=side)]
    return Correction(
        expected=100 * expected,
        corrected=100 * (observed - expected),
        expected_after=100 * each,
        checks=tuple(checks),
        is_known=exact,
    )


def _first(found: ParameterDraws) -> ParameterDraws:
    return ParameterDraws(
        mean=found.mean[:1],
        sd=found.sd[:1],
        reliability=found.reliability[:1],
        effective=found.effective,
    )


def _patient_shares(
    patients: SelectedPatients, found: ParameterDraws, *, side: Side, target: float
) -> tuple[Array, Array]:
    """(draw,) mean probability of being on target, (patient,) that of each patient."""
    before = np.asarray(patients.before)
    spread, slope = reading_moments(found.sd, found.reliability, patients.readings)
    rest = np.sqrt(np.maximum(found.sd**2 - (slope * spread) ** 2, 1e-300))

    def chance(values: Array) -> Array:
        center = found.mean[:, None] + slope[:, None] * (values - found.mean[:, None])
        return np.asarray(ndtr(sign_of(side) * (target - center) / rest[:, None]))

    order = np.argsort(before)
    groups = np.array_split(before[order], min(before.size, _MOST_PATIENTS))
    centers = np.array([group.mean() for group in groups])
    sizes = np.array([group.size for group in groups])
    grouped = chance(centers)
    each = np.interp(before, centers, grouped.mean(axis=0))
    return np.asarray(grouped @ sizes / before.size), each


def _observed_share(patients: SelectedPatients, draws: int, rng: np.random.Generator) -> Array:
    hits, n = float(patients.after.sum()), patients.after.size
    if patients.clusters is None:
        return np.asarray(rng.beta(hits + 0.5, n - hits + 0.5, draws))
    return hits / n + patients.scatter(patients.after).draw(np.ones(1), draws, rng)


def _knows_slope(population: BaselinePopulation) -> bool:
    return population.known_reliability() is not None
