"""Achievable Benchmark of Care: the pooled rate of the best who treat a tenth of the patients."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from outcomekpi.awards.rules import CycleResults
from outcomekpi.declare.alignment import align
from outcomekpi.declare.checking import check_arguments, check_fields
from outcomekpi.declare.errors import CasesError
from outcomekpi.declare.fields import NotNegative, Probability, Range
from outcomekpi.programs.bars import Floats, as_counts
from outcomekpi.tables.cases import Direction

__all__ = ["AbcBenchmark", "AbcRule", "abc_benchmark"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AbcBenchmark:
    """Pared mean, and who made it.

    Attributes
    ----------
    benchmark : (...,), events per patient among the best
    members : (..., doctor), True for the best
    patients : (...,), patients of the best, as a share of all
    """

    benchmark: Floats
    members: NDArray[np.bool_]
    patients: Floats

    def __repr__(self) -> str:
        if np.ndim(self.benchmark):
            return f"AbcBenchmark: {np.size(self.benchmark)} benchmarks"
        return (
            f"AbcBenchmark: {float(self.benchmark):.4g}, from {int(self.members.sum())} of "
            f"{self.members.size} doctors with {float(self.patients):.1%} of the patients"
        )


def abc_benchmark(
    events: ArrayLike,
    patients: ArrayLike,
    *,
    share: Probability = 0.10,
    added_events: NotNegative = 1.0,
    added_patients: NotNegative = 2.0,
    direction: Direction = "higher",
) -> AbcBenchmark:
    """Level of care that the best doctors, treating a tenth of the patients, have reached.

    Parameters
    ----------
    events : (..., doctor), patients who had what is counted
    patients : (..., doctor), patients
    share : least share of the patients among the best
    added_events : added to the events for ranking
    added_patients : added to the patients for ranking
    direction : "higher" or "lower" is better

    Returns
    -------
    AbcBenchmark, one for each leading index

    Raises
    ------
    CasesError
        Events above patients, negative counts, or no patients at all.

    Notes
    -----
    Doctors are ranked by the adjusted fraction (x + 1)/(d + 2), so that two of two patients do
    not come first, and taken from the best until they treat at least a tenth of all patients;
    the benchmark is Σx/Σd among them, without the adjustment. Doctors tied with the last one
    taken are taken too (our choice: the result does not depend on the order of the rows).

    References
    ----------
    Kiefe, Weissman, Allison et al. (1998), International Journal for Quality in Health Care 10,
    443-447. Weissman, Allison, Kiefe et al. (1999), Journal of Evaluation in Clinical Practice 5,
    269-281, doi:10.1046/j.1365-2753.1999.00203.x.

    Examples
    --------
    >>> from outcomekpi import programs
    >>> programs.abc_benchmark([2, 9, 60, 40], [2, 10, 100, 100])
    AbcBenchmark: 0.6339, from 3 of 4 doctors with 52.8% of the patients
    """
    check_arguments(abc_benchmark, locals())
    events, patients = align(events=events, patients=patients)
    met, seen = np.broadcast_arrays(as_counts("events", events), as_counts("patients", patients))
    total = seen.sum(axis=-1)
    if (met > seen).any() or (total == 0).any():
        raise CasesError(
            f"events must not exceed patients ({int((met > seen).sum())} do), and there must be "
            "patients."
        )
    rank_by = (met + added_events) / (seen + added_patients)
    rank_by = np.where(seen > 0, rank_by if direction == "higher" else -rank_by, -np.inf)
    order = np.argsort(-rank_by, axis=-1, kind="stable")
    reached = np.take_along_axis(seen, order, axis=-1).cumsum(axis=-1)
    # a hair below, so that 3 of 30 patients are a tenth
    last = np.argmax(reached >= share * total[..., None] * (1 - 1e-12), axis=-1)
    best_first = np.take_along_axis(rank_by, order, axis=-1)
    bar = np.take_along_axis(best_first, last[..., None], axis=-1)
    members = rank_by >= bar
    among = np.where(members, seen, 0.0).sum(axis=-1)
    return AbcBenchmark(
        benchmark=(np.where(members, met, 0.0).sum(axis=-1) / among)[()],
        members=members,
        patients=(among / total)[()],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AbcRule:
    """A bonus for reaching the achievable benchmark of the same cycle.

    Attributes
    ----------
    share : least share of the patients among the best
    minimum_cases : with fewer cases there is no bonus (the doctor still counts as a peer)
    direction : "higher" or "lower" is better
    """

    share: Probability = 0.10
    minimum_cases: Annotated[int, Range(low=0)] = 1
    direction: Direction = "higher"
    cycles: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_fields(self)

    def decide(self, results: CycleResults) -> NDArray[np.bool_]:
        """Say who reached the benchmark, (replicate, unit), in the last cycle."""
        events, patients = results.events[..., -1], results.trials[..., -1]
        found = abc_benchmark(events, patients, share=self.share, direction=self.direction)
        expected = np.asarray(found.benchmark)[..., None] * patients
        reached = events >= expected if self.direction == "higher" else events <= expected
        return np.asarray(reached & (patients >= self.minimum_cases))
