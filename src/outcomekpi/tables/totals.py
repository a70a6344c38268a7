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
    """Refuse rows of sums, in every counted column: of all others, or of each block of rows.

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
    _refuse_blocks(counted, index)
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


def _refuse_blocks(counted: Mapping[str, NDArray[np.float64]], index: pd.Index) -> None:
    """Refuse subtotals: a table that falls apart into blocks, each with a row of its sums."""
    cells = np.column_stack(list(counted.values()))
    if not np.isfinite(cells).all():
        return
    for rows, below in ((np.arange(len(cells)), True), (np.arange(len(cells))[::-1], False)):
        found = _find_blocks(cells[rows])
        if len(found) > 1:
            first = int(rows[found[0]])
            raise fault_error(
                "row-of-sums",
                f"Each row must be about one doctor or unit. {len(found):,} rows hold the sums of "
                f"the rows {'above' if below else 'below'} them, the first at index "
                f"{spell(index[first])}. Leave the rows of sums out.",
                first_row=index[first],
                count=len(found),
            )


def _find_blocks(cells: NDArray[np.float64]) -> list[int]:
    """Rows that hold the sums since the one before them; none unless they close every block."""
    found: list[int] = []
    start = 0
    while start < len(cells):
        sums = np.vstack([np.zeros(cells.shape[1]), np.cumsum(cells[start:-1], axis=0)])
        alike = (np.isclose(cells[start:], sums, rtol=1e-9, atol=0) & (sums > 0)).all(axis=1)
        alike[:FEWEST] = False
        if not alike.any():
            break
        found.append(start + int(alike.argmax()))
        start = found[-1] + 1
    of_all = cells[found].sum(axis=0)
    left = cells[start:]
    is_closed = not len(left) or (len(left) == 1 and np.allclose(left[0], of_all, rtol=1e-9))
    return found if is_closed else []
