"""Rung 1: patients before and after, paired or not, at one case mix, allowing for clusters."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from outcomekpi.declare.checking import check_fields
from outcomekpi.declare.errors import SpecError
from outcomekpi.declare.fields import Limit
from outcomekpi.draws.intervals import t_reach
from outcomekpi.pilots.data.patient_columns import PatientColumns
from outcomekpi.pilots.data.patient_rows import PatientRows, read_patients
from outcomekpi.pilots.designs.before_after_checks import check_change, look_for_selection
from outcomekpi.pilots.designs.before_after_facts import (
    ChangeAnswer,
    answer_facts,
    state_assumptions,
    state_claim,
    state_estimand,
)
from outcomekpi.pilots.designs.before_after_threats import list_threats
from outcomekpi.pilots.designs.change_estimates import (
    list_estimates,
    main_estimate,
    naive_estimate,
    part_estimates,
)
from outcomekpi.pilots.designs.missing_outcomes import bound_missing
from outcomekpi.pilots.designs.patient_change import (
    ChangeOptions,
    Cluster,
    Inference,
    WhichPatients,
    measure_change,
)
from outcomekpi.pilots.designs.selected_baseline import (
    BaselineSelection,
    Selection,
    check_selection,
    correct_change,
)
from outcomekpi.pilots.designs.selected_doctors import UnitSelection, correct_units, read_chosen
from outcomekpi.pilots.estimators.kitagawa import PARTS, Standard
from outcomekpi.pilots.estimators.regression_result import RegressionToMean
from outcomekpi.pilots.ladder.estimates import tabulate_estimates
from outcomekpi.pilots.ladder.findings import Answered, Findings, Rung
from outcomekpi.pilots.ladder.program import Program
from outcomekpi.tables.cases import Direction

__all__ = ["BeforeAfter", "describe_change", "tabulate"]


# Tables behind the pictures of a before/after comparison
def tabulate(answer: ChangeAnswer, *, level: float) -> dict[str, pd.DataFrame]:
    """Return the tables: slope, leave_one_out, and kitagawa, missing_bounds, regression_to_mean.

    The last three are there where a case mix or entries split the change, where outcomes are
    missing, and where patients or units were chosen on their baseline.
    """
    change = answer.change
    tables = {"slope": _slope(answer)}
    if change.cluster_names and change.n_clusters <= len(change.cluster_names):
        tables["leave_one_out"] = _leave_one_out(answer, level)
    if change.is_adjusted or change.has_entries:
        tables["kitagawa"] = _kitagawa(answer, level)
    if answer.missing.cases:
        tables["missing_bounds"] = answer.missing.to_frame(level=level)
    if answer.corrected is not None:
        tables["regression_to_mean"] = answer.corrected.to_frame(level=level).reset_index()
    for table in tables.values():
        table.attrs.update(level=level, unit=answer.unit)
    return tables


def _slope(answer: ChangeAnswer) -> pd.DataFrame:
    """Outcome of each doctor (or cluster, or of all patients) before and after."""
    change = answer.change
    rows, use = change.rows, change.model_rows
    role = "doctor" if "doctor" in rows.labels else change.cluster_role
    expected = np.nan
    if role in rows.labels and role != "patient":
        names = np.array(rows.labels[role].names, dtype=object)[rows.labels[role].code]
    else:
        names = np.full(use.size, "all patients", dtype=object)
    table = pd.DataFrame(
        {
            "unit": names[use],
            "after": rows.after[use],
            "value": change.scale * rows.outcome[use],
        }
    )
    means = table.pivot_table(index="unit", columns="after", values="value", aggfunc="mean")
    means = means.reindex(columns=[False, True])
    found = pd.DataFrame(
        {
            "unit": means.index.astype(str),
            "before": means[False].to_numpy(),
            "after": means[True].to_numpy(),
        }
    )
    if answer.corrected is not None:
        before = float(change.scale * rows.outcome[use & ~rows.after].mean())
        expected = before + answer.corrected.expected
        found = pd.concat(
            [
                found,
                pd.DataFrame(
                    {
                        "unit": ["all chosen patients"],
                        "before": [before],
                        "after": [float(change.scale * rows.outcome[use & rows.after].mean())],
                    }
                ),
            ],
            ignore_index=True,
        )
        found["expected_after"] = np.where(found["unit"] == "all chosen patients", expected, np.nan)
    else:
        found["expected_after"] = np.nan
    return found


def _leave_one_out(answer: ChangeAnswer, level: float) -> pd.DataFrame:
    change = answer.change
    if change.jackknife is None or len(change.jackknife.without) != change.n_clusters:
        return pd.DataFrame(columns=["cluster", "mean", "lower", "upper"])
    place = PARTS.index("within")
    values = change.jackknife.without[:, place]
    count = change.n_clusters
    error = change.jackknife.errors_without()[:, place]
    reach = float(t_reach(count - 2, level=level)) if count > 2 else np.nan
    return pd.DataFrame(
        {
            "cluster": list(change.cluster_names),
            "mean": values,
            "lower": values - reach * error,
            "upper": values + reach * error,
        }
    )


def _kitagawa(answer: ChangeAnswer, level: float) -> pd.DataFrame:
    parts = part_estimates(answer.change, unit=answer.unit)
    main = main_estimate(answer.change, unit=answer.unit)
    order = [name for name in ("mix", "within", "entry", "exit", "total") if name in parts]
    named = [(name, main if name == "within" else parts[name]) for name in order]
    return tabulate_estimates(named, "part", level=level)


def describe_change(answer: ChangeAnswer, program: Program, level: float) -> Findings:
    """Write down what was found, with intervals of a level."""
    return Findings(
        estimand=state_estimand(answer),
        estimates=answer.everything,
        naive=answer.naive,
        assumptions=state_assumptions(answer),
        checks=(*look_for_selection(answer, program), *check_change(answer, level=level)),
        threats=list_threats(answer, program, level=level),
        tables=tabulate(answer, level=level),
        facts=answer_facts(answer, level=level),
        direction=answer.direction,
        claim=state_claim(answer, BeforeAfter.rung),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeAfter(PatientColumns):
    """Patients before and after a program, without controls (rung 1).

    Attributes
    ----------
    outcome : column of events (0 and 1, or any values with ``event``) or of measurements
    period : column of two values, or of numbers or dates
    after : value of ``period`` that is with the program
    start : first time with the program, in place of ``after``
    doctor, hospital : columns of the units whose patients may be alike; the interval allows for
        the outermost one that is named
    patient : column that makes patients known in both periods; they are then compared with
        themselves, and entries and exits are told apart
    patients : "stayers" compares known patients with themselves, "all" takes everybody in each
        period
    case_mix : formula; the periods are then compared at one case mix
    standard : that case mix: "average" (Kitagawa), "pooled", "before" or "after"
    family : "bernoulli" (logistic models of the case mix) or "gaussian" (linear ones)
    event : value of the outcome that counts, where it is not 0 and 1
    unit : of a Gaussian outcome, in words; "%" checks that it lies in 0 to 100
    time_unit : what periods such as 2024-1 name, with start=: "half-year", "quarter" or "month"
    time_zone : whose days count where times have an offset from UTC, such as "Europe/Berlin"; by
        default those of the clock that wrote them, where summer time is all that differs
    outcome_range : between which values a Gaussian outcome can lie, for bounds on missing ones
    cluster : "hospital", "doctor" or "patient", where it is not the outermost that is named
    inference : "t" (CR2 with Satterthwaite's degrees of freedom; jackknife by clusters with a case
        mix), "wild_bootstrap" (no case mix) or "cluster_bootstrap" (percentiles: too narrow below
        40 clusters)
    selection : how patients or units were chosen for their baseline; asked for where the program
        says so
    direction : whether "higher" or "lower" is better; None words no side

    Notes
    -----
    docs/methods/before_after.md has the formulas and the measured coverage.

    References
    ----------
    Kitagawa (1955), Journal of the American Statistical Association 50. Bell & McCaffrey (2002),
    Survey Methodology 28. MacKinnon, Nielsen & Webb (2023), Journal of Econometrics 232.

    Examples
    --------
    >>> import outcomekpi as ok
    >>> frame, truth = ok.datasets.simulate_pilot(mix_shift=0.3)
    >>> design = ok.BeforeAfter(outcome="controlled", period="period", after="after",
    ...     doctor="doctor", case_mix="age + severity", direction="higher")
    >>> bool(ok.compare_pilot(frame, design).main.excludes_null(level=0.95))
    True
    """

    rung: ClassVar[Rung] = 1

    hospital: str | None = None
    patients: WhichPatients = "stayers"
    standard: Standard = "average"
    outcome_range: tuple[Limit, Limit] | None = None
    cluster: Cluster | None = None
    inference: Inference = "t"
    selection: Selection | None = None
    direction: Direction | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        self.check_columns()
        if self.outcome_range is not None and not self.outcome_range[0] < self.outcome_range[1]:
            raise SpecError(f"outcome_range must be (low, high); got {self.outcome_range!r}.")

    def estimate(
        self, data: object, *, program: Program, draws: int, rng: np.random.Generator
    ) -> Answered[ChangeAnswer]:
        """Estimate the change from before to after.

        Parameters
        ----------
        data : DataFrame, one row for each patient and period
        program : facts about the program
        draws : of a cluster bootstrap and of the correction for regression to the mean
        rng : of everything random

        Raises
        ------
        CasesError
            The data are no patients before and after; the message names what would fit.
        FormulaError
            The case mix cannot be used, or one period does not reach the other.
        SpecError
            Patients were selected on their baseline and nothing says from whom, or options
            contradict each other.
        """
        check_selection(self.selection, program)
        table, rows = self.read(data)
        corrected: RegressionToMean | None = None
        if isinstance(self.selection, UnitSelection):
            corrected, rows = self._correct_units(table, rows, self.selection, draws, rng)
        change = measure_change(rows, self._options(draws), rng=rng)
        unit = self._unit()
        if isinstance(self.selection, BaselineSelection):
            corrected = correct_change(
                table, change, self.selection, unit=unit, draws=draws, rng=rng
            )
        answer = ChangeAnswer(
            columns=self,
            change=change,
            estimates=list_estimates(change, unit=unit),
            naive=naive_estimate(change, unit=unit),
            missing=bound_missing(rows, change, unit=unit, outcome_range=self._range(), rng=rng),
            corrected=corrected,
            unit=unit,
            direction=self.direction,
        )
        return Answered(numbers=answer, program=program, describe=describe_change)

    def read(self, data: object) -> tuple[pd.DataFrame, PatientRows]:
        """Read and check a table as :meth:`estimate` does, and estimate nothing.

        Parameters
        ----------
        data : as for :meth:`estimate`

        Raises
        ------
        CasesError, FormulaError
            Every fault of the table at once.
        """
        table, rows = read_patients(data, self)
        if isinstance(self.selection, UnitSelection):
            read_chosen(table, rows, self.selection)
        return table, rows

    def _correct_units(
        self,
        table: pd.DataFrame,
        rows: PatientRows,
        selection: UnitSelection,
        draws: int,
        rng: np.random.Generator,
    ) -> tuple[RegressionToMean, PatientRows]:
        """Correct the chosen units, and keep their patients alone."""
        chosen = read_chosen(table, rows, selection)
        corrected = correct_units(
            rows.take(rows.known),
            chosen[rows.known],
            selection,
            binary=self.family == "bernoulli",
            unit=self._unit(),
            draws=draws,
            rng=rng,
        )
        return corrected, rows.take(chosen)

    def _options(self, draws: int) -> ChangeOptions:
        return ChangeOptions(
            binary=self.family == "bernoulli",
            patients=self.patients,
            cluster=self.cluster,
            standard=self.standard,
            inference=self.inference,
            draws=draws,
        )

    def _unit(self) -> str:
        return self.spell_unit()

    def _range(self) -> tuple[float, float] | None:
        if self.family == "gaussian" and self.outcome_range is not None:
            return self.outcome_range
        return self.outcome_limits()
