"""A synthetic hospital cites the surveys whose shares it was solved for, and no others."""

from dataclasses import replace

import pytest
from made_hospitals import small

import outcomekpi as ok

SURVEY = "@article{wang2018,"


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
