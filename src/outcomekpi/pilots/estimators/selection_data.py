"""Baselines and follow-ups of selected patients, checked."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from outcomekpi.declare.errors import CasesError
from outcomekpi.pilots.estimators.selected_normal import Side, sign_of
from outcomekpi.pilots.estimators.selection_density import SelectedMoments

__all__ = ["SampleScatter", "SelectedPatients", "read_selected", "scatter_of"]

Array = NDArray[np.float64]


# Sampling variation of means and slopes of patients, alone or in clusters
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampleScatter:
    """How uncertain the means of several columns are, and of any combination of them.

    Attributes
    ----------
    covariance : (column, column), of the means
    degrees_of_freedom : patients or clusters, less one
    clusters : number of clusters, None where patients are independent
    """

    covariance: Array
    degrees_of_freedom: int
    clusters: int | None

    def variance(self, weights: Array) -> Array:
        """Variance of combinations of the means, weights (..., column) -> (...,)."""
        return np.asarray(np.einsum("...i,ij,...j", weights, self.covariance, weights))

    def draw(self, weights: Array, draws: int, rng: np.random.Generator) -> Array:
        """Draw t noise of combinations of the means; weights (column,) or (draw, column)."""
        spread = np.sqrt(np.maximum(self.variance(weights), 0.0))
        return np.asarray(spread * rng.standard_t(self.degrees_of_freedom, draws))

    @property
    def origin(self) -> str:
        """Where the interval comes from, in words."""
        if self.clusters is not None:
            return f"t, {self.clusters} clusters"
        return f"t, {self.degrees_of_freedom} degrees of freedom"


def scatter_of(columns: Array, clusters: NDArray[np.int64] | None) -> SampleScatter:
    """Estimate the covariance of the means of columns.

    Parameters
    ----------
    columns : (patient, column)
    clusters : (patient,), number of each patient's cluster from 0, or None

    Notes
    -----
    Independent patients: S / n with n - 1 degrees of freedom. G clusters: G / (G - 1) / n² times
    the sum over clusters of the outer products of their sums of deviations, G - 1 degrees.
    """
    n = columns.shape[0]
    centered = columns - columns.mean(axis=0)
    if clusters is None:
        covariance = centered.T @ centered / (n - 1) / n
        return SampleScatter(covariance=covariance, degrees_of_freedom=n - 1, clusters=None)
    count = int(clusters.max()) + 1
    sums = np.zeros((count, columns.shape[1]))
    np.add.at(sums, clusters, centered)
    covariance = count / (count - 1) / n**2 * (sums.T @ sums)
    return SampleScatter(covariance=covariance, degrees_of_freedom=count - 1, clusters=count)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SelectedPatients:
    """Patients whose baseline passed a cutoff.

    Attributes
    ----------
    before : (patient,), mean of the selecting readings; None where only their side is known
    after : (patient,), follow-up: readings, or 0 and 1 for off and on target
    second : (patient,), readings before the program that did not select; None without
    readings : that each ``before`` is the mean of
    ss_within, df_within : of repeated readings about each patient's mean
    clusters : (patient,), number of each patient's cluster, or None
    """

    before: Array | None
    after: Array
    second: Array | None
    readings: int
    ss_within: float
    df_within: int
    clusters: NDArray[np.int64] | None

    def scatter(self, *columns: Array) -> SampleScatter:
        """Estimate the sampling variation of the means of columns."""
        return scatter_of(np.column_stack(columns), self.clusters)

    def moments(self) -> SelectedMoments:
        """Sufficient statistics, with the powers that clusters take from the likelihood."""
        before = np.asarray(self.before)
        x, y = before - before.mean(), self.after - self.after.mean()
        slope = float(x @ y / (x @ x)) if x @ x > 0 else 0.0
        temper_before = temper_slope = 1.0
        if self.clusters is not None:
            temper_before = _tempering(x, self.clusters)
            temper_slope = _tempering(x * (y - slope * x), self.clusters)
        return SelectedMoments(
            size=before.size,
            mean_before=float(before.mean()),
            ss_before=float(x @ x),
            mean_after=float(self.after.mean()),
            ss_after=float(y @ y),
            products=float(x @ y),
            readings=self.readings,
            ss_within=self.ss_within,
            df_within=self.df_within,
            temper_before=temper_before,
            temper_slope=temper_slope,
        )


def _tempering(scores: Array, clusters: NDArray[np.int64]) -> float:
    """Variance of a sum taken as independent, over its variance by clusters; at most 1."""
    independent = float(scores @ scores)
    clustered = float((np.bincount(clusters, weights=scores) ** 2).sum())
    count = int(clusters.max()) + 1
    clustered *= count / (count - 1)
    return min(1.0, independent / clustered) if clustered > 0 else 1.0


def read_selected(
    before: ArrayLike | None,
    after: ArrayLike,
    *,
    cutoff: float,
    side: Side,
    second_baseline: ArrayLike | None,
    readings: int,
    clusters: ArrayLike | None,
    target: bool,
) -> SelectedPatients:
    """Check the arrays of a selected sample.

    Raises
    ------
    CasesError
        Arrays of different lengths, fewer than 3 patients, missing values, baselines that the
        cutoff would not have selected, a single cluster, or a target that is not 0 and 1.
    """
    follow_up = _numbers("after", after, 1)
    n = follow_up.size
    if n < 3:
        raise CasesError(f"A correction needs at least 3 selected patients; there are {n}.")
    if target and not np.isin(follow_up, (0.0, 1.0)).all():
        place = int(np.flatnonzero(~np.isin(follow_up, (0.0, 1.0)))[0])
        raise CasesError(
            "after must hold 1 (on target) and 0 (off target); the first that is neither is "
            f"{follow_up[place]:g} at position {place}."
        )
    baseline, ss_within, df_within = None, 0.0, 0
    if before is not None:
        table = _numbers("before", before, 2)
        _same_length("before", table.shape[0], n)
        if table.ndim == 2:
            readings = table.shape[1]
            baseline = table.mean(axis=1)
            ss_within = float(((table - baseline[:, None]) ** 2).sum())
            df_within = n * (readings - 1)
        else:
            baseline = table
        _check_beyond(baseline, cutoff, side)
    second = None
    if second_baseline is not None:
        table = _numbers("second_baseline", second_baseline, 2)
        _same_length("second_baseline", table.shape[0], n)
        second = table if table.ndim == 1 else table.mean(axis=1)
    return SelectedPatients(
        before=baseline,
        after=follow_up,
        second=second,
        readings=readings,
        ss_within=ss_within,
        df_within=df_within,
        clusters=_number_clusters(clusters, n),
    )


def _numbers(name: str, values: ArrayLike, most: int) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if not 1 <= array.ndim <= most:
        shape = "(patient,)" + (" or (patient, reading)" if most == 2 else "")
        raise CasesError(f"{name} must be {shape}; got shape {array.shape}.")
    missing = ~np.isfinite(array)
    if missing.any():
        raise CasesError(
            f"{name} must not have missing values; {int(missing.sum())} of {array.size} are, the "
            f"first at position {int(np.argwhere(missing)[0][0])}. Leave out the patients without "
            "a follow-up, and say in the report how many they are."
        )
    return array


def _same_length(name: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise CasesError(
            f"{name} must have one row for each patient of after: {wanted}; got {found}."
        )


def _check_beyond(baseline: Array, cutoff: float, side: Side) -> None:
    slack = 1e-9 * max(1.0, abs(cutoff)) if np.isfinite(cutoff) else 0.0
    wrong = sign_of(side) * (baseline - cutoff) < -slack
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise CasesError(
            f"Every baseline must lie {side} the cutoff {cutoff:g} that selected it (or on it); "
            f"{int(wrong.sum())} of {baseline.size} do not, the first, {baseline[place]:g}, at "
            f"position {place}. Check cutoff, side and whether before is the reading that selected."
        )


def _number_clusters(clusters: ArrayLike | None, n: int) -> NDArray[np.int64] | None:
    if clusters is None:
        return None
    labels = np.asarray(clusters)
    _same_length("clusters", labels.shape[0], n)
    known, numbers = np.unique(labels.astype(str), return_inverse=True)
    if known.size < 2:
        raise CasesError(
            "One cluster says nothing about how clusters differ; leave clusters out for an "
            "interval that holds for this cluster alone."
        )
    return np.asarray(numbers, dtype=np.int64)
