"""What miscalibration does to each doctor: his O/E and rank after recalibration."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from outcomekpi.calibration.bins import Cells, Predicted
from outcomekpi.calibration.curve import Spline
from outcomekpi.draws.intervals import interval
from outcomekpi.tables.cases import Direction

__all__ = ["DoctorShift", "recalibrated_events", "shift_frame"]

Array = NDArray[np.float64]

VALUES_KEPT = 10_000_000
"""Doctors × replicates of one recalibration that are kept; beyond, fewer replicates."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DoctorShift:
    """Expected events of each doctor, as predicted and after recalibration.

    Attributes
    ----------
    doctors : labels
    cases, observed, expected : (doctor,), patients, events, and events as predicted
    recalibrated : name -> (doctor,), expected events after recalibration, "curve" by the
        calibration curve of all cases, else by the curves of the groups of that subgroup
    draws : name -> (replicate, doctor), the same under the replicates
    direction : whether "higher" or "lower" is better; None ranks the lowest O/E first
    """

    doctors: pd.Index
    cases: Array
    observed: Array
    expected: Array
    recalibrated: dict[str, Array]
    draws: dict[str, NDArray[np.float32]]
    direction: Direction | None


def recalibrated_events(
    cells: Cells, spline: Spline | None, coefficient: Array, given: Predicted, n_doctors: int
) -> Array:
    """Count the events expected of each doctor if the calibration curve were the truth.

    Parameters
    ----------
    cells : the cases, added up by predicted risk
    spline : basis of the curve; None leaves the predictions as they are
    coefficient : (resample, column); rows that are nan leave the predictions as they are
    given : the same cases, for whose they are
    n_doctors : doctors in all

    Returns
    -------
    (resample, doctor)
    """
    from scipy.sparse import coo_array

    expected = np.bincount(given.doctor, given.size * given.probability[0], n_doctors)
    if spline is None:
        return np.tile(expected, (len(coefficient), 1))
    size = coo_array(
        (given.size, (given.doctor, cells.position)), shape=(n_doctors, cells.rate.size)
    ).tocsr()
    away = expit(coefficient @ spline.columns(cells.score).T) - cells.rate
    return np.asarray(expected + (size @ np.where(np.isfinite(away), away, 0.0).T).T)


def shift_frame(shift: DoctorShift, *, level: float) -> pd.DataFrame:
    """One row per recalibration and doctor; see ``Calibration.doctor_shift``."""
    frames = []
    oe = shift.observed / shift.expected
    rank = _rank(oe, shift.direction)
    for name, recalibrated in shift.recalibrated.items():
        mean = shift.observed / recalibrated
        lower, upper = interval(shift.observed[:, None] / shift.draws[name].T, level=level)
        new_rank = _rank(mean, shift.direction)
        frames.append(
            pd.DataFrame(
                {
                    "recalibration": name,
                    "doctor": shift.doctors,
                    "cases": shift.cases,
                    "observed": shift.observed,
                    "expected": shift.expected,
                    "recalibrated": recalibrated,
                    "oe": oe,
                    "mean": mean,
                    "lower": lower,
                    "upper": upper,
                    "change": mean - oe,
                    "rank": rank,
                    "rank_recalibrated": new_rank,
                    "rank_change": new_rank - rank,
                }
            )
        )
    frame = pd.concat(frames, ignore_index=True)
    frame.attrs["level"] = level
    return frame


def _rank(oe: Array, direction: Direction | None) -> Array:
    """Rank 1 for the best O/E; equal ones share the mean of their ranks."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(-oe if direction == "higher" else oe), dtype=np.float64)
