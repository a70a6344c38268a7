"""Scientific Registry of Transplant Recipients: gamma posterior of a hazard ratio, and its flag."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincc, gammaincinv

from outcomekpi.awards.rules import CycleResults
from outcomekpi.declare.alignment import align
from outcomekpi.declare.checking import check_arguments, check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Count, Level, Positive, Probability
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.programs.bars import (
    Floats,
    as_counts,
    check_cycles,
)

__all__ = ["SrtrRule", "srtr_flag", "srtr_hazard_ratio", "srtr_probability", "srtr_tiers"]

SHAPE = RATE = 2.0
"""Gamma prior of the hazard ratio: mean 1, SD .71."""


def srtr_hazard_ratio(
    observed: ArrayLike,
    expected: ArrayLike,
    *,
    prior_shape: Positive = SHAPE,
    prior_rate: Positive = RATE,
) -> Floats:
    """Posterior mean hazard ratio of a program, drawn toward 1 where little is expected.

    Parameters
    ----------
    observed : (...,), events seen
    expected : (...,), events expected of an average program with the same patients
    prior_shape : shape of the gamma prior
    prior_rate : its rate

    Returns
    -------
    (...,), hazard ratio; above 1 is worse than average

    Raises
    ------
    CasesError
        A number is negative or missing.

    Notes
    -----
    O | λ ~ Poisson(λE), λ ~ Gamma(2, 2), so that λ | O ~ Gamma(O + 2, E + 2).

    References
    ----------
    Salkowski, Snyder, Zaun et al. (2014), American Journal of Transplantation 14 [K].

    Examples
    --------
    >>> from outcomekpi import programs
    >>> float(programs.srtr_hazard_ratio(10, 6))
    1.5
    """
    check_arguments(srtr_hazard_ratio, locals())
    observed, expected = align(observed=observed, expected=expected)
    shape, rate = _posterior(observed, expected, prior_shape, prior_rate)
    return np.asarray(shape / rate)


def srtr_probability(
    observed: ArrayLike,
    expected: ArrayLike,
    *,
    beyond: ArrayLike,
    prior_shape: Positive = SHAPE,
    prior_rate: Positive = RATE,
) -> Floats:
    """Posterior probability that the hazard ratio lies above a value.

    Parameters
    ----------
    observed : (...,), events seen
    expected : (...,), events expected
    beyond : (...,), hazard ratio
    prior_shape : shape of the gamma prior
    prior_rate : its rate

    Returns
    -------
    (...,), probability

    Raises
    ------
    CasesError
        A number is negative or missing.

    Notes
    -----
    P(λ > h | O) = Q(O + 2, (E + 2) h), the upper regularized incomplete gamma function.

    References
    ----------
    As for :func:`srtr_hazard_ratio`.

    Examples
    --------
    >>> from outcomekpi import programs
    >>> round(float(programs.srtr_probability(10, 6, beyond=1.2)), 3)
    0.741
    """
    check_arguments(srtr_probability, locals())
    observed, expected, beyond = align(observed=observed, expected=expected, beyond=beyond)
    shape, rate = _posterior(observed, expected, prior_shape, prior_rate)
    return np.asarray(gammaincc(shape, rate * as_counts("beyond", beyond)))


def srtr_flag(
    observed: ArrayLike,
    expected: ArrayLike,
    *,
    raised: Positive = 1.2,
    raised_probability: Probability = 0.75,
    extreme: Positive = 2.5,
    extreme_probability: Probability = 0.10,
    prior_shape: Positive = SHAPE,
    prior_rate: Positive = RATE,
) -> NDArray[np.bool_]:
    """Whether a program is flagged for review: probably worse, or possibly much worse.

    Parameters
    ----------
    observed : (...,), events seen
    expected : (...,), events expected
    raised : hazard ratio that a program is probably above
    raised_probability : probability that this takes
    extreme : hazard ratio that a program is possibly above
    extreme_probability : probability that this takes
    prior_shape : shape of the gamma prior
    prior_rate : its rate

    Returns
    -------
    (...,), True where flagged

    Raises
    ------
    SpecError
        The two ratios are crossed, or a probability is none.
    CasesError
        A number is negative or missing.

    Notes
    -----
    P(λ > 1.2) > .75 or P(λ > 2.5) > .10.

    References
    ----------
    Rule of the Membership and Professional Standards Committee, as given in a letter on
    Salkowski et al. (2014), American Journal of Transplantation.

    Examples
    --------
    >>> from outcomekpi import programs
    >>> programs.srtr_flag([3, 10, 12], 6.0).tolist()
    [False, False, True]
    """
    check_arguments(srtr_flag, locals())
    observed, expected = align(observed=observed, expected=expected)
    if raised >= extreme:
        raise SpecError(f"raised must lie below extreme; got {raised!r} and {extreme!r}.")
    shape, rate = _posterior(observed, expected, prior_shape, prior_rate)
    probably = gammaincc(shape, rate * raised) > raised_probability
    return np.asarray(probably | (gammaincc(shape, rate * extreme) > extreme_probability))


def srtr_tiers(
    observed: ArrayLike,
    expected: ArrayLike,
    *,
    cuts: tuple[Positive, ...],
    level: Level = DEFAULT_LEVEL,
    prior_shape: Positive = SHAPE,
    prior_rate: Positive = RATE,
) -> pd.DataFrame:
    """Tier of each program by its hazard ratio, with the probability of every tier.

    Parameters
    ----------
    observed : (program,), events seen; a Series keeps its index
    expected : (program,), events expected
    cuts : hazard ratios between tiers, ascending; four make five tiers
    level : probability of the interval
    prior_shape : shape of the gamma prior
    prior_rate : its rate

    Returns
    -------
    DataFrame, one row per program: ``mean, lower, upper`` of the hazard ratio, ``tier`` of the
    mean (1 worst … 5 best; at a cut the better one), ``p_1 … p_5`` and ``p_wrong`` (any tier but
    the assigned)

    Raises
    ------
    SpecError
        Cuts that are not positive and ascending.
    CasesError
        A number is negative or missing.

    Notes
    -----
    The registry assigns its five tiers by a score of this posterior whose constants we could not
    verify; the cuts are therefore an argument without default.

    References
    ----------
    Wey, Salkowski, Kasiske, Israni & Snyder (2018), Health Services Research 53: five tiers.

    Examples
    --------
    >>> from outcomekpi import programs
    >>> programs.srtr_tiers([3, 10], [6, 6], cuts=(.6, .85, 1.15, 1.6))["tier"].tolist()
    [4, 2]
    """
    check_arguments(srtr_tiers, locals())
    observed, expected = align(observed=observed, expected=expected)
    bars = np.asarray(cuts, dtype=np.float64)
    if bars.size == 0 or (np.diff(bars) <= 0).any():
        raise SpecError(f"cuts must be positive hazard ratios in ascending order; got {cuts!r}.")
    shape, rate = (
        np.atleast_1d(x) for x in _posterior(observed, expected, prior_shape, prior_rate)
    )
    shape, rate = np.broadcast_arrays(shape, rate)
    above = gammaincc(shape[:, None], rate[:, None] * bars)
    edges = np.concatenate([np.ones((len(shape), 1)), above, np.zeros((len(shape), 1))], axis=1)
    probability = -np.diff(edges, axis=1)[:, ::-1]
    mean = shape / rate
    tier = bars.size + 1 - np.searchsorted(bars, mean, side="left")
    tail = (1 - level) / 2
    frame = pd.DataFrame(
        {
            "mean": mean,
            "lower": gammaincinv(shape, tail) / rate,
            "upper": gammaincinv(shape, 1 - tail) / rate,
            "tier": tier,
        },
        index=observed.index if isinstance(observed, pd.Series) else None,
    )
    for column in range(bars.size + 1):
        frame[f"p_{column + 1}"] = probability[:, column]
    frame["p_wrong"] = 1 - probability[np.arange(len(frame)), tier - 1]
    frame.attrs.update(level=level, unit="hazard ratio")
    return frame


def _posterior(
    observed: ArrayLike, expected: ArrayLike, prior_shape: float, prior_rate: float
) -> tuple[Floats, Floats]:
    shape = as_counts("observed", observed) + prior_shape
    return shape, as_counts("expected", expected) + prior_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class SrtrRule:
    """The flag of a program as a rule: an event is bad, and so many are expected per case.

    Attributes
    ----------
    expected_rate : events per case of an average program
    raised, raised_probability, extreme, extreme_probability : see :func:`srtr_flag`
    cycles : latest cycles that are added up
    """

    expected_rate: Probability
    raised: Positive = 1.2
    raised_probability: Probability = 0.75
    extreme: Positive = 2.5
    extreme_probability: Probability = 0.10
    cycles: Count = 1

    def __post_init__(self) -> None:
        check_fields(self)
        self._flag(0.0, 1.0)

    def decide(self, results: CycleResults) -> NDArray[np.bool_]:
        """Say who is flagged, (replicate, unit).

        Raises
        ------
        SpecError
            Fewer cycles than the rule adds up.
        """
        check_cycles(results, self.cycles)
        latest = results.latest(self.cycles)
        observed, cases = latest.events.sum(axis=-1), latest.trials.sum(axis=-1)
        return self._flag(observed, self.expected_rate * cases)

    def _flag(self, observed: ArrayLike, expected: ArrayLike) -> NDArray[np.bool_]:
        return srtr_flag(
            observed,
            expected,
            raised=self.raised,
            raised_probability=self.raised_probability,
            extreme=self.extreme,
            extreme_probability=self.extreme_probability,
        )
