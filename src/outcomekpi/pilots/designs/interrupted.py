"""Rung 2: one interrupted series, with intervals that carry its autocorrelation."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from outcomekpi.pilots.data.series import SeriesData, read_series
from outcomekpi.pilots.designs.series_design import SeriesDesign
from outcomekpi.pilots.designs.series_estimation import estimate_series
from outcomekpi.pilots.ladder.findings import Answer, Rung
from outcomekpi.pilots.ladder.program import Program

__all__ = ["InterruptedSeries"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptedSeries(SeriesDesign):
    """One series of periods, interrupted by the start of a program (rung 2).

    Attributes
    ----------
    outcome : column of the mean or the count of each period
    time : column of numbers, dates, or text such as "2024-07" or "2024Q3"; one row for each
    start : first time with the program, as in that column
    trials, exposure : column of the denominators of a binomial or a Poisson outcome
    covariates : columns that are in the model linearly, such as the mean age of each period
    family : "gaussian", "binomial" (log odds) or "poisson" (log rate)
    method : "auto" is "reml", or "structural_trend" where the series wanders: where its
        autocorrelation is .5 or more and may be 1 by its 95 % likelihood interval. "reml",
        restricted likelihood with Kenward-Roger intervals; "prais_winsten"; "bayes", an exact
        posterior (Gaussian, order 1); "structural_trend", a level that wanders about the straight
        trend; "structural", one that wanders in place of it (Gaussian); "quasi", dispersion
        without autocorrelation (counts); "independent", least squares or the plain likelihood. The
        last two are for comparison with published figures: their intervals are too narrow where
        neighboring points are alike
    order : of the autoregression
    change : which changes the program makes: "level and slope", "level" or "slope"
    seasonality : seasons of the series, or None
    horizon : periods after the first one with the program at which the effect is asked; None is
        the last one in the data
    rho_prior : prior of the autocorrelation in a Bayesian fit; every one is reported
    ramp_up : periods from the start that count neither as before nor as after
    gaps : "error" refuses periods without a row or value, "missing" integrates them out
    unit : of a Gaussian outcome, in words; "%" checks that it lies in 0 to 100
    other_interruptions : what else changed level or slope, at other times than the program; each
        has an effect of its own, which is in the counterfactual
    outcome_range : lowest and highest value that a Gaussian outcome can have, such as (0, 10);
        "%" has 0 and 100. What is printed respects it
    time_unit : what labels such as 2024-1 or 20241 name, where several units would fit:
        "half-year", "quarter" or "month"
    time_zone : whose days count where times have an offset from UTC, such as "Europe/Berlin"
    direction : whether "higher" or "lower" is better; None words no side

    Notes
    -----
    The main effect is the average over the observed periods after the start (its ratio for rates),
    a contrast of expected values. *Observed minus forecast* compares the points themselves, their
    noise included, with the forecast from the points before the start. docs/methods/interrupted.md
    has the formulas and the measured coverage.

    References
    ----------
    Kenward & Roger (1997), Biometrics 53. Turner et al. (2021), BMC Medical Research Methodology
    21, doi:10.1186/s12874-021-01364-0. Lopez Bernal, Cummins & Gasparrini (2017), International
    Journal of Epidemiology 46, doi:10.1093/ije/dyw098.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from outcomekpi.pilots.ladder.comparison import compare_pilot
    >>> rate = 50 + np.random.default_rng(1).normal(size=48) + 4 * (np.arange(48) >= 24)
    >>> frame = pd.DataFrame({"month": range(1, 49), "rate": rate})
    >>> design = InterruptedSeries(outcome="rate", time="month", start=25, unit="%")
    >>> bool(compare_pilot(frame, design).main.excludes_null(level=0.95))
    True
    """

    rung: ClassVar[Rung] = 2

    def estimate(
        self, data: object, *, program: Program, draws: int, rng: np.random.Generator
    ) -> Answer:
        """Estimate the departure from the trend before the program.

        Parameters
        ----------
        data : DataFrame, one row for each period
        program : facts about the program
        draws : of a Bayesian fit
        rng : of its draws

        Raises
        ------
        CasesError
            The data are no interrupted series; the message names the design that would fit.
        SpecError
            The horizon lies beyond the data.
        """
        return estimate_series(data, self, program=program, draws=draws, rng=rng)

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
        return read_series(data, self)
