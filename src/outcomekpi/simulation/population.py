"""A synthetic hospital: tables as a hospital has them, and the truth behind them."""

from dataclasses import asdict, dataclass, fields
from time import perf_counter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Seed
from outcomekpi.declare.showing import show_html
from outcomekpi.indicators.measures import MEASURES, OUTCOMES
from outcomekpi.lineage.origins import Provenance, record_provenance
from outcomekpi.simulation.assignment import Assignment, assign_doctors
from outcomekpi.simulation.courses import Course, add_program, draw_courses, read, select_enrolled
from outcomekpi.simulation.happenings import (
    admission_hazard,
    death_hazard,
    draw_admissions,
    draw_attendance,
    draw_deaths,
    draw_smoking,
)
from outcomekpi.simulation.improvement import Improvement
from outcomekpi.simulation.people import NORMALS, People, form_people
from outcomekpi.simulation.scenario import Scenario
from outcomekpi.simulation.staff import Staff, draw_staff

__all__ = [
    "Population",
    "Truth",
    "encounter_table",
    "gather_truth",
    "measurement_table",
    "patient_table",
    "simulate_population",
]

STREAMS = (
    "doctors", "patients", "assignment", *MEASURES, "smoking", "deaths", "admissions", "attendance",
)  # fmt: skip


# The truth behind a synthetic hospital: what no hospital knows
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """What made the tables and stands in none of them.

    Attributes
    ----------
    doctors : indexed by doctor, one column per outcome: true quality of the doctor alone, SD 1,
        higher is better
    hospitals : indexed by hospital, the same for hospitals
    patients : indexed by patient: ``severity`` (standard normal), and for each measure
        ``level_*``, at month 0 without doctor and program, and ``slope_*``, change per year
        without both, on the scale of the measure
    program : indexed by what it changes: ``effect`` of the full program, ``unit``, ``null`` (the
        value of no effect)
    """

    doctors: pd.DataFrame
    hospitals: pd.DataFrame
    patients: pd.DataFrame
    program: pd.DataFrame

    def __repr__(self) -> str:
        changed = self.program.index[self.program["effect"] != self.program["null"]]
        program = f"program changes {', '.join(changed)}" if len(changed) else "no program"
        return (
            f"Truth: quality of {len(self.doctors):,} doctors in {len(OUTCOMES)} outcomes, "
            f"severity of {len(self.patients):,} patients, {program}"
        )


def gather_truth(scenario: Scenario, staff: Staff, people: People, doctors: pd.DataFrame) -> Truth:
    """Write down what was drawn."""
    names = list(OUTCOMES)
    hospitals = pd.Index(doctors["hospital"].unique(), name="hospital")
    patients = {"severity": people.severity}
    for measure in MEASURES:
        patients[f"level_{measure}"] = people.level[measure]
        patients[f"slope_{measure}"] = people.slope[measure]
    size = people.severity.size
    return Truth(
        doctors=pd.DataFrame(staff.quality, index=pd.Index(doctors["doctor"]), columns=names),
        hospitals=pd.DataFrame(staff.hospital_quality, index=hospitals, columns=names),
        patients=pd.DataFrame(patients, index=pd.RangeIndex(1, size + 1, name="patient")),
        program=describe_program(scenario.improvement),
    )


def describe_program(improvement: Improvement) -> pd.DataFrame:
    """One row per quantity that a program can change."""
    rows = []
    for one in fields(Improvement):
        unit = one.metadata.get("unit")
        if one.name in MEASURES or unit in ("odds ratio", "hazard ratio"):
            null = 0.0 if one.name in MEASURES else 1.0
            rows.append((one.name, float(getattr(improvement, one.name)), unit, null))
    frame = pd.DataFrame(rows, columns=["quantity", "effect", "unit", "null"])
    return frame.set_index("quantity").astype({"effect": np.float64})


