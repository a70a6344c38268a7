"""HbA1c in percent and in mmol/mol: told apart by their sizes, and converted where asked."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError, SpecError, check_choice

__all__ = ["HbA1cUnit", "check_hba1c_bar", "check_hba1c_readings", "hba1c_to_percent", "is_hba1c"]

HbA1cUnit = Literal["%", "mmol/mol"]
UNITS = ("%", "mmol/mol")
NAMES = ("hba1c", "a1c", "糖化")
# percent and mmol/mol do not overlap in living patients: 20 % are 195 mmol/mol, 20 mmol/mol 4 %
APART = 20.0
SLOPE, INTERCEPT = 0.09148, 2.152


def is_hba1c(measure: str) -> bool:
    """Whether the name of a measure says that it is HbA1c."""
    return any(name in measure.lower() for name in NAMES)


def hba1c_to_percent(mmol_per_mol: float | NDArray[np.float64]) -> float | NDArray[np.float64]:
    """Convert HbA1c from mmol/mol (IFCC) to percent (NGSP).

    Parameters
    ----------
    mmol_per_mol : IFCC units

    Notes
    -----
    Master equation: NGSP = 0.09148 IFCC + 2.152. A difference has no intercept.

    References
    ----------
    Weykamp et al. (2008), Clinical Chemistry 54, 240-248, doi:10.1373/clinchem.2007.097402.

    Examples
    --------
    >>> round(hba1c_to_percent(53.0), 2)
    7.0
    """
    return SLOPE * mmol_per_mol + INTERCEPT


def check_hba1c_bar(argument: str, bar: float, unit: str = "%") -> None:
    """Refuse a bar of HbA1c that lies where no reading in its unit does.

    Raises
    ------
    SpecError
        A bar of 20 or more in percent, or of less than 20 in mmol/mol.
    """
    check_choice("hba1c_unit", unit, UNITS)
    if unit == "%" and bar >= APART:
        raise SpecError(
            f"{argument} is in percent, and {bar:g} % of HbA1c nobody has: {bar:g} mmol/mol are "
            f"{hba1c_to_percent(bar):.1f} %. Say hba1c_unit='mmol/mol' where there is one, or "
            "convert bar, fall and readings."
        )
    if unit == "mmol/mol" and bar < APART:
        raise SpecError(
            f"{argument} is said to be in mmol/mol, and nobody has {bar:g}: 7 % are 53 mmol/mol. "
            "Leave out hba1c_unit, or give bar and fall in mmol/mol."
        )


def check_hba1c_readings(
    measure: str, readings: NDArray[np.float64], bars: Sequence[float] = ()
) -> None:
    """Refuse HbA1c in two units, or in another unit than its bar.

    Parameters
    ----------
    measure : its name; others than HbA1c are let through
    readings : nan where missing
    bars : that they are held against

    Raises
    ------
    CasesError
        Some readings are percent and some mmol/mol, or all of them lie in the other unit than a
        bar: everybody, or nobody, would reach it.
    """
    seen = readings[np.isfinite(readings)]
    if not is_hba1c(measure) or not seen.size:
        return
    high = int((seen >= APART).sum())
    if 0 < high < seen.size:
        raise CasesError(
            f"Readings of {measure!r} are in two units: {high:,} of {seen.size:,} are "
            f"{APART:g} or more, as in mmol/mol, the largest {seen.max():g}; the others are in "
            "percent. Convert them: percent = 0.09148 x mmol/mol + 2.152."
        )
    for bar in bars:
        if (bar >= APART) != bool(high):
            units = ("mmol/mol", "percent") if high else ("percent", "mmol/mol")
            raise CasesError(
                f"Readings of {measure!r} are in {units[0]} (median {np.median(seen):.3g}), the "
                f"bar of {bar:g} is in {units[1]}. Convert one of them: percent = 0.09148 x "
                "mmol/mol + 2.152 (53 mmol/mol are 7 %)."
            )
