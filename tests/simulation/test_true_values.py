"""True rates against brute force: the same patients again and again."""

from dataclasses import replace
from time import perf_counter

import numpy as np
import pandas as pd
import pytest
from made_hospitals import COMPLETE, IMMORTAL, large, small

import outcomekpi as ok
from outcomekpi.indicators.measures import MEASURES
from outcomekpi.simulation import true_values
from outcomekpi.simulation.chances import goal_chance
from outcomekpi.simulation.population import _follow

PROGRAM = ok.Improvement(
    hba1c=-0.6, sbp=-6.0, dbp=-3.0, admission_hazard_ratio=0.7, death_hazard_ratio=0.8,
    start_month=2, ramp_months=8,
)  # fmt: skip
GOALS = [
    ok.ReadingBelow(measure="hba1c", below=7.0, window=3),
    ok.ReadingBelow(measure="hba1c", below=7.0, drop=0.8, window=3),
    ok.ReadingBelow(measure="covered", below=0.7, window=1),
    ok.PressureControl(window=1),
    ok.PressureControl(consecutive=3),
    ok.AdmissionFree(death="fail"),
    ok.AdmissionFree(death="exclude"),
    ok.AdmissionFree(death="free"),
]


def frequent(scenario):
    """Effects and events large enough that few replicates show them."""
    knobs = {
        name: replace(scenario.measure(name), sd_doctor=2 * scenario.measure(name).sd_doctor)
        for name in MEASURES
    }
    events = replace(
        scenario.events, admissions_per_year=0.5, hf_deaths_per_year=0.3, sd_doctor=0.5, trend=0.2
    )
    return replace(
        scenario, **knobs, events=events, missingness=COMPLETE, improvement=PROGRAM, months=12
    )


@pytest.fixture(scope="module")
def population():
    return ok.simulate_population(frequent(small()), seed=1)


def same_patients_again(population, replicates):
    """Follow the same patients of the same doctors with new luck."""
    from outcomekpi.simulation.assignment import assign_doctors
    from outcomekpi.simulation.people import NORMALS, form_people
    from outcomekpi.simulation.population import STREAMS
    from outcomekpi.simulation.staff import draw_staff

    scenario = population.scenario
    fixed = dict(zip(STREAMS, np.random.default_rng(1).spawn(len(STREAMS)), strict=True))
    staff = draw_staff(scenario.doctors, fixed["doctors"])
    size = int(staff.caseload.sum())
    people = form_people(scenario, fixed["patients"].standard_normal((size, len(NORMALS))))
    assigned = assign_doctors(scenario.doctors, staff, people, fixed["assignment"])
    for seed in range(replicates):
        rngs = dict(zip(STREAMS, np.random.default_rng([9, seed]).spawn(len(STREAMS)), strict=True))
        yield _follow(scenario, 1, staff, people, assigned, rngs, perf_counter())


@pytest.fixture(scope="module")
def again(population):
    """Share of replicates in which each patient who counted reached each goal."""
    tables = {str(goal): [] for goal in GOALS}
    for one in same_patients_again(population, 40):
        for goal in GOALS:
            frame = ok.indicator_cases(one, goal).frame
            tables[str(goal)].append(frame[["patient", "doctor", "reached"]])
    return {name: pd.concat(frames) for name, frames in tables.items()}


@pytest.mark.slow
@pytest.mark.parametrize("goal", GOALS, ids=str)
def test_predicted_rates_are_those_of_the_same_patients_again_and_again(goal, population, again):
    rates = ok.true_rates(population, goal)
    found = again[str(goal)].groupby("doctor")["reached"].agg(["mean", "size"])
    error = np.sqrt(rates["predicted"] * (1 - rates["predicted"]) / found["size"])
    z = (found["mean"] - rates["predicted"]) / error
    assert len(z) == 12
    # patients differ, so the binomial error is too large if anything; 12 doctors x 8 goals
    assert (z.abs() < 4).all()
    overall = again[str(goal)]["reached"].mean()
    total = np.sqrt(overall * (1 - overall) / len(again[str(goal)]))
    assert abs(overall - rates.attrs["overall"]) < 4 * total


