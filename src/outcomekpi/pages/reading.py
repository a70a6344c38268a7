"""How to read a report, and what its data cannot say."""

from outcomekpi.pages.bar import Bar
from outcomekpi.pages.numbers import RateStyle, percent
from outcomekpi.pages.published_risk import add_published_risk
from outcomekpi.pages.reference import explain_expected
from outcomekpi.posterior.fit import Fit
from outcomekpi.profiling.standardization import StandardizedRates

__all__ = ["explain_words", "state_limits"]


def explain_words(
    rates: StandardizedRates, *, style: RateStyle, level: float, bar: Bar
) -> list[tuple[str, str]]:
    """Explain the words of the table and the pictures to someone who is no statistician."""
    noun = style.noun
    words = [
        (
            f"Standardized {noun}",
            f"The {noun} a doctor would have with the cases that all doctors have together. What "
            "is due to the patients (as far as the data describe them) and to chance has been "
            "taken out as well as can be done.",
        ),
        (
            f"{percent(level)} interval",
            f"The standardized {noun} lies in it with {percent(level)} probability, given the "
            "model. A wide interval means: too few cases to know.",
        ),
        (
            "Probability worse, probability better",
            f"How probable it is that the standardized {noun} lies on that side of "
            f"{_of(bar, style)}. 50% is a coin toss.",
        ),
        (
            "Stands out",
            "The probability on one side is above what the rule asks for. A reason to look into "
            "the cases, not a verdict on the doctor.",
        ),
        (
            "Expected rank and rank interval",
            "Rank 1 is best. Ranks sound more certain than they are: the interval says which "
            "places are compatible with the data.",
        ),
        (
            "Reliability",
            "Between 0 and 1: which share of the differences between doctors with such a caseload "
            "is real, the rest being luck. Below about 0.5 the same doctor could easily look "
            "quite different next year without having changed anything.",
        ),
    ]
    if rates.family != "gaussian":
        words.insert(
            1,
            (
                "Observed and expected",
                explain_expected(rates),
            ),
        )
    return words


def _of(bar: Bar, style: RateStyle) -> str:
    return "the benchmark" if bar.noun == "benchmark" else bar.words(style)


def state_limits(fit: Fit, rates: StandardizedRates) -> list[str]:
    """State what the data and the model cannot say."""
    adjusted = add_published_risk(fit, fit.spec.case_mix)
    known = (
        f"Only the case mix that was recorded is adjusted for ({adjusted})."
        if adjusted
        else "Nothing was adjusted for: a doctor who takes on sicker patients looks worse here."
    )
    lines = [
        f"{known} Patients also differ in ways that these data do not hold, and referral, coding "
        "and completeness of records differ between doctors.",
        "A doctor who stands out may do so because of patients, team, equipment, records or "
        "chance. The numbers say where to look, not what will be found there.",
        "A doctor who does not stand out has not been shown to be average. With few cases even a "
        "large difference stays hidden.",
        "Each case is credited to one doctor. Outcomes are the work of many people.",
        "One outcome is one aspect of care. Nothing is said here about any other.",
        "Results of doctors with few cases are pulled towards the average. That makes them right "
        "more often, and it makes unusual doctors with few cases look ordinary.",
        "The intervals hold if the model does. The checks above test it on the same data.",
    ]
    if rates.hospital == "within":
        lines.append(
            "Each doctor is compared with doctors of the same hospital. Differences "
            "between hospitals are not held against, or for, the doctors."
        )
    if rates.measure == "O/E":
        lines.append(
            "The measure is O/E, which takes the observed events as certain: intervals, ranks and "
            "probabilities in this report are too certain. P/E is made for judging."
        )
    return lines
