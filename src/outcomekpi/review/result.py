"""ThresholdReview: the result of the annual review, as tables."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL, interval
from outcomekpi.lineage.origins import Provenance
from outcomekpi.review.indicator_review import IndicatorReview, Verdict
from outcomekpi.review.rule import ReviewJudgment, ReviewRule
from outcomekpi.review.targets import Proposal, losers_and_gainers, ratchet_rows
from outcomekpi.tables.columns import count_of
from outcomekpi.tables.cycle_order import length_of_cycles
from outcomekpi.tables.history import CycleHistory

__all__ = ["ThresholdReview", "describe_indicator"]


# Each indicator in words that a committee can read
LITTLE = 0.05


def describe_indicator(
    review: IndicatorReview,
    verdict: Verdict,
    *,
    cycles: tuple[str, ...],
    rule: ReviewRule,
    judgment: ReviewJudgment,
    level: float,
) -> str:
    """Say what was seen, what the rule says, how likely that is wrong, and what to do."""
    unit = length_of_cycles(cycles) or rule.cycle_length
    parts = [
        _say_seen(review, cycles, rule),
        _say_rule(review, rule, unit),
        _say_evidence(review, verdict, rule, judgment),
        _say_target(review, verdict, rule, level),
        _say_next(review, unit, level),
    ]
    return f"{review.indicator}: " + " ".join(part for part in parts if part)


def _chance(probability: float) -> str:
    """Write a probability in whole percent, never as certain: it comes from draws."""
    if probability < 0.005:
        return "below 1%"
    return "above 99%" if probability > 0.995 else f"{probability:.0%}"


def _one_decimal(completion: float) -> str:
    """Write a completion with a decimal where it has one, since it is compared with a bar."""
    return f"{completion:.1%}".replace(".0%", "%")


def _subject(rule: ReviewRule) -> str:
    return {
        "share_of_doctors": "the share on target",
        "mean_achievement": "the mean achievement of the target",
        "raw_rate": "completion",
    }[rule.reading]


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _say_seen(review: IndicatorReview, cycles: tuple[str, ...], rule: ReviewRule) -> str:
    seen = [
        f"{_one_decimal(review.observed[i])} in {cycles[i]}"
        for i in np.flatnonzero(review.window)
        if not np.isnan(review.observed[i])
    ]
    return f"{_subject(rule)} was {_listed(seen)}." if seen else ""


def _say_rule(review: IndicatorReview, rule: ReviewRule, unit: str) -> str:
    verdict = review.rule_verdict
    wrong = f"the probability that this is wrong is {_chance(review.p_rule_wrong)}"
    if verdict == "cannot say":
        return f"The rule cannot say: {review.rule_reason}."
    if verdict == "leave alone":
        span = f"a {unit}" if rule.cycles == 1 else f"{rule.cycles} {unit}s running"
        above, below = ("above", "below") if rule.strict else ("at or above", "at or below")
        bars = f"{above} {_one_decimal(rule.upper)} or {below} {_one_decimal(rule.lower)}"
        return f"The rule leaves it alone (it acts on {span} {bars}); {wrong}."
    return f"The rule calls it {verdict}; {wrong}."


def _say_evidence(
    review: IndicatorReview, verdict: Verdict, rule: ReviewRule, judgment: ReviewJudgment
) -> str:
    if verdict == "cannot say":
        why = "" if review.reason == review.rule_reason else f" ({review.reason})"
        return f"No judgment can be made{why}: look at the data first, and decide next time."
    easy = review.p_too_easy >= review.p_too_hard
    chance = max(review.p_too_easy, review.p_too_hard)
    if chance < LITTLE:
        return "Leave it alone."
    side, bar = ("above", rule.upper) if easy else ("below", rule.lower)
    level = (
        f"Allowing for chance, the true level is {side} {_one_decimal(bar)} with probability "
        f"{_chance(chance)}"
    )
    if verdict != "leave alone":
        return f"{level}: open the adjustment, the bar is {verdict}."
    needed = "what a change needs"
    if judgment.fdr is None:
        needed = f"the {_chance(judgment.required_probability)} that a change needs"
    return f"{level}, short of {needed}: leave it alone for now."


def _say_target(review: IndicatorReview, verdict: Verdict, rule: ReviewRule, level: float) -> str:
    if verdict not in ("too easy", "too hard"):
        return ""
    proposal = review.proposal
    if proposal is None:
        need = (
            "the numbers of patients behind each doctor"
            if rule.reading == "share_of_doctors"
            else "a target for each unit, and a reading of completion that uses it"
        )
        return f"How far to move a target cannot be worked out from these counts; it takes {need}."
    present, new = proposal.present.mean(), proposal.proposed.mean()
    expected = proposal.completion.mean()
    if not proposal.within:
        return (
            f"No target up to 100% would bring {_subject(rule)} into the wanted range: at "
            f"{new:.0%} it would be {expected:.0%}."
        )
    lower, upper = interval(proposal.target_draws[None, :], level=level)
    several = " on average" if np.ptp(proposal.present) > 0 else ""
    return (
        f"A target of {new:.0%} ({level:.0%} interval {lower[0]:.0%} to {upper[0]:.0%}) instead of "
        f"{present:.0%}{several} is expected to bring it to {expected:.0%}"
        f"{_say_ratchet(review, proposal)}."
    )


def _say_ratchet(review: IndicatorReview, proposal: Proposal) -> str:
    """Say who pays: as numbers of units that are expected to, not as names."""
    loses, gains = losers_and_gainers(review.unit_rates[review.table.current], proposal)
    count, verb = (
        (loses.sum(), "reach the present target but not this one, and would pay for good work")
        if proposal.proposed.sum() > proposal.present.sum()
        else (gains.sum(), "miss the present target and would reach this one")
    )
    return f"; about {count:.0f} of {loses.size} units {verb}" if count >= 0.5 else ""


def _say_next(review: IndicatorReview, unit: str, level: float) -> str:
    if review.reason:
        return ""
    lower, upper = interval(review.next_completion[None, :], level=level)
    return (
        f"If nothing changes, expect {review.next_completion.mean():.0%} in the next "
        f"{unit} ({lower[0]:.0%} to {upper[0]:.0%})."
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ThresholdReview:
    """The review of every indicator: what the rule says, and what the evidence says.

    Attributes
    ----------
    history, rule, judgment : what was reviewed, and by which settings
    indicators : one :class:`IndicatorReview` per indicator, with its draws
    verdicts : verdict of the Bayesian review, in the same order
    provenance : versions, seed, hashes of the history and of the settings, time
    log : what the history named, and where another model ran than the one asked for

    Notes
    -----
    Probabilities are about the true completion of these units in these cycles: what their counts
    would show without chance. They are not about other units, and no adjustment for case mix is
    made. Where doctors on target are counted, the true completion is the chance that a doctor
    reaches the target; to those for whom the count of the cycle itself is the matter, it has no
    chance in it and the observed completion is exact.
    """

    history: CycleHistory
    rule: ReviewRule
    judgment: ReviewJudgment
    indicators: tuple[IndicatorReview, ...]
    verdicts: tuple[Verdict, ...]
    provenance: Provenance
    log: tuple[str, ...]

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per indicator.

        Returns
        -------
        DataFrame indexed by indicator
            ``cycles`` with data; ``completion`` of the last cycle, as observed;
            ``rule_verdict``; ``mean, lower, upper`` of the true completion over the cycles under
            review; ``p_too_easy, p_too_hard``, that it lies beyond each bar; ``verdict`` of the
            Bayesian review; ``p_rule_wrong``, that the rule's verdict is wrong (NaN where it cannot
            say); ``next_mean, next_lower, next_upper`` of the next cycle's completion as it will
            be observed if nothing changes; ``target`` in use (mean over units); ``proposed``
            target, under which the next completion is expected in the middle of the wanted band,
            and ``completion_at_target``, that expected completion; ``target_mean, target_lower,
            target_upper`` of the target that the next cycle, as it may be observed, will call
            for, which says how well the proposal is known (all NaN where there is no target to
            solve for);
            ``model`` that ran; ``sentence`` for the committee.
        """
        rows = [
            self._row(review, verdict, level)
            for review, verdict in zip(self.indicators, self.verdicts, strict=True)
        ]
        frame = pd.DataFrame(rows).set_index("indicator")
        frame.attrs.update(level=level, unit=f"completion ({self.rule.reading})")
        return frame

    def _row(self, review: IndicatorReview, verdict: Verdict, level: float) -> dict[str, object]:
        row: dict[str, object] = {
            "indicator": review.indicator,
            "cycles": int((review.n_units > 0).sum()),
            "completion": review.observed[-1],
            "rule_verdict": review.rule_verdict,
            **_summary("", review.pooled, level),
            "p_too_easy": review.p_too_easy,
            "p_too_hard": review.p_too_hard,
            "verdict": verdict,
            "p_rule_wrong": review.p_rule_wrong,
            **_summary("next_", review.next_completion, level),
        }
        proposal = review.proposal
        if proposal is None or not proposal.within:
            nothing = np.full(1, np.nan)
            row |= {"target": np.nan, "proposed": np.nan, **_summary("target_", nothing, level)}
            row["completion_at_target"] = np.nan
        else:
            row |= {"target": proposal.present.mean(), "proposed": proposal.proposed.mean()}
            row |= _summary("target_", proposal.target_draws, level)
            row["completion_at_target"] = proposal.completion.mean()
        row["model"] = review.model
        row["sentence"] = describe_indicator(
            review,
            verdict,
            cycles=self.history.cycles,
            rule=self.rule,
            judgment=self.judgment,
            level=level,
        )
        return row

    def cycles_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per indicator and cycle.

        Returns
        -------
        DataFrame indexed by ``indicator, cycle``
            ``observed`` completion; ``mean, lower, upper`` of the true one; ``units`` with data;
            ``denominator``. Cycles without data have NaN and 0.
        """
        parts = []
        for review in self.indicators:
            lower, upper = interval(review.by_cycle, level=level)
            parts.append(
                pd.DataFrame(
                    {
                        "indicator": review.indicator,
                        "cycle": list(self.history.cycles),
                        "observed": review.observed,
                        "mean": review.by_cycle.mean(axis=1),
                        "lower": lower,
                        "upper": upper,
                        "units": review.n_units,
                        "denominator": review.table.totals,
                    }
                )
            )
        frame = pd.concat(parts).set_index(["indicator", "cycle"])
        frame.attrs.update(level=level, unit=f"completion ({self.rule.reading})")
        return frame

    def ratchet_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per indicator and unit, for the indicators that have a proposed target.

        Returns
        -------
        DataFrame indexed by ``indicator, unit``
            ``mean, lower, upper`` of the unit's true rate over the cycles under review;
            ``target`` in use and ``proposed``; ``p_reaches_target, p_reaches_proposed``;
            ``p_loses``, that it reaches only the present one; ``p_gains``, that it reaches only
            the proposed one; ``p_improved``, that its rate rose from its first to its latest
            cycle; ``change``, "loses" or "gains" where that is more likely than not; ``ratchet``,
            True where a raised bar takes from a unit what it had reached

        Notes
        -----
        To raise a bar because good units passed it is the ratchet (A-E3): read who pays before it
        is done. To remove an easy indicator instead is not harmless either: documented care fell
        for all 12 indicators that lost their payment (Minchin et al. 2018, NEJM 379).
        """
        parts = []
        for review in self.indicators:
            if review.proposal is None or not review.proposal.within:
                continue
            table, rate = review.table, review.unit_rates
            here = table.current
            part = ratchet_rows(
                rate[here],
                review.rates[table.first[here]],
                review.rates[table.latest[here]],
                review.proposal,
                level=level,
            )
            part.insert(0, "unit", np.array(table.units, dtype=object)[here])
            part.insert(0, "indicator", review.indicator)
            parts.append(part.sort_values("unit"))
        if not parts:
            return _empty_ratchet(level)
        frame = pd.concat(parts).set_index(["indicator", "unit"])
        frame.attrs.update(level=level, unit="events per case")
        return frame

    @property
    def draws(self) -> NDArray[np.float64]:
        """Draws of the true completion over the cycles under review, (indicator, sample)."""
        return np.array([review.pooled for review in self.indicators])

    def __repr__(self) -> str:
        by_rule = [review.rule_verdict for review in self.indicators]

        def count(verdicts: list[Verdict] | tuple[Verdict, ...]) -> str:
            return f"{verdicts.count('too easy')} too easy, {verdicts.count('too hard')} too hard"

        silent = self.verdicts.count("cannot say")
        return (
            f"ThresholdReview: {count_of(len(self.indicators), 'indicator')}; by the rule "
            f"{count(by_rule)}; by the evidence {count(self.verdicts)}"
            + (f", {silent} cannot say" if silent else "")
            + f" ({self.rule})"
        )

    def _repr_html_(self) -> str:
        frame = self.to_frame().head(12)
        shown = frame[["completion", "rule_verdict", "p_rule_wrong", "mean", "verdict"]]
        return show_html(self, shown, number=".2f", missing="")


def _summary(prefix: str, draws: NDArray[np.float64], level: float) -> dict[str, float]:
    lower, upper = interval(draws[None, :], level=level)
    return {
        f"{prefix}mean": float(draws.mean()),
        f"{prefix}lower": float(lower[0]),
        f"{prefix}upper": float(upper[0]),
    }


def _empty_ratchet(level: float) -> pd.DataFrame:
    columns = [
        "mean",
        "lower",
        "upper",
        "target",
        "proposed",
        "p_reaches_target",
        "p_reaches_proposed",
        "p_loses",
        "p_gains",
        "p_improved",
        "change",
        "ratchet",
    ]
    index = pd.MultiIndex.from_arrays([[], []], names=["indicator", "unit"])
    frame = pd.DataFrame(columns=columns, index=index)
    frame.attrs.update(level=level, unit="events per case")
    return frame
