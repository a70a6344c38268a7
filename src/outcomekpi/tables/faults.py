"""Faults of a table, gathered while it is read, so that all of them are told at once."""

from collections.abc import Callable
from typing import Any

from outcomekpi.declare.errors import CasesError, OutcomeKPIError

__all__ = ["Faults", "TableFaults"]

SHOWN = 20
"""Faults that one message tells; a table with more has one cause for most of them."""


class TableFaults(CasesError):
    """A table with several faults; ``faults`` holds the message of each."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        """Write the faults under each other, with numbers."""
        self.faults = faults
        listed = [f"{number}. {text}" for number, text in enumerate(faults[:SHOWN], start=1)]
        more = [f"... and {len(faults) - SHOWN:,} more."] if len(faults) > SHOWN else []
        super().__init__("\n".join([f"The table has {len(faults):,} faults.", *listed, *more]))

    def __reduce__(self) -> tuple[type["TableFaults"], tuple[tuple[str, ...]]]:
        """Rebuild from the faults, as processes do that hand errors on."""
        return type(self), (self.faults,)


class Faults:
    """Runs checks one after another and keeps what they refuse.

    Examples
    --------
    >>> def count(cell):
    ...     if not cell.isdigit():
    ...         raise CasesError(f"wanted a count, found {cell!r}")
    ...     return int(cell)
    >>> faults = Faults()
    >>> [faults.attempt(count, cell) for cell in ("7", "?", "-")]
    [7, None, None]
    >>> len(faults)
    2
    """

    def __init__(self) -> None:
        self._found: list[OutcomeKPIError] = []

    def __len__(self) -> int:
        """Return how many faults were found so far."""
        return len(self._found)

    def attempt[**P, R](self, check: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | Any:
        """Return what the check gives, or None and keep its message where it refuses."""
        try:
            return check(*args, **kwargs)
        except CasesError as error:
            self._found.append(error)
            return None

    def raise_all(self) -> None:
        """Raise what was found: one error as it is, several as one.

        Raises
        ------
        CasesError
            At least one check refused the table.
        """
        if len(self._found) == 1:
            raise self._found[0]
        if self._found:
            raise TableFaults(tuple(dict.fromkeys(str(error) for error in self._found)))
