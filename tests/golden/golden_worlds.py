"""Fixed inputs that several calls share: cases, fits, rates, records, histories, tables."""

from functools import cache

from made_commands import TABLES
from made_histories import three_years
from made_hospitals import small

import outcomekpi as ok
from outcomekpi import datasets


@cache
def cases(family="bernoulli", nested=False):
    """900 cases of 16 doctors, where nested in four hospitals; fewer where NUTS has to sample."""
    size = {"n_cases": 900, "n_doctors": 16}
    if family == "negative_binomial":
        size = {"n_cases": 90, "n_doctors": 5}
    frame, _ = datasets.simulate_cases(
        **size, n_covariates=2, family=family, n_hospitals=4 * nested, seed=2,
        rate=20.0 if family == "gaussian" else 0.3,
    )  # fmt: skip
    roles = {"trials": "binomial", "exposure": ("poisson", "negative_binomial")}
    named = {role: role for role, of in roles.items() if family in of}
    if nested:
        named["hospital"] = "hospital"
    return ok.Cases.from_frame(
        frame, outcome="outcome", doctor="doctor", direction="lower", **named
    )


@cache
def fit(family="bernoulli", nested=False, draws=400):
    """A fit by quadrature with two covariates."""
    spec = ok.ModelSpec(case_mix="x1 + x2", family=family)
    engine = "nuts" if family == "negative_binomial" else "quadrature"
    return ok.fit(cases(family, nested), spec, engine=engine, draws=draws, seed=1)


@cache
def rates(family="bernoulli", measure="P/E"):
    return ok.standardize(fit(family), measure=measure)


@cache
def history():
    return three_years()


@cache
def population():
    """A year of a small tertiary hospital, with its records of patients."""
    return ok.simulate_population(small(), seed=1)


@cache
def records():
    made = population()
    patients = made.patients.drop(columns=["age", "sex", "comorbidity", "ses", "enrolled"])
    return ok.PatientRecords(
        patients=patients, measurements=made.measurements, encounters=made.encounters, months=12
    )


@cache
def table(name):
    """A small table of a pilot (see made_commands.py)."""
    return TABLES[name]()
