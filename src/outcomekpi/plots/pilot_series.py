"""A series with its program: what was observed, and what the trend or the controls would say."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Level
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.pilots.ladder.effect import PilotEffect
from outcomekpi.plots.fonts import display_name
from outcomekpi.plots.palette import BETTER, INK, MUTED, WORSE, quiet_axes
from outcomekpi.plots.pilot_tables import interval_words, level_label, number_axis, take_table
from outcomekpi.plots.sides import finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_counterfactual"]

COLUMNS = ("time", "observed", "fitted", "counterfactual", "lower", "upper", "after")
MANY_POINTS = 120
HEADROOM = 0.12  # of the range of the data, so that the words at the start meet no point


def plot_counterfactual(
    effect: PilotEffect, *, level: Level = DEFAULT_LEVEL, ax: "Axes | None" = None
) -> "Axes":
    """Outcome of each period beside what would have been expected without the program.

    Points are observed, the solid line is the model with the program (where it has one), the
    dashed line and its band the model without it, from the start on. What lies between point and
    dashed line is the effect, as far as the dashed line can be trusted.

    Parameters
    ----------
    effect : of a series, with or without controls
    level : probability of the intervals
    ax : Axes to draw on; None opens a figure

    Returns
    -------
    Axes

    Raises
    ------
    SpecError
        The design makes no counterfactual.

    Examples
    --------
    >>> import numpy as np, outcomekpi as ok, pandas as pd
    >>> rate = 50 + np.sin(np.arange(48) ** 2) + 4 * (np.arange(48) >= 24)
    >>> design = ok.InterruptedSeries(outcome="rate", time="month", start=25, unit="%")
    >>> effect = ok.compare_pilot(pd.DataFrame({"month": range(1, 49), "rate": rate}), design)
    >>> ok.plot_counterfactual(effect).get_ylabel()
    'rate'
    """
    check_arguments(plot_counterfactual, locals())
    table = take_table(effect, "counterfactual", COLUMNS, level=level)
    ax = quiet_axes(ax, width=6.8, height=4.2, grid="y")
    at, labels = _positions(table["time"])
    after = table["after"].to_numpy(dtype=bool)
    begins = int(after.argmax()) if after.any() else len(table) - 1
    ramp_up = int(getattr(effect.design, "ramp_up", 0)) if after.any() else 0
    _draw_start(ax, at, max(begins - ramp_up, 0), labels)
    _draw_program(ax, table, at, begins)
    _draw_counterfactual(ax, table, at, begins, level)
    _name_times(ax, table["time"], labels)
    ax.margins(y=HEADROOM)
    ax.set_ylabel(level_label(table, getattr(effect.design, "outcome", "")))
    ax.set_xlabel(display_name(getattr(effect.design, "time", "") or "time"))
    number_axis(ax.yaxis, table)
    return finish(ax)


def _positions(time: pd.Series) -> tuple[Any, list[str] | None]:
    """Where each time is drawn; its labels where it is neither a number nor a date."""
    if pd.api.types.is_datetime64_any_dtype(time.dtype):
        return time.to_numpy(), None
    if pd.api.types.is_numeric_dtype(time.dtype):
        return time.to_numpy(dtype=np.float64), None
    return np.arange(len(time), dtype=np.float64), [str(one) for one in time]


def _draw_start(ax: "Axes", at: Any, begins: int, labels: list[str] | None) -> None:
    """Vertical line halfway between the last time before and the first one after."""
    previous = at[max(begins - 1, 0)]
    middle = previous + (at[begins] - previous) / 2
    ax.axvline(middle, color=INK, linestyle=(0, (1, 2)), linewidth=1.1, zorder=1)
    right = begins > 0.72 * len(at)
    ax.annotate(
        "program starts",
        xy=(middle, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-4 if right else 4, -3),
        textcoords="offset points",
        ha="right" if right else "left",
        va="top",
        fontsize="small",
        color=MUTED,
    )


def _draw_counterfactual(
    ax: "Axes", table: pd.DataFrame, at: Any, begins: int, level: float
) -> None:
    part = table.iloc[begins:]
    ax.plot(
        at[begins:],
        part["counterfactual"],
        color=WORSE,
        linestyle=(0, (4, 2)),
        linewidth=1.6,
        zorder=3,
        label="without the program",
    )
    ax.fill_between(
        at[begins:],
        part["lower"].to_numpy(dtype=np.float64),
        part["upper"].to_numpy(dtype=np.float64),
        color=WORSE,
        alpha=0.18,
        linewidth=0,
        zorder=2,
        label=f"its {interval_words(table, level)}",
    )


def _draw_program(ax: "Axes", table: pd.DataFrame, at: Any, begins: int) -> None:
    """Observed points, and the fitted line broken at the start."""
    size = 4.5 if len(table) <= MANY_POINTS else 2.2
    ax.plot(
        at,
        table["observed"],
        linestyle="none",
        marker="o",
        markersize=size,
        markerfacecolor="none",
        markeredgecolor=INK,
        markeredgewidth=0.8,
        zorder=4,
        label="observed",
    )
    fitted = table["fitted"].to_numpy(dtype=np.float64)
    if not np.isfinite(fitted).any():
        return
    parts = [(slice(0, begins), "model")]
    without = table["counterfactual"].to_numpy(dtype=np.float64)
    if not np.allclose(fitted[begins:], without[begins:], equal_nan=True):
        parts.append((slice(begins, None), "_with the program"))
    for part, label in parts:
        ax.plot(at[part], fitted[part], color=BETTER, linewidth=1.6, zorder=3, label=label)


def _name_times(ax: "Axes", time: pd.Series, labels: list[str] | None) -> None:
    """Write few enough times to be read on a phone."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import MaxNLocator

    if labels is not None:
        step = max(1, int(np.ceil(len(labels) / 7)))
        names = [display_name(one, width=12) for one in labels[::step]]
        ax.set_xticks(range(0, len(labels), step), names)
    elif pd.api.types.is_datetime64_any_dtype(time.dtype):
        locator: Any = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    elif (time.to_numpy(dtype=np.float64) % 1 == 0).all():
        ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
