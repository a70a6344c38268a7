"""Divergence: doctors whose events would surprise a model that was fitted without them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Count, Seed
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.engine.draws_tree import PosteriorSamples
from outcomekpi.lineage.origins import Provenance
from outcomekpi.model.likelihood_model import Model
from outcomekpi.posterior.fit import Fit, sample_model
from outcomekpi.posterior.likelihood import pointwise_log_likelihood
from outcomekpi.profiling.linear_predictor import (
    Predictor,
    posterior_of,
    read_predictor,
    slope_of_cases,
)
from outcomekpi.profiling.predictive_curves import DoctorView, log_marginal, upper_tails

__all__ = ["Divergence", "divergence_test"]

Array = NDArray[np.float64]
DivergenceMethod = Literal["importance", "refit"]

WORK = 4_000_000  # doctors x draws; beyond it fewer draws are used
FEWEST_DRAWS = 400
EXACT_UP_TO = 4_000_000  # cases x draws; beyond it marginal likelihoods are expanded in the slopes
MOST_REFITS = 60


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Divergence:
    """Predictive two-sided mid-p values of each doctor.

    Attributes
    ----------
    observed : (doctor,), events seen
    upper_mixed, upper_cross : (doctor,), P(Y > y) + P(Y = y)/2 of replicated events, the
        doctor's effect drawn from the population; with parameters from all doctors ("mixed"), and
        from all others ("cross-validatory")
    k_hat : (doctor,), Pareto shape of the weights that take the doctor out; above .7 they fail.
        0 where the model was refitted
    method : "importance" or "refit"
    provenance : of the fit
    """

    observed: pd.Series
    upper_mixed: pd.Series
    upper_cross: pd.Series
    k_hat: pd.Series
    method: DivergenceMethod
    provenance: Provenance | None = None

    def to_frame(self) -> pd.DataFrame:
        """One row per doctor, in the order of the labels.

        Returns
        -------
        DataFrame indexed by doctor: ``observed``, ``p_mixed``, ``p_cross`` (two-sided mid-p),
        ``side`` ("high" or "low", of the cross-validatory one), ``k_hat``.
        """
        cross = self.upper_cross
        return pd.DataFrame(
            {
                "observed": self.observed,
                "p_mixed": 2 * np.minimum(self.upper_mixed, 1 - self.upper_mixed),
                "p_cross": 2 * np.minimum(cross, 1 - cross),
                "side": np.where(cross < 0.5, "high", "low"),
                "k_hat": self.k_hat,
            }
        )

    def __repr__(self) -> str:
        small = int((self.to_frame()["p_cross"] < 0.05).sum())
        unsure = int((self.k_hat > 0.7).sum())
        note = f"; weights fail for {unsure} (k > .7)" if unsure else ""
        return (
            f"Divergence ({self.method}): {small} of {len(self.observed)} doctors with "
            f"cross-validatory p < .05, {0.05 * len(self.observed):.3g} expected by chance{note}"
        )

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame().sort_values("p_cross").head(8), number=".3g")


def divergence_test(
    fit: Fit, *, method: DivergenceMethod = "importance", draws: Count = 2000, seed: Seed = 20261
) -> Divergence:
    """Probability that the model of the other doctors predicts events as far out as his.

    Parameters
    ----------
    fit : posterior of a Bernoulli, binomial, Poisson or Gaussian model with normal effects
    method : "importance" takes each doctor out by weights on the draws; "refit" fits the model
        without him, for up to 60 doctors
    draws, seed : of each refit

    Raises
    ------
    SpecError
        A family or distribution of effects that this is not derived for; too many refits.

    Notes
    -----
    Mixed: the doctor's effect is drawn from its population given each posterior draw of all other
    parameters, events given it, and the mid-p value averaged over draws. Cross-validatory: the
    draws are weighted by 1 / L_j, L_j the likelihood of the doctor's cases with his effect
    integrated out, smoothed by Pareto smoothed importance sampling; it is integrated over every
    case up to 4e6 cases x draws, and expanded to second order in the slopes beyond. Given the
    shared shift t of his cases, events have the Poisson-binomial tail (summed where fewer than 12
    events or non-events were seen, by saddlepoint above) or the Poisson tail. The hospital effect
    is kept from the posterior; a hospital's only doctor is drawn with its variance added.

    References
    ----------
    Marshall & Spiegelhalter (2007), Bayesian Analysis 2:409-444, doi:10.1214/07-BA218. Vehtari,
    Simpson, Gelman, Yao & Gabry (2024), Journal of Machine Learning Research 25.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(), draws=400)
    >>> bool(ok.divergence_test(fit).to_frame()["p_cross"].between(0, 1).all())
    True
    """
    check_arguments(divergence_test, locals())
    _check(fit, method)
    predictor, keep = _thinned(read_predictor(fit))
    residual = _residual(fit, keep)
    index = pd.Index(fit.cases.doctors, name="doctor")
    equal = np.full(predictor.n_samples, 1 / predictor.n_samples)
    n_doctors = predictor.n_doctors
    mixed, cross = np.empty(n_doctors), np.empty(n_doctors)
    shapes = np.zeros(n_doctors)
    exact = _exact_marginals(fit, keep) if method == "importance" else {}
    views = _views(predictor, fit.model, residual, _sd_hospital(fit, keep))
    for j, view in enumerate(views):
        weights = equal
        if method == "importance":
            weights, shapes[j] = _leave_out(exact[j] if j in exact else log_marginal(view))
        mixed[j], cross[j] = upper_tails(view, np.stack([equal, weights]))
    if method == "refit":
        cross = np.array([_refitted(fit, j, draws, seed) for j in range(n_doctors)])
    observed = np.bincount(fit.cases.doctor_code, weights=fit.cases.outcome, minlength=n_doctors)
    return Divergence(
        observed=pd.Series(observed, index=index),
        upper_mixed=pd.Series(mixed, index=index),
        upper_cross=pd.Series(cross, index=index),
        k_hat=pd.Series(shapes, index=index),
        method=method,
        provenance=fit.provenance,
    )


def _check(fit: Fit, method: DivergenceMethod) -> None:
    if fit.model.family == "negative_binomial":
        raise SpecError("divergence_test is not derived for negative binomial counts.")
    if fit.model.doctor_effects != "normal":
        raise SpecError("divergence_test is derived for normal doctor effects only.")
    if method == "refit" and len(fit.cases.doctors) > MOST_REFITS:
        raise SpecError(
            f"method='refit' would fit the model {len(fit.cases.doctors)} times; it takes at most "
            f"{MOST_REFITS} doctors. Use method='importance' and look at k_hat."
        )


def _thinned(predictor: Predictor) -> tuple[Predictor, slice]:
    most = max(FEWEST_DRAWS, WORK // predictor.n_doctors)
    keep = slice(None, None, max(1, predictor.n_samples // most))
    hospital = predictor.hospital
    return replace(
        predictor,
        slope=predictor.slope[:, keep],
        intercept=predictor.intercept[keep],
        sd_doctor=predictor.sd_doctor[keep],
        hospital=None if hospital is None else hospital[:, keep],
        effect=predictor.effect[:, keep],
        doctor_slope=predictor.doctor_slope[:, keep],
    ), keep


def _residual(fit: Fit, keep: slice) -> Array | None:
    posterior = posterior_of(fit)
    if "sd_residual" not in posterior:
        return None
    return np.asarray(flatten_draws(posterior["sd_residual"])[0][keep], dtype=np.float64)


def _sd_hospital(fit: Fit, keep: slice) -> Array | None:
    posterior = posterior_of(fit)
    if "sd_hospital" not in posterior:
        return None
    return np.asarray(flatten_draws(posterior["sd_hospital"])[0][keep], dtype=np.float64)


def _views(
    predictor: Predictor, model: Model, residual: Array | None, sd_hospital: Array | None
) -> Iterator[DoctorView]:
    """Each doctor's cases, in the order of the doctors."""
    slope_mean = predictor.slope.mean(axis=1)
    departure = np.asarray(predictor.slope - slope_mean[:, None], dtype=np.float64)
    order = np.argsort(predictor.doctor_code, kind="stable")
    edges = np.searchsorted(predictor.doctor_code[order], np.arange(predictor.n_doctors + 1))
    colleagues = None
    if predictor.hospital_code is not None:
        colleagues = np.bincount(predictor.hospital_code)[predictor.hospital_code]
    for j in range(predictor.n_doctors):
        rows = order[edges[j] : edges[j + 1]]
        alone = colleagues is not None and colleagues[j] == 1 and sd_hospital is not None
        one = np.array([j])
        base = predictor.intercept if alone else predictor.brought_by_cases(one)[0]
        terms = (predictor.doctor_matrix[one] @ predictor.doctor_slope)[0]
        sd = predictor.sd_doctor
        if alone and sd_hospital is not None:
            sd = np.sqrt(sd**2 + sd_hospital**2)
        x = np.asarray(predictor.matrix[rows], dtype=np.float64)
        yield DoctorView(
            family=model.family,
            x=x,
            eta=x @ slope_mean + float(base.mean()),
            departure=departure,
            shift=np.asarray(base - base.mean() + terms, dtype=np.float64),
            sd=np.asarray(sd, dtype=np.float64),
            outcome=model.outcome[rows],
            weight=np.ones(rows.size) if predictor.weight is None else predictor.weight[rows],
            sd_residual=residual,
        )


