"""Whether the selected patients look as their stated population says they should."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.draws.checks import CheckResult
from outcomekpi.pilots.estimators.baseline_population import BaselinePopulation
from outcomekpi.pilots.estimators.selected_normal import (
    Side,
    normal_hazard,
    reading_moments,
    sign_of,
)
from outcomekpi.pilots.estimators.selection_data import SelectedPatients
from outcomekpi.pilots.estimators.selection_density import SelectedMoments

__all__ = ["check_slope", "check_tail"]

Array = NDArray[np.float64]
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
