"""How many patients a published change needs before sampling error ceases to be the issue."""

from math import ceil, floor, sqrt

from scipy.special import ndtri

from outcomekpi.declare.errors import SpecError
from outcomekpi.draws.intervals import DEFAULT_LEVEL, check_level

__all__ = [
    "independent_interval",
    "matches_whole_patients",
    "patients_for_power",
    "patients_to_exclude_nil",
]


def patients_to_exclude_nil(
    before: float, after: float, *, level: float = DEFAULT_LEVEL, design_effect: float = 1.0
) -> int:
    """Patients per period from which on the interval of the difference leaves out 0.

    Parameters
    ----------
    before, after : proportions, as fractions
    level : of the interval
    design_effect : variance relative to independent patients

    Raises
    ------
    SpecError
        Both proportions are equal, or the level or the design effect makes no sense.

    Notes
    -----
    Unpooled normal interval for two independent samples of n each: it leaves out 0 if
    n > D z^2 (p q + p' q') / (p' - p)^2.
    """
    _check(before, after, design_effect)
    check_level(level)
    z = float(ndtri(0.5 + level / 2))
    spread = before * (1 - before) + after * (1 - after)
    return floor(design_effect * z**2 * spread / (after - before) ** 2) + 1


def patients_for_power(
    before: float,
    after: float,
    *,
    power: float = 0.8,
    level: float = DEFAULT_LEVEL,
    design_effect: float = 1.0,
) -> int:
    """Patients per period that show a true change of this size with the given power.

    Parameters
    ----------
    before, after : proportions, as fractions
    power : probability of showing it
    level : one minus the two-sided error
    design_effect : variance relative to independent patients

    Raises
    ------
    SpecError
        Both proportions are equal, or power, level or design effect make no sense.

    Notes
    -----
    n = D (z sqrt(2 m (1 - m)) + z' sqrt(p q + p' q'))^2 / (p' - p)^2 with m the mean of both
    proportions (Fleiss), without correction for continuity.
    """
    _check(before, after, design_effect)
    check_level(level)
    if not 0 < power < 1:
        raise SpecError(f"power must lie strictly between 0 and 1; got {power!r}.")
    middle = (before + after) / 2
    pooled = sqrt(2 * middle * (1 - middle))
    spread = sqrt(before * (1 - before) + after * (1 - after))
    reach = float(ndtri(0.5 + level / 2)) * pooled + float(ndtri(power)) * spread
    return ceil(design_effect * reach**2 / (after - before) ** 2)


def independent_interval(
    before: float,
    after: float,
    n_before: int,
    n_after: int,
    *,
    level: float = DEFAULT_LEVEL,
    design_effect: float = 1.0,
) -> tuple[float, float]:
    """Interval of the difference, in percentage points, from the two numbers of patients alone.

    Parameters
    ----------
    before, after : proportions, as fractions
    n_before, n_after : patients behind them
    level : of the interval
    design_effect : variance relative to independent patients

    Notes
    -----
    Unpooled normal interval: p' - p +- z sqrt(D (p q / n + p' q' / n')).
    """
    check_level(level)
    variance = before * (1 - before) / n_before + after * (1 - after) / n_after
    half = float(ndtri(0.5 + level / 2)) * sqrt(design_effect * variance)
    return 100 * (after - before - half), 100 * (after - before + half)


def matches_whole_patients(proportion: float, half_width: float, patients: int) -> bool:
    """Whether some whole number of patients gives a proportion that rounds to the one printed.

    Notes
    -----
    k / n within proportion +- half width, for an integer k: the closest k decides.
    """
    closest = round(proportion * patients)
    return abs(closest / patients - proportion) <= half_width * (1 + 1e-9)


def _check(before: float, after: float, design_effect: float) -> None:
    if before == after:
        raise SpecError(f"There is no change to show: both proportions are {before:g}.")
    if not design_effect > 0:
        raise SpecError(f"design_effect must be positive; got {design_effect!r}.")
