"""The ledger of other explanations, and everything that was tried against the effect."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.pages.cells import PlainTable, plain_table
from outcomekpi.pages.numbers import percent
from outcomekpi.pilots.ladder.effect import PilotEffect
from outcomekpi.pilots.ladder.frameworks import USUAL_THREATS
from outcomekpi.pilots.robustness.sensitivity import Sensitivity

__all__ = [
    "SensitivitySection",
    "complete_ledger",
    "list_sensitivity",
    "open_threats",
    "sensitivity_table",
]

NOT_ASSESSED = "not assessed: nothing in these data tells how strong it was"
TABLES: dict[str, tuple[str, str]] = {
    "tipping": ("Each explanation alone", "How strong each would have to be to leave nothing."),
    "bounds": (
        "If the comparison is broken",
        "Bounds of the effect as larger and larger breaks (m) of the main assumption are allowed.",
    ),
    "group_shocks": (
        "If groups move by themselves",
        "The effect if whatever moves all patients of one group in one period, whether program or "
        "not, has this SD. Two groups cannot show how large it is.",
    ),
    "prior_sensitivity": ("Under other priors", "The effect where other beliefs are put in."),
    "e_values": (
        "E-values",
        "Risk ratio that a hidden difference would need with both program and outcome, to make "
        "the estimate, or the limit of its interval, nil.",
    ),
    "other_designs": ("Other designs", "The main effect from the same data, otherwise asked."),
    "variants": ("Under other settings", "The main effect under other settings of the model."),
    "placebo": (
        "Where no effect can be",
        "The same analysis where the program was not: anything but about 0 speaks against it.",
    ),
    "leave_one_out": ("Without each cluster", "The main effect without one cluster at a time."),
    "missing_bounds": ("Whatever the missing outcomes are", "Worst and best case."),
    "regression_to_mean": ("Regression to the mean", "What an extreme baseline does by itself."),
    "possible": ("What the figures allow", "Rounding and reading included, before any sampling."),
    "unknowns": ("What moves the answer most", "Share of the variance of the effect."),
    "patients_needed": ("Patients needed", "Patients per period that such a change needs."),
    "pre_trend": (
        "The trends before",
        "Whether treated and controls moved apart before, and which drift the test would miss.",
    ),
    "by_start": ("Each start by itself", "The effect on the units of each start and time."),
    "by_unit": ("Each unit by itself", "Plain changes, chance included."),
    "exposure": ("By time with the program", "The effect by periods since the start."),
    "power": ("Power", "Which effects these data could have shown."),
}
"""Table of the findings -> its heading and what it is."""

PICTURED = (
    *("counterfactual", "event_study", "event_study_covariance", "kitagawa", "slope"),
    *("doctor_effects", "frontier", "frontier_nil", "frontier_of_limit", "statements"),
    *("forecast", "weights"),
)
"""Tables that are drawn, or too long for a page; they are in the folder ``tables``."""

ROUNDING = 1e-8
SAID = ("ask_for", "approximation")
"""Columns of sentences that the page says elsewhere."""
WITH_CONTROLS = (3, 4, 6)
NUMBERS = ("mean", "lower", "upper")
CSV_COLUMNS = ("kind", "what", "mean", "lower", "upper", "unit", "words")


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitivitySection:
    """One table of the page: its heading, what it is, and its numbers."""

    heading: str
    words: str
    table: PlainTable


def complete_ledger(effect: PilotEffect, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
    """Every other explanation: those that the design assessed, and the usual ones that it did not.

    Parameters
    ----------
    effect : of a pilot
    level : probability of the intervals

    Returns
    -------
    DataFrame indexed by ``threat``: ``direction``, ``tipping``, ``handled``, ``is_assessed``.
    """
    known = effect.threats_frame(level=level).assign(is_assessed=True)
    named = " ".join(str(name).lower() for name in known.index)
    rest = {
        name: (direction, f"{words}; {NOT_ASSESSED}", "", False)
        for name, (direction, words) in USUAL_THREATS.items()
        if name not in named and not _is_answered(effect, name)
    }
    if not rest:
        return known
    unknown = pd.DataFrame.from_dict(rest, orient="index", columns=list(known.columns))
    frame = pd.concat([known, unknown]) if len(known) else unknown
    frame.index.name = "threat"
    return frame


def _is_answered(effect: PilotEffect, threat: str) -> bool:
    """Whether the question of a threat was answered elsewhere, or cannot be asked."""
    if threat == "spillover":
        return effect.design.rung not in WITH_CONTROLS
    return threat == "regression to the mean" and effect.program.selected_on_baseline is False


def open_threats(ledger: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    """Name and tipping value of the threats that were assessed, in the order of the design."""
    assessed = ledger[ledger["is_assessed"].astype(bool)]
    return tuple((str(name), str(words)) for name, words in assessed["tipping"].items())


def list_sensitivity(effect: PilotEffect, *, level: float) -> list[SensitivitySection]:
    """Lay out every table that says how the effect depends on what was put in."""
    sections = []
    tables = effect.findings_at(level).tables
    names = [name for name in TABLES if name in tables]
    names += [name for name in tables if name not in TABLES and name not in PICTURED]
    for name in names:
        table = tables[name]
        if table.empty:
            continue
        heading, words = TABLES.get(name, (name.replace("_", " ").capitalize(), ""))
        words = f"{words} {_approximations(table)}".strip()
        sections.append(
            SensitivitySection(
                heading=heading,
                words=f"{words} {_note(table, level)}".strip(),
                table=plain_table(_readable(table), index=table.index.name is not None),
            )
        )
    return sections


def _approximations(table: pd.DataFrame) -> str:
    """Say once how numbers of a table were approximated, instead of in every row."""
    if "approximation" not in table.columns:
        return ""
    ways = [str(one) for one in table["approximation"].unique() if one]
    return f"Taken as risk ratios: {'; '.join(ways)}." if ways else ""


def _note(table: pd.DataFrame, level: float) -> str:
    parts = []
    if {"lower", "upper"} <= set(table.columns) and "mean" in table.columns:
        parts.append(f"{percent(float(table.attrs.get('level', level)))} intervals")
    if table.attrs.get("unit"):
        parts.append(f"in {table.attrs['unit']}")
    return (", ".join(parts)[:1].upper() + ", ".join(parts)[1:] + ".") if parts else ""


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    """Write an infinite bound as "any", as it is meant, and what is 0 but for rounding as 0."""
    shown = table.drop(columns=[name for name in SAID if name in table.columns])
    for name in shown.columns:
        if name == "method":
            shown[name] = shown[name].astype(str).str.replace("_", " ")
        if pd.api.types.is_float_dtype(shown[name].dtype):
            shown[name] = shown[name].mask(shown[name].abs() < ROUNDING, 0.0)
        if pd.api.types.is_float_dtype(shown[name].dtype) and np.isinf(shown[name]).any():
            shown[name] = [
                "any" if np.isinf(value) else f"{value:,.4g}" for value in table[name].astype(float)
            ]
    return shown


def sensitivity_table(
    effect: PilotEffect, found: Sensitivity | None = None, *, level: float = DEFAULT_LEVEL
) -> pd.DataFrame:
    """Everything that could overturn the effect, as one long table.

    Parameters
    ----------
    effect : of a pilot, with the tables of its sensitivity
    found : that sensitivity; what it could not estimate again is listed with the reason
    level : probability of the intervals

    Returns
    -------
    DataFrame: ``kind`` ("threat" or the name of a table), ``what``, ``mean, lower, upper`` and
    ``unit`` where there are numbers, ``words`` where there are words.
    """
    rows: list[dict[str, object]] = []
    for name, row in complete_ledger(effect, level=level).iterrows():
        words = f"{row['direction']}; {row['tipping']}"
        words += f"; {row['handled']}" if row["handled"] else ""
        rows.append({"kind": "threat", "what": name, "words": words})
    for name in TABLES:
        table = effect.findings_at(level).tables.get(name)
        if table is not None and len(table):
            rows += _long_rows(name, table)
    rows += [
        {"kind": one.kind, "what": one.what, "words": one.reason}
        for one in (found.reestimates if found is not None else ())
        if one.estimate is None
    ]
    frame = pd.DataFrame(rows, columns=list(CSV_COLUMNS))
    return frame.fillna({"unit": "", "words": ""})


def _long_rows(name: str, table: pd.DataFrame) -> list[dict[str, object]]:
    flat = table.reset_index() if table.index.name is not None else table
    numbers = {"tipping": "mean", "variance_share": "mean"}
    flat = flat.rename(columns={old: new for old, new in numbers.items() if old in flat.columns})
    found = [column for column in NUMBERS if column in flat.columns]
    labels = [column for column in flat.columns if column not in (*found, "unit")]
    unit = str(table.attrs.get("unit", ""))
    rows = []
    for _, row in flat.iterrows():
        what = [
            str(row[column])
            if isinstance(row[column], str)
            else f"{column} {row[column]:.6g}"
            if isinstance(row[column], float)
            else f"{column} {row[column]}"
            for column in labels
        ]
        rows.append(
            {
                "kind": name,
                "what": "; ".join(what),
                **{column: row[column] for column in found},
                "unit": row["unit"] if "unit" in flat.columns else unit,
            }
        )
    return rows
