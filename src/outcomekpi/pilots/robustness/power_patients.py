"""Plans of pilots on patients: two periods compared, or the changes of doctors."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Count, NotNegative, Positive, Probability, Range, Share
from outcomekpi.pilots.ladder.findings import Rung
from outcomekpi.pilots.robustness.power_formula import Precision, two_sided_p

__all__ = ["BeforeAfterPlan", "DoctorPlan", "PlannedOutcome"]

Floats = NDArray[np.float64]
POINTS = 100.0


class PlannedOutcome:
    """What plans say of an outcome that is a proportion, ``base``, or has an SD, ``sd``."""

    __slots__ = ()
    base: float | None
    sd: float | None

    def __post_init__(self) -> None:
        check_fields(self)
        if (self.base is None) == (self.sd is None):
            raise SpecError(
                "Say what the outcome is like, in one way: base=..., the proportion without the "
                "program (effects are then in percentage points), or sd=..., the standard "
                "deviation of a patient's measurement; got "
                f"{'neither' if self.base is None else 'both'}."
            )

    @property
    def effect_unit(self) -> str:
        """Unit of the effect."""
        return "units of the outcome" if self.base is None else "percentage points"

    @property
    def limits(self) -> tuple[float, float]:
        """Largest fall and rise that the outcome allows."""
        if self.base is None:
            return float("-inf"), float("inf")
        return -POINTS * self.base, POINTS * (1 - self.base)

    def variance(self, effect: float) -> tuple[float, float]:
        """Variance of a patient without and with the program, in the unit of the effect.

        Raises
        ------
        SpecError
            The effect leads to no proportion between 0 and 1.
        """
        if self.base is None:
            return float(self.sd or 0.0) ** 2, float(self.sd or 0.0) ** 2
        reached = self.base + effect / POINTS
        if not -1e-12 <= reached <= 1 + 1e-12:
            raise SpecError(
                f"An effect of {effect:+g} percentage points on a base of {self.base:.1%} leads to "
                f"{reached:.1%}, which is no proportion."
            )
        reached = min(max(reached, 0.0), 1.0)
        return POINTS**2 * self.base * (1 - self.base), POINTS**2 * reached * (1 - reached)


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeAfterPlan(PlannedOutcome):
    """A plan to compare patients before and after (rungs 0 and 1).

    Attributes
    ----------
    patients : in each period
    base : proportion before, in (0, 1); effects are in percentage points. Or
    sd : standard deviation of a patient's measurement; effects are in its unit
    pairing : correlation of two readings of one patient of a doctor; 0 for other patients
    icc : how alike patients of one doctor are in one period
    patients_per_doctor : in each period
    lasting : share of the doctors' variance that is the same in both periods; 0 for other doctors

    Notes
    -----
    Variance of the difference: [(s0^2 + s1^2) (1 - icc + m icc) - 2 s0 s1 ((1 - icc) pairing
    + m icc lasting)] / n. The test divides by the same with both variances at the mean of the
    two proportions. With alike patients the test is that of the doctors' means, with doctors - 1
    degrees of freedom (2 doctors - 2 for other doctors).

    Examples
    --------
    >>> from outcomekpi import BeforeAfterPlan, pilot_power
    >>> pilot_power(BeforeAfterPlan(patients=229, base=0.2), effect=-6.8).size_needed()
    469
    """

    rungs: ClassVar[tuple[Rung, ...]] = (0, 1)
    size_name: ClassVar[str] = "patients in each period"
    smallest: ClassVar[int] = 2

    patients: Annotated[int, Range(low=2)]
    base: Probability | None = None
    sd: Positive | None = None
    pairing: Annotated[float, Range(low=0, high=1, inside="high")] = 0.0
    icc: Share = 0.0
    patients_per_doctor: Annotated[float, Range(low=1)] = 1.0
    lasting: Share = 0.0

    @property
    def size(self) -> int:
        """Patients in each period."""
        return self.patients

    @property
    def is_clustered(self) -> bool:
        """Whether doctors' patients are alike."""
        return self.icc > 0 and self.patients_per_doctor > 1

    def resize(self, size: int) -> "BeforeAfterPlan":
        """Return the same plan with other patients."""
        return replace(self, patients=size)

    def precision(self, effect: float) -> Precision:
        """Say how precisely the plan tells an effect.

        Parameters
        ----------
        effect : in the unit of the plan
        """
        before, after = self.variance(effect)
        middle = before
        if self.base is not None:
            middle = self.variance(effect / 2.0)[1]
        return Precision(
            se=self._error(before, after),
            se_null=self._error(middle, middle),
            degrees_of_freedom=self._degrees(),
        )

    def _error(self, before: float, after: float) -> float:
        alike = self.patients_per_doctor * self.icc
        variance = (before + after) * (1 - self.icc + alike)
        shared = (1 - self.icc) * self.pairing + alike * self.lasting
        variance -= 2 * np.sqrt(before * after) * shared
        return float(np.sqrt(max(variance, 1e-300) / self.patients))

    def _degrees(self) -> float:
        same = self.pairing > 0 or self.lasting > 0
        if self.is_clustered:
            doctors = self.patients / self.patients_per_doctor
            return max(doctors - 1 if same else 2 * doctors - 2, 1.0)
        if self.base is not None:
            return float("inf")
        return float(self.patients - 1 if self.pairing > 0 else 2 * self.patients - 2)

    def simulate(self, effect: float, *, replicates: int, rng: np.random.Generator) -> Floats:
        """Draw pilots and test each: p-values (replicate,).

        Parameters
        ----------
        effect : in the unit of the plan
        replicates : number of pilots
        rng : source of random numbers
        """
        per = round(self.patients_per_doctor) if self.is_clustered else 1
        doctors = max(round(self.patients / per), 2)
        before, after = self.variance(effect)
        shape = (replicates, doctors, 1)
        kept = rng.normal(size=shape) * np.sqrt(self.lasting)
        own = [rng.normal(size=shape) * np.sqrt(1 - self.lasting) for _ in range(2)]
        levels = [
            np.sqrt(variance * (self.icc if self.is_clustered else 0.0)) * (kept + one)
            for variance, one in zip((before, after), own, strict=True)
        ]
        first, second = self._draw(levels, effect, per, (before, after), rng)
        if self.is_clustered:
            first, second = first.mean(axis=2), second.mean(axis=2)
            return _compare(first, second, paired=self.pairing > 0 or self.lasting > 0)
        first, second = first[:, :, 0], second[:, :, 0]
        if self.base is not None and self.pairing == 0:
            return _pooled(first / POINTS, second / POINTS)
        return _compare(first, second, paired=self.pairing > 0, normal=self.base is not None)

    def _draw(
        self,
        levels: list[Floats],
        effect: float,
        per: int,
        variances: tuple[float, float],
        rng: np.random.Generator,
    ) -> tuple[Floats, Floats]:
        shape = (*levels[0].shape[:2], per)
        if self.base is None:
            alike = self.icc if self.is_clustered else 0.0
            spread = np.sqrt(variances[0] * (1 - alike))
            shared = np.sqrt(self.pairing) * rng.normal(size=shape)
            noise = [shared + np.sqrt(1 - self.pairing) * rng.normal(size=shape) for _ in range(2)]
            later = levels[1] + spread * noise[1] + effect
            return np.asarray(levels[0] + spread * noise[0]), np.asarray(later)
        reached = self.base + effect / POINTS
        chances = [
            np.broadcast_to(np.clip(middle + level / POINTS, 0, 1), shape)
            for middle, level in zip((self.base, reached), levels, strict=True)
        ]
        first = rng.random(shape) < chances[0]
        # the second event given the first, with the wanted correlation of the two
        spread = np.sqrt(np.prod([c * (1 - c) for c in chances], axis=0))
        with np.errstate(divide="ignore", invalid="ignore"):
            both = chances[1] + self.pairing * spread / chances[0]
            late = chances[1] - self.pairing * spread / (1 - chances[0])
        second = rng.random(shape) < np.where(first, both, late)
        return np.asarray(POINTS * first), np.asarray(POINTS * second)


