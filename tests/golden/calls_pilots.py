"""Calls about pilots: one comparison at least with every design, and what corrects or doubts it."""

import numpy as np
from golden_worlds import table
from made_panels import made_panel, staggered_panel

import outcomekpi as ok
from outcomekpi import datasets

FIGURES = ok.PublishedFigures(before=43, after=68, unit="percent", years=2)
PATIENT = {"period": "period", "after": "after", "doctor": "doctor", "direction": "higher"}
SERIES = {"time": "month", "start": 21, "direction": "higher"}
PANEL = {"unit": "ward", "time": "year", "start": "start", "outcome": "rate"}
WEDGE = {"unit": "ward", "time": "period", "start": "start", "direction": "higher"}
PROGRAM = ok.Program(name="coaching", selected_on_baseline=False, harms="none seen")
STUDY = ok.EventStudy(
    times=np.array([-3, -2, 0, 1]),
    covariance=0.01 * np.eye(4) + 0.002,
    coefficients=np.array([0.05, 0.02, 1.0, 1.2]),
)
KNOWN = ok.BaselinePopulation(mean=7.5, sd=1.5, reliability=0.7)


def pilot():
    return datasets.simulate_pilot(n_doctors=12, n_hospitals=4, n_patients=20, mix_shift=0.3)[0]


def compare(data, design, **options):
    return ok.compare_pilot(data, design, draws=400, seed=1, **options)


def patients(design=ok.BeforeAfter, **options):
    return lambda: compare(table("patients"), design(**PATIENT | options))


def groups(**options):
    given = {"outcome": "controlled", "group": "ward", "treated": "A", **PATIENT, **options}
    return lambda: compare(table("patients"), ok.ControlledBeforeAfter(**given))


def series(design=ok.InterruptedSeries, **options):
    return lambda: compare(table("series"), design(**SERIES | {"outcome": "rate"} | options))


def controlled(**options):
    return series(ok.ControlledSeries, **{"control": "other"} | options)


def did(frame=staggered_panel, **options):
    return lambda: compare(frame(), ok.DifferenceInDifferences(**PANEL | options))


def synthetic(**options):
    few = {"n_treated": 2, "n_controls": 9, "n_times": 8, "start": 6}
    return lambda: compare(made_panel(**few), ok.SyntheticControl(**PANEL | options))


def wedge(data="wedge", **options):
    return lambda: compare(table(data), ok.SteppedWedge(**WEDGE | options))


def selected_patients():
    rng = np.random.default_rng(1)
    both = 7.5 + 1.5 * rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], 600)
    return both[both[:, 0] >= 8].T


def on_target():
    before, after = selected_patients()
    return ok.correct_selection(
        before, (after < 7.0).astype(int), cutoff=8, side="above", population=KNOWN, target=7.0,
        draws=400, rng=np.random.default_rng(2),
    )  # fmt: skip


def selected_units(**options):
    rng = np.random.default_rng(1)
    p, n = rng.beta(40, 60, size=60), np.full(60, 50)
    before, after = rng.binomial(50, p), rng.binomial(50, p)
    return ok.correct_unit_selection(
        before, after, chosen=before <= 15, before_trials=n, after_trials=n, rng=rng, **options
    )


def selected_means():
    rng = np.random.default_rng(1)
    truth = rng.normal(50, 5, 40)
    before, after = truth + rng.normal(0, 4, (2, 40))
    error = np.full(40, 4.0)
    return ok.correct_unit_selection(
        before, after, chosen=before < 46, before_se=error, after_se=error, draws=400, rng=rng
    )


def replayed(alike):
    rng = np.random.default_rng(1)
    results = rng.normal(50, 5, size=(80, 1)) + rng.normal(0, 5, size=(80, 4))
    return ok.replay_selection(results[:, :3], results[:, 3], n_chosen=20, alike=alike, rng=rng)


def selection():
    """Patients whose reading before the program was above 8."""
    frame = table("patients")
    high = frame.query("period == 'before' and a1c > 8")["id"]
    given = PATIENT | {"direction": "lower", "patient": "id", "family": "gaussian", "unit": "%"}
    chosen = ok.BaselineSelection(cutoff=8.0, side="above", population=KNOWN)
    design = ok.BeforeAfter(outcome="a1c", selection=chosen, **given)
    return compare(frame[frame["id"].isin(high)], design)


