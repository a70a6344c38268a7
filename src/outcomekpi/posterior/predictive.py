"""Posterior predictive check: whether replicated cases give each doctor his outcomes."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Level, Seed
from outcomekpi.draws.checks import CheckResult, most_by_chance
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.model.families import conditional, draw_outcomes
from outcomekpi.model.likelihood_model import Model
from outcomekpi.model.spec import STUDENT_T_DF
from outcomekpi.posterior.fit import Fit
from outcomekpi.posterior.predictor import FlatDraws, linear_predictor, read_draws

__all__ = ["check_predictive"]

Array = NDArray[np.float64]

MOST_REPLICATES, FEWEST_REPLICATES = 999, 119  # one less than a multiple of 40: exact tails
VALUES_IN_ALL = 12_000_000
BLOCK_VALUES = 4_000_000
BY_CHANCE = 0.99
"""A check fails where more doctors lie outside than this share of fitting models would show."""


def check_predictive(fit: Fit, *, seed: Seed = 20261, level: Level = DEFAULT_LEVEL) -> CheckResult:
    """Whether the model, run again, would give each doctor outcomes like those he had.

    Parameters
    ----------
    fit : a fit by either engine
    seed : of the replicated outcomes
    level : probability of the predictive intervals

    Returns
    -------
    CheckResult, one row per doctor: ``cases, observed, mean, lower, upper, p_value`` for his
    total outcome replicated with his own effect, and ``new_lower, new_upper, new_p_value`` for
    a doctor drawn anew from the population who treats the same cases

    Notes
    -----
    Each of up to 999 draws (119 where cases are very many) replicates every case. p_value is
    the two-sided mid-p: twice the smaller of P(replicate < observed) + P(equal)/2 and its
    complement, the observed total counting as one more replicate. Interval limits are quantiles
    at rank (replicates + 1) times probability, so that a fitting model leaves 1 - level outside.
    Replicates with the doctor's own effect have seen his outcomes and are
    conservative; those of a new doctor test the distribution of the effects. The check fails
    where the number of doctors outside either interval is above the 99 % point of
    Binomial(doctors, 1 - level).

    References
    ----------
    Gelman, Meng and Stern (1996), Statistica Sinica 6. Marshall and Spiegelhalter (2007),
    Bayesian Analysis 2(2), 409-444 (mixed predictive replicates).

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(case_mix="age"), seed=1)
    >>> len(ok.check_predictive(fit).table[["observed", "lower", "upper"]])
    40
    """
    check_arguments(check_predictive, locals())
    model = fit.model
    wanted = max(FEWEST_REPLICATES, min(MOST_REPLICATES, VALUES_IN_ALL // model.outcome.size))
    draws = read_draws(fit.draws, at_most=wanted)
    own, new = replicate_doctors(model, draws, np.random.default_rng(seed))
    observed = np.bincount(model.doctor_code, model.outcome, model.n_doctors)
    tails = [(1.0 - level) / 2.0, (1.0 + level) / 2.0]
    lower, upper = np.quantile(own, tails, axis=1, method="weibull")
    new_lower, new_upper = np.quantile(new, tails, axis=1, method="weibull")
    table = pd.DataFrame(
        {
            "cases": np.bincount(model.doctor_code, model.trials, model.n_doctors),
            "observed": observed,
            "mean": own.mean(axis=1),
            "lower": lower,
            "upper": upper,
            "p_value": mid_p(own, observed),
            "new_lower": new_lower,
            "new_upper": new_upper,
            "new_p_value": mid_p(new, observed),
        },
        index=pd.Index(fit.cases.doctors, name="doctor"),
    )
    table.attrs["level"] = level
    outside = int(((observed < lower) | (observed > upper)).sum())
    outside_new = int(((observed < new_lower) | (observed > new_upper)).sum())
    allowed = most_by_chance(model.n_doctors, 1.0 - level, within=BY_CHANCE)
    return CheckResult(
        name="Posterior predictive fit by doctor",
        passed=max(outside, outside_new) <= allowed,
        verdict=(
            f"{outside} of {model.n_doctors} doctors lie outside the {level:.0%} interval of "
            f"their own replicated outcomes, {outside_new} outside that of a new doctor with the "
            f"same cases; up to {allowed} would by chance."
        ),
        table=table,
    )


def replicate_doctors(
    model: Model, draws: FlatDraws, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Replicated total outcome of each doctor, with his own effect and with a new one.

    Returns
    -------
    own, new : (doctor, sample)
    """
    from scipy.sparse import csr_array

    n_cases, n_samples = model.outcome.size, draws.n_samples
    position = (model.doctor_code, np.arange(n_cases))
    summed = csr_array((np.ones(n_cases), position), shape=(model.n_doctors, n_cases))
    effect = draws.doctor_effect
    own, new = np.empty((2, model.n_doctors, n_samples))
    step = max(1, BLOCK_VALUES // n_cases)
    spread = draws.sd_residual if draws.sd_residual is not None else draws.dispersion
    for first in range(0, n_samples, step):
        part = slice(first, first + step)
        given = conditional(model, None if spread is None else spread[part])
        eta = linear_predictor(model, draws, samples=part)
        own[:, part] = summed @ draw_outcomes(given, eta, rng)
        change = new_effects(model, draws.sd_doctor[part], rng) - effect[:, part]
        eta += change[model.doctor_code]
        new[:, part] = summed @ draw_outcomes(given, eta, rng)
    return own, new


def new_effects(model: Model, sd: Array, rng: np.random.Generator) -> Array:
    """Effects of doctors drawn anew from the population, (doctor, sample)."""
    shape = (model.n_doctors, sd.size)
    if model.doctor_effects == "normal":
        return sd * rng.standard_normal(shape)
    scale = sd * np.sqrt((STUDENT_T_DF - 2.0) / STUDENT_T_DF)
    return np.asarray(scale * rng.standard_t(STUDENT_T_DF, shape))


def mid_p(replicated: Array, observed: Array) -> Array:
    """Two-sided mid-p of each doctor's observed outcome; replicated (doctor, sample)."""
    at = observed[:, None]
    lower = (replicated < at).sum(axis=1) + 0.5 * (replicated == at).sum(axis=1)
    below = (lower + 0.5) / (replicated.shape[1] + 1)
    return np.asarray(2.0 * np.minimum(below, 1.0 - below))
