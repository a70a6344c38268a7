"""The funnel: observed against expected, and how far chance alone would carry a doctor."""

from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width

import numpy as np
import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Level
from outcomekpi.plots.fonts import display_name
from outcomekpi.plots.palette import INK, LIMIT, MARKERS, flag_color, quiet_axes
from outcomekpi.plots.rows import Labels
from outcomekpi.plots.sides import finish, flags_of, percent, rate_axis, rate_label, sided
from outcomekpi.profiling.classification import Classification
from outcomekpi.profiling.funnel import FUNNEL_LEVELS, FunnelLimits, funnel_limits
from outcomekpi.profiling.standardization import StandardizedRates

if TYPE_CHECKING:
    from matplotlib.axes import Axes


__all__ = ["plot_funnel"]

NAMED_AT_MOST = 15
LETTER, LINE = 5.5, 10.0  # points that a letter and a line of small text take, roughly
Box = tuple[float, float, float]
DASHES = ((0, (5, 2)), "solid", (0, (1, 1.5)))


def plot_funnel(
    rates: StandardizedRates,
    *,
    flags: Classification | None = None,
    limits: FunnelLimits | None = None,
    levels: tuple[Level, ...] = FUNNEL_LEVELS,
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
    check_arguments(plot_funnel, locals())
    if limits is None:
        limits = funnel_limits(rates, levels=levels)
    frame, curve = limits.to_frame(), limits.curve()
    flag = flags_of(flags, frame.index)
    ax = quiet_axes(ax, width=6.4, height=4.6)
    _draw_limits(ax, curve, limits)
    _draw_points(ax, frame, flag)
    ax.set_ylim(*_visible(frame, curve))
    ax.set_xlim(curve.index[0] - 0.01 * curve.index[-1], curve.index[-1])
    rate_axis(ax.yaxis, rates)
    ax.set_xlabel("cases" if rates.family == "gaussian" else "expected events")
    what = f"observed {rate_label(rates)}, adjusted"
    ax.set_ylabel(sided(what, rates.direction))
    _name(ax, frame, flag, labels, limits.center)
    return finish(ax, legend="upper right")


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
    """Range that shows every doctor, the inner limits of a typical one, and others if near."""
    low, high = float(frame["value"].min()), float(frame["value"].max())
    limit_low = float(curve.filter(like="lower_").to_numpy().min())
    limit_high = float(curve.filter(like="upper_").to_numpy().max())
    room = high - low or abs(high) or 1.0
    inner_low, inner_high = frame.filter(like="lower_"), frame.filter(like="upper_")
    bottom = min(max(min(low, limit_low), low - 0.5 * room), inner_low.iloc[:, 0].median())
    top = max(min(max(high, limit_high), high + 0.5 * room), inner_high.iloc[:, 0].median())
    return bottom - 0.04 * (top - bottom), top + 0.04 * (top - bottom)


def _name(ax: "Axes", frame: pd.DataFrame, flag: pd.Series, labels: Labels, center: float) -> None:
    """Name the doctors farthest out, in widths of the outer limits; no name over another."""
    if labels in ("none", "auto"):
        return
    shown = frame if labels == "all" else frame[(flag != "").to_numpy()]
    width = shown.filter(like="upper_").iloc[:, -1] - shown.filter(like="lower_").iloc[:, -1]
    far = ((shown["value"] - center).abs() / width).nlargest(NAMED_AT_MOST).index
    taken: list[Box] = []
    for doctor in far:
        name, kind = display_name(doctor, width=16), flag.loc[doctor]
        at = (float(frame.loc[doctor, "precision"]), float(frame.loc[doctor, "value"]))
        for right, up in ((True, True), (True, False), (False, True), (False, False)):
            box = _box(ax, at, name, right=right, up=up)
            if box is not None and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                ax.annotate(
                    name,
                    xy=at,
                    xytext=(5 if right else -5, 4 if up else -4),
                    textcoords="offset points",
                    ha="left" if right else "right",
                    va="bottom" if up else "top",
                    fontsize="small",
                    color=flag_color(kind) if kind else INK,
                )
                break


def _box(ax: "Axes", at: tuple[float, float], name: str, *, right: bool, up: bool) -> Box | None:
    """Place that a name would take, in points; None where it would leave the Axes."""
    inches = ax.figure.dpi / 72
    x, y = (float(end) / inches for end in ax.transData.transform(at))
    low, high = (float(end) / inches for end in (ax.bbox.x0, ax.bbox.x1))
    length = LETTER * sum(2 if east_asian_width(char) in "WF" else 1 for char in name)
    left = x + 5 if right else x - 5 - length
    bottom = y + 4 if up else y - 4 - LINE
    return None if left < low or left + length > high else (left, bottom, length)


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and abs(a[1] - b[1]) < LINE
