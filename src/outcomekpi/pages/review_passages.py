"""The fixed and half-fixed passages of a review: what was asked, the history, the model."""

from outcomekpi.pages.numbers import count, percent, plural
from outcomekpi.pages.statements import Facts, list_provenance
from outcomekpi.review.review import ThresholdReview

__all__ = [
    "READINGS",
    "describe_history",
    "describe_review",
    "describe_review_model",
    "describe_review_provenance",
    "explain_review_words",
    "state_review_limits",
]

READINGS = {
    "share_of_doctors": "the share of doctors (units) that reach their target",
    "mean_achievement": "the mean over units of the achieved rate over its target",
    "raw_rate": "events over cases, all units together",
}


def describe_review(review: ThresholdReview, *, level: float) -> Facts:
    """List what was asked: the reading of completion, the rule, the losses, the wanted band."""
    rule, judgment = review.rule, review.judgment
    low, high = judgment.wanted
    facts = [
        ("Completion is read as", READINGS[rule.reading]),
        ("Rule as written", _rule_in_words(review)),
    ]
    if rule.target is not None:
        facts.append(("Target of every unit", percent(rule.target)))
    if judgment.fdr is not None:
        facts.append(
            ("Changes of the review", f"share of wrong changes at most {percent(judgment.fdr)}")
        )
    else:
        facts.append(
            (
                "Losses",
                f"a change that is wrong {judgment.loss_false_change:g}, one that is missed "
                f"{judgment.loss_missed:g}: a change needs a probability above "
                f"{percent(judgment.required_probability)}",
            )
        )
    facts += [
        ("Wanted completion", f"{percent(low)} to {percent(high)} in the next cycle"),
        ("Intervals", f"hold the true value with {percent(level)} probability, given the model"),
    ]
    return facts


def _rule_in_words(review: ThresholdReview) -> str:
    rule = review.rule
    above, below = ("above", "below") if rule.strict else ("at or above", "at or below")
    which = "in the last cycle"
    if rule.cycles > 1:
        which = f"in each of the last {rule.cycles} cycles"
    return (
        f"completion {above} {percent(rule.upper)} {which} is too easy, {below} "
        f"{percent(rule.lower)} too hard (a cycle is a {rule.cycle_length})"
    )


def describe_history(review: ThresholdReview) -> Facts:
    """List how many indicators, units, cycles and cases there are."""
    history = review.history
    frame = history.frame
    what = "Patients" if history.numerator_counts == "events" else "Doctors"
    cycles = f"{len(history.cycles):,} ({', '.join(history.cycles[:12])}"
    cycles += ", ...)" if len(history.cycles) > 12 else ")"
    facts = [("Indicators", f"{len(history.indicators):,}"), ("Cycles", cycles)]
    if len(history.units) > 1:
        facts.append(("Units", f"{len(history.units):,} (doctors or departments)"))
    facts.append((f"{what} counted", count(float(frame["denominator"].sum()))))
    totals = frame.groupby(["indicator", "cycle"])["denominator"].sum()
    facts.append(
        (
            f"{what} per indicator and cycle",
            f"{count(float(totals.min()))} to {count(float(totals.max()))}, median "
            f"{count(float(totals.median()))}",
        )
    )
    targets = frame["target"].dropna()
    if len(targets):
        low, high = float(targets.min()), float(targets.max())
        each = percent(low) if low == high else f"{percent(low)} to {percent(high)}"
        facts.append(("Targets in use", each))
    return facts


