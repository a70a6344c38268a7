"""The bow of a doctor's curve: what it would be if his cases were all alike.

With W = -C'' at a center c and p such that C''' / C'' = 1 - 2p, such a doctor's curve is, up to
a straight line, ``-W G(t - c)`` with ``G(x) = log(1 - p + p e^x) / (p (1 - p)) - x / (1 - p)``:
e^x - 1 - x for counts (p = 0). It falls like exp(t) on the flank of a doctor without events,
which no polynomial between nodes follows. Curves are tabulated less their bow.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bows"]

Array = NDArray[np.float64]

_LEAST_SHARE = 1e-15
_FARTHEST = 300.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bows:
    """Closed forms taken out of the curves before they are tabulated.

    Attributes
    ----------
    center, curvature : (doctor,), c and W
    lean : (doctor,), p in [0, 1]
    """

    center: Array
    curvature: Array
    lean: Array

    def of(self, doctors: slice | NDArray[np.intp]) -> "Bows":
        """Return the bows of some of the doctors."""
        return Bows(
            center=self.center[doctors],
            curvature=self.curvature[doctors],
            lean=self.lean[doctors],
        )

    def _terms(self, t: Array) -> tuple[Array, Array, Array, Array, Array]:
        """Weight, sign, share, argument and growth; p above one half is its mirror image."""
        shape = (-1, *[1] * (t.ndim - 1))
        lean = self.lean.reshape(shape)
        sign = np.where(lean > 0.5, -1.0, 1.0)
        share = np.maximum(np.minimum(lean, 1.0 - lean), _LEAST_SHARE)
        x = np.clip(sign * (t - self.center.reshape(shape)), -_FARTHEST, _FARTHEST)
        return self.curvature.reshape(shape), sign, share, x, np.expm1(x)

    def value(self, t: Array) -> Array:
        """-W G at t (doctor, ...)."""
        weight, _, share, x, growth = self._terms(t)
        bent = np.log1p(share * growth) / share - x
        result: Array = -weight / (1.0 - share) * bent
        return result

    def derivatives(self, t: Array) -> tuple[Array, Array]:
        """First and second derivative of -W G at t (doctor, ...)."""
        weight, sign, share, _, growth = self._terms(t)
        odds = 1.0 + share * growth
        return -weight * sign * growth / odds, -weight * (growth + 1.0) / odds**2
