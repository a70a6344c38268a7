"""Reliability: which share of the differences between doctors is real."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Range, Seed
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL, flatten_draws, interval
from outcomekpi.draws.memory import remembered
from outcomekpi.lineage.origins import Provenance
from outcomekpi.posterior.fit import Fit
from outcomekpi.profiling.case_curves import information_by_curves
from outcomekpi.profiling.case_sums import sum_exactly
from outcomekpi.profiling.linear_predictor import posterior_of, read_predictor
from outcomekpi.profiling.reliability_estimates import (
    SignalEstimate,
    estimate_anova,
    estimate_beta_binomial,
    estimate_inter_unit,
    estimate_split_sample,
)
from outcomekpi.profiling.standardization import is_large, label_draws

__all__ = ["Reliability", "ReliabilityMethod", "reliability"]

ReliabilityMethod = Literal["latent", "anova", "beta_binomial", "split_sample", "iur"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Reliability:
    """Reliability of each doctor's result: signal variance over signal plus noise.

    Attributes
    ----------
    method : how it was estimated
    draws : (chain, draw, doctor), reliability in [0, 1]; posterior draws ("latent") or bootstrap
        replicates over doctors in one chain (all others)
    estimate : (doctor,), posterior mean ("latent") or estimate from the data
    cases : (doctor,), patients
    signal_per_case : (chain, draw), signal to noise of one case, so that n cases have
        reliability n s / (1 + n s)
    signal_estimate : posterior median ("latent") or estimate of the same
    provenance : of the fit
    """

    method: ReliabilityMethod
    draws: xr.DataArray
    estimate: pd.Series
    cases: pd.Series
    signal_per_case: xr.DataArray
    signal_estimate: float
    provenance: Provenance | None = None

    @property
    def kind(self) -> str:
        """What the draws are: ``"posterior"`` or ``"bootstrap"``."""
        return "posterior" if self.method == "latent" else "bootstrap"

    @remembered
    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per doctor, in the order of the labels.

        Returns
        -------
        DataFrame indexed by doctor: ``cases``; ``mean``, the posterior mean or the estimate;
        ``lower, upper``, posterior or bootstrap interval.
        """
        lower, upper = interval(flatten_draws(self.draws), level=level)
        frame = pd.DataFrame(
            {
                "cases": self.cases.to_numpy(),
                "mean": self.estimate.to_numpy(),
                "lower": lower,
                "upper": upper,
            },
            index=self.estimate.index,
        )
        frame.attrs.update(level=level, unit="reliability", method=self.method, kind=self.kind)
        return frame

    def __repr__(self) -> str:
        return (
            f"Reliability ({self.method}): median {self.estimate.median():.2f} over "
            f"{len(self.estimate)} doctors, {(self.estimate >= 0.7).mean():.0%} at .7 or more"
        )

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame().head(8))


def reliability(
    fit: Fit,
    *,
    method: ReliabilityMethod = "latent",
    replicates: Annotated[int, Range(low=20)] = 400,
    seed: Seed = 20261,
) -> Reliability:
    """Share of the variance of each doctor's result that is due to the doctor.

    Parameters
    ----------
    fit : posterior of a model
    method : "latent", from the posterior on the link scale; "anova", "beta_binomial",
        "split_sample", "iur" from the data, with an interval by resampling doctors
    replicates : bootstrap replicates
    seed : of the splits and the bootstrap

    Raises
    ------
    SpecError
        Unknown method, beta-binomial reliability of an outcome that is not a proportion, or too
        few doctors with enough cases.

    Notes
    -----
    Latent: R_j = sd_doctor² / (sd_doctor² + 1/I_j) in each draw, I_j the Fisher information about
    the doctor's effect in his cases at an average doctor: sum of p(1 - p) for the logit, the
    expected count for the log link, n / sd_residual² for a Gaussian outcome. This is the noise
    that 0/1 outcomes have; the threshold-model variance pi²/3 per case, which belongs to a
    latent variable that nobody observes, would promise far more for rare events.
    The other methods are described in :mod:`outcomekpi.profiling.reliability_estimates`.

    References
    ----------
    Adams (2009), The reliability of provider profiling, RAND TR-653. He, Kalbfleisch,
    Yang & Fei (2019), Inter-unit reliability for nonlinear models, Statistics in Medicine.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(), draws=400)
    >>> bool(ok.reliability(fit).estimate.between(0, 1).all())
    True
    """
    check_arguments(reliability, locals())
    if method == "latent":
        return _latent(fit)
    if len(fit.cases.doctors) < 3:
        raise SpecError(f"method={method!r} needs at least 3 doctors; use method='latent'.")
    estimators = {
        "anova": estimate_anova,
        "beta_binomial": estimate_beta_binomial,
        "split_sample": estimate_split_sample,
        "iur": estimate_inter_unit,
    }
    rng = np.random.default_rng(seed)
    return _from_estimate(fit, method, estimators[method](fit, replicates, rng))


