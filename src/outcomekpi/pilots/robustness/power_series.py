"""Plans of interrupted and controlled series: generalized least squares with known noise."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Positive, Range
from outcomekpi.draws.nodes import normal_nodes
from outcomekpi.pilots.data.series import FEW_POINTS
from outcomekpi.pilots.estimators.segmented import SeriesFit, fit_restricted, fit_with_noise
from outcomekpi.pilots.ladder.findings import Rung
from outcomekpi.pilots.robustness.power_formula import Noise, Precision, two_sided_p

__all__ = ["SeriesEstimand", "SeriesPlan"]

Floats = NDArray[np.float64]
SeriesEstimand = Literal["average", "level", "slope", "last"]
NODES = 21
LARGEST = 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPlan:
    """A plan of an interrupted series, with or without a control (rungs 2 and 3).

    Attributes
    ----------
    before, after : points
    sd : standard deviation of a point around trend and season
    rho : correlation of neighboring points
    estimand : "average" effect over the points after the start, "level" change at it, "slope"
        change for each point, or the effect at the "last" point
    change : which changes the model has
    control_sd : standard deviation of a point of the control around its trend; None without one
    control_correlation : of treated and control at the same time, around their trends

    Notes
    -----
    Terms 1, s, D, D s as in :class:`InterruptedSeries`; variance of the contrast by generalized
    least squares at the planned rho. The test divides by an error that depends on an estimated
    rho: with 8 points a side or more, its power is averaged over the large-sample distribution
    of that estimate (below, Kenward and Roger's degrees of freedom alone stand for it). A control
    leaves the distance: sd^2 + control_sd^2 - 2 r sd control_sd, with the same rho.

    Examples
    --------
    >>> from outcomekpi import SeriesPlan, pilot_power
    >>> plan = SeriesPlan(before=24, after=24, sd=5, rho=0.4, estimand="level")
    >>> round(pilot_power(plan).detectable(), 1)
    11.9
    """

    rungs: ClassVar[tuple[Rung, ...]] = (2, 3)
    size_name: ClassVar[str] = "points on each side"
    smallest: ClassVar[int] = 4

    before: Annotated[int, Range(low=4)]
    after: Annotated[int, Range(low=4)]
    sd: Positive
    rho: Annotated[float, Range(low=-1, high=1, inside="both")]
    estimand: SeriesEstimand = "average"
    change: Literal["level and slope", "level", "slope"] = "level and slope"
    control_sd: Positive | None = None
    control_correlation: Annotated[float, Range(low=-1, high=1)] = 0.0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.estimand in ("level", "slope") and self.estimand not in self.change:
            raise SpecError(
                f"estimand={self.estimand!r} is not in a model with change={self.change!r}."
            )

    @property
    def size(self) -> int:
        """Points on the shorter side."""
        return min(self.before, self.after)

    @property
    def effect_unit(self) -> str:
        """Unit of the effect."""
        return "units of the outcome" + (" a point" if self.estimand == "slope" else "")

    @property
    def limits(self) -> tuple[float, float]:
        """Largest fall and rise."""
        return float("-inf"), float("inf")

    @property
    def noise(self) -> float:
        """Standard deviation of a point, or of its distance from the control."""
        if self.control_sd is None:
            return self.sd
        shared = 2 * self.control_correlation * self.sd * self.control_sd
        return float(np.sqrt(max(self.sd**2 + self.control_sd**2 - shared, 1e-300)))

    def resize(self, size: int) -> "SeriesPlan":
        """Return the same plan with as many points on each side."""
        return replace(self, before=size, after=size)

    def _terms(self) -> tuple[Floats, Floats]:
        """Terms (time, term), and the weights of the estimand."""
        since = np.arange(self.before + self.after, dtype=np.float64) - self.before
        began = (since >= 0).astype(np.float64)
        columns = [np.ones_like(since), since]
        weights = [0.0, 0.0]
        last = self.after - 1.0
        if "level" in self.change:
            columns.append(began)
            weights.append(0.0 if self.estimand == "slope" else 1.0)
        if "slope" in self.change:
            columns.append(began * since)
            reach = {"average": last / 2, "level": 0.0, "slope": 1.0, "last": last}
            weights.append(reach[self.estimand])
        return np.column_stack(columns), np.array(weights)

    def precision(self, effect: float) -> Precision:
        """Say how precisely the plan tells an effect.

        Parameters
        ----------
        effect : in the unit of the plan; the precision does not depend on it
        """
        terms, weights = self._terms()
        fit, error, degrees = self._at(terms, weights, self.rho)
        if self.size < FEW_POINTS:
            return Precision(se=error, se_null=error, degrees_of_freedom=degrees)
        plain = float(np.sqrt(weights @ fit.plain_covariance @ weights / fit.variance))
        return Precision(
            se=plain * self.noise,
            se_null=error,
            degrees_of_freedom=degrees,
            noises=self._noises(terms, weights, fit.parameter_covariance),
        )

    def _at(self, terms: Floats, weights: Floats, rho: float) -> tuple[SeriesFit, float, float]:
        """Fit, standard error and degrees of freedom at an autocorrelation."""
        # the small-sample terms do not depend on the outcome, and scale with the variance
        fit = fit_with_noise(terms, np.cos(np.arange(len(terms)) ** 2.0), np.array([rho]))
        _, error, degrees = fit.contrast(weights)
        return fit, error * self.noise / float(np.sqrt(fit.variance)), degrees

    def _noises(self, terms: Floats, weights: Floats, covariance: Floats) -> tuple[Noise, ...]:
        """Spread the estimates of autocorrelation and variance around the planned ones."""
        nodes, shares = normal_nodes(NODES)
        slope = covariance[0, 1] / covariance[1, 1]
        rest = float(covariance[0, 0] - slope * covariance[0, 1])
        spread = float(np.sqrt(covariance[1, 1]))
        found = []
        for node, share in zip(nodes, shares, strict=True):
            moved = np.tanh(np.arctanh(self.rho) + spread / (1 - self.rho**2) * node)
            rho = float(np.clip(moved, -LARGEST, LARGEST))
            _, error, degrees = self._at(terms, weights, rho)
            scale = float(np.exp(slope * spread * node / 2.0))
            found.append(
                Noise(
                    weight=float(share),
                    se=error * scale,
                    degrees_of_freedom=degrees,
                    spread_degrees=2.0 / rest,
                )
            )
        return tuple(found)

    def simulate(self, effect: float, *, replicates: int, rng: np.random.Generator) -> Floats:
        """Draw series, fit each by restricted likelihood, and test: p-values (replicate,).

        Parameters
        ----------
        effect : in the unit of the plan; it comes at once and stays, or grows for "slope"
        replicates : number of series
        rng : source of random numbers
        """
        terms, weights = self._terms()
        shape = terms[:, -1] if self.estimand == "slope" else (terms[:, 1] >= 0).astype(np.float64)
        if self.change == "slope" and self.estimand != "slope":
            shape = terms[:, -1] / float(weights[-1])
        count = len(terms)
        draws = rng.normal(size=(replicates, count))
        noise = np.empty_like(draws)
        noise[:, 0] = draws[:, 0]
        for time in range(1, count):
            step = np.sqrt(1 - self.rho**2) * draws[:, time]
            noise[:, time] = self.rho * noise[:, time - 1] + step
        outcomes = effect * shape + self.noise * noise
        found = [fit_restricted(terms, one, 1).contrast(weights) for one in outcomes]
        table = np.array(found)
        return two_sided_p(table[:, 0] / table[:, 1], table[:, 2])
