"""The tables behind the pictures of a pilot, and how their numbers and units are written."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from outcomekpi.declare.errors import SpecError, check_kind
from outcomekpi.pilots.ladder.effect import PilotEffect
from outcomekpi.plots.fonts import display_name
from outcomekpi.plots.sides import percent

if TYPE_CHECKING:
    from matplotlib.axis import Axis

__all__ = [
    "MADE_BY",
    "interval_words",
    "level_label",
    "number_axis",
    "number_text",
    "take_table",
    "unit_of",
]

MADE_BY = {
    "counterfactual": "designs with several periods, such as InterruptedSeries,",
    "event_study": "DifferenceInDifferences or SteppedWedge",
    "frontier": "PublishedAggregates and sensitivity(effect)",
    "kitagawa": "BeforeAfter",
    "doctor_effects": "DoctorEffects",
    "slope": "BeforeAfter, ControlledBeforeAfter or DoctorEffects",
}
"""Table of a pilot -> designs that make it."""

SHARES = ("share of trials", "share", "share of patients", "proportion", "fraction")
PERCENTS = ("%", "percent", "percentage points")


def take_table(
    effect: PilotEffect, name: str, columns: tuple[str, ...], *, level: float
) -> pd.DataFrame:
    """Return a table of the findings, or say which designs make it.

    Parameters
    ----------
    effect : of a pilot
    name : of the table
    columns : that the picture needs
    level : probability of its intervals

    Raises
    ------
    SpecError
        The design made no such table, or one without a column that is needed.
    """
    check_kind("effect", effect, PilotEffect, "compare_pilot(data, design)")
    tables = effect.findings_at(level).tables
    design = type(effect.design).__name__
    if name not in tables:
        found = ", ".join(sorted(tables)) or "none"
        raise SpecError(
            f"This picture needs the table {name!r}, which {MADE_BY[name]} make; {design} made: "
            f"{found}."
        )
    table = tables[name]
    missing = [column for column in columns if column not in table.columns]
    if missing or table.empty:
        raise SpecError(
            f"The table {name!r} of {design} has no "
            + (f"column {missing[0]!r}." if missing else "rows.")
        )
    return table


def unit_of(table: pd.DataFrame) -> str:
    """Return the unit of a table in words, empty where nobody said."""
    return str(table.attrs.get("unit") or "")


def interval_words(table: pd.DataFrame, level: float) -> str:
    """Say which interval a table holds: ``95% interval``; its own level comes first."""
    return f"{percent(float(table.attrs.get('level', level)))} interval"


def is_share(table: pd.DataFrame) -> bool:
    """Whether the levels of a table are shares between 0 and 1, which read as percentages."""
    return unit_of(table).lower() in SHARES


def level_label(table: pd.DataFrame, outcome: object) -> str:
    """Name an axis of levels: the outcome, with its unit where the numbers do not show it."""
    name, unit = display_name(outcome or "outcome"), unit_of(table)
    shown = is_share(table) or unit.lower() in PERCENTS or not unit
    return name if shown else f"{name} ({unit})"


def number_axis(axis: "Axis", table: pd.DataFrame) -> None:
    """Write an axis of levels in percent where they are shares, or in percent already."""
    from matplotlib.ticker import PercentFormatter

    if is_share(table):
        axis.set_major_formatter(PercentFormatter(xmax=1.0))
    elif unit_of(table).lower() in PERCENTS:
        axis.set_major_formatter(PercentFormatter(xmax=100.0))


def number_text(value: Any) -> str:
    """Return a number to three digits with its sign: ``+4.21``, ``-0.3``, ``0``."""
    number = float(value)
    if not np.isfinite(number):
        return ""
    text = f"{number:+.3g}"
    return "0" if float(text) == 0 else text
