"""The answer in words: who stands out, how sure that is, and how much of it is luck."""

import pandas as pd

from outcomekpi.pages.bar import Bar
from outcomekpi.pages.numbers import RateStyle, count, decimal, percent, plural, probability
from outcomekpi.pages.statements import Answer, Named, Part, Side
from outcomekpi.profiling.classification import Classification
from outcomekpi.profiling.ranking import Ranks
from outcomekpi.tables.cases import Direction

__all__ = ["rule_in_words", "write_answer"]

NAMED_AT_MOST = 8


def write_answer(
    table: pd.DataFrame,
    ranks: Ranks,
    flags: Classification,
    *,
    style: RateStyle,
    level: float,
    bar: Bar,
    luck: tuple[str, ...],
) -> Answer:
    """Say in words what the table of doctors says.

    Parameters
    ----------
    table : indexed by doctor, columns of ``doctors.csv``
    ranks : posterior of the ranks
    flags : flags and their rule
    style : how rates are written
    level : probability of the intervals
    bar : the rate that flags are about
    luck : paragraphs on chance, see :func:`outcomekpi.pages.chance.write_chance`
    """
    n_flagged = int((flags.flag != "").sum())
    sides = [
        _side(table, kind, flags, style=style, level=level, bar=bar) for kind in ("worse", "better")
    ]
    return Answer(
        lead=_lead(n_flagged, len(table)),
        context=_context(table, flags, style),
        sides=tuple(side for side in sides if side.lines),
        parts=(
            Part(
                heading="How sure is this?",
                paragraphs=_certainty(table, ranks, flags, style=style, level=level, bar=bar),
            ),
            Part(
                heading="How much of it is luck?",
                paragraphs=luck,
            ),
        ),
    )


def rule_in_words(flags: Classification, style: RateStyle, bar: Bar) -> str:
    """Say when a doctor stands out."""
    against = bar.words(style)
    if flags.rule.fdr is not None:
        return (
            f"Those doctors stand out who most probably lie beyond {against}, as many of them as "
            f"keep the expected share of wrong names at or below {percent(flags.rule.fdr)}."
        )
    needed = percent(flags.rule.required_probability)
    why = ""
    if flags.rule.loss_false_flag is not None and flags.rule.loss_missed is not None:
        ratio = flags.rule.loss_false_flag / flags.rule.loss_missed
        why = f" (naming a doctor wrongly counts {ratio:g} times as much as missing one)"
    return (
        f"A doctor stands out if the probability that the standardized {style.noun} lies beyond "
        f"{against} is above {needed}{why}."
    )


def _lead(n_flagged: int, n_doctors: int) -> str:
    if n_flagged == 0:
        return f"None of {plural(n_doctors, 'doctor')} stands out."
    verb = "stands" if n_flagged == 1 else "stand"
    return f"{n_flagged:,} of {plural(n_doctors, 'doctor')} {verb} out."


def _context(table: pd.DataFrame, flags: Classification, style: RateStyle) -> str:
    worse, better = ((flags.flag == kind).sum() for kind in ("worse", "better"))
    rest = (
        "For the others, these data do not show a difference; that is no proof that there is none."
    )
    if worse + better == 0:
        return (
            f"With the certainty that was asked for, nobody's {style.noun} can be told from "
            f"{style.full(flags.threshold)}. That is no proof that all are alike. "
            + _closest(table)
        )
    parts = [f"{n:,} on the {kind} side" for n, kind in ((worse, "worse"), (better, "better")) if n]
    return f"{' and '.join(parts).capitalize()} of {style.full(flags.threshold)}. {rest}"


def _closest(table: pd.DataFrame) -> str:
    """Name who comes closest on either side, where nobody stands out."""
    parts = []
    for kind in ("worse", "better"):
        chance = table[f"p_{kind}"]
        parts.append(f"{chance.idxmax()} (probability {probability(chance.max())} {kind})")
    return f"Closest to it come {' and '.join(parts)}."


def _side(
    table: pd.DataFrame,
    kind: str,
    flags: Classification,
    *,
    style: RateStyle,
    level: float,
    bar: Bar,
) -> Side:
    chance = f"p_{kind}"
    found = table[table["flag"] == kind].sort_values(chance, ascending=False, kind="stable")
    above = _is_above(kind, flags.rates.direction)
    gaussian = flags.rates.family == "gaussian"
    lines = tuple(
        Named(
            name=str(doctor), words=_sentence(row, kind, style, level, bar=bar, gaussian=gaussian)
        )
        for doctor, row in found.head(NAMED_AT_MOST).iterrows()
    )
    hidden = len(found) - len(lines)
    return Side(
        kind=kind,
        heading=f"Stands out as {kind}: a {style.noun} {'above' if above else 'below'} "
        f"{style.full(flags.threshold)}",
        lines=lines,
        more=f"and {hidden:,} more, named in the table below." if hidden > 0 else "",
    )


def _is_above(kind: str, direction: Direction | None) -> bool:
    return (kind == "worse") == (direction == "lower")


def _sentence(
    row: pd.Series, kind: str, style: RateStyle, level: float, *, bar: Bar, gaussian: bool
) -> str:
    words = (
        f"{style.write(row['rate'])} ({percent(level)} interval "
        f"{style.span(row['rate_lower'], row['rate_upper'])}), "
        f"with probability {probability(row[f'p_{kind}'])} {kind} than the {bar.noun}"
    )
    if gaussian:
        return words + "."
    cases = f" in {plural(int(row['cases']), 'case')}"
    events = "event" if row["observed"] == 1 else "events"
    return (
        f"{words}; {count(row['observed'])} {events}{cases}, where "
        f"{decimal(row['expected'], 1)} were expected."
    )


def _certainty(
    table: pd.DataFrame,
    ranks: Ranks,
    flags: Classification,
    *,
    style: RateStyle,
    level: float,
    bar: Bar,
) -> tuple[str, ...]:
    paragraphs = [rule_in_words(flags, style, bar)]
    n_flagged = int((flags.flag != "").sum())
    if n_flagged:
        wrong = flags.expected_false_flags
        paragraphs[0] += (
            f" The probability that this name is wrong is {probability(wrong)}."
            if n_flagged == 1
            else f" Of these {n_flagged:,} names, "
            f"{'fewer than 0.1' if wrong < 0.1 else f'about {wrong:.1f}'} are expected to be wrong."
        )
    half_width = float((table["rate_upper"] - table["rate_lower"]).median()) / 2
    places = ranks.to_frame(level=level)
    span = float((places["upper"] - places["lower"]).median()) + 1
    any_of = f"any of {span:,.0f} of the" if span < len(table) else "any of the"
    points = "percentage points" if style.sign == "%" else style.unit
    paragraphs.append(
        f"The standardized {style.noun} of a typical doctor is known to within about "
        f"{style.bare(half_width)} {points} on either side ({percent(level)} interval). "
        f"A typical doctor's rank could be {any_of} {len(table):,} places: "
        "read the order of the doctors with that in mind."
    )
    return tuple(paragraphs)
