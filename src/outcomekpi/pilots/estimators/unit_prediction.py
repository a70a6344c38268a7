"""What units that were compared would show next with no program, given all their results."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln

from outcomekpi.declare.errors import CasesError, SpecError

__all__ = ["UnitResults", "predict_unit_means", "predict_unit_rates", "read_units"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnitResults:
    """Results of all units that were compared.

    Attributes
    ----------
    before, after : (unit,), rates or means
    before_size, after_size : (unit,), trials of rates or standard errors of means
    chosen : (unit,), whether the unit entered the program
    is_counts : whether the results are rates of events
    """

    before: Array
    after: Array
    before_size: Array
    after_size: Array
    chosen: NDArray[np.bool_]
    is_counts: bool


def predict_unit_rates(
    units: UnitResults, *, draws: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw follow-up rates with no program, and the true rates behind them.

    Notes
    -----
    Beta-binomial over units on a grid of logit m and 1 / sqrt(1 + v), refined three times
    around the points within 12 of the best; given m and v the true rates are beta.

    Returns
    -------
    prediction, truth : (draw, unit)
    """
    events, trials = np.round(units.before * units.before_size), units.before_size
    mean = (events.sum() + 0.5) / (trials.sum() + 1)
    spots = np.log(mean / (1 - mean)) + np.linspace(-4, 4, 33)
    spreads = (np.arange(32) + 0.5) / 32
    for _ in range(3):
        log_density = _beta_binomial(events, trials, spots, spreads)
        near = log_density > log_density.max() - 12
        rows, columns = near.any(axis=1), near.any(axis=0)
        spots = _zoom(spots, rows, -np.inf, np.inf)
        spreads = _zoom(spreads, columns, 0.0, 1.0)
    log_density = _beta_binomial(events, trials, spots, spreads)
    m, spread = _draw_cells(log_density, spots, spreads, draws, rng)
    m, v = 1 / (1 + np.exp(-m)), 1 / np.clip(spread, 1e-6, 1 - 1e-6) ** 2 - 1
    truth = rng.beta((m * v)[:, None] + events, ((1 - m) * v)[:, None] + trials - events)
    size = np.where(np.isfinite(units.after_size), units.after_size, 1).astype(np.int64)
    later: Array = rng.binomial(size, truth) / size
    return later, truth


def _beta_binomial(events: Array, trials: Array, spots: Array, spreads: Array) -> Array:
    """Log posterior density on the grid (spot, spread)."""
    m = 1 / (1 + np.exp(-spots))[:, None]
    v = (1 / spreads**2 - 1)[None, :]
    a, b = m * v, (1 - m) * v
    value = np.log(m * (1 - m)) - events.size * betaln(a, b)
    pairs, counts = np.unique(np.column_stack([events, trials]), axis=0, return_counts=True)
    x, n = pairs[:, :1, None], pairs[:, 1:, None]
    # blocks of units, so that a thousand of them take no more memory than fifty
    for rows in np.array_split(np.arange(len(pairs)), range(50, len(pairs), 50)):
        terms = betaln(a + x[rows], b + n[rows] - x[rows])
        value += np.tensordot(counts[rows].astype(np.float64), terms, axes=1)
    return np.asarray(value)


def _zoom(points: Array, kept: NDArray[np.bool_], least: float, most: float) -> Array:
    """Spread the points over the cells that are kept, and half a cell around them."""
    step = points[1] - points[0]
    inside = points[kept]
    lower, upper = max(inside[0] - step / 2, least), min(inside[-1] + step / 2, most)
    width = (upper - lower) / points.size
    return np.asarray(lower + width * (np.arange(points.size) + 0.5))


