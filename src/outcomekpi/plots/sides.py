"""Which side is better, in words; rate axes; and the doctors who stand out."""

from typing import TYPE_CHECKING, Literal

import pandas as pd

from outcomekpi.cases import Direction
from outcomekpi.plots.palette import INK, MUTED
from outcomekpi.profiling.standardization import StandardizedRates

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from outcomekpi.profiling.classification import Classification

Corner = Literal["upper right", "upper left", "lower right", "lower left"]

__all__ = [
    "draw_legend",
    "draw_reference",
    "flags_of",
    "is_share",
    "percent",
    "rate_axis",
    "rate_text",
    "sided",
]


def percent(level: float) -> str:
    """Return a probability as it is said: ``95%``, ``99.8%``."""
    return f"{100 * level:.4g}%"


def is_share(rates: StandardizedRates) -> bool:
    """Whether the rates are shares of cases, which read as percentages."""
    return rates.family in ("bernoulli", "binomial")


def rate_text(rates: StandardizedRates, value: float) -> str:
    """Return a rate to three digits, as a percentage where it is a share of cases."""
    return f"{100 * value:.3g}%" if is_share(rates) else f"{value:.3g}"


def rate_axis(axis: "Axis", rates: StandardizedRates) -> None:
    """Write a rate axis in percent where the rates are shares of cases."""
    from matplotlib.ticker import PercentFormatter

    if is_share(rates):
        axis.set_major_formatter(PercentFormatter(xmax=1.0))


def sided(label: str, direction: Direction | None) -> str:
    """Put "better" and "worse" on their sides of an axis label, following the direction."""
    if direction is None:
        return label
    low, high = ("better", "worse") if direction == "lower" else ("worse", "better")
    return f"← {low}    {label}    {high} →"


def flags_of(flags: "Classification | None", doctors: pd.Index) -> pd.Series:
    """Return ``better``, ``worse`` or an empty text for each doctor."""
    if flags is None:
        return pd.Series("", index=doctors)
    return flags.to_frame()["flag"].reindex(doctors).fillna("").astype(str)


def draw_reference(ax: "Axes", at: float, text: str, *, vertical: bool = True) -> None:
    """Dashed line across the Axes, with its meaning written at its end."""
    line = ax.axvline if vertical else ax.axhline
    line(at, color=INK, linestyle=(0, (4, 3)), linewidth=1.0, zorder=1)
    ax.annotate(
        text,
        xy=(at, 1.0) if vertical else (1.0, at),
        xycoords=("data", "axes fraction") if vertical else ("axes fraction", "data"),
        xytext=(0, 3) if vertical else (-2, 3),
        textcoords="offset points",
        ha="center" if vertical else "right",
        va="bottom",
        fontsize="small",
        color=MUTED,
    )


def draw_legend(ax: "Axes", *, loc: Corner = "upper right") -> None:
    """Legend without a box, in a corner that the picture leaves empty."""
    handles, names = ax.get_legend_handles_labels()
    if handles:
        ax.legend(handles, names, loc=loc, frameon=False, fontsize="small", labelcolor=INK)
