"""Draws of what stands behind published figures: sampling, rounding, drift, attrition, effect."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtr

from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.pilots.estimators.aggregate_priors import AggregatePriors, PriorRange
from outcomekpi.pilots.estimators.possible_figures import slice_after
from outcomekpi.pilots.estimators.published import PublishedFigures
from outcomekpi.tables.cases import Direction

__all__ = ["AggregateDraws", "change_side", "draw_aggregates", "keep_all", "without_program"]

Array = NDArray[np.float64]

POOL = 12
"""Candidates for each draw that is kept."""

MOST_LIKELY = 0.995
"""Pairing correlations are cut here: two figures never share all of their sampling error."""

EDGE = 1e-3
"""Proportions without the program stay this far from 0 and 1, so that ratios are finite."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AggregateDraws:
    """Posterior draws of the proportions behind two published figures.

    Attributes
    ----------
    before, after : (draw,), true proportions in the counted patients
    with_program, without_program : (draw,), proportions at the second time in everybody who was
        counted at the first: with the program, and had there been none
    unknowns : name -> (draw,), what was not published; trend, regression to the mean and attrition
        carry the sign of the outcome (positive pushes the second figure up)
    ranges : name -> prior range of each of them
    direction : side that was taken as the better one
    candidates : effective number of the candidates that the draws were chosen from
    """

    before: Array
    after: Array
    with_program: Array
    without_program: Array
    unknowns: dict[str, Array]
    ranges: dict[str, PriorRange]
    direction: Direction
    candidates: float

    @property
    def effect(self) -> Array:
        """(draw,), effect of the program in percentage points."""
        return 100 * (self.with_program - self.without_program)


def draw_aggregates(
    figures: PublishedFigures,
    priors: AggregatePriors,
    *,
    direction: Direction | None,
    selected: bool | None,
    draws: int,
    rng: np.random.Generator,
) -> AggregateDraws:
    """Posterior of the proportions with and without the program, given figures and priors.

    Parameters
    ----------
    figures : as published
    priors : for everything else
    direction : which side trend, regression to the mean and attrition push to; None takes the
        side of the published change
    selected : whether patients entered because of their baseline
    draws : to keep
    rng : source of random numbers

    Raises
    ------
    CasesError
        The level before is unknown and has no prior.
    SpecError
        Priors and figures agree nowhere.

    Notes
    -----
    Candidates come from proposals that are exact but for a weight, and are chosen in proportion
    to it. Proportions as counted: uniform over the polygon that rounds to the figures. True
    proportions: beta distributions with n / (1 + (m - 1) ICC) patients' worth of information
    (flat prior), tied by a normal copula with the pairing correlation. Weight: length of the
    polygon's slice, density of the base, |d with program / d after| (so that the proportion under
    the program, not the published one, is flat beforehand), and the skeptical prior of the effect.
    A change that was published as a success points to the better side by itself, and choosing what
    to publish by its figures leaves a posterior given these figures as it is.
    """
    if not figures.base_is_known and priors.base is None:
        raise CasesError(
            "Only a change was published: the effect in points needs a level before. Give "
            "AggregatePriors(base=PriorRange(...)), or take the bounds."
        )
    size = POOL * draws
    ranges = _ranges(figures, priors, selected)
    unknowns = {name: one.quantiles(rng.random(size)) for name, one in ranges.items()}
    before, after, weight = _draw_proportions(figures, unknowns, priors, rng)
    direction = change_side(figures) if direction is None else direction
    sign = 1.0 if direction == "higher" else -1.0
    for name in ("trend", "regression to the mean", "attrition"):
        unknowns[name] = sign * unknowns[name]
    years = np.nan if figures.years is None else figures.years
    with_program, slope = keep_all(after, unknowns["attrition"])
    weight = weight * slope
    without = without_program(
        before, unknowns["trend"] * years + unknowns["regression to the mean"]
    )
    if priors.effect_sd is not None and figures.years is not None:
        weight = weight * np.exp(-0.5 * (100 * (with_program - without) / priors.effect_sd) ** 2)
    unknowns = {name: values for name, values in unknowns.items() if np.ptp(values) > 0}
    chosen, candidates = _choose(weight, draws, rng)
    return AggregateDraws(
        before=before[chosen],
        after=after[chosen],
        with_program=with_program[chosen],
        without_program=without[chosen],
        unknowns={name: values[chosen] for name, values in unknowns.items()},
        ranges=ranges,
        direction=direction,
        candidates=candidates,
    )


