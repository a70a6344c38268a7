"""Arrays with labels: several of them are put in the order of the first, never by position."""

from typing import Any

import pandas as pd

from outcomekpi.declare.errors import SpecError

__all__ = ["align"]

SHOWN = 3


def align(**arrays: Any) -> tuple[Any, ...]:
    """Return the arrays, those with an index in the order of the first that has one.

    Parameters
    ----------
    arrays : by name; a pandas Series or DataFrame has an index, anything else counts by position

    Returns
    -------
    The arrays in the order in which they were given

    Raises
    ------
    SpecError
        Two indexes that do not hold the same labels, or whose order cannot be told because a label
        comes twice.

    Examples
    --------
    >>> observed = pd.Series([22, 8], index=["A", "B"])
    >>> expected = pd.Series([10.0, 15.0], index=["B", "A"])
    >>> align(observed=observed, expected=expected)[1].tolist()
    [15.0, 10.0]
    """
    labelled = [name for name, one in arrays.items() if isinstance(one, pd.Series | pd.DataFrame)]
    for name in labelled[1:]:
        first = arrays[labelled[0]].index
        if not arrays[name].index.equals(first):
            _check_labels(labelled[0], first, name, arrays[name].index)
            arrays[name] = arrays[name].loc[first]
    return tuple(arrays.values())


def _check_labels(one: str, first: pd.Index, other: str, second: pd.Index) -> None:
    for name, index in ((one, first), (other, second)):
        if not index.is_unique:
            twice = index[index.duplicated()][0]
            raise SpecError(
                f"{one} and {other} have different indexes, and {name} has the label {twice!r} "
                "more than once: nothing tells which rows belong together. Give every row a label "
                "of its own, or pass arrays in the same order (to_numpy())."
            )
    alone = {one: first.difference(second, sort=False), other: second.difference(first, sort=False)}
    if any(len(labels) for labels in alone.values()):
        said = "; ".join(
            f"{len(labels):,} only in {name} ({', '.join(map(repr, labels[:SHOWN].tolist()))}"
            f"{', ...' if len(labels) > SHOWN else ''})"
            for name, labels in alone.items()
            if len(labels)
        )
        raise SpecError(
            f"{one} and {other} must have the same labels, since they are put together by them; "
            f"{said}. Choose the same rows of both, or pass arrays in the same order (to_numpy())."
        )
