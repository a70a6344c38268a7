"""The strongest sentence that each rung of evidence allows, and no stronger one."""

from collections.abc import Sequence

from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Rung
from outcomekpi.tables.cases import Direction

__all__ = ["CLAIMS", "RUNGS", "word_verdict"]

SHOWN = 2
RUNGS: dict[Rung, str] = {
    0: "published aggregates",
    1: "before and after, patients",
    2: "one interrupted series",
    3: "controlled series",
    4: "difference in differences",
    5: "hierarchical effect",
    6: "stepped wedge",
}
"""Rung -> its name."""

CLAIMS: dict[Rung, tuple[str, str]] = {
    0: ("a change", "The cause of it is not identified."),
    1: (
        "a change after adjustment",
        "Whether the program made it cannot be told from these data: nothing shows what would "
        "have happened without it.",
    ),
    2: (
        "a departure from the trend before the program",
        "It is the program's effect only if nothing else happened at the same time.",
    ),
    3: (
        "a departure from the trend of the controls",
        "It is the program's effect only if nothing else happened to the treated units alone.",
    ),
    4: (
        "an effect if trends would have been parallel",
        "How large a break of the parallel trends would undo it is given with the sensitivity.",
    ),
    5: (
        "a change after adjustment that is shared by the doctors",
        "Whether the program made it depends on the comparison that it rests on.",
    ),
    6: (
        "an effect, given that the start times were randomized",
        "It rests on the randomization and on the model of time.",
    ),
}
"""Rung -> what may be claimed, and the sentence that must follow."""


def word_verdict(
    rung: Rung,
    estimate: Estimate,
    *,
    direction: Direction | None,
    level: float,
    withheld: str = "",
    others: Sequence[tuple[str, Estimate]] = (),
    claim: str | None = None,
    caution: str = "",
) -> str:
    """Say what the main estimate shows, in the words of its rung.

    Parameters
    ----------
    rung : of the design
    estimate : the main effect
    direction : whether higher or lower is better; None leaves out better and worse
    level : probability of the interval
    withheld : why the claim must not be made; empty where it may
    others : (method in words, the same effect by it); those that would say otherwise are named in
        the first sentence
    claim : in place of the claim of the rung, where the findings allow less
    caution : sentence of the findings that follows in any case
    """
    usual, rest = CLAIMS[rung]
    claim = usual if claim is None else claim
    more = f" {caution}" if caution else ""
    lower, upper = estimate.interval(level=level)
    unit = "" if estimate.unit == "ratio" else f" {estimate.unit}"
    number = f"{estimate.name} {estimate.value:.4g}{unit}"
    clear = estimate.excludes_null(level=level)
    if clear is None:
        return f"The figures say {claim} ({number}; no interval can be given). {rest}{more}"
    span = f"{number}, {level:.0%} interval {lower:.4g} to {upper:.4g} {estimate.basis}".rstrip()
    span += _word_others(estimate, others, level)
    if withheld:
        return f"These data do not show {claim} ({span}): {withheld}{more}"
    if not clear:
        return (
            f"These data do not show {claim} ({span}); they do not show that there is none "
            f"either: the interval says which sizes remain possible.{more}"
        )
    side = ""
    if direction is not None:
        better = (estimate.value > estimate.null) == (direction == "higher")
        side = ", for the better" if better else ", for the worse"
    return f"These data show {claim}{side} ({span}). {rest}{more}"


def _word_others(estimate: Estimate, others: Sequence[tuple[str, Estimate]], level: float) -> str:
    """Name the methods whose interval lies on another side of no effect than the main one's."""
    own = _side(estimate, level)
    told = []
    for words, other in others:
        if _side(other, level) not in (own, None):
            lower, upper = other.interval(level=level)
            told.append(f"{words}, {lower:.4g} to {upper:.4g}")
    if not told:
        return ""
    rest = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    return f"; other methods disagree: {'; '.join(told[:SHOWN])}{rest}"


def _side(estimate: Estimate, level: float) -> int | None:
    """Return 1 above no effect, -1 below it, 0 where the interval holds it; None without one."""
    clear = estimate.excludes_null(level=level)
    if clear is None:
        return None
    return (1 if estimate.value > estimate.null else -1) if clear else 0
