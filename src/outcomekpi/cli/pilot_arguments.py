"""What can be typed after ``outcomekpi pilot``; imports nothing heavy."""

import argparse
from collections.abc import Callable

from outcomekpi.cli.arguments import (
    Parser,
    add_publishing,
    add_reading,
    read_count,
    read_number,
    read_path,
    read_seed,
)

__all__ = ["add_pilot", "add_pilot_check"]

Run = Callable[[argparse.Namespace], int | None]

EXAMPLES = """examples:
  two published percentages, two years apart
    outcomekpi pilot --before 43 --after 68 --percent --years 2 --out page
  patients before and after
    outcomekpi pilot patients.csv --design before-after --outcome controlled --time period \\
      --after after --doctor doctor --adjust "age + severity" --direction higher --out page
  patients of two wards before and after, ward A with the program
    outcomekpi pilot patients.csv --design controlled-before-after --outcome controlled \\
      --time period --after after --group ward --treated A --direction higher --out page
  a monthly series
    outcomekpi pilot months.csv --design interrupted --outcome rate --time month \\
      --start 2024-01 --direction higher --out page
  patients of doctors with and without the program
    outcomekpi pilot patients.csv --design did --rows patients --outcome controlled \\
      --unit doctor --time quarter --start start --direction higher --out page
"""
COLUMNS = {
    "outcome": "the event, count, share or measurement",
    "time": "period of each row; for before-after one of two values, or times",
    "unit": "unit of a panel or cluster of a stepped wedge: a doctor, ward, hospital",
    "doctor": "doctor of each patient",
    "hospital": "hospital of each doctor",
    "patient": "patient identifier, where patients are seen twice",
    "cluster": "column of clusters (did); doctor, hospital or patient (before-after)",
    "group": "two groups of patients, one with the program (controlled-before-after)",
    "control": "the same outcome where the program was not (controlled)",
    "trials": "patients of each row, where rows count events",
    "exposure": "time or volume at risk of each row, for counts",
    "control-trials": "the same of the control",
    "control-exposure": "the same of the control",
    "patients": "patients behind each mean (stepped-wedge)",
}
METHODS = {
    "adjust": ("FORMULA", 'case mix, e.g. "age + severity"; columns joined by + for series, did'),
    "family": ("NAME", "bernoulli, binomial, poisson, gaussian, logit: what the design knows"),
    "event": ("VALUE", "value of the outcome that counts, where it is not 0 and 1"),
    "outcome-unit": ("WORDS", "unit of the outcome; %% checks that it lies in 0 to 100"),
    "estimator": ("NAME", "did: callaway_santanna, 2x2, etwfe, event_study"),
    "method": ("NAME", "series: auto, reml, structural_trend, ...; synthetic: sdid, sc, did"),
    "inference": ("NAME", "where the interval comes from; see the design"),
    "engine": ("quadrature|nuts", "doctor-effects: fast engine, or sampling"),
    "shape": ("NAME", 'series, what the program changes: "level and slope", level or slope'),
    "control-as": ("NAME", "controlled: difference or covariate"),
    "control-group": ("NAME", "did: never_treated or not_yet_treated"),
    "rows": ("NAME", "did, synthetic: unit_periods, or patients, which are averaged"),
    "weights": ("units|patients", "did: whether each unit or each patient counts alike (units)"),
    "compare": ("stayers|all", "before-after: known patients with themselves, or all"),
    "assigned": ("groups|patients", "controlled-before-after: who got the program (groups)"),
    "standard": ("NAME", "before-after: case mix to compare at (average)"),
    "exposure-effect": ("NAME", 'stepped-wedge: constant, linear or "by period"'),
    "correlation": ("NAME", 'stepped-wedge: "nested exchangeable" or exchangeable'),
    "time-unit": (
        "NAME",
        "what 2024-1 or 20241 names: half-year, quarter or month; see the design",
    ),
    "time-zone": ("NAME", "whose days count, for times with an offset, as Europe/Berlin"),
    "gaps": ("NAME", "what is done about periods without a row; the design's default refuses"),
    "missing": ("error|drop", "stepped-wedge: rows without an outcome"),
}
FACTS = {
    "name": "name of the program",
    "assignment": "how units came into it",
    "ramp-up": "how long it took to take hold",
    "co-interventions": "what else changed at the same time",
    "attribution": "which doctor a patient counts for",
    "numerator": "what counts",
    "denominator": "who is counted",
    "harms": "what was watched for harm, and seen",
    "measurement-changes": "changes of laboratory, device or coding",
}


