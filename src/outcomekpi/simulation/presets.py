"""Two hospitals after the documents: the tertiary hospital and the community centers."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.indicators.measures import MEASURES
from outcomekpi.indicators.simulated import (
    AdmissionFree,
    GoalIndicator,
    PressureControl,
    ReadingBelow,
)
from outcomekpi.simulation.chances import (
    Patients,
    condition_of,
    counting_weight,
    goal_chance,
    measures_of,
    survival,
)
from outcomekpi.simulation.happenings import admission_hazard, death_hazard
from outcomekpi.simulation.improvement import Improvement
from outcomekpi.simulation.people import NORMALS, form_people
from outcomekpi.simulation.processes import EventRates, SmokingTraits
from outcomekpi.simulation.scenario import Scenario
from outcomekpi.simulation.traits import DoctorTraits, PatientTraits

__all__ = [
    "PRESET_SOURCES",
    "PublishedProgram",
    "change_knob",
    "community_centers",
    "expected_deaths",
    "expected_share",
    "solve_knob",
    "tertiary_hospital",
]

PublishedProgram = Literal["none", "published"]
GLUCOSE = ReadingBelow(measure="hba1c", below=7.0)
PRESSURE = PressureControl(sbp_below=140.0, dbp_below=90.0)
WANG = "Wang et al. 2018, Circulation: 15.3 % controlled of 40.7 % treated of all hypertensives"
ESC = "Crespo-Leiro et al. 2016, European Journal of Heart Failure"
JIANGSU = "survey of 20,053 diabetics managed by community centers of Changshu and Huai'an, 2013-14"
ONE_HOSPITAL = "one hospital: its own level is in the mean"

PRESET_SOURCES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "tertiary_hospital": MappingProxyType(
            {
                "hba1c.mean": "solved: 43 % below 7 % at month 0 (A-C1E1)",
                "sbp.mean": "solved: 37.6 % of hypertensives below 140/90 at month 0; the "
                f"baseline of A-C1E2 is not published ({WANG})",
                "events.admissions_per_year": "solved: 36 % die or are admitted for HF within a "
                f"year, after acute HF ({ESC}); the baseline of A-C1E3 is not published",
                "events.hf_deaths_per_year": f"solved: 23.6 % die within a year, after acute HF "
                f"({ESC})",
                **{
                    f"{bundle}.sd_hospital": ONE_HOSPITAL
                    for bundle in (*MEASURES, "smoking", "events")
                },
            }
        ),
        "community_centers": MappingProxyType(
            {
                "months": "one year, as in A-C2E1",
                "hba1c.mean": f"solved: 42 % below 7 % at month 0 ({JIANGSU})",
                "sbp.mean": f"solved: 37.6 % of hypertensives below 140/90 at month 0 ({WANG})",
                "events.admissions_per_year": "solved: 14.5 % die or are admitted for HF within a "
                f"year, chronic HF ({ESC})",
                "events.hf_deaths_per_year": f"solved: 6.4 % die within a year, chronic HF ({ESC})",
                "patients.female_share": f"{JIANGSU}: 60.8 % women; rounded",
                "patients.diabetes": "assumption, residents of a center with chronic diseases",
                "patients.hypertension": "assumption, residents of a center with chronic diseases",
                "patients.heart_failure": "assumption, treated in hospitals in the first place",
                "patients.comorbidity_mean": "assumption, less than in a tertiary hospital",
                "doctors.hospitals": "assumption, the pilot communities are not counted",
                "doctors.doctors": "assumption, eight family doctors in each center",
                "doctors.patients_per_doctor": "assumption, residents in managed care",
                "doctors.junior_share": "assumption, fewer titles than in a tertiary hospital",
                "doctors.senior_share": "assumption, fewer titles than in a tertiary hospital",
                "doctors.sorting": "assumption, residents go to the nearest team",
                "smoking.every_months": "assumption, points need an answer at each visit",
            }
        ),
    }
)
"""preset -> knob -> source, for every knob that differs from its default."""


# What a scenario gives in expectation, and knobs solved so that it gives what was published
LOG2_POINTS = 14
DOCTOR = len(NORMALS)


@cache
def _normal_points() -> NDArray[np.float64]:
    """Scrambled Sobol' points as standard normals: patients, and their doctor and hospital."""
    from scipy.stats import qmc

    uniform = qmc.Sobol(DOCTOR + 2, scramble=True, rng=20261).random_base2(LOG2_POINTS)
    points: NDArray[np.float64] = ndtri(np.clip(uniform, 1e-12, 1 - 1e-12))
    points.flags.writeable = False
    return points


