"""The tables of a synthetic hospital: contract, variation, program, deaths, missing visits."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_hospitals import COMPLETE, IMMORTAL, large, small, without_doctors
from scipy.stats import norm

import outcomekpi as ok
from outcomekpi.lineage.origins import hash_frame
from outcomekpi.simulation.happenings import DAYS_PER_MONTH

FOUR_ERRORS = 4.0


@pytest.fixture(scope="module")
def population():
    return ok.simulate_population(small(), seed=1)


@pytest.fixture(scope="module")
def big():
    """100,000 patients, nothing missing, nobody dies, doctors alike."""
    scenario = without_doctors(large(small(), missingness=COMPLETE, events=IMMORTAL))
    return ok.simulate_population(scenario, seed=2)


def wide(population, measure):
    """Readings as patient x month."""
    rows = population.measurements[["patient", "month", measure]].dropna()
    return rows.pivot(index="patient", columns="month", values=measure)


def test_tables_have_the_columns_and_types_of_the_contract(population):
    assert list(population.patients) == [
        "patient", "doctor", "responsible", "team", "hospital", "age", "sex", "comorbidity", "ses",
        "diabetes", "hypertension", "heart_failure", "obesity", "depression", "smoker", "enrolled",
    ]  # fmt: skip
    assert list(population.measurements) == [
        "patient", "month", "hba1c", "sbp", "dbp", "ldl", "weight", "phq9", "covered", "smokes",
    ]  # fmt: skip
    assert list(population.encounters) == ["patient", "day", "kind"]
    assert list(population.doctors) == ["doctor", "hospital", "team", "title", "caseload"]
    assert population.patients["patient"].dtype == np.int64
    assert population.measurements["patient"].dtype == np.int64
    assert population.measurements["month"].dtype == np.int16
    assert (population.measurements.dtypes.iloc[2:] == np.float32).all()
    assert set(population.encounters["kind"]) == {"hf_admission", "death"}
    assert "severity" not in {*population.patients, *population.measurements}


def test_the_same_seed_gives_the_same_tables_and_another_seed_others(population):
    again = ok.simulate_population(small(), seed=1)
    other = ok.simulate_population(small(), seed=3)
    for name in ("patients", "measurements", "encounters", "doctors"):
        pd.testing.assert_frame_equal(getattr(population, name), getattr(again, name))
    assert not population.measurements["sbp"].equals(other.measurements["sbp"])


@pytest.mark.parametrize("seed", [None, True, -1, 1.5, float("nan"), "1"])
def test_a_seed_that_is_no_whole_number_from_0_is_refused(seed):
    with pytest.raises(ok.SpecError, match="seed must be a whole number of at least 0; got"):
        ok.simulate_population(small(), seed=seed)


def test_a_population_keeps_its_provenance(population):
    record = ok.provenance(population)
    assert record is population.provenance
    assert record.seed == 1
    assert 0 < record.seconds < 60
    assert record.versions["outcomekpi"] == ok.__version__
    assert record.data_hash == hash_frame(population.patients)


def test_the_record_tells_scenarios_and_seeds_apart(population):
    # sd_within stands in no table of patients and not in the line that a scenario prints
    base = small()
    noisy = replace(base, hba1c=replace(base.hba1c, sd_within=0.5))
    assert repr(noisy) == repr(base)
    again, other, luck = (
        ok.simulate_population(scenario, seed=seed).provenance
        for scenario, seed in ((base, 1), (noisy, 1), (base, 2))
    )
    assert again.spec_hash == population.provenance.spec_hash
    assert again.data_hash == population.provenance.data_hash
    assert other.spec_hash != again.spec_hash
    assert other.data_hash == again.data_hash
    assert luck.spec_hash == again.spec_hash
    assert luck.data_hash != again.data_hash


def test_doctors_treat_exactly_their_caseload_in_their_hospital():
    scenario = replace(
        small(), doctors=ok.DoctorTraits(hospitals=3, doctors=14, patients_per_doctor=20.0)
    )
    population = ok.simulate_population(scenario, seed=4)
    doctors = population.doctors.set_index("doctor")
    counted = population.patients["doctor"].value_counts().reindex(doctors.index)
    assert counted.tolist() == doctors["caseload"].tolist()
    assert len(population.patients) == 280
    for column in ("hospital", "team"):
        of_doctor = doctors[column].reindex(population.patients["doctor"])
        assert (of_doctor.to_numpy() == population.patients[column].to_numpy()).all()
    assert doctors.groupby("team")["hospital"].nunique().max() == 1
    assert doctors["team"].value_counts().max() <= scenario.doctors.doctors_per_team


def test_responsible_doctors_are_teammates_in_the_share_asked_for(big):
    patients = big.patients
    other = patients["doctor"] != patients["responsible"]
    team = big.doctors.set_index("doctor")["team"]
    assert (team[patients["responsible"]].to_numpy() == patients["team"].to_numpy()).all()
    error = np.sqrt(0.1 * 0.9 / len(patients))
    assert abs(other.mean() - 0.1) < FOUR_ERRORS * error


def test_readings_vary_between_and_within_patients_as_the_knobs_say(big):
    hba1c = wide(big, "hba1c")
    knobs = big.scenario.hba1c
    truth = big.truth.patients.loc[hba1c.index]
    course = truth["level_hba1c"].to_numpy()[:, None] + np.outer(
        truth["slope_hba1c"], hba1c.columns / 12
    )
    away = (hba1c.to_numpy() - course)[(course > 5) & (course < 15)]
    assert away.std() == pytest.approx(knobs.sd_within, rel=FOUR_ERRORS / np.sqrt(2 * away.size))
    assert truth["slope_hba1c"].std() == pytest.approx(knobs.sd_slope, rel=0.02)


@pytest.mark.parametrize(("sd_within", "published"), [(0.3, 3), (0.4, 8), (0.5, 13)])
def test_a_drop_without_any_change_has_the_published_probability(sd_within, published):
    base = without_doctors(large(small(), doctors=200, missingness=COMPLETE, events=IMMORTAL))
    steady = replace(base.hba1c, sd_within=sd_within, sd_slope=0.0, mean=9.0)
    population = ok.simulate_population(replace(base, hba1c=steady), seed=5)
    hba1c = wide(population, "hba1c")
    share = (hba1c[0] - hba1c[12] >= 0.8).mean()
    exact = norm.cdf(-0.8 / (sd_within * np.sqrt(2)))
    assert round(100 * exact) == published
    assert abs(share - exact) < FOUR_ERRORS * np.sqrt(exact * (1 - exact) / len(hba1c))


def test_systolic_and_diastolic_readings_move_together(big):
    truth = big.truth.patients
    rows = big.measurements[big.measurements["month"] == 0].set_index("patient")
    away = {name: rows[name] - truth[f"level_{name}"] for name in ("sbp", "dbp")}
    found = np.corrcoef(away["sbp"], away["dbp"])[0, 1]
    assert found == pytest.approx(big.scenario.pressure_correlation, abs=0.01)


def test_phq9_is_a_whole_number_from_0_to_27(population):
    phq9 = population.measurements["phq9"].dropna()
    assert (phq9 == phq9.round()).all()
    assert phq9.between(0, 27).all()


def test_measures_are_taken_of_whom_and_when_the_scenario_says(population):
    rows = population.measurements.merge(population.patients, on="patient")
    assert rows.loc[~rows["diabetes"], "hba1c"].isna().all()
    assert rows.loc[~rows["depression"], "phq9"].isna().all()
    assert rows.loc[rows["hba1c"].notna(), "month"].mod(3).eq(0).all()
    assert rows["sbp"].notna().all()


def test_a_program_changes_the_readings_of_the_enrolled_by_its_effect_and_nothing_else():
    scenario = replace(small(), missingness=COMPLETE, events=IMMORTAL)
    program = ok.Improvement(
        hba1c=-0.5, start_month=3, ramp_months=6, enroll_on="hba1c", enroll_from=8.0
    )
    plain = ok.simulate_population(scenario, seed=6)
    helped = ok.simulate_population(replace(scenario, improvement=program), seed=6)
    pd.testing.assert_frame_equal(
        plain.patients.drop(columns="enrolled"), helped.patients.drop(columns="enrolled")
    )
    enrolled = helped.patients.set_index("patient")["enrolled"]
    before, after = wide(plain, "hba1c"), wide(helped, "hba1c")
    inside = enrolled.reindex(before.index)
    assert (inside == (before[0] >= 8.0)).all()
    assert after[~inside].equals(before[~inside])
    change = (after - before)[inside].mean()
    # readings are single precision: seven digits of a value near 10
    assert change.to_numpy() == pytest.approx([0, 0, -0.25, -0.5, -0.5], abs=1e-5)
    others = ["sbp", "weight", "covered"]
    assert plain.measurements[others].equals(helped.measurements[others])


def test_patients_enrolled_for_a_high_reading_improve_without_any_effect(big):
    base = replace(big.scenario, improvement=ok.Improvement(enroll_on="hba1c", enroll_from=8.5))
    population = ok.simulate_population(base, seed=2)
    hba1c = wide(population, "hba1c")
    enrolled = population.patients.set_index("patient")["enrolled"].reindex(hba1c.index)
    fall = (hba1c[0] - hba1c[3])[enrolled]
    steady = (hba1c[3] - hba1c[6])[enrolled]
    error = fall.std() / np.sqrt(len(fall))
    assert fall.mean() > 0.1
    assert abs(steady.mean()) < FOUR_ERRORS * error


def test_a_secular_trend_moves_everybody():
    base = small(missingness=COMPLETE, events=IMMORTAL)
    rising = replace(base, ldl=replace(base.ldl, trend=-0.3))
    plain, moved = (wide(ok.simulate_population(s, seed=7), "ldl") for s in (base, rising))
    # a few readings at the bounds of the assay cannot move
    assert (moved - plain).mean().to_numpy() == pytest.approx(-0.3 * np.arange(5) / 4, abs=2e-3)


def test_nobody_is_measured_or_admitted_after_death(population):
    scenario = small(events=ok.EventRates(hf_deaths_per_year=1.0, deaths_per_year=0.5))
    population = ok.simulate_population(scenario, seed=8)
    events = population.encounters
    died = events[events["kind"] == "death"].set_index("patient")["day"]
    assert died.index.is_unique
    assert len(died) > 50
    for table, day in (
        (population.measurements, population.measurements["month"] * DAYS_PER_MONTH),
        (events[events["kind"] == "hf_admission"], events["day"]),
    ):
        end = died.reindex(table["patient"]).to_numpy()
        assert not (day.reindex(table.index).to_numpy() > end).any()


def test_only_patients_with_heart_failure_are_admitted_for_it(population):
    admitted = population.encounters.query("kind == 'hf_admission'")["patient"]
    failing = population.patients.set_index("patient")["heart_failure"]
    assert len(admitted) > 0
    assert failing[admitted].all()


def test_events_come_at_the_rates_that_the_hazards_say():
    events = ok.EventRates(
        admissions_per_year=0.4, hf_deaths_per_year=0.2, deaths_per_year=0.2, sd_doctor=0.0,
        sd_hospital=0.0, admission_per_severity=0.0, admission_per_comorbidity=0.0,
        admission_per_decade=0.0, admission_per_ses=0.0, death_per_severity=0.0,
        death_per_comorbidity=0.0, death_per_decade=0.0,
    )  # fmt: skip
    population = ok.simulate_population(large(small(events=events), doctors=300), seed=9)
    failing = population.patients["heart_failure"].sum()
    deaths = (population.encounters["kind"] == "death").mean() * len(population.encounters)
    share = deaths / len(population.patients)
    exact = 1 - np.exp(-0.2)
    assert abs(share - exact) < FOUR_ERRORS * np.sqrt(
        exact * (1 - exact) / len(population.patients)
    )
    admissions = (population.encounters["kind"] == "hf_admission").sum()
    expected = 0.4 * failing * exact / 0.2
    assert abs(admissions - expected) < FOUR_ERRORS * np.sqrt(1.5 * expected)


def test_hazard_ratios_of_the_program_act_on_events():
    events = ok.EventRates(admissions_per_year=0.5, deaths_per_year=0.1, hf_deaths_per_year=0.1)
    base = large(small(events=events), doctors=200)
    halved = ok.Improvement(admission_hazard_ratio=0.5, death_hazard_ratio=0.5, ramp_months=0)
    counts = [
        ok.simulate_population(replace(base, improvement=p), seed=10).encounters["kind"]
        for p in (ok.Improvement(), halved)
    ]
    plain, helped = (c.value_counts() for c in counts)
    for kind in ("death", "hf_admission"):
        ratio = helped[kind] / plain[kind]
        assert ratio == pytest.approx(0.5, abs=FOUR_ERRORS * 0.5 * np.sqrt(1.5 / helped[kind]))


def test_sicker_patients_miss_more_visits():
    scenario = large(small(events=IMMORTAL), doctors=100)
    strict = ok.Missingness(missed_visits=0.2, missed_odds_ratio=2.0, dropouts_per_year=0.0)
    population = ok.simulate_population(replace(scenario, missingness=strict), seed=11)
    rows = population.measurements[population.measurements["month"] > 0]
    came = rows.groupby("patient").size().reindex(population.patients["patient"], fill_value=0)
    severity = population.truth.patients["severity"].to_numpy()
    missed = 1 - came.to_numpy() / 12
    for low, high in ((-2.0, -1.0), (-0.2, 0.2), (1.0, 2.0)):
        who = (severity > low) & (severity < high)
        odds = 0.25 * 2.0 ** severity[who]
        exact = (odds / (1 + odds)).mean()
        error = np.sqrt(exact * (1 - exact) / (12 * who.sum()))
        assert abs(missed[who].mean() - exact) < FOUR_ERRORS * error


def test_month_zero_is_always_measured(population):
    first = population.measurements.query("month == 0")
    assert first["patient"].tolist() == population.patients["patient"].tolist()


def test_smokers_stop_at_the_yearly_share_when_nobody_relapses():
    smoking = ok.SmokingTraits(
        quit_per_year=0.2, relapse_per_year=0.0, sd_doctor=0.0, sd_hospital=0.0
    )
    scenario = large(small(smoking=smoking, missingness=COMPLETE, events=IMMORTAL), doctors=300)
    smokes = wide(ok.simulate_population(scenario, seed=12), "smokes")
    smokers = smokes[smokes[0] == 1]
    stopped = 1 - smokers[12].mean()
    assert abs(stopped - 0.2) < FOUR_ERRORS * np.sqrt(0.16 / len(smokers))
    assert (smokes.loc[smokes[0] == 0] == 0).all(axis=None)


@pytest.mark.parametrize("need", ["comorbidity", "severity"])
def test_sicker_patients_go_to_senior_doctors_as_far_as_the_knob_says(need):
    seniority = {}
    for sorting in (0.0, 0.6):
        doctors = ok.DoctorTraits(
            doctors=300, patients_per_doctor=60.0, sorting=sorting, sorted_by=need
        )
        population = ok.simulate_population(small(months=1, doctors=doctors), seed=13)
        table = population.patients.merge(population.doctors[["doctor", "title"]], on="doctor")
        table["severity"] = population.truth.patients["severity"].to_numpy()
        seniority[sorting] = table.groupby("title")[need].mean()
    step = seniority[0.6]
    spread = 1.0 if need == "severity" else 1.2
    assert step["senior"] - step["junior"] > 0.8 * spread
    assert step["junior"] < step["middle"] < step["senior"]
    assert abs(seniority[0.0]["senior"] - seniority[0.0]["junior"]) < 0.1 * spread


def test_sorting_by_the_record_leaves_severity_beyond_the_record_unsorted():
    doctors = ok.DoctorTraits(doctors=400, patients_per_doctor=60.0, sorting=0.6)
    population = ok.simulate_population(small(months=1, doctors=doctors), seed=14)
    table = population.patients.merge(population.doctors[["doctor", "title"]], on="doctor")
    table["severity"] = population.truth.patients["severity"].to_numpy()
    beyond = table["severity"] - table.groupby("comorbidity")["severity"].transform("mean")
    by_title = beyond.groupby(table["title"]).agg(["mean", "std", "size"])
    error = by_title["std"] / np.sqrt(by_title["size"])
    assert (by_title["mean"].abs() < FOUR_ERRORS * error).all()


def test_better_doctors_have_better_readings_and_half_of_it_at_baseline():
    scenario = large(small(missingness=COMPLETE, events=IMMORTAL), doctors=600, patients=60.0)
    strong = replace(scenario.sbp, sd_doctor=5.0)
    population = ok.simulate_population(replace(scenario, sbp=strong), seed=15)
    table = wide(population, "sbp")
    doctor = population.patients.set_index("patient")["doctor"].reindex(table.index)
    means = table.groupby(doctor).mean()
    quality = population.truth.doctors["blood_pressure"].reindex(means.index)
    slopes = [np.polyfit(quality, means[month], 1)[0] for month in (0, 3, 6, 12)]
    # standard error of a slope: SD of a mean of 60 readings near 17/√60 = 2.2, over √600
    assert slopes == pytest.approx([-2.5, -3.75, -5.0, -5.0], abs=FOUR_ERRORS * 0.09)


def test_to_frame_joins_patients_and_the_readings_of_one_month(population):
    frame = population.to_frame(month=0)
    assert len(frame) == len(population.patients)
    assert frame["hba1c"].notna().sum() == population.patients["diabetes"].sum()


def test_results_show_themselves_in_one_line(population):
    assert repr(population).startswith("Population 'tertiary hospital': 480 patients of 12 doctors")
    assert repr(population.truth).endswith("no program")
    assert "\n" not in repr(population)
    assert population._repr_html_().count("<tr") < 10


def test_a_scenario_is_asked_for():
    with pytest.raises(ok.SpecError, match=r"must be Scenario, as ok\.tertiary_hospital"):
        ok.simulate_population("tertiary", seed=1)
