"""Facts of a panel that every design with controls answers in the same way."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from outcomekpi.pilots.data.panel import PanelColumns, PanelData
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.pilots.ladder.findings import Fact
from outcomekpi.tables.columns import count_of

__all__ = ["join_words", "list_panel_facts", "measure_naive", "spell_interval", "table_by_unit"]


def join_words(words: Sequence[str], *, shown: int = 8) -> str:
    """Write the first words of a list, and how many more there are."""
    more = f" and {len(words) - shown:,} more" if len(words) > shown else ""
    return ", ".join(list(words)[:shown]) + more


def spell_interval(estimate: Estimate, *, level: float) -> str:
    """Write the interval of an estimate."""
    lower, upper = estimate.interval(level=level)
    if np.isnan(lower) or np.isnan(upper):
        return "no interval"
    return f"{level:.0%} interval {lower:.4g} to {upper:.4g}"


def table_by_unit(panel: PanelData) -> pd.DataFrame:
    """Mean of each unit: ``unit, start, treated, before, after, change, weight``.

    Controls are split where the first start is.
    """
    frame = panel.scaled()
    split = frame["start"].where(frame["treated"] == 1, panel.starts[0])
    side = np.where(frame["time"] >= split, "after", "before")
    about = ["unit", "start", "treated", "weight"]
    table = frame.groupby([*about, side])["outcome"].mean().unstack()
    table = table.reset_index()
    return pd.DataFrame(
        {
            "unit": [panel.units[one] for one in table["unit"]],
            "start": [panel.times[one - 1] if one else "" for one in table["start"]],
            "treated": table["treated"] == 1,
            "before": table["before"],
            "after": table["after"],
            "change": table["after"] - table["before"],
            "weight": table["weight"],
        }
    )


def measure_naive(panel: PanelData) -> Estimate:
    """Mean change of the treated units from before to after their start, controls left out."""
    table = table_by_unit(panel)
    change = table.loc[table["treated"], "change"].to_numpy()
    weight = table.loc[table["treated"], "weight"].to_numpy()
    weight = weight / weight.sum()
    several = len(change) > 1
    mean = float(weight @ change)
    spread = float(np.sqrt((weight**2) @ (change - mean) ** 2))
    return Estimate(
        name="change of the treated, controls left out",
        unit=panel.word,
        value=mean,
        se=spread * float(np.sqrt(len(change) / (len(change) - 1))) if several else None,
        degrees_of_freedom=float(max(len(change) - 1, 1)),
        origin=f"t over {count_of(len(change), 'treated unit')}"
        if several
        else "no interval: one treated unit",
    )


def list_panel_facts(
    panel: PanelData, columns: PanelColumns, naive: Estimate, *, level: float
) -> dict[str, Fact]:
    """Answer the questions that depend on the panel and not on the estimator."""
    starts = [panel.times[one - 1] for one in panel.starts]
    before = [one - 1 for one in panel.starts]
    after = [len(panel.times) - one for one in before]
    notes = " ".join(panel.notes)
    patients = panel.frame["patients"].sum()
    counted = columns.counts_patients
    alike = f". Each {columns.weights.removesuffix('s')} counts alike" if counted else ""
    facts: dict[str, Fact] = {
        "program_dates": f"start {join_words(starts)}; data from {panel.times[0]} to "
        f"{panel.times[-1]}, {count_of(len(panel.times), 'period')}",
        "units": f"{count_of(panel.n_treated, 'treated unit')} and {panel.n_controls:,} controls, "
        f"{count_of(len(panel.times), 'period')}"
        + (f", {patients:,.0f} patients{alike}" if counted else "")
        + (f". {notes}" if notes else ""),
        "clustering": _clustering(panel, columns),
        "points": f"{_range(before)} periods before and {_range(after)} after the start",
        "seasonality": "what a season does to treated and controls alike cancels",
        "autocorrelation": "whatever it is within a cluster, it is in the interval: periods of one "
        "cluster are not taken as independent",
        "missing_outcomes": _missing(panel),
        "naive_effect": f"{naive.name}: {naive.value:.4g} {naive.unit} "
        f"({spell_interval(naive, level=level)})",
        "entries_exits": "each unit is there in every period"
        + ("; patients within units may change" if counted else ""),
        "heterogeneity": _heterogeneity(panel),
    }
    if columns.covariates:
        facts["case_mix"] = f"in the model: {', '.join(columns.covariates)}"
    return facts


def _range(values: list[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _clustering(panel: PanelData, columns: PanelColumns) -> str:
    """Share of the variance, group and time taken out, that lies between units."""
    frame = panel.scaled()
    mean = frame.groupby(["start", "time"])["outcome"].transform("mean")
    rest = frame["outcome"] - mean
    periods = len(panel.times)
    total = float(rest.var(ddof=1))
    name = columns.cluster or columns.unit
    if total <= 0 or periods < 2:
        return f"clustered by {name}"
    between = rest.groupby(frame["unit"]).mean().var(ddof=1)
    within = rest.groupby(frame["unit"]).var(ddof=1).mean()
    icc = (between - within / periods) / (between - within / periods + within)
    return (
        f"periods of one unit are alike with an ICC of {max(icc, 0.0):.2f}; in the interval, "
        f"clustered by {name}"
    )


def _missing(panel: PanelData) -> str:
    told = [
        f"{who} {before:,} before and {after:,} after"
        for who, (before, after) in panel.missing.items()
    ]
    return f"rows without an outcome: {'; '.join(told)}"


def _heterogeneity(panel: PanelData) -> str:
    table = table_by_unit(panel)
    change = table.loc[table["treated"], "change"]
    rest = table.loc[~table["treated"], "change"]
    if len(change) < 2:
        return "one treated unit"
    better = f"{change.min():.4g} to {change.max():.4g} {panel.word}"
    return (
        f"changes of the {len(change):,} treated units run from {better} (SD {change.std():.3g}; "
        f"controls {rest.std():.3g}); chance is in them"
    )
