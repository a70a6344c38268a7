"""Prior and posterior of the standard deviations: what the data taught about the spread."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Level
from outcomekpi.draws.intervals import DEFAULT_LEVEL, flatten_draws, interval
from outcomekpi.plots.palette import BETTER, HOSPITAL, INK, quiet_axes
from outcomekpi.plots.sides import Corner, finish, percent
from outcomekpi.posterior.fit import Fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_sd"]

Array = NDArray[np.floating]


def plot_sd(fit: Fit, *, level: Level = DEFAULT_LEVEL, ax: "Axes | None" = None) -> "Axes":
    """Prior (dashed) and posterior (filled) of the SD between doctors, and between hospitals.

    A posterior that looks like its prior says that the data do not tell how much doctors differ.

    Parameters
    ----------
    fit : posterior of a model
    level : probability of the intervals drawn under the posteriors
    ax : Axes to draw on; None opens a figure

    Returns
    -------
    Axes

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(), draws=400)
    >>> ok.plot_sd(fit).get_ylabel()
    'density'
    """
    check_arguments(plot_sd, locals())
    ax = quiet_axes(ax, width=6.4, height=3.8)
    shown = [("doctor", BETTER)]
    if "sd_hospital" in fit.draws["posterior"]:
        shown.append(("hospital", HOSPITAL))
    posterior = fit.draws["posterior"].to_dataset()
    draws = {unit: flatten_draws(posterior[f"sd_{unit}"])[0] for unit, _ in shown}
    top = 1.25 * max(float(np.quantile(values, 0.999)) for values in draws.values())
    at = np.linspace(top / 400, top, 400)
    highest = 0.0
    for step, (unit, color) in enumerate(shown):
        height, edges = np.histogram(draws[unit], bins=40, density=True)
        ax.stairs(height, edges, fill=True, color=color, alpha=0.45, label=f"{unit}s, posterior")
        prior = getattr(fit.model.priors, f"sd_{unit}")
        density = np.exp(prior.log_density(at))
        ax.plot(at, density, linestyle=(0, (4, 2)), color=color, label=f"{unit}s, prior {prior}")
        lower, upper = (float(end[0]) for end in interval(draws[unit][None, :], level=level))
        highest = max(highest, float(height.max()))
        ax.plot(
            [lower, upper],
            [-0.02 * (step + 1) * highest] * 2,
            color=color,
            linewidth=3,
            solid_capstyle="butt",
            label=f"{unit}s, {percent(level)} interval",
        )
    ax.set_xlim(0, top)
    corner, room = _emptier_corner(draws, top)
    ax.set_ylim(-0.02 * (len(shown) + 1) * highest, room * highest)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    scale = {"gaussian": "units of the outcome"}.get(fit.model.family, _link(fit))
    ax.set_xlabel(f"standard deviation ({scale})", color=INK)
    ax.set_ylabel("density")
    return finish(ax, legend=corner)


def _emptier_corner(draws: dict[str, Array], top: float) -> tuple[Corner, float]:
    """Corner for the legend, and how far above the highest bar the axis has to go for it."""
    middles = [float(np.quantile(values, 0.5)) / top for values in draws.values()]
    if max(middles) < 0.5:
        return "upper right", 1.1
    return "upper left", 1.1 if min(middles) > 0.65 else 1.6


def _link(fit: Fit) -> str:
    return "log odds" if fit.model.family in ("bernoulli", "binomial") else "log rate"