def add_pilot(commands: "argparse._SubParsersAction[Parser]", run: Run) -> None:
    """Add the evaluation of a pilot."""
    parser = commands.add_parser(
        "pilot",
        help="say what a pilot program did, as far as its data can tell",
        description="Read the published figures of a pilot, or a table of it (CSV or Parquet), "
        "and write a folder with the effect, what would overturn it, a checklist with answers, a "
        "report and figures.",
        usage="%(prog)s (--before N --after N ... | DATA --design NAME --outcome COLUMN ...) "
        "--out DIR",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "data", metavar="DATA", type=read_path, nargs="?", help="CSV or Parquet; none: figures"
    )
    _add_figures(parser.add_argument_group("published figures"))
    _add_design(parser)
    _add_selection(parser.add_argument_group("patients or doctors selected on their baseline"))
    _add_program(parser.add_argument_group("facts about the program"))
    add = parser.add_argument_group("output").add_argument
    add("--direction", metavar="higher|lower", help="which outcome is better; tables need it")
    add("--level", metavar="P", type=read_number, default=0.95, help="of intervals (.95)")
    add("--draws", metavar="N", type=read_count, default=4000, help="draws, where there are (4000)")
    add("--seed", metavar="N", type=read_seed, default=20261, help="random seed (20261)")
    add(
        "--quick",
        action="store_true",
        help="no placebos, no cluster left out: the effect is estimated once",
    )
    add("--title", metavar="TEXT", help="heading of the report")
    add("--out", metavar="DIR", type=read_path, required=True, help="folder to write")
    add_reading(parser)
    add_publishing(parser)
    parser.set_defaults(command=run)


def add_pilot_check(commands: "argparse._SubParsersAction[Parser]", run: Run) -> None:
    """Add the check of a pilot's table, which is named by the options of the pilot itself."""
    parser = commands.add_parser(
        "check",
        help="find every fault of a pilot's table, and compute nothing",
        description="Read a table as outcomekpi pilot --design NAME would, and print all of its "
        "faults at once; with --out, also as faults.csv. The exit code is 0 where there are none, "
        "1 where there are some, and 2 where the file cannot be read.",
        usage="%(prog)s TABLE --design NAME --outcome COLUMN ... [--out DIR]",
        allow_abbrev=False,
    )
    parser.add_argument("data", metavar="TABLE", type=read_path, help="CSV or Parquet file")
    _add_design(parser)
    parser.add_argument("--after", metavar="VALUE", help="value of --time with the program")
    _add_selection(parser.add_argument_group("patients or doctors selected on their baseline"))
    # no fault of a table depends on it: taken as it is in a command of the pilot, never asked for
    parser.add_argument(
        "--direction", metavar="higher|lower", default="higher", help="which outcome is better"
    )
    add_reading(parser)
    parser.add_argument("--out", metavar="DIR", type=read_path, help="folder for faults.csv")
    parser.set_defaults(command=run)


