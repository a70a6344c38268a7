"""Pay against what true rates deserve: how much goes to the wrong doctors."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.appraisal.rate_pay import RatePayout, success_share
from outcomekpi.awards.kernels import beyond
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL, check_level, flatten_draws

__all__ = ["Misallocation", "misallocate"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Misallocation:
    """Pay given, and the pay deserved in each draw of the true rates (or at the known ones).

    Attributes
    ----------
    payout : what was paid
    due : (doctor, sample), pay deserved; one sample where the truth is known
    against : "posterior" or "truth"
    """

    payout: RatePayout
    due: Array
    against: str

    def samples(self) -> dict[str, Array]:
        """Return every measure of :meth:`to_frame` in each sample: name -> (sample,)."""
        given = self.payout.pay.to_numpy()[:, None]
        paid = float(given.sum())
        overpaid = np.clip(given - self.due, 0, None).sum(axis=0)
        return {
            "overpaid": overpaid,
            "withheld": np.clip(self.due - given, 0, None).sum(axis=0),
            "to_undeserving": (given * (self.due <= 0)).sum(axis=0),
            "overpaid_share": overpaid / paid if paid > 0 else np.full(overpaid.shape, np.nan),
        }

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per measure.

        Returns
        -------
        DataFrame indexed by ``measure``: overpaid (money above what is deserved), withheld (money
        deserved and not paid), to_undeserving (money to doctors who deserve nothing),
        overpaid_share (of all that is paid), with ``mean, lower, upper`` over the draws; against a
        known truth the three are one number.
        """
        check_level(level)
        tail = (1 - level) / 2
        rows = {
            name: (found.mean(), *np.quantile(found, [tail, 1 - tail]))
            for name, found in self.samples().items()
        }
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "lower", "upper"])
        frame.attrs.update(level=level, against=self.against)
        return frame.rename_axis("measure")

    def doctors_frame(self) -> pd.DataFrame:
        """One row per doctor: ``pay``, ``due`` (mean), ``overpaid``, ``withheld`` (means)."""
        given = self.payout.pay
        over = np.clip(given.to_numpy()[:, None] - self.due, 0, None).mean(axis=1)
        under = np.clip(self.due - given.to_numpy()[:, None], 0, None).mean(axis=1)
        return pd.DataFrame(
            {"pay": given, "due": self.due.mean(axis=1), "overpaid": over, "withheld": under}
        )

    def __repr__(self) -> str:
        mean = self.to_frame()["mean"]
        return (
            f"Misallocation (against the {self.against}): {mean['overpaid']:,.4g} of "
            f"{self.payout.pay.sum():,.6g} paid above what is deserved "
            f"({mean['overpaid_share']:.0%}), {mean['withheld']:,.4g} withheld"
        )

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame(), number=".4g")


def misallocate(payout: RatePayout, *, truth: pd.Series | None = None) -> Misallocation:
    """How much of the pay goes to doctors whose true rates do not deserve it.

    Parameters
    ----------
    payout : pay by rates
    truth : true standardized rates indexed by doctor, where they are known (a simulation); None
        takes the posterior draws

    Raises
    ------
    SpecError
        A truth that lacks doctors or holds no rates.

    Notes
    -----
    Deserved pay follows the rule with the true rate in place of the one seen: weights n_j theta_j
    ("cases") or 1[theta_j beyond target], the latter for pay by threshold and by probability
    alike; times the amount, or the budget in proportion. With a budget overpaid = withheld =
    half the sum of |pay - deserved|, unless nobody deserves anything: then all of it is overpaid.
    Without one, overpaid and withheld are those of :func:`~outcomekpi.misclassify`.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> cases = ok.datasets.load_synthetic_cases()
    >>> rates = ok.standardize(ok.fit(cases, ok.ModelSpec(), draws=400))
    >>> rule = ok.RatePayRule(by="threshold", target=rates.reference_rate, budget=1000)
    >>> found = ok.misallocate(ok.pay_rates(rates, rule)).to_frame()
    >>> bool(0 < found.loc["overpaid", "mean"] < 1000)
    True
    """
    check_arguments(misallocate, locals())
    if truth is None:
        values = flatten_draws(payout.rates.draws).astype(np.float64)
    else:
        values = _known(payout, truth)[:, None]
    return Misallocation(
        payout=payout,
        due=payout.rule.divide(_deserved(payout, values)),
        against="posterior" if truth is None else "truth",
    )


def _deserved(payout: RatePayout, values: Array) -> Array:
    """Weights of deserved pay: (doctor, sample)."""
    rates, rule = payout.rates, payout.rule
    if rule.by == "cases":
        return np.asarray(rates.cases.to_numpy()[:, None] * success_share(rates, values))
    direction = rates.direction or "higher"
    bar = np.float64(rule.target or 0.0)
    return beyond(values, bar, direction, strict=True).astype(np.float64)


def _known(payout: RatePayout, truth: pd.Series) -> Array:
    index = payout.rates.cases.index
    known = truth.set_axis(truth.index.astype(str)).reindex(index)
    missing = index[known.isna()]
    if len(missing):
        raise SpecError(
            f"truth lacks the rate of {len(missing)} of {len(index)} doctors, the first "
            f"{missing.tolist()[0]!r}. Its index must be the doctors' labels."
        )
    return np.asarray(known, dtype=np.float64)
