"""Simulated operating characteristics: units whose true rates differ and drift, in parallel."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from outcomekpi.awards.rules import CycleResults, Rule, apply_rule, rule_cycles
from outcomekpi.operating.scores import (
    quantity_parts,
    score_decisions,
    summarize_parts,
)
from outcomekpi.operating.settings import Setting
from outcomekpi.operating.truth import (
    check_awards_meet_bars,
    deserved_by_level,
    deserved_by_unit,
)

__all__ = ["SimulatedCell", "draw_results", "draw_true_rates", "simulate_cells"]

Array = NDArray[np.float64]

BLOCK = 200_000  # counts that are drawn at once


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimulatedCell:
    """What the replicates of one level and caseload say.

    Attributes
    ----------
    moments : name -> numbers in the order of ``operating_scores.MOMENTS``
    first : (cycle,), share of decisions that first fire in each cycle; None without horizon
    """

    moments: dict[str, list[float]]
    first: Array | None


def simulate_cells(
    rule: Rule, setting: Setting, *, per_unit: bool
) -> dict[tuple[float, int], SimulatedCell]:
    """Try a rule on simulated counts: (level, caseload) -> what the replicates say.

    Notes
    -----
    Every cell has a generator of its own, seeded by the seed, its level and its caseload: its
    numbers do not depend on what else is in the setting, nor on how many processors share the
    work, and every rule is tried on the same counts.
    """
    due = dict.fromkeys(setting.levels)
    if not per_unit:
        due |= zip(setting.levels, deserved_by_level(rule, setting), strict=True)
    cells = list(product(setting.levels, setting.caseloads))

    def simulate(cell: tuple[float, int]) -> SimulatedCell:
        level, caseload = cell
        return _simulate_cell(rule, setting, level, caseload, due[level])

    # the generators release the interpreter lock while they draw
    with ThreadPoolExecutor(min(len(cells), os.cpu_count() or 1)) as pool:
        return dict(zip(cells, pool.map(simulate, cells), strict=True))


def draw_true_rates(
    rng: np.random.Generator, setting: Setting, level: float, n_replicates: int, n_cycles: int
) -> Array:
    """Draw true rates: (replicate, unit, cycle), one unit or cycle where all are the same.

    Notes
    -----
    The first cycle is Beta(a, b), see :meth:`Setting.beta_shapes`. From one cycle to the next,
    s ~ Binomial(m, rate) and the next rate is Beta(a + s, b + m - s). The marginal stays
    Beta(a, b) and the correlation between consecutive rates is m / (m + a + b), that between
    rates h cycles apart its h-th power; m = persistence (a + b) / (1 - persistence), or, if that
    is no whole number, one of its two neighbors with the probability that gives the correlation
    asked for.

    References
    ----------
    Pitt, Chatfield & Walker (2002), Constructing first order stationary autoregressive models
    via latent processes, Scandinavian Journal of Statistics 29.
    """
    shapes = setting.beta_shapes(level)
    if shapes is None:
        return np.full((1, 1, 1), level)
    a, b = shapes
    size = (n_replicates, setting.n_units)
    if setting.persistence == 1:
        return rng.beta(a, b, size)[:, :, None]
    if setting.persistence == 0:
        return rng.beta(a, b, (*size, n_cycles))
    rates = np.empty((*size, n_cycles))
    rates[..., 0] = rng.beta(a, b, size)
    for cycle in range(1, n_cycles):
        m = _memory(rng, a + b, setting.persistence, size)
        s = rng.binomial(m, rates[..., cycle - 1])
        rates[..., cycle] = rng.beta(a + s, b + m - s)
    return rates


def draw_results(
    rng: np.random.Generator, true_rates: Array, caseload: int, shape: tuple[int, int, int]
) -> CycleResults:
    """Draw the counts of one block: (replicate, unit, cycle), binomial given the true rates."""
    rates = true_rates.item() if true_rates.size == 1 else true_rates
    events = rng.binomial(caseload, rates, shape)
    return CycleResults(events=events, trials=np.array(caseload))


def _memory(
    rng: np.random.Generator, size: float, persistence: float, shape: tuple[int, int]
) -> NDArray[np.int64] | int:
    """Draw the number of latent trials m that one rate hands on to the next."""
    exact = persistence * size / (1 - persistence)
    if abs(exact - round(exact)) <= 1e-9 * exact:
        return round(exact)
    low = int(exact)
    of_low, of_high = low / (low + size), (low + 1) / (low + 1 + size)
    share = (persistence - of_low) / (of_high - of_low)
    return low + (rng.random(shape) < share).astype(np.int64)


def _simulate_cell(
    rule: Rule, setting: Setting, level: float, caseload: int, due: float | None
) -> SimulatedCell:
    """Simulate one level and caseload in blocks of replicates."""
    word = int(np.float64(level).view(np.uint64))
    rng = np.random.default_rng([setting.seed, word, caseload])
    n_cycles = setting.horizon or setting.n_cycles
    block = max(1, BLOCK // (setting.n_units * n_cycles))
    scores, firsts = [], []
    for start in range(0, setting.replicates, block):
        n_replicates = min(block, setting.replicates - start)
        rates = draw_true_rates(rng, setting, level, n_replicates, n_cycles)
        shape = (n_replicates, setting.n_units, n_cycles)
        results = draw_results(rng, rates, caseload, shape)
        awards, first = _decide(rule, setting, results)
        check_awards_meet_bars(rule, setting, awards)
        deserved = np.array(due) if due is not None else _deserved(rule, setting, rates, shape)
        scores.append(score_decisions(awards, deserved, setting.amount))
        firsts.append(first)
    joined = {name: np.concatenate([part[name] for part in scores]) for name in scores[0]}
    first_fires = None if setting.horizon is None else np.concatenate(firsts)
    parts = quantity_parts(joined, first_fires)
    return SimulatedCell(
        moments=dict(zip(parts, summarize_parts(parts), strict=True)),
        first=None if first_fires is None else first_fires.mean(axis=0),
    )


def _deserved(rule: Rule, setting: Setting, rates: Array, shape: tuple[int, int, int]) -> Array:
    """Award that each unit deserves for its mean true rate in the cycles that the rule saw."""
    seen = rates[..., : setting.n_cycles][..., -(rule_cycles(rule) or setting.n_cycles) :]
    return deserved_by_unit(rule, setting, np.broadcast_to(seen.mean(axis=2), shape[:2]))


def _decide(rule: Rule, setting: Setting, results: CycleResults) -> tuple[Array, Array]:
    """Awards after ``n_cycles`` (replicate, unit), and the share first firing in each cycle."""
    horizon = results.events.shape[2]
    cycles = rule_cycles(rule)
    start = setting.n_cycles if setting.horizon is None else cycles or setting.n_cycles
    first = np.zeros((results.events.shape[0], horizon))
    silent: NDArray[np.bool_] | bool = True
    awards = np.empty(0)
    for seen in range(start, horizon + 1):
        shown = slice(0 if cycles is None else seen - cycles, seen)
        history = CycleResults(events=results.events[..., shown], trials=results.trials[..., shown])
        decided = apply_rule(rule, history)
        decided = decided[:, None] if decided.ndim == 1 else decided
        first[:, seen - 1] = (silent & (decided != 0)).mean(axis=1)
        silent = silent & (decided == 0)
        if seen == setting.n_cycles:
            awards = decided
    return awards, first
