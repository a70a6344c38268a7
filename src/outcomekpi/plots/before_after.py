"""Slope chart: each unit before and after, and where it would have fallen back to by itself."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Level
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.pilots.ladder.effect import PilotEffect
from outcomekpi.plots.fonts import display_name
from outcomekpi.plots.palette import BETTER, INK, NEUTRAL, WORSE, quiet_axes
from outcomekpi.plots.pilot_tables import level_label, number_axis, take_table
from outcomekpi.plots.rows import FEW
from outcomekpi.plots.sides import finish
from outcomekpi.tables.cases import Direction

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_before_after"]

COLUMNS = ("unit", "before", "after", "expected_after")
NAMED_AT_MOST = 12
GAP = 0.042  # of the height of the picture that a name takes


def plot_before_after(
    effect: PilotEffect, *, level: Level = DEFAULT_LEVEL, ax: "Axes | None" = None
) -> "Axes":
    """Level of each unit before and after, as a line; dashed, what regression to the mean expects.

    Lines that fan in towards the middle are what luck does to extreme starts, with or without a
    program. Where it is known how units were chosen, the dashed line leads to the level that they
    would have come to by themselves: only the rest can be the program's. With a group without the
    program, it leads to where the treated would be had they changed as that group did.

    Parameters
    ----------
    effect : of patients before and after
    level : probability of the intervals
    ax : Axes to draw on; None opens a figure

    Returns
    -------
    Axes

    Raises
    ------
    SpecError
        The design makes no levels before and after.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> frame, _ = ok.datasets.simulate_pilot(n_doctors=8)
    >>> design = ok.BeforeAfter(outcome="controlled", period="period", after="after",
    ...     doctor="doctor", direction="higher")
    >>> ax = ok.plot_before_after(ok.compare_pilot(frame, design, draws=200))
    >>> [tick.get_text() for tick in ax.get_xticklabels()]
    ['before', 'after']
    """
    check_arguments(plot_before_after, locals())
    table = take_table(effect, "slope", COLUMNS, level=level)
    ax = quiet_axes(ax, width=5.6, height=4.6, grid="y")
    _draw_slopes(ax, table, effect.findings_at(level).direction)
    _draw_expected(ax, table)
    ax.set_xticks([0.0, 1.0], ["before", "after"])
    ax.set_xlim(-0.18, 1.18 if len(table) > NAMED_AT_MOST else 1.5)
    ax.set_ylabel(level_label(table, getattr(effect.design, "outcome", "")))
    number_axis(ax.yaxis, table)
    if len(table) <= NAMED_AT_MOST:
        _name_units(ax, table)
    return finish(ax)


def _draw_slopes(ax: "Axes", table: pd.DataFrame, direction: Direction | None) -> None:
    change = (table["after"] - table["before"]).to_numpy(dtype=np.float64)
    up = direction != "lower"
    named = direction is not None
    better = change > 0 if up else change < 0
    sides = (
        (better, BETTER, "o", "better" if named else "rose"),
        (~better, WORSE, "s", "worse or unchanged" if named else "fell or stayed"),
    )
    crowd = len(table) > FEW
    for at, color, marker, words in sides:
        part = table[at]
        if part.empty:
            continue
        style: dict[str, Any] = {
            "color": color if named else NEUTRAL,
            "linewidth": 0.7 if crowd else 1.5,
            "alpha": 0.35 if crowd else 0.85,
            "marker": marker,
            "markersize": 2.5 if crowd else 4.5,
            "markeredgewidth": 0,
            "zorder": 2,
        }
        lines = ax.plot([0.0, 1.0], part[["before", "after"]].to_numpy(dtype=float).T, **style)
        lines[0].set_label(f"{words}: {len(part):,}")


def _draw_expected(ax: "Axes", table: pd.DataFrame) -> None:
    known = table[np.isfinite(table["expected_after"].astype(float))]
    if known.empty:
        return
    style: dict[str, Any] = {"color": INK, "zorder": 3}
    pairs = known[["before", "expected_after"]].to_numpy(dtype=float).T
    if len(known) <= NAMED_AT_MOST:
        ax.plot([0.0, 1.0], pairs, linestyle=(0, (4, 2)), linewidth=1.0, alpha=0.8, **style)
    ax.plot(
        np.ones(len(known)),
        known["expected_after"],
        linestyle="none",
        marker="D",
        markersize=4.5,
        markerfacecolor="white",
        label=str(table.attrs.get("expected", "by regression to the mean alone")),
        **style,
    )


def _name_units(ax: "Axes", table: pd.DataFrame) -> None:
    """Write each unit at the right, moved apart where two levels are close."""
    low, high = ax.get_ylim()
    least = GAP * (high - low)
    rows = table.sort_values("after", kind="stable")
    place = -np.inf
    for unit, level in zip(rows["unit"], rows["after"].astype(float), strict=True):
        place = max(level, place + least)
        ax.annotate(
            display_name(unit, width=18),
            xy=(1.0, level),
            xytext=(1.06, place),
            textcoords="data",
            va="center",
            fontsize="small",
            color=INK,
            annotation_clip=False,
        )
