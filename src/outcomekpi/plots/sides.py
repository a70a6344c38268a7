"""Which side is better, in words; rate axes; and the doctors who stand out."""

from typing import TYPE_CHECKING, Literal

import pandas as pd

from outcomekpi.plots.fonts import apply_fonts
from outcomekpi.plots.palette import INK
from outcomekpi.profiling.standardization import StandardizedRates
from outcomekpi.tables.cases import Direction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from outcomekpi.profiling.classification import Classification

Corner = Literal["upper right", "upper left", "lower right"]

__all__ = [
    "draw_legend",
    "draw_reference",
    "finish",
    "flags_of",
    "is_share",
    "percent",
    "rate_axis",
    "rate_label",
    "rate_noun",
    "rate_text",
    "sided",
]


NARROW = 5.0  # a range of counts, highest over lowest, in which 1, 2 and 5 give too few ticks


def percent(level: float) -> str:
    """Return a probability as it is said: ``95%``, ``99.8%``."""
    return f"{100 * level:.4g}%"


def is_share(rates: StandardizedRates) -> bool:
    """Whether the rates are shares of cases, which read as percentages."""
    return rates.family in ("bernoulli", "binomial")


def rate_noun(rates: StandardizedRates) -> str:
    """Return what the values are called: a mean of measurements, else a rate of events."""
    return "mean" if rates.family == "gaussian" else "rate"


def rate_label(rates: StandardizedRates) -> str:
    """Return what the values are called on an axis, with their unit where a reader needs it."""
    noun = rate_noun(rates)
    return f"{noun} per unit of exposure" if "exposure" in rates.unit else noun


def rate_text(rates: StandardizedRates, value: float) -> str:
    """Return a rate to three digits or more, as a percentage where it is a share of cases."""
    if is_share(rates):
        return f"{100 * value:.3g}%"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def rate_axis(axis: "Axis", rates: StandardizedRates) -> None:
    """Write a rate axis in percent where the rates are shares of cases."""
    from matplotlib.ticker import PercentFormatter

    if is_share(rates):
        axis.set_major_formatter(PercentFormatter(xmax=1.0))


def sided(label: str, direction: Direction | None) -> str:
    """Write "better" and "worse" under an axis label, each on its side of the axis."""
    if direction is None:
        return label
    low, high = ("better", "worse") if direction == "lower" else ("worse", "better")
    return f"{label}\n← {low}          {high} →"


def count_axis(ax: "Axes", counts: pd.Series) -> None:
    """Logarithmic horizontal axis of counts, with plain numbers at 1, 2 and 5 of each decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    low, high = max(float(counts.min()), 0.5) * 0.8, max(float(counts.max()), 1.0) * 1.25
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    if high / low < NARROW:
        ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    else:
        subs = (1.0, 2.0, 5.0) if high / low < 2000 else (1.0,)
        ax.xaxis.set_major_locator(LogLocator(subs=subs))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))


def flags_of(flags: "Classification | None", doctors: pd.Index) -> pd.Series:
    """Return ``better``, ``worse`` or an empty text for each doctor."""
    if flags is None:
        return pd.Series("", index=doctors)
    return flags.flag.reindex(doctors).fillna("").astype(str)


def draw_reference(ax: "Axes", rates: StandardizedRates, *, vertical: bool = True) -> None:
    """Dashed line across the Axes at the rate of all doctors together."""
    line = ax.axvline if vertical else ax.axhline
    line(
        rates.reference_rate,
        color=INK,
        linestyle=(0, (4, 3)),
        linewidth=1.0,
        zorder=1,
        label=f"all doctors, {rate_text(rates, rates.reference_rate)}",
    )


def draw_legend(ax: "Axes", *, loc: Corner | Literal["above"] = "above") -> None:
    """Legend without a box: above the Axes, or in a corner that the picture leaves empty."""
    handles, names = ax.get_legend_handles_labels()
    if not handles:
        return
    above = loc == "above"
    corner: Corner = "lower right" if loc == "above" else loc
    ax.legend(
        handles,
        names,
        loc=corner,
        bbox_to_anchor=(0.0, 1.0, 1.0, 0.0) if above else (0.0, 0.0, 1.0, 1.0),
        ncols=1 if not above else len(names) if len(names) <= 3 else 2,
        borderaxespad=0.2 if above else 0.5,
        columnspacing=1.2,
        handletextpad=0.5,
        frameon=False,
        fontsize="small",
        labelcolor=INK,
    )


def finish(ax: "Axes", *, legend: Corner | Literal["above"] | None = "above") -> "Axes":
    """Draw the legend, give every character a font, and return the Axes."""
    if legend is not None:
        draw_legend(ax, loc=legend)
    apply_fonts(ax)
    return ax
