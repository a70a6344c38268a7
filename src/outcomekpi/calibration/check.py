"""Calibration of the risk model: predicted against observed, overall and by decile."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtrc

from outcomekpi.calibration.measures import (
    LOGIT_FAMILIES,
    Predictions,
    bin_predictions,
    brier_score,
    calibration_line,
    concordance,
    group_interval,
    integrated_calibration_index,
    risk_groups,
)
from outcomekpi.calibration.predictions import (
    BY_CASE_MIX,
    BY_DOCTOR,
    affordable_draws,
    predict_draw,
)
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.fields import Level
from outcomekpi.draws.checks import CheckResult
from outcomekpi.draws.intervals import DEFAULT_LEVEL
from outcomekpi.model.families import conditional
from outcomekpi.model.likelihood_model import Model
from outcomekpi.posterior.fit import Fit
from outcomekpi.posterior.predictor import FlatDraws, read_draws

__all__ = ["check_calibration"]

Array = NDArray[np.float64]

BINS = 2000
"""Above this number of cases, neighbors in predicted risk are added up before measuring."""
CHANCE = 0.01
RELEVANT = 0.05
"""A mean distance from the diagonal below this share of the overall rate does not matter."""
MEASURES = ("concordance", "brier", "in_the_large", "slope", "ici")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assessment:
    """One draw's predictions held against the outcomes.

    Attributes
    ----------
    predicted, observed, size, patients : (group,), sums over the cases of each decile
    measures : concordance, Brier score, calibration in the large, slope, ICI
    """

    predicted: Array
    observed: Array
    size: Array
    patients: Array
    measures: Array


def check_calibration(fit: Fit, *, level: Level = DEFAULT_LEVEL) -> CheckResult:
    """Whether outcomes happen as often as predicted, overall and at every level of risk.

    Parameters
    ----------
    fit : a fit by either engine
    level : probability of the intervals of the observed rates

    Returns
    -------
    CheckResult whose table has for each ``prediction`` ("case mix": for a doctor drawn from the
    population; "case mix and doctor": for the case's own doctor) a row of ``group`` "all" and
    one for each decile of predicted risk. Columns: ``cases`` (patients), ``predicted,
    observed, lower, upper`` (events per patient or unit of exposure, or the measurement), and in
    the rows "all" ``concordance, brier, in_the_large, slope, ici``

    Notes
    -----
    Every number is computed for each of up to 100 draws (5 where cases are very many) and then
    averaged. Averaging the predictions first would not do: the posterior mean of a doctor's
    effect is drawn towards 0 and has seen his outcomes, so that its slope lies above 1 in the
    cases that were fitted even where the model is right; a single posterior draw and the
    outcomes are one draw from the model, and calibrated if it is right (Gelman, Meng and Stern
    1996).

    The check fails where the deciles of risk by case mix have more or fewer events than
    predicted with the doctors' effects, by a chi-square with p below .01 (variance of the
    family; degrees of freedom: deciles less 2, Hosmer and Lemeshow 1980), **and** the
    integrated calibration index is above 5 % of the overall rate (of the outcome's SD for a
    measurement): there, and large enough to matter. Each decile mixes many doctors, so that
    their shrinkage does not disturb this comparison.
    Predictions by case mix leave out the doctor-level covariates, as Expected does.

    References
    ----------
    Gelman, Meng and Stern (1996), Statistica Sinica 6 (realized discrepancies).
    Hosmer and Lemeshow (1980), Communications in Statistics (deciles of risk).
    Austin and Steyerberg (2019), Statistics in Medicine 38(21), doi:10.1002/sim.8281 (ICI).

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(case_mix="age"), seed=1)
    >>> ok.check_calibration(fit).name
    'Calibration of the risk model'
    """
    check_arguments(check_calibration, locals())
    model = fit.model
    draws = read_draws(fit.draws, at_most=affordable_draws(model.outcome.size))
    every: dict[str, list[Assessment]] = {BY_CASE_MIX: [], BY_DOCTOR: []}
    average = {name: np.zeros_like(model.outcome) for name in every}
    for sample in range(draws.n_samples):
        for name, given in predict_draw(fit, draws, sample).items():
            every[name].append(_assess(given, model))
            average[name] += given.rate / draws.n_samples
    tables = [_table(model, found, name, level=level) for name, found in every.items()]
    table = pd.concat(tables, ignore_index=True)
    table.attrs["level"] = level
    p_value = decile_p_value(model, average[BY_CASE_MIX], average[BY_DOCTOR], _spread(draws))
    overall = tables[1].iloc[0]
    is_gaussian = model.family == "gaussian"
    off = float(overall["ici"] / (model.outcome.std() if is_gaussian else overall["observed"]))
    return CheckResult(
        name="Calibration of the risk model",
        passed=bool(p_value >= CHANCE or off <= RELEVANT),
        verdict=_verdict(overall, off, p_value, "SD" if is_gaussian else "rate"),
        table=table,
    )


def _verdict(overall: pd.Series, off: float, p_value: float, unit: str) -> str:
    discrimination = (
        f"C-statistic {overall['concordance']:.3f}, " if overall["concordance"] > 0 else ""
    )
    return (
        f"Observed {overall['observed']:.4g} against predicted {overall['predicted']:.4g}, "
        f"slope {overall['slope']:.2f}, {discrimination}mean distance from perfect calibration "
        f"{off:.1%} of the {unit}, deciles of risk p = {p_value:.2g}."
    )


def _spread(draws: FlatDraws) -> float:
    values = draws.sd_residual if draws.sd_residual is not None else draws.dispersion
    return 0.0 if values is None else float(values.mean())


def decile_p_value(model: Model, by_case_mix: Array, by_doctor: Array, spread: float) -> float:
    """P-value of observed against predicted over the deciles of risk by case mix.

    Parameters
    ----------
    by_case_mix, by_doctor : (case,), posterior mean rates; the first forms the groups, the
        second, given which the cases are independent, predicts
    spread : residual SD or dispersion; 0 where the family has none
    """
    size = conditional(model).size[:, 0]
    ranked, given = (
        Predictions(family=model.family, rate=rate, outcome=model.outcome, size=size)
        for rate in (by_case_mix, by_doctor)
    )
    group = risk_groups(ranked)
    expected = size * by_doctor
    difference = np.bincount(group, model.outcome) - np.bincount(group, expected)
    variance = np.bincount(group, _variance(given, expected, spread))
    chi_square = float((difference**2 / variance).sum())
    return float(chdtrc(max(1, variance.size - 2), chi_square))


def _assess(given: Predictions, model: Model) -> Assessment:
    compact, position = given, np.arange(given.rate.size)
    if given.rate.size > BINS:
        compact, position = bin_predictions(given, BINS)
    group = risk_groups(compact)[position]
    in_the_large, slope = calibration_line(compact)
    measures = [
        concordance(compact),
        brier_score(given),
        in_the_large,
        slope,
        integrated_calibration_index(compact),
    ]
    return Assessment(
        predicted=np.bincount(group, given.size * given.rate),
        observed=np.bincount(group, given.outcome),
        size=np.bincount(group, given.size),
        patients=np.bincount(group, model.trials).astype(np.float64),
        measures=np.array(measures),
    )


def _variance(given: Predictions, expected: Array, spread: float) -> Array:
    if given.family in LOGIT_FAMILIES:
        return expected * (1.0 - given.rate)
    if given.family == "gaussian":
        return np.full_like(expected, spread**2)
    return expected + spread**2 * expected**2  # spread is 0 for Poisson


def _table(model: Model, found: list[Assessment], prediction: str, *, level: float) -> pd.DataFrame:
    """Average the draws: first row all cases, then the deciles (fewer where risks are tied)."""
    n_groups = min(one.size.size for one in found)
    found = [one for one in found if one.size.size == n_groups]
    means = {
        name: np.mean([getattr(one, name) for one in found], axis=0)
        for name in ("predicted", "observed", "size", "patients")
    }
    sums = {name: np.append(values.sum(), values) for name, values in means.items()}
    lower, upper = group_interval(
        model.family,
        sums["observed"],
        sums["size"],
        sd=float(model.outcome.std()) if model.family == "gaussian" else 0.0,
        level=level,
    )
    table = pd.DataFrame(
        {
            "prediction": prediction,
            "group": ["all", *(str(g + 1) for g in range(n_groups))],
            "cases": sums["patients"],
            "predicted": sums["predicted"] / sums["size"],
            "observed": sums["observed"] / sums["size"],
            "lower": lower,
            "upper": upper,
        }
    )
    averages = np.mean([one.measures for one in found], axis=0)
    for name, value in zip(MEASURES, averages, strict=True):
        table[name] = [value, *[np.nan] * n_groups]
    return table
