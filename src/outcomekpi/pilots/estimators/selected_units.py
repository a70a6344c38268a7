"""Doctors or hospitals that were picked because their results were worst."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, ndtr

from outcomekpi.declare.alignment import align
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Count, Positive, Share
from outcomekpi.pilots.estimators.regression_result import RegressionToMean
from outcomekpi.pilots.estimators.selected_normal import Side, sign_of
from outcomekpi.pilots.estimators.unit_prediction import (
    UnitResults,
    predict_unit_means,
    predict_unit_rates,
    read_units,
)
from outcomekpi.pilots.estimators.unit_shift import check_shift, follow_others
from outcomekpi.pilots.ladder.estimates import Estimate

__all__ = ["correct_unit_selection", "expect_worst_units"]

Array = NDArray[np.float64]


def expect_worst_units(
    n_units: Count, n_chosen: Count, *, sd: Positive, reliability: Share, side: Side = "below"
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
    check_arguments(expect_worst_units, locals())
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
    draws: Count = 4000,
    rng: np.random.Generator,
) -> RegressionToMean:
    """Effect on units that were picked for their results, less what they would have changed anyway.

    What all units did in the same time, such as a winter or a trend, is taken off too, as far as
    the units that were not chosen show it.

    Parameters
    ----------
    before : (unit,), results of *all* units that were compared: events with ``before_trials``, or
        means with ``before_se``
    after : (unit,), the same afterwards; nan for units not chosen whose follow-up nobody has. With
        fewer than two others known, nothing tells a trend or a season from the program
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
    program; every unit counts alike. That follow-up is moved by what moved the units not chosen
    (log odds of rates, means), and units that move by themselves widen the interval: see
    :func:`~outcomekpi.pilots.estimators.unit_shift.follow_others`.

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
    check_arguments(correct_unit_selection, locals())
    before, after, chosen, before_trials, after_trials, before_se, after_se = align(
        before=before,
        after=after,
        chosen=chosen,
        before_trials=before_trials,
        after_trials=after_trials,
        before_se=before_se,
        after_se=after_se,
    )
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
    shift = follow_others(units, prediction, expected, rng=rng)
    checks = check_shift(units, shift, expected, 100.0 if units.is_counts else 1.0)
    wander = np.zeros(draws)
    if shift is not None:
        prediction, expected, wander = shift.prediction, shift.expected, shift.wander
    points = 100.0 if units.is_counts else 1.0
    words = "percentage points" if units.is_counts else unit
    picked = units.chosen
    truth = expected[:, picked].mean(axis=1) - units.before[picked].mean()
    corrected = units.after[picked].mean() - prediction[:, picked].mean(axis=1) + wander
    return RegressionToMean(
        expected=float(points * truth.mean()),
        expected_draws=points * truth,
        expected_after=points * expected.mean(axis=0),
        naive=_naive_change(units, points, words),
        corrected=points * corrected,
        unit=words,
        method="shrinkage of all units"
        + (", less what moved the others" if shift is not None else ""),
        assumptions=(
            _MOVES[shift is not None],
            "The units were picked by these results alone, among all the units given here.",
            _SHAPES[units.is_counts],
        ),
        checks=checks,
    )


_MOVES = {
    True: "What moved the units that were not chosen moved the chosen ones alike.",
    False: "Nothing but the program changed the units' true results.",
}
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