def describe_review_model(review: ThresholdReview) -> list[str]:
    """Say in sentences how the probabilities were computed."""
    models = [each.model for each in review.indicators]
    draws = review.draws.shape[1]
    sentences = []
    if "hierarchical" in models:
        sentences.append(
            "Each indicator was reviewed by a logistic regression of its counts on the cycle, "
            "with one effect per unit and one per unit and cycle. The units' effects are taken to "
            "come from one normal distribution whose spread is learned from the data: that is what "
            "pulls a unit with few cases towards the others."
        )
    if "conjugate" in models:
        which = "Each indicator" if set(models) == {"conjugate"} else "Where there is only one unit"
        sentences.append(
            f"{which} was reviewed in closed form: a uniform prior and binomial counts, "
            "Beta(1 + x, 1 + n - x)."
        )
    sentences.append(
        "The completion of a draw is the reading of completion applied to its true rates, so that "
        "the probabilities are about what the counts would show without chance. The next cycle is "
        "predicted with the movement between cycles that was seen so far and with the chance in "
        f"its own counts. Every number is read from the same {draws:,} draws per indicator."
    )
    return sentences


def describe_review_provenance(review: ThresholdReview) -> Facts:
    """List when, from what and with what the numbers were computed."""
    told = list_provenance(
        review.provenance, done="Computed", data="the history", asked="rule and judgment"
    )
    return [*told, ("History", plural(len(review.history.frame), "row"))]


def explain_review_words(review: ThresholdReview, *, level: float) -> list[tuple[str, str]]:
    """Explain the words of the table and the picture to someone who is no statistician."""
    shares = (
        review.rule.reading == "share_of_doctors" and review.history.numerator_counts == "events"
    )
    observed = (
        "Observed, and true, share on target",
        "A unit with few cases misses its target by bad luck, or reaches it by good luck. Where "
        "most units truly reach it, luck mostly takes units below it, so that the share as "
        "observed can lie outside the interval of the true one, year after year.",
    )
    return [
        *([observed] if shares else []),
        (
            "Written rule",
            "What the rule says of the counts as they are, luck included.",
        ),
        (
            "Bayesian review",
            "What can be said of the completion behind the counts. It changes a bar only when it "
            "is sure enough; 'leave alone' says that the data do not show that the bar is wrong, "
            "'cannot say' that there is too little or too uneven data for either verdict.",
        ),
        (
            "Probability that the rule is wrong",
            "Where the rule changes a bar: that the true completion does not lie beyond it. Where "
            "it leaves the bar alone: that the true completion lies beyond one of the two.",
        ),
        (
            "Pooled completion",
            f"True completion over the cycles that the rule looks at; it lies in the interval with "
            f"{percent(level)} probability, given the model.",
        ),
        (
            "Next cycle",
            "What the counts of the next cycle will show if nothing is changed. Wider than the "
            "interval, because the next cycle has luck of its own and units move.",
        ),
        (
            "Proposed target",
            "The target that would bring completion into the wanted band, had the units the same "
            "true rates. It is an offer to a committee, not a verdict.",
        ),
        (
            "Gains, loses",
            "A unit loses if it most likely reaches the present target and not the proposed one. "
            "Raising a bar because the good performers passed it makes them pay for their "
            "performance (the ratchet).",
        ),
    ]


def state_review_limits(review: ThresholdReview) -> list[str]:
    """State what the history and the model cannot say."""
    lines = [
        "Completion is not adjusted for case mix. Where units, or cycles, differ in their "
        "patients, a bar can look too easy or too hard because of them.",
        "A completion beyond a bar does not say why: a bar may be easy because care is good, "
        "because patients were chosen, or because of how cases are recorded.",
        "Whether a higher completion is better for patients is not in these data. An indicator "
        "that everyone meets may be worth keeping: after removal of financial incentives from "
        "indicators of general practice in the United Kingdom, care on them fell (Minchin et al. "
        "2018).",
        "The review is about these units in these cycles. It says nothing of other units.",
        "Proposed targets suppose that units would perform as they did. Units that are held to a "
        "new target may not.",
        "The prediction of the next cycle rests on few cycles and on a prior for how much "
        "completion moves between them.",
        "What the rule does by chance is worked out for the caseloads of this history, not for "
        "every indicator by itself.",
    ]
    if review.rule.reading == "raw_rate":
        lines.insert(
            2,
            "Counts of all units are pooled: large units weigh most, and targets of single units "
            "play no part in the verdicts.",
        )
    return lines
