"""The fixed and half-fixed passages: what was asked, the cases, the model, the provenance."""

import numpy as np
import pandas as pd

from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.model.priors import Normal
from outcomekpi.pages.answer import rule_in_words
from outcomekpi.pages.bar import Bar
from outcomekpi.pages.cells import PlainTable, plain_table
from outcomekpi.pages.masking import Mask
from outcomekpi.pages.numbers import RateStyle, count, decimal, percent, plural
from outcomekpi.pages.published_risk import (
    add_published_risk,
    count_published_risk,
    explain_published_risk,
)
from outcomekpi.pages.reference import describe_reference
from outcomekpi.pages.statements import Facts, list_provenance
from outcomekpi.posterior.fit import Fit
from outcomekpi.profiling.classification import Classification
from outcomekpi.profiling.standardization import StandardizedRates

__all__ = [
    "describe_cases",
    "describe_centering",
    "describe_model",
    "describe_priors",
    "describe_provenance",
    "describe_question",
    "describe_scale",
    "describe_terms",
]

MEASURES = {
    "P/E": "P/E: events predicted for the doctor over events expected with the same cases, times "
    "the overall rate (risk-standardized rate)",
    "O/E": "O/E: events observed over events expected with the same cases, "
    "times the overall rate; chance in the observed events is not taken out",
    "direct": "direct: the rate that all cases together would have with this doctor",
}
MEASURES_OF_MEANS = {
    "P/E": "the mean that the model predicts for the doctor's cases, less the mean expected with "
    "the same cases, plus the overall mean",
    "O/E": "the mean observed, less the mean expected with the same cases, "
    "plus the overall mean; chance in the observed mean is not taken out",
    "direct": "direct: the mean that all cases together would have with this doctor",
}
FAMILIES = {
    "bernoulli": "a logistic regression of events among cases",
    "binomial": "a logistic regression of events among cases",
    "poisson": "a Poisson regression of counts",
    "negative_binomial": "a negative binomial regression of counts",
    "gaussian": "a linear regression of measurements",
}


def describe_question(
    fit: Fit,
    rates: StandardizedRates,
    flags: Classification,
    *,
    style: RateStyle,
    level: float,
    bar: Bar,
) -> Facts:
    """List what was asked: outcome, direction, doctors, adjustment, benchmark, rule."""
    roles = fit.cases.roles
    outcome = roles["outcome"]
    if fit.cases.event is not None:
        outcome += f" (the event is {fit.cases.event})"
    facts = [
        ("Outcome", outcome),
        ("Better is", f"a {rates.direction} {style.noun}"),
        (
            "Judged are",
            f"the {len(rates.cases):,} values of {roles['doctor']}, called doctors here",
        ),
        (
            "Adjusted for",
            add_published_risk(fit, fit.spec.case_mix)
            or f"nothing: {style.noun}s are compared as they are",
        ),
    ]
    if fit.spec.doctor_level:
        facts.append(("Shrunken towards doctors alike in", fit.spec.doctor_level))
    if rates.measure != "direct":
        facts.append(("Compared with", describe_reference(rates, style)))
    measures = MEASURES_OF_MEANS if rates.family == "gaussian" else MEASURES
    facts += [
        ("Measure", measures[rates.measure]),
        (bar.noun.capitalize(), f"{_with_unit(style, bar.value)} ({bar.origin})"),
        *_other_benchmark(bar, style),
        ("Rule", rule_in_words(flags, style, bar)),
        ("Intervals", f"hold the true value with {percent(level)} probability, given the model"),
    ]
    return facts


def _other_benchmark(bar: Bar, style: RateStyle) -> Facts:
    if bar.benchmark is None:
        return []
    return [
        (
            "Benchmark",
            f"{_with_unit(style, bar.benchmark)}; p_worse and p_better in doctors.csv are about "
            f"it, all probabilities in this report about the {bar.noun}",
        )
    ]


def describe_cases(fit: Fit, rates: StandardizedRates, *, style: RateStyle, mask: Mask) -> Facts:
    """List how many cases, doctors and events there are."""
    cases = rates.cases
    facts = [("Cases", count(float(cases.sum()))), ("Doctors", f"{len(cases):,}")]
    if fit.cases.hospitals is not None:
        facts.append(("Hospitals", f"{len(fit.cases.hospitals):,}"))
    if "exposure" in fit.cases.roles:
        facts.append((f"Exposure ({fit.cases.roles['exposure']})", count(rates.exposure.sum())))
    if rates.family != "gaussian":
        facts.append(("Events", count(float(rates.observed.sum()))))
    facts.append((f"Overall {style.noun}", _with_unit(style, rates.reference_rate)))
    facts += count_published_risk(fit)
    if mask.hidden.any():
        facts.append(("Doctors withheld", f"{int(mask.hidden.sum()):,}"))
    visible = cases[mask.shown]
    if len(visible):
        low, middle, high = (float(x) for x in np.quantile(visible, [0.0, 0.5, 1.0]))
        among = " (of the doctors shown)" if mask.hidden.any() else ""
        span = f"{count(low)} to {count(high)}, median {count(middle)}"
        each = f"{count(low)} each" if low == high else span
        facts.append(("Cases per doctor", each + among))
    if rates.family != "gaussian" and not mask.hidden.any():
        none = int((rates.observed == 0).sum())
        facts.append(("Doctors without events", f"{none:,}"))
    return facts