def _exact_marginals(fit: Fit, keep: slice) -> dict[int, Array]:
    """Log likelihoods by integration over every case in every draw, where that is affordable.

    A hospital's only doctor is left to :func:`log_marginal`, whose view integrates the hospital
    effect out as well.
    """
    sizes = posterior_of(fit).sizes
    if keep.step != 1 or fit.cases.outcome.size * sizes["chain"] * sizes["draw"] > EXACT_UP_TO:
        return {}
    tree = pointwise_log_likelihood(fit, by="doctor")
    group = tree.children["log_likelihood"].to_dataset()
    values = np.asarray(flatten_draws(group["outcome"]), dtype=np.float64)
    code = fit.cases.hospital_code
    colleagues = np.full(len(values), 2) if code is None else np.bincount(code)[code]
    return {j: row for j, row in enumerate(values) if colleagues[j] > 1}


def _leave_out(log_likelihood: Array) -> tuple[Array, float]:
    """Pareto smoothed weights proportional to 1 / likelihood, and their shape."""
    from arviz_stats.base.array import array_stats

    if np.ptp(log_likelihood) < 1e-9:  # the doctor says nothing about the parameters
        return np.full(log_likelihood.size, 1 / log_likelihood.size), 0.0
    # psislw takes log likelihoods and negates them itself
    log_weights, shape = array_stats.psislw(log_likelihood - log_likelihood.max())  # type: ignore[no-untyped-call]
    weights = np.exp(log_weights - log_weights.max())
    return weights / weights.sum(), float(shape)


