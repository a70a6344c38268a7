"""Rung 3: an interrupted series beside a control that the program did not reach."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from outcomekpi.declare.checking import check_fields
from outcomekpi.pilots.data.series import Family, GapPolicy, SeriesColumns, SeriesData, read_series
from outcomekpi.pilots.data.series_interruptions import Change, Interruption
from outcomekpi.pilots.designs.series_estimation import estimate_series
from outcomekpi.pilots.designs.series_model import Method
from outcomekpi.pilots.designs.series_options import SeriesOptions, check_options
from outcomekpi.pilots.estimators.bayesian_series import RhoPrior
from outcomekpi.pilots.estimators.seasonality import Seasonality
from outcomekpi.pilots.ladder.findings import Answer, Rung
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.cases import Direction
from outcomekpi.tables.times import TimeUnit

__all__ = ["ControlledSeries"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlledSeries:
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

    outcome: str
    time: str
    start: object
    control: str
    trials: str | None = None
    exposure: str | None = None
    control_trials: str | None = None
    control_exposure: str | None = None
    control_as: Literal["difference", "covariate"] = "difference"
    covariates: tuple[str, ...] = ()
    family: Family = "gaussian"
    method: Method = "auto"
    order: int = 1
    change: Change = "level and slope"
    seasonality: Seasonality | None = None
    horizon: int | None = None
    rho_prior: RhoPrior = "uniform"
    ramp_up: int = 0
    gaps: GapPolicy = "error"
    unit: str | None = None
    other_interruptions: tuple[Interruption, ...] = ()
    outcome_range: tuple[float, float] | None = None
    time_unit: TimeUnit | None = None
    time_zone: str | None = None
    direction: Direction | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        check_options(self._columns(), self._options())

    def estimate(
        self, data: object, *, program: Program, draws: int, rng: np.random.Generator
    ) -> Answer:
        """Estimate the departure from the trend of the control.

        Parameters
        ----------
        data : DataFrame, one row for each period, treated and control in columns
        program : facts about the program
        draws : of a Bayesian fit
        rng : of its draws

        Raises
        ------
        CasesError
            The data are no controlled series; the message names the design that would fit.
        SpecError
            The horizon lies beyond the data.
        """
        return estimate_series(
            data, self._columns(), self._options(), program=program, draws=draws, rng=rng
        )

    def read(self, data: object) -> SeriesData:
        """Read and check a table as :meth:`estimate` does, and estimate nothing.

        Parameters
        ----------
        data : as for :meth:`estimate`

        Raises
        ------
        CasesError
            Every fault of the table at once.
        """
        return read_series(data, self._columns())

    def _columns(self) -> SeriesColumns:
        return SeriesColumns(
            outcome=self.outcome,
            time=self.time,
            start=self.start,
            trials=self.trials,
            exposure=self.exposure,
            control=self.control,
            control_trials=self.control_trials,
            control_exposure=self.control_exposure,
            covariates=self.covariates,
            family=self.family,
            unit=self.unit,
            gaps=self.gaps,
            ramp_up=self.ramp_up,
            others=self.other_interruptions,
            outcome_range=self.outcome_range,
            time_unit=self.time_unit,
            time_zone=self.time_zone,
        )

    def _options(self) -> SeriesOptions:
        return SeriesOptions(
            method=self.method,
            order=self.order,
            change=self.change,
            seasonality=self.seasonality,
            horizon=self.horizon,
            rho_prior=self.rho_prior,
            direction=self.direction,
            control_as=self.control_as,
        )
