"""Days that a window is counted from: "start - 9 years", "index + 12 months", "end"."""

import re
from dataclasses import dataclass

from outcomekpi.declare.errors import SpecError

__all__ = ["ANCHORS", "Moment", "read_moment"]

ANCHORS = ("start", "end", "index", "birth")
PATTERN = re.compile(r"^(\w+)((?:\s*[+-]\s*\d+\s*(?:day|month|year)s?)*)$")
STEP = re.compile(r"([+-])\s*(\d+)\s*(day|month|year)")
DAYS_OF = {"day": 1.0, "month": 365.25 / 12, "year": 365.25}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A day that is counted from another.

    Attributes
    ----------
    anchor : first or last day of the period, of the index, of birth
    steps : (amount, unit) one after another, of the calendar; negative is earlier
    """

    anchor: str
    steps: tuple[tuple[int, str], ...] = ()

    @property
    def days(self) -> float:
        """About how many days later than the anchor it is, to compare two of one anchor."""
        return sum(amount * DAYS_OF[unit] for amount, unit in self.steps)

    def sql(self, anchors: dict[str, str]) -> str:
        """Write the day in SQL; months end where the calendar ends them (31 August + 1 month)."""
        day = anchors[self.anchor]
        for amount, unit in self.steps:
            day = f"CAST({day} + INTERVAL ({amount}) {unit.upper()} AS DATE)"
        return day


def read_moment(text: str, *, where: str) -> Moment:
    """Read a day such as "start - 9 years" or "index + 12 months - 60 days".

    Raises
    ------
    SpecError
        The text is none; says which field, and how days are written.
    """
    found = PATTERN.match(text.strip())
    if found is None or found[1] not in ANCHORS:
        raise SpecError(
            f"{where} must be start, end, index or birth, alone or with days, months or years "
            f"added, such as 'start - 9 years'; got {text!r}."
        )
    steps = ((int(f"{sign}{amount}"), unit) for sign, amount, unit in STEP.findall(found[2]))
    return Moment(anchor=found[1], steps=tuple(steps))
