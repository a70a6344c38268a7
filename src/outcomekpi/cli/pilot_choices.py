"""What was chosen for a pilot, read from the command line: figures or design, program, output."""

import argparse
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

from outcomekpi.cli.pilot_designs import DESIGNS, all_options, build_design
from outcomekpi.declare.errors import SpecError, StorageError, check_choice, did_you_mean
from outcomekpi.draws.intervals import check_level
from outcomekpi.pages.suppression import check_suppression
from outcomekpi.pilots.designs.aggregates import PublishedAggregates
from outcomekpi.pilots.estimators.aggregate_priors import (
    UNKNOWN_SELECTION,
    AggregatePriors,
    PriorRange,
    Scale,
)
from outcomekpi.pilots.estimators.published import PublishedFigures, Reading
from outcomekpi.pilots.ladder.findings import Design
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.cases import Direction

__all__ = ["PilotChoices", "find_labels", "read_pilot_choices", "read_program"]

FIGURES = (
    *("before", "change", "reading", "years", "n_before", "n_after", "rounding", "trend"),
    *("regression", "attrition", "source"),
)
"""Options of published figures alone; ``--after`` belongs to tables too."""

LABELS = ("doctor", "hospital", "patient", "unit", "cluster", "group")
PRIORS = {"trend": "trend", "regression": "regression_to_mean", "attrition": "attrition"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotChoices:
    """How a pilot is to be evaluated.

    Attributes
    ----------
    figures : published figures; None where there is a table
    design : with its columns and options
    program : what was said of the program
    labels : columns of identifiers, which keep their leading zeros
    draws, seed, level : of the estimation and its intervals
    quick : no placebos, and no cluster left out
    title : heading of the report; None names the outcome
    suppress_below : a table with a count below this is refused; None refuses none
    """

    figures: PublishedFigures | None
    design: Design
    program: Program
    labels: tuple[str, ...]
    draws: int
    seed: int
    level: float
    quick: bool
    title: str | None
    suppress_below: int | None


def read_pilot_choices(options: argparse.Namespace) -> PilotChoices:
    """Check what was typed, before any file but that of the program is read.

    Raises
    ------
    SpecError
        Figures and a table together or neither, options that do not belong to the design.
    StorageError
        The file of the program cannot be read.
    """
    check_level(options.level)
    if options.suppress_below is not None:
        check_suppression(options.suppress_below)
    if options.direction is not None:
        check_choice("direction", options.direction, ("higher", "lower"))
    program = read_program(options)
    figures = None
    if options.data is None:
        figures = _read_figures(options)
        design: Design = PublishedAggregates(
            priors=_read_priors(options), direction=cast(Direction | None, options.direction)
        )
    else:
        _refuse_figures(options)
        design = build_design(options)
    return PilotChoices(
        figures=figures,
        design=design,
        program=program,
        labels=find_labels(options),
        draws=options.draws,
        seed=options.seed,
        level=options.level,
        quick=options.quick or getattr(design, "engine", None) == "nuts",
        title=options.title,
        suppress_below=options.suppress_below,
    )


def find_labels(options: argparse.Namespace) -> tuple[str, ...]:
    """Columns of identifiers, which keep their leading zeros."""
    named = (getattr(options, role) for role in LABELS)
    return tuple(column for column in named if column is not None)


def _read_figures(options: argparse.Namespace) -> PublishedFigures:
    of_tables = ({*all_options(), "design"} - {"after", "direction"}) & {
        name for name, value in vars(options).items() if value is not None
    }
    given = [name for name in (*FIGURES, "after") if getattr(options, name) is not None]
    if of_tables or not given:
        found = f" Found --{min(of_tables).replace('_', '-')} without a table." if of_tables else ""
        raise SpecError(
            "A pilot needs a table and its --design, as in pilot DATA --design "
            f"{'|'.join(DESIGNS)}; or published figures, as in pilot --before 43 --after 68 "
            f"--percent.{found}"
        )
    after = None
    if options.after is not None:
        try:
            after = float(options.after)
        except ValueError:
            raise SpecError(
                f"--after must be a figure where there is no table; got {options.after!r}."
            ) from None
    return PublishedFigures(
        unit="percent" if options.percent else "fraction",
        before=options.before,
        after=after,
        change=options.change,
        reading=cast(Reading | None, options.reading),
        rounding=options.rounding,
        n_before=options.n_before,
        n_after=options.n_after,
        years=options.years,
        source=options.source,
    )


def _read_priors(options: argparse.Namespace) -> AggregatePriors | None:
    typed = {
        field: getattr(options, name)
        for name, field in PRIORS.items()
        if getattr(options, name) is not None
    }
    if options.no_priors:
        if typed:
            raise SpecError(
                "--no-priors refuses beliefs: leave out --trend, --regression and "
                "--attrition, or --no-priors."
            )
        return None
    changed: dict[str, Any] = {
        field: PriorRange(
            lower=low, upper=high, scale=_scale_of(field, low), why="stated by the user"
        )
        for field, (low, high) in typed.items()
    }
    return replace(AggregatePriors(), **changed)


def _scale_of(field: str, low: float) -> Scale:
    """Scale on which a belief is normal: that of the default, or of numbers that reach 0."""
    if field == "regression_to_mean":
        return UNKNOWN_SELECTION.scale if low > 0 else "identity"
    default: PriorRange = getattr(AggregatePriors(), field)
    return default.scale


def _refuse_figures(options: argparse.Namespace) -> None:
    wrong = [name for name in FIGURES if getattr(options, name) is not None]
    wrong += [name for name in ("percent", "no_priors") if getattr(options, name)]
    if wrong:
        raise SpecError(
            f"--{wrong[0].replace('_', '-')} belongs to published figures, which come without a "
            f"table; found the table {str(options.data)!r}. Leave one of the two out."
        )
    if options.design is None:
        raise SpecError(f"A table needs --design: {', '.join(DESIGNS)}.")


def read_program(options: argparse.Namespace) -> Program:
    """Read the facts about the program: from a TOML file, then from options, which win.

    Raises
    ------
    SpecError
        A fact that is not known, or of the wrong kind.
    StorageError
        The file cannot be read.
    """
    said = {} if options.program is None else _read_toml(options.program)
    for field in fields(Program):
        typed = getattr(options, field.name, None)
        if typed is not None:
            said[field.name] = typed
    if isinstance(said.get("selected_on_baseline"), str):
        word = said["selected_on_baseline"]
        check_choice("selected_on_baseline", word, ("yes", "no"))
        said["selected_on_baseline"] = word == "yes"
    if "other_outcomes" in said:
        said["other_outcomes"] = tuple(said["other_outcomes"])
    return Program(**said)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise StorageError(
            f"The file of the program {str(path)!r} cannot be read: {error.strerror or error}."
        ) from error
    except (ValueError, RecursionError) as error:  # wrong letters, numbers, dates or nesting
        raise SpecError(
            f"{str(path)!r} is no TOML file in UTF-8: {str(error)[:200]}. Facts are written one "
            'to a line, as assignment = "volunteers".'
        ) from error
    known = [field.name for field in fields(Program)]
    for name, value in found.items():
        if name not in known:
            raise SpecError(
                f"{str(path)!r} says {name[:80]!r}, which is no fact about a program. Known are: "
                f"{', '.join(known)}.{did_you_mean(name, known)}"
            )
        _check_fact(name, value, path)
    return found


def _check_fact(name: str, value: object, path: Path) -> None:
    if name == "selected_on_baseline":
        fits, wanted = isinstance(value, bool), "true or false"
    elif name == "other_outcomes":
        fits = isinstance(value, list) and all(isinstance(one, str) for one in value)
        wanted = 'a list of texts, as ["mortality", "cost"]'
    else:
        fits, wanted = isinstance(value, str), "a text in quotes"
    if not fits:
        raise SpecError(f"{name} in {str(path)!r} must be {wanted}; got {str(value)[:80]!r}.")
