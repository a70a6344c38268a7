"""Effects drawn patient by patient, for doctors whose curve does more than move.

Quantile surfaces take a doctor's curve at other fixed effects for that at the mode, moved. Where a
covariate that few of his cases have is poorly known, as under separation, its shape changes too.
"""

from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from outcomekpi.adjustment.quadrature.bows import Bows
from outcomekpi.adjustment.quadrature.curves import Curves, spline_curves
from outcomekpi.adjustment.quadrature.kernels import Kernel, clipped_exp
from outcomekpi.adjustment.quadrature.rows import Rows, cut_blocks
from outcomekpi.adjustment.quadrature.scores import shuffled_midpoints
from outcomekpi.adjustment.quadrature.shifts import Shifts
from outcomekpi.adjustment.quadrature.surfaces import conditional_quantiles

__all__ = ["redraw_bent"]

Array = NDArray[np.float64]

_CHECKED, _CHECKED_OF_LARGE = 12, 2
_LARGEST_RMS = 0.03  # conditional standard deviations
_MARGIN = 0.25  # of the table's width, on either side: the shift is not to be trusted
_ELEMENTS = 1 << 21


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
        effects[doctor] = _draw_by_patients(
            alone, curves.of(part), moved - hospital, hospital, betas, sigma, scores
        )
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
    kernel: Kernel,
    curve: Curves,
    moved: Array,
    hospital: Array,
    betas: Array,
    sigma: Array,
    scores: Array,
) -> Array:
    """Draw one doctor's effects by the curve of his cases at every draw, (draw,)."""
    width = float(curve.step[0]) * curve.coefficients.shape[1]
    lower = curve.lower[0] - moved - _MARGIN * width
    bows = None
    if curve.bows is not None:
        ones = np.ones(moved.size)
        bows = Bows(
            center=curve.bows.center[0] - moved,
            curvature=curve.bows.curvature[0] * ones,
            lean=curve.bows.lean[0] * ones,
        )
    result = np.empty(moved.size)
    step = max(1, _ELEMENTS // (41 * kernel.rows.n_rows))
    for first in range(0, moved.size, step):
        part = slice(first, first + step)
        low = lower[part, None]
        curves = spline_curves(
            kernel,
            betas[part],
            low,
            low + (1 + 2 * _MARGIN) * width,
            bows=None if bows is None else bows.of(part),
        )
        drawn = conditional_quantiles(
            curves, hospital[part, None], sigma[part, None], scores[part, None, None]
        )
        result[part] = drawn[:, 0, 0] - hospital[part]
    return result
