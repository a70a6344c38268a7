"""The fixed and half-fixed passages of a pilot: effects, checklist, words, limits, provenance."""

from dataclasses import dataclass, fields

import pandas as pd

from outcomekpi.pages.cells import PlainTable
from outcomekpi.pages.numbers import percent, plural
from outcomekpi.pages.pilot_answer import ended, number
from outcomekpi.pages.statements import Facts, list_provenance
from outcomekpi.pilots.ladder.effect import PilotEffect
from outcomekpi.pilots.ladder.findings import Findings
from outcomekpi.pilots.ladder.verdicts import RUNGS

__all__ = [
    "ChecklistSection",
    "Question",
    "describe_checks",
    "describe_origins",
    "describe_pilot_provenance",
    "describe_program",
    "explain_pilot_words",
    "lay_out_effects",
    "list_checklist",
    "state_pilot_limits",
]

FIELDS = {
    "name": "Program",
    "selected_on_baseline": "Selected because the baseline was extreme",
    "assignment": "How units came in",
    "ramp_up": "Time to take hold",
    "co_interventions": "What else changed",
    "attribution": "Attribution",
    "numerator": "Numerator",
    "denominator": "Denominator",
    "other_outcomes": "Other outcomes looked at",
    "harms": "Harms",
    "measurement_changes": "Changes of measurement",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question of the checklist, its answer, and who asks it."""

    question: str
    answer: str
    asked_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecklistSection:
    """The checklist in three groups, and its summary."""

    summary: str
    missing: tuple[Question, ...]
    answered: tuple[Question, ...]
    not_applicable: tuple[Question, ...]


def lay_out_effects(effect: PilotEffect, *, level: float) -> PlainTable:
    """Lay out every estimate, the main effect first and the plain difference last."""
    rows = []
    frame = effect.to_frame(level=level)
    for place, (name, row) in enumerate(frame.iterrows()):
        role = "main" if place == 0 else "plain" if place == len(frame) - 1 else ""
        has_interval = pd.notna(row["lower"]) and pd.notna(row["upper"])
        span = f"{number(row['lower'])} to {number(row['upper'])}" if has_interval else "none"
        unit = "" if row["unit"] in ("ratio", "") else f", {row['unit']}"
        rows.append((f"{name}{unit}", number(row["mean"]), span, role))
    return PlainTable(
        headings=("estimate", "value", f"{percent(level)} interval", ""),
        rows=tuple(rows),
        is_text=(True, False, False, True),
    )


def describe_origins(findings: Findings) -> Facts:
    """List how the interval of each estimate was made."""
    everything = (*findings.estimates, findings.naive)
    return [(one.name, ended(one.origin)) for one in everything if one.origin]


def list_checklist(checklist: pd.DataFrame) -> ChecklistSection:
    """Group the checklist: what is missing first, because somebody could still say it."""
    groups = {
        status: tuple(
            Question(
                question=str(row["question"]),
                answer=ended(str(row["answer"])) if row["answer"] else "",
                asked_by=str(row["asked_by"]),
            )
            for _, row in checklist[checklist["status"] == status].iterrows()
        )
        for status in ("missing", "answered", "not applicable")
    }
    counts = {status: len(found) for status, found in groups.items()}
    return ChecklistSection(
        summary=f"{counts['answered']} of {plural(len(checklist), 'question')} are answered, "
        f"{counts['missing']} are missing, {counts['not applicable']} do not apply to this "
        "design. A missing answer is a gap of the table or of what was said of the program, not "
        "a judgment.",
        missing=groups["missing"],
        answered=groups["answered"],
        not_applicable=groups["not applicable"],
    )


def describe_program(effect: PilotEffect) -> Facts:
    """List what the user said of the program, and what nobody said."""
    said: Facts = []
    unsaid = []
    for field in fields(effect.program):
        value = getattr(effect.program, field.name)
        if value is None:
            unsaid.append(FIELDS[field.name].lower())
        elif isinstance(value, bool):
            said.append((FIELDS[field.name], "yes" if value else "no"))
        elif isinstance(value, tuple):
            said.append((FIELDS[field.name], ", ".join(value) or "none"))
        else:
            said.append((FIELDS[field.name], str(value)))
    if unsaid:
        said.append(("Nobody said", ", ".join(unsaid)))
    return said


def describe_checks(findings: Findings) -> list[dict[str, str]]:
    """List the verdict of each check, those that failed first."""
    order = {"failed": 0, "for information": 1, "passed": 2}
    checks = sorted(findings.checks, key=lambda one: order[one.status])
    return [
        {"kind": one.status, "name": one.name, "status": one.status, "verdict": ended(one.verdict)}
        for one in checks
    ]


def describe_pilot_provenance(effect: PilotEffect) -> Facts:
    """List when, from what and with what the numbers were computed."""
    first, *others = list_provenance(
        effect.provenance, done="Computed", data="the data", asked="the design"
    )
    return [first, ("Design", repr(effect.design)), *others]


def explain_pilot_words(effect: PilotEffect, *, level: float) -> Facts:
    """Explain the words of the page to someone who is no statistician."""
    words = [
        (
            "Effect",
            "How much better or worse the outcome was with the program than it would have been "
            "without it. What would have been is never seen; the design says what stands in for "
            "it.",
        ),
        (
            f"{percent(level)} interval",
            "Sizes of the effect that the data leave possible, if everything under 'What has to be "
            "true' is true. It holds chance alone: it does not hold the other explanations.",
        ),
        (
            "Plain difference",
            "After less before, as it would be published. It stands beside every effect, so that "
            "one sees what the design took out of it.",
        ),
        (
            "Other explanation, tipping value",
            "Something else than the program that could have made the change, and how strong it "
            "would have to be to make all of it.",
        ),
    ]
    tables = effect.findings_at(level).tables
    if effect.program.selected_on_baseline is not False:
        words.append(
            (
                "Regression to the mean",
                "Patients or doctors who are picked because they are at their worst get better by "
                "themselves, because part of the worst was bad luck.",
            )
        )
    if "kitagawa" in tables and (tables["kitagawa"]["part"] == "mix").any():
        words.append(
            (
                "Same case mix, other case mix",
                "The difference between two groups of patients is in part how they were treated "
                "and in part who they are. The first part is the change among patients who are "
                "alike; the second is what changed because other patients came.",
            )
        )
    if effect.design.rung == 4:
        words.append(
            (
                "Parallel trends, m",
                "Treated and controls would have moved alike without the program. m says how "
                "large a break of that is allowed for.",
            )
        )
    return words


def state_pilot_limits(effect: PilotEffect) -> list[str]:
    """State what neither this design nor any statistics can say."""
    rung = effect.design.rung
    lines = [
        f"The words of the verdict are those of its kind of evidence: {RUNGS[rung]}. No number "
        "on this page makes them stronger.",
        "Other explanations are not in the interval. Each would move the effect by as much as it "
        "was strong.",
        "It is about these patients, doctors and times. Elsewhere the program, the doctors and "
        "what goes on without it are different.",
        "One outcome is judged here. Whether others were looked at, and whether anyone was harmed, "
        "is as the checklist says.",
    ]
    if rung in (1, 2, 3, 4, 5):
        lines.append(
            "Nobody drew by lot who got the program, or when. Something that differed between "
            "them and was not measured is in the effect."
        )
    if rung == 0:
        lines.append(
            "Numbers that were not published were replaced by ranges that somebody thinks likely. "
            "With other ranges the effect is another; the change is not."
        )
    return lines