@pytest.mark.parametrize("goal", GOALS, ids=str)
def test_direct_rates_read_from_a_curve_are_those_summed_doctor_by_doctor(
    goal, population, monkeypatch
):
    exact = ok.true_rates(population, goal)["direct"]
    monkeypatch.setattr(true_values, "NODES", 8)
    curve = ok.true_rates(population, goal)["direct"]
    assert not exact.equals(curve)
    assert curve.to_numpy() == pytest.approx(exact.to_numpy(), abs=2e-4)


@pytest.mark.parametrize("goal", GOALS, ids=str)
def test_doctors_of_average_quality_have_ratio_1_and_better_ones_more(goal, population):
    truth = population.truth
    flat = replace(truth, doctors=truth.doctors * 0.0)
    rates = ok.true_rates(replace(population, truth=flat), goal)
    assert rates["ratio"].to_numpy() == pytest.approx(1.0, abs=1e-12)
    found = ok.true_rates(population, goal).sort_values("quality")
    rising = found["direct"].diff().dropna()
    if getattr(goal, "measure", "") == "covered":
        rising = -rising  # a goal below a share is worse where more is better
    if getattr(goal, "drop", None) is None:
        assert (rising > 0).all()


@pytest.mark.parametrize("goal", GOALS, ids=str)
@pytest.mark.parametrize("hospital", ["within", "population"])
def test_expected_and_predicted_patients_add_up_to_the_same_number(goal, hospital, population):
    rates = ok.true_rates(population, goal, hospital=hospital)
    median = ok.true_rates(population, goal, hospital=hospital, average_doctor="median")
    assert rates["predicted"].equals(median["predicted"])
    overall = rates.attrs["overall"]
    assert rates.attrs["expected"] == pytest.approx(overall, rel=1e-9)
    assert abs(median.attrs["expected"] / overall - 1) > 1e-4
    assert rates["ratio"].min() < 1 < rates["ratio"].max()


def test_hospitals_can_be_in_the_expected_rate_or_on_the_side_of_the_doctor():
    doctors = ok.DoctorTraits(hospitals=3, doctors=12, patients_per_doctor=40.0)
    base = small(doctors=doctors)
    scenario = replace(base, hba1c=replace(base.hba1c, sd_doctor=0.0, sd_hospital=0.4))
    population = ok.simulate_population(scenario, seed=3)
    within = ok.true_rates(population, ok.ReadingBelow())
    other = {"hospital": "population", "average_doctor": "median"}
    across = ok.true_rates(population, ok.ReadingBelow(), **other)
    assert within["ratio"].to_numpy() == pytest.approx(1.0, abs=1e-12)
    hospital = population.doctors.set_index("doctor")["hospital"]
    quality = population.truth.hospitals["hba1c"].reindex(hospital[across.index]).to_numpy()
    assert ((across["ratio"] > 1) == (quality > 0)).all()
    by_hospital = across.groupby(quality)["direct"].agg(["min", "max"])
    assert len(by_hospital) == 3
    assert by_hospital["max"].to_numpy() == pytest.approx(by_hospital["min"].to_numpy(), abs=1e-12)
    assert by_hospital["min"].is_monotonic_increasing


def test_effects_that_are_not_proportional_are_summed_doctor_by_doctor(monkeypatch):
    doctors = ok.DoctorTraits(hospitals=3, doctors=12, patients_per_doctor=40.0)
    base = small(doctors=doctors)
    scenario = replace(base, dbp=replace(base.dbp, sd_hospital=3.0), sbp=base.sbp)
    population = ok.simulate_population(scenario, seed=4)
    monkeypatch.setattr(true_values, "NODES", 4)
    few = ok.true_rates(population, ok.PressureControl())["direct"]
    monkeypatch.setattr(true_values, "NODES", 12)
    assert ok.true_rates(population, ok.PressureControl())["direct"].equals(few)


