"""A simulated pilot with patients, doctors and hospitals, and the effect it was drawn with."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Count, NotNegative, Seed, Share

__all__ = ["PilotTruth", "simulate_pilot"]

Floats = NDArray[np.float64]

SEED = 20261
RATE, SD_HOSPITAL, QUARTERS = 0.43, 0.2, 4
"""Control before the start at the mean case mix; SD of hospitals, log odds; quarters a side."""
TARGET = 7.0
"""HbA1c in percent below which a patient's diabetes is under control."""
SCALE = 0.6
"""Percent of HbA1c for one unit of log odds."""
SLOPES = {"age": -0.02, "severity": -0.5}
"""Log odds of control for a year of age and for a unit of severity."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PilotTruth:
    """What a simulated pilot was drawn from.

    Attributes
    ----------
    effect : mean of the doctors' program effects, log odds
    doctor_effect : Series indexed by doctor, effect of the program on his patients, log odds; 0
        where the doctor is without it
    risk_difference : mean over the patients of the program after its start of the chance of
        control with it minus the chance without it
    by_doctor : Series indexed by doctor with the program, the same for his patients
    """

    effect: float
    doctor_effect: pd.Series
    risk_difference: float
    by_doctor: pd.Series


def simulate_pilot(
    *,
    n_doctors: Count = 24,
    n_hospitals: Count = 4,
    n_patients: Count = 30,
    controls: bool = False,
    effect: float = 0.8,
    sd_effect: NotNegative = 0.3,
    sd_doctor: NotNegative = 0.4,
    trend: float = 0.0,
    mix_shift: float = 0.0,
    stay: Share = 0.0,
    missing: tuple[Share, Share] = (0.0, 0.0),
    seed: Seed = SEED,
) -> tuple[pd.DataFrame, PilotTruth]:
    """Patients with diabetes before and after a program started, with its true effect.

    Parameters
    ----------
    n_doctors, n_hospitals : doctors are spread over the hospitals evenly
    n_patients : of each doctor before and again after the start
    controls : whether every second doctor of a hospital is without the program
    effect, sd_effect : mean and SD over doctors of the program effect, log odds
    sd_doctor : SD between doctors of one hospital before the start, log odds
    trend : change from before to after that all patients have without a program, log odds
    mix_shift : units of severity that patients are worse after the start
    stay : share of the patients before the start who are seen again after it
    missing : share of outcomes missing before and after the start, completely at random
    seed : same seed, same table

    Returns
    -------
    frame : one row per patient and period: ``patient``, ``doctor``, ``hospital``, ``program`` (1
        where the doctor has it), ``period`` ("before", "after"), ``quarter`` (from 1), ``start``
        (first quarter with the program, 0 for never), ``age`` (years), ``severity``, ``hba1c``
        (percent), ``controlled`` (1 where ``hba1c`` is below 7)
    truth : the parameters

    Raises
    ------
    SpecError
        Fewer doctors than hospitals.

    Notes
    -----
    logit P(controlled) = logit(.43) - .02 (age - 60) - .5 severity + hospital + doctor + after x
    trend + after x program x (effect + doctor's departure), with normal effects; hospitals have
    SD .2. The logistic latent value behind it is L, and ``hba1c`` = 7 - .6 L.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> frame, truth = ok.datasets.simulate_pilot(n_doctors=6, n_hospitals=2, n_patients=10)
    >>> len(frame), round(truth.risk_difference, 2)
    (120, 0.16)
    """
    check_arguments(simulate_pilot, locals())
    if n_hospitals > n_doctors:
        raise SpecError(
            "n_hospitals must lie between 1 and n_doctors, so that each hospital has a doctor; "
            f"got {n_hospitals} hospitals and {n_doctors} doctors."
        )
    rng = np.random.default_rng(seed)
    doctors, hospitals = _labels("D", n_doctors), _labels("H", n_hospitals)
    hospital_of = np.arange(n_doctors) % n_hospitals
    treated = np.ones(n_doctors, dtype=np.int64)
    if controls:
        treated = 1 - (np.arange(n_doctors) // n_hospitals) % 2
    level = rng.normal(0.0, sd_doctor, n_doctors)
    level += rng.normal(0.0, SD_HOSPITAL, n_hospitals)[hospital_of]
    gain = (effect + rng.normal(0.0, sd_effect, n_doctors)) * treated

    people = _people(rng, n_doctors, n_patients, stay, mix_shift)
    doctor, after = people["doctor"].to_numpy(), people["after"].to_numpy()
    eta = logit(RATE) + level[doctor] + trend * after
    eta += SLOPES["age"] * (people["age"].to_numpy() - 60.0)
    eta += SLOPES["severity"] * people["severity"].to_numpy()
    latent = eta + gain[doctor] * after + rng.logistic(size=eta.size)
    frame = pd.DataFrame(
        {
            "patient": people["patient"].to_numpy(),
            "doctor": doctors[doctor],
            "hospital": hospitals[hospital_of[doctor]],
            "program": treated[doctor],
            "period": np.where(after == 1, "after", "before"),
            "quarter": rng.integers(1, QUARTERS + 1, eta.size) + QUARTERS * after,
            "start": np.where(treated[doctor] == 1, QUARTERS + 1, 0),
            "age": people["age"].to_numpy(),
            "severity": people["severity"].to_numpy(),
            "hba1c": TARGET - SCALE * latent,
            "controlled": (latent > 0).astype(np.float64),
        }
    )
    lost = rng.random(eta.size) < np.where(after == 1, missing[1], missing[0])
    frame.loc[lost, ["hba1c", "controlled"]] = np.nan
    if not lost.any():
        frame["controlled"] = frame["controlled"].astype(np.int64)
    return frame, _truth(eta, gain, effect, doctor, after, treated, doctors)


def _labels(letter: str, n: int) -> Floats:
    width = len(str(n))
    return np.array([f"{letter}{k:0{width}d}" for k in range(1, n + 1)])


def _people(
    rng: np.random.Generator,
    n_doctors: int,
    n_patients: int,
    stay: float,
    mix_shift: float,
) -> pd.DataFrame:
    """One row per patient and period: identity, doctor and case mix."""
    n_stay = round(stay * n_patients)
    n_each = 2 * n_patients - n_stay
    person = np.arange(n_doctors * n_each)
    place = person % n_each
    table = pd.DataFrame(
        {
            "patient": np.array([f"P{k + 1:06d}" for k in person]),
            "doctor": person // n_each,
            "age": np.clip(rng.normal(60.0, 10.0, person.size).round(), 18, 95),
            "severity": rng.normal(0.0, 1.0, person.size).round(2),
        }
    )
    before = table[place < n_patients].assign(after=0)
    later = table[place >= n_patients - n_stay].assign(after=1)
    later["severity"] = (later["severity"] + mix_shift).round(2)
    return pd.concat([before, later], ignore_index=True)


def _truth(
    eta: Floats,
    gain: Floats,
    effect: float,
    doctor: NDArray[np.int64],
    after: NDArray[np.int64],
    treated: NDArray[np.int64],
    doctors: Floats,
) -> PilotTruth:
    held = (after == 1) & (treated[doctor] == 1)
    gained = pd.Series(expit(eta + gain[doctor])[held] - expit(eta)[held])
    by_doctor = gained.groupby(doctors[doctor[held]]).mean()
    by_doctor.index.name = "doctor"
    return PilotTruth(
        effect=effect,
        doctor_effect=pd.Series(gain, pd.Index(doctors, name="doctor"), name="doctor_effect"),
        risk_difference=float(gained.mean()),
        by_doctor=by_doctor.rename("risk_difference"),
    )
