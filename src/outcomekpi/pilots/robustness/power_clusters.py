"""Plans of pilots with clusters: difference in differences, and stepped wedges."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Count, Positive, Probability, Range, Share
from outcomekpi.pilots.estimators.wedge_model import (
    CellVariance,
    Sample,
    fit_means,
    infer_terms,
    nested_exchangeable,
)
from outcomekpi.pilots.estimators.wedge_terms import ExposureModel, WedgeTerms, build_terms
from outcomekpi.pilots.ladder.findings import Rung
from outcomekpi.pilots.robustness.power_formula import Precision, two_sided_p
from outcomekpi.pilots.robustness.power_patients import POINTS, PlannedOutcome

__all__ = ["ClusterMemory", "DifferencePlan", "WedgePlan"]

Floats = NDArray[np.float64]
ClusterMemory = Literal["constant", "decaying"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferencePlan(PlannedOutcome):
    """A plan to compare clusters with and without the program, before and after (rung 4).

    Attributes
    ----------
    treated, controls : clusters
    before, after : periods
    patients : in each cluster and period, other ones each time
    base, sd : as in :class:`BeforeAfterPlan`
    icc : how alike patients of a cluster are in one period
    cac : correlation of a cluster's effect in two periods
    memory : "constant", the same correlation for any two periods, or "decaying", cac to the power
        of their distance

    Notes
    -----
    Variance of a cluster's mean after less mean before: c'Vc, with V = s^2 (icc R + (1 - icc)/m I)
    over its periods, R of ``memory``, c = -1/before, 1/after; over treated and controls
    c'Vc (1/treated + 1/controls). t with treated + controls - 2 degrees of freedom. The treated
    clusters' cells with the program have their own variance where the outcome is an event. A
    larger ICC need not lower the power: what lasts of a cluster cancels.

    Examples
    --------
    >>> from outcomekpi import DifferencePlan, pilot_power
    >>> plan = DifferencePlan(
    ...     treated=10, controls=10, before=4, after=4, patients=50, base=0.4, icc=0.05, cac=0.8
    ... )
    >>> round(pilot_power(plan).detectable(), 1)
    7.9
    """

    rungs: ClassVar[tuple[Rung, ...]] = (4,)
    size_name: ClassVar[str] = "clusters on each side"
    smallest: ClassVar[int] = 2

    treated: Count
    controls: Count
    before: Count
    after: Count
    patients: Count
    base: Probability | None = None
    sd: Positive | None = None
    icc: Share = 0.0
    cac: Share = 1.0
    memory: ClusterMemory = "constant"

    def __post_init__(self) -> None:
        PlannedOutcome.__post_init__(self)
        for name in ("treated", "controls"):
            value = getattr(self, name)
            if value == 1:
                raise SpecError(
                    f"{name}=1: with one cluster on a side nobody knows how much clusters vary "
                    "there, and no power can be given. Use SeriesPlan with a control."
                )

    @property
    def size(self) -> int:
        """Clusters on the smaller side."""
        return min(self.treated, self.controls)

    def resize(self, size: int) -> "DifferencePlan":
        """Return the same plan with as many clusters on each side."""
        return replace(self, treated=size, controls=size)

    def _memory(self) -> Floats:
        """Correlation (time, time) of a cluster's effects."""
        periods = np.arange(self.before + self.after)
        distance = np.abs(periods[:, None] - periods[None, :])
        if self.memory == "decaying":
            return np.asarray(np.power(self.cac, distance), dtype=np.float64)
        return np.where(distance == 0, 1.0, self.cac)

    def _change(self, before: float, after: float) -> float:
        """Variance of one cluster's mean after less its mean before."""
        periods = np.arange(self.before + self.after)
        is_after = periods >= self.before
        weights = np.where(is_after, 1.0 / self.after, -1.0 / self.before)
        spread = np.sqrt(np.where(is_after, after, before))
        together = self.icc * self._memory() + (1 - self.icc) / self.patients * np.eye(periods.size)
        return float((weights * spread) @ together @ (weights * spread))

    def precision(self, effect: float) -> Precision:
        """Say how precisely the plan tells an effect.

        Parameters
        ----------
        effect : in the unit of the plan
        """
        without, with_program = self.variance(effect)
        of_treated = self._change(without, with_program) / self.treated
        error = float(np.sqrt(of_treated + self._change(without, without) / self.controls))
        degrees = self.treated + self.controls - 2.0
        return Precision(se=error, se_null=error, degrees_of_freedom=degrees)

    def simulate(self, effect: float, *, replicates: int, rng: np.random.Generator) -> Floats:
        """Draw pilots and compare the changes of clusters by t: p-values (replicate,).

        Parameters
        ----------
        effect : in the unit of the plan
        replicates : number of pilots
        rng : source of random numbers
        """
        periods = self.before + self.after
        is_after = np.arange(periods) >= self.before
        values, vectors = np.linalg.eigh(self._memory())
        root = vectors * np.sqrt(np.maximum(values, 0))
        without, with_program = self.variance(effect)
        changes = []
        for count, shift in ((self.treated, effect), (self.controls, 0.0)):
            shape = (replicates, count, periods)
            variance = np.where(is_after & (shift != 0), with_program, without)
            level = np.sqrt(self.icc * variance) * (rng.normal(size=shape) @ root.T)
            mean = level + shift * is_after
            if self.base is None:
                noise = np.sqrt((1 - self.icc) * variance / self.patients)
                cells = mean + noise * rng.normal(size=shape)
            else:
                chance = np.clip(self.base + mean / POINTS, 0, 1)
                cells = POINTS * rng.binomial(self.patients, chance) / self.patients
            after = cells[:, :, is_after].mean(axis=2)
            changes.append(after - cells[:, :, ~is_after].mean(axis=2))
        return _pooled_t(*changes)


