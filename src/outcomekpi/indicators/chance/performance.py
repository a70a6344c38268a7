"""What a patient-level criterion says about patients whose true level is known."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from outcomekpi.declare.alignment import align
from outcomekpi.declare.checking import check_arguments, check_fields
from outcomekpi.declare.errors import SpecError, percent_hint
from outcomekpi.declare.fields import Count, Positive, Range, Share
from outcomekpi.declare.showing import show_html
from outcomekpi.indicators.chance.criteria import Criterion
from outcomekpi.indicators.chance.readings import (
    check_levels,
    check_scatter,
    spread_at,
)
from outcomekpi.indicators.chance.runs import probability_of_run

__all__ = ["CriterionPerformance", "DropCriterion", "assess_criterion", "normal_levels"]

Array = NDArray[np.float64]


# A fall from baseline as a criterion, and what luck and selection on the baseline do to it
NODES = 96  # on each side of the kink
EDGE = 8.5  # standard deviations of the baseline that are integrated over


@dataclass(frozen=True, slots=True, kw_only=True)
class DropCriterion:
    """A fall from the baseline reading, with or without a bar ("HbA1c < 7 % and a drop >= 0.8").

    Attributes
    ----------
    drop : smallest fall that passes, in the unit of the readings, or a share of the baseline
        reading with ``relative``
    relative : whether ``drop`` is a share (.05: "weight loss of at least 5 %")
    bar : follow-up readings must also lie below this; None asks for the fall alone
    readings : consecutive follow-up readings that must all pass ("kept for six months": 6)
    within_sd, cv : within-person SD of a reading around the true level, or SD as a share of the
        true level; exactly one
    autocorrelation : correlation of consecutive follow-up readings given the true level; the
        baseline reading is independent of them
    baseline_readings : readings whose mean is the baseline
    baseline_at_least : only patients whose measured baseline is at least this take part; the
        probabilities are then given that they do

    Notes
    -----
    Baseline B ~ N(b, s_b²), follow-up readings F_t ~ N(m, s²) around the true levels b and m.
    Each F_t must lie below L(B) = min(bar, B - drop), or min(bar, B (1 - drop)):
    P = integral of the density of B times P(run of k readings below L(B)), by Gauss-Legendre
    quadrature on both sides of the kink of L (96 nodes each; errors below 1e-9), divided by
    P(B >= baseline_at_least). For one reading without bar it is Phi((b - m - drop) / (s sqrt 2)).

    Examples
    --------
    >>> from outcomekpi import DropCriterion
    >>> by_chance = [DropCriterion(drop=0.8, within_sd=sd).pass_probability(8) for sd in (.3, .5)]
    >>> [round(float(chance), 3) for chance in by_chance]
    [0.03, 0.129]
    """

    drop: Positive
    relative: bool = False
    bar: float | None = None
    readings: Count = 1
    within_sd: Positive | None = None
    cv: Annotated[float, Range(low=0, high=1, inside="both")] | None = None
    autocorrelation: Share = 0.0
    baseline_readings: Count = 1
    baseline_at_least: float | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        name = type(self).__name__
        check_scatter(name, self.within_sd, self.cv, self.autocorrelation)
        if self.relative and self.drop >= 1:
            hint = percent_hint(self.drop)
            raise SpecError(
                f"{name}.drop must be a share of the baseline with relative=True; "
                f"got {self.drop!r}.{hint}"
            )

    def pass_probability(
        self, true_level: ArrayLike, *, baseline: ArrayLike | None = None
    ) -> Array:
        """Probability of passing for a true level now, and a true level at baseline.

        Parameters
        ----------
        true_level : any shape, true level at follow-up
        baseline : true level at baseline, broadcast against ``true_level``; None, the same level:
            what a patient passes by luck, without any true change

        Returns
        -------
        the common shape; NaN where a measured baseline of ``baseline_at_least`` is out of reach
        """
        now, before = self._levels(true_level, baseline)
        now_sd = np.broadcast_to(spread_at(now, self.within_sd, self.cv), now.shape)
        sd = spread_at(before, self.within_sd, self.cv) / np.sqrt(self.baseline_readings)
        before_sd = np.broadcast_to(sd, now.shape)
        chance = np.zeros(now.shape)
        for start, stop in self._segments(before, before_sd):
            points, weights = np.polynomial.legendre.leggauss(NODES)
            half = np.maximum(stop - start, 0.0)[..., None] / 2
            reading = start[..., None] + half * (points + 1)
            scaled = (reading - before[..., None]) / before_sd[..., None]
            density = np.exp(-0.5 * scaled**2) / (np.sqrt(2 * np.pi) * before_sd[..., None])
            z = (self._limit(reading) - now[..., None]) / now_sd[..., None]
            run = probability_of_run(z, length=self.readings, autocorrelation=self.autocorrelation)
            chance = chance + (half * weights * density * run).sum(axis=-1)
        if self.baseline_at_least is not None:
            takes_part = ndtr((before - self.baseline_at_least) / before_sd)
            reachable = takes_part > ndtr(-EDGE)
            chance = np.divide(
                chance, takes_part, out=np.full(chance.shape, np.nan), where=reachable
            )
        return np.clip(chance, 0.0, 1.0)

    def is_met(
        self, true_level: ArrayLike, *, baseline: ArrayLike | None = None
    ) -> NDArray[np.bool_]:
        """Whether the true levels fell by as much as asked, and below the bar."""
        now, before = self._levels(true_level, baseline)
        fell = before - now >= (self.drop * before if self.relative else self.drop)
        return np.asarray(fell & (now < (np.inf if self.bar is None else self.bar)))

    def _levels(self, true_level: ArrayLike, baseline: ArrayLike | None) -> tuple[Array, Array]:
        now = check_levels(true_level)
        before = now if baseline is None else check_levels(baseline)
        one, two = np.broadcast_arrays(now, before)
        return np.asarray(one), np.asarray(two)

    def _limit(self, reading: Array) -> Array:
        """Highest follow-up value that passes, given the measured baseline."""
        fallen = reading * (1 - self.drop) if self.relative else reading - self.drop
        return np.asarray(np.minimum(fallen, np.inf if self.bar is None else self.bar))

    def _segments(self, before: Array, sd: Array) -> list[tuple[Array, Array]]:
        """Intervals of the measured baseline on which the limit is smooth."""
        low, high = before - EDGE * sd, before + EDGE * sd
        if self.baseline_at_least is not None:
            low = np.clip(self.baseline_at_least, low, high)
        if self.bar is None:
            return [(low, high)]
        kink = self.bar / (1 - self.drop) if self.relative else self.bar + self.drop
        middle = np.clip(kink, low, high)
        return [(low, middle), (middle, high)]


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
        return show_html(self, self.summary())


def normal_levels(*, mean: float, sd: Positive, n: Annotated[int, Range(low=2)] = 2001) -> Array:
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
    check_arguments(normal_levels, locals())
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
    true_levels, baseline, weights = align(
        true_levels=true_levels, baseline=baseline, weights=weights
    )
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
