"""The report of a review: one HTML file with both verdicts, targets, chance and provenance."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError, check_kind
from outcomekpi.declare.fields import Level, Range
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.operating.operating import OperatingCharacteristics
from outcomekpi.pages import review_passages as passages
from outcomekpi.pages.cells import Cell, Column, Listing, PlainTable, Row, number_cell
from outcomekpi.pages.figures import draw_pictures
from outcomekpi.pages.numbers import percent, plural, probability
from outcomekpi.pages.page import check_target, render_page, write_page
from outcomekpi.pages.review_answer import answer_review, words_of
from outcomekpi.pages.review_chance import (
    ChanceSection,
    explain_trial,
    tabulate_trial,
    tell_chance,
)
from outcomekpi.pages.review_listing import COMPLETION, list_indicators
from outcomekpi.pages.review_masking import ReviewMask, publish_review
from outcomekpi.pages.review_passages import READINGS
from outcomekpi.pages.review_trial import true_completion, try_rule
from outcomekpi.pages.sketches import Sketch
from outcomekpi.plots.operating import plot_operating
from outcomekpi.plots.review import plot_review, review_height
from outcomekpi.review.review import ThresholdReview

__all__ = ["TargetSection", "describe_targets", "report_review", "write_review"]

CONTENTS = (
    ("answer", "Answer"),
    ("dashboard", "Dashboard"),
    ("indicators", "Indicators"),
    ("targets", "Targets"),
    ("chance", "Chance"),
    ("asked", "Question"),
    ("history", "History"),
    ("model", "Model"),
    ("reading", "How to read it"),
    ("limits", "Limits"),
    ("provenance", "Provenance"),
)


# Proposed targets, and which units gain and lose from them
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


def report_review(
    review: ThresholdReview,
    operating: OperatingCharacteristics | None = None,
    *,
    path: str | Path,
    title: str | None = None,
    level: Level = DEFAULT_LEVEL,
    suppress_below: Annotated[int, Range(low=2)] | None = None,
) -> Path:
    """Write one HTML file that lets a committee defend, or change, each threshold.

    The file needs nothing else: no network, no other file. It holds the answer in words, both
    verdicts of every indicator, the dashboard, proposed targets and who pays for them, what the
    rule does by chance at this caseload, how to read it, its limits, and its provenance. The same
    results give the same bytes.

    Parameters
    ----------
    review : review of the thresholds
    operating : operating characteristics of its rule; None works them out at the smallest, median
        and largest caseload of the history
    path : HTML file to write or replace; its folder is made if need be
    title : heading of the report; None says how many indicators it is about
    level : probability of every interval
    suppress_below : for publication, leave out indicators with a count below this, and review
        the others (see :func:`outcomekpi.pages.review_masking.mask_history`)

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    SpecError
        A choice cannot be used.
    StorageError
        The file cannot be written.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> history = ok.CycleHistory.from_frame(
    ...     ok.datasets.simulate_history(), indicator="indicator", unit="department",
    ...     cycle="year", numerator="reached", denominator="patients", counts="events")
    >>> review = ok.review_thresholds(history, ok.ReviewRule(reading="raw_rate"))
    >>> ok.report_review(review, path="2026-review.html")  # doctest: +SKIP
    """
    check_arguments(report_review, locals())
    target = check_target(path)
    if suppress_below is not None and operating is not None:
        raise SpecError(
            "With suppress_below the rule is tried at the caseloads that may be published. Leave "
            "operating out."
        )
    published, mask = publish_review(review, below=suppress_below)
    return write_review(
        published,
        try_rule(published) if operating is None else operating,
        path=target,
        mask=mask,
        title=title,
        level=level,
    )


def write_review(
    review: ThresholdReview,
    operating: OperatingCharacteristics,
    *,
    path: Path,
    mask: ReviewMask,
    title: str | None = None,
    level: float = DEFAULT_LEVEL,
) -> Path:
    """Write the report of a review of which it is settled what is shown.

    Parameters
    ----------
    review, operating : of what is shown
    path : HTML file to write or replace
    mask : what was left out
    title, level : as in :func:`report_review`
    """
    check_kind("operating", operating, OperatingCharacteristics, "operating_characteristics(...)")
    context = _gather(review, operating, title=title, level=level, mask=mask)
    return write_page(path, render_page("indicators", context))


def _gather(
    review: ThresholdReview,
    operating: OperatingCharacteristics,
    *,
    title: str | None,
    level: float,
    mask: ReviewMask,
) -> dict[str, Any]:
    """Bring together everything the template writes."""
    table = review.to_frame(level=level)
    chance = _describe_chance(review, operating, level)
    sentences = words_of(table)
    return {
        "title": title if title is not None else _title(review),
        "subtitle": _subtitle(review),
        "masked_note": mask.note,
        "contents": CONTENTS,
        "answer": answer_review(review, table, sentences=sentences, luck=chance.paragraphs[:1]),
        "dashboard": draw_pictures([_sketch_dashboard(review, level)]),
        "table": list_indicators(review, table, level=level),
        "sentences": list(sentences.items()),
        "targets": describe_targets(review, table, level=level),
        "chance": chance,
        "asked": passages.describe_review(review, level=level),
        "history_facts": passages.describe_history(review),
        "history_log": _explain_log(review, mask),
        "model": passages.describe_review_model(review),
        "glossary": passages.explain_review_words(review, level=level),
        "limits": passages.state_review_limits(review),
        "provenance": passages.describe_review_provenance(review),
        "version": review.provenance.versions.get("outcomekpi", ""),
    }


def _title(review: ThresholdReview) -> str:
    last = review.history.cycles[-1]
    return f"Review of thresholds, {last}: {plural(len(review.history.indicators), 'indicator')}"


def _subtitle(review: ThresholdReview) -> str:
    history = review.history
    units = f" of {plural(len(history.units), 'unit')}" if len(history.units) > 1 else ""
    return (
        f"{plural(len(history.indicators), 'indicator')}{units} in "
        f"{plural(len(history.cycles), 'cycle')}; completion is {READINGS[review.rule.reading]}."
        f" Computed on {review.provenance.created[:10]}."
    )


def _describe_chance(
    review: ThresholdReview, operating: OperatingCharacteristics, level: float
) -> ChanceSection:
    sketch = Sketch(
        name="operating",
        heading="Operating characteristics.",
        caption="How often the rule changes an indicator, against where the indicator truly "
        "stands. Between the bars every change is luck; beyond them, what is missing to 100% is "
        "what the rule misses. The fewer cases, the flatter the curve.",
        draw=lambda ax: plot_operating(
            operating, stands_for=true_completion(operating), level=level, ax=ax
        ),
        height=4.8,
    )
    return ChanceSection(
        paragraphs=tell_chance(review, operating, level=level),
        figures=tuple(draw_pictures([sketch])),
        table=tabulate_trial(operating, level=level),
        note=explain_trial(operating),
    )


def _sketch_dashboard(review: ThresholdReview, level: float) -> Sketch:
    n, cycles = len(review.history.indicators), len(review.history.cycles)
    return Sketch(
        name="dashboard",
        heading="Completion of every indicator.",
        caption="Completion in each cycle, with the interval in which the true completion lies "
        f"with {percent(level)} probability. An interval that crosses a bar does not tell on "
        "which side the indicator stands. Color and shape are the verdict of the Bayesian review; "
        "at the right stands what the written rule says, where it says something else.",
        draw=lambda ax: plot_review(review, level=level, ax=ax),
        height=review_height(review),
        n_marks=n * cycles,
    )


def _explain_log(review: ThresholdReview, mask: ReviewMask) -> tuple[str, ...]:
    """Return what the history named; where counts are withheld, that there is something."""
    if not mask.has_remarks:
        return review.log
    return (
        "What was missing or changed in the data is not printed here, because counts are withheld.",
        *review.log,
    )