def _add_figures(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add("--before", metavar="N", type=read_number, help="figure before the program")
    add(
        "--after",
        metavar="N|VALUE",
        help="figure after it; with DATA, the value of --time that is with the program",
    )
    add("--change", metavar="N", type=read_number, help="published change; needs --reading")
    add("--percent", action="store_true", help="figures are in percent, else fractions")
    add("--reading", metavar="levels|relative|points", help="what a published change means")
    add("--years", metavar="N", type=read_number, help="from the first figure to the second")
    add("--n-before", metavar="N", type=read_count, help="patients behind the first figure")
    add("--n-after", metavar="N", type=read_count, help="patients behind the second")
    add("--rounding", metavar="N", type=read_number, help="half-width of the rounding")
    add("--no-priors", action="store_true", help="bounds alone, no beliefs about what is unknown")
    for name, words in (
        ("trend", "points a year for the better without the program"),
        ("regression", "points for the better from an extreme baseline alone"),
        ("attrition", "share of those off target who left"),
    ):
        add(f"--{name}", metavar=("LOW", "HIGH"), nargs=2, type=read_number, help=f"95%%: {words}")
    add("--source", metavar="TEXT", help="where the figures stand")


def _add_design(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("table")
    group.add_argument(
        "--design",
        metavar="NAME",
        help="before-after, controlled-before-after, doctor-effects, interrupted, controlled, "
        "synthetic, did or stepped-wedge",
    )
    for name, words in COLUMNS.items():
        group.add_argument(f"--{name}", metavar="COLUMN", help=words)
    group.add_argument(
        "--start",
        metavar="TIME|COLUMN",
        help="first time with the program; for did, synthetic and stepped-wedge the column of it",
    )
    group.add_argument("--treated", metavar="VALUE", help="value of --group with the program")
    group = parser.add_argument_group("method")
    for name, (metavar, words) in METHODS.items():
        group.add_argument(f"--{name}", metavar=metavar, help=words)
    add = group.add_argument
    add("--order", metavar="N", type=read_count, help="series: order of the autoregression (1)")
    add("--season", metavar="N", type=read_number, help="series: points in a cycle, 12 for months")
    add("--harmonics", metavar="N", type=read_count, help="series: pairs of waves a cycle (2)")
    add("--horizon", metavar="N", type=read_count, help="series: periods after the start")
    add("--ramp-up-periods", metavar="N", type=read_count, help="series: left out from the start")
    add(
        "--other-interruptions",
        metavar="TIME",
        nargs="+",
        help="series: first times with something else, each with an effect of its own",
    )
    add("--other-shape", metavar="NAME", help="series: what these change, as --shape does")
    add(
        "--range",
        metavar=("LOW", "HIGH"),
        nargs=2,
        type=read_number,
        help="between which values the outcome lies: before-after, for missing ones; series, whose "
        "levels and effects end there",
    )


def _add_selection(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add(
        "--selected-on-baseline",
        metavar="yes|no",
        nargs="?",
        const="yes",
        help="whether they entered because their baseline was extreme; yes makes the correction "
        "compulsory",
    )
    add(
        "--selected-in",
        metavar="TIME",
        nargs="+",
        help="did, synthetic: times by which units were chosen; they are left out",
    )
    add("--cutoff", metavar="N", type=read_number, help="that the baseline had to pass")
    add("--side", metavar="above|below", help="where those who entered lay")
    add("--second-baseline", metavar="COLUMN", help="another reading before, not used to select")
    add("--baseline", metavar="COLUMN", help="reading that selected, where the outcome is a target")
    add("--target", metavar="N", type=read_number, help="bar of the target, if not the cutoff")
    add("--population-mean", metavar="N", type=read_number, help="of all who were screened")
    add("--population-sd", metavar="N", type=read_number, help="of all who were screened")
    add("--reliability", metavar="R", type=read_number, help="correlation of two readings")
    add("--chosen", metavar="COLUMN", help="1 for patients of doctors picked for their results")
    add("--chosen-by", metavar="doctor|hospital", help="what was picked (doctor)")


def _add_program(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--program", metavar="TOML", type=read_path, help="file with these facts")
    for name, words in FACTS.items():
        group.add_argument(f"--{name}", metavar="TEXT", help=words)
    group.add_argument(
        "--other-outcomes", metavar="TEXT", nargs="*", help="every other outcome that was looked at"
    )
