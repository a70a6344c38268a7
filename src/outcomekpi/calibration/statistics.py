"""Tests of calibration: Spiegelhalter's z, and Hosmer and Lemeshow's chi-square."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtr, stdtr

from outcomekpi.calibration.intervals import effective_clusters
from outcomekpi.calibration.measures import Predictions, risk_groups

__all__ = ["HosmerLemeshow", "Spiegelhalter", "hosmer_lemeshow", "spiegelhalter"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spiegelhalter:
    """Spiegelhalter's test that the predicted probabilities are the true ones.

    Attributes
    ----------
    z, p_value : for independent cases, two-sided
    t_clustered, p_clustered : the same sum over its standard error between doctors, which allows
        that the cases of a doctor are alike; two-sided, degrees of freedom one less than the
        effective number of doctors
    """

    z: float
    p_value: float
    t_clustered: float
    p_clustered: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HosmerLemeshow:
    """Hosmer and Lemeshow's test over groups of predicted risk.

    Attributes
    ----------
    chi_square, df, p_value : of independent cases
    table : one row per group: ``cases, events, expected, predicted, observed``
    """

    chi_square: float
    df: int
    p_value: float
    table: pd.DataFrame


def spiegelhalter(
    probability: Array, outcome: Array, size: Array, cluster: NDArray[np.intp]
) -> Spiegelhalter:
    """Test whether the Brier score is what the predictions themselves promise.

    Parameters
    ----------
    probability, outcome, size : (case,), predicted probability, events, patients
    cluster : (case,), position of the doctor

    Notes
    -----
    z = Σ (y - n p)(1 - 2p) / √(Σ n (1 - 2p)² p (1 - p)). Cases at p = 1/2 count nothing, and so
    does a shift that is the same above and below 1/2.

    References
    ----------
    Spiegelhalter (1986), Statistics in Medicine 5(5), doi:10.1002/sim.4780050506.
    """
    part = (outcome - size * probability) * (1.0 - 2.0 * probability)
    variance = float(
        (size * (1.0 - 2.0 * probability) ** 2 * probability * (1 - probability)).sum()
    )
    _, doctor = np.unique(cluster, return_inverse=True)
    by_doctor = np.bincount(doctor, part)
    n_doctors = by_doctor.size
    total = float(by_doctor.sum())
    z = total / variance**0.5 if variance > 0 else float("nan")
    t = float("nan")
    if n_doctors > 1:
        between = n_doctors / (n_doctors - 1) * float((by_doctor**2).sum())
        t = total / between**0.5 if between > 0 else float("nan")
    return Spiegelhalter(
        z=z,
        p_value=float(2 * ndtr(-abs(z))),
        t_clustered=t,
        p_clustered=float(2 * stdtr(max(effective_clusters(doctor, size) - 1.0, 0.1), -abs(t))),
    )


def hosmer_lemeshow(
    probability: Array, outcome: Array, size: Array, *, fitted: bool, n_groups: int = 10
) -> HosmerLemeshow:
    """Test observed against expected events over groups of predicted risk.

    Parameters
    ----------
    probability, outcome, size : (case,), predicted probability, events, patients
    fitted : whether the cases are those that the model was fitted to, which costs 2 degrees of
        freedom
    n_groups : groups of like size; cases of equal risk stay together

    Notes
    -----
    Σ (O - E)² / (E (1 - E/n)) over the groups. Kept because readers ask for it. Its faults are
    known: the p-value depends on how many groups are made and where; it has little power in small
    data and rejects any model in large ones; it says neither how far off the model is, nor in
    which direction; and it takes the cases of a doctor as independent.

    References
    ----------
    Hosmer and Lemeshow (1980), Communications in Statistics.
    """
    given = Predictions(family="binomial", rate=probability, outcome=outcome, size=size)
    group = risk_groups(given, n_groups)
    cases, events = np.bincount(group, size), np.bincount(group, outcome)
    expected = np.bincount(group, size * probability)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = (events - expected) ** 2 / (expected * (1.0 - expected / cases))
    chi_square = float(terms.sum())
    df = cases.size - 2 if fitted else cases.size
    table = pd.DataFrame(
        {
            "cases": cases,
            "events": events,
            "expected": expected,
            "predicted": expected / cases,
            "observed": events / cases,
        },
        index=pd.RangeIndex(1, cases.size + 1, name="group"),
    )
    return HosmerLemeshow(
        chi_square=chi_square,
        df=df,
        p_value=float(chdtrc(df, chi_square)) if df > 0 else float("nan"),
        table=table,
    )
