"""A stepped wedge fitted: effects over exposure time, on absolute and relative scales."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError
from outcomekpi.draws.memory import remembered
from outcomekpi.pilots.data.percent_check import is_percent
from outcomekpi.pilots.designs.wedge_data import WedgeRows
from outcomekpi.pilots.estimators.start_permutation import (
    StartTest,
    draw_assignments,
    randomization_interval,
)
from outcomekpi.pilots.estimators.wedge_model import (
    CellVariance,
    WedgeFit,
    exchangeable,
    fit_means,
    nested_exchangeable,
)
from outcomekpi.pilots.estimators.wedge_terms import ExposureModel, WedgeTerms, build_terms
from outcomekpi.pilots.ladder.estimates import Estimate

if TYPE_CHECKING:
    from outcomekpi.pilots.designs.stepped_wedge import SteppedWedge

__all__ = [
    "WedgeAnswer",
    "WedgeCorrelation",
    "WedgeInference",
    "answer_wedge",
    "effect_estimate",
    "fit_effect",
]

Floats = NDArray[np.float64]
WedgeCorrelation = Literal["nested exchangeable", "exchangeable"]
WedgeInference = Literal["kenward_roger", "randomization"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WedgeAnswer:
    """What the model of a stepped wedge says.

    Attributes
    ----------
    rows : the data
    design : how they were modeled
    terms, variance, fit : the model
    estimates : the main effect first
    naive : cells with the program less cells without it
    test : randomization of the start times
    scale : 100 for percentage points, else 1
    unit : of the effect
    """

    rows: WedgeRows
    design: "SteppedWedge"
    terms: WedgeTerms
    variance: CellVariance
    fit: WedgeFit
    estimates: tuple[Estimate, ...]
    naive: Estimate
    test: StartTest
    scale: float
    unit: str

    @property
    def main(self) -> Estimate:
        """The main effect."""
        return self.estimates[0]

    @property
    def holds_percentages(self) -> bool:
        """Whether means and effects are in percent, from 0 to 100."""
        return self.design.family == "binomial" or is_percent(self.design.measured_in)


@remembered
def fit_effect(
    rows: WedgeRows, effect: ExposureModel, correlation: WedgeCorrelation
) -> tuple[WedgeTerms, CellVariance, WedgeFit]:
    """Fit the model of cell means.

    Parameters
    ----------
    rows : cells
    effect : what the program does over the periods with it
    correlation : of two patients of a cluster

    Raises
    ------
    CasesError
        The cells do not tell the terms apart, or hold no noise.
    """
    terms = build_terms(rows.exposure, rows.sample.present, effect)
    make = nested_exchangeable if correlation == "nested exchangeable" else exchangeable
    variance = make(rows.size, has_within=rows.has_within)
    return terms, variance, fit_means(rows.sample, variance, terms.values)


def answer_wedge(
    rows: WedgeRows,
    design: "SteppedWedge",
    *,
    draws: int,
    rng: np.random.Generator,
) -> WedgeAnswer:
    """Fit a stepped wedge and list its effects.

    Parameters
    ----------
    rows : the data
    design : how to model them
    draws : random assignments of the start times, where there are more than this
    rng : of them
    """
    _check_noise(rows)
    terms, variance, fit = fit_effect(rows, design.effect, design.correlation)
    binary = design.family == "binomial"
    scale = 100.0 if binary else 1.0
    unit = "percentage points" if binary else design.measured_in or "units of the outcome"
    assignments, complete = draw_assignments(rows.first, most=draws, rng=rng)
    periods = int(rows.seen.sum())
    test = StartTest(
        sample=rows.sample,
        variance=variance,
        periods=terms.values[:, :, :periods],
        assignments=assignments,
        complete=complete,
    )
    main = _main(fit, terms, design, test, scale, unit)
    estimates = (main, *_relative(rows, fit, terms, binary), *_others(fit, terms, scale, unit))
    if binary or is_percent(design.measured_in):
        # a difference of two percentages
        estimates = tuple(
            one if one.unit == "ratio" else replace(one, bounds=(-100.0, 100.0))
            for one in estimates
        )
    return WedgeAnswer(
        rows=rows,
        design=design,
        terms=terms,
        variance=variance,
        fit=fit,
        estimates=estimates,
        naive=_naive(rows, scale, unit),
        test=test,
        scale=scale,
        unit=unit,
    )


def _check_noise(rows: WedgeRows) -> None:
    mean = rows.sample.mean[rows.sample.present]
    if rows.sample.within == 0 and np.ptp(mean) <= 1e-12 * max(float(np.abs(mean).max()), 1e-300):
        raise CasesError(
            f"The outcome is {mean[0]:g} in every cluster and period: nothing can be estimated."
        )


def effect_estimate(
    fit: WedgeFit, weights: Floats, *, name: str, scale: float, unit: str
) -> Estimate:
    """Turn a linear combination of coefficients into an estimate."""
    value, error, degrees = fit.contrast(weights)
    return Estimate(
        name=name,
        unit=unit,
        value=scale * value,
        se=scale * error,
        degrees_of_freedom=degrees,
        origin=f"restricted likelihood, Kenward-Roger, t with {degrees:.3g} degrees of freedom"
        if np.isfinite(degrees)
        else "restricted likelihood, normal",
    )


def _main(
    fit: WedgeFit,
    terms: WedgeTerms,
    design: "SteppedWedge",
    test: StartTest,
    scale: float,
    unit: str,
) -> Estimate:
    name = "effect" if design.effect == "constant" else "average effect over exposure times"
    found = effect_estimate(fit, terms.average, name=name, scale=scale, unit=unit)
    if design.inference == "kenward_roger" or found.se is None:
        return found
    center, error = found.value / scale, found.se / scale

    def limits(level: float) -> tuple[float, float]:
        low, high = randomization_interval(test, level=level, center=center, error=error)
        return scale * low, scale * high

    count = test.assignments.shape[0]
    how = f"all {count:,}" if test.complete else f"{count:,} random"
    return Estimate(
        name=name,
        unit=unit,
        value=found.value,
        limits=limits,
        origin=f"randomization test inverted, {how} assignments of the start times",
    )


def _relative(
    rows: WedgeRows, fit: WedgeFit, terms: WedgeTerms, binary: bool
) -> tuple[Estimate, ...]:
    """Ratio of the means with and without the program, in the cells with it."""
    program = (rows.exposure > 0) & rows.sample.present
    weights = np.where(program, rows.size, 0.0)[:, :, None] / rows.size[program].sum()
    without = (weights * terms.values).sum(axis=(0, 1)) * (terms.effects == 0).all(axis=0)
    base = float(without @ fit.coefficients)
    value = base + float(terms.average @ fit.coefficients)
    lowest = rows.sample.mean[rows.sample.present].min()
    if base <= 0 or value <= 0 or (not binary and lowest <= 0):
        return ()
    gradient = (without + terms.average) / value - without / base
    _, error, degrees = fit.contrast(gradient)
    return (
        Estimate(
            name="risk ratio" if binary else "ratio of means",
            unit="ratio",
            value=value / base,
            scale="log",
            se=error,
            degrees_of_freedom=degrees,
            origin="delta method on the logarithm, t",
        ),
    )


def _others(fit: WedgeFit, terms: WedgeTerms, scale: float, unit: str) -> tuple[Estimate, ...]:
    """First and longest exposure, where the effect may change over time."""
    count = terms.effects.shape[0]
    if count < 2 or (terms.effects == terms.effects[0]).all():
        return ()
    names = {
        place: f"effect in period {terms.exposures[place]} with the program"
        for place in (0, count - 1)
    }
    if terms.exposures[0] == 1:
        names[0] = "effect in the first period with the program"
    return tuple(
        effect_estimate(fit, terms.effects[place], name=name, scale=scale, unit=unit)
        for place, name in names.items()
    )


def _naive(rows: WedgeRows, scale: float, unit: str) -> Estimate:
    program = rows.exposure > 0
    sides = [
        float((rows.size * rows.sample.mean)[side].sum() / rows.size[side].sum())
        for side in (program, ~program)
    ]
    return Estimate(
        name="all with the program less all without",
        unit=unit,
        value=scale * (sides[0] - sides[1]),
        origin="no interval: periods and clusters are left out",
    )
