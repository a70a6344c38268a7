"""A knob of a synthetic hospital: a number with its meaning, unit, range, default and source."""

from dataclasses import MISSING, Field, field, fields
from numbers import Real
from typing import Any

import numpy as np

from outcomekpi.declare.errors import SpecError

__all__ = ["check_knobs", "knob"]


def knob(
    default: float | None = None,
    *,
    meaning: str,
    unit: str,
    source: str,
    low: float = -np.inf,
    high: float = np.inf,
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


def check_knobs(bundle: Any) -> None:
    """Raise a :class:`SpecError` unless every knob of a bundle lies in its range.

    Raises
    ------
    SpecError
        Names the knob, its unit and range, and what was found.
    """
    for one in fields(bundle):
        if "low" in one.metadata:
            _check_knob(f"{type(bundle).__name__}.{one.name}", getattr(bundle, one.name), one)


def _check_knob(name: str, value: object, declared: Field[Any]) -> None:
    facts = declared.metadata
    if isinstance(value, bool) or not isinstance(value, Real):
        raise SpecError(f"{name} must be a number ({facts['unit']}); got {value!r}.")
    whole = isinstance(declared.default, int)
    if whole and not float(value).is_integer():
        raise SpecError(f"{name} must be a whole number ({facts['unit']}); got {value!r}.")
    if not np.isfinite(float(value)) or not facts["low"] <= float(value) <= facts["high"]:
        percent = facts["high"] == 1 and 1 < float(value) <= 100
        hint = f" Did you mean {float(value) / 100:g}?" if percent else ""
        raise SpecError(
            f"{name} must {_say_range(facts['low'], facts['high'])} ({facts['unit']}); "
            f"got {value!r}.{hint}"
        )


def _say_range(low: float, high: float) -> str:
    if np.isfinite(low) and np.isfinite(high):
        return f"lie between {low:g} and {high:g}"
    if np.isfinite(low):
        return f"be {low:g} or more"
    return f"be {high:g} or less" if np.isfinite(high) else "be finite"
