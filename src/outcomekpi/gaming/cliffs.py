"""Cliffs: whether readings were moved across the cut-off that somebody is paid for."""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.declare.fields import Count, NotNegative, Positive
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL, check_level, t_reach
from outcomekpi.gaming.cell_counts import (
    PERIODS,
    CellFit,
    Cells,
    count_cells,
    find_step,
    fit_cells,
)
from outcomekpi.indicators.chance.readings import Side
from outcomekpi.tables.columns import read_numbers

__all__ = ["DensityJump", "DensityMethod", "DensityTest", "density_jump", "density_test"]

Array = NDArray[np.float64]
DensityMethod = Literal["cell counts", "local polynomial"]
FEWEST = 100


# The jump of a density at a cut-off, by the rddensity library: the one place that knows it
@dataclass(frozen=True, slots=True, kw_only=True)
class DensityJump:
    """Densities on both sides of a cut-off and the test of their difference.

    Attributes
    ----------
    left, right, left_se, right_se : bias-corrected densities at the cut-off, jackknife errors
    statistic, p_value : of the difference right minus left
    bandwidths : left and right, in the unit of the readings
    log : bandwidths, readings inside them, version
    """

    left: float
    right: float
    left_se: float
    right_se: float
    statistic: float
    p_value: float
    bandwidths: tuple[float, float]
    log: tuple[str, ...]


