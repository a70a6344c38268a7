"""The table of doctors, as cells that a template writes."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from outcomekpi.pages.bar import Bar
from outcomekpi.pages.cells import Cell, Column, Listing, Row, interval_bar, number_cell
from outcomekpi.pages.masking import Mask
from outcomekpi.pages.numbers import RateStyle, count, decimal, percent, plural, probability
from outcomekpi.pages.reference import describe_sums, expected_of
from outcomekpi.posterior.fit import Fit
from outcomekpi.profiling.classification import Classification

__all__ = ["list_doctors"]

ROWS_AT_MOST = 10_000


def list_doctors(
    table: pd.DataFrame,
    fit: Fit,
    flags: Classification,
    *,
    style: RateStyle,
    mask: Mask,
    level: float,
    bar: Bar,
) -> Listing:
    """Lay out the doctors, the worst standardized rate first.

    Parameters
    ----------
    table : indexed by doctor, columns of ``doctors.csv``
    fit : for the hospitals
    flags : for the direction
    style, mask, level : how rates are written, who is withheld, probability of the intervals
    bar : the rate that flags and probabilities are about
    """
    worst_is_high = flags.rates.direction == "lower"
    ordered = table.sort_values("rate", ascending=not worst_is_high, kind="stable")
    ordered = _most_telling(ordered)
    hospitals = _hospital_of(fit)
    low, high = float(ordered["rate_lower"].min()), float(ordered["rate_upper"].max())
    low, high = min(low, bar.value), max(high, bar.value)
    width = (high - low) or 1.0
    rows = tuple(
        _row(str(doctor), values, hospitals, style, (low, width), _gaussian(flags))
        for doctor, values in zip(ordered.index, ordered.to_dict("records"), strict=True)
    )
    left_out = len(table) - len(ordered)
    notes = []
    if style.sign and high > 1:
        notes.append(
            "A P/E rate is a ratio times the overall rate: the upper end of an interval can pass "
            "100% where little is known."
        )
    if mask.hidden.any():
        notes.append(mask.names)
    if left_out:
        notes.append(f"{left_out:,} doctors near the {bar.noun} are not listed here.")
    # a total is one equation more about a count that is withheld
    if mask.below is None and flags.rates.measure != "direct":
        notes.append(describe_sums(flags.rates, style, level=level))
    return Listing(
        noun="doctor",
        intro=(
            f"{_who(len(table), mask)}, the worst standardized {style.noun} first. "
            f"Choose a heading to sort by it. The line in the interval marks {bar.words(style)}"
            f"{'.' if bar.noun == 'benchmark' else '; both probabilities are about it.'}"
        ),
        columns=_columns(
            style,
            level,
            worst_is_high,
            hospitals=hospitals is not None,
            gaussian=_gaussian(flags),
            expected=expected_of(flags.rates),
            bar=bar,
        ),
        rows=rows,
        positions=(f"{100 * (bar.value - low) / width:.1f}",),
        find="Find a doctor",
        only="only those who stand out" if (table["flag"] != "").any() else "",
        notes=tuple(notes),
    )


def _who(n: int, mask: Mask) -> str:
    if mask.hidden.any():
        return f"The {plural(n, 'doctor')} who {'is' if n == 1 else 'are'} shown"
    return f"All {plural(n, 'doctor')}"


def _gaussian(flags: Classification) -> bool:
    return flags.rates.family == "gaussian"


def _most_telling(ordered: pd.DataFrame) -> pd.DataFrame:
    """Keep what a browser can hold: whoever stands out, then the surest of the others."""
    if len(ordered) <= ROWS_AT_MOST:
        return ordered
    surest = ordered[["p_worse", "p_better"]].max(axis=1) + (ordered["flag"] != "")
    kept = np.argsort(-surest.to_numpy(), kind="stable")[:ROWS_AT_MOST]
    return ordered.iloc[np.sort(kept)]


def _hospital_of(fit: Fit) -> dict[str, str] | None:
    if fit.cases.hospitals is None or fit.cases.hospital_code is None:
        return None
    names = fit.cases.hospitals[fit.cases.hospital_code]
    return dict(zip(map(str, fit.cases.doctors), map(str, names), strict=True))


def _columns(
    style: RateStyle,
    level: float,
    worst_is_high: bool,
    *,
    hospitals: bool,
    gaussian: bool,
    expected: str,
    bar: Bar,
) -> tuple[Column, ...]:
    by_rate = "descending" if worst_is_high else "ascending"
    counts = (
        ()
        if gaussian
        else (
            Column(label="Observed", hint="events that happened"),
            Column(label="Expected", hint=expected),
        )
    )
    unit = "%" if style.sign else style.unit
    return (
        Column(label="Doctor", kind="text"),
        Column(label="Stands out", kind="text"),
        *((Column(label="Hospital", kind="text"),) if hospitals else ()),
        Column(label="Cases"),
        *counts,
        Column(label=f"Standardized {style.noun}, {unit}", sorted=by_rate),
        Column(label=f"{percent(level)} interval", sortable=False),
        Column(label="from", hint="lower end of the interval"),
        Column(label="to", hint="upper end of the interval"),
        Column(label="Prob. worse", hint=f"worse than {bar.words(style)}"),
        Column(label="Prob. better", hint=f"better than {bar.words(style)}"),
        Column(label="Expected rank", hint="1 is best"),
        Column(label="Rank interval", hint="sorted by its lower end"),
        Column(label="Reliability", hint="share of differences that is real"),
    )


def _row(
    doctor: str,
    values: Mapping[Hashable, Any],
    hospitals: dict[str, str] | None,
    style: RateStyle,
    scale: tuple[float, float],
    gaussian: bool,
) -> Row:
    number = {str(name): float(value) for name, value in values.items() if name != "flag"}
    hospital = None if hospitals is None else hospitals[doctor]
    counts = [number_cell(count(number["cases"]), number["cases"])]
    if not gaussian:
        counts.append(number_cell(count(number["observed"]), number["observed"]))
        counts.append(number_cell(decimal(number["expected"], 1), number["expected"]))
    lower, upper = number["rate_lower"], number["rate_upper"]
    low, width = scale
    places = f"{number['rank_lower']:,.0f}–{number['rank_upper']:,.0f}"
    flag = str(values["flag"])
    found_by = None if hospital is None else f"{doctor} {hospital}"
    cells = (
        Cell(flag),
        *(() if hospital is None else (Cell(hospital),)),
        *counts,
        number_cell(style.bare(number["rate"]), number["rate"]),
        interval_bar(number["rate"], lower, upper, low=low, width=width),
        number_cell(style.bare(lower), lower),
        number_cell(style.bare(upper), upper),
        number_cell(probability(number["p_worse"]), number["p_worse"]),
        number_cell(probability(number["p_better"]), number["p_better"]),
        number_cell(decimal(number["expected_rank"], 1), number["expected_rank"]),
        number_cell(places, number["rank_lower"]),
        number_cell(decimal(number["reliability"], 2), number["reliability"]),
    )
    return Row(name=doctor, flag=flag, found_by=found_by, cells=cells)
