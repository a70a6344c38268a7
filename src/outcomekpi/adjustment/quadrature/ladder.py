"""Proposals tried one after the other, until the exact weights of one are good enough."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from outcomekpi.adjustment.quadrature.proposal import Proposal
from outcomekpi.adjustment.quadrature.weights import (
    Weights,
    assess_weights,
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
    """Grid with normal fixed effects, with t tails, then twice with weighted moments."""
    later: tuple[Kind, ...] = ("tails", "recentered", "recentered")
    return [Attempt("grid", n_exact), *(Attempt(kind, N_POINTS) for kind in later)]


def climb_ladder(
    attempts: Iterable[Attempt],
    propose: Callable[[Attempt, Moments | None], Proposal],
    density: Callable[[Array, bool], Array],
    *,
    n_sds: int,
) -> tuple[Proposal, Weights, dict[str, float | str]]:
    """Try proposals in order; return the first whose weights and quadrature are good enough.

    Parameters
    ----------
    propose : makes the points of an attempt, given moments of the standardized fixed effects
    density : exact log posterior of thetas; with True, by twice the quadrature nodes
    n_sds : how many of the last scores belong to SDs

    Raises
    ------
    EngineError
        None was good enough; lists what was tried.
    """
    tried: list[str] = []
    moments: Moments | None = None
    for attempt in attempts:
        proposal = propose(attempt, moments)
        thetas = proposal.thetas[: attempt.n_exact]
        exact = density(thetas, False)
        weights = assess_weights(exact - proposal.log_density[: attempt.n_exact])
        some = slice(0, max(_FEWEST_CHECKED, min(_CHECKED, exact.size // 16)))
        change = density(thetas[some], True) - exact[some]
        error = weighted_sd(change, weights.log_weights[some])
        tried.append(weights.describe(proposal.name, error))
        if weights.acceptable and error < _QUADRATURE_TOLERANCE:
            return proposal, weights, weights.diagnostics(proposal.name, error, tried)
        if attempt.tail_df is not None:
            moments = weighted_moments(weights, proposal.scores[:, :-n_sds])
    raise refusal(tried, _QUADRATURE_TOLERANCE)
