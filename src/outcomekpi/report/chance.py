"""How much of the differences is luck, in words: reliability, caseload, spread, funnel."""

from math import isfinite

import pandas as pd

from outcomekpi.adjustment.fit import Fit
from outcomekpi.profiling.caseload import plan_caseload
from outcomekpi.profiling.funnel import FunnelLimits
from outcomekpi.profiling.reliability import Reliability
from outcomekpi.profiling.variation import describe_variation
from outcomekpi.report.numbers import RateStyle, decimal, percent, plural

__all__ = ["write_chance"]

JUDGED_ALONE = 0.7  # reliability that is often asked for before one doctor is judged
OUT_OF_REACH = 1e5  # cases; beyond this the number needed says no more than "more than anyone has"


def write_chance(
    fit: Fit,
    table: pd.DataFrame,
    *,
    raw_rates: pd.Series,
    reliability: Reliability,
    limits: FunnelLimits | None,
    style: RateStyle,
    level: float,
) -> tuple[str, ...]:
    """Say in words how much of the differences between the doctors is luck.

    Parameters
    ----------
    fit : for the spread between doctors
    table : indexed by doctor, columns of ``doctors.csv``
    raw_rates : rates before adjustment, of the doctors whose counts may be seen
    reliability : of each doctor's result
    limits : funnel limits of the doctors whose counts may be seen; None where there is no funnel
    style, level : how rates are written, probability of the intervals
    """
    paragraphs = [
        _describe_range(table, raw_rates, style),
        _describe_reliability(reliability),
        _describe_spread(fit, level),
        _describe_funnel(limits),
    ]
    return tuple(paragraph for paragraph in paragraphs if paragraph)


def _describe_range(table: pd.DataFrame, raw_rates: pd.Series, style: RateStyle) -> str:
    if len(raw_rates) < 2:
        return ""
    whose = "the doctors'" if len(raw_rates) == len(table) else "the shown doctors'"
    low, high = style.write(raw_rates.min()), style.write(raw_rates.max())
    after = f"{style.write(table['rate'].min())} to {style.write(table['rate'].max())}"
    return (
        f"Before adjustment {whose} {style.noun}s go from {low} to {high}. Once case mix and "
        f"chance are taken into account, those of all go from {after}."
    )


def _describe_reliability(reliability: Reliability) -> str:
    values = reliability.estimate.dropna()
    if values.empty:
        return ""
    middle = float(values.median())
    enough = int((values >= JUDGED_ALONE).sum())
    cases = float(plan_caseload(reliability, targets=(JUDGED_ALONE,)).to_frame()["cases"].iloc[0])
    reach = f"{cases:,.0f}" if isfinite(cases) and cases < OUT_OF_REACH else "far more than 100,000"
    return (
        f"The reliability of a typical doctor's result is {middle:.2f}: about {middle:.0%} of the "
        f"differences seen between doctors with such a caseload are real, the other "
        f"{1 - middle:.0%} are luck. {enough or 'None'} of {plural(len(values), 'doctor')} "
        f"{'reaches' if enough < 2 else 'reach'} {JUDGED_ALONE:g}, which is often asked for before "
        f"a single doctor is judged; it takes about {reach} cases per doctor."
    )


def _describe_spread(fit: Fit, level: float) -> str:
    frame = describe_variation(fit).to_frame(level=level)
    row = frame[frame.index.str.startswith("median_") & frame.index.str.endswith("_doctor")].iloc[0]
    if fit.model.family == "gaussian":
        unit = fit.cases.roles["outcome"]
        return (
            "For like patients, two doctors picked at random typically differ by "
            f"{row['median']:.3g} in {unit} ({percent(level)} interval "
            f"{row['lower']:.3g} to {row['upper']:.3g})."
        )
    has_odds = fit.model.family in ("bernoulli", "binomial")
    what = "odds of the event" if has_odds else "rate of events"
    return (
        f"For like patients, the {what} of two doctors picked at random typically differ by a "
        f"factor of {decimal(row['median'], 2)} ({percent(level)} interval "
        f"{decimal(row['lower'], 2)} to {decimal(row['upper'], 2)}; 1 would be no difference)."
    )


def _describe_funnel(limits: FunnelLimits | None) -> str:
    if limits is None:
        return ""
    level, shown = limits.levels[0], len(limits.value)
    outside = int((limits.to_frame()["beyond"] >= level).sum())
    return (
        f"If all doctors were equally good, chance alone would put at most about "
        f"{shown * (1 - level):,.1f} of {shown:,} outside the {percent(level)} limits of the "
        f"funnel plot; {outside:,} {'lies' if outside == 1 else 'lie'} outside. "
        + _excess(outside, shown, level)
    )


def _excess(outside: int, shown: int, level: float) -> str:
    """Say whether so many doctors outside the funnel are more than chance explains."""
    from scipy.stats import binom

    if outside > binom.ppf(0.99, shown, 1 - level):
        return (
            "That is more than chance explains: the doctors do differ, or their patients do in "
            "ways that were not recorded. The funnel looks at each doctor alone; who stands out "
            "above is judged with all doctors in view."
        )
    return "Chance alone could do that."
