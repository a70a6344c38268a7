"""Series of counts made linear: the working response that a generalized linear model leaves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from outcomekpi.declare.errors import CasesError
from outcomekpi.pilots.data.series import Family

__all__ = ["WorkingSeries", "inverse_link", "iterate_weights", "linearize", "link_slope"]

Floats = NDArray[np.float64]
ITERATIONS = 60
LARGEST_PREDICTOR = 30.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WorkingSeries:
    """A response that is linear in the coefficients, with its weights.

    Attributes
    ----------
    response : (time,), predictor plus residual on the scale of the link
    weights : (time,), inverse variance of the response for dispersion 1
    """

    response: Floats
    weights: Floats


def inverse_link(family: Family, predictor: Floats) -> Floats:
    """Mean per trial or unit of exposure."""
    if family == "gaussian":
        return predictor
    return np.asarray(np.exp(predictor) if family == "poisson" else expit(predictor))


def link_slope(family: Family, mean: Floats) -> Floats:
    """Change of the mean for a change of the predictor."""
    if family == "gaussian":
        return np.ones_like(mean)
    return mean if family == "poisson" else mean * (1.0 - mean)


def linearize(family: Family, predictor: Floats, outcome: Floats, size: Floats) -> WorkingSeries:
    """Working response and weights at a predictor.

    Parameters
    ----------
    family : of the outcome
    predictor : (time,), on the scale of the link
    outcome, size : (time,), events and their trials or exposure

    Notes
    -----
    z = eta + (y/n - mu) / mu'(eta), with variance dispersion / (n mu'(eta)): the working response
    of a canonical generalized linear model.
    """
    if family == "gaussian":
        return WorkingSeries(response=outcome, weights=np.ones_like(outcome))
    mean = inverse_link(family, predictor)
    slope = np.maximum(link_slope(family, mean), 1e-12)
    return WorkingSeries(response=predictor + (outcome / size - mean) / slope, weights=size * slope)


def first_predictor(family: Family, outcome: Floats, size: Floats) -> Floats:
    """Predictor to begin with, finite also where there are no events."""
    if family == "gaussian":
        return outcome
    if family == "poisson":
        return np.asarray(np.log((outcome + 0.1) / size))
    return np.asarray(np.log((outcome + 0.5) / (size - outcome + 0.5)))


def iterate_weights(
    family: Family, terms: Floats, outcome: Floats, size: Floats, offset: Floats
) -> Floats:
    """Coefficients of a generalized linear model, by iterated weighted least squares.

    Parameters
    ----------
    family : of the outcome
    terms : (time, term)
    outcome, size, offset : (time,)

    Raises
    ------
    CasesError
        The likelihood has no maximum, as where a stretch of the series has no events.
    """
    predictor = first_predictor(family, outcome, size)
    for _ in range(ITERATIONS):
        working = linearize(family, predictor, outcome, size)
        root = np.sqrt(working.weights)
        coefficients = np.linalg.lstsq(
            root[:, None] * terms, root * (working.response - offset), rcond=None
        )[0]
        before, predictor = predictor, offset + terms @ coefficients
        _check_predictor(family, predictor, offset)
        if np.abs(predictor - before).max() < 1e-10:
            break
    return np.asarray(coefficients)


def _check_predictor(family: Family, predictor: Floats, offset: Floats) -> None:
    """Refuse a predictor that runs off to infinity."""
    if family != "gaussian" and (np.abs(predictor - offset) > LARGEST_PREDICTOR).any():
        raise CasesError(
            "The model has no finite estimate: a stretch of the series holds no events, or "
            "nothing but events. Use longer periods, leave out the slope change, or use "
            "BeforeAfter with exact intervals."
        )
