"""Rows of sums: the last or first row of an export, which is no doctor's."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.tables.columns import spell
from outcomekpi.tables.faults import fault_error

__all__ = ["refuse_totals"]

FEWEST = 3
"""Rows that a sum is made of; one row of two may well be as large as the other."""


def refuse_totals(
    counted: Mapping[str, NDArray[np.float64]],
    index: pd.Index,
    *,
    group: NDArray[np.integer[Any]] | None = None,
) -> None:
    """Refuse a first or last row that is the sum of all others, in every counted column.

    Parameters
    ----------
    counted : column -> (row,), at least two columns of counts or of time at risk; of one alone,
        sums come about by chance
    index : labels of the rows
    group : (row,), rows that may be summed among themselves as well (one cycle of an indicator)

    Raises
    ------
    CasesError
        Names the row and its sums.
    """
    if len(counted) < 2:
        return
    n_rows = len(index)
    for row, place in ((n_rows - 1, "last"), (0, "first")):
        everyone = np.ones(n_rows, dtype=bool)
        pools = [everyone] if group is None else [everyone, group == group[row]]
        for pool in pools:
            others = pool.copy()
            others[row] = False
            if others.sum() < FEWEST:
                continue
            sums = {name: float(values[others].sum()) for name, values in counted.items()}
            if all(
                sums[name] > 0 and np.isclose(values[row], sums[name], rtol=1e-9, atol=0)
                for name, values in counted.items()
            ):
                listed = " and ".join(f"{sums[name]:,.10g} of {name!r}" for name in counted)
                raise fault_error(
                    "row-of-sums",
                    f"Each row must be about one doctor or unit. The {place} row (index "
                    f"{spell(index[row])}) holds the sums of {int(others.sum()):,} other rows: "
                    f"{listed}. Leave the row of sums out.",
                    first_row=index[row],
                )