def expected_share(scenario: Scenario, indicator: GoalIndicator, *, month: int) -> float:
    """Share of the patients who count that reach a goal, expected over all random numbers.

    Everybody is measured at the month of judgment, everybody is in the program, and whom a patient
    is assigned to says nothing about him.

    Notes
    -----
    The mean of the exact probabilities of 16,384 patients that are quasi-random (Sobol') instead
    of random, so that it depends on no seed; its error is about 2e-4.
    """
    points = _normal_points()
    people = form_people(scenario, points[:, :DOCTOR])
    condition = condition_of(indicator)
    keep = np.ones(len(points), bool) if condition is None else people.conditions[condition]
    rows = np.flatnonzero(keep)
    names = () if isinstance(indicator, AdmissionFree) else measures_of(indicator)
    patients = Patients(
        level={name: people.level[name][rows].astype(float) for name in names},
        slope={name: people.slope[name][rows].astype(float) for name in names},
        enrolled=np.ones(rows.size, bool),
        admission=admission_hazard(scenario, people, rows),
        death=death_hazard(scenario, people)[rows],
    )
    quality, hospital = points[rows, DOCTOR], points[rows, DOCTOR + 1]
    gain = {}
    for name in measures_of(indicator):
        knobs = scenario.events if name == "admission" else scenario.measure(name)
        gain[name] = knobs.sd_doctor * quality + knobs.sd_hospital * hospital
    weight = counting_weight(scenario, indicator, patients, month)
    return float(
        np.average(goal_chance(scenario, indicator, patients, gain, month), weights=weight)
    )


def expected_deaths(scenario: Scenario, *, month: int) -> float:
    """Share of the patients with heart failure who die by the end of a month, expected."""
    people = form_people(scenario, _normal_points()[:, :DOCTOR])
    rows = np.flatnonzero(people.conditions["heart_failure"])
    patients = Patients(
        level={},
        slope={},
        enrolled=np.ones(rows.size, bool),
        admission=np.zeros(rows.size),
        death=death_hazard(scenario, people)[rows],
    )
    return float(1 - survival(scenario, patients, month)[:, -1].mean())


def change_knob(scenario: Scenario, bundle: str, knob: str, value: float) -> Scenario:
    """Return the scenario with one knob of one bundle changed."""
    changed: dict[str, Any] = {knob: value}
    inside: Any = replace(getattr(scenario, bundle), **changed)
    fields: dict[str, Any] = {bundle: inside}
    return replace(scenario, **fields)


def solve_knob(
    scenario: Scenario,
    bundle: str,
    knob: str,
    expectation: Callable[[Scenario], float],
    *,
    target: float,
    between: tuple[float, float],
) -> Scenario:
    """Return the scenario with one knob set so that an expectation has the value asked for.

    Raises
    ------
    SpecError
        No value of the knob between the bounds gives it.
    """
    from scipy.optimize import brentq

    def gap(value: float) -> float:
        return expectation(change_knob(scenario, bundle, knob, value)) - target

    ends = [gap(end) for end in between]
    if ends[0] * ends[1] > 0:
        raise SpecError(
            f"No {bundle}.{knob} between {between[0]:g} and {between[1]:g} gives {target:g}; the "
            f"ends give {ends[0] + target:.4g} and {ends[1] + target:.4g}."
        )
    root = float(brentq(gap, *between, xtol=1e-5))
    return change_knob(scenario, bundle, knob, root)


