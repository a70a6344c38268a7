"""Each indicator in words that a committee can read."""

import numpy as np

from outcomekpi.intervals import interval
from outcomekpi.thresholds.indicator_review import IndicatorReview, Verdict
from outcomekpi.thresholds.review_rule import ReviewJudgment, ReviewRule
from outcomekpi.thresholds.targets import Proposal, losers_and_gainers

__all__ = ["describe_indicator"]

NOUN = {"month": "month", "quarter": "quarter", "half-year": "half-year", "year": "year"}
OPPOSITE = {"too easy": "raise", "too hard": "lower"}


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
    parts = [
        _seen(review, cycles, rule),
        _say_rule(review, rule),
        _say_evidence(review, verdict, rule, judgment),
        _say_target(review, verdict, rule),
        _say_next(review, rule, level),
    ]
    return f"{review.indicator}: " + " ".join(part for part in parts if part)


def _percent(value: float) -> str:
    """Write a share as whole percent, and never 0% or 100% for what is neither."""
    if 0 < value < 0.005:
        return "less than 1%"
    if 0.995 < value < 1:
        return "more than 99%"
    return f"{value:.0%}"


def _completion(value: float) -> str:
    """Write a completion with one decimal, as bars are compared with it."""
    return f"{value:.1%}".replace(".0%", "%")


def _of_what(rule: ReviewRule) -> str:
    return {
        "share_of_doctors": "the share on target",
        "mean_achievement": "the mean achievement of the target",
        "raw_rate": "completion",
    }[rule.reading]


def _seen(review: IndicatorReview, cycles: tuple[str, ...], rule: ReviewRule) -> str:
    pairs = [
        f"{_completion(review.observed[i])} in {cycles[i]}"
        for i in np.flatnonzero(review.window)
        if not np.isnan(review.observed[i])
    ]
    if not pairs:
        return ""
    listed = pairs[0] if len(pairs) == 1 else f"{', '.join(pairs[:-1])} and {pairs[-1]}"
    return f"{_of_what(rule)} was {listed}."


def _say_rule(review: IndicatorReview, rule: ReviewRule) -> str:
    verdict = review.rule_verdict
    wrong = f"the probability that this is wrong is {_percent(review.p_rule_wrong)}"
    if verdict == "cannot say":
        return f"The rule cannot say: {review.rule_reason}."
    if verdict == "leave alone":
        unit = NOUN[rule.cycle_length]
        span = unit if rule.cycles == 1 else f"{rule.cycles} {unit}s running"
        above, below = ("above", "below") if rule.strict else ("at or above", "at or below")
        return (
            f"The rule leaves it alone (it acts on {span} {above} {_completion(rule.upper)} or "
            f"{below} {_completion(rule.lower)}); {wrong}."
        )
    return f"The rule calls it {verdict}; {wrong}."


def _say_evidence(
    review: IndicatorReview, verdict: Verdict, rule: ReviewRule, judgment: ReviewJudgment
) -> str:
    if verdict == "cannot say":
        same = review.reason == review.rule_reason
        why = "" if same else f" ({review.reason})"
        return f"No judgment can be made{why}: look at the data first, and decide next time."
    side = "too easy" if review.p_too_easy >= review.p_too_hard else "too hard"
    chance = max(review.p_too_easy, review.p_too_hard)
    beyond = "above" if side == "too easy" else "below"
    bar = rule.upper if side == "too easy" else rule.lower
    true_level = (
        f"Allowing for chance, the true level is {beyond} {_completion(bar)} with probability "
        f"{_percent(chance)}"
    )
    if verdict in OPPOSITE:
        return f"{true_level}: open the adjustment, the bar is {verdict}."
    if chance < 0.05 and review.rule_verdict == "leave alone":
        return "Leave it alone."
    needed = (
        f"the {_percent(judgment.required_probability)} that a change needs"
        if judgment.fdr is None
        else "what a change needs"
    )
    return f"{true_level}, short of {needed}: leave it alone for now."


def _say_target(review: IndicatorReview, verdict: Verdict, rule: ReviewRule) -> str:
    if verdict not in OPPOSITE:
        return ""
    proposal = review.proposal
    if proposal is None:
        need = (
            "the numbers of patients of each doctor"
            if rule.reading == "share_of_doctors"
            else "a target for each unit, and a reading that uses it"
        )
        return f"How far to move a target cannot be worked out from these counts; it takes {need}."
    present, new = proposal.present.mean(), proposal.targets.mean()
    if not proposal.within:
        return (
            f"No target up to 100% would bring {_of_what(rule)} into the wanted range: at "
            f"{_percent(new)} it would be {_percent(proposal.completion.mean())}."
        )
    several = " on average" if np.ptp(proposal.present) > 0 else ""
    return (
        f"A target of {_percent(new)} instead of {_percent(present)}{several} would bring it to "
        f"about {_percent(proposal.next_completion.mean())}{_say_ratchet(review, proposal)}."
    )


def _say_ratchet(review: IndicatorReview, proposal: Proposal) -> str:
    loses, gains = losers_and_gainers(review.unit_rates, proposal)
    n_loses, n_gains = int((loses > 0.5).sum()), int((gains > 0.5).sum())
    if n_loses:
        return (
            f"; {n_loses} of {loses.size} units that reach the present target would miss the new "
            "one, and would pay for having done well"
        )
    if n_gains:
        return f"; {n_gains} of {gains.size} units that miss the present target would reach it"
    return ""


def _say_next(review: IndicatorReview, rule: ReviewRule, level: float) -> str:
    if review.reason:
        return ""
    lower, upper = interval(review.next_completion[None, :], level=level)
    middle = review.next_completion.mean()
    return (
        f"With nothing changed, expect {_percent(middle)} in the next {NOUN[rule.cycle_length]} "
        f"({_percent(float(lower[0]))} to {_percent(float(upper[0]))})."
    )
