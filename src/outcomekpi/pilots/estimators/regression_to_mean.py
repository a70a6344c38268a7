"""The effect of a program on patients who were selected for an extreme baseline."""

import numpy as np
from numpy.typing import ArrayLike

from outcomekpi.declare.alignment import align
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import SpecError, check_kind
from outcomekpi.declare.fields import Count
from outcomekpi.pilots.estimators.baseline_population import BaselinePopulation
from outcomekpi.pilots.estimators.regression_result import RegressionToMean
from outcomekpi.pilots.estimators.selected_normal import Side
from outcomekpi.pilots.estimators.selection_data import SelectedPatients, read_selected
from outcomekpi.pilots.estimators.selection_methods import (
    Correction,
    by_model,
    by_regression,
    by_second_baseline,
    on_target,
    on_target_twice,
)
from outcomekpi.pilots.ladder.estimates import Estimate

__all__ = ["correct_selection"]


def correct_selection(
    before: ArrayLike | None,
    after: ArrayLike,
    *,
    cutoff: float,
    side: Side,
    population: BaselinePopulation | None = None,
    second_baseline: ArrayLike | None = None,
    target: float | None = None,
    readings: Count = 1,
    clusters: ArrayLike | None = None,
    unit: str = "units of the outcome",
    draws: Count = 4000,
    rng: np.random.Generator,
) -> RegressionToMean:
    """Effect of a program less the change that the selection of its patients makes by itself.

    Parameters
    ----------
    before : (patient,) the reading that selected, or (patient, reading) where their mean did; None
        where only its side of the cutoff is known (and ``target`` is given)
    after : (patient,), follow-up reading; with ``target``, 1 on target and 0 off target
    cutoff, side : patients entered with a baseline "above" or "below" the cutoff
    population : what is known about the unselected population; not needed with a second baseline
    second_baseline : (patient,) or (patient, reading), readings before the program that had no
        part in the selection
    target : bar of the follow-up, where ``after`` says on which side of it the reading was; mostly
        the cutoff itself
    readings : that a one-dimensional ``before`` is the mean of
    clusters : (patient,), doctor or hospital, for an interval that allows for likeness within
    unit : of the readings, for the words
    draws : of the corrected effect
    rng : of everything random

    Raises
    ------
    CasesError
        Arrays that do not fit together, missing values, baselines that the cutoff did not select.
    SpecError
        Outside knowledge is missing that no selected sample can replace, or options contradict.
    EngineError
        What is said about the population contradicts the selected patients.

    Notes
    -----
    Selected patients alone identify the slope of follow-up on baseline and the scatter about it.
    The effect needs the mean of the unselected population as well, and its reliability, or else
    that the effect is the same for all (the slope is the reliability then). What is given decides:

    - a second baseline: follow-up less second baseline, which needs nothing from outside;
    - ``population`` with sd or reliability: the model of normal true values and readings, with the
      selection of the baselines in the likelihood;
    - ``population`` with a mean alone: follow-up on baseline, read off at that mean (Mee and Chua).

    References
    ----------
    Barnett, van der Pols & Dobson (2005), International Journal of Epidemiology 34:215-220. Mee
    & Chua (1991), The American Statistician 45:39-42.

    Examples
    --------
    >>> import numpy as np, outcomekpi as ok
    >>> rng = np.random.default_rng(1)
    >>> before, after = 7.5 + 1.5 * rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], 2000).T
    >>> known, high = ok.BaselinePopulation(mean=7.5, sd=1.5, reliability=0.7), before >= 8
    >>> ok.correct_selection(before[high], after[high], cutoff=8, side="above", population=known,
    ...     unit="% HbA1c", rng=rng).to_frame().round(2)["mean"].to_list()
    [-0.43, -0.45, 0.03]
    """
    check_arguments(correct_selection, locals())
    before, after, second_baseline, clusters = align(
        before=before, after=after, second_baseline=second_baseline, clusters=clusters
    )
    if population is not None:
        check_kind("population", population, BaselinePopulation, "BaselinePopulation(mean=...)")
    if readings < 1:
        raise SpecError(f"readings must be at least 1; got {readings!r}.")
    patients = read_selected(
        before,
        after,
        cutoff=cutoff,
        side=side,
        second_baseline=second_baseline,
        readings=readings,
        clusters=clusters,
        target=target is not None,
    )
    if target is not None and patients.second is not None:
        found = on_target_twice(patients, side=side, target=target, draws=draws, rng=rng)
        return _result(patients, found, population, "target twice", unit="percentage points")
    if target is not None:
        known = _demand_for_target(population)
        found = on_target(
            patients, known, cutoff=cutoff, side=side, target=target, draws=draws, rng=rng
        )
        return _result(patients, found, known, "binary target", unit="percentage points")
    if patients.before is None:
        raise SpecError("before can be left out with target= only.")
    if patients.second is not None:
        found = by_second_baseline(patients, draws=draws, rng=rng)
        return _result(patients, found, population, "second baseline", unit=unit)
    known = _demand(population)
    if known.sd is None and known.reliability is None:
        if np.ptp(patients.before) == 0:
            raise SpecError("All baselines are alike: no slope can be found; give a reliability.")
        found = by_regression(patients, known, draws=draws, rng=rng)
        return _result(patients, found, known, "regression", unit=unit)
    found = by_model(patients, known, cutoff=cutoff, side=side, draws=draws, rng=rng)
    return _result(patients, found, known, "model", unit=unit)


