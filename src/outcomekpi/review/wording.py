"""Each indicator in words that a committee can read."""

import numpy as np

from outcomekpi.draws.intervals import interval
from outcomekpi.review.indicator_review import IndicatorReview, Verdict
from outcomekpi.review.rule import ReviewJudgment, ReviewRule
from outcomekpi.review.targets import Proposal, losers_and_gainers
from outcomekpi.tables.cycle_order import length_of_cycles

__all__ = ["describe_indicator"]

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
