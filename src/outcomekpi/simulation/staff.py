"""Draw the doctors: hospitals, teams, titles, caseloads and true quality."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.indicators.measures import OUTCOMES
from outcomekpi.simulation.traits import DoctorTraits

__all__ = ["TITLES", "Staff", "draw_staff", "presence"]

TITLES = ("junior", "middle", "senior")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Staff:
    """Doctors as arrays.

    Attributes
    ----------
    hospital, team, title : (doctor,), positions; teams are runs of neighbors in one hospital
    team_start, team_size : (doctor,), first doctor of the own team and number of its doctors
    caseload : (doctor,), patients
    quality : (doctor, outcome), true quality, SD 1 over the doctors of a title; higher is better
    hospital_quality : (hospital, outcome)
    """

    hospital: NDArray[np.intp]
    team: NDArray[np.intp]
    title: NDArray[np.intp]
    team_start: NDArray[np.intp]
    team_size: NDArray[np.intp]
    caseload: NDArray[np.int64]
    quality: NDArray[np.float64]
    hospital_quality: NDArray[np.float64]

    def effect(self, outcome: str, sd_doctor: float, sd_hospital: float) -> NDArray[np.float64]:
        """Improvement that each doctor and his hospital bring: (doctor,), positive is better."""
        k = OUTCOMES.index(outcome)
        own = sd_doctor * self.quality[:, k]
        return np.asarray(own + sd_hospital * self.hospital_quality[self.hospital, k])

    def to_frame(self) -> pd.DataFrame:
        """One row per doctor: ``doctor, hospital, team, title, caseload``."""
        return pd.DataFrame(
            {
                "doctor": label("D", self.title.size),
                "hospital": label("H", int(self.hospital.max()) + 1)[self.hospital],
                "team": label("T", int(self.team.max()) + 1)[self.team],
                "title": pd.array(TITLES, dtype="str").take(self.title),
                "caseload": self.caseload,
            }
        )


def label(letter: str, count: int) -> pd.Index:
    """Names such as D001, as wide as the largest number needs."""
    width = len(str(count))
    return pd.Index([f"{letter}{k:0{width}d}" for k in range(1, count + 1)], dtype="str")


def presence(traits: DoctorTraits, months: int) -> NDArray[np.float64]:
    """Share of a doctor's effect that is there at the end of each month: (months + 1,)."""
    grown = np.minimum(np.arange(months + 1) / traits.months_to_full, 1.0)
    return traits.present_at_baseline + (1.0 - traits.present_at_baseline) * grown


def draw_staff(traits: DoctorTraits, rng: np.random.Generator) -> Staff:
    """Draw hospitals of nearly equal size, teams, titles, gamma caseloads, correlated quality."""
    n = traits.doctors
    hospital = np.sort(np.arange(n) % traits.hospitals)
    in_hospital = np.arange(n) - np.searchsorted(hospital, hospital)
    starts = (in_hospital % traits.doctors_per_team) == 0
    team = np.cumsum(starts) - 1
    team_start = np.flatnonzero(starts)[team]
    team_size = np.bincount(team)[team]
    shares = (traits.junior_share, 1 - traits.junior_share - traits.senior_share)
    title = np.searchsorted(np.cumsum(shares), rng.random(n), side="right")
    return Staff(
        hospital=hospital,
        team=team,
        title=title,
        team_start=team_start,
        team_size=team_size,
        caseload=_draw_caseloads(traits, rng),
        quality=_draw_quality(traits, title, rng),
        hospital_quality=rng.standard_normal((traits.hospitals, len(OUTCOMES))),
    )


def _draw_caseloads(traits: DoctorTraits, rng: np.random.Generator) -> NDArray[np.int64]:
    n, cv = traits.doctors, traits.caseload_cv
    share = rng.gamma(1 / cv**2, size=n) if cv > 0 else np.ones(n)
    share = np.maximum(share, 1e-12)
    patients = max(round(n * traits.patients_per_doctor), n)
    return 1 + rng.multinomial(patients - n, share / share.sum())


def _draw_quality(
    traits: DoctorTraits, title: NDArray[np.intp], rng: np.random.Generator
) -> NDArray[np.float64]:
    common = rng.standard_normal((title.size, 1))
    own = rng.standard_normal((title.size, len(OUTCOMES)))
    r = traits.quality_correlation
    mean_title = 1 + traits.senior_share - traits.junior_share
    step = traits.title_advantage * (title - mean_title)
    drawn: NDArray[np.float64] = np.sqrt(r) * common + np.sqrt(1 - r) * own + step[:, None]
    return drawn
