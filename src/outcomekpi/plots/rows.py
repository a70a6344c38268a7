"""One horizontal interval per doctor: what the caterpillar and the rank picture share."""

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.errors import check_choice
from outcomekpi.plots.fonts import display_name
from outcomekpi.plots.palette import INK, MARKERS, flag_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FEW", "Labels", "draw_rows", "label_rows", "rows_height"]

Labels = Literal["auto", "all", "flagged", "none"]
"""Which doctors are named: ``auto`` names all of them up to :data:`FEW`, else nobody."""

FEW = 40
"""Up to this many doctors each one has a row that can be read and named."""


def rows_height(n: int) -> float:
    """Inches that ``n`` rows need, at most a page."""
    return float(np.clip(1.4 + 0.24 * n, 2.6, 8.0))


def draw_rows(ax: "Axes", frame: pd.DataFrame, flag: pd.Series) -> None:
    """Draw ``mean, lower, upper`` of each row, the first row at the top.

    Unflagged doctors are gray circles behind; better ones blue diamonds, worse ones
    vermilion squares, in front. Lines and marks get thinner as doctors get more.
    """
    n = len(frame)
    position = np.arange(n)
    line = float(np.clip(90 / n, 0.3, 1.8))
    size = float(np.clip(240 / n, 1.0, 6.0))
    for kind, order in (("", 2), ("better", 4), ("worse", 4)):
        at = (flag == kind).to_numpy()
        if not at.any():
            continue
        part = frame[at]
        crowd = n > FEW
        ax.hlines(
            position[at],
            part["lower"],
            part["upper"],
            color=flag_color(kind),
            linewidth=line,
            alpha=(0.65 if kind else 0.4) if crowd else 0.9,
            zorder=order,
        )
        ax.plot(
            part["mean"],
            position[at],
            linestyle="none",
            marker=MARKERS[kind],
            markersize=max(size, 3.0) if kind else size,
            color=flag_color(kind),
            markeredgewidth=0,
            zorder=order + 1,
            label=f"stands out: {kind}" if kind else "_doctors",
        )
    pad = max(0.8, n * 0.02)
    ax.set_ylim(n - 1 + pad, -pad)


def label_rows(ax: "Axes", frame: pd.DataFrame, flag: pd.Series, labels: Labels) -> None:
    """Write the doctors' names beside their rows, thinned so that they never overlap."""
    check_choice("labels", labels, ("auto", "all", "flagged", "none"))
    n = len(frame)
    named: NDArray[np.intp] = np.array([], dtype=np.intp)
    if labels == "all" or (labels == "auto" and n <= FEW):
        named = np.arange(n)
    elif labels == "flagged":
        named = np.flatnonzero((flag != "").to_numpy())
    named = _apart(named, least=n / FEW)
    ax.set_yticks(named, [display_name(frame.index[at]) for at in named])
    ax.tick_params(axis="y", length=0)
    if named.size == 0:
        ax.set_ylabel(f"{n:,} doctors, the best at the top")
        ax.spines["left"].set_visible(False)
    for tick, at in zip(ax.get_yticklabels(), named, strict=True):
        kind = flag.iloc[at]
        tick.set_color(flag_color(kind) if kind else INK)


def _apart(positions: NDArray[np.intp], *, least: float) -> NDArray[np.intp]:
    """Drop the positions that come closer than ``least`` rows to the one kept before."""
    kept: list[int] = []
    for position in positions:
        if not kept or position - kept[-1] >= least:
            kept.append(int(position))
    return np.array(kept, dtype=np.intp)
