"""What each doctor is compared with, and the sums that show it."""

from outcomekpi.pages.numbers import RateStyle, count, decimal, percent
from outcomekpi.profiling.standardization import StandardizedRates

__all__ = ["describe_reference", "describe_sums", "expected_of", "explain_expected"]

WHOSE = {
    "population": "these doctors would have had on average",
    "median": "a doctor with an effect of 0 would have had",
}


def expected_of(rates: StandardizedRates) -> str:
    """Say in a few words whose events are expected."""
    return f"events that {WHOSE[rates.average_doctor]} with the same cases"


def explain_expected(rates: StandardizedRates) -> str:
    """Say in sentences what observed and expected events are."""
    said = f"Events that happened, and {expected_of(rates)}."
    if rates.average_doctor == "population":
        return (
            f"{said} Those of all doctors add up to the predicted events, and as far as the model "
            "fits to those that happened."
        )
    return f"{said} Those of all doctors need not add up to the events that happened."


def describe_reference(rates: StandardizedRates, style: RateStyle) -> str:
    """Say what each doctor is compared with."""
    where = {
        "within": " in the same hospital",
        "population": " over all hospitals",
        None: "",
    }[rates.hospital]
    if rates.average_doctor == "population":
        return (
            f"what these doctors do on average{where} with the same cases; standardized "
            f"{style.noun}s average the overall {style.noun}"
        )
    return (
        f"a doctor with an effect of 0{where} (the middle of the doctors, as in the measures of "
        f"CMS); standardized {style.noun}s need not average the overall {style.noun}"
    )


def describe_sums(rates: StandardizedRates, style: RateStyle, *, level: float) -> str:
    """Say what was observed, expected and predicted of all doctors together."""
    totals = rates.totals(level=level)
    rows = dict(zip(totals.index, totals.to_numpy(), strict=True))
    of_means = rates.family == "gaussian"

    def write(value: float) -> str:
        return style.write(value / float(rates.exposure.sum())) if of_means else decimal(value, 1)

    def span(name: str) -> str:
        mean, lower, upper = rows[name]
        return f"{write(mean)} {name} ({percent(level)} interval {write(lower)} to {write(upper)})"

    seen = float(rows["observed"][0])
    observed = f"{write(seen) if of_means else count(seen)} observed"
    what = "mean of all cases" if of_means else "events of all doctors together"
    return f"{what.capitalize()}: {observed}, {span('expected')}, {span('predicted')}."
