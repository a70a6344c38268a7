"""What a design hands back: numbers, and the findings that are told from them at a level."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

import numpy as np
import pandas as pd

from outcomekpi.draws.checks import CheckResult
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.cases import Direction

__all__ = ["Answer", "Answered", "Design", "Fact", "Findings", "Rung", "Threat"]

Rung = Literal[0, 1, 2, 3, 4, 5, 6]
"""Rung of the ladder of evidence, from published figures (0) to a stepped wedge (6)."""

Fact = str | None
"""Answer to an item of the checklist; None where it does not apply to the design."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threat:
    """Something else than the program that could have made the change.

    Attributes
    ----------
    name : history, regression to the mean, attrition, instrumentation, gaming, spillover, ...
    direction : "towards benefit", "towards harm" or "either": where it would push the estimate
    tipping : how strong it would have to be for the effect to be nil, in words with its number
    handled : how the design deals with it; empty where it does not
    """

    name: str
    direction: str
    tipping: str
    handled: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Findings:
    """Everything a design's method found, told at one level of its intervals.

    Attributes
    ----------
    estimand : one sentence: effect of what, on what, in whom, when
    estimates : the first one is the main effect
    naive : what a plain before/after difference would have said
    assumptions : each in one sentence; all of them are needed for the verdict
    checks : verdicts of diagnostics
    threats : the ledger of other explanations
    tables : name -> table for plots and reports; see each design for its names
    facts : item of the checklist -> answer (None: not applicable); what is absent is missing
    direction : whether higher or lower outcomes are better, or None
    withheld : why the rung's claim must not be made of the main effect; empty where it may
    others : (method in words, main effect by it); the verdict names those that say otherwise
    claim : what may be claimed where it is less than the rung allows; None is the claim of the rung
    caution : sentence that must follow every verdict of these findings, or empty
    """

    estimand: str
    estimates: tuple[Estimate, ...]
    naive: Estimate
    assumptions: tuple[str, ...]
    checks: tuple[CheckResult, ...] = ()
    threats: tuple[Threat, ...] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    facts: Mapping[str, Fact] = field(default_factory=dict)
    direction: Direction | None = None
    withheld: str = ""
    others: tuple[tuple[str, Estimate], ...] = ()
    claim: str | None = None
    caution: str = ""

    def tell(self, *, level: float) -> "Findings":
        """Return these findings as they are, for designs whose words and tables have no level."""
        return self


class Answer(Protocol):
    """What a design found, before a level was chosen."""

    def tell(self, *, level: float) -> Findings:
        """Say what was found, with intervals of that level."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answered[Numbers]:
    """Numbers of a design and what tells them; a level is chosen when they are told.

    Attributes
    ----------
    numbers : estimates, fits and draws
    program : facts about the program, which threats and cautions are worded by
    describe : words and tables of the numbers at a level
    """

    numbers: Numbers
    program: Program
    describe: Callable[[Numbers, Program, float], Findings]

    def tell(self, *, level: float) -> Findings:
        """Say what was found, with intervals of that level."""
        return self.describe(self.numbers, self.program, level)


class Design(Protocol):
    """A small frozen object that knows which data it needs and how to estimate from them.

    ``estimate`` refuses data that do not fit, and names the design that would. It returns an
    :class:`Answer`; :class:`Findings` are one.
    """

    rung: ClassVar[Rung]

    def estimate(
        self, data: object, *, program: Program, draws: int, rng: np.random.Generator
    ) -> Answer:
        """Estimate the effect of the program."""
        ...