def tertiary_hospital(*, program: PublishedProgram = "none") -> Scenario:
    """Describe a chronic disease center of a tertiary hospital with the published baseline.

    Parameters
    ----------
    program : "none"; or "published", a program whose true effect is what was published: 43 → 68 %
        below 7 %, blood pressure control up by 27 points (half as much in diastolic as in systolic
        pressure), HF admissions down by 34 % (read as a rate ratio), all at month 24. That is what
        the figures would mean if nothing but the program had changed.

    Returns
    -------
    Scenario

    Notes
    -----
    After A-CASE1. Means and rates are solved in expectation, not tuned to a seed. The published
    source gives one baseline, 43 %; those of blood pressure and heart failure are from the
    literature, as the codebook says.

    Examples
    --------
    >>> from outcomekpi import tertiary_hospital
    >>> tertiary_hospital()
    Scenario 'tertiary hospital': 40 doctors in 1 hospital, 150 patients each, 24 months
    """
    check_arguments(tertiary_hospital, locals())
    return _tertiary_with_program() if program == "published" else _tertiary()


def community_centers() -> Scenario:
    """Describe community health centers with family-doctor teams, for one year.

    Returns
    -------
    Scenario

    Notes
    -----
    After A-CASE2. The source publishes no baseline at all; every number is from the literature or
    an assumption, as the codebook says.

    Examples
    --------
    >>> from outcomekpi import community_centers
    >>> community_centers()
    Scenario 'community centers': 96 doctors in 12 hospitals, 120 patients each, 12 months
    """
    return _community()


@cache
def _tertiary() -> Scenario:
    scenario = replace(
        Scenario(name="tertiary hospital"),
        smoking=SmokingTraits(sd_hospital=0.0),
        events=EventRates(sd_hospital=0.0),
    )
    for name in MEASURES:
        scenario = change_knob(scenario, name, "sd_hospital", 0.0)
    return _solve_baselines(scenario, glucose=0.43, combined=0.36, deaths=0.236)


@cache
def _community() -> Scenario:
    scenario = Scenario(
        name="community centers",
        months=12,
        doctors=DoctorTraits(
            hospitals=12, doctors=96, patients_per_doctor=120.0, junior_share=0.4,
            senior_share=0.15, sorting=0.1,
        ),
        patients=PatientTraits(
            female_share=0.6, diabetes=0.3, hypertension=0.55, heart_failure=0.05,
            comorbidity_mean=1.0,
        ),
        smoking=SmokingTraits(every_months=1),
    )  # fmt: skip
    return _solve_baselines(scenario, glucose=0.42, combined=0.145, deaths=0.064)


def _solve_baselines(
    scenario: Scenario, *, glucose: float, combined: float, deaths: float
) -> Scenario:
    """Set the two means and the two rates whose consequences were published."""
    scenario = solve_knob(
        scenario, "hba1c", "mean", lambda s: expected_share(s, GLUCOSE, month=0),
        target=glucose, between=(6.0, 10.0),
    )  # fmt: skip
    scenario = solve_knob(
        scenario, "sbp", "mean", lambda s: expected_share(s, PRESSURE, month=0),
        target=0.153 / 0.407, between=(120.0, 170.0),
    )  # fmt: skip
    scenario = solve_knob(
        scenario, "events", "hf_deaths_per_year", lambda s: expected_deaths(s, month=12),
        target=deaths, between=(0.001, 1.0),
    )  # fmt: skip
    return solve_knob(
        scenario, "events", "admissions_per_year",
        lambda s: 1 - expected_share(s, AdmissionFree(), month=12),
        target=combined, between=(0.001, 2.0),
    )  # fmt: skip


@cache
def _tertiary_with_program() -> Scenario:
    scenario = replace(_tertiary(), improvement=Improvement(admission_hazard_ratio=0.66))
    scenario = solve_knob(
        scenario, "improvement", "hba1c", lambda s: expected_share(s, GLUCOSE, month=24),
        target=0.68, between=(-4.0, 0.0),
    )  # fmt: skip

    def controlled(changed: Scenario) -> float:
        half = changed.improvement.sbp / 2
        return expected_share(change_knob(changed, "improvement", "dbp", half), PRESSURE, month=24)

    scenario = solve_knob(
        scenario, "improvement", "sbp", controlled,
        target=0.153 / 0.407 + 0.27, between=(-60.0, 0.0),
    )  # fmt: skip
    scenario = change_knob(scenario, "improvement", "dbp", scenario.improvement.sbp / 2)
    return replace(scenario, name="tertiary hospital with program")
