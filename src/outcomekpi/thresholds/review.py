"""review_thresholds: the annual review of every indicator, by the rule and by the evidence."""

from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.columns import count_of
from outcomekpi.errors import SpecError, check_kind
from outcomekpi.intervals import DEFAULT_LEVEL, interval
from outcomekpi.profiling.classification import discoveries
from outcomekpi.thresholds.history import CycleHistory
from outcomekpi.thresholds.indicator_review import IndicatorReview, Verdict, review_indicator
from outcomekpi.thresholds.indicator_table import check_reading
from outcomekpi.thresholds.review_rule import ReviewJudgment, ReviewRule
from outcomekpi.thresholds.review_wording import describe_indicator
from outcomekpi.thresholds.targets import ratchet_rows

__all__ = ["ReviewJudgment", "ReviewRule", "ThresholdReview", "review_thresholds"]

FEWEST_DRAWS = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ThresholdReview:
    """The review of every indicator: what the rule says, and what the evidence says.

    Attributes
    ----------
    history, rule, judgment : what was reviewed, and by which settings
    indicators : one :class:`IndicatorReview` per indicator, with its draws
    verdicts : verdict of the Bayesian review, in the same order
    seed : of the draws
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
    seed: int
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
            be observed if nothing changes; ``target`` in use (mean over units);
            ``target_mean, target_lower, target_upper`` of the proposed one (NaN where there is
            none to solve for); ``completion_at_target``, expected in the next cycle under it;
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
        if proposal is None:
            nothing = np.full(1, np.nan)
            row |= {"target": np.nan, **_summary("target_", nothing, level)}
            row["completion_at_target"] = np.nan
        else:
            row["target"] = proposal.present.mean()
            row |= _summary("target_", proposal.targets, level)
            row["completion_at_target"] = proposal.next_completion.mean()
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
        """
        parts = []
        for review in self.indicators:
            if review.proposal is None:
                continue
            table, rate = review.table, review.unit_rates
            here = ~np.isnan(rate[:, 0])
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
        table = shown.to_html(float_format="{:.2f}".format, na_rep="")
        return f"<p><b>{escape(repr(self))}</b></p>{table}"


def review_thresholds(
    history: CycleHistory,
    rule: ReviewRule,
    *,
    judgment: ReviewJudgment | None = None,
    draws: int = 2000,
    seed: int = 20261,
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
    v_u ~ N(0, omega^2) for units and e_uc ~ N(0, sigma^2) for a unit in a cycle; priors as in
    :class:`Priors`. The completion of a draw is the reading applied to its rates. A bar is too
    easy if P(completion > upper) > L_FC / (L_FC + L_M), too hard likewise below; with ``fdr`` the
    largest set of changes whose mean P(wrong) is at most that. The rule's verdict is wrong with
    probability 1 - P(beyond that bar), or P(beyond either bar) where it leaves alone.

    References
    ----------
    Müller, Parmigiani & Rice (2007), Bayesian Statistics 8. Minchin et al. (2018), New England
    Journal of Medicine 379.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> history = ok.CycleHistory.from_frame(
    ...     ok.datasets.simulate_history(), indicator="indicator", unit="department",
    ...     cycle="year", numerator="reached", denominator="patients", counts="events")
    >>> ok.review_thresholds(history, ok.ReviewRule(reading="raw_rate")).verdicts[1]
    'too easy'
    """
    check_kind("history", history, CycleHistory, "CycleHistory.from_frame(...)")
    check_kind("rule", rule, ReviewRule, "ReviewRule(reading=...)")
    judgment = ReviewJudgment() if judgment is None else judgment
    check_kind("judgment", judgment, ReviewJudgment, "ReviewJudgment(...)")
    for name, value, fewest in (("draws", draws, FEWEST_DRAWS), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < fewest:
            raise SpecError(f"{name} must be a whole number of at least {fewest}; got {value!r}.")
    check_reading(history, rule)
    reviews = tuple(
        review_indicator(history, name, rule, judgment, draws=draws, seed=seed)
        for name in history.indicators
    )
    notes = [
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
        seed=seed,
        log=(*history.log, *notes),
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
