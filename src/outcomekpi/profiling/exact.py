"""Exact test of each doctor as a fixed effect, against the average doctor."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri_exp

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.showing import show_html
from outcomekpi.lineage.origins import Provenance
from outcomekpi.posterior.fit import Fit
from outcomekpi.profiling.case_means import case_means
from outcomekpi.profiling.count_tails import (
    MidTails,
    many_poisson_binomial_tails,
    normal_tails,
    poisson_binomial_tails,
    poisson_tails,
)
from outcomekpi.profiling.doctor_population import AverageDoctor
from outcomekpi.profiling.linear_predictor import HospitalComparison, posterior_of, read_predictor

__all__ = ["ExactTest", "exact_test"]

LOG_10 = float(np.log(10.0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExactTest:
    """Two-sided mid-p value of each doctor.

    Attributes
    ----------
    observed, expected : (doctor,), events seen, and expected with the average doctor
    log_p : (doctor,), natural logarithm of the p-value; finite where the p-value underflows
    side : (doctor,), "high" or "low", the side on which the observed events lie
    law : distribution of the events of the average doctor
    provenance : of the fit
    """

    observed: pd.Series
    expected: pd.Series
    log_p: pd.Series
    side: pd.Series
    law: str
    provenance: Provenance | None = None

    def to_frame(self) -> pd.DataFrame:
        """One row per doctor, in the order of the labels.

        Returns
        -------
        DataFrame indexed by doctor: ``observed``, ``expected``, ``p_value`` (two-sided mid-p),
        ``log10_p``, ``z`` (normal deviate of the same p-value, positive on the high side),
        ``side``.
        """
        sign = np.where(self.side == "high", 1.0, -1.0)
        z = -ndtri_exp(self.log_p.to_numpy() - np.log(2.0)) * sign
        return pd.DataFrame(
            {
                "observed": self.observed,
                "expected": self.expected,
                "p_value": np.exp(self.log_p),
                "log10_p": self.log_p / LOG_10,
                "z": z + 0.0,
                "side": self.side,
            }
        )

    def __repr__(self) -> str:
        small = int((self.log_p < np.log(0.05)).sum())
        return (
            f"ExactTest ({self.law}): {small} of {len(self.log_p)} doctors with p < .05, "
            f"{0.05 * len(self.log_p):.3g} expected by chance"
        )

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame().sort_values("log10_p").head(8), number=".3g")


def exact_test(
    fit: Fit,
    *,
    average_doctor: AverageDoctor = "population",
    hospital: HospitalComparison = "within",
) -> ExactTest:
    """Probability, were the doctor average, of events at least as surprising as his.

    Parameters
    ----------
    fit : posterior of a Bernoulli, binomial, Poisson or Gaussian model
    average_doctor : whose outcomes are expected, as in :func:`outcomekpi.standardize`
    hospital : "within", the average doctor works in the same hospital; "population", in an
        average one

    Raises
    ------
    SpecError
        An unknown option; a negative binomial family, for which the sum over cases has no exact
        law here.

    Notes
    -----
    The doctor is a fixed effect: under the null he is the average doctor, and his events are a sum
    of independent events with the posterior mean probabilities of his cases (uncertainty of the
    coefficients averaged over draws, case by case; not one test per draw). p = 2 min(P(Y < y) +
    P(Y = y)/2, P(Y > y) + P(Y = y)/2). With many cases every doctor differs from the average: a
    small p-value says that chance does not explain the difference, not that it matters. The
    doctor's own cases took part in the fit; see :func:`outcomekpi.divergence_test` without them.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(), draws=400)
    >>> bool(ok.exact_test(fit).to_frame()["p_value"].between(0, 1).all())
    True
    """
    check_arguments(exact_test, locals())
    family = fit.model.family
    if family == "negative_binomial":
        raise SpecError("exact_test has no law for negative binomial counts. Use classify.")
    cases = fit.cases
    mean = case_means(read_predictor(fit, comparison=hospital), average_doctor=average_doctor)
    n_doctors = len(cases.doctors)
    expected = cases.trials * mean if cases.trials is not None else mean
    index = pd.Index(cases.doctors, name="doctor")
    observed = np.bincount(cases.doctor_code, weights=cases.outcome, minlength=n_doctors)
    events = np.bincount(cases.doctor_code, weights=expected, minlength=n_doctors)
    if family == "poisson":
        law = "Poisson"
        tails = [poisson_tails(y, m) for y, m in zip(observed, events, strict=True)]
    elif family == "gaussian":
        law = "normal"
        sd = float(posterior_of(fit)["sd_residual"].mean())
        n = np.bincount(cases.doctor_code, minlength=n_doctors)
        tails = [normal_tails(z) for z in (observed - events) / (sd * np.sqrt(n))]
    else:
        law = "Poisson-binomial"
        tails = _poisson_binomial(fit, mean, observed)
    return ExactTest(
        observed=pd.Series(observed, index=index),
        expected=pd.Series(events, index=index),
        log_p=pd.Series([tail.two_sided for tail in tails], index=index),
        side=pd.Series([tail.side for tail in tails], index=index, dtype=object),
        law=law,
        provenance=fit.provenance,
    )


def _poisson_binomial(
    fit: Fit, mean: NDArray[np.float64], observed: NDArray[np.float64]
) -> list[MidTails]:
    code, trials = fit.cases.doctor_code, fit.cases.trials
    if trials is None:
        return many_poisson_binomial_tails(observed, mean, code)
    order = np.argsort(code, kind="stable")
    edges = np.searchsorted(code[order], np.arange(observed.size + 1))
    tails = []
    for doctor, events in enumerate(observed):
        rows = order[edges[doctor] : edges[doctor + 1]]
        chance, inverse = np.unique(mean[rows], return_inverse=True)
        counts = np.bincount(inverse, weights=trials[rows])
        tails.append(poisson_binomial_tails(float(events), chance, counts))
    return tails
