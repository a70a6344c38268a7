"""Curves of several groups in one picture, with bands and a histogram of the predictions."""

from typing import TYPE_CHECKING

import numpy as np

from outcomekpi.calibration.result import Calibration
from outcomekpi.declare.errors import SpecError
from outcomekpi.plots.fonts import display_name
from outcomekpi.plots.palette import (
    BETTER,
    HOSPITAL,
    INK,
    LIMIT,
    NEUTRAL,
    SECOND,
    WORSE,
)
from outcomekpi.plots.sides import draw_legend, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MOST_CURVES", "check_few", "draw_curves", "group_looks", "group_name", "title_legend"]

MOST_CURVES = 6
COLORS = (BETTER, WORSE, HOSPITAL, SECOND, INK, NEUTRAL)
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)), (0, (2.5, 1.2)), "-")
STRIP = 0.13
"""Share of the height that the histogram takes."""


def group_looks(n: int) -> list[dict[str, object]]:
    """Return color and dashes of each of ``n`` curves, different in black and white too."""
    return [{"color": COLORS[k], "linestyle": DASHES[k]} for k in range(n)]


def group_name(subgroup: str, label: str, cases: float) -> str:
    """Return what a group of cases is called in a legend."""
    name = "all cases" if subgroup == "all" else display_name(label)
    return f"{name}, {cases:,.0f} cases" if subgroup != "all" else name


def check_few(calibration: Calibration, subgroup: str) -> None:
    """Raise a :class:`SpecError` where a subgroup has more groups than a picture can show."""
    n = len(calibration.rows_of(subgroup))
    if n > MOST_CURVES:
        raise SpecError(
            f"One picture shows the curves of up to {MOST_CURVES} groups; {subgroup!r} has {n}. "
            "Put groups together, or draw the numbers of to_frame()."
        )


def draw_curves(ax: "Axes", calibration: Calibration, subgroup: str, *, level: float) -> None:
    """Draw the curve of each group with its band, the diagonal, and the histogram."""
    check_few(calibration, subgroup)
    frame = calibration.curve_frame(level=level)
    rows = calibration.rows_of(subgroup)
    top = 0.0
    for look, row in zip(group_looks(len(rows)), rows.itertuples(), strict=True):
        part = frame[(frame["subgroup"] == subgroup) & (frame["group"] == row.group)]
        label = group_name(subgroup, str(row.group), float(str(row.cases)))
        ax.plot(part["predicted"], part["mean"], linewidth=1.8, zorder=3, label=label, **look)  # type: ignore[arg-type]
        ax.fill_between(
            part["predicted"],
            part["lower"],
            part["upper"],
            color=str(look["color"]),
            alpha=0.15,
            linewidth=0,
            zorder=2,
        )
        if "loess" in part and subgroup == "all":
            ax.plot(
                part["predicted"],
                part["loess"],
                color=WORSE,
                linewidth=1.2,
                label="loess",
                zorder=3,
            )
        seen = part[["predicted", "mean", "upper"]].to_numpy()
        top = max(top, float(np.nanquantile(seen, 0.995)))
    top = min(1.0, 1.04 * top)
    ax.plot([0, top], [0, top], color=INK, linewidth=1.0, zorder=1, label="as predicted")
    _draw_histogram(ax, calibration, rows.index.to_numpy(), top)
    ax.set_xlim(0, top)
    ax.set_xlabel("predicted probability")
    ax.set_ylabel(f"observed probability, with {percent(level)} bands over {calibration.clusters}s")
    draw_legend(ax, loc="upper left")
    if subgroup != "all":
        title_legend(ax, subgroup)


def title_legend(ax: "Axes", subgroup: str) -> None:
    """Write what the groups are groups of above the legend."""
    legend = ax.get_legend()
    if legend is not None:
        legend.set_title(display_name(subgroup))
        legend.get_title().set_fontsize("small")
        legend.set_alignment("left")


def _draw_histogram(ax: "Axes", calibration: Calibration, at: np.ndarray, top: float) -> None:
    """Draw each group's cases by predicted probability, in a strip below the curves."""
    edges = calibration.histogram_edges
    shares = calibration.histogram[at] / calibration.histogram[at].sum(axis=1, keepdims=True)
    floor, height = -STRIP * top / (1 - STRIP), 0.9 * STRIP * top / (1 - STRIP)
    for look, share in zip(group_looks(len(at)), shares, strict=True):
        ax.stairs(
            floor + height * share / shares.max(),
            edges,
            baseline=floor,
            color=str(look["color"]),
            fill=len(at) == 1,
            alpha=0.35 if len(at) == 1 else 0.9,
            linewidth=1.0,
        )
    ax.axhline(0.0, color=LIMIT, linewidth=0.8, zorder=1)
    ax.set_ylim(floor, top)
    ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= top])
    ax.text(0.995, 0.02, "cases by predicted risk", transform=ax.transAxes, ha="right",
            va="bottom", color=NEUTRAL, fontsize="small")  # fmt: skip
