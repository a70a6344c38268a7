"""The command line: reads arguments, calls a command, says what went wrong in one message."""

import argparse
import io
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from outcomekpi.errors import OutcomeKPIError, OutcomeKPIWarning

__all__ = ["main"]

PROGRAM = "outcomekpi"
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130
ROLES = {
    "outcome": "the event (0/1, or see --event), count or measurement",
    "doctor": "who is judged: a doctor, team, department or hospital",
    "trials": "patients per row, where a row is not one patient",
    "exposure": "time or volume at risk, for counts",
    "hospital": "the hospital that each doctor belongs to",
    "patient": "patient identifier, checked for duplicates",
    "period": "time label of each case",
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, 2 after an error, 130 after Ctrl-C.

    Parameters
    ----------
    argv : arguments without the program's name; those of the process unless given
    """
    data: Path | None = None
    try:
        options = build_parser().parse_args(argv)
        data = getattr(options, "data", None)
        command: Callable[[argparse.Namespace], None] = options.command
        with _notes_on_screen(), _ended_by_signal():
            command(options)
            sys.stdout.flush()
    except BrokenPipeError:
        # whoever read our output has seen enough; Python would complain when it closes the stream
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OutcomeKPIError as error:
        return _fail(_reworded(str(error), data))
    except KeyboardInterrupt:
        _fail("Interrupted; nothing was written.")
        return EXIT_INTERRUPTED
    except MemoryError:
        return _fail("There is not enough memory for this table and this number of draws.")
    except Exception as error:
        return _fail(
            f"This should not have happened, and nothing was written ({type(error).__name__}: "
            f"{error}). Please report it with the command and the kind of table that you used."
        )
    return 0


def build_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(
        prog=PROGRAM,
        description="Outcome-based evaluation of doctors: risk-adjusted rates, ranks and flags.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=ShowVersion, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_evaluate(commands)
    _add_demo(commands)
    return parser


def _add_evaluate(commands: "argparse._SubParsersAction[Parser]") -> None:
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
    add("data", metavar="DATA", type=Path, help="CSV (UTF-8 or GB18030) or Parquet file")
    roles = parser.add_argument_group("columns")
    for role, meaning in ROLES.items():
        needed = role in ("outcome", "doctor")
        roles.add_argument(f"--{role}", metavar="COLUMN", required=needed, help=meaning)
    model = parser.add_argument_group("model")
    add = model.add_argument
    add("--adjust", metavar="FORMULA", help='case mix, e.g. "age + sex + bs(charlson, df=4)"')
    add("--event", metavar="VALUE", help="value of the outcome column that is the event")
    add("--missing", metavar="error|drop", default="error", help="missing values (error)")
    add(
        "--family",
        metavar="NAME",
        help="bernoulli, binomial (with --trials), poisson (with --exposure), negative_binomial "
        "or gaussian; follows from the columns unless named",
    )
    add("--engine", metavar="quadrature|nuts", default="quadrature", help="(quadrature)")
    add("--draws", metavar="N", type=_count, default=2000, help="posterior draws (2000)")
    add("--seed", metavar="N", type=_seed, default=20261, help="random seed (20261)")
    judgment = parser.add_argument_group("judgment")
    add = judgment.add_argument
    add("--direction", metavar="higher|lower", required=True, help="which outcome is better")
    add(
        "--benchmark",
        metavar="overall|RATE",
        type=_benchmark,
        help="rate to compare with (overall)",
    )
    add("--threshold", metavar="RATE", type=_number, help="rate for flags (the benchmark)")
    add("--probability", metavar="P", type=_number, default=0.95, help="required for a flag (.95)")
    add("--level", metavar="P", type=_number, default=0.95, help="of intervals (.95)")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder to write")
    parser.set_defaults(command=_evaluate)


def _add_demo(commands: "argparse._SubParsersAction[Parser]") -> None:
    parser = commands.add_parser(
        "demo",
        help="evaluate an example and say what to look at",
        description="Evaluate real patients (medpar) where the extra 'examples' is installed, "
        "else a small synthetic set.",
        allow_abbrev=False,
    )
    parser.add_argument("out", metavar="DIR", type=Path, nargs="?", default=Path("outcomekpi-demo"))
    parser.set_defaults(command=_demo)


def _evaluate(options: argparse.Namespace) -> None:
    from outcomekpi.adjustment.spec import ModelSpec
    from outcomekpi.commands.evaluation import Choices, evaluate_file
    from outcomekpi.commands.summary import print_judgment
    from outcomekpi.profiling.classification import FlagRule

    named = {role: getattr(options, role) for role in ROLES}
    judgment = evaluate_file(
        options.data,
        roles={role: column for role, column in named.items() if column is not None},
        reading={name: getattr(options, name) for name in ("direction", "event", "missing")},
        spec=ModelSpec(case_mix=options.adjust, family=options.family),
        choices=Choices(
            rule=FlagRule(threshold=options.threshold, probability=options.probability),
            benchmark=options.benchmark,
            engine=options.engine,
            draws=options.draws,
            seed=options.seed,
            level=options.level,
        ),
        out=options.out,
    )
    print_judgment(judgment, options.out)


def _demo(options: argparse.Namespace) -> None:
    from outcomekpi.commands.demonstration import demonstrate

    demonstrate(options.out)


def _number(text: str) -> float:
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


def _count(text: str) -> int:
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"wanted a whole number above 0, found {text!r}")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"wanted a whole number, 0 or more, found {text!r}")
    return int(text)


@contextmanager
def _notes_on_screen() -> Iterator[None]:
    """Show the package's own warnings in one line each, and no others; never fail to print."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", OutcomeKPIWarning)
        warnings.showwarning = _show_note
        yield


@contextmanager
def _ended_by_signal() -> Iterator[None]:
    """Clean up after a polite request to end (SIGTERM) as after Ctrl-C."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # only the main thread may set handlers
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show_note(message: Warning | str, *_: object, **__: object) -> None:
    print(f"{PROGRAM}: note: {_reworded(str(message))}", file=sys.stderr)


def _reworded(message: str, data: Path | None = None) -> str:
    from outcomekpi.commands.wording import reword

    return reword(message, data=data)


def _fail(message: str) -> int:
    print(f"{PROGRAM}: {message}", file=sys.stderr)
    return EXIT_ERROR


if __name__ == "__main__":
    sys.exit(main())
