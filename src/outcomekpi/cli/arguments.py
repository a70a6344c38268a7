"""What can be typed after each command, and how each word is read; imports nothing heavy."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from outcomekpi.declare.errors import OutcomeKPIError
from outcomekpi.tables.file_marks import FileMarks

__all__ = [
    "HISTORY_ROLES",
    "PROGRAM",
    "ROLES",
    "Parser",
    "ShowVersion",
    "add_assess",
    "add_check",
    "add_demo",
    "add_evaluate",
    "add_publishing",
    "add_reading",
    "add_thresholds",
    "find_marks",
    "read_count",
    "read_number",
    "read_path",
    "read_seed",
]

Run = Callable[[argparse.Namespace], int | None]

PROGRAM = "outcomekpi"
ROLES = {
    "outcome": "the event (0/1, or see --event), count or measurement",
    "doctor": "who is judged: a doctor, team, department or hospital",
    "trials": "patients per row, where a row is not one patient",
    "exposure": "time or volume at risk, for counts",
    "hospital": "the hospital that each doctor belongs to",
    "patient": "patient identifier, checked for duplicates",
    "period": "time label of each case",
    "offset": "a published risk of each case, which enters with slope 1; needs --offset-scale",
}


HISTORY_ROLES = {
    "indicator": "the indicator that a row is about",
    "cycle": "the cycle (year, quarter, ...) that a row is about",
    "numerator": "patients (or doctors) that reached it",
    "denominator": "patients (or doctors) that it was counted in",
    "completion": "numerator / denominator, where the table has that in place of the numerator",
    "unit": "doctor or department; without it each indicator has one row per cycle",
}


class UsageError(OutcomeKPIError):
    """The arguments on the command line cannot be used."""


class Parser(argparse.ArgumentParser):
    """A parser that reports a wrong argument like every other error: in one message."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        raise UsageError(f"{message}. See: {self.prog} --help")


class ShowVersion(argparse.Action):
    """Look the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Print the version and leave."""
        from importlib.metadata import version

        print(f"{PROGRAM} {version(PROGRAM)}")
        parser.exit()


