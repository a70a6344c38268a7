"""The table of indicators with both verdicts, and who gains and loses from proposed targets."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from outcomekpi.pages.cells import Cell, Column, Listing, Row, interval_bar, number_cell
from outcomekpi.pages.numbers import RateStyle, count, percent, probability
from outcomekpi.review.review import ThresholdReview

__all__ = ["COMPLETION", "list_indicators"]

COMPLETION = RateStyle(factor=100.0, decimals=1, sign="%", unit="", noun="completion")
KINDS = {"too easy": "easy", "too hard": "hard"}


def list_indicators(review: ThresholdReview, table: pd.DataFrame, *, level: float) -> Listing:
    """Lay out the indicators with both verdicts, the easiest first.

    Parameters
    ----------
    review : review of the thresholds
    table : its ``to_frame``
    level : probability of the intervals
    """
    ordered = table.sort_values("mean", ascending=False, kind="stable")
    ends = [*ordered["lower"], *ordered["upper"], review.rule.lower, review.rule.upper]
    low = float(np.nanmin(ends))
    width = float(np.nanmax(ends)) - low or 1.0
    cases = review.history.frame.groupby("indicator")["denominator"].sum()
    names = [str(name) for name in ordered.index]
    rows = tuple(
        _row(name, values, float(cases[name]), (low, width))
        for name, values in zip(names, ordered.to_dict("records"), strict=True)
    )
    what = "patients" if review.history.numerator_counts == "events" else "doctors"
    judged = table["verdict"].isin(KINDS) | table["rule_verdict"].isin(KINDS)
    return Listing(
        noun="indicator",
        intro=(
            f"{_how_many(len(table))}The lines in the interval are the bars, "
            f"{percent(review.rule.lower)} and {percent(review.rule.upper)}."
        ),
        columns=_columns(what, level),
        rows=rows,
        positions=tuple(
            f"{100 * (bar - low) / width:.1f}" for bar in (review.rule.lower, review.rule.upper)
        ),
        find="Find an indicator",
        only="only those that either would change" if judged.any() else "",
        notes=(),
    )


def _how_many(n: int) -> str:
    if n == 1:
        return ""
    return f"All {n:,} indicators, the highest completion first. Choose a heading to sort by it. "


def _columns(what: str, level: float) -> tuple[Column, ...]:
    return (
        Column(label="Indicator", kind="text"),
        Column(label="Bayesian review", kind="text"),
        Column(label="Written rule", kind="text"),
        Column(label="Prob. rule wrong", hint="probability that the rule's verdict is wrong"),
        Column(label="Last cycle, %", hint="completion of the last cycle as observed"),
        Column(
            label="Pooled, %",
            hint="completion over the cycles that the rule looks at, posterior mean",
            sorted="descending",
        ),
        Column(label=f"{percent(level)} interval", sortable=False),
        Column(label="from", hint="lower end of the interval"),
        Column(label="to", hint="upper end of the interval"),
        Column(label="Prob. too easy", hint="probability that completion lies above the upper bar"),
        Column(label="Prob. too hard", hint="probability that completion lies below the lower bar"),
        Column(label="Next cycle, %", hint="expected if nothing changes, with its interval"),
        Column(label=what.capitalize(), hint=f"{what} in all cycles"),
    )


def _row(
    name: str,
    values: Mapping[Hashable, Any],
    cases: float,
    scale: tuple[float, float],
) -> Row:
    low, width = scale
    mean, lower, upper = (float(values[column]) for column in ("mean", "lower", "upper"))
    known = np.isfinite([mean, lower, upper]).all()
    bar = interval_bar(mean, lower, upper, low=low, width=width) if known else Cell("–", sort="")
    cells = (
        Cell(str(values["verdict"])),
        Cell(str(values["rule_verdict"])),
        _chance(values["p_rule_wrong"]),
        _share(values["completion"]),
        _share(mean),
        bar,
        _share(lower),
        _share(upper),
        _chance(values["p_too_easy"]),
        _chance(values["p_too_hard"]),
        _next(values),
        number_cell(count(cases), cases),
    )
    flag = KINDS.get(str(values["verdict"]), "")
    if not flag and str(values["rule_verdict"]) in KINDS:
        flag = "mistaken"
    return Row(name=name, flag=flag, found_by=None, cells=cells)


def _share(value: float) -> Cell:
    return number_cell(COMPLETION.bare(float(value)), float(value))


def _next(values: Mapping[Hashable, Any]) -> Cell:
    mean, low, high = (float(values[f"next_{end}"]) for end in ("mean", "lower", "upper"))
    span = f"{COMPLETION.bare(mean)} ({100 * low:.0f}–{100 * high:.0f})"
    return number_cell(span if np.isfinite(mean) else "–", mean)


def _chance(value: float) -> Cell:
    number = float(value)
    return number_cell(probability(number) if np.isfinite(number) else "–", number)
