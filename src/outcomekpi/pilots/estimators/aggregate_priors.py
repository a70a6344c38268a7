"""What is believed about everything that published figures leave out, with the reason for it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Positive

__all__ = ["UNKNOWN_SELECTION", "AggregatePriors", "PriorRange", "Scale"]

Array = NDArray[np.float64]
Scale = Literal["identity", "log", "logit"]

TAIL = float(ndtri(0.975))
"""Half the width of a range in standard deviations: a range holds 95 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorRange:
    """A quantity that nobody published: the range that holds it with probability .95.

    Attributes
    ----------
    lower, upper : limits; equal limits make it known
    scale : on which it is normal: "identity", "log" (positive quantities) or "logit" (shares
        strictly between 0 and 1)
    why : the reason for the range, printed with every result

    Raises
    ------
    SpecError
        The limits are not in order, or do not fit the scale.

    Examples
    --------
    >>> from outcomekpi import PriorRange
    >>> PriorRange(lower=50, upper=2000, scale="log", why="size of pilots").median
    316.2...
    """

    lower: float
    upper: float
    scale: Scale = "identity"
    why: str = ""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.lower > self.upper:
            raise SpecError(
                f"PriorRange needs lower <= upper; got {self.lower:g} and {self.upper:g}."
            )
        if self.is_known:
            return
        if self.scale == "log" and self.lower <= 0:
            raise SpecError(f"A range on the log scale must be positive; lower is {self.lower:g}.")
        if self.scale == "logit" and not 0 < self.lower < self.upper < 1:
            raise SpecError(
                "A range on the logit scale must lie strictly between 0 and 1; got "
                f"{self.lower:g} to {self.upper:g}."
            )

    @property
    def is_known(self) -> bool:
        """Whether the range is a single number."""
        return self.lower == self.upper

    @property
    def median(self) -> float:
        """Value in the middle, on the scale on which it is normal."""
        return float(self.quantiles(np.array(0.5)))

    def quantiles(self, probability: Array) -> Array:
        """Value below which the quantity lies with each probability."""
        if self.is_known:
            return np.full(np.shape(probability), float(self.lower))
        low, high = self._transform(self.lower), self._transform(self.upper)
        normal = (low + high) / 2 + (high - low) / (2 * TAIL) * ndtri(probability)
        if self.scale == "log":
            return np.asarray(np.exp(normal))
        return np.asarray(expit(normal) if self.scale == "logit" else normal)

    def density(self, values: Array) -> Array:
        """Prior density at values, up to a constant factor; 1 everywhere for a known quantity."""
        if self.is_known:
            return np.ones_like(values)
        low, high = self._transform(self.lower), self._transform(self.upper)
        with np.errstate(divide="ignore", invalid="ignore"):
            place = np.asarray(self._transform(values))
            distance = (place - (low + high) / 2) / ((high - low) / (2 * TAIL))
            kernel = np.exp(-0.5 * distance**2)
            if self.scale == "log":
                kernel = kernel / values
            if self.scale == "logit":
                kernel = kernel / (values * (1 - values))
        return np.nan_to_num(kernel, nan=0.0, posinf=0.0)

    def _transform(self, values: float | Array) -> float | Array:
        if self.scale == "log":
            return np.log(values)
        return logit(values) if self.scale == "logit" else values

    def __str__(self) -> str:
        if self.is_known:
            return f"{self.lower:g}"
        return f"{self.lower:g} to {self.upper:g}"


