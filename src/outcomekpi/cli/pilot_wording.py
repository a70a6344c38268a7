"""Messages about a pilot in the words of the command line."""

import re
from dataclasses import replace

from outcomekpi.cli.wording import name_option
from outcomekpi.declare.errors import FieldError, OutcomeKPIError
from outcomekpi.tables.faults import TableFaults

__all__ = ["reword_pilot", "reworded"]

DESIGNS = {
    "BeforeAfter": "before-after",
    "ControlledBeforeAfter": "controlled-before-after",
    "DoctorEffects": "doctor-effects",
    "InterruptedSeries": "interrupted",
    "ControlledSeries": "controlled",
    "SyntheticControl": "synthetic",
    "DifferenceInDifferences": "did",
    "SteppedWedge": "stepped-wedge",
}
OPTIONS = {
    "case_mix": "adjust",
    "covariates": "adjust",
    "period": "time",
    "seasonality": "season",
    "control_as": "control-as",
    "control_trials": "control-trials",
    "control_exposure": "control-exposure",
    "outcome_unit": "outcome-unit",
    "measured_in": "outcome-unit",
    "outcome_range": "range",
    "time_unit": "time-unit",
    "time_zone": "time-zone",
    "other_interruptions": "other-interruptions",
    "n_before": "n-before",
    "n_after": "n-after",
    "ramp_up": "ramp-up-periods",
    "second_baseline": "second-baseline",
    **{
        name: name for name in ("outcome", "time", "start", "unit", "doctor", "hospital", "patient")
    },
    **{name: name for name in ("control", "trials", "exposure", "cluster", "family", "event")},
    **{
        name: name
        for name in ("method", "inference", "estimator", "engine", "change", "rows", "weights")
    },
    **{name: name for name in ("gaps", "missing", "after", "before", "reading", "rounding")},
    **{name: name for name in ("years", "direction", "order", "horizon", "standard", "patients")},
    **{name: name for name in ("cutoff", "side", "baseline", "target", "reliability", "chosen")},
    **{name: name for name in ("correlation", "design", "draws", "seed", "level")},
    **{name: name for name in ("group", "treated", "assigned", "weights")},
}
"""Argument in Python -> option."""

QUOTED = r"'(?:[^'\\]|\\.)*'"
NAMES = "|".join(sorted(OPTIONS, key=len, reverse=True))
SENTENCES = (
    (r" Got reading=None\.", ""),
    (r"\bselected_on_baseline=True\b", "--selected-on-baseline"),
    (r"\bselected_on_baseline=False\b", "--selected-on-baseline no"),
    (r"\bselected_in=\(\.\.\.\)", "--selected-in TIME"),
    (r"\bselected_in=(?=\s)", "--selected-in"),
    (r"(?<!--)\bselected_in\b", "--selected-in"),
    (r" with selection=(?=[,.])", " with --cutoff and --side"),
    (r"\bunit='percent'", "--percent"),
    (r"\(unit='([^']+)'\)", r"(--outcome-unit \1)"),
    (r"\breading='levels'", "--reading levels"),
    (r"\bgive population= or ", "give --population-mean or "),
    (r"\bpass selection=BaselineSelection\(cutoff=\.\.\., side=\.\.\., population="
     r"BaselinePopulation\(mean=\.\.\., sd=\.\.\., reliability=\.\.\.\)\)",
     "pass --cutoff, --side, --population-mean, --population-sd and --reliability"),
    (r"\bUnitSelection\(chosen=\.\.\.\)", "--chosen COLUMN"),
    (r"(?<!--)\bselected_on_baseline\b", "--selected-on-baseline"),
    (r"\bPublishedAggregates\b", "published figures (--before, --after)"),
    (r"\bPublishedFigures\.(\w+)", lambda found: f"--{found[1].replace('_', '-')}"),
)  # fmt: skip


def reworded(error: OutcomeKPIError) -> OutcomeKPIError:
    """Return an error about a pilot in the words of the command line."""
    if isinstance(error, FieldError):
        return name_option(error, OPTIONS)
    if isinstance(error, TableFaults):
        texts = [replace(record, text=reword_pilot(record.text)) for record in error.records]
        return type(error)(tuple(texts))
    return type(error)(reword_pilot(str(error)))


def reword_pilot(message: str) -> str:
    """Say a message about a pilot as someone at the command line would say it.

    Parameters
    ----------
    message : written for callers in Python, such as "use InterruptedSeries(start='2024-01')"
    """
    text = message
    for pattern, words in SENTENCES:
        text = re.sub(pattern, words, text)
    text = re.sub(rf"(?<![\w-])({NAMES})=(?:\.\.\.|(?=[,;)\s]|\.(?:\s|$)))", _bare, text)
    text = re.sub(rf"(?<![\w-])({NAMES})=({QUOTED}|True|[\w.%-]*\w)", _with_value, text)
    text = re.sub(rf"^({NAMES}) must\b", lambda found: f"--{OPTIONS[found[1]]} must", text)
    text = re.sub(
        rf"\b({'|'.join(DESIGNS)})\b(?:\(([^()]*)\))?",
        lambda found: f"--design {DESIGNS[found[1]]}" + (f" {found[2]}" if found[2] else ""),
        text,
    )
    return re.sub(r"--design --design", "--design", text)


def _bare(found: re.Match[str]) -> str:
    return f"--{OPTIONS[found[1]]}"


def _with_value(found: re.Match[str]) -> str:
    value = found[2].strip("'")
    shown = f"'{value}'" if " " in value else value
    return f"--{OPTIONS[found[1]]} {shown}"
