"""A simulated roll-out: hospitals start a program in waves, while the world moves on without it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Count, NotNegative, Seed

__all__ = ["Joining", "RolloutTruth", "simulate_rollout"]

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Joining = Literal["lot", "better", "improving"]

SEED = 20261
RATE = 0.45
"""Chance of control in the first month, at the mean of hospitals, doctors and severity."""
SEVERITY = -0.5
"""Log odds of control for a unit of severity."""
SEASON = 0.1
"""Half the distance of the best month from the worst, log odds."""
ARRIVAL, SPREADING = 2, 0.8
"""Months from the first wave until half of the doctors follow the new guideline; months from then
until 73 % do."""
SD_HOSPITAL, SD_DOCTOR, SD_MONTH = 0.3, 0.2, 0.1
"""SD of hospitals, of the doctors of one, and of a hospital in a month, log odds."""
LUCK = 0.5
"""SD of what else moves a hospital to join, in SDs of what it is chosen by."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RolloutTruth:
    """What a simulated roll-out was drawn from.

    Attributes
    ----------
    cells : DataFrame, one row per hospital and month: ``hospital``, ``month``, ``start``,
        ``exposure`` (months since the start, 0 in the first one; negative before; missing for
        hospitals that never start), ``without`` and ``with_program`` (mean chance of control of
        the month's patients without the program, and as it was, percent), ``effect`` (percentage
        points, 0 without the program)
    points : mean of ``effect`` over the hospitals and months with the program
    """

    cells: pd.DataFrame
    points: float


def simulate_rollout(
    *,
    n_hospitals: Count = 24,
    n_doctors: Count = 3,
    n_patients: Count = 10,
    n_months: Count = 48,
    waves: tuple[int, ...] = (25, 28, 31, 34),
    joining: Joining = "better",
    effect: float = 0.5,
    ramp_up: Count = 3,
    trend: float = 0.1,
    guideline: float = 0.4,
    sd_trend: NotNegative = 0.1,
    seed: Seed = SEED,
) -> tuple[pd.DataFrame, RolloutTruth]:
    """Patients of hospitals that start a program one wave after another, with its true effect.

    Parameters
    ----------
    n_hospitals : half of them start, spread over the waves evenly; the others never do
    n_doctors : of each hospital
    n_patients : of each doctor in each month, other ones each time
    n_months : of the whole series
    waves : first months with the program
    joining : who starts, and who starts first: "lot" by chance; "better" the hospitals with the
        best results; "improving" those that improve most by themselves
    effect : of the program once it has taken hold, log odds
    ramp_up : months until then; the first month has 1/ramp_up of the effect
    trend : what a year adds everywhere, with the program or without, log odds
    guideline : what a national guideline adds everywhere, log odds; half of the doctors follow it
        in the third month of the first wave, nearly all two months later
    sd_trend : SD of the hospitals' own straight trends, log odds a year
    seed : same seed, same table

    Returns
    -------
    frame : one row per patient: ``hospital, doctor, month`` (from 1), ``start`` (first month with
        the program, 0 for never), ``severity`` (mean 0, SD 1), ``controlled`` (0 or 1)
    truth : the effect in each hospital and month

    Raises
    ------
    SpecError
        No month before the first wave, waves out of order or beyond the months, or too few
        hospitals for the waves.

    Notes
    -----
    logit P(controlled) = logit(.45) - .5 severity + season + (trend + hospital's own) x years +
    guideline S(month) + hospital + hospital in the month + doctor + effect x min(1, (months with
    the program) / ramp_up), S(m) = 1 / (1 + exp(-(m - waves[0] - 2) / .8)).

    Examples
    --------
    >>> import outcomekpi as ok
    >>> frame, truth = ok.datasets.simulate_rollout(n_patients=2)
    >>> len(frame), round(truth.points, 1)
    (6912, 8.6)
    """
    check_arguments(simulate_rollout, locals())
    _check_waves(n_hospitals, n_months, waves)
    rng = np.random.default_rng(seed)
    level = rng.normal(0.0, SD_HOSPITAL, n_hospitals)
    slope = rng.normal(0.0, sd_trend, n_hospitals)
    start = _starts(rng, level=level, slope=slope, waves=waves, joining=joining)
    month = np.arange(1, n_months + 1)
    moved = (
        _calendar(month, trend, guideline, waves[0])
        + level[:, None]
        + np.outer(slope, (month - 1) / 12)
    )
    moved += rng.normal(0.0, SD_MONTH, moved.shape)
    since = np.where(start[:, None] > 0, month - start[:, None], -1)
    gain = effect * np.clip((since + 1) / ramp_up, 0.0, 1.0)

    doctor = rng.normal(0.0, SD_DOCTOR, (n_hospitals, n_doctors))
    severity = rng.normal(size=(n_hospitals, n_months, n_doctors, n_patients)).round(2)
    eta = logit(RATE) + moved[:, :, None, None] + doctor[:, None, :, None] + SEVERITY * severity
    chance, without = expit(eta + gain[:, :, None, None]), expit(eta)
    controlled = (rng.random(eta.shape) < chance).astype(np.int64)
    frame = _patients(severity, controlled, start)
    cells = _cells(100 * without.mean(axis=(2, 3)), 100 * chance.mean(axis=(2, 3)), start)
    held = cells["exposure"].ge(0)
    return frame, RolloutTruth(cells=cells, points=float(cells.loc[held, "effect"].mean()))


