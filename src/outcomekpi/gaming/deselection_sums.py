"""What each doctor's sums become without his worst cases, with the fitted case mix kept."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from outcomekpi.declare.errors import SpecError
from outcomekpi.posterior.fit import Fit
from outcomekpi.profiling.case_means import case_means
from outcomekpi.profiling.linear_predictor import Predictor, posterior_of, read_predictor

__all__ = ["CaseTable", "DropSums", "drop_sums", "read_case_table"]

Array = NDArray[np.float64]

NODES = 121
REACH = 6.0  # standard deviations of the doctor effects that the grid spans on each side
BLOCK = 20_000  # cases on the grid at once


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaseTable:
    """Cases sorted by doctor, the first to go first.

    Attributes
    ----------
    order : (case,), position of each sorted case in the cases of the fit
    start, count : (doctor,), where each doctor's cases begin, and how many he has
    outcome, expected, exposure : (case,), sorted; expected with the average doctor (that of
        ``standardize``), posterior mean
    at_zero : (case,), sorted; the same with a doctor effect of 0, where the grid starts
    prior_mean : (doctor,), mean of the doctor's effect given his doctor-level columns
    prior_sd : SD of the doctor effects, posterior mean
    family : of the outcome
    residual_sd : of a Gaussian outcome, else 1
    """

    order: NDArray[np.intp]
    start: NDArray[np.intp]
    count: NDArray[np.intp]
    outcome: Array
    expected: Array
    at_zero: Array
    exposure: Array
    prior_mean: Array
    prior_sd: float
    family: str
    residual_sd: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DropSums:
    """Sums over the cases that are left, for one number of dropped cases.

    Attributes
    ----------
    removed : (doctor,), cases that were dropped; each doctor keeps at least one
    cases, exposure, observed, expected : (doctor,)
    ratio : (doctor, node), predicted over expected events at each effect on the grid (Gaussian:
        predicted minus expected outcome per case)
    weight : (doctor, node), posterior weight of that effect, adding up to 1
    """

    removed: NDArray[np.intp]
    cases: NDArray[np.intp]
    exposure: Array
    observed: Array
    expected: Array
    ratio: Array
    weight: Array


def read_case_table(fit: Fit, score: Callable[[Array, Array], tuple[Array, ...]]) -> CaseTable:
    """Sort the cases of a fit within each doctor by a score of (outcome, expected), largest first.

    Raises
    ------
    SpecError
        A family, or aggregated rows, of which no single patient can be dropped.
    """
    family = fit.model.family
    if family == "negative_binomial":
        raise SpecError(
            "Deselection is not covered for the negative binomial family. Fit the same cases with "
            "family='poisson'."
        )
    if fit.model.trials is not None and (fit.model.trials != 1).any():
        raise SpecError(
            "Deselection drops single patients; these cases are aggregated rows with trials. "
            "Fit one row per patient."
        )
    predictor = read_predictor(fit)
    expected = case_means(predictor, average_doctor="population")
    outcome = np.asarray(fit.cases.outcome)
    code = np.asarray(fit.cases.doctor_code)
    keys = score(outcome, expected)
    order = np.lexsort((*[-key for key in reversed(keys)], code))
    count = np.bincount(code, minlength=len(fit.cases.doctors))
    exposure = np.ones(code.size) if fit.cases.exposure is None else fit.cases.exposure
    posterior = posterior_of(fit)
    residual = float(posterior["sd_residual"].mean()) if "sd_residual" in posterior else 1.0
    return CaseTable(
        order=order,
        start=np.cumsum(count) - count,
        count=count,
        outcome=outcome[order],
        expected=expected[order],
        at_zero=case_means(predictor)[order],
        exposure=np.asarray(exposure, dtype=np.float64)[order],
        prior_mean=_prior_mean(predictor),
        prior_sd=float(posterior["sd_doctor"].mean()),
        family=family,
        residual_sd=residual,
    )


def _prior_mean(predictor: Predictor) -> Array:
    if not predictor.doctor_matrix.shape[1]:
        return np.zeros(predictor.n_doctors)
    return np.asarray(predictor.doctor_matrix @ predictor.doctor_slope.mean(axis=1))


def drop_sums(table: CaseTable, drops: tuple[int, ...]) -> list[DropSums]:
    """Return sums and posteriors of every doctor for each number of dropped cases.

    Notes
    -----
    Plug-in posterior of a doctor's effect u on a grid of 121 nodes, 6 SDs on each side:
    N(u; m, sd²) times the likelihood of his cases with linear predictor g(at zero) + u. Dropping
    subtracts the dropped cases from the sums: no case is summed twice.
    """
    effect = table.prior_mean[:, None] + table.prior_sd * np.linspace(-REACH, REACH, NODES)
    log_prior = -0.5 * ((effect - table.prior_mean[:, None]) / table.prior_sd) ** 2
    log_likelihood, predicted = _grid_totals(table, effect)
    totals = {
        name: np.add.reduceat(getattr(table, name), table.start)
        for name in ("outcome", "expected", "exposure")
    }
    found, gone = [], np.zeros(table.count.size, dtype=np.intp)
    log_density = log_prior + log_likelihood
    for drop in sorted(drops):
        for _ in range(drop - int(gone.max(initial=0))):
            leaves = np.flatnonzero(gone < table.count - 1)
            row = table.start[leaves] + gone[leaves]
            minus_log, minus_predicted = _on_grid(table, row, effect[leaves])
            log_density[leaves] -= minus_log
            predicted[leaves] -= minus_predicted
            for name, values in totals.items():
                values[leaves] -= getattr(table, name)[row]
            gone[leaves] += 1
        weight = np.exp(log_density - log_density.max(axis=1, keepdims=True))
        found.append(
            DropSums(
                removed=gone.copy(),
                cases=table.count - gone,
                exposure=totals["exposure"].copy(),
                observed=totals["outcome"].copy(),
                expected=totals["expected"].copy(),
                ratio=_ratio(table, predicted, totals["expected"], table.count - gone),
                weight=weight / weight.sum(axis=1, keepdims=True),
            )
        )
    return found


def _ratio(table: CaseTable, predicted: Array, expected: Array, cases: NDArray[np.intp]) -> Array:
    if table.family == "gaussian":
        return np.asarray((predicted - expected[:, None]) / cases[:, None])
    return np.asarray(predicted / expected[:, None])


def _grid_totals(table: CaseTable, effect: Array) -> tuple[Array, Array]:
    """Log likelihood and predicted events summed over all cases, (doctor, node)."""
    log_likelihood, predicted = np.zeros(effect.shape), np.zeros(effect.shape)
    doctor = np.repeat(np.arange(table.count.size), table.count)
    for begin in range(0, doctor.size, BLOCK):
        rows = np.arange(begin, min(begin + BLOCK, doctor.size))
        owner = doctor[rows]
        at = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
        logs, events = _on_grid(table, rows, effect[owner])
        log_likelihood[owner[at]] += np.add.reduceat(logs, at, axis=0)
        predicted[owner[at]] += np.add.reduceat(events, at, axis=0)
    return log_likelihood, predicted


def _on_grid(table: CaseTable, rows: NDArray[np.intp], effect: Array) -> tuple[Array, Array]:
    """Log likelihood and predicted outcome of single cases at each effect, (row, node)."""
    y, e = table.outcome[rows, None], table.at_zero[rows, None]
    if table.family == "gaussian":
        mean = e + effect
        return np.asarray(-0.5 * ((y - mean) / table.residual_sd) ** 2), np.asarray(mean)
    if table.family == "poisson":
        mean = e * np.exp(effect)
        return np.asarray(y * effect - mean), np.asarray(mean)
    eta = logit(e) + effect
    return np.asarray(y * eta - np.logaddexp(0.0, eta)), np.asarray(expit(eta))
