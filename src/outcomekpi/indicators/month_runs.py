"""Readings by patient and month: means, last ones, runs of months that pass."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["SAME", "last_position", "mean_at_end", "run_lengths", "runs"]

Array = NDArray[np.float64]

SAME = 1e-6  # 7.7 - 6.9 is a drop of .8, also in single precision; relative to the value


def mean_at_end(values: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Put the mean of each row into its last column alone."""
    n = np.isfinite(values).sum(axis=1)
    at_end = np.full(values.shape, np.nan)
    at_end[:, -1] = np.where(n > 0, np.nansum(values, axis=1) / np.maximum(n, 1), np.nan)
    return at_end, np.isfinite(at_end)


def last_position(measured: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Position of the last True of each row; -1 where there is none."""
    from_end = np.argmax(measured[:, ::-1], axis=1)
    return np.where(measured.any(axis=1), measured.shape[1] - 1 - from_end, -1)


def runs(
    passes: NDArray[np.bool_], counted: NDArray[np.bool_], length: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.intp]]:
    """Whether a run is ever as long as asked, whether it is at the end, and when it first was."""
    run = np.zeros(len(passes), dtype=np.intp)
    when = np.full(len(passes), -1, dtype=np.intp)
    for month in range(passes.shape[1]):
        run = np.where(counted[:, month], np.where(passes[:, month], run + 1, 0), run)
        when = np.where((run >= length) & (when < 0), month, when)
    return when >= 0, run >= length, when


def run_lengths(
    passes: NDArray[np.bool_], counted: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Longest run of each row, and the one that its last month belongs to."""
    run = np.zeros(len(passes), dtype=np.intp)
    longest = run
    for month in range(passes.shape[1]):
        run = np.where(counted[:, month], np.where(passes[:, month], run + 1, 0), run)
        longest = np.maximum(longest, run)
    return longest, run
