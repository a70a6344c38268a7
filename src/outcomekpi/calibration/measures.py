"""How well predicted outcomes agree with observed ones: arrays in, numbers out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, expit, gammaincinv, logit, ndtri

from outcomekpi.calibration.curve import PLACES, spline_columns
from outcomekpi.model.spec import Family

__all__ = [
    "Predictions",
    "bin_predictions",
    "brier_score",
    "calibration_line",
    "concordance",
    "group_interval",
    "integrated_calibration_index",
    "risk_groups",
]

Array = NDArray[np.float64]
LOGIT_FAMILIES = ("bernoulli", "binomial")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """Outcomes and what was predicted for them.

    Attributes
    ----------
    family : of the outcome; "negative_binomial" counts as Poisson here
    rate : (case,), predicted events per patient or per unit of exposure, or measurement
    outcome : (case,), events or measurement
    size : (case,), patients, or exposure
    """

    family: Family
    rate: Array
    outcome: Array
    size: Array

    @property
    def score(self) -> Array:
        """The prediction on the link scale."""
        if self.family == "gaussian":
            return self.rate
        if self.family in LOGIT_FAMILIES:
            return np.asarray(logit(np.clip(self.rate, 1e-12, 1 - 1e-12)))
        return np.log(np.maximum(self.rate, 1e-300))


def bin_predictions(given: Predictions, n_bins: int) -> tuple[Predictions, NDArray[np.intp]]:
    """Add up neighbors in predicted risk, which leaves the measures the same and costs less.

    Returns
    -------
    binned : at most ``n_bins`` rows of like size, in order of risk
    position : (case,), the row that each case went into
    """
    order = np.argsort(given.rate, kind="stable")
    through = np.cumsum(given.size[order])
    position = np.empty(order.size, dtype=np.intp)
    position[order] = np.minimum(n_bins * through / through[-1], n_bins - 1).astype(np.intp)
    position = np.cumsum(np.bincount(position, minlength=n_bins) > 0)[position] - 1
    size = np.bincount(position, given.size)
    binned = Predictions(
        family=given.family,
        rate=np.bincount(position, given.size * given.rate) / size,
        outcome=np.bincount(position, given.outcome),
        size=size,
    )
    return binned, position


def concordance(given: Predictions) -> float:
    """Probability that a case with the event had the higher prediction than one without.

    Notes
    -----
    The C-statistic, area under the ROC curve; ties count one half. Aggregated rows count each
    of their patients. Not defined, and nan, outside the Bernoulli and binomial families.
    """
    if given.family not in LOGIT_FAMILIES:
        return float("nan")
    values, position = np.unique(given.rate, return_inverse=True)
    events = np.bincount(position, given.outcome, values.size)
    others = np.bincount(position, given.size - given.outcome, values.size)
    below = np.cumsum(others) - others
    return float((events * (below + 0.5 * others)).sum() / (events.sum() * others.sum()))


def brier_score(given: Predictions) -> float:
    """Mean squared difference of the predicted probability and the event of each patient."""
    if given.family not in LOGIT_FAMILIES:
        return float("nan")
    missed = given.outcome * (1 - given.rate) ** 2
    return float((missed + (given.size - given.outcome) * given.rate**2).sum() / given.size.sum())


def calibration_line(given: Predictions) -> tuple[float, float]:
    """Calibration in the large, and calibration slope.

    Returns
    -------
    in_the_large : intercept of a regression with the prediction (link scale) as offset; 0 is
        ideal, positive where more happens than predicted
    slope : of a regression on the prediction (link scale); 1 is ideal, below 1 where predictions
        are too extreme; nan where all predictions are equal

    References
    ----------
    Cox (1958), Biometrika 45 (recalibration of probabilities by intercept and slope).
    """
    one = np.ones((given.rate.size, 1))
    in_the_large = float(_regress(given, one, given.score)[0])
    if np.ptp(given.score) < 1e-9:
        return in_the_large, float("nan")
    slope = _regress(given, np.column_stack([one, given.score]), np.zeros_like(given.score))[1]
    return in_the_large, float(slope)


def integrated_calibration_index(given: Predictions) -> float:
    """Mean absolute distance between the calibration curve and the diagonal, over the cases.

    Notes
    -----
    The curve is a regression of the outcome on a restricted cubic spline of the prediction
    (link scale) with knots at its 5th, 27.5th, 50th, 72.5th and 95th percentiles; loess, used
    by Austin and Steyerberg, costs the square of the number of cases. In events per patient or
    unit of exposure, or in units of the measurement.

    References
    ----------
    Austin and Steyerberg (2019), Statistics in Medicine 38(21), 4051-4065, doi:10.1002/sim.8281.
    """
    basis = _orthogonal(_restricted_spline(given.score))
    curve = _inverse_link(given.family, basis @ _regress(given, basis, np.zeros_like(given.rate)))
    return float((given.size * np.abs(curve - given.rate)).sum() / given.size.sum())


def risk_groups(given: Predictions, n_groups: int = 10) -> NDArray[np.intp]:
    """Position of each case's group of predicted risk: groups of like size, ties together."""
    order = np.argsort(given.rate, kind="stable")
    through = np.cumsum(given.size[order])
    at = np.searchsorted(through, through[-1] * np.arange(1, n_groups) / n_groups)
    edges = np.unique(given.rate[order][at])
    group = np.searchsorted(edges, given.rate, side="left")
    return np.unique(group, return_inverse=True)[1].astype(np.intp)