def test_a_large_reference_is_thinned_and_says_so(population, monkeypatch):
    full = ok.true_rates(population, ok.ReadingBelow())
    monkeypatch.setattr(true_values, "PRODUCTS", 1000)
    thin = ok.true_rates(population, ok.ReadingBelow())
    assert thin.attrs["reference_patients"] < full.attrs["reference_patients"]
    # a mean over n of the patients, whose probabilities have an SD below .5
    error = 0.5 / np.sqrt(thin.attrs["reference_patients"])
    assert (thin["direct"] - full["direct"]).abs().max() < 4 * error


def test_joint_pressures_against_the_bivariate_normal(population):
    from scipy.stats import multivariate_normal

    from outcomekpi.simulation.true_values import _gather_patients

    scenario, goal = population.scenario, ok.PressureControl()
    patients, _ = _gather_patients(population, goal)
    none = {name: np.zeros(patients.enrolled.size) for name in ("sbp", "dbp")}
    chance = goal_chance(scenario, goal, patients, none, 0)[:40]
    s, d, r = scenario.sbp.sd_within, scenario.dbp.sd_within, scenario.pressure_correlation
    spread = [[s * s, r * s * d], [r * s * d, d * d]]
    exact = [
        multivariate_normal(mean=[a, b], cov=spread).cdf([140.0, 90.0])
        for a, b in zip(patients.level["sbp"][:40], patients.level["dbp"][:40], strict=True)
    ]
    # Gauss-Legendre with 12 nodes; the integrand has an endpoint where a normal is infinite
    assert chance == pytest.approx(np.array(exact), abs=2e-3)


def test_a_fall_against_numerical_integration(population):
    from scipy.integrate import quad
    from scipy.stats import norm

    from outcomekpi.simulation.true_values import _gather_patients

    goal = ok.ReadingBelow(drop=0.8)
    patients, _ = _gather_patients(population, goal)
    none = {"hba1c": np.zeros(patients.enrolled.size)}
    scenario = replace(population.scenario, improvement=ok.Improvement())
    chance = goal_chance(scenario, goal, patients, none, 12)[:20]
    sd = scenario.hba1c.sd_within
    level, slope = patients.level["hba1c"][:20], patients.slope["hba1c"][:20]
    exact = [
        quad(
            lambda e, a=a, b=b: norm.pdf(e) * norm.cdf((min(7.0, a + sd * e - 0.8) - a - b) / sd),
            -8, 8, points=[(7.8 - a) / sd] if abs(7.8 - a) < 8 * sd else None,
        )[0]
        for a, b in zip(level, slope, strict=True)
    ]  # fmt: skip
    # 64 Gauss-Hermite nodes on a kink
    assert chance == pytest.approx(np.array(exact), abs=2e-3)


def test_rounded_readings_move_the_boundary_and_refuse_a_fall():
    base = large(small(missingness=COMPLETE, events=IMMORTAL), doctors=200)
    scenario = replace(base, phq9=replace(base.phq9, trend=-6.0))
    population = ok.simulate_population(scenario, seed=5)
    goal = ok.ReadingBelow(measure="phq9", below=5.0, window=3)
    found = ok.indicator_cases(population, goal)
    exact = ok.true_rates(population, goal).attrs["overall"]
    error = np.sqrt(exact * (1 - exact) / found.n_cases)
    assert abs(found.outcome.mean() - exact) < 4 * error
    with pytest.raises(ok.SpecError, match="neither rounded nor"):
        ok.true_rates(population, replace(goal, drop=5.0))


def test_a_target_that_no_reading_can_have_is_refused(population):
    with pytest.raises(ok.SpecError, match="lies outside the possible readings"):
        ok.true_rates(population, ok.ReadingBelow(below=3.0))
