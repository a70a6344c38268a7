"""An evaluation: everything that is judged of the doctors, from one posterior."""

from dataclasses import dataclass, replace

import pandas as pd

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Count
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.draws.memory import remembered
from outcomekpi.posterior.fit import Fit
from outcomekpi.profiling.classification import Classification, FlagRule, classify
from outcomekpi.profiling.doctor_population import AverageDoctor
from outcomekpi.profiling.doctor_table import doctor_table
from outcomekpi.profiling.linear_predictor import HospitalComparison
from outcomekpi.profiling.ranking import Ranks, rank
from outcomekpi.profiling.reliability import Reliability, reliability
from outcomekpi.profiling.standardization import Measure, StandardizedRates, standardize

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Evaluation:
    """Rates, ranks, flags and reliability of the doctors; made by :func:`evaluate`.

    Attributes
    ----------
    fit : the posterior that all of it comes from
    rates : standardized rates
    ranks : posterior of each doctor's place
    flags : who is flagged, by the rule as given
    against_benchmark : the same rule at the benchmark, where the rule has a threshold of its own;
        else equal to ``flags``. ``p_worse`` and ``p_better`` of the table are about it
    reliability : latent reliability of each doctor's result
    """

    fit: Fit
    rates: StandardizedRates
    ranks: Ranks
    flags: Classification
    against_benchmark: Classification
    reliability: Reliability

    @remembered
    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per doctor, as in ``doctors.csv``.

        Returns
        -------
        DataFrame indexed by ``doctor``, with the columns of :func:`outcomekpi.doctor_table`
        """
        table = doctor_table(
            self.fit,
            self.rates,
            self.ranks,
            self.against_benchmark,
            level=level,
            reliabilities=self.reliability,
        )
        table["flag"] = self.flags.flag.to_numpy()
        return table

    def __repr__(self) -> str:
        return f"Evaluation of {len(self.rates.cases):,} doctors. {self.flags!r}"

    def _repr_html_(self) -> str:
        frame = self.to_frame()
        flagged = frame.loc[frame["flag"] != "", ["cases", "observed", "expected", "rate", "flag"]]
        return show_html(self, flagged.head(8))


def evaluate(
    fit: Fit,
    rule: FlagRule | None = None,
    *,
    benchmark: float | None = None,
    measure: Measure = "P/E",
    average_doctor: AverageDoctor = "population",
    hospital: HospitalComparison = "within",
    top: Count | None = None,
) -> Evaluation:
    """Judge the doctors of a fit: every quantity once, all from the same draws.

    Parameters
    ----------
    fit : posterior of a model
    rule : threshold and required probability (or losses, or false discovery rate) of the flags
    benchmark : rate that doctors are compared with; None takes the overall rate
    measure, average_doctor, hospital : as in :func:`outcomekpi.standardize`
    top : as in :func:`outcomekpi.rank`

    Returns
    -------
    Evaluation

    Raises
    ------
    SpecError
        Not a fit, an unknown option, or an outcome whose direction was never said.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(), draws=400)
    >>> ok.evaluate(fit).to_frame().shape[1]
    22
    """
    check_arguments(evaluate, locals())
    rule = FlagRule() if rule is None else rule
    rates = standardize(fit, measure=measure, average_doctor=average_doctor, hospital=hospital)
    against_benchmark = classify(rates, replace(rule, threshold=benchmark))
    own = rule.threshold is not None
    return Evaluation(
        fit=fit,
        rates=rates,
        ranks=rank(rates, top=top),
        flags=classify(rates, rule) if own else against_benchmark,
        against_benchmark=against_benchmark,
        reliability=reliability(fit),
    )
