"""Event study: treated against controls by time since the start."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Level
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.pilots.ladder.effect import PilotEffect
from outcomekpi.plots.palette import BETTER, INK, MUTED, NEUTRAL, quiet_axes
from outcomekpi.plots.pilot_tables import interval_words, take_table, unit_of
from outcomekpi.plots.sides import finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_event_study"]

COLUMNS = ("time", "mean", "lower", "upper", "is_reference")


def plot_event_study(
    effect: PilotEffect, *, level: Level = DEFAULT_LEVEL, ax: "Axes | None" = None
) -> "Axes":
    """Difference of treated and controls at each time since the start, against the reference.

    Before the start the points should lie near 0: there they are what the two groups did without
    the program. Points away from 0 break the parallel trends; points near 0 with wide intervals
    show nothing.

    Parameters
    ----------
    effect : of a difference in differences, or of a stepped wedge by time with the program
    level : probability of the intervals
    ax : Axes to draw on; None opens a figure

    Returns
    -------
    Axes

    Raises
    ------
    SpecError
        The design makes no event study.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> figures = ok.PublishedFigures(before=43, after=68, unit="percent")
    >>> ok.plot_event_study(ok.compare_pilot(figures, ok.PublishedAggregates()))
    Traceback (most recent call last):
    outcomekpi.declare.errors.SpecError: This picture needs the table 'event_study', ...
    """
    check_arguments(plot_event_study, locals())
    table = take_table(effect, "event_study", COLUMNS, level=level).sort_values("time")
    ax = quiet_axes(ax, width=6.8, height=4.0, grid="y")
    ax.axhline(0.0, color=INK, linewidth=0.9, zorder=1)
    ax.axvline(-0.5, color=INK, linestyle=(0, (1, 2)), linewidth=1.1, zorder=1)
    reference = table["is_reference"].to_numpy(dtype=bool)
    after = table["time"].to_numpy(dtype=np.float64) >= 0
    _draw_points(ax, table[~reference & ~after], NEUTRAL, "s", "before the start")
    _draw_points(ax, table[~reference & after], BETTER, "o", "with the program")
    ax.plot(
        table.loc[reference, "time"],
        table.loc[reference, "mean"].fillna(0.0),
        linestyle="none",
        marker="o",
        markersize=6,
        markerfacecolor="white",
        markeredgecolor=INK,
        zorder=4,
        label="reference",
    )
    _name_axes(ax, table, effect, level)
    return finish(ax)


def _draw_points(ax: "Axes", part: pd.DataFrame, color: str, marker: str, label: str) -> None:
    if part.empty:
        return
    style: dict[str, Any] = {"color": color, "zorder": 3}
    ax.vlines(part["time"], part["lower"], part["upper"], linewidth=1.8, **style)
    ax.plot(
        part["time"],
        part["mean"],
        linestyle="none",
        marker=marker,
        markersize=5.5,
        markeredgewidth=0,
        label=label,
        **style,
    )


def _name_axes(ax: "Axes", table: pd.DataFrame, effect: PilotEffect, level: float) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    ax.set_xlabel(f"periods since the start\nbars: {interval_words(table, level)}", color=INK)
    unit = unit_of(table)
    what = "difference from the controls" if (table["time"] < -1).any() else "effect"
    label = what + (f"\n({unit})" if unit else "")
    direction = effect.findings_at(level).direction
    if direction is not None:
        better = "up" if direction == "higher" else "down"
        ax.annotate(
            f"{better} is better",
            xy=(0.0, 1.0),
            xycoords="axes fraction",
            xytext=(4, -3),
            textcoords="offset points",
            va="top",
            fontsize="small",
            color=MUTED,
        )
    ax.set_ylabel(label)
