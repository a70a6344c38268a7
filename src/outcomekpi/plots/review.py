"""The dashboard of a review: what each indicator reached in each cycle, and the bars."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Level
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.plots.fonts import display_name
from outcomekpi.plots.palette import BETTER, INK, LIMIT, MUTED, NEUTRAL, WORSE, quiet_axes
from outcomekpi.plots.sides import finish, percent
from outcomekpi.review.review import ThresholdReview

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FEW_INDICATORS", "READINGS", "plot_review", "review_height"]

COLORS = {"too easy": BETTER, "too hard": WORSE, "leave alone": NEUTRAL, "cannot say": LIMIT}
MARKERS = {"too easy": "D", "too hard": "s", "leave alone": "o", "cannot say": "X"}
FEW_INDICATORS = 40
"""Up to this many indicators each cycle has a line of its own; with more, the pooled one alone."""

READINGS = {
    "share_of_doctors": "share of doctors on target",
    "mean_achievement": "mean of achieved rate over target",
    "raw_rate": "events over cases",
}
SPREAD = 0.54  # of the height of a row that its cycles take
FAINT = 0.38
FRAME, WORDS = 85.0, 34.0  # points around the rows, and of the words on the bars
ROOM = 0.015  # for a marker at 0 or 100%, beside the names


def review_height(review: ThresholdReview) -> float:
    """Inches that the dashboard needs: a line per cycle, at most two pages."""
    n, cycles = len(review.history.indicators), len(review.history.cycles)
    lines = n * (cycles + 0.9) if n <= FEW_INDICATORS else n * 1.2
    return float(np.clip(1.5 + 0.14 * lines, 2.8, 18.0))


def plot_review(
    review: ThresholdReview,
    *,
    level: Level = DEFAULT_LEVEL,
    observed: bool = True,
    ax: "Axes | None" = None,
) -> "Axes":
    """Completion of each indicator in each cycle with its interval, and the bars of the rule.

    Indicators stand in the order of their completion, the easiest at the top; the oldest cycle of
    each is the upper line. Cycles that the rule looks at are drawn full, earlier ones faint. Color
    and shape are the verdict of the Bayesian review; where the rule as written says something
    else, its verdict stands at the right. More than 40 indicators have one line each, the
    completion pooled over the cycles that the rule looks at.

    Parameters
    ----------
    review : review of the thresholds
    level : probability of the intervals
    observed : whether completions as observed are drawn, as open circles
    ax : Axes to draw on; None opens a figure

    Returns
    -------
    Axes

    Examples
    --------
    >>> import outcomekpi as ok
    >>> history = ok.CycleHistory.from_frame(
    ...     ok.datasets.simulate_history(), indicator="indicator", unit="department",
    ...     cycle="year", numerator="reached", denominator="patients", counts="events")
    >>> review = ok.review_thresholds(history, ok.ReviewRule(reading="raw_rate"), draws=400)
    >>> ok.plot_review(review).get_xlabel().splitlines()[0]
    'completion: events over cases'
    """
    check_arguments(plot_review, locals())
    table = review.to_frame(level=level).sort_values("mean", ascending=False, kind="stable")
    few = len(table) <= FEW_INDICATORS
    lines = _cycle_lines(review, table, level=level) if few else _pooled_lines(table)
    ax = quiet_axes(ax, width=6.8, height=review_height(review), grid="x")
    size = float(np.clip(0.5 * 72 * review_height(review) / len(lines), 2.2, 4.6))
    _draw_lines(ax, lines, size)
    if observed and few:
        _draw_observed(ax, lines, 1.5 * size)
    _draw_bars(ax, review, n=len(table))
    _name_rows(ax, table)
    _name_axis(ax, review, level=level, few=few)
    return finish(ax)


def _cycle_lines(review: ThresholdReview, table: pd.DataFrame, *, level: float) -> pd.DataFrame:
    """One row per indicator and cycle: its place, verdict, strength and numbers."""
    cycles = review.history.cycles
    frame = review.cycles_frame(level=level).reset_index()
    frame["cycle"] = frame["cycle"].astype(str)
    step = SPREAD / max(len(cycles) - 1, 1)
    offset = {str(cycle): k * step - SPREAD / 2 for k, cycle in enumerate(cycles)}
    if len(cycles) == 1:
        offset = {str(cycles[0]): 0.0}
    row = {indicator: k for k, indicator in enumerate(table.index)}
    judged = {str(cycle) for cycle in cycles[-review.rule.cycles :]}
    frame["at"] = frame["indicator"].map(row) + frame["cycle"].map(offset)
    frame["verdict"] = frame["indicator"].map(table["verdict"])
    frame["strength"] = np.where(frame["cycle"].isin(judged), 1.0, FAINT)
    return frame


def _pooled_lines(table: pd.DataFrame) -> pd.DataFrame:
    lines = table[["mean", "lower", "upper", "verdict"]].reset_index(drop=True)
    return lines.assign(at=np.arange(len(lines)), strength=1.0, observed=np.nan)


def _draw_lines(ax: "Axes", lines: pd.DataFrame, size: float) -> None:
    for verdict in COLORS:
        for strength in (FAINT, 1.0):
            part = lines[(lines["verdict"] == verdict) & (lines["strength"] == strength)]
            if part.empty:
                continue
            style: dict[str, Any] = {"color": COLORS[verdict], "alpha": strength}
            ax.hlines(
                part["at"], part["lower"], part["upper"], linewidth=size / 2.9, zorder=2, **style
            )
            ax.plot(
                part["mean"],
                part["at"],
                linestyle="none",
                marker=MARKERS[verdict],
                markersize=size + (1.5 if verdict == "cannot say" else 0.0),
                markeredgewidth=0,
                zorder=3,
                clip_on=False,
                label=verdict if strength == 1.0 else "_earlier",
                **style,
            )


def _draw_observed(ax: "Axes", lines: pd.DataFrame, size: float) -> None:
    seen = lines[np.isfinite(lines["observed"].astype(float))]
    if seen.empty:
        return
    ax.plot(
        seen["observed"],
        seen["at"],
        linestyle="none",
        marker="o",
        markersize=size,
        markerfacecolor="none",
        markeredgecolor=INK,
        markeredgewidth=0.6,
        zorder=4,
        clip_on=False,
        label="as observed",
    )


def _draw_bars(ax: "Axes", review: ThresholdReview, *, n: int) -> None:
    """Dashed line at each bar, with its meaning above the first row."""
    rule = review.rule
    for bar, words, side in (
        (rule.lower, f"too hard\nbelow {percent(rule.lower)}", "right"),
        (rule.upper, f"too easy\nabove {percent(rule.upper)}", "left"),
    ):
        ax.axvline(bar, color=INK, linestyle=(0, (4, 3)), linewidth=1.0, zorder=1)
        ax.annotate(
            words,
            xy=(bar, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(-4 if side == "right" else 4, -3),
            textcoords="offset points",
            ha=side,
            va="top",
            fontsize="small",
            color=MUTED,
            label=f"_bar_{side}",
        )
    rows = 72 * review_height(review) - FRAME
    room = max(0.28 * max(n, 3) ** 0.5, n * WORDS / (rows - WORDS))
    ax.set_ylim(n - 0.4, -0.6 - room)


def _name_rows(ax: "Axes", table: pd.DataFrame) -> None:
    """Write each indicator at the left, and what the rule says at the right where it differs."""
    ax.set_yticks(range(len(table)), [display_name(name) for name in table.index])
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    for tick, verdict in zip(ax.get_yticklabels(), table["verdict"], strict=True):
        changed = verdict in ("too easy", "too hard")
        tick.set_color(COLORS[str(verdict)] if changed else INK)
    differs = table["rule_verdict"] != table["verdict"]
    for at in np.flatnonzero(differs.to_numpy()):
        ax.annotate(
            f"rule: {table['rule_verdict'].iloc[at]}",
            xy=(1.0, at),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
            color=INK,
        )


def _name_axis(ax: "Axes", review: ThresholdReview, *, level: float, few: bool) -> None:
    from matplotlib.ticker import PercentFormatter

    cycles = [str(cycle) for cycle in review.history.cycles]
    reading = READINGS[review.rule.reading]
    if not few:
        order = f"pooled over the last {review.rule.cycles} cycles"
    elif len(cycles) == 1:
        order = f"cycle {display_name(cycles[0])}"
    else:
        first, last = display_name(cycles[0], width=16), display_name(cycles[-1], width=16)
        order = f"{first} (top) to {last} (bottom)"
    ax.set_xlabel(f"completion: {reading}\n{percent(level)} intervals; {order}")
    low, high = ax.get_xlim()
    ax.set_xlim(
        max(low, -ROOM),
        high if high > 1.03 and review.rule.reading == "mean_achievement" else min(high, 1 + ROOM),
    )
    ax.xaxis.set_major_formatter(PercentFormatter(xmax=1.0, decimals=0))
