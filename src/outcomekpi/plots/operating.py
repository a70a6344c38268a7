"""Operating characteristics: how often a rule fires, against what is true."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Level
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.operating.operating import OperatingCharacteristics
from outcomekpi.plots.palette import INK, LIMIT, MUTED, quiet_axes
from outcomekpi.plots.sides import finish, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["describe_method", "plot_operating", "shades"]

SILENT = 5e-4
DASHES: dict[str, Any] = {"fires_up": "solid", "fires_down": (0, (4, 2))}
SIDES = {"fires_up": "fires above the upper bar", "fires_down": "fires below the lower bar"}


def plot_operating(
    operating: OperatingCharacteristics,
    *,
    stands_for: pd.Series | None = None,
    level: Level = DEFAULT_LEVEL,
    ax: "Axes | None" = None,
) -> "Axes":
    r"""Probability that a rule fires against the true level, one curve per caseload.

    A rule with two sides has a solid curve for the upper and a dashed one for the lower. The bars
    are vertical lines: firing between them is false, silence beyond them is a miss. The axis says
    whether the curves are exact; where they are simulated, bands hold the Monte Carlo error.

    Parameters
    ----------
    operating : operating characteristics of a rule
    stands_for : (level,), what each true level stands for, in the unit of the bars, where the
        rule compares rates with a target first; None draws the levels themselves
    level : probability of the bands, where the curves are simulated
    ax : Axes to draw on; None opens a figure

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np, outcomekpi as ok
    >>> rule = ok.ReviewRule(reading="raw_rate")
    >>> setting = ok.Setting(levels=np.linspace(0.5, 1, 11), caseloads=(20, 100))
    >>> ok.plot_operating(ok.operating_characteristics(rule, setting)).get_xlabel()
    'true level (events per case)\nexact'
    """
    check_arguments(plot_operating, locals())
    from matplotlib.ticker import PercentFormatter

    frame = operating.quantities_frame(level=level)
    fired = frame[frame["quantity"].isin(SIDES)]
    at = fired["level"] if stands_for is None else fired["level"].map(stands_for)
    fired = fired.assign(at=at)
    sides = [side for side in SIDES if (fired.loc[fired["quantity"] == side, "mean"] > 0).any()]
    ax = quiet_axes(ax, width=6.4, height=4.6, grid="y")
    caseloads = operating.setting.caseloads
    for caseload, color in zip(sorted(caseloads), shades(len(caseloads)), strict=True):
        part = fired[fired["caseload"] == caseload]
        _draw_curves(ax, part, sides, color, _caseload_in_words(operating, caseload))
    if len(sides) > 1:
        for side in sides:
            ax.plot([], [], color=INK, linestyle=DASHES[side], label=SIDES[side])
    ax.set_ylim(-0.02, 1.02)
    if stands_for is not None or getattr(operating.rule, "target", None) is None:
        _draw_bars(ax, operating)
    ax.xaxis.set_major_formatter(PercentFormatter(xmax=1.0))
    ax.yaxis.set_major_formatter(PercentFormatter(xmax=1.0, decimals=0))
    about = "a doctor" if operating.about == "doctor" else "the indicator"
    what = "true level (events per case)" if stands_for is None else "true completion"
    ax.set_xlabel(f"{what}\n{describe_method(operating, level=level)}")
    ax.set_ylabel(f"probability that the rule fires\nabout {about}")
    return finish(ax)


def shades(n: int) -> NDArray[np.float64]:
    """Colors from light to dark for ``n`` ordered curves, (n, 4)."""
    from matplotlib import colormaps

    return np.asarray(colormaps["cividis_r"](np.linspace(0.18, 1.0, n) if n > 1 else [0.85]))


def describe_method(operating: OperatingCharacteristics, *, level: float) -> str:
    """Say in few words how the curves were computed."""
    if operating.method == "exact":
        return "exact"
    replicates = f"{operating.setting.replicates:,} replicates"
    return f"simulated, {replicates}; bands: {percent(level)} Monte Carlo error"


def _caseload_in_words(operating: OperatingCharacteristics, caseload: int) -> str:
    cases = f"{caseload:,} case{'' if caseload == 1 else 's'}"
    each = " per unit" if operating.setting.n_units > 1 else ""
    return f"{cases}{each} in a cycle"


def _draw_curves(
    ax: "Axes", part: pd.DataFrame, sides: list[str], color: NDArray[np.float64], words: str
) -> None:
    for place, side in enumerate(sides):
        curve = part[part["quantity"] == side].sort_values("at")
        if (curve["upper"] > curve["lower"]).any():
            ax.fill_between(
                curve["at"], curve["lower"], curve["upper"], color=color, alpha=0.25, linewidth=0
            )
        if len(sides) > 1:
            curve = _without_silence(curve)
        single = len(curve) == 1  # one point has no line
        ax.plot(
            curve["at"],
            curve["mean"],
            color=color,
            linestyle=DASHES[side],
            marker="o" if single else "",
            linewidth=1.7,
            label=words if place == 0 else f"_{words}",
        )


def _without_silence(curve: pd.DataFrame) -> pd.DataFrame:
    """Leave out the far levels at which a side never fires: two lines at 0 would hide each other.

    One silent level stays beside those that fire, so that a curve comes down to 0.
    """
    fires = (curve["mean"] > SILENT).to_numpy()
    kept = fires | np.append(fires[1:], False) | np.append(False, fires[:-1])
    return pd.DataFrame(curve[kept])


def _draw_bars(ax: "Axes", operating: OperatingCharacteristics) -> None:
    """Vertical line at each bar within the picture: of the setting, or else of the rule."""
    low, high = ax.get_xlim()
    for name, side in (("lower", "left"), ("upper", "right"), ("bar", "right")):
        bar = getattr(operating.setting, name, None)
        if bar is None:
            bar = getattr(operating.rule, name, None)
        if not isinstance(bar, int | float) or not low <= bar <= high:
            continue
        ax.axvline(bar, color=LIMIT, linestyle=(0, (1, 1.5)), linewidth=1.2, zorder=1)
        ax.annotate(
            f"{name}\n{percent(bar)}" if name == "bar" else f"{name} bar\n{percent(bar)}",
            xy=(bar, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(-4 if side == "right" else 4, -2),
            textcoords="offset points",
            ha=side,
            va="top",
            fontsize="small",
            color=MUTED,
        )