def density_jump(values: NDArray[np.float64], cutoff: float) -> DensityJump:
    """Bias-corrected local polynomial densities at a cut-off and the test of their difference.

    Raises
    ------
    SpecError
        The extra ``gaming`` is not installed.
    CasesError
        The estimated densities are not positive: too few readings at the cut-off.

    Notes
    -----
    ``rddensity`` with its defaults: local quadratic, cubic for the bias correction, triangular
    kernel, jackknife errors, bandwidth by mean squared error ("comb"). Readings equal to the
    cut-off belong to the right. Importing the library changes the filters of ``warnings``, which
    are restored here.

    References
    ----------
    Cattaneo, Jansson & Ma (2020), Journal of the American Statistical Association 115.
    """
    with warnings.catch_warnings():
        try:
            from rddensity import __version__, rddensity
        except ImportError as error:
            raise SpecError(
                "Readings that are not rounded need the library rddensity, which is not "
                "installed: pip install 'outcomekpi[gaming]'. If they are rounded, pass rounding="
                "the step."
            ) from error
        found = rddensity(values, c=cutoff, bino_flag=False)
    left, right = float(found.hat["left"]), float(found.hat["right"])
    p_value = float(found.test["p_jk"])
    inside = (int(found.n["eff_left"]), int(found.n["eff_right"]))
    if not (left > 0 and right > 0 and np.isfinite(p_value)):
        raise CasesError(
            f"The density at the cut-off {cutoff:g} cannot be estimated from {inside[0]} readings "
            f"to its left and {inside[1]} to its right: got {left:.3g} and {right:.3g}."
        )
    bandwidths = (float(found.h["left"]), float(found.h["right"]))
    return DensityJump(
        left=left,
        right=right,
        left_se=float(found.sd_jk["left"]),
        right_se=float(found.sd_jk["right"]),
        statistic=float(found.test["t_jk"]),
        p_value=p_value,
        bandwidths=bandwidths,
        log=(
            f"Local polynomial of order 2 by rddensity {__version__}: bandwidths "
            f"{bandwidths[0]:.3g} and {bandwidths[1]:.3g}, {inside[0]} and {inside[1]} readings.",
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DensityTest:
    """Readings just on the passing side of a bar, against what a smooth distribution explains.

    Attributes
    ----------
    method : "cell counts" for rounded readings, "local polynomial" for others
    cutoff, passes, strict : the bar, its passing side, and whether a reading at the bar fails
    n : readings, all together
    rounding : step that the readings are reported to; None, not rounded
    heaping : distance after which a preference for end digits repeats; None, none was found or
        allowed for
    log_ratio, log_ratio_se : logarithm of the density just passing over the density just failing,
        over the same for the smooth expectation, and its standard error
    statistic, df, p_value : two-sided test of no jump; t with ``df`` degrees of freedom (infinite:
        normal)
    details : quantity -> (estimate, standard error), further rows of the table
    cells : one row per reported value in the window: ``value``, ``observed``, ``expected``,
        ``passes``, ``near``; for readings that are not rounded, bins without expectation
    log : how rounding, end digits, curve and bandwidth were chosen, one sentence each
    """

    method: DensityMethod
    cutoff: float
    passes: Side
    strict: bool
    n: int
    rounding: float | None
    heaping: float | None
    log_ratio: float
    log_ratio_se: float
    statistic: float
    df: float
    p_value: float
    details: dict[str, tuple[float, float]]
    cells: pd.DataFrame
    log: tuple[str, ...]

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per quantity.

        Returns
        -------
        DataFrame indexed by ``quantity`` with columns ``mean, lower, upper``. ``ratio``: density
        just passing over just failing, relative to the smooth expectation (1: no jump; interval
        symmetric on the log scale). Cell counts add ``excess``, readings within reach on the
        passing side beyond their expectation, and ``missing``, expected but not found on the
        failing side; the local polynomial adds ``density_passing`` and ``density_failing``, per
        unit of the readings.
        """
        check_level(level)
        quantile = float(t_reach(self.df, level=level))
        reach = quantile * self.log_ratio_se
        rows = {
            "ratio": [np.exp(self.log_ratio + shift) for shift in (0.0, -reach, reach)],
            **{
                name: [mean, mean - quantile * se, mean + quantile * se]
                for name, (mean, se) in self.details.items()
            },
        }
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "lower", "upper"])
        frame.index.name = "quantity"
        frame.attrs.update(level=level, p_value=self.p_value, method=self.method)
        return frame

    def __repr__(self) -> str:
        rounded = "not rounded" if self.rounding is None else f"reported to {self.rounding:g}"
        return (
            f"DensityTest ({self.method}): {self.n:,} readings, {rounded}; "
            f"{np.exp(self.log_ratio):.2f} times as many just {self.passes} {self.cutoff:g} as "
            f"expected against just across it, p = {self.p_value:.2g}"
        )

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame(), number=".3g", sentences=self.log)


def density_test(
    values: ArrayLike,
    cutoff: float,
    *,
    passes: Side = "below",
    strict: bool = True,
    rounding: NotNegative | None = None,
    heaping: NotNegative | None = None,
    reach: Count = 2,
    window: Positive | None = None,
) -> DensityTest:
    """Test whether readings were shifted across a patient-level cut-off.

    Parameters
    ----------
    values : (reading,), one reading per patient, in one unit
    cutoff : the bar, such as 7.0 (%), 140 (mmHg) or 2.6 (mmol/L)
    passes : side of the bar that counts as success
    strict : a reading at the bar fails ("< 140"); False, it passes
    rounding : step that the readings are reported to; 0 says that they are not rounded; None finds
        the step and names it in the log
    heaping : distance after which a preference for end digits repeats (10 for mmHg that end in 0
        more often); 0 allows for none; None chooses by the fit and names the choice. For rounded
        readings only
    reach : reported values on each side that count as just passing and just failing
    window : how far from the cut-off readings are used; None, 30 steps. For rounded readings only

    Raises
    ------
    CasesError
        Too few readings or values, readings that are no numbers or off the declared grid, or a
        cut-off outside of them.
    SpecError
        Options that cannot be, too few cells for a fit, or readings that are not rounded while
        the extra ``gaming`` (rddensity) is not installed.

    Notes
    -----
    Rounded readings: Poisson fit to the counts out of reach (polynomial in the value and end-digit
    effects, see :func:`~outcomekpi.gaming.cell_counts.fit_cells`) gives expected counts
    e_p just passing and e_f just failing. With counts N_p, N_f (1/2 added),
    theta = log(N_p / N_f) - log(e_p / e_f), var = c (1/N_p + 1/N_f) + var log(e_p / e_f), c the
    Pearson dispersion (at least 1); theta / SE is compared with t. Other readings: local quadratic
    densities on both sides with cubic bias correction and jackknife errors, by ``rddensity``.
    Rounded readings are never given to the latter: heaps at the bar look like a jump.

    References
    ----------
    Cattaneo, Jansson & Ma (2020), Journal of the American Statistical Association 115.
    Chetty, Friedman, Olsen & Pistaferri (2011), Quarterly Journal of Economics 126 (counts of
    cells with a polynomial that leaves out the cells at the notch).

    Examples
    --------
    >>> import numpy as np
    >>> import outcomekpi as ok
    >>> exact = 5 + np.random.default_rng(1).gamma(4, 0.55, 4000)
    >>> bool(ok.density_test(exact.round(1), 7.0).p_value > 0.05)
    True
    """
    check_arguments(density_test, locals())
    readings = _check_values(values, cutoff)
    step = find_step(readings) if rounding is None else (rounding or None)
    how = "found in the readings" if rounding is None else "as declared"
    if step is None:
        if heaping:
            raise SpecError("heaping= needs rounded readings; these are not rounded.")
        jump = density_jump(readings, cutoff)
        return _from_jump(jump, readings, cutoff, passes, strict, f"Not rounded, {how}.")
    cells = count_cells(
        readings,
        cutoff=float(cutoff),
        step=step,
        passes_below=passes == "below",
        strict=strict,
        window=30 * step if window is None else window,
        reach=reach,
    )
    fit = fit_cells(cells, period=_period(heaping, step))
    log = (f"Reported to {step:g}, {how}.", *_describe_fit(cells, fit, heaping))
    return _from_cells(cells, fit, readings.size, cutoff, passes, strict, log)


def _from_cells(
    cells: Cells,
    fit: CellFit,
    n: int,
    cutoff: float,
    passes: Side,
    strict: bool,
    log: tuple[str, ...],
) -> DensityTest:
    from scipy.stats import t

    sides = (cells.near & cells.passes, cells.near & ~cells.passes)
    seen = [cells.count[side].sum() for side in sides]
    wanted = [fit.expected[side].sum() for side in sides]
    slopes = [
        fit.expected[side] @ fit.gradient[side] / total
        for side, total in zip(sides, wanted, strict=True)
    ]
    theta = np.log((seen[0] + 0.5) / (seen[1] + 0.5)) - np.log(wanted[0] / wanted[1])
    contrast = slopes[0] - slopes[1]
    chance = fit.dispersion * sum(1 / (count + 0.5) for count in seen)
    se = float(np.sqrt(chance + contrast @ fit.covariance @ contrast))
    of_counts = [
        float(np.sqrt(fit.dispersion * total + total**2 * (slope @ fit.covariance @ slope)))
        for total, slope in zip(wanted, slopes, strict=True)
    ]
    return DensityTest(
        method="cell counts",
        cutoff=float(cutoff),
        passes=passes,
        strict=strict,
        n=n,
        rounding=cells.step,
        heaping=None if fit.period == 1 else fit.period * cells.step,
        log_ratio=float(theta),
        log_ratio_se=se,
        statistic=float(theta / se),
        df=float(fit.df),
        p_value=float(2 * t.sf(abs(theta) / se, fit.df)),
        details={
            "excess": (float(seen[0] - wanted[0]), of_counts[0]),
            "missing": (float(wanted[1] - seen[1]), of_counts[1]),
        },
        cells=pd.DataFrame(
            {
                "value": cells.value,
                "observed": cells.count,
                "expected": fit.expected,
                "passes": cells.passes,
                "near": cells.near,
            }
        ),
        log=log,
    )


def _from_jump(
    jump: DensityJump, readings: Array, cutoff: float, passes: Side, strict: bool, said: str
) -> DensityTest:
    below = passes == "below"
    density = (jump.left, jump.right) if below else (jump.right, jump.left)
    se = (jump.left_se, jump.right_se) if below else (jump.right_se, jump.left_se)
    relative = np.hypot(se[0] / density[0], se[1] / density[1])
    edges = cutoff + np.linspace(-10, 10, 21) * min(jump.bandwidths) / 5
    observed = np.histogram(readings, edges)[0]
    middle = (edges[1:] + edges[:-1]) / 2
    return DensityTest(
        method="local polynomial",
        cutoff=float(cutoff),
        passes=passes,
        strict=strict,
        n=readings.size,
        rounding=None,
        heaping=None,
        log_ratio=float(np.log(density[0] / density[1])),
        log_ratio_se=float(relative),
        statistic=-jump.statistic if below else jump.statistic,
        df=np.inf,
        p_value=jump.p_value,
        details={
            "density_passing": (density[0], se[0]),
            "density_failing": (density[1], se[1]),
        },
        cells=pd.DataFrame(
            {
                "value": middle,
                "observed": observed.astype(np.float64),
                "expected": np.nan,
                "passes": middle < cutoff if below else middle > cutoff,
                "near": np.abs(middle - cutoff) <= max(jump.bandwidths),
            }
        ),
        log=(said, *jump.log),
    )


def _describe_fit(cells: Cells, fit: CellFit, heaping: float | None) -> tuple[str, ...]:
    chosen = "chosen by the fit" if heaping is None else "as declared"
    digits = (
        f"No end-digit effects, {chosen}."
        if fit.period == 1
        else f"End-digit effects that repeat every {fit.period * cells.step:g}, {chosen}."
    )
    return (
        digits,
        f"Smooth curve: polynomial of degree {fit.degree} through {int((~cells.near).sum())} "
        f"reported values, {int(cells.near.sum())} at the cut-off left out; dispersion "
        f"{fit.dispersion:.2f}.",
    )


def _period(heaping: float | None, step: float) -> int | None:
    """Cells after which end-digit effects repeat; None, to be chosen."""
    if heaping is None:
        return None
    if heaping == 0:
        return 1
    period = round(heaping / step)
    if abs(heaping / step - period) > 0.02 or period not in PERIODS:
        possible = ", ".join(f"{p * step:g}" for p in PERIODS)
        raise SpecError(
            f"heaping must be {possible} (2, 5 or 10 steps of {step:g}), or 0; got {heaping!r}."
        )
    return period


def _check_values(values: ArrayLike, cutoff: float) -> Array:
    readings = read_numbers(pd.Series(np.asarray(values).ravel(), name="values"), "readings")
    wrong = np.flatnonzero(~np.isfinite(readings))
    if wrong.size:
        raise CasesError(
            f"Readings must be finite numbers; {wrong.size} of {readings.size} are not, the first "
            f"at position {wrong[0]}. Leave patients without a reading out."
        )
    if readings.size < FEWEST:
        raise CasesError(f"A density test needs at least {FEWEST} readings; found {readings.size}.")
    if not readings.min() < cutoff < readings.max():
        raise CasesError(
            f"The cut-off {cutoff!r} lies outside the readings, which run from {readings.min():g} "
            f"to {readings.max():g}. Are both in the same unit?"
        )
    return readings
