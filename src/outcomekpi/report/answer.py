"""The answer in words: who stands out, how sure that is, and how much of it is luck."""

from dataclasses import dataclass

import pandas as pd

from outcomekpi.cases import Direction
from outcomekpi.profiling.classification import Classification
from outcomekpi.profiling.funnel import FunnelLimits
from outcomekpi.profiling.ranking import Ranks
from outcomekpi.report.numbers import RateStyle, count, decimal, percent, plural, probability

__all__ = ["Answer", "Named", "Part", "Side", "rule_in_words", "write_answer"]

NAMED_AT_MOST = 12
JUDGED_ALONE = 0.7  # reliability that is usually asked for before one doctor is judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One doctor who stands out, and the sentence about him."""

    doctor: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The doctors who stand out on one side."""

    kind: str
    heading: str
    lines: tuple[Named, ...]
    more: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A heading and its paragraphs."""

    heading: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """First sentence, its context, the doctors who stand out, and what to make of it."""

    lead: str
    context: str
    sides: tuple[Side, ...]
    parts: tuple[Part, ...]


def write_answer(
    table: pd.DataFrame,
    ranks: Ranks,
    flags: Classification,
    *,
    style: RateStyle,
    level: float,
    raw_rates: pd.Series,
    limits: FunnelLimits | None,
) -> Answer:
    """Say in words what the table of doctors says.

    Parameters
    ----------
    table : indexed by doctor, columns of ``doctors.csv``; masked counts are missing
    ranks : posterior of the ranks
    flags : flags and their rule
    style : how rates are written
    level : probability of the intervals
    raw_rates : rates before adjustment, of the doctors whose counts may be seen
    limits : funnel limits of the same doctors; None where there is no funnel
    """
    n_flagged = int((flags.flag != "").sum())
    sides = [_side(table, kind, flags, style, level) for kind in ("worse", "better")]
    return Answer(
        lead=_lead(n_flagged, len(table)),
        context=_context(table, flags, style),
        sides=tuple(side for side in sides if side.lines),
        parts=(
            Part(
                heading="How sure is this?",
                paragraphs=_certainty(table, ranks, flags, style=style, level=level),
            ),
            Part(
                heading="How much of it is luck?",
                paragraphs=_luck(table, raw_rates, style, limits),
            ),
        ),
    )


def rule_in_words(flags: Classification, style: RateStyle) -> str:
    """Say when a doctor stands out."""
    against = f"the benchmark of {style.write(flags.threshold)}"
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
            f"{style.write(flags.threshold)}. That is no proof that all are alike. "
            + _closest(table)
        )
    parts = [f"{n:,} on the {kind} side" for n, kind in ((worse, "worse"), (better, "better")) if n]
    return f"{' and '.join(parts).capitalize()} of {style.write(flags.threshold)}. {rest}"


def _closest(table: pd.DataFrame) -> str:
    """Name who comes closest on either side, where nobody stands out."""
    parts = []
    for kind in ("worse", "better"):
        chance = table[f"p_{kind}"]
        parts.append(f"{chance.idxmax()} (probability {probability(chance.max())} {kind})")
    return f"Closest to it come {' and '.join(parts)}."


def _side(
    table: pd.DataFrame, kind: str, flags: Classification, style: RateStyle, level: float
) -> Side:
    chance = f"p_{kind}"
    found = table[table["flag"] == kind].sort_values(chance, ascending=False, kind="stable")
    above = _is_above(kind, flags.rates.direction)
    lines = tuple(
        Named(doctor=str(doctor), words=_sentence(row, kind, style, level, flags))
        for doctor, row in found.head(NAMED_AT_MOST).iterrows()
    )
    hidden = len(found) - len(lines)
    return Side(
        kind=kind,
        heading=f"Stands out as {kind}: a {style.noun} {'above' if above else 'below'} "
        f"{style.write(flags.threshold)}",
        lines=lines,
        more=f"and {hidden:,} more, named in the table below." if hidden > 0 else "",
    )


def _is_above(kind: str, direction: Direction | None) -> bool:
    return (kind == "worse") == (direction == "lower")


