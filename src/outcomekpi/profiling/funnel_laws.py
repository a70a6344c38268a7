"""Laws of counts that chance gives to many doctors at once, by their two tails."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, gammainc, gammaincc

__all__ = ["CountLaw", "beta_binomial_law", "binomial_law", "negative_binomial_law", "poisson_law"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CountLaw:
    """Distribution of the events Y of each of many doctors.

    Attributes
    ----------
    mean : (point,), events
    highest : (point,), largest count there can be; infinite where there is none
    at_most : whole counts k (point,) to P(Y <= k) (point,)
    at_least : whole counts k (point,) to P(Y >= k) (point,)
    """

    mean: Array
    highest: Array
    at_most: Callable[[Array], Array]
    at_least: Callable[[Array], Array]

    def interpolated_limits(self, tail: float) -> tuple[Array, Array]:
        """Limits of the count that leave less than ``tail`` outside on each side: (point,) each.

        Notes
        -----
        With r the smallest count such that P(Y <= r) >= tail, the lower limit is
        r - (P(Y <= r) - tail) / P(Y = r), at least 0 (Spiegelhalter, appendix). The upper one
        is its mirror image, from upper tails: with r the largest count such that P(Y >= r) >= tail,
        r + (P(Y >= r) - tail) / P(Y = r), at most the highest count. Both are continuous in the
        mean, and a whole count lies strictly outside exactly when its own tail, itself included,
        has a probability below ``tail``.

        References
        ----------
        Spiegelhalter (2005), Statistics in Medicine 24:1185-1202, doi:10.1002/sim.1970. Manktelow
        & Seaton (2012), PLoS ONE 7:e45723, doi:10.1371/journal.pone.0045723, first method.
        """
        start = np.floor(self.mean)
        low = _smallest(lambda k: self.at_most(k) >= tail, start, self.highest)
        below = self.at_most(low)
        mass = np.where(low > 0, below - self.at_most(np.maximum(low - 1, 0)), below)
        lower = np.maximum(low - (below - tail) / mass, 0.0)
        beyond = _smallest(lambda k: self.at_least(k) < tail, start, self.highest + 1)
        high = beyond - 1
        above = self.at_least(high)
        upper = high + (above - tail) / (above - self.at_least(beyond))
        return lower, np.minimum(upper, self.highest)


def _smallest(holds: Callable[[Array], NDArray[np.bool_]], start: Array, top: Array) -> Array:
    """Smallest whole count in [0, top] for which a condition holds that then goes on to hold.

    Strides of 1, 2, 4, ... away from ``start`` until the answer lies between ``fails`` and
    ``found``, then halving; all points at once. The condition must hold at ``top``.
    """
    is_found = holds(start)
    fails, found = np.where(is_found, -1.0, start), np.where(is_found, start, top)
    stride, is_open = 1.0, np.ones(start.size, dtype=bool)
    while is_open.any():
        at = np.where(is_found, found - stride, fails + stride)
        is_open &= (at > fails) & (at < found)
        at = np.where(is_open, at, np.where(np.isfinite(found), found, start))
        now = holds(at)
        found, fails = np.where(is_open & now, at, found), np.where(is_open & ~now, at, fails)
        is_open &= now == is_found
        stride *= 2
    while (wide := found - fails > 1).any():
        at = np.where(wide, np.floor((fails + found) / 2), found)
        now = holds(at)
        found, fails = np.where(wide & now, at, found), np.where(wide & ~now, at, fails)
    return found


def poisson_law(mean: Array) -> CountLaw:
    """Poisson counts with these means."""
    return CountLaw(
        mean=mean,
        highest=np.full(mean.size, np.inf),
        at_most=lambda k: gammaincc(k + 1, mean),
        at_least=lambda k: np.where(k > 0, gammainc(np.maximum(k, 1.0), mean), 1.0),
    )


def binomial_law(mean: Array, cases: Array) -> CountLaw:
    """Binomial counts with these means among these cases.

    A number of cases that is not whole (between doctors, on a curve) takes the incomplete beta
    function where the binomial distribution has it.
    """
    share = mean / cases
    return CountLaw(
        mean=mean,
        highest=np.ceil(cases),
        at_most=lambda k: np.where(
            k < cases, betainc(np.maximum(cases - k, 1e-12), k + 1, 1 - share), 1.0
        ),
        at_least=lambda k: np.where(
            k > cases + 1 - 1e-12,
            0.0,
            np.where(
                k > 0,
                betainc(np.maximum(k, 1.0), np.maximum(cases - k + 1, 1e-12), share),
                1.0,
            ),
        ),
    )


def negative_binomial_law(mean: Array, size: float) -> CountLaw:
    """Negative binomial counts: variance mean + mean²/size."""
    chance = size / (size + mean)
    return CountLaw(
        mean=mean,
        highest=np.full(mean.size, np.inf),
        at_most=lambda k: betainc(size, k + 1, chance),
        at_least=lambda k: np.where(k > 0, betainc(np.maximum(k, 1.0), size, 1 - chance), 1.0),
    )


def beta_binomial_law(mean: Array, cases: Array, precision: float) -> CountLaw:
    """Beta-binomial counts among whole numbers of cases: Y | p binomial, p ~ Beta(M s, M (1 - s)).

    Parameters
    ----------
    mean, cases : (point,); s is their ratio
    precision : M
    """
    n, share = np.maximum(np.round(cases), 1.0), mean / cases
    masses = [
        _beta_binomial_mass(int(m), precision * s, precision * (1 - s))
        for m, s in zip(n, share, strict=True)
    ]
    starts = np.r_[0, np.cumsum([mass.size + 1 for mass in masses])][:-1].astype(np.intp)
    # each tail summed from its own end, so that it keeps its digits; one 0 beyond the last count
    below = np.concatenate([np.r_[np.cumsum(mass), 1.0] for mass in masses])
    above = np.concatenate([np.r_[np.cumsum(mass[::-1])[::-1], 0.0] for mass in masses])

    def place(k: Array) -> NDArray[np.intp]:
        return np.asarray(starts + np.minimum(k, n + 1).astype(np.intp))

    return CountLaw(
        mean=n * share,
        highest=n,
        at_most=lambda k: np.asarray(below[place(k)]),
        at_least=lambda k: np.asarray(above[place(k)]),
    )


def _beta_binomial_mass(n: int, a: float, b: float) -> Array:
    """Probabilities of 0 to n events, from the ratios of neighbors."""
    k = np.arange(n)
    steps = np.log((n - k) * (k + a)) - np.log((k + 1) * (n - k - 1 + b))
    log_mass = np.r_[0.0, np.cumsum(steps)]
    mass = np.exp(log_mass - log_mass.max())
    return np.asarray(mass / mass.sum())
