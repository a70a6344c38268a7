"""Who is awarded by mistake, on the user's own posterior: the rule's awards against each draw."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.awards.awards import AbsoluteRule, AwardRule, PosteriorRule
from outcomekpi.awards.deserved_awards import (
    Side,
    award_draws,
    awarded_direction,
    check_awards,
    require_doctors,
    require_truth,
)
from outcomekpi.awards.rules import CycleResults, Rule, apply_rule
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError, check_kind
from outcomekpi.declare.fields import NotNegative
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL, check_level, flatten_draws, summarize_draws
from outcomekpi.model.spec import check_rate
from outcomekpi.profiling.reliability import Reliability
from outcomekpi.profiling.standardization import StandardizedRates
from outcomekpi.tables.cases import Direction

__all__ = [
    "Misclassification",
    "Results",
    "caseload_groups",
    "estimate_of",
    "misclassify",
    "summarize_tally",
    "tally_awards",
]

Array = NDArray[np.float64]
Results = Literal["O/E", "raw", "posterior"]


# How far awards are from those deserved: counted in each draw, summed up, by caseload
def tally_awards(
    award: Array, deserved: NDArray[np.floating], *, amount: float = 1.0
) -> dict[str, Array]:
    """Measure in each draw how far the awards are from those deserved.

    Parameters
    ----------
    award : (doctor,), in [0, 1]
    deserved : (doctor, sample), in [0, 1]
    amount : money of a full award

    Returns
    -------
    name -> (sample,), missing where a measure is not defined
    """
    n_doctors = award.size
    given = award.astype(np.float64)
    both = np.minimum(given[:, None], deserved).sum(axis=0, dtype=np.float64)
    paid, due = given.sum(), deserved.sum(axis=0, dtype=np.float64)
    neither = n_doctors - paid - due + both
    over, under = paid - both, due - both
    return {
        "sensitivity": _quotient(both, due),
        "specificity": _quotient(neither, n_doctors - due),
        "ppv": _quotient(both, np.full_like(both, paid)),
        "npv": _quotient(neither, np.full_like(both, n_doctors - paid)),
        "misclassified": (over + under) / n_doctors,
        "overpaid": amount * over,
        "withheld": amount * under,
    }


def summarize_tally(samples: dict[str, Array], *, level: float) -> pd.DataFrame:
    """Mean and equal-tailed interval of each measure over the draws in which it is defined.

    Parameters
    ----------
    samples : name -> (sample,), missing where not defined
    level : probability in (0, 1)

    Returns
    -------
    DataFrame indexed by ``measure``: ``mean, lower, upper``, and ``defined``, share of the draws
    """
    check_level(level)
    tail = (1 - level) / 2
    rows = {}
    for name, values in samples.items():
        known = values[~np.isnan(values)]
        lower, upper = np.quantile(known, [tail, 1 - tail]) if known.size else (np.nan, np.nan)
        mean = known.mean() if known.size else np.nan
        rows[name] = (mean, lower, upper, known.size / values.size)
    columns = ["mean", "lower", "upper", "defined"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("measure")


def caseload_groups(cases: pd.Series, groups: int) -> NDArray[np.intp]:
    """Group of each doctor by caseload, 1 the fewest cases; equal caseloads together: (doctor,).

    Raises
    ------
    SpecError
        Not between 1 and as many groups as doctors.
    """
    if isinstance(groups, bool) or not isinstance(groups, int) or not 1 <= groups <= len(cases):
        raise SpecError(
            f"groups must be a whole number from 1 to the {len(cases)} doctors; got {groups!r}."
        )
    place = cases.rank(method="average").to_numpy()
    group = np.ceil(place * groups / len(cases))
    # equal caseloads can empty a group: number those that are left
    return np.unique(group, return_inverse=True)[1] + 1


def estimate_of(reliability: Reliability, doctors: pd.Index) -> Array:
    """Reliability of each of these doctors: (doctor,).

    Raises
    ------
    SpecError
        This is no reliability, or it lacks some of the doctors.
    """
    check_kind("reliability", reliability, Reliability, "reliability(fit)")
    found = reliability.estimate.reindex(doctors)
    missing = doctors[found.isna()]
    if len(missing):
        raise SpecError(
            f"The reliability lacks {len(missing)} of {len(doctors)} doctors, the first "
            f"{missing[0]!r}. Take it from the same fit as the rates."
        )
    return np.asarray(found, dtype=np.float64)


def _quotient(part: Array, whole: Array) -> Array:
    found = np.full(part.shape, np.nan)
    # sums of single-precision shares miss zero by rounding
    np.divide(part, whole, out=found, where=whole > 1e-6)
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Misclassification:
    """Awards given, and the awards deserved in each draw of the true rates.

    Attributes
    ----------
    rates : standardized rates that the awards are judged by
    rule : what gave the awards, in words
    truth : what deserves an award, in words
    results : what the rule saw: "O/E", "raw" or "posterior"; "given" for awards in use
    side : "better", the award is for good doctors; "worse", a flag or penalty for bad ones
    result : (doctor,), the number that the rule saw; for awards in use the posterior mean
    award : (doctor,), share of the full award that each doctor gets, in [0, 1]
    deserved : (doctor, sample), share that he deserves in each draw of the true rates
    amount : money of a full award
    """

    rates: StandardizedRates
    rule: str
    truth: str
    results: str
    side: Side
    result: pd.Series
    award: pd.Series
    deserved: NDArray[np.float32]
    amount: float

    @property
    def money_paid(self) -> float:
        """Money that the awards cost."""
        return float(self.amount * self.award.sum())

    @property
    def p_deserved(self) -> pd.Series:
        """Posterior probability (or mean share, if graded) of the award: (doctor,)."""
        mean = self.deserved.mean(axis=1, dtype=np.float64)
        return pd.Series(mean, index=self.award.index, name="p_deserved")

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per measure of misclassification.

        Returns
        -------
        DataFrame indexed by ``measure``: sensitivity, specificity, ppv, npv, misclassified (share
        of the doctors), overpaid (money to the wrong doctors), withheld (money kept from the
        right ones). ``mean, lower, upper`` over the draws in which the measure is defined;
        ``defined``, their share (a sensitivity needs somebody who deserves the award).
        """
        frame = summarize_tally(self.samples(), level=level)
        frame.attrs.update(level=level, rule=self.rule, truth=self.truth, amount=self.amount)
        return frame

    def doctors_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per doctor, in the order of the labels.

        Returns
        -------
        DataFrame indexed by doctor: ``cases``; ``result``, what the rule saw; ``mean, lower,
        upper`` of the standardized rate; ``award``; ``p_deserved``; ``p_wrong``, posterior
        probability that the award, or going without one, is a mistake (mean share of it, if
        graded); ``overpaid``, ``withheld``, money to him or kept from him by mistake, expected.
        """
        frame = summarize_draws(self.rates.draws, level=level)[["mean", "lower", "upper"]]
        frame.insert(0, "result", self.result.to_numpy())
        frame.insert(0, "cases", self.rates.cases.to_numpy())
        given = self.award.to_numpy()[:, None]
        over = np.clip(given - self.deserved, 0, None).mean(axis=1, dtype=np.float64)
        under = np.clip(self.deserved - given, 0, None).mean(axis=1, dtype=np.float64)
        frame["award"] = self.award.to_numpy()
        frame["p_deserved"] = self.p_deserved.to_numpy()
        frame["p_wrong"] = over + under
        frame["overpaid"] = self.amount * over
        frame["withheld"] = self.amount * under
        frame.attrs.update(level=level, unit=self.rates.unit, rule=self.rule, truth=self.truth)
        return frame

    def caseload_frame(
        self,
        *,
        groups: int = 4,
        reliability: Reliability | None = None,
        level: float = DEFAULT_LEVEL,
    ) -> pd.DataFrame:
        """One row per group of doctors with similar caseloads, fewest cases first.

        Parameters
        ----------
        groups : number of groups of about the same number of doctors; doctors with the same
            caseload are together
        reliability : of these doctors' results, to be shown beside
        level : of the intervals

        Returns
        -------
        DataFrame indexed by ``group``: ``doctors``, ``fewest_cases``, ``most_cases``,
        ``reliability`` (mean of the doctors, where given), ``awarded`` (mean award), and the
        measures of :meth:`to_frame`, each with ``_lower`` and ``_upper``.

        Raises
        ------
        SpecError
            Groups that cannot be made, or a reliability of other doctors.
        """
        group = caseload_groups(self.rates.cases, groups)
        award, rows = self.award.to_numpy(), []
        known = None if reliability is None else estimate_of(reliability, self.award.index)
        for number in range(1, int(group.max()) + 1):
            own = group == number
            cases = self.rates.cases.to_numpy()[own]
            row = {"doctors": own.sum(), "fewest_cases": cases.min(), "most_cases": cases.max()}
            if known is not None:
                row["reliability"] = known[own].mean()
            row["awarded"] = award[own].mean()
            tally = tally_awards(award[own], self.deserved[own], amount=self.amount)
            for measure, found in summarize_tally(tally, level=level).iterrows():
                row[str(measure)] = found["mean"]
                row |= {f"{measure}_{end}": found[end] for end in ("lower", "upper")}
            rows.append(row)
        frame = pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="group"))
        frame.attrs.update(level=level, rule=self.rule, truth=self.truth, amount=self.amount)
        return frame

    def samples(self) -> dict[str, Array]:
        """Return every measure of :meth:`to_frame` in each draw: name -> (sample,)."""
        return tally_awards(self.award.to_numpy(), self.deserved, amount=self.amount)

    def __repr__(self) -> str:
        mean = self.to_frame()["mean"]
        paid = f"{self.award.sum():.3g} of {len(self.award)} doctors awarded ({self.rule})"
        wrong = f"{_money(mean['overpaid'])} of {_money(self.money_paid)} to the wrong ones"
        return (
            f"Misclassification: {paid}, {wrong}, {mean['misclassified']:.0%} of all doctors "
            f"misclassified (deserving: {self.truth})"
        )

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame())


def misclassify(
    rates: StandardizedRates,
    rule: Rule | pd.Series,
    *,
    bar: float | None = None,
    truth: Rule | None = None,
    results: Results = "O/E",
    side: Side = "better",
    amount: NotNegative = 1.0,
) -> Misclassification:
    """Posterior of how many awards go to the wrong doctors, and what that costs.

    Parameters
    ----------
    rates : standardized rates (P/E or direct)
    rule : gives the awards; or the awards in use, in [0, 1], indexed by doctor. The rates stand
        for all the cycles that an award rule pools
    bar : a doctor deserves the award if his true rate is beyond this; or
    truth : a rule that says from the true rates who deserves it; None takes the rule itself, as
        it would decide if the true rates were known (its ``with_certainty``, if it has one)
    results : what the rule sees: "O/E" times the overall rate, the "raw" rates, or the
        "posterior" means. A rule with a method ``decide_posterior`` (PosteriorRule,
        ProportionalRule) sees the posterior draws instead
    side : "better", the award is for good doctors; "worse", it is a flag for bad ones
    amount : money of a full award

    Raises
    ------
    SpecError
        The direction is unknown or the rule is for the other side; rates that are O/E, whose
        draws are no true rates; a bar that is no possible rate; awards outside [0, 1] or for
        other doctors.

    Notes
    -----
    What is estimated: the awards a_j that these data gave are fixed; the true rates vary over
    their posterior given the same data, and with them the awards d_js deserved in draw s. In
    each draw, sensitivity = sum min(a, d) / sum d, PPV = sum min(a, d) / sum a, specificity and
    NPV the same of 1 - a and 1 - d, misclassified = mean |a - d|, money to the wrong doctors =
    amount x sum max(a - d, 0), withheld = amount x sum max(d - a, 0). So this is how wrong *these*
    awards are, not how wrong the rule would be in other years: that is
    ``operating_characteristics``. It is as good as the model: case mix that is not in it counts
    as the doctor's.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> cases = ok.datasets.load_synthetic_cases()
    >>> rates = ok.standardize(ok.fit(cases, ok.ModelSpec(), draws=400))
    >>> rule = ok.PercentileRule(share=0.2, direction=rates.direction)
    >>> bool(0 < ok.misclassify(rates, rule).to_frame().loc["ppv", "mean"] < 1)
    True
    """
    check_arguments(misclassify, locals())
    direction = require_truth(rates, "misclassify")
    wanted = awarded_direction(direction, side)
    if isinstance(rule, pd.Series):
        seen, result, award = "given", _posterior_mean(rates), _given_awards(rule, rates)
    else:
        rule = _over_all_cycles(rule)
        _check_side(rule, wanted, side, direction)
        if isinstance(rule, AbsoluteRule | PosteriorRule):
            check_rate("The rule's bar", rule.bar, rates.family)
        seen, result, award = _apply(rule, rates, results)
    right = _over_all_cycles(_truth(rates, rule, bar, truth, wanted))
    return Misclassification(
        rates=rates,
        rule="awards in use" if isinstance(rule, pd.Series) else str(rule),
        truth=str(right),
        results=seen,
        side=side,
        result=result.rename("result"),
        award=pd.Series(award, index=rates.cases.index, name="award"),
        deserved=award_draws(rates, right),
        amount=float(amount),
    )


def _over_all_cycles(rule: Rule) -> Rule:
    """Return a rule that reads the rates as one cycle: they already pool what it would pool."""
    if isinstance(rule, AwardRule):
        return replace(rule, cycles=1)
    return rule


def _money(sum_: float) -> str:
    return f"{sum_:,.0f}" if sum_ >= 100 else f"{sum_:.3g}"


def _posterior_mean(rates: StandardizedRates) -> pd.Series:
    mean = flatten_draws(rates.draws).mean(axis=1, dtype=np.float64)
    return pd.Series(mean, index=rates.cases.index)


def _apply(rule: Rule, rates: StandardizedRates, results: Results) -> tuple[str, pd.Series, Array]:
    """Return what the rule saw, in a word and in numbers, and its awards: (doctor,)."""
    decide_posterior = getattr(rule, "decide_posterior", None)
    if decide_posterior is not None:
        award = np.asarray(decide_posterior(flatten_draws(rates.draws)), dtype=np.float64)
        return "posterior", _posterior_mean(rates), check_awards(award, str(rule))
    result = {"raw": _raw, "O/E": _observed_over_expected, "posterior": _posterior_mean}[results](
        rates
    )
    exposure = rates.exposure.to_numpy(dtype=np.float64)[None, :, None]
    seen = CycleResults(events=result.to_numpy()[None, :, None] * exposure, trials=exposure)
    award = apply_rule(rule, seen)
    require_doctors(rule, award)
    return results, result, check_awards(award[0], str(rule))


def _raw(rates: StandardizedRates) -> pd.Series:
    return rates.raw_rate


def _observed_over_expected(rates: StandardizedRates) -> pd.Series:
    expected = flatten_draws(rates.expected).mean(axis=1, dtype=np.float64)
    if rates.family == "gaussian":
        return rates.reference_rate + (rates.observed - expected) / rates.exposure
    return rates.observed / expected * rates.reference_rate


def _truth(
    rates: StandardizedRates,
    rule: Rule | pd.Series,
    bar: float | None,
    truth: Rule | None,
    wanted: Direction,
) -> Rule:
    if bar is not None and truth is not None:
        raise SpecError("misclassify takes bar or truth, not both.")
    if bar is not None:
        check_rate("bar", bar, rates.family)
        return AbsoluteRule(bar=bar, direction=wanted, strict=True)
    if truth is not None:
        return truth
    if isinstance(rule, pd.Series):
        raise SpecError("Awards in use do not say who deserves one; pass bar= or truth=.")
    own: Rule = getattr(rule, "with_certainty", rule)
    return own


def _check_side(rule: Rule, wanted: Direction, side: Side, direction: Direction) -> None:
    own = getattr(rule, "direction", None)
    if own is not None and own != wanted:
        raise SpecError(
            f"The rule is for {own} rates, but {direction} is better and side is {side!r}. "
            f"Pass direction={wanted!r} to the rule, or "
            f"side={'worse' if side == 'better' else 'better'!r} to misclassify."
        )


def _given_awards(award: pd.Series, rates: StandardizedRates) -> Array:
    given = award.reindex(rates.cases.index)
    missing = given.index[given.isna()]
    if len(missing):
        raise SpecError(
            f"The awards in use say nothing about {len(missing)} of {len(given)} doctors, the "
            f"first {missing[0]!r}. Give 0 to those without an award."
        )
    return check_awards(given.to_numpy(dtype=np.float64), "the awards in use")
