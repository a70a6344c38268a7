"""From a panel to the effect on the treated, its interval and its event study."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcomekpi.declare.errors import CasesError, EngineError
from outcomekpi.pilots.data.panel import HUNDRED, PanelColumns, PanelData
from outcomekpi.pilots.designs.did_controls import FEWEST_CLUSTERS
from outcomekpi.pilots.estimators.cluster_robust import WildWeights, wild_bootstrap_interval
from outcomekpi.pilots.estimators.did_adapter import (
    fit_callaway_santanna,
    fit_cells,
    fit_etwfe,
    fit_two_by_two,
)
from outcomekpi.pilots.estimators.did_fits import AverageFit, CellFit, fit_interaction
from outcomekpi.pilots.estimators.event_study import EventStudy, joint_p_value
from outcomekpi.pilots.estimators.reassignment import reassign
from outcomekpi.pilots.ladder.estimates import Estimate
from outcomekpi.tables.columns import count_of

if TYPE_CHECKING:
    from outcomekpi.pilots.designs.did import DifferenceInDifferences

__all__ = [
    "FEW_FOR_SIGNS",
    "CellEffects",
    "DidAnswer",
    "OutcomeEffect",
    "cluster_changes",
    "estimate_effect",
    "fit_cell_effects",
    "relate_to_mean",
    "try_cell_effects",
]

Floats = NDArray[np.float64]
Limits = Callable[[float], tuple[float, float]]
EFFECT = "average effect on the treated"
FEW_FOR_SIGNS = 12
"""With fewer clusters than these, the wild bootstrap draws Webb's six points."""
RATIOS = {"logit": "odds ratio", "poisson": "rate ratio"}
AVERAGED = "average effect over the times since the start"


