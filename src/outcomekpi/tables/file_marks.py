"""How the cells of a file are written, where the file itself does not tell."""

from dataclasses import dataclass

__all__ = ["FileMarks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMarks:
    """Signs and words of a file.

    Attributes
    ----------
    decimal, thousands : signs that its numbers are written with; None where they tell themselves
    missing_marks : cells that say that there is no value
    """

    decimal: str | None = None
    thousands: str | None = None
    missing_marks: tuple[str, ...] = ()
