"""What the program does over the periods with it: constant, linear, or free in each period."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError

__all__ = ["ExposureModel", "WedgeTerms", "build_terms"]

Floats = NDArray[np.float64]
ExposureModel = Literal["constant", "linear", "by period"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WedgeTerms:
    """Terms of the model of cell means.

    Attributes
    ----------
    values : (cluster, time, term), one term for each period with cells, then those of the program
    effects : (exposure, term), weights of the effect in each period with the program that is seen
    exposures : (exposure,), which period with the program that is: 1, 2, ...
    cells : (exposure,), number of cells with that exposure
    """

    values: Floats
    effects: Floats
    exposures: NDArray[np.intp]
    cells: NDArray[np.intp]

    @property
    def average(self) -> Floats:
        """(term,), weights of the average effect over exposure times, each counting alike."""
        return np.asarray(self.effects.mean(axis=0))


def build_terms(
    exposure: NDArray[np.intp], present: NDArray[np.bool_], model: ExposureModel
) -> WedgeTerms:
    """Write down the terms of periods and program.

    Parameters
    ----------
    exposure : (cluster, time), periods with the program so far; 0 without it
    present : (cluster, time), whether there is a cell
    model : "constant" theta; "linear" theta + delta (s - 1); "by period" theta_s, for the s-th
        period with the program

    Raises
    ------
    CasesError
        The cells do not tell the terms apart.
    """
    clusters, times = exposure.shape
    seen = np.unique(exposure[present])
    seen = seen[seen > 0]
    longest = int(exposure.max())
    if model == "constant":
        shapes = np.ones((seen.size, 1))
    elif model == "linear":
        shapes = np.column_stack([np.ones(seen.size), seen - 1.0])
    else:
        shapes = np.eye(seen.size)
    program = np.zeros((longest + 1, shapes.shape[1]))
    program[seen] = shapes
    in_use = present.any(axis=0)
    periods = np.broadcast_to(np.eye(times)[:, in_use], (clusters, times, int(in_use.sum())))
    values = np.concatenate([periods, program[exposure]], axis=2)
    effects = np.hstack([np.zeros((seen.size, int(in_use.sum()))), shapes])
    rank = int(np.linalg.matrix_rank(values[present]))
    if rank < values.shape[2]:
        raise CasesError(
            f"The {int(present.sum())} cells of clusters and periods cannot tell "
            f"{int(in_use.sum())} periods and {shapes.shape[1]} term(s) of the program apart "
            f"({rank} can be told). "
            + (
                "Some period has only cells with the program, or only without: leave it out."
                if model == "constant"
                else "Use effect='constant'."
            )
        )
    if int(present.sum()) <= values.shape[2] + 1:
        raise CasesError(
            f"{int(present.sum())} cells are too few for {values.shape[2]} terms and their noise. "
            "Use effect='constant', or longer periods."
        )
    cells = np.bincount(exposure[present], minlength=longest + 1)[seen]
    return WedgeTerms(values=values, effects=effects, exposures=seen, cells=cells)
