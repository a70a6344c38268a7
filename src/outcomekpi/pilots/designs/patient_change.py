"""The change of an outcome from before to after, its interval, and what was compared with what."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError, FormulaError, SpecError
from outcomekpi.pilots.data.patient_rows import PatientRows
from outcomekpi.pilots.estimators.cluster_resampling import (
    Jackknife,
    draw_clusters,
    jackknife_clusters,
)
from outcomekpi.pilots.estimators.cluster_robust import ClusterFit, fit_clustered
from outcomekpi.pilots.estimators.kitagawa import ChangeSplit, Standard, split_change
from outcomekpi.tables.columns import count_of, list_values
from outcomekpi.tables.labels import Labels

__all__ = [
    "ChangeOptions",
    "Cluster",
    "Inference",
    "MeasuredChange",
    "WhichPatients",
    "cluster_rows",
    "measure_change",
]

Floats = NDArray[np.float64]
Cluster = Literal["hospital", "doctor", "patient"]
Inference = Literal["t", "wild_bootstrap", "cluster_bootstrap"]
WhichPatients = Literal["stayers", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOptions:
    """How a change is measured.

    Attributes
    ----------
    binary : events of patients, else measurements
    patients : "stayers" compares patients with themselves where they are known, "all" takes
        everybody in each period
    cluster : unit whose patients may be alike; None is the outermost column that was named
    standard : case mix that the periods are compared at
    inference : how the interval of the main effect is made
    draws : resamples of a cluster bootstrap
    """

    binary: bool
    patients: WhichPatients
    cluster: Cluster | None
    standard: Standard
    inference: Inference
    draws: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredChange:
    """A change with everything that its estimates, tables and facts are made from.

    Attributes
    ----------
    rows : those with a known outcome
    model_rows : (row,), those that the main effect compares
    cluster : (row,), number of the cluster of each row
    cluster_role : "hospital", "doctor" or "patient"
    cluster_names : (cluster,), labels; empty where each row is its own cluster
    moved : patients who came to another cluster; they are counted with the one before
    options : as asked
    split : mix, within, entry, exit, total
    fit : of the two means, without a case mix, else None
    jackknife : of the measures of :func:`measures_of`, each cluster left out; None where patients
        are independent and neither case mix nor entries ask for it
    resamples : (draw, measure) of a cluster bootstrap, else None
    seed : of the sign patterns of a wild bootstrap
    """

    rows: PatientRows
    model_rows: NDArray[np.bool_]
    cluster: NDArray[np.intp]
    cluster_role: Cluster
    cluster_names: tuple[str, ...]
    moved: int
    options: ChangeOptions
    split: ChangeSplit
    fit: ClusterFit | None
    jackknife: Jackknife | None
    resamples: Floats | None
    seed: int

    @property
    def is_adjusted(self) -> bool:
        """Whether there is a case mix."""
        return len(self.rows.terms) > 1

    @property
    def is_paired(self) -> bool:
        """Whether the main effect compares patients with themselves."""
        return bool(self.rows.stays[self.model_rows].all())

    @property
    def has_entries(self) -> bool:
        """Whether the main effect leaves out patients who entered or left."""
        return not bool(self.model_rows.all())

    @property
    def n_clusters(self) -> int:
        """Clusters."""
        return int(self.cluster.max()) + 1

    @property
    def scale(self) -> float:
        """100 for percentage points, else 1."""
        return 100.0 if self.options.binary else 1.0


def measures_of(split: ChangeSplit, *, binary: bool) -> Floats:
    """(measure,): the parts of a change, then the logarithms of risk ratio and odds ratio."""
    if not binary:
        return split.parts()
    tiny = 1e-12
    before, after = np.clip([split.before, split.after], tiny, 1.0 - tiny)
    ratio = np.log(after / before)
    odds = ratio - np.log((1.0 - after) / (1.0 - before))
    return np.append(100.0 * split.parts(), [ratio, odds])


def measure_change(
    rows: PatientRows, options: ChangeOptions, *, rng: np.random.Generator
) -> MeasuredChange:
    """Measure the change of the rows whose outcome is known.

    Raises
    ------
    CasesError
        Fewer than two clusters, or too few patients in both periods.
    FormulaError
        The case mix of one period does not reach the other.
    """
    rows = rows.take(rows.known)
    stays = rows.stays
    paired = options.patients == "stayers" and bool(stays.any())
    model_rows = stays if paired else np.ones(stays.size, dtype=np.bool_)
    if paired and int(stays.sum()) < 4:
        raise CasesError(
            f"Only {count_of(int(stays.sum()) // 2, 'patient')} has known outcomes before and "
            "after; comparing patients with themselves needs 2. Pass patients='all' to compare "
            "everybody in each period."
        )
    role, names, cluster, moved = cluster_rows(rows, options.cluster)
    _check_overlap(rows, model_rows)

    def split(weights: Floats, start: Floats | None = None) -> ChangeSplit:
        return split_change(
            rows.outcome,
            rows.after,
            rows.matrix,
            model_rows=model_rows,
            weights=weights,
            binary=options.binary,
            standard=options.standard,
            start=start,
        )

    whole = split(np.ones(stays.size))

    def measure(weights: Floats) -> Floats:
        return measures_of(split(weights, whole.coefficients), binary=options.binary)

    adjusted = rows.matrix.shape[1] > 1
    if adjusted and options.inference == "wild_bootstrap":
        raise SpecError(
            "inference='wild_bootstrap' is for differences without a case mix. Leave case_mix "
            "out, or pass inference='t' (jackknife by clusters) or 'cluster_bootstrap'."
        )
    seed = int(rng.integers(2**31))
    jackknife = None
    _check_left_out(rows, model_rows, cluster, names, role)
    if adjusted or names or not model_rows.all():
        jackknife = jackknife_clusters(measure, cluster, rng=rng)
    return MeasuredChange(
        rows=rows,
        model_rows=model_rows,
        cluster=cluster,
        cluster_role=role,
        cluster_names=names,
        moved=moved,
        options=options,
        split=whole,
        fit=None if adjusted else _fit_means(rows, model_rows, cluster),
        jackknife=jackknife,
        resamples=_resample(measure, cluster, rows, options, rng),
        seed=seed,
    )


def _fit_means(rows: PatientRows, use: NDArray[np.bool_], cluster: NDArray[np.intp]) -> ClusterFit:
    sides = np.column_stack([~rows.after, rows.after]).astype(np.float64)
    _, code = np.unique(cluster[use], return_inverse=True)
    if int(code.max()) < 1:
        raise CasesError(
            "Patients with outcomes before and after are in one cluster only: no interval can "
            "carry the differences between clusters. Pass patients='all', or cluster='patient' "
            "for an interval about these patients alone."
        )
    return fit_clustered(sides[use], rows.outcome[use], code)


def _resample(
    measure: Callable[[Floats], Floats],
    cluster: NDArray[np.intp],
    rows: PatientRows,
    options: ChangeOptions,
    rng: np.random.Generator,
) -> Floats | None:
    if options.inference != "cluster_bootstrap":
        return None
    return draw_clusters(measure, cluster, rows.after, draws=options.draws, rng=rng)


def cluster_rows(
    rows: PatientRows, wanted: Cluster | None
) -> tuple[Cluster, tuple[str, ...], NDArray[np.intp], int]:
    """Choose the clusters, and keep the two rows of a patient in one.

    Parameters
    ----------
    rows : of patients
    wanted : unit whose patients may be alike; None is the outermost column that was named

    Returns
    -------
    role, names, cluster, moved : names are empty where each row is its own cluster; moved counts
        the rows of patients who came to another cluster
    """
    role: Cluster = "patient"
    if wanted is None:
        if "hospital" in rows.labels:
            role = "hospital"
        elif "doctor" in rows.labels:
            role = "doctor"
    else:
        role = wanted
    if role not in rows.labels:
        if role != "patient":
            raise SpecError(f"cluster={role!r} needs that column: pass {role}=, its name.")
        return role, (), np.arange(rows.outcome.size), 0
    labels = rows.labels[role]
    if len(labels.names) < 2:
        raise CasesError(_one_cluster(rows, role, labels))
    code, moved = labels.code.copy(), 0
    patient = rows.labels.get("patient")
    if patient is not None and role != "patient":
        first = np.full(len(patient.names), -1, dtype=np.intp)
        first[patient.code[~rows.after]] = code[~rows.after]
        own = first[patient.code]
        other = (own >= 0) & (own != code)
        moved = int(other.sum())
        code = np.where(other, own, code)
    kept, code = np.unique(code, return_inverse=True)
    return role, tuple(labels.names[place] for place in kept), code.astype(np.intp), moved


def _one_cluster(rows: PatientRows, role: Cluster, labels: Labels) -> str:
    said = (
        f"All patients belong to one {role}, {labels.names[0]!r}: no interval can carry the "
        f"differences between {role}s, and a cluster-robust one does not exist. "
    )
    doctors = rows.labels.get("doctor")
    if role == "hospital" and doctors is not None and len(doctors.names) > 1:
        return said + (
            f"What is valid: cluster='doctor', an interval about the {len(doctors.names):,} "
            "doctors of this hospital that says nothing of other hospitals."
        )
    return said + (
        f"What is valid: cluster='patient', an interval about patients of this {role} that says "
        f"nothing of other {role}s; or a group without the program, with ControlledBeforeAfter."
    )


def _check_overlap(rows: PatientRows, model_rows: NDArray[np.bool_]) -> None:
    """Refuse a case mix that one period cannot be fitted with."""
    for name, side in zip(rows.periods, (~rows.after, rows.after), strict=True):
        matrix = rows.matrix[side & model_rows]
        count = matrix.shape[1]
        if matrix.shape[0] <= count:
            raise FormulaError(
                f"The case mix has {count:,} terms with its intercept; in {name} there are "
                f"{count_of(matrix.shape[0], 'patient')} to fit them with. Use fewer terms"
                + (", or pass patients='all'." if not model_rows.all() else ".")
            )
        if count > 1 and np.linalg.matrix_rank(matrix) < count:
            flat = [
                t for t, c in zip(rows.terms[1:], matrix[:, 1:].T, strict=True) if np.ptp(c) == 0
            ]
            which = (
                f"{list_values(flat)} does not vary"
                if flat
                else "some terms determine each other exactly"
            )
            raise FormulaError(
                f"Patients of the two periods cannot be brought to one case mix: in {name}, "
                f"{which}. Leave such terms out, merge categories, or compare only patients who "
                "could be in both periods."
            )


def _check_left_out(
    rows: PatientRows,
    model_rows: NDArray[np.bool_],
    cluster: NDArray[np.intp],
    names: tuple[str, ...],
    role: Cluster,
) -> None:
    """Refuse a cluster without which one period is empty: nothing says how much it matters."""
    for name, side in zip(rows.periods, (~rows.after, rows.after), strict=True):
        held = np.unique(cluster[side & model_rows])
        if held.size == 1:
            who = names[held[0]] if names else str(held[0])
            raise CasesError(
                f"All patients of {name} that are compared belong to one {role}, {who!r}: no "
                f"interval can carry the differences between {role}s. Name another cluster, or "
                "cluster='patient' for an interval about these patients alone."
            )
