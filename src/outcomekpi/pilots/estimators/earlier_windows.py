"""What the worst units did when the same pick is made in earlier windows, with no program."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from outcomekpi.declare.alignment import align
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import CasesError, SpecError, check_choice
from outcomekpi.declare.fields import Count
from outcomekpi.pilots.estimators.regression_result import RegressionToMean
from outcomekpi.pilots.estimators.selected_normal import Side, sign_of
from outcomekpi.pilots.ladder.estimates import Estimate

__all__ = ["Alike", "replay_selection"]

Alike = Literal["difference", "ratio", "odds"]
"""On which scale what moves all units moves them alike."""
Array = NDArray[np.float64]
FEWEST = 2
"""Units not chosen whose follow-up is needed to take off what moved all units."""
EDGE = 1e-9


def replay_selection(
    windows: ArrayLike,
    after: ArrayLike,
    *,
    n_chosen: Count,
    side: Side = "below",
    alike: Alike = "difference",
    unit: str = "units of the outcome",
    draws: Count = 4000,
    rng: np.random.Generator,
) -> RegressionToMean:
    """Effect on the worst units, less the change of the worst when the same pick is made earlier.

    Parameters
    ----------
    windows : (unit, window), results of all units before the program in windows of the length of
        the follow-up, oldest first; the last one selected, at least one more is needed
    after : (unit,), the follow-up; nan for units not chosen whose follow-up nobody has
    n_chosen : most extreme units of the last window that entered the program
    side : "below" where the lowest were picked, "above" where the highest were
    alike : what moves all units, such as a winter, adds the same "difference" to each, the same
        "ratio" (positive results), or the same to the log "odds" (rates from 0 to 1)
    unit : of the results, for the words
    draws : of the bootstrap over units
    rng : of everything random

    Raises
    ------
    CasesError
        Fewer than two windows, missing values, fewer than 4 units, a follow-up that is missing
        for a chosen unit.
    SpecError
        A wrong side or number of chosen units, or a scale that does not hold the results.

    Notes
    -----
    Expected: mean over earlier windows t of the change from t to t + 1 of the n_chosen most
    extreme in t less that of the other units, plus the change of the others from the last window to
    the follow-up: whatever moves all units alike in a window, a trend or a winter, cancels. Where
    fewer than two others have a follow-up, only a steady trend does. Nothing is assumed about
    distributions or about how fast true results move. Draws: units are resampled and both picks
    repeated; deviations from the estimate are stretched by sqrt(n_chosen / (n_chosen - 1)). The
    change of the others is g(mean after) - g(mean before), g the identity, log or logit, and moves
    the mean of the chosen on that scale: a winter that multiplies all rates moves extreme units by
    more points, or by fewer.

    References
    ----------
    Joshi et al. (2019), JAMA Internal Medicine 179, doi:10.1001/jamainternmed.2019.1004.

    Examples
    --------
    >>> import numpy as np, outcomekpi as ok
    >>> rng = np.random.default_rng(1)
    >>> results = rng.normal(50, 5, size=(80, 1)) + rng.normal(0, 5, size=(80, 4))
    >>> ok.replay_selection(results[:, :3], results[:, 3], n_chosen=20, rng=rng).method
    'the same pick in 2 earlier windows, less what moved the others'
    """
    check_arguments(replay_selection, locals())
    windows, after = align(windows=windows, after=after)
    table = np.asarray(windows, dtype=np.float64)
    follow_up = np.asarray(after, dtype=np.float64)
    _check_windows(table, follow_up, n_chosen)
    _check_scale(np.column_stack([table, follow_up]), alike)
    sign = sign_of(side)
    whole = np.column_stack([table, follow_up])
    picked = _most_extreme(table[:, -1], n_chosen, sign)
    if not np.isfinite(follow_up[picked]).all():
        missing = int((~np.isfinite(follow_up[picked])).sum())
        raise CasesError(f"after is missing for {missing} of the {n_chosen} chosen units.")
    others = np.ones(len(whole), dtype=np.bool_)
    others[picked] = False
    by_others = int(np.isfinite(follow_up[others]).sum()) >= FEWEST
    scale = alike if by_others else None
    found = _replay(whole[None], n_chosen, sign, alike=scale)
    expected, observed = (float(one[0]) for one in found)
    resampled = np.empty((draws, 2))
    block = max(1, 1_000_000 // whole.size)
    for start in range(0, draws, block):
        rows = rng.integers(0, len(whole), (min(block, draws - start), len(whole)))
        found = _replay(whole[rows], n_chosen, sign, alike=scale)
        resampled[start : start + block] = np.column_stack(found)
    stretch = np.sqrt(n_chosen / max(n_chosen - 1, 1))
    spread = stretch * (resampled - resampled.mean(axis=0))
    change = (follow_up - table[:, -1])[picked]
    return RegressionToMean(
        expected=expected,
        expected_draws=expected + spread[:, 0],
        naive=Estimate(
            name="observed change",
            unit=unit,
            value=observed,
            se=float(change.std(ddof=1) / np.sqrt(n_chosen)) if n_chosen > 1 else None,
            degrees_of_freedom=max(n_chosen - 1, 1),
            origin=f"t, {n_chosen} units",
        ),
        corrected=observed - expected + spread[:, 1] - spread[:, 0],
        unit=unit,
        method=f"the same pick in {table.shape[1] - 1} earlier windows"
        + (", less what moved the others" if by_others else ""),
        assumptions=(
            "Units differ and waver as they did before; what moved the others moved the chosen "
            "alike."
            if by_others
            else "Units differ and waver as they did before; a trend goes on at its pace, and no "
            "window is special.",
            "The units were picked by the last window alone, among all the units given here.",
        ),
    )


def _replay(
    whole: Array, n_chosen: int, sign: float, *, alike: Alike | None
) -> tuple[Array, Array]:
    """Mean change to expect after the last pick, and the one that was observed.

    Parameters
    ----------
    whole : (sample, unit, window)
    alike : scale on which the change of the units not picked is taken off in each window, and put
        back as it was in the last; None leaves it

    Returns
    -------
    expected, last : (sample,)
    """
    changes, moved = [], []
    for window in range(whole.shape[2] - 1):
        picked = _most_extreme(whole[:, :, window], n_chosen, sign)
        now, later = whole[:, :, window].copy(), whole[:, :, window + 1].copy()
        now[~np.isfinite(later)] = np.nan
        first, then = (
            _mean_of_known(np.take_along_axis(one, picked, axis=1)) for one in (now, later)
        )
        changes.append(then - first)
        if alike is not None:
            for one in (now, later):
                np.put_along_axis(one, picked, np.nan, axis=1)
            moved.append(_move(first, _mean_of_known(now), _mean_of_known(later), alike) - first)
    if alike is None:
        return np.asarray(np.mean(changes[:-1], axis=0)), changes[-1]
    own = np.mean([one - all_ for one, all_ in zip(changes[:-1], moved[:-1], strict=True)], axis=0)
    return np.asarray(own + moved[-1]), changes[-1]


def _move(level: Array, before: Array, after: Array, alike: Alike) -> Array:
    """Level moved as the others moved from before to after."""
    if alike == "difference":
        return level + after - before
    low, high = (EDGE, np.inf) if alike == "ratio" else (EDGE, 1.0 - EDGE)
    level, before, after = (np.clip(one, low, high) for one in (level, before, after))
    if alike == "ratio":
        return np.asarray(level * after / before)
    return np.asarray(expit(logit(level) + logit(after) - logit(before)))


def _mean_of_known(values: Array) -> Array:
    """Mean of each row over what is known; a sample without any has the mean of the samples."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    rest = total.sum() / max(int(count.sum()), 1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), rest))


