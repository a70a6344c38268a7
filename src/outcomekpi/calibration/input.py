"""Read probabilities, outcomes and doctors that come as bare arrays."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.calibration.bins import Predicted
from outcomekpi.declare.errors import CasesError
from outcomekpi.tables.columns import describe_row, read_labels, read_numbers

__all__ = ["read_predictions"]

Array = NDArray[np.float64]

MOST_CLUSTERS = 20_000
"""Patients of a single center beyond these share a weight at random: they are alike, and a
bootstrap of so many random groups has the variance of one of patients."""


def read_predictions(
    probability: Any, outcome: Any, doctor: Any, trials: Any
) -> tuple[Predicted, pd.Index]:
    """Check bare arrays once: predictions and outcomes by doctor, and the doctors' labels.

    Raises
    ------
    CasesError
        See ``assess_predictions``.
    """
    columns = {"probability": probability, "outcome": outcome}
    columns["doctor"] = np.full(np.shape(probability), "all") if doctor is None else doctor
    if trials is not None:
        columns["trials"] = trials
    series = {name: pd.Series(np.asarray(values), name=name) for name, values in columns.items()}
    lengths = {name: len(values) for name, values in series.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise CasesError(f"Every array must have one value per row of cases; got {found}.")
    if not lengths["probability"]:
        raise CasesError("There are no cases: every array is empty.")
    for name, values in series.items():
        _refuse(values.isna(), name, "have no missing values", "Leave those rows out of all arrays")
    rate = read_numbers(series["probability"], "probability")
    _check_probability(rate)
    events = read_numbers(series["outcome"], "outcome")
    size = np.ones_like(rate) if trials is None else read_numbers(series["trials"], "trials")
    _refuse((size < 1) | (size != np.floor(size)), "trials", "be whole numbers from 1", "Recode it")
    if trials is None:
        wanted, remedy = "hold only 0 and 1", "Recode it, or pass trials for counts of events"
    else:
        wanted, remedy = "be whole numbers from 0 up to the trials", "Correct them"
    wrong = (events < 0) | (events > size) | (events != np.floor(events))
    _refuse(wrong, "outcome", wanted, remedy)
    if not 0 < events.sum() < size.sum():
        kind = "no events" if not events.any() else "nothing but events"
        raise CasesError(f"The outcome has {kind}: there is nothing to compare predictions with.")
    labels = read_labels(series["doctor"], "doctor")
    _refuse(labels.code < 0, "doctor", "name a doctor in every row", "Leave those rows out")
    cluster, n_clusters = labels.code, len(labels.names)
    if n_clusters == 1:
        cluster, n_clusters = _patients(size)
    given = Predicted(
        probability=rate[None, :],
        outcome=events,
        size=size,
        doctor=labels.code,
        cluster=cluster,
        n_clusters=n_clusters,
    )
    return given, pd.Index(labels.names, name="doctor")


def _patients(size: Array) -> tuple[NDArray[np.intp], int]:
    """Return the number of each patient of a single center, and how many numbers there are."""
    _refuse(
        size != 1,
        "trials",
        "be 1 in every row of a single doctor, whose intervals resample patients",
        "Give one row per patient, or name the doctors",
    )
    order: NDArray[np.intp] = np.arange(size.size)
    if size.size <= MOST_CLUSTERS:
        return order, size.size
    return np.random.default_rng(0).permutation(order) % MOST_CLUSTERS, MOST_CLUSTERS


def _check_probability(rate: Array) -> None:
    outside = (rate < 0) | (rate > 1)
    if outside.any():
        hint = "Divide by 100 if they are percent" if rate.max() <= 100 else "Correct them"
        _refuse(outside, "probability", "lie between 0 and 1", hint)
    certain = (rate == 0) | (rate == 1)
    _refuse(
        certain,
        "probability",
        "lie strictly between 0 and 1, since 0 and 1 have no logit",
        "Say how certain the model may be: numpy.clip(probability, 0.0001, 0.9999)",
    )


def _refuse(wrong: Any, name: str, wanted: str, remedy: str) -> None:
    wrong = np.asarray(wrong, dtype=bool)
    if wrong.any():
        where = describe_row(pd.RangeIndex(wrong.size), wrong)
        raise CasesError(f"{name} must {wanted}. {where}. {remedy}.")
