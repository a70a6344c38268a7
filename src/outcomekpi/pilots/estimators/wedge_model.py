"""Mixed model of cluster-period means: restricted likelihood and its small-sample inference."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.pilots.estimators.kenward_roger import AdjustedFit, small_sample_term

__all__ = [
    "CellVariance",
    "Sample",
    "WedgeFit",
    "exchangeable",
    "fit_means",
    "infer_terms",
    "nested_exchangeable",
]

Floats = NDArray[np.float64]

ITERATIONS = 100
SMALLEST = 1e-10
"""A residual variance below this share of the variance of the means counts as none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """Means of patients in the cells of clusters and periods.

    Attributes
    ----------
    mean : (cluster, time), anything where there is no cell
    present : (cluster, time), whether there is a cell
    within : sum of squares of patients around the mean of their cell; 0 where unknown
    within_degrees : patients less cells; 0 where the sum of squares is unknown
    """

    mean: Floats
    present: NDArray[np.bool_]
    within: float = 0.0
    within_degrees: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellVariance:
    """How the variance of cell means is made up.

    Attributes
    ----------
    names : (component,), "cluster" first, the one of the patients or cells last
    shapes : (component, cluster, time, time), what each component is multiplied with
    has_within : whether the last component is also seen in the sum of squares within cells
    """

    names: tuple[str, ...]
    shapes: Floats
    has_within: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WedgeFit(AdjustedFit):
    """Coefficients of a model of cell means, and the variances behind them.

    Attributes
    ----------
    components : (component,), variances, estimated or given: the parameters of the covariance
    log_likelihood : restricted, up to a constant
    """

    components: Floats
    log_likelihood: float


def exchangeable(size: Floats, *, has_within: bool) -> CellVariance:
    """Make up the variance from the clusters and the patients: tau^2 + sigma^2 / n.

    Parameters
    ----------
    size : (cluster, time), patients; 0 where there is no cell
    has_within : whether the sum of squares within cells is known
    """
    return CellVariance(
        names=("cluster", "patient"),
        shapes=np.stack([_cluster(size), _patients(size)]),
        has_within=has_within,
    )


def nested_exchangeable(size: Floats, *, has_within: bool) -> CellVariance:
    """Make up the variance from clusters, cells and patients: tau^2 + gamma^2 + sigma^2 / n.

    Parameters
    ----------
    size, has_within : as for :func:`exchangeable`; where the squares within cells are unknown,
        cells and patients cannot be told apart and make one variance
    """
    cells = np.eye(size.shape[1]) * (size > 0)[:, :, None]
    if not has_within:
        shapes = np.stack([_cluster(size), cells])
        return CellVariance(names=("cluster", "cell"), shapes=shapes, has_within=False)
    shapes = np.stack([_cluster(size), cells, _patients(size)])
    return CellVariance(names=("cluster", "cell", "patient"), shapes=shapes, has_within=True)


def _cluster(size: Floats) -> Floats:
    present = (size > 0).astype(np.float64)
    return np.asarray(present[:, :, None] * present[:, None, :])


def _patients(size: Floats) -> Floats:
    share = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    return np.asarray(np.eye(size.shape[1]) * share[:, :, None])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _State:
    """Everything that one set of variances gives."""

    log_likelihood: float
    coefficients: Floats
    covariance: Floats
    score: Floats
    information: Floats
    loads: Floats
    products: Floats


def _evaluate(
    components: Floats,
    sample: Sample,
    variance: CellVariance,
    terms: Floats,
    *,
    copies: float = 1.0,
) -> _State:
    """Restricted likelihood, its score and expected information at given variances.

    Each cluster stands for ``copies`` alike ones, in everything that does not need outcomes.
    """
    absent = np.eye(terms.shape[1]) * (~sample.present)[:, :, None]
    whole = np.einsum("k,kitu->itu", components, variance.shapes) + absent
    inverse = np.linalg.inv(whole)
    rows = np.where(sample.present[:, :, None], terms, 0.0)
    outcome = np.where(sample.present, sample.mean, 0.0)
    loaded = copies * (inverse @ rows)
    covariance = np.linalg.inv(np.einsum("itp,itq->pq", rows, loaded))
    coefficients = covariance @ np.einsum("itp,it->p", loaded, outcome)
    left = np.einsum("itu,iu->it", inverse, outcome - rows @ coefficients)
    squares = float((left * (outcome - rows @ coefficients)).sum())
    shaped = variance.shapes @ loaded
    loads = np.einsum("itp,kitq->kpq", loaded, shaped, optimize=True) / copies
    solved = inverse @ variance.shapes
    products = np.einsum("kitp,litq->klpq", shaped, inverse @ shaped, optimize=True) / copies
    traces = np.einsum("kitt->k", solved)
    score = -0.5 * (
        traces
        - np.einsum("pq,kqp->k", covariance, loads)
        - np.einsum("it,kitu,iu->k", left, variance.shapes, left)
    )
    inner = covariance @ loads
    information = 0.5 * (
        copies * np.einsum("kitu,liut->kl", solved, solved)
        - 2.0 * np.einsum("pq,klqp->kl", covariance, products)
        + np.einsum("kpq,lqp->kl", inner, inner)
    )
    value = -0.5 * (
        float(np.linalg.slogdet(whole)[1].sum()) - float(np.linalg.slogdet(covariance)[1]) + squares
    )
    if variance.has_within:
        last, degrees = float(components[-1]), sample.within_degrees
        value -= 0.5 * (degrees * float(np.log(last)) + sample.within / last)
        score[-1] -= 0.5 * (degrees / last - sample.within / last**2)
        information[-1, -1] += 0.5 * degrees / last**2
    return _State(
        log_likelihood=value,
        coefficients=coefficients,
        covariance=covariance,
        score=score,
        information=information,
        loads=loads,
        products=products,
    )