# Write what was drawn as the tables that a hospital has
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Population:
    """Patients of doctors over some months, as a hospital would record them, and the truth.

    Attributes
    ----------
    scenario, seed : what the tables were made from, and can be made from again
    patients : ``patient, doctor`` (attending), ``responsible, team, hospital, age`` (years),
        ``sex`` (F or M), ``comorbidity`` (Charlson points), ``ses`` (quintile, 1 worst to 5 best),
        ``diabetes, hypertension, heart_failure, obesity, depression, smoker`` at entry,
        ``enrolled`` (in the program, where there is one)
    measurements : one row per patient and month with a reading: ``patient, month`` (0 is the
        baseline), ``hba1c`` (% NGSP), ``sbp, dbp`` (mmHg), ``ldl`` (mmol/L), ``weight`` (kg),
        ``phq9`` (points), ``covered`` (share of the month's days with medication), ``smokes`` (0
        or 1); NaN is not measured
    encounters : ``patient, day`` (since month 0), ``kind`` (hf_admission or death)
    doctors : ``doctor, hospital, team, title`` (junior, middle or senior), ``caseload``
    truth : what no hospital knows
    provenance : versions, seed, time, and hashes of the patients and of every knob
    """

    scenario: Scenario
    seed: int
    patients: pd.DataFrame
    measurements: pd.DataFrame
    encounters: pd.DataFrame
    doctors: pd.DataFrame
    truth: Truth
    provenance: Provenance

    def to_frame(self, *, month: int = 0) -> pd.DataFrame:
        """One row per patient: the columns of ``patients`` and the readings of one month."""
        readings = self.measurements[self.measurements["month"] == month]
        return self.patients.merge(readings.drop(columns="month"), on="patient", how="left")

    def __repr__(self) -> str:
        return (
            f"Population {self.scenario.name!r}: {len(self.patients):,} patients of "
            f"{len(self.doctors):,} doctors, {self.scenario.months} months, "
            f"{len(self.measurements):,} rows of measurements, {len(self.encounters):,} events, "
            f"seed {self.seed}"
        )

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame().head(5), number=".3g", index=False)


def simulate_population(scenario: Scenario, *, seed: Seed) -> Population:
    """Draw a synthetic hospital whose truth is known.

    Parameters
    ----------
    scenario : all knobs
    seed : of the random numbers; doctors, patients, each measure, events and attendance have
        streams of their own, so that two scenarios that differ in a program, a doctor's effect
        or missing visits have the same patients with the same luck

    Returns
    -------
    Population

    Examples
    --------
    >>> import outcomekpi as ok
    >>> ok.simulate_population(ok.tertiary_hospital(), seed=20261)
    Population 'tertiary hospital': 6,000 patients of 40 doctors, 24 months, ...
    """
    check_arguments(simulate_population, locals())
    began = perf_counter()
    rngs = dict(zip(STREAMS, np.random.default_rng(seed).spawn(len(STREAMS)), strict=True))
    staff = draw_staff(scenario.doctors, rngs["doctors"])
    patients = int(staff.caseload.sum())
    people = form_people(scenario, rngs["patients"].standard_normal((patients, len(NORMALS))))
    assigned = assign_doctors(scenario.doctors, staff, people, rngs["assignment"])
    return _follow(scenario, seed, staff, people, assigned, rngs, began)


def _follow(
    scenario: Scenario,
    seed: int,
    staff: Staff,
    people: People,
    assigned: Assignment,
    rngs: dict[str, np.random.Generator],
    began: float,
) -> Population:
    """Follow the patients through the months and write the tables."""
    attending = assigned.attending
    natural = draw_courses(scenario, people, staff, attending, rngs)
    enrolled = select_enrolled(scenario, people, natural)
    courses = add_program(scenario, natural, enrolled)
    knobs = scenario.smoking
    quitting = staff.effect("smoking", knobs.sd_doctor, knobs.sd_hospital)[attending]
    smoking = draw_smoking(scenario, people, quitting, enrolled, rngs["smoking"])
    death_day = draw_deaths(scenario, death_hazard(scenario, people), enrolled, rngs["deaths"])
    failing = np.flatnonzero(people.conditions["heart_failure"])
    care = staff.effect("heart_failure", scenario.events.sd_doctor, scenario.events.sd_hospital)
    row, day = draw_admissions(
        scenario,
        admission_hazard(scenario, people, failing),
        care[attending[failing]],
        enrolled[failing],
        rngs["admissions"],
    )
    came = draw_attendance(scenario, people, death_day, rngs["attendance"])
    doctors = staff.to_frame()
    patients = patient_table(people, assigned, doctors, enrolled)
    measurements = measurement_table(scenario, courses, smoking, came)
    encounters = encounter_table(failing[row], day, death_day)
    truth = gather_truth(scenario, staff, people, doctors)
    # every knob: the line that a scenario prints does not tell all scenarios apart
    knobs_used = asdict(scenario)
    seconds = perf_counter() - began
    return Population(
        scenario=scenario,
        seed=seed,
        patients=patients,
        measurements=measurements,
        encounters=encounters,
        doctors=doctors,
        truth=truth,
        provenance=record_provenance(patients, knobs_used, seed=seed, seconds=seconds),
    )