def group_interval(
    family: Family, events: Array, size: Array, *, sd: float, level: float
) -> tuple[Array, Array]:
    """Interval of the observed rate of each group of cases.

    Parameters
    ----------
    events, size : (group,), sums over the cases
    sd : standard deviation of a measurement; not used for events

    Notes
    -----
    Jeffreys interval for probabilities, its Poisson counterpart for counts, and for a
    measurement mean ± z sd / sqrt(n).
    """
    tail = (1.0 - level) / 2.0
    if family == "gaussian":
        half = -ndtri(tail) * sd / np.sqrt(size)
        return events / size - half, events / size + half
    shape = events + 0.5
    if family in LOGIT_FAMILIES:
        rest = size - events + 0.5
        return betaincinv(shape, rest, tail), betaincinv(shape, rest, 1 - tail)
    return gammaincinv(shape, tail) / size, gammaincinv(shape, 1 - tail) / size


def _inverse_link(family: Family, eta: Array) -> Array:
    if family == "gaussian":
        return eta
    return np.asarray(expit(eta) if family in LOGIT_FAMILIES else np.exp(eta))


def _regress(given: Predictions, basis: Array, offset: Array) -> Array:
    """Coefficients of the canonical regression of the outcome on a basis; nan if it fails."""
    coefficient = np.zeros(basis.shape[1])
    if not offset.any():
        coefficient[0] = _link(given.family, float(given.outcome.sum() / given.size.sum()))
    for _ in range(50):
        rate = _inverse_link(given.family, basis @ coefficient + offset)
        variance = _unit_variance(given.family, rate)
        gradient = basis.T @ (given.outcome - given.size * rate)
        information = basis.T @ (basis * (given.size * variance)[:, None])
        step = np.linalg.lstsq(information, gradient)[0]
        move = float(np.abs(basis @ step).max())
        coefficient += step * (1.0 if given.family == "gaussian" else min(1.0, 3.0 / (move + 1e-9)))
        if move < 1e-8 * (1.0 + float(np.abs(basis @ coefficient).max())):
            return coefficient
    return np.full(basis.shape[1], np.nan)


def _unit_variance(family: Family, rate: Array) -> Array:
    if family == "gaussian":
        return np.ones_like(rate)
    return rate * (1 - rate) if family in LOGIT_FAMILIES else rate


def _link(family: Family, rate: float) -> float:
    if family == "gaussian":
        return rate
    rate = max(rate, 1e-12)
    return float(logit(min(rate, 1 - 1e-12)) if family in LOGIT_FAMILIES else np.log(rate))


def _orthogonal(basis: Array) -> Array:
    """Return columns of mean square 1 that span the same space, the first one constant at 1."""
    columns = np.linalg.qr(basis)[0] * np.sqrt(len(basis))
    return np.asarray(columns * np.sign(columns[0, 0]))


def _restricted_spline(score: Array) -> Array:
    """Natural cubic spline with up to five knots; a constant where all predictions are equal."""
    knots = np.unique(np.quantile(score, PLACES[5]))
    return spline_columns(score, knots)[:, : None if np.ptp(score) > 1e-9 else 1]
