"""What shares and percentages can be at all, and what that means for an effect on them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from outcomekpi.draws.checks import CheckResult
from outcomekpi.pilots.data.panel import HUNDRED, PanelColumns, PanelData
from outcomekpi.pilots.data.percent_check import is_percent
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.tables.columns import count_of

__all__ = ["bound_effects", "check_levels", "clip_levels", "holds_percentages"]

LEVELS = ["fitted", "counterfactual", "lower", "upper"]


def holds_percentages(panel: PanelData, columns: PanelColumns) -> bool:
    """Whether outcomes, as effects are given on them, lie from 0 to 100."""
    return panel.is_share or is_percent(columns.outcome_unit)


def bound_effects(estimates: Sequence[Estimate], panel: PanelData) -> tuple[Estimate, ...]:
    """End intervals in percentage points where percentages end.

    Parameters
    ----------
    estimates : of percentages, the average effect on the treated first
    panel : that they are from

    Notes
    -----
    The mean m of the treated after the start was seen; without the program it would have been from
    0 to 100, so that the first effect lies from m - 100 to m, others from -100 to 100. The estimate
    stays as it is, and a check fails where it is impossible. Cutting an interval at what is
    impossible leaves its coverage as it is.
    """
    after = panel.scaled()
    after = after[after["after"] == 1]
    mean = float(np.average(after["outcome"], weights=after["weight"]))
    bounds = [(mean - HUNDRED, mean)] + [(-HUNDRED, HUNDRED)] * (len(estimates) - 1)
    return tuple(
        one if one.unit == "ratio" else replace(one, bounds=ends)
        for one, ends in zip(estimates, bounds, strict=True)
    )


def clip_levels(table: pd.DataFrame) -> pd.DataFrame:
    """Cut levels without the program at 0 and 100, and note that in the attributes."""
    frame = table.copy()
    held = [name for name in LEVELS if name in frame]
    frame[held] = frame[held].clip(0.0, HUNDRED)
    frame.attrs["bounds"] = (0.0, HUNDRED)
    return frame


def check_levels(table: pd.DataFrame, *, remedy: str) -> tuple[CheckResult, ...]:
    """Fail where the level without the program is no percentage; nothing where all are.

    Parameters
    ----------
    table : ``time, counterfactual, after``, before it is cut
    remedy : what to do
    """
    late = table[table["after"]]
    level = late["counterfactual"]
    outside = (level < 0) | (level > HUNDRED)
    if not outside.any():
        return ()
    first = late[outside].iloc[0]
    return (
        CheckResult(
            name="level without the program",
            passed=False,
            verdict=f"Without the program the treated would have left 0 to 100 % in "
            f"{count_of(int(outside.sum()), 'period')}, the first {first['time']}: "
            f"{first['counterfactual']:.4g} %. Parallel changes of percentages cannot be right "
            f"there. {remedy}",
            table=late[["time", "counterfactual"]].reset_index(drop=True),
        ),
    )
