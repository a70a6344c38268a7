"""What happens beside the readings: smokers stop, patients are admitted, die, or stay away."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from outcomekpi.simulation.improvement import effect_course
from outcomekpi.simulation.people import People, mean_case_mix
from outcomekpi.simulation.scenario import Scenario
from outcomekpi.simulation.staff import presence

__all__ = [
    "DAYS_PER_MONTH",
    "admission_hazard",
    "death_hazard",
    "draw_admissions",
    "draw_attendance",
    "draw_deaths",
    "draw_smoking",
]

DAYS_PER_MONTH = 365.25 / 12


def draw_smoking(
    scenario: Scenario,
    people: People,
    shift: NDArray[np.float64],
    enrolled: NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Draw who smokes at the end of each month.

    Parameters
    ----------
    shift : (patient,), what the doctor adds to the log odds of stopping when he is known
    enrolled : (patient,), in the program

    Returns
    -------
    rows, smokes : positions of the smokers at entry (row,), and (month, row) booleans
    """
    knobs, rows = scenario.smoking, np.flatnonzero(people.conditions["smoker"])
    quit_month, relapse = (
        -np.expm1(np.log1p(-share) / 12) for share in (knobs.quit_per_year, knobs.relapse_per_year)
    )
    grown = presence(scenario.doctors, scenario.months)
    program = effect_course(scenario.improvement, scenario.months)
    gain = np.log(scenario.improvement.quit_odds_ratio) * enrolled[rows]
    own = knobs.per_severity * people.severity[rows]
    smokes = np.ones((scenario.months + 1, rows.size), bool)
    for month in range(1, scenario.months + 1):
        chance = np.zeros(rows.size)
        if quit_month > 0:
            odds = logit(quit_month) + own + shift[rows] * grown[month] + gain * program[month]
            chance = expit(odds)
        u = rng.random(rows.size)
        smokes[month] = np.where(smokes[month - 1], u >= chance, u < relapse)
    return rows, smokes


def admission_hazard(
    scenario: Scenario, people: People, rows: NDArray[np.intp]
) -> NDArray[np.float64]:
    """HF admissions per year of each patient, without doctor, trend and program."""
    knobs = scenario.events
    slopes = {
        "per_severity": knobs.admission_per_severity,
        "per_comorbidity": knobs.admission_per_comorbidity,
        "per_decade": knobs.admission_per_decade,
        "per_ses": knobs.admission_per_ses,
    }
    return knobs.admissions_per_year * np.exp(_case_mix_score(scenario, people, slopes)[rows])


def death_hazard(scenario: Scenario, people: People) -> NDArray[np.float64]:
    """Deaths per year of each patient, without program."""
    knobs = scenario.events
    slopes = {
        "per_severity": knobs.death_per_severity,
        "per_comorbidity": knobs.death_per_comorbidity,
        "per_decade": knobs.death_per_decade,
    }
    failing = people.conditions["heart_failure"]
    base = np.where(failing, knobs.hf_deaths_per_year, knobs.deaths_per_year)
    return base * np.exp(_case_mix_score(scenario, people, slopes))


def _case_mix_score(
    scenario: Scenario, people: People, slopes: dict[str, float]
) -> NDArray[np.float64]:
    mean, centered = mean_case_mix(scenario.patients), people.centered
    score = np.zeros(people.age.size)
    for name, slope in slopes.items():
        score += slope * (centered[name] - mean[name])
    return score


def draw_deaths(
    scenario: Scenario,
    hazard: NDArray[np.float64],
    enrolled: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Day of death of each patient; infinite where he outlives the study."""
    course = effect_course(scenario.improvement, scenario.months)[1:]
    ratio = scenario.improvement.death_hazard_ratio
    need = rng.exponential(size=hazard.size) / np.maximum(hazard, 1e-12) * 12
    day = np.full(hazard.size, np.inf)
    months = np.arange(scenario.months + 1)
    for inside, log_ratio in ((False, 0.0), (True, np.log(ratio))):
        spent = np.concatenate([[0.0], np.cumsum(np.exp(log_ratio * course))])
        who = np.flatnonzero((enrolled == inside) & (need < spent[-1]))
        day[who] = np.interp(need[who], spent, months) * DAYS_PER_MONTH
    return day


def draw_admissions(
    scenario: Scenario,
    hazard: NDArray[np.float64],
    shift: NDArray[np.float64],
    enrolled: NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Draw recurrent admissions of HF patients, as if nobody died.

    Parameters
    ----------
    hazard : (row,), admissions per year without doctor, trend and program
    shift : (row,), what the doctor takes off the log hazard when he is known
    enrolled : (row,), in the program

    Returns
    -------
    row, day : one entry per admission
    """
    spent = cumulative_admissions(scenario, hazard, shift, enrolled)
    reached = np.zeros(hazard.size)
    rows, days = [], []
    while True:
        reached += rng.exponential(size=hazard.size)
        who = np.flatnonzero(reached < spent[:, -1])
        if who.size == 0:
            break
        month = (spent[who, 1:] <= reached[who, None]).sum(axis=1)
        low, high = spent[who, month], spent[who, month + 1]
        rows.append(who)
        days.append((month + (reached[who] - low) / (high - low)) * DAYS_PER_MONTH)
    if not rows:
        return np.empty(0, np.intp), np.empty(0)
    return np.concatenate(rows), np.concatenate(days)


def cumulative_admissions(
    scenario: Scenario,
    hazard: NDArray[np.float64],
    shift: NDArray[np.float64],
    enrolled: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Cumulative hazard at the end of each month: (row, months + 1), constant within months."""
    month = np.arange(1, scenario.months + 1)
    grown = presence(scenario.doctors, scenario.months)[1:]
    program = effect_course(scenario.improvement, scenario.months)[1:]
    ratio = np.log(scenario.improvement.admission_hazard_ratio)
    log_rate = scenario.events.trend * month / 12 - shift[:, None] * grown
    log_rate += ratio * enrolled[:, None] * program
    spent = np.zeros((hazard.size, scenario.months + 1))
    np.cumsum(hazard[:, None] / 12 * np.exp(log_rate), axis=1, out=spent[:, 1:])
    return spent


def draw_attendance(
    scenario: Scenario,
    people: People,
    death_day: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Draw who comes to the visit at the end of each month: (patient, months + 1)."""
    knobs, n = scenario.missingness, people.age.size
    rate = knobs.dropouts_per_year * np.exp(np.log(knobs.dropout_hazard_ratio) * people.severity)
    last = rng.exponential(size=n) / np.maximum(rate, 1e-12) * 12
    last = np.minimum(last, death_day / DAYS_PER_MONTH)
    months = np.arange(scenario.months + 1, dtype=np.float32)
    came = months < last.astype(np.float32)[:, None]
    if knobs.missed_visits > 0:
        log_odds = logit(knobs.missed_visits) + np.log(knobs.missed_odds_ratio) * people.severity
        missed = expit(log_odds).astype(np.float32)
        came &= rng.random((n, months.size), dtype=np.float32) >= missed[:, None]
    came[:, 0] = True
    return np.asarray(came)
