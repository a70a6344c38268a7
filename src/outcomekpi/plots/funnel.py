"""The funnel: observed against expected, and how far chance alone would carry a doctor."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from outcomekpi.errors import check_choice
from outcomekpi.plots.fonts import apply_fonts, display_name
from outcomekpi.plots.palette import INK, LIMIT, MARKERS, flag_color, open_axes, quiet
from outcomekpi.plots.rows import Labels
from outcomekpi.plots.sides import draw_legend, flags_of, percent, rate_axis, rate_noun, sided
from outcomekpi.profiling.funnel import FUNNEL_LEVELS, FunnelLimits, funnel_limits
from outcomekpi.profiling.standardization import StandardizedRates

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from outcomekpi.profiling.classification import Classification

__all__ = ["plot_funnel"]

NAMED_AT_MOST = 15
DASHES = ((0, (5, 2)), "solid", (0, (1, 1.5)))


def plot_funnel(
    rates: StandardizedRates,
    *,
    flags: "Classification | None" = None,
    limits: FunnelLimits | None = None,
    levels: tuple[float, ...] = FUNNEL_LEVELS,
    labels: Labels = "none",
    ax: "Axes | None" = None,
) -> "Axes":
    """Observed over expected outcome of each doctor, with the limits of chance.

    A point is what was *observed* (O/E times the overall rate), not the shrunken rate; colors
    and shapes are the flags, which come from the posterior. So a flagged doctor may lie inside
    the limits and an unflagged one outside.

    Parameters
    ----------
    rates : standardized rates
    flags : colors and shapes of the doctors who stand out; None marks nobody
    limits : limits computed before, for example with overdispersion; None computes exact ones
    levels : probabilities inside the limits, where ``limits`` is None
    labels : "flagged" and "all" name up to 15 doctors, those farthest out; "auto" names nobody
    ax : Axes to draw on; None opens a figure

    Returns
    -------
    Axes

    Raises
    ------
    SpecError
        Unknown ``labels``, or a level outside (0, 1).

    References
    ----------
    Spiegelhalter (2005), Statistics in Medicine 24:1185-1202, doi:10.1002/sim.1970.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(), draws=400)
    >>> ok.plot_funnel(ok.standardize(fit)).get_xlabel()
    'expected events'
    """
    check_choice("labels", labels, ("auto", "all", "flagged", "none"))
    if limits is None:
        limits = funnel_limits(rates, levels=levels)
    frame, curve = limits.to_frame(), limits.curve()
    flag = flags_of(flags, frame.index)
    ax = open_axes(ax, width=6.4, height=4.6)
    quiet(ax)
    _draw_limits(ax, curve, limits)
    _draw_points(ax, frame, flag)
    ax.set_ylim(*_visible(frame, curve))
    ax.set_xlim(curve.index[0] - 0.01 * curve.index[-1], curve.index[-1])
    rate_axis(ax.yaxis, rates)
    ax.set_xlabel("cases" if rates.family == "gaussian" else "expected events")
    what = f"observed {rate_noun(rates)}, adjusted"
    ax.set_ylabel(sided(what, rates.direction))
    _name(ax, frame, flag, labels, limits.center)
    draw_legend(ax, loc="upper right")
    apply_fonts(ax)
    return ax


def _draw_limits(ax: "Axes", curve: pd.DataFrame, limits: FunnelLimits) -> None:
    ax.axhline(limits.center, color=INK, linewidth=1.0, zorder=1, label="_center")
    for level, dashes in zip(limits.levels, DASHES * len(limits.levels), strict=False):
        name = f"{100 * level:.10g}"
        style: dict[str, Any] = {"color": LIMIT, "linestyle": dashes, "linewidth": 1.1, "zorder": 1}
        ax.plot(curve.index, curve[f"lower_{name}"], **style, label="_lower")
        ax.plot(curve.index, curve[f"upper_{name}"], **style, label=f"{percent(level)} limits")


def _draw_points(ax: "Axes", frame: pd.DataFrame, flag: pd.Series) -> None:
    many = len(frame) > 150
    for kind, order in (("", 2), ("better", 4), ("worse", 4)):
        part = frame[(flag == kind).to_numpy()]
        if part.empty:
            continue
        ax.plot(
            part["precision"],
            part["value"],
            linestyle="none",
            marker=MARKERS[kind],
            color=flag_color(kind),
            alpha=0.35 if many and not kind else 0.85,
            markersize=float(np.clip(60 / np.sqrt(len(frame)), 2.5, 6)) + (1.0 if kind else 0.0),
            markeredgewidth=0,
            zorder=order,
            label=f"stands out: {kind}" if kind else "_doctors",
        )


def _visible(frame: pd.DataFrame, curve: pd.DataFrame) -> tuple[float, float]:
    """Range that shows every doctor, and the limits as far as they help to read them."""
    low, high = float(frame["value"].min()), float(frame["value"].max())
    limit_low = float(curve.filter(like="lower_").to_numpy().min())
    limit_high = float(curve.filter(like="upper_").to_numpy().max())
    room = high - low or abs(high) or 1.0
    bottom = max(min(low, limit_low), low - 0.5 * room)
    top = min(max(high, limit_high), high + 0.5 * room)
    return bottom - 0.04 * (top - bottom), top + 0.04 * (top - bottom)


def _name(ax: "Axes", frame: pd.DataFrame, flag: pd.Series, labels: Labels, center: float) -> None:
    """Write names beside the doctors farthest out, measured in widths of the outer limits."""
    if labels in ("none", "auto"):
        return
    shown = frame if labels == "all" else frame[(flag != "").to_numpy()]
    width = shown.filter(like="upper_").iloc[:, -1] - shown.filter(like="lower_").iloc[:, -1]
    far = ((shown["value"] - center).abs() / width).nlargest(NAMED_AT_MOST).index
    for doctor in far:
        kind = flag.loc[doctor]
        ax.annotate(
            display_name(doctor),
            xy=(frame.loc[doctor, "precision"], frame.loc[doctor, "value"]),
            xytext=(5, 4),
            textcoords="offset points",
            fontsize="small",
            color=flag_color(kind) if kind else INK,
        )
