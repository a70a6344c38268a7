"""The report on a pilot: one HTML file with the verdict, its gaps, and what would overturn it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import check_kind
from outcomekpi.declare.fields import Level
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.pages import pilot_passages as passages
from outcomekpi.pages.figures import draw_pictures
from outcomekpi.pages.page import check_target, render_page, write_page
from outcomekpi.pages.pilot_answer import answer_pilot, ended
from outcomekpi.pages.pilot_ledger import (
    complete_ledger,
    list_sensitivity,
    open_threats,
)
from outcomekpi.pages.pilot_sketches import sketch_pilot
from outcomekpi.pilots.ladder.effect import PilotEffect
from outcomekpi.pilots.ladder.verdicts import RUNGS
from outcomekpi.pilots.robustness.sensitivity import Sensitivity

__all__ = ["report_pilot"]

CONTENTS = (
    ("answer", "Answer"),
    ("effect", "Effect"),
    ("pictures", "Pictures"),
    ("threats", "Other explanations"),
    ("sensitivity", "Sensitivity"),
    ("assumptions", "Assumptions"),
    ("checklist", "Checklist"),
    ("program", "Program"),
    ("reading", "How to read it"),
    ("limits", "Limits"),
    ("provenance", "Provenance"),
)


def report_pilot(
    effect: PilotEffect,
    sensitivity: Sensitivity | None = None,
    *,
    path: str | Path,
    title: str | None = None,
    level: Level = DEFAULT_LEVEL,
    notes: Sequence[str] = (),
    publication_note: str = "",
) -> Path:
    """Write one HTML file that says what a pilot shows, and what it does not.

    The file needs nothing else: no network, no other file. It holds the verdict in the words of
    its kind of evidence, what it cannot say, the effect beside the plain difference, pictures, the
    ledger of other explanations with the strength at which each would make all of it, sensitivity,
    the checklist of reporting guidelines with answers, limits and provenance. The same results
    give the same bytes.

    Parameters
    ----------
    effect : of a pilot
    sensitivity : what would overturn it; None leaves placebos, single clusters and the frontier
        of other explanations out, where the design does not make them itself
    path : HTML file to write or replace; its folder is made if need be
    title : heading of the page; None names the program and the outcome
    level : probability of the intervals
    notes : what has to be known before the rest, such as warnings of the estimation
    publication_note : what was made sure of before publication (see
        :func:`outcomekpi.pages.pilot_masking.check_pilot_counts`)

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    SpecError
        A choice cannot be used.
    StorageError
        The file cannot be written.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> figures = ok.PublishedFigures(before=43, after=68, unit="percent", years=2)
    >>> effect = ok.compare_pilot(figures, ok.PublishedAggregates(direction="higher"))
    >>> ok.report_pilot(effect, path="pilot.html")  # doctest: +SKIP
    """
    check_arguments(report_pilot, locals())
    target = check_target(path)
    undone: tuple[str, ...] = ()
    if sensitivity is not None:
        check_kind("sensitivity", sensitivity, Sensitivity, "sensitivity(effect, data)")
        effect, undone = sensitivity.add_to(effect), sensitivity.notes
    context = _gather(effect, title=title, level=level, notes=tuple(notes))
    context["masked_note"] = publication_note
    context["undone"] = [ended(one) for one in undone]
    return write_page(target, render_page("pilot", context))


def _gather(
    effect: PilotEffect, *, title: str | None, level: float, notes: tuple[str, ...]
) -> dict[str, Any]:
    """Bring together everything the template writes."""
    findings = effect.findings_at(level)
    ledger = complete_ledger(effect, level=level)
    pictures = draw_pictures(sketch_pilot(effect, level=level))
    sensitivity = list_sensitivity(effect, level=level)
    absent = {"pictures"} if not pictures else set()
    return {
        "title": title if title is not None else _title(effect),
        "subtitle": _subtitle(effect),
        "contents": [entry for entry in CONTENTS if entry[0] not in absent],
        "answer": answer_pilot(effect, level=level, ledger=open_threats(ledger), notes=notes),
        "estimand": ended(findings.estimand),
        "effects": passages.lay_out_effects(effect, level=level),
        "origins": passages.describe_origins(findings),
        "pictures": pictures,
        "threats": [
            {
                "name": str(name),
                "direction": row["direction"],
                "tipping": ended(row["tipping"]),
                "handled": ended(row["handled"]) if row["handled"] else "",
            }
            for name, row in ledger.iterrows()
        ],
        "sensitivity": sensitivity,
        "checks": passages.describe_checks(findings),
        "assumptions": [ended(one) for one in findings.assumptions],
        "checklist": passages.list_checklist(effect.checklist_at(level)),
        "program": passages.describe_program(effect),
        "glossary": passages.explain_pilot_words(effect, level=level),
        "limits": passages.state_pilot_limits(effect),
        "provenance": passages.describe_pilot_provenance(effect),
        "version": effect.provenance.versions.get("outcomekpi", ""),
    }


def _title(effect: PilotEffect) -> str:
    """Head the page without claiming that the program did anything."""
    name, rung = effect.program.name, effect.design.rung
    outcome = str(getattr(effect.design, "outcome", "Published figures"))
    where = {0: "before and after", 1: "before and after", 2: "around the start of"}
    return f"{outcome[:1].upper()}{outcome[1:]} {where.get(rung, 'with and without')} {name}"


def _subtitle(effect: PilotEffect) -> str:
    rung = effect.design.rung
    direction = effect.findings.direction
    better = "" if direction is None else f" A {direction} value is better."
    return (
        f"Kind of evidence: {RUNGS[rung]} (rung {rung} of 0 to 6).{better} Computed on "
        f"{effect.provenance.created[:10]}."
    )
