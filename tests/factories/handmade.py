"""Models and fits made by hand, for tests that need neither files nor an engine."""

import numpy as np
import pandas as pd
from scipy.special import expit

from outcomekpi.engine.draws_tree import PosteriorSamples, assemble_draws
from outcomekpi.lineage.origins import Provenance
from outcomekpi.model.design import Design
from outcomekpi.model.likelihood_model import Model, build_model
from outcomekpi.model.spec import ModelSpec
from outcomekpi.posterior.fit import Fit
from outcomekpi.tables.cases import Cases

SLOPES = np.array([0.6, -0.3])
NESTED = {"doctors_per_hospital": 3}


def make_cases(
    family="bernoulli",
    *,
    seed=1,
    n_cases=600,
    n_doctors=12,
    sd_doctor=0.5,
    sd_hospital=0.0,
    intercept=-1.2,
    nested=False,
):
    """Cases of a known world: (Cases, covariates, doctors' true effects)."""
    rng = np.random.default_rng(seed)
    code = np.concatenate(
        [np.arange(n_doctors), rng.integers(0, n_doctors, n_cases - n_doctors)]
    ).astype(np.intp)
    covariates = rng.normal(size=(n_cases, 2)) * [10.0, 1.0] + [60.0, 0.0]
    standard = (covariates - covariates.mean(axis=0)) / covariates.std(axis=0)
    hospital_code = np.arange(n_doctors) // NESTED["doctors_per_hospital"] if nested else None
    effect = rng.normal(0.0, sd_doctor, n_doctors)
    total = effect.copy()
    if nested:
        total += rng.normal(0.0, sd_hospital, hospital_code.max() + 1)[hospital_code]
    eta = intercept + standard @ SLOPES + total[code]
    trials = rng.integers(1, 9, n_cases).astype(float) if family == "binomial" else None
    counted = family in ("poisson", "negative_binomial")
    exposure = rng.gamma(4.0, 0.5, n_cases) if counted else None
    outcome = draw_outcome(rng, family, eta, trials, exposure)
    doctors = pd.Index([f"D{j:03d}" for j in range(n_doctors)], dtype="str")
    hospitals = None
    if nested:
        hospitals = pd.Index([f"H{h:02d}" for h in range(hospital_code.max() + 1)], dtype="str")
    frame = pd.DataFrame({"y": outcome, "doctor": doctors.to_numpy()[code]})
    frame[["age", "frailty"]] = covariates
    roles = {"outcome": "y", "doctor": "doctor"}
    for role, values in (("trials", trials), ("exposure", exposure)):
        if values is not None:
            frame[role] = values
            roles[role] = role
    if nested:
        frame["hospital"] = hospitals.to_numpy()[hospital_code[code]]
        roles["hospital"] = "hospital"
    cases = Cases(
        frame=frame,
        roles=roles,
        outcome=outcome,
        trials=trials,
        exposure=exposure,
        doctors=doctors,
        doctor_code=code,
        hospitals=hospitals,
        hospital_code=None if hospital_code is None else hospital_code.astype(np.intp),
        direction="lower",
        event=None,
        log=("3 rows without an outcome were excluded.", "医生 was read as text."),
    )
    return cases, covariates, effect


def draw_outcome(rng, family, eta, trials, exposure):
    if family == "bernoulli":
        return (rng.random(eta.size) < expit(eta)).astype(float)
    if family == "binomial":
        return rng.binomial(trials.astype(int), expit(eta)).astype(float)
    if family == "gaussian":
        return rng.normal(eta, 1.5)
    mean = exposure * np.exp(eta)
    if family == "negative_binomial":
        mean = rng.gamma(4.0, mean / 4.0)
    return rng.poisson(mean).astype(float)


def make_design(covariates):
    center, scale = covariates.mean(axis=0), covariates.std(axis=0)
    return Design(
        matrix=np.asfortranarray((covariates - center) / scale),
        terms=("age", "frailty"),
        center=center,
        scale=scale,
        doctor_level=np.zeros(2, dtype=bool),
        recipe=None,
    )


def make_model(family="bernoulli", *, priors=None, doctor_effects="normal", **world) -> Model:
    """A model without formulas or files; see make_cases for the world."""
    return make_parts(family, priors=priors, doctor_effects=doctor_effects, **world)[3]


def make_parts(family="bernoulli", *, priors=None, doctor_effects="normal", **world):
    cases, covariates, _ = make_cases(family, **world)
    design = make_design(covariates)
    chosen = {} if priors is None else {"priors": priors}
    spec = ModelSpec(
        case_mix="age + frailty", family=family, doctor_effects=doctor_effects, **chosen
    )
    return cases, spec, design, build_model(cases, spec, design)


def make_fit(family="bernoulli", *, draws=200, seed=3, priors=None, **world) -> Fit:
    """A fit whose draws are scattered around the truth of its world, by no engine."""
    cases, spec, design, model = make_parts(family, priors=priors, **world)
    rng = np.random.default_rng(seed)
    truth = make_cases(family, **world)[2]
    nested = model.hospital_code is not None
    samples = PosteriorSamples(
        intercept=rng.normal(world.get("intercept", -1.2), 0.05, draws),
        coefficient=rng.normal(SLOPES, 0.05, (draws, 2)),
        sd_doctor=rng.gamma(100.0, 0.005, draws),
        doctor_effect=(truth[:, None] + rng.normal(0, 0.1, (truth.size, draws))).astype("f4"),
        hospital_effect=rng.normal(0, 0.1, (model.n_hospitals, draws)) if nested else None,
        sd_hospital=rng.gamma(100.0, 0.002, draws) if nested else None,
        sd_residual=rng.gamma(400.0, 1.5 / 400, draws) if family == "gaussian" else None,
        dispersion=rng.gamma(400.0, 0.5 / 400, draws) if family == "negative_binomial" else None,
        n_chains=4,
        stats={"log_weight": rng.normal(size=draws)},
    )
    return Fit(
        draws=assemble_draws(samples, cases=cases, design=design, model=model),
        cases=cases,
        spec=spec,
        design=design,
        model=model,
        engine="quadrature",
        diagnostics={"pareto_k": 0.2, "proposal": "grid"},
        provenance=Provenance(
            created="2026-11-21T10:00:00+00:00",
            versions={"outcomekpi": "0.1.0"},
            seed=seed,
            data_hash="00ff",
            spec_hash="ff00",
            seconds=0.25,
        ),
    )
