"""Summaries that are asked for again: each is computed once for a result and its arguments."""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

__all__ = ["remembered"]


def remembered[**P, R](compute: Callable[P, R]) -> Callable[P, R]:
    """Compute a function of a frozen result once for each set of other arguments.

    The first argument is the result: what is remembered goes with it. Results never change, and
    tables and arrays are handed out as copies, so that nobody can change what others get.

    Parameters
    ----------
    compute : function or method whose first argument can be referred to weakly, the others hashed

    Examples
    --------
    >>> class Result: ...
    >>> @remembered
    ... def total(result, *, level):
    ...     print("computed")
    ...     return level
    >>> one = Result()
    >>> [total(one, level=0.9), total(one, level=0.9)]
    computed
    [0.9, 0.9]
    """
    arguments = signature(compute)
    known: WeakKeyDictionary[Any, dict[Any, R]] = WeakKeyDictionary()

    @wraps(compute)
    def look_up(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = arguments.bind(*args, **kwargs)
            given.apply_defaults()
            key = (*given.args[1:], *given.kwargs.items())
            of_result = known.setdefault(args[0], {})
            found = key in of_result
        except TypeError:  # an argument of a wrong kind: the function itself says so
            return compute(*args, **kwargs)
        if not found:
            of_result[key] = compute(*args, **kwargs)
        copied: R = _copied(of_result[key])
        return copied

    return look_up


def _copied(value: Any) -> Any:
    if isinstance(value, pd.DataFrame | np.ndarray):
        return value.copy()
    if isinstance(value, tuple):
        return tuple(_copied(part) for part in value)
    return value
