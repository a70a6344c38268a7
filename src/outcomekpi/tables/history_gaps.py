"""What is missing or has changed in a history, named in sentences."""

import pandas as pd

from outcomekpi.tables.columns import count_of, list_values

__all__ = ["FEWEST", "LARGEST_CHANGE", "name_gaps", "relative_change"]

LARGEST_CHANGE = 0.5
FEWEST = 10
"""A history is remarked on beyond these; a review may be told to keep silent at others."""
SHOWN_GAPS = 20


def name_gaps(frame: pd.DataFrame, cycles: tuple[str, ...], *, all_units: bool) -> list[str]:
    """Name cycles and units without data, denominators that jump, and targets that move.

    Parameters
    ----------
    frame : checked table of a history, sorted
    cycles : in order of time
    all_units : the table has no units
    """
    log = []
    if len(cycles) == 1:
        log.append(
            f"Only one cycle ({cycles[0]}): a rule that needs consecutive cycles cannot fire."
        )
    gaps: list[str] = []
    for indicator, part in frame.groupby("indicator", sort=True):
        total = part.groupby("cycle")["denominator"].sum().reindex(list(cycles))
        absent = [cycle for cycle in cycles if not total[cycle] > 0]
        if absent:
            gaps.append(f"{indicator}: no data in {list_values(absent)}.")
        if not all_units:
            gaps += _name_units(str(indicator), part, [c for c in cycles if c not in absent])
        few = [cycle for cycle in cycles if 0 < total[cycle] < FEWEST]
        if few:
            gaps.append(
                f"{indicator}: fewer than {FEWEST} in the denominator in {list_values(few)}."
            )
        gaps += _name_changes(str(indicator), total)
        gaps += _name_targets(str(indicator), part, cycles)
    if len(gaps) > SHOWN_GAPS:
        rest = len(gaps) - SHOWN_GAPS
        gaps = [*gaps[:SHOWN_GAPS], f"{count_of(rest, 'more gap')} or changes of the same kinds."]
    return log + gaps


def relative_change(total: pd.Series) -> pd.Series:
    """Change of each cycle's denominator against the previous cycle, as a share of the earlier.

    Parameters
    ----------
    total : (cycle,), denominators in order of time, NaN where missing

    Returns
    -------
    (cycle,), |b - a| / a with a the earlier one; NaN for the first cycle and beside gaps
    """
    return (total - total.shift(1)).abs() / total.shift(1)


def _name_units(indicator: str, part: pd.DataFrame, cycles: list[str]) -> list[str]:
    here = part.groupby("unit")["cycle"].nunique()
    some = here[here < len(cycles)]
    if some.empty:
        return []
    absent = []
    for unit in some.index:
        have = set(part.loc[part["unit"] == unit, "cycle"])
        absent.append(f"{unit} in {', '.join(cycle for cycle in cycles if cycle not in have)}")
    return [f"{indicator}: no data of {'; '.join(absent[:6])}{_more(len(absent), 6)}."]


def _name_changes(indicator: str, total: pd.Series) -> list[str]:
    change = relative_change(total)
    return [
        f"{indicator}: the denominator changed from {total.iloc[i - 1]:,.0f} in "
        f"{total.index[i - 1]} to {total.iloc[i]:,.0f} in {total.index[i]}; check whether the "
        "definition of the indicator changed."
        for i in range(1, len(total))
        if change.iloc[i] > LARGEST_CHANGE
    ]


def _name_targets(indicator: str, part: pd.DataFrame, cycles: tuple[str, ...]) -> list[str]:
    moved = part.dropna(subset="target").groupby("unit")["target"].nunique()
    units = list(moved.index[moved > 1])
    if not units:
        return []
    return [
        f"{indicator}: the target changed between cycles ({list_values(units)}); each cycle is "
        "judged by its own."
    ]


def _more(number: int, shown: int) -> str:
    return f" and {number - shown} more" if number > shown else ""
