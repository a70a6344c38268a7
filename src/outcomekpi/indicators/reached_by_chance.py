"""How many patients would reach a goal though their true level did not change at all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from outcomekpi.declare.checking import check_arguments
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.declare.fields import Range
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.bivariate import normal_quadrant
from outcomekpi.draws.nodes import normal_nodes
from outcomekpi.indicators.drop_goals import DropGoal
from outcomekpi.indicators.goal_verdicts import NOT_ASSESSABLE, REACHED
from outcomekpi.indicators.run_goals import RunGoal
from outcomekpi.tables.patient_records import PatientRecords, months_by_patient

__all__ = ["ReachedByChance", "reached_by_chance"]

Array = NDArray[np.float64]
NODES = 16  # Gauss-Hermite nodes per measure


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReachedByChance:
    """Patients who reached a goal, beside the probability that each would have without a change.

    Attributes
    ----------
    goal : that was judged
    verdicts : one row per assessable patient with a baseline, indexed by ``patient``: ``reached``
        (True, False) and ``chance``, probability of reaching it with an unchanged true level,
        given the measured baseline
    """

    goal: DropGoal | RunGoal
    verdicts: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """One row: what was reached and what chance alone would reach.

        Returns
        -------
        DataFrame with ``patients``; ``reached`` of them; ``expected`` number without any true
        change; ``sd`` of that number; ``share``, expected / reached (above 1: fewer reached it
        than chance alone predicts; missing if nobody did).
        """
        chance = self.verdicts["chance"].to_numpy()
        reached = int(self.verdicts["reached"].sum())
        row = {
            "patients": len(chance),
            "reached": reached,
            "expected": chance.sum(),
            "sd": np.sqrt((chance * (1 - chance)).sum()),
            "share": chance.sum() / reached if reached else np.nan,
        }
        return pd.DataFrame(row, index=["all"])

    def __repr__(self) -> str:
        row = self.to_frame().iloc[0]
        return (
            f"ReachedByChance: {row['reached']:.0f} of {row['patients']:.0f} patients reached the "
            f"goal; {row['expected']:.0f} (SD {row['sd']:.0f}) would have without any true change"
        )

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame())


def reached_by_chance(
    goal: DropGoal | RunGoal,
    records: PatientRecords,
    *,
    within_sd: Mapping[str, float],
    correlation: Annotated[float, Range(low=-1, high=1, inside="both")] = 0.0,
) -> ReachedByChance:
    """Count the patients expected to reach a goal if no true level changes after baseline.

    Parameters
    ----------
    goal : a fall from baseline judged by the last reading, or a run of months
    records : patients and what was measured on them
    within_sd : measure -> within-person SD of a reading (of a month's value, for a run)
    correlation : of the two measures of a run, around the patient's true levels

    Raises
    ------
    SpecError
        Another goal, a measure without SD, an SD that leaves no variance between patients, a fall
        judged by any reading or kept.
    CasesError
        Fewer than 10 patients with a baseline.

    Notes
    -----
    True levels ~ N(m, T), estimated from the baseline readings of the eligible patients: m their
    mean, T their covariance minus that within persons. Given his baseline B, a patient's level is
    normal with mean m + T S⁻¹ (B - m) and covariance T - T S⁻¹ T, S = T + W. Fall: the follow-up
    reading is normal with that mean and the two variances added, so that chance is
    Phi((min(bar, B - drop) - mean) / SD), regression to the mean included. Run: months are
    independent given the level; the chance of a run, over the months that were in fact measured,
    by forward recursion, integrated over the level by Gauss-Hermite quadrature with 16 nodes per
    measure. A patient who is already where the goal is counts as reached without change: for a
    run this is mostly no luck but a level that was good before.

    References
    ----------
    Barnett, van der Pols & Dobson (2005), International Journal of Epidemiology 34,
    doi:10.1093/ije/dyh299: the conditional mean given a measured baseline.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> import outcomekpi as ok
    >>> hba1c = np.random.default_rng(1).normal(7.6, 1.2, 400)
    >>> table = pd.DataFrame({"patient": range(400), "month": 0, "hba1c": hba1c})
    >>> table = pd.concat([table, table.assign(month=12)])
    >>> records = ok.PatientRecords(
    ...     patients=table.iloc[:400][["patient"]], measurements=table, months=12)
    >>> goal = ok.DropGoal(measure="hba1c", drop=0.8, below=7)
    >>> ok.reached_by_chance(goal, records, within_sd={"hba1c": 0.4}).to_frame()["expected"].round()
    all    16.0
    Name: expected, dtype: float64
    """
    check_arguments(reached_by_chance, locals())
    judged = goal.judge(records)
    levels = _baseline(goal, records, judged.index, within_sd, correlation)
    chance = (
        _drop_chance(goal, levels)
        if isinstance(goal, DropGoal)
        else _run_chance(goal, records, judged.index, levels)
    )
    table = pd.DataFrame(
        {"reached": (judged["verdict"] == REACHED).to_numpy(), "chance": chance},
        index=judged.index,
    )
    usable = (judged["verdict"] != NOT_ASSESSABLE).to_numpy() & np.isfinite(chance)
    return ReachedByChance(goal=goal, verdicts=table[usable])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Levels:
    """Baseline readings (patient, measure), and the true levels given them.

    ``mean`` (patient, measure) is missing without a baseline; ``covariance`` and ``within`` are
    (measure, measure).
    """

    baseline: Array
    mean: Array
    covariance: Array
    within: Array


def _baseline(
    goal: DropGoal | RunGoal,
    records: PatientRecords,
    patients: pd.Index,
    within_sd: Mapping[str, float],
    correlation: float,
) -> _Levels:
    measures = [goal.measure] if isinstance(goal, DropGoal) else [name for name, _ in goal.bars]
    if len(measures) > 2:
        raise SpecError(
            f"reached_by_chance knows runs of one or two measures; got {len(measures)}."
        )
    sd = _spreads(measures, within_sd)
    if isinstance(goal, DropGoal):
        if goal.judged != "last" or goal.kept > 1 or goal.baseline == "mean":
            raise SpecError(
                "reached_by_chance knows falls from one baseline reading judged by the last "
                "reading: baseline='last' or 'first', judged='last', kept=1."
            )
        before = goal.baseline_of(records, patients)[:, None]
    else:
        month = goal.start
        columns = [
            months_by_patient(records, name, patients, first=month, last=month)[:, 0]
            for name in measures
        ]
        before = np.stack(columns, axis=1)
    known = before[np.isfinite(before).all(axis=1)]
    if len(known) < 10:
        raise CasesError(f"Only {len(known)} patients have a baseline reading; 10 are needed.")
    within = np.outer(sd, sd) * np.where(np.eye(len(sd)) > 0, 1.0, correlation)
    observed = np.atleast_2d(np.cov(known, rowvar=False))
    between = observed - within
    if np.linalg.eigvalsh(between).min() <= 0:
        raise SpecError(
            f"within_sd={dict(within_sd)} leaves no variance between patients: the baseline "
            f"readings have SD {', '.join(f'{s:.3g}' for s in np.sqrt(np.diag(observed)))}."
        )
    pull = between @ np.linalg.inv(observed)
    center = known.mean(axis=0)
    return _Levels(
        baseline=before,
        mean=center + (before - center) @ pull.T,
        covariance=between - pull @ between,
        within=within,
    )


def _spreads(measures: list[str], within_sd: Mapping[str, float]) -> Array:
    missing = [name for name in measures if name not in within_sd]
    if missing:
        raise SpecError(f"within_sd lacks {missing[0]!r}; it has {', '.join(within_sd)}.")
    sd = np.array([within_sd[name] for name in measures], dtype=np.float64)
    if not (np.isfinite(sd) & (sd > 0)).all():
        raise SpecError(f"within_sd must be positive and finite; got {dict(within_sd)}.")
    return sd


def _drop_chance(goal: DropGoal, levels: _Levels) -> Array:
    before = levels.baseline[:, 0]
    fallen = before * (1 - goal.drop) if goal.relative else before - goal.drop
    limit = np.minimum(fallen, np.inf if goal.below is None else goal.below)
    spread = np.sqrt(levels.covariance[0, 0] + levels.within[0, 0])
    return np.asarray(ndtr((limit - levels.mean[:, 0]) / spread))


def _run_chance(
    goal: RunGoal, records: PatientRecords, patients: pd.Index, levels: _Levels
) -> Array:
    measured = np.ones((len(patients), goal.window), dtype=bool)
    for name, _ in goal.bars:
        found = months_by_patient(
            records, name, patients, first=goal.start + 1, last=goal.start + goal.window
        )
        measured &= np.isfinite(found)
    points, weights = _hermite(levels.covariance)
    bars = np.array([bar for _, bar in goal.bars])
    sd = np.sqrt(np.diag(levels.within))
    z = (bars - levels.mean[:, None, :] - points) / sd
    month = ndtr(z[..., 0])
    if len(sd) == 2:
        month = normal_quadrant(z[..., 0], z[..., 1], float(levels.within[0, 1] / sd.prod()))
    return np.asarray(_chance_of_run(goal, month, measured) @ weights)


def _hermite(covariance: Array) -> tuple[Array, Array]:
    """Nodes (node, measure) around a mean of 0, and weights (node,)."""
    points, weights = normal_nodes(NODES)
    n = len(covariance)
    grid = np.stack(np.meshgrid(*[points] * n, indexing="ij"), axis=-1).reshape(-1, n)
    joint = np.prod(np.meshgrid(*[weights] * n, indexing="ij"), axis=0).ravel()
    return grid @ np.linalg.cholesky(covariance).T, joint


def _chance_of_run(goal: RunGoal, month: Array, measured: NDArray[np.bool_]) -> Array:
    """Probability of a run given the chance that a month passes: (patient, node)."""
    run = np.zeros((goal.months + 1, *month.shape))
    run[0] = 1.0
    stays = goal.within == "any"  # once reached, a run within any months is kept
    for t in range(goal.window):
        there = measured[:, t, None]
        absent = {"fails": 0.0, "passes": 1.0, "skipped": np.nan}[goal.missing_month]
        passes = np.where(there, month, absent)
        after = np.empty_like(run)
        after[1:] = run[:-1] * passes
        after[0] = run[: goal.months + (not stays)].sum(axis=0) * (1 - passes)
        after[-1] += run[-1] * (1.0 if stays else passes)
        run = np.where(there, after, run) if goal.missing_month == "skipped" else after
    return np.asarray(run[-1])
