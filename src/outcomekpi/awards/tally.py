"""How far awards are from those deserved: counted in each draw, summed up, by caseload."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import SpecError, check_kind
from outcomekpi.draws.intervals import check_level
from outcomekpi.profiling.reliability import Reliability

__all__ = ["caseload_groups", "estimate_of", "summarize_tally", "tally_awards"]

Array = NDArray[np.float64]


def tally_awards(
    award: Array, deserved: NDArray[np.floating], *, amount: float = 1.0
) -> dict[str, Array]:
    """Measure in each draw how far the awards are from those deserved.

    Parameters
    ----------
    award : (doctor,), in [0, 1]
    deserved : (doctor, sample), in [0, 1]
    amount : money of a full award

    Returns
    -------
    name -> (sample,), missing where a measure is not defined
    """
    n_doctors = award.size
    given = award.astype(np.float64)
    both = np.minimum(given[:, None], deserved).sum(axis=0, dtype=np.float64)
    paid, due = given.sum(), deserved.sum(axis=0, dtype=np.float64)
    neither = n_doctors - paid - due + both
    over, under = paid - both, due - both
    return {
        "sensitivity": _quotient(both, due),
        "specificity": _quotient(neither, n_doctors - due),
        "ppv": _quotient(both, np.full_like(both, paid)),
        "npv": _quotient(neither, np.full_like(both, n_doctors - paid)),
        "misclassified": (over + under) / n_doctors,
        "overpaid": amount * over,
        "withheld": amount * under,
    }


def summarize_tally(samples: dict[str, Array], *, level: float) -> pd.DataFrame:
    """Mean and equal-tailed interval of each measure over the draws in which it is defined.

    Parameters
    ----------
    samples : name -> (sample,), missing where not defined
    level : probability in (0, 1)

    Returns
    -------
    DataFrame indexed by ``measure``: ``mean, lower, upper``, and ``defined``, share of the draws
    """
    check_level(level)
    tail = (1 - level) / 2
    rows = {}
    for name, values in samples.items():
        known = values[~np.isnan(values)]
        lower, upper = np.quantile(known, [tail, 1 - tail]) if known.size else (np.nan, np.nan)
        mean = known.mean() if known.size else np.nan
        rows[name] = (mean, lower, upper, known.size / values.size)
    columns = ["mean", "lower", "upper", "defined"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("measure")


def caseload_groups(cases: pd.Series, groups: int) -> NDArray[np.intp]:
    """Group of each doctor by caseload, 1 the fewest cases; equal caseloads together: (doctor,).

    Raises
    ------
    SpecError
        Not between 1 and as many groups as doctors.
    """
    if isinstance(groups, bool) or not isinstance(groups, int) or not 1 <= groups <= len(cases):
        raise SpecError(
            f"groups must be a whole number from 1 to the {len(cases)} doctors; got {groups!r}."
        )
    place = cases.rank(method="average").to_numpy()
    group = np.ceil(place * groups / len(cases))
    # equal caseloads can empty a group: number those that are left
    return np.unique(group, return_inverse=True)[1] + 1


def estimate_of(reliability: Reliability, doctors: pd.Index) -> Array:
    """Reliability of each of these doctors: (doctor,).

    Raises
    ------
    SpecError
        This is no reliability, or it lacks some of the doctors.
    """
    check_kind("reliability", reliability, Reliability, "reliability(fit)")
    found = reliability.estimate.reindex(doctors)
    missing = doctors[found.isna()]
    if len(missing):
        raise SpecError(
            f"The reliability lacks {len(missing)} of {len(doctors)} doctors, the first "
            f"{missing[0]!r}. Take it from the same fit as the rates."
        )
    return np.asarray(found, dtype=np.float64)


def _quotient(part: Array, whole: Array) -> Array:
    found = np.full(part.shape, np.nan)
    # sums of single-precision shares miss zero by rounding
    np.divide(part, whole, out=found, where=whole > 1e-6)
    return found
