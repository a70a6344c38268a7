"""Proposed targets, and which units gain and lose from them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from outcomekpi.pages.cells import Cell, Column, Listing, PlainTable, Row, number_cell
from outcomekpi.pages.numbers import percent, plural, probability
from outcomekpi.pages.review_listing import COMPLETION
from outcomekpi.review.review import ThresholdReview

__all__ = ["TargetSection", "describe_targets"]

ROWS_AT_MOST = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSection:
    """The section on targets: paragraphs, one row per indicator, one per unit."""

    paragraphs: tuple[str, ...]
    proposals: PlainTable | None
    units: Listing | None


def describe_targets(
    review: ThresholdReview, table: pd.DataFrame, *, level: float
) -> TargetSection:
    """Lay out the proposed targets and who pays for them.

    Parameters
    ----------
    review : review of the thresholds
    table : its ``to_frame``
    level : probability of the intervals
    """
    known = table[np.isfinite(table["proposed"].astype(float))]
    low, high = (percent(end) for end in review.judgment.wanted)
    if known.empty:
        return TargetSection(
            paragraphs=(
                "No target can be proposed: the reading of completion does not use targets, or the "
                "history has none. A proposal needs a target for each unit (--target) and the "
                "reading share_of_doctors or mean_achievement.",
            ),
            proposals=None,
            units=None,
        )
    ratchet = review.ratchet_frame(level=level)
    losers = int(ratchet["ratchet"].astype(bool).sum())
    paragraphs = [
        f"The target is proposed under which the next completion is expected in the middle of the "
        f"wanted band, {low} to {high}, if units go on as they did. Targets are proposed "
        "for every indicator that has one, also where the bar is to be left alone. The interval "
        "holds the target that the next cycle, as it may be observed, will call for: a wide one "
        "says that these data do not tell where the bar belongs. Numbers of units that gain or "
        "lose are expected ones, sums of each unit's probability.",
    ]
    if losers:
        paragraphs.append(
            f"{losers:,} of {plural(len(ratchet), 'pair')} of unit and indicator would lose: they "
            "most likely reach the present target and would not reach the higher one. That is the "
            "ratchet: who performed well pays for it. Consider a notice period, a target that "
            "moves in steps, or pay for the level that was reached."
        )
    return TargetSection(
        paragraphs=tuple(paragraphs),
        proposals=_tabulate(known, ratchet, level),
        units=_list_units(ratchet, level),
    )


def _tabulate(known: pd.DataFrame, ratchet: pd.DataFrame, level: float) -> PlainTable:
    gain, lose = (
        ratchet[which].groupby(level="indicator").sum() for which in ("p_gains", "p_loses")
    )
    rows = tuple(
        (
            str(name),
            str(row["verdict"]),
            COMPLETION.write(row["target"]),
            COMPLETION.write(row["proposed"]),
            COMPLETION.span(row["target_lower"], row["target_upper"]),
            COMPLETION.write(row["completion_at_target"]),
            f"{gain.get(name, 0.0):,.1f}",
            f"{lose.get(name, 0.0):,.1f}",
        )
        for name, row in known.iterrows()
    )
    headings = (
        "indicator",
        "verdict",
        "target now",
        "proposed",
        f"its interval, {percent(level)}",
        "next completion under it",
        "units to gain",
        "units to lose",
    )
    return PlainTable(
        headings=headings, rows=rows, is_text=tuple(place < 2 for place in range(len(headings)))
    )


def _list_units(ratchet: pd.DataFrame, level: float) -> Listing:
    shown = ratchet.sort_values("p_loses", ascending=False, kind="stable")
    listed = shown.head(ROWS_AT_MOST)
    notes = []
    if len(listed) < len(shown):
        notes.append(f"{len(shown) - len(listed):,} rows that lose least are not listed here.")
    columns = (
        Column(label="Unit", kind="text"),
        Column(label="Change", kind="text"),
        Column(label="Indicator", kind="text"),
        Column(label="True rate, %"),
        Column(label=f"{percent(level)} from", hint="lower end of the interval"),
        Column(label="to", hint="upper end of the interval"),
        Column(label="Target now, %"),
        Column(label="Proposed, %"),
        Column(label="Prob. reaches now", hint="that the true rate reaches the present target"),
        Column(label="Prob. reaches proposed", hint="that it reaches the proposed target"),
        Column(label="Prob. improved", hint="that it rose from the first to the latest cycle"),
    )
    return Listing(
        noun="unit",
        intro="Units and indicators, those that lose most probably first.",
        columns=columns,
        rows=tuple(_row(label, row) for label, row in listed.iterrows()),
        positions=(),
        find="Find a unit or indicator",
        only="only those that gain or lose" if (listed["change"] != "").any() else "",
        notes=tuple(notes),
    )


def _row(label: object, row: pd.Series) -> Row:
    indicator, unit = label if isinstance(label, tuple) else ("", label)
    shares = ("mean", "lower", "upper", "target", "proposed")
    chances = ("p_reaches_target", "p_reaches_proposed", "p_improved")
    cells = (
        Cell(str(row["change"])),
        Cell(str(indicator)),
        *(number_cell(COMPLETION.bare(float(row[name])), float(row[name])) for name in shares),
        *(number_cell(probability(float(row[name])), float(row[name])) for name in chances),
    )
    flag = {"loses": "hard", "gains": "easy"}.get(str(row["change"]), "")
    return Row(name=str(unit), flag=flag, found_by=f"{unit} {indicator}", cells=cells)