def _cases(fit: Fit) -> pd.Series:
    n = np.bincount(
        fit.cases.doctor_code, weights=fit.cases.trials, minlength=len(fit.cases.doctors)
    )
    return pd.Series(n, index=pd.Index(fit.cases.doctors, name="doctor"), name="cases")


@remembered
def _latent(fit: Fit) -> Reliability:
    predictor = read_predictor(fit)
    if is_large(predictor):
        information = information_by_curves(predictor)
    else:
        information = sum_exactly(predictor, average_doctor="median").information
    variance = predictor.sd_doctor**2
    if fit.model.family == "gaussian":
        residual = flatten_draws(posterior_of(fit)["sd_residual"])[0]
        variance = variance / residual**2
    elif fit.model.family == "negative_binomial":
        information = _overdispersed(fit, information)
    variance = variance.astype(information.dtype)
    signal = information * variance
    cases = _cases(fit)
    per_case = information.sum(axis=0, dtype=np.float64) / cases.sum() * variance
    like = posterior_of(fit)["doctor_effect"]
    draws = signal / (1 + signal)
    return Reliability(
        method="latent",
        draws=label_draws(draws, like),
        estimate=pd.Series(
            draws.mean(axis=1, dtype=np.float64), index=cases.index, name="reliability"
        ),
        cases=cases,
        signal_per_case=xr.DataArray(
            per_case.reshape(like.sizes["chain"], like.sizes["draw"]), dims=("chain", "draw")
        ),
        signal_estimate=float(np.median(per_case)),
        provenance=fit.provenance,
    )


def _overdispersed(fit: Fit, information: NDArray[np.floating]) -> NDArray[np.floating]:
    """Information of negative binomial counts, mu / (1 + dispersion² mu), rows taken as alike."""
    dispersion = flatten_draws(posterior_of(fit)["dispersion"])[0]
    rows = np.bincount(fit.cases.doctor_code, minlength=len(fit.cases.doctors))[:, None]
    return np.asarray(information / (1 + dispersion**2 * information / rows))


def _from_estimate(fit: Fit, method: ReliabilityMethod, found: SignalEstimate) -> Reliability:
    cases = _cases(fit)
    n = cases.to_numpy()[:, None]
    signal = n * found.replicates
    estimate = cases * found.estimate / (1 + cases * found.estimate)
    draws = xr.DataArray(
        (signal / (1 + signal))[:, None, :],
        dims=("doctor", "chain", "draw"),
        coords={"doctor": cases.index.to_numpy(dtype=object)},
    )
    return Reliability(
        method=method,
        draws=draws.transpose("chain", "draw", "doctor"),
        estimate=estimate.rename("reliability"),
        cases=cases,
        signal_per_case=xr.DataArray(found.replicates[None, :], dims=("chain", "draw")),
        signal_estimate=found.estimate,
        provenance=fit.provenance,
    )
