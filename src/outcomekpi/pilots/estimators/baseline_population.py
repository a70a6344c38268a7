"""What is known, from outside the selected sample, about the population it was selected from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.declare.fields import NotNegative, Positive, Share

__all__ = ["BaselinePopulation"]

_ERRORS = ("mean_se", "sd_se", "reliability_se", "within_sd_se")


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselinePopulation:
    """Readings of all patients that could have been selected, before any program.

    A sample that was selected on its baseline cannot tell these numbers: they come from everybody
    who was screened, a register, or the literature.

    Attributes
    ----------
    mean : of the readings
    sd : of single readings, between and within patients together; None where nobody knows
    reliability : correlation of two readings of a patient, as far apart as baseline and follow-up
    within_sd : SD of readings of one patient over that time; in place of ``reliability``
    mean_se, sd_se, reliability_se, within_sd_se : standard errors; 0 where taken as known
    includes_selected : whether these numbers were estimated with the selected patients among the
        others, so that their baseline must not be counted twice

    Examples
    --------
    >>> from outcomekpi import BaselinePopulation
    >>> BaselinePopulation.from_readings([[7.1, 7.4], [8.2, 7.9], [6.5, 6.4], [9.0, 8.1]])
    BaselinePopulation: mean 7.58 (se 0.461), sd 0.955 (se 0.364), reliability 0.863 (se 0.147)
    """

    mean: float
    sd: Positive | None = None
    reliability: Share | None = None
    within_sd: Positive | None = None
    mean_se: NotNegative = 0.0
    sd_se: NotNegative = 0.0
    reliability_se: NotNegative = 0.0
    within_sd_se: NotNegative = 0.0
    includes_selected: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if self.reliability is not None and self.within_sd is not None:
            raise SpecError("Give reliability or within_sd, not both: one follows from the other.")
        self._check_errors()
        if self.within_sd is not None:
            if self.sd is None:
                raise SpecError("within_sd says how reliable a reading is only beside sd.")
            if self.within_sd_se == self.sd_se == 0:
                _check_within(self.within_sd, self.sd)

    def _check_errors(self) -> None:
        for name in _ERRORS:
            value, of = getattr(self, name), getattr(self, name.removesuffix("_se"))
            if not (np.isfinite(value) and value >= 0):
                raise SpecError(f"{name} must be a number from 0; got {value!r}.")
            if value > 0 and of is None:
                raise SpecError(f"{name} is given, but {name.removesuffix('_se')} is not.")
        if self.reliability_se > 0 and self.reliability in (0, 1):
            raise SpecError("A reliability of 0 or 1 cannot have a standard error.")

    @classmethod
    def from_readings(
        cls, readings: ArrayLike, *, includes_selected: bool = False
    ) -> "BaselinePopulation":
        """Estimate mean, SD and, from repeated readings, reliability in an unselected sample.

        Parameters
        ----------
        readings : (patient,) or (patient, reading), everybody who was screened
        includes_selected : whether the selected patients are among them

        Raises
        ------
        CasesError
            Missing values, fewer than 3 patients, or repeated readings that do not agree at all.

        Notes
        -----
        One-way analysis of variance with k readings: s_w² = MSW, s_b² = (MSB - MSW) / k, sd² =
        s_b² + s_w², reliability = s_b² / sd², se(reliability) = (1 - R)(1 + (k - 1) R)
        sqrt(2 / (k (k - 1)(n - 1))); se(sd) from the chi-squared variances of MSB and MSW.
        """
        table = np.asarray(readings, dtype=np.float64)
        table = table[:, None] if table.ndim == 1 else table
        if table.ndim != 2 or table.shape[0] < 3 or not np.isfinite(table).all():
            raise CasesError(
                "readings must be (patient,) or (patient, reading) of at least 3 patients without "
                f"missing values; got shape {table.shape} with "
                f"{int((~np.isfinite(table)).sum())} missing."
            )
        n, k = table.shape
        between = k * float(table.mean(axis=1).var(ddof=1))
        mean, mean_se = float(table.mean()), float(np.sqrt(between / (k * n)))
        if k == 1:
            sd = float(np.sqrt(between))
            sd_se = sd / np.sqrt(2 * (n - 1))
            return cls(
                mean=mean, mean_se=mean_se, sd=sd, sd_se=sd_se, includes_selected=includes_selected
            )
        within = float(table.var(axis=1, ddof=1).mean())
        variance = between / k + within * (1 - 1 / k)
        reliability = (between - within) / k / variance
        if reliability <= 0:
            raise CasesError(
                f"Repeated readings agree no better than chance (reliability {reliability:.2f}): "
                "a baseline that says nothing about a patient cannot be corrected for."
            )
        spread = 2 * (between / k) ** 2 / (n - 1)
        spread += 2 * (within * (1 - 1 / k)) ** 2 / (n * (k - 1))
        error = (1 - reliability) * (1 + (k - 1) * reliability)
        return cls(
            mean=mean,
            mean_se=mean_se,
            sd=float(np.sqrt(variance)),
            sd_se=float(np.sqrt(spread / variance) / 2),
            reliability=reliability,
            reliability_se=float(error * np.sqrt(2 / (k * (k - 1) * (n - 1)))),
            includes_selected=includes_selected,
        )

    def known_reliability(self) -> float | None:
        """Reliability of a single reading, from ``within_sd`` and ``sd`` where it is not given."""
        if self.within_sd is None or self.sd is None:
            return self.reliability
        return max(1 - (self.within_sd / self.sd) ** 2, 0.0)

    def __repr__(self) -> str:
        parts = []
        for name in ("mean", "sd", "reliability", "within_sd"):
            value, error = getattr(self, name), getattr(self, f"{name}_se")
            if value is not None:
                spread = f" (se {error:.3g})" if error else ""
                parts.append(f"{name} {value:.3g}{spread}")
        return "BaselinePopulation: " + ", ".join(parts)


def _check_within(within_sd: float, sd: float) -> None:
    if within_sd > sd:
        raise SpecError(
            f"within_sd ({within_sd:g}) cannot exceed sd ({sd:g}): sd holds the differences "
            "between patients and within a patient together."
        )
