"""Simulated data sets whose posteriors are known from a reference of its own.

The sets are made here and nowhere else: the tests of the engine and the script that computes the
reference (``benchmarks/engine_reference.py``) read the same arrays. Nothing of the engine is used.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferenceSet:
    """One data set with numbers in place of every prior.

    Attributes
    ----------
    family : bernoulli, binomial or poisson
    code : (row,), doctor
    matrix : (row, column), the fixed effects but for the intercept
    outcome, size : (row,), events; trials, exposure or ones
    intercept : mean and SD of the intercept's normal prior; slopes have N(0, 1)
    sd_scale : scale of the half-normal prior of the doctor SD
    """

    family: str
    code: NDArray[np.intp]
    matrix: Array
    outcome: Array
    size: Array
    intercept: tuple[float, float]
    sd_scale: float = 1.0

    @property
    def n_doctors(self) -> int:
        return int(self.code.max()) + 1


def _draw(
    rng: np.random.Generator,
    family: str,
    code: NDArray[np.intp],
    matrix: Array,
    *,
    intercept: float,
    slopes: tuple[float, ...] = (),
    sd: float,
    size: Array | None = None,
    sd_scale: float = 1.0,
) -> ReferenceSet:
    size = np.ones(code.size) if size is None else size
    eta = intercept + matrix @ np.array(slopes) + rng.normal(0.0, sd, int(code.max()) + 1)[code]
    if family == "poisson":
        outcome = rng.poisson(size * np.exp(eta))
    else:
        outcome = rng.binomial(size.astype(int), expit(eta))
    return _finish(family, code, matrix, outcome, size, sd_scale)


def _finish(family, code, matrix, outcome, size, sd_scale=1.0):
    """Center the intercept's prior at the overall rate, as the package does by default."""
    rate = (outcome.sum() + 1e-300) / size.sum()
    center = np.log(rate) if family == "poisson" else np.log(rate) - np.log1p(-rate)
    return ReferenceSet(
        family=family,
        code=code.astype(np.intp),
        matrix=np.asarray(matrix, dtype=float),
        outcome=outcome.astype(float),
        size=size.astype(float),
        intercept=(float(center), 2.5),
        sd_scale=sd_scale,
    )


def _codes(rng: np.random.Generator, n_rows: int, n_doctors: int) -> NDArray[np.intp]:
    """Doctors of very different caseloads, each with a row at least, sorted."""
    weights = rng.gamma(2.0, 1.0, n_doctors)
    counts = 1 + rng.multinomial(n_rows - n_doctors, weights / weights.sum())
    return np.repeat(np.arange(n_doctors), counts)


def _scaled(column: Array) -> Array:
    return (column - column.mean()) / column.std(ddof=1)


def _plain(seed, family, n_rows, n_doctors, sd, intercept=-1.2):
    rng = np.random.default_rng([1, seed])
    code = _codes(rng, n_rows, n_doctors)
    size = None
    if family == "binomial":
        size = rng.integers(1, 9, n_rows).astype(float)
    elif family == "poisson":
        size = rng.gamma(4.0, 0.5, n_rows)
    matrix = rng.normal(size=(n_rows, 2))
    return _draw(
        rng, family, code, matrix, intercept=intercept, slopes=(0.4, -0.3), sd=sd, size=size
    )


def _collinear(seed, family, n_columns, spread):
    """Covariates that are one another but for a little noise."""
    rng = np.random.default_rng([2, seed])
    code = _codes(rng, 300, 20)
    common = rng.normal(size=300)
    columns = [common, *(common + spread * rng.normal(size=300) for _ in range(n_columns - 1))]
    matrix = np.column_stack([_scaled(column) for column in columns])
    slopes = (0.5,) + (0.0,) * (n_columns - 1)
    return _draw(rng, family, code, matrix, intercept=-1.0, slopes=slopes, sd=0.5)


