"""Reliability against caseload: how many cases it takes before a result says something."""

from typing import TYPE_CHECKING

import numpy as np

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Level
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.plots.palette import BETTER, INK, LIMIT, MUTED, NEUTRAL, quiet_axes
from outcomekpi.plots.rows import FEW
from outcomekpi.plots.sides import count_axis, finish, percent
from outcomekpi.profiling.reliability import Reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_reliability"]

MARKS = (0.7, 0.8, 0.9)
"""Reliabilities that are commonly asked for, from "use with care" to "fit for pay"."""


def plot_reliability(
    reliability: Reliability, *, level: Level = DEFAULT_LEVEL, ax: "Axes | None" = None
) -> "Axes":
    """Reliability of each doctor's result against his number of cases.

    The curve is the reliability of n average cases; a doctor lies off it as his cases say more or
    less than average ones. Intervals are drawn for up to 40 doctors.

    Parameters
    ----------
    reliability : reliability of each doctor
    level : probability of the intervals
    ax : Axes to draw on; None opens a figure

    Returns
    -------
    Axes

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(), draws=400)
    >>> ok.plot_reliability(ok.reliability(fit)).get_xlabel()
    'cases (log scale)'
    """
    check_arguments(plot_reliability, locals())
    frame = reliability.to_frame(level=level)
    ax = quiet_axes(ax, width=6.4, height=4.2)
    few = len(frame) <= FEW
    if few:
        ax.vlines(
            frame["cases"],
            frame["lower"],
            frame["upper"],
            color=NEUTRAL,
            linewidth=1.4,
            alpha=0.6,
            label=f"{percent(level)} {_kind(reliability)}interval",
        )
    size = float(np.clip(60 / np.sqrt(len(frame)), 2.5, 6))
    ax.plot(
        frame["cases"],
        frame["mean"],
        "o",
        color=BETTER,
        markersize=size,
        markeredgewidth=0,
        alpha=0.9 if few else 0.4,
        zorder=3,
        label="doctors",
    )
    count_axis(ax, frame["cases"])
    at = np.geomspace(*ax.get_xlim(), 200)
    signal = at * reliability.signal_estimate
    ax.plot(at, signal / (1 + signal), color=INK, linewidth=1.0, label="average cases", zorder=2)
    for mark in MARKS:
        ax.axhline(mark, color=LIMIT, linestyle=(0, (4, 3)), linewidth=0.8, zorder=1)
        ax.text(at[0], mark + 0.008, f"{mark:g}", color=MUTED, fontsize="small", va="bottom")
    ax.set_ylim(0, 1)
    ax.set_xlabel("cases (log scale)")
    ax.set_ylabel("reliability (share of differences that is real)")
    return finish(ax, legend="lower right")


def _kind(reliability: Reliability) -> str:
    return "" if reliability.kind == "posterior" else f"{reliability.kind} "
