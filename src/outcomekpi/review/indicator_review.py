"""The review of one indicator: observed completions, draws of the true ones, both verdicts."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from outcomekpi.declare.errors import CasesError, EngineError
from outcomekpi.review.indicator_table import IndicatorTable, read_indicator
from outcomekpi.review.rate_draws import (
    RateDraws,
    beta_draws,
    conjugate_rates,
    hierarchical_rates,
)
from outcomekpi.review.rule import (
    ReviewJudgment,
    ReviewModel,
    ReviewRule,
    beyond,
)
from outcomekpi.review.targets import Proposal, propose_target, score_units
from outcomekpi.tables.columns import count_of
from outcomekpi.tables.completion import TIE
from outcomekpi.tables.history import CycleHistory

__all__ = [
    "IndicatorReview",
    "Verdict",
    "draw_drift_sd",
    "find_silence",
    "next_counts",
    "next_shift",
    "review_indicator",
]

Verdict = Literal["too easy", "too hard", "leave alone", "cannot say"]
Array = NDArray[np.float64]


# How an indicator moves from one cycle to the next, and what the next cycle may bring
GRID = 400
WIDEST = 6.0  # prior scales; a half-normal has 2e-9 of its mass beyond


# Why a verdict cannot be given: missing cycles, denominators that jump, too little data
def find_silence(
    total: Array,
    cycles: tuple[str, ...],
    rule: ReviewRule,
    judgment: ReviewJudgment,
    *,
    noun: str,
) -> tuple[str, str]:
    """Reasons why the rule, and why the Bayesian review, cannot say; "" where they can.

    Parameters
    ----------
    total : (cycle,), denominators of the indicator, 0 where it has no data
    cycles : labels in order of time
    noun : what a denominator counts, "case" or "doctor"

    Returns
    -------
    rule_reason, reason : the rule needs every cycle that it looks at; the Bayesian review only
        the latest one; neither speaks from too little data, or across a jump of the denominators
    """
    window = total[-rule.cycles :]
    names = cycles[-rule.cycles :]
    if window[-1] == 0:
        return (missing := f"no data in {names[-1]}, the latest cycle", missing)
    if window.sum() < judgment.fewest:
        few = f"only {count_of(int(window.sum()), noun)} in the cycles under review"
        return few, few
    jump = _find_jump(window, names, judgment)
    if jump:
        return jump, jump
    if len(window) < rule.cycles:
        have = count_of(len(window), "cycle")
        return f"it needs {rule.cycles} consecutive cycles and there is {have}", ""
    absent = [name for name, size in zip(names, window, strict=True) if size == 0]
    if absent:
        return f"no data in {', '.join(absent)}, and it needs consecutive cycles", ""
    return "", ""


def _find_jump(window: Array, names: tuple[str, ...], judgment: ReviewJudgment) -> str:
    for i in range(1, len(window)):
        before, after = window[i - 1], window[i]
        if before > 0 and after > 0 and abs(after - before) / before > judgment.largest_change:
            return (
                f"the denominator changed from {before:,.0f} in {names[i - 1]} to {after:,.0f} in "
                f"{names[i]}, so that the cycles may not count the same thing"
            )
    return ""


def draw_drift_sd(
    cycle_level: Array, steps: NDArray[np.intp], *, scale: float, rng: np.random.Generator
) -> Array:
    """Posterior of the SD by which the level of an indicator moves in one cycle.

    Parameters
    ----------
    cycle_level : (cycle, sample), posterior of the level of each cycle, log odds
    steps : (cycle - 1,), cycles between one level and the next; 1 without gaps
    scale : of the half-normal prior of the SD

    Returns
    -------
    (sample,); draws of the prior where there is only one cycle

    Notes
    -----
    With d the posterior means of the differences of neighboring levels and S their posterior
    covariance (the levels have a weak prior, so that these stand for the likelihood),
    p(tau | d) is proportional to HalfNormal(tau | scale) N(d | 0, S + tau^2 diag(steps)), on a
    grid of 400 midpoints.
    """
    edge = WIDEST * scale
    tau = (np.arange(GRID) + 0.5) / GRID * edge
    log_weight = -0.5 * (tau / scale) ** 2
    if len(cycle_level) > 1:
        difference = np.diff(cycle_level, axis=0)
        mean, spread = difference.mean(axis=1), np.atleast_2d(np.cov(difference))
        total = spread + tau[:, None, None] ** 2 * np.diag(steps.astype(np.float64))
        solved = np.linalg.solve(total, np.broadcast_to(mean[:, None], (GRID, mean.size, 1)))
        log_weight += -0.5 * (solved[..., 0] @ mean) - 0.5 * np.linalg.slogdet(total)[1]
    weight = np.exp(log_weight - log_weight.max())
    size = cycle_level.shape[1]
    chosen = rng.choice(tau, size=size, p=weight / weight.sum())
    return np.asarray(chosen + (rng.random(size) - 0.5) * edge / GRID)


def next_shift(drift_sd: Array, rng: np.random.Generator) -> Array:
    """Movement of the indicator's level to the next cycle: N(0, drift_sd^2), (sample,)."""
    return np.asarray(rng.normal(size=drift_sd.size) * drift_sd)


