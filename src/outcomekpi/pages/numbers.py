"""Numbers as people read them: percentages, rates per 1,000, probabilities, dates."""

from dataclasses import dataclass
from math import floor, isfinite, log10

import numpy as np

from outcomekpi.posterior.fit import Fit
from outcomekpi.profiling.standardization import StandardizedRates

__all__ = ["RateStyle", "count", "decimal", "percent", "plural", "probability", "rate_style"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateStyle:
    """How the rates of one outcome are written.

    Attributes
    ----------
    factor : what a rate is multiplied by, 100 for percentages
    decimals : digits after the point
    sign : what follows the number, "%" or nothing
    unit : what the number counts: "of cases", "per 1,000 days", "in points"
    noun : what the report calls it: "rate" or "mean"
    """

    factor: float
    decimals: int
    sign: str
    unit: str
    noun: str

    def write(self, value: float) -> str:
        """Return one rate with its sign."""
        return self.bare(value) + self.sign

    def full(self, value: float) -> str:
        """Return one rate with its unit, where the sign alone does not say it."""
        return self.write(value) if self.sign else f"{self.write(value)} {self.unit}"

    def bare(self, value: float) -> str:
        """Return one rate without its sign."""
        return decimal(self.factor * value, self.decimals)

    def span(self, lower: float, upper: float) -> str:
        """Return an interval."""
        return f"{self.bare(lower)} to {self.bare(upper)}{self.sign}"


def rate_style(fit: Fit, rates: StandardizedRates) -> RateStyle:
    """Choose how the rates of an outcome are written, from its family and its overall rate."""
    reference = abs(rates.reference_rate)
    if rates.family in ("bernoulli", "binomial"):
        decimals = 1 if reference >= 0.01 else 2 - min(floor(log10(100 * reference)) + 1, 0)
        return RateStyle(factor=100.0, decimals=decimals, sign="%", unit="of cases", noun="rate")
    if rates.family == "gaussian":
        spread = float(np.std(rates.draws.mean(("chain", "draw")))) or max(reference, 1e-12)
        decimals = int(np.clip(2 - floor(log10(spread)), 0, 8))
        unit = f"in {fit.cases.roles['outcome']}"
        return RateStyle(factor=1.0, decimals=decimals, sign="", unit=unit, noun="mean")
    power = 0 if reference >= 1 else int(np.ceil(-log10(reference)))
    what = fit.cases.roles.get("exposure", "cases" if power else "case")
    unit = f"per {10**power:,} {what}" if power else f"per {what}"
    return RateStyle(factor=10.0**power, decimals=2, sign="", unit=unit, noun="rate")


def decimal(value: float, decimals: int) -> str:
    """Return a number with thousands separators; never "-0.0", a dash where there is none."""
    if not isfinite(value):
        return "–"
    text = f"{value:,.{decimals}f}"
    return text[1:] if text[0] == "-" and not text.strip("-0.") else text


def count(value: float) -> str:
    """Return events or cases: whole where they are whole, else with one decimal."""
    return decimal(value, 0 if float(value).is_integer() else 1)


def percent(share: float) -> str:
    """Return a level or share of doctors: ``95%``, ``99.8%``."""
    return f"{100 * share:.4g}%"


def probability(value: float) -> str:
    """Return a posterior probability in percent; the ends are never called certain."""
    if value > 0.999:
        return "> 99.9%"
    return "< 0.1%" if value < 0.001 else f"{100 * value:.1f}%"


def plural(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 doctor``, ``1,200 doctors``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
