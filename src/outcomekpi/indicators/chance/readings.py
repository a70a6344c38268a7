"""How readings scatter around a true level, and where a bar lies for values as reported."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from outcomekpi.declare.errors import SpecError
from outcomekpi.indicators.chance.runs import HIGHEST_AUTOCORRELATION

__all__ = [
    "Side",
    "check_levels",
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
    name: str, within_sd: float | None, cv: float | None, autocorrelation: float
) -> None:
    """Refuse a missing or doubled SD, and an autocorrelation that cannot be integrated."""
    if (within_sd is None) == (cv is None):
        raise SpecError(
            f"{name} needs either within_sd (in the unit of the readings) or cv (share of the true "
            f"level); got within_sd={within_sd!r} and cv={cv!r}."
        )
    if HIGHEST_AUTOCORRELATION < autocorrelation < 1:
        raise SpecError(
            f"{name}.autocorrelation must lie between 0 and {HIGHEST_AUTOCORRELATION}, or be 1; "
            f"got {autocorrelation!r}."
        )
