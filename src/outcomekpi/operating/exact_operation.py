"""Exact operating characteristics of one unit: every table of counts through the rule itself."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaln, gammaln, xlog1py, xlogy

from outcomekpi.awards.rules import CycleResults, Rule, apply_rule, rule_cycles
from outcomekpi.operating.scores import score_decisions
from outcomekpi.operating.settings import Setting
from outcomekpi.operating.truth import (
    check_awards_meet_bars,
    deserved_by_level,
    deserved_by_unit,
    split_at_cuts,
)

__all__ = ["expected_first_fires", "expected_scores", "why_not_exact"]

Array = NDArray[np.float64]

MOST_TABLES = 10_000_000
MOST_EVENTS = 200_000
BLOCK = 2**17


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Decided:
    """Awards of a rule for every table of counts: (table,), the latest cycle varies fastest."""

    trials: int
    cycles: int
    awards: Array


def why_not_exact(rule: Rule, setting: Setting, *, per_unit: bool) -> str | None:
    """Why a setting cannot be enumerated, in words; None where it can."""
    pooled = bool(getattr(rule, "pools_units", False)) and not per_unit and setting.icc == 0
    if setting.n_units > 1 and not pooled:
        way_out = (
            "a rule that looks at each alone is exact with n_units=1"
            if per_unit
            else "the rule would have to say pools_units = True, and the ICC be 0"
        )
        return f"{setting.n_units} units are judged together ({way_out})"
    if setting.icc > 0 and setting.persistence not in (0.0, 1.0):
        return f"true rates persist in part ({setting.persistence:g})"
    if per_unit and setting.icc > 0:
        if setting.persistence == 0:
            return "each doctor is judged by the mean of true rates that change every cycle"
        if split_at_cuts(rule, setting) is None:
            return "what each doctor deserves is graded"
    if setting.horizon is not None and rule_cycles(rule) is None:
        return "the rule does not say, as an attribute cycles, how many cycles it looks at"
    n, k = _trials(setting, max(setting.caseloads)), _cycles(rule, setting)
    # the cases can be too many in a single cycle alone: in more, the tables are before them
    if (n + 1) ** k > MOST_TABLES or n > MOST_EVENTS:
        return (
            f"{n} cases in {k} cycles make {(n + 1) ** k:.1e} tables of counts (at most "
            f"{MOST_TABLES:.0e}, and {MOST_EVENTS:,} cases in all)"
        )
    return None


def expected_scores(
    rule: Rule, setting: Setting, caseload: int, *, per_unit: bool
) -> tuple[dict[str, Array], Array | None]:
    """Sum the scores of a rule over every table of counts, for each level; and when it first fires.

    Parameters
    ----------
    caseload : cases of the unit in each cycle
    per_unit : whether the rule decides about the unit or about the indicator

    Returns
    -------
    scores : name -> (level,), see
        :func:`~outcomekpi.operating.scores.score_decisions`
    first : (level, cycle), probability that the first firing is in that cycle; None without
        horizon

    Notes
    -----
    Given the total S of k cycles of n cases, counts x have probability
    prod C(n, x_t) / C(k n, S) whatever the true rate, as long as it is the same in all cycles.
    E[score | S] is summed once over all tables; a level then weights it with the binomial or
    beta-binomial probability of S. With rates drawn anew in every cycle the probability of a
    table is a product of beta-binomials. Where a unit's own rate says what it deserves, S is
    split by the posterior Beta(a + S, b + k n - S) at the rates where that changes.
    """
    decided = _decide_all(rule, setting, caseload)
    check_awards_meet_bars(rule, setting, decided.awards)
    awards, shares, known = _deserved_shares(rule, setting, decided, per_unit=per_unit)
    if setting.icc > 0 and setting.persistence == 0:
        per_award = _by_products(setting, decided, awards)
        found = np.einsum("kcl,lk->cl", per_award, shares[:, :, 0])
    else:
        totals = _pmf_by_level(setting, decided.trials * decided.cycles)
        found = np.einsum("kcs,lks,ls->cl", _by_totals(setting, decided, awards), shares, totals)
    names = score_decisions(np.zeros((1, 1)), np.zeros(1), setting.amount)
    scores = dict(zip(names, found, strict=True))
    if known is not None:  # without the rounding of the sums
        scores |= {"deserved": known, "due": (known != 0).astype(np.float64)}
    first = None if setting.horizon is None else expected_first_fires(setting, decided)
    return scores, first


def expected_first_fires(setting: Setting, decided: _Decided) -> Array:
    """Probability that the rule first fires in each cycle of the horizon: (level, cycle).

    Notes
    -----
    The rule is applied to the latest k cycles from cycle k on. The chance of silence so far is
    carried along with the last k - 1 counts. A rate that is common to all cycles is integrated
    by Gauss-Jacobi quadrature over its beta distribution, with so many nodes that the integrand,
    a polynomial of degree n x horizon, is integrated exactly, or, if these are more, with
    5 sqrt(n x horizon) + 20.
    """
    n, k, horizon = decided.trials, decided.cycles, setting.horizon or setting.n_cycles
    stays = (decided.awards == 0).reshape((n + 1,) * k).astype(np.float64)
    first = np.zeros((len(setting.levels), horizon))
    for row, level in enumerate(setting.levels):
        shapes = setting.beta_shapes(level)
        if shapes is not None and setting.persistence == 1:
            rates, weights = _beta_nodes(*shapes, _n_nodes(n * horizon))
            pmf = _binomial_pmf(n, rates)
        else:
            weights, pmf = np.ones(1), _pmf(setting, level, n)[None]
        first[row] = weights @ _first_fires(pmf, stays, horizon)
    return first


def _cycles(rule: Rule, setting: Setting) -> int:
    return rule_cycles(rule) or setting.n_cycles


def _trials(setting: Setting, caseload: int) -> int:
    # only rules that pool the units come here with more than one
    return caseload * setting.n_units


def _decide_all(rule: Rule, setting: Setting, caseload: int) -> _Decided:
    n, k = _trials(setting, caseload), _cycles(rule, setting)
    awards = np.empty((n + 1) ** k)
    for start in range(0, awards.size, BLOCK):
        counts = _counts(start, min(start + BLOCK, awards.size), n, k)
        results = CycleResults(events=counts[:, None, :], trials=np.array(n))
        awards[start : start + len(counts)] = apply_rule(rule, results).reshape(-1)
    return _Decided(trials=n, cycles=k, awards=awards)


def _counts(start: int, stop: int, n: int, k: int) -> NDArray[np.intp]:
    return np.stack(np.unravel_index(np.arange(start, stop), (n + 1,) * k), axis=1)


def _deserved_shares(
    rule: Rule, setting: Setting, decided: _Decided, *, per_unit: bool
) -> tuple[Array, Array, Array | None]:
    """Awards that may be deserved, how probable each is, and which it is where that is certain.

    Returns
    -------
    (award,); (level, award, total events); (level,) or None
    """
    levels, total = np.array(setting.levels), decided.trials * decided.cycles
    found = split_at_cuts(rule, setting) if per_unit and setting.icc > 0 else None
    if found is None:
        due = (
            deserved_by_unit(rule, setting, levels[:, None])[:, 0]
            if per_unit
            else deserved_by_level(rule, setting)
        )
        awards, which = np.unique(due, return_inverse=True)
        shares = (which[:, None] == np.arange(awards.size)).astype(np.float64)
        return awards, np.repeat(shares[:, :, None], total + 1, axis=2), due
    cuts, awards = found
    edges = np.r_[0.0, cuts, 1.0]
    events = np.arange(total + 1.0)
    shares = np.empty((levels.size, awards.size, total + 1))
    for row, level in enumerate(setting.levels):
        shapes = setting.beta_shapes(level)
        if shapes is None:  # nobody differs at 0 and at 1
            piece = np.searchsorted(cuts, level, side="left")
            shares[row] = (np.arange(awards.size) == piece)[:, None]
        else:
            a, b = shapes[0] + events, shapes[1] + total - events
            shares[row] = np.diff(betainc(a, b, edges[:, None]), axis=0)
    return awards, shares, None


def _by_totals(setting: Setting, decided: _Decided, due: Array) -> Array:
    """E[score | total events] for each award deserved: (award, score, total)."""
    n, k = decided.trials, decided.cycles
    in_cycle, in_all = _log_choose(n), _log_choose(n * k)
    sums = []
    for award in due:
        found, certain = np.zeros(()), np.zeros(n * k + 1)
        for start in range(0, decided.awards.size, BLOCK):
            awards = decided.awards[start : start + BLOCK]
            counts = _counts(start, start + awards.size, n, k)
            total = counts.sum(axis=1)
            chance = np.exp(in_cycle[counts].sum(axis=1) - in_all[total])
            scores = score_decisions(awards[:, None], np.array(award), setting.amount).values()
            found = found + np.stack(
                [np.bincount(total, chance * score, minlength=n * k + 1) for score in scores]
            )
            certain += np.bincount(total, chance, minlength=n * k + 1)
        # the chances of the tables with one total add up to 1 but for the rounding of log-gamma
        sums.append(found / certain)
    return np.stack(sums)


def _by_products(setting: Setting, decided: _Decided, due: Array) -> Array:
    """E[score] at each level, rates drawn anew in every cycle: (award, score, level)."""
    pmf = _pmf_by_level(setting, decided.trials)
    sums = []
    for award in due:
        found: Array | float = 0.0
        for start in range(0, decided.awards.size, BLOCK):
            awards = decided.awards[start : start + BLOCK]
            counts = _counts(start, start + awards.size, decided.trials, decided.cycles)
            chance = pmf[:, counts].prod(axis=2)
            scores = score_decisions(awards[:, None], np.array(award), setting.amount).values()
            found = found + np.stack(list(scores)) @ chance.T
        sums.append(found)
    return np.stack(sums)


def _log_choose(n: int) -> Array:
    x = np.arange(n + 1.0)
    return np.asarray(gammaln(n + 1) - gammaln(x + 1) - gammaln(n - x + 1))


def _pmf_by_level(setting: Setting, n: int) -> Array:
    return np.stack([_pmf(setting, level, n) for level in setting.levels])


def _pmf(setting: Setting, level: float, n: int) -> Array:
    """Chance of 0 .. n events in n cases of one unit with one true rate: (n + 1,)."""
    shapes = setting.beta_shapes(level)
    if shapes is None:
        return np.asarray(_binomial_pmf(n, np.array([level]))[0])
    a, b = shapes
    x = np.arange(n + 1.0)
    pmf = np.exp(_log_choose(n) + betaln(a + x, b + n - x) - betaln(a, b))
    # for a tiny ICC the beta functions are huge and cancel; their common error does too
    return np.asarray(pmf / pmf.sum())


def _binomial_pmf(n: int, rates: Array) -> Array:
    x = np.arange(n + 1.0)
    rates = rates[:, None]
    pmf = np.exp(_log_choose(n) + xlogy(x, rates) + xlog1py(n - x, -rates))
    return np.asarray(pmf / pmf.sum(axis=1, keepdims=True))


def _n_nodes(degree: int) -> int:
    return min((degree + 2) // 2, int(5 * np.sqrt(degree)) + 20)


def _beta_nodes(a: float, b: float, n_nodes: int) -> tuple[Array, Array]:
    """Gauss-Jacobi nodes and weights for a Beta(a, b) distribution (Golub and Welsch 1969)."""
    from scipy.linalg import eigh_tridiagonal

    k, s = np.arange(1.0, n_nodes), a + b
    middle = np.r_[(a - b) / s, (a - b) * (s - 2) / ((2 * k + s - 2) * (2 * k + s))]
    k = k[1:]
    later = 4 * k * (k + a - 1) * (k + b - 1) * (k + s - 2)
    later /= (2 * k + s - 2) ** 2 * (2 * k + s - 1) * (2 * k + s - 3)
    beside = np.sqrt(np.r_[4 * a * b / (s**2 * (s + 1)), later])[: n_nodes - 1]
    values, vectors = eigh_tridiagonal(middle, beside)
    return np.clip((1 + values) / 2, 0, 1), vectors[0] ** 2


def _first_fires(pmf: Array, stays: Array, horizon: int) -> Array:
    """Chance that the first firing is in each cycle, for each node: (node, cycle)."""
    nodes, width = pmf.shape
    k = stays.ndim
    silent = np.ones((nodes, 1))
    for _ in range(k - 1):
        silent = (silent[:, :, None] * pmf[:, None, :]).reshape(nodes, -1)
    first = np.zeros((nodes, horizon))
    # oldest count, those between, the new one
    moves = stays.reshape(width, -1, width).transpose(1, 0, 2) if k > 1 else stays[None, None]
    for cycle in range(k - 1, horizon):
        before = silent.sum(axis=1)
        split = silent.reshape(nodes, -1, moves.shape[0]).transpose(2, 0, 1)
        after = np.matmul(split, moves).transpose(1, 0, 2) * pmf[:, None, :]
        silent = after.reshape(nodes, -1) if k > 1 else after.sum(axis=(1, 2))[:, None]
        first[:, cycle] = before - silent.sum(axis=1)
    return first
