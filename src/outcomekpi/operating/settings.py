"""The world in which a rule is tried: true levels, caseloads, and what units have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.errors import SpecError, percent_hint
from outcomekpi.tables.columns import count_of

__all__ = ["Setting"]

COUNTS = {"n_units": 1, "n_cycles": 1, "n_indicators": 1, "replicates": 2, "seed": 0}
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

    levels: tuple[float, ...]
    caseloads: tuple[int, ...]
    n_units: int = 1
    n_cycles: int = 2
    icc: float = 0.0
    persistence: float = 1.0
    upper: float | None = None
    lower: float | None = None
    n_indicators: int = 1
    amount: float = 1.0
    horizon: int | None = None
    replicates: int = 10_000
    seed: int = 20261

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", _levels(self.levels))
        object.__setattr__(self, "caseloads", _caseloads(self.caseloads))
        for name, least in COUNTS.items():
            _check_count(name, getattr(self, name), least)
        for name in ("icc", "persistence", "upper", "lower"):
            value = getattr(self, name)
            if value is not None:
                _check_share(name, value)
        if self.icc == 1:
            raise SpecError("Setting.icc must be below 1: at 1 every unit has all or no events.")
        if self.upper is not None and self.lower is not None and self.lower >= self.upper:
            raise SpecError(
                f"Setting.lower must be below Setting.upper; got lower={self.lower!r} and "
                f"upper={self.upper!r}. Are they swapped?"
            )
        amount = _number(self.amount)
        if amount is None or amount < 0:
            raise SpecError(f"Setting.amount must be a sum of money; got {self.amount!r}.")
        if self.horizon is not None:
            _check_count("horizon", self.horizon, self.n_cycles, LONGEST_HORIZON)

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


def _levels(given: Sequence[float] | NDArray[np.float64] | float) -> tuple[float, ...]:
    levels = _sequence("levels", given)
    for level in levels:
        _check_share("levels", level)
    return tuple(float(level) for level in levels)


def _caseloads(given: Sequence[int] | NDArray[np.integer] | int) -> tuple[int, ...]:
    caseloads = _sequence("caseloads", given)
    for caseload in caseloads:
        _check_count("caseloads", caseload, 1)
    return tuple(int(caseload) for caseload in caseloads)


def _sequence(name: str, given: object) -> list[Any]:
    if isinstance(given, str):
        raise SpecError(f"Setting.{name} must be numbers; got the text {given!r}.")
    values = np.atleast_1d(np.asarray(given, dtype=object)).ravel().tolist()
    if not values:
        raise SpecError(f"Setting.{name} must name at least one value.")
    doubled = {value for value in values if values.count(value) > 1}
    if doubled:
        raise SpecError(f"Setting.{name} must name each value once; {min(doubled)!r} is doubled.")
    return values


def _check_share(name: str, value: object) -> None:
    share = _number(value)
    if share is None or not 0.0 <= share <= 1.0:
        hint = percent_hint(share or 0.0)
        raise SpecError(f"Setting.{name} must lie between 0 and 1; got {value!r}.{hint}")


def _check_count(name: str, value: object, least: int, most: int | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise SpecError(f"Setting.{name} must be a whole number from {least} up; got {value!r}.")
    if most is not None and int(value) > most:
        raise SpecError(f"Setting.{name} must be {most} at most; got {value!r}.")


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, Real) or not np.isfinite(float(value)):
        return None
    return float(value)
