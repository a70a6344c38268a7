"""Assess every group of cases under the same resamples of the doctors, and put them together."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, fdtrc

from outcomekpi.calibration.across import DoctorSums, sum_by_doctor
from outcomekpi.calibration.bins import Cells, Predicted, add_up
from outcomekpi.calibration.intervals import cluster_weights, effective_clusters
from outcomekpi.calibration.net_benefit import net_benefit
from outcomekpi.calibration.numbers import (
    FEWEST_EVENTS,
    BatchNumbers,
    clipped_logit,
    measure_resamples,
)
from outcomekpi.calibration.result import FEWEST_CLUSTERS, Calibration, CurveDraws
from outcomekpi.calibration.shift import VALUES_KEPT, DoctorShift, recalibrated_events
from outcomekpi.calibration.statistics import hosmer_lemeshow, spiegelhalter
from outcomekpi.calibration.subgroups import Grouping
from outcomekpi.lineage.origins import Provenance
from outcomekpi.tables.cases import Direction
from outcomekpi.tables.columns import count_of, list_values

__all__ = ["Plan", "assemble"]

Array = NDArray[np.float64]

PATIENT = "patient"
POINTS = 60
HISTOGRAM_BINS = 40
EDGE = 0.005  # the curve is drawn between these quantiles of the predictions


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """What is to be assessed besides the predictions themselves.

    Attributes
    ----------
    prediction, clusters, direction, seed, provenance : as in the result
    is_fitted : whether the model was fitted to these very cases
    doctors : labels
    thresholds : (threshold,) of the decision curve
    loess : whether to draw one
    replicates : of the bootstrap
    """

    prediction: str
    is_fitted: bool
    doctors: pd.Index
    direction: Direction | None
    clusters: str
    thresholds: Array
    loess: bool
    replicates: int
    seed: int
    provenance: Provenance | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Looked:
    """One group of cases, assessed: resample 0 is all doctors as they are."""

    measures: Array
    curve: Array
    grid: Array
    chance: Array
    model: Array
    treat_all: Array
    tests: pd.DataFrame
    risk_groups: pd.DataFrame
    cells: Cells
    numbers: BatchNumbers


def assemble(given: Predicted, groupings: tuple[Grouping, ...], plan: Plan) -> Calibration:
    """Assess all cases and every group of every subgroup."""
    rng = np.random.default_rng(plan.seed)
    weights = np.ones((plan.replicates + 1, given.n_clusters))
    weights[1:] = cluster_weights(given.n_clusters, plan.replicates, rng)
    everybody = np.ones(given.outcome.size, dtype=bool)
    masks = {("all", "all"): everybody} | {
        (grouping.name, label): grouping.code == k
        for grouping in groupings
        for k, label in enumerate(grouping.labels)
    }
    parts = {key: given.part(mask) for key, mask in masks.items()}
    looked = {key: _look(part, weights, plan) for key, part in parts.items()}
    groups = pd.DataFrame([_count(key, part) for key, part in parts.items()])
    n_clusters = np.array([np.unique(part.cluster).size for part in parts.values()])
    benefit, benefit_all = _benefit_curves(list(looked.values()), plan)
    edges = np.linspace(0.0, _top(given.mean_probability), HISTOGRAM_BINS + 1)
    tests = [one.tests.assign(subgroup=k[0], group=k[1]) for k, one in looked.items()]
    tables = [one.risk_groups.assign(subgroup=k[0], group=k[1]) for k, one in looked.items()]
    measures = np.stack([one.measures for one in looked.values()], axis=1)
    alike = [_same_oe(grouping, groups, measures, int(n_clusters[0])) for grouping in groupings]
    columns = ["subgroup", "group", "test", "statistic", "df", "p_value", "p_clustered"]
    return Calibration(
        prediction=plan.prediction,
        groups=groups,
        estimate=measures[0],
        draws=measures[1:],
        chance=np.stack([one.chance[1:] for one in looked.values()], axis=1),
        curves=CurveDraws(
            at=np.stack([expit(one.grid) for one in looked.values()]),
            estimate=np.stack([one.curve[0] for one in looked.values()]),
            draws=np.stack([one.curve[1:] for one in looked.values()], axis=1),
        ),
        loess=_loess(parts, looked) if plan.loess else None,
        benefit=benefit,
        benefit_all=benefit_all,
        tests=pd.concat([*tests, *alike], ignore_index=True)[columns],
        risk_groups=pd.concat(tables, ignore_index=True),
        histogram=np.stack([_histogram(part, edges) for part in parts.values()]),
        histogram_edges=edges,
        shift=_shift(parts, looked, groupings, plan) if len(given.probability) == 1 else None,
        doctor_sums=None if plan.clusters == PATIENT else _sums(given, looked[("all", "all")]),
        clusters=plan.clusters,
        n_clusters=n_clusters,
        effective=np.array([effective_clusters(p.cluster, p.size) for p in parts.values()]),
        seed=plan.seed,
        log=_notes(groups, n_clusters, plan),
        provenance=plan.provenance,
    )


def _look(part: Predicted, weights: Array, plan: Plan) -> _Looked:
    """Assess one group; with several draws, replicate b uses draw b and estimates are means."""
    n_draws = len(part.probability)
    middle = part.mean_probability
    low, high = clipped_logit(np.quantile(middle, [EDGE, 1.0 - EDGE]))
    grid = np.linspace(low, high, POINTS)
    found = []
    for draw in range(n_draws):
        rows = np.concatenate([[0], np.arange(1 + draw, len(weights), n_draws)])
        cells = add_up(part, draw)
        numbers = measure_resamples(cells, weights[rows], grid)
        benefit = net_benefit(part, weights[rows], plan.thresholds, draw=draw)
        found.append((rows, cells, numbers, benefit))

    def gather(values: list[Array]) -> Array:
        whole = np.empty((len(weights), values[0].shape[1]))
        whole[0] = np.mean([one[0] for one in values], axis=0)
        for (rows, *_), one in zip(found, values, strict=True):
            whole[rows[1:]] = one[1:]
        return whole

    tests, tables = zip(*(_test(part, draw, plan) for draw in range(n_draws)), strict=True)
    numeric = ["statistic", "df", "p_value", "p_clustered"]
    test = tests[0].copy()
    test[numeric] = np.mean([one[numeric].to_numpy() for one in tests], axis=0)
    return _Looked(
        measures=gather([numbers.measures for _, _, numbers, _ in found]),
        curve=gather([numbers.curve for _, _, numbers, _ in found]),
        grid=grid,
        chance=gather([numbers.chance for _, _, numbers, _ in found]),
        model=gather([benefit.model for *_, benefit in found]),
        treat_all=gather([benefit.treat_all for *_, benefit in found]),
        tests=test,
        risk_groups=tables[0],
        cells=found[0][1],
        numbers=found[0][2],
    )


def _test(part: Predicted, draw: int, plan: Plan) -> tuple[pd.DataFrame, pd.DataFrame]:
    rate = part.probability[draw]
    z = spiegelhalter(rate, part.outcome, part.size, part.cluster)
    chi = hosmer_lemeshow(rate, part.outcome, part.size, fitted=plan.is_fitted)
    clustered = np.nan if plan.clusters == PATIENT else z.p_clustered
    rows = [
        ("Spiegelhalter z", z.z, np.nan, z.p_value, clustered),
        ("Hosmer-Lemeshow", chi.chi_square, float(chi.df), chi.p_value, np.nan),
    ]
    names = ["test", "statistic", "df", "p_value", "p_clustered"]
    return pd.DataFrame(rows, columns=names), chi.table.reset_index(names="tenth")


def _same_oe(
    grouping: Grouping, groups: pd.DataFrame, measures: Array, n_clusters: int
) -> pd.DataFrame:
    """Wald test that the groups of one subgroup share one O/E, with the covariance over doctors.

    Notes
    -----
    W/(G - 1) against an F distribution with G - 1 and J - G + 1 degrees of freedom times
    (J - 1)/(J - G + 1), Hotelling's approximation, J the doctors (hospitals, patients) whom the
    replicates resample.
    """
    at = np.flatnonzero(groups["subgroup"] == grouping.name)
    with np.errstate(divide="ignore"):
        log_oe = np.log(measures[:, at, 0])
    contrast = log_oe[:, 1:] - log_oe[:, :1]
    df = contrast.shape[1]
    row: dict[str, object] = {
        "subgroup": grouping.name,
        "group": "all",
        "test": "same O/E",
        "statistic": np.nan,
        "df": float(df),
        "p_value": np.nan,
        "p_clustered": np.nan,
    }
    if np.isfinite(contrast).all() and n_clusters > df + 1:
        spread = (n_clusters + 1) / (n_clusters - 1)
        covariance = np.atleast_2d(np.cov(contrast[1:], rowvar=False)) * spread
        wald = float(contrast[0] @ np.linalg.pinv(covariance) @ contrast[0])
        rest = n_clusters - df
        row["statistic"] = wald
        row["p_clustered"] = float(fdtrc(df, rest, wald / df * rest / (n_clusters - 1)))
    return pd.DataFrame([row])


def _count(key: tuple[str, str], part: Predicted) -> dict[str, object]:
    return {
        "subgroup": key[0],
        "group": key[1],
        "cases": float(part.size.sum()),
        "events": float(part.outcome.sum()),
        "expected": float((part.size * part.mean_probability).sum()),
        "doctors": int(np.unique(part.doctor).size),
    }


def _benefit_curves(looked: list[_Looked], plan: Plan) -> tuple[CurveDraws, CurveDraws]:
    at = np.tile(plan.thresholds, (len(looked), 1))
    return tuple(  # type: ignore[return-value]
        CurveDraws(
            at=at,
            estimate=np.stack([one[0] for one in values]),
            draws=np.stack([one[1:] for one in values], axis=1),
        )
        for values in ([one.model for one in looked], [one.treat_all for one in looked])
    )


def _top(probability: Array) -> float:
    return float(np.clip(probability.max(), 1e-6, 1.0))


def _histogram(part: Predicted, edges: Array) -> Array:
    # a part sums its draws in another order than the whole, and may end a last digit higher
    inside: Array = np.minimum(part.mean_probability, edges[-1])
    return np.histogram(inside, edges, weights=part.size)[0].astype(np.float64)


def _loess(
    parts: dict[tuple[str, str], Predicted], looked: dict[tuple[str, str], _Looked]
) -> Array:
    """Loess of the outcome on the predicted probability, span .75, without robustness steps."""
    from statsmodels.nonparametric.smoothers_lowess import lowess

    curves = []
    for key, part in parts.items():
        rate = np.repeat(part.mean_probability, part.size.astype(np.intp))
        single = np.concatenate(
            [
                np.repeat([1.0, 0.0], [int(y), int(n - y)])
                for y, n in zip(part.outcome, part.size, strict=True)
            ]
        )
        at = expit(looked[key].grid)
        curves.append(lowess(single, rate, frac=0.75, it=0, xvals=at))
    return np.stack(curves)


def _shift(
    parts: dict[tuple[str, str], Predicted],
    looked: dict[tuple[str, str], _Looked],
    groupings: tuple[Grouping, ...],
    plan: Plan,
) -> DoctorShift:
    n_doctors = len(plan.doctors)
    kept = min(plan.replicates, max(100, VALUES_KEPT // n_doctors)) + 1

    def recalibrate(key: tuple[str, str]) -> Array:
        one = looked[key]
        return recalibrated_events(
            one.cells, one.numbers.spline, one.numbers.coefficient[:kept], parts[key], n_doctors
        )

    whole = parts[("all", "all")]
    recalibrated = {"curve": recalibrate(("all", "all"))}
    for grouping in groupings:
        keys = [(grouping.name, label) for label in grouping.labels]
        recalibrated[grouping.name] = np.sum([recalibrate(key) for key in keys], axis=0)

    def total(values: Array) -> Array:
        return np.bincount(whole.doctor, values, n_doctors)

    return DoctorShift(
        doctors=plan.doctors,
        cases=total(whole.size),
        observed=total(whole.outcome),
        expected=total(whole.size * whole.probability[0]),
        recalibrated={name: values[0] for name, values in recalibrated.items()},
        draws={name: values[1:].astype(np.float32) for name, values in recalibrated.items()},
        direction=plan.direction,
    )


def _sums(given: Predicted, whole: _Looked) -> DoctorSums | None:
    return sum_by_doctor(given, whole.cells, whole.grid) if len(given.probability) == 1 else None


def _notes(groups: pd.DataFrame, n_clusters: NDArray[np.intp], plan: Plan) -> tuple[str, ...]:
    """Say what intervals cannot hold, and which numbers are missing, and why."""
    notes = []
    if plan.clusters == PATIENT:
        notes.append(
            "All cases are of one doctor or center: clustering by doctor is not possible. "
            "Intervals resample patients; they hold chance among these patients and say nothing "
            "about other doctors or centers."
        )
    names = (groups["subgroup"] + " " + groups["group"]).replace("all all", "all cases")
    rare = np.minimum(groups["events"], groups["cases"] - groups["events"]) < FEWEST_EVENTS
    if rare.any():
        notes.append(
            f"{count_of(int(rare.sum()), 'group')} with fewer than {FEWEST_EVENTS} events or "
            "non-events: no line, curve or distance, and no recalibration "
            f"({list_values(names[rare])})."
        )
    few = n_clusters < FEWEST_CLUSTERS
    if few.any():
        notes.append(
            f"{count_of(int(few.sum()), 'group')} with cases of fewer than {FEWEST_CLUSTERS} "
            f"{plan.clusters}s: no intervals ({list_values(names[few])})."
        )
    return tuple(notes)
