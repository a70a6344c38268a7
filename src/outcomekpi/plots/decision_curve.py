"""The decision curve: whether acting on the predicted risk does more good than harm."""

from typing import TYPE_CHECKING

import numpy as np

from outcomekpi.calibration.result import Calibration
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Level
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.plots.calibration_curves import check_few, group_looks, group_name, title_legend
from outcomekpi.plots.palette import INK, NEUTRAL, quiet_axes
from outcomekpi.plots.sides import draw_legend, finish, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_decision_curve"]


def plot_decision_curve(
    calibration: Calibration,
    *,
    subgroup: str = "all",
    level: Level = DEFAULT_LEVEL,
    ax: "Axes | None" = None,
) -> "Axes":
    """Net benefit against the threshold: of the model, of treating all, of treating none.

    Where the model's curve is the highest, acting on cases whose predicted risk is at or above
    that threshold does more good than treating everybody or nobody. A threshold of .2 says that
    one case treated in time is worth four treated for nothing.

    Parameters
    ----------
    calibration : result of ``assess_calibration`` or ``assess_predictions``
    subgroup : which subgroup's groups are drawn; "all" draws all cases as one
    level : probability of the bands
    ax : Axes to draw on; None opens a figure

    Returns
    -------
    Axes

    Raises
    ------
    SpecError
        Another result was given, a subgroup that was not assessed, or one of too many groups.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(case_mix="age"), draws=400)
    >>> ok.plot_decision_curve(ok.assess_calibration(fit, replicates=100)).get_xlabel()
    'threshold: act on cases whose predicted probability is at least this'
    """
    check_arguments(plot_decision_curve, locals())
    check_few(calibration, subgroup)
    ax = quiet_axes(ax, width=6.4, height=4.4)
    frame = calibration.decision_frame(level=level)
    rows = calibration.rows_of(subgroup)
    top, single = 0.0, len(rows) == 1
    for look, row in zip(group_looks(len(rows)), rows.itertuples(), strict=True):
        part = frame[(frame["subgroup"] == subgroup) & (frame["group"] == row.group)]
        name = group_name(subgroup, str(row.group), float(str(row.cases)))
        label = "model" if single else name
        at = part["threshold"]
        ax.plot(at, part["mean"], linewidth=1.8, zorder=4, label=label, **look)  # type: ignore[arg-type]
        ax.fill_between(
            at,
            part["lower"],
            part["upper"],
            color=str(look["color"]),
            alpha=0.15,
            linewidth=0,
            zorder=2,
        )
        color = NEUTRAL if single else str(look["color"])
        name = "treat all" if single else "_treat all"
        ax.plot(at, part["treat_all"], color=color, linewidth=1.0, alpha=0.8, label=name, zorder=3)
        top = max(top, float(np.nanmax(part[["mean", "upper", "treat_all"]].to_numpy())))
    ax.axhline(0.0, color=INK, linewidth=1.0, zorder=1, label="treat none")
    ax.set_ylim(-0.25 * top, 1.05 * top)
    ax.set_xlim(0.0, float(frame["threshold"].max()))
    ax.set_xlabel("threshold: act on cases whose predicted probability is at least this")
    ax.set_ylabel(f"net benefit per case, {percent(level)} bands")
    draw_legend(ax, loc="upper right")
    if not single:
        title_legend(ax, subgroup)
        note = "thin lines: treat all cases of the group"
        ax.text(0.01, 0.02, note, transform=ax.transAxes, color=NEUTRAL, fontsize="small")
    return finish(ax, legend=None)
