"""The one place where draws become means, intervals and probabilities."""

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Level

__all__ = ["DEFAULT_LEVEL", "check_level", "flatten_draws", "interval", "summarize_draws"]

DEFAULT_LEVEL = 0.95
"""Probability of every interval unless the caller says otherwise."""


def check_level(level: Level) -> None:
    """Raise a :class:`SpecError` unless ``level`` is a probability strictly between 0 and 1."""
    check_arguments(check_level, locals())


def flatten_draws(draws: xr.DataArray) -> NDArray[np.floating]:
    """Return draws as (unit, draw), one contiguous row of all chains per unit.

    Parameters
    ----------
    draws : (chain, draw, unit) or (chain, draw)

    Returns
    -------
    (unit, chain * draw); one row where the draws are of a single quantity
    """
    units = [dim for dim in draws.dims if dim not in ("chain", "draw")]
    values = draws.transpose(*units, "chain", "draw").to_numpy()
    return np.ascontiguousarray(values).reshape(-1, draws.sizes["chain"] * draws.sizes["draw"])


def interval(
    draws: NDArray[np.floating], *, level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Equal-tailed interval of each row of draws.

    Parameters
    ----------
    draws : (unit, draw)
    level : probability in (0, 1)

    Returns
    -------
    lower, upper : (unit,), quantiles (1 - level) / 2 and (1 + level) / 2 (linear, type 7)
    """
    check_level(level)
    tail = (1.0 - level) / 2.0
    lower, upper = np.quantile(draws, [tail, 1.0 - tail], axis=1)
    return lower.astype(np.float64), upper.astype(np.float64)


def summarize_draws(draws: xr.DataArray, *, level: float) -> pd.DataFrame:
    """One row per unit: posterior mean, sd and equal-tailed interval.

    Parameters
    ----------
    draws : (chain, draw, unit)
    level : probability in (0, 1)

    Returns
    -------
    DataFrame indexed by unit with columns ``mean, sd, lower, upper``
    """
    unit = next(dim for dim in draws.dims if dim not in ("chain", "draw"))
    rows = flatten_draws(draws)
    lower, upper = interval(rows, level=level)
    return pd.DataFrame(
        {
            "mean": rows.mean(axis=1, dtype=np.float64),
            "sd": rows.std(axis=1, ddof=1, dtype=np.float64),
            "lower": lower,
            "upper": upper,
        },
        index=pd.Index(draws[unit].to_numpy(), name=str(unit)),
    )