def _separated(seed, share, *, family="bernoulli", all_events=True, n_rare=1):
    """A rare covariate (or several) in whose rows everybody has the event, or nobody."""
    rng = np.random.default_rng([3, seed])
    code = _codes(rng, 400, 25)
    size = rng.integers(1, 5, 400).astype(float) if family == "binomial" else np.ones(400)
    rare = np.stack([rng.random(400) < share for _ in range(n_rare)])
    rare[:, :3] |= np.eye(n_rare, 3, dtype=bool)
    base = _draw(
        rng,
        family,
        code,
        rng.normal(size=(400, 1)),
        intercept=-1.0,
        slopes=(0.3,),
        sd=0.7,
        size=size,
    )
    outcome = np.where(rare.any(axis=0), size if all_events else 0.0, base.outcome)
    matrix = np.column_stack([base.matrix, *(_scaled(row.astype(float)) for row in rare)])
    return _finish(family, code, matrix, outcome, size)


def _rare_events(seed, n_rows, n_doctors, intercept, sd):
    rng = np.random.default_rng([4, seed])
    code = _codes(rng, n_rows, n_doctors)
    matrix = rng.normal(size=(n_rows, 2))
    return _draw(rng, "bernoulli", code, matrix, intercept=intercept, slopes=(0.4, -0.3), sd=sd)


def _many_doctors(seed, sd, intercept):
    """Two thousand doctors with about a hundred events in all: one row of trials each."""
    rng = np.random.default_rng([5, seed])
    trials = 1.0 + rng.poisson(6.0, 2000)
    matrix = rng.normal(size=(2000, 1))
    code = np.arange(2000)
    return _draw(
        rng, "binomial", code, matrix, intercept=intercept, slopes=(0.3,), sd=sd, size=trials
    )


def _rare_binary(seed, share, *, family="poisson", n_rows=150, slope=-0.5):
    """A binary covariate that nearly all rows have."""
    rng = np.random.default_rng([6, seed])
    code = _codes(rng, n_rows, 25)
    binary = (rng.random(n_rows) < share).astype(float)
    binary[:2] = 1.0
    matrix = np.column_stack((_scaled(1.0 - binary), rng.normal(size=n_rows)))
    return _draw(rng, family, code, matrix, intercept=-1.5, slopes=(slope, 0.3), sd=0.3)


def _exposures(seed, n_doctors, sd, *, per_doctor=1, top=4.0, n_columns=1, intercept=-2.0):
    """Exposures over four decades."""
    rng = np.random.default_rng([7, seed])
    n_rows = n_doctors * per_doctor
    code = np.repeat(np.arange(n_doctors), per_doctor)
    exposure = 10 ** rng.uniform(top - 4.0, top, n_rows)
    matrix = rng.normal(size=(n_rows, n_columns))
    slopes = (0.3,) * n_columns
    return _draw(
        rng, "poisson", code, matrix, intercept=intercept, slopes=slopes, sd=sd, size=exposure
    )


def _without_events(seed, n_doctors, with_events, sd_scale=1.0):
    """Counts in which all but a few doctors have no events."""
    rng = np.random.default_rng([8, seed])
    exposure = rng.gamma(2.0, 0.5, n_doctors)
    outcome = np.zeros(n_doctors)
    outcome[:with_events] = 1 + rng.poisson(1.5, with_events)
    matrix = np.empty((n_doctors, 0))
    return _finish("poisson", np.arange(n_doctors), matrix, outcome, exposure, sd_scale)


def _extremes(seed, n_doctors):
    """Doctors all of whose cases, and doctors none of whose cases, have the event."""
    rng = np.random.default_rng([9, seed])
    trials = rng.integers(2, 15, n_doctors).astype(float)
    outcome = np.where(np.arange(n_doctors) % 2, trials, 0.0)
    outcome[0] = 1.0
    matrix = rng.normal(size=(n_doctors, 1))
    return _finish("binomial", np.arange(n_doctors), matrix, outcome, trials, 2.0)


