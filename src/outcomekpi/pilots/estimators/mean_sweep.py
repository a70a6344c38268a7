"""The test of Mee and Chua for every mean that the population could have had."""

from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr

from outcomekpi.declare.alignment import align
from outcomekpi.declare.errors import SpecError
from outcomekpi.draws.intervals import DEFAULT_LEVEL, check_level, t_reach
from outcomekpi.pilots.estimators.selection_data import read_selected

__all__ = ["MeanSweep", "sweep_population_means"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeanSweep:
    """Effect left at each mean of the unselected population.

    Attributes
    ----------
    means : (mean,), of the population, in the unit of the readings
    effects, errors : (mean,), effect and its standard error
    degrees_of_freedom : of t
    nil_mean : mean of the population at which regression to the mean explains everything
    slope : of follow-up on baseline
    """

    means: Array
    effects: Array
    errors: Array
    degrees_of_freedom: int
    nil_mean: float
    slope: float

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per mean of the population.

        Returns
        -------
        DataFrame indexed by ``population_mean``: effect ``mean, lower, upper``, ``t`` and the
        two-sided ``p``
        """
        check_level(level)
        half = t_reach(self.degrees_of_freedom, level=level) * self.errors
        t = self.effects / self.errors
        frame = pd.DataFrame(
            {
                "mean": self.effects,
                "lower": self.effects - half,
                "upper": self.effects + half,
                "t": t,
                "p": 2 * stdtr(self.degrees_of_freedom, -np.abs(t)),
            },
            index=pd.Index(self.means, name="population_mean"),
        )
        frame.attrs.update(level=level)
        return frame

    def __repr__(self) -> str:
        frame = self.to_frame()
        clear = frame.index[(frame["lower"] > 0) | (frame["upper"] < 0)]
        said = "at no mean of the population is there a clear effect"
        if clear.size == frame.index.size:
            said = "there is a clear effect at every mean"
        elif clear.size:
            said = f"there is a clear effect at {clear.size} of {frame.index.size} means"
        return (
            f"MeanSweep from {self.means.min():.4g} to {self.means.max():.4g}: {said}; none at all "
            f"at {self.nil_mean:.4g}"
        )

    def _repr_html_(self) -> str:
        table = self.to_frame().head(8).to_html(float_format="{:.4g}".format)
        return f"<p><b>{escape(repr(self))}</b></p>{table}"


def sweep_population_means(before: ArrayLike, after: ArrayLike, *, means: ArrayLike) -> MeanSweep:
    """Effect beyond regression to the mean, whatever the mean of the population was.

    Parameters
    ----------
    before, after : (patient,), the reading that selected and the follow-up
    means : of the unselected population, all that could be

    Raises
    ------
    CasesError
        Arrays of different lengths, missing values or fewer than 3 patients.
    SpecError
        Baselines all alike, or no means.

    Notes
    -----
    Least squares of after - mu on before - mu; its intercept is the effect, t with n - 2 degrees
    of freedom. Effect nil at mu = (mean(after) - B mean(before)) / (1 - B).

    References
    ----------
    Mee & Chua (1991), The American Statistician 45:39-42. Ostermann, Willich & Lüdtke (2008), BMC
    Medical Research Methodology 8:52, doi:10.1186/1471-2288-8-52 (over unknown means).

    Examples
    --------
    >>> import outcomekpi as ok
    >>> before, after = [9.1, 8.4, 8.0, 8.8, 9.9, 8.2], [8.0, 7.9, 7.1, 8.2, 8.6, 7.3]
    >>> ok.sweep_population_means(before, after, means=[6.5, 7.0, 7.5])
    MeanSweep from 6.5 to 7.5: at no mean of the population is there a clear effect; none at all ...
    """
    before, after = align(before=before, after=after)
    wanted = np.atleast_1d(np.asarray(means, dtype=np.float64))
    if wanted.size == 0 or not np.isfinite(wanted).all():
        raise SpecError("means must hold at least one mean of the population, all finite.")
    patients = read_selected(
        before, after, cutoff=-np.inf, side="above", second_baseline=None, readings=1,
        clusters=None, target=False,
    )  # fmt: skip
    x, y = np.asarray(patients.before), patients.after
    deviations = x - x.mean()
    squares = float(deviations @ deviations)
    if squares == 0:
        raise SpecError("All baselines are alike: no slope of follow-up on baseline can be found.")
    slope = float(deviations @ y) / squares
    residual = y - y.mean() - slope * deviations
    variance = float(residual @ residual) / (x.size - 2)
    distance = wanted - x.mean()
    return MeanSweep(
        means=wanted,
        effects=y.mean() - wanted + slope * distance,
        errors=np.sqrt(variance * (1 / x.size + distance**2 / squares)),
        degrees_of_freedom=x.size - 2,
        nil_mean=float(np.divide(y.mean() - slope * x.mean(), 1 - slope)),
        slope=slope,
    )
