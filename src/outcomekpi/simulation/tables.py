"""Write what was drawn as the tables that a hospital has."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.indicators.measures import MEASURES
from outcomekpi.simulation.assignment import Assignment
from outcomekpi.simulation.courses import Course, read
from outcomekpi.simulation.people import People
from outcomekpi.simulation.scenario import Scenario

__all__ = ["encounter_table", "measurement_table", "patient_table"]


def patient_table(
    people: People, assigned: Assignment, doctors: pd.DataFrame, enrolled: NDArray[np.bool_]
) -> pd.DataFrame:
    """One row per patient: who treats him and what is known about him at entry."""
    by = doctors.take(assigned.attending)
    return pd.DataFrame(
        {
            "patient": np.arange(1, people.age.size + 1),
            "doctor": by["doctor"].array,
            "responsible": doctors["doctor"].array.take(assigned.responsible),
            "team": by["team"].array,
            "hospital": by["hospital"].array,
            "age": people.age,
            "sex": pd.array(["F", "M"], dtype="str").take(people.male.astype(np.intp)),
            "comorbidity": people.comorbidity,
            "ses": people.ses,
            **people.conditions,
            "enrolled": enrolled,
        }
    )


def measurement_table(
    scenario: Scenario,
    courses: dict[str, Course],
    smoking: tuple[NDArray[np.intp], NDArray[np.bool_]],
    came: NDArray[np.bool_],
) -> pd.DataFrame:
    """One row per patient and month with a reading; NaN is not measured."""
    came = came & _planned(scenario, courses, came.shape)
    patient, month = np.nonzero(came)
    place = np.empty(came.shape, np.int32)
    place[patient, month] = np.arange(patient.size, dtype=np.int32)
    columns = {"patient": patient + 1, "month": month.astype(np.int16)}
    for name, course in courses.items():
        column = np.full(patient.size, np.nan, np.float32)
        for when, values in zip(course.months, course.values, strict=True):
            there = came[course.rows, when]
            seen = read(name, scenario.measure(name), values[there])
            column[place[course.rows[there], when]] = seen
        columns[name] = column
    columns["smokes"] = _smoking_column(scenario, smoking, came, place, patient.size)
    return pd.DataFrame(columns)


def _planned(
    scenario: Scenario, courses: dict[str, Course], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    planned = np.zeros(shape, bool)
    planned[:, :: scenario.smoking.every_months] = True
    for name, course in courses.items():
        if MEASURES[name].everyone:
            planned[:, list(course.months)] = True
        else:
            planned[np.ix_(course.rows, course.months)] = True
    return planned


def _smoking_column(
    scenario: Scenario,
    smoking: tuple[NDArray[np.intp], NDArray[np.bool_]],
    came: NDArray[np.bool_],
    place: NDArray[np.int32],
    size: int,
) -> NDArray[np.float32]:
    rows, smokes = smoking
    column = np.full(size, np.nan, np.float32)
    for month in range(0, came.shape[1], scenario.smoking.every_months):
        column[place[came[:, month], month]] = 0.0
        there = came[rows, month]
        column[place[rows[there], month]] = smokes[month, there]
    return column


def encounter_table(
    patient: NDArray[np.intp], day: NDArray[np.float64], death_day: NDArray[np.float64]
) -> pd.DataFrame:
    """Admissions of the living and deaths, by patient and day."""
    alive = day < death_day[patient]
    dead = np.flatnonzero(np.isfinite(death_day))
    who = np.concatenate([patient[alive], dead])
    days = np.concatenate([day[alive], death_day[dead]])
    code = np.repeat([0, 1], [int(alive.sum()), dead.size])
    order = np.lexsort((days, who))
    kinds = pd.array(["hf_admission", "death"], dtype="str")
    return pd.DataFrame(
        {"patient": who[order] + 1, "day": days[order], "kind": kinds.take(code[order])}
    )
