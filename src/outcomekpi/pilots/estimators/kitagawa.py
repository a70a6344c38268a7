"""How much of a change is the same patients doing better, and how much is other patients.

The Kitagawa split of a difference of two means into the part within one case mix, the part of the
case mix itself, and the parts of the patients who entered and left.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

__all__ = ["PARTS", "ChangeSplit", "Standard", "fit_outcome_model", "split_change"]

Floats = NDArray[np.float64]
Standard = Literal["average", "pooled", "before", "after"]
PARTS = ("within", "mix", "entry", "exit", "total")
MAX_STEPS = 60
EDGE = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChangeSplit:
    """A change of a mean outcome and its parts, which add up to it.

    Attributes
    ----------
    before, after : mean outcome of the standard case mix under the model of each period
    within : ``after - before``, the change at one case mix
    mix : change of the predicted outcome because the case mix changed
    entry, exit : because patients who entered or left differ from those who stayed with their case
        mix; 0 where everybody is in both periods or nobody is known to be
    total : the plain difference
    coefficients : (2, term), of the models before and after
    """

    before: float
    after: float
    within: float
    mix: float
    entry: float
    exit: float
    total: float
    coefficients: Floats

    def parts(self) -> Floats:
        """(part,), in the order of ``PARTS``."""
        return np.array([getattr(self, name) for name in PARTS])


def fit_outcome_model(
    matrix: Floats,
    outcome: Floats,
    weights: Floats,
    *,
    binary: bool,
    start: Floats | None = None,
) -> Floats:
    """Coefficients of a weighted linear or logistic regression.

    Parameters
    ----------
    matrix : (row, term)
    outcome : (row,)
    weights : (row,), how often each row counts
    binary : logistic, else linear
    start : (term,), from which the logistic fit begins

    Returns
    -------
    (term,); the shortest solution where weights leave a term without variation

    Notes
    -----
    With an intercept alone, the logit of the mean. Newton steps with halving until the mean score
    is below 1e-10. Where the outcome is separated
    by the covariates the coefficients grow until the fitted chances are 0 or 1 to 1e-10.
    """
    if not binary:
        moved = matrix * weights[:, None]
        return np.asarray(np.linalg.lstsq(moved.T @ matrix, moved.T @ outcome, rcond=1e-12)[0])
    size = float(weights.sum())
    if matrix.shape[1] == 1 and (matrix == 1.0).all():
        mean = float(weights @ outcome) / size
        return np.array([logit(min(max(mean, EDGE), 1.0 - EDGE))])
    beta = np.zeros(matrix.shape[1]) if start is None else start.copy()
    eta = matrix @ beta
    loss = _loss(eta, outcome, weights)
    for _ in range(MAX_STEPS):
        chance = expit(eta)
        score = matrix.T @ (weights * (outcome - chance))
        if np.abs(score).max() <= 1e-10 * size:
            break
        curve = (matrix * (weights * chance * (1.0 - chance))[:, None]).T @ matrix
        step = np.linalg.lstsq(curve, score, rcond=1e-12)[0]
        for _ in range(30):
            moved_eta = matrix @ (beta + step)
            moved_loss = _loss(moved_eta, outcome, weights)
            if moved_loss <= loss + 1e-12 * abs(loss):
                break
            step = step / 2.0
        beta, eta, loss = beta + step, moved_eta, moved_loss
    return beta


def _loss(eta: Floats, outcome: Floats, weights: Floats) -> float:
    return float(weights @ (np.logaddexp(0.0, eta) - outcome * eta))


def split_change(
    outcome: Floats,
    after: NDArray[np.bool_],
    matrix: Floats,
    *,
    model_rows: NDArray[np.bool_],
    weights: Floats,
    binary: bool,
    standard: Standard,
    start: Floats | None = None,
) -> ChangeSplit:
    """Split the difference of two periods into within, mix, entry and exit.

    Parameters
    ----------
    outcome, after : (row,)
    matrix : (row, term), intercept and case mix
    model_rows : (row,), rows that the models of the periods are fitted to: those of patients who
        stay, or all of them
    weights : (row,), how often each row counts
    binary : logistic models, else linear
    standard : case mix that the periods are compared at: "before", "after", the two "pooled" by
        their numbers of patients, or their "average" with half a weight each (Kitagawa)
    start : (2, term), from which the logistic fits begin

    Notes
    -----
    m_t, the model of period t; P_k, the patients of period k; S_tk = mean of m_t over P_k; a_k,
    the weights of the standard. before = sum a_k S_0k, after = sum a_k S_1k, within = after -
    before, mix = (S_11 - S_00) - within, entry = y_1 - S_11, exit = S_00 - y_0, with the plain
    means y_0 and y_1. With canonical links the residuals of the rows that were fitted add up to
    0, so that entry and exit hold the patients who were not. On strata, with all their dummies in
    the matrix and standard "average", these are Kitagawa's two components.

    References
    ----------
    Kitagawa (1955), Journal of the American Statistical Association 50.
    """
    fitted, means, plain = [], np.empty((2, 2)), np.empty(2)
    masses = [weights * ~after, weights * after]
    for period, side in enumerate((~after, after)):
        use = np.flatnonzero(side & model_rows)
        beta = fit_outcome_model(
            matrix[use],
            outcome[use],
            weights[use],
            binary=binary,
            start=None if start is None else start[period],
        )
        eta = matrix @ beta
        predicted = expit(eta) if binary else eta
        for population, mass in enumerate(masses):
            means[period, population] = float(predicted @ mass) / float(mass.sum())
        plain[period] = float(outcome @ masses[period]) / float(masses[period].sum())
        fitted.append(beta)
    share = float(masses[1].sum()) / float(weights.sum())
    own = {"average": 0.5, "pooled": share, "before": 0.0, "after": 1.0}[standard]
    at = means @ np.array([1.0 - own, own])
    within = float(at[1] - at[0])
    everybody = bool(model_rows.all())
    # with everybody in the model entry and exit are what the fit leaves over, 0 but for rounding
    ends = plain if everybody else np.array([means[0, 0], means[1, 1]])
    return ChangeSplit(
        before=float(at[0]),
        after=float(at[1]),
        within=within,
        mix=float(ends[1] - ends[0]) - within,
        entry=float(plain[1] - ends[1]),
        exit=float(ends[0] - plain[0]),
        total=float(plain[1] - plain[0]),
        coefficients=np.array(fitted),
    )
