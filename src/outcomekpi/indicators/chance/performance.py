"""What a patient-level criterion says about patients whose true level is known."""

from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from outcomekpi.declare.errors import SpecError
from outcomekpi.indicators.chance.criteria import Criterion
from outcomekpi.indicators.chance.drops import DropCriterion

__all__ = ["CriterionPerformance", "assess_criterion", "normal_levels"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CriterionPerformance:
    """Right and wrong verdicts of a criterion over a population of true levels.

    Attributes
    ----------
    criterion : what was assessed
    levels : one row per true level; ``level`` (or several columns) and ``weight``, adding up to 1
    pass_probability : (level,)
    is_met : (level,), whether the true level does what the criterion asks for
    """

    criterion: Criterion
    levels: pd.DataFrame
    pass_probability: Array
    is_met: NDArray[np.bool_]

    def to_frame(self) -> pd.DataFrame:
        """One row per true level, in the order given.

        Returns
        -------
        DataFrame with the true levels (``level``; ``first``, ``second`` of a joint criterion;
        ``level``, ``baseline`` of a drop), ``weight``, ``is_met``, ``pass_probability``,
        ``false_pass`` (probability of passing where the true level does not meet the criterion,
        else 0) and ``false_fail`` (probability of failing where it does, else 0). The numbers
        have no sampling error.
        """
        frame = self.levels.copy()
        frame["is_met"] = self.is_met
        frame["pass_probability"] = self.pass_probability
        frame["false_pass"] = np.where(self.is_met, 0.0, self.pass_probability)
        frame["false_fail"] = np.where(self.is_met, 1 - self.pass_probability, 0.0)
        return frame

    def summary(self) -> pd.DataFrame:
        """One row: what the whole population gets.

        Returns
        -------
        DataFrame with ``met``, share whose true level meets the criterion; ``passes``, expected
        share who pass; ``false_passes``, share of the passes that are not truly met;
        ``false_fails``, share of the truly met who fail; ``misclassified``, share of everyone
        with the wrong verdict. A share of nobody is missing.
        """
        weight = self.levels["weight"].to_numpy()
        passes = float(weight @ self.pass_probability)
        met = float(weight @ self.is_met)
        wrong_pass = float(weight @ np.where(self.is_met, 0.0, self.pass_probability))
        wrong_fail = float(weight @ np.where(self.is_met, 1 - self.pass_probability, 0.0))
        row = {
            "met": met,
            "passes": passes,
            "false_passes": wrong_pass / passes if passes > 0 else np.nan,
            "false_fails": wrong_fail / met if met > 0 else np.nan,
            "misclassified": wrong_pass + wrong_fail,
        }
        return pd.DataFrame(row, index=["population"])

    def __repr__(self) -> str:
        row = self.summary().iloc[0]
        return (
            f"CriterionPerformance ({type(self.criterion).__name__}): {row['passes']:.1%} pass and "
            f"{row['met']:.1%} truly meet it; {row['false_passes']:.1%} of the passes are false, "
            f"{row['false_fails']:.1%} of those who truly meet it fail"
        )

    def _repr_html_(self) -> str:
        table = self.summary().to_html(float_format="{:.3f}".format)
        return f"<p><b>{escape(repr(self))}</b></p>{table}"


def normal_levels(*, mean: float, sd: float, n: int = 2001) -> Array:
    """Equally likely true levels of a normal population, as its quantiles at (i + 1/2) / n.

    Parameters
    ----------
    mean, sd : of the true levels, in the unit of the readings
    n : how many levels; a share of the population is exact to about 1 / n

    Raises
    ------
    SpecError
        A mean that is no number, an SD that is not positive, fewer than 2 levels.

    Examples
    --------
    >>> from outcomekpi import normal_levels
    >>> normal_levels(mean=130, sd=12, n=5).round(0)
    array([115., 124., 130., 136., 145.])
    """
    if not np.isfinite(mean) or not (np.isfinite(sd) and sd > 0):
        raise SpecError(f"Levels need a finite mean and a positive SD; got {mean!r} and {sd!r}.")
    if isinstance(n, bool) or not isinstance(n, int) or n < 2:
        raise SpecError(f"n must be a whole number from 2; got {n!r}.")
    return np.asarray(mean + sd * ndtri((np.arange(n) + 0.5) / n))


def assess_criterion(
    criterion: Criterion,
    true_levels: ArrayLike,
    *,
    baseline: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> CriterionPerformance:
    """How often a criterion passes patients who are not truly controlled, and fails those who are.

    Parameters
    ----------
    criterion : any object with ``pass_probability`` and ``is_met``
    true_levels : (level,), or (level, 2) for a joint criterion: true levels of the patients, a
        grid, :func:`normal_levels`, or posterior draws
    baseline : (level,), true levels at baseline, for a :class:`DropCriterion` only; None, nobody
        changed
    weights : (level,), share or number of patients at each level; None weighs them equally

    Raises
    ------
    SpecError
        Levels or weights of the wrong shape, weights that are negative or all zero, a baseline
        for a criterion without one, or levels for which the probability is not defined.

    Notes
    -----
    False passes: sum w (1 - met) P / sum w P. False fails: sum w met (1 - P) / sum w met.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> six_months = ok.ConsecutiveCriterion(bar=140, cv=0.10)
    >>> found = ok.assess_criterion(six_months, ok.normal_levels(mean=132, sd=12))
    >>> found.summary()[["met", "passes", "false_fails"]].round(2).to_numpy()
    array([[0.75, 0.3 , 0.6 ]])
    """
    if not (hasattr(criterion, "pass_probability") and hasattr(criterion, "is_met")):
        raise SpecError(
            "criterion must have the methods pass_probability and is_met, such as "
            f"ConsecutiveCriterion(...); got {type(criterion).__name__}."
        )
    levels = np.asarray(true_levels, dtype=np.float64)
    if levels.ndim not in (1, 2) or not levels.size:
        raise SpecError(
            f"true_levels must be (level,) or (level, 2), and not empty; got shape {levels.shape}."
        )
    columns = _columns(levels)
    if isinstance(criterion, DropCriterion):
        before = levels if baseline is None else np.asarray(baseline, dtype=np.float64)
        columns["baseline"] = np.broadcast_to(before, levels.shape)
        chance = criterion.pass_probability(levels, baseline=baseline)
        met = criterion.is_met(levels, baseline=baseline)
    elif baseline is not None:
        raise SpecError(f"{type(criterion).__name__} has no baseline; leave baseline out.")
    else:
        chance, met = criterion.pass_probability(levels), criterion.is_met(levels)
    if np.isnan(chance).any():
        raise SpecError(
            f"At {int(np.isnan(chance).sum())} of {chance.size} true levels no patient could take "
            "part (baseline_at_least is out of reach). Leave those levels out."
        )
    frame = pd.DataFrame(columns)
    frame["weight"] = _shares(weights, len(frame))
    return CriterionPerformance(
        criterion=criterion, levels=frame, pass_probability=chance, is_met=met
    )


def _columns(levels: Array) -> dict[str, Array]:
    if levels.ndim == 1:
        return {"level": levels}
    return {name: levels[:, k] for k, name in enumerate(("first", "second")[: levels.shape[1]])}


def _shares(weights: ArrayLike | None, n: int) -> Array:
    if weights is None:
        return np.full(n, 1 / n)
    share = np.asarray(weights, dtype=np.float64)
    if share.shape != (n,) or not np.isfinite(share).all() or (share < 0).any() or share.sum() <= 0:
        raise SpecError(
            f"weights must be {n} numbers, 0 or more and not all 0; got shape {share.shape}."
        )
    return np.asarray(share / share.sum())