def _start(sample: Sample, variance: CellVariance, terms: Floats) -> Floats:
    """Variances to begin with: those of least squares, shared out."""
    rows, outcome = terms[sample.present], sample.mean[sample.present]
    residual = outcome - rows @ np.linalg.lstsq(rows, outcome, rcond=None)[0]
    spread = float(residual @ residual) / max(outcome.size - rows.shape[1], 1)
    spread = max(spread, 1e-12)
    sizes = np.array([np.trace(one, axis1=1, axis2=2).sum() for one in variance.shapes])
    share = spread * sample.present.sum() / np.maximum(sizes, 1e-300) / len(variance.names)
    if variance.has_within and sample.within_degrees > 0 and sample.within > 0:
        share[-1] = sample.within / sample.within_degrees
    return np.asarray(share)


def fit_means(sample: Sample, variance: CellVariance, terms: Floats) -> WedgeFit:
    """Fit by restricted maximum likelihood, variances never below 0.

    Parameters
    ----------
    sample : means of cells, and the squares within them
    variance : how the variance of a mean is made up
    terms : (cluster, time, term)

    Notes
    -----
    Fisher scoring with halved steps. A variance that the likelihood pushes below 0 stays there and
    counts as known. The means and the squares within cells are independent, so that their
    likelihoods multiply: with patients' rows, this is the mixed model of the patients.
    """
    scale = max(float(np.var(sample.mean[sample.present])), 1e-300)
    floor = np.zeros(len(variance.names))
    floor[-1] = SMALLEST * scale
    components = np.maximum(_start(sample, variance, terms), floor)
    state = _evaluate(components, sample, variance, terms)
    for _ in range(ITERATIONS):
        free = (components > floor) | (state.score > 0)
        step = np.zeros_like(components)
        part = np.ix_(free, free)
        step[free] = np.linalg.solve(state.information[part], state.score[free])
        moved, better = components, state
        for _ in range(40):
            candidate = np.maximum(components + step, floor)
            trial = _evaluate(candidate, sample, variance, terms)
            if trial.log_likelihood >= state.log_likelihood - 1e-12:
                moved, better = candidate, trial
                break
            step = step / 2.0
        change = np.abs(moved - components) / np.maximum(components, 1e-6 * scale)
        components, state = moved, better
        if change.max() < 1e-9:
            break
    components = np.where(components <= floor, floor, components)
    return _finish(components, state, free=components > floor)


def infer_terms(
    components: Floats,
    size: Floats,
    variance: CellVariance,
    terms: Floats,
    *,
    copies: int = 1,
) -> WedgeFit:
    """Covariance and degrees of freedom that a plan leads to, at variances that it assumes.

    Parameters
    ----------
    components : (component,), variances
    size : (cluster, time), patients; 0 where there is no cell
    variance : how the variance of a mean is made up
    terms : (cluster, time, term)
    copies : clusters that each of these stands for

    Returns
    -------
    WedgeFit with coefficients 0
    """
    present = size > 0
    sample = Sample(
        mean=np.zeros(size.shape),
        present=present,
        within_degrees=copies * int(size.sum() - present.sum()) if variance.has_within else 0,
    )
    floor = SMALLEST * float(components.max())
    used = components.copy()
    used[-1] = max(used[-1], floor)
    state = _evaluate(used, sample, variance, terms, copies=float(copies))
    return _finish(used, state, free=used > 0)


def _finish(components: Floats, state: _State, *, free: NDArray[np.bool_]) -> WedgeFit:
    """Add the small-sample term; variances at their floor count as known."""
    covariance = state.covariance
    weights = np.zeros_like(state.information)
    part = np.ix_(free, free)
    weights[part] = np.linalg.inv(state.information[part])
    term = small_sample_term(
        covariance, state.loads, state.products, np.zeros_like(state.products), weights
    )
    return WedgeFit(
        coefficients=state.coefficients,
        covariance=covariance + term,
        plain_covariance=covariance,
        derivatives=np.asarray(covariance @ state.loads @ covariance),
        parameter_covariance=weights,
        components=components,
        log_likelihood=state.log_likelihood,
    )