def _with_unit(style: RateStyle, value: float) -> str:
    return f"{style.write(value)} {style.unit}"


def describe_model(
    fit: Fit, rates: StandardizedRates, *, level: float = DEFAULT_LEVEL
) -> list[str]:
    """Say in sentences what the model is and how it was computed."""
    spec, model = fit.spec, fit.model
    spread = "normal" if model.doctor_effects == "normal" else "Student-t"
    hospitals = " Doctors are nested in hospitals, which have effects of their own."
    draws = fit.draws["posterior"]["sd_doctor"].size
    engine = {
        "quadrature": "integrating the doctor effects out by quadrature",
        "nuts": "Hamiltonian Monte Carlo (NUTS)",
    }[fit.engine]
    adjusted = f"case mix ({spec.case_mix})" if spec.case_mix else "no case mix"
    sentences = [
        f"Doctors were compared by {FAMILIES[model.family]}, with {adjusted} and one effect per "
        f"doctor. The doctors' effects are taken to come from one {spread} distribution whose "
        "spread is learned from the data: that is what pulls a doctor with few cases towards the "
        f"average.{hospitals if model.hospital_code is not None else ''}",
    ]
    if spec.mundlak:
        sentences.append(
            "Doctor means of the covariates were added (Mundlak terms), so that differences "
            "between the doctors' patients are not taken for effects of the covariates."
        )
    sentences += explain_published_risk(fit, level=level)
    sentences.append(
        f"The posterior was computed by {engine}; every number in this report is read from the "
        f"same {draws:,} draws. {_method(rates)}"
    )
    return sentences


def _method(rates: StandardizedRates) -> str:
    if not rates.relative_error:
        return ""
    return (
        f"Sums over cases were computed by {rates.method}; the largest error found on a sample of "
        f"doctors is {100 * rates.relative_error:.2g} %."
    )


def describe_terms(fit: Fit, *, level: float) -> PlainTable:
    """Lay out coefficients and standard deviations, with ratios where the link gives them."""
    frame = fit.to_frame(level=level)
    ratio = {"bernoulli": "odds ratio", "binomial": "odds ratio"}.get(
        fit.model.family, "rate ratio"
    )
    if fit.model.family != "gaussian":
        slope = [term in fit.design.terms for term in frame.index]
        limits = np.exp(frame[["mean", "lower", "upper"]].to_numpy())
        frame[ratio] = [
            f"{decimal(m, 2)} ({decimal(low, 2)} to {decimal(high, 2)})" if is_slope else ""
            for (m, low, high), is_slope in zip(limits, slope, strict=True)
        ]
    return plain_table(frame)


def describe_scale(fit: Fit, *, level: float) -> str:
    """Say in which units the coefficients are."""
    unit = {
        "bernoulli": "log odds",
        "binomial": "log odds",
        "gaussian": f"units of {fit.cases.roles['outcome']}",
    }.get(fit.model.family, "logarithms of the rate")
    return (
        f"mean, sd, lower and upper are in {unit}, per unit of each covariate; lower and upper "
        f"bound the {percent(level)} interval. sd_doctor is the spread between doctors."
    )


def describe_priors(fit: Fit) -> PlainTable:
    """Lay out every prior that was used, with the numbers that were used."""
    priors, model = fit.model.priors, fit.model
    rows: list[tuple[str, str, str]] = [
        ("intercept", str(priors.intercept), "average case of a doctor with effect 0, link scale")
    ]
    if fit.design.terms:
        rows.append(("coefficients", str(priors.coefficient), "per SD of each covariate"))
    rows.append(("sd_doctor", str(priors.sd_doctor), "spread between doctors"))
    if model.hospital_code is not None:
        rows.append(("sd_hospital", str(priors.sd_hospital), "spread between hospitals"))
    if model.family == "gaussian":
        rows.append(("sd_residual", str(priors.sd_residual), "spread between cases"))
    if model.family == "negative_binomial":
        rows.append(("dispersion", str(priors.dispersion), "1/sqrt of the size parameter"))
    return plain_table(
        pd.DataFrame(rows, columns=["parameter", "prior", "what it is about"]), index=False
    )


def describe_centering(fit: Fit) -> str:
    """Say which parts of the priors were assumed beforehand, and which look at the data."""
    told = "What was assumed beside the data."
    given = fit.spec.priors.intercept
    if isinstance(given, Normal) and given.mean is None:
        level = "the rate observed in these very cases"
        if fit.model.family == "gaussian":
            level = "the mean observed in these very cases"
        if fit.cases.offset is not None:
            level = f"the level at which {fit.cases.roles['offset']} adds up to what was observed"
        told += (
            f" The intercept's prior is centered at {level}, so that it was not fixed before they "
            "were seen."
        )
    if fit.model.family == "gaussian":
        told += " All scales are multiples of the SD of the outcome."
    return f"{told} Covariates are standardized inside, so that one prior fits all."


def describe_provenance(fit: Fit) -> Facts:
    """List when, from what and with what the numbers were computed."""
    told = list_provenance(
        fit.provenance, done="Fitted", data="the cases", asked="the specification"
    )
    return [*told, ("Cases", plural(int(fit.cases.outcome.size), "row"))]