def _pooled_t(treated: Floats, controls: Floats) -> Floats:
    degrees = treated.shape[1] + controls.shape[1] - 2.0
    squares = sum(one.var(axis=1) * one.shape[1] for one in (treated, controls))
    error = np.sqrt(squares / degrees * (1 / treated.shape[1] + 1 / controls.shape[1]))
    gap = treated.mean(axis=1) - controls.mean(axis=1)
    return two_sided_p(np.divide(gap, error, out=np.zeros_like(gap), where=error > 0), degrees)


@dataclass(frozen=True, slots=True, kw_only=True)
class WedgePlan(PlannedOutcome):
    """A plan of a stepped wedge (rung 6).

    Attributes
    ----------
    clusters : in each wave
    waves : start times; there is one period more
    patients : in each cluster and period, other ones each time
    base, sd : as in :class:`BeforeAfterPlan`
    icc : how alike patients of a cluster are in one period
    cac : correlation of a cluster's effect in two periods; 1 is Hussey and Hughes's model
    effect_model : how the effect is modeled over the periods with the program; the target is its
        average over exposure times
    quantiles : "t", as :class:`SteppedWedge` tests, with Kenward and Roger's term and degrees of
        freedom at the planned variances, or "normal" (Hussey and Hughes)

    Notes
    -----
    Variance by generalized least squares of the cell means; with equal cells, a constant effect
    and normal quantiles it is Hussey and Hughes's closed form, with sigma^2 / n + gamma^2 for
    the variance of a cell. Events have the variance of the middle of both proportions. A larger
    ICC need not lower the power: what lasts of a cluster cancels.

    References
    ----------
    Hussey & Hughes (2007), Contemporary Clinical Trials 28, doi:10.1016/j.cct.2006.05.007.

    Examples
    --------
    >>> from outcomekpi import WedgePlan, pilot_power
    >>> plan = WedgePlan(
    ...     clusters=6, waves=4, patients=120, base=0.05, icc=0.00245, effect_model="constant"
    ... )
    >>> round(pilot_power(plan, effect=-1.5).power(), 2)
    0.77
    """

    rungs: ClassVar[tuple[Rung, ...]] = (6,)
    size_name: ClassVar[str] = "clusters in each wave"
    smallest: ClassVar[int] = 1

    clusters: Count
    waves: Annotated[int, Range(low=2)]
    patients: Annotated[int, Range(low=2)]
    base: Probability | None = None
    sd: Positive | None = None
    icc: Share = 0.0
    cac: Share = 1.0
    effect_model: ExposureModel = "by period"
    quantiles: Literal["t", "normal"] = "t"

    def __post_init__(self) -> None:
        PlannedOutcome.__post_init__(self)
        if self.clusters * self.waves < 3:
            raise SpecError("A stepped wedge needs 3 clusters or more.")

    @property
    def size(self) -> int:
        """Clusters in each wave."""
        return self.clusters

    def resize(self, size: int) -> "WedgePlan":
        """Return the same plan with other clusters in each wave."""
        return replace(self, clusters=size)

    def exposure(self) -> NDArray[np.intp]:
        """(cluster, time), periods with the program so far."""
        first = np.repeat(np.arange(1, self.waves + 1), self.clusters)
        return np.asarray(np.maximum(np.arange(self.waves + 1)[None, :] - first[:, None] + 1, 0))

    def _model(self, exposure: NDArray[np.intp]) -> tuple[Floats, CellVariance, WedgeTerms]:
        size = np.full(exposure.shape, float(self.patients))
        variance = nested_exchangeable(size, has_within=True)
        return size, variance, build_terms(exposure, size > 0, self.effect_model)

    def _components(self, variance: float) -> Floats:
        shares = [self.icc * self.cac, self.icc * (1 - self.cac), 1 - self.icc]
        return variance * np.array(shares)

    def precision(self, effect: float) -> Precision:
        """Say how precisely the plan tells an effect.

        Parameters
        ----------
        effect : in the unit of the plan
        """
        middle = self.variance(effect / 2.0)[1]
        self.variance(effect)
        size, variance, terms = self._model(self.exposure()[:: self.clusters])
        components = self._components(middle)
        fit = infer_terms(components, size, variance, terms.values, copies=self.clusters)
        _, error, degrees = fit.contrast(terms.average)
        if self.quantiles == "normal":
            error = float(np.sqrt(terms.average @ fit.plain_covariance @ terms.average))
            degrees = float("inf")
        return Precision(se=error, se_null=error, degrees_of_freedom=degrees)

    def simulate(self, effect: float, *, replicates: int, rng: np.random.Generator) -> Floats:
        """Draw trials, fit each as :class:`SteppedWedge` does, and test: p-values (replicate,).

        Parameters
        ----------
        effect : in the unit of the plan, the same from the start on
        replicates : number of trials
        rng : source of random numbers
        """
        size, variance, terms = self._model(self.exposure())
        program = self.exposure() > 0
        tau, gamma, sigma = np.sqrt(self._components(self.variance(0.0)[0]))
        found = np.empty((replicates, 3))
        for place in range(replicates):
            level = tau * rng.normal(size=(len(size), 1)) + gamma * rng.normal(size=size.shape)
            level = level + effect * program
            if self.base is None:
                mean = level + sigma / np.sqrt(self.patients) * rng.normal(size=size.shape)
                within = sigma**2 * float(rng.chisquare(size.sum() - size.size))
            else:
                chance = np.clip(self.base + level / POINTS, 0, 1)
                share = rng.binomial(self.patients, chance) / self.patients
                mean = POINTS * share
                within = POINTS**2 * float((size * share * (1 - share)).sum())
            sample = Sample(
                mean=mean,
                present=size > 0,
                within=within,
                within_degrees=int(size.sum() - size.size),
            )
            found[place] = fit_means(sample, variance, terms.values).contrast(terms.average)
        degrees = np.inf if self.quantiles == "normal" else found[:, 2]
        return two_sided_p(found[:, 0] / found[:, 1], degrees)
