"""review_thresholds: the annual review of every indicator, by the rule and by the evidence."""

from time import perf_counter
from typing import Annotated

import numpy as np
import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Range, Seed
from outcomekpi.lineage.origins import record_provenance
from outcomekpi.profiling.classification import discoveries
from outcomekpi.review.indicator_review import IndicatorReview, Verdict, review_indicator
from outcomekpi.review.indicator_table import check_reading
from outcomekpi.review.result import ThresholdReview
from outcomekpi.review.rule import ReviewJudgment, ReviewRule
from outcomekpi.tables.cases import Cases
from outcomekpi.tables.cycle_order import length_of_cycles
from outcomekpi.tables.history import CycleHistory

__all__ = ["ReviewJudgment", "ReviewRule", "ThresholdReview", "review_thresholds"]

FEWEST_DRAWS = 100


def review_thresholds(
    history: CycleHistory,
    rule: ReviewRule,
    *,
    judgment: ReviewJudgment | None = None,
    draws: Annotated[int, Range(low=FEWEST_DRAWS)] = 2000,
    seed: Seed = 20261,
) -> ThresholdReview:
    """Whether each indicator's bar is too easy or too hard, by the rule and by the evidence.

    Parameters
    ----------
    history : completions of units in cycles
    rule : the rule as written, with the reading of completion
    judgment : losses, wanted completion and model of the Bayesian review
    draws : joint draws for each indicator
    seed : of every indicator's draws; same seed, same numbers, whatever the labels

    Raises
    ------
    SpecError
        A reading that the counts cannot give, or settings that cannot be used.

    Notes
    -----
    Hierarchical model, one per indicator: logit p_uc = a + b_c + v_u + e_uc with
    v_u ~ N(0, omega^2) for units and e_uc ~ N(0, sigma^2) for a unit in a cycle; half-normal(1)
    priors of omega and sigma. The completion of a draw is the reading applied to its rates. A
    bar is too easy if P(completion > upper) > L_FC / (L_FC + L_M), with the two losses of the
    judgment, and too hard likewise below; with ``fdr`` the largest set of changes whose mean
    P(wrong) is at most that. The rule's verdict is wrong with probability 1 - P(beyond that bar),
    or P(beyond either bar) where it leaves alone.

    References
    ----------
    Müller, Parmigiani & Rice (2006), FDR and Bayesian multiple comparisons rules, Johns Hopkins
    University Department of Biostatistics Working Paper 115. Minchin et al. (2018), New England
    Journal of Medicine 379, 948-957, doi:10.1056/NEJMsa1801495 (on removing what is easy).

    Examples
    --------
    >>> import outcomekpi as ok
    >>> history = ok.CycleHistory.from_frame(
    ...     ok.datasets.simulate_history(), indicator="indicator", unit="department",
    ...     cycle="year", numerator="reached", denominator="patients", counts="events")
    >>> ok.review_thresholds(history, ok.ReviewRule(reading="raw_rate")).verdicts[1]
    'too easy'
    """
    check_arguments(review_thresholds, locals())
    judgment = ReviewJudgment() if judgment is None else judgment
    check_reading(history, rule)
    began = perf_counter()
    reviews = tuple(
        review_indicator(history, name, rule, judgment, draws=draws, seed=seed)
        for name in history.indicators
    )
    notes = _name_length(history, rule) + [
        f"{review.indicator}: reviewed by the closed form, as {review.model_note}."
        for review in reviews
        if review.model_note
    ]
    return ThresholdReview(
        history=history,
        rule=rule,
        judgment=judgment,
        indicators=reviews,
        verdicts=_judge(reviews, judgment),
        provenance=record_provenance(
            _as_cases(history), (rule, judgment), seed=seed, seconds=perf_counter() - began
        ),
        log=(*history.log, *notes),
    )


def _name_length(history: CycleHistory, rule: ReviewRule) -> list[str]:
    """Say it where the labels of the cycles show another length than the rule states."""
    seen = length_of_cycles(history.cycles)
    if seen in ("", rule.cycle_length):
        return []
    return [
        f"The rule counts in cycles of a {rule.cycle_length}; those of this history look like "
        f"cycles of a {seen} ({history.cycles[-1]}). Add the counts up, or, if the rule is about "
        f"a {seen}, pass cycle_length={seen!r}."
    ]


def _as_cases(history: CycleHistory) -> Cases:
    """Return the rows of a history as cases, for its fingerprint."""
    frame = history.frame
    units = pd.Index(history.units, dtype="str")
    return Cases(
        frame=frame,
        roles={"outcome": "numerator", "trials": "denominator", "doctor": "unit"},
        outcome=frame["numerator"].to_numpy(dtype=np.float64),
        trials=frame["denominator"].to_numpy(dtype=np.float64),
        exposure=None,
        doctors=units,
        doctor_code=units.get_indexer(pd.Index(frame["unit"])),
        hospitals=None,
        hospital_code=None,
        direction="higher",
        event=None,
        log=(),
    )


def _judge(reviews: tuple[IndicatorReview, ...], judgment: ReviewJudgment) -> tuple[Verdict, ...]:
    """Verdicts of the Bayesian review; those that cannot say take no part in the FDR."""
    easy = np.array([review.p_too_easy for review in reviews])
    hard = np.array([review.p_too_hard for review in reviews])
    speaks = np.array([not review.reason for review in reviews])
    certainty = np.maximum(easy, hard)
    acts = certainty > judgment.required_probability
    if judgment.fdr is not None:
        acts = np.zeros(len(reviews), dtype=bool)
        if speaks.any():
            acts[speaks] = discoveries(1 - certainty[speaks], judgment.fdr)
    verdicts: list[Verdict] = []
    for i in range(len(reviews)):
        if not speaks[i]:
            verdicts.append("cannot say")
        elif not acts[i]:
            verdicts.append("leave alone")
        else:
            verdicts.append("too easy" if easy[i] >= hard[i] else "too hard")
    return tuple(verdicts)
