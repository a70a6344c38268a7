"""Who treats whom: the sicker go to senior doctors as far as a scenario says."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.simulation.people import People
from outcomekpi.simulation.staff import Staff
from outcomekpi.simulation.traits import DoctorTraits

__all__ = ["Assignment", "assign_doctors"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assignment:
    """Attending and responsible doctor of each patient: positions of doctors, (patient,)."""

    attending: NDArray[np.intp]
    responsible: NDArray[np.intp]


def assign_doctors(
    traits: DoctorTraits, staff: Staff, people: People, rng: np.random.Generator
) -> Assignment:
    """Match patients and places, both in order of need and of title, within each hospital.

    Notes
    -----
    A patient's place in the queue is r × need + √(1 - r²) × noise with need standardized, so that
    r is the correlation of need with the seniority of his doctor (as a normal score). Within a
    title, doctors share the queue at random.
    """
    place = np.repeat(np.arange(staff.caseload.size), staff.caseload)
    hospital = staff.hospital[place]
    by_title = np.lexsort((rng.random(place.size), staff.title[place], hospital))
    need = (people.severity if traits.sorted_by == "severity" else people.comorbidity) + 0.0
    spread = need.std()
    score = (need - need.mean()) / (spread if spread > 0 else 1.0)
    r = traits.sorting
    queue = r * score + np.sqrt(1 - r**2) * rng.standard_normal(place.size)
    attending = np.empty(place.size, np.intp)
    attending[np.lexsort((queue, hospital))] = place[by_title]
    return Assignment(attending=attending, responsible=_take_over(traits, staff, attending, rng))


def _take_over(
    traits: DoctorTraits, staff: Staff, attending: NDArray[np.intp], rng: np.random.Generator
) -> NDArray[np.intp]:
    start, size = staff.team_start[attending], staff.team_size[attending]
    other = rng.random(attending.size) < traits.other_responsible
    step = 1 + np.floor(rng.random(attending.size) * (size - 1)).astype(np.intp)
    mate = start + (attending - start + step) % size
    return np.where(other & (size > 1), mate, attending)
