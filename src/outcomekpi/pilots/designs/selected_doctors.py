"""Before and after in doctors or hospitals that were picked for their results before."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import CasesError, SpecError, did_you_mean
from outcomekpi.pilots.data.patient_rows import PatientRows
from outcomekpi.pilots.estimators.regression_result import RegressionToMean
from outcomekpi.pilots.estimators.selected_units import correct_unit_selection
from outcomekpi.tables.columns import describe_row, list_values, read_numbers

__all__ = ["UnitSelection", "correct_units", "read_chosen"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSelection:
    """Doctors or hospitals that entered a program because of their results before it.

    The table holds the patients of all units that were compared, chosen or not.

    Attributes
    ----------
    chosen : column that is 1 for patients of a chosen unit and 0 for the others
    by : "doctor" or "hospital", what was chosen

    Examples
    --------
    >>> import outcomekpi as ok
    >>> ok.UnitSelection(chosen="program", by="doctor").by
    'doctor'
    """

    chosen: str
    by: Literal["doctor", "hospital"] = "doctor"

    def __post_init__(self) -> None:
        check_fields(self)


def read_chosen(
    data: pd.DataFrame, rows: PatientRows, selection: UnitSelection
) -> NDArray[np.bool_]:
    """Tell the rows of the chosen units: (row,).

    Raises
    ------
    CasesError
        No such column, other values than 0 and 1, a unit with both, none or all of them chosen.
    """
    if selection.chosen not in data.columns:
        raise CasesError(
            f"Column {selection.chosen!r} of the selection is not in the table."
            f"{did_you_mean(selection.chosen, data.columns)}"
        )
    if selection.by not in rows.labels:
        raise SpecError(
            f"UnitSelection(by={selection.by!r}) needs that column: pass {selection.by}=."
        )
    values = read_numbers(data[selection.chosen], "chosen")
    wrong = ~np.isin(values, (0.0, 1.0))
    if wrong.any():
        raise CasesError(
            f"Column {selection.chosen!r} (chosen) must hold 1 for patients of a chosen "
            f"{selection.by} and 0 for the others. {describe_row(data.index, wrong)}."
        )
    labels = rows.labels[selection.by]
    count = np.bincount(labels.code, minlength=len(labels.names))
    share = np.bincount(labels.code, weights=values, minlength=len(labels.names)) / count
    mixed = [name for name, part in zip(labels.names, share, strict=True) if 0 < part < 1]
    if mixed:
        raise CasesError(
            f"A {selection.by} is chosen or not; {len(mixed):,} have patients of both kinds in "
            f"{selection.chosen!r}: {list_values(mixed)}. Correct that column."
        )
    if values.all() or not values.any():
        raise CasesError(
            f"Column {selection.chosen!r} says that {'all' if values.all() else 'no'} "
            f"{selection.by}s were chosen. What the chosen would have done without a program is "
            "learned from those they were chosen from: add the patients of the others."
        )
    return np.asarray(values == 1.0)


def correct_units(
    rows: PatientRows,
    chosen: NDArray[np.bool_],
    selection: UnitSelection,
    *,
    binary: bool,
    unit: str,
    draws: int,
    rng: np.random.Generator,
) -> RegressionToMean:
    """Correct the change of chosen units for regression to the mean.

    Parameters
    ----------
    rows : patients of all units, those with a known outcome
    chosen : (row,)
    selection : which units were chosen
    binary : whether the outcome is an event
    unit : of the effect
    draws : of the corrected effect
    rng : of the draws

    Notes
    -----
    Every unit counts alike, whatever its number of patients. Units without patients before the
    start took no part in the comparison and are left out, as are chosen ones without any after.
    """
    labels = rows.labels[selection.by]
    size, total, square = (np.zeros((2, len(labels.names))) for _ in range(3))
    for period, side in enumerate((~rows.after, rows.after)):
        code, values = labels.code[side], rows.outcome[side]
        size[period] = np.bincount(code, minlength=size.shape[1])
        total[period] = np.bincount(code, weights=values, minlength=size.shape[1])
        square[period] = np.bincount(code, weights=values**2, minlength=size.shape[1])
    picked = np.zeros(size.shape[1], dtype=np.bool_)
    picked[labels.code[chosen]] = True
    fewest = 1 if binary else 2
    use = (size[0] >= fewest) & (~picked | (size[1] >= fewest))
    followed = size[1] >= fewest
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / size
        variance = (square - size * mean**2) / (size - 1)
        error = np.sqrt(variance / size)
    result = np.where(followed, total[1], np.nan) if binary else np.where(followed, mean[1], np.nan)
    before = total[0] if binary else mean[0]
    extra: dict[str, Floats] = (
        {"before_trials": size[0][use], "after_trials": np.maximum(size[1], 1.0)[use]}
        if binary
        else {"before_se": error[0][use], "after_se": np.where(followed, error[1], 1.0)[use]}
    )
    return correct_unit_selection(
        before[use],
        result[use],
        chosen=picked[use],
        before_trials=extra.get("before_trials"),
        after_trials=extra.get("after_trials"),
        before_se=extra.get("before_se"),
        after_se=extra.get("after_se"),
        unit=unit,
        draws=draws,
        rng=rng,
    )