def change_side(figures: PublishedFigures) -> Direction:
    """Side that the published change points to; "higher" where nothing changed."""
    pair = figures.face_values()
    rise = (figures.change or 0.0) if pair is None else pair[1] - pair[0]
    return "higher" if rise >= 0 else "lower"


def keep_all(after: Array, attrition: Array) -> tuple[Array, Array]:
    """Proportion at the second time had nobody left the count, and its slope in the published one.

    Parameters
    ----------
    after : proportion among those who are still counted
    attrition : share of those without the outcome who left (positive), or of those with it who
        left (negative)

    Returns
    -------
    proportion, slope : q = p (1 - x) / (1 - x p) and dq/dp = (1 - x) / (1 - x p)^2; for negative
        x the same of the complements
    """
    left = np.abs(attrition)
    counted = np.where(attrition >= 0, after, 1 - after)
    full = counted * (1 - left) / (1 - left * counted)
    slope = (1 - left) / (1 - left * counted) ** 2
    return np.where(attrition >= 0, full, 1 - full), slope


def without_program(before: Array, drift: Array) -> Array:
    """Proportion after a drift in percentage points, kept a tenth of a point inside 0 and 1."""
    return np.clip(before + drift / 100, EDGE, 1 - EDGE)


def _ranges(
    figures: PublishedFigures, priors: AggregatePriors, selected: bool | None
) -> dict[str, PriorRange]:
    ranges = {
        "ICC": priors.icc,
        "patients per doctor": priors.patients_per_doctor,
        "pairing": priors.pairing,
        "trend": priors.trend,
        "regression to the mean": priors.regression_range(selected),
        "attrition": priors.attrition,
    }
    if figures.n_before is None or figures.n_after is None:
        ranges["patients"] = priors.patients
    return ranges


def _draw_proportions(
    figures: PublishedFigures,
    unknowns: dict[str, Array],
    priors: AggregatePriors,
    rng: np.random.Generator,
) -> tuple[Array, Array, Array]:
    corners = figures.possible()
    size = len(unknowns["ICC"])
    counted_before = rng.uniform(corners[:, 0].min(), corners[:, 0].max(), size)
    lower, upper = slice_after(corners, counted_before)
    counted_after = lower + (upper - lower) * rng.random(size)
    pairing = np.minimum(unknowns["pairing"], MOST_LIKELY)
    first = rng.normal(size=size)
    second = pairing * first + np.sqrt(1 - pairing**2) * rng.normal(size=size)
    worth_before = _effective_patients(figures.n_before, unknowns)
    worth_after = _effective_patients(figures.n_after, unknowns)
    before = _draw_true(counted_before, worth_before, ndtr(first))
    after = _draw_true(counted_after, worth_after, ndtr(second))
    weight = upper - lower
    if priors.base is not None and not figures.base_is_known:
        weight = weight * _base_density(priors.base, before)
    return before, after, weight


def _base_density(base: PriorRange, before: Array) -> Array:
    if base.is_known:
        raise SpecError(
            "A known base is a published figure: give it as before=..., not as a prior."
        )
    return base.density(before)


def _effective_patients(published: int | None, unknowns: dict[str, Array]) -> Array:
    patients = unknowns["patients"] if published is None else np.array(float(published))
    per_doctor = np.minimum(unknowns["patients per doctor"], patients)
    return patients / (1 + (per_doctor - 1) * unknowns["ICC"])


def _draw_true(counted: Array, worth: Array, place: Array) -> Array:
    return np.asarray(betaincinv(worth * counted + 1, worth * (1 - counted) + 1, place))


def _choose(weight: Array, draws: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], float]:
    total = weight.sum()
    if not total > 0:
        raise SpecError(
            "The priors rule out what was published. Widen the range of the base, or of the effect."
        )
    share = weight / total
    return rng.choice(len(weight), size=draws, p=share), float(1 / (share**2).sum())