def _draw_cells(
    log_density: Array, rows: Array, columns: Array, draws: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw cells of a grid, and a point in each."""
    weights = np.exp(log_density - log_density.max()).ravel()
    places = rng.choice(weights.size, size=draws, p=weights / weights.sum())
    row, column = np.divmod(places, columns.size)
    step = rows[1] - rows[0], columns[1] - columns[0]
    shift = rng.uniform(-0.5, 0.5, (2, draws))
    return rows[row] + step[0] * shift[0], columns[column] + step[1] * shift[1]


def predict_unit_means(
    units: UnitResults, *, draws: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw follow-up means with no program, and the true means behind them.

    Notes
    -----
    Normal over units; the SD between units w on a grid with a flat prior, m given w normal,
    true means given both normal. The follow-up has its own standard error.

    Returns
    -------
    prediction, truth : (draw, unit)
    """
    y, error = units.before, units.before_size
    spread = float(y.std(ddof=1)) + float(np.median(error))
    grid = np.linspace(0, 3 * spread, 401)
    for _ in range(3):
        variance = grid[:, None] ** 2 + error**2
        precision = (1 / variance).sum(axis=1)
        center = (y / variance).sum(axis=1) / precision
        squares = ((y - center[:, None]) ** 2 / variance).sum(axis=1)
        log_density = -0.5 * (np.log(variance).sum(axis=1) + np.log(precision) + squares)
        near = grid[log_density > log_density.max() - 12]
        weights = np.exp(log_density - log_density.max())
        last = grid
        grid = np.linspace(near[0], near[-1], 401)
    picked = rng.choice(last.size, size=draws, p=weights / weights.sum())
    between = np.maximum(
        last[picked] + (last[1] - last[0]) * rng.uniform(-0.5, 0.5, draws), 1e-9 * spread
    )
    mean = center[picked] + rng.standard_normal(draws) / np.sqrt(precision[picked])
    share = between[:, None] ** 2 / (between[:, None] ** 2 + error**2)
    truth = mean[:, None] + share * (y - mean[:, None])
    truth += np.sqrt(share) * error * rng.standard_normal((draws, y.size))
    later = np.where(np.isfinite(units.after_size), units.after_size, 0.0)
    return truth + later * rng.standard_normal(truth.shape), truth


def read_units(
    before: ArrayLike,
    after: ArrayLike,
    *,
    chosen: ArrayLike,
    before_trials: ArrayLike | None,
    after_trials: ArrayLike | None,
    before_se: ArrayLike | None,
    after_se: ArrayLike | None,
) -> UnitResults:
    """Check the results of units.

    Raises
    ------
    CasesError
        Arrays that do not fit together, missing values, fewer than 4 units, none or all chosen.
    SpecError
        Neither trials nor standard errors, or both.
    """
    counts = before_trials is not None and after_trials is not None
    means = before_se is not None and after_se is not None
    if counts == means:
        raise SpecError(
            "Give before_trials and after_trials for events, or before_se and after_se for means: "
            "without them nobody knows how much of a result is chance."
        )
    picked = np.asarray(chosen)
    if picked.dtype != np.bool_:
        raise CasesError("chosen must be True or False for each unit.")
    columns = {
        "before": np.asarray(before, dtype=np.float64),
        "after": np.asarray(after, dtype=np.float64),
        "before_size": np.asarray(before_trials if counts else before_se, dtype=np.float64),
        "after_size": np.asarray(after_trials if counts else after_se, dtype=np.float64),
    }
    for name, values in columns.items():
        if values.shape != picked.shape or values.ndim != 1:
            raise CasesError(
                f"{name} must be (unit,) as chosen, {picked.shape}; got {values.shape}."
            )
        needed = np.ones_like(picked) if name.startswith("before") else picked
        missing = needed & ~np.isfinite(values)
        if missing.any():
            raise CasesError(
                f"{name} is missing for {int(missing.sum())} of {int(needed.sum())} units, the "
                f"first at position {int(missing.argmax())}."
            )
    if picked.size < 4:
        raise CasesError(f"Units can be compared from 4 on; there are {picked.size}.")
    if not 0 < picked.sum() < picked.size:
        raise CasesError(
            f"{int(picked.sum())} of {picked.size} units are chosen. All units that were compared "
            "must be given: how far the chosen ones will come back depends on the others."
        )
    _check_sizes(columns, counts)
    if counts:
        columns["before"] = columns["before"] / columns["before_size"]
        columns["after"] = columns["after"] / columns["after_size"]
    return UnitResults(**columns, chosen=picked, is_counts=counts)


def _check_sizes(columns: dict[str, Array], counts: bool) -> None:
    for when in ("before", "after"):
        value, size = columns[when], columns[f"{when}_size"]
        known = np.isfinite(value) & np.isfinite(size)
        wrong = known & (size <= 0)
        if counts:
            wrong |= known & ((value < 0) | (value > size))
        if wrong.any():
            what = "events must lie between 0 and trials" if counts else "se must be positive"
            raise CasesError(
                f"{when}: {what}; {int(wrong.sum())} units break that, the first at position "
                f"{int(wrong.argmax())}."
            )
