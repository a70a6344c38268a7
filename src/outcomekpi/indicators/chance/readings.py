"""How readings scatter around a true level, and where a bar lies for values as reported."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from outcomekpi.declare.errors import SpecError, percent_hint
from outcomekpi.indicators.chance.runs import HIGHEST_AUTOCORRELATION

__all__ = [
    "Side",
    "check_count",
    "check_levels",
    "check_positive",
    "check_scatter",
    "effective_bar",
    "on_side",
    "spread_at",
]

Array = NDArray[np.float64]
Side = Literal["below", "above"]


def spread_at(level: Array, within_sd: float | None, cv: float | None) -> Array | float:
    """Within-person SD at each true level."""
    return float(within_sd) if within_sd is not None else np.abs(level) * float(cv or 0.0)


def on_side(level: Array, bar: float, passes: Side, strict: bool) -> NDArray[np.bool_]:
    """Whether each level is on the passing side of a bar."""
    ahead = bar - level if passes == "below" else level - bar
    return np.asarray(ahead > 0 if strict else ahead >= 0)


def effective_bar(bar: float, rounding: float | None, strict: bool, passes: Side) -> float:
    """Bar for the value as measured that has the same effect as the bar for the reported one."""
    if rounding is None:
        return bar
    steps = bar / rounding
    nearest = np.round(steps)
    at_step = abs(steps - nearest) < 1e-9 * max(1.0, abs(steps))
    if passes == "below":
        last = nearest - strict if at_step else np.floor(steps)
        return float((last + 0.5) * rounding)
    first = nearest + strict if at_step else np.ceil(steps)
    return float((first - 0.5) * rounding)


def check_levels(true_level: ArrayLike) -> Array:
    """Return true levels as numbers, or say which is none."""
    level = np.asarray(true_level, dtype=np.float64)
    if not np.isfinite(level).all():
        raise SpecError(
            f"True levels must be finite numbers; {int((~np.isfinite(level)).sum())} of "
            f"{level.size} are not."
        )
    return level


def check_scatter(
    name: str, bar: float, within_sd: float | None, cv: float | None, autocorrelation: float
) -> None:
    """Refuse a bar that is no number, a missing or doubled SD, an impossible autocorrelation."""
    if not np.isfinite(bar):
        raise SpecError(f"{name}.bar must be a finite number; got {bar!r}.")
    if (within_sd is None) == (cv is None):
        raise SpecError(
            f"{name} needs either within_sd (in the unit of the readings) or cv (share of the true "
            f"level); got within_sd={within_sd!r} and cv={cv!r}."
        )
    check_positive(name, "within_sd", within_sd)
    check_positive(name, "cv", cv)
    if cv is not None and cv >= 1:
        hint = percent_hint(cv)
        raise SpecError(f"{name}.cv must be a share of the true level; got {cv!r}.{hint}")
    if not (0 <= autocorrelation <= HIGHEST_AUTOCORRELATION or autocorrelation == 1):
        raise SpecError(
            f"{name}.autocorrelation must lie between 0 and {HIGHEST_AUTOCORRELATION}, or be 1; "
            f"got {autocorrelation!r}."
        )


def check_positive(name: str, field: str, value: float | None) -> None:
    """Refuse a number that is given and not positive."""
    if value is not None and not (np.isfinite(value) and value > 0):
        raise SpecError(f"{name}.{field} must be positive and finite; got {value!r}.")


def check_count(name: str, field: str, value: int) -> None:
    """Refuse a count that is no whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SpecError(f"{name}.{field} must be a whole number from 1; got {value!r}.")
