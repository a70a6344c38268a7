"""Offsets: a published risk of each case, brought to the scale on which it enters with slope 1."""

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from outcomekpi.declare.errors import SpecError, check_choice
from outcomekpi.tables.faults import refuse_rows
from outcomekpi.tables.roles import ReadColumns

__all__ = [
    "OFFSET_SCALES",
    "OffsetScale",
    "check_offset_scale",
    "describe_offset",
    "published",
    "read_offset",
]

Array = NDArray[np.float64]
OffsetScale = Literal["probability", "expected_count", "expected_value", "linear_predictor"]

OFFSET_SCALES: dict[str, str] = {
    "probability": "a probability of the event, strictly between 0 and 1",
    "expected_count": "an expected count of events of the row, greater than 0",
    "expected_value": "an expected measurement",
    "linear_predictor": "a linear predictor: log odds, the log of a rate, or a measurement",
}
"""What each scale says that the column holds."""


def check_offset_scale(offset: str | None, scale: str | None) -> None:
    """Refuse an offset whose scale is not declared, and a scale of nothing.

    Raises
    ------
    SpecError
        One without the other, or an unknown scale.
    """
    if scale is not None:
        check_choice("offset_scale", scale, get_args(OffsetScale))
    if offset is not None and scale is None:
        listed = "; ".join(f"{name!r}: {meaning}" for name, meaning in OFFSET_SCALES.items())
        raise SpecError(
            f"offset={offset!r} needs offset_scale=..., which says what the column holds. "
            f"It is never guessed, because it moves every result. One of {listed}."
        )
    if offset is None and scale is not None:
        raise SpecError(
            f"offset_scale={scale!r} says what the column of an offset holds; no offset was named. "
            "Name it with offset=..., or leave offset_scale out."
        )


def read_offset(
    table: pd.DataFrame, roles: Mapping[str, str], read: ReadColumns, scale: OffsetScale | None
) -> Array | None:
    """Offset of every row on the scale of the linear predictor.

    Returns
    -------
    (case,), or None without an offset

    Raises
    ------
    CasesError
        Values that the declared scale cannot have, and that would be infinite as an offset.

    Notes
    -----
    Probability p: log(p / (1 - p)). Expected count c of the row: log(c), less log(e) where the
    row has an exposure e, because a count is multiplied by its exposure once more in the model.
    An expected value and a linear predictor stay as they are.
    """
    if scale is None or read.offset is None:
        return None
    values, column = read.offset, roles["offset"]
    if scale == "probability":
        _refuse_certain(table, column, values)
        return np.asarray(logit(values))
    if scale == "expected_count":
        refuse_rows(
            values <= 0,
            table.index,
            column=column,
            role="offset",
            wanted=f"hold {OFFSET_SCALES[scale]}",
            found=values,
            remedy="Nothing can be expected of rows with a count of 0 or below: correct or remove "
            "them.",
        )
        size = 1.0 if read.exposure is None else read.exposure
        return np.asarray(np.log(values) - np.log(size))
    return np.asarray(values, dtype=np.float64)


def _refuse_certain(table: pd.DataFrame, column: str, values: Array) -> None:
    def refuse(wrong: NDArray[np.bool_], remedy: str) -> None:
        refuse_rows(
            wrong,
            table.index,
            column=column,
            role="offset",
            wanted=f"hold {OFFSET_SCALES['probability']}",
            found=values,
            remedy=remedy,
        )

    outside = (values < 0) | (values > 1)
    remedy = "Correct them, or declare what the column holds with another offset_scale."
    if outside.any() and values.min() >= 0 and values.max() <= 100:
        remedy = "Divide the column by 100 if it is in percent."
    refuse(outside, remedy)
    refuse(
        (values == 0) | (values == 1),
        "0 and 1 have infinite log odds, which no outcome could move. Say how certain the "
        "published risk may be, for example by clipping it to .0001 and .9999.",
    )


def published(offset: Array, scale: OffsetScale, exposure: Array | None = None) -> Array:
    """Bring an offset back to the scale that its column had: the inverse of reading it."""
    if scale == "probability":
        return np.asarray(expit(offset))
    if scale == "expected_count":
        return np.asarray(np.exp(offset) * (1.0 if exposure is None else exposure))
    return offset


def describe_offset(roles: Mapping[str, str], scale: OffsetScale | None) -> list[str]:
    """Say in one sentence for the log how a published risk enters, if there is one."""
    if scale is None:
        return []
    how = {
        "probability": "holds probabilities; their log odds enter",
        "expected_count": "holds expected counts; their logarithms enter",
        "expected_value": "holds expected measurements, which enter",
        "linear_predictor": "holds linear predictors, which enter",
    }[scale]
    return [f"Column {roles['offset']!r} (offset) {how} the linear predictor with slope 1."]
