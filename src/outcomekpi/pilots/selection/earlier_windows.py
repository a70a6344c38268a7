"""What the worst units did when the same pick is made in earlier windows, with no program."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from outcomekpi.errors import CasesError, SpecError, check_choice
from outcomekpi.pilots.estimates import Estimate
from outcomekpi.pilots.selection.regression_result import RegressionToMean
from outcomekpi.pilots.selection.selected_normal import Side, sign_of

__all__ = ["replay_selection"]

Array = NDArray[np.float64]


def replay_selection(
    windows: ArrayLike,
    after: ArrayLike,
    *,
    n_chosen: int,
    side: Side = "below",
    unit: str = "units of the outcome",
    draws: int = 4000,
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
    unit : of the results, for the words
    draws : of the bootstrap over units
    rng : of everything random

    Raises
    ------
    CasesError
        Fewer than two windows, missing values, fewer than 4 units, a follow-up that is missing
        for a chosen unit.
    SpecError
        A wrong side or number of chosen units.

    Notes
    -----
    Expected: mean over earlier windows t of the change from t to t + 1 of the n_chosen most
    extreme in t. Nothing is assumed about distributions or about how fast true results move, and a
    steady trend cancels. Draws: units are resampled and both picks repeated; deviations from the
    estimate are stretched by sqrt(n_chosen / (n_chosen - 1)).

    References
    ----------
    Joshi et al. (2019), JAMA Internal Medicine 179, doi:10.1001/jamainternmed.2019.1004.

    Examples
    --------
    >>> import numpy as np, outcomekpi as ok
    >>> rng = np.random.default_rng(1)
    >>> results = rng.normal(50, 5, size=(80, 1)) + rng.normal(0, 5, size=(80, 4))
    >>> ok.replay_selection(results[:, :3], results[:, 3], n_chosen=20, rng=rng).method
    'the same pick in 2 earlier windows'
    """
    check_choice("side", side, ("above", "below"))
    table = np.asarray(windows, dtype=np.float64)
    follow_up = np.asarray(after, dtype=np.float64)
    _check_windows(table, follow_up, n_chosen)
    sign = sign_of(side)
    whole = np.column_stack([table, follow_up])
    picked = _most_extreme(table[:, -1], n_chosen, sign)
    if not np.isfinite(follow_up[picked]).all():
        missing = int((~np.isfinite(follow_up[picked])).sum())
        raise CasesError(f"after is missing for {missing} of the {n_chosen} chosen units.")
    expected, observed = (float(one[0]) for one in _replay(whole[None], n_chosen, sign))
    resampled = np.empty((draws, 2))
    block = max(1, 1_000_000 // whole.size)
    for start in range(0, draws, block):
        rows = rng.integers(0, len(whole), (min(block, draws - start), len(whole)))
        resampled[start : start + block] = np.column_stack(_replay(whole[rows], n_chosen, sign))
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
        method=f"the same pick in {table.shape[1] - 1} earlier windows",
        assumptions=(
            "Units differ and waver as they did before; a trend goes on at its pace.",
            "The units were picked by the last window alone, among all the units given here.",
        ),
    )


def _replay(whole: Array, n_chosen: int, sign: float) -> tuple[Array, Array]:
    """Mean change after each pick, over the earlier windows and over the last.

    Parameters
    ----------
    whole : (sample, unit, window)

    Returns
    -------
    earlier, last : (sample,)
    """
    changes = []
    for window in range(whole.shape[2] - 1):
        picked = _most_extreme(whole[:, :, window], n_chosen, sign)
        gained = whole[:, :, window + 1] - whole[:, :, window]
        changes.append(np.nanmean(np.take_along_axis(gained, picked, axis=1), axis=1))
    return np.asarray(np.mean(changes[:-1], axis=0)), changes[-1]


def _most_extreme(values: Array, n_chosen: int, sign: float) -> NDArray[np.int64]:
    return np.argsort(-sign * values, axis=-1, kind="stable")[..., :n_chosen]


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
