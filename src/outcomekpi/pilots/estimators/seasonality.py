"""Seasons of a series as sines and cosines of a known cycle."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Count, Range

__all__ = ["Seasonality"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seasonality:
    """A seasonal pattern that repeats every cycle, before and after the program alike.

    Attributes
    ----------
    period : points in a cycle: 12 for months, 4 for quarters, 52.18 for weeks
    harmonics : pairs of sine and cosine; ``period / 2`` of them give every month its own level

    Examples
    --------
    >>> from outcomekpi import Seasonality
    >>> Seasonality(period=12, harmonics=2).columns(24).shape
    (24, 4)
    """

    period: Annotated[float, Range(low=2)]
    harmonics: Count = 2

    def __post_init__(self) -> None:
        check_fields(self)
        if self.harmonics > self.period / 2:
            raise SpecError(
                "Seasonality.harmonics must be an integer from 1 to period / 2 = "
                f"{self.period / 2:g}; got {self.harmonics!r}."
            )

    def columns(self, length: int) -> NDArray[np.float64]:
        """Return sines and cosines of consecutive points.

        Parameters
        ----------
        length : number of points

        Returns
        -------
        (time, column); 2 columns a harmonic, but for the sine of the fastest one, which is 0
        """
        angle = 2.0 * np.pi * np.arange(length) / self.period
        waves = []
        for harmonic in range(1, self.harmonics + 1):
            waves.append(np.cos(harmonic * angle))
            if 2 * harmonic != self.period:
                waves.append(np.sin(harmonic * angle))
        return np.column_stack(waves)

    def __str__(self) -> str:
        pairs = f"{self.harmonics} harmonic{'' if self.harmonics == 1 else 's'}"
        return f"{pairs} of a cycle of {self.period:g} points"


def _check_number(name: str, value: Any) -> None:
    is_number = isinstance(value, int | float | np.integer | np.floating)
    if isinstance(value, bool) or not is_number or not np.isfinite(value):
        raise SpecError(f"Seasonality.{name} must be a finite number; got {value!r}.")
