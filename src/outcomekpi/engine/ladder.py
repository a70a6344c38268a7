"""Proposals tried one after the other, until the exact weights of one are good enough."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from outcomekpi.engine.proposal import Proposal
from outcomekpi.engine.weights import (
    Weights,
    assess_weights,
    predict_weights,
    refusal,
    weighted_moments,
    weighted_sd,
)

__all__ = ["N_POINTS", "Attempt", "Moments", "climb_ladder", "rungs_of_the_grid"]

Array = NDArray[np.float64]
Moments = tuple[Array, Array]
Kind = Literal["normal", "grid", "tails", "recentered"]

N_POINTS = 4096
_TAIL_DF = 8.0
_CHECKED, _FEWEST_CHECKED = 32, 4
_QUADRATURE_TOLERANCE = 0.02
_LARGEST_RESIDUAL = 0.1  # of predicted log weights
_PROMISING = 0.4  # efficiency from which exact weights of all points are worth their price


@dataclass(frozen=True, slots=True)
class Attempt:
    """One rung: a kind of proposal, and how many of its points get exact weights."""

    kind: Kind
    n_exact: int

    @property
    def tail_df(self) -> float | None:
        """Degrees of freedom of the fixed effects' tails, None for normal ones."""
        return None if self.kind in ("normal", "grid") else _TAIL_DF


def rungs_of_the_grid(n_exact: int) -> list[Attempt]:
    """Grid with normal fixed effects, with t tails, then three times with weighted moments."""
    later: tuple[Kind, ...] = ("tails", "recentered", "recentered", "recentered")
    return [Attempt("grid", n_exact), *(Attempt(kind, N_POINTS) for kind in later)]


def climb_ladder(
    attempts: Iterable[Attempt],
    propose: Callable[[Attempt, Moments | None], Proposal],
    density: Callable[[Array, bool], Array],
    *,
    n_sds: int,
    n_draws: int,
) -> tuple[Proposal, Weights, dict[str, float | str]]:
    """Try proposals in order; return the first whose weights leave nothing to be wished for.

    Where the weights of the points that have no exact ones cannot be predicted to .1 (standard
    deviation of the log weight), 4,096 points or as many as there are draws get exact ones, and
    the others are dropped. Where no proposal is good, the
    one with the most effective points among those that are acceptable is returned.

    Parameters
    ----------
    propose : makes the points of an attempt, given moments of the standardized fixed effects
    density : exact log posterior of thetas; with True, by twice the quadrature nodes
    n_sds : how many of the last scores belong to SDs
    n_draws : how many draws will be taken of the points

    Raises
    ------
    EngineError
        None was acceptable; lists what was tried.
    """
    tried: list[str] = []
    moments: Moments | None = None
    best: tuple[Proposal, Weights, float] | None = None
    for attempt in attempts:
        proposal, weights, error = _weigh(
            propose(attempt, moments), attempt.n_exact, max(N_POINTS, n_draws), density
        )
        tried.append(weights.describe(proposal.name, error))
        usable = weights.acceptable and error < _QUADRATURE_TOLERANCE
        if usable and (best is None or weights.efficiency > best[1].efficiency):
            best = proposal, weights, error
        if usable and weights.good:
            break
        if attempt.tail_df is not None:
            moments = weighted_moments(weights, proposal.scores[:, :-n_sds])
    if best is None:
        raise refusal(tried, _QUADRATURE_TOLERANCE)
    proposal, weights, error = best
    return proposal, weights, weights.diagnostics(proposal.name, error, tried)


def _weigh(
    proposal: Proposal, n_exact: int, n_most: int, density: Callable[[Array, bool], Array]
) -> tuple[Proposal, Weights, float]:
    """Exact weights of the first points, and of more if the others' cannot be predicted.

    Returns
    -------
    the proposal, without the points whose weights are not known well enough; its weights; and the
    weighted standard deviation of the change by twice the quadrature nodes
    """
    thetas = proposal.thetas[:n_exact]
    exact = density(thetas, False)
    weights = assess_weights(exact - proposal.log_density[:n_exact])
    some = slice(0, max(_FEWEST_CHECKED, min(_CHECKED, exact.size // 16)))
    change = density(thetas[some], True) - exact[some]
    error = weighted_sd(change, weights.log_weights[some])
    promising = weights.efficiency > _PROMISING and error < _QUADRATURE_TOLERANCE
    if promising and predict_weights(weights, proposal.scores).residual > _LARGEST_RESIDUAL:
        proposal = proposal.first(max(n_most, n_exact))
        rest = density(proposal.thetas[n_exact:], False)
        weights = assess_weights(np.append(exact, rest) - proposal.log_density)
    return proposal, weights, error
