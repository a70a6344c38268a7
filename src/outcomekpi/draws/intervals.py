"""The one place where draws become means, intervals and probabilities."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.special import stdtrit

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Level
from outcomekpi.draws.threads import in_threads

__all__ = [
    "DEFAULT_LEVEL",
    "check_level",
    "flatten_draws",
    "interval",
    "summarize_draws",
    "t_reach",
]

DEFAULT_LEVEL = 0.95
"""Probability of every interval unless the caller says otherwise."""
MOST_DEGREES = 1e9

Work = Callable[[NDArray[np.floating]], NDArray[np.floating]]
BLOCK_NUMBERS = 1 << 20  # draws sorted at once: threads share the work, copies stay small


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
    lower, upper = _by_blocks(draws, lambda rows: np.quantile(rows, [tail, 1.0 - tail], axis=1))
    return lower, upper


def _by_blocks(draws: NDArray[np.floating], work: Work) -> NDArray[np.float64]:
    """Summarize rows block by block in threads: (summary, unit)."""
    step = max(1, BLOCK_NUMBERS // max(draws.shape[1], 1))
    blocks = [draws[first : first + step] for first in range(0, len(draws), step)] or [draws]
    return np.concatenate(in_threads(work, blocks), axis=1, dtype=np.float64)


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
    mean, sd = _by_blocks(rows, _mean_and_sd)
    return pd.DataFrame(
        {
            "mean": mean,
            "sd": sd,
            "lower": lower,
            "upper": upper,
        },
        index=pd.Index(draws[unit].to_numpy(), name=str(unit)),
    )


def _mean_and_sd(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.array(
        [rows.mean(axis=1, dtype=np.float64), rows.std(axis=1, ddof=1, dtype=np.float64)]
    )


def t_reach(degrees: NDArray[np.floating] | float, *, level: float) -> NDArray[np.float64]:
    """Half-width of an interval by Student's t distribution, in standard errors.

    Parameters
    ----------
    degrees : any shape, degrees of freedom; infinite for the normal distribution
    level : probability in (0, 1)

    Returns
    -------
    of the shape of ``degrees``: the quantile (1 + level) / 2
    """
    # infinitely many have no quantile here; a billion share nine digits with the normal
    return np.asarray(stdtrit(np.minimum(degrees, MOST_DEGREES), 0.5 + level / 2.0))