def _sentence(
    row: pd.Series, kind: str, style: RateStyle, level: float, flags: Classification
) -> str:
    words = (
        f"{style.write(row['rate'])} ({percent(level)} interval "
        f"{style.span(row['rate_lower'], row['rate_upper'])}), "
        f"with probability {probability(row[f'p_{kind}'])} {kind} than the benchmark"
    )
    if flags.rates.family == "gaussian" or pd.isna(row["observed"]):
        return words + "."
    cases = "" if pd.isna(row["cases"]) else f" in {plural(int(row['cases']), 'case')}"
    return (
        f"{words}; {count(row['observed'])} events{cases}, where "
        f"{decimal(row['expected'], 1)} were expected."
    )


def _certainty(
    table: pd.DataFrame, ranks: Ranks, flags: Classification, *, style: RateStyle, level: float
) -> tuple[str, ...]:
    paragraphs = [rule_in_words(flags, style)]
    n_flagged = int((flags.flag != "").sum())
    if n_flagged:
        wrong = flags.expected_false_flags
        paragraphs[0] += (
            f" Each name leaves a doubt; the doubts about {plural(n_flagged, 'name')} add up to "
            f"{'less than 0.1' if wrong < 0.1 else f'{wrong:.1f}'} expected to be wrong."
        )
    half_width = float((table["rate_upper"] - table["rate_lower"]).median()) / 2
    places = ranks.to_frame(level=level)
    span = float((places["upper"] - places["lower"]).median()) + 1
    points = " percentage points" if style.sign == "%" else f" ({style.unit})"
    paragraphs.append(
        f"The standardized {style.noun} of a typical doctor is known to within about "
        f"{style.bare(half_width)}{points} on either side ({percent(level)} interval). "
        f"A typical doctor's rank could be any of {span:,.0f} of the {len(table):,} places: "
        "read the order of the doctors with that in mind."
    )
    return tuple(paragraphs)


def _luck(
    table: pd.DataFrame, raw_rates: pd.Series, style: RateStyle, limits: FunnelLimits | None
) -> tuple[str, ...]:
    paragraphs = []
    if len(raw_rates) > 1:
        paragraphs.append(
            f"Before adjustment the doctors' {style.noun}s go from {style.write(raw_rates.min())} "
            f"to {style.write(raw_rates.max())}. Once case mix and chance are taken into account "
            f"they go from {style.write(table['rate'].min())} to "
            f"{style.write(table['rate'].max())}."
        )
    reliability = table["reliability"].dropna()
    if len(reliability):
        middle = float(reliability.median())
        enough = int((reliability >= JUDGED_ALONE).sum())
        paragraphs.append(
            f"The reliability of a typical doctor's result is {middle:.2f}: about "
            f"{middle:.0%} of the differences seen between doctors with such a caseload are real, "
            f"and the other {1 - middle:.0%} are luck. {enough:,} of "
            f"{plural(len(reliability), 'doctor')} reach {JUDGED_ALONE:g}, which is often asked "
            "for before a single doctor is judged."
        )
    if limits is not None:
        level, shown = limits.levels[0], len(limits.value)
        outside = int((limits.to_frame()["beyond"] >= level).sum())
        paragraphs.append(
            f"If all doctors were equally good, chance alone would put at most about "
            f"{shown * (1 - level):,.1f} of {shown:,} outside the {percent(level)} limits of the "
            f"funnel plot; {outside:,} {'lies' if outside == 1 else 'lie'} outside. "
            + _excess(outside, shown, level)
        )
    return tuple(paragraphs)


def _excess(outside: int, shown: int, level: float) -> str:
    """Say whether so many doctors outside the funnel are more than chance explains."""
    from scipy.stats import binom

    if outside > binom.ppf(0.99, shown, 1 - level):
        return (
            "That is more than chance explains: the doctors do differ, or their patients do in "
            "ways that were not recorded. The funnel looks at each doctor alone; who stands out "
            "above is judged with all doctors in view."
        )
    return "Chance alone could do that."
