"""Colors, markers and the quiet frame that every picture shares.

The colors are those of Okabe and Ito, which stay apart under the common forms of color
blindness; "better" and "worse" also differ by marker and by words, never by red and green.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "BETTER",
    "HOSPITAL",
    "INK",
    "LIMIT",
    "MARKERS",
    "MUTED",
    "NEUTRAL",
    "SECOND",
    "WORSE",
    "flag_color",
    "off_screen",
    "open_axes",
    "quiet",
    "quiet_axes",
]

BETTER = "#0072B2"
WORSE = "#D55E00"
NEUTRAL = "#6B7680"
SECOND = "#56B4E9"
HOSPITAL = "#CC79A7"
LIMIT = "#8A949C"
INK = "#1F2933"
MUTED = "#52606D"

MARKERS = {"better": "D", "worse": "s", "": "o"}
"""Marker of each flag, so that the flag survives a black-and-white print."""

_OFF_SCREEN = ContextVar("_OFF_SCREEN", default=False)


def flag_color(flag: str) -> str:
    """Return the color of a flag: ``better``, ``worse`` or empty."""
    return {"better": BETTER, "worse": WORSE}.get(flag, NEUTRAL)


def open_axes(ax: "Axes | None", *, width: float, height: float) -> "Axes":
    """Return ``ax``, or the Axes of a new figure of ``width`` by ``height`` inches."""
    if ax is not None:
        return ax
    if _OFF_SCREEN.get():
        from matplotlib.figure import Figure

        return Figure(figsize=(width, height), layout="constrained").add_subplot()
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(width, height), layout="constrained")
    return ax


@contextmanager
def off_screen() -> Iterator[None]:
    """Make new figures without pyplot, which takes a third of a second and keeps them open."""
    before = _OFF_SCREEN.set(True)
    try:
        yield
    finally:
        _OFF_SCREEN.reset(before)


def quiet(ax: "Axes", *, grid: str = "") -> None:
    """Take the box off an Axes and draw a faint grid along ``grid`` ("x", "y" or neither)."""
    ax.spines[["top", "right"]].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(LIMIT)
    ax.tick_params(colors=MUTED, length=3)
    for text in (ax.xaxis.label, ax.yaxis.label, ax.title):
        text.set_color(INK)
    if grid in ("x", "y"):
        (ax.xaxis if grid == "x" else ax.yaxis).grid(True, color="#E4E7EB", linewidth=0.8)
    ax.set_axisbelow(True)


def quiet_axes(ax: "Axes | None", *, width: float, height: float, grid: str = "") -> "Axes":
    """Open Axes as every picture has them: without a box, with a faint grid along ``grid``."""
    ax = open_axes(ax, width=width, height=height)
    quiet(ax, grid=grid)
    return ax
