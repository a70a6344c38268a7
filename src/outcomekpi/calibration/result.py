"""The result of a calibration: numbers, curves, net benefit and doctors, with intervals."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from outcomekpi.calibration.across import DoctorSums, across_frame, compare_clusters
from outcomekpi.calibration.intervals import (
    clustered_interval,
    distance_interval,
    reach_of,
)
from outcomekpi.calibration.numbers import DISTANCES, IDEAL, MEASURES, SCALES
from outcomekpi.calibration.shift import DoctorShift, shift_frame
from outcomekpi.declare.errors import SpecError, did_you_mean
from outcomekpi.declare.showing import show_html
from outcomekpi.draws.intervals import DEFAULT_LEVEL, check_level
from outcomekpi.lineage.origins import Provenance
from outcomekpi.tables.columns import count_of

__all__ = ["Calibration", "CurveDraws"]

Array = NDArray[np.float64]

FEWEST_CLUSTERS = 5
"""With fewer doctors their differences say nothing about other doctors: no interval."""
OWN = (
    "Predictions by case mix and doctor hold what is the doctor's own, so that {} says nothing "
    "about him. Assess prediction='case mix'."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CurveDraws:
    """A curve of each group of cases, and its replicates.

    Attributes
    ----------
    at : (group, point), predicted probabilities or thresholds
    estimate : (group, point), of all doctors
    draws : (replicate, group, point)
    """

    at: Array
    estimate: Array
    draws: NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """How well predicted probabilities agree with outcomes, overall and in every subgroup.

    Attributes
    ----------
    prediction : "case mix", "case mix and doctor", or "given" for somebody's probabilities
    groups : one row per group of cases, the first one all of them: ``subgroup`` (column, or
        "all"), ``group``, ``cases`` (patients), ``events``, ``expected``, ``doctors``
    estimate : (group, measure), measures in the order of ``to_frame``
    draws : (replicate, group, measure), under the weights of the bootstrap over doctors
    chance : (replicate, group, 4), what ICI, E50, E90 and Emax would be through sampling alone
    curves : logit of the observed probability against the predicted one
    loess : (group, point), observed probability by loess at ``curves.at``, or None
    benefit, benefit_all : net benefit per patient against the threshold, of the model and of
        treating all
    tests : one row per group and test; see ``tests_frame``
    risk_groups : one row per tenth of predicted risk of each group of cases
    histogram, histogram_edges : (group, bin), patients by predicted probability
    shift : expected events of each doctor after recalibration; None for "case mix and doctor"
    doctor_sums : cases added up by doctor and predicted risk; None for "case mix and doctor", and
        for one doctor
    clusters : "doctor" or "hospital", what the replicates resample; "patient" where all cases are
        of one doctor, so that clustering is not possible
    n_clusters : (group,), doctors (hospitals) who have cases in it
    effective : (group,), how many of equal caseload would say as much
    seed : of the replicates
    log : what was left out, one sentence each
    provenance : of the fit, or None
    """

    prediction: str
    groups: pd.DataFrame
    estimate: Array
    draws: Array
    chance: Array
    curves: CurveDraws
    loess: Array | None
    benefit: CurveDraws
    benefit_all: CurveDraws
    tests: pd.DataFrame
    risk_groups: pd.DataFrame
    histogram: Array
    histogram_edges: Array
    shift: DoctorShift | None
    doctor_sums: DoctorSums | None
    clusters: str
    n_clusters: NDArray[np.intp]
    effective: Array
    seed: int
    log: tuple[str, ...]
    provenance: Provenance | None

    def to_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per group of cases and measure.

        Returns
        -------
        DataFrame with columns ``subgroup, group, measure, mean, lower, upper, ideal, chance``:
        the measure, its interval over doctors, its value under perfect calibration, and for the
        distances what sampling alone would show. ``oe`` observed over expected; ``in_the_large``
        intercept with slope 1; ``intercept, slope`` of the calibration line; ``ici, e50, e90,
        emax`` mean, median, 90th percentile and maximum distance of the curve from the diagonal;
        ``brier``, ``scaled_brier``; ``c_statistic``. Missing where cases or doctors are too few
        """
        check_level(level)
        frames = []
        for at, row in enumerate(self.groups[["subgroup", "group"]].itertuples(index=False)):
            lower, upper = self._limits(at, level)
            chance = dict(zip(DISTANCES, self.chance[:, at].mean(axis=0), strict=True))
            frames.append(
                pd.DataFrame(
                    {
                        "subgroup": row[0],
                        "group": row[1],
                        "measure": MEASURES,
                        "mean": self.estimate[at],
                        "lower": lower,
                        "upper": upper,
                        "ideal": [IDEAL.get(name, np.nan) for name in MEASURES],
                        "chance": [chance.get(name, np.nan) for name in MEASURES],
                    }
                )
            )
        return self._labeled(pd.concat(frames, ignore_index=True), level)

    def curve_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per group of cases and point of its calibration curve.

        Returns
        -------
        DataFrame with columns ``subgroup, group, predicted, mean, lower, upper``: the predicted
        probability, the observed one by the curve, and its pointwise interval; ``loess`` where it
        was asked for
        """
        half = self._reach(self.curves.draws, level)
        frame = self._points(self.curves, "predicted")
        middle = self.curves.estimate
        for name, values in (("mean", middle), ("lower", middle - half), ("upper", middle + half)):
            frame[name] = expit(values).ravel()
        if self.loess is not None:
            frame["loess"] = self.loess.ravel()
        return self._labeled(frame, level)

    def decision_frame(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per group of cases and threshold: net benefit per patient.

        Returns
        -------
        DataFrame with columns ``subgroup, group, threshold``; ``mean, lower, upper`` of acting on
        the model; ``treat_all, treat_all_lower, treat_all_upper``; ``treat_none`` (0); ``gain,
        gain_lower, gain_upper``, the model's over the better of treating all and treating none
        """
        frame = self._points(self.benefit, "threshold")
        model, everybody = self.benefit, self.benefit_all
        gain = model.estimate - np.maximum(everybody.estimate, 0.0)
        gains = model.draws - np.maximum(everybody.draws, 0.0)
        for name, prefix, estimate, draws in (
            ("mean", "", model.estimate, model.draws),
            ("treat_all", "treat_all_", everybody.estimate, everybody.draws),
            ("gain", "gain_", gain, gains),
        ):
            half = self._reach(draws, level)
            frame[name] = estimate.ravel()
            frame[f"{prefix}lower"] = (estimate - half).ravel()
            frame[f"{prefix}upper"] = (estimate + half).ravel()
            if name == "treat_all":
                frame["treat_none"] = 0.0
        return self._labeled(frame, level)

    def tests_frame(self) -> pd.DataFrame:
        """One row per group of cases and test.

        Returns
        -------
        DataFrame with columns ``subgroup, group, test, statistic, df, p_value, p_clustered``.
        Spiegelhalter's z and Hosmer and Lemeshow's chi-square take the cases as independent in
        ``p_value``; ``p_clustered`` allows for doctors, and is missing for one doctor. "same O/E"
        tests whether all groups of a subgroup have the same O/E
        """
        return self.tests.copy()

    def doctor_shift(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per recalibration and doctor: what miscalibration does to his O/E.

        Returns
        -------
        DataFrame with columns ``recalibration`` ("curve", or the subgroup whose groups were
        recalibrated each by its own curve), ``doctor, cases, observed, expected, recalibrated``
        (expected events before and after), ``oe``, and ``mean, lower, upper`` of O/E after
        recalibration, whose interval is the uncertainty of the recalibration alone; ``change`` of
        O/E; ``rank, rank_recalibrated, rank_change``, 1 is best (lowest O/E without a direction)

        Raises
        ------
        SpecError
            Predictions that hold the doctor's own effect expect nothing of an average doctor.
        """
        check_level(level)
        if self.shift is None:
            raise SpecError(OWN.format("O/E"))
        return shift_frame(self.shift, level=level)

    def across_doctors(self, *, level: float = DEFAULT_LEVEL) -> pd.DataFrame:
        """One row per method and predicted risk: calibration with an average and with a new doctor.

        Returns
        -------
        DataFrame with columns ``method`` ("groups": tenths of risk, every doctor; "lines": a line
        for each doctor with 10 events and 10 non-events or more), ``predicted``, ``mean, lower,
        upper`` of the observed probability with an average doctor, ``new_lower, new_upper`` the
        prediction interval of the next doctor, ``tau`` the SD between doctors (logit scale),
        ``doctors`` who took part

        Raises
        ------
        SpecError
            Predictions that hold the doctor's own effect, or cases of one doctor only.
        """
        if self.clusters == "patient":
            raise SpecError(
                "All cases are of one doctor or center: there are no others to differ from. Assess "
                "the cases of several together, with doctor=... telling whose they are."
            )
        if self.doctor_sums is None:
            raise SpecError(OWN.format("the spread of calibration"))
        return across_frame(compare_clusters(self.doctor_sums), level=level)

    def rows_of(self, subgroup: str) -> pd.DataFrame:
        """Return the rows of ``groups`` of one subgroup, or of "all"."""
        rows = self.groups[self.groups["subgroup"] == subgroup]
        if rows.empty:
            known = self.groups["subgroup"].unique()
            raise SpecError(
                f"No subgroup {subgroup!r} was assessed; there are {', '.join(map(repr, known))}."
                + did_you_mean(subgroup, known)
            )
        return rows

    def _limits(self, group: int, level: float) -> tuple[Array, Array]:
        lower, upper = np.full((2, len(MEASURES)), np.nan)
        if self.n_clusters[group] < FEWEST_CLUSTERS:
            return lower, upper
        for at, (name, scale) in enumerate(SCALES.items()):
            estimate, draws = self.estimate[group, at], self.draws[:, group, at]
            effective = self.effective[group]
            if scale is None:
                chance = self.chance[:, group, DISTANCES.index(name)]
                lower[at], upper[at] = distance_interval(
                    estimate, draws, chance, effective=effective, level=level
                )
            else:
                lower[at], upper[at] = clustered_interval(
                    estimate, draws, scale=scale, effective=effective, level=level
                )
        return lower, upper

    def _reach(self, draws: NDArray[np.floating], level: float) -> Array:
        """Half the width of a pointwise interval: (group, point)."""
        enough = self.n_clusters >= FEWEST_CLUSTERS
        times = np.where(enough, reach_of(self.effective, level), np.nan)
        return np.asarray(times[:, None] * draws.std(axis=0, ddof=1, dtype=np.float64))

    def _points(self, curves: CurveDraws, name: str) -> pd.DataFrame:
        n_points = curves.at.shape[1]
        frame = self.groups[["subgroup", "group"]].loc[np.repeat(self.groups.index, n_points)]
        return frame.reset_index(drop=True).assign(**{name: curves.at.ravel()})

    def _labeled(self, frame: pd.DataFrame, level: float) -> pd.DataFrame:
        frame.attrs.update(level=level, clusters=self.clusters)
        return frame

    def _say(self, label: str, measure: str, level: float = DEFAULT_LEVEL) -> str:
        """Write a measure of all cases, with its interval where it has one."""
        at = MEASURES.index(measure)
        value, (lower, upper) = self.estimate[0, at], (x[at] for x in self._limits(0, level))
        if not np.isfinite(value):
            return ""
        limits = f" ({lower:.3g} to {upper:.3g})" if np.isfinite(lower + upper) else ""
        return f"{label} {value:.3g}{limits}"

    def __repr__(self) -> str:
        first = self.groups.iloc[0]
        names = {"O/E": "oe", "slope": "slope", "C": "c_statistic", "ICI": "ici"}
        parts = [self._say(label, name) for label, name in names.items()]
        n_subgroups = self.groups["subgroup"].nunique() - 1
        said = ", ".join(part for part in parts if part)
        return (
            f"Calibration ({self.prediction}): {first['cases']:,.0f} cases of "
            f"{count_of(int(first['doctors']), 'doctor')}, {said}, "
            f"{n_subgroups} subgroup{'' if n_subgroups == 1 else 's'}"
        )

    def _repr_html_(self) -> str:
        frame = self.to_frame()
        chosen = frame[(frame["subgroup"] == "all")].drop(columns=["subgroup", "group"])
        return show_html(self, chosen, index=False, missing="", sentences=self.log)
