"""Pay from standardized rates: per case, beyond a target, or by the probability of being beyond."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.awards.awards import AbsoluteRule
from outcomekpi.awards.deserved_awards import require_truth
from outcomekpi.awards.misclassification import Misclassification, Results, misclassify
from outcomekpi.declare.checking import check_arguments, check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Positive
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL, summarize_draws
from outcomekpi.profiling.standardization import StandardizedRates

__all__ = ["RatePayRule", "RatePayout", "pay_rates", "success_share"]

Array = NDArray[np.float64]
PaidBy = Literal["cases", "threshold", "probability"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RatePayRule:
    """How a doctor's rate becomes his pay.

    Attributes
    ----------
    by : "cases", for every case that went well; "threshold", the full amount if the rate that the
        rule sees is beyond the target, else nothing; "probability", the full amount times the
        posterior probability that the true rate is beyond the target
    seen : rate that the rule sees: "raw", "O/E" times the overall rate (risk-adjusted, chance
        left in), or "posterior" mean (risk-adjusted and shrunken); "probability" sees the draws
    target : rate to be beyond, strictly; not for "cases"
    amount : full amount, or amount per case that went well; or
    budget : fixed sum that is divided in proportion; exactly one of the two

    References
    ----------
    Shwartz, Peköz, Burgess, Christiansen, Rosen & Berlowitz (2014), Medical Care 52, 1030-1036,
    doi:10.1097/MLR.0000000000000242: payment by the probability, beside a threshold.

    Examples
    --------
    >>> from outcomekpi import RatePayRule
    >>> RatePayRule(by="probability", target=0.6, budget=100_000)
    RatePayRule: 100,000 divided by P(true rate beyond 0.6)
    """

    by: PaidBy
    seen: Results = "posterior"
    target: float | None = None
    amount: Positive | None = None
    budget: Positive | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if (self.target is None) != (self.by == "cases"):
            needs = "no target" if self.by == "cases" else "a target, the rate to be beyond"
            raise SpecError(f"RatePayRule by {self.by!r} needs {needs}; got {self.target!r}.")
        if self.by == "probability" and self.seen != "posterior":
            raise SpecError("A probability is read from the posterior: leave seen='posterior'.")
        if (self.amount is None) == (self.budget is None):
            raise SpecError("RatePayRule needs either amount or budget, and not both.")

    def divide(self, weight: Array) -> Array:
        """Turn weights into pay: amount x weight, or the budget in proportion.

        Parameters
        ----------
        weight : (doctor,) or (doctor, sample), not negative

        Returns
        -------
        the shape of ``weight``; where all weights are 0 nobody gets anything
        """
        if self.budget is None:
            return np.asarray(float(self.amount or 0.0) * weight)
        total = weight.sum(axis=0)
        return np.asarray(self.budget * weight / np.where(total > 0, total, 1.0))

    def __repr__(self) -> str:
        seen = {"raw": "raw rate", "O/E": "O/E rate", "posterior": "posterior mean rate"}[self.seen]
        what = {
            "cases": f"cases that went well by {seen}",
            "threshold": f"1 if {seen} beyond {self.target:g}" if self.target is not None else "",
            "probability": f"P(true rate beyond {self.target:g})"
            if self.target is not None
            else "",
        }[self.by]
        if self.budget is not None:
            return f"RatePayRule: {self.budget:,.6g} divided by {what}"
        return f"RatePayRule: {self.amount:,.6g} x {what}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RatePayout:
    """What each doctor is paid for his rate, and the posterior that says whether he deserves it.

    Attributes
    ----------
    rates : standardized rates
    rule : how they become pay
    result : (doctor,), the rate that the rule saw
    weight : (doctor,), what pay is in proportion to
    pay : (doctor,), money or points
    judged : true rates against the target in each draw; None where pay is for cases
    """

    rates: StandardizedRates
    rule: RatePayRule
    result: pd.Series
    weight: pd.Series
    pay: pd.Series
    judged: Misclassification | None

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per doctor, in the order of the labels.

        Returns
        -------
        DataFrame indexed by doctor: ``cases``; ``result``, the rate that the rule saw; ``mean,
        lower, upper`` of the standardized rate; ``p_beyond``, posterior probability that the true
        rate is beyond the target (not with pay for cases); ``weight``; ``pay``.
        """
        frame = summarize_draws(self.rates.draws, level=level)[["mean", "lower", "upper"]]
        frame.insert(0, "result", self.result.to_numpy())
        frame.insert(0, "cases", self.rates.cases.to_numpy())
        if self.judged is not None:
            frame["p_beyond"] = self.judged.p_deserved.to_numpy()
        frame["weight"] = self.weight.to_numpy()
        frame["pay"] = self.pay.to_numpy()
        frame.attrs.update(level=level, unit=self.rates.unit)
        return frame

    def __repr__(self) -> str:
        rule = repr(self.rule).removeprefix("RatePayRule: ")
        return (
            f"RatePayout ({rule}): {self.pay.sum():,.6g} to {int((self.pay > 0).sum())} of "
            f"{len(self.pay)} doctors, the most {self.pay.max():,.6g}"
        )

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame().head(8), number=".3g")


