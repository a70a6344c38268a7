"""Events: which value of an outcome column is the event, and which values are none."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError, did_you_mean
from outcomekpi.tables.columns import count_of, holds_numbers, list_values
from outcomekpi.tables.faults import fault_error
from outcomekpi.tables.labels import Labels, find_label, read_labels

__all__ = ["read_events"]


def read_events(
    column: pd.Series, event: object, no_event: object = None, *, names_others: bool = True
) -> tuple[NDArray[np.float64], str, list[str]]:
    """Count one value of the outcome column as the event: 1 there, 0 elsewhere, NaN if missing.

    Parameters
    ----------
    column : values of any kind
    event : the value that is the event
    no_event : the other value, or a list of the others; needed where there are several
    names_others : whether the caller can be told ``no_event``; else the column has to be rewritten

    Returns
    -------
    events, label, others : (case,) 0, 1 or NaN; the event value as text, and the other values

    Raises
    ------
    CasesError
        No row has the event value; or there are several others that nobody named: a patient who
        was transferred, or a result that is not known, is not one without the event.
    """
    labels = read_labels(column, "outcome")
    is_number = holds_numbers(column)
    wanted = find_label(event, labels.names, is_number=is_number)
    if wanted is None:
        raise CasesError(
            f"event={event!r} is not a value of the outcome column {column.name!r}. "
            f"Values seen: {list_values(labels.names)}.{did_you_mean(str(event), labels.names)}"
        )
    others = [name for name in labels.names if name != wanted]
    if no_event is None and len(others) > 1:
        raise _several(column, labels, others, names_others=names_others)
    if no_event is not None:
        _check_others(column, labels, others, no_event, is_number=is_number)
    events = (labels.code == labels.names.index(wanted)).astype(np.float64)
    events[labels.code < 0] = np.nan
    return events, wanted, others


def _check_others(
    column: pd.Series, labels: Labels, others: list[str], no_event: object, *, is_number: bool
) -> None:
    named = [no_event]
    if isinstance(no_event, Iterable) and not isinstance(no_event, str | bytes):
        named = list(no_event)
    matched = [find_label(value, labels.names, is_number=is_number) for value in named]
    unknown = [value for value, name in zip(named, matched, strict=True) if name is None]
    if unknown:
        raise CasesError(
            f"no_event={unknown[0]!r} is not a value of the outcome column {column.name!r}. "
            f"Values seen: {list_values(labels.names)}."
            f"{did_you_mean(str(unknown[0]), labels.names)}"
        )
    left = [name for name in others if name not in matched]
    if left:
        raise fault_error(
            "unnamed-outcome",
            f"Outcome column {column.name!r} holds {count_of(len(left), 'value')} that no_event "
            f"does not name: {list_values(left)}. Name them too, or leave those cells empty.",
            column=column.name,
            count=len(left),
        )


def _several(
    column: pd.Series, labels: Labels, others: list[str], *, names_others: bool
) -> CasesError:
    """Build the error of several values beside the event that nobody named."""
    counts = np.bincount(labels.code[labels.code >= 0], minlength=len(labels.names))
    each = ", ".join(f"{name!r} {counts[labels.names.index(name)]:,}" for name in others[:6])
    more = f" and {len(others) - 6:,} more" if len(others) > 6 else ""
    remedy = (
        f"Say which of them are no event: no_event={others[:2]!r}; leave those cells empty where "
        "it is not known."
        if names_others
        else "Write 1 for the event and 0 for what is none, and leave cells empty where it is not "
        "known."
    )
    return fault_error(
        "unnamed-outcome",
        f"Outcome column {column.name!r} holds {count_of(len(others), 'value')} beside the event: "
        f"{each}{more} (rows). {remedy}",
        column=column.name,
        count=len(others),
    )
