"""The answer of a review in words: which bars need a change, and where the rule is mistaken."""

import pandas as pd

from outcomekpi.pages.numbers import percent, plural, probability
from outcomekpi.pages.statements import Answer, Named, Part, Side
from outcomekpi.review.review import ThresholdReview

__all__ = ["CHANGES", "answer_review", "answer_review_in_one_line", "is_unsupported", "words_of"]

CHANGES = ("too easy", "too hard")
NAMED_AT_MOST = 8
SILENT_AT_MOST = 20


def is_unsupported(table: pd.DataFrame) -> pd.Series:
    """Whether the rule as written would change a bar that the Bayesian review would not.

    Parameters
    ----------
    table : ``ThresholdReview.to_frame``, one row per indicator

    Returns
    -------
    (indicator,), True where the rule fires and the review says something else
    """
    fires = table["rule_verdict"].isin(CHANGES)
    return fires & (table["rule_verdict"] != table["verdict"])


def answer_review_in_one_line(table: pd.DataFrame) -> str:
    """Say in one line what the review found.

    Parameters
    ----------
    table : ``ThresholdReview.to_frame``, one row per indicator
    """
    parts = [
        f"{verdict}: {names}"
        for verdict in CHANGES
        if (names := _join(list(table.index[table["verdict"] == verdict])))
    ]
    line = _lead(table).removesuffix(".") + (f" ({'; '.join(parts)})." if parts else ".")
    doubtful = table[is_unsupported(table)]
    if len(doubtful):
        named = [
            f"{name} (wrong with probability {_chance(wrong)})"
            for name, wrong in doubtful["p_rule_wrong"].items()
        ]
        line += f" The rule as written would also change {_join(named)}."
    silent = int((table["verdict"] == "cannot say").sum())
    some = 0 < silent < len(table)
    return line + (f" Too little is known about {silent:,}." if some else "")


def words_of(table: pd.DataFrame) -> pd.Series:
    """Return the sentence about each indicator, without its name.

    Parameters
    ----------
    table : ``ThresholdReview.to_frame``
    """
    words = {}
    for name, row in table.iterrows():
        sentence = str(row["sentence"]).removeprefix(f"{name}: ")
        words[name] = sentence[:1].upper() + sentence[1:]
    return pd.Series(words, dtype=object)


def answer_review(
    review: ThresholdReview, table: pd.DataFrame, *, sentences: pd.Series, luck: tuple[str, ...]
) -> Answer:
    """Say in words what the review found.

    Parameters
    ----------
    review : review of the thresholds
    table : its ``to_frame``
    sentences : one per indicator, see :func:`words_of`
    luck : paragraphs on what the rule does by chance
    """
    return Answer(
        lead=_lead(table),
        context=_context(table),
        sides=tuple(side for side in _sides(review, table, sentences) if side.lines),
        parts=(
            *_silent(table),
            Part(heading="How sure is this?", paragraphs=_certainty(review, table)),
            Part(heading="What does the written rule do by chance?", paragraphs=luck),
        ),
    )


def _lead(table: pd.DataFrame) -> str:
    n, changes = len(table), int(table["verdict"].isin(CHANGES).sum())
    if (table["verdict"] == "cannot say").all():
        return (
            "Nothing can be said about the indicator."
            if n == 1
            else (f"Nothing can be said about any of {n:,} indicators.")
        )
    if n == 1:
        return f"The indicator {'needs' if changes else 'does not need'} a change of its bar."
    if changes == 0:
        return f"None of {plural(n, 'indicator')} needs a change of its bar."
    verb = "needs" if changes == 1 else "need"
    whose = "its bar" if changes == 1 else "their bars"
    return f"{changes:,} of {plural(n, 'indicator')} {verb} a change of {whose}."


def _context(table: pd.DataFrame) -> str:
    """Set the rule as written beside it: what it would change, doubtfully, and what it misses."""
    rule = table["rule_verdict"]
    fires = int(rule.isin(CHANGES).sum())
    doubtful = table[is_unsupported(table)]
    mistaken = int((doubtful["p_rule_wrong"] > 0.5).sum())
    if (rule == "cannot say").all():
        words = "The rule as written cannot say anything about this history."
    elif fires == 0:
        words = "The rule as written would change none."
    else:
        words = f"The rule as written would change {fires:,}"
        words += ", all with good reason." if doubtful.empty else _doubts(len(doubtful), mistaken)
    missed = int((table["verdict"].isin(CHANGES) & (rule == "leave alone")).sum())
    if missed:
        words += f" It would miss {missed:,}."
    silent = int((table["verdict"] == "cannot say").sum())
    if 0 < silent < len(table):
        words += f" About {silent:,} too little is known."
    return words


