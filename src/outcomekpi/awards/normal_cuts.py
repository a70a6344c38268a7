"""Who is awarded by mistake at a cut, in closed form for normal true rates and normal results."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Probability
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.bivariate import normal_quadrant

__all__ = ["CutMisclassification", "cut_misclassification"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CutMisclassification:
    """Shares of doctors who are awarded, who deserve it, and both, by reliability.

    Attributes
    ----------
    reliability : (value,), in [0, 1]
    awarded : (value,), share of the doctors who are awarded
    deserving : share whose true rate is beyond the cut
    both : (value,), share who are awarded and deserve it
    cut : the rule, in words
    cases : (value,), caseload with that reliability; None where only the reliability is known
    """

    reliability: Array
    awarded: Array
    deserving: float
    both: Array
    cut: str
    cases: NDArray[np.int64] | None = None

    @property
    def misclassified(self) -> Array:
        """Share of doctors awarded by mistake or passed over by mistake: (value,)."""
        return np.clip(self.awarded + self.deserving - 2 * self.both, 0.0, 1.0)

    @property
    def sensitivity(self) -> Array:
        """P(awarded | deserving): (value,)."""
        return _share(self.both, np.full_like(self.both, self.deserving))

    @property
    def specificity(self) -> Array:
        """P(not awarded | not deserving): (value,)."""
        neither = 1 - self.awarded - self.deserving + self.both
        return _share(neither, np.full_like(self.both, 1 - self.deserving))

    @property
    def ppv(self) -> Array:
        """P(deserving | awarded), missing where nobody is awarded: (value,)."""
        return _share(self.both, self.awarded)

    @property
    def npv(self) -> Array:
        """P(not deserving | not awarded), missing where everybody is awarded: (value,)."""
        neither = 1 - self.awarded - self.deserving + self.both
        return _share(neither, 1 - self.awarded)

    def to_frame(self) -> pd.DataFrame:
        """One row per reliability, or caseload.

        Returns
        -------
        DataFrame indexed by ``reliability``, or by ``cases`` with a column ``reliability`` where
        the caseloads are known: ``awarded``, ``deserving`` (shares of the doctors),
        ``sensitivity``, ``specificity``, ``ppv``, ``npv``, ``misclassified`` (share of the
        doctors), ``wrong_money`` (share of the money paid that goes to the wrong doctors).
        """
        frame = pd.DataFrame(
            {
                "awarded": self.awarded,
                "deserving": self.deserving,
                "sensitivity": self.sensitivity,
                "specificity": self.specificity,
                "ppv": self.ppv,
                "npv": self.npv,
                "misclassified": self.misclassified,
                "wrong_money": 1 - self.ppv,
            },
            index=pd.Index(self.reliability, name="reliability"),
        )
        if self.cases is not None:
            frame = frame.reset_index().set_index(pd.Index(self.cases, name="cases"))
        frame.attrs.update(cut=self.cut)
        return frame

    def __repr__(self) -> str:
        low, high = self.reliability.argmin(), self.reliability.argmax()
        text = f"{self.misclassified[low]:.1%} misclassified at reliability {{:.2g}}"
        text = text.format(self.reliability[low])
        if low != high:
            text += f", {self.misclassified[high]:.1%} at {self.reliability[high]:.2g}"
        return f"CutMisclassification ({self.cut}): {text}"

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame().head(8))


def cut_misclassification(
    reliability: NDArray[np.float64] | float,
    *,
    share: Probability | None = None,
    bar: float | None = None,
    probability: Probability | None = None,
) -> CutMisclassification:
    """Sensitivity, specificity, PPV and misclassified share of a cut, from the reliability alone.

    Parameters
    ----------
    reliability : of the results, in [0, 1]; one value or several
    share : the best share of the observed results is awarded, and the best share of the true
        rates deserves it; or
    bar : true rates beyond this bar deserve the award: its distance from the mean of the
        doctors, in SDs between doctors, positive where it is harder than average
    probability : with ``bar``, awarded if P(true rate beyond the bar | result) > probability (.5
        is the shrunken result at the bar); None awards the observed result at the bar

    Raises
    ------
    SpecError
        Not exactly one of share and bar, a probability without a bar, or a number outside its
        range.

    Notes
    -----
    True rates T are N(0, 1), results Y = T + e with var Y = 1/R, Z = sqrt(R) Y. Deserving is
    T > k, awarded Z > h: h = k = z(1 - share); h = b sqrt(R), k = b for the observed result at a
    bar; h = (b + z(probability) sqrt(1 - R)) / sqrt(R) for the posterior N(R Y, 1 - R).
    P(T > k, Z > h) is bivariate normal with correlation sqrt(R), by Owen's T function. At
    share = .5 the misclassified share is arccos(sqrt(R)) / pi.

    References
    ----------
    Adams (2009), The reliability of provider profiling, RAND TR-653. He, Selck & Normand
    (2014), Statistics in Medicine 33, doi:10.1002/sim.6012. Owen (1956), Annals of Mathematical
    Statistics 27.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> found = ok.cut_misclassification(0.7, share=0.1)
    >>> round(found.ppv.item(), 2)
    0.6
    """
    check_arguments(cut_misclassification, locals())
    values = np.atleast_1d(np.asarray(reliability, dtype=np.float64))
    _check(values, share, bar, probability)
    root = np.sqrt(values)
    if share is not None:
        true_cut = float(special.ndtri(1 - share))
        observed_cut = np.full_like(root, true_cut)
        cut = f"best {share:.3g}"
    else:
        true_cut = float(bar or 0.0)
        cut = f"bar {true_cut:g} SD from the mean"
        observed_cut = true_cut * root
        if probability is not None:
            cut += f", P > {probability:g}"
            lead = true_cut + float(special.ndtri(probability)) * np.sqrt(1 - values)
            with np.errstate(divide="ignore", invalid="ignore"):
                # without information P is the same for all; equal to the required is not above
                observed_cut = np.where(lead == 0, np.where(root > 0, 0.0, np.inf), lead / root)
    return CutMisclassification(
        reliability=values,
        awarded=special.ndtr(-observed_cut),
        deserving=float(special.ndtr(-true_cut)),
        both=normal_quadrant(-observed_cut, -true_cut, root),
        cut=cut,
    )


def _check(
    values: Array, share: float | None, bar: float | None, probability: float | None
) -> None:
    if values.size == 0 or not ((values >= 0) & (values <= 1)).all():
        raise SpecError(f"reliability must lie in [0, 1]; got {values.tolist()!r}.")
    if (share is None) == (bar is None):
        raise SpecError("cut_misclassification needs either share or bar, and not both.")
    if probability is not None and bar is None:
        raise SpecError("probability is about a bar; give bar, not share.")


def _share(part: Array, whole: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(whole > 0, part / whole, np.nan)
    return np.clip(found, 0.0, 1.0)
