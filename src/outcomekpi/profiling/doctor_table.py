"""The table of doctors: one row each, with everything that was asked about him."""

import numpy as np
import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Level
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.posterior.fit import Fit
from outcomekpi.profiling.classification import Classification
from outcomekpi.profiling.linear_predictor import doctor_effects
from outcomekpi.profiling.ranking import Ranks
from outcomekpi.profiling.reliability import Reliability, reliability
from outcomekpi.profiling.standardization import StandardizedRates

__all__ = ["DOCTOR_COLUMNS", "doctor_table"]

DOCTOR_COLUMNS = (
    "cases",
    "observed",
    "expected",
    "predicted",
    "oe",
    "oe_lower",
    "oe_upper",
    "pe",
    "pe_lower",
    "pe_upper",
    "rate",
    "rate_lower",
    "rate_upper",
    "effect",
    "effect_sd",
    "expected_rank",
    "rank_lower",
    "rank_upper",
    "p_worse",
    "p_better",
    "flag",
    "reliability",
)


def doctor_table(
    fit: Fit,
    rates: StandardizedRates,
    ranks: Ranks,
    flags: Classification,
    *,
    level: Level = DEFAULT_LEVEL,
    reliabilities: Reliability | None = None,
) -> pd.DataFrame:
    """Everything about each doctor, from one set of draws.

    Parameters
    ----------
    fit, rates, ranks, flags : one chain of results
    level : probability of every interval
    reliabilities : latent reliabilities of ``fit``, where they were computed already

    Returns
    -------
    DataFrame indexed by ``doctor``, in the order of the labels, with the columns of
    :data:`DOCTOR_COLUMNS`. ``cases`` are patients; ``observed, expected, predicted`` events
    (posterior means); ``oe`` and ``pe`` ratios, missing where a Gaussian outcome has no positive
    expectation; ``rate`` the standardized rate; ``effect`` the doctor's total effect on the link
    scale, doctor-level terms included, hospital effect not; ``p_worse, p_better`` relative to the
    threshold of ``flags``; ``reliability`` the latent one.

    Raises
    ------
    SpecError
        The results are about different doctors.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(), draws=400)
    >>> rates = ok.standardize(fit)
    >>> ok.doctor_table(fit, rates, ok.rank(rates), ok.classify(rates)).shape[1]
    22
    """
    check_arguments(doctor_table, locals())
    index = rates.cases.index
    _check_same_doctors(index, ranks, flags, fit)
    if reliabilities is None:
        reliabilities = reliability(fit)
    summary = rates.to_frame(level=level)
    place = ranks.to_frame(level=level)
    effect = doctor_effects(fit)
    columns: dict[str, object] = {
        name: summary[name] for name in ("cases", "observed", "expected", "predicted")
    }
    for name, measure in (("oe", "O/E"), ("pe", "P/E")):
        mean, lower, upper = rates.ratio(measure, level=level)  # type: ignore[arg-type]
        columns |= {name: mean, f"{name}_lower": lower, f"{name}_upper": upper}
    columns |= {
        "rate": summary["mean"],
        "rate_lower": summary["lower"],
        "rate_upper": summary["upper"],
        "effect": effect.mean(axis=1, dtype=np.float64),
        "effect_sd": effect.std(axis=1, ddof=1, dtype=np.float64),
        "expected_rank": place["mean"],
        "rank_lower": place["lower"],
        "rank_upper": place["upper"],
        "p_worse": flags.p_worse,
        "p_better": flags.p_better,
        "flag": flags.flag,
        "reliability": reliabilities.estimate,
    }
    frame = pd.DataFrame(columns, index=index)[list(DOCTOR_COLUMNS)]
    frame.attrs.update(level=level, threshold=flags.threshold, unit=rates.unit)
    return frame


def _check_same_doctors(index: pd.Index, ranks: Ranks, flags: Classification, fit: Fit) -> None:
    labels = {
        "ranks": ranks.draws["doctor"].to_numpy(),
        "flags": flags.flag.index.to_numpy(),
        "fit": fit.cases.doctors.to_numpy(),
    }
    for name, found in labels.items():
        if not np.array_equal(np.asarray(found, dtype=object), index.to_numpy(dtype=object)):
            raise SpecError(
                f"{name} and rates are about different doctors ({len(found)} and {len(index)}). "
                "Compute all of them from the same fit."
            )
