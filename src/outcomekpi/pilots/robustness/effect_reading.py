"""How the size of an effect is read: on which level, over which time, as which risk ratio."""

import numpy as np

from outcomekpi.declare.errors import SpecError
from outcomekpi.pilots.estimators.published import PublishedFigures
from outcomekpi.pilots.ladder.e_values import e_value, e_value_of_interval
from outcomekpi.pilots.ladder.effect import PilotEffect
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.robustness.tipping import LOG_RISK_PER_SD, Explained

__all__ = ["as_risk_ratio", "find_span", "read_effect"]

COMMON = 0.15
"""Above this proportion an odds ratio is no risk ratio, and its square root is taken."""
PERCENT = ("percentage points", "points", "%")


def read_effect(effect: PilotEffect, *, base: float | None, sd: float | None) -> Explained:
    """Read the size of the main effect: as points on a level, a difference, or a ratio.

    Parameters
    ----------
    effect : of a pilot
    base : level without the program, or None to take it from the estimates or the counterfactual
    sd : standard deviation of a patient's measurement, or None

    Raises
    ------
    SpecError
        The level and the effect lead outside 0 to 1.
    """
    main = effect.main
    if main.scale == "log":
        return Explained(kind="ratio", value=main.value, base=base)
    if main.unit not in PERCENT:
        return Explained(kind="difference", value=main.value, base=base, sd=sd)
    base = _find_base(effect) if base is None else base
    if base is None:
        return Explained(kind="difference", value=main.value, sd=sd)
    if not 0 < base < 1 or not 0 <= base + main.value / 100.0 <= 1:
        raise SpecError(
            f"base is a proportion between 0 and 1 without the program; {base:.4g} and an effect "
            f"of {main.value:.4g} percentage points lead outside."
        )
    return Explained(kind="proportion", value=main.value, base=base)


def _find_base(effect: PilotEffect) -> float | None:
    """Level without the program, from a difference and its ratio, or from the counterfactual."""
    main = effect.main
    for one in effect.findings.estimates[1:]:
        if one.scale == "log" and "risk" in one.name.lower() and abs(one.value - 1) > 1e-6:
            found = main.value / 100.0 / (one.value - 1.0)
            if 0 < found < 1 and 0 <= found + main.value / 100.0 <= 1:
                return float(found)
    table = effect.findings.tables.get("counterfactual")
    if table is None:
        return None
    level = float(table.loc[table["after"].astype(bool), "counterfactual"].mean())
    level = level if table.attrs.get("unit") == "share of trials" else level / 100.0
    inside = 0 < level < 1 and 0 <= level + main.value / 100.0 <= 1
    return level if inside else None


def find_span(effect: PilotEffect, data: object) -> tuple[float | None, str | None]:
    """Find the time over which a trend would have acted, where data or design tell it.

    Parameters
    ----------
    effect, data : as compared

    Returns
    -------
    span, unit : None where nothing tells it
    """
    if isinstance(data, PublishedFigures) and data.years is not None:
        return data.years, "a year"
    table = effect.findings.tables.get("counterfactual")
    if table is None or "after" not in table:
        return None, None
    after = int(table["after"].astype(bool).sum())
    if effect.design.rung not in (2, 3) or after < 2:
        return None, None
    # a trend that turns at the start has moved 0, 1, ..., after - 1 steps at the points after it
    return (after - 1) / 2.0, "a period, from the start on"


def as_risk_ratio(
    one: Estimate, explained: Explained, *, level: float
) -> tuple[str, float, float, float, float, float, str] | None:
    """Take an estimate as a risk ratio, with its E-values; None where it can be none.

    Parameters
    ----------
    one : estimate
    explained : level and standard deviation that go with the main effect
    level : of the interval

    Returns
    -------
    name, ratio, lower, upper, e_value, e_value_of_limit, approximation

    References
    ----------
    VanderWeele & Ding (2017), Annals of Internal Medicine 167(4):268-274, doi:10.7326/M16-2607.
    """
    lower, upper = one.interval(level=level)
    values = np.array([one.value, lower, upper])
    name = one.name.lower()
    if one.scale == "log":
        words = "as it is"
        if "odds" in name:
            rare = explained.base is not None and _largest(explained) <= COMMON
            words = "odds ratio, rare outcome" if rare else "square root of an odds ratio"
            values = values if rare else np.sqrt(values)
        elif "risk" not in name:
            words = f"{one.name} taken as a risk ratio"
    elif one.unit in PERCENT and explained.base is not None and explained.kind == "proportion":
        words = f"difference on a level of {explained.base:.1%}, taken as known"
        values = explained.base + values / 100.0
        values = np.clip(values, 1e-9, 1.0) / explained.base
    elif explained.kind == "difference" and explained.sd is not None and one.unit not in PERCENT:
        words = f"exp(.91 d), d in standard deviations of {explained.sd:.4g}"
        values = np.exp(LOG_RISK_PER_SD * values / explained.sd)
    else:
        return None
    ratio, low, high = (float(value) for value in values)
    known = bool(np.isfinite([low, high]).all())
    of_limit = e_value_of_interval(low, high) if known else float("nan")
    return one.name, ratio, low, high, e_value(ratio), of_limit, words


def _largest(explained: Explained) -> float:
    base = explained.base or 0.0
    reached = base + explained.value / 100.0 if explained.kind == "proportion" else base
    return max(base, reached)
