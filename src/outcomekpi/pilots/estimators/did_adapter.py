"""The one place where diff-diff and pyfixest are called: plain numbers in, plain numbers out."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import EngineError, OutcomeKPIError, SpecError
from outcomekpi.pilots.estimators.did_fits import AverageFit, CellFit
from outcomekpi.pilots.estimators.event_study import EventStudy

__all__ = [
    "LibraryFamily",
    "fit_callaway_santanna",
    "fit_cells",
    "fit_etwfe",
    "fit_shares",
    "fit_two_by_two",
    "heard",
    "load_library",
    "smoothness_interval",
    "synthetic_weights",
]

Floats = NDArray[np.float64]
LibraryFamily = Literal["gaussian", "logit", "poisson"]


# How diff-diff and pyfixest are imported, and what becomes of their warnings and errors
ADVICE = ("Consider ", "See ")


# Log odds of shares of patients, with intervals that are robust to clusters
def fit_shares(
    data: pd.DataFrame, terms: list[str], cluster: str
) -> tuple[pd.Series, pd.DataFrame]:
    """Fit log odds of shares by quasi-likelihood.

    Parameters
    ----------
    data : ``outcome`` between 0 and 1, ``start``, ``time``, the terms and the cluster
    terms : columns that enter linearly
    cluster : column

    Returns
    -------
    coefficients, covariance : labeled by term; clustered, factor G / (G - 1)
    """
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    dummies = [
        pd.get_dummies(data[name], prefix=name, drop_first=name == "time", dtype=float)
        for name in ("start", "time")
    ]
    matrix = pd.concat([data[terms], *dummies], axis=1)
    fit = GLM(data["outcome"], matrix, family=Binomial()).fit(
        cov_type="cluster",
        cov_kwds={"groups": data[cluster].to_numpy(), "use_correction": False},
    )
    count = data[cluster].nunique()
    covariance = pd.DataFrame(fit.cov_params() * (count / (count - 1)), matrix.columns)
    covariance.columns = matrix.columns
    return fit.params, covariance


def load_library(name: str) -> ModuleType:
    """Import diff-diff or pyfixest, or say how to get it.

    Raises
    ------
    SpecError
        The library is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise SpecError(
            f"Difference in differences needs the library {name.replace('_', '-')}, which is not "
            "installed. Install it with: pip install 'outcomekpi[did]'"
        ) from error