def _check_waves(n_hospitals: int, n_months: int, waves: tuple[int, ...]) -> None:
    if not waves or list(waves) != sorted(set(waves)) or waves[0] < 2 or waves[-1] > n_months:
        raise SpecError(
            "waves must be rising months, from 2 (one month without the program) to n_months = "
            f"{n_months}; got {waves!r}."
        )
    if n_hospitals // 2 < len(waves):
        raise SpecError(
            f"Half of the hospitals start, and each of {len(waves)} waves needs one: n_hospitals "
            f"must be {2 * len(waves)} or more; got {n_hospitals}."
        )


def _starts(
    rng: np.random.Generator,
    *,
    level: Floats,
    slope: Floats,
    waves: tuple[int, ...],
    joining: Joining,
) -> Whole:
    """First month of each hospital, 0 for never: the keenest half, the keenest first."""
    luck = rng.normal(size=level.size)
    wish = {
        "lot": luck,
        "better": level / max(level.std(), 1e-12) + LUCK * luck,
        "improving": slope / max(slope.std(), 1e-12) + LUCK * luck,
    }[joining]
    joins = np.argsort(-wish)[: level.size // 2]
    start = np.zeros(level.size, dtype=np.int64)
    start[joins] = np.array(waves)[np.arange(joins.size) * len(waves) // joins.size]
    return start


def _calendar(month: Whole, trend: float, guideline: float, first: int) -> Floats:
    """Tell what a month is worth everywhere: trend, guideline and season."""
    followed = expit((month - first - ARRIVAL) / SPREADING)
    season = SEASON * np.cos(2 * np.pi * month / 12)
    return np.asarray(trend * (month - 1) / 12 + guideline * followed + season)


def _patients(severity: Floats, controlled: Whole, start: Whole) -> pd.DataFrame:
    hospital, month, doctor, _ = (axis.ravel() for axis in np.indices(severity.shape))
    n_doctors = severity.shape[2]
    names, number = _labels("H", start.size), hospital * n_doctors + doctor
    return pd.DataFrame(
        {
            "hospital": names[hospital],
            "doctor": _labels("D", start.size * n_doctors)[number],
            "month": month + 1,
            "start": start[hospital],
            "severity": severity.ravel(),
            "controlled": controlled.ravel(),
        }
    )


def _cells(without: Floats, with_program: Floats, start: Whole) -> pd.DataFrame:
    hospital, month = (axis.ravel() for axis in np.indices(without.shape))
    first = start[hospital]
    exposure = pd.Series(month + 1 - first, dtype="Int64").mask(first == 0)
    return pd.DataFrame(
        {
            "hospital": _labels("H", start.size)[hospital],
            "month": month + 1,
            "start": first,
            "exposure": exposure,
            "without": without.ravel(),
            "with_program": with_program.ravel(),
            "effect": (with_program - without).ravel(),
        }
    )


def _labels(letter: str, n: int) -> NDArray[np.str_]:
    width = len(str(n))
    return np.array([f"{letter}{k:0{width}d}" for k in range(1, n + 1)])
