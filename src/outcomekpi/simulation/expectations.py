"""What a scenario gives in expectation, and knobs solved so that it gives what was published."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from outcomekpi.declare.errors import SpecError
from outcomekpi.indicators.simulated import AdmissionFree, GoalIndicator
from outcomekpi.simulation.chances import (
    Patients,
    condition_of,
    counting_weight,
    goal_chance,
    measures_of,
    survival,
)
from outcomekpi.simulation.happenings import admission_hazard, death_hazard
from outcomekpi.simulation.people import NORMALS, form_people
from outcomekpi.simulation.scenario import Scenario

__all__ = ["change_knob", "expected_deaths", "expected_share", "solve_knob"]

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
