"""Counts of rounded readings around a cut-off, and what a smooth density lets expect there."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from outcomekpi.declare.errors import CasesError, SpecError

__all__ = ["CellFit", "Cells", "count_cells", "find_step", "fit_cells", "fit_poisson"]

Array = NDArray[np.float64]

PERIODS = (2, 5, 10)  # cells after which a preference for end digits can repeat
DEGREES = range(1, 8)
TAIL = 0.005  # share of the readings on each end that a smooth curve need not follow
SPARE_CELLS = 8  # residual degrees of freedom that a fit must leave
ITERATIONS = 50
LOWEST_LOG = -30.0
TIED = 2.0  # readings per distinct value from which values on a grid count as rounded
FILLED = 0.25  # share of the grid that must occur between the outer tenths of the readings


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """Counts by reported value in a window around the cut-off.

    Attributes
    ----------
    value : (cell,), reported value, rising in equal steps
    count : (cell,)
    passes : (cell,), on the passing side of the cut-off
    near : (cell,), within reach of the cut-off: what is tested, and not used for the fit
    step : distance of two cells
    phase : (cell,), whole number of steps from 0, for the pattern of end digits
    """

    value: Array
    count: Array
    passes: NDArray[np.bool_]
    near: NDArray[np.bool_]
    step: float
    phase: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellFit:
    """Smooth expectation for every cell, from the cells out of reach.

    Attributes
    ----------
    expected : (cell,)
    gradient : (cell, term), derivative of log expected by the coefficients
    covariance : (term, term), of the coefficients, overdispersion included
    degree : of the polynomial in the value
    period : cells after which the end-digit effects repeat; 1 has none
    dispersion : Pearson chi-square over its degrees of freedom, at least 1
    df : residual degrees of freedom
    """

    expected: Array
    gradient: Array
    covariance: Array
    degree: int
    period: int
    dispersion: float
    df: int


def find_step(values: Array) -> float | None:
    """Step that all values are multiples of, up to a shift; None for values that are not rounded.

    Raises
    ------
    CasesError
        Many equal values that lie on no common grid: rounding cannot be named.
    """
    distinct = np.unique(np.round(values, 9))
    if distinct.size < 3:
        raise CasesError(
            f"A density test needs readings of many sizes; found {distinct.size} distinct values."
        )
    if values.size / distinct.size < TIED:
        return None
    gaps = np.diff(distinct)
    step = float(gaps.min())
    off_grid = np.abs(gaps / step - np.round(gaps / step)) > 0.02
    low, high = np.quantile(values, [0.1, 0.9])
    used = np.count_nonzero((distinct >= low) & (distinct <= high))
    if off_grid.any() or used < FILLED * ((high - low) / step + 1):
        at = int(np.flatnonzero(off_grid)[0]) if off_grid.any() else int(np.argmin(gaps))
        raise CasesError(
            f"The readings repeat ({values.size} readings, {distinct.size} distinct values), but "
            f"lie on no common grid; see {distinct[at]:g} and {distinct[at + 1]:g}. Were some "
            "converted from another unit? Bring all to the unit and step they were reported in."
        )
    return step


def count_cells(
    values: Array,
    *,
    cutoff: float,
    step: float,
    passes_below: bool,
    strict: bool,
    window: float,
    reach: int,
) -> Cells:
    """Count the readings of every reported value within ``window`` of the cut-off.

    Raises
    ------
    CasesError
        Values off the grid, or no readings on one side.
    """
    number = values / step
    shift = float(np.median(number - np.round(number)))
    if abs(shift) < 1e-6:
        shift = 0.0
    position = np.round(number - shift).astype(np.int64)
    off = np.abs(number - shift - position) > 0.02
    if off.any():
        raise CasesError(
            f"rounding={step:g} does not fit: {int(off.sum())} of {values.size} readings are no "
            f"multiple of it, the first {values[off][0]:g}."
        )
    inside = np.abs(values - cutoff) <= window + step / 2
    if not inside.any():
        raise CasesError(
            f"No reading lies within {window:g} of the cut-off {cutoff:g}; the readings run from "
            f"{values.min():g} to {values.max():g}. Are both in the same unit?"
        )
    low, high = np.quantile(position[inside], [TAIL, 1 - TAIL])
    phase = np.arange(int(np.ceil(low)), int(np.floor(high)) + 1)
    value = ((phase + shift) * step).astype(np.float64)
    counted = position[(position >= phase[0]) & (position <= phase[-1])]
    count = np.bincount(counted - phase[0], minlength=phase.size)
    slack = 1e-6 * step
    if passes_below:
        passes = value < cutoff - slack if strict else value < cutoff + slack
    else:
        passes = value > cutoff + slack if strict else value > cutoff - slack
    n_passes = int(passes.sum())
    if min(n_passes, passes.size - n_passes) < reach + 2:
        raise CasesError(
            f"A density test needs at least {reach + 2} reported values on each side of the "
            f"cut-off {cutoff:g}; found {n_passes} passing and {passes.size - n_passes} failing "
            f"between the outer {TAIL:.1%} of the readings."
        )
    edge = np.flatnonzero(np.diff(passes.astype(int)))[0]
    distance = np.arange(phase.size) - edge
    near = (distance > -reach) & (distance <= reach)
    return Cells(
        value=value,
        count=count.astype(np.float64),
        passes=passes,
        near=near,
        step=step,
        phase=phase,
    )


def fit_cells(cells: Cells, *, period: int | None = None) -> CellFit:
    """Poisson fit to the cells out of reach: polynomial in the value, and end-digit effects.

    Parameters
    ----------
    cells : counts
    period : cells after which end-digit effects repeat; 1 has none, None chooses among none, 2, 5
        and 10

    Raises
    ------
    SpecError
        Too few cells for any fit.

    Notes
    -----
    log E(count) = Legendre polynomial of degree d + effect of (steps mod period). d (1 to 7) and
    the period have the smallest QAIC = deviance / c + 2 terms, c the Pearson dispersion of the
    largest model, at least 1.
    """
    n_far = int((~cells.near).sum())
    choices = [
        (repeat, degree)
        for repeat in ((1, *PERIODS) if period is None else (period,))
        for degree in DEGREES
        if _covers(cells, repeat) and n_far - _design(cells, repeat, degree).shape[1] >= SPARE_CELLS
    ]
    if not choices:
        raise SpecError(
            f"{n_far} reported values out of reach of the cut-off are too few "
            "for a smooth curve with the effects of end digits. Widen window=, or pass heaping=0."
        )
    fits = {choice: _fit(cells, *choice) for choice in choices}
    terms = {choice: _design(cells, *choice).shape[1] for choice in choices}
    largest = max(choices)
    scale = max(1.0, fits[largest].pearson / (n_far - terms[largest]))
    best = min(choices, key=lambda choice: fits[choice].deviance / scale + 2 * terms[choice])
    return _as_cell_fit(cells, best, fits[best])


def _covers(cells: Cells, period: int) -> bool:
    """Whether every end digit within reach is also seen out of reach."""
    digits = cells.phase % period
    return set(digits[cells.near]) <= set(digits[~cells.near])


def _design(cells: Cells, period: int, degree: int) -> Array:
    far = cells.value[~cells.near]
    middle, half = (far.max() + far.min()) / 2, (far.max() - far.min()) / 2
    curve = np.polynomial.legendre.legvander((cells.value - middle) / half, degree)
    digits = cells.phase % period
    kept = sorted(set(digits[~cells.near]))[1:]
    return np.column_stack([curve, *[(digits == digit).astype(float) for digit in kept]])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PoissonFit:
    """Maximum likelihood fit of counts: coefficients, their information, goodness of fit."""

    params: Array
    information: Array
    deviance: float
    pearson: float

    @property
    def covariance(self) -> Array:
        """Covariance of the coefficients at dispersion 1."""
        return np.asarray(np.linalg.pinv(self.information, rcond=1e-12, hermitian=True))


def fit_poisson(count: Array, design: Array) -> PoissonFit:
    """Fit a Poisson regression with log link by iteratively reweighted least squares.

    Notes
    -----
    A test makes about thirty of these small fits: 0.2 ms each, where a general library needs 3.
    Coefficients that the counts do not determine (an end digit that never occurs) get the least
    norm.
    """
    mean = count + 0.5
    eta = np.log(mean)
    deviance = np.inf
    for _ in range(ITERATIONS):
        root = np.sqrt(mean)
        working = eta + (count - mean) / mean
        params = np.linalg.lstsq(design * root[:, None], working * root, rcond=1e-10)[0]
        eta = np.clip(design @ params, LOWEST_LOG, None)
        mean = np.exp(eta)
        before, deviance = deviance, float(2 * (xlogy(count, count / mean) - count + mean).sum())
        if abs(before - deviance) < 1e-10 * (deviance + 0.1):
            break
    return PoissonFit(
        params=params,
        information=(design * mean[:, None]).T @ design,
        deviance=deviance,
        pearson=float(((count - mean) ** 2 / mean).sum()),
    )


def _fit(cells: Cells, period: int, degree: int) -> PoissonFit:
    far = ~cells.near
    return fit_poisson(cells.count[far], _design(cells, period, degree)[far])


def _as_cell_fit(cells: Cells, choice: tuple[int, int], fitted: PoissonFit) -> CellFit:
    design = _design(cells, *choice)
    df = int((~cells.near).sum()) - design.shape[1]
    dispersion = max(1.0, fitted.pearson / df)
    return CellFit(
        expected=np.exp(design @ fitted.params),
        gradient=design,
        covariance=fitted.covariance * dispersion,
        degree=choice[1],
        period=choice[0],
        dispersion=dispersion,
        df=df,
    )
