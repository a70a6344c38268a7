"""Tiers: how likely it is that each doctor was put into the wrong one."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Probability
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL, flatten_draws, interval
from outcomekpi.lineage.origins import Provenance
from outcomekpi.profiling.ranking import rank_draws
from outcomekpi.profiling.standardization import StandardizedRates, require_direction

__all__ = ["TierMisclassification", "median_cut_misclassification", "misclassify_tiers"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TierMisclassification:
    """Posterior probability of each tier for each doctor, against the tier assigned to him.

    Attributes
    ----------
    assigned : (doctor,), tier 1 (best) .. K
    probability : (doctor, tier), posterior probability that the doctor belongs there
    wrong_share : (sample,), share of doctors in the wrong tier in each draw
    definition : how the true tiers are defined
    provenance : of the fit
    """

    assigned: pd.Series
    probability: pd.DataFrame
    wrong_share: NDArray[np.float64]
    definition: str
    provenance: Provenance | None = None

    def to_frame(self) -> pd.DataFrame:
        """One row per doctor: ``assigned``, ``p_wrong``, and ``p_1 .. p_K`` of each tier."""
        frame = self.probability.rename(columns=lambda tier: f"p_{tier}")
        right = self.probability.to_numpy()[np.arange(len(frame)), self.assigned.to_numpy() - 1]
        frame.insert(0, "p_wrong", 1 - right)
        frame.insert(0, "assigned", self.assigned.to_numpy())
        return frame

    def confusion(self) -> pd.DataFrame:
        """Count the doctors expected by assigned tier (rows) and true tier (columns)."""
        table = self.probability.groupby(self.assigned.to_numpy()).sum()
        return table.reindex(self.probability.columns, fill_value=0.0).rename_axis("assigned")

    def summary(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row: ``mean, lower, upper`` of the share of doctors in the wrong tier."""
        lower, upper = interval(self.wrong_share[None, :], level=level)
        row = {"mean": [self.wrong_share.mean()], "lower": lower, "upper": upper}
        return pd.DataFrame(row, index=["wrong_share"])

    def __repr__(self) -> str:
        return (
            f"TierMisclassification: {self.wrong_share.mean():.0%} of {len(self.assigned)} "
            f"doctors expected in the wrong tier ({self.definition})"
        )

    def _repr_html_(self) -> str:
        return show_html(self, self.confusion(), number=".1f")


def misclassify_tiers(
    rates: StandardizedRates,
    *,
    cuts: tuple[float, ...] | None = None,
    shares: tuple[Probability, ...] | None = None,
    assigned: pd.Series | None = None,
) -> TierMisclassification:
    """Posterior share of doctors who are in the wrong tier.

    Parameters
    ----------
    rates : standardized rates
    cuts : rates that separate tiers, in the unit of the rates; a doctor at a cut belongs to the
        better tier
    shares : share of doctors in each tier, best first, adding up to 1; tiers are then relative
    assigned : tiers in use, 1 (best) .. K, indexed by doctor; None assigns by the posterior mean
        rate (cuts) or the expected rank (shares)

    Raises
    ------
    SpecError
        Not exactly one of cuts and shares, shares that do not add up, doctors without a tier, or
        an unknown direction.

    Notes
    -----
    The true tier of a doctor in a draw follows from his rate (or rank) in that draw. With shares,
    tier k ends at the rounded cumulative share of the doctors.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> cases = ok.datasets.load_synthetic_cases()
    >>> rates = ok.standardize(ok.fit(cases, ok.ModelSpec(), draws=400))
    >>> bool(0 <= ok.misclassify_tiers(rates, shares=(.25, .5, .25)).wrong_share.mean() <= 1)
    True
    """
    check_arguments(misclassify_tiers, locals())
    lower_is_better = require_direction(rates, "misclassify_tiers") == "lower"
    if (cuts is None) == (shares is None):
        raise SpecError("misclassify_tiers needs either cuts or shares.")
    values = flatten_draws(rates.draws)
    if cuts is not None:
        edges = np.sort(np.asarray(cuts, dtype=np.float64))
        definition = "cuts at " + ", ".join(f"{cut:g}" for cut in edges)
        score: NDArray[np.floating] = values
        mean: NDArray[np.floating] = values.mean(axis=1, dtype=np.float64)
        if not lower_is_better:
            edges, score, mean = -edges[::-1], -score, -mean
    else:
        edges = _rank_edges(shares or (), len(rates.cases))
        definition = "shares of " + ", ".join(f"{share:.0%}" for share in shares or ())
        score = np.asarray(rank_draws(values, highest_first=not lower_is_better))
        mean = rank_draws(score.mean(axis=1, keepdims=True), highest_first=False)[:, 0]
    n_tiers = edges.size + 1
    true = np.searchsorted(edges, score.ravel(), side="left").reshape(score.shape)
    own = np.searchsorted(edges, mean, side="left")
    if assigned is not None:
        own = _given_tiers(assigned, rates.cases.index, n_tiers) - 1
    probability = np.stack([(true == tier).mean(axis=1) for tier in range(n_tiers)], axis=1)
    index = rates.cases.index
    tiers = pd.RangeIndex(1, n_tiers + 1, name="tier")
    return TierMisclassification(
        assigned=pd.Series(own + 1, index=index, name="assigned"),
        probability=pd.DataFrame(probability, index=index, columns=tiers),
        wrong_share=(true != own[:, None]).mean(axis=0),
        definition=definition,
        provenance=rates.provenance,
    )


def _rank_edges(shares: tuple[float, ...], n_doctors: int) -> NDArray[np.float64]:
    if len(shares) < 2 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise SpecError(
            "shares must be two or more positive shares that add up to 1, best tier first; "
            f"got {shares!r}."
        )
    # a rank shared by two doctors at an edge goes with the better tier
    return np.round(np.cumsum(shares)[:-1] * n_doctors) + 0.5


def _given_tiers(assigned: pd.Series, index: pd.Index, n_tiers: int) -> NDArray[np.intp]:
    given = assigned.reindex(index)
    missing = index[given.isna()]
    if len(missing):
        raise SpecError(
            f"assigned has no tier for {len(missing)} of {len(index)} doctors, the first "
            f"{missing[0]!r}."
        )
    tiers = given.to_numpy().astype(np.intp)
    if tiers.min() < 1 or tiers.max() > n_tiers:
        raise SpecError(
            f"Tiers must be numbered 1 (best) to {n_tiers}; found {sorted(set(tiers))}."
        )
    return tiers


def median_cut_misclassification(
    reliability: NDArray[np.float64] | float,
) -> NDArray[np.float64]:
    """Share of doctors on the wrong side of the median when results have a given reliability.

    Parameters
    ----------
    reliability : any shape, in [0, 1]

    Notes
    -----
    arccos(sqrt(R)) / pi for normal true values and normal results with correlation sqrt(R), by
    the orthant probability of a bivariate normal (Sheppard 1899).

    Examples
    --------
    >>> from outcomekpi import median_cut_misclassification
    >>> round(float(median_cut_misclassification(0.7)), 3)
    0.185
    """
    return np.asarray(np.arccos(np.sqrt(np.asarray(reliability, dtype=np.float64))) / np.pi)