PATIENTS = PriorRange(
    lower=50,
    upper=2000,
    scale="log",
    why="pilots of one hospital or a few health centers follow some dozens to a few thousand",
)
ICC = PriorRange(
    lower=0.002,
    upper=0.15,
    scale="logit",
    why="primary care: median .010, quartiles 0 and .032 (Adams 2004); practices with diabetic "
    "patients: median .0185, quartiles .006 and .037 (Littenberg 2006)",
)
PATIENTS_PER_DOCTOR = PriorRange(
    lower=10,
    upper=200,
    scale="log",
    why="chronic patients of one diagnosis that one doctor or team follows",
)
PAIRING = PriorRange(
    lower=0.05,
    upper=0.7,
    scale="logit",
    why="0 for other patients and other doctors, near the correlation of repeated readings where "
    "both figures are of the same patients",
)
TREND = PriorRange(
    lower=-2,
    upper=5,
    why="HbA1c below 7 % in the US rose from 1999 to about 2010 and then fell by .9 points a year, "
    "57.4 % in 2007-2010 to 50.5 % in 2015-2018 (Fang 2021); one place moves more than a nation, "
    "and programs start where things are being improved anyway",
)
ATTRITION = PriorRange(
    lower=0.02,
    upper=0.4,
    scale="logit",
    why="patients who do badly drop out of follow-up and of the count more than those who do well",
)
NO_SELECTION = PriorRange(
    lower=0, upper=0, why="nobody was chosen on the baseline, so that nothing regresses"
)
UNKNOWN_SELECTION = PriorRange(
    lower=0.5,
    upper=12,
    scale="log",
    why="nobody said how patients entered; people come to a clinic when they are badly controlled",
)
SELECTION = PriorRange(
    lower=2,
    upper=19,
    scale="log",
    why="18.9 points is what HbA1c of mean 7.5, SD 1.5 and test-retest correlation .7 gives when "
    "everybody was chosen for being at 7 or above; a mixed panel regresses less",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregatePriors:
    """Beliefs about what published figures leave out; each one a range, with its reason.

    Attributes
    ----------
    patients : per period, where the number was not published
    icc : how alike the patients of one doctor are (intraclass correlation of the outcome)
    patients_per_doctor : with ``icc`` it makes the design effect 1 + (patients per doctor - 1) icc
    pairing : correlation of the sampling errors of the two figures, 0 for different patients
    trend : change without the program, percentage points a year, for the better
    regression_to_mean : change without the program because the baseline was extreme, percentage
        points in total, for the better. None follows :class:`Program`: nothing where it says "not
        selected on the baseline", .5 to 12 where it says nothing, 2 to 19 where it says "selected"
    attrition : share of the patients whose outcome is not the better one that has left the count
        by the second figure, beyond the share of the others
    base : level before, as a fraction, where only a change was published; None leaves the effect
        in points unidentified, and only bounds are given
    effect_sd : standard deviation, in percentage points, of a skeptical normal prior around no
        effect; None lets every proportion under the program be equally likely beforehand

    Notes
    -----
    "For the better" follows the design's ``direction``. Without one, the published change is taken
    as meant for the better: the skeptical reading, since trend, regression to the mean and
    attrition then explain part of it.

    References
    ----------
    Adams, Gulliford, Ukoumunne, Eldridge, Chinn & Campbell (2004), Journal of Clinical Epidemiology
    57:785-794, doi:10.1016/j.jclinepi.2003.12.013. Littenberg & MacLean (2006), BMC Medical
    Research Methodology 6:20. Fang, Wang, Coresh & Selvin (2021), New England
    Journal of Medicine 384(23):2219-2228, doi:10.1056/NEJMsa2032271.

    Examples
    --------
    >>> from outcomekpi import AggregatePriors
    >>> str(AggregatePriors().trend)
    '-2 to 5'
    """

    patients: PriorRange = PATIENTS
    icc: PriorRange = ICC
    patients_per_doctor: PriorRange = PATIENTS_PER_DOCTOR
    pairing: PriorRange = PAIRING
    trend: PriorRange = TREND
    regression_to_mean: PriorRange | None = None
    attrition: PriorRange = ATTRITION
    base: PriorRange | None = None
    effect_sd: Positive | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        _check_limits("patients", self.patients, least=1)
        _check_limits("patients_per_doctor", self.patients_per_doctor, least=1)
        for name in ("icc", "pairing", "attrition", "base"):
            value = getattr(self, name)
            if value is not None:
                _check_limits(name, value, least=0, most=1)

    def regression_range(self, selected: bool | None) -> PriorRange:
        """Range of the regression to the mean, given what is known about the selection."""
        if self.regression_to_mean is not None:
            return self.regression_to_mean
        if selected is None:
            return UNKNOWN_SELECTION
        return SELECTION if selected else NO_SELECTION


def _check_limits(name: str, value: PriorRange, *, least: float, most: float = np.inf) -> None:
    inside = least <= value.lower and value.upper <= most
    if not inside or (most == 1 and value.is_known and value.lower == 1):
        raise SpecError(
            f"AggregatePriors.{name} must lie between {least:g} and {most:g}; got {value}."
        )
    wanted = "logit" if most == 1 else "log"
    if not value.is_known and value.scale != wanted:
        raise SpecError(
            f"AggregatePriors.{name} needs scale={wanted!r}, so that no draw falls outside "
            f"{least:g} to {most:g}; got {value.scale!r}."
        )
