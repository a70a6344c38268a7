"""Tipping frontier: how much of other explanations leaves nothing for the program."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Level
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.pilots.ladder.effect import PilotEffect
from outcomekpi.plots.operating import shades
from outcomekpi.plots.palette import INK, LIMIT, MUTED, quiet_axes
from outcomekpi.plots.pilot_tables import take_table, unit_of
from outcomekpi.plots.sides import draw_legend, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_frontier"]

LEFT = "effect_left"
AXES = {
    "trend": "trend without the program",
    "regression_to_mean": "regression to the mean",
    "attrition": "attrition",
    "confounder": "hidden confounder",
}
UNITS = {
    "regression_to_mean": "points",
    "attrition": "share of patients off target who left",
    "confounder": "risk ratio with period and outcome",
}
LINES_AT_MOST = 6
BASE = "nothing is left on the line, from a level before of"


def plot_frontier(
    effect: PilotEffect, *, level: Level = DEFAULT_LEVEL, ax: "Axes | None" = None
) -> "Axes":
    r"""Frontier of other explanations: on a line, together, they leave nothing of the change.

    Right of and above a line nothing is left for the program; each line is for another strength of
    the third explanation. Where the level before was not published, each line is for one level,
    with the third explanation at nil. A dashed line is where the interval, not the estimate, comes
    to include no effect.

    Parameters
    ----------
    effect : with a frontier, such as that of published figures
    level : probability of the intervals
    ax : Axes to draw on; None opens a figure

    Returns
    -------
    Axes

    Raises
    ------
    SpecError
        The design makes no frontier, or nothing varies in it.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> figures = ok.PublishedFigures(before=43, after=68, unit="percent", years=2)
    >>> ax = ok.plot_frontier(ok.compare_pilot(figures, ok.PublishedAggregates()))
    >>> ax.get_xlabel()
    'trend without the program\n(points a year, towards the change)'
    """
    check_arguments(plot_frontier, locals())
    table = take_table(effect, "frontier", (LEFT,), level=level)
    axes = _axes(table)
    if not axes:
        raise SpecError("Nothing varies in the table 'frontier': there was no change to explain.")
    ax = quiet_axes(ax, width=6.8, height=4.4, grid="y")
    if len(axes) == 1:
        _draw_remainder(ax, table, axes[0])
    else:
        title = _draw_frontier(ax, table, axes)
        limit = effect.findings_at(level).tables.get("frontier_of_limit")
        if limit is not None and axes[:2] == _axes(limit)[:2]:
            _draw_limit(ax, limit, axes)
        _write_legend(ax, title)
    ax.set_xlabel(_label(axes[0], table))
    _write_scale(ax, axes)
    return finish(ax, legend=None)


def _axes(table: pd.DataFrame) -> list[str]:
    """Explanations that vary: the first two are drawn as axes, the third as lines."""
    found = [name for name in table.columns if name not in (LEFT, "before")]
    order = {name: place for place, name in enumerate(("trend", "attrition"))}
    varying = [name for name in found if _varies(table[name])]
    return sorted(varying, key=lambda name: order.get(name, len(order)))


def _varies(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column.dtype) and column.nunique() > 1)


def _draw_remainder(ax: "Axes", table: pd.DataFrame, name: str) -> None:
    """One explanation: what it leaves, against its strength."""
    rows = table.sort_values(name)
    ax.plot(rows[name], rows[LEFT], color=INK, linewidth=1.7, label="left for the program")
    ax.axhline(0.0, color=LIMIT, linewidth=0.9)
    unit = unit_of(table)
    ax.set_ylabel("left for the program" + (f" ({unit})" if unit else ""))
    draw_legend(ax)


def _draw_frontier(ax: "Axes", table: pd.DataFrame, axes: list[str]) -> str:
    """Draw a line for each strength of the third explanation; return what sets them apart."""
    across, up = axes[0], axes[1]
    title, lines = _split(table, axes)
    traced = [(words, *nil_line(part, across, up)) for words, part in lines]
    traced = [line for line in traced if len(line[1]) > 1]
    if traced:
        ax.set_xlim(0.0, 1.04 * max(float(at.max()) for _, at, _ in traced))
        ax.set_ylim(0.0, 1.04 * max(float(height.max()) for _, _, height in traced))
    for place, (words, at, height) in enumerate(traced):
        color = shades(len(traced))[::-1][place]
        ax.plot(at, height, color=color, linewidth=1.8, label=words, zorder=3)
        if place == 0 and title != BASE:
            _shade_beyond(ax, at, height)
    ax.set_ylabel(_label(up, table))
    return title


def _write_legend(ax: "Axes", title: str) -> None:
    draw_legend(ax)
    legend = ax.get_legend()
    if legend is not None:
        legend.set_title(title)
        legend.get_title().set_fontsize("small")


def _draw_limit(ax: "Axes", table: pd.DataFrame, axes: list[str]) -> None:
    """Dashed line on which the interval begins to include no effect, the third at nil."""
    weakest = table
    for name in _axes(table):
        if name not in axes[:2]:
            weakest = weakest[weakest[name] == weakest[name].min()]
    at, height = nil_line(weakest, axes[0], axes[1])
    if len(at) > 1:
        words = "interval includes no effect (0)"
        ax.plot(at, height, color=INK, linestyle=(0, (2, 2)), linewidth=1.3, label=words, zorder=4)


def _split(table: pd.DataFrame, axes: list[str]) -> tuple[str, list[tuple[str, pd.DataFrame]]]:
    """Parts of the table that have a line each, the weakest first, and what sets them apart."""
    rest = axes[2:]
    if "before" in table.columns and _varies(table["before"]):
        weakest = table
        for name in rest:
            weakest = weakest[weakest[name] == weakest[name].min()]
        levels = _few(np.sort(weakest["before"].unique()))
        parts = [(f"{100 * level:.3g}%", weakest[weakest["before"] == level]) for level in levels]
        return BASE, parts
    if not rest:
        return "", [("nothing left", table)]
    for name in rest[1:]:
        table = table[table[name] == table[name].min()]
    third = rest[0]
    values = _few(np.sort(table[third].unique()))
    parts = [(_amount(third, value), table[table[third] == value]) for value in values]
    return f"nothing is left on the line, with {AXES.get(third, third)} of", parts


def _few(values: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(values) <= LINES_AT_MOST:
        return values
    chosen = np.unique(np.linspace(0, len(values) - 1, LINES_AT_MOST).round().astype(int))
    return np.asarray(values[chosen])


def nil_line(
    part: pd.DataFrame, across: str, up: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Trace where nothing is left: pairs of strengths of two explanations.

    Parameters
    ----------
    part : rows of a frontier with one value of everything but ``across`` and ``up``
    across, up : columns

    Returns
    -------
    across, up : (point,) each, from the left to the right

    Notes
    -----
    Crossings of 0 along the lines of the grid in both directions, linear between its points.
    """
    points = set()
    for fixed, moving in ((up, across), (across, up)):
        for at, rows in part.groupby(fixed):
            ordered = rows.sort_values(moving)
            crossing = _crossing(
                ordered[moving].to_numpy(dtype=np.float64), ordered[LEFT].to_numpy(dtype=np.float64)
            )
            if crossing is not None:
                height = float(str(at))
                points.add((crossing, height) if moving == across else (height, crossing))
    found = np.array(sorted(points, key=lambda pair: (pair[0], -pair[1]))).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _crossing(at: NDArray[np.float64], left: NDArray[np.float64]) -> float | None:
    """Strength at which what is left comes down to nothing; None where it does not."""
    left = np.where(np.abs(left) < 1e-9 * max(float(np.abs(left).max()), 1.0), 0.0, left)
    if left[0] < 0 or left.min() > 0:
        return None
    first = int((left <= 0).argmax())
    if first == 0:
        return float(at[0])
    share = left[first - 1] / (left[first - 1] - left[first])
    return float(at[first - 1] + share * (at[first] - at[first - 1]))