def pay_rates(rates: StandardizedRates, rule: RatePayRule) -> RatePayout:
    """Pay doctors for their rates: per case, beyond a target, or by the probability of it.

    Parameters
    ----------
    rates : standardized rates (P/E or direct)
    rule : how they become pay

    Raises
    ------
    SpecError
        The direction is unknown, the rates are O/E, the target is no possible rate, pay per case
        for an outcome that is no yes or no, or a budget that nobody has earned.

    Notes
    -----
    Weights w_j: "cases" n_j r_j, r the seen rate of cases that went well; "threshold"
    1[r_j beyond target]; "probability" P(theta_j beyond target | data). Pay is amount x w_j, or
    budget x w_j / sum w.

    References
    ----------
    Shwartz, Peköz, Burgess, Christiansen, Rosen & Berlowitz (2014), Medical Care 52, 1030-1036,
    doi:10.1097/MLR.0000000000000242.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> cases = ok.datasets.load_synthetic_cases()
    >>> rates = ok.standardize(ok.fit(cases, ok.ModelSpec(), draws=400))
    >>> rule = ok.RatePayRule(by="probability", target=rates.reference_rate, budget=1000)
    >>> float(ok.pay_rates(rates, rule).pay.sum().round(6))
    1000.0
    """
    check_arguments(pay_rates, locals())
    direction = require_truth(rates, "pay_rates")
    bar = rates.reference_rate if rule.target is None else rule.target
    strict = AbsoluteRule(bar=float(bar), direction=direction, strict=True)
    judged = misclassify(rates, strict, bar=float(bar), results=rule.seen)
    if rule.by == "cases":
        success = success_share(rates, judged.result.to_numpy(dtype=np.float64))
        weight = rates.cases.to_numpy() * success
    elif rule.by == "threshold":
        weight = judged.award.to_numpy(dtype=np.float64)
    else:
        weight = judged.p_deserved.to_numpy(dtype=np.float64)
    if rule.budget is not None and not weight.sum() > 0:
        raise SpecError(f"Nobody earns anything by {rule!r}: the budget has no payee.")
    index = rates.cases.index
    return RatePayout(
        rates=rates,
        rule=rule,
        result=judged.result,
        weight=pd.Series(weight, index=index, name="weight"),
        pay=pd.Series(rule.divide(weight), index=index, name="pay"),
        judged=None if rule.by == "cases" else judged,
    )


def success_share(rates: StandardizedRates, values: NDArray[np.floating]) -> Array:
    """Share of cases that went well at these rates, in [0, 1].

    Raises
    ------
    SpecError
        The outcome is no yes or no.
    """
    if rates.family not in ("bernoulli", "binomial"):
        raise SpecError(
            f"Pay per case is for outcomes of yes or no; these rates are {rates.family}. "
            "Use by='threshold' or by='probability'."
        )
    well = values if rates.direction == "higher" else 1 - values
    return np.clip(well.astype(np.float64), 0.0, 1.0)
