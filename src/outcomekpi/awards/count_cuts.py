"""Who is awarded by mistake at a cut on counts, exactly, by caseload."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from outcomekpi.awards.beta_posteriors import known_prior, probability_beyond
from outcomekpi.awards.kernels import check_share
from outcomekpi.awards.normal_cuts import CutMisclassification
from outcomekpi.declare.errors import SpecError, check_choice
from outcomekpi.tables.cases import Direction

__all__ = ["caseload_misclassification"]

Array = NDArray[np.float64]


def caseload_misclassification(
    cases: tuple[int, ...] | int,
    *,
    mean: float,
    sd: float,
    direction: Direction,
    share: float | None = None,
    bar: float | None = None,
    probability: float | None = None,
) -> CutMisclassification:
    """Sensitivity, specificity, PPV and misclassified share of a cut, by caseload.

    Parameters
    ----------
    cases : of every doctor; one caseload or several
    mean, sd : of the doctors' true rates, events per case
    direction : "higher" or "lower" is awarded
    share : the best share of true rates deserves the award; awarded are the best observed rates,
        doctors with the count at the edge included, so that the share awarded can be larger; or
    bar : true rates beyond this bar deserve the award; observed rates at or beyond it are awarded
    probability : with ``bar``, awarded if P(true rate beyond the bar | count) > probability

    Raises
    ------
    SpecError
        Not exactly one of share and bar, a probability without a bar, an SD that no rates with
        this mean have, or a number outside its range.

    Notes
    -----
    True rates are Beta(a, b) with a + b = p(1 - p)/s² - 1; a doctor's count y of n is
    beta-binomial, his true rate given y Beta(a + y, b + n - y). P(awarded and deserving) = sum
    over the awarded counts of P(y) P(true rate beyond the cut | y), without approximation, for
    one of infinitely many doctors. Reliability is n / (n + a + b).

    Examples
    --------
    >>> import outcomekpi as ok
    >>> found = ok.caseload_misclassification(
    ...     (25, 77, 300), mean=.68, sd=.08, share=.1, direction="higher")
    >>> found.to_frame()["ppv"].is_monotonic_increasing
    True
    """
    numbers = np.atleast_1d(np.asarray(cases))
    _check(numbers, share, bar, probability)
    check_choice("direction", direction, ("higher", "lower"))
    a, b = known_prior(mean, sd)
    if share is not None:
        tail = 1 - share if direction == "higher" else share
        true_cut = float(special.betaincinv(a, b, tail))
        cut = f"best {share:.3g}"
    else:
        true_cut = float(bar or 0.0)
        cut = f"{'above' if direction == 'higher' else 'below'} {true_cut:.4g}"
    if probability is not None:
        cut += f", P > {probability:g}"
    awarded, both = np.empty(numbers.size), np.empty(numbers.size)
    for place, n in enumerate(numbers):
        y = np.arange(n + 1.0)
        weight = _beta_binomial(y, float(n), a, b)
        deserving = probability_beyond(a + y, b + n - y, true_cut, direction)
        if share is not None:
            given = _best_counts(weight, share, direction)
        elif probability is not None:
            given = deserving > probability
        else:
            lead = y / n - true_cut if direction == "higher" else true_cut - y / n
            given = lead >= -1e-12
        awarded[place] = weight[given].sum()
        both[place] = (weight * deserving)[given].sum()
    return CutMisclassification(
        reliability=numbers / (numbers + a + b),
        awarded=awarded,
        deserving=float(probability_beyond(np.array(a), np.array(b), true_cut, direction)),
        both=both,
        cut=cut,
        cases=numbers.astype(np.int64),
    )


def _beta_binomial(y: Array, n: float, a: float, b: float) -> Array:
    choose = special.gammaln(n + 1) - special.gammaln(y + 1) - special.gammaln(n - y + 1)
    weight = np.exp(choose + special.betaln(a + y, b + n - y) - special.betaln(a, b))
    return np.asarray(weight / weight.sum())


def _best_counts(weight: Array, share: float, direction: Direction) -> NDArray[np.bool_]:
    """Mark the best counts that together reach the share, the count at its edge included."""
    ordered = weight[::-1] if direction == "higher" else weight
    given = np.cumsum(ordered) - ordered < share - 1e-12
    return given[::-1] if direction == "higher" else given


def _check(
    cases: NDArray[Any],
    share: float | None,
    bar: float | None,
    probability: float | None,
) -> None:
    if cases.dtype.kind not in "iu" or cases.size == 0 or not (cases >= 1).all():
        raise SpecError(f"cases must be whole numbers from 1; got {cases.tolist()!r}.")
    if (share is None) == (bar is None):
        raise SpecError("A cut needs either share or bar, and not both.")
    if share is not None:
        check_share("share", share)
    if bar is not None:
        check_share("bar", bar)
    if probability is not None:
        if bar is None:
            raise SpecError("probability is about a bar; give bar, not share.")
        check_share("probability", probability)
