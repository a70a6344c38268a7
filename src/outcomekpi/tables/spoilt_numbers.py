"""Numbers spoilt by text: a placeholder, a unit or a sign turns a column of numbers into words."""

import re
import unicodedata

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.tables.columns import count_of, list_values, spell
from outcomekpi.tables.labels import is_no_label
from outcomekpi.tables.number_text import describe_two_readings

__all__ = ["NUMBER", "describe_spoilt"]

FEW = 5
"""Classes may be numbered; more different numbers than this were measured or counted."""
NUMBER = re.compile(r"[-+−]?(?:\d+(?:[.,]\d+|['’ ]\d{3}(?!\d))*|\.\d+)(?:[eE][-+]?\d+)?")
DRESSED = re.compile(r"[<>≤≥~≈约]*\s*[-+]?\d+(?:[.,]\d+)*\s*([^\d\s].*|)")
"""A number with a sign before it or a unit behind it; the group is what stands behind."""


def describe_spoilt(
    name: str, code: NDArray[np.intp], levels: tuple[str, ...], index: pd.Index | None
) -> str | None:
    """Say what spoils a column of numbers, or None where it holds categories.

    Parameters
    ----------
    name : of the column
    code : (row,), position of each row's text in ``levels``; -1 where it is missing
    levels : the different texts
    index : labels of the rows, to say where the first odd cell is

    Notes
    -----
    A column holds numbers if at least half of its different texts, or half of its rows, are
    numbers, and either one of the other texts says that no value is known (``?``, ``缺失``) or
    there are more than five different numbers: ``0, 1, 2, 3+`` are classes, ages and ``90+`` are
    not. A column in which every text is a number with the same unit behind it holds numbers too.
    """
    plain = [unicodedata.normalize("NFKC", level).strip() for level in levels]
    is_number = np.array([NUMBER.fullmatch(text) is not None for text in plain])
    if not is_number.any():
        return _describe_units(name, plain)
    words = [level for level, number in zip(levels, is_number, strict=True) if not number]
    rows = is_number[code] & (code >= 0)
    mostly = is_number.sum() >= len(levels) / 2 or rows.sum() >= (code >= 0).sum() / 2
    measured = is_number.sum() > FEW or any(is_no_label(word) for word in words)
    if not (mostly and measured):
        return None
    if not words:  # numbers that are written as text: commas, full-width digits
        words = [level for level in levels if "," in level or not level.isascii()] or list(levels)
    texts = pd.Series(np.array([*levels, None], dtype=object)[code])
    doubt = describe_two_readings(texts, texts.index if index is None else index)
    if doubt is not None:
        return f"Covariate {name!r} must hold numbers. {doubt}"
    odd = np.isin(code, [levels.index(word) for word in words])
    first = "" if index is None else f", the first at index {spell(index[int(odd.argmax())])}"
    return (
        f"Covariate {name!r} holds text, but most of its values are numbers. "
        f"{int(odd.sum()):,} of {count_of(odd.size, 'row')} are not{first}: {list_values(words)}. "
        "Make them missing, or write them as numbers; if the numbers are names of classes, write "
        f"C({_quote(name)}) in the formula."
    )


def _quote(name: str) -> str:
    return name if name.isidentifier() else f"`{name}`"


def _describe_units(name: str, texts: list[str]) -> str | None:
    behind = [DRESSED.fullmatch(text) for text in texts]
    if len(texts) <= FEW or not all(behind):
        return None
    units = sorted({match[1].strip() for match in behind if match} - {""})
    if len(units) > 2 or any(char.isdigit() for unit in units for char in unit):
        return None
    quoted = _quote(name)
    return (
        f"Covariate {name!r} holds numbers with text around them, such as "
        f"{list_values(texts[:3])}. Take the text away, so that the column holds numbers; if they "
        f"are names of classes, write C({quoted}) in the formula."
    )
