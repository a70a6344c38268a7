"""Messages in the words of the command line: options for arguments, lines for index labels."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from outcomekpi.declare.errors import FieldError
from outcomekpi.tables.files import CSV_SUFFIXES

__all__ = ["name_option", "reword"]

ARGUMENTS = (
    "benchmark|completion|counts|direction|draws|engine|event|family|level|missing|model|offset|"
    "offset_scale|reading|seed|threshold"
)
OPTION_OF = {"case_mix": "adjust", "loss_false_change": "loss-false"}
TARGET = "--target COLUMN (or one share)"
CROSSED = r"--lower must lie below --upper; got --lower \1 and --upper "
QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
REPLACEMENTS = (
    (r"\bReviewRule\((--reading \w+)\)", r"\1"),
    (r"\btarget=\.\.\. to CycleHistory\.from_frame, a single ReviewRule\(target=\.\.\.\)", TARGET),
    (r"\bReviewRule\.target\b|\bReviewRule\(target=\.\.\.\)", "--target"),
    (r"\bReviewRule\.lower must lie below upper; got lower=(\S+) and upper=", CROSSED),
    (r"\bReviewRule\.(upper|lower|cycles)\b", r"--\1"),
    (r"\bReviewJudgment\.wanted\b", "--wanted"),
    (r"\bneeds numerator=\.\.\. or completion=\.\.\.,", "needs --numerator or --completion,"),
    (r"\b(unit|denominator)=\.\.\.", r"--\1 COLUMN"),
    (r"\bpercent=True\b", "--percent"),
    (r"\bcycle_order=\[oldest, \.\.\., newest\]", "--cycle-order OLDEST ... NEWEST"),
    (r"^cycle_unit must", "--cycle-unit must"),
    (r"\bcycle_unit='([\w-]+)'", r"--cycle-unit \1"),
    (r"\bcycle_length='([\w-]+)'", r"--cycle-length \1"),
    (r"\bLeave target out\b", "Leave out --target"),
    (r"\boffset_scale=\.\.\.", "--offset-scale SCALE"),
    (r"\boffset=\.\.\.", "--offset COLUMN"),
    (r"\boffset_scale\b", "--offset-scale"),
    (r"^cycle_order (must|runs)", r"--cycle-order \1"),
    (r" to Cases\.from_frame\b", ""),
    (r"\bThe outcome is named in Cases\.from_frame", "The outcome is named by --outcome"),
    (r"\bin Cases\.from_frame\b", "on the command line"),
    (r", or name its encoding\b", ""),
    (r"\bevent=\.\.\.", "--event VALUE"),
    (r"\bPass (--event [^.]*?) or another of these values to say", r"Pass \1 (or another) to say"),
    (r"name a period, or leave patient out", "name their column with --period, or omit --patient"),
    (
        rf"combine the two columns: table\[.*\] = table\[({QUOTED})\].*table\[({QUOTED})\].*$",
        r"join the columns \1 and \2 into a new one and name that as --doctor.",
    ),
    (r"\bdates='(dmy|mdy)'", r"--dates \1"),
    (r"^dates must", "--dates must"),
    (r"\b(thousands|decimal)='([,. ])'", r"--\1 '\2'"),
    (r"^(thousands|decimal) must", r"--\1 must"),
    (r" when the file is read\b", ""),
    (r"\bno_event=\[([^\]]*)\]", lambda found: f"--no-event {found[1].replace(',', '')}"),
    (r"\bno_event\b", "--no-event"),
    (r"\bis declared a missing mark\b", "is declared with --missing-marks"),
    (rf"^({ARGUMENTS}) must", r"--\1 must"),
    (r"\bsuppress_below(?==\d)", "--suppress-below"),
    (r"(--suppress-below)=(\d+)", r"\1 \2"),
    (r"\bsuppress_below\b", "--suppress-below"),
    (r"\bcase_mix\b(?!=)", "--adjust"),
    (r"\bRaise tune\b", "In Python, raise tune"),
)


def name_option(error: FieldError, options: Mapping[str, str] = OPTION_OF) -> FieldError:
    """Name the option in place of the field that holds what it cannot be.

    Parameters
    ----------
    error : of a record or verb
    options : fields whose option has another name
    """
    field = error.name.rpartition(".")[2]
    option = options.get(field, field.replace("_", "-"))
    return FieldError(f"--{option}", error.wanted, error.found, error.hint)


def reword(message: str, *, data: Path | None = None) -> str:
    """Say a message of the package as someone at the command line would say it.

    Parameters
    ----------
    message : written for callers in Python, such as "pass missing='drop'"
    data : the file that was read; rows of a text file are told by their lines

    Returns
    -------
    The message with options for arguments ("pass --missing drop") and places in the file for
    labels of the index: the header is line 1, blank lines are not counted
    """
    given = re.sub(rf"\b(case_mix|{ARGUMENTS})=({QUOTED}|[\d.]*\d)", _option, message)
    for pattern, replacement in REPLACEMENTS:
        given = re.sub(pattern, replacement, given)
    if data is None or data.suffix.lower() not in CSV_SUFFIXES:
        return given  # a Parquet file may bring labels of its own
    return re.sub(r"\bat index (\d+)", lambda found: f"in line {int(found[1]) + 2:,}", given)


def _option(found: re.Match[str]) -> str:
    name, value = found[1].replace("case_mix", "adjust").replace("_", "-"), found[2]
    return f"--{name} {shlex.quote(value[1:-1]) if value[0] in '\'"' else value}"
