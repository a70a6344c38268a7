"""The annual review rule as written, its Bayesian companion, and what both are judged by."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincc

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Above, Count, Positive, Probability, Range
from outcomekpi.tables.completion import TIE, Reading, as_counts, completion_by_cycle
from outcomekpi.tables.history_gaps import FEWEST, LARGEST_CHANGE

__all__ = [
    "CycleLength",
    "PosteriorReviewRule",
    "ReviewJudgment",
    "ReviewModel",
    "ReviewRule",
    "beyond",
]

CycleLength = Literal["month", "quarter", "half-year", "year"]
ReviewModel = Literal["hierarchical", "conjugate"]
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRule:
    """The annual review rule (B-CAL): completion beyond a bar in several cycles running.

    Attributes
    ----------
    reading : what "completion" means, which the source leaves open and this record never guesses.
        "share_of_doctors", doctors (units) that reach their target; "mean_achievement", the mean
        over units of achieved rate / target, for indicators where higher is better;
        "raw_rate", events over cases, all units together
    upper, lower : completion above ``upper`` means too easy, below ``lower`` too hard; in (0, 1)
        (``upper`` may pass 1 for mean_achievement)
    cycles : how many of the most recent cycles must all lie beyond the same bar
    strict : True, beyond is > and <, as the source writes; False, >= and <=
    cycle_length : how long a cycle is, which the source leaves open too; the review says so where
        the labels of a history show another length, and the arithmetic counts cycles as they come
    target : rate that each unit is held to, where the history has no column of targets

    Examples
    --------
    >>> from outcomekpi import ReviewRule
    >>> str(ReviewRule(reading="raw_rate"))
    'raw_rate > 90% or < 60% in 2 consecutive cycles'
    """

    reading: Reading
    upper: Positive = 0.90
    lower: Positive = 0.60
    cycles: Count = 2
    strict: bool = True
    cycle_length: CycleLength = "year"
    target: Above | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        _check_bars("ReviewRule", self.upper, self.lower, self.reading)
        if self.target is not None and self.reading == "raw_rate":
            raise SpecError(
                "The reading 'raw_rate' has no target: it compares events over cases with the "
                "bars. Leave target out, or use 'share_of_doctors' or 'mean_achievement'."
            )

    @property
    def pools_units(self) -> bool:
        """Whether only the counts summed over units matter, so that units may be added up."""
        return self.reading == "raw_rate" or (
            self.reading == "share_of_doctors" and self.target is None
        )

    def decide(self, results: Any) -> NDArray[np.int8]:
        """Apply the rule to the completions of many replicates at once.

        Parameters
        ----------
        results : CycleResults, or anything with ``events`` (replicate, unit, cycle), oldest
            cycle first, and ``trials`` that broadcasts to it. For the reading "share_of_doctors"
            without ``target`` events are doctors on target and trials are doctors; with
            ``target`` they are patients, as for the other two readings

        Returns
        -------
        (replicate,), +1 too easy, -1 too hard, 0 neither; all 0 with fewer cycles than the rule
        needs, and where one of them has no trials

        Raises
        ------
        SpecError
            The reading "mean_achievement" without a target.
        """
        if self.reading == "mean_achievement" and self.target is None:
            raise SpecError(
                "The reading 'mean_achievement' divides each rate by a target. "
                "Pass ReviewRule(reading='mean_achievement', target=...)."
            )
        completion = completion_by_cycle(
            results.events, results.trials, reading=self.reading, target=self.target
        )
        return beyond(completion, self)

    def __str__(self) -> str:
        above, below = (">", "<") if self.strict else (">=", "<=")
        return (
            f"{self.reading} {above} {self.upper:.0%} or {below} {self.lower:.0%} in "
            f"{self.cycles} consecutive cycle{'' if self.cycles == 1 else 's'}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PosteriorReviewRule:
    """The Bayesian review in closed form: P(completion beyond a bar) passes a probability.

    Attributes
    ----------
    upper, lower : as in :class:`ReviewRule`
    cycles : how many of the most recent cycles are pooled
    probability : posterior probability that a decision requires

    Notes
    -----
    With x events in n trials over all units and the last k cycles and a uniform prior, the
    completion is Beta(1 + x, 1 + n - x). Too easy if P(completion > upper) > probability, too hard
    if P(completion < lower) > probability. For rates, and for doctors on target out of doctors.

    Examples
    --------
    >>> from outcomekpi import PosteriorReviewRule
    >>> PosteriorReviewRule(probability=0.8).cycles
    2
    """

    upper: Probability = 0.90
    lower: Probability = 0.60
    cycles: Count = 2
    probability: Probability = 0.80

    def __post_init__(self) -> None:
        check_fields(self)
        _check_bars("PosteriorReviewRule", self.upper, self.lower, "raw_rate")

    @property
    def pools_units(self) -> bool:
        """Only the counts summed over units matter."""
        return True

    def decide(self, results: Any) -> NDArray[np.int8]:
        """Apply the rule to many replicates at once; see :meth:`ReviewRule.decide`."""
        events, trials = as_counts(results.events, results.trials)
        if events.shape[-1] < self.cycles:
            return np.zeros(events.shape[0], dtype=np.int8)
        hits = events[:, :, -self.cycles :].sum(axis=(1, 2))
        total = trials[:, :, -self.cycles :].sum(axis=(1, 2))
        above = betaincc(1 + hits, 1 + total - hits, self.upper)
        below = 1 - betaincc(1 + hits, 1 + total - hits, self.lower)
        fires_up = (above > self.probability) & (above >= below)
        return np.where(fires_up, 1, np.where(below > self.probability, -1, 0)).astype(np.int8)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewJudgment:
    """What the Bayesian review weighs: losses, the wanted completion, and when it keeps silent.

    Attributes
    ----------
    loss_false_change, loss_missed : cost of changing a bar that is right, and of leaving one that
        is not; a change needs a posterior probability above
        loss_false_change / (loss_false_change + loss_missed)
    fdr : given, it replaces that cut-off by the largest set of changes, over all indicators,
        whose expected share of wrong ones is at most this
    wanted : lowest and highest completion that the next target should bring; it aims at the middle
    model : "hierarchical", units and their cycles share strength; "conjugate", a uniform prior for
        each indicator (for each unit where the reading looks at units)
    drift_scale : scale of the half-normal prior of the SD by which the level of an indicator moves
        from one cycle to the next, in log odds (.2 is 2.5 points at 85% and 5 points at 50%)
    fewest : cases (or doctors) in the cycles under review below which both verdicts are
        "cannot say"
    largest_change : relative change of the denominators between two cycles under review above
        which both verdicts are "cannot say"; infinity accepts any

    Examples
    --------
    >>> from outcomekpi import ReviewJudgment
    >>> ReviewJudgment(loss_false_change=9, loss_missed=1).required_probability
    0.9
    """

    loss_false_change: Positive = 4.0
    loss_missed: Positive = 1.0
    fdr: Probability | None = None
    wanted: tuple[Above, Above] = (0.70, 0.85)
    model: ReviewModel = "hierarchical"
    drift_scale: Positive = 0.2
    fewest: Count = FEWEST
    largest_change: Annotated[float, Range(low=0, inside="low", infinite=True)] = LARGEST_CHANGE

    def __post_init__(self) -> None:
        check_fields(self)
        low, high = self.wanted
        if not low < high:
            raise SpecError(
                f"ReviewJudgment.wanted must name the lower completion first; got {self.wanted!r}."
            )

    @property
    def required_probability(self) -> float:
        """Posterior probability that a change requires (without ``fdr``)."""
        return self.loss_false_change / (self.loss_false_change + self.loss_missed)

    @property
    def aim(self) -> float:
        """Completion that a proposed target aims at: the middle of the wanted band."""
        return (self.wanted[0] + self.wanted[1]) / 2


def beyond(completion: Array, rule: ReviewRule) -> NDArray[np.int8]:
    """Say on which side of its bars the rule fires, from completions (replicate, cycle)."""
    if completion.shape[1] < rule.cycles:
        return np.zeros(completion.shape[0], dtype=np.int8)
    last = completion[:, -rule.cycles :]
    margin = TIE if rule.strict else -TIE
    easy = (last > rule.upper + margin).all(axis=1)
    hard = (last < rule.lower - margin).all(axis=1)
    return easy.astype(np.int8) - hard.astype(np.int8)


def _check_bars(record: str, upper: float, lower: float, reading: Reading) -> None:
    ceiling = np.inf if reading == "mean_achievement" else 1.0
    for name, bar in (("upper", upper), ("lower", lower)):
        # a bar of 60 is a percentage under every reading, also where completion may pass 1
        percent = 1 < bar <= 100
        if not 0.0 < bar < ceiling or bar >= 5:
            hint = f" Did you mean {bar / 100:g}?" if percent else ""
            raise SpecError(
                f"{record}.{name} must be a completion as a share, strictly between 0 and 1; "
                f"got {bar!r}.{hint}"
            )
    if not lower < upper:
        raise SpecError(
            f"{record}.lower must lie below upper; got lower={lower:g} and upper={upper:g}. "
            "Are they crossed?"
        )
