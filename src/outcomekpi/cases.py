"""Cases: a checked table of patients with a named role for each column."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Cases", "Direction"]

Direction = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cases:
    """A checked table of cases.

    Attributes
    ----------
    frame : the rows that count, with every column of the input table
    roles : role -> column name, for the roles that were named
    outcome : (case,), events (or the measurement, for a Gaussian outcome)
    trials : (case,) patients in an aggregated row, or None where a row is one patient
    exposure : (case,) time or volume at risk, > 0, or None
    doctors : labels of the doctors, as text, sorted
    doctor_code : (case,), position of each case's doctor in ``doctors``
    hospitals : labels of the hospitals, as text, sorted; None without hospitals
    hospital_code : (doctor,), position of each *doctor's* hospital in ``hospitals``; None without
    direction : whether a "higher" or "lower" outcome is better; None where it was not said
    event : the value of the outcome column that was counted as the event, or None
    log : what was excluded or converted, and why, one sentence each
    """

    frame: pd.DataFrame
    roles: Mapping[str, str]
    outcome: NDArray[np.float64]
    trials: NDArray[np.float64] | None
    exposure: NDArray[np.float64] | None
    doctors: pd.Index
    doctor_code: NDArray[np.intp]
    hospitals: pd.Index | None
    hospital_code: NDArray[np.intp] | None
    direction: Direction | None
    event: str | None
    log: tuple[str, ...]
