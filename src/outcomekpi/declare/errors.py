"""The errors and warnings of the package, and the one check of a named choice."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

__all__ = [
    "CasesError",
    "EngineError",
    "FieldError",
    "FormulaError",
    "OutcomeKPIError",
    "OutcomeKPIWarning",
    "SpecError",
    "StorageError",
    "check_choice",
    "check_kind",
    "did_you_mean",
    "percent_hint",
]


class OutcomeKPIError(Exception):
    """Base of every error that the package raises on purpose."""


class CasesError(OutcomeKPIError, ValueError):
    """The table of cases is not what was asked for.

    Attributes
    ----------
    fault : what was found, as a record with a code, a column and rows, where there is one
    """

    fault: Any = None


class FormulaError(OutcomeKPIError, ValueError):
    """The case-mix formula or its covariates cannot be used."""


class SpecError(OutcomeKPIError, ValueError):
    """A model, prior, rule or option was specified in a way that cannot be used."""


class FieldError(SpecError):
    """A field or an argument holds what it cannot be.

    Attributes
    ----------
    name : of the argument, or ``Record.field``
    wanted : to follow "must"
    found : as it is shown
    hint : what may have been meant, or an empty string

    Notes
    -----
    Parts, so that the command line can name its option in place of the field.
    """

    def __init__(self, name: str, wanted: str, found: str, hint: str = "") -> None:
        super().__init__(name, wanted, found, hint)
        self.name, self.wanted, self.found, self.hint = name, wanted, found, hint

    def __str__(self) -> str:
        return f"{self.name} must {self.wanted}; got {self.found}.{self.hint}"


class EngineError(OutcomeKPIError, RuntimeError):
    """An engine could not produce a posterior that may be used."""


class StorageError(OutcomeKPIError, OSError):
    """A file could not be read or written."""


class OutcomeKPIWarning(UserWarning):
    """The numbers are usable, but something about them should be known."""


def did_you_mean(wanted: str, options: Iterable[object]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest option, or an empty string."""
    close = get_close_matches(str(wanted), [str(option) for option in options], n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def percent_hint(share: float) -> str:
    """Return ``" Did you mean 0.9?"`` for a share that was given in percent, or an empty string."""
    return f" Did you mean {share / 100:g}?" if 1 < share < 100 else ""


def check_choice(name: str, value: object, options: Iterable[str]) -> None:
    """Raise a :class:`SpecError` with a hint unless ``value`` is one of ``options``.

    Raises
    ------
    SpecError
        Names the argument, the options, what was found and the closest option.
    """
    known = tuple(options)
    if value not in known:
        listed = ", ".join(repr(option) for option in known)
        hint = did_you_mean(str(value), known)
        raise FieldError(name, f"be one of {listed}", repr(value), hint)


def check_kind(name: str, value: object, kind: type, source: str) -> None:
    """Raise a :class:`SpecError` unless ``value`` is of the kind that an argument needs.

    Raises
    ------
    SpecError
        Names the argument, the kind wanted and found, and what makes one.
    """
    if not isinstance(value, kind):
        raise SpecError(
            f"{name} must be {kind.__name__}, as {source} gives; got {type(value).__name__}."
        )
