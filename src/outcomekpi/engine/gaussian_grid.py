"""Gaussian outcomes: draws of the SD ratios from a grid that finds their posterior by itself.

The density of sd_doctor is finite at 0, and with few cases per doctor that of sd_residual nearly
so: no normal fits either. The grid is laid over asinh(ratio * sqrt(largest caseload)), linear
near 0 and logarithmic above, on which both ends are smooth.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from outcomekpi.engine.gaussian_scale import Conjugate, GaussianTarget
from outcomekpi.engine.scores import stratified_uniforms

__all__ = ["Axis", "RatioPoints", "draw_ratios", "log_surface"]

Array = NDArray[np.float64]

_SMALLEST, _LARGEST_RATIO = 1e-6, 1e8
_SEARCH = (33, 25)  # nodes of the search, without and with hospitals
_CELLS = (2048, 384)
_DROP = 15.0  # log density below the top at which the grid ends
_SEARCHES = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Coordinate of one ratio: ratio = unit * sinh(coordinate)."""

    unit: float

    def ratio(self, coordinate: Array) -> Array:
        """Ratio at a coordinate."""
        result: Array = self.unit * np.sinh(coordinate)
        return result

    def log_slope(self, coordinate: Array) -> Array:
        """Log derivative of the ratio with respect to the coordinate."""
        result: Array = np.log(self.unit) + np.log(np.cosh(coordinate))
        return result

    @property
    def ends(self) -> Array:
        """Smallest and largest coordinate that is ever looked at."""
        return np.array([_SMALLEST, np.arcsinh(_LARGEST_RATIO / self.unit)])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RatioPoints:
    """Points of the proposal for the ratios.

    Attributes
    ----------
    ratio, hospital_ratio : (point,), the latter 0 without hospitals
    log_slope : (point,), log Jacobian from the ratios to their coordinates
    log_density : (point,), of the coordinates, normalized
    scores : (point, 1 or 2), standardized coordinates
    """

    ratio: Array
    hospital_ratio: Array
    log_slope: Array
    log_density: Array
    scores: Array


def _axes(target: GaussianTarget) -> tuple[Axis, ...]:
    counts = target.sums.counts
    if target.sd_hospital is None:
        return (Axis(unit=float(counts.max()) ** -0.5),)
    return (Axis(unit=float(counts.max()) ** -0.5), Axis(unit=target.sums.n_cases**-0.5))


def log_surface(target: GaussianTarget, axes: tuple[Axis, ...], nodes: tuple[Array, ...]) -> Array:
    """Log density of the coordinates on a grid, up to a constant.

    Parameters
    ----------
    nodes : coordinates (node,) of the doctor ratio and, with hospitals, of the hospital ratio

    Returns
    -------
    (node,) or (node, hospital node)
    """
    ratio, slope = axes[0].ratio(nodes[0]), axes[0].log_slope(nodes[0])[:, None]
    hospital = np.zeros((1, 1))
    if len(axes) == 2:
        hospital = axes[1].ratio(nodes[1])[None]
        slope = slope + axes[1].log_slope(nodes[1])
    result = np.empty((ratio.size, hospital.size))
    for part in target.sums.chunks(ratio.size, hospital.size):
        form = target.sums.form(ratio[part], hospital)
        table = Conjugate.of(target, form, ratio[part], hospital).table()
        result[part] = table.log_integral().reshape(-1, hospital.size)
    result += slope
    return result if len(axes) == 2 else result[:, 0]


