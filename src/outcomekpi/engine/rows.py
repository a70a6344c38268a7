"""Rows: the cases of a model, sorted by doctor and laid out for the kernels."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.errors import EngineError
from outcomekpi.draws.threads import in_threads
from outcomekpi.model.likelihood_model import Model

__all__ = ["Block", "Rows", "cut_blocks", "sort_rows"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]

_BLOCK_ROWS = 8192
_LARGE = 50_000
_PRODUCT_ROWS = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """A run of doctors whose rows fit into the cache together.

    Attributes
    ----------
    rows, doctors : slices into the sorted rows and into the doctors
    starts : (doctor,), first row of each doctor, counted from the block's first row
    counts : (doctor,), rows of each doctor
    product_starts : first row of each run of at most 16 rows of one doctor
    product_first : (doctor,), position of each doctor's first run
    """

    rows: slice
    doctors: slice
    starts: Index
    counts: Index
    product_starts: Index
    product_first: Index


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Sorted cases of all doctors.

    Attributes
    ----------
    x : (column, row), first row ones for the intercept; single precision above 50,000 rows,
        where it moves the posterior by less than 1e-6 of its standard deviations
    weight : (row,) trials (binomial) or exposure times exp(offset) (counts), or None for 1
        everywhere
    starts, counts : (doctor,), first row and number of rows
    y_doctor : (doctor,), events
    xty : (column,), sum of events times covariates
    blocks : doctors in cache-sized runs
    offset : (row,), in the precision of ``x``; None without one, and for counts, in whose weight
        it is
    """

    x: NDArray[np.floating]
    weight: Array | None
    starts: Index
    counts: Index
    y_doctor: Array
    xty: Array
    blocks: tuple[Block, ...]
    offset: NDArray[np.floating] | None = None

    @property
    def n_doctors(self) -> int:
        """Number of doctors."""
        return self.starts.size

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.x.shape[1])

    @property
    def is_large(self) -> bool:
        """Whether there are enough rows for compiled kernels and threads to pay."""
        return self.n_rows > _LARGE

    @property
    def n_columns(self) -> int:
        """Number of fixed effects, the intercept among them."""
        return int(self.x.shape[0])


def sort_rows(model: Model) -> Rows:
    """Sort the cases by doctor and sum what the likelihood needs of the outcomes."""
    code = model.doctor_code
    counts = np.bincount(code, minlength=model.n_doctors)
    if not counts.all():
        raise EngineError(
            f"{int((counts == 0).sum())} of {model.n_doctors} doctors have no cases; "
            "every doctor must have at least one."
        )
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    order = _stable_order(code)
    outcome = model.outcome[order]
    dtype = np.float32 if code.size > _LARGE else np.float64
    x = np.empty((model.matrix.shape[1] + 1, code.size), dtype=dtype)
    xty = np.empty(x.shape[0])
    x[0], xty[0] = 1.0, outcome.sum()

    def lay_out(column: int) -> None:
        values = model.matrix[:, column - 1]
        xty[column] = values @ model.outcome
        x[column] = values[order]

    columns = list(range(1, x.shape[0]))
    if code.size > _LARGE:
        in_threads(lay_out, columns)
    else:
        for column in columns:
            lay_out(column)
    weight, offset = _weight_and_offset(model)
    return Rows(
        x=x,
        weight=None if weight is None else np.ascontiguousarray(weight[order]),
        offset=None if offset is None else np.ascontiguousarray(offset[order], dtype=dtype),
        starts=starts,
        counts=counts,
        y_doctor=np.add.reduceat(outcome, starts),
        xty=xty,
        blocks=cut_blocks(starts, counts),
    )


def _weight_and_offset(model: Model) -> tuple[Array | None, Array | None]:
    """Trials or exposure, and the offset; for counts an offset is a factor of the exposure."""
    if model.offset is None or model.family != "poisson":
        return (model.trials if model.trials is not None else model.exposure), model.offset
    factor = np.exp(model.offset)
    return factor if model.exposure is None else model.exposure * factor, None


def _stable_order(code: Index) -> Index | slice:
    """Positions of the rows sorted by doctor; 16 bits at a time, in linear time."""
    if bool((code[1:] >= code[:-1]).all()):
        return slice(None)
    order: Index = np.argsort((code & 0xFFFF).astype(np.uint16), kind="stable")
    if code.max() > 0xFFFF:
        high = (code[order] >> 16).astype(np.uint16)
        order = order[np.argsort(high, kind="stable")]
    return order


def cut_blocks(starts: Index, counts: Index) -> tuple[Block, ...]:
    """Cut the doctors into runs of about ``_BLOCK_ROWS`` rows, at least one doctor each."""
    ends = starts + counts
    bounds = [0]
    while bounds[-1] < starts.size:
        first = bounds[-1]
        last = int(np.searchsorted(ends, starts[first] + _BLOCK_ROWS, side="right"))
        bounds.append(max(last, first + 1))
    blocks = []
    for first, last in pairwise(bounds):
        own_counts = counts[first:last]
        own_starts = starts[first:last] - starts[first]
        runs = -(-own_counts // _PRODUCT_ROWS)
        product_first = np.concatenate(([0], np.cumsum(runs)[:-1]))
        within = np.arange(runs.sum()) - np.repeat(product_first, runs)
        blocks.append(
            Block(
                rows=slice(int(starts[first]), int(ends[last - 1])),
                doctors=slice(first, last),
                starts=own_starts,
                counts=own_counts,
                product_starts=np.repeat(own_starts, runs) + _PRODUCT_ROWS * within,
                product_first=product_first,
            )
        )
    return tuple(blocks)
