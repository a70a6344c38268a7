"""Rung 3: an interrupted series beside a control that the program did not reach."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from outcomekpi.pilots.designs.interrupted import InterruptedSeries
from outcomekpi.pilots.ladder.findings import Rung

__all__ = ["ControlledSeries"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlledSeries(InterruptedSeries):
    """A series interrupted by a program, beside a control series (rung 3).

    Attributes
    ----------
    outcome, time, start : as in :class:`InterruptedSeries`
    control : column of the same outcome where the program was not
    trials, exposure : column of the denominators of the treated series
    control_trials, control_exposure : the same of the control
    control_as : "difference" models the distance from the control on the scale of the model, so
        that what moves both alike cancels; "covariate" lets the control enter with a coefficient
        of its own (its logarithm or log odds, for counts)
    covariates, family, method, order, change, seasonality, horizon, rho_prior, ramp_up, gaps,
        unit, other_interruptions, outcome_range, time_unit, time_zone, direction : as in
        :class:`InterruptedSeries`

    Notes
    -----
    "difference" with the full set of terms for both series is the fully interacted controlled
    model: with one noise for the distance, its coefficients are those of the distance. For counts
    each series is made linear at its own fit, and the two working responses are subtracted with
    the sum of their variances. "covariate" leans on how the two moved together, and is drawn
    towards no control by the control's own noise.

    References
    ----------
    Bottomley, Scott & Isham (2019), Epidemiologic Methods, doi:10.1515/em-2018-0010.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from outcomekpi.pilots.ladder.comparison import compare_pilot
    >>> frame = pd.DataFrame({"month": range(48), "there": 50 + np.sin(np.arange(48) ** 2)})
    >>> frame["here"] = frame["there"] + np.cos(frame["month"] ** 2) + 5 * (frame["month"] >= 24)
    >>> design = ControlledSeries(outcome="here", control="there", time="month", start=24)
    >>> bool(compare_pilot(frame, design).main.excludes_null(level=0.95))
    True
    """

    rung: ClassVar[Rung] = 3

    control: str = field()
    control_trials: str | None = None
    control_exposure: str | None = None
    control_as: Literal["difference", "covariate"] = "difference"
