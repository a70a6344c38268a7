"""r-values: the smallest top fraction that a doctor belongs to."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import flatten_draws
from outcomekpi.lineage.origins import Provenance
from outcomekpi.profiling.standardization import StandardizedRates, require_direction
from outcomekpi.tables.cases import Direction

__all__ = ["RValues", "r_values"]

POINTS = 200  # fractions that are examined
POOLED = 2_000_000  # draws of all doctors that the population quantiles are taken from


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RValues:
    """r-value of each doctor: small is good.

    Attributes
    ----------
    values : (doctor,), in (0, 1]
    fraction : (point,), top fractions that were examined
    cutoff : (point,), posterior probability that a doctor needs to be in each top fraction
    direction : "higher" or "lower" is better
    provenance : of the fit
    """

    values: pd.Series
    fraction: NDArray[np.float64]
    cutoff: NDArray[np.float64]
    direction: Direction
    provenance: Provenance | None = None

    def to_frame(self) -> pd.DataFrame:
        """One row per doctor, in the order of the labels: ``r_value``."""
        return self.values.to_frame()

    def __repr__(self) -> str:
        best = self.values.nsmallest(3)
        named = ", ".join(f"{doctor} {value:.2f}" for doctor, value in best.items())
        return f"RValues of {len(self.values)} doctors ({self.direction} is better): {named}, ..."

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame().nsmallest(8, "r_value"))


def r_values(rates: StandardizedRates) -> RValues:
    """Smallest fraction such that the doctor belongs to the best fraction of all doctors.

    Parameters
    ----------
    rates : standardized rates of at least five doctors

    Returns
    -------
    RValues; selecting the doctors with r-values up to a gives about a share a of the doctors,
    and of all such selections the one that shares most doctors with the true best ones

    Raises
    ------
    SpecError
        The direction of the outcome is unknown, or there are fewer than five doctors.

    Notes
    -----
    For each fraction a: t(a) is the rate beyond which the best share a of all doctors lies (a
    quantile of the draws of all doctors pooled); V_j(a) the posterior probability that doctor j
    lies beyond t(a); l(a) the 1 - a quantile of V over doctors. r_j is the smallest a with
    V_j(a) >= l(a), linear between neighboring fractions. A doctor with few cases is placed
    neither as high as his raw rate nor as middling as his shrunken mean would put him.

    References
    ----------
    Henderson & Newton (2016), Journal of the Royal Statistical Society B 78:781-804,
    doi:10.1111/rssb.12131.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> cases = ok.datasets.load_synthetic_cases()
    >>> values = ok.r_values(ok.standardize(ok.fit(cases, ok.ModelSpec(), draws=400))).values
    >>> bool(values.between(0, 1).all())
    True
    """
    check_arguments(r_values, locals())
    direction = require_direction(rates, "r_values")
    draws = flatten_draws(rates.draws)
    n_doctors = draws.shape[0]
    if n_doctors < 5:
        raise SpecError(f"r-values need at least 5 doctors; there are {n_doctors}.")
    fraction = np.arange(1, POINTS + 1) / POINTS
    better = draws if direction == "higher" else -draws
    step = max(1, better.size // POOLED)
    threshold = np.quantile(better.ravel()[::step], 1 - fraction)
    threshold[-1] = -np.inf
    beyond = np.empty((n_doctors, POINTS))
    n_samples = better.shape[1]
    for j, row in enumerate(better):
        beyond[j] = 1 - np.searchsorted(np.sort(row), threshold, side="left") / n_samples
    cutoff = np.array(
        [np.quantile(beyond[:, k], 1 - a, method="inverted_cdf") for k, a in enumerate(fraction)]
    )
    return RValues(
        values=pd.Series(
            _first_crossing(beyond - cutoff, fraction), index=rates.cases.index, name="r_value"
        ),
        fraction=fraction,
        cutoff=cutoff,
        direction=direction,
        provenance=rates.provenance,
    )


def _first_crossing(
    margin: NDArray[np.float64], fraction: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Smallest fraction at which each row's margin is not negative, linear in between."""
    reached = margin >= 0
    first = reached.argmax(axis=1)
    rows = np.arange(margin.shape[0])
    after, before = margin[rows, first], margin[rows, np.maximum(first - 1, 0)]
    # before is negative and after is not, but for rows that reach theirs at the first fraction
    part = np.divide(after, after - before, out=np.zeros(first.size), where=first > 0)
    spacing = fraction[0]
    return np.asarray(fraction[first] - part * spacing)
