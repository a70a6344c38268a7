"""What was chosen for a review of thresholds, read from the command line and the table."""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from outcomekpi.cli.arguments import HISTORY_ROLES
from outcomekpi.declare.errors import CasesError, SpecError, check_choice, did_you_mean
from outcomekpi.draws.intervals import check_level
from outcomekpi.pages.suppression import check_suppression
from outcomekpi.review.rule import ReviewJudgment, ReviewRule
from outcomekpi.tables.history import CycleHistory, HistoryCounts
from outcomekpi.tables.times import TIME_UNITS, TimeUnit

__all__ = ["ReviewChoices", "read_choices", "read_history"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewChoices:
    """How a history is to be reviewed.

    Attributes
    ----------
    roles : role -> column, as :meth:`CycleHistory.from_frame` names them
    target : column of targets, or one target as text; None where there is none
    counts : what is counted; None where the reading alone tells
    percent : completions and targets are in percent
    cycle_order : cycles, oldest first; None where their labels tell
    cycle_unit : what their labels name; None where they tell
    rule, judgment : the rule as written, and the Bayesian review
    draws, seed : of the review
    level : probability of every interval
    suppress_below : counts below this are withheld; None withholds nothing
    """

    roles: dict[str, str]
    target: str | None
    counts: HistoryCounts | None
    percent: bool
    cycle_order: tuple[str, ...] | None
    cycle_unit: TimeUnit | None
    rule: ReviewRule
    judgment: ReviewJudgment
    draws: int
    seed: int
    level: float
    suppress_below: int | None


def read_choices(options: argparse.Namespace) -> ReviewChoices:
    """Check what was typed, before any file is read.

    Raises
    ------
    SpecError
        Losses and a false discovery rate together, unknown words, crossed bars.
    """
    named = {role: getattr(options, role) for role in HISTORY_ROLES}
    if options.counts is not None:
        check_choice("counts", options.counts, ("events", "doctors"))
    check_level(options.level)
    if options.cycle_unit is not None:
        check_choice("cycle_unit", options.cycle_unit, TIME_UNITS)
    if options.suppress_below is not None:
        check_suppression(options.suppress_below)
    return ReviewChoices(
        roles={role: column for role, column in named.items() if column is not None},
        target=options.target,
        counts=options.counts,
        percent=options.percent,
        cycle_order=None if options.cycle_order is None else tuple(options.cycle_order),
        cycle_unit=options.cycle_unit,
        rule=ReviewRule(
            reading=options.reading,
            upper=options.upper,
            lower=options.lower,
            cycles=options.cycles,
            strict=not options.inclusive,
            cycle_length=options.cycle_length,
        ),
        judgment=_read_judgment(options),
        draws=options.draws,
        seed=options.seed,
        level=options.level,
        suppress_below=options.suppress_below,
    )


def read_history(table: pd.DataFrame, choices: ReviewChoices) -> tuple[CycleHistory, ReviewRule]:
    """Check the table, and settle what ``--target`` and ``--counts`` mean for it.

    Returns
    -------
    history, rule : the rule holds a target of its own where one number was given
    """
    columns, rule = dict(choices.roles), choices.rule
    if choices.target is not None:
        if choices.target in table.columns:
            if rule.reading == "raw_rate":
                raise SpecError(
                    "--reading raw_rate has no target: it compares events over cases with the "
                    f"bars, and column {choices.target!r} would change nothing. Leave out "
                    "--target, or choose --reading share_of_doctors or mean_achievement."
                )
            columns["target"] = choices.target
        else:
            rule = replace(rule, target=_one_target(choices, table.columns))
    history = CycleHistory.from_frame(
        table,
        **columns,
        counts=_settle_counts(choices),
        percent=choices.percent,
        cycle_order=choices.cycle_order,
        cycle_unit=choices.cycle_unit,
    )
    return history, rule


def _read_judgment(options: argparse.Namespace) -> ReviewJudgment:
    chosen: dict[str, Any] = {
        "loss_false_change": options.loss_false,
        "loss_missed": options.loss_missed,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    if options.fdr is not None and given:
        raise SpecError("Name losses (--loss-false, --loss-missed) or --fdr, not both.")
    if len(given) == 1:
        raise SpecError("Name both losses, --loss-false and --loss-missed, or neither.")
    return ReviewJudgment(
        **given, fdr=options.fdr, wanted=tuple(options.wanted), model=options.model
    )


def _settle_counts(choices: ReviewChoices) -> HistoryCounts:
    """Patients, unless the share of doctors is to be read from a table without targets."""
    if choices.counts is not None:
        return choices.counts
    if choices.rule.reading == "share_of_doctors":
        raise SpecError(
            "The reading 'share_of_doctors' needs to know what the table counts. Add "
            "--counts doctors if it counts doctors on target among doctors, or --counts events "
            "if it counts patients of each doctor (with --unit and --target)."
        )
    return "events"


def _one_target(choices: ReviewChoices, columns: Iterable[object]) -> float:
    text = str(choices.target)
    try:
        value = float(text)
    except ValueError:
        raise CasesError(
            f"--target must be a column of the table or one share; {text!r} is neither."
            f"{did_you_mean(text, columns)}"
        ) from None
    return value / 100 if choices.percent else value