def doubted(effect, data, **options):
    found = ok.sensitivity(effect, data, draws=200, seed=1, **options)
    parts = ("tipping", "frontier", "e_values", "placebo", "leave_one_out", "other_designs")
    return {part: getattr(found, part)() for part in parts}


def powered(plan, **options):
    found = ok.pilot_power(plan, seed=1, **options)
    return {
        "detectable": found.detectable(),
        "size": found.size_needed() if options.get("effect") else None,
        "record": found,
    }


BEFORE_AFTER = {
    "compare_pilot: BeforeAfter": patients(outcome="controlled", case_mix="age"),
    "compare_pilot: BeforeAfter, gaussian": patients(
        outcome="a1c", family="gaussian", unit="%", patient="id", cluster="hospital",
        hospital="hospital",
    ),
    "compare_pilot: BeforeAfter, wild": patients(outcome="controlled", inference="wild_bootstrap"),
    "compare_pilot: BeforeAfter, BaselineSelection": selection,
    "compare_pilot: BeforeAfter, UnitSelection": patients(
        outcome="controlled", selection=ok.UnitSelection(chosen="picked")
    ),
    "compare_pilot: BeforeAfter, Program": lambda: compare(
        pilot(),
        ok.BeforeAfter(outcome="controlled", case_mix="age + severity", **PATIENT),
        program=PROGRAM,
    ),
    "compare_pilot: DoctorEffects": patients(ok.DoctorEffects, outcome="controlled"),
    "compare_pilot: DoctorEffects, gaussian": patients(
        ok.DoctorEffects, outcome="a1c", family="gaussian", unit="%", patient="id"
    ),
    "compare_pilot: ControlledBeforeAfter": groups(),
    "compare_pilot: ControlledBeforeAfter, gaussian": groups(
        outcome="a1c", family="gaussian", unit="%", patient="id", case_mix="age"
    ),
    "compare_pilot: PublishedAggregates": lambda: compare(
        FIGURES, ok.PublishedAggregates(direction="higher")
    ),
    "compare_pilot: PublishedAggregates, AggregatePriors, PriorRange": lambda: compare(
        FIGURES,
        ok.PublishedAggregates(
            direction="higher",
            priors=ok.AggregatePriors(trend=ok.PriorRange(lower=-1, upper=3, why="made")),
        ),
    ),
}  # fmt: skip

SERIES_CALLS = {
    "compare_pilot: InterruptedSeries": series(),
    "compare_pilot: InterruptedSeries, Seasonality": series(
        change="level", seasonality=ok.Seasonality(period=12, harmonics=1), covariates=("heat",)
    ),
    "compare_pilot: InterruptedSeries, poisson": series(
        outcome="falls", exposure="days", family="poisson"
    ),
    "compare_pilot: InterruptedSeries, binomial": series(
        outcome="hits", trials="tries", family="binomial"
    ),
    "compare_pilot: InterruptedSeries, Interruption": series(
        other_interruptions=(ok.Interruption(start=10, change="level", name="move"),)
    ),
    "compare_pilot: InterruptedSeries, prais_winsten": series(method="prais_winsten"),
    "compare_pilot: ControlledSeries": controlled(),
    "compare_pilot: ControlledSeries, covariate": controlled(control_as="covariate"),
    "compare_pilot: ControlledSeries, binomial": controlled(
        outcome="hits", trials="tries", control="other_hits", control_trials="other_tries",
        family="binomial",
    ),
}  # fmt: skip

PANELS = {
    "compare_pilot: DifferenceInDifferences": did(),
    "compare_pilot: DifferenceInDifferences, 2x2": did(
        made_panel, estimator="2x2", inference="wild_bootstrap"
    ),
    "compare_pilot: DifferenceInDifferences, etwfe": did(estimator="etwfe"),
    "compare_pilot: DifferenceInDifferences, not_yet_treated": did(control="not_yet_treated"),
    "compare_pilot: SyntheticControl": synthetic(),
    "compare_pilot: SyntheticControl, sc": synthetic(method="sc"),
    "compare_pilot: SteppedWedge": wedge(outcome="hit", family="binomial"),
    "compare_pilot: SteppedWedge, gaussian": wedge(outcome="score", effect="constant"),
    "compare_pilot: SteppedWedge, means": wedge("means", outcome="mean", patients="n"),
}