def _compare(first: Floats, second: Floats, *, paired: bool, normal: bool = False) -> Floats:
    """Compute p-values of t tests of (replicate, unit) before and after."""
    count = first.shape[1]
    if paired:
        change = second - first
        error = change.std(axis=1, ddof=1) / np.sqrt(count)
        return two_sided_p(_ratio(change.mean(axis=1), error), np.inf if normal else count - 1.0)
    error = np.sqrt((first.var(axis=1, ddof=1) + second.var(axis=1, ddof=1)) / count)
    change = second.mean(axis=1) - first.mean(axis=1)
    return two_sided_p(_ratio(change, error), np.inf if normal else 2.0 * count - 2.0)


def _ratio(value: Floats, error: Floats) -> Floats:
    return np.asarray(np.divide(value, error, out=np.zeros_like(value), where=error > 0))


def _pooled(first: Floats, second: Floats) -> Floats:
    """Compute p-values of the test of two proportions with their common variance."""
    one, two = first.mean(axis=1), second.mean(axis=1)
    common = (one + two) / 2.0
    error = np.sqrt(2.0 * common * (1 - common) / first.shape[1])
    return two_sided_p(_ratio(two - one, error), np.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorPlan(PlannedOutcome):
    """A plan to estimate the average effect over doctors whose effects differ (rung 5).

    Attributes
    ----------
    doctors : each with patients before and after
    patients : of each doctor in each period
    base, sd : as in :class:`BeforeAfterPlan`; ``sd`` is that of patients of one doctor
    heterogeneity : standard deviation of the doctors' true effects, in the unit of the effect
    pairing : correlation of two readings of one patient; 0 for other patients

    Notes
    -----
    Variance of a doctor's change h^2 + (s0^2 + s1^2 - 2 pairing s0 s1) / m, divided by the number
    of doctors; t with doctors - 1 degrees of freedom. Doctors' lasting levels cancel.

    Examples
    --------
    >>> from outcomekpi import DoctorPlan, pilot_power
    >>> plan = DoctorPlan(doctors=20, patients=50, base=0.5, heterogeneity=5)
    >>> round(pilot_power(plan).detectable(), 1)
    7.4
    """

    rungs: ClassVar[tuple[Rung, ...]] = (5,)
    size_name: ClassVar[str] = "doctors"
    smallest: ClassVar[int] = 2

    doctors: Annotated[int, Range(low=2)]
    patients: Count
    base: Probability | None = None
    sd: Positive | None = None
    heterogeneity: NotNegative = 0.0
    pairing: Annotated[float, Range(low=0, high=1, inside="high")] = 0.0

    @property
    def size(self) -> int:
        """Doctors."""
        return self.doctors

    def resize(self, size: int) -> "DoctorPlan":
        """Return the same plan with other doctors."""
        return replace(self, doctors=size)

    def precision(self, effect: float) -> Precision:
        """Say how precisely the plan tells an effect.

        Parameters
        ----------
        effect : in the unit of the plan
        """
        before, after = self.variance(effect)
        inside = (before + after - 2 * self.pairing * np.sqrt(before * after)) / self.patients
        error = float(np.sqrt((self.heterogeneity**2 + inside) / self.doctors))
        return Precision(se=error, se_null=error, degrees_of_freedom=self.doctors - 1.0)

    def simulate(self, effect: float, *, replicates: int, rng: np.random.Generator) -> Floats:
        """Draw pilots and test each: p-values (replicate,).

        Parameters
        ----------
        effect : in the unit of the plan
        replicates : number of pilots
        rng : source of random numbers
        """
        shape = (replicates, self.doctors)
        effects = effect + self.heterogeneity * rng.normal(size=shape)
        if self.base is None:
            variance = self.variance(effect)[0]
            spread = np.sqrt(2 * variance * (1 - self.pairing) / self.patients)
            change = effects + spread * rng.normal(size=shape)
        else:
            reached = np.clip(self.base + effects / POINTS, 0, 1)
            if self.pairing > 0:
                raise SpecError(
                    "Paired events of doctors with effects of their own are not simulated; the "
                    "formula holds for them, or take pairing=0."
                )
            first = rng.binomial(self.patients, self.base, shape)
            change = POINTS * (rng.binomial(self.patients, reached) - first) / self.patients
        return _compare(np.zeros(shape), change, paired=True)
