"""Ward clusters of scores on a line: where each begins, run by run with one group left out."""

import numpy as np
from numpy.typing import ArrayLike

from outcomekpi.declare.errors import CasesError
from outcomekpi.programs.bars import Floats, Scale, as_scores
from outcomekpi.tables.cases import Direction

__all__ = [
    "cluster_starts",
    "inside_fences",
    "mean_cut_points",
    "outer_fences",
    "run_cut_points",
]


def outer_fences(scores: Floats, *, fences: float = 3.0) -> tuple[float, float]:
    """Limits beyond which a score is an outlier, by the quartiles that SAS computes.

    Parameters
    ----------
    scores : (unit,)
    fences : distance from the quartiles in interquartile ranges

    Returns
    -------
    lower, upper : Q1 − fences × IQR and Q3 + fences × IQR

    Notes
    -----
    SAS definition 5 of quantiles is NumPy's ``averaged_inverted_cdf``.
    """
    first, third = np.quantile(scores, [0.25, 0.75], method="averaged_inverted_cdf")
    reach = fences * (third - first)
    return float(first - reach), float(third + reach)


def cluster_starts(scores: Floats, *, clusters: int) -> Floats:
    """Smallest score of each Ward cluster.

    Parameters
    ----------
    scores : (unit,), ascending
    clusters : number of clusters

    Returns
    -------
    (clusters,), ascending

    Raises
    ------
    CasesError
        Fewer distinct scores than clusters.

    Notes
    -----
    Ward's merges join neighbors only when the scores lie on a line (a merge across a cluster
    always costs more than one of the two merges with it), so that clusters are intervals: their
    sizes in order give their first scores. The dendrogram is cut after its first n − K merges.
    Merges at equal cost are taken in the order of scipy, which SAS need not share.
    """
    from scipy.cluster.hierarchy import linkage

    distinct = 1 + int((np.diff(scores) > 0).sum()) if scores.size else 0
    if distinct < clusters:
        raise CasesError(
            f"{clusters} clusters need at least {clusters} distinct scores; found {distinct} in "
            f"{scores.size} scores. Ask for fewer stars, or give scores with more decimals."
        )
    merges = linkage(scores[:, None], method="ward")
    n = scores.size
    last = n - clusters  # merges from here on are undone
    parts = merges[last:, :2].astype(np.intp).reshape(-1)
    parts = parts[parts < n + last]
    members = parts.copy()
    while (members >= n).any():
        inner = members >= n
        members[inner] = merges[members[inner] - n, 0].astype(np.intp)
    sizes = np.where(parts < n, 1.0, merges[np.maximum(parts - n, 0), 3]).astype(np.intp)
    order = np.argsort(members)
    starts = np.r_[0, np.cumsum(sizes[order])[:-1]]
    return scores[starts]


def inside_fences(
    scores: ArrayLike, fences: float | None, direction: Direction, scale: Scale
) -> tuple[Floats, tuple[float, float], int]:
    """Scores inside the fences, ascending toward the better end; the fences; how many are out."""
    found = as_scores("scores", scores, scale=scale)
    if found.ndim != 1 or found.size < 10 or np.isnan(found).any():
        raise CasesError(
            "scores must be one row of at least 10 scores without missing ones; got shape "
            f"{found.shape} with {int(np.isnan(found).sum())} missing."
        )
    limits = (-np.inf, np.inf) if fences is None else outer_fences(found, fences=fences)
    inside = found[(found >= limits[0]) & (found <= limits[1])]
    ordered = np.sort(inside if direction == "higher" else -inside)
    return ordered, limits, int(found.size - inside.size)


def run_cut_points(ordered: Floats, stars: int, groups: int, rng: np.random.Generator) -> Floats:
    """Cuts of each run, (group, star - 1), ascending."""
    group = rng.permutation(ordered.size) % groups
    return np.stack(
        [cluster_starts(ordered[group != out], clusters=stars)[1:] for out in range(groups)]
    )


def mean_cut_points(run_cuts: Floats) -> Floats:
    """Mean over the runs, (star - 1,), with the same last digit in whatever order they come.

    A cut that every run agrees on is returned as it is: a unit that scores exactly there must not
    lose a star to the rounding of a sum.
    """
    ordered = np.sort(run_cuts, axis=0)
    return np.asarray(ordered[0] + (ordered - ordered[0]).mean(axis=0))
