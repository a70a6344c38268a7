"""Subgroups of cases in which a risk model is looked at: categories, and bands of numbers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import SpecError, did_you_mean
from outcomekpi.tables.columns import count_of, holds_numbers, label_text, list_values, read_numbers

__all__ = ["Bands", "Grouping", "Subgroups", "read_subgroups"]

Subgroups = str | Sequence[str] | Mapping[str, Any] | pd.Series | pd.DataFrame | None
Bands = int | Mapping[str, Sequence[float]]

FEW_VALUES = 6
"""A column of numbers with more distinct values than these is cut into bands."""
MOST_GROUPS = 200
MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grouping:
    """Cases by the groups of one column.

    Attributes
    ----------
    name : of the column
    labels : of the groups, bands in rising order, cases without a value last
    code : (case,), position of each case's group in ``labels``
    """

    name: str
    labels: tuple[str, ...]
    code: NDArray[np.intp]


def read_subgroups(
    subgroups: Subgroups,
    *,
    frame: pd.DataFrame | None,
    n_rows: int,
    bands: Bands,
    codes: Iterable[str] = (),
) -> tuple[Grouping, ...]:
    """Read every column that cases are grouped by.

    Parameters
    ----------
    subgroups : name or names of columns of ``frame``; or a Series, a table, or a mapping from
        names to (case,) values
    frame : the table of the cases, or None where there is none
    n_rows : number of rows of cases
    bands : number of bands of equal size of a column of numbers; or column -> the edges between
        its bands, each edge belonging to the band above it
    codes : columns whose numbers are names, such as the hospital's, and are never cut into bands

    Raises
    ------
    SpecError
        An unknown column, a wrong length, edges that do not rise, a single group, or more groups
        than a reader can look at.
    """
    edges = bands if isinstance(bands, Mapping) else {}
    n_bands = bands if isinstance(bands, int) else 4
    if n_bands < 2:
        raise SpecError(f"bands must be 2 or more, or name the edges; got {n_bands}.")
    columns = _columns(subgroups, frame, n_rows)
    unknown = [name for name in edges if name not in columns]
    if unknown:
        hint = did_you_mean(unknown[0], columns)
        raise SpecError(f"bands names {unknown[0]!r}, which is no subgroup.{hint}")
    named = set(codes)
    return tuple(
        _group(name, column, edges.get(name), n_bands, is_code=name in named)
        for name, column in columns.items()
    )


def _columns(subgroups: Subgroups, frame: pd.DataFrame | None, n_rows: int) -> dict[str, pd.Series]:
    """Return name -> values in the order of the cases."""
    if subgroups is None:
        return {}
    if isinstance(subgroups, pd.Series):
        subgroups = {str(subgroups.name or "subgroup"): subgroups}
    if isinstance(subgroups, pd.DataFrame):
        subgroups = {str(name): subgroups[name] for name in subgroups.columns}
    if isinstance(subgroups, Mapping):
        return {name: _align(name, values, frame, n_rows) for name, values in subgroups.items()}
    names = [subgroups] if isinstance(subgroups, str) else list(subgroups)
    known = () if frame is None else frame.columns
    for name in names:
        if name not in known:
            where = "Pass the values: subgroups={'age': values}."
            if len(known):
                where = f"The columns are {list_values(known)}. Or pass the values themselves."
            raise SpecError(
                f"Subgroup {name!r} is no column of the cases.{did_you_mean(name, known)} {where}"
            )
    return {name: _of(frame, name) for name in names}


def _of(frame: pd.DataFrame | None, name: str) -> pd.Series:
    return pd.Series() if frame is None else frame[name]


def _align(name: str, values: Any, frame: pd.DataFrame | None, n_rows: int) -> pd.Series:
    """Bring the values of one subgroup into the order of the cases: by index, else by place."""
    series = values if isinstance(values, pd.Series) else pd.Series(values)
    has_index = isinstance(values, pd.Series) and values.index.is_unique
    if has_index and frame is not None and frame.index.isin(values.index).all():
        return series.loc[frame.index]
    if len(series) != n_rows:
        raise SpecError(
            f"Subgroup {name!r} must have one value for each of the {n_rows:,} rows of cases; "
            f"got {len(series):,}."
        )
    return series


def _group(
    name: str, column: pd.Series, edges: Sequence[float] | None, n_bands: int, *, is_code: bool
) -> Grouping:
    is_band = edges is not None or (
        holds_numbers(column)
        and not is_code
        and not pd.api.types.is_bool_dtype(column.dtype)
        and column.nunique() > FEW_VALUES
    )
    labels, code = _cut(name, column, edges, n_bands) if is_band else _categories(column)
    if (code < 0).any():
        code = np.where(code < 0, len(labels), code)
        labels = [*labels, MISSING]
    kept, code = np.unique(code, return_inverse=True)
    labels = [labels[at] for at in kept]
    if not 2 <= len(labels) <= MOST_GROUPS:
        raise SpecError(
            f"Subgroup {name!r} must have 2 to {MOST_GROUPS} groups; found "
            f"{count_of(len(labels), 'group')}"
            + (f" ({labels[0]})." if len(labels) == 1 else ". Put values together first.")
        )
    return Grouping(name=name, labels=tuple(labels), code=code.astype(np.intp))


def _categories(column: pd.Series) -> tuple[list[str], NDArray[np.intp]]:
    if isinstance(column.dtype, pd.CategoricalDtype):  # the order that the user gave
        found = [label_text(value) for value in column.cat.categories]
        return found, column.cat.codes.to_numpy().astype(np.intp)
    code, values = pd.factorize(column, sort=True)
    return [label_text(value) for value in values], code.astype(np.intp)


def _cut(
    name: str, column: pd.Series, edges: Sequence[float] | None, n_bands: int
) -> tuple[list[str], NDArray[np.intp]]:
    values = read_numbers(column, name)
    known = values[np.isfinite(values)]
    if edges is not None:
        at = np.asarray(edges, dtype=np.float64)
        if not at.size or (np.diff(at) <= 0).any():
            raise SpecError(f"The edges of the bands of {name!r} must rise; got {tuple(edges)}.")
        between = [f"{low:g} to <{high:g}" for low, high in pairwise(at)]
        labels = [f"<{at[0]:g}", *between, f"≥{at[-1]:g}"]
    else:
        inner = np.linspace(0, 1, n_bands + 1)[1:-1]
        at = np.unique(np.quantile(known, inner, method="inverted_cdf"))
        at = at[at > known.min()]
        band = np.searchsorted(at, known, side="right")
        labels = [_range(known[band == k]) for k in range(at.size + 1)]
    code = np.searchsorted(at, values, side="right").astype(np.intp)
    return labels, np.where(np.isfinite(values), code, -1)


def _range(values: NDArray[np.float64]) -> str:
    low, high = values.min(), values.max()
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
