"""NHS Quality and Outcomes Framework: points on a slope between two thresholds, then pounds."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from outcomekpi.awards.rules import CycleResults
from outcomekpi.declare.alignment import align
from outcomekpi.declare.checking import check_arguments, check_fields
from outcomekpi.declare.errors import CasesError
from outcomekpi.declare.fields import NotNegative, Positive, Range
from outcomekpi.programs.bars import (
    Floats,
    as_counts,
    as_scores,
    check_bars,
    last_cycle,
)

__all__ = ["QofRule", "qof_achievement", "qof_points", "qof_pounds"]


def qof_achievement(
    numerator: ArrayLike, denominator: ArrayLike, *, adjusted: ArrayLike = 0
) -> Floats:
    """Share of the patients who count that met the indicator.

    Parameters
    ----------
    numerator : (...,), patients who met the indicator
    denominator : (...,), patients on the register of the indicator
    adjusted : (...,), patients with a personalized care adjustment (an exception) who did not
        meet it; they leave the denominator

    Returns
    -------
    (...,), fraction; nan where nobody is left in the denominator

    Raises
    ------
    CasesError
        Counts are negative, or more patients are met and adjusted than there are.

    Notes
    -----
    achievement = numerator / (denominator − adjusted). A patient who met the indicator stays in
    the numerator whatever adjustment is recorded, so that adjusted ≤ denominator − numerator.

    References
    ----------
    NHS England, Quality and Outcomes Framework guidance for 2025/26: personalised care
    adjustments. Order of success and adjustment [K].

    Examples
    --------
    >>> from outcomekpi import programs
    >>> float(programs.qof_achievement(60, 100, adjusted=20))
    0.75
    """
    numerator, denominator, adjusted = align(
        numerator=numerator, denominator=denominator, adjusted=adjusted
    )
    met, register = as_counts("numerator", numerator), as_counts("denominator", denominator)
    left = register - as_counts("adjusted", adjusted)
    met, left = np.broadcast_arrays(met, left)
    if (met > left).any():
        where = int(np.flatnonzero(met > left)[0])
        raise CasesError(
            "numerator must not exceed denominator less adjusted patients; "
            f"{int((met > left).sum())} of {met.size} do, the first {met.reshape(-1)[where]:g} "
            f"of {left.reshape(-1)[where]:g} at position {where}. Count only adjusted patients "
            "who did not meet the indicator."
        )
    share = np.full(met.shape, np.nan)
    np.divide(met, left, out=share, where=left > 0)
    return share


def qof_points(
    achievement: ArrayLike,
    *,
    lower_threshold: float = 0.35,
    upper_threshold: float = 0.75,
    points: Positive = 17.0,
) -> Floats:
    """Points earned by a practice for one indicator.

    Parameters
    ----------
    achievement : (...,), fraction of patients, see :func:`qof_achievement`
    lower_threshold : fraction at and below which nothing is earned
    upper_threshold : fraction from which all points are earned
    points : available points of the indicator

    Returns
    -------
    (...,), points; nan where achievement is

    Raises
    ------
    SpecError
        Thresholds are crossed, or points are not positive.
    CasesError
        Achievement lies outside 0 to 1 (percent is named).

    Notes
    -----
    points × (achievement − L)/(U − L), limited to 0 … points. The defaults are those of HbA1c in
    people with diabetes up to 2024/25 (35–75 %, 17 points) [K]; blood pressure was 38–78 %, and
    the upper threshold of the cardiovascular indicators is 85–90 % in 2025/26.

    References
    ----------
    NHS England, Quality and Outcomes Framework guidance for 2025/26.

    Examples
    --------
    >>> from outcomekpi import programs
    >>> programs.qof_points([.30, .55, .80], points=10).round(9).tolist()
    [0.0, 5.0, 10.0]
    """
    check_arguments(qof_points, locals())
    bars = as_scores("thresholds", [lower_threshold, upper_threshold])
    check_bars("lower_threshold", bars[0], "upper_threshold", bars[1])
    share = (as_scores("achievement", achievement) - bars[0]) / (bars[1] - bars[0])
    return np.asarray(points * np.clip(share, 0.0, 1.0))


def qof_pounds(
    points: ArrayLike,
    *,
    pounds_per_point: NotNegative = 225.49,
    list_size_ratio: ArrayLike = 1.0,
    prevalence_ratio: ArrayLike = 1.0,
) -> Floats:
    """Money that points are worth to a practice.

    Parameters
    ----------
    points : (...,), points earned
    pounds_per_point : value of a point for the average practice (225.49 in 2025/26)
    list_size_ratio : (...,), patients registered with the practice over the national average
    prevalence_ratio : (...,), prevalence of the condition over the national one (1 for
        indicators that are not weighted by it)

    Returns
    -------
    (...,), pounds; nan where points are

    Raises
    ------
    CasesError
        A number is negative.

    Notes
    -----
    points × value of a point × list size ratio × prevalence ratio.

    References
    ----------
    NHS England, Quality and Outcomes Framework guidance for 2025/26.

    Examples
    --------
    >>> from outcomekpi import programs
    >>> float(programs.qof_pounds(10))
    2254.9
    """
    check_arguments(qof_pounds, locals())
    points, list_size_ratio, prevalence_ratio = align(
        points=points, list_size_ratio=list_size_ratio, prevalence_ratio=prevalence_ratio
    )
    size = as_counts("list_size_ratio", list_size_ratio)
    weight = as_counts("prevalence_ratio", prevalence_ratio)
    earned = as_counts("points", points, missing=True)
    return np.asarray(earned * pounds_per_point * size * weight)


@dataclass(frozen=True, slots=True, kw_only=True)
class QofRule:
    """The slope of an indicator as an award: share of its points, for every doctor.

    Attributes
    ----------
    lower_threshold, upper_threshold : fractions where the award starts and where it is full
    minimum_cases : with fewer cases there is no award
    """

    lower_threshold: float = 0.35
    upper_threshold: float = 0.75
    minimum_cases: Annotated[int, Range(low=0)] = 1
    cycles: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_fields(self)
        qof_points(0.0, lower_threshold=self.lower_threshold, upper_threshold=self.upper_threshold)

    def decide(self, results: CycleResults) -> Floats:
        """Return the share of the points, (replicate, unit), from the last cycle."""
        rates, cases = last_cycle(results)
        share = qof_points(
            rates,
            lower_threshold=self.lower_threshold,
            upper_threshold=self.upper_threshold,
            points=1.0,
        )
        return np.where((cases >= self.minimum_cases) & ~np.isnan(share), share, 0.0)
