"""Every number of a calibration, for all resamples of the doctors together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from outcomekpi.calibration.bins import ALMOST, Cells
from outcomekpi.calibration.curve import (
    FLAT,
    Spline,
    choose_knots,
    make_spline,
    regress_batch,
)
from outcomekpi.calibration.intervals import Scale

__all__ = ["DISTANCES", "IDEAL", "MEASURES", "SCALES", "BatchNumbers", "measure_resamples"]

Array = NDArray[np.float64]

SCALES: dict[str, Scale | None] = {
    "oe": "log",
    "in_the_large": "identity",
    "intercept": "identity",
    "slope": "identity",
    "ici": None,
    "e50": None,
    "e90": None,
    "emax": None,
    "brier": "log",
    "scaled_brier": "identity",
    "c_statistic": "logit",
}
"""Measure -> the scale that its interval is made on; None for distances."""
MEASURES = tuple(SCALES)
DISTANCES = tuple(name for name, scale in SCALES.items() if scale is None)
IDEAL = {"oe": 1.0, "in_the_large": 0.0, "intercept": 0.0, "slope": 1.0} | dict.fromkeys(
    DISTANCES, 0.0
)
FEWEST_EVENTS = 10
"""With fewer events (or non-events) no regression is tried."""
VALUES_AT_ONCE = 1 << 21


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BatchNumbers:
    """Numbers of all resamples; row 0 has all doctors with weight 1.

    Attributes
    ----------
    measures : (resample, measure), in the order of ``MEASURES``
    curve : (resample, grid), logit of the observed probability at each prediction of the grid
    coefficient : (resample, column) of the calibration curve
    chance : (resample, 4), ICI, E50, E90, Emax between the curve of the resample and that of row 0
    spline : basis of the curve, None where there are too few events
    """

    measures: Array
    curve: Array
    coefficient: Array
    chance: Array
    spline: Spline | None


def measure_resamples(cells: Cells, weights: Array, grid: Array) -> BatchNumbers:
    """Measure calibration and discrimination under many weightings of the doctors.

    Parameters
    ----------
    cells : cases added up by doctor and predicted risk
    weights : (resample, cluster); row 0 must be 1 for everybody
    grid : (grid,), predictions on the logit scale at which the curve is wanted
    """
    whole_events, whole_size = (np.asarray(x.sum(axis=0)) for x in (cells.events, cells.size))
    fewer = float(min(whole_events.sum(), (whole_size - whole_events).sum()))
    spline = None
    if fewer >= FEWEST_EVENTS:
        knots = choose_knots(cells.score, whole_size, events=fewer)
        spline = make_spline(cells.score, knots)
    block = max(1, VALUES_AT_ONCE // max(cells.rate.size, 1))
    parts: list[Array] = []
    coefficients: list[Array] = []
    chances: list[Array] = []
    reference = None
    for start in range(0, len(weights), block):
        rows = weights[start : start + block]
        events, size = rows @ cells.events, rows @ cells.size
        measured, coefficient = _without_curve(cells, rows, events, size), np.empty((len(rows), 0))
        if spline is not None:
            measured[:, 1:4] = _lines(cells.score, events, size)
            basis = spline.columns(cells.score)
            coefficient = regress_batch(basis, events, size)
            curve = expit(coefficient @ basis.T)
            reference = curve[:1] if reference is None else reference
            measured[:, 4:8] = _summarize_distance(np.abs(curve - cells.rate), size)
            chances.append(_summarize_distance(np.abs(curve - reference), size))
        parts.append(measured)
        coefficients.append(coefficient)
    measures, coefficient = np.concatenate(parts), np.concatenate(coefficients)
    if spline is None:
        curve, chance = (
            np.full((len(weights), grid.size), np.nan),
            np.full((len(weights), 4), np.nan),
        )
    else:
        curve = coefficient @ spline.columns(grid).T
        chance = np.concatenate(chances)
    return BatchNumbers(
        measures=measures, curve=curve, coefficient=coefficient, chance=chance, spline=spline
    )


def _without_curve(cells: Cells, weights: Array, events: Array, size: Array) -> Array:
    """Measures that need no regression; nan in the places of the others."""
    seen, expected, patients, squared = (weights @ cells.totals).T
    prevalence = seen / patients
    brier = squared / patients
    found = np.full((len(weights), len(MEASURES)), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        found[:, 0] = seen / expected
        found[:, 8] = brier
        found[:, 9] = 1.0 - brier / (prevalence * (1.0 - prevalence))
        others = size - events
        below = np.cumsum(others, axis=1) - 0.5 * others
        found[:, 10] = (events * below).sum(axis=1) / (events.sum(axis=1) * others.sum(axis=1))
    return found


def _lines(score: Array, events: Array, size: Array) -> Array:
    """Calibration in the large, and intercept and slope of the calibration line."""
    one = np.ones((score.size, 1))
    large = regress_batch(one, events, size, offset=score)
    if np.ptp(score) < FLAT:
        return np.column_stack([large, np.full((len(events), 2), np.nan)])
    center, scale = score.mean(), score.std()
    line = regress_batch(np.column_stack([one, (score - center) / scale]), events, size)
    slope = line[:, 1] / scale
    return np.column_stack([large, line[:, 0] - slope * center, slope])


def _summarize_distance(distance: Array, size: Array) -> Array:
    """Mean, median, 90th percentile and largest distance over the patients of each resample."""
    order = np.argsort(distance, axis=1)
    through = np.cumsum(np.take_along_axis(size, order, axis=1), axis=1)
    total = through[:, -1:]
    rows = np.arange(len(distance))
    found = [(distance * size).sum(axis=1) / total[:, 0]]
    for share in (0.5, 0.9):
        at = (through < share * total).sum(axis=1)
        found.append(distance[rows, order[rows, np.minimum(at, distance.shape[1] - 1)]])
    found.append(np.where(size > 0, distance, 0.0).max(axis=1))
    return np.column_stack(found)


def clipped_logit(probability: Array) -> Array:
    """Logit of probabilities, kept finite at 0 and 1."""
    return np.asarray(logit(np.clip(probability, ALMOST, 1.0 - ALMOST)))
