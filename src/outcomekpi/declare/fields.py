"""What a number may be, said once beside its type: range, unit, meaning and source."""

from dataclasses import MISSING, dataclass, field
from math import inf, isfinite
from typing import Annotated, Any

__all__ = [
    "Above",
    "Count",
    "Level",
    "Limit",
    "NotNegative",
    "Positive",
    "Probability",
    "Range",
    "Seed",
    "Share",
    "knob",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The numbers that a field or an argument may be: ``Annotated[float, Range(low=0)]``.

    Attributes
    ----------
    low, high : smallest and largest number
    inside : "" both ends are allowed, "low" or "high" leaves that end out, "both" leaves out both
    unit : of the number
    infinite : whether infinity may be said
    """

    low: float = -inf
    high: float = inf
    inside: str = ""
    unit: str = ""
    infinite: bool = False

    def holds(self, value: float) -> bool:
        """Whether a number lies in the range."""
        above = value > self.low if self.inside in ("low", "both") else value >= self.low
        below = value < self.high if self.inside in ("high", "both") else value <= self.high
        return (isfinite(value) or self.infinite) and above and below

    def say(self, *, whole: bool) -> str:
        """Say what is wanted, to follow "must"."""
        unit = f" ({self.unit})" if self.unit else ""
        return self._say("a whole number" if whole else "a number", whole) + unit

    def _say(self, number: str, whole: bool) -> str:
        low, high = f"{self.low:g}", f"{self.high:g}"
        at_least = f"above {low}" if self.inside in ("low", "both") else f"of at least {low}"
        at_most = f"below {high}" if self.inside in ("high", "both") else f"at most {high}"
        if self.low == self.high:
            return f"be {low}"
        if isfinite(self.low) and isfinite(self.high):
            if self.inside not in ("", "both"):
                return f"be {number} {at_least} and {at_most}"
            between = f"between {low} and {high}"
            strictly = "strictly " if self.inside else ""
            return f"be {number} {strictly}{between}" if whole else f"lie {strictly}{between}"
        if isfinite(self.low):
            return f"be {number} {at_least}"
        if isfinite(self.high):
            return f"be {number} {at_most}"
        return f"be {number}" if whole or self.infinite else "be a finite number"


Share = Annotated[float, Range(low=0, high=1)]
Probability = Annotated[float, Range(low=0, high=1, inside="both")]
Level = Probability
Above = Annotated[float, Range(low=0, high=1, inside="low")]
Positive = Annotated[float, Range(low=0, inside="low")]
NotNegative = Annotated[float, Range(low=0)]
Count = Annotated[int, Range(low=1)]
Limit = Annotated[float, Range(infinite=True)]
Seed = Annotated[int, Range(low=0)]


def knob(
    default: float | None = None,
    *,
    meaning: str,
    unit: str,
    source: str,
    low: float = -inf,
    high: float = inf,
) -> Any:
    """Declare a number of a bundle together with all that the codebook says about it.

    Parameters
    ----------
    default : value unless a scenario says otherwise, None where there is none; a whole number
        makes a whole-number knob
    meaning : what it is, in words
    unit : of the number
    source : guideline or paper (author year, journal), or "assumption, <reason>"
    low, high : the smallest and largest value that makes sense, both allowed
    """
    kept = {"meaning": meaning, "unit": unit, "source": source, "low": low, "high": high}
    return field(default=MISSING if default is None else default, metadata=kept)
