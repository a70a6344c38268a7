"""The report: one HTML file with the answer, the table, the pictures, the checks and the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import pandas as pd

from outcomekpi.calibration.check import check_calibration
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError, check_kind
from outcomekpi.declare.fields import Level, Range
from outcomekpi.draws.checks import CheckResult
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.draws.threads import in_threads
from outcomekpi.pages import passages
from outcomekpi.pages.answer import write_answer
from outcomekpi.pages.bar import Bar, name_bar
from outcomekpi.pages.cells import PlainTable, plain_table
from outcomekpi.pages.chance import write_chance
from outcomekpi.pages.figures import draw_pictures
from outcomekpi.pages.listing import list_doctors
from outcomekpi.pages.numbers import RateStyle, percent, plural, rate_style
from outcomekpi.pages.page import check_target, render_page, write_page
from outcomekpi.pages.publication import Publication, publish, published_table
from outcomekpi.pages.published_risk import add_published_risk
from outcomekpi.pages.reference import explain_expected
from outcomekpi.pages.sketches import (
    sketch_checks,
    sketch_funnel,
    sketch_reliability,
    sketch_rows,
    sketch_shrinkage,
    sketch_spread,
)
from outcomekpi.posterior.diagnostics import check_sampling
from outcomekpi.posterior.fit import Fit
from outcomekpi.posterior.predictive import check_predictive
from outcomekpi.posterior.sensitivity import check_prior_sensitivity
from outcomekpi.profiling.classification import Classification
from outcomekpi.profiling.evaluation import Evaluation
from outcomekpi.profiling.funnel import funnel_limits
from outcomekpi.profiling.ranking import Ranks
from outcomekpi.profiling.standardization import StandardizedRates

__all__ = [
    "Checks",
    "Verdict",
    "describe_checks",
    "explain_words",
    "quick_checks",
    "report",
    "state_limits",
    "write_report",
]

CONTENTS = (
    ("answer", "Answer"),
    ("asked", "Question"),
    ("cases", "Cases"),
    ("doctors", "Doctors"),
    ("pictures", "Pictures"),
    ("checks", "Checks"),
    ("model", "Model"),
    ("reading", "How to read it"),
    ("limits", "Limits"),
    ("provenance", "Provenance"),
)


# The checks of a report: which ones run by themselves, and what they say
QUICK_UP_TO = 100_000  # rows; replicating more than these takes longer than fitting them
REFIT_UP_TO = 50_000  # rows; two refits of these take a second or two


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One check as the report prints it."""

    name: str
    kind: str
    status: str
    verdict: str
    table: PlainTable | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """The section on checks: an opening sentence, the verdicts, the engine's own numbers."""

    intro: str
    items: tuple[Verdict, ...]
    engine: PlainTable | None


def quick_checks(fit: Fit, *, level: float) -> list[CheckResult]:
    """Run the checks that take seconds for a table of this size; sampling always."""
    checks = [check_sampling(fit)]
    if fit.cases.outcome.size <= QUICK_UP_TO:
        both = [check_predictive, check_calibration]
        checks += in_threads(lambda check: check(fit, level=level), both)
    if fit.engine == "quadrature" and fit.cases.outcome.size <= REFIT_UP_TO:
        checks.append(check_prior_sensitivity(fit))
    return checks


def describe_checks(fit: Fit, checks: Sequence[CheckResult], *, with_tables: bool) -> Checks:
    """Say what the checks found, with the numbers behind them unless counts are withheld."""
    items = tuple(
        Verdict(
            name=check.name,
            kind={True: "passed", False: "failed", None: ""}[check.passed],
            status=check.status,
            verdict=check.verdict,
            table=plain_table(check.table) if with_tables and len(check.table) else None,
        )
        for check in checks
    )
    engine = pd.DataFrame({"value": fit.diagnostics})
    engine.index.name = "diagnostic"
    return Checks(
        intro=_introduce(checks),
        items=items,
        engine=plain_table(engine) if len(engine) else None,
    )


