"""Other interruptions of a series than the program: their terms, and the effect of each."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_fields

__all__ = ["Change", "Interruption", "ReadInterruption", "interruption_columns"]

Floats = NDArray[np.float64]
Change = Literal["level and slope", "level", "slope"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """Something else that interrupted a series: a pandemic, a new coding, a second program.

    Attributes
    ----------
    start : first time with it, as in the column of times
    change : which changes it makes: "level and slope", "level" or "slope"
    name : in a word or two; empty for its time

    Examples
    --------
    >>> Interruption(start="2020-03", change="level", name="pandemic").name
    'pandemic'
    """

    start: object
    change: Change = "level and slope"
    name: str = ""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadInterruption:
    """An interruption found in the data.

    Attributes
    ----------
    position : of the first time with it
    change : which changes it makes
    name : its name, or its time
    """

    position: int
    change: Change
    name: str

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of its terms."""
        kinds = ("level change", "slope change")
        return tuple(f"{kind} of {self.name}" for kind in kinds if kind.split()[0] in self.change)


def interruption_columns(one: ReadInterruption, count: int) -> dict[str, Floats]:
    """Write the terms of an interruption: a step, and steps since it.

    Parameters
    ----------
    one : the interruption
    count : number of times
    """
    since = np.arange(count, dtype=np.float64) - one.position
    after = (since >= 0).astype(np.float64)
    both = {"level": after, "slope": after * since}
    return {name: both[name.split()[0]] for name in one.terms}
