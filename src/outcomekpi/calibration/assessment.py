"""Assess predicted probabilities: a fit's, or anybody's, with intervals over doctors."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from outcomekpi.calibration.bins import Predicted
from outcomekpi.calibration.groups import Plan, assemble
from outcomekpi.calibration.measures import LOGIT_FAMILIES
from outcomekpi.calibration.net_benefit import check_thresholds, default_thresholds
from outcomekpi.calibration.predictions import (
    BY_DOCTOR,
    own_probabilities,
    population_probabilities,
)
from outcomekpi.calibration.result import Calibration
from outcomekpi.calibration.subgroups import Bands, Subgroups, read_subgroups
from outcomekpi.declare.alignment import align
from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.declare.fields import Range, Seed
from outcomekpi.posterior.fit import Fit
from outcomekpi.tables.cases import Direction
from outcomekpi.tables.columns import describe_row, read_numbers
from outcomekpi.tables.labels import read_labels

__all__ = ["Clusters", "Prediction", "assess_calibration", "assess_predictions", "read_predictions"]

Array = NDArray[np.float64]
Prediction = Literal["case mix", "case mix and doctor"]
Clusters = Literal["doctor", "hospital"]
FEWEST_REPLICATES = 100


# Read probabilities, outcomes and doctors that come as bare arrays
MOST_CLUSTERS = 20_000
"""Patients of a single center beyond these share a weight at random: they are alike, and a
bootstrap of so many random groups has the variance of one of patients."""


def read_predictions(
    probability: Any, outcome: Any, doctor: Any, trials: Any
) -> tuple[Predicted, pd.Index]:
    """Check bare arrays once: predictions and outcomes by doctor, and the doctors' labels.

    Raises
    ------
    CasesError
        See ``assess_predictions``.
    """
    columns = {"probability": probability, "outcome": outcome}
    columns["doctor"] = np.full(np.shape(probability), "all") if doctor is None else doctor
    if trials is not None:
        columns["trials"] = trials
    series = {name: pd.Series(np.asarray(values), name=name) for name, values in columns.items()}
    lengths = {name: len(values) for name, values in series.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise CasesError(f"Every array must have one value per row of cases; got {found}.")
    if not lengths["probability"]:
        raise CasesError("There are no cases: every array is empty.")
    for name, values in series.items():
        _refuse(values.isna(), name, "have no missing values", "Leave those rows out of all arrays")
    rate = read_numbers(series["probability"], "probability")
    _check_probability(rate)
    events = read_numbers(series["outcome"], "outcome")
    size = np.ones_like(rate) if trials is None else read_numbers(series["trials"], "trials")
    _refuse((size < 1) | (size != np.floor(size)), "trials", "be whole numbers from 1", "Recode it")
    if trials is None:
        wanted, remedy = "hold only 0 and 1", "Recode it, or pass trials for counts of events"
    else:
        wanted, remedy = "be whole numbers from 0 up to the trials", "Correct them"
    wrong = (events < 0) | (events > size) | (events != np.floor(events))
    _refuse(wrong, "outcome", wanted, remedy)
    if not 0 < events.sum() < size.sum():
        kind = "no events" if not events.any() else "nothing but events"
        raise CasesError(f"The outcome has {kind}: there is nothing to compare predictions with.")
    labels = read_labels(series["doctor"], "doctor")
    _refuse(labels.code < 0, "doctor", "name a doctor in every row", "Leave those rows out")
    cluster, n_clusters = labels.code, len(labels.names)
    if n_clusters == 1:
        cluster, n_clusters = _patients(size)
    given = Predicted(
        probability=rate[None, :],
        outcome=events,
        size=size,
        doctor=labels.code,
        cluster=cluster,
        n_clusters=n_clusters,
    )
    return given, pd.Index(labels.names, name="doctor")


def _patients(size: Array) -> tuple[NDArray[np.intp], int]:
    """Return the number of each patient of a single center, and how many numbers there are."""
    _refuse(
        size != 1,
        "trials",
        "be 1 in every row of a single doctor, whose intervals resample patients",
        "Give one row per patient, or name the doctors",
    )
    order: NDArray[np.intp] = np.arange(size.size)
    if size.size <= MOST_CLUSTERS:
        return order, size.size
    return np.random.default_rng(0).permutation(order) % MOST_CLUSTERS, MOST_CLUSTERS


def _check_probability(rate: Array) -> None:
    outside = (rate < 0) | (rate > 1)
    if outside.any():
        hint = "Divide by 100 if they are percent" if rate.max() <= 100 else "Correct them"
        _refuse(outside, "probability", "lie between 0 and 1", hint)
    certain = (rate == 0) | (rate == 1)
    _refuse(
        certain,
        "probability",
        "lie strictly between 0 and 1, since 0 and 1 have no logit",
        "Say how certain the model may be: numpy.clip(probability, 0.0001, 0.9999)",
    )


def _refuse(wrong: Any, name: str, wanted: str, remedy: str) -> None:
    wrong = np.asarray(wrong, dtype=bool)
    if wrong.any():
        where = describe_row(pd.RangeIndex(wrong.size), wrong)
        raise CasesError(f"{name} must {wanted}. {where}. {remedy}.")


def assess_calibration(
    fit: Fit,
    *,
    subgroups: Subgroups = None,
    bands: Bands = 4,
    prediction: Prediction = "case mix",
    clusters: Clusters = "doctor",
    thresholds: Sequence[float] | None = None,
    loess: bool = False,
    replicates: Annotated[int, Range(low=FEWEST_REPLICATES)] = 500,
    seed: Seed = 20261,
) -> Calibration:
    """How well a fit's probabilities agree with the outcomes, overall and in every subgroup.

    Parameters
    ----------
    fit : a fit of a Bernoulli or binomial outcome
    subgroups : columns of the table of cases by name; or a Series, a table, or a mapping from
        names to (case,) values. Numbers of more than 6 kinds are cut into bands: pass codes as
        text (those of doctors, hospitals and periods are known)
    bands : bands of equal size that a subgroup of numbers is cut into; or column -> the edges
        between its bands
    prediction : "case mix", the posterior mean probability under a doctor drawn from the
        population; "case mix and doctor", under the case's own doctor, draw by draw
    clusters : what the intervals resample: doctors, or the hospitals that they belong to
    thresholds : of the decision curve; None takes 49 up to the 99th percentile of the predictions
    loess : whether to draw a loess curve beside the spline
    replicates : of the bootstrap
    seed : of the bootstrap

    Returns
    -------
    Calibration

    Raises
    ------
    SpecError
        Another family, an unknown subgroup or option, no hospitals.

    Notes
    -----
    The cases are those that were fitted: misfit of form shows, optimism does not. Intervals come
    from weights over whole doctors (see ``docs/methods/calibration.md``). With the own doctor,
    every measure is the mean over up to 50 draws and replicate b uses draw b, so that the
    interval holds the posterior's uncertainty as well and is wide rather than narrow.

    References
    ----------
    Van Calster et al. (2016), Journal of Clinical Epidemiology 74,
    doi:10.1016/j.jclinepi.2015.12.005 (mean, weak, moderate, strong calibration).

    Examples
    --------
    >>> import outcomekpi as ok
    >>> fit = ok.fit(ok.datasets.load_synthetic_cases(), ok.ModelSpec(case_mix="age"), draws=400)
    >>> found = ok.assess_calibration(fit, subgroups=["age", "sex"], replicates=100)
    >>> found.groups["subgroup"].unique().tolist()
    ['all', 'age', 'sex']
    """
    check_arguments(assess_calibration, locals())
    model, cases = fit.model, fit.cases
    if model.family not in LOGIT_FAMILIES:
        raise SpecError(
            "assess_calibration is about probabilities, of a Bernoulli or binomial outcome; this "
            f"fit is {model.family!r}. Use check_calibration."
        )
    cluster, n_clusters = cases.doctor_code, len(cases.doctors)
    if clusters == "hospital":
        if cases.hospitals is None or cases.hospital_code is None:
            raise SpecError("clusters='hospital' needs hospitals: name them in Cases.from_frame.")
        cluster, n_clusters = cases.hospital_code[cases.doctor_code], len(cases.hospitals)
    own = prediction == BY_DOCTOR
    given = Predicted(
        probability=own_probabilities(fit) if own else population_probabilities(fit),
        outcome=model.outcome,
        size=np.ones_like(model.outcome) if model.trials is None else model.trials,
        doctor=cases.doctor_code,
        cluster=cluster,
        n_clusters=n_clusters,
    )
    groupings = read_subgroups(
        subgroups,
        frame=cases.frame,
        n_rows=model.outcome.size,
        bands=bands,
        codes=_codes(cases.roles),
    )
    plan = Plan(
        prediction=prediction,
        is_fitted=not own,
        doctors=pd.Index(cases.doctors, name="doctor"),
        direction=cases.direction,
        clusters=clusters,
        thresholds=_thresholds(thresholds, given),
        loess=loess,
        replicates=replicates,
        seed=seed,
        provenance=fit.provenance,
    )
    return assemble(given, groupings, plan)


def assess_predictions(
    probability: ArrayLike,
    *,
    outcome: ArrayLike,
    doctor: ArrayLike | None,
    trials: ArrayLike | None = None,
    subgroups: Subgroups = None,
    bands: Bands = 4,
    direction: Direction | None = None,
    thresholds: Sequence[float] | None = None,
    loess: bool = False,
    replicates: Annotated[int, Range(low=FEWEST_REPLICATES)] = 500,
    seed: Seed = 20261,
) -> Calibration:
    """How well anybody's predicted probabilities agree with the outcomes of doctors' cases.

    Parameters
    ----------
    probability : (case,), predicted probability of the event, between 0 and 1
    outcome : (case,), 0 or 1; with ``trials``, events
    doctor : (case,), label of the doctor, or of whatever the cases are clustered by. None, or the
        same label throughout, for a single center: intervals then resample patients, hold chance
        among them alone, and say nothing about other doctors or centers
    trials : (case,), patients of an aggregated row
    subgroups : a Series, a table, or a mapping from names to (case,) values
    bands : bands of equal size that a subgroup of numbers is cut into; or column -> the edges
        between its bands
    direction : whether a "higher" or a "lower" outcome is better, for the ranks of the doctors
    thresholds : of the decision curve; None takes 49 up to the 99th percentile of the predictions
    loess : whether to draw a loess curve beside the spline
    replicates : of the bootstrap over doctors
    seed : of the bootstrap

    Returns
    -------
    Calibration

    Raises
    ------
    CasesError
        Arrays of different lengths, missing values, probabilities that are none (percent, exactly
        0 or 1), outcomes other than 0 and 1 or above their trials, trials of a single doctor.
    SpecError
        A subgroup or an option that cannot be used.

    Notes
    -----
    The predictions are taken as they come, made before and elsewhere: Hosmer and Lemeshow's test
    has as many degrees of freedom as groups. Otherwise as :func:`assess_calibration`.

    Examples
    --------
    >>> import numpy as np, outcomekpi as ok
    >>> rng = np.random.default_rng(1)
    >>> risk, doctor = rng.uniform(.1, .6, 2000), rng.integers(0, 40, 2000)
    >>> found = ok.assess_predictions(risk, outcome=rng.random(2000) < risk, doctor=doctor)
    >>> found.groups["cases"].tolist()
    [2000.0]
    """
    check_arguments(assess_predictions, locals())
    probability, outcome, doctor, trials, subgroups = align(
        probability=probability, outcome=outcome, doctor=doctor, trials=trials, subgroups=subgroups
    )
    given, doctors = read_predictions(probability, outcome, doctor, trials)
    groupings = read_subgroups(subgroups, frame=None, n_rows=given.outcome.size, bands=bands)
    plan = Plan(
        prediction="given",
        is_fitted=False,
        doctors=doctors,
        direction=direction,
        clusters="doctor" if len(doctors) > 1 else "patient",
        thresholds=_thresholds(thresholds, given),
        loess=loess,
        replicates=replicates,
        seed=seed,
        provenance=None,
    )
    return assemble(given, groupings, plan)


def _codes(roles: Mapping[str, str]) -> set[str]:
    """Return the columns whose numbers are names."""
    return {column for role, column in roles.items() if role in ("doctor", "hospital", "period")}


def _thresholds(thresholds: Sequence[float] | None, given: Predicted) -> Array:
    if thresholds is None:
        return default_thresholds(given.mean_probability)
    return check_thresholds(np.asarray(thresholds, dtype=np.float64))
