"""Columns of numbers in the tables of patients: read as numbers, or refused where they are not."""

from datetime import date, timedelta
from decimal import Decimal
from numbers import Real

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError

__all__ = ["column_numbers"]

Array = NDArray[np.float64]
DATES = (date, timedelta, np.datetime64, np.timedelta64)


def column_numbers(
    table: pd.DataFrame,
    column: str,
    which: str,
    *,
    wanted: str,
    dates: str = "",
    missing: bool = True,
) -> Array:
    """Read a column as numbers, without guessing.

    Parameters
    ----------
    table : with a column ``patient``
    column, which : name of the column, and of the table in messages
    wanted : what the column must hold
    dates : what to do about dates; for messages
    missing : whether values may be missing

    Returns
    -------
    (row,), missing where not known

    Raises
    ------
    CasesError
        Dates, text, infinite or, unless they may be, missing values: how many, the first and whose.
    """
    values = table[column]
    start = f"{which}[{column!r}] must hold {wanted}; "
    if pd.api.types.is_numeric_dtype(values):
        found = values.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        cells = values.astype(object)
        known = cells.notna().to_numpy()
        is_date = np.array([isinstance(v, DATES) for v in cells], dtype=bool) & known
        _refuse(table, cells, is_date, f"{start}{{count}} are dates or times, {{first}}. {dates}")
        number = np.array([isinstance(v, Real | Decimal | np.bool_) for v in cells], dtype=bool)
        advice = "Text such as '7,1' or '<6.0' has to become a number before, or missing."
        _refuse(
            table, cells, known & ~number, f"{start}{{count}} are no numbers, {{first}}. {advice}"
        )
        found = np.array(
            [float(v) if good else np.nan for v, good in zip(cells, known, strict=True)],
            dtype=np.float64,
        )
    read = pd.Series(found, index=values.index)
    infinite = "Give the value itself, or leave it missing."
    _refuse(table, read, np.isinf(found), f"{start}{{count}} are infinite, {{first}}. {infinite}")
    if not missing:
        absent = "Find the value, or drop the row and say so."
        _refuse(table, None, np.isnan(found), f"{start}{{count}} are missing, {{first}}. {absent}")
    return found


def _refuse(
    table: pd.DataFrame, values: pd.Series | None, wrong: NDArray[np.bool_], words: str
) -> None:
    """Raise a :class:`CasesError` with count and first patient if any row is wrong."""
    if not wrong.any():
        return
    at = int(np.argmax(wrong))
    patient = f"of patient {table['patient'].tolist()[at]!r}"
    if values is not None:
        value = values.tolist()[at]
        shown = str(value) if isinstance(value, DATES) else repr(value)
        patient = f"{shown} {patient}"
    count = f"{int(wrong.sum())} of {len(wrong)}"
    said = words.replace("{count}", count).replace("{first}", f"the first {patient}")
    raise CasesError(said.rstrip())