def _introduce(checks: Sequence[CheckResult]) -> str:
    if not checks:
        return (
            "No checks of the model were run for this report. Before anyone acts on it, run "
            "check_sampling, check_predictive, check_calibration and check_prior_sensitivity."
        )
    failed = [check.name for check in checks if check.passed is False]
    judged = sum(check.passed is not None for check in checks)
    if failed:
        return (
            f"{len(failed)} of {plural(judged, 'check')} failed: {'; '.join(failed)}. Read the "
            "results of this report with that in mind."
        )
    return f"{'The check' if judged == 1 else f'All {judged} checks'} that judge the model passed."


# How to read a report, and what its data cannot say
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


def report(
    fit: Fit | Evaluation,
    rates: StandardizedRates | None = None,
    ranks: Ranks | None = None,
    flags: Classification | None = None,
    *,
    path: str | Path,
    checks: Sequence[CheckResult] | None = None,
    title: str | None = None,
    level: Level = DEFAULT_LEVEL,
    benchmark: float | None = None,
    suppress_below: Annotated[int, Range(low=2)] | None = None,
) -> Path:
    """Write one HTML file that tells a head of department what the data say about the doctors.

    The file needs nothing else: no network, no other file. It holds the answer in words, the
    table of doctors (sortable, searchable), pictures, checks, the model with its priors, how to
    read it, its limits, and its provenance. The same results give the same bytes.

    Parameters
    ----------
    fit, rates, ranks, flags : one chain of results; or an evaluation alone, which holds all four
    path : HTML file to write or replace; its folder is made if need be
    checks : results of ``check_*``; None runs the quick ones, an empty list runs none, and the
        report says so
    title : heading of the report; None names the outcome
    level : probability of every interval
    benchmark : rate that doctors are compared with elsewhere, where the flags have a threshold of
        their own; the report then tells the two apart
    suppress_below : for publication, withhold doctors with a count of cases, events or cases
        without the event below this, and fit the model to cases in which those who are withheld
        have exchanged their patients (see :func:`outcomekpi.pages.publication.publish`)

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    SpecError
        The results are about different doctors, or a choice cannot be used.
    StorageError
        The file cannot be written.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(), draws=400)
    >>> rates = ok.standardize(fit)
    >>> results = fit, rates, ok.rank(rates), ok.classify(rates)
    >>> ok.report(*results, path="2026-surgery.html", checks=[])  # doctest: +SKIP
    """
    check_arguments(report, locals())
    if isinstance(fit, Evaluation) and benchmark is None:
        own = fit.flags is not fit.against_benchmark
        benchmark = fit.against_benchmark.threshold if own else None
    results = _chain(fit, rates, ranks, flags)
    target = check_target(path)
    if suppress_below is not None and checks:
        raise SpecError(
            "With suppress_below the model is fitted anew, and checks of the first fit would give "
            "counts away. Pass checks=None, which runs the quick ones, or checks=[]."
        )
    publication = publish(*results, below=suppress_below)
    return write_report(
        publication, path=target, checks=checks, title=title, level=level, benchmark=benchmark
    )


def _chain(
    fit: object, rates: object, ranks: object, flags: object
) -> tuple[Fit, StandardizedRates, Ranks, Classification]:
    """Return the four results that a report is written from, as they came or out of one."""
    if isinstance(fit, Evaluation):
        if (rates, ranks, flags) != (None, None, None):
            raise SpecError(
                "report takes an evaluation alone, or fit, rates, ranks and flags; got an "
                "evaluation and more. Leave the others out."
            )
        return fit.fit, fit.rates, fit.ranks, fit.flags
    check_kind("fit", fit, Fit, "fit(cases, spec)")
    check_kind("rates", rates, StandardizedRates, "standardize(fit)")
    check_kind("ranks", ranks, Ranks, "rank(rates)")
    check_kind("flags", flags, Classification, "classify(rates)")
    return cast("tuple[Fit, StandardizedRates, Ranks, Classification]", (fit, rates, ranks, flags))


