"""What a rule would decide without chance: the award that each true rate deserves."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv

from outcomekpi.awards.rules import CycleResults, Rule, apply_rule
from outcomekpi.declare.errors import SpecError, check_choice
from outcomekpi.operating.settings import Setting

__all__ = ["check_awards_meet_bars", "deserved_by_level", "deserved_by_unit", "split_at_cuts"]

Array = NDArray[np.float64]

ENDLESS = 2.0**30  # a power of two, so that rate x trials / trials is the rate itself
POPULATION = 1000  # units that stand for all units where the rule looks at more than their mean
NEAR = 1e-6  # rates closer than this to a bar are taken to be meant as the bar
JUMP = 1e-3  # relative change of an award between two such rates that makes it a bar
SCAN = 4096
BISECTIONS = 40
MOST_PIECES = 64


def deserved_by_unit(rule: Rule, setting: Setting, true_rates: Array) -> Array:
    """Award that each unit deserves for its true rate.

    Parameters
    ----------
    rule : decides about units
    true_rates : (replicate, unit), events per case

    Returns
    -------
    (replicate, unit); +1, -1 or 0 by the bars of the setting, or else what the rule itself
    awards where every unit has 2^30 cases with exactly these rates
    """
    if setting.has_bars:
        return _by_bars(rule, setting, true_rates)
    return _award_without_chance(rule, setting, true_rates)


def deserved_by_level(rule: Rule, setting: Setting) -> Array:
    """Award that an indicator deserves at each true level of the setting: (level,).

    Raises
    ------
    SpecError
        The rule cannot judge 1,000 units.

    Notes
    -----
    Without bars in the setting, the rule decides about units without chance: all at the level, or,
    where units differ, 1,000 of them whose rates are the means of equal shares of the beta
    distribution (so that their mean is the level). A level at which the decision jumps is a bar
    itself; there the smaller of the two awards beside it is deserved: nothing, in most cases. A
    rule that counts units ("three of them below") needs the bars of the setting instead.
    """
    levels = np.array(setting.levels)
    if setting.has_bars:
        return _by_bars(rule, setting, levels)
    below, here, above = (
        _award_of_units(rule, setting, near)
        for near in np.clip([levels - NEAR, levels, levels + NEAR], 0, 1)
    )
    least = np.where(np.abs(below) < np.abs(above), below, above)
    jumps = np.abs(above - below) > JUMP * np.maximum(np.abs(above), np.abs(below))
    return np.where(jumps, least, here)


def split_at_cuts(rule: Rule, setting: Setting) -> tuple[Array, Array] | None:
    """Rates at which the award deserved by one unit jumps, and the awards between them.

    Returns
    -------
    cuts : (piece - 1,), ascending, found to 1e-15 by bisection between 4,097 even rates
    awards : (piece,); or None in place of both where the award is graded, in more than 64 steps
    """
    rates = np.linspace(0.0, 1.0, SCAN + 1)
    awards = deserved_by_unit(rule, setting, rates[:, None])[:, 0]
    jumps = np.flatnonzero(np.diff(awards))
    if jumps.size >= MOST_PIECES:
        return None
    low, high = rates[jumps], rates[jumps + 1]
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if middle.size:
            below = deserved_by_unit(rule, setting, middle[:, None])[:, 0] == awards[jumps]
            low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2, awards[np.r_[jumps, SCAN]]


def check_awards_meet_bars(rule: Rule, setting: Setting, awards: Array) -> None:
    """Refuse bars of the setting for a rule whose awards are graded.

    Raises
    ------
    SpecError
        Bars say who deserves an award, not how much of it.
    """
    if setting.has_bars and not np.isin(awards, (-1.0, 0.0, 1.0)).all():
        odd = awards[~np.isin(awards, (-1.0, 0.0, 1.0))][0]
        raise SpecError(
            "Setting.upper and Setting.lower say who deserves an award, not how much of it, but "
            f"{type(rule).__name__} gave an award of {odd:g}. Leave both out: what is deserved is "
            "then the award that the rule itself gives for the true rate."
        )


def _by_bars(rule: Rule, setting: Setting, true_rates: Array) -> Array:
    direction = getattr(rule, "direction", None) or "higher"
    check_choice("direction of the rule", direction, ("higher", "lower"))
    upper = np.inf if setting.upper is None else setting.upper
    lower = -np.inf if setting.lower is None else setting.lower
    side = (true_rates > upper).astype(np.float64) - (true_rates < lower)
    return side if direction == "higher" else -side


def _award_without_chance(rule: Rule, setting: Setting, true_rates: Array) -> Array:
    """Decisions on rates (replicate, unit) that are the same in every cycle."""
    certain = getattr(rule, "with_certainty", rule)
    shape = (*true_rates.shape, setting.n_cycles)
    events = np.broadcast_to((true_rates * ENDLESS)[..., None], shape)
    return apply_rule(certain, CycleResults(events=events, trials=np.array(ENDLESS)))


def _award_of_units(rule: Rule, setting: Setting, levels: Array) -> Array:
    """Decide about the indicator without chance at each level: (level,)."""
    if setting.n_units == 1 or setting.icc == 0:
        alike = np.repeat(levels[:, None], setting.n_units, axis=1)
        return _award_without_chance(rule, setting, alike)
    units = np.stack([_population(setting, level) for level in levels])
    try:
        return _award_without_chance(rule, setting, units)
    except (IndexError, ValueError) as error:
        raise SpecError(
            f"What is right could not be found: {type(rule).__name__} was shown {POPULATION} units "
            f"whose true rates differ, and failed ({error}). Say what is right with "
            "Setting(upper=..., lower=...)."
        ) from error


def _population(setting: Setting, level: float) -> Array:
    """Mean true rates of 1,000 equal shares of the units, lowest first."""
    shapes = setting.beta_shapes(level)
    if shapes is None:
        return np.full(POPULATION, level)
    a, b = shapes
    edges = betaincinv(a, b, np.linspace(0.0, 1.0, POPULATION + 1))
    return np.asarray(level * POPULATION * np.diff(betainc(a + 1, b, edges)))