@contextmanager
def heard(notes: list[str]) -> Iterator[None]:
    """Keep what a library warns of as notes, and turn its errors into ours.

    Raises
    ------
    EngineError
        The library could not estimate; quotes its reason.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except OutcomeKPIError:
            raise
        except (ValueError, KeyError, RuntimeError, np.linalg.LinAlgError) as error:
            reason = " ".join(str(error).split())
            raise EngineError(
                f"The effect cannot be estimated from these data: {reason}"
            ) from error
    for one in caught:
        if not issubclass(one.category, DeprecationWarning | FutureWarning):
            # advice names options of the library, which are not ours
            said = " ".join(str(one.message).split()).split(". ")
            text = ". ".join(part for part in said if not part.startswith(ADVICE)).rstrip(".") + "."
            if text not in notes:
                notes.append(text)


def survey_weights(frame: pd.DataFrame, cluster: str) -> dict[str, Any]:
    """Weights of the units for diff-diff; nothing where all are alike.

    Its errors under weights have the factor G / (G - 1) for G clusters.
    """
    if "weight" not in frame or frame["weight"].nunique() <= 1:
        return {}
    design = load_library("diff_diff").SurveyDesign(weights="weight", psu=cluster)
    return {"survey_design": design}


def fit_two_by_two(
    frame: pd.DataFrame, *, covariates: tuple[str, ...], cluster: str
) -> tuple[float, float, tuple[str, ...]]:
    """Two groups, before and after: the interaction and its clustered standard error.

    Parameters
    ----------
    frame : ``outcome``, ``treated`` and ``after`` (0 or 1), the cluster and the covariates
    covariates : columns that enter linearly
    cluster : column
    """
    library, notes = load_library("diff_diff"), list[str]()
    weights = survey_weights(frame, cluster)
    with heard(notes):
        fit = library.DifferenceInDifferences(
            cluster=None if weights else cluster, df_convention="cluster"
        ).fit(
            frame,
            outcome="outcome",
            treatment="treated",
            post="after",
            covariates=list(covariates) or None,
            **weights,
        )
    # without weights the errors have the factor (N - 1) / (N - k) too
    rest = (len(frame) - 1) / max(len(frame) - 4 - len(covariates), 1) if weights else 1.0
    return _finite(fit.att), _finite(fit.se) * float(np.sqrt(rest)), tuple(notes)


def fit_callaway_santanna(
    frame: pd.DataFrame,
    *,
    covariates: tuple[str, ...],
    cluster: str,
    control: str,
    degrees_of_freedom: float,
    unit: str,
) -> AverageFit:
    """Effects of each start by time, from units not (yet) treated, and their averages.

    Parameters
    ----------
    frame : ``outcome``, ``unit``, ``time`` and ``start`` (0 for never) as positions from 1
    covariates : columns, at their values before the start; doubly robust
    cluster : column
    control : "never_treated" or "not_yet_treated"
    degrees_of_freedom : of the event study
    unit : of the outcome, in words
    """
    library, notes = load_library("diff_diff"), list[str]()
    common = {
        "outcome": "outcome",
        "unit": "unit",
        "time": "time",
        "first_treat": "start",
        "covariates": list(covariates) or None,
    }
    weights = survey_weights(frame, cluster)
    count = frame[cluster].nunique()
    # the errors of influence functions, as without weights
    shrink = float(np.sqrt((count - 1) / count)) if weights else 1.0
    with heard(notes):
        # clusters that are the units themselves are what the library does by itself
        wider = None if weights or (frame[cluster] == frame["unit"]).all() else cluster
        fit = library.CallawaySantAnna(control_group=control, cluster=wider).fit(
            frame, **common, **weights
        )
        universal = library.CallawaySantAnna(
            control_group=control, cluster=wider, base_period="universal"
        ).fit(frame, **common, **weights)
        events = universal.aggregate("event_study")
    rows = [
        (g, t, cell["effect"], shrink * cell["se"])
        for (g, t), cell in fit.group_time_effects.items()
    ]
    by_start = pd.DataFrame(rows, columns=["start", "time", "mean", "se"]).astype(
        {"start": int, "time": int}
    )
    return AverageFit(
        effect=_finite(fit.overall_att),
        error=shrink * _finite(fit.overall_se),
        by_start=by_start,
        event_study=_read_events(events, degrees_of_freedom, unit, shrink=shrink),
        notes=tuple(notes),
    )


def _read_events(
    events: Any, degrees_of_freedom: float, unit: str, *, shrink: float
) -> EventStudy | None:
    """Read the container of an event study; None where it has no joint covariance."""
    if events.vcov is None or events.vcov_index is None:
        return None
    # a change that is the same for every unit has no error, and is a change all the same
    kept = ~np.asarray(events.is_reference) & np.isfinite(events.se)
    times = np.asarray(events.event_time)[kept].astype(np.intp)
    where = {int(label): place for place, label in enumerate(events.vcov_index)}
    order = [where[int(time)] for time in times]
    return EventStudy(
        times=times,
        coefficients=np.asarray(events.att, dtype=np.float64)[kept],
        covariance=shrink**2 * np.asarray(events.vcov, dtype=np.float64)[np.ix_(order, order)],
        degrees_of_freedom=degrees_of_freedom,
        unit=unit,
    )


def fit_etwfe(
    frame: pd.DataFrame,
    *,
    family: LibraryFamily,
    covariates: tuple[str, ...],
    cluster: str,
    control: str,
) -> AverageFit:
    """Estimate effects of each start and time by extended two-way fixed effects.

    Parameters
    ----------
    frame : as in :func:`fit_callaway_santanna`
    family : "gaussian", "logit" or "poisson"; parallel trends hold on the scale of its link
    covariates, cluster, control : as there; covariates enter linearly
    """
    library, notes = load_library("diff_diff"), list[str]()
    steady = [c for c in covariates if frame.groupby("unit")[c].nunique().le(1).all()]
    varying = [c for c in covariates if c not in steady]
    weights = survey_weights(frame, cluster)
    method: dict[str, str] = {"method": family}
    if family == "gaussian":
        method = {"method": "ols", "df_convention": "cluster"}

    def run(data: pd.DataFrame, **survey: Any) -> Any:
        options = {"control_group": control, "cluster": None if survey else cluster}
        return library.ETWFE(**options, **method).fit(
            data,
            outcome="outcome",
            unit="unit",
            time="time",
            first_treat="start",
            exovar=steady or None,
            xtvar=varying or None,
            **survey,
        )

    factor = 1.0
    with heard(notes):
        fit = run(frame, **weights)
        if weights:
            # the factor for the number of coefficients, which errors under weights do not have
            alike = frame.assign(weight=1.0)
            factor = _finite(run(alike).se) / _finite(run(alike, **weights).se)
    rows = [
        (g, t, cell["att"], factor * cell["se"]) for (g, t), cell in fit.group_time_effects.items()
    ]
    return AverageFit(
        effect=_finite(fit.att),
        error=factor * _finite(fit.se),
        by_start=pd.DataFrame(rows, columns=["start", "time", "mean", "se"]).astype(
            {"start": int, "time": int}
        ),
        event_study=None,
        notes=tuple(notes),
    )


def fit_cells(
    frame: pd.DataFrame, *, family: LibraryFamily, covariates: tuple[str, ...], cluster: str
) -> CellFit:
    """Regression with a coefficient for every start and time but the last one before the start.

    Parameters
    ----------
    frame : as in :func:`fit_callaway_santanna`; never-treated units are the controls
    family : "gaussian" (unit and time effects), "logit" or "poisson" (start and time effects)
    covariates : columns that enter linearly
    cluster : column
    """
    library, notes = load_library("pyfixest"), list[str]()
    data = frame.copy()
    names = {}
    pairs = data.loc[data["start"] > 0, ["start", "time"]].drop_duplicates().to_numpy()
    for start, time in sorted(map(tuple, pairs)):
        if time != start - 1:
            name = f"cell_{start}_{time}"
            names[name] = (start, time)
            data[name] = ((data["start"] == start) & (data["time"] == time)).astype(float)
    terms = " + ".join([*names, *covariates])
    fixed = "unit + time" if family == "gaussian" else "start + time"
    formula = f"outcome ~ {terms} | {fixed}"
    with heard(notes):
        options = {
            "data": data,
            "vcov": {"CRV1": cluster},
            "ssc": library.ssc(k_adj=False, G_adj=True),
        }
        if "weight" in data and data["weight"].nunique() > 1:
            options |= {"weights": "weight"}
        if family == "logit":
            found, covariance = fit_shares(data, [*names, *covariates], cluster)
        else:
            run = library.feols if family == "gaussian" else library.fepois
            fit = run(formula, **options)
            found = fit.coef()
            covariance = pd.DataFrame(fit._vcov, index=found.index, columns=found.index)
    lost = [name for name in names if name not in found.index]
    if lost:
        raise EngineError(
            f"{len(lost):,} of {len(names):,} effects by start and time cannot be told apart from "
            f"the effects of units and times, the first start {names[lost[0]][0]}, time "
            f"{names[lost[0]][1]} (positions). Use estimator='callaway_santanna'."
        )
    kept = list(names)
    return CellFit(
        start=np.array([names[name][0] for name in kept], dtype=np.intp),
        time=np.array([names[name][1] for name in kept], dtype=np.intp),
        coefficients=found.loc[kept].to_numpy(dtype=np.float64),
        covariance=covariance.loc[kept, kept].to_numpy(dtype=np.float64),
        notes=tuple(notes),
    )


def smoothness_interval(
    study: EventStudy, *, target: Floats, magnitude: float, level: float
) -> tuple[float, float]:
    """Shortest fixed-length interval while the slope of the trends bends by at most a magnitude."""
    library, notes = load_library("diff_diff"), list[str]()
    results = import_module("diff_diff.results_base")
    times = np.concatenate([study.times, [-1]])
    order = np.argsort(times)
    reference = np.concatenate([np.zeros(study.times.size, dtype=bool), [True]])[order]
    error = np.concatenate([np.sqrt(np.diag(study.covariance)), [np.nan]])[order]
    empty = np.full(times.size, np.nan)
    with heard(notes):
        container = results.EventStudyResults(
            event_time=times[order],
            att=np.concatenate([study.coefficients, [0.0]])[order],
            se=error,
            t_stat=empty,
            p_value=empty,
            conf_int_lower=empty,
            conf_int_upper=empty,
            is_reference=reference,
            n=np.ones(times.size),
            reference_period=-1,
            vcov=study.covariance,
            vcov_index=study.times,
            source="CallawaySantAnnaResults",
            base_period="universal",
            reference_event_times=(-1,),
        )
        honest = library.HonestDiD(
            method="smoothness", M=magnitude, alpha=1.0 - level, l_vec=np.asarray(target)
        )
        found = honest.fit(container)
    return float(found.ci_lb), float(found.ci_ub)


def synthetic_weights(
    before: Floats, after: Floats, treated: Floats, *, method: str, n_treated: int
) -> tuple[Floats, Floats]:
    """Weights of the controls and of the times before the start.

    Parameters
    ----------
    before, after : (time, control), outcomes of the controls
    treated : (time,), mean outcome of the treated before the start
    method : "sdid", "sc" or "did"
    n_treated : treated units

    Returns
    -------
    units, times : (control,) and (time,), each adding up to 1; the times of "sc" are all 0
    """
    utils = import_module("diff_diff.utils") if load_library("diff_diff") else None
    count, controls = before.shape
    if method == "did" or utils is None:
        return np.full(controls, 1.0 / controls), np.full(count, 1.0 / count)
    noise = float(np.diff(before, axis=0).std(ddof=1)) if count > 2 else 0.0
    stop = 1e-5 * noise
    with heard(list[str]()):
        if method == "sc":
            units = utils.compute_sdid_unit_weights(
                before, treated, 1e-6 * noise, intercept=False, min_decrease=stop
            )
            return np.asarray(units), np.zeros(count)
        size = (n_treated * after.shape[0]) ** 0.25 * noise
        units = utils.compute_sdid_unit_weights(before, treated, size, min_decrease=stop)
        times = utils.compute_time_weights(before, after, 1e-6 * noise, min_decrease=stop)
    return np.asarray(units), np.asarray(times)


def _finite(value: object) -> float:
    number = float(value)  # type: ignore[arg-type]
    if not np.isfinite(number):
        raise EngineError(
            "The effect or its standard error cannot be computed from these data: too few units "
            "before and after, or a covariate that tells treated and controls apart."
        )
    return number
