"""Cumulative incidence of an event that others compete with (Aalen-Johansen)."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import CasesError
from outcomekpi.measures.assess import Assessment

__all__ = ["cumulative_incidence", "incidence_curve"]

Array = NDArray[np.float64]


def cumulative_incidence(assessment: Assessment) -> pd.DataFrame:
    """Probability of the event by each day after the index, others competing.

    Parameters
    ----------
    assessment : of an indicator with an event and a horizon

    Returns
    -------
    One row per day with an event, up to the horizon: ``day, at_risk, incidence, se``

    Raises
    ------
    CasesError
        The indicator has no event.

    Notes
    -----
    Whoever is excluded does not enter. On the same day an event counts before a competing one, and
    both before the end of records. The complement of Kaplan-Meier would call the dead readmitted.

    References
    ----------
    Aalen & Johansen 1978, Scand J Stat 5:141-150; variance by the delta method as in
    Marubini & Valsecchi 1995, section 10.4.

    Examples
    --------
    >>> import numpy as np
    >>> curve = incidence_curve(np.array([1.0, 2, 3, 4]), np.array([1, 2, 0, 1]))
    >>> curve["incidence"].tolist()
    [0.25, 0.75]
    """
    check_arguments(cumulative_incidence, locals())
    facts, one = assessment.facts, assessment.indicator
    if not one.event:
        raise CasesError(f"{one.name} has no event after an index: nothing can compete.")
    facts = facts[facts["verdict"] != "excluded"]
    horizon = float(one.horizon)
    event = facts["event_days"].to_numpy(dtype=np.float64, na_value=np.nan)
    rival = facts["competing_days"].to_numpy(dtype=np.float64, na_value=np.nan)
    end = np.minimum(facts["followed_days"].to_numpy(dtype=np.float64), horizon)
    event, rival = (np.where(np.isnan(days), np.inf, days) for days in (event, rival))
    first = np.minimum(event, rival)
    cause = np.where(first > end, 0, np.where(event <= rival, 1, 2))
    return incidence_curve(np.minimum(first, end), cause, time_name="day")


def incidence_curve(
    time: Array, cause: NDArray[np.int_], *, time_name: str = "time"
) -> pd.DataFrame:
    """Aalen-Johansen estimate of cause 1 with its standard error.

    Parameters
    ----------
    time : (patient,), positive, to the event or to the end of what is known
    cause : (patient,), 1 the event, 2 and more what competes, 0 neither (censored)
    time_name : column of the times

    Returns
    -------
    One row per time with an event of cause 1: ``time, at_risk, incidence, se``

    Notes
    -----
    F(t) = sum of S(u-) d1/n over u <= t, S falling by d/n of all causes. With I = F(t) - F(u),

        var F(t) = sum I^2 d / (n (n - d)) + S(u-)^2 d1 (n - d1) / n^3 - 2 I S(u-) d1 / n^2.

    Where all who are at risk have an event (n = d), F no longer moves, I is 0, and so is the term.
    """
    times = np.unique(time[cause > 0])
    at_risk = (time[None, :] >= times[:, None]).sum(axis=1).astype(np.float64)
    at_time = time[None, :] == times[:, None]
    events = (at_time & (cause == 1)[None, :]).sum(axis=1).astype(np.float64)
    every = (at_time & (cause > 0)[None, :]).sum(axis=1).astype(np.float64)
    survival = np.concatenate([[1.0], np.cumprod(1 - every / at_risk)])[:-1]
    incidence = np.cumsum(survival * events / at_risk)
    left = at_risk - every
    spread = np.divide(every, at_risk * left, out=np.zeros_like(every), where=left > 0)
    own = survival**2 * events * (at_risk - events) / at_risk**3
    mixed = survival * events / at_risk**2
    # (t, u): F(t) - F(u) for the times u that are past
    gap = incidence[:, None] - incidence[None, :]
    past = np.tri(len(times), dtype=bool)
    terms = gap**2 * spread[None, :] + own[None, :] - 2 * gap * mixed[None, :]
    variance = np.where(past, terms, 0.0).sum(axis=1)
    table = pd.DataFrame(
        {
            time_name: times,
            "at_risk": at_risk.astype(int),
            "incidence": incidence,
            "se": np.sqrt(np.maximum(variance, 0.0)),
        }
    )
    moved: pd.DataFrame = table.loc[events > 0].reset_index(drop=True)
    return moved
