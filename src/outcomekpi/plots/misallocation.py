"""Money that goes to the wrong doctors, against how many cases they have."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError, check_kind
from outcomekpi.declare.fields import Level
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.operating.award_scenarios import AwardScenarios
from outcomekpi.operating.operating import OperatingCharacteristics
from outcomekpi.plots.fonts import display_name
from outcomekpi.plots.operating import describe_method, shades
from outcomekpi.plots.palette import BETTER, HOSPITAL, INK, NEUTRAL, SECOND, WORSE, quiet_axes
from outcomekpi.plots.sides import count_axis, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_misallocation"]

RULE_COLORS = (BETTER, WORSE, INK, HOSPITAL, SECOND, NEUTRAL)
MARKERS = ("o", "s", "D", "^", "v", "P")
LEVELS_AT_MOST = 6
SOURCE = "operating_characteristics(rule, setting)"


def plot_misallocation(
    operating: OperatingCharacteristics | Mapping[str, OperatingCharacteristics] | AwardScenarios,
    *,
    level: Level = DEFAULT_LEVEL,
    ax: "Axes | None" = None,
) -> "Axes":
    r"""Money paid to the wrong doctors and kept from the right ones, against caseload.

    One curve per rule where several are compared (their true levels with the same weight), else
    one per true level. Bands hold the Monte Carlo error where the curves are simulated.

    Parameters
    ----------
    operating : operating characteristics of one rule; or of several, by the name to be shown,
        all with the same number of units and the same amount; or the scenarios of
        :func:`tabulate_awards`, one curve per SD between doctors
    level : probability of the bands
    ax : Axes to draw on; None opens a figure

    Returns
    -------
    Axes

    Raises
    ------
    SpecError
        No rule, or rules that were tried on different numbers of units or amounts.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> setting = ok.Setting(
    ...     levels=(0.7,), caseloads=(20, 50, 100), n_units=30, icc=0.05, replicates=200)
    >>> rule = ok.AbsoluteRule(bar=0.75, direction="higher")
    >>> ok.plot_misallocation(ok.operating_characteristics(rule, setting)).get_ylabel()
    'money misallocated\n(30 doctors, award of 1)'
    """
    check_arguments(plot_misallocation, locals())
    from matplotlib.ticker import FuncFormatter

    if isinstance(operating, AwardScenarios):
        operating = {f"SD {sd:g} between doctors": run for sd, run in operating.runs.items()}
    for each in operating.values() if isinstance(operating, Mapping) else [operating]:
        check_kind("operating", each, OperatingCharacteristics, SOURCE)
    several = isinstance(operating, Mapping)
    curves = (
        _by_rule(operating, level)
        if isinstance(operating, Mapping)
        else _by_level(operating, level)
    )
    first = next(iter(operating.values())) if isinstance(operating, Mapping) else operating
    ax = quiet_axes(ax, width=6.4, height=4.2, grid="y")
    colors = RULE_COLORS if several else shades(len(curves))
    for place, (name, curve) in enumerate(curves.items()):
        _draw_curve(ax, curve, name, colors[place % len(colors)], MARKERS[place % len(MARKERS)])
    count_axis(ax, pd.concat([curve["caseload"] for curve in curves.values()]))
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda money, _: f"{money:,.6g}"))
    ax.set_xlabel(f"cases per doctor in a cycle (log scale)\n{describe_method(first, level=level)}")
    ax.set_ylabel(f"money misallocated\n({_unit(first)})")
    return finish(ax)


def _by_level(operating: OperatingCharacteristics, level: float) -> dict[str, pd.DataFrame]:
    """Curve of each true level; of all together where there are more than can be told apart."""
    if len(operating.setting.levels) > LEVELS_AT_MOST:
        pooled = f"{len(operating.setting.levels)} true levels with the same weight"
        return {pooled: _pooled(operating, level)}
    frame = operating.quantities_frame(level=level)
    money = frame[frame["quantity"] == "misallocated"]
    return {
        f"true level {100 * true_level:.3g}%": money[money["level"] == true_level]
        for true_level in sorted(operating.setting.levels)
    }


def _by_rule(
    operating: Mapping[str, OperatingCharacteristics], level: float
) -> dict[str, pd.DataFrame]:
    if not operating:
        raise SpecError("plot_misallocation needs at least one rule; the mapping is empty.")
    stakes = {(each.setting.n_units, each.setting.amount) for each in operating.values()}
    if len(stakes) > 1:
        found = ", ".join(f"{n} units at {amount:g}" for n, amount in sorted(stakes))
        raise SpecError(
            "Rules can only be compared on the same number of units and amount of money; got "
            f"{found}. Use one Setting for all of them."
        )
    return {display_name(name): _pooled(each, level) for name, each in operating.items()}


def _pooled(operating: OperatingCharacteristics, level: float) -> pd.DataFrame:
    frame = operating.caseload_frame(level=level)
    columns = {"misallocated": "mean", "misallocated_lower": "lower", "misallocated_upper": "upper"}
    return frame[list(columns)].rename(columns=columns).rename_axis("caseload").reset_index()


def _draw_curve(
    ax: "Axes", curve: pd.DataFrame, name: str, color: str | NDArray[np.float64], marker: str
) -> None:
    curve = curve.sort_values("caseload")
    if (curve["upper"] > curve["lower"]).any():
        ax.fill_between(
            curve["caseload"], curve["lower"], curve["upper"], color=color, alpha=0.25, linewidth=0
        )
    ax.plot(
        curve["caseload"],
        curve["mean"],
        color=color,
        marker=marker,
        markersize=5,
        markeredgewidth=0,
        linewidth=1.5,
        label=name,
    )


def _unit(operating: OperatingCharacteristics) -> str:
    setting = operating.setting
    who = "1 doctor" if setting.n_units == 1 else f"{setting.n_units:,} doctors"
    return f"{who}, award of {setting.amount:,.6g}"
