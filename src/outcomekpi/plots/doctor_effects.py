"""Whose patients changed: the effect of a pilot, doctor by doctor."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Level
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.pilots.ladder.effect import PilotEffect
from outcomekpi.plots.palette import INK, quiet_axes
from outcomekpi.plots.pilot_tables import interval_words, take_table, unit_of
from outcomekpi.plots.rows import Labels, draw_rows, label_rows, rows_height
from outcomekpi.plots.sides import finish, sided
from outcomekpi.tables.cases import Direction

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_doctor_effects"]

COLUMNS = ("doctor", "mean", "lower", "upper")


def plot_doctor_effects(
    effect: PilotEffect,
    *,
    labels: Labels = "auto",
    level: Level = DEFAULT_LEVEL,
    ax: "Axes | None" = None,
) -> "Axes":
    """Effect of a program on the patients of each doctor, with its interval.

    Effects are drawn in towards the mean of all doctors as far as each one's cases say little, so
    that few cases give long lines near the dashed line, not extremes.

    Parameters
    ----------
    effect : with an effect for each doctor
    labels : which doctors are named: "auto" all of them up to 40, "all", "flagged" (those whose
        interval leaves out no effect), "none"
    level : probability of the intervals
    ax : Axes to draw on; None opens a figure

    Returns
    -------
    Axes

    Raises
    ------
    SpecError
        The design makes no effects of doctors.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> figures = ok.PublishedFigures(before=43, after=68, unit="percent")
    >>> ok.plot_doctor_effects(ok.compare_pilot(figures, ok.PublishedAggregates()))
    Traceback (most recent call last):
    outcomekpi.declare.errors.SpecError: This picture needs the table 'doctor_effects', ...
    """
    check_arguments(plot_doctor_effects, locals())
    table = take_table(effect, "doctor_effects", COLUMNS, level=level)
    main = effect.main
    direction = effect.findings_at(level).direction
    higher = direction != "lower"
    frame = table.set_index("doctor").sort_values("mean", ascending=not higher, kind="stable")
    flag = _flags(frame, direction)
    ax = quiet_axes(ax, width=6.6, height=rows_height(len(frame)), grid="x")
    draw_rows(ax, frame, flag)
    label_rows(ax, frame, flag, labels)
    ax.axvline(0.0, color=INK, linewidth=0.9, zorder=1)
    unit = unit_of(table) or main.unit
    if main.scale == "identity" and unit == main.unit:
        ax.axvline(
            main.value,
            color=INK,
            linestyle=(0, (4, 3)),
            linewidth=1.0,
            zorder=1,
            label=f"all doctors, {main.value:.3g}",
        )
    words = f"effect on the doctor's patients ({unit}), {interval_words(table, level)}"
    ax.set_xlabel(sided(words, direction))
    return finish(ax)


def _flags(frame: pd.DataFrame, direction: Direction | None) -> pd.Series:
    """Sides of the doctors whose interval leaves out no effect; none without a direction."""
    if direction is None:
        return pd.Series("", index=frame.index)
    up, down = ("better", "worse") if direction == "higher" else ("worse", "better")
    return pd.Series(
        np.where(frame["lower"] > 0, up, np.where(frame["upper"] < 0, down, "")),
        index=frame.index,
    )
