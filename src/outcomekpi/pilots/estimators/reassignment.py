"""Randomization inference: the effect beside those of clusters that were not chosen."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from outcomekpi.draws.intervals import check_level

__all__ = ["Reassignment", "reassign"]

Floats = NDArray[np.float64]
MOST_ENUMERATED = 20_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reassignment:
    """Exact test and interval of a constant effect, by choosing other clusters as treated.

    Attributes
    ----------
    effect : difference of the mean changes of treated and controls
    placebo : (choice,), the same with other clusters as treated; the real choice is among them
    overlap : (choice,), how much of an effect of 1 on the treated each choice shows
    is_exact : whether all choices were made, or a random sample of them
    """

    effect: float
    placebo: Floats
    overlap: Floats
    is_exact: bool

    @property
    def p_value(self) -> float:
        """Share of the choices with an effect at least as large, the real one included."""
        return float(np.mean(np.abs(self.placebo) >= abs(self.effect) * (1 - 1e-12)))

    def _ends(self) -> tuple[Floats, Floats]:
        """Range of constant effects under which each choice looks at least as large."""
        with np.errstate(divide="ignore", invalid="ignore"):
            first = (self.placebo - self.effect) / (self.overlap - 1.0)
            second = (self.placebo + self.effect) / (self.overlap + 1.0)
        same = np.abs(self.overlap - 1.0) < 1e-9
        opposite = np.abs(self.overlap + 1.0) < 1e-9
        first = np.where(same, -np.inf, first)
        second = np.where(same, np.inf, second)
        # with everybody swapped the statistic is the same whatever the effect
        first = np.where(opposite, -np.inf, first)
        second = np.where(opposite, np.inf, second)
        return np.minimum(first, second), np.maximum(first, second)

    def interval(self, level: float) -> tuple[float, float]:
        """Constant effects that are not rejected; infinite where too few choices exist."""
        check_level(level)
        low, high = self._ends()
        # an effect is kept while more than alpha of the choices look at least as large
        place = int(np.floor((1.0 - level) * low.size + 1e-9))
        return float(np.sort(low)[place]), float(np.sort(high)[::-1][place])


def reassign(
    changes: Floats,
    sizes: Floats,
    treated: NDArray[np.bool_],
    *,
    draws: int,
    rng: np.random.Generator,
) -> Reassignment:
    """Compare the mean change of the treated clusters with that of every other choice of them.

    Parameters
    ----------
    changes : (cluster,), mean after minus mean before, over the units of a cluster
    sizes : (cluster,), units in it
    treated : (cluster,)
    draws : choices to be sampled where there are too many to be listed
    rng : of that sample
    """
    count, chosen = treated.size, int(treated.sum())
    is_exact = comb(count, chosen) <= MOST_ENUMERATED
    if is_exact:
        picks = np.array(list(combinations(range(count), chosen)), dtype=np.intp)
    else:
        random = rng.random((max(draws, 1), count)).argsort(axis=1)[:, :chosen]
        picks = np.vstack([np.flatnonzero(treated), random]).astype(np.intp)
    choice = np.zeros((len(picks), count))
    np.put_along_axis(choice, picks, 1.0, axis=1)
    difference = _difference(sizes)
    effect = difference(treated[None, :].astype(np.float64), changes)[0]
    return Reassignment(
        effect=float(effect),
        placebo=difference(choice, changes),
        overlap=difference(choice, treated.astype(np.float64)),
        is_exact=is_exact,
    )


def _difference(sizes: Floats) -> Callable[[Floats, Floats], Floats]:
    def of(choice: Floats, values: Floats) -> Floats:
        inside, outside = choice * sizes, (1.0 - choice) * sizes
        return np.asarray(
            inside @ values / inside.sum(axis=1) - outside @ values / outside.sum(axis=1)
        )

    return of