def _refitted(fit: Fit, doctor: int, draws: int, seed: int) -> float:
    """Upper tail of a doctor's events under the model fitted to all others."""
    samples = _sample_without(fit, doctor, draws, seed)
    full, own = read_predictor(fit), np.array([doctor])
    n = samples.intercept.size
    of_doctor = np.asarray(fit.design.doctor_level, dtype=bool)
    slope = samples.coefficient.T
    hospital = _hospital_draws(fit, samples, doctor, seed)
    alone = replace(
        full,
        slope=slope_of_cases(fit, slope),
        intercept=samples.intercept + hospital,
        sd_doctor=samples.sd_doctor,
        hospital=None,
        hospital_code=None,
        effect=np.zeros((full.n_doctors, n)),
        doctor_slope=slope[of_doctor],
    )
    rows = full.doctor_code == doctor
    only = replace(
        alone,
        matrix=full.matrix[rows],
        effect=np.zeros((1, n)),
        doctor_matrix=full.doctor_matrix[own],
        doctor_code=np.zeros(int(rows.sum()), dtype=np.intp),
        weight=None if full.weight is None else full.weight[rows],
    )
    model = replace(fit.model, outcome=fit.model.outcome[rows])
    view = next(_views(only, model, samples.sd_residual, None))
    return float(upper_tails(view, np.full((1, n), 1 / n))[0])


def _sample_without(fit: Fit, doctor: int, draws: int, seed: int) -> PosteriorSamples:
    model = fit.model
    kept = model.doctor_code != doctor
    code = model.doctor_code[kept]
    hospital, n_hospitals = model.hospital_code, model.n_hospitals
    if hospital is not None:
        labels, hospital = np.unique(np.delete(hospital, doctor), return_inverse=True)
        n_hospitals = labels.size
    rest = replace(
        model,
        outcome=model.outcome[kept],
        trials=None if model.trials is None else model.trials[kept],
        exposure=None if model.exposure is None else model.exposure[kept],
        offset=None if model.offset is None else model.offset[kept],
        matrix=np.asfortranarray(model.matrix[kept]),
        doctor_code=code - (code > doctor),
        n_doctors=model.n_doctors - 1,
        hospital_code=hospital,
        n_hospitals=n_hospitals,
    )
    return sample_model(rest, engine=fit.engine, draws=draws, seed=seed)


def _hospital_draws(fit: Fit, samples: PosteriorSamples, doctor: int, seed: int) -> Array | float:
    """Effect of the doctor's hospital given his colleagues; from its population without any."""
    code = fit.model.hospital_code
    if code is None or samples.hospital_effect is None or samples.sd_hospital is None:
        return 0.0
    labels = np.unique(np.delete(code, doctor))
    place = np.flatnonzero(labels == code[doctor])
    if place.size:
        return np.asarray(samples.hospital_effect[place[0]], dtype=np.float64)
    scores = np.random.default_rng([seed, doctor]).standard_normal(samples.intercept.size)
    return np.asarray(scores * samples.sd_hospital)
