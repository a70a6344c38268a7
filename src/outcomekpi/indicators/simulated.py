"""Rules that turn a patient's course into one outcome: goal reached, or not."""

from dataclasses import dataclass
from typing import Literal

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import check_choice
from outcomekpi.declare.fields import Count, Positive
from outcomekpi.indicators.measures import MEASURES
from outcomekpi.tables.hba1c import check_hba1c_bar, is_hba1c

__all__ = ["AdmissionFree", "DeathReading", "GoalIndicator", "PressureControl", "ReadingBelow"]

DeathReading = Literal["fail", "exclude", "free"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingBelow:
    """The last reading of a window lies below a target, and if asked below the baseline as well.

    Attributes
    ----------
    measure : column of the measurements
    below : target in the unit of the reading; the reading must be strictly less
    drop : smallest fall from the reading of month 0, in the unit of the reading; None asks for none
    window : months that are searched for the last reading, back from the month of judgment

    Examples
    --------
    >>> from outcomekpi import ReadingBelow
    >>> print(ReadingBelow(measure="hba1c", below=7.0, drop=0.8))
    hba1c < 7 and 0.8 or more below month 0, at the last reading of 12 months
    """

    measure: str = "hba1c"
    below: float = 7.0
    drop: Positive | None = None
    window: Count = 12

    def __post_init__(self) -> None:
        check_fields(self)
        check_choice("ReadingBelow.measure", self.measure, MEASURES)
        if is_hba1c(self.measure):
            check_hba1c_bar("ReadingBelow.below", self.below)

    def __str__(self) -> str:
        fall = "" if self.drop is None else f" and {self.drop:g} or more below month 0"
        return f"{self.measure} < {self.below:g}{fall}, at the last reading of {self.window} months"


@dataclass(frozen=True, slots=True, kw_only=True)
class PressureControl:
    """Both blood pressures lie below their targets, once or in consecutive months.

    Attributes
    ----------
    sbp_below, dbp_below : targets, mmHg, strict
    consecutive : 1 judges the last reading of the window; more asks for that many months in a
        row, up to the month of judgment
    window : months that are searched for the last reading

    Examples
    --------
    >>> from outcomekpi import PressureControl
    >>> print(PressureControl(consecutive=6))
    blood pressure < 140/90 in each of 6 consecutive months
    """

    sbp_below: float = 140.0
    dbp_below: float = 90.0
    consecutive: Count = 1
    window: Count = 12

    def __post_init__(self) -> None:
        check_fields(self)

    def __str__(self) -> str:
        target = f"blood pressure < {self.sbp_below:g}/{self.dbp_below:g}"
        if self.consecutive > 1:
            return f"{target} in each of {self.consecutive} consecutive months"
        return f"{target} at the last reading of {self.window} months"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionFree:
    """No admission for heart failure within a window.

    Attributes
    ----------
    window : months, up to the month of judgment
    death : what a death within the window means: "fail", the goal is to live and stay out;
        "exclude", who died does not count, admitted or not; "free", who died without an admission
        was not admitted, as the letter says

    Examples
    --------
    >>> from outcomekpi import AdmissionFree
    >>> print(AdmissionFree())
    no HF admission within 12 months (a death counts as fail)
    """

    window: Count = 12
    death: DeathReading = "fail"

    def __post_init__(self) -> None:
        check_fields(self)

    def __str__(self) -> str:
        return f"no HF admission within {self.window} months (a death counts as {self.death})"


GoalIndicator = ReadingBelow | PressureControl | AdmissionFree
