"""The probability that a patient reaches a goal, given all that made his course."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit, ndtr, ndtri

from outcomekpi.declare.errors import SpecError
from outcomekpi.draws.nodes import normal_nodes
from outcomekpi.indicators.measures import MEASURES
from outcomekpi.indicators.simulated import (
    AdmissionFree,
    GoalIndicator,
    PressureControl,
    ReadingBelow,
)
from outcomekpi.simulation.happenings import cumulative_admissions
from outcomekpi.simulation.improvement import effect_course
from outcomekpi.simulation.scenario import Scenario
from outcomekpi.simulation.staff import presence

__all__ = ["Patients", "condition_of", "counting_weight", "goal_chance", "measures_of", "survival"]

Array = NDArray[np.float64]
HERMITE = 64
LEGENDRE = 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patients:
    """What the probability of a goal depends on beside the doctor, all (patient,).

    Attributes
    ----------
    level, slope : measure -> level at month 0 and change per year, on the scale of the measure
    enrolled : in the program
    admission, death : hazards per year without doctor, trend and program
    """

    level: dict[str, Array]
    slope: dict[str, Array]
    enrolled: NDArray[np.bool_]
    admission: Array
    death: Array

    def every(self, step: int) -> "Patients":
        """Every ``step``-th patient."""
        return Patients(
            level={name: value[::step] for name, value in self.level.items()},
            slope={name: value[::step] for name, value in self.slope.items()},
            enrolled=self.enrolled[::step],
            admission=self.admission[::step],
            death=self.death[::step],
        )


def measures_of(indicator: GoalIndicator) -> tuple[str, ...]:
    """Measures whose doctor effects move an indicator; admissions have their own."""
    if isinstance(indicator, ReadingBelow):
        return (indicator.measure,)
    return ("sbp", "dbp") if isinstance(indicator, PressureControl) else ("admission",)


def condition_of(indicator: GoalIndicator) -> str | None:
    """Condition that makes a patient count in an indicator."""
    if isinstance(indicator, AdmissionFree):
        return "heart_failure"
    return MEASURES[measures_of(indicator)[0]].condition


def goal_chance(
    scenario: Scenario,
    indicator: GoalIndicator,
    patients: Patients,
    gain: dict[str, Array],
    month: int,
) -> Array:
    """Probability of reaching the goal, everything measured.

    Parameters
    ----------
    scenario : its knobs
    indicator : the goal
    patients : n of them
    gain : measure (or "admission") -> (n,), improvement that the doctor brings when he is known,
        positive is better
    month : of the judgment; readings are those of this month

    Returns
    -------
    (n,); for admissions with death="exclude" given survival to the month
    """
    if isinstance(indicator, ReadingBelow):
        return _below_chance(scenario, indicator, patients, gain, month)
    if isinstance(indicator, PressureControl):
        return _pressure_chance(scenario, indicator, patients, gain, month)
    return _admission_chance(scenario, indicator, patients, gain["admission"], month)


def counting_weight(
    scenario: Scenario, indicator: GoalIndicator, patients: Patients, month: int
) -> Array:
    """Probability that a patient counts: alive at the judgment, or when the window opens."""
    counted_from = month
    if isinstance(indicator, AdmissionFree) and indicator.death != "exclude":
        counted_from = month - indicator.window
    return survival(scenario, patients, month)[:, counted_from]


def survival(scenario: Scenario, patients: Patients, months: int) -> Array:
    """Probability of being alive at the end of each month: (patient, months + 1)."""
    course = effect_course(scenario.improvement, months)[1:]
    log_ratio = np.log(scenario.improvement.death_hazard_ratio) * patients.enrolled
    spent = np.zeros((patients.death.size, months + 1))
    np.cumsum(
        patients.death[:, None] / 12 * np.exp(log_ratio[:, None] * course), axis=1, out=spent[:, 1:]
    )
    return np.exp(-spent)


def _mean_value(
    scenario: Scenario, measure: str, patients: Patients, gain: Array, month: int
) -> Array:
    grown = presence(scenario.doctors, scenario.months)[month]
    program = effect_course(scenario.improvement, scenario.months)[month]
    value = patients.level[measure] + patients.slope[measure] * (month / 12)
    value = value + MEASURES[measure].sign * gain * grown
    changed: Array = value + getattr(scenario.improvement, measure) * program * patients.enrolled
    return changed


def _boundary(scenario: Scenario, measure: str, below: float) -> float:
    """Value on the scale of the measure under which a reading is below the target."""
    knobs = scenario.measure(measure)
    bound = float(logit(below)) if MEASURES[measure].scale == "log odds" else below
    if not knobs.lowest < bound <= knobs.highest:
        raise SpecError(
            f"A target of {below:g} for {measure} lies outside the possible readings: none or all "
            "of the patients would reach it. Choose a target between lowest and highest."
        )
    if knobs.resolution > 0:
        return float(np.ceil(bound / knobs.resolution - 1e-9) - 0.5) * knobs.resolution
    return bound


def _below_chance(
    scenario: Scenario,
    indicator: ReadingBelow,
    patients: Patients,
    gain: dict[str, Array],
    month: int,
) -> Array:
    name = indicator.measure
    knobs = scenario.measure(name)
    sd = max(knobs.sd_within, 1e-9)
    target = _boundary(scenario, name, indicator.below)
    last = _mean_value(scenario, name, patients, gain[name], month)
    if indicator.drop is None:
        return np.asarray(ndtr((target - last) / sd))
    if knobs.resolution > 0 or MEASURES[name].scale == "log odds":
        raise SpecError(
            f"The true probability of a fall is known for readings that are neither rounded nor "
            f"shares; {name} is. Set its resolution to 0, or leave the fall out."
        )
    first = _mean_value(scenario, name, patients, gain[name], 0)
    nodes, weights = normal_nodes(HERMITE)
    chance = np.zeros(last.size)
    for node, weight in zip(nodes, weights, strict=True):
        bar = np.minimum(target, first + sd * node - indicator.drop)
        chance += weight * ndtr((bar - last) / sd)
    return chance


def _pressure_chance(
    scenario: Scenario,
    indicator: PressureControl,
    patients: Patients,
    gain: dict[str, Array],
    month: int,
) -> Array:
    months = range(month - indicator.consecutive + 1, month + 1)
    if months[0] < 0:
        raise SpecError(
            f"{indicator.consecutive} consecutive months do not fit before month {month}."
        )
    chance = np.ones(patients.enrolled.size)
    for when in months:
        chance *= _both_below(scenario, indicator, patients, gain, when)
    return chance


def _both_below(
    scenario: Scenario,
    indicator: PressureControl,
    patients: Patients,
    gain: dict[str, Array],
    month: int,
) -> Array:
    """P(systolic and diastolic below): the correlated normals, by Gauss-Legendre."""
    gap = {}
    for name, below in (("sbp", indicator.sbp_below), ("dbp", indicator.dbp_below)):
        sd = max(scenario.measure(name).sd_within, 1e-9)
        mean = _mean_value(scenario, name, patients, gain[name], month)
        gap[name] = (_boundary(scenario, name, below) - mean) / sd
    r = scenario.pressure_correlation
    nodes, weights = np.polynomial.legendre.leggauss(LEGENDRE)
    systolic = ndtr(gap["sbp"])
    diastolic = np.zeros(systolic.size)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        noise = ndtri(np.maximum(systolic * node, 1e-300))
        diastolic += weight * ndtr((gap["dbp"] - r * noise) / np.sqrt(1 - r**2))
    return np.asarray(systolic * diastolic)


def _admission_chance(
    scenario: Scenario, indicator: AdmissionFree, patients: Patients, gain: Array, month: int
) -> Array:
    start = month - indicator.window
    if start < 0:
        raise SpecError(f"{indicator.window} months do not fit before month {month}.")
    spent = cumulative_admissions(scenario, patients.admission, gain, patients.enrolled)
    spent = spent[:, start : month + 1]
    stayed_out = np.exp(spent[:, :1] - spent)
    if indicator.death == "exclude":
        return np.asarray(stayed_out[:, -1])
    alive = survival(scenario, patients, month)[:, start:]
    both = stayed_out * alive / alive[:, :1]
    if indicator.death == "fail":
        return np.asarray(both[:, -1])
    admitted, died = -np.diff(np.log(stayed_out), axis=1), -np.diff(np.log(alive), axis=1)
    share = died / np.maximum(admitted + died, 1e-300)
    return np.asarray(both[:, -1] + (share * (both[:, :-1] - both[:, 1:])).sum(axis=1))
