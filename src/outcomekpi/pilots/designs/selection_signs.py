"""Whether the treated look chosen by an extreme baseline, where nobody said how they were."""

from dataclasses import dataclass
from math import comb, sqrt

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtr

from outcomekpi.draws.checks import CheckResult
from outcomekpi.pilots.data.panel import PanelColumns, PanelData
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Threat
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.columns import count_of

__all__ = [
    "CHECK",
    "BaselineCut",
    "SelectionSigns",
    "check_selection_signs",
    "doubt_selection",
    "fear_return",
    "find_selection_signs",
]

Floats = NDArray[np.float64]
CHECK = "units chosen by their baseline"
SIZE = 0.05
"""Probability of a departure where nobody was chosen and treated and controls move alike."""
CUT_SIZE = 0.01
"""Probability of a cut where nobody was chosen: real ones are far rarer by chance than this."""
OVERLAP = 0.05
"""Share of the smaller side that may lie on the wrong side of a cut that was not kept to."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BaselineCut:
    """A level of the baseline that has treated and controls on different sides.

    Attributes
    ----------
    level : of the cut
    above : whether the treated lie above it
    when : the period, or None for the average over the periods before the start
    treated, controls : clusters on the two sides
    """

    level: float
    above: bool
    when: str | None
    treated: int
    controls: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SelectionSigns:
    """What in the baseline says that the treated were chosen by it.

    Attributes
    ----------
    departure, error, degrees_of_freedom : by how much the treated leave their own earlier periods
        in the last one before the start, less the same of the controls; nan with one period before
    p_value : that it is 0, two-sided; nan with one period before
    cut : None where treated and controls overlap
    gap : treated less controls, on average over the periods before the start
    periods : periods before the first start
    """

    departure: float
    error: float
    degrees_of_freedom: float
    p_value: float
    cut: BaselineCut | None
    gap: float
    periods: int

    @property
    def stands_out(self) -> bool:
        """Whether the last period before the start is unlike the earlier ones."""
        return bool(self.p_value < SIZE)

    @property
    def any(self) -> bool:
        """Whether there is a sign of selection."""
        return self.stands_out or self.cut is not None


def find_selection_signs(panel: PanelData) -> SelectionSigns:
    """Look for a departure in the last period before the start, and for a cut of the baseline.

    Parameters
    ----------
    panel : with controls

    Notes
    -----
    Departure of a unit: its last period before the start less the mean of its earlier ones. The
    mean over the treated is compared with that over the controls, by clusters (Welch's t; one
    treated cluster has the controls' spread). If noise does not last, its expectation is the
    regression to the mean that a comparison with the last period holds; trends that differ make
    it too. With several starts each control departs by the mean over the starts, weighted by
    their treated clusters.

    Cut: all but 5 % of the smaller side lie on different sides of a level, in a period before the
    start or on average over them. Of all choices of as many clusters 2 are cut so; where that is
    more than 1 % of them, for all periods together, a cut is no sign.
    """
    sides = _split_starts(panel)
    treated, controls = _departures(sides)
    departure, error, degrees = _compare(treated, controls)
    weights = [one.treated.shape[0] for one in sides]
    gaps = [one.treated.mean() - one.controls.mean() for one in sides]
    return SelectionSigns(
        departure=departure,
        error=error,
        degrees_of_freedom=degrees,
        p_value=_chance(departure, error, degrees, float(panel.frame["outcome"].abs().max())),
        cut=_find_cut(sides),
        gap=float(np.average(gaps, weights=weights)),
        periods=panel.starts[0] - 1,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sides:
    """Clusters of one start and of the controls, (cluster, period before the start)."""

    treated: Floats
    controls: Floats
    times: tuple[str, ...]


def _split_starts(panel: PanelData) -> list[_Sides]:
    frame = panel.scaled()
    rows = frame.pivot_table(index=["start", "cluster"], columns="time", values="outcome")
    start = rows.index.get_level_values("start").to_numpy()
    values = rows.to_numpy(dtype=np.float64)
    return [
        _Sides(
            treated=values[start == one, : one - 1],
            controls=values[start == 0, : one - 1],
            times=panel.times[: one - 1],
        )
        for one in panel.starts
    ]


def _departures(sides: list[_Sides]) -> tuple[Floats, Floats]:
    """Departures of treated and of control clusters; the controls' mean is taken off."""
    known = [one for one in sides if len(one.times) > 1]
    if not known:
        return np.empty(0), np.empty(0)
    total = sum(one.treated.shape[0] for one in known)
    treated, controls = [], np.zeros(known[0].controls.shape[0])
    for one in known:
        here, there = (
            side[:, -1] - side[:, :-1].mean(axis=1) for side in (one.treated, one.controls)
        )
        treated.append(here - there.mean())
        controls += (there - there.mean()) * one.treated.shape[0] / total
    return np.concatenate(treated), controls


def _compare(treated: Floats, controls: Floats) -> tuple[float, float, float]:
    """Mean departure of the treated less that of the controls, error, degrees of freedom."""
    sizes = treated.size, controls.size
    if sizes[0] < 1 or sizes[1] < 2:
        return float("nan"), float("nan"), float("nan")
    gap = float(treated.mean() - controls.mean())
    spread = float(controls.var(ddof=1))
    if sizes[0] == 1:
        return gap, sqrt(spread * (1 + 1 / sizes[1])), float(sizes[1] - 1)
    parts = float(treated.var(ddof=1)) / sizes[0], spread / sizes[1]
    total = parts[0] + parts[1]
    rest = parts[0] ** 2 / (sizes[0] - 1) + parts[1] ** 2 / (sizes[1] - 1)
    return gap, sqrt(total), total**2 / rest if rest > 0 else float(sizes[1] - 1)


def _chance(departure: float, error: float, degrees: float, scale: float) -> float:
    """Two-sided p value; without any spread a departure is certain, or none."""
    if error > 1e-9 * scale or np.isnan(error):
        return 2.0 * float(stdtr(degrees, -abs(departure) / error))
    return 0.0 if abs(departure) > 1e-9 * scale else 1.0


def _find_cut(sides: list[_Sides]) -> BaselineCut | None:
    """First cut, the last period before a start first, then the average, then earlier ones."""
    tried = sum(len(one.times) + (len(one.times) > 1) for one in sides)
    for one in sides:
        looks: list[tuple[str | None, Floats, Floats]] = []
        for place, time in reversed(list(enumerate(one.times))):
            looks.append((time, one.treated[:, place], one.controls[:, place]))
        if len(one.times) > 1:
            looks.insert(1, (None, one.treated.mean(axis=1), one.controls.mean(axis=1)))
        count, chosen = one.treated.shape[0] + one.controls.shape[0], one.treated.shape[0]
        # choices of 20 or more clusters on each side are so many that chance needs no exact count
        if comb(count, min(chosen, count - chosen, 20)) < 2 * tried / CUT_SIZE:
            continue
        for when, treated, controls in looks:
            level = _cut_between(treated, controls)
            if level is not None:
                return BaselineCut(
                    level=level,
                    above=bool(treated.mean() > controls.mean()),
                    when=when,
                    treated=chosen,
                    controls=count - chosen,
                )
    return None


def _cut_between(treated: Floats, controls: Floats) -> float | None:
    """Level with the two on different sides, or None."""
    sides = sorted((treated, controls), key=lambda one: float(one.mean()))
    low, high = (np.sort(one) for one in sides)
    cuts = np.unique(np.concatenate([low, high]))
    if cuts.size < 2:
        return None
    cuts = (cuts[:-1] + cuts[1:]) / 2
    wrong = (low.size - np.searchsorted(low, cuts)) + np.searchsorted(high, cuts)
    best = int(wrong.argmin())
    return float(cuts[best]) if wrong[best] <= OVERLAP * min(low.size, high.size) else None


def check_selection_signs(signs: SelectionSigns, panel: PanelData, program: Program) -> CheckResult:
    """Say whether the treated look chosen; it fails where they do, whatever was said.

    Parameters
    ----------
    signs, panel, program : found signs, the data, and what was said of the program
    """
    words = [] if np.isnan(signs.p_value) else [_departure_words(signs, panel)]
    words.append(_cut_words(signs))
    if signs.any and program.selected_on_baseline is False:
        words.append("The program says that units were not selected on their baseline.")
    return CheckResult(
        name=CHECK,
        passed=False if signs.any else None if np.isnan(signs.p_value) else True,
        verdict=" ".join(words),
        table=pd.DataFrame(
            {
                "departure": [signs.departure],
                "se": [signs.error],
                "p_value": [signs.p_value],
                "cut": [np.nan if signs.cut is None else signs.cut.level],
            }
        ),
    )


def doubt_selection(signs: SelectionSigns, panel: PanelData, program: Program) -> str:
    """Say why the effect must not be claimed; empty where nothing stands against it."""
    if not signs.any or program.selected_on_baseline is False:
        return ""
    words = _departure_words(signs, panel) if signs.stands_out else _cut_words(signs)
    return (
        f"the treated look chosen by their baseline. {words} Units chosen while extreme return "
        "with no program at all. Name the periods that chose them (selected_in), which are then "
        "left out; or say that they were not chosen by their baseline (selected_on_baseline)."
    )


def fear_return(
    main: Estimate, signs: SelectionSigns, columns: PanelColumns, program: Program
) -> tuple[Threat, ...]:
    """List regression to the mean among the threats, unless units were not chosen by a baseline.

    Parameters
    ----------
    main, signs, columns, program : effect, found signs, the data, what was said of the program

    Notes
    -----
    Units chosen by a reading return by (1 - r) times their distance from the others, with r the
    correlation of two readings of a unit: r = 1 - effect / distance makes all of the effect.
    """
    if program.selected_on_baseline is False:
        return ()
    tipping = (
        f"a return of the treated by {main.value:.4g} {main.unit} towards their own mean, because "
        "an extreme period got them chosen, leaves no effect"
    )
    share = -main.value / signs.gap if signs.gap else 0.0
    if 0 < share <= 1:
        tipping += (
            f"; they were {abs(signs.gap):.4g} {main.unit} {'above' if signs.gap > 0 else 'below'} "
            f"the controls before, so that a correlation of {1 - share:.2g} between two readings "
            "of a unit would do it"
        )
    handled = "looked for in the periods before the start (see the checks)"
    if columns.selected_in:
        handled = (
            "the periods that chose the units are left out; chance that lasts from them into the "
            "others is not"
        )
    return (
        Threat(name="regression to the mean", direction="either", tipping=tipping, handled=handled),
    )


def _departure_words(signs: SelectionSigns, panel: PanelData) -> str:
    side = "above" if signs.departure > 0 else "below"
    return (
        f"In the last period before the start the treated stood {abs(signs.departure):.3g} "
        f"{panel.word} {side} their own earlier ones, against the controls (p = "
        f"{signs.p_value:.2g})."
    )


def _cut_words(signs: SelectionSigns) -> str:
    cut = signs.cut
    if cut is None:
        return (
            "Before the start treated and controls overlap."
            if signs.periods > 1
            else "In the one period before the start treated and controls overlap, which does not "
            "rule out that the more extreme were chosen more often."
        )
    sides = ("above", "below") if cut.above else ("below", "above")
    when = f"At {cut.when}" if cut.when else "On average over the periods"
    return (
        f"{when}, before the start, {count_of(cut.treated, 'treated cluster')} lay {sides[0]} "
        f"{cut.level:.4g} and {count_of(cut.controls, 'control cluster')} {sides[1]} it, as if a "
        "cut had chosen them."
    )
