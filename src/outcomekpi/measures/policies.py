"""The same indicator under several ways of treating what was not measured, side by side."""

from dataclasses import replace

import numpy as np
import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import CasesError
from outcomekpi.declare.fields import Count, Seed
from outcomekpi.measures.assess import Assessment, assess
from outcomekpi.measures.indicator import Indicator
from outcomekpi.records.records import Records

__all__ = ["compare_missing"]


def compare_missing(
    records: Records,
    indicator: Indicator,
    *,
    start: str,
    end: str,
    tables: Count = 20,
    seed: Seed = 0,
) -> pd.DataFrame:
    """Rates of each doctor where what was not measured fails, is left out, or is imputed.

    Parameters
    ----------
    records, indicator, start, end : as for ``assess``
    tables : imputed tables, over which rates are averaged
    seed : of the draws

    Returns
    -------
    One row per doctor: ``cases, unmeasured, fail, exclude, impute`` (shares reached), and the
    ``rank_`` of each, 1 the best; ``attrs["changed"]`` says how many doctors stand elsewhere than
    under "fail"

    Raises
    ------
    CasesError
        No patient has a doctor.

    Notes
    -----
    Imputed verdicts are drawn from the doctor's own share among the measured, itself drawn from
    Beta(reached + 1/2, not reached + 1/2): missing at random given the doctor. No covariate of
    the patient enters.

    Examples
    --------
    >>> import pandas as pd
    >>> from outcomekpi import Records, compare_missing, read_indicator
    >>> patients = pd.DataFrame({"patient": ["a", "b"], "birth_date": "1960-05-01",
    ...                          "doctor": ["x", "y"]})
    >>> managed = pd.DataFrame({"patient": ["a", "b"], "start": "2026-01-01",
    ...                         "concepts": "chronic disease management"})
    >>> records = Records.from_frames({"patients": patients, "conditions": managed})
    >>> table = compare_missing(records, read_indicator("standardized_management"),
    ...                         start="2026-01-01", end="2026-12-31")
    >>> table["fail"].tolist()
    [0.0, 0.0]
    """
    check_arguments(compare_missing, locals())
    strict = assess(records, replace(indicator, missing="exclude"), start=start, end=end)
    table = _by_doctor(strict)
    measured = table["reached"] + table["not reached"]
    unmeasured = table["not assessable"]
    as_missing = unmeasured if indicator.direction == "lower" else 0
    cases = measured + unmeasured
    rng = np.random.default_rng(seed)
    size = (tables, len(table))
    share = rng.beta(table["reached"] + 0.5, table["not reached"] + 0.5, size=size)
    drawn = rng.binomial(unmeasured.to_numpy(dtype=np.int64), share).mean(axis=0)
    rates = pd.DataFrame(
        {
            "cases": cases,
            "unmeasured": unmeasured,
            "fail": (table["reached"] + as_missing) / cases,
            "exclude": table["reached"] / measured.where(measured > 0),
            "impute": (table["reached"] + drawn) / cases,
        }
    )
    best_first = indicator.direction == "lower"
    for policy in ("fail", "exclude", "impute"):
        rates[f"rank_{policy}"] = rates[policy].rank(ascending=best_first, method="min")
    rates.attrs["changed"] = {
        policy: int((rates[f"rank_{policy}"] != rates["rank_fail"]).sum())
        for policy in ("exclude", "impute")
    }
    return rates


def _by_doctor(assessment: Assessment) -> pd.DataFrame:
    facts = assessment.facts[assessment.facts["verdict"] != "excluded"]
    known = facts[facts["doctor"] != ""]
    if known.empty:
        raise CasesError(
            f"{len(facts)} patients of {assessment.indicator.name} could be judged, none of whom "
            "has a doctor. Give the table of patients a column doctor."
        )
    counts = pd.crosstab(known["doctor"], known["verdict"])
    return counts.reindex(columns=["reached", "not reached", "not assessable"], fill_value=0)