def write_report(
    publication: Publication,
    *,
    path: Path,
    checks: Sequence[CheckResult] | None = None,
    title: str | None = None,
    level: float = DEFAULT_LEVEL,
    benchmark: float | None = None,
    figures: Path | None = None,
) -> Path:
    """Write the report of results of which it is settled who is shown.

    Parameters
    ----------
    publication : the results
    path : HTML file to write or replace
    checks, title, level, benchmark : as in :func:`report`
    figures : folder in which every picture is written as PNG too
    """
    if checks is None:
        checks = quick_checks(publication.fit, level=level)
    context = _gather(publication, checks=checks, title=title, level=level, benchmark=benchmark)
    context["figures"] = draw_pictures(context["figures"], folder=figures)
    return write_page(path, render_page("doctors", context))


def _gather(
    publication: Publication,
    *,
    checks: Sequence[CheckResult],
    title: str | None,
    level: float,
    benchmark: float | None,
) -> dict[str, Any]:
    """Bring together everything the template writes."""
    fit, mask = publication.fit, publication.mask
    rates, shown = publication.everyone, publication.rates
    ranks, flags, reliabilities = publication.ranks, publication.flags, publication.reliabilities
    style = rate_style(fit, rates)
    bar = name_bar(flags, benchmark, style)
    table = published_table(publication, flags, level=level)
    limits = funnel_limits(shown) if len(shown.cases) > 1 else None
    outcome = fit.cases.roles["outcome"]
    return {
        "title": title if title is not None else f"{outcome}: results of the doctors",
        "subtitle": _subtitle(fit, rates, style),
        "masked_note": mask.note,
        "contents": CONTENTS,
        "answer": write_answer(
            table,
            ranks,
            flags,
            style=style,
            level=level,
            bar=bar,
            luck=write_chance(
                fit,
                table,
                raw_rates=shown.raw_rate,
                reliability=reliabilities,
                style=style,
                level=level,
                average_doctor=rates.average_doctor,
            ),
        ),
        "asked": passages.describe_question(fit, rates, flags, style=style, level=level, bar=bar),
        "case_facts": passages.describe_cases(fit, rates, style=style, mask=mask),
        "case_log": publication.log,
        "table": list_doctors(table, fit, flags, style=style, mask=mask, level=level, bar=bar),
        "figures": [
            *sketch_funnel(shown, flags, limits),
            *sketch_rows(shown, ranks, flags, level=level),
            *sketch_shrinkage(shown, level=level),
            *sketch_reliability(reliabilities, level=level),
            *sketch_spread(fit, level=level),
            *sketch_checks(checks, mask, rates.family),
        ],
        "checks": describe_checks(fit, checks, with_tables=mask.below is None),
        "model": passages.describe_model(fit, rates, level=level),
        "terms": passages.describe_terms(fit, level=level),
        "terms_note": passages.describe_scale(fit, level=level),
        "priors": passages.describe_priors(fit),
        "priors_note": passages.describe_centering(fit),
        "glossary": explain_words(rates, style=style, level=level, bar=bar),
        "limits": state_limits(fit, rates),
        "provenance": passages.describe_provenance(fit),
        "version": fit.provenance.versions.get("outcomekpi", ""),
    }


def _subtitle(fit: Fit, rates: StandardizedRates, style: RateStyle) -> str:
    roles = fit.cases.roles
    return (
        f"{plural(int(rates.cases.sum()), 'case')} of {plural(len(rates.cases), 'doctor')}"
        f"{' over ' + roles['exposure'] if 'exposure' in roles else ''}; a {rates.direction} "
        f"{style.noun} of {roles['outcome']} is better. Fitted on {fit.provenance.created[:10]}."
    )
