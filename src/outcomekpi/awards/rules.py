"""What a rule sees and answers: counts of cycles in, decisions out."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError, SpecError

__all__ = ["CycleResults", "Rule", "apply_rule", "rule_cycles"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CycleResults:
    """What a rule sees: events and trials of each unit in each cycle, in every replicate.

    Attributes
    ----------
    events : (replicate, unit, cycle), events counted, latest cycle last
    trials : (replicate, unit, cycle), cases; anything that broadcasts to ``events`` is taken
        and kept as a view of that shape, so that sums over units or cycles are right

    Raises
    ------
    CasesError
        Events that are not of three dimensions, or trials that do not fit them.

    Examples
    --------
    >>> import numpy as np
    >>> from outcomekpi import CycleResults
    >>> CycleResults(events=np.array([[[9, 19]]]), trials=20).rates
    array([[[0.45, 0.95]]])
    """

    events: NDArray[Any]
    trials: NDArray[Any]

    def __post_init__(self) -> None:
        events = np.asarray(self.events)
        if events.ndim != 3:
            raise CasesError(
                "CycleResults.events must have the shape (replicate, unit, cycle); "
                f"got {events.shape}. One unit in one replicate is events[None, None, :]."
            )
        try:
            trials = np.broadcast_to(self.trials, events.shape)
        except ValueError as error:
            raise CasesError(
                f"CycleResults.trials must broadcast to the shape of events, {events.shape}; "
                f"got {np.shape(self.trials)}."
            ) from error
        object.__setattr__(self, "events", events)
        object.__setattr__(self, "trials", trials)

    @property
    def rates(self) -> NDArray[np.float64]:
        """Events per case, (replicate, unit, cycle); not a number where there is no case."""
        rates = np.full(self.events.shape, np.nan)
        np.divide(self.events, self.trials, out=rates, where=self.trials > 0)
        return rates

    def latest(self, cycles: int) -> "CycleResults":
        """Return the latest ``cycles`` cycles as views of the same counts."""
        return CycleResults(events=self.events[..., -cycles:], trials=self.trials[..., -cycles:])

    def __repr__(self) -> str:
        replicates, units, cycles = self.events.shape
        return f"CycleResults: {replicates} replicates, {units} units, {cycles} cycles"


@runtime_checkable
class Rule(Protocol):
    """Anything with a method ``decide``: bars, flags, bonuses, points, veto.

    Notes
    -----
    A rule of one's own is a frozen dataclass of five lines (see the example). Each replicate is
    decided from its own counts alone: the replicates are parallel worlds. A rule may say more
    about itself, and :func:`~outcomekpi.operating_characteristics` reads it:

    ``cycles``
        how many latest cycles it looks at, and is shown;
    ``direction``
        "lower" where a positive decision is for low rates;
    ``pools_units``
        True where only the events and trials summed over units count.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class TooEasy:
    ...     bar: float = 0.9
    ...     def decide(self, results):
    ...         return (results.rates[:, 0, -2:] > self.bar).all(axis=-1)
    """

    def decide(self, results: CycleResults) -> NDArray[Any]:
        """Decide every replicate.

        Parameters
        ----------
        results : counts of every replicate, unit and cycle

        Returns
        -------
        (replicate,) for a decision about the indicator, (replicate, unit) for one about each
        doctor. 0 (False): nothing happens. Otherwise the award: 1 (True) a flag or a bonus,
        points or a share of the pay where it is graded; negative is the other side (too hard,
        penalty).
        """
        ...


def apply_rule(rule: Rule, results: CycleResults) -> NDArray[np.float64]:
    """Decisions of a rule, checked: one finite award per replicate, or per replicate and unit.

    Raises
    ------
    SpecError
        The rule has no ``decide``, or what it returned has another shape, is no number, or is
        not finite; the message names the first decision at fault.
    """
    name = type(rule).__name__
    if not callable(getattr(rule, "decide", None)):
        raise SpecError(
            f"A rule must have a method decide(results) that returns its decisions; {name} has "
            "none. help(outcomekpi.Rule) shows a rule of five lines."
        )
    decided = np.asarray(rule.decide(results))
    replicates, units = results.events.shape[:2]
    if decided.shape not in {(replicates,), (replicates, units)}:
        raise SpecError(
            f"{name}.decide must return one decision per replicate, shape ({replicates},), or "
            f"one per replicate and unit, shape ({replicates}, {units}); got {decided.shape}."
        )
    if decided.dtype.kind not in "biuf":
        raise SpecError(
            f"{name}.decide must return numbers or True and False; got {decided.dtype}."
        )
    awards = decided.astype(np.float64)
    if not np.isfinite(awards).all():
        wrong = np.argwhere(~np.isfinite(awards))
        raise SpecError(
            f"{name}.decide must return finite awards. {len(wrong)} of {awards.size} are not, the "
            f"first in replicate {wrong[0][0]}. Return 0 where nothing happens."
        )
    return awards


def rule_cycles(rule: Rule) -> int | None:
    """How many latest cycles a rule says it looks at; None where it does not say.

    Raises
    ------
    SpecError
        ``rule.cycles`` is given and is not a positive whole number.
    """
    cycles = getattr(rule, "cycles", None)
    if cycles is None:
        return None
    if isinstance(cycles, bool) or not isinstance(cycles, int | np.integer) or cycles < 1:
        raise SpecError(
            f"{type(rule).__name__}.cycles must be a whole number of at least 1; got {cycles!r}."
        )
    return int(cycles)
