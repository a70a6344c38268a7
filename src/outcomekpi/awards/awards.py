"""Rules that award doctors: beyond a bar, better than the mean, among the best, probably good."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from outcomekpi.awards.beta_posteriors import (
    Prior,
    certain_beyond,
    empirical_bayes,
    known_prior,
    probability_among_best,
)
from outcomekpi.awards.kernels import (
    Ties,
    best_places,
    beyond,
    pool_cycles,
    pooled_rates,
)
from outcomekpi.awards.rules import CycleResults
from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Count, NotNegative, Positive, Probability, Range
from outcomekpi.tables.cases import Direction

__all__ = [
    "AbsoluteRule",
    "AwardRule",
    "PercentileRule",
    "PosteriorRule",
    "ProportionalRule",
    "RelativeRule",
]

Array = NDArray[np.float64]
Center = Literal["cases", "doctors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsoluteRule:
    """Award every doctor whose rate reaches a fixed bar.

    Attributes
    ----------
    bar : rate to be reached, in the unit of the results
    direction : "higher", awarded at or above the bar; "lower", at or below it
    cycles : latest cycles that are pooled
    minimum_cases : a doctor with fewer trials in these cycles gets nothing
    strict : a doctor exactly at the bar gets nothing

    Examples
    --------
    >>> import numpy as np
    >>> from outcomekpi import AbsoluteRule, CycleResults
    >>> results = CycleResults(events=np.array([[[70], [60], [50]]]), trials=np.array(100))
    >>> AbsoluteRule(bar=0.60, direction="higher").decide(results).tolist()
    [[True, True, False]]
    """

    bar: float
    direction: Direction
    cycles: Count = 1
    minimum_cases: NotNegative = 0
    strict: bool = False

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def with_certainty(self) -> "AbsoluteRule":
        """The rule that this one would be if the true rates were known."""
        return replace(self, minimum_cases=0)

    def decide(self, results: CycleResults) -> NDArray[np.bool_]:
        """Say who is awarded: (replicate, unit)."""
        rates, _, counted = pooled_rates(
            results, cycles=self.cycles, minimum_cases=self.minimum_cases
        )
        good = beyond(rates, np.float64(self.bar), self.direction, strict=self.strict)
        return good & counted

    def __str__(self) -> str:
        words = ("above", "below") if self.strict else ("at least", "at most")
        return f"rate {words[self.direction == 'lower']} {self.bar:.4g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeRule:
    """Award every doctor who is better than the mean of all doctors by a stated margin.

    Attributes
    ----------
    direction : "higher" or "lower" is awarded
    factor : the bar is this multiple of the mean; or
    difference : the bar is this much better than the mean, in the unit of the results
    center : mean of the doctors weighted by their "cases", or each of the "doctors" alike
    cycles : latest cycles that are pooled
    minimum_cases : a doctor with fewer trials gets nothing and does not enter the mean

    Notes
    -----
    Beyond is strict: where all doctors have the same rate nobody is better than the mean.

    Examples
    --------
    >>> import numpy as np
    >>> from outcomekpi import CycleResults, RelativeRule
    >>> results = CycleResults(events=np.array([[[12], [10], [8]]]), trials=np.array(100))
    >>> RelativeRule(factor=0.9, direction="lower").decide(results).tolist()
    [[False, False, True]]
    """

    direction: Direction
    factor: Positive | None = None
    difference: float | None = None
    center: Center = "cases"
    cycles: Count = 1
    minimum_cases: NotNegative = 0

    def __post_init__(self) -> None:
        check_fields(self)
        if (self.factor is None) == (self.difference is None):
            raise SpecError("RelativeRule needs either factor or difference, and not both.")

    @property
    def with_certainty(self) -> "RelativeRule":
        """The rule that this one would be if the true rates were known."""
        return replace(self, minimum_cases=0)

    def decide(self, results: CycleResults) -> NDArray[np.bool_]:
        """Say who is awarded: (replicate, unit)."""
        rates, trials, counted = pooled_rates(
            results, cycles=self.cycles, minimum_cases=self.minimum_cases
        )
        weight = np.where(counted, trials if self.center == "cases" else 1.0, 0.0)
        total = weight.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):
            mean = (weight * np.where(counted, rates, 0.0)).sum(axis=1, keepdims=True) / total
        better = 1.0 if self.direction == "higher" else -1.0
        bar = (
            mean + better * (self.difference or 0.0) if self.factor is None else mean * self.factor
        )
        return beyond(rates, bar, self.direction, strict=True) & counted

    def __str__(self) -> str:
        if self.factor is not None:
            side = "above" if self.direction == "higher" else "below"
            return f"rate {side} {self.factor:g} times the mean"
        return f"rate better than the mean by {self.difference:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentileRule:
    """Award a fixed share of the doctors, the best ones.

    Attributes
    ----------
    share : of the doctors who are awarded, in (0, 1); their number is rounded
    direction : "higher" or "lower" is better
    ties : doctors with the same rate at the edge are all awarded ("award"), so that more than the
        share may be paid, or none of them ("withhold")
    cycles : latest cycles that are pooled
    minimum_cases : a doctor with fewer trials gets nothing and is not counted among the doctors

    Examples
    --------
    >>> import numpy as np
    >>> from outcomekpi import CycleResults, PercentileRule
    >>> results = CycleResults(events=np.array([[[12], [10], [8], [9]]]), trials=np.array(100))
    >>> PercentileRule(share=0.25, direction="lower").decide(results).tolist()
    [[False, False, True, False]]
    """

    share: Probability
    direction: Direction
    ties: Ties = "award"
    cycles: Count = 1
    minimum_cases: NotNegative = 0

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def with_certainty(self) -> "PercentileRule":
        """The rule that this one would be if the true rates were known."""
        return replace(self, minimum_cases=0)

    def decide(self, results: CycleResults) -> NDArray[np.bool_]:
        """Say who is awarded: (replicate, unit)."""
        rates, _, counted = pooled_rates(
            results, cycles=self.cycles, minimum_cases=self.minimum_cases
        )
        score = rates if self.direction == "higher" else -rates
        score = np.where(counted, score, -np.inf)
        places = np.rint(self.share * counted.sum(axis=1)).astype(np.intp)
        return best_places(score, places, ties=self.ties) & counted

    def __str__(self) -> str:
        return f"best {self.share:.3g} of the doctors"


@dataclass(frozen=True, slots=True, kw_only=True)
class PosteriorRule:
    """Award every doctor whose true rate is beyond a bar with enough posterior probability.

    Attributes
    ----------
    bar : rate that the true rate is compared with
    probability : required, in [0, 1): awarded if P(true rate beyond the bar) > probability
    direction : "higher" or "lower" than the bar is awarded
    prior : mean and SD between doctors of the true rate; None estimates them from the doctors of
        each replicate (at least 4), as described in Notes
    cycles : latest cycles that are pooled
    minimum_cases : a doctor with fewer trials gets nothing (he informs the prior all the same)

    Notes
    -----
    With counts the posterior is Beta(a + y, b + n - y). See
    :func:`outcomekpi.awards.beta_posteriors.empirical_bayes` for a and b. They are taken
    as known once estimated, so that probabilities are a little too certain with few doctors.
    Applied by ``misclassify`` to standardized rates, it reads their posterior draws instead.

    References
    ----------
    Austin (2008), BMC Medical Research Methodology 8:30, doi:10.1186/1471-2288-8-30.

    Examples
    --------
    >>> import numpy as np
    >>> from outcomekpi import CycleResults, PosteriorRule
    >>> results = CycleResults(events=np.array([[[75], [65]]]), trials=np.array(100))
    >>> rule = PosteriorRule(bar=0.6, probability=0.8, direction="higher", prior=(0.6, 0.05))
    >>> rule.decide(results).tolist()
    [[True, False]]
    """

    bar: float
    probability: Annotated[float, Range(low=0, high=1, inside="high")]
    direction: Direction
    prior: tuple[float, float] | None = None
    cycles: Count = 1
    minimum_cases: NotNegative = 0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.prior is not None:
            known_prior(*self.prior)

    @property
    def with_certainty(self) -> AbsoluteRule:
        """The rule that this one would be if the true rates were known."""
        return AbsoluteRule(bar=self.bar, direction=self.direction, cycles=self.cycles, strict=True)

    def decide(self, results: CycleResults) -> NDArray[np.bool_]:
        """Say who is awarded: (replicate, unit)."""
        events, trials = pool_cycles(results, self.cycles)
        prior = _prior(events, trials, self.prior)
        certain = certain_beyond(
            events, trials, prior, bar=self.bar, direction=self.direction, above=self.probability
        )
        return certain & (trials >= self.minimum_cases)

    def decide_posterior(self, draws: Array) -> NDArray[np.bool_]:
        """Say who is awarded, from posterior draws of the true rates: (unit, sample) -> (unit,)."""
        beyond = draws > self.bar if self.direction == "higher" else draws < self.bar
        return np.asarray(beyond.mean(axis=1) > self.probability)

    def __str__(self) -> str:
        side = "above" if self.direction == "higher" else "below"
        return f"P(rate {side} {self.bar:.4g}) > {self.probability:.4g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProportionalRule:
    """Pay every doctor in proportion to his posterior probability of being among the best.

    Attributes
    ----------
    share : of the doctors that count as the best, in (0, 1)
    direction : "higher" or "lower" is better
    prior : mean and SD between doctors of the true rate; None estimates them from the doctors of
        each replicate (at least 4)
    cycles : latest cycles that are pooled
    minimum_cases : a doctor with fewer trials gets nothing

    Notes
    -----
    With counts, the award is P(true rate beyond t) under Beta(a + y, b + n - y), with the one t
    in each replicate at which the awards of all doctors add up to share x doctors: the quantile of
    the doctors' mixed posteriors. Nobody's pay jumps at an edge. Applied by ``misclassify`` to
    standardized rates, it is the share of draws in which the doctor is among the best.

    References
    ----------
    Shwartz, Peköz, Burgess, Christiansen, Rosen & Berlowitz (2014), Medical Care 52, 1030-1036,
    doi:10.1097/MLR.0000000000000242.

    Examples
    --------
    >>> import numpy as np
    >>> from outcomekpi import CycleResults, ProportionalRule
    >>> results = CycleResults(events=np.array([[[75], [65], [60], [50]]]), trials=np.array(100))
    >>> ProportionalRule(share=0.5, direction="higher").decide(results).sum().round(6).item()
    2.0
    """

    share: Probability
    direction: Direction
    prior: tuple[float, float] | None = None
    cycles: Count = 1
    minimum_cases: NotNegative = 0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.prior is not None:
            known_prior(*self.prior)

    @property
    def with_certainty(self) -> PercentileRule:
        """The rule that this one would be if the true rates were known."""
        return PercentileRule(share=self.share, direction=self.direction, cycles=self.cycles)

    def decide(self, results: CycleResults) -> Array:
        """Give each doctor's share of the full award: (replicate, unit), in [0, 1]."""
        events, trials = pool_cycles(results, self.cycles)
        a, b = _prior(events, trials, self.prior)
        awards = probability_among_best(
            a + events, b + trials - events, share=self.share, direction=self.direction
        )
        return np.where(trials >= self.minimum_cases, awards, 0.0)

    def decide_posterior(self, draws: Array) -> Array:
        """Give each doctor's share of the award from draws of the true rates: (unit,)."""
        score = (draws if self.direction == "higher" else -draws).T
        places = np.full(score.shape[0], np.rint(self.share * score.shape[1]), dtype=np.intp)
        return np.asarray(best_places(score, places, ties="award").mean(axis=0))

    def __str__(self) -> str:
        return f"pay by P(among the best {self.share:.3g} of the doctors)"


AwardRule = AbsoluteRule | RelativeRule | PercentileRule | PosteriorRule | ProportionalRule


def _prior(events: Array, trials: Array, known: tuple[float, float] | None) -> Prior:
    if known is None:
        return empirical_bayes(events, trials)
    a, b = known_prior(*known)
    return np.full((events.shape[0], 1), a), np.full((events.shape[0], 1), b)
