"""The estimates of two groups before and after: difference, ratios, each group's own change."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from outcomekpi.pilots.designs.group_effect import MEASURES, SETTINGS, GroupEffect
from outcomekpi.pilots.estimators.cluster_robust import fit_clustered
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.tables.columns import count_of

__all__ = [
    "add_shocks",
    "list_group_estimates",
    "main_effect",
    "naive_change",
    "shock_at_nil",
    "spell_units",
]

Floats = NDArray[np.float64]
EFFECT = np.array([1.0, -1.0, -1.0, 1.0])
"""Of the cells, in order of ``CELLS``: controls before and after, treated before and after."""
AFTER = np.array([0.0, 0.0, 0.0, 1.0])
TREATED, CONTROLS = np.array([0.0, 0, -1, 1]), np.array([-1.0, 1, 0, 0])


def main_effect(effect: GroupEffect, *, unit: str) -> Estimate:
    """By how much the treated changed more than the controls."""
    name = "difference in differences"
    if effect.is_adjusted:
        name = f"standardized {name}" if effect.fit is None else f"adjusted {name}"
    if effect.is_paired:
        name += " in the same patients"
    return _difference(name, EFFECT, "effect", effect, unit)


def list_group_estimates(effect: GroupEffect, *, unit: str) -> tuple[Estimate, ...]:
    """List the main effect, its ratios where the outcome is an event, and each group's change."""
    found = [main_effect(effect, unit=unit)]
    if effect.options.binary:
        found += _ratios(effect)
    groups = effect.groups
    for name, weights, measure in (
        (groups.treated_name, TREATED, "treated"),
        (groups.control_name, CONTROLS, "controls"),
    ):
        role = "with" if measure == "treated" else "without"
        found.append(
            _difference(f"change of {name}, {role} the program", weights, measure, effect, unit)
        )
    return tuple(found)


def naive_change(effect: GroupEffect, *, unit: str) -> Estimate:
    """Return what the treated alone would say: two means, every row on its own."""
    treated = effect.everybody.take(effect.everybody.treated)
    after = treated.rows.after
    sides = np.column_stack([~after, after]).astype(np.float64)
    fit = fit_clustered(sides, treated.rows.outcome, np.arange(after.size))
    value, error, degrees = fit.contrast(np.array([-1.0, 1.0]))
    return Estimate(
        name=f"plain change of {treated.treated_name}, patients independent",
        unit=unit,
        value=effect.scale * value,
        se=effect.scale * error,
        degrees_of_freedom=degrees,
        origin="two samples, every row on its own, no group without the program",
    )


def add_shocks(one: Estimate, *, sd: float, level: float) -> tuple[float, float]:
    """Interval where each group and period also has a shock of its own, with this SD.

    Parameters
    ----------
    one : difference in differences, with the chance of patients
    sd : of what moves all patients of a group in a period, in the unit of the effect
    level : probability of the interval

    Notes
    -----
    Four shocks of variance sd² enter: the distances of the limits become sqrt(d² + 4 z² sd²).

    References
    ----------
    Donald & Lang (2007), Review of Economics and Statistics 89:221-233,
    doi:10.1162/rest.89.2.221.
    """
    lower, upper = one.interval(level=level)
    more = 2.0 * float(ndtri(0.5 + level / 2.0)) * sd
    return (
        one.value - float(np.hypot(one.value - lower, more)),
        one.value + float(np.hypot(upper - one.value, more)),
    )


def shock_at_nil(one: Estimate, *, level: float) -> float:
    """SD of the shocks from which on the interval includes no effect; 0 where it does already."""
    lower, upper = one.interval(level=level)
    own = one.value - lower if one.value > 0 else upper - one.value
    room = one.value**2 - own**2
    return float(np.sqrt(max(room, 0.0))) / (2.0 * float(ndtri(0.5 + level / 2.0)))


def _difference(
    name: str, weights: Floats, measure: str, effect: GroupEffect, unit: str
) -> Estimate:
    if effect.fit is None:
        return _left_out(name, measure, effect, unit)
    padded = np.zeros(effect.fit.coefficients.size)
    padded[:4] = weights @ SETTINGS
    value, error, degrees = effect.fit.contrast(padded)
    if effect.options.binary and not effect.cluster_names:
        return _of_shares(name, weights, effect, unit)
    if error <= 1e-12 * max(abs(value), 1e-300):
        words = "no interval: outcomes do not vary within the groups and periods"
        return Estimate(name=name, unit=unit, value=effect.scale * value, origin=words)
    kind = "CR2" if effect.cluster_names else "HC2"
    return Estimate(
        name=name,
        unit=unit,
        value=effect.scale * value,
        se=effect.scale * error,
        degrees_of_freedom=degrees,
        origin=f"{kind}, t with {degrees:.3g} degrees of freedom, {spell_units(effect)}",
    )


