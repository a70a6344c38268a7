"""The answer of a pilot in words: the verdict of its rung, and what it cannot say."""

from math import isnan

from outcomekpi.pages.numbers import percent, plural
from outcomekpi.pages.statements import Answer, Part
from outcomekpi.pilots.ladder.effect import PilotEffect
from outcomekpi.pilots.ladder.estimates import Estimate

__all__ = ["answer_pilot", "answer_pilot_in_one_paragraph", "ended", "estimate_in_words", "number"]

HEADINGS = {
    "says": "What the figures say",
    "cannot say": "What they cannot say",
    "says nothing": "Where they say nothing",
    "ask for": "What one would have to know",
}
CANNOT = {
    0: "Whether the program made the change.",
    1: "What would have happened without the program. Whatever else moved the outcome of these "
    "patients between the two periods is in the effect.",
    2: "Whether something else began at the same time, and whether the trend would have gone on "
    "straight. With one series nothing tells a program from a coincidence.",
    3: "Whether something happened to the treated alone, and whether the controls show what "
    "would have happened to them.",
    4: "Whether treated and controls would have gone on moving alike. That they did before does "
    "not prove it.",
    5: "Why some doctors' patients changed more than others'. What moved all doctors alike is in "
    "the effect unless there are controls.",
    6: "Whether the effect depends on how long the program runs beyond the times that were seen, "
    "or on the season in a way that the model does not have.",
}
BREAKDOWN = "M = "
THREATS_AT_MOST = 5
OTHERS_AT_MOST = 2


def answer_pilot(
    effect: PilotEffect,
    *,
    level: float,
    ledger: tuple[tuple[str, str], ...],
    notes: tuple[str, ...],
) -> Answer:
    """Say what the pilot shows, what it cannot show, and what would overturn it.

    Parameters
    ----------
    effect : of a pilot
    level : probability of the intervals
    ledger : name and words of every other explanation that nothing was done about
    notes : what was warned of while the effect was estimated
    """
    parts = _stated(effect, level) or (
        Part(heading="What the data say", paragraphs=_says(effect, level)),
        Part(heading="What they cannot say", paragraphs=_cannot_say(effect, level)),
        Part(heading="What would overturn it", paragraphs=_overturns(ledger)),
    )
    doubts = _doubts(effect, level, notes)
    if doubts:
        parts = (Part(heading="Read this first", paragraphs=doubts), *parts)
    return Answer(
        lead=effect.verdict(level=level),
        context=f"{_breakdown(effect, level)}{_compare_naive(effect, level)}",
        sides=(),
        parts=parts,
    )


def answer_pilot_in_one_paragraph(effect: PilotEffect, *, level: float) -> str:
    """Say in one paragraph what the pilot shows, what a plain difference says, and what is open.

    Parameters
    ----------
    effect : of a pilot
    level : probability of the intervals
    """
    missing = int((effect.checklist_at(level)["status"] == "missing").sum())
    failed = [one.name for one in effect.findings_at(level).checks if one.passed is False]
    words = f"{effect.verdict(level=level)} {_breakdown(effect, level)}"
    words += _compare_naive(effect, level)
    if failed:
        words += f" Failed {'check' if len(failed) == 1 else 'checks'}: {', '.join(failed)}."
    if missing:
        words += f" {plural(missing, 'question')} of the checklist could not be answered."
    return words


def estimate_in_words(estimate: Estimate, *, level: float) -> str:
    """Write an estimate with its unit and interval."""
    unit = "" if estimate.unit == "ratio" else f" {estimate.unit}"
    lower, upper = estimate.interval(level=level)
    said = f"{estimate.name} {number(estimate.value)}{unit}"
    if isnan(lower) or isnan(upper):
        return f"{said} (no interval can be given)"
    return f"{said} ({percent(level)} interval {number(lower)} to {number(upper)})"


def ended(sentence: str) -> str:
    """Return a sentence that begins and ends as one."""
    text = sentence.strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def number(value: float) -> str:
    """Return a number to four digits."""
    return f"{value:,.4g}"


def _breakdown(effect: PilotEffect, level: float) -> str:
    """Break of parallel trends that undoes the effect, which its verdict has to name."""
    if effect.design.rung != 4:
        return ""
    found = [one for one in effect.findings_at(level).threats if BREAKDOWN in one.tipping]
    return f"{ended(found[0].tipping)} " if found else ""


def _compare_naive(effect: PilotEffect, level: float) -> str:
    naive = effect.findings_at(level).naive
    said = estimate_in_words(naive, level=level)
    if said.endswith(" (no interval can be given)"):
        said = said.removesuffix(" (no interval can be given)")
    return f"Taken plainly, the numbers before and after would have said: {said}."


def _stated(effect: PilotEffect, level: float) -> tuple[Part, ...]:
    """Statements that the design made itself, such as those of published figures."""
    table = effect.findings_at(level).tables.get("statements")
    if table is None:
        return ()
    return tuple(
        Part(heading=heading, paragraphs=tuple(table.loc[table["kind"] == kind, "text"]))
        for kind, heading in HEADINGS.items()
        if (table["kind"] == kind).any()
    )


def _says(effect: PilotEffect, level: float) -> tuple[str, ...]:
    findings = effect.findings_at(level)
    others = [estimate_in_words(one, level=level) for one in findings.estimates[1:]]
    said = [ended(findings.estimand)]
    if others:
        more = ", and more in the table below" if len(others) > OTHERS_AT_MOST else ""
        said.append(f"Beside it: {'; '.join(others[:OTHERS_AT_MOST])}{more}.")
    heterogeneity = findings.facts.get("heterogeneity")
    if heterogeneity:
        said.append(ended(f"Whose patients changed: {heterogeneity}"))
    return tuple(said)


def _cannot_say(effect: PilotEffect, level: float) -> tuple[str, ...]:
    said = [CANNOT[effect.design.rung]]
    if effect.main.excludes_null(level=level) is False:
        said.append(
            "That there was no effect is not shown either: only the sizes outside the interval "
            "are ruled out."
        )
    checklist = effect.checklist_at(level)
    missing = checklist.loc[checklist["status"] == "missing", "question"]
    if len(missing):
        said.append(
            f"{plural(len(missing), 'question')} that a reader will ask could not be answered "
            "from the table or from what was said of the program; the checklist names them."
        )
    return tuple(said)


def _overturns(ledger: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    if not ledger:
        return ("Nothing that is in the data or was said; see the assumptions.",)
    said = [
        ended(f"{name[:1].upper()}{name[1:]}: {words}") for name, words in ledger[:THREATS_AT_MOST]
    ]
    hidden = len(ledger) - len(said)
    return (*said, f"And {hidden} more, in the ledger below.") if hidden > 0 else tuple(said)


def _doubts(effect: PilotEffect, level: float, notes: tuple[str, ...]) -> tuple[str, ...]:
    failed = [one for one in effect.findings_at(level).checks if one.passed is False]
    said = [ended(f"{one.name}: {one.verdict}") for one in failed]
    return (*map(ended, notes), *said)
