"""Shrinkage: how far adjustment moves each doctor's raw rate."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Level
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.plots.palette import BETTER, INK, LIMIT, NEUTRAL, quiet_axes
from outcomekpi.plots.rows import FEW, Labels, label_rows, rows_height
from outcomekpi.plots.sides import (
    draw_reference,
    finish,
    flags_of,
    percent,
    rate_axis,
    rate_label,
    sided,
)
from outcomekpi.profiling.standardization import StandardizedRates

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_shrinkage"]


def plot_shrinkage(
    rates: StandardizedRates,
    *,
    labels: Labels = "auto",
    level: Level = DEFAULT_LEVEL,
    ax: "Axes | None" = None,
) -> "Axes":
    """Raw rate against standardized rate: what case mix and chance take away.

    Up to 40 doctors each have a row, from the raw rate (open) to the standardized one
    (filled, with its interval); more doctors become a scatter of standardized against raw
    rates, colored by caseload, whose diagonal is "no change".

    Parameters
    ----------
    rates : standardized rates
    labels : which doctors are named, where each has a row; "auto" names them all
    level : probability of the intervals
    ax : Axes to draw on; None opens a figure

    Returns
    -------
    Axes

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(), draws=400)
    >>> type(ok.plot_shrinkage(ok.standardize(fit))).__name__
    'Axes'
    """
    check_arguments(plot_shrinkage, locals())
    frame = rates.to_frame(level=level)
    frame = frame.sort_values("mean", ascending=rates.direction != "higher", kind="stable")
    few = len(frame) <= FEW
    ax = quiet_axes(
        ax, width=6.4, height=rows_height(len(frame)) if few else 5.2, grid="x" if few else ""
    )
    if few:
        _draw_rows(ax, frame, level)
        label_rows(ax, frame, flags_of(None, frame.index), labels)
        ax.set_xlabel(sided(f"raw and standardized {rate_label(rates)}", rates.direction))
        draw_reference(ax, rates)
    else:
        _draw_scatter(ax, frame)
        draw_reference(ax, rates, vertical=False)
        rate_axis(ax.yaxis, rates)
        ax.set_xlabel(sided(f"raw {rate_label(rates)}", rates.direction))
        ax.set_ylabel(f"standardized {rate_label(rates)}")
    rate_axis(ax.xaxis, rates)
    return finish(ax, legend="above" if few else "upper left")


def _draw_rows(ax: "Axes", frame: pd.DataFrame, level: float) -> None:
    position = np.arange(len(frame))
    ax.hlines(position, frame["raw_rate"], frame["mean"], color=LIMIT, linewidth=0.9, zorder=2)
    ax.hlines(
        position,
        frame["lower"],
        frame["upper"],
        color=BETTER,
        linewidth=2.2,
        alpha=0.35,
        zorder=2,
        label=f"{percent(level)} interval",
    )
    marks: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 5.5, "zorder": 3}
    ax.plot(
        frame["raw_rate"], position, markerfacecolor="white", color=NEUTRAL, label="raw", **marks
    )
    ax.plot(frame["mean"], position, color=BETTER, markeredgewidth=0, label="standardized", **marks)
    ax.set_ylim(len(frame) - 0.2, -0.8)


def _draw_scatter(ax: "Axes", frame: pd.DataFrame) -> None:
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.ticker import FuncFormatter

    smallest, largest = max(float(frame["cases"].min()), 0.5), float(frame["cases"].max())
    scale = LogNorm if largest > 10 * smallest else Normalize
    points = ax.scatter(
        frame["raw_rate"],
        frame["mean"],
        c=frame["cases"],
        cmap="cividis_r",
        norm=scale(smallest, max(largest, smallest + 1)),
        s=float(np.clip(20_000 / len(frame), 3, 18)),
        linewidths=0,
        alpha=0.8,
        zorder=3,
        rasterized=True,
    )
    bar = ax.figure.colorbar(points, ax=ax, label="cases", shrink=0.7, pad=0.02)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    bar.outline.set_visible(False)
    low, high = frame["mean"].min(), frame["mean"].max()
    ax.axline((low, low), (high, high), color=INK, linewidth=1.0, label="no change", zorder=2)
