"""Effects drawn patient by patient, for doctors whose curve does more than move.

Quantile surfaces take a doctor's curve at other fixed effects for that at the mode, moved. Where a
covariate that few of his cases have is poorly known, as under separation, its shape changes too.
"""

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from outcomekpi.engine.curves import Curves
from outcomekpi.engine.kernels import Kernel, clipped_exp
from outcomekpi.engine.quantiles import find_quantiles
from outcomekpi.engine.rows import Rows, cut_blocks
from outcomekpi.engine.scores import shuffled_midpoints
from outcomekpi.engine.shifts import Shifts

__all__ = ["redraw_bent"]

Array = NDArray[np.float64]

_CHECKED, _CHECKED_OF_LARGE = 12, 2
_LARGEST_RMS = 0.03  # conditional standard deviations
_ELEMENTS, _EVALUATED_AT_ONCE = 1 << 21, 49
_NEWTON_STEPS, _NEAR, _APART = 100, 0.05, 0.05  # the last two in Laplace standard deviations
_LONGEST_STEP = 2.0  # a flank like exp(t) lets Newton overshoot, and come back by 1 a step
_FARTHEST_START = 6.0  # doctor SDs


def redraw_bent(
    kernel: Kernel,
    curves: Curves,
    shifts: Shifts,
    betas: Array,
    sigma: Array,
    effects: NDArray[np.floating],
    *,
    seed: int,
) -> int:
    """Draw the effects of doctors anew for whom a moved curve will not do, in place.

    Parameters
    ----------
    betas : (draw, column)
    sigma : (draw,)
    effects : (doctor, draw)

    Returns
    -------
    number of doctors that were drawn anew
    """
    bent = _bent_doctors(kernel, curves, shifts, betas, sigma, effects)
    midpoints = betas.shape[0]
    for doctor in bent:
        own = _rows_of(kernel.rows, int(doctor))
        part = slice(int(doctor), int(doctor) + 1)
        moved = shifts.of(part)[0]
        hospital = np.zeros(midpoints)
        if shifts.hospital is not None and shifts.hospital_code is not None:
            hospital = shifts.hospital[shifts.hospital_code[doctor]]
        scores = shuffled_midpoints(midpoints, "doctor", int(doctor), seed)
        alone = replace(kernel, rows=own)  # type: ignore[type-var]
        guess = curves.center[doctor] - moved
        start = hospital + np.clip(guess, -_FARTHEST_START * sigma, _FARTHEST_START * sigma)
        effects[doctor] = _draw_by_patients(alone, hospital, betas, sigma, scores, start)
    return int(bent.size)


def _bent_doctors(
    kernel: Kernel,
    curves: Curves,
    shifts: Shifts,
    betas: Array,
    sigma: Array,
    effects: NDArray[np.floating],
) -> NDArray[np.intp]:
    """Doctors whose moved curve has another slope than their cases have, at some of the draws.

    A difference of slopes g moves a conditional by g s², s its standard deviation: by g s in
    standard deviations.
    """
    n = _CHECKED_OF_LARGE if kernel.rows.is_large else _CHECKED
    squares = np.zeros(effects.shape[0])
    at = np.linspace(0, betas.shape[0] - 1, n).astype(np.intp)
    everybody = shifts.of(slice(None)) if shifts.table is not None else None
    for draw in at:
        if everybody is None:
            shift = shifts.covariate @ shifts.change[draw]
            if shifts.hospital is not None and shifts.hospital_code is not None:
                shift = shift + shifts.hospital[shifts.hospital_code, draw]
        else:
            shift = everybody[:, draw]
        hospital = 0.0
        if shifts.hospital is not None and shifts.hospital_code is not None:
            hospital = shifts.hospital[shifts.hospital_code, draw]
        u = effects[:, draw].astype(float)
        size = kernel.sizes(betas[draw])
        first, second, _ = kernel.derivatives(size, clipped_exp(u + hospital))
        slope, _ = curves.derivatives((u + shift)[:, None])
        gap = kernel.rows.y_doctor - first - slope[:, 0]
        squares += gap**2 / (second + sigma[draw] ** -2)
    return np.flatnonzero(np.sqrt(squares / n) > _LARGEST_RMS)


def _rows_of(rows: Rows, doctor: int) -> Rows:
    """Return one doctor's rows, every array by row cut down to them."""
    start, count = int(rows.starts[doctor]), int(rows.counts[doctor])
    by_row = {}
    for field in fields(rows):
        values = getattr(rows, field.name)
        if isinstance(values, np.ndarray) and values.shape[-1:] == (rows.n_rows,):
            by_row[field.name] = values[..., start : start + count]
    starts, counts = np.zeros(1, dtype=np.intp), np.array([count], dtype=np.intp)
    by_row |= {"starts": starts, "counts": counts, "y_doctor": rows.y_doctor[[doctor]]}
    return replace(rows, **by_row, blocks=cut_blocks(starts, counts))


def _draw_by_patients(
    kernel: Kernel, hospital: Array, betas: Array, sigma: Array, scores: Array, start: Array
) -> Array:
    """Draw one doctor's effects by the curve of his cases at every draw, (draw,).

    Nothing is tabulated: under separation the shift says so little about where a conditional lies
    that a table may miss it, and what lies beyond its ends is no density.

    Parameters
    ----------
    hospital, sigma, scores : (draw,)
    betas : (draw, column)
    start : (draw,), where the search for each mode begins
    """
    result = np.empty(sigma.size)
    step = max(1, _ELEMENTS // (_EVALUATED_AT_ONCE * kernel.rows.n_rows))
    for first in range(0, sigma.size, step):
        part = slice(first, first + step)
        height = _heights_at(kernel, betas[part], hospital[part], sigma[part])
        mode, scale = _find_modes(height, start[part], sigma[part])
        drawn = find_quantiles(height, mode, scale, scores[part, None])
        result[part] = drawn[:, 0] - hospital[part]
    return result


def _heights_at(
    kernel: Kernel, betas: Array, hospital: Array, sigma: Array
) -> Callable[[Array], Array]:
    """Log density of a doctor's effect and his hospital's together, at positions (draw, node)."""
    events = float(kernel.rows.y_doctor[0])

    def height(t: Array) -> Array:
        partition = kernel.log_partitions(betas, clipped_exp(t)[:, :, None])[:, :, 0]
        away = (t - hospital[:, None]) / sigma[:, None]
        result: Array = events * t - partition - 0.5 * away**2
        return result

    return height


def _find_modes(
    height: Callable[[Array], Array], start: Array, sigma: Array
) -> tuple[Array, Array]:
    """Modes and Laplace standard deviations of log-concave densities, (draw,) each.

    Newton's method by differences; their distance follows the width of the density, so that they
    keep their digits where a doctor has a million events.
    """
    mode, scale = start, sigma
    for _ in range(_NEWTON_STEPS):
        apart = _APART * scale
        low, middle, high = height(mode[:, None] + apart[:, None] * np.array([-1.0, 0.0, 1.0])).T
        slope = (high - low) / (2 * apart)
        information = np.maximum((2 * middle - high - low) / apart**2, sigma**-2)
        step = np.clip(slope / information, -_LONGEST_STEP, _LONGEST_STEP)
        mode, scale = mode + step, information**-0.5
        if np.all(np.abs(step) < _NEAR * scale):
            break
    return mode, scale
