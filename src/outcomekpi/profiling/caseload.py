"""How many cases a doctor needs before his result is reliable."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Probability
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL, interval
from outcomekpi.profiling.reliability import Reliability

__all__ = ["CaseloadPlan", "plan_caseload"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaseloadPlan:
    """Cases needed for given reliabilities.

    Attributes
    ----------
    targets : reliabilities in (0, 1)
    reliability : what the plan rests on
    """

    targets: tuple[float, ...]
    reliability: Reliability

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per target.

        Returns
        -------
        DataFrame indexed by ``target``: ``cases`` needed at the estimated (posterior median)
        signal per case; ``lower, upper``, interval of the same (infinite where doctors may not
        differ at all; a mean would be dominated by such draws and is not given);
        ``doctors``, share of the present doctors who have that many cases.
        """
        signal = self.reliability.signal_per_case.to_numpy().reshape(1, -1)
        low, high = (float(x[0]) for x in interval(signal, level=level))
        odds = np.array([target / (1 - target) for target in self.targets])
        with np.errstate(divide="ignore"):
            needed = odds / self.reliability.signal_estimate
            lower, upper = odds / np.float64(high), odds / np.float64(low)
        cases = self.reliability.cases.to_numpy()
        frame = pd.DataFrame(
            {
                "cases": needed,
                "lower": lower,
                "upper": upper,
                "doctors": [(cases >= n).mean() for n in needed],
            },
            index=pd.Index(self.targets, name="target"),
        )
        frame.attrs.update(level=level, unit="cases per doctor", method=self.reliability.method)
        return frame

    def __repr__(self) -> str:
        frame = self.to_frame()
        needed = ", ".join(f"{row.cases:.0f} for {target:g}" for target, row in frame.iterrows())
        return f"CaseloadPlan ({self.reliability.method}): cases per doctor needed: {needed}"

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame(), number=".3g")


def plan_caseload(
    reliability: Reliability, *, targets: tuple[Probability, ...] = (0.7, 0.8, 0.9)
) -> CaseloadPlan:
    """Cases that a doctor needs for his result to reach given reliabilities.

    Parameters
    ----------
    reliability : estimated by any method
    targets : reliabilities in (0, 1)

    Raises
    ------
    SpecError
        A target outside (0, 1), or none.

    Notes
    -----
    n = R / (1 - R) / s, s the signal-to-noise of one case: sd_doctor² times the mean information
    of a case (latent), 1 / (alpha + beta) (beta-binomial), tau² / sigma² (ANOVA).

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(), draws=400)
    >>> ok.plan_caseload(ok.reliability(fit)).to_frame()["cases"].is_monotonic_increasing
    True
    """
    check_arguments(plan_caseload, locals())
    if not targets:
        raise SpecError("targets must name at least one reliability, for example (0.7, 0.8).")
    return CaseloadPlan(targets=tuple(targets), reliability=reliability)