def _shade_beyond(ax: "Axes", at: NDArray[np.float64], height: NDArray[np.float64]) -> None:
    """Shade what lies beyond the first line: there nothing is left, whatever the third one is."""
    right, top = ax.get_xlim()[1], ax.get_ylim()[1]
    ax.fill_between(
        [0.0, *at, right], [height.max(), *height, 0.0], top, color=LIMIT, alpha=0.22, linewidth=0
    )
    ax.annotate(
        "nothing is left\nfor the program",
        xy=(0.97, 0.93),
        xycoords="axes fraction",
        ha="right",
        va="top",
        color=MUTED,
    )


def _label(name: str, table: pd.DataFrame) -> str:
    words = AXES.get(name, name.replace("_", " "))
    if name == "trend":
        unit = f"{table.attrs.get('trend_unit', 'points')}, towards the change"
    else:
        unit = str(table.attrs.get(f"{name}_unit", UNITS.get(name, "")))
    return f"{words}\n({unit})" if unit else words


def _amount(name: str, value: float) -> str:
    if name == "attrition":
        return f"{100 * value:.3g}%"
    return f"{value:.3g} {UNITS.get(name, '')}".strip()


def _write_scale(ax: "Axes", axes: list[str]) -> None:
    from matplotlib.ticker import PercentFormatter

    scales: tuple[Any, ...] = (ax.xaxis, ax.yaxis)
    for axis, name in zip(scales, axes, strict=False):
        if name == "attrition":
            axis.set_major_formatter(PercentFormatter(xmax=1.0))
