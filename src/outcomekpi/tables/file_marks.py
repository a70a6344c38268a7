"""How the cells of a file are written, where the file itself does not tell."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["DateOrder", "FileMarks"]

DateOrder = Literal["dmy", "mdy", "ymd"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMarks:
    """Signs and words of a file.

    Attributes
    ----------
    decimal, thousands : signs that its numbers are written with; None where they tell themselves
    missing_marks : cells that say that there is no value
    dates : order of day, month and year in dates such as 01/05/2024; None leaves them as text,
        which is refused where a time is wanted
    """

    decimal: str | None = None
    thousands: str | None = None
    missing_marks: tuple[str, ...] = ()
    dates: DateOrder | None = None