_DEMAND = (
    "The selected patients alone identify the slope of follow-up on baseline and the scatter about "
    "it, not where the population lies that they were selected from: any effect can be traded for "
    "regression to the mean. Give population=BaselinePopulation(mean=..., sd=..., reliability=...) "
    "(or within_sd) from everybody who was screened, BaselinePopulation.from_readings(...), or "
    "second_baseline=, readings before the program that had no part in the selection."
)


def _demand(population: BaselinePopulation | None) -> BaselinePopulation:
    if population is None:
        raise SpecError(_DEMAND)
    return population


def _demand_for_target(population: BaselinePopulation | None) -> BaselinePopulation:
    known = _demand(population)
    if known.sd is None or known.known_reliability() is None:
        raise SpecError(
            "A binary target needs mean, sd and reliability (or within_sd) of the unselected "
            "population; where only its share on target is known, on the scale of a standard "
            "normal: mean=0, sd=1, cutoff=scipy.stats.norm.ppf(share on target)."
        )
    return known


def _result(
    patients: SelectedPatients,
    found: Correction,
    population: BaselinePopulation | None,
    method: str,
    *,
    unit: str,
) -> RegressionToMean:
    return RegressionToMean(
        expected=float(found.expected.mean()),
        expected_draws=None if found.is_known else found.expected,
        expected_after=found.expected_after,
        naive=_naive(patients, method, unit),
        corrected=found.corrected,
        unit=unit,
        method=_METHODS[method],
        assumptions=_assume(patients, population, method),
        checks=found.checks,
    )


_METHODS = {
    "model": "selection in the likelihood",
    "regression": "regression on baseline",
    "second baseline": "second baseline",
    "binary target": "binary target",
    "target twice": "second baseline",
}


def _naive(patients: SelectedPatients, method: str, unit: str) -> Estimate:
    if method in ("binary target", "target twice"):
        change = 100 * patients.after  # nobody was on target at baseline
    else:
        change = patients.after - np.asarray(patients.before)
    scatter = patients.scatter(change)
    return Estimate(
        name="observed change",
        unit=unit,
        value=float(change.mean()),
        se=float(np.sqrt(scatter.covariance[0, 0])),
        degrees_of_freedom=scatter.degrees_of_freedom,
        origin=scatter.origin,
    )


def _assume(
    patients: SelectedPatients, population: BaselinePopulation | None, method: str
) -> tuple[str, ...]:
    stable = "Nothing but the program changed patients' true values between baseline and follow-up."
    if method in ("second baseline", "target twice"):
        return (
            stable,
            "The second baseline had no part in the selection and was taken before the program.",
        )
    known = _demand(population)
    said = [
        stable,
        f"The patients were selected by their baseline alone, from a population with {known!r}"
        .replace("BaselinePopulation: ", ""),
    ]  # fmt: skip
    if known.known_reliability() is None:
        said.append("The program's effect is the same for all, so that the slope is reliability.")
    else:
        said.append("The stated reliability holds over the time from baseline to follow-up.")
    if method == "regression":
        said.append("Follow-up is linear in baseline, down to the mean of the population.")
    else:
        said.append("True values and readings are normal, with the same scatter for everybody.")
    if patients.df_within:
        said.append("The mean of the repeated baseline readings selected, not a single one.")
    return tuple(said)
