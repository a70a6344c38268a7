"""How much of the differences is luck, in words: reliability, caseload, spread, tests."""

from math import isfinite

import pandas as pd

from outcomekpi.draws.checks import most_by_chance
from outcomekpi.pages.numbers import RateStyle, decimal, percent, plural
from outcomekpi.posterior.fit import Fit
from outcomekpi.profiling.caseload import plan_caseload
from outcomekpi.profiling.doctor_population import AverageDoctor
from outcomekpi.profiling.exact import exact_test
from outcomekpi.profiling.reliability import Reliability
from outcomekpi.profiling.variation import describe_variation

__all__ = ["write_chance"]

JUDGED_ALONE = 0.7  # reliability that is often asked for before one doctor is judged
SURPRISING = 0.05
TESTED_UP_TO = 2_000_000  # rows; the tests of more take longer than the fit
OUT_OF_REACH = 1e5  # cases; beyond this the number needed says no more than "more than anyone has"


def write_chance(
    fit: Fit,
    table: pd.DataFrame,
    *,
    raw_rates: pd.Series,
    reliability: Reliability,
    style: RateStyle,
    level: float,
    average_doctor: AverageDoctor = "population",
) -> tuple[str, ...]:
    """Say in words how much of the differences between the doctors is luck.

    Parameters
    ----------
    fit : for the spread between doctors
    table : indexed by doctor, columns of ``doctors.csv``
    raw_rates : rates before adjustment, of the same doctors
    reliability : of each doctor's result
    style, level : how rates are written, probability of the intervals
    average_doctor : whose outcomes the tests take as expected
    """
    paragraphs = [
        _describe_range(table, raw_rates, style),
        _describe_reliability(reliability),
        _describe_spread(fit, style, level),
        _describe_tests(fit, table.index, average_doctor),
    ]
    return tuple(paragraph for paragraph in paragraphs if paragraph)


def _describe_range(table: pd.DataFrame, raw_rates: pd.Series, style: RateStyle) -> str:
    if len(raw_rates) < 2:
        return ""
    low, high = style.write(raw_rates.min()), style.write(raw_rates.max())
    after = f"{style.write(table['rate'].min())} to {style.write(table['rate'].max())}"
    return (
        f"Before adjustment the doctors' {style.noun}s go from {low} to {high}. Once case mix and "
        f"chance are taken into account, those of all go from {after}."
    )


def _describe_reliability(reliability: Reliability) -> str:
    values = reliability.estimate.dropna()
    if values.empty:
        return ""
    middle = float(values.median())
    enough = int((values >= JUDGED_ALONE).sum())
    cases = float(plan_caseload(reliability, targets=(JUDGED_ALONE,)).to_frame()["cases"].iloc[0])
    within_reach = isfinite(cases) and cases < OUT_OF_REACH
    reach = plural(round(cases), "case") if within_reach else "far more than 100,000 cases"
    return (
        f"The reliability of a typical doctor's result is {middle:.2f}: about {middle:.0%} of the "
        f"differences seen between doctors with such a caseload are real, the other "
        f"{1 - middle:.0%} are luck. {enough or 'None'} of {plural(len(values), 'doctor')} "
        f"{'reaches' if enough < 2 else 'reach'} {JUDGED_ALONE:g}, which is often asked for before "
        f"a single doctor is judged; it takes about {reach} per doctor."
    )


def _describe_spread(fit: Fit, style: RateStyle, level: float) -> str:
    frame = describe_variation(fit).to_frame(level=level)
    row = frame[frame.index.str.startswith("median_") & frame.index.str.endswith("_doctor")].iloc[0]
    if fit.model.family == "gaussian":
        return (
            "For like patients, two doctors picked at random typically differ by "
            f"{style.full(row['median'])} ({percent(level)} interval "
            f"{style.span(row['lower'], row['upper'])})."
        )
    has_odds = fit.model.family in ("bernoulli", "binomial")
    what = "odds of the event" if has_odds else "rates of events"
    return (
        f"For like patients, the {what} of two doctors picked at random typically differ by a "
        f"factor of {decimal(row['median'], 2)} ({percent(level)} interval "
        f"{decimal(row['lower'], 2)} to {decimal(row['upper'], 2)}; 1 would be no difference)."
    )


def _describe_tests(fit: Fit, shown: pd.Index, average_doctor: AverageDoctor) -> str:
    if fit.model.family == "negative_binomial" or fit.cases.outcome.size > TESTED_UP_TO:
        return ""
    p_values = exact_test(fit, average_doctor=average_doctor).to_frame()["p_value"]
    p_values = p_values[p_values.index.isin(shown)]
    n, found = len(p_values), int((p_values < SURPRISING).sum())
    said = (
        f"If all doctors were equally good, about {n * SURPRISING:,.1f} of {n:,} would still look "
        f"unusual when tested one by one at p < {SURPRISING:g}; {found:,} "
        f"{'does' if found == 1 else 'do'}. "
    )
    if found > most_by_chance(n, SURPRISING, within=0.99):
        return said + (
            "That is more than chance explains: the doctors do differ, or their patients do in "
            "ways that were not recorded. Such tests look at each doctor alone; who stands out "
            "above is judged with all doctors in view."
        )
    return said + "Chance alone could do that."
