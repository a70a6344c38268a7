"""Cases in the order that sums over them need: by doctor, equal rows made one."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["CaseRows", "collapse_rows"]

SAMPLE = 2000  # rows looked at before equal rows are searched for among all of them
FEW_PATTERNS = 0.1  # distinct rows per row in that sample, below which the search pays


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaseRows:
    """Rows to sum over, sorted by doctor.

    Attributes
    ----------
    row : (group,), a row of the design matrix that stands for its group
    doctor : (group,), sorted
    weight : (group,), cases (trials, exposure) in the group
    group : (case,), the group of each case
    """

    row: NDArray[np.intp]
    doctor: NDArray[np.intp]
    weight: NDArray[np.float64]
    group: NDArray[np.intp]


def _patterns(matrix: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return a number for each distinct row of a matrix whose columns take few values."""
    key = np.zeros(matrix.shape[0], dtype=np.int64)
    for column in matrix.T:
        codes, levels = pd.factorize(np.ascontiguousarray(column))
        key, _ = pd.factorize(key * len(levels) + codes)
    return key.astype(np.int64)


def _few_patterns(matrix: NDArray[np.floating]) -> bool:
    if matrix.shape[1] == 0:
        return True
    step = max(1, matrix.shape[0] // SAMPLE)
    sample = matrix[::step][:SAMPLE]
    return bool(_patterns(sample).max() + 1 <= max(4.0, FEW_PATTERNS * sample.shape[0]))


def collapse_rows(
    matrix: NDArray[np.floating],
    doctor_code: NDArray[np.intp],
    weight: NDArray[np.float64] | None,
) -> CaseRows:
    """Sort cases by doctor and put cases of one doctor with equal covariates together."""
    size = np.ones(doctor_code.size) if weight is None else weight
    if _few_patterns(matrix):
        pattern = _patterns(matrix)
        group, _ = pd.factorize(doctor_code.astype(np.int64) * (pattern.max() + 1) + pattern)
        n_groups = int(group.max()) + 1
        row = np.zeros(n_groups, dtype=np.intp)
        row[group[::-1]] = np.arange(group.size - 1, -1, -1)
        total = np.bincount(group, weights=size, minlength=n_groups)
        order = np.argsort(doctor_code[row], kind="stable")
        return CaseRows(
            row=row[order],
            doctor=doctor_code[row[order]],
            weight=total[order],
            group=np.argsort(order)[group],
        )
    if np.all(doctor_code[1:] >= doctor_code[:-1]):
        order = np.arange(doctor_code.size)
    else:
        order = np.argsort(doctor_code, kind="stable")
    place = np.empty(order.size, dtype=np.intp)
    place[order] = np.arange(order.size)
    return CaseRows(row=order, doctor=doctor_code[order], weight=size[order], group=place)
