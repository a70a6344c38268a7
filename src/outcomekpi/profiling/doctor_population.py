"""The population of doctors that expected events are averaged over."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from outcomekpi.draws.nodes import normal_nodes
from outcomekpi.profiling.linear_predictor import Predictor

__all__ = [
    "AverageDoctor",
    "DoctorPopulation",
    "level_gap",
    "mean_chance",
    "nodes_for",
    "read_population",
]

Array = NDArray[np.floating]
AverageDoctor = Literal["population", "median"]

BLOCK_DOCTORS = 512
# spreads up to which so many nodes give the mean of a logistic curve to 1e-7 of itself
NODES_UP_TO = ((0.35, 5), (0.6, 7), (0.9, 11), (1.2, 15), (1.6, 21))
MOST_NODES = 31


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DoctorPopulation:
    """Effects of the doctors who treated these cases, as a normal distribution in each draw.

    Attributes
    ----------
    center, spread : (sample,), mean and SD of the doctors' effects (those that are no part of
        what cases bring), each doctor weighted by the information in his cases; for counts, the
        logarithm of the mean of exp(effect), and 0, since there the spread only multiplies
    """

    center: NDArray[np.float64]
    spread: NDArray[np.float64]


def read_population(predictor: Predictor) -> DoctorPopulation:
    """Center and spread of the effects of the doctors who treated these cases, in each draw.

    Notes
    -----
    The weight of doctor k is sum w_i g'(eta_i) over his cases at the posterior mean of eta. These
    are the weights with which, to first order in the effects, the mean over doctors adds up to
    what is predicted, also where the sicker patients go to the better doctors.
    """
    weight = _information(predictor)
    weight /= weight.sum()
    counts = predictor.family in ("poisson", "negative_binomial")
    center, square = np.zeros(predictor.n_samples), np.zeros(predictor.n_samples)
    for start in range(0, predictor.n_doctors, BLOCK_DOCTORS):
        block = slice(start, start + BLOCK_DOCTORS)
        own = predictor.brought_by_doctor(block).astype(np.float64)
        if counts:
            np.exp(own, out=own)
        center += weight[block] @ own
        square += weight[block] @ own**2
    if counts:
        return DoctorPopulation(center=np.log(center), spread=np.zeros(predictor.n_samples))
    return DoctorPopulation(center=center, spread=np.sqrt(np.maximum(square - center**2, 0.0)))


def _information(predictor: Predictor) -> NDArray[np.float64]:
    """Fisher information about his effect in the cases of each doctor, at the posterior mean."""
    base = np.full(predictor.n_doctors, float(predictor.intercept.mean()))
    if predictor.comparison == "within" and predictor.hospital is not None:
        base += predictor.hospital.mean(axis=1)[predictor.hospital_code]
    eta = predictor.matrix @ predictor.slope.mean(axis=1) + base[predictor.doctor_code]
    size = np.ones(eta.size) if predictor.weight is None else predictor.weight
    if predictor.family in ("bernoulli", "binomial"):
        chance = expit(eta)
        # cases of which nothing can be learned any more still count a little: no 0 / 0
        size = size * (chance * (1 - chance) + np.finfo(np.float64).tiny)
    elif predictor.family != "gaussian":
        size = size * np.exp(eta - eta.max())
    return np.bincount(predictor.doctor_code, weights=size, minlength=predictor.n_doctors)


def nodes_for(spread: Array) -> int:
    """Return the number of Gauss-Hermite nodes that :func:`mean_chance` takes."""
    widest = float(spread.max())
    return next((n for bound, n in NODES_UP_TO if widest <= bound), MOST_NODES)


def mean_chance(odds: Array, spread: Array) -> Array:
    """Mean of expit(log odds + spread z) over a standard normal z.

    Parameters
    ----------
    odds : (..., sample), below the square root of the largest number of their precision
    spread : (sample,)

    Notes
    -----
    Gauss-Hermite quadrature; the two nodes at +-z share one division: with o the odds and
    F = 2 cosh(spread z), their chances add up to (2 o² + o F) / (1 + o² + o F).
    """
    n = nodes_for(spread)
    nodes, weights = normal_nodes(n)
    squared = odds * odds
    mean = odds / (1 + odds)
    mean *= odds.dtype.type(weights[n // 2])
    pair, below = np.empty_like(odds), np.empty_like(odds)
    for node, weight in zip(nodes[n // 2 + 1 :], weights[n // 2 + 1 :], strict=True):
        np.multiply(odds, (2 * np.cosh(spread * node)).astype(odds.dtype), out=pair)
        pair += squared
        np.add(pair, 1, out=below)
        pair += squared
        pair /= below
        pair *= odds.dtype.type(weight)
        mean += pair
    return mean


def level_gap(expected: Array, predicted: Array, information: Array) -> NDArray[np.float64]:
    """Shift of the population, in each draw, at which as much is expected as is predicted.

    Parameters
    ----------
    expected, predicted, information : (doctor, sample); information is the derivative of
        expected with respect to the shift

    Returns
    -------
    (sample,), link scale: one Newton step, exact for counts and measurements (where expected is
    linear in it), of second order in a shift of about .01 else
    """
    gap = predicted.sum(axis=0, dtype=np.float64) - expected.sum(axis=0, dtype=np.float64)
    return np.asarray(gap / information.sum(axis=0, dtype=np.float64))