ESTIMATORS = {
    "regression_to_mean: BaselinePopulation": lambda: ok.regression_to_mean(
        KNOWN, cutoff=7.0, side="above", target=7.0, draws=400
    ),
    "BaselinePopulation": lambda: ok.BaselinePopulation.from_readings(
        [[7.1, 7.4], [8.2, 7.9], [6.5, 6.4], [9.0, 8.1]]
    ),
    "correct_selection": lambda: ok.correct_selection(
        *selected_patients(), cutoff=8, side="above", population=KNOWN, draws=400,
        rng=np.random.default_rng(2),
    ),
    "correct_selection: target": on_target,
    "correct_unit_selection": lambda: selected_units(draws=400),
    "correct_unit_selection: se": selected_means,
    "expect_worst_units": lambda: ok.expect_worst_units(40, 10, sd=5.0, reliability=0.6),
    "replay_selection": lambda: replayed("difference"),
    "replay_selection: ratio": lambda: replayed("ratio"),
    "sweep_population_means": lambda: ok.sweep_population_means(
        *selected_patients(), means=[6.5, 7.0, 7.5]
    ),
    "EventStudy": lambda: STUDY,
    "assess_pre_trend": lambda: ok.assess_pre_trend(STUDY),
    "assess_pre_trend: joint": lambda: ok.assess_pre_trend(STUDY, criterion="joint"),
    "bound_parallel_trends": lambda: ok.bound_parallel_trends(STUDY),
    "bound_parallel_trends: smoothness": lambda: ok.bound_parallel_trends(
        STUDY, method="smoothness"
    ),
    "PublishedFigures": lambda: {"values": FIGURES.face_values(), "half": FIGURES.half_width},
    "AggregatePriors, PriorRange": lambda: ok.AggregatePriors().patients.quantiles(
        np.array([0.1, 0.5, 0.9])
    ),
    "Seasonality": lambda: ok.Seasonality(period=12, harmonics=2).columns(24),
    "e_value": lambda: [ok.e_value(ratio) for ratio in (0.8, 1.0, 3.9)],
    "e_value_of_interval": lambda: [
        ok.e_value_of_interval(0.9, 4.0), ok.e_value_of_interval(1.8, 4.0)
    ],
}  # fmt: skip

ROBUSTNESS = {
    "sensitivity: PublishedAggregates": lambda: doubted(
        compare(FIGURES, ok.PublishedAggregates()), FIGURES
    ),
    "sensitivity: BeforeAfter": lambda: doubted(
        patients(outcome="controlled")(), table("patients"), starts=2
    ),
    "sensitivity: InterruptedSeries": lambda: doubted(series()(), table("series"), starts=2),
    "pilot_power: BeforeAfterPlan": lambda: powered(
        ok.BeforeAfterPlan(patients=469, base=0.2), effect=-6.8, simulations=200
    ),
    "pilot_power: DifferencePlan": lambda: powered(
        ok.DifferencePlan(
            treated=10, controls=10, before=4, after=4, patients=50, base=0.4, icc=0.05, cac=0.8
        )
    ),
    "pilot_power: WedgePlan": lambda: powered(
        ok.WedgePlan(
            clusters=6, waves=4, patients=120, base=0.05, icc=0.00245, effect_model="constant"
        ),
        effect=-1.5,
    ),
    "pilot_power: DoctorPlan": lambda: powered(
        ok.DoctorPlan(doctors=20, patients=50, base=0.5, heterogeneity=5)
    ),
    "pilot_power: SeriesPlan": lambda: powered(
        ok.SeriesPlan(before=24, after=24, sd=5, rho=0.4, estimand="level")
    ),
}

ROOMS = {
    "pilots_patients": BEFORE_AFTER,
    "pilots_series": SERIES_CALLS,
    "pilots_panels": PANELS,
    "pilots_estimators": ESTIMATORS,
    "pilots_robustness": ROBUSTNESS,
}
SLOW = set()
