"""A simulated three-year history of completions, with the truth it was drawn from."""

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Seed

__all__ = ["simulate_history"]

SEED = 20261
YEARS = (2023, 2024, 2025)
DEPARTMENTS = (
    "Cardiology",
    "Endocrinology",
    "General medicine",
    "Geriatrics",
    "Nephrology",
    "Neurology",
    "Obstetrics",
    "Surgery",
)
# indicator -> target, true median rate in the first year, its change per year (logit scale),
# SD between departments, SD of a department from year to year, mean patients per department
INDICATORS = {
    "Antibiotic within 1 hour": (0.75, 0.72, 0.00, 0.35, 0.15, 40),
    "Discharge letter in 3 days": (0.80, 0.955, 0.00, 0.30, 0.10, 110),
    "Follow-up call": (0.60, 0.52, 0.05, 0.50, 0.20, 70),
    "HbA1c below 7%": (0.60, 0.63, 0.08, 0.40, 0.20, 60),
    "Medication review": (0.80, 0.895, 0.00, 0.45, 0.15, 80),
    "Pain scored daily": (0.70, 0.86, 0.15, 0.40, 0.20, 90),
}


def simulate_history(*, seed: Seed = SEED, truth: bool = False) -> pd.DataFrame:
    """Three years of six indicators in eight departments that never were.

    Parameters
    ----------
    seed : same seed, same table
    truth : add the column ``true_rate`` that the counts were drawn from

    Returns
    -------
    DataFrame, one row per indicator, department and year
        ``indicator``, ``department``, ``year``, ``reached`` (patients), ``patients``, ``target``
        (share that a department is held to).

    Notes
    -----
    logit of the true rate = level of the indicator + its change x years + department effect +
    department-by-year effect, both normal; patients are Poisson, at least 5; reached is binomial.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> ok.datasets.simulate_history().shape
    (144, 6)
    """
    check_arguments(simulate_history, locals())
    rng = np.random.default_rng(seed)
    tables = []
    for name, (target, start, change, sd_unit, sd_year, size) in INDICATORS.items():
        n_units, n_years = len(DEPARTMENTS), len(YEARS)
        effect = rng.normal(0.0, sd_unit, (n_units, 1)) + rng.normal(
            0.0, sd_year, (n_units, n_years)
        )
        rate = expit(logit(start) + change * np.arange(n_years) + effect)
        mean_size = size * rng.gamma(4.0, 0.25, (n_units, 1))
        patients = np.maximum(5, rng.poisson(np.broadcast_to(mean_size, rate.shape)))
        tables.append(
            pd.DataFrame(
                {
                    "indicator": name,
                    "department": np.repeat(DEPARTMENTS, n_years),
                    "year": np.tile(YEARS, n_units),
                    "reached": rng.binomial(patients, rate).ravel(),
                    "patients": patients.ravel(),
                    "target": target,
                    "true_rate": rate.ravel(),
                }
            )
        )
    frame = pd.concat(tables, ignore_index=True)
    return frame if truth else frame.drop(columns="true_rate")
