"""Figures as files, one per plot."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from outcomekpi.plots.caterpillar import plot_caterpillar
from outcomekpi.plots.funnel import plot_funnel
from outcomekpi.plots.palette import off_screen
from outcomekpi.plots.rank_intervals import plot_rank_intervals
from outcomekpi.plots.reliability import plot_reliability
from outcomekpi.plots.sds import plot_sd
from outcomekpi.plots.shrinkage import plot_shrinkage
from outcomekpi.posterior.fit import Fit
from outcomekpi.profiling.classification import Classification
from outcomekpi.profiling.ranking import Ranks
from outcomekpi.profiling.reliability import Reliability
from outcomekpi.profiling.standardization import StandardizedRates

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_figures", "save_figures"]

RESOLUTION = 150


def draw_figures(
    folder: Path,
    *,
    fit: Fit,
    rates: StandardizedRates,
    ranks: Ranks,
    flags: Classification,
    reliabilities: Reliability,
    level: float,
) -> None:
    """Write the plots of an evaluation into ``folder``, which is made."""
    plots: dict[str, Callable[[], Axes]] = {
        "caterpillar": lambda: plot_caterpillar(rates, flags=flags, level=level),
        "funnel": lambda: plot_funnel(rates, flags=flags),
        "ranks": lambda: plot_rank_intervals(ranks, flags=flags, level=level),
        "reliability": lambda: plot_reliability(reliabilities, level=level),
        "sd": lambda: plot_sd(fit, level=level),
        "shrinkage": lambda: plot_shrinkage(rates, level=level),
    }
    save_figures(folder, plots)


def save_figures(folder: Path, plots: Mapping[str, "Callable[[], Axes]"]) -> None:
    """Write each plot as a PNG file into ``folder``, which is made.

    Parameters
    ----------
    folder : to be made
    plots : name of the file -> what draws it
    """
    folder.mkdir()
    for name, draw in plots.items():
        with off_screen():
            figure = draw().get_figure(root=True)
        if figure is not None:
            figure.savefig(folder / f"{name}.png", dpi=RESOLUTION, bbox_inches="tight")
