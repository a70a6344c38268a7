"""Every knob says what it is, keeps to its range, and stands in the codebook."""

import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pandas as pd
import pytest

import outcomekpi as ok
from outcomekpi.simulation.presets import PRESET_SOURCES

CODEBOOK = Path(__file__).parents[2] / "data" / "scenario_codebook.csv"


@pytest.fixture(scope="module")
def codebook():
    return ok.scenario_codebook()


def test_the_committed_codebook_is_what_the_knobs_say(codebook):
    committed = pd.read_csv(CODEBOOK, dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(committed, codebook.astype(str), check_dtype=False)


def test_every_field_of_every_bundle_stands_in_the_codebook(codebook):
    wanted = {"months", "pressure_correlation"}
    for bundle in fields(ok.Scenario):
        if is_dataclass(bundle.type):
            wanted |= {f"{bundle.name}.{one.name}" for one in fields(bundle.type)}
    assert set(codebook["knob"]) == wanted
    assert codebook["knob"].is_unique


def test_every_knob_has_a_meaning_a_unit_and_a_source(codebook):
    for column in ("meaning", "unit", "source"):
        assert (codebook[column].str.len() > 0).all()
    assert not codebook["unit"].str.contains("unit of the measure").any()


def test_a_source_is_a_document_or_an_assumption_with_its_reason(codebook):
    told = pd.concat([codebook[name] for name in codebook.columns if name.endswith("source")]).loc[
        lambda text: text != ""
    ]
    known = told.str.contains(r"\d{4}|[AB]-[A-Z]|\d{2}-\d{2}|month 0|one hospital")
    reason = told.str.contains(r"assumption, .{8,}")
    assert told[~(known | reason)].tolist() == []


@pytest.mark.parametrize("preset", ["tertiary_hospital", "community_centers"])
def test_a_preset_gives_sources_for_exactly_what_it_changes(codebook, preset):
    changed = codebook.loc[codebook[preset] != codebook["default"], "knob"]
    assert set(changed) == set(PRESET_SOURCES[preset])


@pytest.mark.parametrize(
    ("kind", "knobs", "message"),
    [
        (ok.DoctorTraits, {"sorting": 30}, "sorting must lie between 0 and 1 .*got 30.*mean 0.3?"),
        (
            ok.DoctorTraits,
            {"doctors": 2.5},
            "doctors must be a whole number .*count.; got 2.5",
        ),
        (ok.DoctorTraits, {"hospitals": 50}, "at least as many as the hospitals; got 40 doctors"),
        (ok.DoctorTraits, {"sorted_by": "severty"}, "Did you mean 'severity'?"),
        (ok.DoctorTraits, {"junior_share": 0.8, "senior_share": 0.3}, "add up to at most 1"),
        (
            ok.PatientTraits,
            {"diabetes": "half"},
            "diabetes must lie .*share.; got 'half'",
        ),
        (ok.PatientTraits, {"severity_age": 0.9, "severity_comorbidity": 0.9}, "add up to 1.66"),
        (ok.PatientTraits, {"comorbidity_age": 0.99, "comorbidity_ses": 0.5}, "at most 1"),
        (ok.EventRates, {"deaths_per_year": True}, "deaths_per_year must lie .*got True"),
        (ok.Missingness, {"missed_odds_ratio": 0}, "missed_odds_ratio must lie between 0.05"),
        (
            ok.Improvement,
            {"ramp_months": -1},
            "at least 0 .months.; got -1",
        ),
        (ok.Improvement, {"hba1c": float("nan")}, "hba1c must be a finite number"),
        (ok.Improvement, {"enroll_on": "hba1C"}, "Did you mean 'hba1c'?"),
        (ok.Improvement, {"enroll_from": 7.5}, "enroll_on names no measure"),
        (ok.Scenario, {"months": 0}, "months must be a whole number between 1 and 240"),
        (ok.Scenario, {"hba1c": 7.0}, "Scenario.hba1c must be MeasureTraits; got float"),
    ],
)
def test_a_bad_knob_is_refused_with_its_name_range_and_remedy(kind, knobs, message):
    with pytest.raises(ok.SpecError, match=message):
        kind(**knobs)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize(
    ("bundle", "knob"),
    [
        (ok.Scenario(), "months"),
        (ok.DoctorTraits(), "hospitals"),
        (ok.DoctorTraits(), "doctors"),
        (ok.DoctorTraits(), "doctors_per_team"),
        (ok.Scenario().hba1c, "every_months"),
        (ok.SmokingTraits(), "every_months"),
    ],
)
def test_a_whole_number_that_is_not_finite_is_refused(bundle, knob, value):
    wanted = f"{type(bundle).__name__}.{knob} must be a whole number .*; got {value}"
    with pytest.raises(ok.SpecError, match=wanted):
        replace(bundle, **{knob: value})


def test_bounds_of_a_reading_must_be_in_order():
    with pytest.raises(ok.SpecError, match="lowest must be less than highest; got 20 and 18"):
        replace(ok.Scenario().hba1c, lowest=20.0)


@pytest.mark.parametrize(("measure", "mean"), [("hba1c", 3.9), ("sbp", 300.0), ("phq9", 28.0)])
def test_a_mean_that_no_reading_can_have_is_refused(measure, mean):
    traits = ok.Scenario().measure(measure)
    bounds = f"between lowest and highest, {traits.lowest:g} and {traits.highest:g}; got {mean:g}"
    with pytest.raises(ok.SpecError, match=f"MeasureTraits.mean must lie {bounds}") as refused:
        replace(traits, mean=mean)
    assert "mmol/mol" not in str(refused.value)


def test_a_mean_may_be_the_lowest_or_highest_reading():
    traits = ok.Scenario().phq9
    assert replace(traits, mean=traits.lowest).mean == 0
    assert replace(traits, mean=traits.highest).mean == 27


def test_a_mean_of_hba1c_in_millimoles_is_refused_with_its_percent():
    # IFCC 53 mmol/mol is NGSP 7.0 %: 0.09148 x 53 + 2.152 = 7.0004
    with pytest.raises(ok.SpecError, match=r"HbA1c in mmol/mol, it is 7\.0 % NGSP"):
        replace(ok.Scenario().hba1c, mean=53.0)


@pytest.mark.parametrize("start", [12.0, 13.0])
def test_a_program_that_starts_when_the_follow_up_is_over_is_refused(start):
    with pytest.raises(ok.SpecError, match=f"less than the 12 months .*; got {start:g}"):
        ok.Scenario(months=12, improvement=ok.Improvement(hba1c=-1.0, start_month=start))
    kept = ok.Scenario(months=12, improvement=ok.Improvement(hba1c=-1.0, start_month=11.5))
    assert kept.improvement.start_month == 11.5


def test_a_scenario_can_be_changed_and_compared_by_value():
    scenario = ok.tertiary_hospital()
    other = replace(scenario, doctors=replace(scenario.doctors, doctors=20))
    assert other != scenario
    assert replace(other, doctors=scenario.doctors) == scenario
    assert re.match(r"Scenario 'tertiary hospital': 20 doctors in 1 hospital, 150", repr(other))
