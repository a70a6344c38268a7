"""The command line: reads arguments, calls a command, says what went wrong in one message."""

import argparse
import io
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from outcomekpi.cli.arguments import (
    PROGRAM,
    ROLES,
    Parser,
    ShowVersion,
    add_assess,
    add_check,
    add_demo,
    add_evaluate,
    add_thresholds,
    find_marks,
)
from outcomekpi.cli.pilot_arguments import add_pilot, add_pilot_check
from outcomekpi.declare.errors import FieldError, OutcomeKPIError, OutcomeKPIWarning

if TYPE_CHECKING:
    from outcomekpi.cli.folder import Claim

__all__ = ["main"]

TYPED_TIMES = ("start", "after", "other_interruptions", "selected_in", "cycle_order")
EXIT_FAULTS = 1
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    It is 0, 1 where a check found faults, 2 after an error, 130 after Ctrl-C.

    Parameters
    ----------
    argv : arguments without the program's name; those of the process unless given
    """
    data: Path | None = None
    claim: Claim | None = None
    try:
        typed = sys.argv[1:] if argv is None else argv
        of_pilot = any(word == "--design" or word.startswith("--design=") for word in typed)
        options = build_parser(of_pilot=of_pilot).parse_args(argv)
        _order_typed(options)
        data = getattr(options, "data", None)
        command: Callable[[argparse.Namespace], int | None] = options.command
        with _notes_on_screen(), _ended_by_signal(), _claimed(options.out) as claim:
            code = command(options)
            if claim is not None and claim.has_replaced:
                _show_note(f"the results that were in {str(options.out)!r} have been replaced.")
            sys.stdout.flush()
            return code or 0
    except BrokenPipeError:
        # whoever read our output has seen enough; Python would complain when it closes the stream
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OutcomeKPIError as error:
        return _fail(_reworded(_with_options(error), data))
    except KeyboardInterrupt:
        _fail(f"Interrupted; {_say_written(claim)}.")
        return EXIT_INTERRUPTED
    except MemoryError:
        return _fail("There is not enough memory for this table and this number of draws.")
    except Exception as error:
        return _fail(
            f"This should not have happened, and {_say_written(claim)} ({type(error).__name__}: "
            f"{error}). Please report it with the command and the kind of table that you used."
        )
    return 0


def build_parser(*, of_pilot: bool = False) -> Parser:
    """Return the parser of all commands.

    Parameters
    ----------
    of_pilot : whether a table is checked by the options of a pilot, since its design was named
    """
    parser = Parser(
        prog=PROGRAM,
        description="Outcome-based evaluation of doctors: risk-adjusted rates, ranks and flags; "
        "review of thresholds; effects of pilots.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=ShowVersion, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_evaluate(commands, _evaluate)
    add_thresholds(commands, _thresholds)
    add_pilot(commands, _pilot)
    if of_pilot:
        add_pilot_check(commands, _check_pilot)
    else:
        add_check(commands, _check)
    add_assess(commands, _assess)
    add_demo(commands, _demo)
    return parser


def _order_typed(options: argparse.Namespace) -> None:
    """Read times that were typed in the order of day and month that was declared for the file."""
    if getattr(options, "dates", None) is None:
        return
    from outcomekpi.tables.date_order import order_date

    for name in TYPED_TIMES:
        typed = getattr(options, name, None)
        if isinstance(typed, str):
            setattr(options, name, order_date(typed, options.dates))
        elif typed is not None:
            setattr(options, name, [order_date(one, options.dates) for one in typed])


def _assess(options: argparse.Namespace) -> None:
    from outcomekpi.cli.assessment import assess_records

    assess_records(options)


def _evaluate(options: argparse.Namespace) -> None:
    from outcomekpi.cli.evaluation import Choices, evaluate_file
    from outcomekpi.cli.publishing import find_publishing
    from outcomekpi.cli.summary import print_judgment
    from outcomekpi.model.spec import ModelSpec
    from outcomekpi.profiling.classification import FlagRule

    publishing = find_publishing(options.suppress_below, options.private_dir, out=options.out)
    named = {role: getattr(options, role) for role in ROLES}
    judgment = evaluate_file(
        options.data,
        roles={role: column for role, column in named.items() if column is not None},
        reading={
            name: getattr(options, name)
            for name in ("direction", "event", "no_event", "missing", "offset_scale")
        },
        spec=ModelSpec(case_mix=options.adjust, family=options.family),
        choices=Choices(
            rule=FlagRule(threshold=options.threshold, probability=options.probability),
            average_doctor=options.average_doctor,
            benchmark=options.benchmark,
            engine=options.engine,
            draws=options.draws,
            seed=options.seed,
            level=options.level,
            publishing=publishing,
        ),
        out=options.out,
        marks=find_marks(options),
    )
    print_judgment(judgment, options.out, private=publishing.private)


def _thresholds(options: argparse.Namespace) -> None:
    from outcomekpi.cli.review import review_file
    from outcomekpi.cli.review_choices import read_choices
    from outcomekpi.cli.summary import print_review

    pages = review_file(
        options.data, choices=read_choices(options), out=options.out, marks=find_marks(options)
    )
    print_review(pages, options.out)


def _pilot(options: argparse.Namespace) -> None:
    from outcomekpi.cli.pilot import evaluate_pilot
    from outcomekpi.cli.pilot_choices import read_pilot_choices
    from outcomekpi.cli.pilot_wording import reworded
    from outcomekpi.cli.summary import print_pilot

    try:
        choices = read_pilot_choices(options)
    except OutcomeKPIError as error:
        raise reworded(error) from error
    results = evaluate_pilot(
        options.data, choices=choices, out=options.out, marks=find_marks(options)
    )
    print_pilot(results, options.out)


def _check(options: argparse.Namespace) -> int:
    from outcomekpi.cli.check import check_file

    return EXIT_FAULTS if check_file(options) else 0


def _check_pilot(options: argparse.Namespace) -> int:
    from outcomekpi.cli.check import check_pilot_file

    return EXIT_FAULTS if check_pilot_file(options) else 0


def _demo(options: argparse.Namespace) -> None:
    from outcomekpi.cli.demonstration import demonstrate
    from outcomekpi.cli.publishing import find_publishing

    publishing = find_publishing(options.suppress_below, options.private_dir, out=options.out)
    demonstrate(options.out, publishing=publishing)


def _claimed(out: Path | None) -> "AbstractContextManager[Claim | None]":
    if out is None:
        return nullcontext()
    from outcomekpi.cli.folder import claim_folder

    return claim_folder(out)


def _say_written(claim: "Claim | None") -> str:
    if claim is not None and claim.is_published:
        return f"the results in {str(claim.folder)!r} are complete"
    return "nothing was written"


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


def _with_options(error: OutcomeKPIError) -> str:
    from outcomekpi.cli.wording import name_option

    return str(name_option(error) if isinstance(error, FieldError) else error)


def _reworded(message: str, data: Path | None = None) -> str:
    from outcomekpi.cli.wording import reword

    return reword(message, data=data)


def _fail(message: str) -> int:
    print(f"{PROGRAM}: {message}", file=sys.stderr)
    return EXIT_ERROR


if __name__ == "__main__":
    sys.exit(main())
