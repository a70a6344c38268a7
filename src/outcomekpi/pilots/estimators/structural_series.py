"""A series whose level wanders: local level and noise, with the exact posterior on a grid."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from outcomekpi.pilots.estimators.bayesian_series import SeriesPosterior

__all__ = [
    "DEFAULT_PRIOR",
    "LEVEL_PRIORS",
    "WANDERING_PRIOR",
    "draw_level",
    "fit_structural",
    "likeliest_step",
    "whiten_structural",
]

Floats = NDArray[np.float64]
LEVEL_PRIORS: dict[str, tuple[float, str]] = {
    "moderate": (0.3, "step of the level half-Cauchy of scale .3 noise SDs"),
    "calm": (0.1, "step of the level half-Cauchy of scale .1 noise SDs"),
    "lively": (1.0, "step of the level half-Cauchy of scale 1 noise SD"),
    "restless": (10.0, "step of the level half-Cauchy of scale 10 noise SDs"),
}
"""Prior of the SD of a step of the level over the SD of the noise -> scale and words."""

DEFAULT_PRIOR = "moderate"

WANDERING_PRIOR = "restless"
"""Prior where the series was seen to wander: nearly flat, a random walk included."""

NODES = np.concatenate([[0.0], np.geomspace(0.005, 30.0, 70)])


def _covariance(step: float, loads: Floats) -> Floats:
    """Covariance of noise of variance 1 plus a random walk that begins at 0."""
    time = np.arange(loads.size, dtype=np.float64)
    walk = np.minimum(time[:, None], time[None, :]) * loads[:, None] * loads[None, :]
    return np.asarray(np.eye(loads.size) + step**2 * walk)


def whiten_structural(step: float, values: Floats, loads: Floats) -> Floats:
    """Turn rows with a wandering level into independent ones.

    Parameters
    ----------
    step : SD of a step of the level over the SD of the noise
    values : (time, column) or (time,), rows of equal variance
    loads : (time,), what a row was multiplied by for that, over its mean; 1 for Gaussian series
    """
    root = np.linalg.cholesky(_covariance(step, loads))
    return np.asarray(solve_triangular(root, values, lower=True))


def fit_structural(
    terms: Floats, outcome: Floats, *, missing: int = 0, loads: Floats | None = None
) -> SeriesPosterior:
    """Work out the posterior of the terms at each node of a grid of the level's step.

    Parameters
    ----------
    terms : (time, term), an intercept among them, one indicator for each missing time last
    outcome : (time,)
    missing : number of missing times, which are integrated out
    loads : as for :func:`whiten_structural`; None for 1

    Notes
    -----
    y = X b + u + e, u_t = u_(t-1) + step x sigma x normal, e = sigma x normal. With flat b and
    1/sigma^2 the posterior of the step is its prior times the restricted likelihood; given it, b
    has a t distribution. u begins at 0: the intercept is the level of the first time.
    """
    results = []
    loads = np.ones(outcome.size) if loads is None else loads
    for step in NODES:
        root = np.linalg.cholesky(_covariance(float(step), loads))
        white = solve_triangular(root, np.column_stack([terms, outcome]), lower=True)
        basis, triangle = np.linalg.qr(white[:, :-1])
        along = basis.T @ white[:, -1]
        squares = float(white[:, -1] @ white[:, -1] - along @ along)
        inverse = np.linalg.inv(triangle)
        value = -float(np.log(np.diag(root)).sum() + np.log(np.abs(np.diag(triangle))).sum())
        value -= 0.5 * (outcome.size - terms.shape[1]) * np.log(max(squares, 1e-300))
        results.append((value, inverse @ along, inverse, squares))
    kept = terms.shape[1] - missing
    return SeriesPosterior(
        nodes=NODES,
        log_likelihood=np.array([one[0] for one in results]),
        widths=np.gradient(NODES),
        densities={
            name: 1.0 / (1.0 + (NODES / scale) ** 2) for name, (scale, _) in LEVEL_PRIORS.items()
        },
        coefficients=np.array([one[1] for one in results])[:, :kept],
        roots=np.array([one[2] for one in results])[:, :kept, :],
        squares=np.array([one[3] for one in results]),
        degrees=outcome.size - terms.shape[1],
    )


def likeliest_step(posterior: SeriesPosterior, prior: str) -> int:
    """Node of greatest posterior probability."""
    return int(posterior.weights(prior).argmax())


def draw_level(
    residuals: Floats,
    steps: Floats,
    sigma: Floats,
    used: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    loads: Floats | None = None,
) -> Floats:
    """Draw the wandering level given the terms: (draw, time).

    Parameters
    ----------
    residuals : (draw, time), outcome less the terms, both multiplied by ``loads``
    steps, sigma : (draw,), step of the level over the noise, and SD of the noise
    used : (time,), False where the outcome is missing
    loads : as for :func:`whiten_structural`; None for 1

    Notes
    -----
    A simulated walk and noise are moved by the prediction of what they leave of the residuals
    (Matheron's rule), which has exactly the conditional distribution.
    """
    count, length = residuals.shape
    loads = np.ones(length) if loads is None else loads
    scale = (steps * sigma)[:, None]
    jumps = rng.standard_normal((count, length)) * scale
    jumps[:, 0] = 0.0
    walk = jumps.cumsum(axis=1) * loads
    left = residuals - walk - rng.standard_normal((count, length)) * sigma[:, None]
    out = walk
    for step in np.unique(steps):
        mine = steps == step
        covariance = _covariance(float(step), loads)
        level = covariance - np.eye(length)
        gain = level[:, used] @ np.linalg.inv(covariance[np.ix_(used, used)])
        out[mine] += left[mine][:, used] @ gain.T
    return np.asarray(out / loads)