def next_counts(
    unit_level: Array, shift: Array, sd_move: Array, trials: Array, rng: np.random.Generator
) -> Array:
    """Draw the counts of the next cycle, with the chance in them.

    Parameters
    ----------
    unit_level : (unit, sample), log odds now
    shift : (sample,), movement that all units share
    sd_move : (sample,), SD of each unit's own movement
    trials : (unit,), denominators that the next cycle will have

    Returns
    -------
    (unit, sample), whole numbers
    """
    own = rng.normal(size=unit_level.shape) * sd_move
    chance = expit(unit_level + shift + own)
    return np.asarray(rng.binomial(trials[:, None].astype(np.int64), chance), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IndicatorReview:
    """What is known about the completion of one indicator.

    Attributes
    ----------
    indicator : label
    table : its rows, as arrays; one row per cycle where all units are pooled
    n_units : (cycle,), units with data
    observed : (cycle,), completion as observed, NaN where a cycle has no data
    window : (cycle,), True for the most recent cycles, which are under review
    rates : (row, sample), true rates
    by_cycle : (cycle, sample), completion at the true rates; NaN where a cycle has no data
    pooled : (sample,), the same over the cycles under review together
    drift_sd : (sample,), SD of the movement of the level from cycle to cycle, log odds
    next_completion : (sample,), completion of the next cycle as it will be observed
    proposal : target for the next cycle, or None where there is none to solve for
    model, model_note : the model that ran, and why it is not the one asked for
    rule_side : +1 too easy, -1 too hard, 0 neither, by the rule as written
    rule_reason, reason : why the rule, or the Bayesian review, cannot say; "" where it can
    p_too_easy, p_too_hard : posterior probability of the pooled completion beyond each bar
    """

    indicator: str
    table: IndicatorTable
    n_units: NDArray[np.intp]
    observed: Array
    window: NDArray[np.bool_]
    rates: Array
    by_cycle: Array
    pooled: Array
    drift_sd: Array
    next_completion: Array
    proposal: Proposal | None
    model: ReviewModel
    model_note: str
    rule_side: int
    rule_reason: str
    reason: str
    p_too_easy: float
    p_too_hard: float

    @property
    def rule_verdict(self) -> Verdict:
        """What the rule as written says."""
        if self.rule_reason:
            return "cannot say"
        if self.rule_side == 0:
            return "leave alone"
        return "too easy" if self.rule_side > 0 else "too hard"

    @property
    def p_rule_wrong(self) -> float:
        """Posterior probability that the rule's verdict is wrong; NaN where it has none."""
        return {
            "too easy": 1 - self.p_too_easy,
            "too hard": 1 - self.p_too_hard,
            "leave alone": self.p_too_easy + self.p_too_hard,
            "cannot say": float("nan"),
        }[self.rule_verdict]

    @property
    def reviewed_rows(self) -> NDArray[np.bool_]:
        """Rows of the cycles under review, (row,)."""
        return np.asarray(self.window[self.table.cycle])

    @property
    def unit_rates(self) -> Array:
        """True rate of each unit over the cycles under review, (unit, sample)."""
        return self.table.average_by_unit(self.rates, self.reviewed_rows)


def review_indicator(
    history: CycleHistory,
    indicator: str,
    rule: ReviewRule,
    judgment: ReviewJudgment,
    *,
    draws: int,
    seed: int,
) -> IndicatorReview:
    """Review one indicator; every indicator starts from the same seed, whatever its name."""
    rng = np.random.default_rng(seed)
    table = read_indicator(history, indicator, rule)
    observed = table.observe(rule)
    n_units = np.bincount(table.cycle, minlength=table.n_cycles)
    window = np.arange(table.n_cycles) >= table.n_cycles - rule.cycles
    table, found, note = _draw_rates(table, judgment, draws=draws, seed=seed, rng=rng)
    by_cycle = np.full((table.n_cycles, draws), np.nan)
    for cycle in np.unique(table.cycle):
        by_cycle[cycle] = table.complete(found.rates, table.cycle == cycle, rule)
    pooled = _pool(table, found, window, rule, rng)
    drift_sd, next_rates = _predict(table, found, judgment, rng)
    noun = "case" if history.numerator_counts == "events" else "doctor"
    rule_reason, reason = find_silence(table.totals, history.cycles, rule, judgment, noun=noun)
    margin = TIE if rule.strict else -TIE
    return IndicatorReview(
        indicator=indicator,
        table=table,
        n_units=n_units,
        observed=observed,
        window=window,
        rates=found.rates,
        by_cycle=by_cycle,
        pooled=pooled,
        drift_sd=drift_sd,
        next_completion=_complete_next(table, next_rates, rule),
        proposal=_propose(table, window, next_rates, rule, judgment),
        model=found.model,
        model_note=note,
        rule_side=int(beyond(observed[None, :], rule)[0]),
        rule_reason=rule_reason,
        reason=reason,
        p_too_easy=float((pooled > rule.upper + margin).mean()),
        p_too_hard=float((pooled < rule.lower - margin).mean()),
    )


def _draw_rates(
    table: IndicatorTable,
    judgment: ReviewJudgment,
    *,
    draws: int,
    seed: int,
    rng: np.random.Generator,
) -> tuple[IndicatorTable, RateDraws, str]:
    """Draw from the model asked for, or from the closed form where that cannot be had."""
    note = ""
    if judgment.model == "hierarchical":
        if len(table.units) == 1:
            note = "a single unit has nothing to share strength with"
        else:
            try:
                return table, hierarchical_rates(table, draws=draws, seed=seed, rng=rng), ""
            except (CasesError, EngineError) as error:
                note = f"the hierarchical model could not be computed ({error})"
    if table.target is None:
        table = table.pool_units()
    return table, conjugate_rates(table, draws=draws, rng=rng), note


def _pool(
    table: IndicatorTable,
    found: RateDraws,
    window: NDArray[np.bool_],
    rule: ReviewRule,
    rng: np.random.Generator,
) -> Array:
    part = window[table.cycle]
    n_draws = found.rates.shape[1]
    if not part.any():
        return np.full(n_draws, np.nan)
    if found.model == "conjugate" and table.target is None:
        # one uniform prior for the pooled completion, not one for each cycle
        events, trials = table.events[part].sum(), table.trials[part].sum()
        return beta_draws(events, trials, draws=n_draws, rng=rng)
    return table.complete(found.rates, part, rule)


def _predict(
    table: IndicatorTable, found: RateDraws, judgment: ReviewJudgment, rng: np.random.Generator
) -> tuple[Array, Array]:
    """SD of the drift, and rates of the next cycle as they will be observed, (unit, sample)."""
    steps = np.diff(np.unique(table.cycle)).astype(np.intp)
    drift_sd = draw_drift_sd(found.cycle_level, steps, scale=judgment.drift_scale, rng=rng)
    shift = next_shift(drift_sd, rng)
    trials = table.trials[table.latest]
    counts = next_counts(found.unit_level, shift, found.sd_move, trials, rng)
    return drift_sd, counts / trials[:, None]


def _complete_next(table: IndicatorTable, next_rates: Array, rule: ReviewRule) -> Array:
    rows, rates = table.latest[table.current], next_rates[table.current]
    if table.target is None:
        return np.asarray(table.trials[rows] @ rates / table.trials[rows].sum())
    return score_units(rates, table.target[rows], rule.reading).mean(axis=0)


def _propose(
    table: IndicatorTable,
    window: NDArray[np.bool_],
    next_rates: Array,
    rule: ReviewRule,
    judgment: ReviewJudgment,
) -> Proposal | None:
    if table.target is None or not window[table.cycle].any():
        return None
    here = table.current
    return propose_target(
        table.target[table.latest][here],
        next_rates[here],
        reading=rule.reading,
        wanted=judgment.wanted,
    )
