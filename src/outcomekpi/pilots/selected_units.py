"""Doctors or hospitals that were picked because their results were worst."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, ndtr

from outcomekpi.errors import CasesError, SpecError, check_choice
from outcomekpi.pilots.estimates import Estimate
from outcomekpi.pilots.regression_result import RegressionToMean
from outcomekpi.pilots.selected_normal import Side, sign_of
from outcomekpi.pilots.unit_prediction import (
    UnitResults,
    check_others,
    predict_unit_means,
    predict_unit_rates,
    read_units,
)

__all__ = ["correct_unit_selection", "expect_worst_units", "replay_selection"]

Array = NDArray[np.float64]


def expect_worst_units(
    n_units: int, n_chosen: int, *, sd: float, reliability: float, side: Side = "below"
) -> float:
    """Mean change, with no program, of the units whose baseline results were most extreme.

    Parameters
    ----------
    n_units : that were compared
    n_chosen : of them, the most extreme
    sd : between units of the observed results
    reliability : of a result: share of its variance that lies between true results
    side : "below" where the lowest results were picked, "above" where the highest were

    Raises
    ------
    SpecError
        More units chosen than there are, a reliability outside [0, 1], a negative sd.

    Notes
    -----
    (1 - R) sd e, e the expected mean of the n_chosen highest of n_units standard normals, n / k
    times the integral of x phi(x) P(Bin(n - 1, 1 - Phi(x)) < k). Exact for normal results of like
    reliability; of the worst share q of many units, e = phi(z_q) / q.

    Examples
    --------
    >>> from outcomekpi import expect_worst_units
    >>> round(expect_worst_units(40, 10, sd=5.0, reliability=0.6), 2)
    2.48
    """
    check_choice("side", side, ("above", "below"))
    if not 1 <= n_chosen <= n_units:
        raise SpecError(f"n_chosen must lie between 1 and n_units ({n_units}); got {n_chosen!r}.")
    if not 0 <= reliability <= 1:
        raise SpecError(f"reliability must lie between 0 and 1; got {reliability!r}.")
    if not sd >= 0:
        raise SpecError(f"sd must not be negative; got {sd!r}.")
    if n_chosen == n_units:
        return 0.0
    x = np.linspace(-10, 10, 4001)
    density = np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
    among = betainc(n_units - n_chosen, n_chosen, ndtr(x))
    extreme = n_units / n_chosen * float(np.sum(x * density * among)) * (x[1] - x[0])
    return float(-sign_of(side) * (1 - reliability) * sd * extreme)


def correct_unit_selection(
    before: ArrayLike,
    after: ArrayLike,
    *,
    chosen: ArrayLike,
    before_trials: ArrayLike | None = None,
    after_trials: ArrayLike | None = None,
    before_se: ArrayLike | None = None,
    after_se: ArrayLike | None = None,
    unit: str = "units of the outcome",
    draws: int = 4000,
    rng: np.random.Generator,
) -> RegressionToMean:
    """Effect on units that were picked for their results, less what they would have changed anyway.

    Parameters
    ----------
    before : (unit,), results of *all* units that were compared: events with ``before_trials``, or
        means with ``before_se``
    after : (unit,), the same afterwards; nan for units not chosen whose follow-up nobody has
    chosen : (unit,), True for the units that entered the program
    before_trials, after_trials : (unit,), cases behind the events
    before_se, after_se : (unit,), standard errors of the means
    unit : of the means, for the words; events give percentage points
    draws : of the corrected effect
    rng : of everything random

    Raises
    ------
    CasesError
        Arrays that do not fit together, missing values, fewer than 4 units, none or all chosen.
    SpecError
        Neither trials nor standard errors, or both.

    Notes
    -----
    Empirical Bayes with the uncertainty of its prior: events x_j ~ Bin(n_j, p_j), p_j ~ Beta(m v,
    (1 - m) v), m uniform and 1 / sqrt(1 + v) uniform; means y_j ~ N(t_j, se_j²), t_j ~ N(m, w²),
    m and w flat. Given all results, it does not matter how the chosen ones were picked from them.
    Corrected: mean over the chosen of the observed follow-up less a draw of the follow-up with no
    program; every unit counts alike.

    References
    ----------
    Efron & Morris (1975), Journal of the American Statistical Association 70 (shrinkage).

    Examples
    --------
    >>> import numpy as np, outcomekpi as ok
    >>> rng = np.random.default_rng(1)
    >>> p, n = rng.beta(40, 60, size=60), np.full(60, 50)
    >>> before, after = rng.binomial(50, p), rng.binomial(50, p)
    >>> ok.correct_unit_selection(before, after, chosen=before <= 15, before_trials=n,
    ...     after_trials=n, rng=rng).to_frame().shape
    (3, 3)
    """
    units = read_units(
        before,
        after,
        chosen=chosen,
        before_trials=before_trials,
        after_trials=after_trials,
        before_se=before_se,
        after_se=after_se,
    )
    if units.is_counts:
        prediction, expected = predict_unit_rates(units, draws=draws, rng=rng)
    else:
        prediction, expected = predict_unit_means(units, draws=draws, rng=rng)
    points = 100.0 if units.is_counts else 1.0
    words = "percentage points" if units.is_counts else unit
    picked = units.chosen
    truth = expected[:, picked].mean(axis=1) - units.before[picked].mean()
    corrected = units.after[picked].mean() - prediction[:, picked].mean(axis=1)
    return RegressionToMean(
        expected=float(points * truth.mean()),
        expected_draws=points * truth,
        expected_after=points * expected.mean(axis=0),
        naive=_naive_change(units, points, words),
        corrected=points * corrected,
        unit=words,
        method="shrinkage of all units",
        assumptions=(
            "Nothing but the program changed the units' true results.",
            "The units were picked by these results alone, among all the units given here.",
            _SHAPES[units.is_counts],
        ),
        checks=check_others(units, prediction, points),
    )


_SHAPES = {
    True: "True rates are beta distributed over units.",
    False: "True results are normal over units, and the standard errors are right.",
}


def _naive_change(units: UnitResults, points: float, words: str) -> Estimate:
    change = points * (units.after - units.before)[units.chosen]
    several = change.size > 1
    return Estimate(
        name="observed change",
        unit=words,
        value=float(change.mean()),
        se=float(change.std(ddof=1) / np.sqrt(change.size)) if several else None,
        degrees_of_freedom=max(change.size - 1, 1),
        origin=f"t, {change.size} units" if several else "one unit, no interval",
    )


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
