"""The calibration curve: whether outcomes happen as often as the risk model says."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from outcomekpi.calibration.result import Calibration
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Level
from outcomekpi.draws.checks import CheckResult
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.plots.calibration_curves import draw_curves
from outcomekpi.plots.fonts import apply_fonts
from outcomekpi.plots.palette import BETTER, INK, NEUTRAL, quiet_axes
from outcomekpi.plots.sides import finish, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_calibration", "table_of"]

LOOKS = (("o", BETTER), ("D", NEUTRAL))


def plot_calibration(
    check: CheckResult | Calibration,
    *,
    subgroup: str = "all",
    level: Level = DEFAULT_LEVEL,
    ax: "Axes | None" = None,
) -> "Axes":
    """Observed against predicted outcome, with the diagonal of perfect calibration.

    Of a ``Calibration``: the curve of each group with its band over doctors, and below it how many
    cases have which predicted risk. Of ``check_calibration``: points for groups of rising risk,
    one series for predictions by case mix alone, one for case mix and doctor, with intervals of
    the level of the check. On the diagonal, what was predicted has happened.

    Parameters
    ----------
    check : result of ``assess_calibration``, ``assess_predictions`` or ``check_calibration``
    subgroup : which subgroup's groups a ``Calibration`` is drawn for; "all" draws all cases as one
    level : probability of the bands of a ``Calibration``
    ax : Axes to draw on; None opens a figure

    Returns
    -------
    Axes

    Raises
    ------
    SpecError
        Another check was given, or a subgroup that was not assessed.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(case_mix="age"), draws=400)
    >>> ok.plot_calibration(ok.assess_calibration(fit, replicates=100)).get_xlabel()
    'predicted probability'
    """
    check_arguments(plot_calibration, locals())
    if isinstance(check, Calibration):
        ax = quiet_axes(ax, width=5.4, height=5.4)
        draw_curves(ax, check, subgroup, level=level)
        apply_fonts(ax)
        return ax
    needed = ("prediction", "group", "predicted", "observed", "lower", "upper")
    table = table_of(check, needed, by="check_calibration")
    ax = quiet_axes(ax, width=5.4, height=5.0)
    table = table[table["group"] != "all"]
    level = table.attrs.get("level", level)
    low = float(np.nanmin(table[["predicted", "lower"]].to_numpy()))
    high = float(np.nanmax(table[["predicted", "upper"]].to_numpy()))
    ax.plot([low, high], [low, high], color=INK, linewidth=1.0, label="as predicted", zorder=1)
    for (marker, color), (name, part) in zip(LOOKS, table.groupby("prediction"), strict=False):
        away = part[["lower", "upper"]].sub(part["observed"], axis=0).abs().to_numpy().T
        ax.errorbar(
            part["predicted"],
            part["observed"],
            yerr=away,
            marker=marker,
            color=color,
            markersize=5,
            linewidth=1.0,
            alpha=0.85,
            label=f"by {name}, {percent(level)} intervals",
        )
    ax.set_aspect("equal", adjustable="datalim")
    ax.set_xlabel("predicted")
    ax.set_ylabel("observed")
    return finish(ax, legend="upper left")


def table_of(check: CheckResult, needed: tuple[str, ...], *, by: str) -> pd.DataFrame:
    """Return the table of a check, or refuse the result of another check."""
    missing = [name for name in needed if name not in check.table.columns]
    if missing:
        raise SpecError(
            f"This picture needs the result of {by}; the check {check.name!r} has no column "
            f"{missing[0]!r}."
        )
    return check.table
