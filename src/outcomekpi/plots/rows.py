"""One horizontal interval per doctor: what the caterpillar and the rank picture share."""

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import check_choice
from outcomekpi.plots.fonts import display_name
from outcomekpi.plots.palette import INK, MARKERS, NEUTRAL, flag_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FEW", "Labels", "draw_rows", "label_rows", "rows_height"]

Labels = Literal["auto", "all", "flagged", "none"]
"""Which doctors are named: ``auto`` names all of them up to :data:`FEW`, else nobody."""

CROWD = 400  # doctors; more intervals than these are drawn as one band

FEW = 40
"""Up to this many doctors each one has a row that can be read and named."""


def rows_height(n: int) -> float:
    """Inches that ``n`` rows need, at most a page."""
    return float(np.clip(1.4 + 0.24 * n, 2.6, 8.0))


def draw_rows(ax: "Axes", frame: pd.DataFrame, flag: pd.Series) -> None:
    """Draw ``mean, lower, upper`` of each row, the first row at the top.

    Unflagged doctors are gray circles behind; better ones blue diamonds, worse ones
    vermilion squares, in front. Lines and marks get thinner as doctors get more, until the
    unflagged ones become a band.
    """
    n = len(frame)
    position = np.arange(n)
    if n > CROWD:
        _draw_band(ax, frame, position)
    line = float(np.clip(90 / n, 0.3, 1.8))
    size = float(np.clip(240 / n, 1.0, 6.0))
    for kind, order in (("", 2), ("better", 4), ("worse", 4)):
        at = (flag == kind).to_numpy()
        if not at.any() or (kind == "" and n > CROWD):
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


def _draw_band(ax: "Axes", frame: pd.DataFrame, position: NDArray[np.intp]) -> None:
    """Draw intervals as one band and means as one line, where single lines would be a blot."""
    ax.fill_betweenx(
        position,
        frame["lower"],
        frame["upper"],
        step="mid",
        color=NEUTRAL,
        alpha=0.3,
        linewidth=0,
        zorder=2,
    )
    ax.plot(frame["mean"], position, color=INK, linewidth=1.2, zorder=3, label="_doctors")


def label_rows(ax: "Axes", frame: pd.DataFrame, flag: pd.Series, labels: Labels) -> None:
    """Write the doctors' names beside their rows so that no two names overlap.

    Where rows are closer than a line of text, ``all`` thins the names out, and ``flagged`` puts
    neighbors into one label, so that nobody who stands out goes without.
    """
    check_choice("labels", labels, ("auto", "all", "flagged", "none"))
    n = len(frame)
    groups: list[list[int]] = []
    if labels == "all" or (labels == "auto" and n <= FEW):
        groups = [group[:1] for group in _neighbors(np.arange(n), least=n / FEW)]
    elif labels == "flagged":
        groups = _neighbors(np.flatnonzero((flag != "").to_numpy()), least=n / FEW)
    names = [_join([display_name(frame.index[at]) for at in group]) for group in groups]
    ax.set_yticks([float(np.mean(group)) for group in groups], names)
    ax.tick_params(axis="y", length=0)
    if len(groups) < n:
        ax.set_ylabel(f"{n:,} doctors, the best at the top")
    ax.spines["left"].set_visible(bool(groups))
    for tick, group in zip(ax.get_yticklabels(), groups, strict=True):
        kinds = {flag.iloc[at] for at in group}
        tick.set_color(flag_color(kinds.pop()) if len(kinds) == 1 and kinds != {""} else INK)


def _neighbors(positions: NDArray[np.intp], *, least: float) -> list[list[int]]:
    """Group positions that come closer than ``least`` rows to the first of their group."""
    groups: list[list[int]] = []
    for position in positions:
        if groups and position - groups[-1][0] < least:
            groups[-1].append(int(position))
        else:
            groups.append([int(position)])
    return groups


def _join(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 2 else f"{names[0]} and {len(names) - 1} more"
