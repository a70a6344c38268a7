"""Posterior predictive fit: whether the model, run again, would give each doctor what he had."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.draws.checks import CheckResult
from outcomekpi.plots.calibration import table_of
from outcomekpi.plots.palette import BETTER, INK, LIMIT, NEUTRAL, SECOND, WORSE, quiet_axes
from outcomekpi.plots.rows import FEW, Labels, label_rows, rows_height
from outcomekpi.plots.sides import count_axis, finish, flags_of, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_predictive"]


def plot_predictive(
    check: CheckResult, *, labels: Labels = "auto", ax: "Axes | None" = None
) -> "Axes":
    """Observed outcome of each doctor against outcomes replicated from the model.

    Up to 40 doctors each have a row: replicated interval of the doctor (thick), of a new doctor
    with the same cases (thin), and what was observed. More doctors become points: how far the
    observed outcome lies from the replicated mean, where 1 is the end of the interval. The
    intervals have the level of the check.

    Parameters
    ----------
    check : result of ``check_predictive``
    labels : which doctors are named, where each has a row; "auto" names them all
    ax : Axes to draw on; None opens a figure

    Returns
    -------
    Axes

    Raises
    ------
    SpecError
        Another check was given.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(), draws=400)
    >>> type(ok.plot_predictive(ok.check_predictive(fit))).__name__
    'Axes'
    """
    check_arguments(plot_predictive, locals())
    needed = ("cases", "observed", "mean", "lower", "upper", "new_lower", "new_upper")
    table = table_of(check, needed, by="check_predictive").sort_values("mean", kind="stable")
    known = table.attrs.get("level")
    level = "replicated" if known is None else percent(known)
    few = len(table) <= FEW
    ax = quiet_axes(
        ax, width=6.4, height=rows_height(len(table)) if few else 4.2, grid="x" if few else ""
    )
    if few:
        _draw_rows(ax, table, level)
        label_rows(ax, table, flags_of(None, table.index), labels)
        ax.set_xlabel("total outcome: events, or the sum of measurements")
    else:
        _draw_points(ax, table)
        ax.set_xlabel("cases (log scale)")
        ax.set_ylabel(f"observed − replicated\n(1 = end of the {level} interval)")
    return finish(ax)


def _outside(table: pd.DataFrame) -> pd.Series:
    return (table["observed"] < table["lower"]) | (table["observed"] > table["upper"])


def _draw_rows(ax: "Axes", table: pd.DataFrame, level: str) -> None:
    position = np.arange(len(table))
    ax.hlines(
        position,
        table["new_lower"],
        table["new_upper"],
        color=LIMIT,
        linewidth=1.0,
        label=f"a new doctor, {level}",
    )
    ax.hlines(
        position,
        table["lower"],
        table["upper"],
        color=SECOND,
        linewidth=4,
        alpha=0.8,
        label=f"this doctor, {level}",
    )
    for outside, marker, color, name in (
        (False, "o", INK, "observed"),
        (True, "s", WORSE, "observed, outside"),
    ):
        at = (_outside(table) == outside).to_numpy()
        if at.any():
            ax.plot(
                table["observed"][at],
                position[at],
                linestyle="none",
                marker=marker,
                color=color,
                markersize=4.5,
                label=name,
                zorder=3,
            )
    ax.set_ylim(len(table) - 0.2, -0.8)


def _draw_points(ax: "Axes", table: pd.DataFrame) -> None:
    gap = table["observed"] - table["mean"]
    width: NDArray[np.float64] = np.where(
        gap > 0, table["upper"] - table["mean"], table["mean"] - table["lower"]
    )
    away: pd.Series = gap / np.where(width > 0, width, 1.0)
    outside = _outside(table)
    size = float(np.clip(60 / np.sqrt(len(table)), 2.5, 5))
    for part, color, marker, alpha, name in (
        (~outside, NEUTRAL, "o", 0.4, "_inside"),
        (outside, BETTER, "s", 0.9, "observed outside the interval"),
    ):
        ax.plot(
            table["cases"][part],
            away[part],
            linestyle="none",
            marker=marker,
            color=color,
            alpha=alpha,
            markersize=size,
            markeredgewidth=0,
            label=name,
        )
    ax.axhline(0, color=INK, linewidth=1.0, zorder=1)
    ax.axhspan(-1, 1, color=SECOND, alpha=0.15, linewidth=0, zorder=0)
    largest = 1.1 * max(1.6, float(np.abs(away).max()))
    ax.set_ylim(-largest, largest)
    count_axis(ax, table["cases"])
