"""The world in which a rule is tried: true levels, caseloads, and what units have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Annotated

import numpy as np

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Count, NotNegative, Range, Seed, Share
from outcomekpi.tables.columns import count_of

__all__ = ["Setting"]

LONGEST_HORIZON = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where a rule is tried: how good the units are, how many cases they have, how they differ.

    Attributes
    ----------
    levels : true levels of the indicator, events per case
    caseloads : cases of each unit in each cycle
    n_units : doctors (or departments) that are judged together
    n_cycles : cycles that have been seen when the rule decides
    icc : between-unit variance of the true rate as a share of p (1 - p), p the level
    persistence : correlation of a unit's true rate between consecutive cycles; 1 is a rate that
        never changes, 0 one that is drawn anew in every cycle
    upper, lower : a positive decision is right for true rates above ``upper``, a negative one for
        those below ``lower``; both None: right is what the rule itself would decide if it saw
        the true rates
    n_indicators : indicators that are reviewed at once
    amount : money of an award of 1
    horizon : cycles over which the first firing is awaited; None leaves the time to fire out
    replicates, seed : of the simulated method

    Raises
    ------
    SpecError
        A value that cannot be, with the value found.

    Examples
    --------
    >>> from outcomekpi import Setting
    >>> Setting(levels=(0.85, 0.90, 0.95), caseloads=(20, 100), icc=0.05).n_settings
    6
    """

    levels: tuple[Share, ...]
    caseloads: tuple[Count, ...]
    n_units: Count = 1
    n_cycles: Count = 2
    icc: Annotated[float, Range(low=0, high=1, inside="high")] = 0.0
    persistence: Share = 1.0
    upper: Share | None = None
    lower: Share | None = None
    n_indicators: Count = 1
    amount: NotNegative = 1.0
    horizon: Annotated[int, Range(low=1, high=LONGEST_HORIZON)] | None = None
    replicates: Annotated[int, Range(low=2)] = 10_000
    seed: Seed = 20261

    def __post_init__(self) -> None:
        for name in ("levels", "caseloads"):
            if isinstance(value := getattr(self, name), Real):
                object.__setattr__(self, name, (value,))
        check_fields(self)
        for name in ("levels", "caseloads"):
            object.__setattr__(self, name, _each_once(name, getattr(self, name)))
        if self.upper is not None and self.lower is not None and self.lower >= self.upper:
            raise SpecError(
                f"Setting.lower must be below Setting.upper; got lower={self.lower!r} and "
                f"upper={self.upper!r}. Are they swapped?"
            )
        if self.horizon is not None and self.horizon < self.n_cycles:
            raise SpecError(
                f"Setting.horizon must be at least n_cycles, {self.n_cycles}; got {self.horizon!r}."
            )

    @property
    def n_settings(self) -> int:
        """Number of pairs of level and caseload."""
        return len(self.levels) * len(self.caseloads)

    @property
    def has_bars(self) -> bool:
        """Whether what is right was stated, by ``upper`` or ``lower``."""
        return self.upper is not None or self.lower is not None

    def beta_shapes(self, level: float) -> tuple[float, float] | None:
        """Shapes a, b of the beta distribution of true rates; None where no unit differs.

        Notes
        -----
        a + b = 1/icc - 1 and a = p (a + b), so that the variance is icc p (1 - p).
        """
        if self.icc == 0 or level in (0.0, 1.0):
            return None
        size = 1 / self.icc - 1
        return level * size, (1 - level) * size

    def __str__(self) -> str:
        return (
            f"{count_of(len(self.levels), 'level')} x {count_of(len(self.caseloads), 'caseload')}, "
            f"{count_of(self.n_units, 'unit')}, {count_of(self.n_cycles, 'cycle')}, "
            f"ICC {self.icc:g}, persistence {self.persistence:g}"
        )


def _each_once(name: str, given: Sequence[float]) -> tuple[float, ...]:
    """Values as plain numbers, each named once."""
    values = tuple(np.asarray(given).tolist())
    if not values:
        raise SpecError(f"Setting.{name} must name at least one value.")
    doubled = {value for value in values if values.count(value) > 1}
    if doubled:
        raise SpecError(f"Setting.{name} must name each value once; {min(doubled)!r} is doubled.")
    return values
