"""The questions that a reader of a pilot will ask, answered from data and the user's facts."""

from math import isnan

import pandas as pd

from outcomekpi.lineage.origins import Provenance
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Findings, Rung
from outcomekpi.pilots.ladder.frameworks import FRAMEWORKS, TARGET_TRIALS
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.pilots.ladder.verdicts import CLAIMS, RUNGS

__all__ = ["QUESTIONS", "answer_checklist", "name_software"]

QUESTIONS: dict[str, str] = {
    "estimand": "Effect of what, on what, in whom, over which time?",
    "target_trial": "Which randomized trial would answer it, and what stands in for the lot?",
    "program_dates": "When did the program start, and when do the data begin and end?",
    "ramp_up": "How long did the program take to take hold?",
    "co_interventions": "What else changed at the same time?",
    "assignment": "How did units come into the program; because their baseline was extreme?",
    "numerator": "What counts as a success?",
    "denominator": "Who is in the denominator?",
    "attribution": "Which doctor or hospital does a patient count for?",
    "entries_exits": "Who entered or left between the periods?",
    "units": "How many patients, doctors, hospitals and periods?",
    "clustering": "How alike are patients of one unit (ICC), and is that in the interval?",
    "standard_error": "Where does the interval come from?",
    "few_clusters": "Are there few clusters, and what was done about it?",
    "points": "How many points lie before and after the start?",
    "seasonality": "Is the season in the model?",
    "autocorrelation": "How alike are neighboring points, and is that in the interval?",
    "comparator": "With whom or what is the program compared?",
    "pre_trend": "Did treated and controls move together before, and could the test have told?",
    "case_mix": "Did the patients change, and how much of the difference is that?",
    "missing_outcomes": "How many outcomes are missing before and after?",
    "main_effect": "What is the effect?",
    "naive_effect": "What would a plain difference have said?",
    "threats": "What else could have made the difference, and how strong would it have to be?",
    "sensitivity": "Which assumption, changed by how much, overturns the result?",
    "other_outcomes": "Which other outcomes were looked at, and was that allowed for?",
    "heterogeneity": "Whose patients changed: all doctors' or a few's?",
    "harms": "What was watched for harm?",
    "measurement": "Did measurement change during the study?",
    "power": "Which effect could these data have shown?",
    "software": "With which versions and seed, from which data was this computed?",
    "verdict": "What may be claimed from a design of this kind?",
}
"""Item -> question, after TREND, SQUIRE 2.0, EPOC, ROBINS-I and TARGET."""

_FROM_PROGRAM = {
    "ramp_up": "ramp_up",
    "co_interventions": "co_interventions",
    "assignment": "assignment",
    "attribution": "attribution",
    "numerator": "numerator",
    "denominator": "denominator",
    "harms": "harms",
    "measurement": "measurement_changes",
}
"""Item -> field of :class:`Program` that answers it."""


def answer_checklist(
    rung: Rung,
    findings: Findings,
    program: Program,
    *,
    level: float,
    software: str | None = None,
) -> pd.DataFrame:
    """Answer each question from what was found and from what the user said.

    Parameters
    ----------
    rung : of the design
    findings : of its method; its facts come before what the user said
    program : what the user said
    level : probability of the intervals
    software : versions, seed and fingerprint of the data, in words

    Returns
    -------
    DataFrame with ``item, question, status`` ("answered", "missing" or "not applicable"),
    ``answer`` (empty where there is none) and ``asked_by``, the guidelines that ask it.
    """
    usual, caution = CLAIMS[rung]
    claim = usual if findings.claim is None else findings.claim
    caution = f"{caution} {findings.caution}".strip()
    facts = {
        **_from_user(program),
        "estimand": findings.estimand,
        "target_trial": TARGET_TRIALS[rung],
        "main_effect": _in_words(findings.estimates[0], level),
        "naive_effect": _in_words(findings.naive, level),
        "software": software or "recorded: see the provenance",
        "verdict": f"rung {rung}, {RUNGS[rung]}: {claim}. {caution}",
        **findings.facts,
    }
    if findings.threats:
        facts.setdefault(
            "threats", "; ".join(f"{one.name}: {one.tipping}" for one in findings.threats)
        )
    rows = []
    for item, question in QUESTIONS.items():
        if item not in facts:
            status, answer = "missing", ""
        elif facts[item] is None:
            status, answer = "not applicable", ""
        else:
            status, answer = "answered", str(facts[item])
        rows.append((item, question, status, answer, FRAMEWORKS[item]))
    frame = pd.DataFrame(rows, columns=["item", "question", "status", "answer", "asked_by"])
    frame.attrs.update(rung=rung)
    return frame


def _in_words(estimate: Estimate, level: float) -> str:
    lower, upper = estimate.interval(level=level)
    said = f"{estimate.name} {estimate.value:.4g} {estimate.unit}"
    if isnan(lower) or isnan(upper):
        return f"{said}, no interval"
    return f"{said} ({level:.0%} interval {lower:.4g} to {upper:.4g})"


def _from_user(program: Program) -> dict[str, str]:
    facts = {
        item: getattr(program, field)
        for item, field in _FROM_PROGRAM.items()
        if getattr(program, field) is not None
    }
    if program.selected_on_baseline is not None:
        chosen = "selected" if program.selected_on_baseline else "not selected"
        said = f"{chosen} on their baseline"
        facts["assignment"] = f"{facts['assignment']}; {said}" if "assignment" in facts else said
    if program.other_outcomes is not None:
        facts["other_outcomes"] = ", ".join(program.other_outcomes) or "none"
    return facts


def name_software(record: Provenance) -> str:
    """Write versions, seed and fingerprint of the data."""
    versions = ", ".join(
        f"{name} {record.versions[name]}"
        for name in ("outcomekpi", "python", "numpy", "scipy")
        if name in record.versions
    )
    return f"{versions}; seed {record.seed}; fingerprint of the data {record.data_hash}"
