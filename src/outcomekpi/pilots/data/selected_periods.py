"""Periods by which units were chosen for a program: named, and left out of the comparison."""

from dataclasses import replace

import numpy as np
import pandas as pd

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.pilots.data.panel_times import PanelTimes
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.columns import list_values

__all__ = ["check_selected_in", "leave_out_selected"]


def check_selected_in(selected_in: tuple[object, ...], program: Program) -> None:
    """Refuse a program that selected on the baseline without saying when, and the contrary.

    Raises
    ------
    SpecError
        The periods that chose the units are in the comparison, or were named and denied.
    """
    if program.selected_on_baseline and not selected_in:
        raise SpecError(
            "The program chose its patients or units because their baseline was extreme "
            "(selected_on_baseline=True). They would change with no program at all, and a "
            "comparison with the periods that chose them is not their effect. Name these periods "
            "by selected_in=(...): they are left out, and the last other period before the start "
            "is compared with. If every period before the start chose them, use BeforeAfter with "
            "selection=."
        )
    if program.selected_on_baseline is False and selected_in:
        raise SpecError(
            "selected_in= names periods by which units were chosen, and the program says "
            "selected_on_baseline=False. Correct one of them."
        )


def leave_out_selected(
    rows: pd.DataFrame, times: PanelTimes
) -> tuple[pd.DataFrame, PanelTimes, tuple[str, ...]]:
    """Leave out the periods that chose the units, and number the others anew.

    Parameters
    ----------
    rows : ``time`` and ``start``, positions from 1 (0 for never), one row as in the table
    times : with the positions that chose the units

    Returns
    -------
    rows, times, notes : without these periods; a unit whose start lies in one of them starts at
        the next period

    Raises
    ------
    CasesError
        A period from the last start on; a start without any other period before it.

    Notes
    -----
    Chance that made a period extreme is not in the others if noise does not last: then the rest
    of the periods has no regression to the mean left.
    """
    chosen = np.asarray(times.selected, dtype=np.intp)
    if not chosen.size:
        return rows, times, ()
    starts = np.unique(rows.loc[rows["start"] > 0, "start"])
    named = [times.labels[one - 1] for one in chosen]
    if starts.size and chosen.max() >= starts[-1]:
        late = [times.labels[one - 1] for one in chosen if one >= starts[-1]]
        raise CasesError(
            f"selected_in must name periods before the program; {list_values(late)} lie at or "
            f"after the last start, {times.labels[starts[-1] - 1]}. Units cannot have been chosen "
            "by them."
        )
    kept = np.setdiff1d(np.arange(1, len(times.labels) + 1), chosen)
    bare = [times.labels[one - 1] for one in starts if not (kept < one).any()]
    if bare:
        raise CasesError(
            f"Without the periods that chose the units ({list_values(named)}) there is no period "
            f"before the start at {list_values(bare)} to compare with. Add earlier periods; or use "
            "BeforeAfter with selection=, which corrects for regression to the mean."
        )
    frame = rows[~rows["time"].isin(chosen)].copy()
    frame["time"] = np.searchsorted(kept, frame["time"]) + 1
    first = np.searchsorted(kept, frame["start"]) + 1
    frame["start"] = np.where(frame["start"] > 0, first, 0)
    note = (
        f"Left out, because they chose the units: {list_values(named)}. The other periods are "
        "numbered anew, as if none lay between them."
    )
    labels = tuple(times.labels[one - 1] for one in kept)
    return frame, replace(times, labels=labels, selected=()), (note,)
