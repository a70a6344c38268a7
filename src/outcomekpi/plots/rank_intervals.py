"""Rank intervals: how well, or how badly, the order of the doctors is known."""

from typing import TYPE_CHECKING

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Level
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.plots.palette import quiet_axes
from outcomekpi.plots.rows import Labels, draw_rows, label_rows, rows_height
from outcomekpi.plots.sides import finish, flags_of, percent, sided
from outcomekpi.profiling.classification import Classification
from outcomekpi.profiling.ranking import Ranks

if TYPE_CHECKING:
    from matplotlib.axes import Axes


__all__ = ["plot_rank_intervals"]


def plot_rank_intervals(
    ranks: Ranks,
    *,
    flags: Classification | None = None,
    labels: Labels = "auto",
    level: Level = DEFAULT_LEVEL,
    ax: "Axes | None" = None,
) -> "Axes":
    """Doctors ordered by expected rank, the best at the top, with rank intervals.

    Parameters
    ----------
    ranks : posterior of the ranks
    flags : colors and shapes of the doctors who stand out; None marks nobody
    labels : which doctors are named; "auto" names all of up to 40 doctors, else nobody
    level : probability of the intervals
    ax : Axes to draw on; None opens a figure

    Returns
    -------
    Axes

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(), draws=400)
    >>> print(ok.plot_rank_intervals(ok.rank(ok.standardize(fit))).get_xlabel())
    rank, 95% intervals
    ← better          worse →
    """
    check_arguments(plot_rank_intervals, locals())
    from matplotlib.ticker import MaxNLocator

    frame = ranks.to_frame(level=level).sort_values("mean", kind="stable")
    flag = flags_of(flags, frame.index)
    ax = quiet_axes(ax, width=6.4, height=rows_height(len(frame)), grid="x")
    draw_rows(ax, frame, flag)
    label_rows(ax, frame, flag, labels)
    ax.set_xlim(1 - 0.02 * len(frame), len(frame) * 1.02)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    ticks = [tick for tick in ax.get_xticks() if 1 < tick <= len(frame)]
    ax.set_xticks([1, *ticks], [f"{tick:,.0f}" for tick in [1, *ticks]])
    ax.set_xlabel(sided(f"rank, {percent(level)} intervals", "lower"))  # rank 1 is best
    return finish(ax)
