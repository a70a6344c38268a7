"""How a published risk fits a family, and how far off it is overall."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.model.spec import Family
from outcomekpi.tables.cases import Cases
from outcomekpi.tables.columns import describe_row

__all__ = ["check_offset", "overall_level"]

Array = NDArray[np.float64]

FAMILIES = {
    "probability": ("bernoulli", "binomial"),
    "expected_count": ("poisson", "negative_binomial"),
    "expected_value": ("gaussian",),
}
"""Families that a declared scale belongs to; a linear predictor belongs to every one."""
FITTING = {
    "bernoulli": "probability",
    "binomial": "probability",
    "poisson": "expected_count",
    "negative_binomial": "expected_count",
    "gaussian": "expected_value",
}
LARGEST = 30.0
"""Log odds, or logarithms of a count, beyond which a column holds a percentage or a score."""
ROUNDING = 1e-12


def check_offset(cases: Cases, family: Family) -> None:
    """Refuse an offset on a scale that the family does not have, and one that leaves nothing.

    Raises
    ------
    SpecError
        The scale belongs to other families; says which, and what to do.
    CasesError
        Log odds that no published risk has, or measurements that all equal what was expected.
    """
    scale = cases.offset_scale
    if scale is None or cases.offset is None:
        return
    column = cases.roles["offset"]
    if family not in FAMILIES.get(scale, (family,)):
        remedy = "Name another family, or"
        if scale == "expected_count" and family == "binomial":
            remedy = "Divide the column by the trials, and"
        elif scale == "expected_count" and family == "bernoulli":
            remedy = "Name family='poisson' if the outcome is a count, or"
        raise SpecError(
            f"offset_scale={scale!r} is for {' and '.join(map(repr, FAMILIES[scale]))}; the offset "
            f"{column!r} was to enter family {family!r}. {remedy} "
            f"declare offset_scale={FITTING[family]!r}."
        )
    if family != "gaussian":
        _refuse_extreme(cases, family, column)
    left = (cases.outcome - cases.offset).std()
    if family == "gaussian" and not left > ROUNDING * cases.outcome.std():
        raise CasesError(
            f"The outcome {cases.roles['outcome']!r} must differ from what was expected "
            f"({column!r}) by more than a constant: nothing is left to explain. Look whether the "
            "right columns were named."
        )


def _refuse_extreme(cases: Cases, family: Family, column: str) -> None:
    offset = np.asarray(cases.offset)
    what = "log odds"
    if family not in ("bernoulli", "binomial"):
        what = "logarithms of the expected count of each row"
        offset = offset if cases.exposure is None else offset + np.log(cases.exposure)
    wrong = np.abs(offset) > LARGEST
    if wrong.any():
        raise CasesError(
            f"The offset {column!r} must give {what} between -{LARGEST:g} and {LARGEST:g}. "
            f"{describe_row(cases.frame.index, wrong)} ({offset[wrong.argmax()]:g}). "
            "Look whether the column is in percent, or a score that is no linear predictor."
        )


def overall_level(family: Family, outcome: Array, size: Array | None, offset: Array) -> float:
    """Intercept at which the published risk adds up to the outcome: its calibration in the large.

    Parameters
    ----------
    outcome : (case,), events or measurements
    size : (case,), trials or exposure; None for 1
    offset : (case,), on the scale of the linear predictor

    Returns
    -------
    a with sum size g(a + offset) = sum outcome; 0 for a published risk that is right overall
    """
    total = float(outcome.sum())
    if family == "gaussian":
        return float((outcome - offset).mean())
    weight = np.ones_like(outcome) if size is None else size
    if family not in ("bernoulli", "binomial"):
        return float(np.log(total) - np.log((weight * np.exp(offset)).sum()))
    rate = float(logit(total / weight.sum()))

    def surplus(level: float) -> float:
        return float(weight @ expit(level + offset)) - total

    # with the largest offset taken for every case's the sum is too small, else too large
    low, high = rate - float(offset.max()) - 1e-6, rate - float(offset.min()) + 1e-6
    return float(brentq(surplus, low, high, xtol=1e-10))