_MAKERS = {
    "plain bernoulli, 12 doctors": lambda: _plain(1, "bernoulli", 300, 12, 0.5),
    "plain bernoulli, 40 doctors": lambda: _plain(2, "bernoulli", 800, 40, 0.4),
    "plain bernoulli, sd 0": lambda: _plain(3, "bernoulli", 400, 20, 0.0),
    "plain bernoulli, sd 2": lambda: _plain(4, "bernoulli", 400, 30, 2.0),
    "plain bernoulli, 80 doctors": lambda: _plain(5, "bernoulli", 2400, 80, 0.7),
    "plain binomial": lambda: _plain(6, "binomial", 200, 20, 0.4),
    "plain poisson": lambda: _plain(7, "poisson", 300, 20, 0.4),
    "plain poisson, 5 doctors": lambda: _plain(8, "poisson", 100, 5, 0.4),
    "collinear bernoulli": lambda: _collinear(1, "bernoulli", 2, 0.1),
    "collinear poisson": lambda: _collinear(2, "poisson", 2, 0.1),
    "collinear, three columns": lambda: _collinear(3, "bernoulli", 3, 0.2),
    "collinear, nearly one": lambda: _collinear(4, "bernoulli", 2, 0.01),
    "separated, 2 %": lambda: _separated(1, 0.02),
    "separated, 5 %": lambda: _separated(2, 0.05),
    "separated, 1 %": lambda: _separated(3, 0.005),
    "separated, no events": lambda: _separated(4, 0.06, all_events=False),
    "separated, binomial": lambda: _separated(5, 0.03, family="binomial"),
    "separated twice": lambda: _separated(6, 0.02, n_rare=2),
    "rare events, 400 rows": lambda: _rare_events(1, 400, 20, -4.2, 0.5),
    "rare events, 1500 rows": lambda: _rare_events(2, 1500, 50, -4.8, 0.5),
    "rare events, large sd": lambda: _rare_events(3, 1000, 60, -5.0, 1.5),
    "2,000 doctors, sd 3": lambda: _many_doctors(1, 3.0, -8.0),
    "2,000 doctors, sd 4": lambda: _many_doctors(2, 4.0, -10.0),
    "2,000 doctors, sd 1": lambda: _many_doctors(3, 1.0, -5.3),
    "rare binary counts": lambda: _rare_binary(1, 0.04),
    "rare binary counts, 2 %": lambda: _rare_binary(2, 0.02),
    "rare binary counts, higher": lambda: _rare_binary(3, 0.06, slope=0.4),
    "rare binary cases": lambda: _rare_binary(4, 0.04, family="bernoulli", n_rows=300),
    "rare binary cases, 1 %": lambda: _rare_binary(5, 0.01, family="bernoulli", n_rows=300),
    "exposures, 5 doctors, sd 1": lambda: _exposures(1, 5, 1.0),
    "exposures, 5 doctors, sd 3": lambda: _exposures(2, 5, 3.0, intercept=2.0),
    "exposures, 40 doctors, sd 2": lambda: _exposures(3, 40, 2.0),
    "exposures, 40 doctors, sd 3": lambda: _exposures(4, 40, 3.0, per_doctor=3),
    "exposures, huge counts": lambda: _exposures(5, 5, 2.0, per_doctor=3, intercept=5.0),
    "exposures, mostly none": lambda: _exposures(6, 40, 1.5, top=1.0, n_columns=2),
    "without events, 10 doctors": lambda: _without_events(1, 10, 1),
    "without events, 40 doctors": lambda: _without_events(2, 40, 4),
    "without events, wide prior": lambda: _without_events(3, 12, 2, 3.0),
    "all or nothing, 6 doctors": lambda: _extremes(1, 6),
    "all or nothing, 30 doctors": lambda: _extremes(2, 30),
}

_WITHOUT_REFERENCE = (
    "2,000 doctors, sd 4",
    "2,000 doctors, sd 1",
    "exposures, huge counts",
)
NAMES = tuple(name for name in _MAKERS if name not in _WITHOUT_REFERENCE)


def make_set(name: str) -> ReferenceSet:
    """Make one of the sets; the same arrays every time."""
    return _MAKERS[name]()
