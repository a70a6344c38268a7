"""Presets give the published baselines in expectation, whatever the seed."""

from dataclasses import replace

import numpy as np
import pytest
from made_hospitals import COMPLETE, IMMORTAL, large, small

import outcomekpi as ok
from outcomekpi.simulation.presets import expected_deaths, expected_share, solve_knob

GLUCOSE = ok.ReadingBelow(measure="hba1c", below=7.0)
PRESSURE = ok.PressureControl()
PUBLISHED_AFTER = 0.68
HALF_A_POINT = 0.005
SURVEY = "@article{wang2018,"


@pytest.fixture(scope="module")
def tertiary():
    """The tertiary hospital with 4,000 doctors of 50 patients: 200,000 patients."""
    scenario = large(ok.tertiary_hospital(), doctors=4000, patients=50.0, months=12)
    return ok.simulate_population(scenario, seed=20261)


def share_controlled(population, month=0):
    frame = population.to_frame(month=month)
    below = (frame["sbp"] < 140) & (frame["dbp"] < 90)
    return below[frame["hypertension"] & frame["sbp"].notna()].mean()


def share_below(population, month=0):
    frame = population.to_frame(month=month)
    return (frame["hba1c"] < 7)[frame["hba1c"].notna()].mean()


@pytest.mark.slow
def test_43_percent_of_diabetics_are_below_7_at_month_0(tertiary):
    # standard error over 100,000 diabetics of 4,000 doctors: .2 points
    assert abs(share_below(tertiary) - 0.43) < HALF_A_POINT


def test_pressure_control_at_month_0_is_that_of_treated_hypertensives_in_china(tertiary):
    assert abs(share_controlled(tertiary) - 0.153 / 0.407) < HALF_A_POINT


def test_heart_failure_ends_the_first_year_as_published_after_an_acute_episode(tertiary):
    failing = tertiary.patients.loc[tertiary.patients["heart_failure"], "patient"]
    events = tertiary.encounters.query("day <= 365.25")
    died = failing.isin(events.loc[events["kind"] == "death", "patient"]).mean()
    either = failing.isin(events["patient"]).mean()
    # 30,000 patients: standard error .3 points, four of them
    assert abs(died - 0.236) < 0.012
    assert abs(either - 0.36) < 0.012


@pytest.mark.parametrize("seed", [1, 2])
def test_the_community_has_the_baselines_that_the_codebook_names(seed):
    base = ok.community_centers()
    many = replace(base.doctors, hospitals=1000, doctors=2000, patients_per_doctor=50.0)
    scenario = replace(base, doctors=many, months=1)
    population = ok.simulate_population(scenario, seed=seed)
    # 30,000 diabetics of 2,000 doctors in 1,000 centers: standard error .4 points
    assert abs(share_below(population) - 0.42) < 0.016
    assert abs(share_controlled(population) - 0.153 / 0.407) < 0.016


def test_the_published_program_reaches_what_was_published():
    scenario = large(
        ok.tertiary_hospital(program="published"), doctors=2000, patients=50.0,
        missingness=COMPLETE, events=IMMORTAL,
    )  # fmt: skip
    population = ok.simulate_population(scenario, seed=3)
    assert abs(share_below(population) - 0.43) < 2 * HALF_A_POINT
    assert abs(share_below(population, month=24) - PUBLISHED_AFTER) < 2 * HALF_A_POINT
    gain = share_controlled(population, month=24) - share_controlled(population)
    assert abs(gain - 0.27) < 2 * HALF_A_POINT
    assert scenario.improvement.admission_hazard_ratio == pytest.approx(1 - 0.34, abs=1e-12)


def test_expectations_are_those_of_simulated_patients(tertiary):
    scenario = tertiary.scenario
    share = expected_share(scenario, GLUCOSE, month=12)
    exact = ok.true_rates(tertiary, GLUCOSE).attrs["overall"]
    assert share == pytest.approx(exact, abs=HALF_A_POINT)
    free = expected_share(scenario, ok.AdmissionFree(), month=12)
    assert free == pytest.approx(0.64, abs=1e-4)
    assert expected_deaths(scenario, month=12) == pytest.approx(0.236, abs=1e-4)


def test_a_knob_without_a_solution_is_refused():
    with pytest.raises(ok.SpecError, match=r"No hba1c.mean between 6 and 6.5 gives 0.1"):
        solve_knob(
            ok.Scenario(), "hba1c", "mean", lambda s: expected_share(s, GLUCOSE, month=0),
            target=0.1, between=(6.0, 6.5),
        )  # fmt: skip


def test_an_unknown_program_is_refused():
    with pytest.raises(ok.SpecError, match="Did you mean 'published'"):
        ok.tertiary_hospital(program="publishd")


def test_doctors_of_the_tertiary_hospital_explain_as_much_as_the_literature_says(tertiary):
    """Between 2 and 5 % of the variance of HbA1c lies between doctors (full effect)."""
    frame = tertiary.to_frame(month=12).dropna(subset=["hba1c"])
    groups = frame.groupby("doctor")["hba1c"]
    within = (groups.var() * (groups.size() - 1)).sum() / (groups.size() - 1).sum()
    size = np.mean(1 / groups.size()) ** -1
    between = groups.mean().var() - within / size
    assert 0.02 < between / (between + within) < 0.05


def test_a_default_scenario_uses_no_published_baseline():
    scenario = ok.Scenario(doctors=ok.DoctorTraits(doctors=3, patients_per_doctor=10.0))
    for result in (scenario, ok.simulate_population(scenario, seed=1)):
        assert SURVEY not in ok.cite(result)


@pytest.mark.parametrize(
    "scenario",
    [
        ok.tertiary_hospital(),
        ok.tertiary_hospital(program="published"),
        ok.community_centers(),
        replace(ok.community_centers(), months=24),
    ],
    ids=["tertiary", "with program", "community", "longer"],
)
def test_a_preset_cites_the_survey_of_its_baseline(scenario):
    assert ok.cite(scenario).count(SURVEY) == 1


def test_the_population_of_a_preset_cites_it_once():
    assert ok.cite(ok.simulate_population(small(), seed=1)).count(SURVEY) == 1
