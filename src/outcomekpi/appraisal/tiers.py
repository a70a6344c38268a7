"""Tiers: several criteria on patients, each with its own payee, and who reached which."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from outcomekpi.declare.checking import check_arguments, check_fields
from outcomekpi.declare.errors import CasesError, SpecError
from outcomekpi.declare.fields import Count, NotNegative, Positive
from outcomekpi.declare.showing import show_html
from outcomekpi.indicators.drop_goals import DropGoal
from outcomekpi.indicators.event_goals import NoEventGoal
from outcomekpi.indicators.goal_verdicts import (
    NOT_ASSESSABLE,
    NOT_REACHED,
    REACHED,
    Goal,
    check_goal,
    check_names,
)
from outcomekpi.indicators.run_goals import RunGoal
from outcomekpi.tables.hba1c import HbA1cUnit, check_hba1c_bar
from outcomekpi.tables.labels import read_labels
from outcomekpi.tables.patient_records import PatientRecords, require_columns

__all__ = ["TierAssessment", "TierRule", "Unit", "assess_tiers", "reward_ladder"]

Unit = Literal["points", "money"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TierRule:
    """One tier of a ladder: the criterion on a patient, who is paid for it, and what.

    Attributes
    ----------
    name : of the tier, as tables show it
    goal : judges the patients
    payee : column of the patients that names who is paid, such as ``doctor``, ``team``
    amount : paid for each patient who reaches the goal
    unit : of the amount, "points" or "money"
    shares : pairs of member and share by which a team divides its credit; they add up to 1

    Raises
    ------
    SpecError
        An amount that is negative, shares that do not add up to 1, a goal that cannot judge.

    Examples
    --------
    >>> from outcomekpi import DropGoal, TierRule
    >>> goal = DropGoal(measure="hba1c", drop=0.8, below=7.0, population=("diabetes",))
    >>> TierRule(name="HbA1c", goal=goal, payee="doctor", amount=2).unit
    'points'
    """

    name: str
    goal: Goal
    payee: str
    amount: NotNegative = 1.0
    unit: Unit = "points"
    shares: tuple[tuple[str, NotNegative], ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        check_goal(type(self).__name__, self.goal)
        total = sum(share for _, share in self.shares)
        if self.shares and abs(total - 1) > 1e-9:
            raise SpecError(f"TierRule.shares must add up to 1; they add up to {total:g}.")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TierAssessment:
    """Which patient reached which tier, which did not, which cannot be assessed, and why.

    Attributes
    ----------
    rules : the tiers, in order
    verdicts : one row per tier and eligible patient: ``tier``, ``patient``, ``payee`` (the doctor,
        team, or whom the rule names), ``verdict`` ("reached", "not reached", "not assessable"),
        ``reason``, ``month`` of the decision, ``value`` that was compared
    """

    rules: tuple[TierRule, ...]
    verdicts: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """One row per tier, in order.

        Returns
        -------
        DataFrame indexed by ``tier``: ``eligible`` patients; ``reached``, ``not_reached``,
        ``not_assessable``, of them; ``share``, reached of those who can be assessed;
        ``share_of_eligible``, reached of all. The two differ by the missing readings.
        """
        counts = pd.crosstab(self.verdicts["tier"], self.verdicts["verdict"])
        names = [rule.name for rule in self.rules]
        wanted = [REACHED, NOT_REACHED, NOT_ASSESSABLE]
        counts = counts.reindex(index=names, columns=wanted, fill_value=0)
        counts.columns = pd.Index([name.replace(" ", "_") for name in wanted])
        counts.insert(0, "eligible", counts.sum(axis=1))
        with np.errstate(invalid="ignore", divide="ignore"):
            judged = counts["eligible"] - counts["not_assessable"]
            counts["share"] = counts["reached"] / judged
            counts["share_of_eligible"] = counts["reached"] / counts["eligible"]
        return counts.rename_axis("tier")

    def reasons(self) -> pd.DataFrame:
        """Count ``patients`` by ``tier, verdict, reason``, the most frequent first."""
        open_ = self.verdicts[self.verdicts["verdict"] != REACHED]
        counts = open_.groupby(["tier", "verdict", "reason"]).size().rename("patients")
        return counts.sort_values(ascending=False, kind="stable").reset_index()

    def __repr__(self) -> str:
        frame = self.to_frame()
        parts = [
            f"{tier}: {row['reached']:.0f} of {row['eligible']:.0f} patients reached, "
            f"{row['not_assessable']:.0f} not assessable"
            for tier, row in frame.iterrows()
        ]
        return f"TierAssessment: {'; '.join(parts)}"

    def _repr_html_(self) -> str:
        return show_html(self, self.to_frame())


def assess_tiers(records: PatientRecords, rules: Sequence[TierRule]) -> TierAssessment:
    """Judge every eligible patient by every tier: reached, not reached, not assessable, and why.

    Parameters
    ----------
    records : patients, what was measured on them and what happened to them
    rules : tiers, parallel (each is judged on its own), with different names

    Raises
    ------
    CasesError
        A column is missing, or an eligible patient has no payee.
    SpecError
        Rules without a name of their own, or that look beyond the records.

    Examples
    --------
    >>> import pandas as pd
    >>> import outcomekpi as ok
    >>> patients = pd.DataFrame({"patient": [1, 2], "doctor": ["A", "A"], "diabetes": [True] * 2})
    >>> hba1c = pd.DataFrame(
    ...     {"patient": [1, 1, 2], "month": [0, 12, 0], "hba1c": [8.1, 6.9, 7.5]})
    >>> records = ok.PatientRecords(patients=patients, measurements=hba1c, months=12)
    >>> goal = ok.DropGoal(measure="hba1c", drop=0.8, below=7, population=("diabetes",))
    >>> ok.assess_tiers(records, [ok.TierRule(name="HbA1c", goal=goal, payee="doctor")])
    TierAssessment: HbA1c: 1 of 2 patients reached, 1 not assessable
    """
    check_arguments(assess_tiers, locals())
    check_names("rules", rules, TierRule)
    parts = [_judge(records, rule) for rule in rules]
    return TierAssessment(rules=tuple(rules), verdicts=pd.concat(parts, ignore_index=True))


def reward_ladder(
    *,
    hba1c_below: Positive,
    drop: Positive,
    sbp_below: Positive,
    dbp_below: Positive,
    months: Positive,
    years: Positive,
    amounts: tuple[float, float, float] = (1.0, 1.0, 1.0),
    relative: bool = False,
    window: Count = 12,
    hba1c_unit: HbA1cUnit = "%",
) -> tuple[TierRule, TierRule, TierRule]:
    """Three parallel criteria with three payees: HbA1c, blood pressure, heart failure (A-CASE1).

    Parameters
    ----------
    hba1c_below, drop : HbA1c below this and at least so much below baseline, to the attending
        doctor; in ``hba1c_unit``, as the readings are
    sbp_below, dbp_below, months : pressure below both (mmHg) in so many consecutive months, to the
        team
    years : no readmission for heart failure within so many years, money to the responsible doctor
    amounts : per patient who reaches each of the three
    relative : whether ``drop`` is a share of the baseline; in the unit of HbA1c otherwise
    window : months that the first two criteria look at
    hba1c_unit : "%" or "mmol/mol"

    Returns
    -------
    three :class:`TierRule`. Readings that the source leaves open have the defaults of
    :class:`DropGoal`, :class:`RunGoal` and :class:`NoEventGoal`; others are made with
    ``dataclasses.replace``

    Raises
    ------
    SpecError
        A number that no criterion can have.

    Examples
    --------
    >>> from outcomekpi import reward_ladder
    >>> ladder = reward_ladder(
    ...     hba1c_below=7, drop=0.8, sbp_below=140, dbp_below=90, months=6, years=1)
    >>> [rule.payee for rule in ladder]
    ['doctor', 'team', 'responsible']
    """
    check_arguments(reward_ladder, locals())
    if months != int(months):
        raise SpecError(f"months must be whole; got {months!r}.")
    check_hba1c_bar("hba1c_below", float(hba1c_below), hba1c_unit)
    hba1c = DropGoal(
        measure="hba1c",
        drop=float(drop),
        relative=relative,
        below=float(hba1c_below),
        population=("diabetes",),
        window=window,
    )
    pressure = RunGoal(
        bars=(("sbp", float(sbp_below)), ("dbp", float(dbp_below))),
        months=int(months),
        population=("hypertension",),
        window=window,
    )
    readmission = NoEventGoal(
        kind="hf_admission", years=float(years), population=("heart_failure",)
    )
    return (
        TierRule(name="A-C1R1 HbA1c", goal=hba1c, payee="doctor", amount=amounts[0]),
        TierRule(name="A-C1R2 blood pressure", goal=pressure, payee="team", amount=amounts[1]),
        TierRule(
            name="A-C1R3 no readmission",
            goal=readmission,
            payee="responsible",
            amount=amounts[2],
            unit="money",
        ),
    )


def _judge(records: PatientRecords, rule: TierRule) -> pd.DataFrame:
    require_columns(records.patients, (rule.payee,), "patients")
    read_labels(records.patients[rule.payee], "payee")  # nobody is paid for two spellings
    judged = rule.goal.judge(records).reset_index()
    payee = records.patients.set_index("patient")[rule.payee].reindex(judged["patient"])
    if payee.isna().any():
        raise CasesError(
            f"{int(payee.isna().sum())} of {len(payee)} patients eligible for {rule.name!r} have "
            f"no {rule.payee!r}, the first patient {payee.index[payee.isna()].tolist()[0]!r}."
        )
    judged.insert(0, "tier", rule.name)
    judged.insert(2, "payee", payee.to_numpy(dtype=object))
    return judged
