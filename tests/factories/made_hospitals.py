"""Synthetic hospitals that several tests look at."""

from dataclasses import replace

import outcomekpi as ok
from outcomekpi.indicators.measures import MEASURES

COMPLETE = ok.Missingness(missed_visits=0.0, dropouts_per_year=0.0)
IMMORTAL = ok.EventRates(admissions_per_year=0.2, hf_deaths_per_year=0.0, deaths_per_year=0.0)


def small(**changes):
    """A tertiary hospital of 12 doctors with 40 patients each, followed for a year."""
    doctors = ok.DoctorTraits(doctors=12, patients_per_doctor=40.0)
    return replace(ok.tertiary_hospital(), **{"months": 12, "doctors": doctors, **changes})


def large(scenario, doctors=1000, patients=100.0, **changes):
    """The same scenario with so many patients that shares have a small error."""
    many = replace(scenario.doctors, doctors=doctors, patients_per_doctor=patients)
    return replace(scenario, doctors=many, **changes)


def without_doctors(scenario):
    """The same scenario with doctors and hospitals that do not differ."""
    changes = {
        name: replace(scenario.measure(name), sd_doctor=0.0, sd_hospital=0.0) for name in MEASURES
    }
    return replace(scenario, **changes)
