"""The caterpillar: doctors ordered by standardized rate, each with his interval."""

from typing import TYPE_CHECKING

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Level
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.plots.palette import quiet_axes
from outcomekpi.plots.rows import Labels, draw_rows, label_rows, rows_height
from outcomekpi.plots.sides import (
    draw_reference,
    finish,
    flags_of,
    percent,
    rate_axis,
    rate_label,
    sided,
)
from outcomekpi.profiling.classification import Classification
from outcomekpi.profiling.standardization import StandardizedRates

if TYPE_CHECKING:
    from matplotlib.axes import Axes


__all__ = ["plot_caterpillar"]


def plot_caterpillar(
    rates: StandardizedRates,
    *,
    flags: Classification | None = None,
    labels: Labels = "auto",
    level: Level = DEFAULT_LEVEL,
    ax: "Axes | None" = None,
) -> "Axes":
    """Doctors ordered by standardized rate, the best at the top, with intervals.

    Parameters
    ----------
    rates : standardized rates
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
    >>> print(ok.plot_caterpillar(ok.standardize(fit)).get_xlabel())
    standardized rate, 95% intervals
    ← better          worse →
    """
    check_arguments(plot_caterpillar, locals())
    frame = rates.to_frame(level=level)
    frame = frame.sort_values("mean", ascending=rates.direction != "higher", kind="stable")
    flag = flags_of(flags, frame.index)
    ax = quiet_axes(ax, width=6.4, height=rows_height(len(frame)), grid="x")
    draw_rows(ax, frame, flag)
    label_rows(ax, frame, flag, labels)
    rate_axis(ax.xaxis, rates)
    ax.set_xlabel(
        sided(f"standardized {rate_label(rates)}, {percent(level)} intervals", rates.direction)
    )
    draw_reference(ax, rates)
    return finish(ax)
