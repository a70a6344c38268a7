"""Pieces of sentences about a table: values, counts of things, the first of the wrong rows."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["count_of", "describe_row", "list_values", "spell"]

SHOWN_VALUES = 6


def spell(value: object) -> str:
    """Write a value in a message: text in quotes, numbers bare."""
    return repr(value) if isinstance(value, str) else str(value)


def list_values(values: Iterable[object], *, shown: int = SHOWN_VALUES) -> str:
    """Write the first values of a list, and how many more there are."""
    texts = [spell(value) for value in values]
    more = f" and {len(texts) - shown:,} more" if len(texts) > shown else ""
    return ", ".join(texts[:shown]) + more


def count_of(number: int, noun: str) -> str:
    """Write a count with its noun: ``"1 doctor"``, ``"12 doctors"``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def describe_row(index: pd.Index, wrong: NDArray[np.bool_]) -> str:
    """Say how many rows are wrong and where the first of them is."""
    positions = np.flatnonzero(wrong)
    verb = "rows does" if positions.size == 1 else "rows do"
    first = index[positions[0]]
    return f"{positions.size:,} of {wrong.size:,} {verb} not, the first at index {spell(first)}"
