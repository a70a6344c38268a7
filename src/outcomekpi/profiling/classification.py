"""Flags: which doctors lie beyond a threshold, with how much certainty."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments, check_fields
from outcomekpi.declare.errors import OutcomeKPIWarning, SpecError
from outcomekpi.declare.fields import Positive, Probability
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL, flatten_draws
from outcomekpi.draws.memory import remembered
from outcomekpi.model.spec import check_rate
from outcomekpi.profiling.standardization import StandardizedRates, require_direction

__all__ = ["Classification", "FlagRule", "classify", "discoveries"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagRule:
    """When a doctor is flagged: beyond which rate, and how certain that must be.

    Attributes
    ----------
    threshold : rate that a doctor is compared with, in the unit of the rates; None is the overall
        observed rate
    probability : a doctor is flagged if P(rate beyond threshold) > probability
    loss_false_flag, loss_missed : cost of a wrong flag and of a missed one; both given, they
        replace ``probability`` by loss_false_flag / (loss_false_flag + loss_missed)
    fdr : given, it replaces ``probability`` by the largest set of flags whose expected share of
        wrong ones is at most this (Bayesian false discovery rate, over all doctors)

    Notes
    -----
    "Beyond" is strict, in both senses and everywhere: the rate must be greater (or less) than the
    threshold, and the probability greater than the one required. A draw that equals the
    threshold counts for neither side.

    Examples
    --------
    >>> from outcomekpi import FlagRule
    >>> FlagRule(loss_false_flag=9, loss_missed=1).required_probability
    0.9
    """

    threshold: float | None = None
    probability: Probability = 0.95
    loss_false_flag: Positive | None = None
    loss_missed: Positive | None = None
    fdr: Probability | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        losses = (self.loss_false_flag, self.loss_missed)
        if (losses[0] is None) != (losses[1] is None):
            raise SpecError("FlagRule needs both loss_false_flag and loss_missed, or neither.")
        if self.fdr is not None and losses[0] is not None:
            raise SpecError("FlagRule takes losses or fdr, not both.")

    @property
    def required_probability(self) -> float:
        """Posterior probability that a flag requires (without ``fdr``)."""
        if self.loss_false_flag is not None and self.loss_missed is not None:
            return self.loss_false_flag / (self.loss_false_flag + self.loss_missed)
        return self.probability

    def __str__(self) -> str:
        against = "the overall rate" if self.threshold is None else f"{self.threshold:g}"
        if self.fdr is not None:
            return f"beyond {against}, expected share of wrong flags <= {self.fdr:g}"
        return f"P(beyond {against}) > {self.required_probability:g}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Classification:
    """The flag of each doctor and the probabilities behind it.

    Attributes
    ----------
    rates : standardized rates that were judged
    rule : as applied
    threshold : rate that the doctors were compared with
    p_worse, p_better : (doctor,), posterior probability of lying strictly on that side
    flag : (doctor,), "worse", "better" or ""
    """

    rates: StandardizedRates
    rule: FlagRule
    threshold: float
    p_worse: pd.Series
    p_better: pd.Series
    flag: pd.Series

    @property
    def expected_false_flags(self) -> float:
        """Posterior expected number of flagged doctors who are not beyond the threshold."""
        wrong = np.where(self.flag == "worse", 1 - self.p_worse, 1 - self.p_better)
        return float(wrong[self.flag.to_numpy() != ""].sum())

    @remembered
    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per doctor, in the order of the labels.

        Returns
        -------
        DataFrame indexed by doctor: ``mean, lower, upper`` of the standardized rate, ``p_worse``,
        ``p_better``, ``flag``.
        """
        frame = self.rates.to_frame(level=level)[["mean", "lower", "upper"]]
        frame["p_worse"] = self.p_worse.to_numpy()
        frame["p_better"] = self.p_better.to_numpy()
        frame["flag"] = self.flag.to_numpy()
        frame.attrs.update(level=level, unit=self.rates.unit, threshold=self.threshold)
        return frame

    def __repr__(self) -> str:
        worse = int((self.flag == "worse").sum())
        better = int((self.flag == "better").sum())
        wrong = f"{self.expected_false_flags:.2g}"
        return (
            f"Classification: {worse:,} of {len(self.flag):,} doctors worse, {better:,} better "
            f"({self.rule}; threshold {self.threshold:.4g} {self.rates.unit}); "
            f"{wrong} false flag{'' if wrong == '1' else 's'} expected"
        )

    def _repr_html_(self) -> str:
        frame = self.to_frame()
        return show_html(self, frame[frame["flag"] != ""].head(8))


