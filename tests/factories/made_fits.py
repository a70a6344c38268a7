"""Fits with draws that a test chooses, for tests that check sums against brute force."""

import numpy as np
import pandas as pd

from outcomekpi.engine.draws_tree import PosteriorSamples, assemble_draws
from outcomekpi.lineage.origins import Provenance
from outcomekpi.model.design import Design
from outcomekpi.model.likelihood_model import build_model
from outcomekpi.model.spec import ModelSpec
from outcomekpi.posterior.fit import Fit
from outcomekpi.tables.cases import Cases

PROVENANCE = Provenance(
    created="2026-11-21T10:00:00+00:00",
    versions={"outcomekpi": "0.1.0"},
    seed=1,
    data_hash="00",
    spec_hash="11",
    seconds=0.1,
)


def fit_with_draws(
    *,
    family="bernoulli",
    doctor_code,
    outcome,
    effect,
    intercept,
    sd_doctor=0.4,
    matrix=None,
    slope=None,
    doctor_level=None,
    trials=None,
    exposure=None,
    hospital_code=None,
    hospital_effect=None,
    sd_hospital=None,
    sd_residual=None,
    direction="lower",
    labels=None,
):
    """A Fit whose draws are exactly the ones given; effect is (doctor, sample)."""
    effect = np.atleast_2d(np.asarray(effect, dtype=float))
    n_doctors, n_samples = effect.shape
    code = np.asarray(doctor_code, dtype=np.intp)
    matrix = np.zeros((code.size, 0)) if matrix is None else np.asarray(matrix, dtype=float)
    n_terms = matrix.shape[1]
    slope = np.zeros((n_terms, n_samples)) if slope is None else np.asarray(slope, dtype=float)
    labels = [f"D{j:05d}" for j in range(n_doctors)] if labels is None else labels

    def spread(value):
        return None if value is None else np.broadcast_to(value, n_samples).astype(float)

    cases = Cases(
        frame=pd.DataFrame({"y": outcome, "doctor": np.asarray(labels, dtype=object)[code]}),
        roles={"outcome": "y", "doctor": "doctor"}
        | ({} if hospital_code is None else {"hospital": "hospital"}),
        outcome=np.asarray(outcome, dtype=float),
        trials=None if trials is None else np.asarray(trials, dtype=float),
        exposure=None if exposure is None else np.asarray(exposure, dtype=float),
        doctors=pd.Index(labels),
        doctor_code=code,
        hospitals=None
        if hospital_code is None
        else pd.Index([f"H{h}" for h in range(max(hospital_code) + 1)]),
        hospital_code=None if hospital_code is None else np.asarray(hospital_code, dtype=np.intp),
        direction=direction,
        event=None,
        log=(),
    )
    design = Design(
        matrix=np.asfortranarray(matrix),
        terms=tuple(f"x{k}" for k in range(n_terms)),
        center=np.zeros(n_terms),
        scale=np.ones(n_terms),
        doctor_level=np.zeros(n_terms, dtype=bool)
        if doctor_level is None
        else np.asarray(doctor_level, dtype=bool),
        recipe=None,
    )
    spec = ModelSpec(family=family)
    model = build_model(cases, spec, design)
    samples = PosteriorSamples(
        intercept=spread(intercept),
        coefficient=slope.T,
        sd_doctor=spread(sd_doctor),
        doctor_effect=effect,
        hospital_effect=None if hospital_effect is None else np.asarray(hospital_effect),
        sd_hospital=spread(sd_hospital),
        sd_residual=spread(sd_residual),
        n_chains=2 if n_samples % 2 == 0 else 1,
    )
    return Fit(
        draws=assemble_draws(samples, cases=cases, design=design, model=model),
        cases=cases,
        spec=spec,
        design=design,
        model=model,
        engine="quadrature",
        diagnostics={},
        provenance=PROVENANCE,
    )
