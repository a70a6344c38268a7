"""The calibration curve: logistic regressions of many resamples at once on a restricted spline."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

__all__ = ["PLACES", "Spline", "choose_knots", "make_spline", "regress_batch", "spline_columns"]

Array = NDArray[np.float64]

# Harrell's places for 3, 4 and 5 knots
PLACES = {
    3: (0.10, 0.50, 0.90),
    4: (0.05, 0.35, 0.65, 0.95),
    5: (0.05, 0.275, 0.50, 0.725, 0.95),
}
MOST_STEPS, LONGEST_STEP, CLOSE = 40, 2.0, 1e-9
FLAT = 1e-9


def spline_columns(score: Array, knots: Array) -> Array:
    """Columns of a cubic spline that is straight beyond its outer knots (Harrell's basis).

    Parameters
    ----------
    score : (case,)
    knots : (knot,), rising; fewer than 3 give a straight line

    Returns
    -------
    (case, max(2, knot)), the first column 1 and the second ``score``
    """
    columns = [np.ones_like(score), score]
    if knots.size >= 3:
        width = (knots[-1] - knots[0]) ** 2
        last, before = knots[-1], knots[-2]
        cube = [np.maximum(score - knot, 0.0) ** 3 for knot in knots]
        for k in range(knots.size - 2):
            right = cube[-2] * (last - knots[k]) / (last - before)
            left = cube[-1] * (before - knots[k]) / (last - before)
            columns.append((cube[k] - right + left) / width)
    return np.column_stack(columns)


def choose_knots(score: Array, size: Array, *, events: float) -> Array:
    """Places of the knots: fewer where events (or non-events) are few.

    Parameters
    ----------
    score, size : (bin,), predictions on the logit scale and patients
    events : of events and non-events, the fewer

    Returns
    -------
    (knot,), 5 knots from 200 events, 4 from 100, 3 from 30, else none (a straight line)
    """
    wanted = 5 if events >= 200 else 4 if events >= 100 else 3 if events >= 30 else 0
    if not wanted:
        return np.empty(0)
    order = np.argsort(score, kind="stable")
    through = np.cumsum(size[order])
    at = np.searchsorted(through, np.array(PLACES[wanted]) * through[-1])
    knots = np.unique(score[order][np.minimum(at, score.size - 1)])
    return knots if knots.size >= 3 else np.empty(0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spline:
    """A spline basis whose columns are orthogonal, of mean square 1, in the cases it was made for.

    Attributes
    ----------
    knots : (knot,), logit scale; none for a straight line
    rotation : (column, column), from Harrell's columns to the orthogonal ones
    """

    knots: Array
    rotation: Array

    def columns(self, score: Array) -> Array:
        """Return the basis at some predictions on the logit scale: (score, column)."""
        return spline_columns(score, self.knots)[:, : len(self.rotation)] @ self.rotation


def make_spline(score: Array, knots: Array) -> Spline:
    """Return the basis for predictions on the logit scale; a constant where all are equal."""
    columns = spline_columns(score, knots)
    if np.ptp(score) < FLAT:
        columns = columns[:, :1]
    upper = np.linalg.qr(columns)[1]
    return Spline(knots=knots, rotation=np.linalg.inv(upper) * np.sqrt(score.size))


def regress_batch(
    basis: Array, events: Array, size: Array, *, offset: Array | None = None
) -> Array:
    """Coefficients of one logistic regression for each resample.

    Parameters
    ----------
    basis : (bin, column)
    events, size : (resample, bin), weighted sums over the cases of a bin
    offset : (bin,), logit scale, or None

    Returns
    -------
    (resample, column); nan where the regression has no finite solution

    Notes
    -----
    Newton's method, all resamples together; a step moves no coefficient by more than 2.
    """
    products = (basis[:, :, None] * basis[:, None, :]).reshape(len(basis), -1)
    n_columns = basis.shape[1]
    base = 0.0 if offset is None else offset
    coefficient = np.zeros((len(events), n_columns))
    going = (events.sum(axis=1) > 0) & (events.sum(axis=1) < size.sum(axis=1))
    coefficient[~going] = np.nan
    at = np.flatnonzero(going)
    for _ in range(MOST_STEPS):
        if not at.size:
            return coefficient
        rate = expit(coefficient[at] @ basis.T + base)
        gradient = (events[at] - size[at] * rate) @ basis
        weight = size[at] * rate * (1.0 - rate)
        information = (weight @ products).reshape(-1, n_columns, n_columns)
        diagonal = np.einsum("rcc->rc", information)
        diagonal += 1e-12 * diagonal.sum(axis=1, keepdims=True) + 1e-300
        step = np.linalg.solve(information, gradient[:, :, None])[:, :, 0]
        length = np.abs(step).max(axis=1)
        coefficient[at] += (
            step * np.minimum(1.0, LONGEST_STEP / np.maximum(length, 1e-300))[:, None]
        )
        at = at[~(length < CLOSE * (1.0 + np.abs(coefficient[at]).max(axis=1)))]
    coefficient[at] = np.nan
    return coefficient
