"""Difference in differences of patients of two groups, with patients (or doctors) as the units."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from outcomekpi.declare.errors import FormulaError
from outcomekpi.pilots.designs.group_rows import GroupRows, cluster_groups, keep_stayers
from outcomekpi.pilots.designs.patient_change import Cluster, WhichPatients
from outcomekpi.pilots.estimators.cluster_resampling import Jackknife, jackknife_clusters
from outcomekpi.pilots.estimators.cluster_robust import ClusterFit, fit_clustered
from outcomekpi.pilots.estimators.kitagawa import fit_outcome_model
from outcomekpi.tables.columns import list_values

__all__ = ["MEASURES", "GroupEffect", "GroupOptions", "measure_groups"]

Floats = NDArray[np.float64]
MEASURES = ("effect", "ratio", "odds", "treated", "controls")
"""Of a logistic fit: points, log risk ratio, log odds ratio, and the change of each group."""
TINY = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOptions:
    """How two groups are compared.

    Attributes
    ----------
    binary : events of patients, else measurements
    patients : "stayers" compares patients with themselves where they are known
    cluster : "doctor", "patient", or None for the outermost that was named
    """

    binary: bool
    patients: WhichPatients
    cluster: Cluster | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupEffect:
    """A difference in differences with everything that its estimates and tables are made from.

    Attributes
    ----------
    groups : rows that are compared, all with a known outcome
    everybody : rows with a known outcome, also those of patients in one period alone
    cluster_role, cluster_names : names are empty where each row is its own cluster
    n_clusters : clusters
    options : as asked
    means : (cell,), outcome at the case mix of the treated after the start, in order of ``CELLS``
    fit : least squares on group, period, both, case mix (centered there); None of a logistic fit
    values : (measure,), in order of ``MEASURES``; empty where ``fit`` speaks
    jackknife : of these measures, each cluster left out; None where ``fit`` speaks
    """

    groups: GroupRows
    everybody: GroupRows
    cluster_role: Cluster
    cluster_names: tuple[str, ...]
    n_clusters: int
    options: GroupOptions
    means: Floats
    fit: ClusterFit | None
    values: Floats
    jackknife: Jackknife | None

    @property
    def is_adjusted(self) -> bool:
        """Whether there is a case mix."""
        return len(self.groups.rows.terms) > 1

    @property
    def is_paired(self) -> bool:
        """Whether patients are compared with themselves."""
        return bool(self.groups.rows.stays.all())

    @property
    def scale(self) -> float:
        """100 for percentage points, else 1."""
        return 100.0 if self.options.binary else 1.0

    @property
    def counterfactual(self) -> float:
        """Outcome of the treated after the start, had they changed as the controls did."""
        return float(self.means[2] + self.means[1] - self.means[0])

    @property
    def events(self) -> Floats:
        """(cell,), sum of the outcomes that are compared."""
        return np.bincount(self.groups.cell, weights=self.groups.rows.outcome, minlength=4)


def measure_groups(
    groups: GroupRows, options: GroupOptions, *, rng: np.random.Generator
) -> GroupEffect:
    """Measure by how much the treated changed more than the controls.

    Parameters
    ----------
    groups : all rows; those without an outcome are left out
    options : how they are compared
    rng : puts more than 200 clusters of a logistic fit into groups

    Notes
    -----
    Least squares of y on 1, g, t, g t and the case mix; the effect is the coefficient of g t, its
    covariance CR2 by cluster (HC2 where each row is its own). Events with a case mix: the same
    predictor in a logistic regression, m_gt = mean over the treated after the start of its chances
    with g and t set, effect = m_11 - m_10 - m_01 + m_00, by the jackknife over clusters.

    Raises
    ------
    CasesError
        One cluster holds a group, or too few patients are in both periods.
    FormulaError
        The case mix cannot be told from group and period.
    """
    everybody = groups.take(groups.rows.known)
    kept = keep_stayers(everybody, options.patients)
    role, names, cluster = cluster_groups(kept, options.cluster)
    matrix = _predictor(kept)
    fit, jackknife, values = None, None, np.zeros(0)
    if options.binary and matrix.shape[1] > 4:
        whole = _fit_logistic(matrix, kept, np.ones(len(matrix)), None)
        values = _measure(whole[1], whole[0])
        means = whole[1]

        def measure(weights: Floats) -> Floats:
            beta, cells = _fit_logistic(matrix, kept, weights, whole[0])
            return _measure(cells, beta)

        jackknife = jackknife_clusters(measure, cluster, rng=rng)
    else:
        fit = fit_clustered(matrix, kept.rows.outcome, cluster)
        means = SETTINGS @ fit.coefficients[:4]
    return GroupEffect(
        groups=kept,
        everybody=everybody,
        cluster_role=role,
        cluster_names=names,
        n_clusters=int(cluster.max()) + 1,
        options=options,
        means=means,
        fit=fit,
        values=values,
        jackknife=jackknife,
    )


SETTINGS = np.array([[1.0, 0, 0, 0], [1, 0, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]])
"""(cell, term): 1, g, t, g t of each cell, in order of ``CELLS``."""


def _predictor(kept: GroupRows) -> Floats:
    """(row, term): 1, g, t, g t, and the case mix less its mean in the treated after the start."""
    base = SETTINGS[kept.cell]
    mix = kept.rows.matrix[:, 1:]
    mix = mix - mix[kept.cell == 3].mean(axis=0)
    matrix = np.column_stack([base, mix])
    if len(matrix) <= matrix.shape[1]:
        raise FormulaError(
            f"The case mix has {mix.shape[1]:,} terms; {len(matrix):,} rows are too few to fit "
            "them beside group and period. Use fewer terms."
        )
    if mix.shape[1] and np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        terms = kept.rows.terms[1:]
        lost = [
            term
            for place, term in enumerate(terms)
            if np.linalg.matrix_rank(np.column_stack([base, mix[:, place]])) < 5
        ]
        which = f"{list_values(lost)} says" if lost else "some terms together say"
        raise FormulaError(
            f"The case mix cannot be told from group and period: {which} the same as these do, or "
            "as each other. Leave such terms out, or merge categories."
        )
    return matrix


def _fit_logistic(
    matrix: Floats, kept: GroupRows, weights: Floats, start: Floats | None
) -> tuple[Floats, Floats]:
    """Coefficients, and the mean chance of each cell at the case mix of the treated after."""
    beta = fit_outcome_model(matrix, kept.rows.outcome, weights, binary=True, start=start)
    use = kept.cell == 3
    own = matrix[use, 4:] @ beta[4:]
    chances = expit((SETTINGS @ beta[:4])[:, None] + own)
    return beta, np.asarray(chances @ weights[use] / weights[use].sum())


def _measure(means: Floats, beta: Floats) -> Floats:
    """(measure,), of a logistic fit."""
    treated, controls = means[3] - means[2], means[1] - means[0]
    expected = max(means[3] - (treated - controls), TINY)
    ratio = np.log(max(means[3], TINY) / expected)
    return np.array([100 * (treated - controls), ratio, beta[3], 100 * treated, 100 * controls])
