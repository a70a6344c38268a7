"""Calls about patients: goals, tiers, points and pay, simulated hospitals, tables and data sets."""

from golden_worlds import cases, population, records, table

import outcomekpi as ok
from outcomekpi import datasets

DIABETIC, SMOKER = ("diabetes",), ("smoker",)
GOALS = {
    "DropGoal": ok.DropGoal(measure="hba1c", drop=0.3, below=7.5, population=DIABETIC),
    "DropGoal, mean": ok.DropGoal(
        measure="weight", drop=0.02, relative=True, judged="mean", baseline="mean"
    ),
    "RunGoal": ok.RunGoal(bars=(("sbp", 140), ("dbp", 90)), months=3, missing_month="skipped"),
    "RunGoal, last": ok.RunGoal(bars=(("hba1c", 7.5),), months=4, within="last"),
    "NoEventGoal": ok.NoEventGoal(kind="hf_admission", population=("heart_failure",)),
    "CoverageGoal": ok.CoverageGoal(population=("diabetes", "hypertension")),
}
INDICATORS = {
    "ReadingBelow": ok.ReadingBelow(measure="hba1c", below=7.0, drop=0.8),
    "PressureControl": ok.PressureControl(consecutive=3),
    "AdmissionFree": ok.AdmissionFree(),
}
CRITERIA = {
    "ConsecutiveCriterion": (ok.ConsecutiveCriterion(bar=140, cv=0.1), [120, 132, 145]),
    "TargetCriterion": (ok.TargetCriterion(bar=2.6, readings=3, cv=0.1), [2.2, 2.8]),
    "DropCriterion": (ok.DropCriterion(drop=0.8, within_sd=0.5), [7.0, 8.0]),
    "JointCriterion": (
        ok.JointCriterion(
            first=ok.ConsecutiveCriterion(bar=140, cv=0.1),
            second=ok.ConsecutiveCriterion(bar=90, cv=0.1),
            correlation=0.6,
        ),
        [[120, 75], [130, 80]],
    ),
}


def ladder():
    return ok.reward_ladder(
        hba1c_below=7.5, drop=0.3, sbp_below=145, dbp_below=95, months=3, years=1,
        amounts=(2.0, 1.0, 3.0),
    )  # fmt: skip


def assessed():
    return ok.assess_tiers(records(), ladder())


def ledger():
    return ok.earn_points(records(), ok.health_points(weight_loss=1.0, quit_months=3))


def redeemed():
    earned = ledger()
    holder = earned.balance("resident").sort_values(kind="stable").index[-1]
    return ok.redeem_points(
        earned, account="resident", holders=[holder], points=1, month=12, item="check-up"
    )


def balances(points):
    return {
        "ledger": points,
        "team": points.balance("team"),
        "resident": points.balance("resident"),
    }


def from_text():
    """Cases from a table as people write it: words for the event, text that is a number."""
    frame = table("cases").assign(state=lambda f: f["state"].str.upper())
    return ok.Cases.from_frame(
        frame, outcome="state", event="DEAD", doctor="surgeon", hospital="clinic", patient="id",
        direction="lower",
    )  # fmt: skip


def contents(read):
    return {"outcome": read.outcome, "doctor": read.doctor_code, "hospital": read.hospital_code}


def everything(made):
    frame, truth = made
    return {"frame": frame, "truth": truth}


APPRAISAL = {
    "assess_tiers: TierRule": assessed,
    "reward_ladder": lambda: [rule.amount for rule in ladder()],
    "pay": lambda: ok.pay(assessed()),
    "pay: budget": lambda: ok.pay(assessed(), budget={ladder()[0].name: 100.0}),
    "earn_points: PointRule": lambda: balances(ledger()),
    "redeem_points": lambda: balances(redeemed()),
    "health_points": lambda: [rule.team for rule in ok.health_points(weight_loss=5.0)],
}

INDICATOR_CALLS = {
    **{name: lambda goal=goal: goal.judge(records()) for name, goal in GOALS.items()},
    "PatientRecords": lambda: records().eligible(DIABETIC),
    "reached_by_chance": lambda: ok.reached_by_chance(
        GOALS["DropGoal"], records(), within_sd={"hba1c": 0.4}
    ),
    "reached_by_chance: RunGoal": lambda: ok.reached_by_chance(
        GOALS["RunGoal"], records(), within_sd={"sbp": 9.0, "dbp": 5.0}, correlation=0.5
    ),
    **{
        name: lambda rule=rule, levels=levels: rule.pass_probability(levels)
        for name, (rule, levels) in CRITERIA.items()
    },
    "assess_criterion": lambda: ok.assess_criterion(
        CRITERIA["ConsecutiveCriterion"][0], ok.normal_levels(mean=132, sd=12)
    ),
    "normal_levels": lambda: ok.normal_levels(mean=130, sd=12, n=5),
}

SIMULATION = {
    "simulate_population: tertiary_hospital": population,
    "community_centers": lambda: ok.simulate_population(small_centers(), seed=2),
    "scenario_codebook": lambda: ok.scenario_codebook(),
    **{
        f"{verb}: {name}": lambda verb=verb, goal=goal: call(verb, goal)
        for verb in ("indicator_cases", "true_rates")
        for name, goal in INDICATORS.items()
    },
}


def small_centers():
    from dataclasses import replace

    scenario = ok.community_centers()
    few = replace(scenario.doctors, doctors=12, patients_per_doctor=20.0)
    return replace(scenario, months=6, doctors=few)


def call(verb, goal):
    found = getattr(ok, verb)(population(), goal)
    return contents(found) if verb == "indicator_cases" else found


TABLE_CALLS = {
    "Cases": lambda: contents(from_text()),
    "Cases: counts": lambda: {**contents(cases("binomial")), "trials": cases("binomial").trials},
    "load_documented_figures": lambda: datasets.load_documented_figures().select_dtypes("number"),
    "load_synthetic_cases": lambda: contents(datasets.load_synthetic_cases()),
    "load_seatbelts": lambda: datasets.load_seatbelts(),
    "load_medpar": lambda: datasets.load_medpar(),
    "simulate_cases": lambda: everything(
        datasets.simulate_cases(n_cases=300, n_doctors=10, n_hospitals=3, seed=1)
    ),
    "simulate_history": lambda: datasets.simulate_history(),
    "simulate_pilot": lambda: everything(datasets.simulate_pilot(n_patients=10)),
    "simulate_rollout": lambda: everything(datasets.simulate_rollout(n_patients=2)),
}

ROOMS = {
    "appraisal": APPRAISAL,
    "indicators": INDICATOR_CALLS,
    "simulation": SIMULATION,
    "tables": TABLE_CALLS,
}
SLOW = set()
