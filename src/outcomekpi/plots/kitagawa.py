"""Waterfall of a change: how much is care, how much is other patients."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Level
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.pilots.ladder.effect import PilotEffect
from outcomekpi.plots.palette import BETTER, INK, LIMIT, NEUTRAL, quiet_axes
from outcomekpi.plots.pilot_tables import interval_words, number_text, take_table, unit_of
from outcomekpi.plots.sides import finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_kitagawa"]

COLUMNS = ("part", "mean", "lower", "upper")
WORDS = {
    "within": "same\ncase mix",
    "mix": "other\ncase mix",
    "entry": "patients who\nentered",
    "exit": "patients who\nleft",
    "total": "plain\ndifference",
}
STAYED = "patients in\nboth periods"
"""Of the first bar where there was no case mix, and only entries and exits were told apart."""
ORDER = ("within", "mix", "entry", "exit", "total")


def plot_kitagawa(
    effect: PilotEffect, *, level: Level = DEFAULT_LEVEL, ax: "Axes | None" = None
) -> "Axes":
    """Parts of a plain before/after difference, which add up to it, as a waterfall.

    The first bar is the change at one case mix (without one, in the patients of both periods),
    which is what a program could have made; the others are other patients. Each whisker is the
    interval of its own part.

    Parameters
    ----------
    effect : of patients before and after
    level : probability of the intervals
    ax : Axes to draw on; None opens a figure

    Returns
    -------
    Axes

    Raises
    ------
    SpecError
        The design makes no split.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> frame, _ = ok.datasets.simulate_pilot(mix_shift=0.3, n_doctors=8)
    >>> design = ok.BeforeAfter(outcome="controlled", period="period", after="after",
    ...     doctor="doctor", case_mix="age + severity")
    >>> len(ok.plot_kitagawa(ok.compare_pilot(frame, design, draws=200)).patches)
    3
    """
    check_arguments(plot_kitagawa, locals())
    table = take_table(effect, "kitagawa", COLUMNS, level=level)
    rows = _in_order(table)
    ax = quiet_axes(ax, width=6.4, height=4.0, grid="y")
    mean = rows["mean"].to_numpy(dtype=np.float64)
    is_total = (rows["part"] == "total").to_numpy()
    base = np.where(is_total, 0.0, np.concatenate([[0.0], np.cumsum(mean)[:-1]]))
    position = np.arange(len(rows))
    colors = [_color(part) for part in rows["part"]]
    ax.bar(position, mean, bottom=base, width=0.62, color=colors, alpha=0.85, zorder=2)
    ax.vlines(
        position,
        base + rows["lower"].to_numpy(dtype=np.float64),
        base + rows["upper"].to_numpy(dtype=np.float64),
        color=INK,
        linewidth=1.3,
        zorder=3,
    )
    for at in range(len(rows) - 1):
        height = base[at] + mean[at]
        ax.hlines(height, at + 0.31, at + 0.69, color=LIMIT, linewidth=0.9, zorder=2)
    ax.axhline(0.0, color=INK, linewidth=0.9, zorder=1)
    _write_numbers(ax, rows, base)
    words = WORDS if (rows["part"] == "mix").any() else {**WORDS, "within": STAYED}
    ax.set_xticks(position, [words.get(str(part), str(part)) for part in rows["part"]])
    unit = unit_of(table) or effect.main.unit
    ax.set_ylabel(f"change ({unit})")
    ax.set_xlabel(f"whiskers: {interval_words(table, level)} of each part")
    ax.margins(y=0.14)
    return finish(ax, legend=None)


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Known parts first to last; entry and exit go where both are nothing at all."""
    known = [part for part in ORDER if (table["part"] == part).any()]
    rows = table.set_index("part").loc[known].reset_index()
    ends = rows["part"].isin(["entry", "exit"])
    silent = rows.loc[ends, "mean"].abs().max() < 1e-9 * max(rows["mean"].abs().max(), 1e-300)
    return rows[~ends].reset_index(drop=True) if ends.any() and silent else rows


def _color(part: str) -> str:
    return {"within": BETTER, "total": INK}.get(part, NEUTRAL)


def _write_numbers(ax: "Axes", rows: pd.DataFrame, base: NDArray[np.float64]) -> None:
    tops = base + np.nanmax(
        np.stack([rows["upper"].fillna(rows["mean"]), rows["mean"], np.zeros(len(rows))]), axis=0
    )
    for at, (value, top) in enumerate(zip(rows["mean"], tops, strict=True)):
        ax.annotate(
            number_text(value),
            xy=(at, top),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            color=INK,
        )
