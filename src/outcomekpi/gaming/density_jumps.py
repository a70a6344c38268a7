"""The jump of a density at a cut-off, by the rddensity library: the one place that knows it."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError, SpecError

__all__ = ["DensityJump", "density_jump"]


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