def _of_shares(name: str, weights: Floats, effect: GroupEffect, unit: str) -> Estimate:
    """Contrast of shares of independent patients, from the Wilson limits of each.

    Notes
    -----
    theta = sum w_k p_k; lower = theta - sqrt(sum w_k² d_k²), d_k = p_k - l_k where w_k > 0, else
    u_k - p_k; upper the mirror image.

    References
    ----------
    Newcombe (2001), Statistics in Medicine 20:2885-2893, doi:10.1002/sim.925.
    """
    sizes, share = effect.groups.sizes(), effect.means

    def limits(level: float) -> tuple[float, float]:
        z = float(ndtri(0.5 + level / 2.0))
        middle = (share + z**2 / (2 * sizes)) / (1 + z**2 / sizes)
        reach = (
            np.sqrt(share * (1 - share) / sizes + z**2 / (4 * sizes**2)) * z / (1 + z**2 / sizes)
        )
        below, above = share - (middle - reach), middle + reach - share
        down, up = np.where(weights > 0, [below, above], [above, below])
        value = float(weights @ share)
        return (
            100 * (value - float(np.sqrt((weights**2 * down**2).sum()))),
            100 * (value + float(np.sqrt((weights**2 * up**2).sum()))),
        )

    return Estimate(
        name=name,
        unit=unit,
        value=100 * float(weights @ share),
        limits=limits,
        origin=f"squares of the Wilson limits added up (Newcombe), {spell_units(effect)}",
    )


def _ratios(effect: GroupEffect) -> list[Estimate]:
    """Ratio to the risk that parallel risks leave, and the odds ratio if log odds are parallel."""
    means, expected = effect.means, effect.counterfactual
    found = []
    if min(expected, means[3]) > 0 and max(expected, means[3]) < 1:
        slope = AFTER / means[3] - (AFTER - EFFECT) / expected
        found.append(
            _ratio(
                "risk ratio to the risk without the program",
                means[3] / expected,
                slope,
                "ratio",
                effect,
            )
        )
    events, sizes = effect.events, effect.groups.sizes()
    if (events > 0).all() and (events < sizes).all():
        log_odds = EFFECT @ (np.log(means) - np.log1p(-means))
        if effect.fit is None:
            log_odds = effect.values[MEASURES.index("odds")]
        odds = float(np.exp(log_odds))
        slope = EFFECT / (means * (1 - means))
        found.append(_ratio("odds ratio, if log odds were parallel", odds, slope, "odds", effect))
    return found


def _ratio(name: str, value: float, slope: Floats, measure: str, effect: GroupEffect) -> Estimate:
    if effect.fit is None:
        return _left_out(name, measure, effect, "ratio", value=value)
    _, error, degrees = effect.fit.contrast(slope @ SETTINGS)
    kind = "CR2" if effect.cluster_names else "HC2"
    return Estimate(
        name=name,
        unit="ratio",
        value=value,
        scale="log",
        se=error,
        degrees_of_freedom=degrees,
        origin=f"{kind}, delta method, t with {degrees:.3g} degrees of freedom",
    )


def _left_out(
    name: str, measure: str, effect: GroupEffect, unit: str, *, value: float | None = None
) -> Estimate:
    place = MEASURES.index(measure)
    jackknife = effect.jackknife
    point = float(effect.values[place]) if value is None else value
    if jackknife is None:
        return Estimate(name=name, unit=unit, value=point)
    return Estimate(
        name=name,
        unit=unit,
        value=point,
        scale="identity" if value is None else "log",
        se=float(jackknife.errors()[place]),
        degrees_of_freedom=jackknife.degrees_of_freedom,
        origin=f"logistic regression, jackknife, t with {jackknife.degrees_of_freedom} degrees of "
        f"freedom, {spell_units(effect)}",
    )


def spell_units(effect: GroupEffect) -> str:
    """Write the number of units that an interval rests on."""
    if effect.cluster_names:
        return count_of(effect.n_clusters, effect.cluster_role)
    return f"{effect.groups.rows.outcome.size:,} independent patients"