def classify(rates: StandardizedRates, rule: FlagRule | None = None) -> Classification:
    """Flag the doctors whose rate lies beyond a threshold with enough posterior probability.

    Parameters
    ----------
    rates : standardized rates
    rule : threshold and required probability (or losses, or false discovery rate)

    Raises
    ------
    SpecError
        The direction of the outcome is unknown, or the threshold is no possible rate.

    Warns
    -----
    OutcomeKPIWarning
        The rates are O/E: their draws hold no chance in the observed events, so that the
        probabilities are far too certain.

    Notes
    -----
    With losses, a flag costs less than none when P(beyond) > L_FP / (L_FP + L_FN). With ``fdr``
    q, each doctor's better-supported side is taken, doctors are ordered by P(not beyond), and
    the longest run whose mean P(not beyond) is at most q is flagged.

    References
    ----------
    Müller, Parmigiani, Robert & Rousseau (2004), Journal of the American Statistical
    Association 99.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> cases = ok.datasets.load_synthetic_cases()
    >>> flags = ok.classify(ok.standardize(ok.fit(cases, ok.ModelSpec(), draws=400)))
    >>> set(flags.flag) <= {"worse", "better", ""}
    True
    """
    check_arguments(classify, locals())
    direction = require_direction(rates, "classify")
    rule = FlagRule() if rule is None else rule
    if rates.measure == "O/E":
        warnings.warn(
            "Flags from O/E take the observed events as certain, so that their probabilities are "
            "far too close to 0 or 1. Use standardize(fit) (P/E) or measure='direct' for flags.",
            OutcomeKPIWarning,
            stacklevel=2,
        )
    threshold = rates.reference_rate if rule.threshold is None else float(rule.threshold)
    if rule.threshold is not None:
        check_rate("threshold", threshold, rates.family)
    draws = flatten_draws(rates.draws)
    # as a NumPy number, so that draws of single precision meet it unrounded, and no tie is made
    exact = np.float64(threshold)
    above = (draws > exact).mean(axis=1)
    below = (draws < exact).mean(axis=1)
    p_worse, p_better = (above, below) if direction == "lower" else (below, above)
    index = rates.cases.index
    return Classification(
        rates=rates,
        rule=rule,
        threshold=threshold,
        p_worse=pd.Series(p_worse, index=index, name="p_worse"),
        p_better=pd.Series(p_better, index=index, name="p_better"),
        flag=pd.Series(_flags(p_worse, p_better, rule), index=index, name="flag"),
    )


def _flags(
    p_worse: NDArray[np.float64], p_better: NDArray[np.float64], rule: FlagRule
) -> NDArray[np.object_]:
    side = np.where(p_worse >= p_better, "worse", "better").astype(object)
    certainty = np.maximum(p_worse, p_better)
    if rule.fdr is None:
        # below one half both sides can pass: the better supported one is named
        flagged = certainty > rule.required_probability
    else:
        flagged = discoveries(1 - certainty, rule.fdr)
    return np.where(flagged, side, "").astype(object)


def discoveries(p_wrong: NDArray[np.float64], fdr: float) -> NDArray[np.bool_]:
    """Largest set of doctors whose mean probability of a wrong flag is at most ``fdr``.

    Parameters
    ----------
    p_wrong : (doctor,), posterior probability that a flag would be wrong
    fdr : bound on the mean over the flagged doctors

    Returns
    -------
    (doctor,), True where flagged; doctors with equal probabilities are flagged together or not
    """
    ordered = np.sort(p_wrong)
    share = np.cumsum(ordered) / np.arange(1, p_wrong.size + 1)
    last_of_ties = np.r_[ordered[1:] > ordered[:-1], True]
    within = np.flatnonzero((share <= fdr) & last_of_ties)
    if within.size == 0:
        return np.zeros(p_wrong.size, dtype=bool)
    return np.asarray(p_wrong <= ordered[within[-1]])