def _most_extreme(values: Array, n_chosen: int, sign: float) -> NDArray[np.int64]:
    return np.argsort(-sign * values, axis=-1, kind="stable")[..., :n_chosen]


def _check_scale(whole: Array, alike: Alike) -> None:
    check_choice("alike", alike, get_args(Alike))
    known = whole[np.isfinite(whole)]
    if alike == "ratio" and known.min() < 0:
        raise SpecError(f"alike='ratio' needs results from 0; the smallest is {known.min():g}.")
    if alike == "odds" and not 0 <= known.min() <= known.max() <= 1:
        raise SpecError(
            f"alike='odds' needs rates from 0 to 1; results run from {known.min():g} to "
            f"{known.max():g}."
        )


def _check_windows(table: Array, follow_up: Array, n_chosen: int) -> None:
    if table.ndim != 2 or table.shape[1] < 2:
        raise CasesError(
            "windows must be (unit, window) with at least two windows before the program: one that "
            "selected and one before it. With a single one: correct_unit_selection."
        )
    if follow_up.shape != table.shape[:1]:
        raise CasesError(f"after must have {len(table)} values; got shape {follow_up.shape}.")
    if not np.isfinite(table).all():
        raise CasesError(
            f"windows must not have missing values; {int((~np.isfinite(table)).sum())} are. Leave "
            "out the units that were not there in every window."
        )
    if len(table) < 4:
        raise CasesError(f"The worst can be picked of at least 4 units; there are {len(table)}.")
    if not 1 <= n_chosen < len(table):
        raise SpecError(
            f"n_chosen must lie between 1 and {len(table) - 1}, for {len(table)} units; got "
            f"{n_chosen!r}."
        )