def add_evaluate(commands: "argparse._SubParsersAction[Parser]", run: Run) -> None:
    """Add the evaluation of doctors."""
    parser = commands.add_parser(
        "evaluate",
        help="judge each doctor in a table of patients",
        description="Read a table of patients (CSV or Parquet), adjust each doctor's outcome for "
        "case mix, and write a folder with a report, tables, figures and the fit.",
        epilog="Column names with spaces are quoted on the command line, and written in "
        "backticks inside a formula.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("data", metavar="DATA", type=read_path, help="CSV (UTF-8 or GB18030) or Parquet file")
    roles = parser.add_argument_group("columns")
    for role, meaning in ROLES.items():
        needed = role in ("outcome", "doctor")
        roles.add_argument(f"--{role}", metavar="COLUMN", required=needed, help=meaning)
    roles.add_argument(
        "--offset-scale",
        metavar="SCALE",
        help="what that column holds: probability, expected_count, expected_value or "
        "linear_predictor",
    )
    model = parser.add_argument_group("model")
    add = model.add_argument
    add("--adjust", metavar="FORMULA", help='case mix, e.g. "age + sex + bs(charlson, df=4)"')
    add("--event", metavar="VALUE", help="value of the outcome column that is the event")
    add(
        "--no-event",
        metavar="VALUE",
        nargs="+",
        help="the other values of that column, where there are several",
    )
    add("--missing", metavar="error|drop", default="error", help="missing values (error)")
    add(
        "--family",
        metavar="NAME",
        help="bernoulli, binomial (with --trials), poisson (with --exposure), negative_binomial "
        "or gaussian; follows from the columns unless named",
    )
    add("--engine", metavar="quadrature|nuts", default="quadrature", help="(quadrature)")
    add("--draws", metavar="N", type=read_count, default=2000, help="posterior draws (2000)")
    add("--seed", metavar="N", type=read_seed, default=20261, help="random seed (20261)")
    judgment = parser.add_argument_group("judgment")
    add = judgment.add_argument
    add("--direction", metavar="higher|lower", required=True, help="which outcome is better")
    add(
        "--benchmark",
        metavar="overall|RATE",
        type=_benchmark,
        help="rate to compare with (overall)",
    )
    add(
        "--average-doctor",
        metavar="population|median",
        default="population",
        help="whose outcomes are expected: of these doctors on average, or of one with effect 0 "
        "(population)",
    )
    add("--threshold", metavar="RATE", type=read_number, help="rate for flags (the benchmark)")
    add(
        "--probability", metavar="P", type=read_number, default=0.95, help="needed for a flag (.95)"
    )
    add("--level", metavar="P", type=read_number, default=0.95, help="of intervals (.95)")
    add_reading(parser)
    add_publishing(parser, private=True)
    parser.add_argument(
        "--out", metavar="DIR", type=read_path, required=True, help="folder to write"
    )
    parser.set_defaults(command=run)


def add_thresholds(commands: "argparse._SubParsersAction[Parser]", run: Run) -> None:
    """Add the review of thresholds."""
    parser = commands.add_parser(
        "thresholds",
        help="review the thresholds of indicators from their history",
        description="Read a history of indicators (CSV or Parquet; one row per indicator, cycle "
        "and unit), apply the review rule as written and a Bayesian review beside it, and write "
        "a folder with a report, tables and figures.",
        epilog="Numbers are shares: --upper .9, not 90. Columns in percent need --percent.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("data", metavar="DATA", type=read_path, help="CSV (UTF-8 or GB18030) or Parquet file")
    columns = parser.add_argument_group("columns")
    for role, meaning in HISTORY_ROLES.items():
        needed = role in ("indicator", "cycle", "denominator")
        columns.add_argument(f"--{role}", metavar="COLUMN", required=needed, help=meaning)
    add = columns.add_argument
    add("--target", metavar="COLUMN|SHARE", help="what each unit is held to")
    add("--counts", metavar="events|doctors", help="what is counted: patients, or doctors")
    add("--percent", action="store_true", help="completions and targets are in percent")
    add("--cycle-order", metavar="CYCLE", nargs="+", help="oldest first, where names do not tell")
    add(
        "--cycle-unit",
        metavar="NAME",
        help="what 2024-1 or 20241 names: half-year, quarter or month, where several would fit",
    )
    _add_review_rule(parser.add_argument_group("the rule as written"))
    _add_review_judgment(parser.add_argument_group("the Bayesian review"))
    add_reading(parser)
    add_publishing(parser)
    parser.add_argument(
        "--out", metavar="DIR", type=read_path, required=True, help="folder to write"
    )
    parser.set_defaults(command=run)


def _add_review_rule(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add(
        "--reading",
        metavar="share_of_doctors|mean_achievement|raw_rate",
        required=True,
        help="what completion means: the share of doctors (units) on target, the mean of achieved "
        "rate over target, or events over cases",
    )
    add("--upper", metavar="SHARE", type=read_number, default=0.9, help="above it: too easy (.9)")
    add("--lower", metavar="SHARE", type=read_number, default=0.6, help="below it: too hard (.6)")
    add("--cycles", metavar="N", type=read_count, default=2, help="cycles in a row beyond it (2)")
    add("--inclusive", action="store_true", help=">= and <= in place of > and <")
    add(
        "--cycle-length",
        metavar="month|quarter|half-year|year",
        default="year",
        help="the cycle that the rule is about (year); it is said where the table has another",
    )


def _add_review_judgment(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add(
        "--wanted",
        metavar=("LOW", "HIGH"),
        nargs=2,
        type=read_number,
        default=[0.70, 0.85],
        help="completion that a new target should bring (.70 .85)",
    )
    add("--loss-false", metavar="N", type=read_number, help="cost of a change that is wrong (4)")
    add("--loss-missed", metavar="N", type=read_number, help="cost of a change that is missed (1)")
    add("--fdr", metavar="Q", type=read_number, help="in place of losses: share of wrong changes")
    add("--model", metavar="hierarchical|conjugate", default="hierarchical", help="(hierarchical)")
    add("--level", metavar="P", type=read_number, default=0.95, help="of intervals (.95)")
    add("--draws", metavar="N", type=read_count, default=2000, help="posterior draws (2000)")
    add("--seed", metavar="N", type=read_seed, default=20261, help="random seed (20261)")


def add_check(commands: "argparse._SubParsersAction[Parser]", run: Run) -> None:
    """Add the check of a table."""
    parser = commands.add_parser(
        "check",
        help="find every fault of a table, and compute nothing",
        description="Read a table as evaluate or thresholds would, and print all of its faults at "
        "once; with --out, also as faults.csv. The exit code is 0 where there are none, 1 where "
        "there are some, and 2 where the file "
        "cannot be read.",
        epilog="Without any column named, only the file itself is checked. A pilot's table is "
        "checked with --design and the other options of outcomekpi pilot: see outcomekpi check "
        "--design did --help.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "data", metavar="TABLE", type=read_path, help="CSV (UTF-8 or GB18030) or Parquet file"
    )
    add = parser.add_argument
    add(
        "--as",
        dest="kind",
        metavar="cases|history|records",
        help="what it is; the columns named tell, but for records",
    )
    cases = parser.add_argument_group("cases, as for evaluate").add_argument
    for role, meaning in ROLES.items():
        cases(f"--{role}", metavar="COLUMN", help=meaning)
    cases("--offset-scale", metavar="SCALE", help="what the column of the offset holds")
    cases("--event", metavar="VALUE", help="value of the outcome column that is the event")
    cases("--no-event", metavar="VALUE", nargs="+", help="its other values")
    cases("--missing", metavar="error|drop", default="error", help="missing values (error)")
    cases("--adjust", metavar="FORMULA", help="case mix, whose columns are checked too")
    cases("--direction", metavar="higher|lower", help="which outcome is better")
    history = parser.add_argument_group("a history, as for thresholds").add_argument
    for role, meaning in HISTORY_ROLES.items():
        history(f"--{role}", metavar="COLUMN", help=meaning)
    history("--target", metavar="COLUMN", help="what each unit is held to")
    history("--counts", metavar="events|doctors", help="what is counted (events)")
    history("--percent", action="store_true", help="completions and targets are in percent")
    history("--cycle-order", metavar="CYCLE", nargs="+", help="oldest first")
    history("--cycle-unit", metavar="NAME", help="what 2024-1 names: half-year, quarter or month")
    records = parser.add_argument_group(
        "monthly records (--as records): columns patient, month and one for each measure"
    ).add_argument
    records("--patients", metavar="FILE", type=read_path, help="one row for each patient")
    records("--encounters", metavar="FILE", type=read_path, help="patient, day and kind of each")
    records("--months", metavar="N", type=read_count, help="of follow-up (the last in TABLE)")
    records("--measures", metavar="COLUMN", nargs="+", help="columns of readings (all numbers)")
    add_reading(parser)
    parser.add_argument("--out", metavar="DIR", type=read_path, help="folder for faults.csv")
    parser.set_defaults(command=run)


def add_assess(commands: "argparse._SubParsersAction[Parser]", run: Run) -> None:
    """Add the judgment of raw records by an indicator."""
    parser = commands.add_parser(
        "assess",
        help="judge raw records by an indicator that is a TOML file",
        description="Read raw records and the definition of an indicator, and write a verdict "
        "for each patient of its cohort (verdicts.csv), the cases for evaluate (cases.csv), the "
        "quality of the measurements (quality.csv), and the SQL statement that judged them "
        "(indicator.sql).",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("data", metavar="INDICATOR.toml", type=read_path, help="file, or name of a shipped one")
    add("records", metavar="RECORDS", type=read_path, help="folder of CSV or Parquet, or .duckdb")
    add("--start", metavar="DAY", required=True, help="first day of the period, 2026-01-01")
    add("--end", metavar="DAY", required=True, help="last day of the period, which counts whole")
    add("--time-zone", metavar="NAME", default="UTC", help="whose calendar days count (UTC)")
    add("--out", metavar="DIR", type=read_path, required=True, help="folder to write")
    parser.set_defaults(command=run)


def add_demo(commands: "argparse._SubParsersAction[Parser]", run: Run) -> None:
    """Add the demonstration."""
    parser = commands.add_parser(
        "demo",
        help="evaluate an example and say what to look at",
        description="Evaluate real patients (medpar) where the extra 'examples' is installed, "
        "else a small synthetic set.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "out", metavar="DIR", type=read_path, nargs="?", default=Path("outcomekpi-demo")
    )
    add_publishing(parser, private=True)
    parser.set_defaults(command=run)


def read_path(text: str) -> Path:
    """Read the name of a file or folder that was typed; nothing is not the current folder."""
    if not text.strip() or "\0" in text:
        raise argparse.ArgumentTypeError(f"wanted a name, found {text!r}")
    return Path(text)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add how the cells of a file are written, where the file itself does not tell."""
    add = parser.add_argument_group("how the file is written").add_argument
    add("--decimal", metavar="SIGN", help="decimal point of its numbers: a dot or a comma")
    add("--dates", metavar="dmy|mdy|ymd", help="order of day, month and year, as in 01/05/2024")
    add("--thousands", metavar="SIGN", help="what parts thousands: a comma, dot, blank or '")
    add(
        "--missing-marks",
        metavar="TEXT",
        nargs="+",
        default=[],
        help='cells that say that there is no value, e.g. 缺失 "Not Available"',
    )


def find_marks(options: argparse.Namespace) -> FileMarks:
    """Return how the cells of the file are written, as it was typed."""
    return FileMarks(
        decimal=options.decimal,
        thousands=options.thousands,
        missing_marks=tuple(options.missing_marks),
        dates=options.dates,
    )


def add_publishing(parser: argparse.ArgumentParser, *, private: bool = False) -> None:
    """Add what is withheld from results that leave the house."""
    add = parser.add_argument_group("publication").add_argument
    add(
        "--suppress-below",
        metavar="N",
        type=read_count,
        help="withhold what would show a count below N, such as 10, in every file of --out",
    )
    if private:
        add(
            "--private-dir",
            metavar="DIR",
            type=read_path,
            help="with --suppress-below: folder of what stays in the house, the fit and the whole "
            "table of doctors (the output folder's name with -private)",
        )


def read_number(text: str) -> float:
    """Read a number that was typed."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"wanted a number, found {text!r}") from None


def _benchmark(text: str) -> float | None:
    if text == "overall":
        return None
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"wanted 'overall' or a rate, found {text!r}") from None


def read_count(text: str) -> int:
    """Read a whole number above 0 that was typed."""
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"wanted a whole number above 0, found {text!r}")
    return int(text)


def read_seed(text: str) -> int:
    """Read a whole number from 0 that was typed."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"wanted a whole number, 0 or more, found {text!r}")
    return int(text)
