"""Funnel limits: how far chance alone would carry a doctor with this many expected events."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.alignment import align
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Level, Range
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.lineage.origins import Provenance
from outcomekpi.profiling.funnel_quantiles import LimitRule, limits_at, tails_at
from outcomekpi.profiling.overdispersion import (
    Distribution,
    Outliers,
    Transform,
    ZScores,
    beta_binomial_precision,
    dispersion,
    negative_binomial_size,
    z_scores,
)
from outcomekpi.profiling.standardization import StandardizedRates

__all__ = [
    "FUNNEL_LEVELS",
    "FunnelLimits",
    "Overdispersion",
    "check_events",
    "check_rule",
    "check_whole_counts",
    "count_limits",
    "funnel_limits",
]

Array = NDArray[np.float64]
FUNNEL_LEVELS = (0.95, 0.998)


# What funnel limits may be asked for, and which counts they can be computed from
Overdispersion = Literal["none", "multiplicative", "additive", "predictive"]


def check_rule(rule: LimitRule, levels: tuple[float, ...]) -> None:
    """Refuse options that exclude each other, and limits at no level."""
    if not levels:
        raise SpecError("levels must hold at least one probability, for example (0.95, 0.998).")
    if rule.distribution == "normal" and rule.overdispersion == "predictive":
        raise SpecError("Predictive limits are for events; use overdispersion='additive'.")


def check_events(observed: Array, expected: Array, cases: Array | None) -> None:
    """Refuse expected events that are not positive, and more events than cases."""
    wrong = np.flatnonzero(~(expected > 0))
    if wrong.size:
        raise SpecError(
            f"Expected events must be positive. {wrong.size} of {expected.size} doctors have "
            f"others, the first at position {wrong[0]} ({expected[wrong[0]]!r})."
        )
    if cases is not None and ((expected > cases).any() or (observed > cases).any()):
        first = int(np.flatnonzero((expected > cases) | (observed > cases))[0])
        raise SpecError(
            f"Events exceed cases at position {first}: observed {observed[first]:g}, expected "
            f"{expected[first]:g}, cases {cases[first]:g}. Leave cases out for Poisson limits."
        )


def check_whole_counts(observed: Array, cases: Array) -> None:
    """Refuse parts of events or cases, for which there are no exact limits."""
    parts = np.flatnonzero((observed != np.round(observed)) | (cases != np.round(cases)))
    if parts.size:
        raise SpecError(
            f"Exact limits are those of whole counts. {parts.size} of {observed.size} doctors have "
            f"parts of events or cases, the first at position {parts[0]} ({observed[parts[0]]:g} "
            f"events, {cases[parts[0]]:g} cases). Count whole ones, or take method='normal'."
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FunnelLimits:
    """Control limits of every doctor, and of any number of expected events.

    Attributes
    ----------
    observed, expected, cases : (doctor,), events, events of an average doctor, patients
    precision : (doctor,), what limits depend on: expected events (cases for a Gaussian outcome)
    value : (doctor,), what is compared: O/E x ``center`` (Gaussian: center + (O - E)/n)
    at_most, at_least : (doctor,), probability by chance alone of as few events as observed, and
        of as many (normal limits: the tails of the z-score)
    center : value of a doctor whose observed equal his expected events
    levels : probabilities inside the limits, ascending
    lower, upper : (doctor, level)
    rule : how the limits were computed, with phi, tau² or the fitted precision
    unit : of values and limits
    provenance : of the fit; None where the events were computed elsewhere
    """

    observed: pd.Series
    expected: pd.Series
    cases: pd.Series
    precision: pd.Series
    value: pd.Series
    at_most: pd.Series
    at_least: pd.Series
    center: float
    levels: tuple[float, ...]
    lower: pd.DataFrame
    upper: pd.DataFrame
    rule: LimitRule
    unit: str
    provenance: Provenance | None = None

    def to_frame(self) -> pd.DataFrame:
        """One row per doctor, in the order given.

        Returns
        -------
        DataFrame indexed by doctor: ``cases, observed, expected, precision, value, at_most,
        at_least``; for each level ``lower_95, upper_95`` and so on; ``beyond``, the highest level
        outside of which the doctor lies, 0 where none; ``side``, "high", "low" or "". Outside is
        whose own tail is less probable than the level leaves to one side, (1 - level)/2.
        """
        frame = pd.DataFrame(
            {
                "cases": self.cases,
                "observed": self.observed,
                "expected": self.expected,
                "precision": self.precision,
                "value": self.value,
                "at_most": self.at_most,
                "at_least": self.at_least,
            }
        )
        beyond, side = np.zeros(len(frame)), np.full(len(frame), "", dtype=object)
        for level in self.levels:
            frame[f"lower_{_percent(level)}"] = self.lower[level].to_numpy()
            frame[f"upper_{_percent(level)}"] = self.upper[level].to_numpy()
            # from the tails, not from value and limit: equal quotients may differ by rounding
            tail = (1 - level) / 2
            under, over = self.at_most.to_numpy() < tail, self.at_least.to_numpy() < tail
            beyond[under | over] = level
            side[under], side[over] = "low", "high"
        frame["beyond"], frame["side"] = beyond, side
        frame.attrs.update(unit=self.unit, center=self.center)
        return frame

    def curve(self, *, points: int = 200) -> pd.DataFrame:
        """Limits over a range of precisions, for drawing.

        Returns
        -------
        DataFrame indexed by ``precision`` (evenly spaced in its square root, from a little below
        the lowest to a little above the highest doctor) with the limit columns of ``to_frame``.
        """
        low, high = 0.8 * self.precision.min(), 1.05 * self.precision.max()
        at = np.linspace(np.sqrt(low), np.sqrt(high), points) ** 2
        share = float(self.expected.sum() / self.cases.sum())
        n = at if self.rule.distribution == "normal" else at / share
        frame = pd.DataFrame(index=pd.Index(at, name="precision"))
        for level in self.levels:
            lower, upper = limits_at(self.rule, level, expected=at, cases=n)
            frame[f"lower_{_percent(level)}"] = _scale(lower, self.center, self.rule)
            frame[f"upper_{_percent(level)}"] = _scale(upper, self.center, self.rule)
        return frame

    def __repr__(self) -> str:
        frame = self.to_frame()
        outside = ", ".join(
            f"{int((frame['beyond'] >= level).sum())} outside {_percent(level)} %"
            for level in self.levels
        )
        return f"FunnelLimits ({self.rule}): {len(frame)} doctors, {outside}"

    def _repr_html_(self) -> str:
        frame = self.to_frame()
        return show_html(self, frame[frame["beyond"] > 0].head(8))


def funnel_limits(
    rates: StandardizedRates,
    *,
    levels: tuple[Level, ...] = FUNNEL_LEVELS,
    distribution: Distribution | None = None,
    method: Literal["exact", "normal"] = "exact",
    overdispersion: Overdispersion = "none",
    transform: Transform = "log",
    outliers: Outliers = "winsorize",
    outlier_share: Annotated[float, Range(low=0, high=0.5, inside="high")] = 0.1,
) -> FunnelLimits:
    """Limits within which observed outcomes stay by chance, for each doctor and each level.

    Parameters
    ----------
    rates : standardized rates; their observed and posterior mean expected events are compared
    levels : probabilities inside the limits
    distribution : of the events; None chooses binomial for events among cases, Poisson for
        counts, normal for a Gaussian outcome
    method : "exact" limits, or "normal" ones on the scale of ``transform``
    overdispersion : "multiplicative" multiplies variances by phi, "additive" adds tau² to them,
        both normal on the scale of ``transform``; "predictive" uses the fitted negative binomial
        or beta-binomial distribution
    transform : scale of normal limits; "log" and "trim" are the SHMI form, "square_root" and
        "winsorize" the CQC form
    outliers, outlier_share : see :func:`outcomekpi.profiling.overdispersion.dispersion`

    Raises
    ------
    SpecError
        Unknown option, impossible level or share, fewer than two doctors to learn from.

    Notes
    -----
    Exact limits are quantiles of the observed events given E, by the Poisson or binomial
    distribution with this mean, so that the tail of a count and its place agree: a doctor lies
    outside when P(Y >= O) or P(Y <= O) is below a = (1 - level)/2. Between whole counts the lower
    limit is r - (P(Y <= r) - a)/P(Y = r), r the smallest count with P(Y <= r) >= a, and the upper
    one its mirror image, r + (P(Y >= r) - a)/P(Y = r), r the largest count with P(Y >= r) >= a;
    both over E. This is the first method of Manktelow and Seaton. Spiegelhalter interpolates the
    upper limit from lower tails too, which puts counts outside that chance gives more often than
    a. Limits that invert a test for the mean (chi-squared or Clopper-Pearson intervals around E)
    answer another question: they are too wide above and too narrow below. On the log scale a
    doctor without events counts as half an event; his lower limit is 0 where that lies inside.

    References
    ----------
    Spiegelhalter (2005), Statistics in Medicine 24:1185-1202, doi:10.1002/sim.1970. Manktelow &
    Seaton (2012), PLoS ONE 7:e45723, doi:10.1371/journal.pone.0045723.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> cases = ok.datasets.load_synthetic_cases()
    >>> rates = ok.standardize(ok.fit(cases, ok.ModelSpec(), draws=400))
    >>> "upper_99.8" in ok.funnel_limits(rates).to_frame()
    True
    """
    check_arguments(funnel_limits, locals())
    if distribution is None:
        distribution = _default_distribution(rates)
    if (distribution == "normal") != (rates.family == "gaussian"):
        raise SpecError(
            f"distribution={distribution!r} does not fit the family {rates.family!r}: 'normal' "
            "is for Gaussian outcomes and only for them. method='normal' gives normal limits."
        )
    expected = pd.Series(
        flatten_draws(rates.expected).mean(axis=1, dtype=np.float64),
        index=rates.cases.index,
        name="expected",
    )
    return _build_limits(
        rates.observed,
        expected,
        rates.cases,
        LimitRule(
            distribution=distribution,
            method="normal" if distribution == "normal" else method,
            overdispersion=overdispersion,
            transform="identity" if distribution == "normal" else transform,
            outliers=outliers,
            outlier_share=outlier_share,
            sd_residual=rates.sd_residual,
        ),
        levels=levels,
        center=rates.reference_rate,
        unit=rates.unit,
        provenance=rates.provenance,
    )


def count_limits(
    observed: pd.Series,
    expected: pd.Series,
    *,
    cases: pd.Series | None = None,
    levels: tuple[Level, ...] = FUNNEL_LEVELS,
    method: Literal["exact", "normal"] = "exact",
    overdispersion: Overdispersion = "none",
    transform: Transform = "log",
    outliers: Outliers = "winsorize",
    outlier_share: Annotated[float, Range(low=0, high=0.5, inside="high")] = 0.1,
) -> FunnelLimits:
    """Limits of the ratio O/E from observed and expected events that were computed elsewhere.

    Parameters
    ----------
    observed, expected : (doctor,), events, with one index
    cases : (doctor,), for binomial limits; None gives Poisson limits
    levels, method, overdispersion, transform, outliers, outlier_share :
        as in :func:`funnel_limits`

    Raises
    ------
    SpecError
        Expected events that are not positive, more events than cases, parts of events, or series
        whose labels are not those of the same doctors.

    Notes
    -----
    See :func:`funnel_limits`; the center is 1. Series are matched by their labels.

    Examples
    --------
    >>> import pandas as pd
    >>> from outcomekpi import count_limits
    >>> limits = count_limits(pd.Series([22, 9]), pd.Series([15.0, 20.0]))
    >>> limits.to_frame()["upper_95"].round(3).tolist()
    [1.572, 1.487]
    """
    check_arguments(count_limits, locals())
    expected, observed, cases = align(expected=expected, observed=observed, cases=cases)
    n = observed if cases is None else cases
    return _build_limits(
        observed,
        expected,
        n,
        LimitRule(
            distribution="poisson" if cases is None else "binomial",
            method=method,
            overdispersion=overdispersion,
            transform=transform,
            outliers=outliers,
            outlier_share=outlier_share,
        ),
        levels=levels,
        center=1.0,
        unit="observed / expected events",
    )


def _default_distribution(rates: StandardizedRates) -> Distribution:
    if rates.family == "gaussian":
        return "normal"
    return "binomial" if rates.family in ("bernoulli", "binomial") else "poisson"


def _build_limits(
    observed: pd.Series,
    expected: pd.Series,
    cases: pd.Series,
    rule: LimitRule,
    *,
    levels: tuple[float, ...],
    center: float,
    unit: str,
    provenance: Provenance | None = None,
) -> FunnelLimits:
    check_rule(rule, levels)
    o, e, n = (np.asarray(x, dtype=np.float64) for x in (observed, expected, cases))
    normal = rule.distribution == "normal"
    if not normal:
        check_events(o, e, n if rule.distribution == "binomial" else None)
    if not normal and rule.method == "exact" and rule.overdispersion in ("none", "predictive"):
        check_whole_counts(o, n if rule.distribution == "binomial" else o)
    rule = _estimate(rule, o, e, n)
    at_most, at_least = tails_at(rule, o, expected=e, cases=n)
    ordered = tuple(sorted(levels))
    lower, upper = {}, {}
    for level in ordered:
        low, high = limits_at(rule, level, expected=e, cases=n)
        lower[level], upper[level] = _scale(low, center, rule), _scale(high, center, rule)
    index = expected.index
    return FunnelLimits(
        observed=observed,
        expected=expected,
        cases=cases,
        precision=(cases if normal else expected).astype(np.float64).rename("precision"),
        value=pd.Series(center + (o - e) / n if normal else center * (o / e), index=index),
        at_most=pd.Series(at_most, index=index),
        at_least=pd.Series(at_least, index=index),
        center=center,
        levels=ordered,
        lower=pd.DataFrame(lower, index=index),
        upper=pd.DataFrame(upper, index=index),
        rule=rule,
        unit=unit,
        provenance=provenance,
    )


def _estimate(rule: LimitRule, observed: Array, expected: Array, cases: Array) -> LimitRule:
    """Fill in what the data say about overdispersion."""
    if rule.overdispersion == "none":
        return rule
    if observed.size < 2:
        raise SpecError("Overdispersion cannot be learned from fewer than two doctors.")
    if rule.overdispersion == "predictive":
        if rule.distribution == "poisson":
            return rule.learned(precision=negative_binomial_size(observed, expected))
        return rule.learned(precision=beta_binomial_precision(observed, expected, cases))
    if rule.distribution == "normal":
        sd = (rule.sd_residual or 1.0) / np.sqrt(cases)
        scores = ZScores(target=0.0, value=(observed - expected) / cases, sd=sd)
    else:
        n = cases if rule.distribution == "binomial" else None
        scores = z_scores(observed, expected, n, rule.transform)
    phi, tau2 = dispersion(scores, outliers=rule.outliers, share=rule.outlier_share)
    return rule.learned(phi=phi, tau2=tau2)


def _scale(limit: Array, center: float, rule: LimitRule) -> Array:
    return center + limit if rule.distribution == "normal" else center * limit


def _percent(level: float) -> str:
    return f"{100 * level:.10g}"
