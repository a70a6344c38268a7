"""Figures as files, one per plot."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from outcomekpi.plots.palette import off_screen

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["save_figures"]

RESOLUTION = 150


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
