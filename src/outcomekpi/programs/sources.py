"""The two Chinese source texts: three tiers of patient outcomes (A), 60/40 and veto (B)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from outcomekpi.declare.alignment import align
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.declare.fields import Count, NotNegative, Probability
from outcomekpi.programs.bars import (
    DECIMALS,
    Floats,
    as_counts,
    as_scores,
)
from outcomekpi.tables.hba1c import check_hba1c_bar, check_hba1c_readings

__all__ = ["source_a_base", "source_a_bonus", "source_a_team", "source_b_score"]


def source_a_base(
    hba1c: ArrayLike, baseline: ArrayLike, *, bar: float = 7.0, drop: NotNegative = 0.8
) -> NDArray[np.bool_]:
    """Whether a patient earns the attending doctor the base points (A-C1R1).

    Parameters
    ----------
    hba1c : (patient,), percent
    baseline : (patient,), percent, before the program
    bar : HbA1c must be below this
    drop : and at least this many percentage points below the baseline

    Returns
    -------
    (patient,), False where a value is missing

    Raises
    ------
    CasesError
        A value is negative or infinite, or in mmol/mol.
    SpecError
        A bar in mmol/mol.

    Notes
    -----
    "Falls by at least .8 %" is read as percentage points of HbA1c; as a share of the baseline it
    would be .06 points, which no laboratory can tell from nothing. Differences are rounded to
    nine decimals before they are compared.

    References
    ----------
    Source A, case 1, first tier.

    Examples
    --------
    >>> from outcomekpi import programs
    >>> programs.source_a_base([6.9, 6.9, 7.0], [7.7, 7.5, 9.0]).tolist()
    [True, False, False]
    """
    check_arguments(source_a_base, locals())
    hba1c, baseline = align(hba1c=hba1c, baseline=baseline)
    check_hba1c_bar("bar", bar)
    now = as_counts("hba1c", hba1c, missing=True)
    before = as_counts("baseline", baseline, missing=True)
    for values in (now, before):
        check_hba1c_readings("hba1c", values, (bar,))
    fallen = np.round(before - now, DECIMALS)
    return np.asarray((now < bar) & (fallen >= drop))


def source_a_team(
    systolic: ArrayLike,
    diastolic: ArrayLike,
    *,
    systolic_bar: float = 140.0,
    diastolic_bar: float = 90.0,
    months: Count = 6,
) -> NDArray[np.bool_]:
    """Whether a patient earns the team its collaboration points (A-C1R2).

    Parameters
    ----------
    systolic : (patient, month), mmHg, one value for each month
    diastolic : (patient, month), mmHg
    systolic_bar : every value of the run must be below this
    diastolic_bar : and every one of these below this
    months : length of the run

    Returns
    -------
    (patient,), whether any run of so many months is on target; a missing month ends a run

    Raises
    ------
    SpecError
        Tables of different shape.
    CasesError
        Fewer months than the run, or values that are negative or infinite.

    References
    ----------
    Source A, case 1, second tier: below 140/90 for six consecutive months.

    Examples
    --------
    >>> from outcomekpi import programs
    >>> programs.source_a_team([[135] * 6, [135] * 5 + [140]], [[80] * 6] * 2).tolist()
    [True, False]
    """
    check_arguments(source_a_team, locals())
    systolic, diastolic = align(systolic=systolic, diastolic=diastolic)
    high = as_counts("systolic", systolic, missing=True)
    low = as_counts("diastolic", diastolic, missing=True)
    if high.ndim != 2 or high.shape != low.shape:
        raise SpecError(
            "systolic and diastolic must be (patient, month) alike; got "
            f"{high.shape} and {low.shape}."
        )
    if high.shape[1] < months:
        raise CasesError(
            f"{months} consecutive months need at least {months} months of values; found "
            f"{high.shape[1]}."
        )
    passed = (high < systolic_bar) & (low < diastolic_bar)
    runs = np.lib.stride_tricks.sliding_window_view(passed, months, axis=1)
    return np.asarray(runs.all(axis=-1).any(axis=-1))


def source_a_bonus(
    days_to_readmission: ArrayLike, *, followed_days: ArrayLike, within: NotNegative = 365.0
) -> NDArray[np.bool_]:
    """Whether a patient earns the responsible doctor the special bonus (A-C1R3).

    Parameters
    ----------
    days_to_readmission : (patient,), days to the first readmission for heart failure; nan where
        none was seen
    followed_days : (patient,), days that the patient was followed alive
    within : length of the window

    Returns
    -------
    (patient,), True where the whole window was seen without a readmission

    Raises
    ------
    CasesError
        A number of days is negative.

    Notes
    -----
    A patient who died or left before the end of the window earns nothing: counting him would
    reward the death that prevents the readmission. Where the window starts (discharge or
    enrollment) is not in the source and is decided by who counts the days.

    References
    ----------
    Source A, case 1, third tier: not readmitted for heart failure within one year.

    Examples
    --------
    >>> from outcomekpi import programs
    >>> nan = float("nan")
    >>> programs.source_a_bonus([nan, 100, nan], followed_days=[400, 400, 90]).tolist()
    [True, False, False]
    """
    check_arguments(source_a_bonus, locals())
    days_to_readmission, followed_days = align(
        days_to_readmission=days_to_readmission, followed_days=followed_days
    )
    days = as_counts("days_to_readmission", days_to_readmission, missing=True)
    seen = as_counts("followed_days", followed_days)
    return np.asarray(~(days <= within) & (seen >= within))


def source_b_score(
    general: ArrayLike,
    specialty: ArrayLike,
    *,
    general_share: Probability = 0.60,
    vetoed: ArrayLike = False,
) -> Floats:
    """Score of a doctor from general and specialty indicators, 0 after a veto (B-W1, B-49, B-50).

    Parameters
    ----------
    general : (doctor,), score on the general indicators (ethics, continuing education), 0-100
    specialty : (doctor,), score on the indicators of the specialty, 0-100
    general_share : weight of the general score
    vetoed : (doctor,), True for a breach of law or integrity

    Returns
    -------
    (doctor,), 0-100

    Raises
    ------
    CasesError
        A score lies outside 0 to 100.

    Notes
    -----
    60/40 is read as shares of the weight, not of the number of indicators, which the source
    leaves open. Only breaches of law (B-49) and integrity (B-50) are named as veto there; whether
    attendance vetoes too is the caller's decision.

    References
    ----------
    Source B: general indicators 60 %, specialty indicators 40 %, one-vote veto.

    Examples
    --------
    >>> from outcomekpi import programs
    >>> programs.source_b_score([90, 90], [80, 80], vetoed=[False, True]).tolist()
    [86.0, 0.0]
    """
    check_arguments(source_b_score, locals())
    general, specialty, vetoed = align(general=general, specialty=specialty, vetoed=vetoed)
    first = as_scores("general", general, scale="percent")
    second = as_scores("specialty", specialty, scale="percent")
    score = general_share * first + (1 - general_share) * second
    return np.where(np.asarray(vetoed, dtype=bool), 0.0, score)
