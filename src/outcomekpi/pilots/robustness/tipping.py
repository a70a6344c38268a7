"""Other explanations of an effect: how strong each, or all together, must be to leave nothing."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from outcomekpi.pilots.estimators.aggregate_posterior import keep_all
from outcomekpi.pilots.estimators.frontier import attrition_at_nil
from outcomekpi.pilots.ladder.e_values import e_value

__all__ = ["Explained", "bias_factor", "explain_grid", "list_tipping", "what_is_left"]

Floats = NDArray[np.float64]
Kind = Literal["proportion", "difference", "ratio"]
POINTS = 100.0
LOG_RISK_PER_SD = 0.91
"""Log risk ratio that a difference of one standard deviation stands for (VanderWeele and Ding)."""
GRID = {"trend": 9, "regression_to_mean": 6, "attrition": 6, "confounder": 5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """The effect that is to be explained away.

    Attributes
    ----------
    kind : "proportion" (percentage points on a known level), "difference" or "ratio"
    value : effect, in percentage points, units of the outcome, or as a ratio
    base : level without the program: a fraction for proportions, else the mean, or None
    sd : standard deviation of a patient, for differences, or None
    span : time over which a trend would have acted; None counts trends in total
    """

    kind: Kind
    value: float
    base: float | None = None
    sd: float | None = None
    span: float | None = None

    @property
    def null(self) -> float:
        """The value that means no effect."""
        return 1.0 if self.kind == "ratio" else 0.0

    @property
    def size(self) -> float:
        """Strength to explain: percentage points, units of the outcome, or percent of a ratio."""
        if self.kind == "ratio":
            return POINTS * (max(self.value, 1.0 / self.value) - 1.0)
        return abs(self.value)

    @property
    def axes(self) -> tuple[str, ...]:
        """Explanations that can be given a strength."""
        found = ["trend", "regression_to_mean"]
        if self.kind == "proportion" or (self.kind == "difference" and self.sd is not None):
            found.append("attrition")
        if self.ratio is not None:
            found.append("confounder")
        return tuple(found)

    @property
    def ratio(self) -> float | None:
        """Risk ratio that the effect is, or is taken as; None where it is none."""
        if self.kind == "ratio":
            return self.value
        if self.kind == "proportion" and self.base is not None:
            reached = self.base + self.value / POINTS
            return reached / self.base if self.base > 0 and reached > 0 else None
        if self.sd is not None:
            return float(np.exp(LOG_RISK_PER_SD * self.value / self.sd))
        return None

    def at(self, value: float) -> "Explained":
        """Return the same for another value, such as the limit of an interval."""
        return replace(self, value=value)


def bias_factor(strength: Floats | float) -> Floats:
    """Largest ratio that a confounder makes whose two risk ratios are this strong.

    Parameters
    ----------
    strength : risk ratio with the program and with the outcome, at least 1

    Notes
    -----
    s^2 / (2 s - 1); the E-value is the strength whose factor is the whole ratio.

    References
    ----------
    VanderWeele & Ding (2017), Annals of Internal Medicine 167(4):268-274, doi:10.7326/M16-2607.
    """
    strong = np.asarray(strength, dtype=np.float64)
    return np.asarray(strong**2 / (2.0 * strong - 1.0))


def what_is_left(
    explained: Explained,
    *,
    trend: Floats | float = 0.0,
    regression: Floats | float = 0.0,
    attrition: Floats | float = 0.0,
    confounder: Floats | float = 1.0,
) -> Floats:
    """Part of an effect that other explanations leave.

    Parameters
    ----------
    explained : the effect
    trend : that would have come anyway, towards the effect: points, units or percent, for each
        unit of the span
    regression : to the mean, towards the effect: points, units or percent in total
    attrition : share lost of the patients who do not count towards the effect (proportions), or of
        all patients, those whose measurements would have lowered the effect most (differences)
    confounder : risk ratio of a hidden confounder with the program and with the outcome

    Returns
    -------
    (...,), in points, units or percent towards the effect; 0 is nothing left, negative is more
    than everything explained

    Notes
    -----
    Proportions, p to q upward: q undone of attrition is q' = q (1 - x) / (1 - x q); a confounder
    divides it by B; left is 100 (q'/B - p) - trend x span - regression. Downward the same with the
    complement and with q' B. Differences: |d| - trend x span - regression - sd phi(z) / (1 - x) -
    sd log(B) / .91, with z the normal quantile of x (the lost lie beyond all others). Ratios:
    R / ((1 + trend)^span (1 + regression) B) - 1.
    """
    factor = bias_factor(confounder)
    drift = np.asarray(trend) * (explained.span or 1.0) + np.asarray(regression)
    if explained.kind == "ratio":
        grown = (1.0 + np.asarray(trend) / POINTS) ** (explained.span or 1.0)
        rest = max(explained.value, 1.0 / explained.value) / (
            grown * (1.0 + np.asarray(regression) / POINTS) * factor
        )
        return np.asarray(POINTS * (rest - 1.0))
    lost = np.asarray(attrition, dtype=np.float64)
    if explained.kind == "proportion" and explained.base is not None:
        sign = 1.0 if explained.value >= 0 else -1.0
        after = np.asarray(explained.base + explained.value / POINTS)
        full = keep_all(after, sign * lost)[0]
        full = full / factor if sign > 0 else np.minimum(full * factor, 1.0)
        return np.asarray(sign * POINTS * (full - explained.base) - drift)
    rest = abs(explained.value) - drift
    if explained.sd is not None:
        rest = rest - explained.sd * (_shift(lost) + np.log(factor) / LOG_RISK_PER_SD)
    return np.asarray(rest)


def _shift(lost: Floats) -> Floats:
    """Count the standard deviations that a mean moves by if the lowest share leaves."""
    inside = np.clip(lost, 0.0, 1.0 - 1e-12)
    density = np.exp(-0.5 * ndtri(np.maximum(inside, 1e-300)) ** 2) / np.sqrt(2.0 * np.pi)
    return np.asarray(np.where(inside > 0, density / (1.0 - inside), 0.0))


def _attrition_at_nil(explained: Explained) -> float:
    if explained.kind == "proportion" and explained.base is not None:
        reached = explained.base + explained.value / POINTS
        return attrition_at_nil(explained.base, min(max(reached, 0.0), 1.0))[0]
    low, high = 0.0, 1.0 - 1e-9
    if float(what_is_left(explained, attrition=high)) > 0:
        return float("nan")
    for _ in range(80):
        middle = (low + high) / 2.0
        if float(what_is_left(explained, attrition=middle)) > 0:
            low = middle
        else:
            high = middle
    return high


def _tip(explained: Explained, axis: str) -> float:
    """Strength of one explanation alone at which nothing is left."""
    if axis == "trend" and explained.kind == "ratio":
        return float(POINTS * ((1.0 + explained.size / POINTS) ** (1 / (explained.span or 1)) - 1))
    if axis == "trend":
        return explained.size / (explained.span or 1.0)
    if axis == "regression_to_mean":
        return explained.size
    if axis == "attrition":
        return _attrition_at_nil(explained)
    return e_value(explained.ratio) if explained.ratio is not None else float("nan")


def list_tipping(point: Explained, limit: Explained, *, span_unit: str | None) -> pd.DataFrame:
    """Each explanation alone: how strong it must be to leave nothing.

    Parameters
    ----------
    point, limit : the estimate, and the limit of its interval that lies nearer to no effect
    span_unit : unit of a trend, such as "a month"; None counts it in total

    Returns
    -------
    DataFrame indexed by ``explanation``: ``tipping``, of the estimate; ``tipping_of_limit``, for
    the interval to include no effect; ``unit``.
    """
    amount = {"proportion": "percentage points", "difference": "units of the outcome"}
    step = amount.get(point.kind, "percent of the outcome")
    lost = "share of the patients who do not count towards it"
    units = {
        "trend": f"{step} {span_unit or 'in total'}, towards the effect",
        "regression_to_mean": f"{step} in total, towards the effect",
        "attrition": lost if point.kind == "proportion" else "share of all patients, the lowest",
        "confounder": "risk ratio with program and outcome",
    }
    words = {"regression_to_mean": "regression to the mean"}
    rows = [
        (words.get(axis, axis), _tip(point, axis), _tip(limit, axis), units[axis])
        for axis in point.axes
    ]
    names = ["explanation", "tipping", "tipping_of_limit", "unit"]
    return pd.DataFrame(rows, columns=names).set_index("explanation")


def explain_grid(explained: Explained, *, span_unit: str | None) -> pd.DataFrame:
    """Tell what is left of an effect over a grid of all explanations together.

    Parameters
    ----------
    explained : the effect
    span_unit : unit of a trend, such as "a month"; None counts it in total

    Returns
    -------
    DataFrame: those of ``trend, regression_to_mean, attrition, confounder`` that apply, and
    ``effect_left``; 0 or less where nothing is left.
    """
    axes = explained.axes
    grids = []
    for axis in axes:
        start, top = (1.0 if axis == "confounder" else 0.0), _tip(explained, axis)
        usable = np.isfinite(top) and top > start
        grids.append(np.linspace(start, top, GRID[axis]) if usable else np.array([start]))
    mesh = [one.ravel() for one in np.meshgrid(*grids, indexing="ij")]
    found = dict(zip(axes, mesh, strict=True))
    left = what_is_left(
        explained,
        trend=found["trend"],
        regression=found["regression_to_mean"],
        attrition=found.get("attrition", np.zeros(1)),
        confounder=found.get("confounder", np.ones(1)),
    )
    frame = pd.DataFrame({**found, "effect_left": left})
    step = {"proportion": "points", "difference": "units"}.get(explained.kind, "percent")
    frame.attrs.update(
        trend_unit=f"{step} {span_unit or 'in total'}",
        regression_to_mean_unit=step,
        confounder_unit="risk ratio with program and outcome",
        unit=step,
    )
    if explained.kind == "difference":
        frame.attrs["attrition_unit"] = "share of all patients, the lowest"
    return frame
