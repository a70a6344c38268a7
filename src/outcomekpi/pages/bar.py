"""The rate that flags are about, by its right name: the benchmark, or a threshold of its own."""

from dataclasses import dataclass

from outcomekpi.pages.numbers import RateStyle
from outcomekpi.profiling.classification import Classification

__all__ = ["Bar", "name_bar"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """The rate that flags, probabilities and the line in the table are about.

    Attributes
    ----------
    value : the rate
    noun : "benchmark" where doctors are compared with it, "threshold" where only flags are
    origin : where the rate comes from, in words
    benchmark : the rate that doctors are compared with elsewhere, where that is another one
    """

    value: float
    noun: str
    origin: str
    benchmark: float | None

    def words(self, style: RateStyle) -> str:
        """Return the rate with its name: ``the threshold of 8.0%``."""
        return f"the {self.noun} of {style.full(self.value)}"


def name_bar(flags: Classification, benchmark: float | None, style: RateStyle) -> Bar:
    """Tell the benchmark from a threshold that only the flags have.

    Parameters
    ----------
    flags : flags and their rule
    benchmark : rate that doctors are compared with; None knows of no other than the flags' own
    style : how rates are written
    """
    overall = flags.rule.threshold is None
    same = overall or benchmark == flags.threshold
    return Bar(
        value=flags.threshold,
        noun="benchmark" if same else "threshold",
        origin=f"the overall {style.noun}" if overall else "as chosen",
        benchmark=None if same else benchmark,
    )
