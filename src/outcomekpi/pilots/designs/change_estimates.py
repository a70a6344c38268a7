"""The estimates of a measured change: differences, ratios, parts, the naive one."""

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from outcomekpi.pilots.designs.patient_change import MeasuredChange
from outcomekpi.pilots.estimators.cluster_robust import (
    ClusterFit,
    fit_clustered,
    wild_bootstrap_interval,
)
from outcomekpi.pilots.estimators.kitagawa import PARTS
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.tables.columns import count_of

__all__ = ["list_estimates", "main_estimate", "naive_estimate", "part_estimates"]

Floats = NDArray[np.float64]
WITHIN, RATIO, ODDS = PARTS.index("within"), len(PARTS), len(PARTS) + 1
STEP = np.array([-1.0, 1.0])
NO_SCATTER = "no interval: the change is the same in every cluster, and chance cannot be judged"


def main_estimate(change: MeasuredChange, *, unit: str) -> Estimate:
    """Difference between the periods: within the same patients, at one case mix, where asked."""
    name = _main_name(change)
    value = change.scale * change.split.within
    if change.resamples is not None:
        return _drawn(name, unit, value, change.resamples[:, WITHIN], change)
    if change.fit is not None:
        _, error, degrees = change.fit.contrast(STEP)
        if change.options.inference == "wild_bootstrap":
            return _wild(name, unit, change, change.fit)
        if error <= 1e-12 * abs(value):
            return Estimate(name=name, unit=unit, value=value, origin=NO_SCATTER)
        return Estimate(
            name=name,
            unit=unit,
            value=value,
            se=change.scale * error,
            degrees_of_freedom=degrees,
            origin=f"CR2, t with {degrees:.3g} degrees of freedom, {spell_clusters(change)}",
        )
    return _left_out(name, unit, value, WITHIN, change)


def list_estimates(change: MeasuredChange, *, unit: str) -> tuple[Estimate, ...]:
    """Every scale of the main effect, then the parts of the plain difference."""
    found = [main_estimate(change, unit=unit)]
    inside = min(change.split.before, change.split.after) > 0
    inside &= max(change.split.before, change.split.after) < 1
    if change.options.binary and inside:
        found += [_ratio(change, "risk ratio"), _ratio(change, "odds ratio")]
    if change.is_adjusted or change.has_entries:
        parts = part_estimates(change, unit=unit)
        wanted = [name for name in PARTS if name in parts and name != "within"]
        found += [parts[name] for name in wanted]
    return tuple(found)


def part_estimates(change: MeasuredChange, *, unit: str) -> dict[str, Estimate]:
    """Part -> estimate, of the parts that the data can tell apart."""
    names = {
        "within": "within: the change at one case mix",
        "mix": "mix: the change of the case mix",
        "entry": "entry: patients who came in",
        "exit": "exit: patients who left",
        "total": "plain difference, with clusters",
    }
    wanted = ["within"] + ["mix"] * change.is_adjusted
    others = ~change.model_rows
    wanted += ["entry"] * bool((others & change.rows.after).any())
    wanted += ["exit"] * bool((others & ~change.rows.after).any()) + ["total"]
    parts = {}
    for name in wanted:
        place = PARTS.index(name)
        value = change.scale * float(change.split.parts()[place])
        if name == "within" or change.jackknife is None:
            # without case mix and entries the whole difference is the main effect
            parts[name] = main_estimate(change, unit=unit)
        elif change.resamples is not None:
            one = _drawn(names[name], unit, value, change.resamples[:, place], change)
            parts[name] = replace(one, code=name)
        else:
            one = _left_out(names[name], unit, value, place, change)
            parts[name] = replace(one, code=name)
    return parts


def naive_estimate(change: MeasuredChange, *, unit: str) -> Estimate:
    """Return what two bare means would say: no clusters, no case mix, nobody paired."""
    rows = change.rows
    sides = np.column_stack([~rows.after, rows.after]).astype(np.float64)
    fit = fit_clustered(sides, rows.outcome, np.arange(rows.outcome.size))
    value, error, degrees = fit.contrast(STEP)
    return Estimate(
        name="plain difference, patients independent",
        unit=unit,
        value=change.scale * value,
        se=change.scale * error,
        degrees_of_freedom=degrees,
        origin="two samples, every row on its own",
    )


def spell_clusters(change: MeasuredChange) -> str:
    """Write the number of clusters that an interval rests on."""
    if not change.cluster_names:
        return f"{change.rows.outcome.size:,} independent patients"
    return count_of(change.n_clusters, change.cluster_role)


def _main_name(change: MeasuredChange) -> str:
    name = "risk difference" if change.options.binary else "mean difference"
    if change.is_adjusted:
        name = f"standardized {name}"
    if change.is_paired:
        name += " in the same patients"
    return name


def _ratio(change: MeasuredChange, kind: str) -> Estimate:
    before, after = change.split.before, change.split.after
    name = f"standardized {kind}" if change.is_adjusted else kind
    if kind == "risk ratio":
        place, value, slope = RATIO, after / before, np.array([-1.0 / before, 1.0 / after])
    else:
        odds = before / (1.0 - before)
        place, value = ODDS, after / (1.0 - after) / odds
        slope = np.array([-1.0 / before / (1.0 - before), 1.0 / after / (1.0 - after)])
    if change.resamples is not None:
        drawn = np.exp(change.resamples[:, place])
        return _drawn(name, "ratio", value, drawn, change, log=True)
    if change.fit is not None:
        _, error, degrees = change.fit.contrast(slope)
        return Estimate(
            name=name,
            unit="ratio",
            value=value,
            scale="log",
            se=error,
            degrees_of_freedom=degrees,
            origin=f"CR2, delta method, t with {degrees:.3g} degrees of freedom",
        )
    return _left_out(name, "ratio", value, place, change, log=True)


def _left_out(
    name: str, unit: str, value: float, place: int, change: MeasuredChange, *, log: bool = False
) -> Estimate:
    if change.jackknife is None:
        return Estimate(name=name, unit=unit, value=value, scale="log" if log else "identity")
    degrees = change.jackknife.degrees_of_freedom
    error = float(change.jackknife.errors()[place])
    scale: Literal["log", "identity"] = "log" if log else "identity"
    if error <= 1e-12 * abs(value):
        return Estimate(name=name, unit=unit, value=value, scale=scale, origin=NO_SCATTER)
    return Estimate(
        name=name,
        unit=unit,
        value=value,
        scale=scale,
        se=error,
        degrees_of_freedom=degrees,
        origin=f"jackknife by clusters, t with {degrees} degrees of freedom, "
        f"{spell_clusters(change)}",
    )


def _drawn(
    name: str, unit: str, value: float, draws: Floats, change: MeasuredChange, *, log: bool = False
) -> Estimate:
    return Estimate(
        name=name,
        unit=unit,
        value=value,
        scale="log" if log else "identity",
        draws=draws,
        origin=f"cluster bootstrap, {draws.size:,} resamples of {spell_clusters(change)}",
    )


def _wild(name: str, unit: str, change: MeasuredChange, fit: ClusterFit) -> Estimate:
    def limits(level: float) -> tuple[float, float]:
        lower, upper = wild_bootstrap_interval(
            fit, STEP, level=level, rng=np.random.default_rng(change.seed)
        )
        return change.scale * lower, change.scale * upper

    return Estimate(
        name=name,
        unit=unit,
        value=change.scale * change.split.within,
        limits=limits,
        origin=f"restricted wild bootstrap, {spell_clusters(change)}",
    )
