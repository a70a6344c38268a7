"""Prior distributions: small records with a log density and a name that can be printed."""

from dataclasses import dataclass, field
from math import lgamma, log, pi

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Positive

__all__ = [
    "Exponential",
    "Flat",
    "GammaPrecision",
    "HalfNormal",
    "HalfStudentT",
    "Normal",
    "Priors",
    "SDPrior",
    "Uniform",
]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Flat:
    """Improper uniform prior on the whole line."""

    def __str__(self) -> str:
        return "flat"


@dataclass(frozen=True, slots=True)
class Normal:
    """Normal prior with its mean and ``sd``.

    ``mean=None`` stands for the link of the observed rate (intercepts only).
    """

    mean: float | None
    sd: Positive

    def __post_init__(self) -> None:
        check_fields(self)

    def __str__(self) -> str:
        center = "link of the observed rate" if self.mean is None else f"{self.mean:.4g}"
        return f"Normal({center}, sd {self.sd:.4g})"


@dataclass(frozen=True, slots=True)
class HalfNormal:
    """Half-normal prior of a standard deviation; ``scale`` is that of the whole normal."""

    scale: Positive = 1.0

    def __post_init__(self) -> None:
        check_fields(self)

    def log_density(self, sd: Array) -> Array:
        """Log density at ``sd`` > 0, normalized."""
        return 0.5 * log(2 / pi) - log(self.scale) - 0.5 * (sd / self.scale) ** 2

    def scaled(self, factor: float) -> "HalfNormal":
        """Return the prior of ``factor * sd``."""
        return HalfNormal(self.scale * factor)

    def __str__(self) -> str:
        return f"HalfNormal({self.scale:.4g})"


@dataclass(frozen=True, slots=True)
class HalfStudentT:
    """Half-t prior of a standard deviation with ``df`` and ``scale`` (Gelman 2006)."""

    df: Positive = 3.0
    scale: Positive = 1.0

    def __post_init__(self) -> None:
        check_fields(self)

    def log_density(self, sd: Array) -> Array:
        """Log density at ``sd`` > 0, normalized."""
        constant = (
            log(2.0)
            + lgamma((self.df + 1) / 2)
            - lgamma(self.df / 2)
            - 0.5 * log(self.df * pi)
            - log(self.scale)
        )
        return constant - 0.5 * (self.df + 1) * np.log1p((sd / self.scale) ** 2 / self.df)

    def scaled(self, factor: float) -> "HalfStudentT":
        """Return the prior of ``factor * sd``."""
        return HalfStudentT(self.df, self.scale * factor)

    def __str__(self) -> str:
        return f"HalfStudentT({self.df:.4g}, {self.scale:.4g})"


@dataclass(frozen=True, slots=True)
class Exponential:
    """Exponential prior of a standard deviation with its ``rate`` (penalized complexity)."""

    rate: Positive = 1.0

    def __post_init__(self) -> None:
        check_fields(self)

    def log_density(self, sd: Array) -> Array:
        """Log density at ``sd`` > 0, normalized."""
        return log(self.rate) - self.rate * sd

    def scaled(self, factor: float) -> "Exponential":
        """Return the prior of ``factor * sd``."""
        return Exponential(self.rate / factor)

    def __str__(self) -> str:
        return f"Exponential(rate {self.rate:.4g})"


@dataclass(frozen=True, slots=True)
class Uniform:
    """Uniform prior of a standard deviation on (0, upper)."""

    upper: Positive

    def __post_init__(self) -> None:
        check_fields(self)

    def log_density(self, sd: Array) -> Array:
        """Log density at ``sd`` > 0: minus infinity above ``upper``."""
        return np.where(sd <= self.upper, -log(self.upper), -np.inf)

    def scaled(self, factor: float) -> "Uniform":
        """Return the prior of ``factor * sd``."""
        return Uniform(self.upper * factor)

    def __str__(self) -> str:
        return f"Uniform(0, {self.upper:.4g})"


@dataclass(frozen=True, slots=True)
class GammaPrecision:
    """Gamma prior on the precision 1/sd² with ``shape`` and ``rate``, as in the BUGS examples."""

    shape: Positive = 0.001
    rate: Positive = 0.001

    def __post_init__(self) -> None:
        check_fields(self)

    def log_density(self, sd: Array) -> Array:
        """Log density of ``sd`` > 0, with the Jacobian 2 sd⁻³ of the precision."""
        constant = self.shape * log(self.rate) - lgamma(self.shape) + log(2.0)
        return constant - (2 * self.shape + 1) * np.log(sd) - self.rate / sd**2

    def scaled(self, factor: float) -> "GammaPrecision":
        """Return the prior of ``factor * sd``."""
        return GammaPrecision(self.shape, self.rate * factor**2)

    def __str__(self) -> str:
        return f"Gamma({self.shape:.4g}, {self.rate:.4g}) on the precision"


SDPrior = HalfNormal | HalfStudentT | Exponential | Uniform | GammaPrecision


@dataclass(frozen=True, slots=True, kw_only=True)
class Priors:
    """Prior of every parameter, on the scale of the standardized covariates.

    Attributes
    ----------
    intercept : prior of the linear predictor of an average case of a doctor with effect 0;
        ``Normal(None, sd)``, the default, centers it at the link of the rate that was observed,
        or with an offset where the published risk adds up to the events: it looks at the data
    coefficient : prior of each slope, per standard deviation of its column
    sd_doctor, sd_hospital : priors of the standard deviations between doctors and hospitals
    sd_residual : prior of the residual SD (Gaussian family)
    dispersion : prior of 1/sqrt(alpha) (negative binomial family), alpha the size parameter

    Notes
    -----
    Not everything here was assumed before the data were seen. The default prior of the intercept
    is centered at the observed level, and covariates are standardized by the mean and SD that they
    have in the cases. With a posterior SD of s on the logit scale, the centering moves the
    intercept by the share s² / 2.5² towards the observed level, .2 % at s = .1; name a mean,
    ``Normal(-2.0, 1.0)``, to keep it apart from the data.

    For the Gaussian family every scale below is multiplied by the standard deviation of the
    outcome (less the offset), so that the defaults are as weak there as on the logit and log
    scales: these too come from the data.
    """

    intercept: Normal | Flat = field(default_factory=lambda: Normal(None, 2.5))
    coefficient: Normal | Flat = field(default_factory=lambda: Normal(0.0, 1.0))
    sd_doctor: SDPrior = field(default_factory=HalfNormal)
    sd_hospital: SDPrior = field(default_factory=HalfNormal)
    sd_residual: SDPrior = field(default_factory=HalfNormal)
    dispersion: SDPrior = field(default_factory=HalfNormal)

    def __post_init__(self) -> None:
        check_fields(self)
        if isinstance(self.coefficient, Normal) and self.coefficient.mean is None:
            raise SpecError("Priors.coefficient needs a number as its mean; got None.")
