"""A synthetic hospital: tables as a hospital has them, and the truth behind them."""

from dataclasses import asdict, dataclass
from html import escape
from time import perf_counter

import numpy as np
import pandas as pd

from outcomekpi.declare.errors import SpecError, check_kind
from outcomekpi.indicators.measures import MEASURES
from outcomekpi.lineage.origins import Provenance, record_provenance
from outcomekpi.simulation.assignment import Assignment, assign_doctors
from outcomekpi.simulation.courses import add_program, draw_courses, select_enrolled
from outcomekpi.simulation.happenings import (
    admission_hazard,
    death_hazard,
    draw_admissions,
    draw_attendance,
    draw_deaths,
    draw_smoking,
)
from outcomekpi.simulation.people import NORMALS, People, form_people
from outcomekpi.simulation.scenario import Scenario
from outcomekpi.simulation.staff import Staff, draw_staff
from outcomekpi.simulation.tables import encounter_table, measurement_table, patient_table
from outcomekpi.simulation.truth import Truth, gather_truth

__all__ = ["Population", "simulate_population"]

STREAMS = (
    "doctors", "patients", "assignment", *MEASURES, "smoking", "deaths", "admissions", "attendance",
)  # fmt: skip


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
        return f"<p><b>{escape(repr(self))}</b></p>" + self.to_frame().head(5).to_html(
            float_format="{:.3g}".format, index=False
        )


def simulate_population(scenario: Scenario, *, seed: int) -> Population:
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

    Raises
    ------
    SpecError
        ``scenario`` is no Scenario, or ``seed`` no whole number from 0.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> ok.simulate_population(ok.tertiary_hospital(), seed=20261)
    Population 'tertiary hospital': 6,000 patients of 40 doctors, 24 months, ...
    """
    check_kind("scenario", scenario, Scenario, "ok.tertiary_hospital() or ok.Scenario(...)")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise SpecError(f"seed must be a whole number, 0 or more; got {seed!r}.")
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
