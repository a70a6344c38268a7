"""Courses of the measures: what would be read at each planned month, with or without program."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from outcomekpi.indicators.measures import MEASURES, MeasureTraits
from outcomekpi.simulation.improvement import effect_course
from outcomekpi.simulation.people import People
from outcomekpi.simulation.scenario import Scenario
from outcomekpi.simulation.staff import Staff, presence

__all__ = ["Course", "add_program", "draw_courses", "read", "select_enrolled"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Course:
    """One measure of the patients that it is taken of.

    Attributes
    ----------
    rows : (row,), positions of the patients
    months : planned months, from 0
    values : one array (row,) per planned month, on the scale of the measure
    """

    rows: NDArray[np.intp]
    months: tuple[int, ...]
    values: tuple[NDArray[np.float32], ...]


def draw_courses(
    scenario: Scenario,
    people: People,
    staff: Staff,
    attending: NDArray[np.intp],
    rngs: dict[str, np.random.Generator],
) -> dict[str, Course]:
    """Draw what would be read of every patient if nothing were missed, without the program."""
    grown = presence(scenario.doctors, scenario.months)
    systolic: dict[int, NDArray[np.float32]] = {}
    courses = {}
    for name, facts in MEASURES.items():
        knobs = scenario.measure(name)
        rows = np.flatnonzero(people.measured(name))
        level, slope = people.level[name][rows], people.slope[name][rows]
        effect = facts.sign * staff.effect(facts.outcome, knobs.sd_doctor, knobs.sd_hospital)
        shift = effect.astype(np.float32)[attending[rows]]
        months = tuple(range(0, scenario.months + 1, knobs.every_months))
        values = []
        for month in months:
            noise = rngs[name].standard_normal(rows.size, dtype=np.float32)
            if name == "sbp":
                systolic[month] = noise
            elif name == "dbp" and month in systolic:
                r = np.float32(scenario.pressure_correlation)
                noise = r * systolic[month] + np.sqrt(1 - r**2) * noise
            value = level + slope * np.float32(month / 12) + shift * np.float32(grown[month])
            values.append(value + np.float32(knobs.sd_within) * noise)
        courses[name] = Course(rows=rows, months=months, values=tuple(values))
    return courses


def select_enrolled(
    scenario: Scenario, people: People, courses: dict[str, Course]
) -> NDArray[np.bool_]:
    """Say who is in the program: everybody, or those with a high reading at month 0."""
    measure = scenario.improvement.enroll_on
    if measure is None:
        return np.ones(people.age.size, bool)
    enrolled = np.zeros(people.age.size, bool)
    first = read(measure, scenario.measure(measure), courses[measure].values[0])
    enrolled[courses[measure].rows] = first >= scenario.improvement.enroll_from
    return enrolled


def add_program(
    scenario: Scenario, courses: dict[str, Course], enrolled: NDArray[np.bool_]
) -> dict[str, Course]:
    """Add the true effect of the program to the courses of those who are in it."""
    grown = effect_course(scenario.improvement, scenario.months)
    changed = {}
    for name, course in courses.items():
        effect = getattr(scenario.improvement, name)
        if effect != 0:
            inside = enrolled[course.rows].astype(np.float32)
            values = tuple(
                value + np.float32(effect * grown[month]) * inside
                for month, value in zip(course.months, course.values, strict=True)
            )
            course = Course(rows=course.rows, months=course.months, values=values)
        changed[name] = course
    return changed


def read(measure: str, knobs: MeasureTraits, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn values on the scale of a measure into readings: bounds, rounding, shares."""
    kept = np.clip(values, np.float32(knobs.lowest), np.float32(knobs.highest))
    if knobs.resolution > 0:
        step = np.float32(knobs.resolution)
        kept = np.rint(kept / step) * step
    if MEASURES[measure].scale == "log odds":
        kept = expit(kept)
    return kept.astype(np.float32)
