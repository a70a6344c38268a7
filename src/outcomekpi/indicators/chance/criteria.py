"""Criteria for single patients, and how likely a patient passes them at each true level."""

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Count, Positive, Range, Share
from outcomekpi.draws.bivariate import normal_quadrant
from outcomekpi.indicators.chance.readings import (
    Side,
    check_levels,
    check_scatter,
    effective_bar,
    on_side,
    spread_at,
)
from outcomekpi.indicators.chance.runs import probability_of_run

__all__ = [
    "ConsecutiveCriterion",
    "Criterion",
    "JointCriterion",
    "TargetCriterion",
]

Array = NDArray[np.float64]
Judged = Literal["mean", "each"]
MissingMonth = Literal["fails", "passes"]
Needed = Literal["any", "all", "mean"]


class Criterion(Protocol):
    """What a patient-level criterion is: anything with these two methods."""

    def pass_probability(self, true_level: ArrayLike) -> Array:
        """Probability that a patient with this true level passes."""

    def is_met(self, true_level: ArrayLike) -> NDArray[np.bool_]:
        """Whether the true level itself does what the criterion asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsecutiveCriterion:
    """Every month of several consecutive months below a bar ("six months < 140 mmHg").

    Attributes
    ----------
    bar : in the unit of the readings
    months : consecutive months that must all pass
    within_sd, cv : within-person SD of a reading around the patient's true level, or the SD as a
        share of the true level; exactly one of the two
    readings_per_month, judged : how many readings a month has, and whether their "mean" is
        compared with the bar or "each" of them
    autocorrelation : correlation of consecutive values that are compared, given the true level
    missing, missing_month : probability that a month has no reading, by chance alone, and whether
        such a month "fails" or "passes"
    rounding : readings are reported to the nearest multiple of this; None as measured
    strict : a value at the bar fails
    passes : the side on which a month passes

    Notes
    -----
    With z = (bar - true level) / SD, independent values: Phi(z)^k, k = months (times readings for
    "each"); the SD of a mean of r readings is the within-person SD / sqrt(r). With
    autocorrelation by the recursion of
    :func:`~outcomekpi.indicators.chance.runs.probability_of_run`.
    Reporting moves the bar to half a step beyond the last value that passes (139.5 for whole
    mmHg and < 140).

    Examples
    --------
    >>> from outcomekpi import ConsecutiveCriterion
    >>> ConsecutiveCriterion(bar=140, cv=0.10).pass_probability([120, 125, 130]).round(2)
    array([0.75, 0.48, 0.22])
    """

    bar: float
    months: Count = 6
    within_sd: Positive | None = None
    cv: Annotated[float, Range(low=0, high=1, inside="both")] | None = None
    readings_per_month: Count = 1
    judged: Judged = "mean"
    autocorrelation: Share = 0.0
    missing: Annotated[float, Range(low=0, high=1, inside="high")] = 0.0
    missing_month: MissingMonth = "fails"
    rounding: Positive | None = None
    strict: bool = True
    passes: Side = "below"

    def __post_init__(self) -> None:
        check_fields(self)
        check_scatter(type(self).__name__, self.within_sd, self.cv, self.autocorrelation)

    @property
    def n_values(self) -> int:
        """How many values are compared with the bar."""
        return self.months * (self.readings_per_month if self.judged == "each" else 1)

    def pass_probability(self, true_level: ArrayLike) -> Array:
        """Probability that all months pass, for each true level (any shape)."""
        z = self.distance(true_level)
        absent, kept = self._absences()
        run = probability_of_run(
            z, length=self.n_values, autocorrelation=self.autocorrelation, absent=absent
        )
        return np.asarray(kept * run)

    def distance(self, true_level: ArrayLike) -> Array:
        """Bar minus true level, in SDs of the value that is compared; positive passes."""
        level = check_levels(true_level)
        averaged = self.readings_per_month if self.judged == "mean" else 1
        sd = spread_at(level, self.within_sd, self.cv) / np.sqrt(averaged)
        gap = effective_bar(self.bar, self.rounding, self.strict, self.passes) - level
        return np.asarray((gap if self.passes == "below" else -gap) / sd)

    def is_met(self, true_level: ArrayLike) -> NDArray[np.bool_]:
        """Whether the true level is on the passing side of the bar."""
        return on_side(np.asarray(true_level, np.float64), self.bar, self.passes, self.strict)

    def _absences(self) -> tuple[float, float]:
        """Probability that a value is absent and passes; that no missing month fails."""
        if self.missing_month == "fails":
            return 0.0, (1 - self.missing) ** self.months
        if self.missing > 0 and self.judged == "each" and self.readings_per_month > 1:
            raise SpecError(
                "A missing month takes all its readings with it, which judged='each' cannot say "
                "when missing months pass. Use judged='mean' or missing_month='fails'."
            )
        return self.missing, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JointCriterion:
    """Two runs that must both pass, such as systolic < 140 and diastolic < 90 for six months.

    Attributes
    ----------
    first, second : the two runs; months, readings, autocorrelation and missing months must agree
    correlation : of the two values of the same month around the patient's true levels

    Notes
    -----
    Independent months: Phi2(z1, z2; r)^k, the bivariate normal by Owen's T function. With
    autocorrelation a, values of different months have correlation r a^|s - t|, and the
    probability is that of a multivariate normal with 2k dimensions (Genz's quasi-Monte Carlo in
    SciPy, fixed seed, absolute error about 1e-4). A month with a missing reading has neither.

    Examples
    --------
    >>> from outcomekpi import ConsecutiveCriterion, JointCriterion
    >>> systolic, diastolic = (ConsecutiveCriterion(bar=b, cv=0.1) for b in (140, 90))
    >>> both = JointCriterion(first=systolic, second=diastolic, correlation=0.6)
    >>> both.pass_probability([[120, 75], [130, 80]]).round(2)
    array([0.68, 0.16])
    """

    first: ConsecutiveCriterion
    second: ConsecutiveCriterion
    correlation: Annotated[float, Range(low=-1, high=1, inside="both")] = 0.0

    def __post_init__(self) -> None:
        check_fields(self)
        shared = ("months", "n_values", "autocorrelation", "missing", "missing_month")
        for name in shared:
            one, two = getattr(self.first, name), getattr(self.second, name)
            if one != two:
                raise SpecError(
                    f"Both parts of a JointCriterion need the same {name}; got {one!r} and {two!r}."
                )

    def pass_probability(self, true_level: ArrayLike) -> Array:
        """Probability that both runs pass; true levels are (..., 2), first and second."""
        level = _pairs(true_level)
        z = np.stack(
            [self.first.distance(level[..., 0]), self.second.distance(level[..., 1])], axis=-1
        )
        one, absent = self.first, self.first.missing
        if one.autocorrelation == 0:
            month = normal_quadrant(z[..., 0], z[..., 1], self.correlation)
            if one.missing_month == "passes":
                return np.asarray((absent + (1 - absent) * month) ** one.n_values)
            return np.asarray((1 - absent) ** one.months * month**one.n_values)
        if absent > 0 and one.missing_month == "passes":
            raise SpecError(
                "Two autocorrelated runs with missing months that pass are not covered. "
                "Use missing_month='fails', or autocorrelation=0."
            )
        return np.asarray((1 - absent) ** one.months * self._run_of_pairs(z))

    def is_met(self, true_level: ArrayLike) -> NDArray[np.bool_]:
        """Whether both true levels are on their passing sides."""
        level = _pairs(true_level)
        return np.asarray(self.first.is_met(level[..., 0]) & self.second.is_met(level[..., 1]))

    def _run_of_pairs(self, z: Array) -> Array:
        from scipy.stats import multivariate_normal

        k = self.first.n_values
        apart = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
        over_time = self.first.autocorrelation**apart
        together = np.array([[1.0, self.correlation], [self.correlation, 1.0]])
        normal = multivariate_normal(
            cov=np.kron(over_time, together), allow_singular=True, seed=20261
        )
        distinct, position = np.unique(z.reshape(-1, 2), axis=0, return_inverse=True)
        chances = [float(normal.cdf(np.tile(pair, k))) for pair in distinct]
        return np.asarray(chances)[position.ravel()].reshape(z.shape[:-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetCriterion:
    """A target within a window ("LDL-C < 2.6 mmol/L within three months").

    Attributes
    ----------
    bar : in the unit of the readings
    readings : how many readings the window has
    needed : the target is met if "any" reading passes, if "all" do, or their "mean"
    within_sd, cv : within-person SD, or SD as a share of the true level; exactly one
    autocorrelation : correlation of consecutive readings given the true level
    rounding, strict, passes : as in :class:`ConsecutiveCriterion`

    Notes
    -----
    All: P(run of k). Any: 1 - P(run of k on the failing side). Mean: Phi(z / s) with
    s² = sum of all correlations / k².

    Examples
    --------
    >>> from outcomekpi import TargetCriterion
    >>> once, twice = (TargetCriterion(bar=2.6, readings=k, cv=0.1) for k in (1, 3))
    >>> [round(float(c.pass_probability(2.8)), 2) for c in (once, twice)]
    [0.24, 0.56]
    """

    bar: float
    readings: Count = 1
    needed: Needed = "any"
    within_sd: Positive | None = None
    cv: Annotated[float, Range(low=0, high=1, inside="both")] | None = None
    autocorrelation: Share = 0.0
    rounding: Positive | None = None
    strict: bool = True
    passes: Side = "below"

    def __post_init__(self) -> None:
        check_fields(self)
        check_scatter(type(self).__name__, self.within_sd, self.cv, self.autocorrelation)

    def pass_probability(self, true_level: ArrayLike) -> Array:
        """Probability that the target counts as met, for each true level (any shape)."""
        level = check_levels(true_level)
        gap = effective_bar(self.bar, self.rounding, self.strict, self.passes) - level
        z = (gap if self.passes == "below" else -gap) / spread_at(level, self.within_sd, self.cv)
        k, r = self.readings, self.autocorrelation
        if self.needed == "mean":
            apart = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
            return np.asarray(ndtr(z * k / np.sqrt((r**apart).sum())))
        if self.needed == "all":
            return probability_of_run(z, length=k, autocorrelation=r)
        return np.asarray(1 - probability_of_run(-z, length=k, autocorrelation=r))

    def is_met(self, true_level: ArrayLike) -> NDArray[np.bool_]:
        """Whether the true level is on the passing side of the bar."""
        return on_side(np.asarray(true_level, np.float64), self.bar, self.passes, self.strict)


def _pairs(true_level: ArrayLike) -> Array:
    level = check_levels(true_level)
    if level.ndim < 1 or level.shape[-1] != 2:
        raise SpecError(
            "A JointCriterion needs pairs of true levels, shape (..., 2), first and second; "
            f"got shape {level.shape}."
        )
    return level
