"""A small synthetic table that needs nothing but this package: examples and first steps."""

import numpy as np
import pandas as pd
from scipy.special import expit

from outcomekpi.tables.cases import Cases

__all__ = ["load_synthetic_cases", "synthetic_frame"]

N_CASES = 1500
N_DOCTORS = 40
SD_DOCTOR = 0.45
SEED = 20261


def load_synthetic_cases() -> Cases:
    """Patients of 40 surgeons who never lived: age, sex, comorbidity, and death within 30 days.

    Returns
    -------
    Cases
        1,500 cases, ``direction="lower"``. Its frame has the columns ``surgeon``, ``age``
        (years), ``sex`` (F, M), ``charlson`` (comorbidity index, 0 to 10) and ``died`` (0, 1).

    Notes
    -----
    Drawn from logit P(death) = -2.3 + .05 (age - 65) + .2 (male) + .25 charlson + u with
    u ~ N(0, .45²) for each surgeon, by a seeded generator: no file and no personal data.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> cases = ok.datasets.load_synthetic_cases()
    >>> len(cases.frame), len(cases.doctors)
    (1500, 40)
    """
    return Cases.from_frame(synthetic_frame(), outcome="died", doctor="surgeon", direction="lower")


def synthetic_frame() -> pd.DataFrame:
    """Return the table behind :func:`load_synthetic_cases`, one row per patient."""
    rng = np.random.default_rng(SEED)
    weights = rng.gamma(2.0, 1.0, N_DOCTORS)
    caseload = 2 + rng.multinomial(N_CASES - 2 * N_DOCTORS, weights / weights.sum())
    surgeon = np.repeat(np.arange(N_DOCTORS), caseload)
    effect = rng.normal(0.0, SD_DOCTOR, N_DOCTORS)
    age = np.clip(rng.normal(65.0, 11.0, N_CASES).round(), 18, 98)
    male = rng.random(N_CASES) < 0.55
    charlson = np.minimum(rng.poisson(1.4, N_CASES), 10)
    predictor = -2.3 + 0.05 * (age - 65.0) + 0.2 * male + 0.25 * charlson + effect[surgeon]
    return pd.DataFrame(
        {
            "surgeon": np.array([f"S{k:02d}" for k in range(1, N_DOCTORS + 1)])[surgeon],
            "age": age.astype(np.int64),
            "sex": np.where(male, "M", "F"),
            "charlson": charlson,
            "died": (rng.random(N_CASES) < expit(predictor)).astype(np.int64),
        }
    ).sample(frac=1.0, random_state=rng, ignore_index=True)