def _doubts(doubtful: int, mistaken: int) -> str:
    short = f"; for {doubtful:,} of them the evidence falls short of what a change needs"
    if mistaken == 0:
        return f"{short}."
    if mistaken == doubtful:
        return f"; {mistaken:,} of them most probably by mistake."
    return f"{short}, and {mistaken:,} would most probably be a mistake."


def _sides(review: ThresholdReview, table: pd.DataFrame, sentences: pd.Series) -> list[Side]:
    doubtful = is_unsupported(table)
    easy = f"completion most probably above {percent(review.rule.upper)}"
    hard = f"completion most probably below {percent(review.rule.lower)}"
    groups = (
        ("easy", f"Too easy: {easy}", table["verdict"] == "too easy"),
        ("hard", f"Too hard: {hard}", table["verdict"] == "too hard"),
        ("", "The written rule would change these; the evidence falls short of it", doubtful),
    )
    return [_side(sentences[rows], kind, heading) for kind, heading, rows in groups]


def _silent(table: pd.DataFrame) -> tuple[Part, ...]:
    names = list(table.index[table["verdict"] == "cannot say"])
    if not names:
        return ()
    listed = _join(names, shown=SILENT_AT_MOST)
    words = f"{listed}. Why, is said of each in its sentence below."
    return (Part(heading="What cannot be judged", paragraphs=(words,)),)


def _side(found: pd.Series, kind: str, heading: str) -> Side:
    lines = tuple(
        Named(name=str(indicator), words=str(words))
        for indicator, words in found.head(NAMED_AT_MOST).items()
    )
    hidden = len(found) - len(lines)
    more = f"and {hidden:,} more, named in the table below." if hidden > 0 else ""
    return Side(kind=kind, heading=heading, lines=lines, more=more)


def _certainty(review: ThresholdReview, table: pd.DataFrame) -> tuple[str, ...]:
    judgment, rule = review.judgment, review.rule
    if judgment.fdr is not None:
        needed = (
            "Those bars are changed that are most probably wrong, as many of them as keep the "
            f"expected share of wrong changes at or below {percent(judgment.fdr)}."
        )
    else:
        ratio = judgment.loss_false_change / judgment.loss_missed
        needed = (
            "A change needs a probability above "
            f"{percent(judgment.required_probability)} that the completion lies beyond a bar: "
            f"changing a bar that is right was said to be {ratio:g} times as bad as leaving one "
            "that is not."
        )
    changes = table["verdict"].isin(CHANGES)
    if changes.sum() == 1:
        sure = table[["p_too_easy", "p_too_hard"]].max(axis=1)[changes]
        needed += (
            f" The probability that this change is wrong is {probability(float(1 - sure.iloc[0]))}."
        )
    elif changes.any():
        sure = table[["p_too_easy", "p_too_hard"]].max(axis=1)[changes]
        wrong = float((1 - sure).sum())
        needed += (
            f" Of {int(changes.sum()):,} changes "
            f"{'fewer than 0.1' if wrong < 0.1 else f'about {wrong:.1f}'} are expected to be wrong."
        )
    rest = table[~changes & (table["verdict"] != "cannot say")]
    paragraphs = [needed]
    if len(rest):
        sure = rest[["p_too_easy", "p_too_hard"]].max(axis=1)
        seen = min(rule.cycles, int(rest["cycles"].max()))
        paragraphs.append(
            f"{'Of the others, ' if changes.any() else ''}{sure.idxmax()} comes closest to a "
            f"change (probability {probability(float(sure.max()))} of lying beyond a bar). To "
            "leave a bar alone is no proof that it is right: the data under review "
            f"({plural(seen, 'cycle')}) do not show that it is wrong."
        )
    return tuple(paragraphs)


def _chance(value: object) -> str:
    number = float(str(value))
    return probability(number) if number == number else "unknown"


def _join(names: list[object] | list[str], *, shown: int = 4) -> str:
    words = [" ".join(str(name).split()) for name in names]
    if len(words) > shown:
        return f"{', '.join(words[:shown])} and {len(words) - shown} more"
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
