"""The report: one HTML file with the answer, the table, the pictures, the checks and the model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from outcomekpi.declare.errors import SpecError, check_kind
from outcomekpi.draws.checks import CheckResult
from outcomekpi.draws.intervals import DEFAULT_LEVEL, check_level
from outcomekpi.pages import passages
from outcomekpi.pages.answer import write_answer
from outcomekpi.pages.bar import name_bar
from outcomekpi.pages.chance import write_chance
from outcomekpi.pages.figures import draw_pictures
from outcomekpi.pages.listing import list_doctors
from outcomekpi.pages.numbers import RateStyle, plural, rate_style
from outcomekpi.pages.page import check_target, render_page, write_page
from outcomekpi.pages.publication import Publication, publish, published_table
from outcomekpi.pages.reading import explain_words, state_limits
from outcomekpi.pages.sketches import (
    sketch_checks,
    sketch_funnel,
    sketch_reliability,
    sketch_rows,
    sketch_shrinkage,
    sketch_spread,
)
from outcomekpi.pages.verdicts import describe_checks, quick_checks
from outcomekpi.posterior.fit import Fit
from outcomekpi.profiling.classification import Classification
from outcomekpi.profiling.funnel import funnel_limits
from outcomekpi.profiling.ranking import Ranks
from outcomekpi.profiling.standardization import StandardizedRates

__all__ = ["report", "write_report"]

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


def report(
    fit: Fit,
    rates: StandardizedRates,
    ranks: Ranks,
    flags: Classification,
    *,
    path: str | Path,
    checks: Sequence[CheckResult] | None = None,
    title: str | None = None,
    level: float = DEFAULT_LEVEL,
    benchmark: float | None = None,
    suppress_below: int | None = None,
) -> Path:
    """Write one HTML file that tells a head of department what the data say about the doctors.

    The file needs nothing else: no network, no other file. It holds the answer in words, the
    table of doctors (sortable, searchable), pictures, checks, the model with its priors, how to
    read it, its limits, and its provenance. The same results give the same bytes.

    Parameters
    ----------
    fit, rates, ranks, flags : one chain of results
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
    check_kind("fit", fit, Fit, "fit(cases, spec)")
    check_kind("rates", rates, StandardizedRates, "standardize(fit)")
    check_kind("ranks", ranks, Ranks, "rank(rates)")
    check_kind("flags", flags, Classification, "classify(rates)")
    check_level(level)
    target = check_target(path)
    if suppress_below is not None and checks:
        raise SpecError(
            "With suppress_below the model is fitted anew, and checks of the first fit would give "
            "counts away. Pass checks=None, which runs the quick ones, or checks=[]."
        )
    publication = publish(fit, rates, ranks, flags, below=suppress_below)
    return write_report(
        publication, path=target, checks=checks, title=title, level=level, benchmark=benchmark
    )


def write_report(
    publication: Publication,
    *,
    path: Path,
    checks: Sequence[CheckResult] | None = None,
    title: str | None = None,
    level: float = DEFAULT_LEVEL,
    benchmark: float | None = None,
) -> Path:
    """Write the report of results of which it is settled who is shown.

    Parameters
    ----------
    publication : the results
    path : HTML file to write or replace
    checks, title, level, benchmark : as in :func:`report`
    """
    if checks is None:
        checks = quick_checks(publication.fit, level=level)
    context = _gather(publication, checks=checks, title=title, level=level, benchmark=benchmark)
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
        "figures": draw_pictures(
            [
                *sketch_funnel(shown, flags, limits),
                *sketch_rows(shown, ranks, flags, level=level),
                *sketch_shrinkage(shown, level=level),
                *sketch_reliability(reliabilities, level=level),
                *sketch_spread(fit, level=level),
                *sketch_checks(checks, mask, rates.family),
            ]
        ),
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
