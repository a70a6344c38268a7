"""Posterior mean outcome of every case, were it treated by an average doctor."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from outcomekpi.profiling.case_rows import collapse_rows
from outcomekpi.profiling.linear_predictor import Predictor

__all__ = ["case_means"]

BLOCK = 1 << 20
AFFORDABLE = 2e8  # rows x draws; beyond it fewer draws are used, moved to the posterior mean
FEWEST_DRAWS = 64


def case_means(predictor: Predictor) -> NDArray[np.float64]:
    """Posterior mean of g(eta_i) of each case with a doctor effect of 0.

    Returns
    -------
    (case,), probability of the event (Bernoulli, binomial), mean count for the row's exposure,
    or mean outcome

    Notes
    -----
    The mean is over draws, so that the uncertainty of the coefficients is averaged, not plugged
    in. For large data every k-th draw is used, shifted so that the means of the coefficients
    are those of all draws; what is left out is then of second order.
    """
    if predictor.family == "gaussian":
        base = predictor.brought_by_cases(slice(None)).mean(axis=1)
        return np.asarray(
            predictor.matrix @ predictor.slope.mean(axis=1) + base[predictor.doctor_code]
        )
    counts = predictor.family in ("poisson", "negative_binomial")
    groups = collapse_rows(predictor.matrix, predictor.doctor_code, None)
    thin = _thin(predictor, groups.row.size)
    per_block = max(1, BLOCK // thin.n_samples)
    mean = np.empty(groups.row.size)
    for start in range(0, groups.row.size, per_block):
        block = slice(start, start + per_block)
        doctors, position = np.unique(groups.doctor[block], return_inverse=True)
        eta = predictor.matrix[groups.row[block]] @ thin.slope
        eta += thin.brought_by_cases(doctors)[position]
        np.exp(eta if counts else np.minimum(eta, 50.0), out=eta)
        mean[block] = (eta if counts else eta / (1 + eta)).mean(axis=1)
    of_case = mean[groups.group]
    return of_case * predictor.weight if counts and predictor.weight is not None else of_case


def _thin(predictor: Predictor, n_rows: int) -> Predictor:
    keep = int(max(FEWEST_DRAWS, AFFORDABLE // n_rows))
    if keep >= predictor.n_samples:
        return predictor
    step = predictor.n_samples // keep

    def moved(values: NDArray[np.floating]) -> NDArray[np.floating]:
        few = values[..., ::step]
        shift = values.mean(axis=-1, keepdims=True) - few.mean(axis=-1, keepdims=True)
        return np.asarray(few + shift)

    return replace(
        predictor,
        slope=moved(predictor.slope),
        intercept=moved(predictor.intercept),
        sd_doctor=predictor.sd_doctor[::step],
        hospital=None if predictor.hospital is None else moved(predictor.hospital),
        effect=predictor.effect[:, ::step],
        doctor_slope=predictor.doctor_slope[:, ::step],
    )
