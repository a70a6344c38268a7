"""A fall from baseline as a criterion, and what luck and selection on the baseline do to it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from outcomekpi.declare.errors import SpecError, percent_hint
from outcomekpi.indicators.chance.readings import (
    check_count,
    check_levels,
    check_positive,
    check_scatter,
    spread_at,
)
from outcomekpi.indicators.chance.runs import probability_of_run

__all__ = ["DropCriterion"]

Array = NDArray[np.float64]

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

    drop: float
    relative: bool = False
    bar: float | None = None
    readings: int = 1
    within_sd: float | None = None
    cv: float | None = None
    autocorrelation: float = 0.0
    baseline_readings: int = 1
    baseline_at_least: float | None = None

    def __post_init__(self) -> None:
        name = type(self).__name__
        bar = 0.0 if self.bar is None else self.bar
        check_scatter(name, bar, self.within_sd, self.cv, self.autocorrelation)
        check_positive(name, "drop", self.drop)
        check_count(name, "readings", self.readings)
        check_count(name, "baseline_readings", self.baseline_readings)
        if self.relative and self.drop >= 1:
            hint = percent_hint(self.drop)
            raise SpecError(
                f"{name}.drop must be a share of the baseline with relative=True; "
                f"got {self.drop!r}.{hint}"
            )
        if self.baseline_at_least is not None and not np.isfinite(self.baseline_at_least):
            raise SpecError(
                f"{name}.baseline_at_least must be a finite number; got {self.baseline_at_least!r}."
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