# Effects of each start and time on the scale of the link, and what is made of them
LINKS = {"logit": "log odds", "poisson": "log rate"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutcomeEffect:
    """Average effect over the times since the start, on the scale of the outcome."""

    value: float
    error: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellEffects:
    """Effects of every start and time, and their averages by time since the start.

    Attributes
    ----------
    cells : of the regression
    weights : (time since, cell), average the starts at each time since the start by their units
    study : those averages
    """

    cells: CellFit
    weights: Floats
    study: EventStudy

    def joint_test(self) -> tuple[float, int, float] | None:
        """Test that all effects before the start are 0, for each start by itself.

        Returns
        -------
        statistic, degrees of freedom, p value; None where there are none, or too few clusters
        """
        before = self.cells.time < self.cells.start
        spread = self.cells.covariance[np.ix_(before, before)]
        count = int(before.sum())
        clusters = self.study.degrees_of_freedom
        if not count or count > clusters or np.linalg.matrix_rank(spread) < count:
            return None
        found = self.cells.coefficients[before]
        statistic = float(found @ np.linalg.solve(spread, found))
        return statistic, count, joint_p_value(statistic, count, clusters)

    def on_outcome_scale(
        self, panel: PanelData, design: "DifferenceInDifferences"
    ) -> OutcomeEffect:
        """Compare each observed mean with the one without the program, and average."""
        cells = self.cells
        means = panel.frame.groupby(["start", "time"])["outcome"].mean()
        observed = means.loc[list(zip(cells.start, cells.time, strict=True))].to_numpy()
        if design.family == "logit":
            without = 1.0 / (1.0 + np.exp(cells.coefficients) * (1.0 - observed) / observed)
            slope = without * (1.0 - without)
        else:
            without = observed * np.exp(-cells.coefficients)
            slope = without
        average = self.study.average() @ self.weights
        factor = HUNDRED if panel.is_share else 1.0
        gradient = average * slope
        return OutcomeEffect(
            value=factor * float(average @ (observed - without)),
            error=factor * float(np.sqrt(gradient @ cells.covariance @ gradient)),
        )


def try_cell_effects(
    panel: PanelData, columns: PanelColumns, design: "DifferenceInDifferences"
) -> tuple[CellEffects | None, str]:
    """Effects of every start and time, or the reason why there are none."""
    if min(panel.treated_clusters, panel.control_clusters) < FEWEST_CLUSTERS:
        return None, "one cluster on a side leaves no standard error"
    try:
        return fit_cell_effects(panel, columns, design), ""
    except EngineError as error:
        return None, str(error)


def fit_cell_effects(
    panel: PanelData, columns: PanelColumns, design: "DifferenceInDifferences"
) -> CellEffects:
    """Fit a coefficient for every start and time, on the scale of the link."""
    gaussian = design.family == "gaussian"
    if not gaussian:
        _check_means(panel, design)
    cells = fit_cells(
        panel.scaled() if gaussian else panel.frame,
        family=design.family,
        covariates=columns.covariates,
        cluster="cluster",
    )
    weights = _time_weights(panel, cells)
    study = EventStudy(
        times=np.unique(cells.time - cells.start).astype(np.intp),
        coefficients=weights @ cells.coefficients,
        covariance=weights @ cells.covariance @ weights.T,
        degrees_of_freedom=float(panel.n_clusters - 1),
        unit=LINKS.get(design.family, panel.word),
    )
    return CellEffects(cells=cells, weights=weights, study=study)


def _check_means(panel: PanelData, design: "DifferenceInDifferences") -> None:
    """Refuse a mean whose logarithm or log odds is infinite."""
    means = panel.frame.groupby(["start", "time"])["outcome"].mean()
    wrong = means[(means <= 0) | ((means >= 1) & (design.family == "logit"))]
    if len(wrong):
        start, time = wrong.index[0]
        who = f"units that start at {panel.times[start - 1]}" if start else "controls"
        raise EngineError(
            f"{count_of(len(wrong), 'mean')} of a start and time have no {LINKS[design.family]}, "
            f"the first of the {who} at {panel.times[time - 1]}: {wrong.iloc[0]:g}. Use "
            "family='gaussian', or longer periods."
        )


def _time_weights(panel: PanelData, cells: CellFit) -> Floats:
    """Weights that average the starts at each time since the start, by their units' weights."""
    units = panel.frame.groupby(["start", "unit"])["weight"].first().groupby("start").sum()
    size = units.reindex(pd.Index(cells.start)).to_numpy(dtype=np.float64)
    since = cells.time - cells.start
    rows = np.array([np.where(since == one, size, 0.0) for one in np.unique(since)])
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class DidAnswer:
    """Everything that facts, tables and threats are made from.

    Attributes
    ----------
    panel, columns, design : what was estimated from
    estimates : the main effect first
    event_study : effects by time since the start, or None, and why there is none
    joint_test : statistic, degrees of freedom and p value of the test that every effect before
        the start is 0, each start by itself, or None
    by_start : DataFrame with ``start, time, mean, se``, or None
    notes : what the libraries warned of
    missing : effects if every missing outcome of the treated after the start had been 0, and 1, or
        None
    other : effect with the other weights, or None
    """

    panel: PanelData
    columns: PanelColumns
    design: "DifferenceInDifferences"
    estimates: tuple[Estimate, ...]
    event_study: EventStudy | None
    no_event_study: str
    joint_test: tuple[float, int, float] | None
    by_start: pd.DataFrame | None
    notes: tuple[str, ...]
    missing: tuple[float, float] | None = None
    other: Estimate | None = None

    @property
    def main(self) -> Estimate:
        """The main effect."""
        return self.estimates[0]


def estimate_effect(
    panel: PanelData,
    columns: PanelColumns,
    design: "DifferenceInDifferences",
    *,
    draws: int,
    rng: np.random.Generator,
) -> DidAnswer:
    """Estimate with the method that was asked for."""
    _check_values(panel, design)
    found: dict[str, object]
    if design.estimator == "2x2":
        found = _two_by_two(panel, columns, design, draws, rng)
    elif design.estimator == "event_study":
        found = _event_study(panel, columns, design)
    else:
        found = _staggered(panel, columns, design)
    return DidAnswer(panel=panel, columns=columns, design=design, **found)  # type: ignore[arg-type]


def _check_values(panel: PanelData, design: "DifferenceInDifferences") -> None:
    low, high = panel.frame["outcome"].min(), panel.frame["outcome"].max()
    if design.family == "logit" and not 0 <= low <= high <= 1:
        raise CasesError(
            f"family='logit' needs shares from 0 to 1; the outcome runs from {low:g} to {high:g}. "
            "Name trials, or pass rows='patients' with outcomes 0 and 1."
        )
    if design.family == "poisson" and low < 0:
        raise CasesError(f"family='poisson' needs outcomes from 0; the smallest is {low:g}.")


def _two_by_two(
    panel: PanelData,
    columns: PanelColumns,
    design: "DifferenceInDifferences",
    draws: int,
    rng: np.random.Generator,
) -> dict[str, object]:
    frame = panel.scaled()
    frame = frame.assign(after=(frame["time"] >= panel.starts[0]).astype(int))
    degrees = float(panel.n_clusters - 1)
    notes: tuple[str, ...] = ()
    if design.inference == "randomization":
        chosen = reassign(*cluster_changes(panel), draws=draws, rng=rng)
        kind = "all" if chosen.is_exact else "a sample of"
        origin = f"randomization, {kind} {chosen.placebo.size:,} choices of treated clusters"
        main = _estimate(
            panel, chosen.effect, limits=chosen.interval, origin=origin, name=_effect(columns)
        )
    else:
        effect, error, notes = fit_two_by_two(
            frame, covariates=columns.covariates, cluster="cluster"
        )
        main = _estimate(
            panel,
            effect,
            se=error,
            degrees=degrees,
            origin=_clustered(panel, columns),
            name=_effect(columns),
        )
        if design.inference == "wild_bootstrap":
            seed = int(rng.integers(2**31))
            fit, weights = fit_interaction(frame, covariates=columns.covariates, cluster="cluster")
            law: WildWeights = "six points" if fit.clusters < FEW_FOR_SIGNS else "signs"

            def limits(level: float) -> tuple[float, float]:
                again = np.random.default_rng(seed)
                return wild_bootstrap_interval(
                    fit, weights, level=level, draws=draws, rng=again, law=law
                )

            origin = f"wild cluster bootstrap, {count_of(panel.n_clusters, 'cluster')}"
            main = _estimate(panel, effect, limits=limits, origin=origin, name=_effect(columns))
    events, reason = try_cell_effects(panel, columns, design)
    return {
        "estimates": (main, *relate_to_mean(panel, main)),
        "event_study": events.study if events else None,
        "no_event_study": reason,
        "joint_test": events.joint_test() if events else None,
        "by_start": None,
        "notes": notes,
    }


def cluster_changes(panel: PanelData) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Mean change of each cluster from before to after the start, its weight, whether treated.

    Returns
    -------
    changes, sizes, treated : (cluster,)
    """
    frame = panel.scaled()
    late = frame["time"] >= panel.starts[0]
    weighted = frame.assign(outcome=frame["outcome"] * frame["weight"])
    sums = weighted.groupby(["cluster", late])[["outcome", "weight"]].sum()
    means = (sums["outcome"] / sums["weight"]).unstack()
    rest = frame.groupby("cluster").agg(treated=("treated", "max"))
    units = frame.groupby(["cluster", "unit"])["weight"].first()
    rest["size"] = units.groupby("cluster").sum()
    share = frame.groupby("cluster")["treated"].mean()
    if ((share > 0) & (share < 1)).any():
        raise CasesError(
            "inference='randomization' chooses whole clusters, but some hold treated and control "
            "units. Name a smaller cluster."
        )
    change = (means[True] - means[False]).to_numpy(dtype=np.float64)
    sizes = rest["size"].to_numpy(dtype=np.float64)
    return change, sizes, rest["treated"].to_numpy() == 1


def _staggered(
    panel: PanelData, columns: PanelColumns, design: "DifferenceInDifferences"
) -> dict[str, object]:
    fit: AverageFit
    degrees = float(panel.n_clusters - 1)
    if design.estimator == "callaway_santanna":
        fit = fit_callaway_santanna(
            panel.scaled(),
            covariates=columns.covariates,
            cluster="cluster",
            control=design.control,
            degrees_of_freedom=degrees,
            unit=panel.word,
        )
        factor = 1.0
    else:
        gaussian = design.family == "gaussian"
        fit = fit_etwfe(
            panel.scaled() if gaussian else panel.frame,
            family=design.family,
            covariates=columns.covariates,
            cluster="cluster",
            control=design.control,
        )
        factor = HUNDRED if panel.is_share and not gaussian else 1.0
    events, reason = try_cell_effects(panel, columns, design)
    study = events.study if events else None
    if design.estimator == "callaway_santanna" and fit.event_study is not None:
        study = fit.event_study
    main = _estimate(
        panel,
        factor * fit.effect,
        se=factor * fit.error,
        degrees=degrees,
        origin=_clustered(panel, columns),
        name=_effect(columns),
    )
    by_start = fit.by_start.assign(
        mean=factor * fit.by_start["mean"], se=factor * fit.by_start["se"]
    )
    return {
        "estimates": (main, *relate_to_mean(panel, main), *_by_time(panel, study)),
        "event_study": study,
        "no_event_study": "" if study else reason,
        "joint_test": events.joint_test() if events else None,
        "by_start": by_start,
        "notes": fit.notes,
    }


def _event_study(
    panel: PanelData, columns: PanelColumns, design: "DifferenceInDifferences"
) -> dict[str, object]:
    events = fit_cell_effects(panel, columns, design)
    study = events.study
    average = study.average()
    value = float(average @ study.coefficients)
    error = float(np.sqrt(average @ study.covariance @ average))
    origin = _clustered(panel, columns)
    degrees = study.degrees_of_freedom
    if design.family == "gaussian":
        name = _effect(columns, AVERAGED)
        main = _estimate(panel, value, se=error, degrees=degrees, origin=origin, name=name)
        others = relate_to_mean(panel, main)
    else:
        found = events.on_outcome_scale(panel, design)
        main = _estimate(
            panel,
            found.value,
            se=found.error,
            degrees=degrees,
            origin=origin,
            name=_effect(columns, AVERAGED),
        )
        ratio = Estimate(
            name=f"{RATIOS[design.family]}, average over the times since the start",
            unit="ratio",
            value=float(np.exp(value)),
            scale="log",
            se=error,
            degrees_of_freedom=degrees,
            origin=origin,
        )
        others = (ratio,)
    return {
        "estimates": (main, *others),
        "event_study": study,
        "no_event_study": "",
        "joint_test": events.joint_test(),
        "by_start": None,
        "notes": events.cells.notes,
    }


def _effect(columns: PanelColumns, name: str = EFFECT) -> str:
    """Name of the effect, with what is weighted alike where patients are known."""
    if not columns.counts_patients:
        return name
    return f"{columns.weights.removesuffix('s')}-weighted {name}"


def _estimate(
    panel: PanelData,
    value: float,
    *,
    se: float | None = None,
    degrees: float = np.inf,
    limits: Limits | None = None,
    origin: str,
    name: str = EFFECT,
) -> Estimate:
    return Estimate(
        name=name,
        unit=panel.word,
        value=value,
        se=se,
        degrees_of_freedom=degrees,
        limits=limits,
        origin=origin,
    )


def relate_to_mean(panel: PanelData, main: Estimate) -> tuple[Estimate, ...]:
    """Observed mean of the treated over the mean that they would have had; none below 0."""
    frame = panel.scaled()
    after = frame[frame["after"] == 1]
    observed = float(np.average(after["outcome"], weights=after["weight"]))
    if observed <= 0 or observed - main.value <= 0 or frame["outcome"].min() < 0:
        return ()

    def limits(level: float) -> tuple[float, float]:
        ends = [observed - end for end in main.interval(level=level)]
        low, high = (observed / end if end > 0 else float("inf") for end in ends)
        return low, high

    return (
        Estimate(
            name="ratio to the mean without the program",
            unit="ratio",
            value=observed / (observed - main.value),
            scale="log",
            limits=limits,
            origin=f"from the {main.name}, observed mean {observed:.4g} as it is",
        ),
    )


def _by_time(panel: PanelData, study: EventStudy | None) -> tuple[Estimate, ...]:
    """Average over the times since the start, each time alike."""
    if study is None or not study.n_after or study.unit != panel.word:
        return ()
    average = study.average()
    return (
        _estimate(
            panel,
            float(average @ study.coefficients),
            se=float(np.sqrt(average @ study.covariance @ average)),
            degrees=study.degrees_of_freedom,
            origin="the same, each time since the start counting alike",
            name=AVERAGED,
        ),
    )


def _clustered(panel: PanelData, columns: PanelColumns) -> str:
    name = columns.cluster or columns.unit
    return f"t, {count_of(panel.n_clusters, 'cluster')} ({name})"