def _find_ranges(target: GaussianTarget, axes: tuple[Axis, ...]) -> list[Array]:
    """Narrow the range of every coordinate to where its profile is within ``_DROP`` of the top."""
    n = _SEARCH[len(axes) - 1]
    ranges = [axis.ends for axis in axes]
    for _ in range(_SEARCHES):
        nodes = tuple(np.linspace(ends[0], ends[1], n) for ends in ranges)
        surface = log_surface(target, axes, nodes)
        settled = True
        for index, axis in enumerate(axes):
            profile = surface.max(axis=tuple({0, 1}.intersection(range(len(axes))) - {index}))
            first, last = np.flatnonzero(profile > profile.max() - _DROP)[[0, -1]]
            step = nodes[index][1] - nodes[index][0]
            wider = np.array([nodes[index][first] - step, nodes[index][last] + step])
            cut = (first == 0 and ranges[index][0] > axis.ends[0]) or (
                last == n - 1 and ranges[index][1] < axis.ends[1]
            )
            settled &= not cut and last - first >= 0.6 * n
            ranges[index] = np.clip(wider, *axis.ends)
        if settled:
            break
    return ranges


def draw_ratios(
    target: GaussianTarget, n_points: int, rng: np.random.Generator, *, n_nodes: tuple[int, ...]
) -> RatioPoints:
    """Draw ratios from the tabulated posterior, stratified in every coordinate.

    Parameters
    ----------
    n_nodes : nodes of the doctor ratio and, used with hospitals only, of the hospital ratio

    Notes
    -----
    The log density on the nodes is interpolated by monotone cubics to cells in which the
    proposal is uniform; ``log_density`` is exactly that of the cells.
    """
    from scipy.interpolate import PchipInterpolator

    axes = _axes(target)
    ranges = _find_ranges(target, axes)
    nodes = tuple(
        np.linspace(ends[0], ends[1], n) for ends, n in zip(ranges, n_nodes, strict=False)
    )
    surface = log_surface(target, axes, nodes)
    fine = np.maximum(surface - surface.max(), -_DROP - 5.0)
    steps = []
    n_cells = _CELLS[len(axes) - 1]
    for index, (ends, at) in enumerate(zip(ranges, nodes, strict=True)):
        step = (ends[1] - ends[0]) / n_cells
        middles = ends[0] + (np.arange(n_cells) + 0.5) * step
        fine = PchipInterpolator(at, fine, axis=index)(middles)
        steps.append(step)
    mass = np.exp(fine).reshape(n_cells, -1)
    uniforms = stratified_uniforms(n_points, len(axes), rng)
    column, coordinates = np.zeros(n_points, dtype=np.intp), []
    if len(axes) == 2:
        column, within = _draw_cells(
            mass.sum(axis=0)[:, None], np.zeros_like(column), uniforms[:, 1]
        )
        coordinates = [ranges[1][0] + (column + within) * steps[1]]
    row, within = _draw_cells(mass, column, uniforms[:, 0])
    coordinates = [ranges[0][0] + (row + within) * steps[0], *coordinates]
    slopes = [axis.log_slope(at) for axis, at in zip(axes, coordinates, strict=True)]
    return RatioPoints(
        ratio=axes[0].ratio(coordinates[0]),
        hospital_ratio=axes[1].ratio(coordinates[1]) if len(axes) == 2 else np.zeros(n_points),
        log_slope=np.sum(slopes, axis=0),
        log_density=np.log(mass[row, column] / mass.sum()) - np.log(steps).sum(),
        scores=ndtri(uniforms),
    )


def _draw_cells(
    mass: Array, column: NDArray[np.intp], uniforms: Array
) -> tuple[NDArray[np.intp], Array]:
    """Row of ``mass`` (row, column) at the quantile of each point, and the place within it."""
    cumulative = np.cumsum(mass, axis=0)
    cumulative /= cumulative[-1]
    flat = (cumulative + np.arange(mass.shape[1])).T.ravel()
    row = np.searchsorted(flat, uniforms + column, side="right") - column * mass.shape[0]
    row = np.clip(row, 0, mass.shape[0] - 1)
    upper = cumulative[row, column]
    share = mass[row, column] / mass.sum(axis=0)[column]
    return row, np.clip((uniforms - upper) / share + 1.0, 0.0, 1.0)
